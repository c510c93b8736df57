package node

import (
	"context"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/mailflow/queue"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// oneNode has every group on itself.
type oneNode struct{ lone }

func (o oneNode) Route(_ context.Context, id cluster.SpaceID) (ops.Route, error) {
	g, ok := scratchGroup(id)
	if !ok {
		return ops.Route{}, cluster.ErrNoSpace
	}
	return ops.Route{Group: g, Epoch: 1, Leader: "n1"}, nil
}
func (o oneNode) Learn(cluster.GroupID, uint64, cluster.NodeID) {}
func (o oneNode) Moved(cluster.SpaceID, ops.Route)              {}
func (o oneNode) Changed() <-chan struct{}                      { return nil }

// node is one of which there is enough for its scratch spaces.
func (o oneNode) node() backend {
	n := &Node{self: "n1", cfg: Config{Staging: true}}
	n.ops = ops.NewClient("n1", ops.NewServer(o, ops.Events{}, scratchHandlers()), nil, o, newClockShift())
	return backend{n}
}

func TestScratchSpaces(t *testing.T) {
	o := oneNode{lone{replicaInMemory(t)}}
	b := o.node()
	put := func(g cluster.GroupID, key string, p admin.ScratchPut, want string) {
		t.Helper()
		if v, err := b.ScratchPut(t.Context(), g, key, p); err != nil || v.Value != want || !v.Found {
			t.Fatalf("put %s: %+v, %v", key, v, err)
		}
	}
	get := func(g cluster.GroupID, key, want string, found bool) {
		t.Helper()
		if v, err := b.ScratchGet(t.Context(), g, key); err != nil || v.Value != want || v.Found != found {
			t.Fatalf("get %s: %+v, %v", key, v, err)
		}
	}
	get(4, "a", "", false)
	put(4, "a", admin.ScratchPut{Value: "1"}, "1")
	put(4, "empty", admin.ScratchPut{}, "")
	get(4, "empty", "", true)
	get(5, "a", "", false) // of another group
	put(4, "n", admin.ScratchPut{Value: "40", Add: true}, "40")
	id := strings.Repeat("0a", 16)
	for range 3 {
		put(4, "n", admin.ScratchPut{Value: "2", Add: true, ID: id}, "42")
	}
	put(4, "n", admin.ScratchPut{Value: "-2", Add: true}, "40")
	b = o.node() // another process, which knows of no space that is open
	get(4, "n", "40", true)
	for name, c := range map[string]struct {
		key string
		put admin.ScratchPut
	}{
		"no number there": {"empty", admin.ScratchPut{Value: "1", Add: true}},
		"no number given": {"n", admin.ScratchPut{Value: "x", Add: true}},
		"no key":          {"", admin.ScratchPut{Value: "1"}},
		"long key":        {strings.Repeat("k", maxScratchKey+1), admin.ScratchPut{}},
		"long value":      {"k", admin.ScratchPut{Value: strings.Repeat("v", maxScratchValue+1)}},
		"short id":        {"k", admin.ScratchPut{ID: "0a"}},
		"bad id":          {"k", admin.ScratchPut{ID: strings.Repeat("xy", 16)}},
	} {
		_, err := b.ScratchPut(t.Context(), 4, c.key, c.put)
		if k := cluster.KindOf(err); k != cluster.KindBadRequest && k != cluster.KindTooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
	get(4, "n", "40", true)
}

// A node in service has no scratch space, whoever asks: neither its administrator nor another node.
func TestScratchIsForTestsOnly(t *testing.T) {
	b := oneNode{lone{replicaInMemory(t)}}.node()
	b.n.cfg.Staging = false
	if _, err := b.ScratchPut(t.Context(), 4, "a", admin.ScratchPut{}); cluster.KindOf(err) != exmdb.KindAccessDenied {
		t.Errorf("put: %v", err)
	}
	if _, err := b.ScratchGet(t.Context(), 4, "a"); cluster.KindOf(err) != exmdb.KindAccessDenied {
		t.Errorf("get: %v", err)
	}
	for _, staging := range []bool{false, true} {
		n := &Node{cfg: Defaults(), metrics: newMetrics()}
		n.cfg.Staging, n.storage.host = staging, new(group.Host)
		n.makeServer()
		_, err := n.server.Serve(t.Context(), &ops.Request{Op: opScratchGet, Space: scratchSpace(4), Group: 4})
		if unknown := cluster.KindOf(err) == cluster.KindNoMethod; unknown == staging {
			t.Errorf("an op of another node, staging %v: %v", staging, err)
		}
	}
}

func TestScratchSpacesAreNoOthers(t *testing.T) {
	for _, g := range []cluster.GroupID{0, 1, 1 << 31} {
		if got, ok := scratchGroup(scratchSpace(g)); !ok || got != g {
			t.Errorf("group %d became %d, %v", g, got, ok)
		}
		if _, ok := queue.GroupOf(scratchSpace(g)); ok {
			t.Errorf("the scratch space of group %d is taken for a queue", g)
		}
		if _, ok := scratchGroup(queue.SpaceOf(g)); ok {
			t.Errorf("the queue of group %d is taken for a scratch space", g)
		}
	}
	for range 100 {
		if g, ok := scratchGroup(cluster.SpaceID(mapi.NewMailboxID())); ok {
			t.Fatalf("a mailbox is taken for the scratch space of group %d", g)
		}
	}
	if scratchSpace(1)[7]&0xf0 == 0x40 {
		t.Error("a random GUID could be a scratch space")
	}
}
