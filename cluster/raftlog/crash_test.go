package raftlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// TestKillBetweenTransactions stops a Bolt store before each of its transactions and after each order: what is on disk
// then is the log from before the order or the one from after it, fits the state, and goes on.
func TestKillBetweenTransactions(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	killed := 0
	for round := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, round))
		s := &subject{t: t, o: setup(t, Bolt), term: 1}
		s.store = openStore(t, s.o)
		s.log = openLog(t, s.store, testGroup)
		var left []*subject
		s.store.engine.(*boltEngine).between = func() { left = append(left, s.copied()) }
		for range 12 {
			before := content(t, s.log)
			left = nil
			s.randomOrder(rng, nil)
			after := content(t, s.log)
			for _, c := range left {
				c.survives(s, before, after)
			}
			s.copied().survives(s, after, after)
			killed += len(left)
		}
		must(t, s.store.Close())
	}
	t.Logf("killed at %d points in the middle of something", killed)
}

// copied is a store that was killed now.
func (s *subject) copied() *subject {
	c := &subject{t: s.t, o: s.o}
	c.o.Dir = s.t.TempDir()
	must(s.t, os.CopyFS(c.o.Dir, os.DirFS(s.o.Dir)))
	return c
}

// survives starts a killed store twice, with the state of the one that it is a copy of: whatever the first start repairs
// and appends, the second finds.
func (s *subject) survives(of *subject, before, after []*raft.Log) {
	s.t.Helper()
	s.state, s.term = of.state, of.term
	for range 2 {
		s.store = openStore(s.t, s.o)
		s.log = openLog(s.t, s.store, testGroup)
		got := content(s.t, s.log)
		if !sameLog(got, before) && !sameLog(got, after) {
			s.t.Fatalf("a log of %d entries, where there had been %d or %d", len(got), len(before), len(after))
		}
		s.goesOn()
		before = content(s.t, s.log)
		after = before
		must(s.t, s.store.Close())
	}
}

// TestFlippedBitInBolt turns single bits of a Bolt file, half of them where pages say what they are. Whatever does not
// read back as it was is an error of Open, of Check or of GetLog, and never the end of the process.
func TestFlippedBitInBolt(t *testing.T) {
	o := setup(t, Bolt)
	name, want := boltFile(t, o)
	whole, err := os.ReadFile(name)
	must(t, err)
	seed := rand.Uint64()
	t.Logf("seed %d, %d bytes", seed, len(whole))
	rng := rand.New(rand.NewPCG(seed, 1))
	found, flips := 0, 240
	for range flips {
		must(t, os.WriteFile(name, flipped(rng, whole, os.Getpagesize()), 0o600))
		if noticed(t, o, want) {
			found++
		}
	}
	if found < flips/8 {
		t.Errorf("only %d of %d flips noticed: the test turns the wrong bits", found, flips)
	}
}

// boltFile makes a store with a log that has a tree of several pages and was truncated and marked, and closes it.
func boltFile(t testing.TB, o Options) (name string, want []*raft.Log) {
	t.Helper()
	s := openStore(t, o)
	l := openLog(t, s, testGroup)
	for i := uint64(1); i <= 60; i++ {
		must(t, l.StoreLogs(entries(i, 1, 1, 40+int(i%5)*900)))
	}
	must(t, l.TruncateTo(20))
	must(t, s.marks.write())
	want = content(t, l)
	name = s.engine.(*boltEngine).name(testGroup)
	must(t, s.Close())
	return name, want
}

// flipped turns a bit of a bbolt file, in what a page begins with or anywhere.
func flipped(rng *rand.Rand, whole []byte, page int) []byte {
	bad := slices.Clone(whole)
	at := rng.IntN(len(bad))
	if rng.IntN(2) == 0 {
		at = at/page*page + rng.IntN(64)
	}
	bad[at] ^= 1 << rng.IntN(8)
	return bad
}

// FuzzCheckBolt: a file that is let pass can be read by bbolt to the end, and has nothing that bbolt's own check finds.
func FuzzCheckBolt(f *testing.F) {
	whole := smallBolt(f)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("no file of bbolt"))
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		f.Add(flipped(rng, whole, smallPage))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(name, b, 0o600))
		if err := checkBoltFile(name); err != nil {
			if !errors.Is(err, cluster.ErrDamaged) {
				t.Fatalf("wrong bytes are not an error of the disk: %v", err)
			}
			return
		}
		if len(b) > 0 {
			readBolt(t, name)
		}
	})
}

const smallPage = 1 << 10

// smallBolt is a file with a tree of small pages, a value of several, a bucket kept inline and one that is empty.
func smallBolt(t testing.TB) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "small")
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{PageSize: smallPage, NoFreelistSync: true})
	must(t, err)
	must(t, db.Update(func(tx *bbolt.Tx) error {
		for bucket, keys := range map[string]int{"logs": 30, "conf": 2, "none": 0} {
			b, err := tx.CreateBucket([]byte(bucket))
			must(t, err)
			for i := range keys {
				must(t, b.Put(fmt.Appendf(nil, "key %02d", i), make([]byte, 50+i/29*2500)))
			}
		}
		return nil
	}))
	must(t, db.Close())
	whole, err := os.ReadFile(name)
	must(t, err)
	return whole
}

func readBolt(t *testing.T, name string) {
	t.Helper()
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	must(t, err)
	must(t, db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("let pass: %v", err)
		}
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(_, _ []byte) error { return nil })
		})
	}))
	must(t, db.Close())
}
