package query

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// The properties that the objects of these tests have.
const (
	name  = mapi.PidTagSubject
	size  = mapi.PidTagMessageSize
	when  = mapi.PidTagMessageDeliveryTime
	words = mapi.Tag(0x8001_0000 | mapi.Tag(mapi.TypeMultiString))
	big   = mapi.PidTagHasAttachments
)

const eachWord = words | mapi.Tag(mapi.MultiInstance)

// thing is an object with what it has.
type thing struct {
	id     uint64
	props  map[mapi.Tag]mapi.Value
	unread bool
	err    error
}

func (r *thing) Get(t mapi.Tag) mapi.Value { return r.props[t] }
func (r *thing) ID() uint64                { return r.id }
func (r *thing) Unread() bool              { return r.unread }
func (r *thing) Natural() []byte           { return nil }
func (r *thing) Err() error                { return r.err }
func (r *thing) Column(t mapi.Tag, most int) (mapi.Prop, bool) {
	v := r.props[t]
	if s, is := v.(mapi.String); is && len(s) > most {
		v = s[:most]
	}
	return mapi.Prop{Tag: t, Value: v}, v != nil
}

// world is a Source that a test edits.
type world struct {
	things map[uint64]*thing
	stamp  mapi.Stamp
	log    []Touched // without rows
	floor  mapi.Stamp
}

func newWorld() *world { return &world{things: make(map[uint64]*thing), stamp: 1} }

func (w *world) Stamp() mapi.Stamp { return w.stamp }
func (w *world) Len() int          { return len(w.things) }

func (w *world) Scan(from Mark, fn func(Row, Mark) (bool, error)) error {
	for _, id := range slices.Sorted(maps.Keys(w.things)) {
		if id < from.Minor {
			continue
		}
		if id%3 == 0 { // a place without a row in front of it
			if more, err := fn(nil, Mark{Minor: id}); err != nil || !more {
				return err
			}
		}
		if more, err := fn(w.things[id], Mark{Minor: id + 1}); err != nil || !more {
			return err
		}
	}
	return nil
}

func (w *world) Since(after mapi.Stamp, fn func(Touched) (bool, error)) error {
	if after < w.floor {
		return ErrForgotten
	}
	for _, t := range w.log {
		if t.Stamp <= after {
			continue
		}
		if r := w.things[t.ID]; r != nil {
			t.Row = r
		}
		if more, err := fn(t); err != nil || !more {
			return err
		}
	}
	return nil
}

func (w *world) Row(id uint64) (Row, error) {
	if r := w.things[id]; r != nil {
		return r, nil
	}
	return nil, nil
}

// set makes an object what it says, or takes it away.
func (w *world) set(id uint64, r *thing) {
	w.stamp++
	w.log = append(w.log, Touched{Stamp: w.stamp, ID: id, New: w.things[id] == nil})
	if r == nil {
		delete(w.things, id)
		return
	}
	r.id = id
	w.things[id] = r
}

// drawThing draws an object with few different values, so that many are equal.
func drawThing(t *rapid.T) *thing {
	r := &thing{props: make(map[mapi.Tag]mapi.Value), unread: rapid.Bool().Draw(t, "unread")}
	if s := rapid.SampledFrom([]string{"", "-", "Ann", "ann", "Bob", "bo", strings.Repeat("long ", 20) + "a"}).Draw(t, "name"); s != "-" {
		r.props[name] = mapi.String(s)
	}
	r.props[size] = mapi.Integer32(rapid.Int32Range(0, 3).Draw(t, "size"))
	r.props[when] = mapi.FileTime(rapid.Uint64Range(1, 50).Draw(t, "when"))
	if n := rapid.IntRange(0, 3).Draw(t, "words"); n > 0 {
		r.props[words] = mapi.Strings(rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"red", "Blue", "work"}), n, n, rapid.ID).Draw(t, "list"))
	}
	if rapid.Bool().Draw(t, "has") {
		r.props[big] = mapi.Boolean(rapid.Bool().Draw(t, "big"))
	}
	return r
}

