package raftlog

import (
	"sync"
	"time"
)

// watch knows the syncs under way, and how long each has been running while the process did: when the process itself
// stood still, frozen or with its whole machine, the disk is not to blame.
type watch struct {
	// cap is the most that the time between two looks counts.
	cap time.Duration

	mu      sync.Mutex
	running map[*syncing]struct{} // guarded by mu
	looked  time.Time             // guarded by mu
	awake   time.Duration         // until looked; guarded by mu
}

// syncing is one sync under way.
type syncing struct {
	began time.Time
	awake time.Duration // the watch's when it began
}

func (w *watch) begin() *syncing {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	s := &syncing{began: now, awake: w.awakeLocked(now)}
	w.running[s] = struct{}{}
	return s
}

// end returns how long the sync took and how many, with it, were under way.
func (w *watch) end(s *syncing) (time.Duration, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.running)
	delete(w.running, s)
	return time.Since(s.began), n
}

// look is called regularly; it returns how long the oldest sync has been running.
func (w *watch) look(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awake, w.looked = w.awakeLocked(now), now
	var longest time.Duration
	for s := range w.running {
		longest = max(longest, w.awake-s.awake)
	}
	return longest
}

func (w *watch) awakeLocked(now time.Time) time.Duration {
	if w.looked.IsZero() {
		return w.awake
	}
	return w.awake + min(now.Sub(w.looked), w.cap)
}
