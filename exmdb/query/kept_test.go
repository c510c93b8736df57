package query

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// keptWorld is so many objects with names, and a view of them by name.
func keptWorld(t testing.TB, objects int) (*world, *Spec, *View) {
	w := newWorld()
	for id := range uint64(objects) {
		w.set(id+1, &thing{props: map[mapi.Tag]mapi.Value{name: mapi.String(fmt.Sprintf("person %d", id*7919%200)), size: mapi.Integer32(id)}})
	}
	spec := compiled(t, byName())
	v, err := Build(spec, w)
	if err != nil {
		t.Fatal(err)
	}
	return w, spec, v
}

func byName() *exmdb.TableSpec {
	return &exmdb.TableSpec{Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: name}, {Tag: size, Direction: mapi.SortDescending}}}}
}

// scans counts the rows that are looked at one after the other.
type scans struct {
	*world
	rows int
}

func (s *scans) Scan(from Mark, fn func(Row, Mark) (bool, error)) error {
	return s.world.Scan(from, func(r Row, next Mark) (bool, error) { s.rows++; return fn(r, next) })
}

// TestKeptViewsSpareTheScan: what is kept is brought up to date by what was touched since; nothing else is looked at.
func TestKeptViewsSpareTheScan(t *testing.T) {
	w, spec, v := keptWorld(t, 2000)
	b := v.AppendKept(nil)
	if len(b) > v.KeptSize() || len(b) < v.KeptSize()/2 {
		t.Errorf("%d bytes, told were %d", len(b), v.KeptSize())
	}
	w.set(5, nil)
	w.set(3000, &thing{props: map[mapi.Tag]mapi.Value{name: mapi.String("a"), size: mapi.Integer32(1)}})
	src := &scans{world: w}
	got, _, err := NewCache(1<<20).View("box", spec, src, Unlimited, func() *Kept {
		k, err := ParseKept(b, spec)
		if err != nil || k.Stamp != v.Stamp {
			t.Fatalf("%+v, %v", k, err)
		}
		return k
	})
	if err != nil {
		t.Fatal(err)
	}
	want, err := Build(spec, w)
	if err != nil {
		t.Fatal(err)
	}
	if src.rows != 0 || got.rows.len() != 2000 || !sameEntries(got.rows, want.rows) {
		t.Errorf("%d rows looked at, %d in the view", src.rows, got.rows.len())
	}
}

// sameEntries compares lists that may be cut into chunks differently.
func sameEntries(a, b *list) bool {
	same := a.len() == b.len()
	for i := 0; same && i < a.len(); i++ {
		x, y := a.entry(i), b.entry(i)
		same = a.compare(&x, &y) == 0
	}
	return same
}

// TestKeptViewsOfLater: a state that is behind what is kept does not use it.
func TestKeptViewsOfLater(t *testing.T) {
	w, spec, v := keptWorld(t, 10)
	src := &scans{world: &world{things: w.things, stamp: v.Stamp - 1}}
	if _, _, err := NewCache(1<<20).View("box", spec, src, Unlimited, func() *Kept { return &Kept{v.Stamp, v.rows} }); err != nil || src.rows == 0 {
		t.Errorf("%d rows looked at, %v", src.rows, err)
	}
}

// TestKeptViewsAreTheirOrders: bytes of another order, of another version, or that are none are refused, whatever is in them.
func TestKeptViewsAreTheirOrders(t *testing.T) {
	_, spec, v := keptWorld(t, 600)
	b := v.AppendKept(nil)
	other := byName()
	other.Sort.Orders[1].Direction = mapi.SortAscending
	if _, err := ParseKept(b, compiled(t, other)); !errors.Is(err, ErrNotKept) {
		t.Errorf("of another order: %v", err)
	}
	older := bytes.Clone(b)
	older[0]++
	if _, err := ParseKept(older, spec); !errors.Is(err, ErrNotKept) {
		t.Errorf("of another version: %v", err)
	}
	for n := range b {
		if k, err := ParseKept(b[:n], spec); err == nil && k.rows.len() >= 600 || err != nil && !errors.Is(err, ErrNotKept) {
			t.Fatalf("%d bytes of %d: %v", n, len(b), err)
		}
	}
	for i := range b { // a checksum tells these; none may do harm
		changed := bytes.Clone(b)
		changed[i] ^= 0x55
		if k, err := ParseKept(changed, spec); err == nil {
			k.rows.walk(0, false, func(int, *entry) bool { return true })
		}
	}
}

// FuzzKept: any bytes are a view that can be walked, or refused.
func FuzzKept(f *testing.F) {
	_, spec, v := keptWorld(f, 20)
	f.Add(v.AppendKept(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKept(b, spec)
		if err != nil {
			if !errors.Is(err, ErrNotKept) {
				t.Fatal(err)
			}
			return
		}
		n := 0
		k.rows.walk(0, false, func(int, *entry) bool { n++; return true })
		if n != k.rows.len() {
			t.Fatalf("%d entries of %d", n, k.rows.len())
		}
	})
}

// BenchmarkRestore: what an owner that is new begins with.
func BenchmarkRestore(b *testing.B) {
	_, spec, v := keptWorld(b, 400_000)
	kept := v.AppendKept(nil)
	b.SetBytes(int64(len(kept)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseKept(kept, spec); err != nil {
			b.Fatal(err)
		}
	}
}
