package query

import (
	"bytes"
	"cmp"
	"hash/fnv"
	"slices"
	"sort"

	"github.com/flotilla-mail/flotilla/exmdb"
)

// heading is a category: the rows of a view that have the values of the first columns in common.
type heading struct {
	id     uint64
	first  uint32 // of its rows
	rows   uint32
	unread uint32
	top    uint32 // the row with the largest of what orders the headings
	// from and to are its headings of the level below.
	from, to uint32
}

// outline is the headings of a view, whatever of them is open.
type outline struct {
	levels [][]heading // each in the order of the rows
	// shown and rank are the headings of a level in the order in which they are shown, and where each of them is there;
	// nil where that is the order of the rows.
	shown, rank [][]uint32
}

// outliner makes an outline in one pass over the entries.
type outliner struct {
	*outline
	spec *Spec
	last []byte     // key of the entry before
	ends []int      // of its categories
	max  [][][]byte // largest value below each heading, by level
}

func newOutline(s *Spec, rows *list) *outline {
	o := &outliner{outline: &outline{levels: make([][]heading, s.categories), shown: make([][]uint32, s.categories),
		rank: make([][]uint32, s.categories)}, spec: s, ends: make([]int, s.categories), max: make([][][]byte, s.categories)}
	rows.walk(0, false, func(i int, e *entry) bool {
		o.add(uint32(i), e)
		return true
	})
	for l := range o.levels {
		o.arrange(l)
	}
	return o.outline
}

func (o *outliner) add(i uint32, e *entry) {
	level := 0
	if o.last != nil {
		same := shared(o.last, e.key)
		for level < len(o.ends) && o.ends[level] <= same {
			level++
		}
	}
	o.last = e.key
	o.open(level, i, e.key)
	for l := range o.levels {
		h := &o.levels[l][len(o.levels[l])-1]
		h.rows++
		if e.unread {
			h.unread++
		}
	}
	o.compareTop(i, e.key)
}

// open begins headings from a level down.
func (o *outliner) open(level int, i uint32, key []byte) {
	at := 0
	if level > 0 {
		at = o.ends[level-1]
	}
	for l := level; l < len(o.levels); l++ {
		at = o.spec.columns[l].end(key, at)
		o.ends[l] = at
		below := 0
		if l+1 < len(o.levels) {
			below = len(o.levels[l+1])
		}
		o.levels[l] = append(o.levels[l], heading{id: headingID(l, key[:at]), first: i, top: i, from: uint32(below), to: uint32(below)})
		if o.spec.maxima[l].tag != 0 {
			o.max[l] = append(o.max[l], nil)
		}
		if l > 0 {
			o.levels[l-1][len(o.levels[l-1])-1].to++
		}
	}
}

// headingID is made of what the rows have in common, so it is the same wherever and whenever.
func headingID(level int, prefix []byte) uint64 {
	h := fnv.New64a()
	h.Write([]byte{byte(level)})
	h.Write(prefix)
	return exmdb.HeadingID(h.Sum64())
}

// compareTop holds an entry against the largest values so far, which stand in the key behind the columns.
func (o *outliner) compareTop(i uint32, key []byte) {
	at := -1
	for l := range o.max {
		m := o.spec.maxima[l]
		if m.tag == 0 {
			continue
		}
		if at < 0 {
			at = o.spec.columnsEnd(key)
		}
		end := m.end(key, at)
		last := len(o.max[l]) - 1
		order := bytes.Compare(key[at:end], o.max[l][last])
		if o.max[l][last] == nil || order != 0 && (order > 0) != m.descending {
			o.max[l][last], o.levels[l][last].top = key[at:end], i
		}
		at = end
	}
}

// columnsEnd is where the sort columns end in a key.
func (s *Spec) columnsEnd(key []byte) int {
	at := 0
	for _, c := range s.columns {
		at = c.end(key, at)
	}
	return at
}

// arrange orders the headings of a level by the largest values below them, those of one heading among themselves. The
// values have the category's direction already.
func (o *outliner) arrange(l int) {
	if o.spec.maxima[l].tag == 0 {
		return
	}
	n := len(o.levels[l])
	shown, rank := make([]uint32, n), make([]uint32, n)
	for i := range shown {
		shown[i] = uint32(i)
	}
	parents := []heading{{to: uint32(n)}}
	if l > 0 {
		parents = o.levels[l-1]
	}
	for _, p := range parents {
		slices.SortFunc(shown[p.from:p.to], func(a, b uint32) int {
			return cmp.Or(bytes.Compare(o.max[l][a], o.max[l][b]), cmp.Compare(a, b))
		})
	}
	for i, h := range shown {
		rank[h] = uint32(i)
	}
	o.shown[l], o.rank[l] = shown, rank
}

// size is about what the outline takes in memory.
func (o *outline) size() int {
	n := 0
	for l := range o.levels {
		n += 40*cap(o.levels[l]) + 4*cap(o.shown[l]) + 4*cap(o.rank[l])
	}
	return n
}

// at is the heading shown at a place of its level; place is where a heading is shown.
func (o *outline) at(l int, place uint32) uint32 {
	if o.shown[l] == nil {
		return place
	}
	return o.shown[l][place]
}

func (o *outline) place(l int, h uint32) uint32 {
	if o.rank[l] == nil {
		return h
	}
	return o.rank[l][h]
}

// holding is the heading of a level that a row is below, among those from one on.
func (o *outline) holding(l int, row uint32) uint32 {
	i := sort.Search(len(o.levels[l]), func(i int) bool { return o.levels[l][i].first > row })
	return uint32(i - 1)
}
