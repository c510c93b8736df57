package query

import (
	"cmp"
	"encoding/binary"
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

// digest is what an outline needs of a chunk. It is made once, so a view that has changed a little costs as much as it
// has headings, not as it has rows.
type digest struct {
	parts []part
	// ids are the headings above each part, by level; ranks and tops the largest of what orders the headings of each
	// level, and in which entry of the part it is.
	ids, ranks []uint64
	tops       []uint16
	last       []byte // key of the last entry
}

// part is entries of a chunk that are below the same headings. Level is the highest level on which they differ from those
// before; of the first part it says nothing.
type part struct {
	rows, unread uint16
	level        uint8
}

// digestChunk makes the digest of a chunk.
func (s *Spec) digestChunk(c *chunk) error {
	entries, err := c.open(nil)
	if err != nil {
		return err
	}
	d := new(digest)
	ends := make([]int, s.categories)
	for i, e := range entries {
		level := s.parting(d.last, e.key, ends)
		if i == 0 || level < s.categories {
			d.begin(e.key, level, ends)
		}
		p := &d.parts[len(d.parts)-1]
		d.rise(s, e.key, p.rows)
		p.rows++
		if e.unread {
			p.unread++
		}
		d.last = e.key
	}
	d.last = slices.Clone(d.last)
	c.digest.Store(d)
	return nil
}

// digest makes the digests of all chunks that have none, until the budget is spent.
func (s *Spec) digest(rows *list, budget Budget) (done bool, err error) {
	if s.categories == 0 {
		return true, nil
	}
	for _, c := range rows.chunks {
		if c.digest.Load() == nil {
			if err := s.digestChunk(c); err != nil || !budget() {
				return false, err
			}
		}
	}
	return true, nil
}

// parting is the highest level on which a key differs from the one before, and fills in where its categories end.
func (s *Spec) parting(last, key []byte, ends []int) int {
	level, at := s.categories, 0
	same := shared(last, key)
	for l := range ends {
		at = s.columns[l].end(key, at)
		if ends[l] = at; at > same && level == s.categories {
			level = l
		}
	}
	return level
}

func (d *digest) begin(key []byte, level int, ends []int) {
	d.parts = append(d.parts, part{level: uint8(level)})
	for l, end := range ends {
		d.ids = append(d.ids, headingID(l, key[:end]))
		d.ranks, d.tops = append(d.ranks, 0), append(d.tops, 0)
	}
}

// headingID is made of what the rows have in common, so it is the same wherever and whenever.
func headingID(level int, prefix []byte) uint64 {
	h := fnv.New64a()
	h.Write([]byte{byte(level)})
	h.Write(prefix)
	return exmdb.HeadingID(h.Sum64())
}

// rise holds an entry of the last part against the largest values so far; i is which of it.
func (d *digest) rise(s *Spec, key []byte, i uint16) {
	mine := len(d.ranks) - s.categories
	for l, m := range s.maxima {
		if m.tag == 0 {
			continue
		}
		if n := s.numberIn(key, m.at); n > d.ranks[mine+l] {
			d.ranks[mine+l], d.tops[mine+l] = n, i
		}
	}
}

// numberIn is a column of a key, which is a number or absent, as a number that orders as its values do.
func (s *Spec) numberIn(key []byte, column int) uint64 {
	at := 0
	for _, c := range s.columns[:column] {
		at = c.end(key, at)
	}
	invert := byte(0)
	if s.columns[column].descending {
		invert = 0xFF
	}
	if at+9 > len(key) || key[at]^invert != formNumber {
		return 0
	}
	n := binary.BigEndian.Uint64(key[at+1:])
	if invert != 0 {
		n = ^n
	}
	return max(n, 1)
}

// outliner makes an outline of digests.
type outliner struct {
	*outline
	spec  *Spec
	ranks [][]uint64 // by level, the largest value below each heading
}

// newOutline is the outline of rows of which all digests are made.
func newOutline(s *Spec, rows *list) *outline {
	o := &outliner{outline: &outline{levels: make([][]heading, s.categories), shown: make([][]uint32, s.categories),
		rank: make([][]uint32, s.categories)}, spec: s, ranks: make([][]uint64, s.categories)}
	parts := 0
	for _, c := range rows.chunks {
		parts += len(c.digest.Load().parts)
	}
	deepest := s.categories - 1
	o.levels[deepest], o.ranks[deepest] = make([]heading, 0, parts), make([]uint64, 0, parts)
	var last []byte
	ends := make([]int, s.categories)
	for i, c := range rows.chunks {
		d := c.digest.Load()
		o.add(d, rows.starts[i], s.parting(last, c.first, ends))
		last = d.last
	}
	for l := range o.levels {
		o.arrange(l)
	}
	return o.outline
}

// add puts the parts of a chunk, which begins at a row, behind those before; level is where its first part differs.
func (o *outliner) add(d *digest, row, level int) {
	levels := o.spec.categories
	if row == 0 {
		level = 0
	}
	for i := range d.parts {
		p := &d.parts[i]
		if i > 0 {
			level = int(p.level)
		}
		for l := level; l < levels; l++ {
			o.open(l, d.ids[i*levels+l], uint32(row))
		}
		for l := range levels {
			last := len(o.levels[l]) - 1
			h := &o.levels[l][last]
			h.rows += uint32(p.rows)
			h.unread += uint32(p.unread)
			if n := d.ranks[i*levels+l]; n > o.ranks[l][last] {
				o.ranks[l][last], h.top = n, uint32(row)+uint32(d.tops[i*levels+l])
			}
		}
		row += int(p.rows)
	}
}

// open begins a heading.
func (o *outliner) open(l int, id uint64, row uint32) {
	below := 0
	if l+1 < len(o.levels) {
		below = len(o.levels[l+1])
	}
	o.levels[l] = append(o.levels[l], heading{id: id, first: row, top: row, from: uint32(below), to: uint32(below)})
	o.ranks[l] = append(o.ranks[l], 0)
	if l > 0 {
		o.levels[l-1][len(o.levels[l-1])-1].to++
	}
}

// arrange orders the headings of a level by the largest values below them, those of one heading among themselves, in the
// direction of the category.
func (o *outliner) arrange(l int) {
	if o.spec.maxima[l].tag == 0 {
		return
	}
	type ranked struct {
		rank uint64
		h    uint32
	}
	n := len(o.levels[l])
	order := make([]ranked, n)
	for i := range order {
		order[i] = ranked{o.ranks[l][i], uint32(i)}
		if o.spec.columns[l].descending {
			order[i].rank = ^order[i].rank
		}
	}
	parents := []heading{{to: uint32(n)}}
	if l > 0 {
		parents = o.levels[l-1]
	}
	for _, p := range parents {
		slices.SortFunc(order[p.from:p.to], func(a, b ranked) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.h, b.h)) })
	}
	shown, rank := make([]uint32, n), make([]uint32, n)
	for i, r := range order {
		shown[i], rank[r.h] = r.h, uint32(i)
	}
	o.shown[l], o.rank[l] = shown, rank
}

// size is about what the outline takes in memory.
func (o *outline) size() int {
	n := 0
	for l := range o.levels {
		n += 32*cap(o.levels[l]) + 4*cap(o.shown[l]) + 4*cap(o.rank[l])
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

// holding is the heading of a level that a row is below.
func (o *outline) holding(l int, row uint32) uint32 {
	i := sort.Search(len(o.levels[l]), func(i int) bool { return o.levels[l][i].first > row })
	return uint32(i - 1)
}
