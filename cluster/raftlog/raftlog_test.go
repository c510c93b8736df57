package raftlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

const (
	testGroup  = cluster.GroupID(7)
	testServer = cluster.ServerID("n1.0000000000000001")
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// setup makes the options of one kind of store on fresh files. The marks are not written by time, so that tests say
// when they are.
func setup(t testing.TB, k Kind) Options {
	t.Helper()
	o := Options{Kind: k, Dir: t.TempDir(), MarkEvery: time.Hour, CacheBytes: 4 << 10}
	if k == Pebble {
		o.Dir, o.FS = "log", lsm.CrashableMemFS()
	}
	return o
}

func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	must(t, err)
	return s
}

func openLog(t testing.TB, s *Store, g cluster.GroupID) *Log {
	t.Helper()
	l, err := s.Group(g)
	must(t, err)
	if _, ok := l.Floor(); !ok {
		must(t, l.Init(testServer, 0, 0))
	}
	return l
}

func entry(index, term uint64, size int) *raft.Log {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(index*7 + term + uint64(i))
	}
	if size == 0 {
		data = nil
	}
	l := &raft.Log{Index: index, Term: term, Type: raft.LogType(index % 6), Data: data}
	if index%3 == 0 {
		l.Extensions = []byte{byte(index), 0}
	}
	if index%4 != 0 {
		l.AppendedAt = time.Unix(1_800_000_000, int64(index))
	}
	return l
}

func entries(from, n, term uint64, size int) []*raft.Log {
	var all []*raft.Log
	for i := range n {
		all = append(all, entry(from+i, term, size))
	}
	return all
}

func sameEntry(a, b *raft.Log) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && slices.Equal(a.Data, b.Data) &&
		slices.Equal(a.Extensions, b.Extensions) && a.AppendedAt.Equal(b.AppendedAt)
}

// content reads a whole log.
func content(t testing.TB, l raft.LogStore) []*raft.Log {
	t.Helper()
	first, err := l.FirstIndex()
	must(t, err)
	last, err := l.LastIndex()
	must(t, err)
	var all []*raft.Log
	for i := first; i != 0 && i <= last; i++ {
		var e raft.Log
		must(t, l.GetLog(i, &e))
		all = append(all, &e)
	}
	var e raft.Log
	for _, i := range []uint64{0, first - 1, last + 1} {
		if err := l.GetLog(i, &e); !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatalf("GetLog(%d) outside %d..%d: %v", i, first, last, err)
		}
	}
	return all
}

func sameLog(a, b []*raft.Log) bool { return slices.EqualFunc(a, b, sameEntry) }

func eachKind(t *testing.T, test func(t *testing.T, k Kind)) {
	t.Run("pebble", func(t *testing.T) { test(t, Pebble) })
	t.Run("bolt", func(t *testing.T) { test(t, Bolt) })
}

// TestConformance runs random orders against each store and hashicorp/raft's own store in memory.
func TestConformance(t *testing.T) {
	eachKind(t, func(t *testing.T, k Kind) {
		rapid.Check(t, func(rt *rapid.T) { conform(t, rt, k) })
	})
}

type subject struct {
	t     testing.TB
	o     Options
	store *Store
	log   *Log
	model *raft.InmemStore
	term  uint64
	state State // what a replica's state would hold durably; randomOrder keeps it
}

func conform(t testing.TB, rt *rapid.T, k Kind) {
	s := &subject{t: t, o: setup(t, k), model: raft.NewInmemStore(), term: 1}
	s.store = openStore(t, s.o)
	s.log = openLog(t, s.store, testGroup)
	other := openLog(t, s.store, testGroup+8)
	must(t, other.StoreLogs(entries(1, 3, 9, 10)))
	rt.Repeat(map[string]func(*rapid.T){
		"append":   s.append,
		"front":    s.front,
		"back":     s.back,
		"all":      s.all,
		"reopen":   func(*rapid.T) { s.reopen() },
		"mark":     func(*rapid.T) { must(t, s.store.marks.write()) },
		"":         func(*rapid.T) { s.compare() },
		"overlong": s.refused,
	})
	other, err := s.store.Group(testGroup + 8)
	must(t, err)
	if !sameLog(content(t, other), entries(1, 3, 9, 10)) {
		t.Fatal("another group's log changed")
	}
	must(t, s.store.Close())
}

