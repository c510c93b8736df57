package lsm

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// Budget limits what all databases of a node take together. A zero field takes the default.
type Budget struct {
	// CacheBytes is the block cache; default 256 MiB.
	CacheBytes int64
	// OpenFiles is the number of table files kept open; default 4096.
	OpenFiles int
	// MemTableBytes is the sum of writes not yet flushed; beyond it the database with most of them is flushed. Default
	// 512 MiB.
	MemTableBytes int64
	// Compactions is how many run at a time; default half the processors, at least one.
	Compactions int
}

func (b Budget) withDefaults() Budget {
	if b.CacheBytes == 0 {
		b.CacheBytes = 256 << 20
	}
	if b.OpenFiles == 0 {
		b.OpenFiles = 4096
	}
	if b.MemTableBytes == 0 {
		b.MemTableBytes = 512 << 20
	}
	if b.Compactions == 0 {
		b.Compactions = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return b
}

// Shared is what the databases of a node have in common. It is closed after them.
type Shared struct {
	budget Budget
	cache  *pebble.Cache
	files  *pebble.FileCache

	unflushed atomic.Int64
	wantFlush chan struct{}
	wantGrant chan struct{}
	stop      chan struct{}
	workers   sync.WaitGroup

	mu  sync.Mutex // guards dbs
	dbs map[*DB]bool

	compactions compactions
}

// NewShared makes the resources and starts what looks after them.
func NewShared(b Budget) *Shared {
	b = b.withDefaults()
	s := &Shared{
		budget:    b,
		cache:     pebble.NewCache(b.CacheBytes),
		files:     pebble.NewFileCache(max(1, runtime.GOMAXPROCS(0)), b.OpenFiles),
		wantFlush: make(chan struct{}, 1),
		wantGrant: make(chan struct{}, 1),
		stop:      make(chan struct{}),
		dbs:       make(map[*DB]bool),
	}
	s.compactions.init(b.Compactions)
	s.workers.Go(s.flushLargest)
	s.workers.Go(s.grantCompactions)
	return s
}

// Close ends the workers and drops the caches. Every database that used s must be closed.
func (s *Shared) Close() {
	close(s.stop)
	s.workers.Wait()
	s.files.Unref()
	s.cache.Unref()
}

// Unflushed is the number of bytes written to all databases and not yet flushed.
func (s *Shared) Unflushed() int64 { return s.unflushed.Load() }

func (s *Shared) add(db *DB) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dbs[db] = true
}

// remove waits until the flusher no longer holds db.
func (s *Shared) remove(db *DB) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dbs, db)
	s.unflushed.Add(-db.dirty.Swap(0))
}

func (s *Shared) wrote(db *DB, bytes int64) {
	db.dirty.Add(bytes)
	if s.unflushed.Add(bytes) > s.budget.MemTableBytes {
		poke(s.wantFlush)
	}
}

func (s *Shared) flushBegan(db *DB) { db.flushing.Store(db.dirty.Swap(0)) }

func (s *Shared) flushEnded(db *DB) { s.unflushed.Add(-db.flushing.Swap(0)) }

func (s *Shared) flushLargest() {
	for {
		select {
		case <-s.stop:
			return
		case <-s.wantFlush:
		}
		if s.unflushed.Load() <= s.budget.MemTableBytes {
			continue
		}
		s.flushOne()
	}
}

// flushOne starts a flush of the database with most unflushed bytes. It holds mu meanwhile, so that the database is
// not closed under it.
func (s *Shared) flushOne() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var largest *DB
	for db := range s.dbs {
		if db.Failure() == nil && (largest == nil || db.dirty.Load() > largest.dirty.Load()) {
			largest = db
		}
	}
	if largest == nil || largest.dirty.Load() == 0 {
		return
	}
	if _, err := largest.p.AsyncFlush(); err != nil {
		largest.fail(err)
	}
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
