package space

import "sync/atomic"

// Budget bounds bytes that several replicas hold together: those of a node's requests that wait (CLUSTER 1.5).
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget makes a budget of so many bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Used is how many bytes are held.
func (b *Budget) Used() int64 { return b.used.Load() }

// take holds n more bytes if there is room, or if nothing else is held.
func (b *Budget) take(n int) bool {
	for {
		used := b.used.Load()
		if used > 0 && used+int64(n) > b.limit {
			return false
		}
		if b.used.CompareAndSwap(used, used+int64(n)) {
			return true
		}
	}
}

func (b *Budget) give(n int) { b.used.Add(-int64(n)) }
