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

// chunk is a run of a list's entries. It never changes; what is in it is read when somebody asks, if it is kept in a file.
type chunk struct {
	first    []byte // key of the first entry
	id       uint64 // of the first entry
	instance uint32
	n        int // entries
	body     atomic.Pointer[body]
	kept     *keptChunk // where the body is, nil if it is nowhere else
	digest   atomic.Pointer[digest]
}

// body is what is in a chunk. Keys are stored as what they share with the one before, so a folder sorted by sender costs a few
// bytes a row.
type body struct {
	keys      []byte
	whole     int // bytes of all keys, unshared
	ids       []uint64
	instances []uint32 // nil when all are 0
	unread    []uint64 // bits
}

func newChunk(entries []entry) *chunk {
	c := &chunk{first: bytes.Clone(entries[0].key), id: entries[0].id, instance: entries[0].instance, n: len(entries)}
	c.body.Store(newBody(entries))
	return c
}

func newBody(entries []entry) *body {
	b := &body{ids: make([]uint64, len(entries)), unread: make([]uint64, (len(entries)+63)/64)}
	var last []byte
	size := 0
	for i := range entries {
		size += 4 + len(entries[i].key) - shared(last, entries[i].key)
		b.whole += len(entries[i].key)
		last = entries[i].key
	}
	b.keys = make([]byte, 0, size)
	last = nil
	for i := range entries {
		e := &entries[i]
		n := shared(last, e.key)
		b.keys = binary.AppendUvarint(binary.AppendUvarint(b.keys, uint64(n)), uint64(len(e.key)-n))
		b.keys = append(b.keys, e.key[n:]...)
		b.ids[i] = e.id
		if e.unread {
			b.unread[i/64] |= 1 << (i % 64)
		}
		if e.instance != 0 && b.instances == nil {
			b.instances = make([]uint32, len(entries))
		}
		if b.instances != nil {
			b.instances[i] = e.instance
		}
		last = e.key
	}
	return b
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

// size is about what a chunk takes in memory.
func (c *chunk) size() int {
	n := 176 + cap(c.first)
	if b := c.body.Load(); b != nil {
		n += cap(b.keys) + 8*len(b.ids) + 4*len(b.instances) + 8*len(b.unread)
	}
	if d := c.digest.Load(); d != nil {
		n += 120 + 6*cap(d.parts) + 8*cap(d.ids) + 8*cap(d.ranks) + 2*cap(d.tops) + cap(d.last)
	}
	return n
}

// load is what is in the chunk.
func (c *chunk) load() (*body, error) {
	if b := c.body.Load(); b != nil {
		return b, nil
	}
	b, err := c.kept.body(c.n)
	if err == nil {
		c.body.Store(b)
	}
	return b, err
}

// open appends the entries of the chunk.
func (c *chunk) open(dst []entry) ([]entry, error) {
	b, err := c.load()
	if err != nil {
		return nil, err
	}
	return b.open(dst), nil
}

func (b *body) instance(i int) uint32 {
	if b.instances == nil {
		return 0
	}
	return b.instances[i]
}

// open appends the entries.
func (b *body) open(dst []entry) []entry {
	dst = slices.Grow(dst, len(b.ids))
	arena := make([]byte, 0, b.whole)
	keys := b.keys
	var last []byte
	for i := range b.ids {
		n, x := binary.Uvarint(keys)
		more, y := binary.Uvarint(keys[x:])
		keys = keys[x+y:]
		start := len(arena)
		arena = append(append(arena, last[:n]...), keys[:more]...)
		keys = keys[more:]
		last = arena[start:len(arena):len(arena)]
		dst = append(dst, entry{last, b.ids[i], b.instance(i), b.unread[i/64]>>(i%64)&1 == 1})
	}
	return dst
}

// list is entries in order. It never changes: what replaces it shares the chunks that are as they were.
type list struct {
	chunks []*chunk
	starts []int // how many entries are in front of each chunk, and at the end how many there are
	// reversed: entries of equal keys are in descending order of ids.
	reversed bool
	// kept is where those chunks are from that are kept in a file, nil if none is.
	kept *keptRows
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
	if l.kept != nil {
		n += l.kept.size()
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
func (c *chunk) head() entry { return entry{key: c.first, id: c.id, instance: c.instance} }

// chunkOf is the chunk in which an entry is or would be.
func (l *list) chunkOf(e *entry) int {
	i := sort.Search(len(l.chunks), func(i int) bool {
		head := l.chunks[i].head()
		return l.compare(&head, e) > 0
	})
	return max(i-1, 0)
}

// search is how many entries are in front of e.
func (l *list) search(e *entry) (int, error) {
	if len(l.chunks) == 0 {
		return 0, nil
	}
	at := l.chunkOf(e)
	entries, err := l.chunks[at].open(nil)
	i, _ := slices.BinarySearchFunc(entries, *e, func(a, b entry) int { return l.compare(&a, &b) })
	return l.starts[at] + i, err
}

// at is the chunk that an entry is in, and where.
func (l *list) at(i int) (chunk, in int) {
	chunk = sort.Search(len(l.chunks), func(c int) bool { return l.starts[c+1] > i })
	return chunk, i - l.starts[chunk]
}

// entry is the i-th entry.
func (l *list) entry(i int) (entry, error) {
	c, in := l.at(i)
	entries, err := l.chunks[c].open(nil)
	if err != nil {
		return entry{}, err
	}
	return entries[in], nil
}

// walk calls fn with the entries from the i-th on, or backward from the one in front of it, until it says stop.
func (l *list) walk(i int, backward bool, fn func(i int, e *entry) bool) error {
	step := 1
	if backward {
		step, i = -1, i-1
	}
	for i >= 0 && i < l.len() {
		c, in := l.at(i)
		page, err := l.chunks[c].open(nil)
		if err != nil {
			return err
		}
		for ; in >= 0 && in < len(page); in, i = in+step, i+step {
			if !fn(i, &page[in]) {
				return nil
			}
		}
	}
	return nil
}

// merge is the list with entries added, which are in order, and without those of the ids that are gone. Of an id that is
// in both only what is added is there afterwards.
func (l *list) merge(added []entry, gone map[uint64]bool) (*list, error) {
	w := &listWriter{list: list{reversed: l.reversed, kept: l.kept}}
	holds, err := l.holding(gone)
	if err != nil {
		return nil, err
	}
	for i, c := range l.chunks {
		mine := len(added)
		if i+1 < len(l.chunks) {
			next := l.chunks[i+1].head()
			mine, _ = slices.BinarySearchFunc(added, next, func(a, b entry) int { return l.compare(&a, &b) })
		}
		if mine == 0 && !holds(c) && w.keep(c) {
			continue
		}
		if err := w.join(c, added[:mine], gone); err != nil {
			return nil, err
		}
		added = added[mine:]
	}
	w.add(added)
	w.flush(0)
	return w.finish(), nil
}

// holding tells which chunks hold entries of some ids. Those that are kept in a file are not read for that.
func (l *list) holding(ids map[uint64]bool) (func(c *chunk) bool, error) {
	var kept []bool
	if l.kept != nil {
		var err error
		if kept, err = l.kept.holding(ids); err != nil {
			return nil, err
		}
	}
	// Most ids of a list are none of these, and few bits tell it.
	var bits [64]uint64
	for id := range ids {
		bits[id>>6&63] |= 1 << (id & 63)
	}
	return func(c *chunk) bool {
		if c.kept != nil {
			return kept[c.kept.number]
		}
		for _, id := range c.body.Load().ids {
			if bits[id>>6&63]>>(id&63)&1 == 1 && ids[id] {
				return true
			}
		}
		return false
	}, nil
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
func (w *listWriter) join(c *chunk, added []entry, gone map[uint64]bool) (err error) {
	if w.scratch, err = c.open(w.scratch[:0]); err != nil {
		return err
	}
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
	return nil
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
		w.starts[i+1] = w.starts[i] + c.n
	}
	return &list{w.chunks, w.starts, w.reversed, w.kept}
}
