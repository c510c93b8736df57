package group

import (
	"time"
)

// truncateLoop keeps the logs short (CLUSTER 5.4).
func (h *Host) truncateLoop() {
	h.eachEvery(h.cfg.TruncateEvery, func(g *Group) {
		if g.begin() != nil {
			return
		}
		err := g.truncate(time.Now())
		g.ops.Done()
		if err != nil {
			g.fence(err)
		}
	})
}

// truncate cuts the log's front when it has grown long or old: only what the state holds durably, only what no
// snapshot on its way needs, and never the newest LogKeepBytes, from which a follower that was away catches up. A full disk
// makes do with less.
func (g *Group) truncate(now time.Time) error {
	cfg := &g.host.cfg
	bytes, oldest := g.log.Bytes(), g.log.Oldest()
	longest, kept := cfg.LogBytes, cfg.LogKeepBytes
	if cfg.DiskFull() {
		longest, kept = kept/4, kept/8
	}
	long := bytes > longest
	old := bytes > kept && !oldest.IsZero() && now.Sub(oldest) > cfg.LogAge
	if !long && !old {
		return nil
	}
	first, err := g.log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := g.log.LastIndex()
	if err != nil {
		return err
	}
	// Entries are taken to be of one size. When they are not, more or less than was meant is kept, never too little
	// for this replica itself.
	keep := uint64(float64(last-first+1) * float64(kept) / float64(bytes))
	if first == 0 || keep >= last-first {
		return nil
	}
	if err := g.machine.Flush(); err != nil {
		return err
	}
	cut := g.snaps.truncatable(min(last-keep-1, g.machine.DurableApplied()))
	if held := g.snaps.heldForSeeds(now, bytes, g.host.seedRoom()); held <= cut {
		cut = max(held, 1) - 1
	}
	if cut < first {
		return nil
	}
	if err := g.log.TruncateTo(cut); err != nil {
		return err
	}
	if emit := cfg.Events.Truncated; emit != nil {
		emit(g.id, cut)
	}
	return nil
}
