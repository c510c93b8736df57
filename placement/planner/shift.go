package planner

import (
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// Weights is what is known of the groups' spaces.
type Weights struct {
	// Spaces is how many a group has, Bytes how large it is, as far as that is known.
	Spaces map[cluster.GroupID]int
	Bytes  map[cluster.GroupID]uint64
	// Resting are the groups that a space has left not long ago: their size does not show it yet.
	Resting map[cluster.GroupID]bool
}

// Shift is a space that is to move from a group to another, whichever it is.
type Shift struct {
	From, To cluster.GroupID
	// Bytes is how large a space should go at most; zero is any.
	Bytes uint64
	Why   string
}

// Shifts says which groups are to give a space away now: those that are merged into another, and those that are larger than
// the policy wants. A group gives one space at a time, and takes one at a time; one that is nearly as large as it may be
// takes none, so that nothing goes to and fro.
func Shifts(m *placement.Map, policy placement.Policy, w Weights) []Shift {
	busy := make(map[cluster.GroupID]bool)
	for i := range m.Moves {
		busy[m.Moves[i].From], busy[m.Moves[i].To] = true, true
	}
	var all []Shift
	for i := range m.Groups {
		g := &m.Groups[i]
		if g.ID == cluster.SystemGroup || busy[g.ID] || w.Spaces[g.ID] == 0 {
			continue
		}
		s := merged(m, g)
		if s == nil && !w.Resting[g.ID] && w.Spaces[g.ID] > 1 {
			s = split(m, g, busy, shares{policy.MaxGroup, w.Bytes})
		}
		if s != nil && !busy[s.To] {
			busy[s.From], busy[s.To] = true, true
			all = append(all, *s)
		}
	}
	return all
}

func merged(m *placement.Map, g *placement.Group) *Shift {
	if g.Into == 0 || m.Group(g.Into) == nil {
		return nil
	}
	return &Shift{From: g.ID, To: g.Into, Why: fmt.Sprintf("group %d is merged into group %d", g.ID, g.Into)}
}

// shares is how large groups are to be, and are.
type shares struct {
	most  uint64
	bytes map[cluster.GroupID]uint64
}

// split finds who takes something of a group that is an eighth too large: the smallest group of its class, if it has a
// quarter of its room left.
func split(m *placement.Map, g *placement.Group, busy map[cluster.GroupID]bool, s shares) *Shift {
	high, low := s.most+s.most/8, s.most-s.most/4
	if s.most == 0 || s.bytes[g.ID] <= high {
		return nil
	}
	var best *placement.Group
	for i := range m.Groups {
		t := &m.Groups[i]
		if t.ID == cluster.SystemGroup || t.ID == g.ID || t.Into != 0 || busy[t.ID] || t.Class() != g.Class() || s.bytes[t.ID] > low {
			continue
		}
		if best == nil || s.bytes[t.ID] < s.bytes[best.ID] {
			best = t
		}
	}
	if best == nil {
		return nil
	}
	return &Shift{From: g.ID, To: best.ID, Bytes: min(s.bytes[g.ID]-s.most, high-s.bytes[best.ID]),
		Why: fmt.Sprintf("group %d is larger than the policy wants", g.ID)}
}
