// Package planner computes the next steps from a map, what is observed, and the policy.
//
// It is pure: it does no I/O, reads no clock and draws no random numbers, so that a plan can be tested, explained and
// computed again. Invariants: a plan never takes a group below a safe quorum, and carrying out plans one step at a
// time ends (no step undoes another).
package planner

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// Observed is what the controller sees of the cluster now.
type Observed struct {
	// Alive are the nodes that answer.
	Alive map[cluster.NodeID]bool
	// Leaders says which node leads a group; absent when nobody does.
	Leaders map[cluster.GroupID]cluster.NodeID
	// Members are the replicas that Raft counts among the group's servers, of the groups that have a leader.
	Members map[cluster.ServerID]bool
	// CaughtUp are the replicas whose log is within a few entries of their leader's, for a while.
	CaughtUp map[cluster.ServerID]bool
}

// Step is one thing to do. Exactly one of the fields is set.
type Step struct {
	Create   *CreateGroup
	Replace  *ReplaceReplica
	Join     *ChangeReplica
	Promote  *ChangeReplica
	Remove   *ChangeReplica
	Transfer *TransferLeader
}

// CreateGroup makes a group with a first voter on each of the nodes.
type CreateGroup struct {
	Group cluster.GroupID
	Nodes []cluster.NodeID
}

// ReplaceReplica gives a lost replica a successor on the same node: a learner under a new id (CLUSTER 6.1).
type ReplaceReplica struct {
	Group cluster.GroupID
	Lost  cluster.ServerID
}

// ChangeReplica makes a new replica a learner of its group, promotes a learner that has caught up, or removes a
// replica that has a successor.
type ChangeReplica struct {
	Group  cluster.GroupID
	Server cluster.ServerID
}

// TransferLeader moves a group's leadership.
type TransferLeader struct {
	Group    cluster.GroupID
	From, To cluster.NodeID
}

// Plan returns the steps to take, most urgent first; none when the map is as the policy wants it. The caller
// carries out the first and asks again.
func Plan(m *placement.Map, seen Observed, policy placement.Policy) []Step {
	steps := heal(m, seen)
	if len(steps) == 0 {
		steps = create(m, policy)
	}
	if len(steps) == 0 {
		steps = spreadLeaders(m, seen)
	}
	return steps
}

// heal works off lost replicas: learner, caught up, promoted, the lost one removed. The lost one goes before the
// successor is promoted, so that the number of voters never rises above the policy's and a majority never depends
// on a replica that cannot answer.
func heal(m *placement.Map, seen Observed) []Step {
	var steps []Step
	for i := range m.Groups {
		g := &m.Groups[i]
		for j := range g.Replicas {
			if step, ok := healReplica(g, &g.Replicas[j], seen); ok {
				steps = append(steps, step)
				break
			}
		}
	}
	return steps
}

func healReplica(g *placement.Group, r *placement.Replica, seen Observed) (Step, bool) {
	if _, led := seen.Leaders[g.ID]; !led {
		return Step{}, false
	}
	if r.State == placement.Lost {
		next := g.Replica(r.Server.Node())
		switch {
		case next.Server == r.Server || next.State == placement.Lost:
			return Step{Replace: &ReplaceReplica{Group: g.ID, Lost: r.Server}}, true
		case seen.CaughtUp[next.Server]:
			return Step{Remove: &ChangeReplica{Group: g.ID, Server: r.Server}}, true
		}
		return Step{}, false
	}
	if r.Suffrage == placement.Nonvoter && r.State == placement.Created && !seen.Members[r.Server] {
		return Step{Join: &ChangeReplica{Group: g.ID, Server: r.Server}}, true
	}
	alone := !slices.ContainsFunc(g.Replicas, func(o placement.Replica) bool {
		return o.State == placement.Lost && o.Server.Node() == r.Server.Node()
	})
	if r.Suffrage == placement.Nonvoter && r.State == placement.Created && alone && seen.CaughtUp[r.Server] {
		return Step{Promote: &ChangeReplica{Group: g.ID, Server: r.Server}}, true
	}
	return Step{}, false
}

