package planner

import (
	"cmp"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// Weights is what is known of the groups' spaces.
type Weights struct {
	// Spaces is how many a group has, Bytes how large it is and Ops how many operations it does in a second, as far as that
	// is known.
	Spaces map[cluster.GroupID]int
	Bytes  map[cluster.GroupID]uint64
	Ops    map[cluster.GroupID]float64
	// Resting are the groups that a space has left not long ago, or come to for how busy it is: their size and what they do
	// does not show it yet.
	Resting map[cluster.GroupID]bool
	// Strays are spaces that the policy wants elsewhere, those that are to go first in front.
	Strays []Stray
}

// Stray is a space in a group of another class than the policy wants for it.
type Stray struct {
	Space cluster.SpaceID
	In    cluster.GroupID
	Want  placement.Class
	Why   string
}

// Shift is a space that is to move from a group to another.
type Shift struct {
	From, To cluster.GroupID
	// Space is which; zero is any that fits.
	Space cluster.SpaceID
	// Bytes is how large a space should go at most; zero is any.
	Bytes uint64
	// Ops is how many operations a second it may do at most, of those that do any; zero is for what does not go for that.
	Ops float64
	Why string
}

// String says the shift in words, as a Step is said.
func (s Shift) String() string {
	if s.Space != (cluster.SpaceID{}) {
		return fmt.Sprintf("move mailbox %s of group %d to group %d", s.Space, s.From, s.To)
	}
	return fmt.Sprintf("move a mailbox of group %d to group %d", s.From, s.To)
}

// Shifts says which groups are to give a space away now: those with a space that the policy wants in a group of another
// class, those that are merged into another, and those that are larger, or busier, than the policy wants. A group gives one
// space at a time, and takes one at a time; one that is nearly as large or busy as it may be takes none, so that nothing
// goes to and fro.
func Shifts(m *placement.Map, policy placement.Policy, w Weights) []Shift {
	p := &shifting{m: m, policy: &policy, w: &w, busy: make(map[cluster.GroupID]bool)}
	for i := range m.Moves {
		p.busy[m.Moves[i].From], p.busy[m.Moves[i].To] = true, true
	}
	for i := range w.Strays {
		p.bringHome(&w.Strays[i])
	}
	for i := range m.Groups {
		g := &m.Groups[i]
		if g.ID == cluster.SystemGroup || p.busy[g.ID] || w.Spaces[g.ID] == 0 {
			continue
		}
		p.merge(g)
		if g.Into == 0 && !p.busy[g.ID] && !w.Resting[g.ID] && w.Spaces[g.ID] > 1 {
			p.split(g)
		}
	}
	return p.all
}

// shifting is what shifts are computed from, and what has come of it.
type shifting struct {
	m      *placement.Map
	policy *placement.Policy
	w      *Weights
	busy   map[cluster.GroupID]bool
	all    []Shift
}

// add plans a shift, if its target takes nothing else now.
func (p *shifting) add(s Shift) {
	if !p.busy[s.To] {
		p.busy[s.From], p.busy[s.To] = true, true
		p.all = append(p.all, s)
	}
}

// emptiest is the group of a class that takes a space best: the first by an order, of those that take any now.
func (p *shifting) emptiest(c placement.Class, takes func(*placement.Group) bool, order func(a, b cluster.GroupID) int) *placement.Group {
	var best *placement.Group
	for i := range p.m.Groups {
		g := &p.m.Groups[i]
		if g.ID == cluster.SystemGroup || g.Into != 0 || p.busy[g.ID] || g.Class() != c || !takes(g) {
			continue
		}
		if best == nil || order(g.ID, best.ID) < 0 {
			best = g
		}
	}
	return best
}

// bringHome moves a space to a group of the class that is wanted: the smallest, with the fewest spaces; one that is full only
// where all are. Where there is none yet it is waited for.
func (p *shifting) bringHome(s *Stray) {
	g := p.m.Group(s.In)
	if g == nil || p.busy[s.In] || g.Class() == s.Want {
		return
	}
	full := func(id cluster.GroupID) bool { return p.policy.Full(p.w.Bytes[id], p.w.Ops[id]) }
	to := p.emptiest(s.Want, func(*placement.Group) bool { return true }, func(a, b cluster.GroupID) int {
		return cmp.Or(first(!full(a), !full(b)), cmp.Compare(p.w.Bytes[a], p.w.Bytes[b]), cmp.Compare(p.w.Spaces[a], p.w.Spaces[b]))
	})
	if to != nil {
		p.add(Shift{From: s.In, To: to.ID, Space: s.Space, Why: s.Why})
	}
}

func (p *shifting) merge(g *placement.Group) {
	if g.Into != 0 && p.m.Group(g.Into) != nil {
		p.add(Shift{From: g.ID, To: g.Into, Why: fmt.Sprintf("group %d is merged into group %d", g.ID, g.Into)})
	}
}

// split has a group that is an eighth too large, or too busy, give a space to the smallest, or calmest, of its class that has
// a quarter of its room left.
func (p *shifting) split(g *placement.Group) {
	bytes, ops := p.w.Bytes, p.w.Ops
	most, hot := p.policy.MaxGroup, float64(p.policy.MaxOps)
	low, high := most-most/4, most+most/8
	calm, worst := hot*3/4, hot*9/8
	roomy := func(t *placement.Group) bool { return most == 0 || bytes[t.ID] <= low }
	switch {
	case most > 0 && bytes[g.ID] > high:
		to := p.emptiest(g.Class(), roomy, func(a, b cluster.GroupID) int { return cmp.Compare(bytes[a], bytes[b]) })
		if to != nil {
			p.add(Shift{From: g.ID, To: to.ID, Bytes: min(bytes[g.ID]-most, high-bytes[to.ID]),
				Why: fmt.Sprintf("group %d is larger than the policy wants", g.ID)})
		}
	case hot > 0 && ops[g.ID] > worst:
		takes := func(t *placement.Group) bool { return roomy(t) && ops[t.ID] <= calm && !p.w.Resting[t.ID] }
		to := p.emptiest(g.Class(), takes, func(a, b cluster.GroupID) int { return cmp.Compare(ops[a], ops[b]) })
		if to != nil {
			p.add(Shift{From: g.ID, To: to.ID, Ops: worst - ops[to.ID], Why: fmt.Sprintf("group %d is busier than the policy wants", g.ID)})
		}
	}
}