// drawSpec draws a specification, all kinds of orders and headings.
func drawSpec(t *rapid.T) *exmdb.TableSpec {
	s := &exmdb.TableSpec{Restriction: drawRestriction(t)}
	tags := rapid.SliceOfNDistinct(rapid.SampledFrom([]mapi.Tag{name, size, when, words, eachWord, big}), 0, 3, mapi.Tag.ID).Draw(t, "sorted by")
	categories := rapid.IntRange(0, len(tags)).Draw(t, "categories")
	for i, tag := range tags {
		o := mapi.SortOrder{Tag: tag, Direction: mapi.SortDirection(rapid.IntRange(0, 1).Draw(t, "direction"))}
		s.Sort.Orders = append(s.Sort.Orders, o)
		if i < categories && rapid.IntRange(0, 2).Draw(t, "by the largest") == 0 {
			s.Sort.Orders = append(s.Sort.Orders, mapi.SortOrder{Tag: when, Direction: mapi.SortMaximumCategory})
		}
	}
	s.Sort.Categories = uint16(categories)
	s.Sort.Expanded = uint16(rapid.IntRange(0, categories).Draw(t, "expanded"))
	if !slices.Contains(tags, eachWord) && rapid.IntRange(0, 3).Draw(t, "spread") == 0 {
		s.Spread = eachWord
	}
	return s
}

func drawRestriction(t *rapid.T) []byte {
	wanted := mapi.Restriction(&mapi.PropertyRestriction{Op: mapi.RelOp(rapid.IntRange(0, 5).Draw(t, "relation")), Tag: size,
		Value: mapi.Prop{Tag: size, Value: mapi.Integer32(rapid.Int32Range(0, 3).Draw(t, "against"))}})
	switch rapid.IntRange(0, 5).Draw(t, "restriction") {
	case 0, 1:
		return nil
	case 2:
		wanted = mapi.OrRestriction{wanted, &mapi.ContentRestriction{Fuzzy: mapi.FuzzyPrefix | mapi.FuzzyIgnoreCase, Tag: name,
			Value: mapi.Prop{Tag: name, Value: mapi.String("A")}}}
	case 3:
		wanted = mapi.AndRestriction{&mapi.NotRestriction{Of: &mapi.ExistRestriction{Tag: big}}, wanted}
	case 4:
		wanted = &mapi.CountRestriction{Count: rapid.Uint32Range(0, 9).Draw(t, "count"), Of: wanted}
	}
	return oxcdata.AppendRestriction(nil, wanted)
}

// modelRow is a row as it is to be shown.
type modelRow struct {
	id           uint64
	instance     uint32
	path         string // of a heading, what the rows have in common
	level        int
	open         bool
	rows, unread int
	values       []mapi.Value // of the categories
	max          mapi.Value
}

// modelEntry is an object's instance.
type modelEntry struct {
	*thing
	instance uint32
	values   []mapi.Value
}

// model makes tables the plain way: all rows, sorted, then grouped.
type model struct {
	*exmdb.TableSpec
	columns []mapi.SortOrder
	maxima  []bool
	toggled map[string]bool
}

func newModel(s *exmdb.TableSpec) *model {
	m := &model{TableSpec: s, toggled: make(map[string]bool)}
	for _, o := range s.Sort.Orders {
		if o.Direction == mapi.SortMaximumCategory {
			m.maxima[len(m.maxima)-1] = true
			continue
		}
		m.columns, m.maxima = append(m.columns, o), append(m.maxima, false)
	}
	return m
}

