package planner

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
	"pgregory.net/rapid"
)

// world carries out plans: a model of the controller and the nodes.
type world struct {
	t           *rapid.T
	m           placement.Map
	seen        Observed
	policy      placement.Policy
	incarnation uint64
	dead        map[cluster.ServerID]bool // never answer again, whether the map knows it or not
	// later is what nodes still have to do: make data, catch up, fall silent. It happens in any order.
	later []func()
}

func newWorld(t *rapid.T, nodes, zones int, policy placement.Policy) *world {
	w := &world{t: t, policy: policy, dead: map[cluster.ServerID]bool{}, seen: Observed{
		Alive:    map[cluster.NodeID]bool{},
		Leaders:  map[cluster.GroupID]cluster.NodeID{},
		CaughtUp: map[cluster.ServerID]bool{},
		Members:  map[cluster.ServerID]bool{},
		System:   map[cluster.NodeID]cluster.ServerID{},
		Heard:    map[cluster.ServerID]bool{},
	}}
	system := placement.Group{ID: cluster.SystemGroup}
	for i := range nodes {
		id := cluster.NodeID(fmt.Sprintf("n%d", i+1))
		w.m.Nodes = append(w.m.Nodes, placement.NodeState{ID: id, Status: placement.Active,
			Roles: placement.RoleStore | placement.RoleFrontend, Zone: fmt.Sprint(i % zones)})
		w.seen.Alive[id] = true
		r := w.replica(id, placement.Voter)
		w.join(r.Server)
		w.seen.System[id], w.seen.Heard[r.Server] = r.Server, true
		system.Replicas = append(system.Replicas, r)
	}
	w.m.Groups = append(w.m.Groups, system)
	w.seen.Leaders[cluster.SystemGroup] = "n1"
	return w
}

func (w *world) replica(node cluster.NodeID, s placement.Suffrage) placement.Replica {
	w.incarnation++
	return placement.Replica{Server: cluster.NewServerID(node, w.incarnation), Suffrage: s, State: placement.Created}
}

// join makes a replica a member that is up to date.
func (w *world) join(s cluster.ServerID) { w.seen.Members[s], w.seen.CaughtUp[s] = true, true }

// soon has something done now or later.
func (w *world) soon(do func()) {
	if rapid.Bool().Draw(w.t, "at once") {
		do()
		return
	}
	w.later = append(w.later, do)
}

// advance does one of the things that are due; false when there are none.
func (w *world) advance() bool {
	if len(w.later) == 0 {
		return false
	}
	i := rapid.IntRange(0, len(w.later)-1).Draw(w.t, "next")
	do := w.later[i]
	w.later = slices.Delete(w.later, i, i+1)
	do()
	return true
}

// quorum is how many of a group's voters can answer, of how many.
func (w *world) quorum(g *placement.Group) (live, all int) {
	for _, r := range g.Replicas {
		if r.Suffrage == placement.Voter {
			all++
			if r.State != placement.Lost && !w.dead[r.Server] && w.seen.Members[r.Server] && w.seen.Alive[r.Server.Node()] {
				live++
			}
		}
	}
	return live, all
}

func (w *world) carryOut(s Step) {
	switch {
	case s.Admit != nil:
		w.admit(s.Admit)
	case s.Create != nil:
		w.create(s.Create)
	case s.Replace != nil:
		w.replace(s.Replace)
	case s.Join != nil:
		w.mustBe(s.Join, placement.Nonvoter, placement.Created)
		server := s.Join.Server
		w.seen.Members[server] = true
		w.soon(func() { w.seen.CaughtUp[server] = w.alive(server) })
	case s.Promote != nil:
		r := w.mustBe(s.Promote, placement.Nonvoter, placement.Created)
		if !w.seen.Members[r.Server] || !w.seen.CaughtUp[r.Server] {
			w.t.Fatalf("promotes a replica that is not up to date: %v", s)
		}
		r.Suffrage = placement.Voter
	case s.Remove != nil:
		r := w.mustBe(s.Remove, w.m.Group(s.Remove.Group).Server(s.Remove.Server).Suffrage, placement.Lost)
		g := w.m.Group(s.Remove.Group)
		delete(w.seen.Members, r.Server)
		gone := r.Server
		g.Replicas = slices.DeleteFunc(g.Replicas, func(r placement.Replica) bool { return r.Server == gone })
	case s.Transfer != nil:
		if w.seen.Leaders[s.Transfer.Group] != s.Transfer.From || !w.seen.Alive[s.Transfer.To] {
			w.t.Fatalf("cannot be handed over: %v", s)
		}
		w.seen.Leaders[s.Transfer.Group] = s.Transfer.To
	}
}

