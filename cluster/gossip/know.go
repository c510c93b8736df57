package gossip

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// knowledge is all that is known of nodes, leaders and load, and what of it is still to be told. Its methods return
// what is news to the owner.
type knowledge struct {
	self       cluster.NodeID
	retransmit int

	mu    sync.Mutex
	hints map[cluster.GroupID]hint    // guarded by mu; at most maxGroups
	left  map[cluster.GroupID]int     // guarded by mu; sendings left of the group's hint
	led   map[cluster.GroupID]uint64  // guarded by mu; terms in which this node leads
	nodes map[cluster.NodeID]Node     // guarded by mu; with itself, at most maxNodes and itself
	loads map[cluster.NodeID]nodeLoad // guarded by mu; of nodes alive
	meta  []byte                      // guarded by mu; own Meta, coded
}

func newKnowledge(self cluster.NodeID, retransmit int) *knowledge {
	return &knowledge{
		self: self, retransmit: retransmit,
		hints: map[cluster.GroupID]hint{}, left: map[cluster.GroupID]int{}, led: map[cluster.GroupID]uint64{},
		nodes: map[cluster.NodeID]Node{}, loads: map[cluster.NodeID]nodeLoad{},
	}
}

// sendings is how often a hint goes out: enough to reach all but rarely, as memberlist counts it.
func (k *knowledge) sendingsLocked() int {
	return k.retransmit * int(math.Ceil(math.Log10(float64(len(k.nodes)+1))))
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
	k.left[h.Group] = k.sendingsLocked()
	return []hint{h}
}

// broadcast is the next packet of hints, those sent least first. A group has one hint, so a newer one is in the place
// of the older.
func (k *knowledge) broadcast(limit int) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.left) == 0 {
		return nil
	}
	due := make([]hint, 0, len(k.left))
	for group := range k.left {
		due = append(due, k.hints[group])
	}
	slices.SortFunc(due, func(a, b hint) int {
		return cmp.Or(cmp.Compare(k.left[b.Group], k.left[a.Group]), cmp.Compare(a.Group, b.Group))
	})
	b, n := packet(due, limit)
	for _, h := range due[:n] {
		if k.left[h.Group]--; k.left[h.Group] <= 0 {
			delete(k.left, h.Group)
		}
	}
	return b
}

// state is everything, for push/pull.
func (k *knowledge) state() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	loads := make([]nodeLoad, 0, len(k.loads))
	for _, l := range k.loads {
		loads = append(loads, l)
	}
	slices.SortFunc(loads, func(a, b nodeLoad) int { return cmp.Compare(a.Node, b.Node) })
	return encodeMessage(sortedHints(k.hints), loads[:min(len(loads), maxNodes)])
}

// setLoad numbers this node's load by the clock, so that it also follows that of an earlier run.
func (k *knowledge) setLoad(load Load, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	seq := max(uint64(max(now.UnixNano(), 0)), k.loads[k.self].Seq+1) // #nosec G115 -- not negative
	k.loads[k.self] = nodeLoad{Node: string(k.self), Seq: seq, Load: load}
}

// learnLoads merges loads of nodes that are alive and gives back those that are newer. A newer load of this node is of
// a run whose clock was ahead: its own is numbered above it.
func (k *knowledge) learnLoads(loads []nodeLoad) []nodeLoad {
	k.mu.Lock()
	defer k.mu.Unlock()
	var news []nodeLoad
	for _, l := range loads {
		id := cluster.NodeID(l.Node)
		old := k.loads[id]
		if l.Seq <= old.Seq || !k.nodes[id].Alive {
			continue
		}
		if id == k.self {
			if l.Seq < math.MaxUint64 && old.Seq > 0 {
				old.Seq = l.Seq + 1
				k.loads[id] = old
			}
			continue
		}
		k.loads[id] = l
		news = append(news, l)
	}
	return news
}

// node takes in what memberlist says of a node and reports whether it is kept.
func (k *knowledge) node(n Node) bool {
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
		delete(k.loads, n.ID)
	}
	k.nodes[n.ID] = n
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
	nodes := make([]Node, 0, len(k.nodes))
	for id := range k.nodes {
		nodes = append(nodes, k.getLocked(id))
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	return nodes
}

func (k *knowledge) getLocked(id cluster.NodeID) Node {
	n := k.nodes[id]
	n.Load = k.loads[id].Load
	return n
}

func (k *knowledge) get(id cluster.NodeID) Node {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.getLocked(id)
}

func (k *knowledge) hint(group cluster.GroupID) (hint, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h, ok := k.hints[group]
	return h, ok
}

func (k *knowledge) setMeta(b []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.meta = b
}

func (k *knowledge) ownMeta() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.meta
}
