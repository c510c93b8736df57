package node

import (
	"context"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/planner"
	"github.com/flotilla-mail/flotilla/placement/store"
)

const (
	// ruleSettles is for how long the policy must have been as it is before mailboxes move for it: a slip of the hand is
	// corrected by then.
	ruleSettles = 5 * time.Second
	// strayPage is how many objects of the directory are looked at at a time, straysAtMost how many mailboxes that are to
	// move are remembered.
	strayPage    = 2000
	straysAtMost = 64
)

// strays looks through the directory, round and round, for mailboxes in groups of another class than the policy wants. Which
// domain a mailbox is of only the directory knows. It belongs to one goroutine.
type strays struct {
	n *Node
	// policy is what the administrator wants, in one text, and since when it has been seen so.
	policy string
	since  time.Time
	// after is where the next look goes on, looked when the last one was, found what was found and has not gone yet.
	after  mapi.GUID
	looked time.Time
	found  []mapi.GUID
}

// find looks at what was found before and at some more.
func (s *strays) find(ctx context.Context, m *placement.Map, p *placement.Policy) ([]planner.Stray, error) {
	text := fmt.Sprintf("%v %+v", p, p.Rules)
	if text != s.policy {
		*s = strays{n: s.n, policy: text, since: time.Now()}
	}
	if !classed(m, p) || time.Since(s.since) < ruleSettles {
		return nil, nil
	}
	var objects []*directory.Object
	for _, id := range s.found {
		if o, err := s.n.people.ByGUID(ctx, id); err == nil { // else it is not there any more
			objects = append(objects, o)
		}
	}
	if len(s.found) < straysAtMost && time.Since(s.looked) >= shiftEvery/2 { // a move changes the map more often
		s.looked = time.Now()
		page, err := s.n.people.ObjectsAfter(ctx, s.after, strayPage)
		if err != nil {
			return nil, fmt.Errorf("look for mailboxes that are to move: %w", err)
		}
		s.after = mapi.GUID{}
		if len(page) == strayPage {
			s.after = page[len(page)-1].GUID
		}
		objects = append(objects, page...)
	}
	return s.among(ctx, objects, m, p)
}

// classed reports whether a mailbox can be in the wrong group at all.
func classed(m *placement.Map, p *placement.Policy) bool {
	return len(p.Rules) > 0 || len(m.Groups) > m.CountGroups(placement.Class{})+1
}

// among remembers those of the objects whose mailbox is to move.
func (s *strays) among(ctx context.Context, objects []*directory.Object, m *placement.Map, p *placement.Policy) (list []planner.Stray, err error) {
	s.found = s.found[:0]
	known := make(map[mapi.GUID]bool)
	err = systemReplica{s.n}.View(ctx, store.Space, space.ReadLocal, func(r space.Reader) error {
		for _, o := range objects {
			if o.Mailbox.IsZero() || known[o.GUID] || len(list) == straysAtMost {
				continue
			}
			box := cluster.SpaceID(o.Mailbox)
			place, ok, err := store.Lookup(r, box)
			if err != nil {
				return err
			}
			rule := p.Rule(box, directory.DomainOf(o.Address))
			g, want := m.Group(place.Group), p.ClassOf(box, directory.DomainOf(o.Address))
			if !ok || g == nil || g.Class() == want {
				continue
			}
			known[o.GUID] = true
			s.found = append(s.found, o.GUID)
			list = append(list, planner.Stray{Space: box, In: g.ID, Want: want, Why: ruleWords(rule)})
		}
		return nil
	})
	return list, err
}

// ruleWords says what a rule asks for.
func ruleWords(r *placement.Rule) string {
	switch {
	case r == nil:
		return "no rule speaks of it"
	case r.Domain != "":
		return fmt.Sprintf("the rule for %s asks for %s", r.Domain, classWords(r.Class()))
	}
	return "its own rule asks for " + classWords(r.Class())
}
