package raftlog

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/hashicorp/raft"
)

// Log is one group's log. It implements raft.LogStore and raft.MonotonicLogStore: hashicorp/raft 1.8.0 empties such a
// log with DeleteRange after it installed a snapshot, before anything behind the snapshot is stored.
//
// The slices of an entry given to StoreLogs, and of one that GetLog returned, are shared with the cache: nobody
// changes them.
type Log struct {
	store *Store
	group cluster.GroupID

	writing sync.Mutex // held by whoever changes the log, over the sync; taken before mu and before marks.mu

	mu       sync.RWMutex // guards all below
	identity Identity
	floor    *Floor // nil until Init
	span
	damaged *DamagedError
}

// span is what a log remembers of its two ends.
type span struct {
	first, last uint64 // both 0 when the log is empty
	lastTerm    uint64
	begin, end  uint64 // coded bytes of the log's life before the first entry, and up to the last
	firstAt     time.Time
}

var (
	_ raft.LogStore          = (*Log)(nil)
	_ raft.MonotonicLogStore = (*Log)(nil)
)

// load reads the ends. What is not as it was written is kept for Check to say.
func (l *Log) load() error {
	e := l.store.engine
	var err error
	if l.identity, err = e.identity(l.group); err != nil {
		return err
	}
	coded, err := e.floor(l.group)
	if err != nil {
		return err
	}
	if coded == nil {
		return nil
	}
	floor, err := decodeFloor(l.group, coded)
	if err != nil {
		l.damaged = damaged(l.group, CauseBadEntry, "%v", err)
		return nil
	}
	l.floor = &floor
	return l.loadSpan(coded)
}

func (l *Log) loadSpan(floor []byte) error {
	e := l.store.engine
	first, last, err := e.bounds(l.group)
	if err != nil {
		return err
	}
	if first != 0 && first <= l.floor.Index {
		if err := e.deleteRange(l.group, first, l.floor.Index, floor); err != nil {
			return err
		}
		if first, last, err = e.bounds(l.group); err != nil {
			return err
		}
	}
	if first == 0 {
		l.lastTerm = l.floor.Term
		return nil
	}
	head, err := l.read(first)
	if err != nil {
		return l.keepDamage(err)
	}
	tail, err := l.read(last)
	if err != nil {
		return l.keepDamage(err)
	}
	l.span = span{
		first: first, last: last, lastTerm: tail.log.Term,
		begin: head.before, end: tail.before + uint64(tail.size), firstAt: head.log.AppendedAt,
	}
	return nil
}

// keepDamage remembers a damage for Check; other errors it hands back.
func (l *Log) keepDamage(err error) error {
	if d, ok := asDamaged(err); ok {
		l.damaged = d
		return nil
	}
	return err
}

type stored struct {
	log    raft.Log
	before uint64
	size   int
}

// read fetches an entry that is there.
func (l *Log) read(index uint64) (stored, error) {
	coded, err := l.store.engine.get(l.group, index)
	if err != nil {
		return stored{}, l.readError(index, err)
	}
	if coded == nil {
		return stored{}, damaged(l.group, CauseBadEntry, "entry %d is missing", index)
	}
	s := stored{size: len(coded)}
	if s.before, err = decodeEntry(l.group, index, coded, &s.log); err != nil {
		return stored{}, l.readError(index, err)
	}
	return s, nil
}

// IsMonotonic implements raft.MonotonicLogStore.
func (l *Log) IsMonotonic() bool { return true }

// FirstIndex implements raft.LogStore.
func (l *Log) FirstIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.first, nil
}

// LastIndex implements raft.LogStore.
func (l *Log) LastIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.last, nil
}

func (l *Log) has(index uint64) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.first != 0 && l.first <= index && index <= l.last
}

// GetLog implements raft.LogStore. An entry inside the log that does not read back is an error, and not the end.
func (l *Log) GetLog(index uint64, out *raft.Log) error {
	if !l.has(index) {
		return raft.ErrLogNotFound
	}
	if l.store.cache.get(l.group, index, out) {
		return nil
	}
	s, err := l.read(index)
	if err == nil {
		*out = s.log
		return nil
	}
	if !l.has(index) { // deleted meanwhile
		return raft.ErrLogNotFound
	}
	if d, ok := asDamaged(err); ok && l.store.opts.Events.Damaged != nil {
		l.store.opts.Events.Damaged(d)
	}
	return err
}

