package store

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// event is an event in the making; m is the message that came, of which more may be told.
type event struct {
	exmdb.Event
	m     *message
	order int
}

// eventPage keeps the events with the lowest stamps of those that are added, in whatever order: as many as are wanted and
// what else has the stamp of the last. It holds no more than that.
type eventPage struct {
	limit int
	// bound is the last stamp that is taken, once there are enough; cut says that there may be others above it.
	bound mapi.Stamp
	cut   bool
	held  latest
	of    map[mapi.Stamp]int // how many are held of each stamp
	order int
}

func newEventPage(limit int) *eventPage {
	return &eventPage{limit: limit, bound: mapi.Stamp(mapi.MaxGlobalCounter), of: make(map[mapi.Stamp]int)}
}

// beyond reports whether events with a stamp are left to the next page.
func (p *eventPage) beyond(s mapi.Stamp) bool {
	if s <= p.bound {
		return false
	}
	p.cut = true
	return true
}

// end takes nothing above a stamp any more.
func (p *eventPage) end(s mapi.Stamp) {
	if s >= p.bound {
		return
	}
	p.bound, p.cut = s, true
	for len(p.held) > 0 && p.held[0].Stamp > s {
		delete(p.of, heap.Pop(&p.held).(*event).Stamp)
	}
}

// add takes an event, and lets go of those with the highest stamp where there are enough without them.
func (p *eventPage) add(s mapi.Stamp, e *event) {
	if p.beyond(s) {
		return
	}
	e.Stamp, e.order = s, p.order
	p.order++
	heap.Push(&p.held, e)
	p.of[s]++
	for len(p.held) > p.limit {
		highest := p.held[0].Stamp
		if len(p.held)-p.of[highest] < p.limit {
			p.bound = min(p.bound, highest)
			return
		}
		for range p.of[highest] {
			heap.Pop(&p.held)
		}
		delete(p.of, highest)
		p.bound, p.cut = p.held[0].Stamp, true
	}
	if len(p.held) == p.limit {
		p.bound = min(p.bound, p.held[0].Stamp)
	}
}

// sorted are the events in order.
func (p *eventPage) sorted() []*event {
	slices.SortFunc(p.held, func(a, b *event) int {
		return cmp.Or(cmp.Compare(a.Stamp, b.Stamp), cmp.Compare(a.order, b.order))
	})
	return p.held
}

// latest is a heap with the highest stamp in front.
type latest []*event

func (h latest) Len() int           { return len(h) }
func (h latest) Less(i, j int) bool { return h[i].Stamp > h[j].Stamp }
func (h latest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *latest) Push(e any) { *h = append(*h, e.(*event)) }

// Pop implements heap.Interface.
func (h *latest) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	*h = (*h)[:last]
	return e
}