func (m *model) compare(a, b modelEntry) int {
	reversed := false
	for i, o := range m.columns {
		order := mapi.CompareForSort(a.values[i], b.values[i])
		if reversed = o.Direction == mapi.SortDescending; reversed {
			order = -order
		}
		if order != 0 {
			return order
		}
	}
	for i, is := range m.maxima {
		order := mapi.CompareForSort(a.props[when], b.props[when])
		if m.columns[i].Direction == mapi.SortDescending {
			order = -order
		}
		if is && order != 0 {
			return order
		}
	}
	order := cmp.Compare(a.id, b.id)
	if reversed {
		order = -order
	}
	return cmp.Or(order, cmp.Compare(a.instance, b.instance))
}

func (m *model) instancesOf(r *thing) (list []modelEntry) {
	spread := m.Spread
	for _, o := range m.columns {
		if o.Tag == eachWord {
			spread = eachWord
		}
	}
	n := 1
	if spread != 0 {
		n = max(1, len(mapi.Elements(r.props[words])))
	}
	for i := range n {
		e := modelEntry{thing: r, instance: uint32(i)}
		for _, o := range m.columns {
			v := r.props[o.Tag&^mapi.Tag(mapi.MultiInstance)]
			if o.Tag == eachWord {
				v = element(v, uint32(i))
			}
			e.values = append(e.values, v)
		}
		list = append(list, e)
	}
	return list
}

func (m *model) entries(w *world) []modelEntry {
	var all []modelEntry
	for _, r := range w.things {
		all = append(all, m.instancesOf(r)...)
	}
	slices.SortFunc(all, m.compare)
	if len(m.Restriction) == 0 {
		return all
	}
	r, err := oxcdata.ParseRestriction(m.Restriction)
	if err != nil {
		panic(err)
	}
	match := mapi.ForOneWalk(r)
	return slices.DeleteFunc(all, func(e modelEntry) bool { return !match.Match(e.thing) })
}

func (m *model) table(w *world) []modelRow { return m.group(m.entries(w), 0, "") }

func (m *model) group(list []modelEntry, level int, path string) (rows []modelRow) {
	if level == int(m.Sort.Categories) {
		for _, e := range list {
			rows = append(rows, modelRow{id: e.id, instance: e.instance})
		}
		return rows
	}
	var groups [][]modelEntry
	for i, e := range list {
		if i == 0 || mapi.CompareForSort(e.values[level], list[i-1].values[level]) != 0 {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], e)
	}
	if m.maxima[level] {
		slices.SortStableFunc(groups, func(a, b []modelEntry) int {
			order := mapi.CompareForSort(largest(a), largest(b))
			if m.columns[level].Direction == mapi.SortDescending {
				return -order
			}
			return order
		})
	}
	for _, g := range groups {
		h := modelRow{level: level, rows: len(g), values: g[0].values[:level+1]}
		h.path = fmt.Sprintf("%s/%x", path, appendValue(nil, g[0].values[level]))
		h.open = (level < int(m.Sort.Expanded)) != m.toggled[h.path]
		if m.maxima[level] {
			h.max = largest(g)
		}
		for _, e := range g {
			if e.unread {
				h.unread++
			}
		}
		rows = append(rows, h)
		if h.open {
			rows = append(rows, m.group(g, level+1, h.path)...)
		}
	}
	return rows
}

func largest(g []modelEntry) (max mapi.Value) {
	for _, e := range g {
		if v := e.props[when]; mapi.CompareForSort(v, max) > 0 {
			max = v
		}
	}
	return max
}

// bench is a model with what it is a model of.
type bench struct {
	*world
	*model
	cache *Cache
	spec  *Spec
	ids   map[string]uint64 // of headings, by path
	kept  []byte            // a view of before, nil if none is kept
}

func (b *bench) compile(t *rapid.T) {
	spec, err := Compile(b.TableSpec, mapi.SortOrderSet{})
	if err != nil {
		t.Fatal(err)
	}
	b.spec = spec
}

