package query

import (
	"bytes"
	"sort"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Table is rows in an order, headings among them, as the ops ask it.
type Table interface {
	// Len is how many rows are shown.
	Len() int
	// Locate is how many rows are in front of a place; there says whether the place's row is shown.
	Locate(p *Place) (index int, there bool, err error)
	// Instances are where the rows of an object are shown, by instance, -1 where one is not.
	Instances(r Row) ([]int, error)
	// Heading is where the heading of an id is shown.
	Heading(id uint64) (index int, there bool)
	// Bound is how many rows are surely in front of the first whose property is v or orders behind it; false if the
	// table is not in order of the property.
	Bound(t mapi.Tag, v mapi.Value) (index int, ok bool, err error)
	// Walk calls fn with the rows from index on, or backward from the one in front of it, until it says stop.
	Walk(index int, backward bool, fn func(index int, it *Item) (more bool, err error)) error
}

// Item is a row as it is shown.
type Item struct {
	ID exmdb.TableRowID
	// Heading is nil for an object, which is Row where the table has read it.
	Heading *Heading
	Row     Row
	Place   Place
}

// Heading is a category as it is shown.
type Heading struct {
	Level        int
	Open         bool
	Rows, Unread int
	// First is a row below it, and Top that with the largest of what orders the headings.
	First, Top exmdb.TableRowID
}

// Place is between two rows of a table, whatever comes and goes: in front of or behind a row, told by its values. The
// zero Place is the beginning. It is sent to clients, who give it back, and coded by internal/wire.
type Place struct {
	// End is behind all rows. Behind is behind the row, not in front of it.
	End    bool `wire:"1"`
	Behind bool `wire:"2"`
	// Level counts from 1 for a heading, and is 0 for an object.
	Level    uint8  `wire:"3"`
	ID       uint64 `wire:"4"`
	Instance uint32 `wire:"5"`
	// Key is the row's sort key, of a heading what all rows below it have in common.
	Key []byte `wire:"6"`
	// Index is how many rows were in front of the row, for when nothing of it is left.
	Index uint32 `wire:"7"`
}

// Append adds what a client is given of the place.
func (p *Place) Append(dst []byte) []byte { return wire.Append(dst, p) }

// ParsePlace reads what a client has of a place.
func ParsePlace(b []byte) (*Place, error) {
	p := new(Place)
	if err := wire.Unmarshal(b, p); err != nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "place: %v", err)
	}
	return p, nil
}

// View is the rows of a specification in one state.
type View struct {
	Stamp mapi.Stamp
	spec  *Spec // of whoever asked first: rows and order, not what is open
	rows  *list

	mu      sync.Mutex
	outline *outline   // guarded by mu; nil before it is first needed
	last    *shownView // guarded by mu: what was asked for last
}

// headings is the outline, made when it is first needed.
func (v *View) headings() *outline {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.outline == nil {
		v.outline = newOutline(v.spec, v.rows)
	}
	return v.outline
}

// size is about what the view takes in memory beside a list that is counted already.
func (v *View) size(counted *list) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	if v.rows != counted {
		n = v.rows.size()
	}
	if v.outline != nil {
		n += v.outline.size()
	}
	if v.last != nil {
		n += v.last.size()
	}
	return n
}

// Shown is the view as a table, with the headings open that s says.
func (v *View) Shown(s *Spec) Table {
	if s.categories == 0 {
		return &shownView{View: v, opened: s}
	}
	o := v.headings()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last == nil || !v.last.opened.opensLike(s) {
		v.last = &shownView{View: v, opened: s, o: o}
		v.last.count()
	}
	return v.last
}

// opensLike reports whether two specifications open the same headings.
func (s *Spec) opensLike(other *Spec) bool {
	if s.expanded != other.expanded || len(s.toggled) != len(other.toggled) {
		return false
	}
	for id := range s.toggled {
		if !other.toggled[id] {
			return false
		}
	}
	return true
}

// shownView is a view with some of its headings open.
type shownView struct {
	*View
	opened *Spec
	o      *outline // nil without categories
	// before is, by level and place there, how many rows the headings in front of it take, those of closed headings
	// too; and at the end all of them.
	before [][]uint32
}

func (t *shownView) size() int {
	n := 0
	for _, b := range t.before {
		n += 4 * cap(b)
	}
	return n
}

// isOpen reports whether a heading is open.
func (t *shownView) isOpen(l int, h uint32) bool {
	return (l < t.opened.expanded) != t.opened.toggled[t.o.levels[l][h].id]
}

// takes is how many rows a heading takes, with itself.
func (t *shownView) takes(l int, h uint32) uint32 {
	if !t.isOpen(l, h) {
		return 1
	}
	of := &t.o.levels[l][h]
	if l+1 == len(t.o.levels) {
		return 1 + of.rows
	}
	return 1 + t.before[l+1][of.to] - t.before[l+1][of.from]
}

