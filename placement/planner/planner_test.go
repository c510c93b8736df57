package planner

import (
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
		{"nobody knows it", func(m *placement.Map, _ *Observed) {
			m.Nodes, m.Groups[0].Replicas = m.Nodes[:2], m.Groups[0].Replicas[:2]
		}, "take the vote of replica n2.1"},
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
