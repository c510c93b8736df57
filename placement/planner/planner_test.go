package planner

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// rejoin is a system group of three of which n3 runs another replica than the map has.
func rejoin() (*placement.Map, Observed) {
	m := &placement.Map{Groups: []placement.Group{{ID: cluster.SystemGroup}}}
	seen := Observed{Alive: map[cluster.NodeID]bool{"n1": true, "n2": true, "n3": true},
		Leaders: map[cluster.GroupID]cluster.NodeID{cluster.SystemGroup: "n1"},
		Members: map[cluster.ServerID]bool{"n1.1": true, "n2.1": true, "n3.1": true},
		Voting:  map[cluster.ServerID]bool{"n1.1": true, "n2.1": true, "n3.1": true},
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
		{"the administrator has removed it", func(m *placement.Map, _ *Observed) { m.Nodes[2].Status = placement.Removed },
			"remove replica n3.1 of group 0"},
		{"it was lost before it registered", func(m *placement.Map, _ *Observed) { m.Nodes = m.Nodes[:2] }, "let replica n3.2"},
		{"nobody knows it, and two of three keep their votes", func(m *placement.Map, _ *Observed) {
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
		}, "remove replica n3.1"},
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
	g.Replicas = append(g.Replicas, placement.Replica{Server: "n3.2", Suffrage: placement.Nonvoter, State: placement.Created,
		Replaces: "n3.1"})
}

// TestClientsGoBeforeTheNodeDoes: a node that holds nothing any more is drained before it loses the system group.
func TestClientsGoBeforeTheNodeDoes(t *testing.T) {
	m, seen := rejoin()
	m.Nodes[2].Status, seen.System["n3"] = placement.Removing, "n3.1"
	seen.Serves = map[cluster.NodeID]bool{"n1": true, "n2": true, "n3": true}
	for _, want := range []string{"drain node n3", "remove replica n3.1 of group 0"} {
		if plan := Plan(m, seen, placement.Policy{Replicas: 3}); len(plan) == 0 || plan[0].String() != want {
			t.Fatalf("plans %v, want %q", plan, want)
		}
		seen.Serves["n3"] = false
	}
	seen.Serves["n3"] = true
	m.Groups = append(m.Groups, placement.Group{ID: 1, Replicas: []placement.Replica{{Server: "n3.7", Suffrage: placement.Voter, State: placement.Created}}})
	for _, s := range Plan(m, seen, placement.Policy{Replicas: 1}) {
		if s.Drain != nil {
			t.Errorf("plans %s while it holds a group", s)
		}
	}
}

// TestHandOversAreNotHasty: a node that has just come back is handed nothing for balance's sake, and where somebody has to be
// handed a group, it comes last.
func TestHandOversAreNotHasty(t *testing.T) {
	m, seen := rejoin()
	m.Nodes[0].Roles, m.Nodes[1].Roles, m.Nodes[2].Roles = placement.RoleStore, placement.RoleStore, placement.RoleStore
	seen.System, seen.Steady = nil, map[cluster.ServerID]bool{}
	for g := range cluster.GroupID(7) {
		if g > 0 {
			m.Groups = append(m.Groups, placement.Group{ID: g})
		}
		m.Groups[g].Replicas = nil
		seen.Leaders[g] = "n1"
		for _, n := range []cluster.NodeID{"n1", "n2", "n3"} {
			s := cluster.NewServerID(n, uint64(10*g))
			m.Groups[g].Replicas = append(m.Groups[g].Replicas, placement.Replica{Server: s, Suffrage: placement.Voter, State: placement.Created})
			seen.Members[s], seen.Voting[s], seen.CaughtUp[s], seen.Steady[s] = true, true, true, n != "n2"
		}
	}
	policy := placement.Policy{Replicas: 3, Groups: 6}
	handed := func() string {
		plan := Plan(m, seen, policy)
		if len(plan) == 0 || plan[0].Transfer == nil {
			return fmt.Sprint(plan)
		}
		if len(plan) > 1 && plan[0].Why != plan[1].Why {
			return "several at a time"
		}
		return string(plan[0].Transfer.From + " to " + plan[0].Transfer.To)
	}
	if got := handed(); got != "n1 to n3" {
		t.Errorf("n1 leads most, n2 has just come back: %s", got)
	}
	for g := range cluster.GroupID(7) {
		seen.Leaders[g] = []cluster.NodeID{"n1", "n3"}[g%2]
	}
	if got := handed(); got != "[]" {
		t.Errorf("n2 leads nothing, and has just come back: %s", got)
	}
	m.Nodes[2].Status = placement.Draining
	if got := handed(); got != "n3 to n1" {
		t.Errorf("n3 drains: %s", got)
	}
	m.Nodes[2].Status = placement.Active
	for s := range seen.Steady {
		seen.Steady[s] = true
	}
	if got := handed(); got != "n1 to n2" {
		t.Errorf("n2 has been there for long: %s", got)
	}
}

// TestALearnerIsNotGivenUpForWhoGoes: n4 has taken n1's place, but is silent, so that n1 has to stay for now; the copy that n3 makes
// anew is needed all the same, and is not removed, only to be made once more.
func TestALearnerIsNotGivenUpForWhoGoes(t *testing.T) {
	m, seen := rejoin()
	seen.System = nil
	m.Groups[0].Replicas, seen.Leaders[1] = nil, "n2"
	m.Nodes = append(m.Nodes, placement.NodeState{ID: "n4", Status: placement.Draining})
	for i := range m.Nodes {
		m.Nodes[i].Roles = placement.RoleStore
	}
	replica := func(s, replaces cluster.ServerID, as placement.Suffrage) placement.Replica {
		return placement.Replica{Server: s, Replaces: replaces, Suffrage: as, State: placement.Created}
	}
	m.Groups = append(m.Groups, placement.Group{ID: 1, Replicas: []placement.Replica{replica("n1.1", "", placement.Voter),
		replica("n2.1", "", placement.Voter), replica("n4.1", "n1.1", placement.Voter), replica("n3.2", "n3.1", placement.Nonvoter)}})
	seen.Members = map[cluster.ServerID]bool{"n1.1": true, "n2.1": true, "n4.1": true, "n3.2": true}
	seen.Voting = map[cluster.ServerID]bool{"n1.1": true, "n2.1": true, "n4.1": true}
	for _, s := range Plan(m, seen, placement.Policy{Replicas: 3, Groups: 1}) {
		if g, ok := s.Group(); ok && g == 1 {
			t.Errorf("planned: %s, because %s", s, s.Why)
		}
	}
	seen.CaughtUp["n4.1"] = true
	if plan := Plan(m, seen, placement.Policy{Replicas: 3, Groups: 1}); len(plan) == 0 || plan[0].String() != "remove replica n1.1 of group 1" {
		t.Errorf("n4 answers: %v", plan)
	}
}

// TestWhatIsSpareIsNotMadeAnew: of four voters, where there are nodes for three, one is lost: it goes, and none is made for it.
func TestWhatIsSpareIsNotMadeAnew(t *testing.T) {
	m, seen := rejoin()
	seen.System = nil
	m.Groups[0].Replicas, seen.Leaders[1] = nil, "n2"
	m.Nodes = append(m.Nodes, placement.NodeState{ID: "n4", Status: placement.Active})
	g := placement.Group{ID: 1}
	seen.Members, seen.Voting, seen.CaughtUp = map[cluster.ServerID]bool{}, map[cluster.ServerID]bool{}, map[cluster.ServerID]bool{}
	for i := range m.Nodes {
		m.Nodes[i].Roles = placement.RoleStore
		s := cluster.NewServerID(m.Nodes[i].ID, 1)
		g.Replicas = append(g.Replicas, placement.Replica{Server: s, Suffrage: placement.Voter, State: placement.Created})
		seen.Members[s], seen.Voting[s], seen.CaughtUp[s] = true, true, i > 0
	}
	g.Replicas[0].State = placement.Lost
	m.Groups = append(m.Groups, g)
	policy := placement.Policy{Replicas: 5, Groups: 1}
	if plan := Plan(m, seen, policy); len(plan) != 1 || plan[0].Remove == nil || plan[0].Remove.Server != g.Replicas[0].Server {
		t.Errorf("planned: %v", plan)
	}
}
