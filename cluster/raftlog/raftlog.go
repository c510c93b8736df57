// Package raftlog keeps what a replica must not forget: its group's log, its term and its vote. It knows entries by
// group and index, and never what they carry.
//
// Invariants: what StoreLogs returned for is on disk; an entry is read back as it was stored or not at all; a log has
// no gap between its first and last index; what was deleted from the front is named by a floor record that was written
// in the same step; a lost or foreign log, term or vote is noticed by Check before the replica takes part. After the
// first failed write or sync nothing is accepted any more, and the process is expected to end. Spec: CLUSTER 5.2 to
// 5.5; docs/design/raftlog.md says why it is built so.
package raftlog

import (
	"errors"
	"fmt"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// Kind says what holds the entries. The numbers reach the configuration file only as names.
type Kind uint8

const (
	// Pebble holds the logs of all groups of a disk in one engine, with one sync for all that wait.
	Pebble Kind = iota
	// Bolt holds each group's log in a raft-boltdb file of its own.
	Bolt
)

// ErrClosed is returned by what is called after Close.
var ErrClosed = errors.New("log store is closed")

// Identity is drawn at random when a store is created. A group's state records it, so that a store that was lost and
// made again is not taken for the old one (CLUSTER 5.3).
type Identity [16]byte

// Faults makes a store's disk slow or full; see lsm.Faults.
type Faults = lsm.Faults

// Options describe one log store; Dir is required.
type Options struct {
	Dir  string
	Kind Kind
	// FS holds the files of Pebble; nil is the operating system's, which Bolt always uses.
	FS lsm.FS
	// Shared is what the node's engines have in common; nil gives the store resources of its own.
	Shared *lsm.Shared
	// CacheBytes bounds the entries kept in memory over all groups; default 4 MiB.
	CacheBytes int64
	// MarkEvery is how often the last synced index of each group is written outside the log; default 1 s.
	MarkEvery time.Duration
	// SlowSync is how long a write runs before Events.SyncSlow hears of it; default 1 s.
	SlowSync time.Duration
	// Fatal is called once, with the first failed write or sync. It is expected to end the process (CLUSTER 5.5).
	Fatal func(err error)
	// Faults, when set, can be changed while the store runs.
	Faults *Faults
	Events Events
}

// Events tells the owner what a store does; every func may be nil, and must be quick.
type Events struct {
	// SyncDone reports each finished StoreLogs.
	SyncDone func(SyncInfo)
	// SyncSlow reports, again and again, a write of entries or marks, or the deletion of entries, that has been running
	// for longer than Options.SlowSync. It may be called until Close returns.
	SyncSlow func(running time.Duration)
	// Damaged reports an entry that could not be read back as it was stored.
	Damaged func(err *DamagedError)
	// Unusual reports what the engine found worth a line in a log.
	Unusual func(text string)
}

// SyncInfo describes one finished StoreLogs.
type SyncInfo struct {
	Group   cluster.GroupID
	Took    time.Duration
	Entries int
	Bytes   int
	// Waiting is how many writes of the store, this one included, were under way when it ended.
	Waiting int
}

func (o Options) withDefaults() Options {
	if o.FS == nil || o.Kind == Bolt {
		o.FS = lsm.OSFS()
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 4 << 20
	}
	if o.MarkEvery == 0 {
		o.MarkEvery = time.Second
	}
	if o.SlowSync == 0 {
		o.SlowSync = slowSync
	}
	if o.Faults == nil {
		o.Faults = &Faults{}
	}
	return o
}

// Store holds the logs of many groups.
type Store struct {
	opts   Options
	engine engine
	cache  cache
	marks  marks
	watch  *watch
	opened time.Time
	// appended is when entries were last stored, counted from opened; 0 if none were.
	appended atomic.Int64
	// buffers are those that entries are coded in.
	buffers sync.Pool

	stop    chan struct{}
	workers sync.WaitGroup

	failOnce sync.Once
	failed   chan struct{}
	failure  error // set before failed is closed

	mu     sync.Mutex // guards logs, closed
	logs   map[cluster.GroupID]*Log
	closed bool
}

// Open opens or creates a store. One whose files are not as they were written is refused with cluster.ErrDamaged; its
// owner may put it aside and open an empty one, and every group then finds its log lost.
func Open(o Options) (*Store, error) {
	o = o.withDefaults()
	s := &Store{
		opts: o, opened: time.Now(), stop: make(chan struct{}), failed: make(chan struct{}),
		logs: make(map[cluster.GroupID]*Log),
	}
	s.cache.limit = o.CacheBytes
	s.watch = newWatch(o.SlowSync, o.Events.SyncSlow)
	if err := s.openEngine(); err != nil {
		return nil, fmt.Errorf("open log store %s: %w", o.Dir, asDamage(err))
	}
	if err := s.openMarks(); err != nil {
		return nil, errors.Join(fmt.Errorf("open log store %s: %w", o.Dir, err), s.engine.close())
	}
	s.workers.Go(s.run)
	s.workers.Go(func() { s.watch.run(s.stop) })
	return s, nil
}

func (s *Store) openEngine() (err error) {
	if err := lsm.MakeDir(s.opts.FS, s.opts.Dir); err != nil {
		return err
	}
	if s.opts.Kind == Bolt {
		s.engine, err = openBolt(s.opts)
	} else {
		s.engine, err = openPebble(s.opts, s.fail)
	}
	return err
}

// openMarks reads the marks, which exist from before the first group on.
func (s *Store) openMarks() error {
	s.marks.store = s
	s.marks.file = path.Join(s.opts.Dir, "MARKS")
	found, err := s.marks.load()
	if err != nil || found {
		return err
	}
	groups, err := s.engine.groups()
	if err != nil {
		return err
	}
	if len(groups) > 0 {
		return fmt.Errorf("the file MARKS is gone, but logs are there: %w", cluster.ErrDamaged)
	}
	return s.marks.write()
}

// Group returns the log of a group, the same one for each call. A group that is new has an empty log without a floor;
// Log.Init makes it usable.
func (s *Store) Group(id cluster.GroupID) (*Log, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if l := s.logs[id]; l != nil {
		return l, nil
	}
	l := &Log{store: s, group: id}
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("log of group %d: %w", id, err)
	}
	s.logs[id] = l
	return l, nil
}

