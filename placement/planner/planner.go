// Package planner computes the next steps from a map, what is observed, and the policy.
//
// It is pure: it does no I/O, reads no clock and draws no random numbers, so that a plan can be tested, explained and
// computed again. Invariants: a plan never takes a group below a safe quorum, never lets a second replica of a node into
// the system group while the first still answers, and carrying out plans one step at a time ends (no step undoes
// another).
package planner

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// Observed is what the controller sees of the cluster now.
type Observed struct {
	// Alive are the nodes that answer and can lead.
	Alive map[cluster.NodeID]bool
	// Leaders says which node leads a group; absent when nobody does.
	Leaders map[cluster.GroupID]cluster.NodeID
	// Members are the replicas that Raft counts among the group's servers, of the groups that have a leader.
	Members map[cluster.ServerID]bool
	// CaughtUp are the replicas whose log is within a few entries of their leader's, for a while.
	CaughtUp map[cluster.ServerID]bool
	// System is the replica of the system group that a node runs, for nodes whose process has been one and the same
	// for a while.
	System map[cluster.NodeID]cluster.ServerID
	// Heard are the members of the system group that have answered its leader lately.
	Heard map[cluster.ServerID]bool
}

// Step is one thing to do. Exactly one of the fields is set.
type Step struct {
	Admit    *ChangeReplica
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

// ReplaceReplica gives a lost replica a successor on the same node: a learner under a new id (CLUSTER 6.1). A node makes
// its replica of the system group by itself, without which it knows nothing; that one is admitted instead.
type ReplaceReplica struct {
	Group cluster.GroupID
	Lost  cluster.ServerID
}

// ChangeReplica admits a replica of the system group that its node has made in place of a lost one, makes a new replica
// a learner of its group, promotes a learner that has caught up, or removes a replica that has a successor.
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
	steps := append(admit(m, seen), heal(m, seen, policy)...)
	if len(steps) == 0 {
		steps = create(m, policy)
	}
	if len(steps) == 0 {
		steps = spreadLeaders(m, seen, policy)
	}
	return steps
}

// admit lets nodes into the system group whose replica of it is not in the map: they have lost the one that is, or never
// had one. While a replica that the map knows still answers, a second process uses the node's name.
func admit(m *placement.Map, seen Observed) []Step {
	g := m.Group(cluster.SystemGroup)
	if g == nil || seen.Leaders[g.ID] == "" {
		return nil
	}
	var steps []Step
	for _, node := range slices.Sorted(maps.Keys(seen.System)) {
		server := seen.System[node]
		answers := slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool {
			return r.Server.Node() == node && seen.Heard[r.Server]
		})
		if known(m, g, node) && g.Server(server) == nil && !answers {
			steps = append(steps, Step{Admit: &ChangeReplica{Group: g.ID, Server: server}})
		}
	}
	return steps
}

// known reports whether a node belongs to the cluster: it registered, or was there when the cluster formed.
func known(m *placement.Map, system *placement.Group, node cluster.NodeID) bool {
	if n := m.Node(node); n != nil {
		return n.Status != placement.Removed
	}
	return system.Replica(node) != nil
}

// heal works off lost replicas: learner, caught up, the lost one removed, the learner promoted. The lost one goes before
// the successor is promoted, so that the number of voters never rises above the policy's and a majority never depends
// on a replica that cannot answer.
func heal(m *placement.Map, seen Observed, policy placement.Policy) []Step {
	var steps []Step
	for i := range m.Groups {
		g := &m.Groups[i]
		if seen.Leaders[g.ID] == "" {
			continue
		}
		for j := range g.Replicas {
			if step, ok := healReplica(g, &g.Replicas[j], seen, policy); ok {
				steps = append(steps, step)
				break
			}
		}
	}
	return steps
}

