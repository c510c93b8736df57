package raftlog

import (
	"sync"
	"time"
)

// slowSync is from when a sync is slow, unless the options say otherwise (CLUSTER 5.5).
const slowSync = time.Second

// watch knows the writes under way, and how long each has been running while the process did: when the process itself
// stood still, frozen or with its whole machine, the disk is not to blame.
type watch struct {
	// slow is from when a write is told of; it is also the most that the time between two looks counts.
	slow time.Duration
	tell func(running time.Duration) // may be nil

	mu      sync.Mutex
	running map[*syncing]struct{} // guarded by mu
	looked  time.Time             // guarded by mu
	awake   time.Duration         // until looked; guarded by mu
}

// syncing is one write under way, with the sync that ends it.
type syncing struct {
	began time.Time
	awake time.Duration // the watch's when it began
}

func newWatch(slow time.Duration, tell func(running time.Duration)) *watch {
	return &watch{slow: slow, tell: tell, running: make(map[*syncing]struct{})}
}

// run looks until stop is closed, and tells of the write that has been running longest when that is slow.
func (w *watch) run(stop <-chan struct{}) {
	tick := time.NewTicker(w.slow / 4)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if d := w.look(time.Now()); d >= w.slow && w.tell != nil {
				w.tell(d)
			}
		}
	}
}

// over runs a write under the eyes of the watch. It returns how long that took and how many, with it, were under way.
func (w *watch) over(write func() error) (took time.Duration, waiting int, err error) {
	s := w.begin()
	err = write()
	took, waiting = w.end(s)
	return took, waiting, err
}

func (w *watch) begin() *syncing {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	s := &syncing{began: now, awake: w.awakeLocked(now)}
	w.running[s] = struct{}{}
	return s
}

func (w *watch) end(s *syncing) (took time.Duration, waiting int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting = len(w.running)
	delete(w.running, s)
	return time.Since(s.began), waiting
}

// look is called regularly; it returns how long the oldest write has been running.
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
	return w.awake + min(now.Sub(w.looked), w.slow)
}
