package auth

import (
	"sync"
	"time"
)

// throttle counts failures by key in a sliding window. Memory is bounded: there are two tables, and when the one that
// failures go to holds half of the keys it becomes the older one, whose keys are forgotten together. So the keys that
// failed last stay, and a flood of names costs no walk through the table for each of them.
type throttle struct {
	limit  int
	window time.Duration
	keys   int

	mu    sync.Mutex
	fails map[string][]time.Time // guarded by mu; times ascend, at most limit of them
	older map[string][]time.Time // guarded by mu; of keys that are not in fails
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
		f := append(t.recentLocked(now, k), now)
		t.forgetLocked(k)
		if len(t.fails) >= t.keys/2 {
			t.older, t.fails = t.fails, make(map[string][]time.Time)
		}
		t.fails[k] = f[max(0, len(f)-t.limit):]
	}
}

// succeeded forgets a user's failures; those of an address stay, or one good account would buy guesses at others.
func (t *throttle) succeeded(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgetLocked(key)
}

func (t *throttle) forgetLocked(key string) {
	delete(t.fails, key)
	delete(t.older, key)
}

// recentLocked is the failures of a key that count; a key without any is forgotten.
func (t *throttle) recentLocked(now time.Time, k string) []time.Time {
	f := t.fails[k]
	if f == nil {
		f = t.older[k]
	}
	for len(f) > 0 && now.Sub(f[0]) >= t.window {
		f = f[1:]
	}
	if len(f) == 0 {
		t.forgetLocked(k)
	}
	return f
}
