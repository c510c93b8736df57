package lsm

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// compactions shares the node's compaction slots between its databases: a free slot goes to the database that needs
// it most. The engine's locks come before mu, so mu is never held while calling a database, except for
// GetAllowedWithoutPermission, which takes no lock.
type compactions struct {
	mu      sync.Mutex // guards all below, and the fields of each scheduler
	idle    sync.Cond  // a scheduler's calls fell to zero
	limit   int
	running int
	members []*scheduler
}

func (c *compactions) init(limit int) {
	c.limit = limit
	c.idle.L = &c.mu
}

// scheduler is one database's view of compactions; it is also the handle of each slot the database holds.
type scheduler struct {
	shared  *Shared
	db      pebble.DBForCompaction
	running int
	calls   int // calls into db under way
	member  bool
}

var (
	_ pebble.CompactionScheduler   = (*scheduler)(nil)
	_ pebble.CompactionGrantHandle = (*scheduler)(nil)
)

// Register is called once by the database when it has opened.
func (s *scheduler) Register(_ int, db pebble.DBForCompaction) {
	c := &s.shared.compactions
	c.mu.Lock()
	defer c.mu.Unlock()
	s.db, s.member = db, true
	c.members = append(c.members, s)
}

// Unregister returns when no call into the database is under way, and none will come.
func (s *scheduler) Unregister() { s.shared.forget(s) }

func (s *Shared) forget(which *scheduler) {
	c := &s.compactions
	c.mu.Lock()
	defer c.mu.Unlock()
	which.member = false
	kept := c.members[:0:0]
	for _, m := range c.members {
		if m != which {
			kept = append(kept, m)
		}
	}
	c.members = kept
	for which.calls > 0 {
		c.idle.Wait()
	}
}

// TrySchedule takes a slot if one is free.
func (s *scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	c := &s.shared.compactions
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.mayRunLocked() {
		return false, nil
	}
	c.running++
	s.running++
	return true, s
}

func (s *scheduler) mayRunLocked() bool {
	c := &s.shared.compactions
	return s.member && c.running < c.limit && s.running < s.db.GetAllowedWithoutPermission()
}

// UpdateGetAllowedWithoutPermission says that the database may want more slots now.
func (s *scheduler) UpdateGetAllowedWithoutPermission() { poke(s.shared.wantGrant) }

// Started, MeasureCPU and CumulativeStats are reports that this scheduler does not use.
func (s *scheduler) Started() {}

// MeasureCPU is not used.
func (s *scheduler) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats is not used.
func (s *scheduler) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done gives the slot back.
func (s *scheduler) Done() {
	s.release()
	poke(s.shared.wantGrant)
}

func (s *scheduler) release() {
	c := &s.shared.compactions
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	s.running--
}

// grantCompactions hands freed slots to databases that were refused one. The tick covers databases whose own limit
// rose with time.
func (s *Shared) grantCompactions() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.wantGrant:
		case <-tick.C:
		}
		for s.grantOne() {
		}
	}
}

// grantOne gives a free slot to the database with the most urgent compaction; false when none is free or wanted.
func (s *Shared) grantOne() bool {
	candidates := s.enter()
	defer s.leave(candidates)
	var best *scheduler
	var need pebble.WaitingCompaction
	for _, m := range candidates {
		waiting, w := m.db.GetWaitingCompaction()
		if waiting && (best == nil || moreUrgent(w, need)) {
			best, need = m, w
		}
	}
	if best == nil {
		return false
	}
	if ok, _ := best.TrySchedule(); !ok {
		return false
	}
	if !best.db.Schedule(best) {
		best.release()
		return false
	}
	return true
}

// enter returns the databases that may run one more compaction, kept from leaving until leave.
func (s *Shared) enter() []*scheduler {
	c := &s.compactions
	c.mu.Lock()
	defer c.mu.Unlock()
	var may []*scheduler
	for _, m := range c.members {
		if m.mayRunLocked() {
			m.calls++
			may = append(may, m)
		}
	}
	return may
}

func (s *Shared) leave(ms []*scheduler) {
	c := &s.compactions
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range ms {
		m.calls--
	}
	c.idle.Broadcast()
}

func moreUrgent(a, b pebble.WaitingCompaction) bool {
	if a.Optional != b.Optional {
		return b.Optional
	}
	if a.Priority != b.Priority {
		return a.Priority > b.Priority
	}
	return a.Score > b.Score
}