// asked opens the table step by step, with edits between the steps.
func (b *bench) asked(t *rapid.T) *Asked {
	for range 10_000 {
		left := rapid.IntRange(0, 30).Draw(t, "budget")
		v, _, err := b.cache.View("box", b.spec, b.world, func() bool { left--; return left >= 0 }, b.restore)
		if err != nil {
			t.Fatal(err)
		}
		if v != nil {
			if b.spec.Keepable() && rapid.IntRange(0, 2).Draw(t, "keep") == 0 {
				b.kept = kept(t, v)
			}
			a := &Asked{Table: v.Shown(b.spec), Source: b.world, Spec: b.spec, Budget: Unlimited}
			if err := a.Want(&exmdb.TableRequest{Columns: allColumns}); err != nil {
				t.Fatal(err)
			}
			return a
		}
		if rapid.IntRange(0, 4).Draw(t, "edit") == 0 {
			b.edit(t)
		}
	}
	t.Fatal("the table is never there")
	return nil
}

// restore reads what is kept, if anything is.
func (b *bench) restore() *Kept {
	k, err := OpenKept(bytes.NewReader(b.kept), int64(len(b.kept)), b.spec)
	if (err == nil) != (b.kept != nil) {
		panic(err)
	}
	return k
}

var allColumns = []mapi.Tag{mapi.PidTagInstanceNum, mapi.PidTagRowType, mapi.PidTagDepth, mapi.PidTagContentCount,
	mapi.PidTagContentUnreadCount, name, size, when, words, eachWord, big}

func (b *bench) edit(t *rapid.T) {
	id := rapid.Uint64Range(1, 60).Draw(t, "id")
	if rapid.IntRange(0, 2).Draw(t, "away") == 0 {
		b.set(id, nil)
		return
	}
	b.set(id, drawThing(t))
}

// check reads the table page by page and holds it against the model.
func (b *bench) check(t *rapid.T, a *Asked) []modelRow {
	want := b.table(b.world)
	if a.Table.Len() != len(want) {
		t.Fatalf("%d rows, want %d: %v", a.Table.Len(), len(want), want)
	}
	from := exmdb.TablePosition{Origin: exmdb.TableBeginning}
	at := 0
	for {
		resp, err := a.Rows(&exmdb.TableRowsRequest{From: from, Count: rapid.Uint32Range(1, 20).Draw(t, "page")})
		if err != nil {
			t.Fatal(err)
		}
		if int(resp.Index) != at {
			t.Fatalf("page at %d, want %d", resp.Index, at)
		}
		for i := range resp.Rows {
			b.checkRow(t, &resp.Rows[i], &want[at])
			at++
		}
		if len(resp.Rows) == 0 {
			break
		}
		from = exmdb.TablePosition{Origin: exmdb.TablePlace, Place: resp.After}
	}
	if at != len(want) {
		t.Fatalf("%d rows read, want %d", at, len(want))
	}
	return want
}

func (b *bench) checkRow(t *rapid.T, got *exmdb.TableRow, want *modelRow) {
	if want.path == "" {
		if got.ID.Heading() || got.ID.ID != want.id || got.ID.Instance != want.instance {
			t.Fatalf("row %+v, want %+v", got, want)
		}
		if got.Props.Get(mapi.PidTagRowType) != rowLeaf || got.Props.Get(mapi.PidTagDepth) != mapi.Integer32(b.Sort.Categories) ||
			got.Props.Get(mapi.PidTagInstanceNum) != mapi.Integer32(want.instance) || got.Props.Get(size) != b.things[want.id].props[size] {
			t.Fatalf("columns %+v of %+v", got, want)
		}
		return
	}
	id, known := b.ids[want.path]
	if !got.ID.Heading() || known && id != got.ID.ID {
		t.Fatalf("row %+v, want the heading %+v of id %x", got, want, id)
	}
	b.ids[want.path] = got.ID.ID
	kind := rowCollapsed
	if want.open {
		kind = rowExpanded
	}
	for tag, v := range map[mapi.Tag]mapi.Value{mapi.PidTagRowType: kind, mapi.PidTagDepth: mapi.Integer32(want.level),
		mapi.PidTagContentCount: mapi.Integer32(want.rows), mapi.PidTagContentUnreadCount: mapi.Integer32(want.unread)} {
		if got.Props.Get(tag) != v {
			t.Fatalf("%s of %+v is %v, want %v", tag.Name(), want, got.Props.Get(tag), v)
		}
	}
	for i, v := range want.values {
		tag := b.columns[i].Tag
		if want.max != nil && tag == when {
			continue // it shows the largest
		}
		if got := got.Props.Get(tag.WithType(tag.Type().Column())); mapi.CompareForSort(got, v) != 0 {
			if s, cut := v.(mapi.String); !cut || len(s) <= exmdb.DefaultMaxValue {
				t.Fatalf("%v of %+v is %v, want %v", tag, want, got, v)
			}
		}
	}
	if want.max != nil && got.Props.Get(when) != want.max {
		t.Fatalf("%+v shows %v, want %v", want, got.Props.Get(when), want.max)
	}
}

