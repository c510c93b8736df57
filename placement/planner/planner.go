// Package planner computes the next steps from a map, what is observed, and the policy, and says why.
//
// It is pure: it does no I/O, reads no clock and draws no random numbers, so that a plan can be tested, explained and
// computed again. Invariants: a plan never takes a group below a safe quorum, never puts two copies of a group where one
// loss takes both as long as that can be avoided, never lets a second replica of a node into the system group while the
// first still answers, and carrying out plans one step at a time ends (no step undoes another).
package planner

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// Observed is what the controller sees of the cluster now.
type Observed struct {
	// Alive are the nodes that answer and can lead.
	Alive map[cluster.NodeID]bool
	// Leaders says which node leads a group; absent when nobody does.
	Leaders map[cluster.GroupID]cluster.NodeID
	// Members are the replicas that Raft counts among the group's servers, of the groups that have a leader; Voting those of
	// which that have a vote there.
	Members, Voting map[cluster.ServerID]bool
	// CaughtUp are the replicas whose log is within a few entries of their leader's, for a while; Steady those of which
	// that has been so for as long as a replica on a node that is new to the group has to wait for its vote, and one on a node
	// that comes back for a leadership that nobody else has to give up.
	CaughtUp, Steady map[cluster.ServerID]bool
	// System is the replica of the system group that a node runs, for nodes whose process has been one and the same
	// for a while.
	System map[cluster.NodeID]cluster.ServerID
	// Heard are the members of the system group that have answered its leader lately.
	Heard map[cluster.ServerID]bool
	// Silent is for how long nodes have not answered; absent for those that do.
	Silent map[cluster.NodeID]time.Duration
	// Unfit are the nodes that are to be given nothing now, with the reason in words.
	Unfit map[cluster.NodeID]string
	// Holds is how many replicas of mailbox groups a node has by its own word; absent when it does not answer.
	Holds map[cluster.NodeID]int
	// Serves are the nodes that serve clients by their own word.
	Serves map[cluster.NodeID]bool
	// Load is how large and how busy groups are, as far as it is known.
	Load map[cluster.GroupID]Load
}

// Load is how large a group is, and how many operations it does in a second.
type Load struct {
	Bytes uint64
	Ops   float64
}

// Step is one thing to do, and why. Exactly one of the pointers is set.
type Step struct {
	Admit    *ChangeReplica
	Create   *CreateGroup
	Add      *AddReplica
	Join     *ChangeReplica
	Promote  *ChangeReplica
	Demote   *ChangeReplica
	Remove   *ChangeReplica
	Transfer *TransferLeader
	Drain    *DrainNode
	Retire   *RetireNode
	Why      string
}

// CreateGroup makes a group of a class with a first voter on each of the nodes.
type CreateGroup struct {
	Group cluster.GroupID
	Class placement.Class
	Nodes []cluster.NodeID
}

// AddReplica has a node make a replica, as a learner (CLUSTER 6.1). A node makes its replica of the system group by
// itself, without which it knows nothing; that one is admitted instead.
type AddReplica struct {
	Group cluster.GroupID
	Node  cluster.NodeID
	// Replaces is the replica whose place it takes, on this node or another; empty for one more.
	Replaces cluster.ServerID
	Cause    placement.Cause
}

// ChangeReplica admits a replica of the system group that its node has made, makes a new replica a learner of its group,
// gives a learner that has caught up a vote or takes one away, or removes a replica.
type ChangeReplica struct {
	Group  cluster.GroupID
	Server cluster.ServerID
}

// TransferLeader moves a group's leadership.
type TransferLeader struct {
	Group    cluster.GroupID
	From, To cluster.NodeID
}

// DrainNode takes a node out of service, with the protocols' own words to its clients.
type DrainNode struct{ Node cluster.NodeID }

// RetireNode ends the removal of a node that holds nothing any more.
type RetireNode struct{ Node cluster.NodeID }

// fleet is what one plan is computed from.
type fleet struct {
	m      *placement.Map
	seen   *Observed
	policy *placement.Policy
	node   map[cluster.NodeID]*placement.NodeState
	// held is the weight of what each node has and will have, coming the number of replicas that it is to make.
	held   map[cluster.NodeID]float64
	coming map[cluster.NodeID]int
	// moving is how many replicas are made although the one before them could stay, healing how many groups are brought
	// back to what they should be.
	moving, healing int
}

func newFleet(m *placement.Map, seen *Observed, policy *placement.Policy) *fleet {
	f := &fleet{m: m, seen: seen, policy: policy, held: map[cluster.NodeID]float64{}, coming: map[cluster.NodeID]int{},
		node: make(map[cluster.NodeID]*placement.NodeState, len(m.Nodes))}
	for i := range m.Nodes {
		f.node[m.Nodes[i].ID] = &m.Nodes[i]
	}
	for i := range m.Groups {
		g := &m.Groups[i]
		if g.ID == cluster.SystemGroup {
			continue
		}
		for j := range g.Replicas {
			r := &g.Replicas[j]
			if successor(g, r) == nil {
				f.held[r.Server.Node()] += f.size(g)
			}
			f.count(g, r)
		}
	}
	return f
}

