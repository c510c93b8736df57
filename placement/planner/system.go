package planner

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// systemVoters is how many copies of the system group vote at most; the other nodes have one that only follows
// (CLUSTER 6.6).
const systemVoters = 5

// systemVoters is how many copies of the system group ought to vote: an odd number of those that can.
func (f *fleet) systemVoters(g *placement.Group) int {
	nodes := make(map[cluster.NodeID]bool)
	for _, r := range g.Replicas {
		if f.eligible(r.Server.Node()) {
			nodes[r.Server.Node()] = true
		}
	}
	return min(odd(len(nodes)), systemVoters)
}

// eligible reports whether a node's copy of the system group may vote: nodes that only serve clients come and go, so they
// do only where there are not three others.
func (f *fleet) eligible(node cluster.NodeID) bool {
	n := f.node[node]
	if n == nil || f.emptied(n) || n.Roles&placement.RoleStore != 0 {
		return n == nil || !f.emptied(n)
	}
	stores := 0
	for i := range f.m.Nodes {
		if o := &f.m.Nodes[i]; o.Roles&placement.RoleStore != 0 && !f.emptied(o) && !f.gone(o.ID) {
			stores++
		}
	}
	return stores < 3
}

// healSystem brings the system group a step nearer to one copy on every node, of which an odd number votes, or the two that are left of three.
func (f *fleet) healSystem(g *placement.Group) []Step {
	if s, ok := f.agree(g); ok {
		return []Step{s}
	}
	for i := range g.Replicas {
		r := &g.Replicas[i]
		n := f.node[r.Server.Node()]
		var s Step
		var ok bool
		switch {
		case r.State == placement.Lost:
			s, ok = f.dropLostSystem(g, r)
		case n != nil && f.emptied(n):
			s, ok = f.dismiss(g, r)
		case r.Suffrage == placement.Nonvoter && r.State == placement.Created && !f.seen.Members[r.Server]:
			s, ok = Step{Join: &ChangeReplica{g.ID, r.Server}, Why: "every node has a copy of the system group"}, true
		}
		if ok {
			return []Step{s}
		}
	}
	return f.elect(g)
}

// dropLostSystem removes a lost copy of the system group, once the one that its node has made can take its place.
func (f *fleet) dropLostSystem(g *placement.Group, r *placement.Replica) (Step, bool) {
	next := g.Replica(r.Server.Node())
	gone := f.node[r.Server.Node()] != nil && f.emptied(f.node[r.Server.Node()])
	if next.State == placement.Lost && next.Server == r.Server && !gone {
		return Step{}, false // until the node has made another, and that is admitted
	}
	if r.Suffrage == placement.Voter && !gone && !f.seen.CaughtUp[next.Server] {
		return Step{}, false
	}
	return f.remove(g, r, "it is lost")
}

// dismiss takes the copy of a node that is removed out of the system group, after another has its vote.
func (f *fleet) dismiss(g *placement.Group, r *placement.Replica) (Step, bool) {
	if r.Suffrage == placement.Voter && votes(g) <= f.systemVoters(g) && f.able(r) {
		if c := f.candidate(g); c != nil {
			return Step{Promote: &ChangeReplica{g.ID, c.Server}, Why: fmt.Sprintf("%s is being removed", r.Server.Node())}, f.safe(g, "", c.Server)
		}
	}
	return f.remove(g, r, "its node is being removed")
}

// candidate is the copy that follows and could best vote, nil when there is none.
func (f *fleet) candidate(g *placement.Group) *placement.Replica {
	var best *placement.Replica
	voting := f.voting(g, "")
	for i := range g.Replicas {
		r := &g.Replicas[i]
		node := r.Server.Node()
		if r.Suffrage != placement.Nonvoter || !f.ready(r) || !f.eligible(node) || f.gone(node) || precededByLost(g, r) {
			continue
		}
		if best == nil || cmp.Or(first(f.must(node) == 0, f.must(best.Server.Node()) == 0), f.cost(g, append(slices.Clone(voting), node)).
			compare(f.cost(g, append(slices.Clone(voting), best.Server.Node())))) < 0 {
			best = r
		}
	}
	return best
}