func (s *subject) ends() (first, last uint64) {
	first, _ = s.model.FirstIndex()
	last, _ = s.model.LastIndex()
	return first, last
}

func (s *subject) append(rt *rapid.T) {
	_, last := s.ends()
	next := last + 1
	if last == 0 {
		next = s.log.floorNow().Index + 1 + rapid.Uint64Range(0, 5).Draw(rt, "gap")
	}
	s.term += rapid.Uint64Range(0, 1).Draw(rt, "newer")
	logs := entries(next, rapid.Uint64Range(1, 9).Draw(rt, "n"), s.term, rapid.IntRange(0, 600).Draw(rt, "size"))
	must(s.t, s.log.StoreLogs(logs))
	must(s.t, s.model.StoreLogs(logs))
}

func (s *subject) front(rt *rapid.T) {
	first, last := s.ends()
	to := rapid.Uint64Range(first, last+2).Draw(rt, "to")
	must(s.t, s.log.TruncateTo(to))
	if first != 0 {
		must(s.t, s.model.DeleteRange(first, min(to, last)))
	}
}

func (s *subject) back(rt *rapid.T) {
	first, last := s.ends()
	from := rapid.Uint64Range(max(first, 1), last+1).Draw(rt, "from")
	must(s.t, s.log.DeleteRange(from, last))
	if from <= last {
		must(s.t, s.model.DeleteRange(from, last))
	}
}

func (s *subject) all(*rapid.T) {
	first, last := s.ends()
	must(s.t, s.log.DeleteRange(first, last))
	if first != 0 {
		must(s.t, s.model.DeleteRange(first, last))
	}
}

func (s *subject) refused(rt *rapid.T) {
	first, last := s.ends()
	if last == 0 {
		return
	}
	for _, bad := range []uint64{last + 2, last} {
		if s.log.StoreLog(entry(bad, s.term, 1)) == nil {
			rt.Fatalf("entry %d stored behind %d", bad, last)
		}
	}
	if last-first >= 2 && s.log.DeleteRange(first+1, last-1) == nil {
		rt.Fatal("a hole was deleted")
	}
}

func (s *subject) reopen() {
	must(s.t, s.store.Close())
	s.store = openStore(s.t, s.o)
	s.log = openLog(s.t, s.store, testGroup)
}

func (s *subject) compare() {
	got, want := content(s.t, s.log), content(s.t, s.model)
	if !sameLog(got, want) {
		s.t.Fatalf("log has %d entries, want %d", len(got), len(want))
	}
	var bytes uint64
	for _, e := range want {
		bytes += uint64(len(appendEntry(nil, testGroup, e, 0)))
	}
	if s.log.Bytes() != bytes {
		s.t.Fatalf("log says %d bytes, has %d", s.log.Bytes(), bytes)
	}
	if len(want) > 0 && !s.log.Oldest().Equal(want[0].AppendedAt) {
		s.t.Fatalf("oldest %v, want %v", s.log.Oldest(), want[0].AppendedAt)
	}
	if c := s.store.Cached(); c > s.o.CacheBytes {
		s.t.Fatalf("cache holds %d bytes of %d", c, s.o.CacheBytes)
	}
}

// TestPowerCut cuts the power at random moments: the log is what it was after some order that is not before the last
// one that was synced, and the mark never contradicts it.
func TestPowerCut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		rng := rand.New(rand.NewPCG(seed, 2))
		s := &subject{t: t, o: setup(t, Pebble), term: 1}
		fs := s.o.FS.(*lsm.CrashFS)
		s.store = openStore(t, s.o)
		s.log = openLog(t, s.store, testGroup)
		possible := [][]*raft.Log{nil}
		for range 1 + rng.IntN(30) {
			possible = s.randomOrder(rng, possible)
		}
		s.o.FS = fs.CrashClone(rng, rng.IntN(101))
		must(t, s.store.Close())
		s.store = openStore(t, s.o)
		s.log = openLog(t, s.store, testGroup)
		got := content(t, s.log)
		if !slices.ContainsFunc(possible, func(p []*raft.Log) bool { return sameLog(got, p) }) {
			t.Fatalf("seed %d: log of %d entries was never there since the last sync", seed, len(got))
		}
		s.goesOn()
		must(t, s.store.Close())
	})
}

