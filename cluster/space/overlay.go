package space

import (
	"bytes"
	"sort"

	"github.com/flotilla-mail/flotilla/internal/wire"
)

// overlay is what the functions of one round have written over the applied state: a skip list of keys and the
// ranges deleted under it. Nodes are never removed, so an iterator may stand on one while others are written;
// undo turns a node back into what it was.
type overlay struct {
	nodes  []node // 0 is the head
	links  []int32
	height int
	seed   uint32
	arena  []byte

	ranges []keyRange // disjoint, ascending; replaced, never changed in place
	undo   []undone
	size   int // bytes of keys and values that the effect will carry
}

// nodeKind says what a key's newest write was.
type nodeKind uint8

const (
	nodeAbsent  nodeKind = iota // nothing: undone, or deleted by a range that covers it
	nodeSet                     // has a value
	nodeDeleted                 // deleted on its own
)

type node struct {
	key, value []byte
	kind       nodeKind
	link       int32 // of its lowest level, in links
}

type keyRange struct{ lo, hi []byte }

type undone struct {
	node   int32 // 0: ranges
	kind   nodeKind
	value  []byte
	ranges []keyRange
	size   int
}

const (
	maxHeight = 12
	opFrame   = 8 // allowance for what frames an op
)

func newOverlay() *overlay {
	o := &overlay{nodes: make([]node, 1, 64), links: make([]int32, maxHeight, 256), height: 1, seed: 0x9E3779B9}
	return o
}

// reset makes the overlay empty and keeps its memory, unless it grew large.
func (o *overlay) reset() {
	if cap(o.nodes) > 1<<14 || cap(o.arena) > 1<<20 {
		*o = *newOverlay()
		return
	}
	clear(o.nodes)
	clear(o.undo)
	clear(o.links[:maxHeight])
	o.nodes, o.links, o.undo = o.nodes[:1], o.links[:maxHeight], o.undo[:0]
	o.height, o.ranges, o.size, o.arena = 1, nil, 0, o.arena[:0]
}

func (o *overlay) empty() bool { return o.size == 0 }

func (o *overlay) own(b []byte) []byte {
	if len(b) > cap(o.arena)-len(o.arena) {
		o.arena = make([]byte, 0, max(4<<10, len(b), min(2*cap(o.arena), 1<<20)))
	}
	start := len(o.arena)
	o.arena = append(o.arena, b...)
	return o.arena[start:len(o.arena):len(o.arena)]
}

func (o *overlay) next(n int32, level int) int32 { return o.links[int(o.nodes[n].link)+level] }

// find returns the first node at or after key; with path it also notes the last node before key on each level.
func (o *overlay) find(key []byte, path *[maxHeight]int32) int32 {
	at := int32(0)
	for level := o.height - 1; level >= 0; level-- {
		for n := o.next(at, level); n != 0 && bytes.Compare(o.nodes[n].key, key) < 0; n = o.next(at, level) {
			at = n
		}
		if path != nil {
			path[level] = at
		}
	}
	return o.next(at, 0)
}

// before returns the last node below key, 0 when there is none; nil key means the end.
func (o *overlay) before(key []byte) int32 {
	at := int32(0)
	for level := o.height - 1; level >= 0; level-- {
		for n := o.next(at, level); n != 0 && (key == nil || bytes.Compare(o.nodes[n].key, key) < 0); n = o.next(at, level) {
			at = n
		}
	}
	return at
}

// lookup returns key's node, 0 when there is none.
func (o *overlay) lookup(key []byte) int32 {
	n := o.find(key, nil)
	if n != 0 && bytes.Equal(o.nodes[n].key, key) {
		return n
	}
	return 0
}

// place returns key's node, made when it is not there.
func (o *overlay) place(key []byte) int32 {
	var path [maxHeight]int32
	n := o.find(key, &path)
	if n != 0 && bytes.Equal(o.nodes[n].key, key) {
		return n
	}
	height := o.randomHeight()
	o.height = max(o.height, height) // path is 0, the head, on levels that are new
	n = int32(len(o.nodes))
	o.nodes = append(o.nodes, node{key: o.own(key), link: int32(len(o.links))})
	for level := range height {
		before := int(o.nodes[path[level]].link) + level
		o.links = append(o.links, o.links[before])
		o.links[before] = n
	}
	return n
}

