package query

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// bySize is a specification sorted by size, with so many categories.
func bySize(categories uint16) *exmdb.TableSpec {
	return &exmdb.TableSpec{Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: size, Direction: mapi.SortAscending}},
		Categories: categories, Expanded: categories}}
}

func compiled(t testing.TB, s *exmdb.TableSpec) *Spec {
	t.Helper()
	spec, err := Compile(s, mapi.SortOrderSet{})
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func sized(n int32) *thing {
	return &thing{props: map[mapi.Tag]mapi.Value{size: mapi.Integer32(n), name: mapi.String(fmt.Sprintf("mail %d", n))}}
}

// table is w under a specification.
func table(t testing.TB, w *world, s *exmdb.TableSpec) *Asked {
	t.Helper()
	spec := compiled(t, s)
	v, err := Build(spec, w)
	if err != nil {
		t.Fatal(err)
	}
	a := &Asked{Table: v.Shown(spec), Source: w, Spec: spec, Budget: Unlimited}
	if err := a.Want(&exmdb.TableRequest{Columns: []mapi.Tag{size}, MaxValue: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	return a
}

func kindOf[R any](r R, err error) cluster.Kind {
	if err == nil {
		return 0
	}
	return cluster.KindOf(err)
}

// TestPlacesHold: a place behind a row stays there while others come and go, and falls to where the row was when it is
// gone itself.
func TestPlacesHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &bench{world: newWorld(), model: newModel(drawSpec(t)), cache: NewCache(1 << 20), ids: make(map[string]uint64)}
		b.Sort.Categories, b.Sort.Expanded = 0, 0
		b.Sort.Orders = slices.DeleteFunc(b.Sort.Orders, func(o mapi.SortOrder) bool { return o.Direction == mapi.SortMaximumCategory })
		b.model = newModel(b.TableSpec)
		b.compile(t)
		for range rapid.IntRange(1, 40).Draw(t, "objects") {
			b.edit(t)
		}
		a := b.asked(t)
		before := b.entries(b.world)
		if len(before) == 0 {
			return
		}
		at := rapid.IntRange(0, len(before)-1).Draw(t, "at")
		resp, err := a.Rows(&exmdb.TableRowsRequest{From: exmdb.TablePosition{Origin: exmdb.TableBeginning, Offset: int64(at)}, Count: 1})
		if err != nil || len(resp.Rows) != 1 {
			t.Fatal(resp, err)
		}
		held := before[at]
		for range rapid.IntRange(0, 20).Draw(t, "edits") {
			b.edit(t)
		}
		a = b.asked(t)
		want, there := 0, false
		for _, e := range b.entries(b.world) {
			if order := b.compare(e, held); order < 0 {
				want++
			} else if order == 0 {
				there = true
			}
		}
		in, behind := b.seek(t, a, exmdb.TablePosition{Origin: exmdb.TablePlace, Place: resp.Before}), b.seek(t, a, exmdb.TablePosition{Origin: exmdb.TablePlace, Place: resp.After})
		after := want
		if there {
			after++
		}
		if int(in.Index) != want || int(behind.Index) != after || in.Gone != !there {
			t.Fatalf("places are at %+v and %+v, want %d and %d of %d", in, behind, want, after, a.Table.Len())
		}
	})
}

// TestChanges: whoever applies what the answers say has the table that is there.
func TestChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpec(t)
		s.Sort.Categories, s.Sort.Expanded, s.Spread = 0, 0, 0
		s.Sort.Orders = slices.DeleteFunc(s.Sort.Orders, func(o mapi.SortOrder) bool { return o.Direction == mapi.SortMaximumCategory })
		b := &bench{world: newWorld(), model: newModel(s), cache: NewCache(1 << 20), ids: make(map[string]uint64)}
		b.compile(t)
		if b.spec.counted {
			return // such tables are read again
		}
		var mine []exmdb.TableRowID
		since := mapi.Stamp(1)
		for range 4 {
			for range rapid.IntRange(0, 15).Draw(t, "edits") {
				b.edit(t)
			}
			a := b.asked(t)
			resp, err := a.Changes(&exmdb.TableChangesRequest{Since: since})
			if err != nil || resp.Reload {
				t.Fatal(resp, err)
			}
			mine = applyChanges(t, mine, resp)
			var want []exmdb.TableRowID
			for _, e := range b.entries(b.world) {
				want = append(want, exmdb.TableRowID{ID: e.id, Instance: e.instance})
			}
			if !slices.Equal(mine, want) {
				t.Fatalf("%+v, want %+v", mine, want)
			}
			since = resp.State.Stamp
		}
	})
}