// StoreLog implements raft.LogStore.
func (l *Log) StoreLog(one *raft.Log) error { return l.StoreLogs([]*raft.Log{one}) }

// StoreLogs implements raft.LogStore: when it returns nil the entries are on disk. They continue the log; into an
// empty one any index behind the floor may come, since that is how a log goes on behind an installed snapshot.
func (l *Log) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.store.Failure(); err != nil {
		return err
	}
	floor, err := l.admit(logs)
	if err != nil {
		return err
	}
	buffer, _ := l.store.buffers.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	defer l.store.buffers.Put(buffer) // the engine has copied what it was given
	coded, size := l.encode(buffer, logs)
	if err := l.sync(logs[0].Index, coded, floor, size); err != nil {
		return l.store.fail(err)
	}
	l.appended(logs, floor, uint64(size))
	l.store.cache.add(l.group, logs)
	return nil
}

// admit checks that logs continue the log. It returns the floor that must be set with them, if any.
func (l *Log) admit(logs []*raft.Log) (*Floor, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.damaged != nil {
		return nil, l.damaged
	}
	if l.floor == nil {
		return nil, fmt.Errorf("group %d: log was not initialised", l.group)
	}
	want := logs[0].Index
	if l.last != 0 {
		want = l.last + 1
	} else if want <= l.floor.Index {
		return nil, fmt.Errorf("group %d: entry %d is not behind the floor %d", l.group, want, l.floor.Index)
	}
	for _, e := range logs {
		if e.Index != want {
			return nil, fmt.Errorf("group %d: entry %d where %d continues the log", l.group, e.Index, want)
		}
		want++
	}
	if l.last == 0 && logs[0].Index != l.floor.Index+1 {
		return &Floor{Server: l.floor.Server, Index: logs[0].Index - 1}, nil
	}
	return nil, nil
}

// encode codes entries one behind the other into a buffer, which it makes larger when it has to.
func (l *Log) encode(buffer *[]byte, logs []*raft.Log) (coded [][]byte, size int) {
	for _, e := range logs {
		size += entryOverhead + len(e.Extensions) + len(e.Data)
	}
	b := slices.Grow((*buffer)[:0], size)
	coded = make([][]byte, len(logs))
	before := l.spanNow().end
	for i, e := range logs {
		start := len(b)
		b = appendEntry(b, l.group, e, before+uint64(start))
		coded[i] = b[start:len(b):len(b)]
	}
	*buffer = b
	return coded, len(b)
}

// sync writes entries under the eyes of the watch.
func (l *Log) sync(first uint64, coded [][]byte, floor *Floor, size int) error {
	var record []byte
	if floor != nil {
		record = encodeFloor(l.group, *floor)
	}
	took, waiting, err := l.store.watch.over(func() error { return l.store.engine.append(l.group, first, coded, record) })
	if err == nil {
		l.store.appended.Store(int64(time.Since(l.store.opened)))
	}
	if done := l.store.opts.Events.SyncDone; done != nil && err == nil {
		done(SyncInfo{Group: l.group, Took: took, Entries: len(coded), Bytes: size, Waiting: waiting})
	}
	return err
}

func (l *Log) appended(logs []*raft.Log, floor *Floor, size uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if floor != nil {
		l.floor = floor
	}
	if l.first == 0 {
		l.first, l.begin, l.firstAt = logs[0].Index, l.end, logs[0].AppendedAt
	}
	tail := logs[len(logs)-1]
	l.last, l.lastTerm = tail.Index, tail.Term
	l.end += size
}

// DeleteRange implements raft.LogStore. Raft deletes from an end: entries that conflict with the leader's, or all after
// a snapshot. A hole in the middle is refused.
func (l *Log) DeleteRange(lo, hi uint64) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	now := l.spanNow()
	lo, hi = max(lo, now.first), min(hi, now.last)
	switch {
	case now.first == 0 || lo > hi:
		return nil
	case hi == now.last:
		return l.deleteBack(lo)
	case lo == now.first:
		return l.deleteFront(hi)
	}
	return fmt.Errorf("group %d: deleting %d to %d would leave a gap", l.group, lo, hi)
}