// create makes the groups that are missing, once enough nodes are registered to hold their copies.
func create(m *placement.Map, policy placement.Policy) []Step {
	nodes := storeNodes(m)
	if len(nodes) < policy.Replicas {
		return nil
	}
	load := make(map[cluster.NodeID]int)
	have := 0
	for i := range m.Groups {
		if m.Groups[i].ID == cluster.SystemGroup {
			continue
		}
		have++
		for _, r := range m.Groups[i].Replicas {
			load[r.Server.Node()]++
		}
	}
	var steps []Step
	for id := cluster.GroupID(1); have < policy.Groups; id++ {
		if m.Group(id) != nil {
			continue
		}
		chosen := choose(nodes, load, policy.Replicas)
		for _, n := range chosen {
			load[n]++
		}
		steps = append(steps, Step{Create: &CreateGroup{Group: id, Nodes: chosen}})
		have++
	}
	return steps
}

// choose picks n nodes, one a failure domain as long as there are domains, the least loaded first.
func choose(nodes []*placement.NodeState, load map[cluster.NodeID]int, n int) []cluster.NodeID {
	zones := make(map[string]int)
	var chosen []cluster.NodeID
	for len(chosen) < n {
		best := slices.MinFunc(nodes, func(a, b *placement.NodeState) int {
			return cmp.Or(
				boolCompare(slices.Contains(chosen, a.ID), slices.Contains(chosen, b.ID)),
				cmp.Compare(zones[a.DC+"/"+a.Zone], zones[b.DC+"/"+b.Zone]),
				cmp.Compare(weighted(load[a.ID], a), weighted(load[b.ID], b)),
				cmp.Compare(a.ID, b.ID))
		})
		chosen = append(chosen, best.ID)
		zones[best.DC+"/"+best.Zone]++
	}
	return chosen
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func weighted(load int, n *placement.NodeState) float64 {
	weight := n.Weight
	if weight == 0 {
		weight = 100
	}
	return float64(load) * 100 / float64(weight)
}

// storeNodes are the nodes that may hold copies, in order of name.
func storeNodes(m *placement.Map) []*placement.NodeState {
	var nodes []*placement.NodeState
	for i := range m.Nodes {
		if n := &m.Nodes[i]; n.Status == placement.Active && n.Roles&placement.RoleStore != 0 {
			nodes = append(nodes, n)
		}
	}
	slices.SortFunc(nodes, func(a, b *placement.NodeState) int { return cmp.Compare(a.ID, b.ID) })
	return nodes
}

// spreadLeaders moves one leadership from the node that leads most to one that leads at least two fewer: less than
// two would only swap them. Groups are moved only when all of them have a leader: an election under way comes first.
func spreadLeaders(m *placement.Map, seen Observed) []Step {
	leads := make(map[cluster.NodeID]int)
	for i := range m.Groups {
		leader, ok := seen.Leaders[m.Groups[i].ID]
		if !ok {
			return nil
		}
		leads[leader]++
	}
	best, gain := Step{}, 1
	for i := range m.Groups {
		g := &m.Groups[i]
		from := seen.Leaders[g.ID]
		for _, r := range g.Replicas {
			to := r.Server.Node()
			n := m.Node(to)
			able := n != nil && n.Status == placement.Active && seen.Alive[to] && r.Suffrage == placement.Voter &&
				r.State == placement.Created && seen.CaughtUp[r.Server]
			if d := leads[from] - leads[to]; able && d > gain {
				best, gain = Step{Transfer: &TransferLeader{Group: g.ID, From: from, To: to}}, d
			}
		}
	}
	if best.Transfer == nil {
		return nil
	}
	return []Step{best}
}

// String says the step in words, for logs and for `flotilla placement explain`.
func (s Step) String() string {
	switch {
	case s.Create != nil:
		return fmt.Sprintf("create group %d on %v", s.Create.Group, s.Create.Nodes)
	case s.Replace != nil:
		return fmt.Sprintf("replace lost replica %s of group %d", s.Replace.Lost, s.Replace.Group)
	case s.Join != nil:
		return fmt.Sprintf("add replica %s to group %d as a learner", s.Join.Server, s.Join.Group)
	case s.Promote != nil:
		return fmt.Sprintf("promote replica %s of group %d", s.Promote.Server, s.Promote.Group)
	case s.Remove != nil:
		return fmt.Sprintf("remove lost replica %s of group %d", s.Remove.Server, s.Remove.Group)
	case s.Transfer != nil:
		return fmt.Sprintf("hand group %d from %s to %s", s.Transfer.Group, s.Transfer.From, s.Transfer.To)
	}
	return "nothing"
}