// applyChanges does what a client does with table notifications.
func applyChanges(t *rapid.T, rows []exmdb.TableRowID, resp *exmdb.TableChangesResponse) []exmdb.TableRowID {
	touched := make(map[uint64]bool)
	for _, id := range resp.Gone {
		touched[id] = true
	}
	for _, c := range resp.Rows {
		touched[c.Row.ID.ID] = true
	}
	rows = slices.DeleteFunc(rows, func(r exmdb.TableRowID) bool { return touched[r.ID] })
	for _, c := range resp.Rows {
		at := 0
		if !c.First {
			at = 1 + slices.Index(rows, c.Behind)
		}
		if !c.First && at == 0 || at != int(c.Index) {
			t.Fatalf("%+v comes behind %+v: %+v", c.Row.ID, c.Behind, rows)
		}
		rows = slices.Insert(rows, at, c.Row.ID)
	}
	return rows
}

func TestChangesThatAreNotTold(t *testing.T) {
	w := newWorld()
	for id := range uint64(maxTouched + 2) {
		w.set(id+1, sized(1))
	}
	for i, tt := range []struct {
		spec   *exmdb.TableSpec
		since  mapi.Stamp
		floor  mapi.Stamp
		reload bool
	}{
		{bySize(0), 1, 0, true}, {bySize(0), 3, 0, false}, {bySize(0), 3, 4, true}, {bySize(1), w.stamp - 1, 0, true},
		{bySize(1), w.stamp, 0, false},
	} {
		w.floor = tt.floor
		resp, err := table(t, w, tt.spec).Changes(&exmdb.TableChangesRequest{Since: tt.since})
		if err != nil || resp.Reload != tt.reload || resp.State.Stamp != w.stamp {
			t.Errorf("%d: %+v, %v", i, resp, err)
		}
	}
}

// TestOlderStates: requests that run side by side see different states; the older one is told to ask again.
func TestOlderStates(t *testing.T) {
	w := newWorld()
	w.set(1, sized(1))
	old := &world{things: maps.Clone(w.things), stamp: w.stamp, log: w.log}
	w.set(2, sized(2))
	c, spec := NewCache(1<<20), compiled(t, bySize(0))
	if v, _, err := c.View("box", spec, w, Unlimited, nil); err != nil || v.Shown(spec).Len() != 2 {
		t.Fatal(v, err)
	}
	if v, _, err := c.View("box", spec, old, Unlimited, nil); err != nil || v != nil {
		t.Fatal(v, err)
	}
}

// TestManyAtOnce: requests of many clients build and use one view.
func TestManyAtOnce(t *testing.T) {
	w := newWorld()
	for id := range uint64(3000) {
		w.set(id+1, sized(int32(id%7)))
	}
	c := NewCache(1 << 20)
	var wait sync.WaitGroup
	for range 8 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			spec := compiled(t, bySize(1))
			for rounds := 0; ; rounds++ {
				left := 100
				v, done, err := c.View("box", spec, w, func() bool { left--; return left > 0 }, nil)
				if err != nil || v == nil && (done == 0 || rounds > 100) {
					t.Error(done, err)
					return
				}
				if v == nil {
					continue
				}
				a := &Asked{Table: v.Shown(spec), Source: w, Spec: spec, Budget: Unlimited}
				resp, err := a.Rows(&exmdb.TableRowsRequest{From: exmdb.TablePosition{Origin: exmdb.TableEnd}, Backward: true, Count: 10})
				if err != nil || len(resp.Rows) != 10 || resp.Rows[9].ID.ID != 2996 || a.Table.Len() != 3007 {
					t.Error(resp, err)
				}
				return
			}
		}()
	}
	wait.Wait()
	if _, views := c.Used(); views != 1 {
		t.Fatalf("%d views", views)
	}
}

// TestCacheForgets: what was not asked for the longest goes first, and comes back when it is asked for.
func TestCacheForgets(t *testing.T) {
	w := newWorld()
	for id := range uint64(1000) {
		w.set(id+1, sized(int32(id)))
	}
	c, spec := NewCache(100_000), compiled(t, bySize(0))
	for i := range 20 {
		if v, _, err := c.View(fmt.Sprint("box ", i%10), spec, w, Unlimited, nil); err != nil || v.Shown(spec).Len() != 1000 {
			t.Fatal(v, err)
		}
		if used, views := c.Used(); used > 100_000 || views == 0 {
			t.Fatalf("%d bytes in %d views", used, views)
		}
	}
	if _, views := c.Used(); views < 3 || views > 9 {
		t.Fatalf("%d views", views)
	}
	small := NewCache(1000)
	if k := kindOf(viewOf(small, spec, w)); k != exmdb.KindTooComplex {
		t.Fatalf("a view without room is refused with %d", k)
	}
	if used, views := small.Used(); used != 0 || views != 0 {
		t.Fatalf("%d bytes in %d views stay", used, views)
	}
}

