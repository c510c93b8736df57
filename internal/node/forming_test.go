package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

var threePeers = []Peer{{ID: "n1"}, {ID: "n2"}, {ID: "n3"}}

// helloOf makes a node's word: its replica, and the members it knows, of which a leader is marked by "*".
func helloOf(server cluster.ServerID, members string) *hello {
	h := &hello{Server: server}
	members, h.Leads = strings.CutSuffix(members, " *")
	for _, m := range strings.Fields(members) {
		h.Members = append(h.Members, cluster.ServerID(m))
	}
	h.Formed = len(h.Members) > 0
	return h
}

// TestForming has a row for each thing that n3, whose replica has no membership, may meet when it starts.
func TestForming(t *testing.T) {
	const old = "n1.1 n2.1 n3.1"
	for _, tt := range []struct {
		name   string
		n1, n2 *hello
		holds  bool
		want   string
	}{
		{"nobody has anything", helloOf("n1.1", ""), helloOf("n2.1", ""), false, ""},
		{"one is not there yet", helloOf("n1.1", ""), nil, false, "waiting for n2 (2 of 3 nodes here)"},
		{"one has no replica yet", helloOf("", ""), helloOf("n2.1", ""), false, "waiting for n1 (2 of 3 nodes here)"},
		{"begun with this replica", helloOf("n1.1", "n1.1 n2.1 n3.2 *"), nil, false, "joining"},
		{"goes on without it", helloOf("n1.1", old+" *"), helloOf("n2.1", old), false, "let in by n1"},
		{"goes on, others are away", nil, helloOf("n2.1", old+" *"), false, "let in by n2"},
		{"no leader", helloOf("n1.1", old), helloOf("n2.1", old), false, "no leader yet"},
		{"no quorum", nil, helloOf("n2.1", old), false, "no leader to let this node's copy in: waiting for n1"},
		{"two have lost it", helloOf("n1.1", old), helloOf("n2.2", ""), false, "no leader yet"},
		{"the leader joined later", nil, nil, false, "let in by n4"},
		{"one that joined later is not ready", helloOf("n1.1", ""), helloOf("n2.1", ""), false, "waiting for n4 (3 of 4 nodes here)"},
		{"all have lost it", helloOf("n1.2", ""), helloOf("n2.2", ""), true, "n3 has mailboxes, but no node has the system group"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			own := helloOf("n3.2", "")
			own.Holds = tt.holds
			all := map[cluster.NodeID]*hello{"n3": own}
			if tt.n1 != nil {
				all["n1"] = tt.n1
			}
			if tt.n2 != nil {
				all["n2"] = tt.n2
			}
			switch tt.name {
			case "the leader joined later":
				all["n4"] = helloOf("n4.1", old+" n4.1 *")
			case "one that joined later is not ready":
				all["n4"] = helloOf("", "")
			}
			text, begin := forming("n3", threePeers, all)
			if begin != (tt.want == "") || !strings.Contains(text, tt.want) {
				t.Errorf("%q, begin %v; want %q", text, begin, tt.want)
			}
		})
	}
	if text, begin := forming("n3", nil, map[cluster.NodeID]*hello{"n3": helloOf("n3.1", "")}); !begin {
		t.Errorf("alone: %q", text)
	}
}

// A list of nodes that differs keeps a cluster from beginning, and nobody from coming back to one that has begun.
func TestUnlike(t *testing.T) {
	own, other := [32]byte{1}, [32]byte{2}
	with := func(h *hello, nodes [32]byte) *hello { h.Nodes = nodes; return h }
	all := map[cluster.NodeID]*hello{"n1": with(helloOf("n1.1", ""), own), "n2": with(helloOf("n2.1", ""), other), "n3": with(helloOf("n3.1", ""), own)}
	if got := unlike(threePeers, all, own); got != "n2" {
		t.Errorf("%q", got)
	}
	all["n1"] = with(helloOf("n1.1", "n1.1"), own)
	if got := unlike(threePeers, all, own); got != "" {
		t.Errorf("the cluster has begun: %q", got)
	}
	delete(all, "n2")
	all["n1"], all["n4"] = with(helloOf("n1.1", ""), own), with(helloOf("", ""), other)
	if got := unlike(threePeers, all, own); got != "" {
		t.Errorf("one that is not named: %q", got)
	}
}