func (o *overlay) randomHeight() int {
	o.seed ^= o.seed << 13
	o.seed ^= o.seed >> 17
	o.seed ^= o.seed << 5
	height := 1
	for r := o.seed; height < maxHeight && r&3 == 0; r >>= 2 {
		height++
	}
	return height
}

// cost is what a node adds to the effect.
func (n *node) cost() int {
	switch n.kind {
	case nodeSet:
		return len(n.key) + len(n.value) + opFrame
	case nodeDeleted:
		return len(n.key) + opFrame
	}
	return 0
}

func (o *overlay) write(i int32, kind nodeKind, value []byte) {
	n := &o.nodes[i]
	o.undo = append(o.undo, undone{node: i, kind: n.kind, value: n.value, size: o.size})
	o.size -= n.cost()
	n.kind, n.value = kind, value
	o.size += n.cost()
}

func (o *overlay) set(key, value []byte) {
	v := o.own(value)
	if v == nil {
		v = []byte{}
	}
	o.write(o.place(key), nodeSet, v)
}

func (o *overlay) delete(key []byte) { o.write(o.place(key), nodeDeleted, nil) }

// deleteRange needs lo below hi.
func (o *overlay) deleteRange(lo, hi []byte) {
	for n := o.find(lo, nil); n != 0 && bytes.Compare(o.nodes[n].key, hi) < 0; n = o.next(n, 0) {
		if o.nodes[n].kind != nodeAbsent {
			o.write(n, nodeAbsent, nil)
		}
	}
	o.undo = append(o.undo, undone{ranges: o.ranges, size: o.size})
	o.ranges = mergeRange(o.ranges, keyRange{o.own(lo), o.own(hi)})
	o.size += len(lo) + len(hi) + opFrame
}

// mergeRange returns the union as a new list.
func mergeRange(list []keyRange, r keyRange) []keyRange {
	first := sort.Search(len(list), func(i int) bool { return bytes.Compare(list[i].hi, r.lo) >= 0 })
	last := first
	for last < len(list) && bytes.Compare(list[last].lo, r.hi) <= 0 {
		if bytes.Compare(list[last].lo, r.lo) < 0 {
			r.lo = list[last].lo
		}
		if bytes.Compare(list[last].hi, r.hi) > 0 {
			r.hi = list[last].hi
		}
		last++
	}
	merged := make([]keyRange, 0, len(list)-(last-first)+1)
	merged = append(append(merged, list[:first]...), r)
	return append(merged, list[last:]...)
}

// covering returns the deleted range that holds key, nil when there is none.
func (o *overlay) covering(key []byte) *keyRange {
	i := sort.Search(len(o.ranges), func(i int) bool { return bytes.Compare(o.ranges[i].hi, key) > 0 })
	if i < len(o.ranges) && bytes.Compare(o.ranges[i].lo, key) <= 0 {
		return &o.ranges[i]
	}
	return nil
}

// hides reports whether what the applied state has under key is not to be seen.
func (o *overlay) hides(key []byte) bool {
	if len(o.nodes) == 1 && len(o.ranges) == 0 {
		return false
	}
	if n := o.lookup(key); n != 0 && o.nodes[n].kind != nodeAbsent {
		return true
	}
	return o.covering(key) != nil
}

// mark and rewind take back everything written since the mark.
func (o *overlay) mark() int { return len(o.undo) }

func (o *overlay) rewind(mark int) {
	for i := len(o.undo) - 1; i >= mark; i-- {
		u := &o.undo[i]
		if u.node == 0 {
			o.ranges = u.ranges
		} else {
			n := &o.nodes[u.node]
			n.kind, n.value = u.kind, u.value
		}
		o.size = u.size
	}
	clear(o.undo[mark:])
	o.undo = o.undo[:mark]
}

// appendOps appends the ops that make the applied state what the overlay shows: ranges first, then keys in order.
func (o *overlay) appendOps(dst []byte) []byte {
	for _, r := range o.ranges {
		dst = wire.AppendBytes(wire.AppendBytes(append(dst, opDeleteRange), r.lo), r.hi)
	}
	for i := o.next(0, 0); i != 0; i = o.next(i, 0) {
		switch n := &o.nodes[i]; n.kind {
		case nodeSet:
			dst = wire.AppendBytes(wire.AppendBytes(append(dst, opSet), n.key), n.value)
		case nodeDeleted:
			dst = wire.AppendBytes(append(dst, opDelete), n.key)
		}
	}
	return dst
}
