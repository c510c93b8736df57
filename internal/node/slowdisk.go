package node

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// stuckSync is how long one sync may run before the process ends (CLUSTER 5.5).
	stuckSync = 5 * time.Second
	// moveEvery is how often leaderships may be moved away because of a slow disk, and how long one such move may take.
	moveEvery = 10 * time.Second
	// slowFor is how long a disk counts as slow after it was: the controller brings no leadership back meanwhile.
	slowFor = time.Minute
)

// slowDisk remembers that syncs take long. The zero value is for a disk that is well.
type slowDisk struct {
	// move hands over what is led here; nil while there is nothing to lead.
	move atomic.Pointer[func(context.Context) error]

	mu    sync.Mutex
	last  time.Time // that one took long; guarded by mu
	moved time.Time // that leaderships were moved away; guarded by mu
}

// note is told of a sync that takes long, and reports whether leaderships are to be moved away now.
func (d *slowDisk) note(now time.Time) (move bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = now
	if !d.moved.IsZero() && now.Sub(d.moved) < moveEvery {
		return false
	}
	d.moved = now
	return true
}

// slow reports whether the disk was slow lately.
func (d *slowDisk) slow(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.last.IsZero() && now.Sub(d.last) < slowFor
}

// syncSlow is told, again and again, of a sync that takes long: the leaderships move away, and when the disk does not
// come back the process ends (CLUSTER 5.5).
func (n *Node) syncSlow(running time.Duration) {
	if running > stuckSync {
		n.fatal("FL-1006", "the disk is stuck: the process ends so that others lead", fmt.Errorf("sync running for %v", running))
		return
	}
	move := n.disk.move.Load()
	if !n.disk.note(time.Now()) || move == nil || n.ctx.Err() != nil {
		return
	}
	if elsewhere(n.self, n.gossip.Nodes(), slowDiskOf) {
		n.log.Warn("a sync of logs or votes takes long, as on every other node", "code", "FL-1039", "running", running)
		return
	}
	n.log.Warn("a sync of logs or votes takes long: what is led here moves away", "code", "FL-1005", "running", running)
	n.wg.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, moveEvery)
		defer cancel()
		if err := (*move)(ctx); err != nil && n.ctx.Err() == nil {
			n.log.Warn("not everything moved away from the slow disk", "code", "FL-1038", "err", err)
		}
	})
}