// TestViewsWithoutRowsTakeRoom: searches that find nothing, each for another word, do not fill the memory.
func TestViewsWithoutRowsTakeRoom(t *testing.T) {
	w, c := newWorld(), NewCache(100_000)
	for i := range 1000 {
		v, _, err := c.View(fmt.Sprint("box ", i), compiled(t, bySize(0)), w, Unlimited, nil)
		if err != nil || v.Shown(compiled(t, bySize(0))).Len() != 0 {
			t.Fatal(v, err)
		}
	}
	if used, views := c.Used(); used > 100_000 || views < 10 || views > 50 {
		t.Errorf("%d bytes in %d views", used, views)
	}
}

func viewOf(c *Cache, s *Spec, w *world) (*View, error) {
	v, _, err := c.View("box", s, w, Unlimited, nil)
	return v, err
}

// TestFailuresAreNotKept: a view whose making failed is made anew.
func TestFailuresAreNotKept(t *testing.T) {
	w := newWorld()
	for id := range uint64(10) {
		w.set(id+1, sized(int32(id)))
	}
	c, spec, broken := NewCache(1<<20), compiled(t, bySize(0)), errors.New("broken")
	fail := func(err error) { w.things[5].err = err }
	for range 2 {
		fail(broken)
		w.set(5, w.things[5])
		if _, err := viewOf(c, spec, w); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		fail(nil)
		if v, err := viewOf(c, spec, w); err != nil || v.Shown(spec).Len() != 10 {
			t.Fatal(v, err)
		}
	}
	a := table(t, w, bySize(0))
	fail(broken)
	if _, err := a.Rows(&exmdb.TableRowsRequest{From: exmdb.TablePosition{Origin: exmdb.TableBeginning}, Count: 10}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	find := &exmdb.TableFindRequest{From: exmdb.TablePosition{Origin: exmdb.TableBeginning},
		Restriction: oxcdata.AppendRestriction(nil, &mapi.ExistRestriction{Tag: big})}
	if _, err := a.Find(find); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	counted := bySize(0)
	counted.Restriction = oxcdata.AppendRestriction(nil, &mapi.CountRestriction{Count: 9, Of: mapi.AndRestriction{}})
	if _, err := Build(compiled(t, counted), w); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

// TestAnswersAreBounded: a page ends at about 1 MiB whatever was asked for, from either end.
func TestAnswersAreBounded(t *testing.T) {
	w := newWorld()
	for id := range uint64(3000) {
		w.set(id+1, &thing{props: map[mapi.Tag]mapi.Value{size: mapi.Integer32(id), name: mapi.String(strings.Repeat("x", 1000))}})
	}
	a := table(t, w, bySize(0))
	a.columns = []mapi.Tag{name, size}
	for _, backward := range []bool{false, true} {
		from := exmdb.TablePosition{Origin: exmdb.TableBeginning, Offset: 1500}
		resp, err := a.Rows(&exmdb.TableRowsRequest{From: from, Count: 100_000, Backward: backward})
		if err != nil || len(resp.Rows) < 900 || len(resp.Rows) > 1100 {
			t.Fatal(len(resp.Rows), err)
		}
		first, last := resp.Rows[0].ID.ID, resp.Rows[len(resp.Rows)-1].ID.ID
		if first != uint64(resp.Index)+1 || last-first+1 != uint64(len(resp.Rows)) || !backward && first != 1501 || backward && last != 1500 {
			t.Fatalf("rows %d to %d at %d", first, last, resp.Index)
		}
	}
	a.columns = []mapi.Tag{size}
	resp, err := a.Rows(&exmdb.TableRowsRequest{From: exmdb.TablePosition{Origin: exmdb.TableBeginning}, Count: 1 << 31})
	if err != nil || len(resp.Rows) != 3000 {
		t.Fatal(len(resp.Rows), err)
	}
	if resp, err := a.Rows(&exmdb.TableRowsRequest{From: exmdb.TablePosition{Origin: exmdb.TableEnd}}); err != nil || len(resp.Rows) != 0 || resp.Index != 3000 {
		t.Fatal(resp, err)
	}
}

// TestFindSkips: type-ahead in a sorted table does not walk through it.
func TestFindSkips(t *testing.T) {
	w := newWorld()
	for id := range uint64(5000) {
		w.set(id+1, sized(int32(id)))
	}
	wanted := &mapi.PropertyRestriction{Op: mapi.RelOpGE, Tag: size, Value: mapi.Prop{Tag: size, Value: mapi.Integer32(4500)}}
	prefix := &mapi.ContentRestriction{Fuzzy: mapi.FuzzyPrefix | mapi.FuzzyIgnoreCase, Tag: name, Value: mapi.Prop{Tag: name, Value: mapi.String("MAIL 99")}}
	byName := &exmdb.TableSpec{Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: name}}}}
	down := &exmdb.TableSpec{Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: size, Direction: mapi.SortDescending}}}}
	least := &mapi.PropertyRestriction{Op: mapi.RelOpLT, Tag: size, Value: mapi.Prop{Tag: size, Value: mapi.Integer32(100)}}
	for i, tt := range []struct {
		spec *exmdb.TableSpec
		r    mapi.Restriction
		at   uint64
	}{{bySize(0), wanted, 4501}, {bySize(0), mapi.AndRestriction{&mapi.ExistRestriction{Tag: name}, wanted}, 4501},
		{byName, prefix, 100}, {down, least, 100}} {
		a := table(t, w, tt.spec)
		looked := 0
		a.Budget = func() bool { looked++; return true }
		resp, err := a.Find(&exmdb.TableFindRequest{From: exmdb.TablePosition{Origin: exmdb.TableBeginning}, Restriction: oxcdata.AppendRestriction(nil, tt.r)})
		if err != nil || !resp.Found || resp.Row.ID.ID != tt.at || looked > 1 {
			t.Errorf("%d: %+v after %d rows, %v", i, resp, looked, err)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	orders := func(o ...mapi.SortOrder) *exmdb.TableSpec {
		return &exmdb.TableSpec{Sort: mapi.SortOrderSet{Orders: o}}
	}
	count := oxcdata.AppendRestriction(nil, &mapi.PropertyRestriction{Op: mapi.RelOpRE, Tag: name, Value: mapi.Prop{Tag: name, Value: mapi.String("x")}})
	member := &mapi.PropertyRestriction{Op: mapi.RelOpMemberOfDL, Tag: mapi.PidTagSenderEntryId,
		Value: mapi.Prop{Tag: mapi.PidTagSenderEntryId, Value: mapi.Binary("staff")}}
	of := func(r mapi.Restriction) *exmdb.TableSpec {
		return &exmdb.TableSpec{Restriction: oxcdata.AppendRestriction(nil, r)}
	}
	for i, tt := range []struct {
		spec *exmdb.TableSpec
		want cluster.Kind
	}{
		{&exmdb.TableSpec{Restriction: []byte{0xFF}}, cluster.KindBadRequest},
		{&exmdb.TableSpec{Restriction: count}, exmdb.KindTooComplex},
		{of(member), exmdb.KindTooComplex},
		{of(&mapi.SubObjectRestriction{Tag: mapi.PidTagMessageRecipients, Of: mapi.OrRestriction{&mapi.ExistRestriction{Tag: name}, member}}), exmdb.KindTooComplex},
		{of(&mapi.CommentRestriction{Of: &mapi.NotRestriction{Of: &mapi.CountRestriction{Count: 1, Of: member}}}), exmdb.KindTooComplex},
		{orders(mapi.SortOrder{Tag: name, Direction: 3}), exmdb.KindTooComplex},
		{orders(mapi.SortOrder{Tag: mapi.PidTagInstID}), cluster.KindBadRequest},
		{orders(mapi.SortOrder{Tag: size | mapi.Tag(mapi.MultiInstance)}), cluster.KindBadRequest},
		{&exmdb.TableSpec{Spread: size}, cluster.KindBadRequest},
		{&exmdb.TableSpec{Spread: eachWord + 0x10000, Sort: orders(mapi.SortOrder{Tag: eachWord}).Sort}, exmdb.KindTooComplex},
		{&exmdb.TableSpec{Spread: eachWord, Sort: orders(mapi.SortOrder{Tag: eachWord}).Sort}, 0},
		{&exmdb.TableSpec{Toggled: make([]uint64, maxToggled+1)}, exmdb.KindTooComplex},
		{&exmdb.TableSpec{Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: size}, {Tag: name, Direction: mapi.SortMaximumCategory}}, Categories: 1}}, exmdb.KindTooComplex},
	} {
		if got := kindOf(Compile(tt.spec, mapi.SortOrderSet{})); got != tt.want {
			t.Errorf("%d: kind %d, want %d", i, got, tt.want)
		}
	}
}