func (t *shownView) count() {
	t.before = make([][]uint32, len(t.o.levels))
	for l := len(t.o.levels) - 1; l >= 0; l-- {
		n := len(t.o.levels[l])
		t.before[l] = make([]uint32, n+1)
		for place := range uint32(n) {
			t.before[l][place+1] = t.before[l][place] + t.takes(l, t.o.at(l, place))
		}
	}
}

// Len implements Table.
func (t *shownView) Len() int {
	if t.o == nil {
		return t.rows.len()
	}
	top := t.before[0]
	return int(top[len(top)-1])
}

// prefix is what the rows below a heading have in common.
func (t *shownView) prefix(l int, key []byte) []byte {
	at := 0
	for i := 0; i <= l; i++ {
		at = t.spec.columns[i].end(key, at)
	}
	return key[:at]
}

// Locate implements Table.
func (t *shownView) Locate(p *Place) (int, bool, error) {
	if p.End {
		return t.Len(), true, nil
	}
	if len(p.Key) == 0 && p.ID == 0 {
		return 0, true, nil
	}
	if p.Level > uint8(t.spec.categories) {
		return 0, false, cluster.Errorf(cluster.KindBadRequest, "a place of level %d", p.Level)
	}
	e := entry{key: p.Key, id: p.ID, instance: p.Instance}
	if t.opened.turned {
		e.key = t.opened.turnKey(e.key, true)
	}
	if p.Level > 0 {
		e = t.rows.before(p.Key)
	}
	row, err := t.rows.search(&e)
	if err != nil {
		return 0, false, err
	}
	index, there, err := t.shownAt(row, &e, p)
	if there && p.Behind {
		index++
	}
	return index, there, err
}

// before is in front of all entries whose keys begin with one.
func (l *list) before(key []byte) entry {
	e := entry{key: key}
	if l.reversed {
		e.id = 1<<64 - 1
	}
	return e
}

// shownAt is where a place is shown that is in front of a row of the list, which may be its own; e is the place in the list.
func (t *shownView) shownAt(row int, e *entry, p *Place) (index int, there bool, err error) {
	var found entry
	if row < t.rows.len() {
		if found, err = t.rows.entry(row); err != nil {
			return 0, false, err
		}
	}
	same := row < t.rows.len() && t.rows.compare(&found, e) == 0
	switch {
	case t.opened.turned:
		index, err = t.turnedPlace(row, e)
		return index, same, err
	case t.o == nil:
		return row, same, nil
	case row == t.rows.len():
		return t.Len(), false, nil
	}
	index, there = t.shownUnder(row, found.key, p)
	return index, there && (same || p.Level > 0), nil
}

// shownUnder is where under headings the row behind a place is shown, which has a key, or what is shown next; there says whether it is
// below the place's headings.
func (t *shownView) shownUnder(row int, key []byte, p *Place) (index int, there bool) {
	levels := t.spec.categories
	if p.Level > 0 {
		levels = int(p.Level)
	}
	for l := range levels {
		if bytes.HasPrefix(p.Key, t.prefix(l, key)) {
			continue
		}
		// Nothing is left below the place's heading of this level. Where headings are in order of their rows the next
		// one is behind the place.
		if t.o.shown[l] != nil {
			return min(int(p.Index), t.Len()), false
		}
		index, _ = t.headingAt(l, t.o.holding(l, uint32(row)))
		return index, false
	}
	if p.Level > 0 {
		return t.headingAt(levels-1, t.o.holding(levels-1, uint32(row)))
	}
	return t.rowAt(uint32(row))
}

// headingAt is where a heading is shown, or what is shown next where one above it is closed.
func (t *shownView) headingAt(l int, h uint32) (index int, there bool) {
	return t.descend(t.o.levels[l][h].first, l)
}

// rowAt is where a row is shown, or what is shown next where a heading above it is closed.
func (t *shownView) rowAt(row uint32) (index int, there bool) {
	last := t.spec.categories - 1
	index, there = t.descend(row, last)
	h := t.o.holding(last, row)
	if !there {
		return index, false
	}
	if !t.isOpen(last, h) {
		return index + 1, false
	}
	return index + 1 + int(row-t.o.levels[last][h].first), true
}

// descend is where the heading of a level above a row is shown, or what is shown next.
func (t *shownView) descend(row uint32, level int) (index int, there bool) {
	from := uint32(0)
	for l := 0; ; l++ {
		h := t.o.holding(l, row)
		index += int(t.before[l][t.o.place(l, h)] - t.before[l][from])
		if l == level {
			return index, true
		}
		if index++; !t.isOpen(l, h) {
			return index, false
		}
		from = t.o.levels[l][h].from
	}
}

// Instances implements Table.
func (t *shownView) Instances(r Row) ([]int, error) {
	entries, _ := t.spec.entries(nil, nil, r, nil)
	var at []int
	for i := range entries {
		index, err := t.instance(&entries[i])
		if err != nil {
			return nil, err
		}
		at = append(at, index)
	}
	return at, r.Err()
}

