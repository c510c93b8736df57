package planner

import (
	"fmt"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
	"pgregory.net/rapid"
)

// world carries out plans: a model of the controller and the nodes.
type world struct {
	m           placement.Map
	seen        Observed
	incarnation uint64
}

func newWorld(nodes, zones int) *world {
	w := &world{seen: Observed{
		Alive:    map[cluster.NodeID]bool{},
		Leaders:  map[cluster.GroupID]cluster.NodeID{},
		CaughtUp: map[cluster.ServerID]bool{},
		Members:  map[cluster.ServerID]bool{},
	}}
	for i := range nodes {
		id := cluster.NodeID(fmt.Sprintf("n%d", i+1))
		w.m.Nodes = append(w.m.Nodes, placement.NodeState{ID: id, Status: placement.Active,
			Roles: placement.RoleStore | placement.RoleFrontend, Zone: fmt.Sprint(i % zones)})
		w.seen.Alive[id] = true
	}
	return w
}

func (w *world) server(node cluster.NodeID) cluster.ServerID {
	w.incarnation++
	return cluster.NewServerID(node, w.incarnation)
}

// voters that can answer, of all voters.
func quorum(g *placement.Group) (live, all int) {
	for _, r := range g.Replicas {
		if r.Suffrage == placement.Voter {
			all++
			if r.State != placement.Lost {
				live++
			}
		}
	}
	return live, all
}

func (w *world) carryOut(t *rapid.T, s Step) {
	switch {
	case s.Create != nil:
		g := placement.Group{ID: s.Create.Group}
		for _, n := range s.Create.Nodes {
			r := placement.Replica{Server: w.server(n), Suffrage: placement.Voter, State: placement.Created}
			w.seen.CaughtUp[r.Server] = true
			g.Replicas = append(g.Replicas, r)
		}
		w.m.Groups = append(w.m.Groups, g)
		w.seen.Leaders[g.ID] = s.Create.Nodes[rapid.IntRange(0, len(s.Create.Nodes)-1).Draw(t, "leader")]
	case s.Replace != nil:
		g := w.m.Group(s.Replace.Group)
		r := placement.Replica{Server: w.server(s.Replace.Lost.Node()), Suffrage: placement.Nonvoter, State: placement.Created}
		g.Replicas = append(g.Replicas, r)
	case s.Join != nil:
		if w.m.Group(s.Join.Group).Server(s.Join.Server).State != placement.Created {
			t.Fatalf("a replica without data joins: %+v", s.Join)
		}
		w.seen.Members[s.Join.Server], w.seen.CaughtUp[s.Join.Server] = true, true
	case s.Promote != nil:
		w.m.Group(s.Promote.Group).Server(s.Promote.Server).Suffrage = placement.Voter
	case s.Remove != nil:
		g := w.m.Group(s.Remove.Group)
		if r := g.Server(s.Remove.Server); r.State != placement.Lost {
			t.Fatalf("removed a replica that is not lost: %v", r)
		}
		kept := g.Replicas[:0]
		for _, r := range g.Replicas {
			if r.Server != s.Remove.Server {
				kept = append(kept, r)
			}
		}
		g.Replicas = kept
	case s.Transfer != nil:
		if w.seen.Leaders[s.Transfer.Group] != s.Transfer.From {
			t.Fatalf("transfer from a node that does not lead: %+v", s.Transfer)
		}
		w.seen.Leaders[s.Transfer.Group] = s.Transfer.To
	}
}

func TestPlansEndBalancedAndNeverLoseAQuorum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(3, 9).Draw(t, "nodes")
		zones := rapid.IntRange(1, 4).Draw(t, "zones")
		policy := placement.Policy{Replicas: 3, Groups: rapid.IntRange(1, 40).Draw(t, "groups")}
		w := newWorld(nodes, zones)
		steps := 0
		for range 3 {
			steps += settle(t, w, policy)
			lose(t, w)
		}
		settle(t, w, policy)
		checkWorld(t, w, policy, min(zones, nodes))
	})
}

func settle(t *rapid.T, w *world, policy placement.Policy) int {
	for n := 0; ; n++ {
		plan := Plan(&w.m, w.seen, policy)
		if len(plan) == 0 {
			return n
		}
		if n > 20*policy.Groups {
			t.Fatalf("no end after %d steps, next is %+v", n, plan[0])
		}
		before := make(map[cluster.GroupID]int)
		for i := range w.m.Groups {
			live, _ := quorum(&w.m.Groups[i])
			before[w.m.Groups[i].ID] = live
		}
		w.carryOut(t, plan[0])
		for i := range w.m.Groups {
			if live, all := quorum(&w.m.Groups[i]); live*2 <= all || all > policy.Replicas {
				t.Fatalf("group %d has %d of %d voters after %+v", w.m.Groups[i].ID, live, all, plan[0])
			} else if live < before[w.m.Groups[i].ID] {
				t.Fatalf("a step took a live voter: %+v", plan[0])
			}
		}
	}
}

// lose damages one replica of some groups, never more than one of a group.
func lose(t *rapid.T, w *world) {
	for i := range w.m.Groups {
		g := &w.m.Groups[i]
		if rapid.IntRange(0, 4).Draw(t, "lose") > 0 {
			continue
		}
		r := &g.Replicas[rapid.IntRange(0, len(g.Replicas)-1).Draw(t, "replica")]
		r.State = placement.Lost
		if w.seen.Leaders[g.ID] == r.Server.Node() {
			w.seen.Leaders[g.ID] = g.Replicas[0].Server.Node()
		}
	}
}

func checkWorld(t *rapid.T, w *world, policy placement.Policy, zones int) {
	replicas, leads := map[cluster.NodeID]int{}, map[cluster.NodeID]int{}
	for i := range w.m.Groups {
		g := &w.m.Groups[i]
		seen := map[string]bool{}
		for _, r := range g.Replicas {
			replicas[r.Server.Node()]++
			seen[w.m.Node(r.Server.Node()).Zone] = true
		}
		leads[w.seen.Leaders[g.ID]]++
		if live, all := quorum(g); live != policy.Replicas || all != policy.Replicas {
			t.Fatalf("group %d: %d of %d voters live", g.ID, live, all)
		}
		if want := min(zones, policy.Replicas); len(seen) < want {
			t.Fatalf("group %d spans %d zones, want %d", g.ID, len(seen), want)
		}
	}
	if len(w.m.Groups) != policy.Groups {
		t.Fatalf("%d groups, want %d", len(w.m.Groups), policy.Groups)
	}
	// Moving one leadership along an edge cannot improve the spread any more.
	for i := range w.m.Groups {
		for _, r := range w.m.Groups[i].Replicas {
			if d := leads[w.seen.Leaders[w.m.Groups[i].ID]] - leads[r.Server.Node()]; d >= 2 {
				t.Fatalf("leaders %v: group %d could still move", leads, w.m.Groups[i].ID)
			}
		}
	}
}

func TestFewerNodesThanCopiesCreatesNothing(t *testing.T) {
	w := newWorld(2, 1)
	if plan := Plan(&w.m, w.seen, placement.DefaultPolicy()); len(plan) != 0 {
		t.Fatalf("planned %+v with two nodes", plan)
	}
}