func healReplica(g *placement.Group, r *placement.Replica, seen Observed, policy placement.Policy) (Step, bool) {
	change := &ChangeReplica{Group: g.ID, Server: r.Server}
	switch {
	case r.State == placement.Lost:
		return healLost(g, r, seen)
	case r.State != placement.Created || r.Suffrage != placement.Nonvoter:
	case !seen.Members[r.Server]:
		return Step{Join: change}, true
	case seen.CaughtUp[r.Server] && !precededByLost(g, r) && votes(g) < wanted(g, policy) && safe(g, seen, "", r.Server):
		return Step{Promote: change}, true
	}
	return Step{}, false
}

// healLost gives a lost replica a successor, and removes it once the successor can take its place. One without a vote
// need not be waited for.
func healLost(g *placement.Group, r *placement.Replica, seen Observed) (Step, bool) {
	next := g.Replica(r.Server.Node())
	switch {
	case next.State == placement.Lost && g.ID == cluster.SystemGroup:
		return Step{}, false // until the node has made another, and that is admitted
	case next.State == placement.Lost:
		return Step{Replace: &ReplaceReplica{Group: g.ID, Lost: r.Server}}, true
	case (seen.CaughtUp[next.Server] || r.Suffrage == placement.Nonvoter) && safe(g, seen, r.Server, ""):
		return Step{Remove: &ChangeReplica{Group: g.ID, Server: r.Server}}, true
	}
	return Step{}, false
}

// precededByLost reports whether the replica's node still has a lost one in the group.
func precededByLost(g *placement.Group, r *placement.Replica) bool {
	return slices.ContainsFunc(g.Replicas, func(o placement.Replica) bool {
		return o.State == placement.Lost && o.Server.Node() == r.Server.Node()
	})
}

// safe reports whether more than half of the group's voters can answer after a step that takes the vote of one replica
// or gives one to another. Lost ones count among those that cannot.
func safe(g *placement.Group, seen Observed, without, with cluster.ServerID) bool {
	voters, able := 0, 0
	for _, r := range g.Replicas {
		if r.Server == without || r.Suffrage != placement.Voter && r.Server != with {
			continue
		}
		voters++
		if r.State == placement.Created && seen.Members[r.Server] && seen.CaughtUp[r.Server] {
			able++
		}
	}
	return able*2 > voters
}

// votes is the number of replicas that vote.
func votes(g *placement.Group) int {
	n := 0
	for _, r := range g.Replicas {
		if r.Suffrage == placement.Voter {
			n++
		}
	}
	return n
}

// systemVoters is how many copies of the system group vote at most; the other nodes have one that only follows.
const systemVoters = 5

// wanted is how many replicas of a group ought to vote. Of the system group every node has one, of which an odd number
// votes: one voter more would only raise the number that has to agree.
func wanted(g *placement.Group, policy placement.Policy) int {
	if g.ID != cluster.SystemGroup {
		return policy.Replicas
	}
	nodes := make(map[cluster.NodeID]bool)
	for _, r := range g.Replicas {
		nodes[r.Server.Node()] = true
	}
	return min((len(nodes)+1)/2*2-1, systemVoters)
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
// two would only swap them. Groups are moved only when all of them have a leader: an election under way comes first. The
// system group stays where it is while a replica is on its way, since another leader would have to watch it anew.
func spreadLeaders(m *placement.Map, seen Observed, policy placement.Policy) []Step {
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
		if g.ID == cluster.SystemGroup && healing(m, policy) {
			continue
		}
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

// healing reports whether a replica is lost, to be made, or about to get a vote.
func healing(m *placement.Map, policy placement.Policy) bool {
	return slices.ContainsFunc(m.Groups, func(g placement.Group) bool {
		short := votes(&g) < wanted(&g, policy)
		return slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool {
			return r.State != placement.Created || r.Suffrage == placement.Nonvoter && short
		})
	})
}

// String says the step in words, for logs and for `flotilla placement explain`.
func (s Step) String() string {
	switch {
	case s.Admit != nil:
		return fmt.Sprintf("let replica %s into group %d in place of what its node lost", s.Admit.Server, s.Admit.Group)
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
