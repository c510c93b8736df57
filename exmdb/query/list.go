package query

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"sync/atomic"
)

// entry is an instance of a row in a view: its sort key, and what tells it from others of the same key.
type entry struct {
	key      []byte
	id       uint64
	instance uint32
	unread   bool
}

// chunkEntries is how many entries a chunk holds at most; one below a quarter of it is joined with the next where the
// list is written anew.
const chunkEntries = 256

// chunk is a run of a list's entries. It never changes. Keys are stored as what they share with the one before, so a
// folder sorted by sender costs a few bytes a row.
type chunk struct {
	first     []byte // key of the first entry
	keys      []byte
	whole     int // bytes of all keys, unshared
	ids       []uint64
	instances []uint32 // nil when all are 0
	unread    []uint64 // bits
	digest    atomic.Pointer[digest]
}

func newChunk(entries []entry) *chunk {
	c := &chunk{first: bytes.Clone(entries[0].key), ids: make([]uint64, len(entries)), unread: make([]uint64, (len(entries)+63)/64)}
	var last []byte
	size := 0
	for i := range entries {
		size += 4 + len(entries[i].key) - shared(last, entries[i].key)
		c.whole += len(entries[i].key)
		last = entries[i].key
	}
	c.keys = make([]byte, 0, size)
	last = nil
	for i := range entries {
		e := &entries[i]
		n := shared(last, e.key)
		c.keys = binary.AppendUvarint(binary.AppendUvarint(c.keys, uint64(n)), uint64(len(e.key)-n))
		c.keys = append(c.keys, e.key[n:]...)
		c.ids[i] = e.id
		if e.unread {
			c.unread[i/64] |= 1 << (i % 64)
		}
		if e.instance != 0 && c.instances == nil {
			c.instances = make([]uint32, len(entries))
		}
		if c.instances != nil {
			c.instances[i] = e.instance
		}
		last = e.key
	}
	return c
}

