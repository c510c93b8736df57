package space

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/lsm"
)

var keyGen = rapid.Custom(func(t *rapid.T) string {
	return string(rapid.SliceOfN(rapid.ByteRange('a', 'd'), 1, 3).Draw(t, "key"))
})

// layered is an overlay over an engine, beside the plain map that both must look like.
type layered struct {
	w     *writer
	model map[string]string
	saved map[string]string
	start point
}

func newLayered(t *rapid.T, db *lsm.DB, m *Machine) *layered {
	l := &layered{model: map[string]string{}}
	id := spaceN(1)
	b := db.NewBatch()
	check(t, b.DeleteRange(dataKey(id, []byte{0}), dataKey(id, []byte{0xFF})))
	for _, k := range rapid.SliceOfN(keyGen, 0, 30).Draw(t, "stored") {
		l.model[k] = "db " + k
		check(t, b.Set(dataKey(id, []byte(k)), []byte(l.model[k])))
	}
	check(t, b.Set(dataKey(spaceN(2), []byte("a")), []byte("another space's")))
	check(t, b.Commit(false))
	check(t, b.Close())
	l.w = &writer{reader: newReader(m, db, id, nil), limit: MaxEffect}
	l.w.over = newOverlay()
	l.mark()
	return l
}

func check(t interface{ Fatal(...any) }, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func (l *layered) mark() { l.saved, l.start = maps.Clone(l.model), l.w.begin() }

func (l *layered) act(t *rapid.T) {
	k := keyGen.Draw(t, "k")
	switch rapid.IntRange(0, 9).Draw(t, "act") {
	case 0, 1, 2, 3:
		l.model[k] = fmt.Sprint("new ", len(l.w.over.undo))
		l.w.Set([]byte(k), []byte(l.model[k]))
	case 4, 5:
		delete(l.model, k)
		l.w.Delete([]byte(k))
	case 6, 7:
		hi := keyGen.Draw(t, "hi")
		maps.DeleteFunc(l.model, func(key, _ string) bool { return key >= k && key < hi })
		l.w.DeleteRange([]byte(k), []byte(hi))
	case 8:
		l.w.takeBack(l.start)
		l.model = maps.Clone(l.saved)
	case 9:
		l.mark()
	}
}

// compare reads everything in every way.
func (l *layered) compare(t *rapid.T) {
	for _, k := range append(slices.Collect(maps.Keys(l.model)), "a", "bb", "ccc") {
		got, err := l.w.Get([]byte(k))
		want, ok := l.model[k]
		if err != nil || ok != (got != nil) || string(got) != want {
			t.Fatalf("Get %s: %q (%v), want %q %v", k, got, err, want, ok)
		}
	}
	lo, hi := keyGen.Draw(t, "lo"), keyGen.Draw(t, "hi")
	keys := slices.Sorted(maps.Keys(l.model))
	in := slices.DeleteFunc(keys, func(k string) bool { return k < lo || k >= hi })
	l.walk(t, l.w.Iter([]byte(lo), []byte(hi)), in)
}

// walk moves an iterator at random along what it must show.
func (l *layered) walk(t *rapid.T, it Iterator, want []string) {
	at := -1
	for range rapid.IntRange(1, 40).Draw(t, "moves") {
		var ok bool
		switch move := rapid.IntRange(0, 5).Draw(t, "move"); {
		case move == 0:
			k := keyGen.Draw(t, "seek")
			ok, at = it.SeekGE([]byte(k)), slices.IndexFunc(want, func(w string) bool { return w >= k })
			if at < 0 {
				at = len(want)
			}
		case move == 1:
			ok, at = it.Last(), len(want)-1
		case move <= 3 || at < 0:
			if at == len(want) {
				continue
			}
			ok = it.Next()
			at++
		default:
			if at == len(want) {
				continue
			}
			ok = it.Prev()
			at--
		}
		if ok != (at >= 0 && at < len(want)) {
			t.Fatalf("move said %v, at %d of %q", ok, at, want)
		}
		if !ok {
			break
		}
		if k := string(it.Key()); k != want[at] || string(it.Value()) != l.model[k] {
			t.Fatalf("at %d: %q = %q, want %q of %q", at, k, it.Value(), want[at], want)
		}
	}
	check(t, it.Close())
}

// TestOverlay holds that an update reads its own writes over the applied state, that a refused function leaves
// nothing, and that the ops it is coded as make the applied state what it saw.
func TestOverlay(t *testing.T) {
	db := openDB(t)
	m, err := OpenMachine(db, MachineConfig{})
	check(t, err)
	defer m.Close()
	rapid.Check(t, func(t *rapid.T) {
		l := newLayered(t, db, m)
		for range rapid.IntRange(0, 40).Draw(t, "acts") {
			l.act(t)
		}
		l.compare(t)
		check(t, l.w.end())
		b := db.NewBatch()
		a := &applier{m: m, db: db, batch: b, key: appendSpaceKey(nil, prefixData, l.w.space)}
		check(t, replay(l.w.over.appendOps(nil), (*spaceSink)(a)))
		check(t, b.Commit(false))
		check(t, b.Close())
		l.w.over.reset()
		l.compare(t)
		check(t, l.w.end())
	})
}

func TestOverlayManyKeys(t *testing.T) {
	o := newOverlay()
	const n = 20_000
	for i := range n {
		o.set(fmt.Appendf(nil, "%08d", i*7919%n), []byte{1})
	}
	var last []byte
	count := 0
	for i := o.next(0, 0); i != 0; i = o.next(i, 0) {
		if bytes.Compare(o.nodes[i].key, last) <= 0 {
			t.Fatalf("%q after %q", o.nodes[i].key, last)
		}
		last = o.nodes[i].key
		count++
	}
	if count != n || o.size != n*(8+1+opFrame) {
		t.Fatalf("%d keys, size %d", count, o.size)
	}
	o.reset()
	if !o.empty() || o.lookup([]byte("00000001")) != 0 {
		t.Fatal("not empty after reset")
	}
}