// count counts a replica that is on its way.
func (f *fleet) count(g *placement.Group, r *placement.Replica) {
	switch {
	case r.State != placement.Lost && r.Suffrage == placement.Voter:
		return
	case r.State != placement.Lost:
		f.coming[r.Server.Node()]++
	}
	if r.State != placement.Lost && (r.Cause == placement.CausePolicy || r.Cause == placement.CauseBalance) {
		f.moving++
	} else if f.seen.Leaders[g.ID] != "" {
		f.healing++
	}
}

// Plan returns the steps to take, most urgent first; none when the map is as the policy wants it. The caller
// carries out the first and asks again.
func Plan(m *placement.Map, seen Observed, policy placement.Policy) []Step {
	f := newFleet(m, &seen, &policy)
	steps := slices.Concat(f.admit(), f.vacate(), f.dismissClients(), f.heal(), f.retire())
	for _, next := range []func() []Step{f.create, f.improve, f.balance, f.spreadLeaders} {
		if len(steps) == 0 {
			steps = next()
		}
	}
	return steps
}

// admit lets nodes into the system group whose replica of it is not in the map: they have lost the one that is, or never
// had one. While a replica that the map knows still answers, a second process uses the node's name.
func (f *fleet) admit() []Step {
	g := f.m.Group(cluster.SystemGroup)
	if g == nil || f.seen.Leaders[g.ID] == "" {
		return nil
	}
	var steps []Step
	for _, node := range slices.Sorted(maps.Keys(f.seen.System)) {
		server := f.seen.System[node]
		answers := slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool {
			return r.Server.Node() == node && f.seen.Heard[r.Server]
		})
		if f.known(g, node) && g.Server(server) == nil && !answers {
			steps = append(steps, Step{Admit: &ChangeReplica{g.ID, server}, Why: "every node has a copy of the system group"})
		}
	}
	return steps
}

// known reports whether a node belongs to the cluster: it registered, or was there when the cluster formed. One that is
// being removed is let in again only while it holds something.
func (f *fleet) known(system *placement.Group, node cluster.NodeID) bool {
	if n := f.node[node]; n != nil {
		return !f.emptied(n)
	}
	return system.Replica(node) != nil
}

// dismissClients has nodes that are about to be cut off send their clients elsewhere, while they can still answer them.
func (f *fleet) dismissClients() []Step {
	var steps []Step
	for i := range f.m.Nodes {
		if n := &f.m.Nodes[i]; n.Status == placement.Removing && f.seen.Serves[n.ID] && f.emptied(n) {
			steps = append(steps, Step{Drain: &DrainNode{n.ID}, Why: "it holds nothing any more, and its clients are to go elsewhere"})
		}
	}
	return steps
}

// retire ends the removal of nodes that hold nothing any more.
func (f *fleet) retire() []Step {
	var steps []Step
	for i := range f.m.Nodes {
		n := &f.m.Nodes[i]
		holds := slices.ContainsFunc(f.m.Groups, func(g placement.Group) bool { return g.Replica(n.ID) != nil })
		if n.Status == placement.Removing && !holds {
			steps = append(steps, Step{Retire: &RetireNode{n.ID}, Why: "it holds nothing any more"})
		}
	}
	return steps
}

