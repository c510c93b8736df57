package gossip

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// knowledge is all that is known of nodes, leaders and load, and what of it is still to be told, in both pools. Its
// methods return what is news to the owner.
type knowledge struct {
	self cluster.NodeID
	dc   string

	mu      sync.Mutex
	hints   map[cluster.GroupID]hint   // guarded by mu; at most maxGroups
	led     map[cluster.GroupID]uint64 // guarded by mu; terms in which this node leads
	nodes   map[cluster.NodeID]Node    // guarded by mu; members of the LAN pool, with itself, at most maxNodes and itself
	records map[cluster.NodeID]kept    // guarded by mu; of all data centres, at most maxNodes and itself
	own     record                     // guarded by mu; what this node says of itself; in records as far as it is told
	meta    []byte                     // guarded by mu; own Meta, coded
	wide    bool                       // guarded by mu; there are other data centres
	sites   map[string]siteState       // guarded by mu; those, at most maxSites
	boxes   [scopes]outbox             // guarded by mu
}

func newKnowledge(self cluster.NodeID, dc string, retransmit ...int) *knowledge {
	k := &knowledge{
		self: self, dc: dc, own: record{Node: string(self)},
		hints: map[cluster.GroupID]hint{}, led: map[cluster.GroupID]uint64{},
		nodes: map[cluster.NodeID]Node{}, records: map[cluster.NodeID]kept{}, sites: map[string]siteState{},
	}
	for s := range scopes {
		k.boxes[s] = newOutbox(retransmit[s])
	}
	k.boxes[lan].open = true
	return k
}

// announce takes in what this node says of its own leadership.
func (k *knowledge) announce(group cluster.GroupID, term uint64, leader cluster.NodeID) []hint {
	k.mu.Lock()
	defer k.mu.Unlock()
	if leader == k.self {
		k.led[group] = term
		return k.learnLocked(hint{Group: group, Term: term, Leader: leader})
	}
	var news []hint
	if own, led := k.led[group]; led && own <= term {
		delete(k.led, group)
		news = k.learnLocked(hint{Group: group, Term: own, Leader: k.self, Lost: true})
	}
	if leader == "" {
		return news
	}
	return append(news, k.learnLocked(hint{Group: group, Term: term, Leader: leader})...)
}

// learn merges hints of others. A hint that says this node leads, when it does not, is from an earlier run: it is
// answered with the end of that leadership.
func (k *knowledge) learn(hints []hint) []hint {
	k.mu.Lock()
	defer k.mu.Unlock()
	var news []hint
	for _, h := range hints {
		if term, leads := k.led[h.Group]; h.Leader == k.self && (!leads || term != h.Term) {
			h.Lost = true
		}
		news = append(news, k.learnLocked(h)...)
	}
	return news
}

func (k *knowledge) learnLocked(h hint) []hint {
	old, known := k.hints[h.Group]
	if known && !h.newer(old) || !known && len(k.hints) >= maxGroups {
		return nil
	}
	k.hints[h.Group] = h
	for i := range k.boxes {
		k.boxes[i].addHint(h.Group)
	}
	return []hint{h}
}

// state is everything, for push/pull.
func (k *knowledge) state() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return encodeMessage(sortedHints(k.hints), k.allRecordsLocked())
}

// setLoad changes the load the others are told.
func (k *knowledge) setLoad(load Load, now time.Time) {
	k.change(now, func(own *record) { own.Load = load })
}

// member takes in what memberlist says of a node of this data centre and reports whether it is kept.
func (k *knowledge) member(n Node) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	old, known := k.nodes[n.ID]
	if !known && len(k.nodes) > maxNodes && !k.forgetLocked() {
		return false
	}
	if known && old.Alive == n.Alive {
		n.Since = old.Since
	}
	if !n.Alive {
		k.markLocked(n.ID, n.Meta.State, n.Since)
	}
	k.nodes[n.ID] = n
	k.boxes[lan].members = len(k.nodes)
	return true
}

// forgetLocked drops the node that is gone longest.
func (k *knowledge) forgetLocked() bool {
	var oldest Node
	for _, n := range k.nodes {
		if !n.Alive && (oldest.ID == "" || n.Since.Before(oldest.Since)) {
			oldest = n
		}
	}
	delete(k.nodes, oldest.ID)
	return oldest.ID != ""
}

func (k *knowledge) list() []Node {
	k.mu.Lock()
	defer k.mu.Unlock()
	var nodes []Node
	for id := range k.nodes {
		nodes = append(nodes, k.getLocked(id))
	}
	for id, r := range k.records {
		if _, member := k.nodes[id]; !member && r.Addr != "" && !r.of(k.dc) {
			nodes = append(nodes, k.getLocked(id))
		}
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	return nodes
}

// getLocked joins what is known of a node: memberlist's word of one in this data centre, else the node's own.
func (k *knowledge) getLocked(id cluster.NodeID) Node {
	r := k.records[id]
	n, member := k.nodes[id]
	if r.Addr != "" && !r.of(k.dc) && (!member || !n.Alive) {
		n = r.node()
		site := k.sites[r.Meta.DC]
		if n.Alive = n.Alive && site.heard; site.since.After(n.Since) {
			n.Since = site.since
		}
	}
	if n.Alive {
		n.Load, n.Gateway = r.Load, r.Gateway && r.Gone == goneNot
	}
	return n
}

// get is a node, and whether it was lost: found silent, or left.
func (k *knowledge) get(id cluster.NodeID) (n Node, lost bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n = k.getLocked(id)
	return n, !n.Alive && (n.Meta.DC == k.dc || k.records[id].Gone != goneNot)
}

func (k *knowledge) hint(group cluster.GroupID) (hint, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h, ok := k.hints[group]
	return h, ok
}

// setMeta changes what this node says of itself in either form: b is the coded one, for memberlist.
func (k *knowledge) setMeta(m Meta, b []byte, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.meta = b
	k.changeLocked(now, func(own *record) { own.Meta = m })
}

func (k *knowledge) ownMeta() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.meta
}
