package query

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// keptWorld is so many objects with names, and a view of them.
func keptWorld(t testing.TB, objects int, of *exmdb.TableSpec) (*world, *Spec, *View) {
	w := newWorld()
	for id := range uint64(objects) {
		w.set(id+1, &thing{unread: id%3 == 0, props: map[mapi.Tag]mapi.Value{name: mapi.String(fmt.Sprintf("person %d", id*7919%200)),
			size: mapi.Integer32(id), when: mapi.FileTime(id * 31 % 1000)}})
	}
	spec := compiled(t, of)
	v, err := Build(spec, w)
	if err != nil {
		t.Fatal(err)
	}
	return w, spec, v
}

func byName() *exmdb.TableSpec {
	return &exmdb.TableSpec{Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: name}, {Tag: size, Direction: mapi.SortDescending}}}}
}

// underNames has the names as headings, that with the newest below it on top.
func underNames() *exmdb.TableSpec {
	s := byName()
	s.Sort.Orders[0].Direction = mapi.SortDescending
	s.Sort.Orders = []mapi.SortOrder{s.Sort.Orders[0], {Tag: when, Direction: mapi.SortMaximumCategory}, s.Sort.Orders[1]}
	s.Sort.Categories, s.Sort.Expanded = 1, 1
	return s
}