// TruncateTo deletes what the state holds durably: the entries up to index, which may be all. It writes the floor in
// the same step. The caller decides by Bytes and Oldest, and never beyond what its state has flushed (CLUSTER 5.4).
func (l *Log) TruncateTo(index uint64) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	now := l.spanNow()
	if now.first == 0 || index < now.first {
		return nil
	}
	return l.deleteFront(min(index, now.last))
}

func (l *Log) spanNow() span {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.span
}

// deleteFront deletes first to hi. The span moves before the entries go, so that a reader never misses one that the
// span promises.
func (l *Log) deleteFront(hi uint64) error {
	if err := l.store.Failure(); err != nil {
		return err
	}
	cut, err := l.read(hi)
	if err != nil {
		return err
	}
	next := l.spanNow()
	lo := next.first
	next.begin = cut.before + uint64(cut.size)
	if hi == next.last {
		next.first, next.last, next.firstAt = 0, 0, time.Time{}
	} else {
		head, err := l.read(hi + 1)
		if err != nil {
			return err
		}
		next.first, next.firstAt = hi+1, head.log.AppendedAt
	}
	l.mu.Lock()
	floor := Floor{Server: l.floor.Server, Index: hi, Term: cut.log.Term}
	l.span, l.floor = next, &floor
	l.mu.Unlock()
	l.store.cache.drop(l.group, lo, hi)
	return l.delete(lo, hi, encodeFloor(l.group, floor))
}

// delete takes entries out of the engine under the eyes of the watch.
func (l *Log) delete(lo, hi uint64, floor []byte) error {
	if _, _, err := l.store.watch.over(func() error { return l.store.engine.deleteRange(l.group, lo, hi, floor) }); err != nil {
		return l.store.fail(err)
	}
	return nil
}

// deleteBack deletes lo to last. The mark goes down first, durably: a crash between the two must not look like a lost
// end. The floor stays: what is deleted here was not applied, or is covered by a snapshot that the state knows of.
func (l *Log) deleteBack(lo uint64) error {
	if err := l.store.Failure(); err != nil {
		return err
	}
	next := l.spanNow()
	hi := next.last
	if lo == next.first {
		next = span{begin: next.begin, end: next.begin, lastTerm: l.floorNow().Term}
	} else {
		tail, err := l.read(lo - 1)
		if err != nil {
			return err
		}
		next.last, next.lastTerm, next.end = lo-1, tail.log.Term, tail.before+uint64(tail.size)
	}
	l.mu.Lock()
	l.span = next
	l.mu.Unlock()
	l.store.cache.drop(l.group, lo, hi)
	if err := l.store.marks.lower(l.group, lo-1); err != nil {
		return l.store.fail(err)
	}
	return l.delete(lo, hi, nil)
}

func (l *Log) floorNow() Floor {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.floor == nil {
		return Floor{}
	}
	return *l.floor
}

// Init makes the log that of a new replica: empty, behind index and term, which are what its state begins with or
// zeros. Whatever the group had here before is gone.
func (l *Log) Init(server cluster.ServerID, index, term uint64) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.reset(Floor{Server: server, Index: index, Term: term})
}

func (l *Log) reset(floor Floor) error {
	if err := l.store.Failure(); err != nil {
		return err
	}
	l.forget()
	if err := l.store.marks.lower(l.group, 0); err != nil {
		return l.store.fail(err)
	}
	if err := l.store.engine.init(l.group, encodeFloor(l.group, floor)); err != nil {
		return l.store.fail(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.floor, l.lastTerm = &floor, floor.Term
	return nil
}

// forget empties what is in memory.
func (l *Log) forget() {
	l.mu.Lock()
	l.span, l.floor, l.damaged = span{}, nil, nil
	l.mu.Unlock()
	l.store.cache.drop(l.group, 0, ^uint64(0))
}

// Identity is that of the files the log is in; the group's state records it when the replica is made.
func (l *Log) Identity() Identity {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.identity
}

// Floor is the floor record, false when the group has none.
func (l *Log) Floor() (Floor, bool) {
	l.mu.RLock()
	known := l.floor != nil
	l.mu.RUnlock()
	return l.floorNow(), known
}

// Bytes is the size of the entries held.
func (l *Log) Bytes() uint64 {
	now := l.spanNow()
	return now.end - now.begin
}

// Oldest is when the leader appended the first entry held; zero when the log is empty or it is not known.
func (l *Log) Oldest() time.Time { return l.spanNow().firstAt }