// instance is where an entry is shown, -1 if it is not.
func (t *shownView) instance(e *entry) (int, error) {
	row, err := t.rows.search(e)
	if err != nil || row == t.rows.len() {
		return -1, err
	}
	found, err := t.rows.entry(row)
	if err != nil || t.rows.compare(&found, e) != 0 {
		return -1, err
	}
	if t.opened.turned {
		return t.turnedPlace(row, e)
	}
	return t.visible(row), nil
}

// visible is where a row is shown, -1 if it is not.
func (t *shownView) visible(row int) int {
	if t.o == nil {
		return row
	}
	if index, there := t.rowAt(uint32(row)); there {
		return index
	}
	return -1
}

// Heading implements Table.
func (t *shownView) Heading(id uint64) (int, bool) {
	if t.o == nil {
		return 0, false
	}
	for l, level := range t.o.levels {
		for h := range level {
			if level[h].id == id {
				return t.headingAt(l, uint32(h))
			}
		}
	}
	return 0, false
}

// Bound implements Table.
func (t *shownView) Bound(tag mapi.Tag, v mapi.Value) (int, bool, error) {
	if t.o != nil || len(t.spec.columns) == 0 {
		return 0, false, nil
	}
	c := t.spec.columns[0]
	if c.tag.WithType(c.tag.Type().Element()) != tag || c.tag.Type().Multi() && !c.spread {
		return 0, false, nil
	}
	e := t.rows.before(c.bound(v))
	if t.opened.turned { // those in front are behind all that are v or begin like it
		e = t.rows.before(after(e.key))
	}
	row, err := t.rows.search(&e)
	if t.opened.turned {
		row = t.rows.len() - row
	}
	return row, true, err
}

// Walk implements Table.
func (t *shownView) Walk(index int, backward bool, fn func(int, *Item) (bool, error)) error {
	if backward {
		index--
	}
	w := pages{list: t.rows, chunk: -1}
	for index >= 0 && index < t.Len() {
		it, err := t.item(&w, index)
		if err != nil {
			return err
		}
		if more, err := fn(index, &it); err != nil || !more {
			return err
		}
		if backward {
			index--
		} else {
			index++
		}
	}
	return nil
}

// pages reads entries of a list that are mostly side by side.
type pages struct {
	*list
	chunk int
	open  []entry
	// from and to are the group of turned rows that was found last.
	from, to int
}

func (p *pages) entry(i int) (*entry, error) {
	if p.chunk < 0 || i < p.starts[p.chunk] || i >= p.starts[p.chunk+1] {
		c, _ := p.at(i)
		open, err := p.chunks[c].open(nil)
		if err != nil {
			return nil, err
		}
		p.chunk, p.open = c, open
	}
	return &p.open[i-p.starts[p.chunk]], nil
}

func (p *pages) id(row uint32) (exmdb.TableRowID, error) {
	e, err := p.entry(int(row))
	if err != nil {
		return exmdb.TableRowID{}, err
	}
	return exmdb.TableRowID{ID: e.id, Instance: e.instance}, nil
}

func (t *shownView) item(w *pages, index int) (Item, error) {
	if t.opened.turned {
		return t.turnedItem(w, index)
	}
	if t.o == nil {
		return t.object(w, index, index)
	}
	rest, from, to := uint32(index), uint32(0), uint32(len(t.o.levels[0]))
	for l := 0; ; l++ {
		before := t.before[l]
		place := from + uint32(sort.Search(int(to-from), func(i int) bool { return before[from+uint32(i)+1]-before[from] > rest }))
		h := t.o.at(l, place)
		rest -= before[place] - before[from]
		if rest == 0 {
			return t.category(w, l, h, index)
		}
		rest--
		of := &t.o.levels[l][h]
		if l+1 == len(t.o.levels) {
			return t.object(w, int(of.first+rest), index)
		}
		from, to = of.from, of.to
	}
}

func (t *shownView) object(w *pages, row, index int) (Item, error) {
	e, err := w.entry(row)
	if err != nil {
		return Item{}, err
	}
	return Item{ID: exmdb.TableRowID{ID: e.id, Instance: e.instance},
		Place: Place{ID: e.id, Instance: e.instance, Key: e.key, Index: uint32(index)}}, nil
}

func (t *shownView) category(w *pages, l int, h uint32, index int) (Item, error) {
	of := &t.o.levels[l][h]
	top, err := w.id(of.top)
	if err != nil {
		return Item{}, err
	}
	e, err := w.entry(int(of.first))
	if err != nil {
		return Item{}, err
	}
	heading := &Heading{Level: l, Open: t.isOpen(l, h), Rows: int(of.rows), Unread: int(of.unread),
		First: exmdb.TableRowID{ID: e.id, Instance: e.instance}, Top: top}
	return Item{ID: exmdb.TableRowID{ID: of.id}, Heading: heading,
		Place: Place{Level: uint8(l) + 1, ID: of.id, Key: t.prefix(l, e.key), Index: uint32(index)}}, nil
}
