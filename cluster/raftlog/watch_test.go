package raftlog

import (
	"testing"
	"time"
)

// TestFrozenProcessBlamesNoDisk: a sync under way while the process is frozen has not been running for that long.
func TestFrozenProcessBlamesNoDisk(t *testing.T) {
	w := newWatch(time.Second, nil)
	began := time.Now()
	w.look(began)
	s := w.begin()
	if d := w.look(began.Add(10 * time.Second)); d > time.Second {
		t.Fatalf("10 s without a look count %v", d)
	}
	var longest time.Duration
	for i := range 24 {
		longest = w.look(began.Add(10*time.Second + time.Duration(i+1)*250*time.Millisecond))
	}
	if longest < 6*time.Second || longest > 7*time.Second {
		t.Fatalf("6 s with looks count %v", longest)
	}
	if _, n := w.end(s); n != 1 || w.look(began.Add(time.Minute)) != 0 {
		t.Fatal("an ended sync is still running")
	}
}

// TestEverySlowWriteIsTold: whatever waits for the disk is noticed while it waits, terms and votes as well as entries.
func TestEverySlowWriteIsTold(t *testing.T) {
	told := make(chan time.Duration, 1)
	tell := func(running time.Duration) {
		select {
		case told <- running:
		default:
		}
	}
	o := setup(t, Bolt)
	o.Faults, o.SlowSync, o.Events.SyncSlow = &Faults{}, 4*time.Millisecond, tell
	s := openStore(t, o)
	l := openLog(t, s, testGroup)
	votes, err := OpenStable(StableOptions{Dir: t.TempDir(), Faults: o.Faults, SlowSync: o.SlowSync, SyncSlow: tell})
	must(t, err)
	must(t, l.StoreLogs(entries(1, 500, 1, 10)))
	next := uint64(501)
	add := func() error {
		next++
		return l.StoreLogs(entries(next-1, 1, 1, 10))
	}
	for name, write := range map[string]func() error{
		"entries":  add,
		"front":    func() error { return l.TruncateTo(l.spanNow().first) },
		"back":     func() error { next--; return l.DeleteRange(next, next) },
		"marks":    s.marks.write,
		"vote":     func() error { return votes.Group(3).Set([]byte(raftVoteCand), []byte("n2")) },
		"new term": func() error { return votes.Group(4).SetUint64([]byte(raftCurrentTerm), 2) },
	} {
		select {
		case <-told:
		default:
		}
		o.Faults.SyncDelay.Store(int64(30 * time.Millisecond))
		deadline := time.Now().Add(20 * time.Second)
		for len(told) == 0 && time.Now().Before(deadline) {
			must(t, write())
		}
		o.Faults.SyncDelay.Store(0)
		select {
		case running := <-told:
			if running < o.SlowSync {
				t.Errorf("%s: told after %v", name, running)
			}
		default:
			t.Errorf("%s: a slow write went unnoticed", name)
		}
	}
	must(t, s.Close())
	must(t, votes.Close())
}