// precededByLost reports whether the replica's node still has a lost one in the group.
func precededByLost(g *placement.Group, r *placement.Replica) bool {
	return slices.ContainsFunc(g.Replicas, func(o placement.Replica) bool {
		return o.State == placement.Lost && o.Server.Node() == r.Server.Node()
	})
}

// voting are the nodes whose copies vote, but for one.
func (f *fleet) voting(g *placement.Group, but cluster.ServerID) []cluster.NodeID {
	var nodes []cluster.NodeID
	for _, r := range g.Replicas {
		if r.Suffrage == placement.Voter && r.Server != but {
			nodes = append(nodes, r.Server.Node())
		}
	}
	return nodes
}

// elect gives or takes one vote of the system group.
func (f *fleet) elect(g *placement.Group) []Step {
	have, want := votes(g), f.systemVoters(g)
	c := f.candidate(g)
	switch {
	case have > max(want, 2): // two that are left of three keep theirs: with one, what was acknowledged would be on one disk
		return f.demote(g, f.worstVoter(g), fmt.Sprintf("%d copies of the system group are to vote", want))
	case c == nil && have < want && have%2 == 0 && have > 2 && !f.awaited(g):
		return f.demote(g, f.worstVoter(g), "an odd number of copies is to vote, and no other can")
	case c == nil:
		return nil
	case have < want && (have%2 == 0 || f.candidates(g) > 1) && f.safe(g, "", c.Server):
		return []Step{{Promote: &ChangeReplica{g.ID, c.Server}, Why: fmt.Sprintf("%d copies of the system group are to vote", want)}}
	case have < want:
		return nil
	}
	for i := range g.Replicas {
		r := &g.Replicas[i]
		if r.Suffrage != placement.Voter {
			continue
		}
		if f.gone(r.Server.Node()) && !f.able(r) {
			return f.demote(g, r, fmt.Sprintf("%s has been silent for the grace period, and %s can vote", r.Server.Node(), c.Server.Node()))
		}
	}
	return f.spreadVotes(g, c)
}

// awaited reports whether a copy that follows may be able to vote before long.
func (f *fleet) awaited(g *placement.Group) bool {
	return slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool {
		node := r.Server.Node()
		return r.Suffrage == placement.Nonvoter && r.State != placement.Lost && f.eligible(node) && !f.gone(node)
	})
}

// candidates is how many copies that follow could vote.
func (f *fleet) candidates(g *placement.Group) int {
	n := 0
	for i := range g.Replicas {
		if r := &g.Replicas[i]; r.Suffrage == placement.Nonvoter && f.ready(r) && f.eligible(r.Server.Node()) && !f.gone(r.Server.Node()) {
			n++
		}
	}
	return n
}

// spreadVotes promotes a copy where one more voter is better than two in one place; then there is a voter too many.
func (f *fleet) spreadVotes(g *placement.Group, c *placement.Replica) []Step {
	if f.must(c.Server.Node()) != 0 {
		return nil // it will not stay
	}
	now := f.cost(g, f.voting(g, ""))
	for i := range g.Replicas {
		r := &g.Replicas[i]
		if r.Suffrage == placement.Voter && !f.able(r) {
			return nil
		}
	}
	for i := range g.Replicas {
		r := &g.Replicas[i]
		if r.Suffrage == placement.Voter && f.cost(g, append(f.voting(g, r.Server), c.Server.Node())).compare(now) < 0 {
			return []Step{{Promote: &ChangeReplica{g.ID, c.Server}, Why: "voters are not to be where one loss takes two"}}
		}
	}
	return nil
}

// demote takes a vote, as far as that is safe; a copy that leads hands over first.
func (f *fleet) demote(g *placement.Group, r *placement.Replica, why string) []Step {
	if !f.safe(g, r.Server, "") {
		return nil
	}
	if f.leads(g, r) {
		s, ok := f.handOver(g, r.Server.Node(), why)
		if !ok {
			return nil
		}
		return []Step{s}
	}
	return []Step{{Demote: &ChangeReplica{g.ID, r.Server}, Why: why}}
}