// alive reports whether a replica is one of a node that answers, and not lost.
func (w *world) alive(s cluster.ServerID) bool {
	for i := range w.m.Groups {
		if r := w.m.Groups[i].Server(s); r != nil {
			return r.State == placement.Created && !w.dead[s] && w.seen.Alive[s.Node()]
		}
	}
	return false
}

func (w *world) mustBe(c *ChangeReplica, s placement.Suffrage, state placement.ReplicaState) *placement.Replica {
	r := w.m.Group(c.Group).Server(c.Server)
	if r == nil || r.Suffrage != s || r.State != state {
		w.t.Fatalf("%+v is to be changed, the map has %+v", c, r)
	}
	return r
}

func (w *world) admit(c *ChangeReplica) {
	g := w.m.Group(c.Group)
	for i := range g.Replicas {
		if r := &g.Replicas[i]; r.Server.Node() == c.Server.Node() {
			if w.seen.Heard[r.Server] {
				w.t.Fatalf("lets %s in while %s answers", c.Server, r.Server)
			}
			r.State = placement.Lost
		}
	}
	if c.Group != cluster.SystemGroup || w.seen.System[c.Server.Node()] != c.Server {
		w.t.Fatalf("lets in %+v, which does not run", c)
	}
	g.Replicas = append(g.Replicas, placement.Replica{Server: c.Server, Suffrage: placement.Nonvoter, State: placement.Created})
}

func (w *world) create(c *CreateGroup) {
	g := placement.Group{ID: c.Group}
	for _, n := range c.Nodes {
		r := w.replica(n, placement.Voter)
		w.join(r.Server)
		g.Replicas = append(g.Replicas, r)
	}
	w.m.Groups = append(w.m.Groups, g)
	w.seen.Leaders[g.ID] = c.Nodes[rapid.IntRange(0, len(c.Nodes)-1).Draw(w.t, "leader")]
}

func (w *world) replace(c *ReplaceReplica) {
	w.mustBe(&ChangeReplica{c.Group, c.Lost}, w.m.Group(c.Group).Server(c.Lost).Suffrage, placement.Lost)
	if c.Group == cluster.SystemGroup {
		w.t.Fatal("the controller makes a replica of the system group")
	}
	r := w.replica(c.Lost.Node(), placement.Nonvoter)
	r.State = placement.Assigned
	w.m.Group(c.Group).Replicas = append(w.m.Group(c.Group).Replicas, r)
	w.soon(func() {
		if n := w.m.Group(c.Group).Server(r.Server); n != nil {
			n.State = max(n.State, placement.Created)
		}
	})
}

// settle carries out plans until there is none and nothing is waited for.
func (w *world) settle() { w.work(1 << 30) }

// work is settle for at most so many rounds.
func (w *world) work(rounds int) {
	for n := 0; n < rounds; n++ {
		plan := Plan(&w.m, w.seen, w.policy)
		if len(plan) == 0 || rapid.IntRange(0, 3).Draw(w.t, "wait") == 0 {
			if !w.advance() && len(plan) == 0 {
				return
			}
			continue
		}
		if n > 200+40*w.policy.Groups {
			w.t.Fatalf("no end after %d steps, next is %s", n, plan[0])
		}
		// Any step of a plan may be the one that is carried out: earlier ones may have failed.
		w.step(plan[rapid.IntRange(0, len(plan)-1).Draw(w.t, "step")])
	}
}

func (w *world) step(s Step) {
	if s.String() == "nothing" {
		w.t.Fatalf("a step without words: %+v", s)
	}
	type voters struct{ live, all int }
	before := map[cluster.GroupID]voters{}
	for i := range w.m.Groups {
		live, all := w.quorum(&w.m.Groups[i])
		before[w.m.Groups[i].ID] = voters{live, all}
	}
	w.carryOut(s)
	for i := range w.m.Groups {
		g := &w.m.Groups[i]
		want := w.policy.Replicas
		if g.ID == cluster.SystemGroup {
			want = len(w.m.Nodes)
		}
		live, all := w.quorum(g)
		was, old := before[g.ID]
		if all > want || live*2 <= all && (!old || was.live*2 > was.all) {
			w.t.Fatalf("group %d has %d of %d voters after: %s", g.ID, live, all, s)
		} else if live < was.live {
			w.t.Fatalf("a step took a live voter: %s", s)
		}
	}
}

// lose damages one replica of some groups, never the last that makes a quorum.
func (w *world) lose() {
	for i := range w.m.Groups {
		g := &w.m.Groups[i]
		if live, all := w.quorum(g); rapid.IntRange(0, 3).Draw(w.t, "lose") > 0 || (live-1)*2 <= all {
			continue
		}
		r := &g.Replicas[rapid.IntRange(0, len(g.Replicas)-1).Draw(w.t, "replica")]
		delete(w.seen.CaughtUp, r.Server)
		if g.ID == cluster.SystemGroup {
			w.loseSystem(r)
		} else {
			r.State = placement.Lost
		}
		w.elect(g)
	}
}

