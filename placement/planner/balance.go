package planner

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

const (
	// movingAtMost is how many replicas are on their way to another node although they could stay.
	movingAtMost = 2
	// band is how far a node may be from its share before something is moved to or from it.
	band = 0.10
	// worth is how much of a share a move has to bring at the least: what has been moved stays when loads change a little.
	worth = 0.05
	// opsUnit is how many operations in a second weigh as much as leading a group does by itself.
	opsUnit = 100
	// leadWorth is how much, in such weights, a hand-over has to bring at the least.
	leadWorth = 0.5
)

// move is a replica that could go from one node to another.
type move struct {
	group *placement.Group
	old   *placement.Replica
	to    *placement.NodeState
	gain  float64
	// now is what is wrong with the group as it is, after with the group after the move; see worsens.
	now, after cost
}

// worsens fills in what is wrong with the group after the move, and compares it with what is now.
func (m *move) worsens(f *fleet) int {
	nodes := f.nodesOf(m.group)
	nodes[slices.Index(nodes, m.old.Server.Node())] = m.to.ID
	m.after = f.cost(m.group, nodes)
	return m.after.compare(m.now)
}

// moves calls fn with every replica that could go to another node: of groups that are whole, and when none is healed, so
// that a move is never on top of trouble.
func (f *fleet) moves(fn func(m move)) {
	if f.moving >= movingAtMost || f.healing > 0 {
		return
	}
	for i := range f.m.Groups {
		g := &f.m.Groups[i]
		if g.ID == cluster.SystemGroup || !f.whole(g) {
			continue
		}
		now := f.cost(g, f.nodesOf(g))
		for _, to := range f.places(g) {
			if f.coming[to.ID] >= comingAtMost {
				continue
			}
			for j := range g.Replicas {
				old := &g.Replicas[j]
				if n := f.node[old.Server.Node()]; n != nil && n.Status == placement.Active && successor(g, old) == nil {
					fn(move{group: g, old: old, to: to, now: now})
				}
			}
		}
	}
}

// whole reports whether a group has a leader and as many voters as it should, which all can answer, and nothing else.
func (f *fleet) whole(g *placement.Group) bool {
	return f.seen.Leaders[g.ID] != "" && len(g.Replicas) == votes(g) && len(g.Replicas) == f.copies() &&
		!slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool { return !f.able(&r) || f.must(r.Server.Node()) != 0 })
}

// improve moves a replica to where the policy would rather have it: into the sites allowed, home, away from where one loss
// takes two copies.
func (f *fleet) improve() []Step {
	var best *move
	f.moves(func(m move) {
		if !f.flawless(m.group, m.now) && m.worsens(f) < 0 && (best == nil || f.rather(&m, best)) {
			best = &m
		}
	})
	if best == nil {
		return nil
	}
	return []Step{f.add(best.group, &AddReplica{Group: best.group.ID, Node: best.to.ID, Replaces: best.old.Server, Cause: placement.CausePolicy})}
}

// rather orders moves for the policy's sake: the first group, what is right afterwards, the emptiest node, from the
// fullest.
func (f *fleet) rather(a, b *move) bool {
	return cmp.Or(cmp.Compare(a.group.ID, b.group.ID), a.after.compare(b.after),
		cmp.Compare(f.level(a.to.ID, 0), f.level(b.to.ID, 0)),
		cmp.Compare(f.level(b.old.Server.Node(), 0), f.level(a.old.Server.Node(), 0))) < 0
}

// balance moves a replica from a node that holds more than its share, or to one that holds less, where that does not go
// against the policy. Nothing goes back to where it came from for balance's sake: several moves of large and small groups
// could each look right and end where they began.
func (f *fleet) balance() []Step {
	mean := f.mean()
	if mean == 0 {
		return nil
	}
	var best *move
	f.moves(func(m move) {
		from := m.old.Server.Node()
		half := f.size(m.group) / 2
		m.gain = f.level(from, -half) - f.level(m.to.ID, half)
		near := f.level(from, 0) <= mean*(1+band) && f.level(m.to.ID, 0) >= mean*(1-band)
		back := m.old.Cause == placement.CauseBalance && m.old.Replaces.Node() == m.to.ID
		if near || back || m.gain < worth*mean || best != nil && !f.better(&m, best) {
			return
		}
		if m.worsens(f) <= 0 {
			best = &m
		}
	})
	if best == nil {
		return nil
	}
	s := f.add(best.group, &AddReplica{Group: best.group.ID, Node: best.to.ID, Replaces: best.old.Server, Cause: placement.CauseBalance})
	if from := best.old.Server.Node(); f.level(from, 0) <= mean*(1+band) {
		s.Why = fmt.Sprintf("%s holds less than its share", best.to.ID)
	}
	return []Step{s}
}

// better orders moves that balance: by what they bring, large groups first so that little is moved twice, followers before leaders, which have to hand over first.
func (f *fleet) better(a, b *move) bool {
	return cmp.Or(cmp.Compare(b.gain*f.size(b.group), a.gain*f.size(a.group)), first(!f.leads(a.group, a.old), !f.leads(b.group, b.old)),
		cmp.Compare(a.group.ID, b.group.ID)) < 0
}