// Groups lists the groups that have a log here.
func (s *Store) Groups() ([]cluster.GroupID, error) { return s.engine.groups() }

// Remove deletes a group's log and floor. The group's Raft has ended.
func (s *Store) Remove(id cluster.GroupID) error {
	l, err := s.Group(id)
	if err != nil {
		return err
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	l.forget()
	if err := s.marks.lower(id, 0); err != nil {
		return s.fail(err)
	}
	s.mu.Lock()
	delete(s.logs, id)
	s.mu.Unlock()
	if err := s.engine.remove(id); err != nil {
		return s.fail(err)
	}
	return nil
}

// LastAppend is when entries were last stored; zero when none were since the store was opened.
func (s *Store) LastAppend() time.Time {
	if d := s.appended.Load(); d > 0 {
		return s.opened.Add(time.Duration(d))
	}
	return time.Time{}
}

// Cached is the number of bytes of entries kept in memory.
func (s *Store) Cached() int64 { return s.cache.bytes() }

// Close writes the marks and closes the files. No Raft may be using the store.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	s.workers.Wait()
	var err error
	if s.Failure() == nil {
		err = s.marks.write()
	}
	return errors.Join(err, s.engine.close())
}

// Failure is the error that ended the store, or nil.
func (s *Store) Failure() error {
	select {
	case <-s.failed:
		return s.failure
	default:
		return nil
	}
}

// fail makes err the store's end and returns the error that all get from now on.
func (s *Store) fail(err error) error {
	s.failOnce.Do(func() {
		s.failure = fmt.Errorf("log store %s failed: %w", s.opts.Dir, err)
		close(s.failed)
		if s.opts.Fatal != nil {
			s.opts.Fatal(s.failure)
		}
	})
	<-s.failed
	return s.failure
}

// run writes the marks until Close. What looks after syncs must not wait for one, and runs beside it.
func (s *Store) run() {
	mark := time.NewTicker(s.opts.MarkEvery)
	defer mark.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-mark.C:
			s.writeMarks()
		}
	}
}

func (s *Store) writeMarks() {
	if s.Failure() != nil {
		return
	}
	if err := s.marks.writeIfChanged(); err != nil {
		s.fail(err)
	}
}
