// Package lsm is the only door to Pebble. It knows how this program wants an ordered key-value engine: as the state of
// one Raft group (no write-ahead log, large values apart, a prefix of batches survives a crash) or as the log that many
// groups share (write-ahead log, every commit synced). It never knows what keys and values mean.
//
// Invariants: what a Reader returns belongs to the caller; a database without a log reopens, after any crash, at an
// exact prefix of its batches that is not shorter than the last Flush; a database that failed once accepts no write
// again until it is reopened; a damaged middle of a log is an error of Open, never an earlier end. Spec: CLUSTER 5.
package lsm

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// ErrClosed is returned by a second Close.
var ErrClosed = errors.New("database is closed")

// ErrCorrupt marks every error that means bytes on disk are not what was written there.
var ErrCorrupt = pebble.ErrCorruption

// marked makes errors.Is find ErrCorrupt: the engine marks its errors in a way that only its own library sees.
func marked(err error) error {
	if errors.Is(err, ErrCorrupt) || !pebble.IsCorruptionError(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// misfit is marked for what Open found. Two of the engine's errors carry no mark: a file that the manifest names is not
// there, or has another size than the manifest says; for the second there is nothing but its text.
func misfit(err error) error {
	if errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "object size mismatch") {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return marked(err)
}

// formatVersion is the on-disk form that this release writes. It is raised with the cluster's level (CLUSTER 7.2).
const formatVersion = pebble.FormatValueSeparation

// Options say what one database is for. StateOptions and LogOptions fill in the two uses.
type Options struct {
	// Dir is the database's directory; it is created.
	Dir string
	// FS holds the files; nil is the operating system's.
	FS FS
	// Shared is what the databases of a node have in common; nil gives this one small resources of its own.
	Shared *Shared
	// DisableWAL leaves out the write-ahead log: what is not flushed is lost by a crash, in order from the end.
	DisableWAL bool
	// MemTableSize is the size of one memtable in bytes; StopWrites memtables make writers wait.
	MemTableSize int
	StopWrites   int
	// SeparateValues puts values of at least this many bytes into files of their own; 0 keeps all with their keys.
	SeparateValues int
	// FlushDelayDeleteRange is how soon the space of a deleted range is given back.
	FlushDelayDeleteRange time.Duration
	Events                Events
}

// StateOptions are those of a group's state (CLUSTER 5.1).
func StateOptions(dir string) Options {
	return Options{Dir: dir, DisableWAL: true, MemTableSize: 4 << 20, StopWrites: 4, SeparateValues: 2 << 10}
}

// LogOptions are those of the log that groups share (CLUSTER 5.2).
func LogOptions(dir string) Options {
	return Options{Dir: dir, MemTableSize: 4 << 20, StopWrites: 4, FlushDelayDeleteRange: time.Second}
}

// Events tells the owner what a database does. Every func may be nil. They are called with the engine's locks held:
// they must be quick and must not call the database.
type Events struct {
	// WriteStall reports that writers begin to wait, and why.
	WriteStall func(reason string)
	// WriteStallEnd reports that they go on.
	WriteStallEnd func()
	// Flush reports a finished flush of bytes of memtable.
	Flush func(bytes uint64, took time.Duration)
	// Failed is called once, with the first error of background work or of the log. The database accepts no write
	// after it; its owner fences what stands on it and closes it (CLUSTER 5.5).
	Failed func(err error)
	// Corrupt reports bytes in a table that are not what was written. Who read them gets ErrCorrupt; writing goes on.
	Corrupt func(err error)
	// Unusual reports what the engine found worth a line in a log.
	Unusual func(text string)
}

// Reader is what a database, a snapshot of it and an indexed batch over it can be asked.
type Reader interface {
	// Get returns a copy of key's value: nil when absent, never nil when present.
	Get(key []byte) ([]byte, error)
	// NewIter walks [lo, hi); nil means no bound. It must be closed.
	NewIter(lo, hi []byte) *Iter
}

// DB is one open database. Its methods may be called concurrently, but none during or after Close.
type DB struct {
	p       *pebble.DB
	opts    Options
	shared  *Shared
	private bool
	sched   *scheduler
	pace    *pace

	dirty    atomic.Int64 // bytes committed since the last flush began
	flushing atomic.Int64 // bytes of the flush that is running

	sizeMu    sync.Mutex // guards the next two
	size      uint64     // what Size counted last
	sizedAt   time.Time
	sizeKnown atomic.Bool // no file has come or gone since

	synced atomic.Uint64 // the log is durable below this sequence number

	failOnce sync.Once
	failed   chan struct{}
	failure  error // set before failed is closed

	closeOnce sync.Once
}

// Open opens or creates a database. When the log's synced part is damaged, or a file that the database names is not
// there, it refuses with ErrCorrupt. Tables that are there are read, and found damaged, only when they are needed.
func Open(o Options) (*DB, error) {
	if o.FS == nil {
		o.FS = OSFS()
	}
	db := &DB{opts: o, shared: o.Shared, pace: newPace(), failed: make(chan struct{})}
	if db.shared == nil {
		db.shared, db.private = NewShared(Budget{CacheBytes: 8 << 20, OpenFiles: 256}), true
	}
	if err := db.open(); err != nil {
		if db.private {
			db.shared.Close()
		}
		return nil, fmt.Errorf("open %s: %w", o.Dir, err)
	}
	return db, nil
}

func (db *DB) open() error {
	if !db.opts.DisableWAL {
		if err := checkWAL(db.opts.FS, db.opts.Dir); err != nil {
			return err
		}
	}
	db.sched = &scheduler{shared: db.shared}
	p, err := pebble.Open(db.opts.Dir, db.pebbleOptions())
	if err != nil {
		db.shared.forget(db.sched)
		return misfit(err)
	}
	db.p = p
	if err := db.Failure(); err != nil {
		return errors.Join(err, p.Close())
	}
	db.shared.add(db)
	return db.renewLog()
}

// renewLog begins a new log file. The engine writes a fresh database's first one in an older form, in which chunks do
// not prove what was synced before them.
func (db *DB) renewLog() error {
	if db.opts.DisableWAL {
		return nil
	}
	if err := db.Flush(); err != nil {
		db.shared.remove(db)
		return errors.Join(err, db.p.Close())
	}
	return nil
}

func (db *DB) pebbleOptions() *pebble.Options {
	o := db.opts
	po := &pebble.Options{
		FS: &pacedFS{o.FS, db.pace}, Cache: db.shared.cache, FileCache: db.shared.files,
		DisableWAL: o.DisableWAL, FormatMajorVersion: formatVersion,
		BytesPerSync: 512 << 10, WALBytesPerSync: 512 << 10,
		FlushDelayDeleteRange: o.FlushDelayDeleteRange,
		MemTableSize:          uint64(o.MemTableSize), MemTableStopWritesThreshold: o.StopWrites,
		L0CompactionThreshold: 8, L0StopWritesThreshold: 1000,
		Logger: logger{db},
	}
	po.CompactionConcurrencyRange = func() (int, int) { return 1, max(1, min(3, runtime.GOMAXPROCS(0))) }
	po.Experimental.CompactionScheduler = db.sched
	if o.SeparateValues > 0 {
		policy := pebble.ValueSeparationPolicy{
			Enabled: true, MinimumSize: o.SeparateValues, MaxBlobReferenceDepth: 10,
			RewriteMinimumAge: 5 * time.Minute, TargetGarbageRatio: 0.3,
		}
		po.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy { return policy }
	}
	// Without C, the engine's zstd makes a coder of 8 MiB for every file that it writes, and one for every block that it
	// reads. What is worth that was compressed before it came here.
	po.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	for i := range po.Levels {
		po.Levels[i].BlockSize = 16 << 10
		po.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	po.EventListener = db.listener()
	return po
}

// Get implements Reader.
func (db *DB) Get(key []byte) ([]byte, error) { return copied(db.p.Get(key)) }

// NewIter implements Reader.
func (db *DB) NewIter(lo, hi []byte) *Iter { return newIter(db.p, lo, hi) }

// Snapshot fixes what is read until it is closed.
func (db *DB) Snapshot() *Snapshot { return &Snapshot{s: db.p.NewSnapshot()} }

// NewBatch begins a batch that is only written.
func (db *DB) NewBatch() *Batch { return (&Batch{db: db, b: db.p.NewBatch()}).prove() }

// NewIndexedBatch begins a batch that reads its own writes over the database as it is at each read.
func (db *DB) NewIndexedBatch() *Batch {
	return (&Batch{db: db, b: db.p.NewIndexedBatch()}).prove()
}

// Flush makes everything committed before it durable and waits for that.
func (db *DB) Flush() error {
	if err := db.Failure(); err != nil {
		return err
	}
	done, err := db.p.AsyncFlush()
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	select {
	case <-done:
		return db.Failure()
	case <-db.failed:
		return db.Failure()
	}
}

// Checkpoint makes dir, which must not exist, a database of its own out of hard links. What was committed before the
// call is in it; of what is committed meanwhile, a prefix may be.
func (db *DB) Checkpoint(dir string) error {
	if db.opts.DisableWAL {
		if err := db.Flush(); err != nil {
			return err
		}
	}
	if err := db.p.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("checkpoint: %w", marked(err))
	}
	return db.Failure()
}

// DiskUsage estimates the bytes that the keys of [lo, hi] take in files.
func (db *DB) DiskUsage(lo, hi []byte) (uint64, error) { return db.p.EstimateDiskUsage(lo, hi) }

// Size is what all files of the database take on disk. It is asked for every group every few seconds, and the engine counts
// all that it knows for an answer: so it counts again only when files came or went, and each minute, since the engine says that a
// file went before it counts it as gone.
func (db *DB) Size() uint64 {
	db.sizeMu.Lock()
	defer db.sizeMu.Unlock()
	if now := time.Now(); !db.sizeKnown.Swap(true) || now.Sub(db.sizedAt) > time.Minute {
		db.sizedAt = now
		db.size = db.p.Metrics().DiskSpaceUsage()
	}
	return db.size
}

// Failure is the error that ended writing, or nil.
func (db *DB) Failure() error {
	select {
	case <-db.failed:
		return db.failure
	default:
		return nil
	}
}

// Close flushes what has no log, then closes. All iterators, snapshots and batches must have been closed.
func (db *DB) Close() error {
	err := ErrClosed
	db.closeOnce.Do(func() { err = db.close() })
	return err
}

func (db *DB) close() error {
	close(db.pace.closing)
	db.shared.remove(db)
	var err error
	if db.opts.DisableWAL && db.Failure() == nil {
		err = db.Flush()
	}
	err = errors.Join(err, db.p.Close())
	if db.private {
		db.shared.Close()
	}
	return err
}

// fail makes err the database's end.
func (db *DB) fail(err error) {
	db.failOnce.Do(func() {
		db.failure = fmt.Errorf("database %s failed: %w", db.opts.Dir, marked(err))
		close(db.failed)
		if db.opts.Events.Failed != nil {
			db.opts.Events.Failed(db.failure)
		}
	})
}

// Snapshot is a consistent Reader of what was committed when it was taken.
type Snapshot struct{ s *pebble.Snapshot }

// Get implements Reader.
func (s *Snapshot) Get(key []byte) ([]byte, error) { return copied(s.s.Get(key)) }

// NewIter implements Reader.
func (s *Snapshot) NewIter(lo, hi []byte) *Iter { return newIter(s.s, lo, hi) }

// Close lets the engine drop what only the snapshot held.
func (s *Snapshot) Close() error { return s.s.Close() }