// mean is the level that all nodes that can be given something would have if it were the same for all.
func (f *fleet) mean() float64 {
	held, weights := 0.0, 0.0
	for i := range f.m.Nodes {
		if n := &f.m.Nodes[i]; f.open(n) {
			held += f.held[n.ID]
			weights += weight(n)
		}
	}
	if weights == 0 {
		return 0
	}
	return held / weights
}

// lead is what leading a group weighs.
func (f *fleet) lead(g *placement.Group) float64 { return 1 + f.seen.Load[g.ID].Ops/opsUnit }

// leading is the weight of what each node leads.
func (f *fleet) leading() map[cluster.NodeID]float64 {
	leads := make(map[cluster.NodeID]float64)
	for i := range f.m.Groups {
		g := &f.m.Groups[i]
		if leader := f.seen.Leaders[g.ID]; leader != "" {
			leads[leader] += f.lead(g)
		}
	}
	return leads
}

// heirs are the nodes other than the leader's that could lead a group: at its home, if any of these is.
func (f *fleet) heirs(g *placement.Group) []*placement.NodeState {
	var nodes []*placement.NodeState
	for i := range g.Replicas {
		r := &g.Replicas[i]
		n := f.node[r.Server.Node()]
		if n != nil && n.Status == placement.Active && f.seen.Alive[n.ID] && r.Suffrage == placement.Voter && f.seen.Voting[r.Server] && f.able(r) &&
			n.ID != f.seen.Leaders[g.ID] && successor(g, r) == nil {
			nodes = append(nodes, n)
		}
	}
	home := f.policy.HomeOf(g)
	if slices.ContainsFunc(nodes, func(n *placement.NodeState) bool { return n.Site() == home }) {
		nodes = slices.DeleteFunc(nodes, func(n *placement.NodeState) bool { return n.Site() != home })
	}
	return nodes
}

// steadyOn reports whether a group's replica on a node has kept up for long: a node that came back a moment ago may go
// again, and then takes with it what it was just handed.
func (f *fleet) steadyOn(g *placement.Group, n *placement.NodeState) bool {
	r := g.Replica(n.ID)
	return r != nil && f.seen.Steady[r.Server]
}

// handOver moves a leadership away from a node, to the heir that leads least; to one that is not steady only where no
// other is.
func (f *fleet) handOver(g *placement.Group, from cluster.NodeID, why string) (Step, bool) {
	heirs := f.heirs(g)
	if len(heirs) == 0 {
		return Step{}, false
	}
	leads := f.leading()
	to := slices.MinFunc(heirs, func(a, b *placement.NodeState) int {
		return cmp.Or(first(f.steadyOn(g, a), f.steadyOn(g, b)), cmp.Compare(leads[a.ID]/weight(a), leads[b.ID]/weight(b)), byName(a, b))
	})
	return Step{Transfer: &TransferLeader{g.ID, from, to.ID}, Why: why}, true
}

// vacate moves leaderships off nodes that drain or are being removed.
func (f *fleet) vacate() []Step {
	var steps []Step
	for i := range f.m.Groups {
		g := &f.m.Groups[i]
		n := f.node[f.seen.Leaders[g.ID]]
		if n == nil || n.Status == placement.Active {
			continue
		}
		if s, ok := f.handOver(g, n.ID, fmt.Sprintf("%s is %s", n.ID, n.Status)); ok {
			steps = append(steps, s)
		}
	}
	return steps
}

// spreadLeaders moves one leadership: home, else from the node that leads most to one that leads less. Groups are moved
// only when all of them have a leader: an election under way comes first; and only to nodes that are steady. The system
// group stays where it is while a replica is on its way, since another leader would have to watch it anew.
func (f *fleet) spreadLeaders() []Step {
	leads := f.leading()
	var best Step
	gain := 0.0
	for i := range f.m.Groups {
		g := &f.m.Groups[i]
		from := f.node[f.seen.Leaders[g.ID]]
		switch {
		case f.seen.Leaders[g.ID] == "":
			return nil
		case from == nil, g.ID == cluster.SystemGroup && f.busy():
			continue
		}
		half, home := f.lead(g)/2, f.policy.HomeOf(g)
		for _, to := range f.heirs(g) {
			if !f.steadyOn(g, to) {
				continue
			}
			if home != "" && to.Site() == home && from.Site() != home {
				return []Step{{Transfer: &TransferLeader{g.ID, from.ID, to.ID}, Why: home + " is its home"}}
			}
			if home != "" && from.Site() == home && to.Site() != home {
				continue
			}
			d := (leads[from.ID]-half)/weight(from) - (leads[to.ID]+half)/weight(to)
			if d >= leadWorth && d*half > gain {
				gain = d * half // what moves most first: then little is moved twice
				best = Step{Transfer: &TransferLeader{g.ID, from.ID, to.ID}, Why: fmt.Sprintf("%s leads more than %s", from.ID, to.ID)}
			}
		}
	}
	if best.Transfer == nil {
		return nil
	}
	return []Step{best}
}

// busy reports whether a replica is lost, to be made, or about to get a vote.
func (f *fleet) busy() bool {
	return slices.ContainsFunc(f.m.Groups, func(g placement.Group) bool {
		short := g.ID == cluster.SystemGroup && votes(&g) < f.systemVoters(&g)
		return slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool {
			return r.State != placement.Created || r.Suffrage == placement.Nonvoter && (short || g.ID != cluster.SystemGroup)
		})
	})
}
