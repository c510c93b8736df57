package gossip

import (
	"context"
	"slices"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
)

const maxConflicts = 64 // names told of in one run of the teller

// teller calls Events from one goroutine. It holds the newest of each kind, so a slow owner costs no memory.
type teller struct {
	events Events
	know   *knowledge
	wake   chan struct{}

	mu        sync.Mutex
	hints     map[cluster.GroupID]hint // guarded by mu
	nodes     map[cluster.NodeID]bool  // guarded by mu
	loads     map[cluster.NodeID]Load  // guarded by mu
	sites     map[string]bool          // guarded by mu
	conflicts map[string][]string      // guarded by mu
}

func newTeller(events Events, know *knowledge) *teller {
	t := &teller{events: events, know: know, wake: make(chan struct{}, 1)}
	t.clearLocked()
	return t
}

func (t *teller) clearLocked() {
	t.hints, t.nodes = map[cluster.GroupID]hint{}, map[cluster.NodeID]bool{}
	t.loads, t.sites, t.conflicts = map[cluster.NodeID]Load{}, map[string]bool{}, map[string][]string{}
}

// note lets put change the maps and wakes the goroutine.
func (t *teller) note(put func()) {
	t.mu.Lock()
	put()
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *teller) hint(news []hint) {
	if len(news) == 0 {
		return
	}
	t.note(func() {
		for _, h := range news {
			if h.newer(t.hints[h.Group]) {
				t.hints[h.Group] = h
			}
		}
	})
}

func (t *teller) node(id cluster.NodeID) { t.note(func() { t.nodes[id] = true }) }

// records tells the loads; and, of nodes outside dc, whose members memberlist tells of, what else is new.
func (t *teller) records(news, faces []record, dc string) {
	if len(news) == 0 {
		return
	}
	t.note(func() {
		for _, r := range news {
			t.loads[cluster.NodeID(r.Node)] = r.Load
		}
		for _, r := range faces {
			if r.Addr != "" && r.Meta.DC != dc {
				t.nodes[cluster.NodeID(r.Node)] = true
			}
		}
	})
}

// site tells that a data centre is heard, with its nodes, or that it is not any more.
func (t *teller) site(s Site) {
	nodes := t.know.nodesOf(s.DC)
	t.note(func() {
		t.sites[s.DC] = true
		for _, id := range nodes {
			t.nodes[id] = t.nodes[id] || s.Heard
		}
	})
}

func (t *teller) conflict(name string, addrs ...string) {
	t.note(func() {
		if len(t.conflicts) < maxConflicts {
			slices.Sort(addrs)
			t.conflicts[name] = addrs
		}
	})
}

func (t *teller) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
			t.tell()
		}
	}
}

func (t *teller) tell() {
	t.mu.Lock()
	hints, nodes, loads, sites, conflicts := t.hints, t.nodes, t.loads, t.sites, t.conflicts
	t.clearLocked()
	t.mu.Unlock()
	for _, s := range t.know.otherSites() {
		if sites[s.DC] && t.events.Site != nil {
			t.events.Site(s)
		}
	}
	for id, due := range nodes {
		if due {
			t.tellNode(id)
		}
	}
	for _, h := range sortedHints(hints) {
		if h.Lost {
			h.Leader = ""
		}
		if t.events.Hint != nil {
			t.events.Hint(h.Group, h.Term, h.Leader)
		}
	}
	for id, load := range loads {
		if t.events.Load != nil {
			t.events.Load(id, load)
		}
	}
	for name, addrs := range conflicts {
		if t.events.Conflict != nil {
			t.events.Conflict(name, addrs)
		}
	}
}

// tellNode tells what is known of a node. Of one whose data centre is not heard nothing is: it is told of when that is.
func (t *teller) tellNode(id cluster.NodeID) {
	switch n, lost := t.know.get(id); {
	case n.Alive && t.events.NodeUp != nil:
		t.events.NodeUp(n)
	case lost && t.events.NodeDown != nil:
		t.events.NodeDown(n)
	}
}
