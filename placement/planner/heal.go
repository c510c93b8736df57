package planner

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// heal brings each group that has a leader a step nearer to as many voters as it ought to have, on nodes that can have
// them. What is under way is ended before more is begun.
func (f *fleet) heal() []Step {
	var end, begin []Step
	for i := range f.m.Groups {
		g := &f.m.Groups[i]
		if f.seen.Leaders[g.ID] == "" {
			continue
		}
		if g.ID == cluster.SystemGroup {
			end = append(end, f.healSystem(g)...)
			continue
		}
		if s, ok := f.endStep(g); ok {
			end = append(end, s)
		} else if s, ok := f.beginStep(g); ok {
			begin = append(begin, s)
			f.coming[s.Add.Node]++
		}
	}
	return append(end, begin...)
}

// agree ends a change of the membership of which Raft knows and the map does not: before that nothing else is done in the
// group, since the map is what plans count with.
func (f *fleet) agree(g *placement.Group) (Step, bool) {
	for i := range g.Replicas {
		r := &g.Replicas[i]
		change, why := &ChangeReplica{g.ID, r.Server}, "it is done, but for the map"
		votes := r.Suffrage == placement.Voter
		switch {
		case r.State == placement.Assigned:
		case votes && !f.seen.Members[r.Server]:
			if g.ID == cluster.SystemGroup {
				continue // its node will have seen that, and makes another
			}
			return Step{Remove: change, Why: why}, f.safe(g, r.Server, "")
		case votes && !f.seen.Voting[r.Server]:
			return Step{Demote: change, Why: why}, true
		case !votes && f.seen.Voting[r.Server]:
			return Step{Promote: change, Why: why}, true
		}
	}
	return Step{}, false
}

// endStep is the next step of what is under way in a mailbox group.
func (f *fleet) endStep(g *placement.Group) (Step, bool) {
	if s, ok := f.agree(g); ok {
		return s, true
	}
	for i := range g.Replicas {
		r := &g.Replicas[i]
		var s Step
		var ok bool
		switch {
		case r.State == placement.Lost:
			s, ok = f.dropLost(g, r)
		case r.Suffrage == placement.Nonvoter:
			s, ok = f.raise(g, r)
		default:
			s, ok = f.relieve(g, r)
		}
		if ok {
			return s, true
		}
	}
	return f.dropSurplus(g)
}

// dropLost removes a lost replica once another can take its place. Nothing is waited for where it had no vote, there are
// voters enough without it, or the one whose place it was to take is still there: that one gets another successor, if it
// has to go.
func (f *fleet) dropLost(g *placement.Group, r *placement.Replica) (Step, bool) {
	next, before := successor(g, r), g.Server(r.Replaces)
	enough := votes(g) > f.policy.Replicas || f.spare(g) ||
		f.must(r.Server.Node()) == placement.CauseLeaving && f.copies() > 2 && votes(g) > f.copies()
	if r.Suffrage == placement.Voter && before == nil && !enough && (next == nil || !f.ready(next)) {
		return Step{}, false
	}
	return f.remove(g, r, "it is lost")
}

// spare reports whether a group has voters enough without one.
func (f *fleet) spare(g *placement.Group) bool {
	left := staying(g) - 1
	return f.copies() > 2 && left >= f.copies() && left%2 == 1
}

// raise leads a learner to its vote, or ends it when it is not needed. A replica that cannot answer goes before its
// successor is promoted, so that the number of voters does not rise; one that can goes after that.
func (f *fleet) raise(g *placement.Group, r *placement.Replica) (Step, bool) {
	if why := f.needless(g, r); why != "" {
		return f.remove(g, r, why)
	}
	old := g.Server(r.Replaces)
	switch {
	case r.State != placement.Created:
		return Step{}, false
	case !f.seen.Members[r.Server]:
		return Step{Join: &ChangeReplica{g.ID, r.Server}, Why: "it is made, and is to follow"}, true
	case !f.ready(r):
		return Step{}, false
	case old != nil && old.Suffrage == placement.Voter && !f.able(old):
		return f.remove(g, old, fmt.Sprintf("it does not answer, and %s takes its place", r.Server.Node()))
	case f.mayVote(g, r, old) && f.safe(g, "", r.Server):
		return Step{Promote: &ChangeReplica{g.ID, r.Server}, Why: "it has caught up"}, true
	}
	return Step{}, false
}