func TestSpecDescribesItself(t *testing.T) {
	s := compiled(t, bySize(0))
	if down, only := s.Orders(size); down || !only || s.Natural() {
		t.Fatal(down, only)
	}
	if _, only := s.Orders(name); only {
		t.Fatal("sorted by another property")
	}
	if !compiled(t, &exmdb.TableSpec{}).Natural() {
		t.Fatal("nothing is asked for")
	}
	open := bySize(1)
	closed := bySize(1)
	closed.Sort.Expanded, closed.Toggled = 0, []uint64{5}
	if compiled(t, open).Print() != compiled(t, closed).Print() || compiled(t, open).Print() == s.Print() {
		t.Fatal("prints tell what is open, or not what is a heading")
	}
	full := &exmdb.TableSpec{Restriction: oxcdata.AppendRestriction(nil, mapi.AndRestriction{&mapi.ExistRestriction{Tag: big},
		&mapi.SubObjectRestriction{Tag: mapi.PidTagMessageRecipients, Of: &mapi.ExistRestriction{Tag: name}}}),
		Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: size}, {Tag: when, Direction: mapi.SortMaximumCategory}}, Categories: 1}}
	seen := make(map[mapi.Tag]bool)
	compiled(t, full).Tags(func(t mapi.Tag) { seen[t] = true })
	for _, tag := range []mapi.Tag{big, name, size, when} {
		if !seen[tag] {
			t.Errorf("%v is not told", tag)
		}
	}
}

