package raftlog

import (
	"testing"
	"time"
)

// TestFrozenProcessBlamesNoDisk: a sync under way while the process is frozen has not been running for that long.
func TestFrozenProcessBlamesNoDisk(t *testing.T) {
	w := watch{cap: time.Second, running: make(map[*syncing]struct{})}
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