// goesOn checks the log against the state, as a start does, and appends to it.
func (s *subject) goesOn() {
	s.t.Helper()
	s.state.Server, s.state.Log = testServer, s.log.Identity()
	stable := (&StableStore{}).Group(testGroup)
	for _, check := range []func(*Log, *Stable, State) error{checkIdentity, checkEnd, checkSpan, checkTerms, checkEntries} {
		if err := check(s.log, stable, s.state); err != nil {
			s.t.Fatalf("state of %d/%d from snapshot %d: %v", s.state.Index, s.state.Term, s.state.Snapshot, err)
		}
	}
	before := content(s.t, s.log)
	more := entries(s.next(), 2, s.term+1, 5)
	must(s.t, s.log.StoreLogs(more))
	if !sameLog(content(s.t, s.log), append(before, more...)) {
		s.t.Fatal("what was appended is not behind what was there")
	}
}

// next is the index that continues the log.
func (s *subject) next() uint64 {
	if now := s.log.spanNow(); now.last != 0 {
		return now.last + 1
	}
	return s.log.floorNow().Index + 1
}

// randomOrder changes the log and returns what a power cut may leave from now on.
func (s *subject) randomOrder(rng *rand.Rand, possible [][]*raft.Log) [][]*raft.Log {
	now := s.log.spanNow()
	unapplied := max(now.first, s.state.Index+1)
	switch k := rng.IntN(8); {
	case k == 0 && now.first != 0:
		to := now.first + rng.Uint64N(now.last-now.first+1)
		s.applied(to)
		must(s.t, s.log.TruncateTo(to))
	case k == 1 && now.last >= unapplied:
		must(s.t, s.log.DeleteRange(unapplied+rng.Uint64N(now.last-unapplied+1), now.last))
	case k == 2:
		must(s.t, s.store.marks.write())
	case k == 3 && rng.IntN(3) == 0:
		s.snapshot(rng)
		must(s.t, s.log.DeleteRange(now.first, now.last))
	case k == 4 && rng.IntN(3) == 0:
		s.snapshot(rng)
		must(s.t, s.log.Init(testServer, s.state.Index, s.state.Term))
		return [][]*raft.Log{nil}
	default:
		s.term += rng.Uint64N(2)
		must(s.t, s.log.StoreLogs(entries(max(s.next(), s.state.Index+1), 1+rng.Uint64N(4), s.term, rng.IntN(300))))
		return [][]*raft.Log{content(s.t, s.log)}
	}
	return append(possible, content(s.t, s.log))
}

// applied lets the state hold everything up to index.
func (s *subject) applied(index uint64) {
	if index <= s.state.Index {
		return
	}
	e, err := s.log.read(index)
	must(s.t, err)
	s.state.Index, s.state.Term = index, e.log.Term
}

// snapshot replaces the state by one of a later term, from behind the log or from inside what conflicts with it.
func (s *subject) snapshot(rng *rand.Rand) {
	s.term++
	s.state.Index, s.state.Term = s.state.Index+1+rng.Uint64N(max(s.next(), s.state.Index)+5-s.state.Index), s.term
	s.state.Snapshot = s.state.Index
}

func newestWAL(t testing.TB, fs lsm.FS, dir string) string {
	t.Helper()
	names, err := fs.List(dir)
	must(t, err)
	newest := ""
	for _, n := range names {
		if strings.HasSuffix(n, ".log") && n > newest {
			newest = n
		}
	}
	return path.Join(dir, newest)
}

