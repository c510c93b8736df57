package raftlog

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/hashicorp/raft"
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
