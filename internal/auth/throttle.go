package auth

import (
	"sync"
	"time"
)

// throttle counts failures by key in a sliding window. Memory is bounded: when the table is full the oldest key goes.
type throttle struct {
	limit  int
	window time.Duration
	keys   int

	mu    sync.Mutex
	fails map[string][]time.Time // guarded by mu; times ascend, at most limit of them
}

func newThrottle(limit int, window time.Duration) *throttle {
	return &throttle{limit: limit, window: window, keys: 100_000, fails: make(map[string][]time.Time)}
}

// blocked reports whether any of the keys has used up its tries.
func (t *throttle) blocked(now time.Time, keys ...string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		if len(t.recentLocked(now, k)) >= t.limit {
			return true
		}
	}
	return false
}

func (t *throttle) failed(now time.Time, keys ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		if len(t.fails) >= t.keys {
			t.dropOldestLocked()
		}
		f := append(t.recentLocked(now, k), now)
		t.fails[k] = f[max(0, len(f)-t.limit):]
	}
}

// succeeded forgets a user's failures; those of an address stay, or one good account would buy guesses at others.
func (t *throttle) succeeded(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.fails, key)
}

func (t *throttle) recentLocked(now time.Time, k string) []time.Time {
	f := t.fails[k]
	for len(f) > 0 && now.Sub(f[0]) >= t.window {
		f = f[1:]
	}
	if len(f) == 0 {
		delete(t.fails, k)
		return nil
	}
	t.fails[k] = f
	return f
}

func (t *throttle) dropOldestLocked() {
	var oldest string
	var when time.Time
	for k, f := range t.fails {
		if oldest == "" || f[len(f)-1].Before(when) {
			oldest, when = k, f[len(f)-1]
		}
	}
	delete(t.fails, oldest)
}