// TestFlippedBit turns single bits of the last log file, whose entries were all synced. Whatever does not read back as
// it was is an error of Open, of Check or of GetLog. Without marks that holds for all but the entry synced last; with
// marks for that too.
func TestFlippedBit(t *testing.T) {
	for _, marked := range []bool{false, true} {
		t.Run(fmt.Sprintf("marked=%v", marked), func(t *testing.T) { flipBits(t, marked) })
	}
}

func flipBits(t *testing.T, marked bool) {
	o := setup(t, Pebble)
	fs := o.FS.(*lsm.CrashFS)
	s := openStore(t, o)
	l := openLog(t, s, testGroup)
	const n = 25
	lastAt := 0
	for i := uint64(1); i <= n; i++ {
		if wal, err := lsm.ReadFile(fs.CrashClone(nil, 0), newestWAL(t, fs, "log/pebble")); err == nil {
			lastAt = len(wal)
		}
		must(t, l.StoreLogs(entries(i, 1, 1, 40+int(i%5)*900)))
	}
	if marked {
		must(t, s.marks.write())
	}
	want := content(t, l)
	cut := fs.CrashClone(nil, 0)
	must(t, s.Close())
	name := newestWAL(t, cut, "log/pebble")
	wal, err := lsm.ReadFile(cut, name)
	must(t, err)
	if marked {
		lastAt = len(wal)
	}
	if lastAt < 20<<10 {
		t.Fatalf("the log file has only %d bytes", lastAt)
	}
	rng := rand.New(rand.NewPCG(1, 3))
	found := 0
	for range 400 {
		at := rng.IntN(lastAt)
		bad := slices.Clone(wal)
		bad[at] ^= 1 << rng.IntN(8)
		o.FS = cut.CrashClone(nil, 0)
		must(t, lsm.WriteFile(o.FS, name, bad))
		if noticed(t, o, want) {
			found++
		}
	}
	if found < 300 {
		t.Fatalf("only %d of 400 flips noticed: the test turns the wrong bits", found)
	}
}

// noticed opens a store and reports whether it refused. If it did not, the log must be what it was.
func noticed(t *testing.T, o Options, want []*raft.Log) bool {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		return true
	}
	defer func() { must(t, s.Close()) }()
	l, err := s.Group(testGroup)
	if err != nil {
		return true
	}
	floor, known := l.Floor()
	if !known || l.damage() != nil {
		return true
	}
	for _, check := range []func(*Log, *Stable, State) error{checkEnd, checkSpan, checkEntries} {
		if check(l, nil, State{Server: testServer, Index: floor.Index, Term: floor.Term}) != nil {
			return true
		}
	}
	if !sameLog(content(t, l), want) {
		t.Fatalf("a shorter or other log was taken for whole: %+v", l.spanNow())
	}
	return false
}

// TestTornTail cuts the last log file short inside what was not synced: that is an end, not damage.
func TestTornTail(t *testing.T) {
	o := setup(t, Pebble)
	fs := o.FS.(*lsm.CrashFS)
	s := openStore(t, o)
	l := openLog(t, s, testGroup)
	must(t, l.StoreLogs(entries(1, 5, 1, 2000)))
	before, err := lsm.ReadFile(fs.CrashClone(nil, 0), newestWAL(t, fs, "log/pebble"))
	must(t, err)
	must(t, l.StoreLogs(entries(6, 5, 1, 2000)))
	cut := fs.CrashClone(nil, 0)
	must(t, s.Close())
	name := newestWAL(t, cut, "log/pebble")
	after, err := lsm.ReadFile(cut, name)
	must(t, err)
	for keep := len(before); keep < len(after); keep += 501 {
		o.FS = cut.CrashClone(nil, 0)
		must(t, lsm.WriteFile(o.FS, name, after[:keep]))
		again := openStore(t, o)
		got := content(t, openLog(t, again, testGroup))
		if len(got) != 5 && len(got) != 10 {
			t.Fatalf("cut at %d of %d..%d in %s: %d entries", keep, len(before), len(after), name, len(got))
		}
		must(t, again.Close())
	}
}