func kept(t failer, v *View) []byte {
	b, err := v.AppendKept(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reads counts what is read of a file.
type reads struct {
	io.ReaderAt
	bytes, calls int
}

func (r *reads) ReadAt(b []byte, at int64) (int, error) {
	r.bytes, r.calls = r.bytes+len(b), r.calls+1
	return r.ReaderAt.ReadAt(b, at)
}

func openKept(b []byte, s *Spec) (*Kept, error) {
	return OpenKept(bytes.NewReader(b), int64(len(b)), s)
}

// scans counts the rows that are looked at one after the other.
type scans struct {
	*world
	rows int
}

func (s *scans) Scan(from Mark, fn func(Row, Mark) (bool, error)) error {
	return s.world.Scan(from, func(r Row, next Mark) (bool, error) { s.rows++; return fn(r, next) })
}

// TestKeptViewsSpareTheScan: what is kept is brought up to date by what was touched since; no other row is looked at, and of the file
// only what a page and what was touched come to.
func TestKeptViewsSpareTheScan(t *testing.T) {
	for what, of := range map[string]*exmdb.TableSpec{"by name": byName(), "under names": underNames()} {
		const rows = 20_000
		w, spec, v := keptWorld(t, rows, of)
		b := kept(t, v)
		if len(b) > v.KeptSize() || len(b) < v.KeptSize()/2 {
			t.Errorf("%s: %d bytes, told were %d", what, len(b), v.KeptSize())
		}
		w.set(5, nil)
		w.set(30_000, &thing{props: map[mapi.Tag]mapi.Value{name: mapi.String("a"), size: mapi.Integer32(1)}})
		src, file := &scans{world: w}, &reads{ReaderAt: bytes.NewReader(b)}
		head := 0
		cache := NewCache(1 << 20)
		got, _, err := cache.View("box", spec, src, Unlimited, func() *Kept {
			k, err := OpenKept(file, int64(len(b)), spec)
			if err != nil || k.Stamp != v.Stamp {
				t.Fatalf("%s: %+v, %v", what, k, err)
			}
			head = file.bytes
			return k
		})
		if err != nil {
			t.Fatal(err)
		}
		a := &Asked{Table: got.Shown(spec), Source: w, Spec: spec, Budget: Unlimited}
		if page, err := a.Rows(&exmdb.TableRowsRequest{From: exmdb.TablePosition{Origin: exmdb.TableBeginning}, Count: 50}); err != nil || len(page.Rows) != 50 {
			t.Fatalf("%s: %+v, %v", what, page, err)
		}
		// Under headings a heading shows a row below it that may be anywhere.
		if body := file.bytes - head; src.rows != 0 || spec.categories == 0 && body > len(b)/10 || body > len(b)/2 || head > len(b)/5 {
			t.Errorf("%s: %d rows looked at, %d and %d bytes read of %d", what, src.rows, head, file.bytes-head, len(b))
		}
		if used, _ := cache.Used(); used < heldFile || used > 2*heldFile+len(b)/2 {
			t.Errorf("%s: %d bytes are counted", what, used)
		}
		want, err := Build(spec, w)
		if err != nil {
			t.Fatal(err)
		}
		if !sameEntries(t, got.rows, want.rows) {
			t.Errorf("%s: %d in the view, want %d", what, got.rows.len(), want.rows.len())
		}
		again := kept(t, got) // what was read, what was not and what is new
		k, err := openKept(again, spec)
		if err != nil || !sameEntries(t, k.rows, want.rows) {
			t.Errorf("%s: kept once more: %v", what, err)
		}
	}
}

// sameEntries compares lists that may be cut into chunks differently.
func sameEntries(t failer, a, b *list) bool {
	same, other := a.len() == b.len(), pages{list: b, chunk: -1}
	if err := a.walk(0, false, func(i int, x *entry) bool {
		if same {
			y, err := other.entry(i)
			if err != nil {
				t.Fatal(err)
			}
			same = a.compare(x, y) == 0 && x.unread == y.unread
		}
		return same
	}); err != nil {
		t.Fatal(err)
	}
	return same
}

// TestKeptViewsOfLater: a state that is behind what is kept does not use it.
func TestKeptViewsOfLater(t *testing.T) {
	w, spec, v := keptWorld(t, 10, byName())
	src := &scans{world: &world{things: w.things, stamp: v.Stamp - 1}}
	if _, _, err := NewCache(1<<20).View("box", spec, src, Unlimited, func() *Kept { return &Kept{v.Stamp, v.rows} }); err != nil || src.rows == 0 {
		t.Errorf("%d rows looked at, %v", src.rows, err)
	}
}

// lost is a file that cannot be read from some time on.
type lost struct {
	io.ReaderAt
	is bool
}

func (l *lost) ReadAt(b []byte, at int64) (int, error) {
	if l.is {
		return 0, errors.New("damaged")
	}
	return l.ReaderAt.ReadAt(b, at)
}

// TestKeptViewsThatAreLost: what cannot be read for a page is told, nothing else is shown, and the next who asks gets the view made
// anew.
func TestKeptViewsThatAreLost(t *testing.T) {
	w, spec, v := keptWorld(t, 3000, byName())
	b := kept(t, v)
	file := &lost{ReaderAt: bytes.NewReader(b)}
	open := func() *Kept {
		k, err := OpenKept(file, int64(len(b)), spec)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	cache, src := NewCache(1<<20), &scans{world: w}
	got, _, err := cache.View("box", spec, src, Unlimited, open)
	if err != nil || src.rows != 0 {
		t.Fatalf("%d rows looked at, %v", src.rows, err)
	}
	file.is = true
	a := &Asked{Table: got.Shown(spec), Source: w, Spec: spec, Budget: Unlimited}
	from := exmdb.TablePosition{Origin: exmdb.TableBeginning, Offset: 1500}
	_, rows := a.Rows(&exmdb.TableRowsRequest{From: from, Count: 5})
	_, seek := a.Seek(&exmdb.TableSeekRequest{From: exmdb.TablePosition{Origin: exmdb.TableRowAt, Row: exmdb.TableRowID{ID: 7}}})
	_, again := got.AppendKept(nil)
	for what, err := range map[string]error{"rows": rows, "seek": seek, "keep": again} {
		if !errors.Is(err, ErrNotKept) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, _, err = cache.View("box", spec, src, Unlimited, nil); err != nil || src.rows == 0 || got.rows.len() != 3000 {
		t.Errorf("%d rows looked at, %v", src.rows, err)
	}
	// So is what cannot be read while the view is brought up to date.
	file.is, src.rows = false, 0
	cache = NewCache(1 << 20)
	w.set(5, nil)
	if got, _, err = cache.View("box", spec, src, Unlimited, func() *Kept { k := open(); file.is = true; return k }); err != nil || src.rows == 0 || got.rows.len() != 2999 {
		t.Errorf("%d rows looked at, %v", src.rows, err)
	}
}

// TestKeptViewsAreTheirOrders: bytes of another order, of another version, or that are none are refused, whatever is in them.
func TestKeptViewsAreTheirOrders(t *testing.T) {
	other := byName()
	other.Sort.Orders[1].Direction = mapi.SortAscending
	step := 1
	if testing.Short() {
		step = 11
	}
	for what, of := range map[string]*exmdb.TableSpec{"by name": byName(), "under names": underNames()} {
		_, spec, v := keptWorld(t, 300, of)
		b := kept(t, v)
		if _, err := openKept(b, compiled(t, other)); !errors.Is(err, ErrNotKept) {
			t.Errorf("%s, of another order: %v", what, err)
		}
		older := bytes.Clone(b)
		older[0]--
		if _, err := openKept(older, spec); !errors.Is(err, ErrNotKept) {
			t.Errorf("%s, of another version: %v", what, err)
		}
		for n := range b {
			if _, err := openKept(b[:n], spec); !errors.Is(err, ErrNotKept) {
				t.Fatalf("%s, %d bytes of %d: %v", what, n, len(b), err)
			}
		}
		for i := 0; i < len(b); i += step { // a checksum tells these; none may do harm
			changed := bytes.Clone(b)
			changed[i] ^= 0x55
			useKept(t, changed, spec)
		}
	}
}

// useKept does with bytes what an owner does who begins with them: they are a view that can be used, or refused.
func useKept(t *testing.T, b []byte, s *Spec) {
	k, err := openKept(b, s)
	if err != nil {
		if !errors.Is(err, ErrNotKept) {
			t.Fatal(err)
		}
		return
	}
	n := 0
	err = k.rows.walk(0, false, func(int, *entry) bool { n++; return true })
	if err == nil && n != k.rows.len() || err != nil && !errors.Is(err, ErrNotKept) {
		t.Fatalf("%d entries of %d, %v", n, k.rows.len(), err)
	}
	v := &View{spec: s, rows: k.rows}
	if _, err := v.AppendKept(nil); err != nil && !errors.Is(err, ErrNotKept) {
		t.Fatal(err)
	}
	v.Shown(s)
	more, err := k.rows.merge([]entry{{key: []byte{formAbsent}, id: 3}}, map[uint64]bool{3: true, 5: true})
	if err == nil {
		_, err = s.digest(more, Unlimited)
	}
	if err != nil && !errors.Is(err, ErrNotKept) {
		t.Fatal(err)
	}
}

// FuzzKept: any bytes are a view that can be used, or refused.
func FuzzKept(f *testing.F) {
	var specs []*Spec
	for _, of := range []*exmdb.TableSpec{byName(), underNames()} {
		_, spec, v := keptWorld(f, 20, of)
		specs = append(specs, spec)
		f.Add(kept(f, v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range specs {
			useKept(t, b, s)
		}
	})
}

// BenchmarkRestore: what an owner that is new begins with.
func BenchmarkRestore(b *testing.B) {
	for what, of := range map[string]*exmdb.TableSpec{"by name": byName(), "under names": underNames()} {
		_, spec, v := keptWorld(b, 400_000, of)
		bytes := kept(b, v)
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := openKept(bytes, spec); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(what+", kept", func(b *testing.B) {
			for b.Loop() {
				if _, err := v.AppendKept(nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