func TestBadRequests(t *testing.T) {
	w := newWorld()
	w.set(1, sized(1))
	a := table(t, w, bySize(1))
	for i, from := range []exmdb.TablePosition{{}, {Origin: 9}, {Origin: exmdb.TableFraction, Numerator: 1},
		{Origin: exmdb.TablePlace, Place: []byte{0xFF}}, {Origin: exmdb.TablePlace, Place: (&Place{Level: 2, ID: 1}).Append(nil)}} {
		if k := kindOf(a.Seek(&exmdb.TableSeekRequest{From: from})); k != cluster.KindBadRequest {
			t.Errorf("%d: seek is answered with %d", i, k)
		}
		if k := kindOf(a.Rows(&exmdb.TableRowsRequest{From: from})); k != cluster.KindBadRequest {
			t.Errorf("%d: rows are answered with %d", i, k)
		}
		if k := kindOf(a.Find(&exmdb.TableFindRequest{From: from, Restriction: oxcdata.AppendRestriction(nil, mapi.AndRestriction{})})); k != cluster.KindBadRequest {
			t.Errorf("%d: find is answered with %d", i, k)
		}
	}
	if k := kindOf(a.Find(&exmdb.TableFindRequest{})); k != cluster.KindBadRequest {
		t.Errorf("find without restriction is answered with %d", k)
	}
	if err := a.Want(&exmdb.TableRequest{Columns: make([]mapi.Tag, maxColumns+1)}); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Error(err)
	}
	for _, id := range []exmdb.TableRowID{{ID: 77}, {ID: 1, Instance: 5}, {ID: exmdb.HeadingID(5)}} {
		if resp, err := a.Seek(&exmdb.TableSeekRequest{From: exmdb.TablePosition{Origin: exmdb.TableRowAt, Row: id}}); err != nil || !resp.Gone {
			t.Errorf("row %+v: %+v, %v", id, resp, err)
		}
	}
}

// FuzzPlaces gives tables places that nobody was given.
func FuzzPlaces(f *testing.F) {
	w := newWorld()
	for id := range uint64(300) {
		w.set(id+1, sized(int32(id%5)))
	}
	grouped := bySize(1)
	grouped.Sort.Orders = append(grouped.Sort.Orders, mapi.SortOrder{Tag: when, Direction: mapi.SortMaximumCategory}, mapi.SortOrder{Tag: name})
	tables := []*Asked{table(f, w, bySize(0)), table(f, w, bySize(1)), table(f, w, grouped)}
	for _, a := range tables {
		resp, err := a.Rows(&exmdb.TableRowsRequest{From: exmdb.TablePosition{Origin: exmdb.TableBeginning, Offset: 20}, Count: 5})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(resp.Before)
		f.Add(resp.After)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for i, a := range tables {
			resp, err := a.Seek(&exmdb.TableSeekRequest{From: exmdb.TablePosition{Origin: exmdb.TablePlace, Place: b}})
			if err != nil && cluster.KindOf(err) != cluster.KindBadRequest {
				t.Fatalf("table %d: %v", i, err)
			}
			if err == nil && int(resp.Index) > a.Table.Len() {
				t.Fatalf("table %d: row %d of %d", i, resp.Index, a.Table.Len())
			}
		}
	})
}