// TestTablesAgainstAModel: random objects, specifications, edits and steps.
func TestTablesAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &bench{world: newWorld(), model: newModel(drawSpec(t)), cache: NewCache(1 << 20), ids: make(map[string]uint64)}
		b.cache.batch = rapid.IntRange(1, 40).Draw(t, "batch")
		b.compile(t)
		for range rapid.IntRange(0, 60).Draw(t, "objects") {
			b.edit(t)
		}
		b.check(t, b.asked(t))
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			if rapid.IntRange(0, 5).Draw(t, "forget") == 0 {
				b.floor = b.stamp
			}
			if rapid.IntRange(0, 2).Draw(t, "new owner") == 0 {
				batch := b.cache.batch
				b.cache = NewCache(1 << 20)
				b.cache.batch = batch
			}
			for range rapid.IntRange(0, 8).Draw(t, "edits") {
				b.edit(t)
			}
			a := b.asked(t)
			rows := b.check(t, a)
			b.checkPositions(t, a, rows)
			b.checkFind(t, a, rows)
			b.toggle(t, rows)
		}
	})
}

// toggle opens or closes a heading.
func (b *bench) toggle(t *rapid.T, rows []modelRow) {
	headings := slices.DeleteFunc(slices.Clone(rows), func(r modelRow) bool { return r.path == "" })
	if len(headings) == 0 {
		return
	}
	path := rapid.SampledFrom(headings).Draw(t, "heading").path
	b.toggled[path] = !b.toggled[path]
	b.Toggled = nil
	for path, is := range b.toggled {
		if is {
			b.Toggled = append(b.Toggled, b.ids[path])
		}
	}
	b.compile(t)
}

// checkPositions seeks every row by its place and its id, by fraction and offset.
func (b *bench) checkPositions(t *rapid.T, a *Asked, rows []modelRow) {
	for i := range rows {
		at := b.seek(t, a, exmdb.TablePosition{Origin: exmdb.TableBeginning, Offset: int64(i)})
		again := b.seek(t, a, exmdb.TablePosition{Origin: exmdb.TablePlace, Place: at.Place})
		id := exmdb.TableRowID{ID: rows[i].id, Instance: rows[i].instance}
		if rows[i].path != "" {
			id.ID = b.ids[rows[i].path]
		}
		byID := b.seek(t, a, exmdb.TablePosition{Origin: exmdb.TableRowAt, Row: id, Offset: 1})
		if int(at.Index) != i || int(again.Index) != i || again.Gone || int(byID.Index) != i+1 || byID.Gone {
			t.Fatalf("row %d %+v: %+v, %+v, %+v", i, rows[i], at, again, byID)
		}
	}
	n := int64(len(rows))
	for _, tt := range []struct {
		from         exmdb.TablePosition
		index, moved int64
	}{
		{exmdb.TablePosition{Origin: exmdb.TableEnd, Offset: -1}, max(n-1, 0), max(-n, -1)},
		{exmdb.TablePosition{Origin: exmdb.TableEnd, Offset: 5}, n, 0},
		{exmdb.TablePosition{Origin: exmdb.TableBeginning, Offset: -1 << 62}, 0, 0},
		{exmdb.TablePosition{Origin: exmdb.TableBeginning, Offset: 1 << 62}, n, n},
		{exmdb.TablePosition{Origin: exmdb.TableFraction, Numerator: 1, Denominator: 2}, n / 2, 0},
		{exmdb.TablePosition{Origin: exmdb.TableFraction, Numerator: 7, Denominator: 7}, n, 0},
		{exmdb.TablePosition{Origin: exmdb.TableFraction, Numerator: 9, Denominator: 7}, n, 0},
		{exmdb.TablePosition{Origin: exmdb.TableFraction, Denominator: 7, Offset: 1}, min(n, 1), min(n, 1)},
	} {
		if got := b.seek(t, a, tt.from); int64(got.Index) != tt.index || got.Moved != tt.moved {
			t.Fatalf("%+v of %d rows is %+v", tt.from, n, got)
		}
	}
}

