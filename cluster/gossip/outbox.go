package gossip

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
)

// scope tells the two pools apart.
type scope int

const (
	lan scope = iota // the nodes of the data centre
	wan              // the gateways of all
	scopes
)

// outbox is what is to be broadcast in one pool: which facts, with the number of sendings left. It holds names; what is
// sent is what is known of them by then, so that a newer fact takes the older one's place.
type outbox struct {
	open       bool
	members    int
	retransmit int
	hints      map[cluster.GroupID]int
	records    map[cluster.NodeID]int
}

func newOutbox(retransmit int) outbox {
	return outbox{retransmit: retransmit, hints: map[cluster.GroupID]int{}, records: map[cluster.NodeID]int{}}
}

// sendings is how often a fact goes out: enough to reach all but rarely, as memberlist counts it.
func (o *outbox) sendings() int {
	return o.retransmit * max(1, int(math.Ceil(math.Log10(float64(o.members+1)))))
}

func (o *outbox) addHint(group cluster.GroupID) {
	if o.open {
		o.hints[group] = o.sendings()
	}
}

func (o *outbox) addRecord(id cluster.NodeID) {
	if o.open {
		o.records[id] = o.sendings()
	}
}

// due lists what is left, what was sent least first.
func due[K cmp.Ordered](left map[K]int) []K {
	return slices.SortedFunc(maps.Keys(left), func(a, b K) int {
		return cmp.Or(cmp.Compare(left[b], left[a]), cmp.Compare(a, b))
	})
}

func spend[K comparable](left map[K]int, sent []K) {
	for _, key := range sent {
		if left[key]--; left[key] <= 0 {
			delete(left, key)
		}
	}
}

// setMembers says how many the WAN pool has, and so how often a fact is sent there.
func (k *knowledge) setMembers(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.boxes[wan].members = n
}

// openBox begins, or ends, to collect what is told in the pool. What is known by then goes by push/pull.
func (k *knowledge) openBox(s scope, open bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	o := &k.boxes[s]
	o.open = open
	if !open {
		clear(o.hints)
		clear(o.records)
	}
}

// broadcast is the next packet for the pool.
func (k *knowledge) broadcast(s scope, limit int) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	o := &k.boxes[s]
	groups, nodes := due(o.hints), due(o.records)
	hints, records := make([]hint, len(groups)), make([]record, len(nodes))
	for i, g := range groups {
		hints[i] = k.hints[g]
	}
	for i, id := range nodes {
		records[i] = k.records[id].record
	}
	b, h, r := packet(hints, records, limit)
	spend(o.hints, groups[:h])
	spend(o.records, nodes[:r])
	return b
}