// loseSystem lets a node start without its copy of the system group; the former process may be heard for a while.
func (w *world) loseSystem(r *placement.Replica) {
	old := r.Server
	w.seen.System[old.Node()] = w.replica(old.Node(), placement.Voter).Server
	w.dead[old] = true
	w.soon(func() { delete(w.seen.Heard, old) })
}

// elect moves the leadership to a replica that can have it.
func (w *world) elect(g *placement.Group) {
	delete(w.seen.Leaders, g.ID)
	live, all := w.quorum(g)
	for _, r := range g.Replicas {
		if live*2 > all && w.alive(r.Server) && r.Suffrage == placement.Voter && w.seen.Members[r.Server] {
			w.seen.Leaders[g.ID] = r.Server.Node()
		}
	}
}

// reach makes a node answer, or not.
func (w *world) reach(node cluster.NodeID, alive bool) {
	w.seen.Alive[node] = alive
	for i := range w.m.Groups {
		g := &w.m.Groups[i]
		for _, r := range g.Replicas {
			if server := r.Server; server.Node() == node {
				delete(w.seen.CaughtUp, server)
				w.soon(func() { w.seen.CaughtUp[server] = w.alive(server) && w.seen.Members[server] })
			}
		}
		w.elect(g)
	}
}

func TestPlansEndBalancedAndNeverLoseAQuorum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, zones := rapid.IntRange(3, 9).Draw(t, "nodes"), rapid.IntRange(1, 4).Draw(t, "zones")
		policy := placement.Policy{Replicas: 3, Groups: rapid.IntRange(1, 40).Draw(t, "groups")}
		w := newWorld(t, nodes, zones, policy)
		w.settle()
		for range 3 {
			w.lose()
			w.settle()
		}
		w.check(min(zones, nodes))
	})
}

// TestPlansAreSafeWhileANodeIsAway: with one node away and replicas of others lost, every step leaves a quorum; when
// it is back everything is as it should be.
func TestPlansAreSafeWhileANodeIsAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, 5, 5, placement.Policy{Replicas: 5, Groups: rapid.IntRange(1, 6).Draw(t, "groups")})
		w.settle()
		w.lose()
		for range 3 {
			away := cluster.NodeID(fmt.Sprintf("n%d", rapid.IntRange(1, 5).Draw(t, "away")))
			w.work(rapid.IntRange(0, 30).Draw(t, "rounds"))
			w.reach(away, false)
			w.lose()
			w.work(rapid.IntRange(0, 30).Draw(t, "rounds away"))
			w.reach(away, true)
		}
		w.settle()
		w.check(5)
	})
}

func (w *world) check(zones int) {
	t := w.t
	leads := map[cluster.NodeID]int{}
	for i := range w.m.Groups {
		g := &w.m.Groups[i]
		seen := map[string]bool{}
		for _, r := range g.Replicas {
			seen[w.m.Node(r.Server.Node()).Zone] = true
		}
		leads[w.seen.Leaders[g.ID]]++
		live, all := w.quorum(g)
		if g.ID == cluster.SystemGroup {
			if len(g.Replicas) != len(w.m.Nodes) || live != all || all < min(systemVoters, (len(w.m.Nodes)+1)/2*2-1) {
				t.Fatalf("system group: %d of %d voters live, %d replicas", live, all, len(g.Replicas))
			}
			continue
		}
		if live != w.policy.Replicas || all != w.policy.Replicas || len(g.Replicas) != all {
			t.Fatalf("group %d: %d of %d voters live, %d replicas", g.ID, live, all, len(g.Replicas))
		}
		if want := min(zones, w.policy.Replicas); len(seen) < want {
			t.Fatalf("group %d spans %d zones, want %d", g.ID, len(seen), want)
		}
	}
	if len(w.m.Groups) != w.policy.Groups+1 {
		t.Fatalf("%d groups, want %d and the system's", len(w.m.Groups), w.policy.Groups)
	}
	// Moving one leadership along an edge cannot improve the spread any more.
	for i := range w.m.Groups {
		for _, r := range w.m.Groups[i].Replicas {
			d := leads[w.seen.Leaders[w.m.Groups[i].ID]] - leads[r.Server.Node()]
			if d >= 2 && r.Suffrage == placement.Voter {
				t.Fatalf("leaders %v: group %d could still move", leads, w.m.Groups[i].ID)
			}
		}
	}
}

func TestFewerNodesThanCopiesCreatesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, 2, 1, placement.DefaultPolicy())
		if plan := Plan(&w.m, w.seen, w.policy); len(plan) != 0 {
			t.Fatalf("planned %+v with two nodes", plan)
		}
	})
}

