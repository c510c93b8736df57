package store

import (
	"context"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/placement"
)

// tokens is a board whose clock the test sets.
type tokens struct {
	*board
	now time.Time
}

func newTokens(t *testing.T) *tokens {
	b := &tokens{now: time.Unix(1_800_000_000, 0)}
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := space.NewLocalReplica(db, space.Config{Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rep.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	b.board = &board{t, rep}
	if _, err := rep.Create(context.Background(), Space, 1, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return nil, Init(w, placement.FirstLevel)
	}); err != nil {
		t.Fatal(err)
	}
	b.do(func(w space.Writer) error {
		return AdoptGroup(w, placement.Group{ID: cluster.SystemGroup, Replicas: []placement.Replica{{Server: "n1.1"}}})
	})
	return b
}

func (b *tokens) draw(id byte, valid time.Duration) error {
	return b.try(func(w space.Writer) error {
		_, err := DrawToken(w, &DrawTokenRequest{ID: TokenID{id}, Hash: [32]byte{id}, Valid: valid})
		return err
	})
}

// use is a machine with a key that comes with a token under a name.
func (b *tokens) use(id, hash, key byte, node cluster.NodeID) (a *UseTokenAnswer) {
	b.t.Helper()
	b.do(func(w space.Writer) (err error) {
		a, err = UseToken(w, &UseTokenRequest{ID: TokenID{id}, Hash: [32]byte{hash}, Key: [32]byte{key},
			Node: placement.NodeState{ID: node, Address: "d:1", MinLevel: 1, MaxLevel: 2}})
		return err
	})
	return a
}

func TestTokenIsForOneMachineAndOneName(t *testing.T) {
	b := newTokens(t)
	if err := b.draw(1, time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		id, hash, key byte
		node          cluster.NodeID
		want          TokenRefusal
	}{
		{"never drawn", 2, 2, 1, "n4", TokenUnknown},
		{"wrong secret", 1, 2, 1, "n4", TokenUnknown},
		{"a node that formed the cluster", 1, 1, 1, "n1", NameTaken},
		{"first use", 1, 1, 1, "n4", TokenTaken},
		{"the answer was lost", 1, 1, 1, "n4", TokenTaken},
		{"another machine", 1, 1, 2, "n4", TokenUsed},
		{"another machine under another name", 1, 1, 2, "n5", TokenUsed},
		{"another name", 1, 1, 1, "n5", TokenUsed},
	} {
		if a := b.use(c.id, c.hash, c.key, c.node); a.Refusal != c.want || c.want == TokenUsed && a.By != "n4" {
			t.Errorf("%s: %+v, want %d", c.name, a, c.want)
		}
	}
	n := b.load().Node("n4")
	if n == nil || n.Status != placement.Active || n.Address != "d:1" || len(b.load().Nodes) != 1 {
		t.Fatalf("%+v", b.load().Nodes)
	}
	// A second token does not give a name away that is in use, and is not spent by the attempt.
	if err := b.draw(3, time.Hour); err != nil {
		t.Fatal(err)
	}
	if a := b.use(3, 3, 3, "n4"); a.Refusal != NameTaken {
		t.Errorf("%+v", a)
	}
	if a := b.use(3, 3, 3, "n5"); a.Refusal != TokenTaken {
		t.Errorf("%+v", a)
	}
}

// What the node has registered meanwhile is not undone by a machine that asks again.
func TestTokenAskedForAgainChangesNothing(t *testing.T) {
	b := newTokens(t)
	if err := b.draw(1, time.Hour); err != nil {
		t.Fatal(err)
	}
	b.use(1, 1, 1, "n4")
	b.do(func(w space.Writer) error {
		return PutNode(w, placement.NodeState{ID: "n4", Roles: placement.RoleStore, Address: "e:2"})
	})
	b.now = b.now.Add(2 * time.Hour)
	if a := b.use(1, 1, 1, "n4"); a.Refusal != TokenTaken || b.load().Node("n4").Address != "e:2" {
		t.Fatalf("%+v, %+v", a, b.load().Node("n4"))
	}
}

// A machine takes the place of a node that the token names, once, and of no other; the node's replicas are its own matter.
func TestTokenThatReplaces(t *testing.T) {
	b := newTokens(t)
	b.do(func(w space.Writer) error {
		return PutNode(w, placement.NodeState{ID: "n1", Address: "a:1", Status: placement.Draining, MinLevel: 1, MaxLevel: 2})
	})
	drawFor := func(id byte, node cluster.NodeID) error {
		return b.try(func(w space.Writer) error {
			_, err := DrawToken(w, &DrawTokenRequest{ID: TokenID{id}, Hash: [32]byte{id}, Valid: time.Hour, Replaces: node})
			return err
		})
	}
	if err := drawFor(1, "n9"); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("in place of nobody: %v", err)
	}
	if err := drawFor(1, "n1"); err != nil {
		t.Fatal(err)
	}
	if a := b.use(1, 1, 1, "n4"); a.Refusal != NameOther || a.By != "n1" || b.load().Node("n4") != nil {
		t.Errorf("under another name: %+v", a)
	}
	if a := b.use(1, 1, 1, "n1"); a.Refusal != TokenTaken {
		t.Errorf("%+v", a)
	}
	if n := b.load().Node("n1"); n.Address != "d:1" || n.Status != placement.Draining || len(b.load().Nodes) != 1 {
		t.Errorf("%+v", n)
	}
	if a := b.use(1, 1, 2, "n1"); a.Refusal != TokenUsed {
		t.Errorf("a second machine: %+v", a)
	}
	b.do(func(w space.Writer) error {
		return SetNodeStatus(w, &NodeStatusRequest{Node: "n1", Status: placement.Removed, Force: true})
	})
	if err := drawFor(2, "n1"); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("in place of one that was removed: %v", err)
	}
}