// Only the node that leads knows for certain who is none.
func TestStrangers(t *testing.T) {
	follows, leads := helloOf("n1.1", "n1.1 n2.1"), helloOf("n2.1", "n1.1 n2.1 *")
	follows.Stranger = true
	all := map[cluster.NodeID]*hello{"n1": follows, "n2": leads, "n3": helloOf("n3.1", "")}
	if by := knownNot(all); by != "" {
		t.Errorf("%q", by)
	}
	leads.Stranger = true
	if by := knownNot(all); by != "n2" {
		t.Errorf("%q", by)
	}
	err := error(&strangerError{node: "n3", by: "n2"})
	for _, part := range []string{"no node n3", "flotilla node token", "flotilla join"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: want %q in it", err, part)
		}
	}
}

// TestReplaced: only the word of another node that leads makes a replica give itself up.
func TestReplaced(t *testing.T) {
	for _, tt := range []struct {
		name        string
		n1, n2, own *hello
		want        cluster.NodeID
	}{
		{"a member", helloOf("n1.1", "n1.1 n2.1 n3.1 *"), helloOf("n2.1", "n1.1 n2.1 n3.1"), helloOf("n3.1", "n1.1 n2.1 n3.1"), ""},
		{"replaced", helloOf("n1.1", "n1.1 n2.1 *"), helloOf("n2.1", "n1.1 n2.1 n3.1"), helloOf("n3.1", "n1.1 n2.1 n3.1"), "n1"},
		{"nobody leads", helloOf("n1.1", "n1.1 n2.1"), helloOf("n2.1", "n1.1 n2.1"), helloOf("n3.1", "n1.1 n2.1 n3.1"), ""},
		{"never was one", helloOf("n1.1", "n1.1 n2.1 *"), helloOf("n2.1", "n1.1 n2.1"), helloOf("n3.1", ""), ""},
		{"leads itself", helloOf("n1.1", "n1.1"), helloOf("n2.1", "n1.1"), helloOf("n3.1", "n3.1 *"), ""},
	} {
		got := replacer("n3", map[cluster.NodeID]*hello{"n1": tt.n1, "n2": tt.n2, "n3": tt.own})
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if replacer("n3", map[cluster.NodeID]*hello{}) != "" {
		t.Error("replaced by nobody")
	}
}

func TestHelloRoundTrip(t *testing.T) {
	h := helloOf("n1.1", "n1.1 n2.1 *")
	h.Holds, h.Nodes[3] = true, 9
	var got hello
	if err := wire.Unmarshal(wire.Marshal(h), &got); err != nil || got.Server != h.Server || !got.Leads || !got.Holds || !got.Formed ||
		len(got.Members) != 2 || got.Nodes != h.Nodes {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestHoldsMailboxes(t *testing.T) {
	dir := t.TempDir()
	if holdsMailboxes(filepath.Join(dir, "none")) || holdsMailboxes(dir) {
		t.Error("an empty node holds mailboxes")
	}
	for _, with := range []struct {
		name string
		want bool
	}{{"g0", false}, {"g12", true}} {
		if err := os.Mkdir(filepath.Join(dir, with.name), 0o700); err != nil {
			t.Fatal(err)
		}
		if holdsMailboxes(dir) != with.want {
			t.Errorf("with %s: %v", with.name, !with.want)
		}
	}
}

// TestBackoff: each start that does not last doubles the wait; one that lasts begins anew.
func TestBackoff(t *testing.T) {
	var b backoff
	for want := firstRestart; want < 2*lastRestart; want *= 2 {
		if !b.due() {
			t.Fatalf("not due after %v", b.pause)
		}
		if b.pause != min(want, lastRestart) || b.due() {
			t.Fatalf("waits %v, want %v", b.pause, want)
		}
		b.at = time.Now() // the wait is over
	}
	b.at = time.Now().Add(-b.pause - time.Second)
	if !b.due() || b.pause != firstRestart {
		t.Errorf("after a start that lasted it waits %v", b.pause)
	}
}