// rejoin is a system group of three of which n3 runs another replica than the map has.
func rejoin() (*placement.Map, Observed) {
	m := &placement.Map{Groups: []placement.Group{{ID: cluster.SystemGroup}}}
	seen := Observed{Alive: map[cluster.NodeID]bool{"n1": true, "n2": true, "n3": true},
		Leaders: map[cluster.GroupID]cluster.NodeID{cluster.SystemGroup: "n1"},
		Members: map[cluster.ServerID]bool{"n1.1": true, "n2.1": true, "n3.1": true},
		System:  map[cluster.NodeID]cluster.ServerID{"n1": "n1.1", "n2": "n2.1", "n3": "n3.2"},
		Heard:   map[cluster.ServerID]bool{"n2.1": true}, CaughtUp: map[cluster.ServerID]bool{"n1.1": true, "n2.1": true}}
	for _, n := range []cluster.NodeID{"n1", "n2", "n3"} {
		m.Nodes = append(m.Nodes, placement.NodeState{ID: n, Status: placement.Active, Roles: placement.RoleFrontend})
		m.Groups[0].Replicas = append(m.Groups[0].Replicas, placement.Replica{Server: cluster.ServerID(n + ".1"),
			Suffrage: placement.Voter, State: placement.Created, Initial: true})
	}
	return m, seen
}

// TestLettingIn has a row for each thing that decides whether a node's new replica of the system group is let in.
func TestLettingIn(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(m *placement.Map, seen *Observed)
		want   string
	}{
		{"its former replica is silent", func(*placement.Map, *Observed) {}, "let replica n3.2 into group 0"},
		{"its former replica answers", func(_ *placement.Map, seen *Observed) { seen.Heard["n3.1"] = true }, ""},
		{"nobody leads", func(_ *placement.Map, seen *Observed) { delete(seen.Leaders, cluster.SystemGroup) }, ""},
		{"its process is new, or two share the name", func(_ *placement.Map, seen *Observed) { delete(seen.System, "n3") }, ""},
		{"it runs the replica of the map", func(_ *placement.Map, seen *Observed) { seen.System["n3"] = "n3.1" }, ""},
		{"the administrator has removed it", func(m *placement.Map, _ *Observed) { m.Nodes[2].Status = placement.Removed }, ""},
		{"it was lost before it registered", func(m *placement.Map, _ *Observed) { m.Nodes = m.Nodes[:2] }, "let replica n3.2"},
		{"nobody knows it", func(m *placement.Map, _ *Observed) {
			m.Nodes, m.Groups[0].Replicas = m.Nodes[:2], m.Groups[0].Replicas[:2]
		}, ""},
		{"it registered and has none yet", func(m *placement.Map, _ *Observed) { m.Groups[0].Replicas = m.Groups[0].Replicas[:2] },
			"let replica n3.2"},
		{"let in, not a member yet", func(m *placement.Map, _ *Observed) { letIn(m) }, "add replica n3.2 to group 0 as a learner"},
		{"a member, behind", func(m *placement.Map, seen *Observed) {
			letIn(m)
			seen.Members["n3.2"] = true
		}, ""},
		{"a member, caught up", func(m *placement.Map, seen *Observed) {
			letIn(m)
			seen.Members["n3.2"], seen.CaughtUp["n3.2"] = true, true
		}, "remove lost replica n3.1"},
		{"the other voter is behind as well", func(m *placement.Map, seen *Observed) {
			letIn(m)
			seen.Members["n3.2"], seen.CaughtUp["n3.2"], seen.CaughtUp["n2.1"] = true, true, false
		}, ""},
		{"the old one is gone", func(m *placement.Map, seen *Observed) {
			letIn(m)
			m.Groups[0].Replicas = slices.Delete(m.Groups[0].Replicas, 2, 3)
			seen.Members["n3.2"], seen.CaughtUp["n3.2"] = true, true
		}, "promote replica n3.2"},
		{"lost again before it had a vote", func(m *placement.Map, seen *Observed) {
			letIn(m)
			seen.System["n3"] = "n3.3"
		}, "let replica n3.3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, seen := rejoin()
			tt.change(m, &seen)
			plan := Plan(m, seen, placement.Policy{Replicas: 3})
			switch {
			case tt.want == "" && len(plan) > 0:
				t.Fatalf("plans: %s", plan[0])
			case tt.want != "" && (len(plan) == 0 || !strings.HasPrefix(plan[0].String(), tt.want)):
				t.Fatalf("plans %v, want %q", plan, tt.want)
			}
		})
	}
}

// letIn is the map after Admit of n3.2.
func letIn(m *placement.Map) {
	g := &m.Groups[0]
	g.Replicas[2].State = placement.Lost
	g.Replicas = append(g.Replicas, placement.Replica{Server: "n3.2", Suffrage: placement.Nonvoter, State: placement.Created})
}