// needless says why a learner is not needed, "" when it is.
func (f *fleet) needless(g *placement.Group, r *placement.Replica) string {
	old := g.Server(r.Replaces)
	stay := staying(g)
	enough := stay >= f.copies() && (stay%2 == 1 || stay > f.policy.Replicas)
	if old != nil {
		enough = old.State != placement.Lost && votes(g) > f.policy.Replicas
	}
	switch {
	case f.must(r.Server.Node()) != 0:
		return fmt.Sprintf("%s cannot keep it", r.Server.Node())
	case enough:
		return "there are enough copies without it"
	case old != nil && (r.Cause == placement.CauseDead || r.Cause == placement.CauseLeaving) && f.able(old) && f.must(old.Server.Node()) == 0:
		return fmt.Sprintf("%s has its copy still", old.Server.Node())
	}
	return ""
}

// mayVote reports whether another voter is wanted. Two at a time are added where one would make an even number.
func (f *fleet) mayVote(g *placement.Group, r, old *placement.Replica) bool {
	have := votes(g)
	if old != nil && old.Suffrage == placement.Voter {
		return have <= f.policy.Replicas
	}
	if have >= f.policy.Replicas {
		return false
	}
	others := slices.ContainsFunc(g.Replicas, func(o placement.Replica) bool {
		return o.Server != r.Server && o.Suffrage == placement.Nonvoter && f.ready(&o)
	})
	return have%2 == 0 || others
}

// relieve takes a voter out of the group whose successor votes; or the successor, if that one cannot stay.
func (f *fleet) relieve(g *placement.Group, r *placement.Replica) (Step, bool) {
	next := successor(g, r)
	switch {
	case next == nil || next.Suffrage != placement.Voter:
		return Step{}, false
	case f.must(next.Server.Node()) != 0 && f.standsFor(g, next):
		return f.remove(g, next, fmt.Sprintf("%s cannot keep it, and %s has its copy still", next.Server.Node(), r.Server.Node()))
	}
	return f.remove(g, r, fmt.Sprintf("%s has taken its place", next.Server.Node()))
}

// standsFor reports whether the replica whose place another takes could go on in its stead.
func (f *fleet) standsFor(g *placement.Group, r *placement.Replica) bool {
	old := g.Server(r.Replaces)
	return old != nil && old.Suffrage == placement.Voter && f.able(old) && f.must(old.Server.Node()) == 0
}

// dropSurplus takes a voter away where the policy asks for fewer, or there are nodes for fewer and what remains is odd, or
// one has to go. Below three copies nothing is taken: a node that is to be removed waits for another.
func (f *fleet) dropSurplus(g *placement.Group) (Step, bool) {
	have, goes := votes(g), false
	for i := range g.Replicas {
		r := &g.Replicas[i]
		if r.Suffrage == placement.Nonvoter || r.State == placement.Lost || g.Server(r.Replaces) != nil {
			return Step{}, false
		}
		goes = goes || f.must(r.Server.Node()) == placement.CauseLeaving
	}
	switch {
	case have > f.policy.Replicas:
		return f.remove(g, f.worstVoter(g), "the policy asks for fewer copies")
	case have > f.copies() && f.copies() > 2 && (have%2 == 0 || goes):
		return f.remove(g, f.worstVoter(g), "there are nodes for fewer copies")
	}
	return Step{}, false
}