// successor is the replica that takes another's place, nil while there is none that could.
func successor(g *placement.Group, r *placement.Replica) *placement.Replica {
	for i := range g.Replicas {
		if s := &g.Replicas[i]; s.Replaces == r.Server && s.State != placement.Lost {
			return s
		}
	}
	return nil
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

// staying is the number of replicas that vote when those are gone whose successor votes.
func staying(g *placement.Group) int {
	n := votes(g)
	for i := range g.Replicas {
		r := &g.Replicas[i]
		if s := successor(g, r); s != nil && s.Suffrage == placement.Voter && r.Suffrage == placement.Voter {
			n--
		}
	}
	return n
}

// odd is the largest odd number that is not above n: a voter more would only raise the number that has to agree.
func odd(n int) int { return max(1, (n+1)/2*2-1) }

// able reports whether a replica can answer for its group.
func (f *fleet) able(r *placement.Replica) bool {
	return r.State == placement.Created && f.seen.Members[r.Server] && f.seen.CaughtUp[r.Server]
}

// ready reports whether a learner may have a vote. On a node that had the group before, a moment is enough.
func (f *fleet) ready(r *placement.Replica) bool {
	return f.able(r) && (f.seen.Steady[r.Server] || r.Replaces.Node() == r.Server.Node())
}

// safe reports whether more than half of the group's voters can answer after a step that takes the vote of one replica
// or gives one to another. Lost ones count among those that cannot.
func (f *fleet) safe(g *placement.Group, without, with cluster.ServerID) bool {
	voters, able := 0, 0
	for i := range g.Replicas {
		r := &g.Replicas[i]
		if r.Server == without || r.Suffrage != placement.Voter && r.Server != with {
			continue
		}
		voters++
		if f.able(r) {
			able++
		}
	}
	return able*2 > voters
}

// must is why nothing can stay on a node, zero when it can.
func (f *fleet) must(node cluster.NodeID) placement.Cause {
	n := f.node[node]
	switch {
	case n != nil && (n.Status == placement.Removing || n.Status == placement.Removed):
		return placement.CauseLeaving
	case f.gone(node):
		return placement.CauseDead
	}
	return 0
}

// gone reports whether a node has been silent for too long. One that drains is silent on purpose.
func (f *fleet) gone(node cluster.NodeID) bool {
	n := f.node[node]
	silent, is := f.seen.Silent[node]
	return is && silent >= f.policy.Grace && (n == nil || n.Status != placement.Draining)
}

// emptied reports whether a node that is being removed, or was, has nothing left of any mailbox group.
func (f *fleet) emptied(n *placement.NodeState) bool {
	switch n.Status {
	case placement.Removed:
		return true
	case placement.Removing:
		holds := slices.ContainsFunc(f.m.Groups, func(g placement.Group) bool {
			return g.ID != cluster.SystemGroup && slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool { return r.Server.Node() == n.ID })
		})
		return !holds && f.seen.Holds[n.ID] == 0
	}
	return false
}

// causes says in words why a replica is made, with the node of the one before it.
var causes = map[placement.Cause]string{
	placement.CauseLost: "%s has lost its copy", placement.CauseDead: "%s has been silent for the grace period",
	placement.CauseLeaving: "%s is being removed", placement.CauseShort: "there are fewer copies than the policy asks for",
	placement.CausePolicy: "the policy would not have the copy on %s", placement.CauseBalance: "%s holds more than its share",
}

// Because says why a replica is made in another's place, "" for one that the group began with.
func Because(c placement.Cause, before cluster.NodeID) string {
	if c == placement.CauseShort || causes[c] == "" {
		return causes[c]
	}
	return fmt.Sprintf(causes[c], before)
}

// String says the step in words, for logs and for `flotilla placement plan`.
func (s Step) String() string {
	switch {
	case s.Admit != nil:
		return fmt.Sprintf("let replica %s into group %d", s.Admit.Server, s.Admit.Group)
	case s.Create != nil:
		return fmt.Sprintf("create group %d on %v", s.Create.Group, s.Create.Nodes)
	case s.Add != nil && s.Add.Replaces != "":
		return fmt.Sprintf("make a replica of group %d on %s in place of %s", s.Add.Group, s.Add.Node, s.Add.Replaces)
	case s.Add != nil:
		return fmt.Sprintf("make another replica of group %d on %s", s.Add.Group, s.Add.Node)
	case s.Join != nil:
		return fmt.Sprintf("add replica %s to group %d as a learner", s.Join.Server, s.Join.Group)
	case s.Promote != nil:
		return fmt.Sprintf("promote replica %s of group %d", s.Promote.Server, s.Promote.Group)
	case s.Demote != nil:
		return fmt.Sprintf("take the vote of replica %s of group %d", s.Demote.Server, s.Demote.Group)
	case s.Remove != nil:
		return fmt.Sprintf("remove replica %s of group %d", s.Remove.Server, s.Remove.Group)
	case s.Transfer != nil:
		return fmt.Sprintf("hand group %d from %s to %s", s.Transfer.Group, s.Transfer.From, s.Transfer.To)
	case s.Drain != nil:
		return fmt.Sprintf("drain node %s", s.Drain.Node)
	case s.Retire != nil:
		return fmt.Sprintf("node %s is removed", s.Retire.Node)
	}
	return "nothing"
}

// Group is the group that a step is about; ok is false for one about a node.
func (s Step) Group() (id cluster.GroupID, ok bool) {
	for _, c := range []*ChangeReplica{s.Admit, s.Join, s.Promote, s.Demote, s.Remove} {
		if c != nil {
			return c.Group, true
		}
	}
	switch {
	case s.Create != nil:
		return s.Create.Group, true
	case s.Add != nil:
		return s.Add.Group, true
	case s.Transfer != nil:
		return s.Transfer.Group, true
	}
	return 0, false
}

// byName orders nodes.
func byName(a, b *placement.NodeState) int { return cmp.Compare(a.ID, b.ID) }