// shared is how many bytes two keys have in common at their beginning.
func shared(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func (c *chunk) len() int { return len(c.ids) }

func (c *chunk) instance(i int) uint32 {
	if c.instances == nil {
		return 0
	}
	return c.instances[i]
}

// size is about what a chunk takes in memory.
func (c *chunk) size() int {
	n := 176 + cap(c.first) + cap(c.keys) + 8*len(c.ids) + 4*len(c.instances) + 8*len(c.unread)
	if d := c.digest.Load(); d != nil {
		n += 120 + 6*cap(d.parts) + 8*cap(d.ids) + 8*cap(d.ranks) + 2*cap(d.tops) + cap(d.last)
	}
	return n
}

// open appends the entries of the chunk.
func (c *chunk) open(dst []entry) []entry {
	dst = slices.Grow(dst, len(c.ids))
	arena := make([]byte, 0, c.whole)
	keys := c.keys
	var last []byte
	for i := range c.ids {
		n, a := binary.Uvarint(keys)
		more, b := binary.Uvarint(keys[a:])
		keys = keys[a+b:]
		start := len(arena)
		arena = append(append(arena, last[:n]...), keys[:more]...)
		keys = keys[more:]
		last = arena[start:len(arena):len(arena)]
		dst = append(dst, entry{last, c.ids[i], c.instance(i), c.unread[i/64]>>(i%64)&1 == 1})
	}
	return dst
}

// list is entries in order. It never changes: what replaces it shares the chunks that are as they were.
type list struct {
	chunks []*chunk
	starts []int // how many entries are in front of each chunk, and at the end how many there are
	// reversed: entries of equal keys are in descending order of ids.
	reversed bool
}

func (l *list) len() int {
	if len(l.starts) == 0 {
		return 0
	}
	return l.starts[len(l.starts)-1]
}

func (l *list) size() int {
	n := 0
	for _, c := range l.chunks {
		n += c.size() + 16
	}
	return n
}

func (l *list) compare(a, b *entry) int {
	if order := bytes.Compare(a.key, b.key); order != 0 {
		return order
	}
	order := cmp.Compare(a.id, b.id)
	if l.reversed {
		order = -order
	}
	if order != 0 {
		return order
	}
	return cmp.Compare(a.instance, b.instance)
}

// head is the first entry of a chunk.
func (c *chunk) head() entry { return entry{key: c.first, id: c.ids[0], instance: c.instance(0)} }

// chunkOf is the chunk in which an entry is or would be.
func (l *list) chunkOf(e *entry) int {
	i := sort.Search(len(l.chunks), func(i int) bool {
		head := l.chunks[i].head()
		return l.compare(&head, e) > 0
	})
	return max(i-1, 0)
}

// search is how many entries are in front of e.
func (l *list) search(e *entry) int {
	if len(l.chunks) == 0 {
		return 0
	}
	at := l.chunkOf(e)
	i, _ := slices.BinarySearchFunc(l.chunks[at].open(nil), *e, func(a, b entry) int { return l.compare(&a, &b) })
	return l.starts[at] + i
}

// at is the chunk that an entry is in, and where.
func (l *list) at(i int) (chunk, in int) {
	chunk = sort.Search(len(l.chunks), func(c int) bool { return l.starts[c+1] > i })
	return chunk, i - l.starts[chunk]
}

// entry is the i-th entry.
func (l *list) entry(i int) entry {
	c, in := l.at(i)
	return l.chunks[c].open(nil)[in]
}

// walk calls fn with the entries from the i-th on, or backward from the one in front of it, until it says stop.
func (l *list) walk(i int, backward bool, fn func(i int, e *entry) bool) {
	step := 1
	if backward {
		step, i = -1, i-1
	}
	for i >= 0 && i < l.len() {
		c, in := l.at(i)
		for page := l.chunks[c].open(nil); in >= 0 && in < len(page); in, i = in+step, i+step {
			if !fn(i, &page[in]) {
				return
			}
		}
	}
}

// merge is the list with entries added, which are in order, and without those of the ids that are gone. Of an id that is
// in both only what is added is there afterwards.
func (l *list) merge(added []entry, gone map[uint64]bool) *list {
	w := &listWriter{list: list{reversed: l.reversed}}
	for i, c := range l.chunks {
		mine := len(added)
		if i+1 < len(l.chunks) {
			next := l.chunks[i+1].head()
			mine, _ = slices.BinarySearchFunc(added, next, func(a, b entry) int { return l.compare(&a, &b) })
		}
		if mine == 0 && !c.holds(gone) && w.keep(c) {
			continue
		}
		w.join(c, added[:mine], gone)
		added = added[mine:]
	}
	w.add(added)
	w.flush(0)
	return w.finish()
}

func (c *chunk) holds(ids map[uint64]bool) bool {
	return len(ids) > 0 && slices.ContainsFunc(c.ids, func(id uint64) bool { return ids[id] })
}

// listWriter makes a list of entries that come in order.
type listWriter struct {
	list
	open    []entry // not in a chunk yet
	scratch []entry
}

// keep takes a chunk as it is, unless what is open in front of it is too little for a chunk of its own.
func (w *listWriter) keep(c *chunk) bool {
	if n := len(w.open); n > 0 && n < chunkEntries/4 {
		return false
	}
	w.flush(0)
	w.chunks = append(w.chunks, c)
	return true
}

// join adds what stays of a chunk together with new entries.
func (w *listWriter) join(c *chunk, added []entry, gone map[uint64]bool) {
	w.scratch = c.open(w.scratch[:0])
	for i := range w.scratch {
		e := &w.scratch[i]
		for len(added) > 0 && w.compare(&added[0], e) < 0 {
			w.open = append(w.open, added[0])
			added = added[1:]
		}
		if !gone[e.id] {
			w.open = append(w.open, *e)
		}
	}
	w.add(added)
}

func (w *listWriter) add(entries []entry) {
	w.open = append(w.open, entries...)
	w.flush(2 * chunkEntries)
}

// put adds one entry.
func (w *listWriter) put(e entry) {
	w.open = append(w.open, e)
	w.flush(2 * chunkEntries)
}

// flush makes chunks of the open entries while there are more than so many.
func (w *listWriter) flush(most int) {
	for len(w.open) > most {
		n := min(len(w.open), chunkEntries)
		if rest := len(w.open) - n; rest > 0 && rest < chunkEntries/4 {
			n = (n + rest) / 2
		}
		w.chunks = append(w.chunks, newChunk(w.open[:n]))
		w.open = w.open[n:]
	}
}

func (w *listWriter) finish() *list {
	w.starts = make([]int, len(w.chunks)+1)
	for i, c := range w.chunks {
		w.starts[i+1] = w.starts[i] + c.len()
	}
	return &list{w.chunks, w.starts, w.reversed}
}
