package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// put writes nodes into the gate's map.
func (g *gate) put(t *testing.T, nodes ...placement.NodeState) {
	t.Helper()
	_, err := g.rep.Update(t.Context(), store.Space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		for _, n := range nodes {
			n.MinLevel, n.MaxLevel = 1, 1
			if err := store.PutNode(w, n); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	g.refresh(t)
}

func TestEveryoneFollowsTheMap(t *testing.T) {
	n := &Node{self: "b", cfg: Config{Listen: Listen{Node: ":7400"}}, peers: []Peer{{"a", "a:1"}, {"b", "b:1"}, {"c", "c:1"}}}
	names := func(peers []Peer) (all []string) {
		for _, p := range peers {
			all = append(all, string(p.ID)+"="+p.Address)
		}
		return all
	}
	if got := names(n.everyone()); !slices.Equal(got, []string{"a=a:1", "b=b:1", "c=c:1"}) {
		t.Errorf("without a map: %v", got)
	}
	n.peers = nil
	if got := names(n.everyone()); !slices.Equal(got, []string{"b=:7400"}) {
		t.Errorf("alone: %v", got)
	}

	g := newGate(t)
	g.peers = []Peer{{"a", "a:1"}, {"c", "c:1"}}
	g.put(t, placement.NodeState{ID: "a", Address: "a:2"}, placement.NodeState{ID: "d", Address: "d:1"},
		placement.NodeState{ID: "c", Status: placement.Removed, Address: "c:1"})
	if got := names(g.everyone()); !slices.Equal(got, []string{"a=a:2", "d=d:1"}) {
		t.Errorf("with a map: %v", got)
	}
	for id, want := range map[cluster.NodeID]string{"a": "a:2", "d": "d:1"} {
		if got, ok := g.resolve(id); got != want || !ok {
			t.Errorf("%s is at %q", id, got)
		}
	}
	if got, ok := g.resolve("c"); ok {
		t.Errorf("one that was removed is at %q", got)
	}
	if g.barred("c") == nil || g.barred("a") != nil || g.barred("x") != nil {
		t.Error("who is barred is not who was removed")
	}
	if g.strange("a") || g.strange("c") || !g.strange("x") {
		t.Error("who is strange is not who was never there")
	}
}

func TestNodeLines(t *testing.T) {
	now, seen := time.Unix(9, 0), []Status{
		{Node: "a", Ready: true, Groups: []GroupStatus{{Group: 1, Server: "a.1", Leader: "a.1", State: "leader"}, {Group: 2, Server: "a.1", Leader: "b.1", State: "follower"}}},
		{Node: "b", Err: "gone"}}
	m := &placement.Map{Level: 1, Nodes: []placement.NodeState{{ID: "a", Status: placement.Active, Roles: placement.RoleStore | placement.RoleFrontend, Version: "v1", Address: "a:1"},
		{ID: "b", Status: placement.Draining, Roles: placement.RoleFrontend, Version: "v1"}, {ID: "d", Status: placement.Active}, {ID: "e", Status: placement.Removing, Successor: "a"}},
		Groups: []placement.Group{{ID: 0, Replicas: []placement.Replica{{Server: "a.1", Suffrage: placement.Voter}, {Server: "b.1", Suffrage: placement.Nonvoter}}},
			{ID: 1, Replicas: []placement.Replica{{Server: "a.1", Suffrage: placement.Voter}}}}}
	got := nodeLines(m, seen, now)
	want := []nodeLine{
		{Node: "a", Status: "active", Roles: "store,frontend", Address: "a:1", Version: "v1", Replicas: 2, Votes: 2, Leads: 1, Ready: true, Seen: now},
		{Node: "b", Status: "draining", Roles: "frontend", Version: "v1", Replicas: 1, Err: "gone"},
		{Node: "d", Status: "joining"},
		{Node: "e", Status: "removing", Successor: "a"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
}

func TestSetNode(t *testing.T) {
	g := newGate(t)
	g.put(t, placement.NodeState{ID: "d", Address: "d:1", Roles: placement.RoleStore}, placement.NodeState{ID: "e", Address: "e:1", Roles: placement.RoleStore})
	b := backend{g.Node}
	for _, c := range []struct {
		want      string
		successor string
		status    placement.NodeStatus
	}{{"draining", "", placement.Draining}, {"active", "", placement.Active}, {"removing", "e", placement.Removing}, {"active", "", placement.Active}} {
		if err := b.SetNode(t.Context(), "d", c.want, c.successor); err != nil {
			t.Fatalf("%s: %v", c.want, err)
		}
		g.refresh(t)
		if o := g.view.Map().Node("d"); o.Status != c.status || string(o.Successor) != c.successor {
			t.Errorf("%s: %+v", c.want, o)
		}
	}
	if err := b.SetNode(t.Context(), "d", "gone", ""); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("a word that is none: %v", err)
	}
}

// A node is cut off at once only by another one, and only where nothing hangs on it.
func TestMayCutOff(t *testing.T) {
	three := []placement.Replica{{Server: "a.1", Suffrage: placement.Voter, State: placement.Created},
		{Server: "b.1", Suffrage: placement.Voter, State: placement.Created}, {Server: "c.1", Suffrage: placement.Voter, State: placement.Created}}
	m := &placement.Map{Nodes: []placement.NodeState{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "r", Status: placement.Removed}},
		Groups: []placement.Group{{ID: 1, Replicas: three}}}
	up := func(node cluster.NodeID) Status {
		return Status{Node: node, Ready: true, Groups: []GroupStatus{{Group: 1, Server: cluster.NewServerID(node, 0), State: "follower", CaughtUp: true}}}
	}
	for i := range three {
		three[i].Server = cluster.NewServerID(three[i].Server.Node(), 0)
	}
	gone := func(node cluster.NodeID) Status { return Status{Node: node, Err: "gone"} }
	for _, c := range []struct {
		name string
		node cluster.NodeID
		all  []Status
		kind cluster.Kind
	}{
		{"itself", "a", []Status{up("a"), up("b"), up("c")}, cluster.KindBadRequest},
		{"two are left", "c", []Status{up("a"), up("b"), gone("c")}, 0},
		{"one is left", "c", []Status{up("a"), gone("b"), gone("c")}, cluster.KindUnsafe},
		{"none that is known", "x", nil, 0},
		{"one that was removed", "r", nil, 0},
	} {
		err := mayCutOff(c.node, "a", m, c.all)
		if (err == nil) != (c.kind == 0) || err != nil && cluster.KindOf(err) != c.kind {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := mayReplace("c", []Status{up("c")}); cluster.KindOf(err) != cluster.KindUnsafe || !strings.Contains(err.Error(), "flotilla node replace c") {
		t.Errorf("the place of one that answers: %v", err)
	}
	if err := mayReplace("c", []Status{gone("c")}); err != nil {
		t.Error(err)
	}
}