// worstVoter is the voter that a group misses least: one that cannot answer, else the one without which the others are
// best spread, on the fullest node.
func (f *fleet) worstVoter(g *placement.Group) *placement.Replica {
	var voters []*placement.Replica
	for i := range g.Replicas {
		if g.Replicas[i].Suffrage == placement.Voter {
			voters = append(voters, &g.Replicas[i])
		}
	}
	return slices.MinFunc(voters, func(a, b *placement.Replica) int {
		return cmp.Or(first(!f.able(a), !f.able(b)), first(f.must(a.Server.Node()) != 0, f.must(b.Server.Node()) != 0), first(!f.eligible(a.Server.Node()), !f.eligible(b.Server.Node())),
			f.cost(g, without(voters, a)).compare(f.cost(g, without(voters, b))), first(!f.leads(g, a), !f.leads(g, b)),
			cmp.Compare(f.level(b.Server.Node(), 0), f.level(a.Server.Node(), 0)), cmp.Compare(b.Server, a.Server))
	})
}

// without are the nodes of all replicas but one.
func without(all []*placement.Replica, r *placement.Replica) []cluster.NodeID {
	var nodes []cluster.NodeID
	for _, o := range all {
		if o != r {
			nodes = append(nodes, o.Server.Node())
		}
	}
	return nodes
}

// first orders what is before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// remove takes a replica out of its group, as far as that is safe; one that leads hands over first.
func (f *fleet) remove(g *placement.Group, r *placement.Replica, why string) (Step, bool) {
	if r.Suffrage == placement.Voter && !f.safe(g, r.Server, "") {
		return Step{}, false
	}
	if f.leads(g, r) {
		return f.handOver(g, r.Server.Node(), "its replica there is to go: "+why)
	}
	return Step{Remove: &ChangeReplica{g.ID, r.Server}, Why: why}, true
}

// leads reports whether it is this replica that leads its group.
func (f *fleet) leads(g *placement.Group, r *placement.Replica) bool {
	return f.seen.Leaders[g.ID] == r.Server.Node() && r.Suffrage == placement.Voter && r.State == placement.Created
}

// beginStep adds a replica: on a node that lost its own, in place of one that cannot stay, or where there are too few.
func (f *fleet) beginStep(g *placement.Group) (Step, bool) {
	if votes(g) > f.policy.Replicas {
		return Step{}, false // one goes first
	}
	wanted := 0
	for i := range g.Replicas {
		r := &g.Replicas[i]
		if successor(g, r) != nil {
			continue
		}
		wanted++
		node := r.Server.Node()
		cause := f.must(node)
		switch {
		case r.State == placement.Lost && (g.Server(r.Replaces) != nil || r.Suffrage == placement.Voter && f.spare(g)):
			continue
		case cause == 0 && r.State == placement.Lost:
			return f.add(g, &AddReplica{Group: g.ID, Node: node, Replaces: r.Server, Cause: placement.CauseLost}), true
		case cause == 0 || r.Suffrage != placement.Voter || f.standsFor(g, r):
			continue
		}
		if to := f.placeFor(g, r); to != "" {
			return f.add(g, &AddReplica{Group: g.ID, Node: to, Replaces: r.Server, Cause: cause}), true
		}
	}
	if wanted >= f.copies() {
		return Step{}, false
	}
	to := f.placeFor(g, nil)
	if to == "" {
		return Step{}, false
	}
	return f.add(g, &AddReplica{Group: g.ID, Node: to, Cause: placement.CauseShort}), true
}

// copies is how many copies a group can have: as many as the policy asks for, where there are nodes for an odd number. On
// two nodes one votes and one follows.
func (f *fleet) copies() int {
	stores := f.stores()
	if stores > 2 {
		stores = odd(stores)
	}
	return min(f.policy.Replicas, stores)
}

// stores is the number of nodes that hold mailbox groups and are to stay.
func (f *fleet) stores() int {
	stores := 0
	for i := range f.m.Nodes {
		n := &f.m.Nodes[i]
		if n.Roles&placement.RoleStore != 0 && n.Status != placement.Removed && n.Status != placement.Removing {
			stores++
		}
	}
	return stores
}

// add is the step that adds a replica; what the node is to hold is counted at once.
func (f *fleet) add(g *placement.Group, a *AddReplica) Step {
	f.held[a.Node] += f.size(g)
	return Step{Add: a, Why: Because(a.Cause, a.Replaces.Node())}
}