func (b *bench) seek(t *rapid.T, a *Asked, p exmdb.TablePosition) *exmdb.TableSeekResponse {
	resp, err := a.Seek(&exmdb.TableSeekRequest{From: p})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// checkFind looks for rows from everywhere in both directions, step by step.
func (b *bench) checkFind(t *rapid.T, a *Asked, rows []modelRow) {
	raw := drawRestriction(t)
	if raw == nil {
		raw = oxcdata.AppendRestriction(nil, &mapi.PropertyRestriction{Op: mapi.RelOp(rapid.IntRange(0, 4).Draw(t, "op")), Tag: when,
			Value: mapi.Prop{Tag: when, Value: mapi.FileTime(rapid.Uint64Range(1, 50).Draw(t, "at"))}})
	}
	wanted, err := oxcdata.ParseRestriction(raw)
	if err != nil {
		t.Fatal(err)
	}
	from, backward := rapid.IntRange(0, len(rows)).Draw(t, "from"), rapid.Bool().Draw(t, "backward")
	want, step := -1, 1
	at := from
	if backward {
		at, step = from-1, -1
	}
	for ; at >= 0 && at < len(rows) && want < 0; at += step {
		if r := &rows[at]; r.path == "" && wanted.Match(b.things[r.id]) || r.path != "" && wanted.Match(b.headingModel(r)) {
			want = at
		}
	}
	if c, is := wanted.(*mapi.CountRestriction); is && c.Count == 0 {
		want = -1
	}
	req := &exmdb.TableFindRequest{From: exmdb.TablePosition{Origin: exmdb.TableBeginning, Offset: int64(from)}, Backward: backward, Restriction: raw}
	for {
		left := rapid.IntRange(0, 5).Draw(t, "find budget")
		a.Budget = func() bool { left--; return left >= 0 }
		resp, err := a.Find(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.State.Working {
			req.Table.Resume = resp.State.Resume
			continue
		}
		if resp.Found != (want >= 0) || resp.Found && int(resp.Index) != want {
			t.Fatalf("found %v at %d, want %d of %d rows from %d, backward %v", resp.Found, resp.Index, want, len(rows), from, backward)
		}
		if resp.Found {
			b.checkRow(t, &resp.Row, &rows[want])
		}
		return
	}
}

// headingModel is a heading as an object.
func (b *bench) headingModel(r *modelRow) mapi.Getter {
	g := &thing{props: make(map[mapi.Tag]mapi.Value)}
	for i, v := range r.values {
		tag := b.columns[i].Tag
		if tag == eachWord {
			tag = words.WithType(mapi.TypeString)
		}
		g.props[tag] = v
	}
	if r.max != nil {
		g.props[when] = r.max
	}
	return g
}