func TestMachineSpeaksTheClustersLevel(t *testing.T) {
	b := newTokens(t)
	if err := b.draw(1, time.Hour); err != nil {
		t.Fatal(err)
	}
	b.do(func(w space.Writer) error {
		w.Set([]byte{prefixLevel}, []byte{3})
		return nil
	})
	if a := b.use(1, 1, 1, "n4"); a.Refusal != LevelUnknown || a.Level != 3 || b.load().Node("n4") != nil {
		t.Errorf("%+v", a)
	}
}

func TestNodesSayWhereTheyAre(t *testing.T) {
	b := newTokens(t)
	move := func(node cluster.NodeID, address string) {
		b.do(func(w space.Writer) error {
			return MoveNode(w, &NodeAddressRequest{Node: node, Address: address, Gossip: "g:1"})
		})
	}
	b.do(func(w space.Writer) error {
		return PutNode(w, placement.NodeState{ID: "n1", Address: "a:1", Version: "v1", MinLevel: 1, MaxLevel: 1})
	})
	move("n9", "z:1")
	move("n1", "b:1")
	if n := b.load().Node("n1"); len(b.load().Nodes) != 1 || n.Address != "b:1" || n.Gossip != "g:1" || n.Version != "v1" {
		t.Errorf("%+v", b.load().Nodes)
	}
	b.do(func(w space.Writer) error {
		return SetNodeStatus(w, &NodeStatusRequest{Node: "n1", Status: placement.Removed, Force: true})
	})
	if move("n1", "c:1"); b.load().Node("n1").Address != "b:1" {
		t.Error("one that was removed moves")
	}
}

func TestTokensEnd(t *testing.T) {
	b := newTokens(t)
	if err := b.draw(1, 0); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Fatalf("a token without time: %v", err)
	}
	if err := b.draw(1, time.Hour); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(time.Hour + time.Second)
	if a := b.use(1, 1, 1, "n4"); a.Refusal != TokenExpired || !a.Until.Equal(b.now.Add(-time.Second)) {
		t.Fatalf("%+v", a)
	}
	b.now = b.now.Add(tokenKept)
	if err := b.draw(2, time.Hour); err != nil {
		t.Fatal(err)
	}
	if a := b.use(1, 1, 1, "n4"); a.Refusal != TokenUnknown {
		t.Fatalf("remembered for ever: %+v", a)
	}
	for i := 0; i < maxTokens-1; i++ {
		b.do(func(w space.Writer) error {
			_, err := DrawToken(w, &DrawTokenRequest{ID: TokenID{9, byte(i), byte(i >> 8)}, Valid: time.Hour})
			return err
		})
	}
	if err := b.draw(3, time.Hour); cluster.KindOf(err) != cluster.KindOverloaded {
		t.Fatalf("one token too many: %v", err)
	}
}

func TestRemovedNodesStayRemoved(t *testing.T) {
	b := newTokens(t)
	word := func(node cluster.NodeID, s placement.NodeStatus, force bool) error {
		return b.try(func(w space.Writer) error {
			return SetNodeStatus(w, &NodeStatusRequest{Node: node, Status: s, Force: force})
		})
	}
	if err := b.draw(1, time.Hour); err != nil {
		t.Fatal(err)
	}
	b.use(1, 1, 1, "n4")
	b.do(func(w space.Writer) error { return CreateGroup(w, placement.Group{ID: 1}, []cluster.ServerID{"n4.1"}) })
	if err := word("n9", placement.Draining, false); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("a node that is none: %v", err)
	}
	for _, s := range []placement.NodeStatus{placement.Draining, placement.Active, placement.Draining, placement.Draining} {
		if err := word("n4", s, false); err != nil || b.load().Node("n4").Status != s {
			t.Fatalf("%v, %+v", err, b.load().Node("n4"))
		}
	}
	if err := word("n4", placement.Removed, false); cluster.KindOf(err) != cluster.KindUnsafe {
		t.Errorf("removed with a replica: %v", err)
	}
	if err := word("n4", placement.Removed, true); err != nil {
		t.Fatal(err)
	}
	if err := word("n4", placement.Active, true); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("back among the living: %v", err)
	}
	b.do(func(w space.Writer) error { return PutNode(w, placement.NodeState{ID: "n4"}) })
	if s := b.load().Node("n4").Status; s != placement.Removed {
		t.Errorf("registered again as %d", s)
	}
	if a := b.use(1, 1, 1, "n4"); a.Refusal != NameRemoved {
		t.Errorf("the token opens again: %+v", a)
	}
	if err := b.draw(2, time.Hour); err != nil {
		t.Fatal(err)
	}
	if a := b.use(2, 2, 2, "n4"); a.Refusal != NameRemoved {
		t.Errorf("the name is given again: %+v", a)
	}
}
