package space

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/planted"
)

// MachineConfig is what a Machine may be told; the zero value is usable.
type MachineConfig struct {
	Events MachineEvents
	// ScrubRate is how many bytes a second a hash entry makes the replica read at most; 0 does not hold it back.
	ScrubRate int64
}

// MachineEvents tells the owner what applying did. Every func may be nil; they are called by Apply's goroutine or
// the one that hashes, and must not call the machine.
type MachineEvents struct {
	// Void is called for each part that was not applied.
	Void func(space cluster.SpaceID, why Outcome)
	// Opened is called when the machine has a state to read: at its beginning and after each Replace. Touched names spaces
	// to which an effect was applied. Both may be called with the machine's locks held: they only take a note.
	Opened  func(m *Machine)
	Touched func(m *Machine, spaces []cluster.SpaceID)
	// Hashed reports what a hash entry found: index is the entry's (CLUSTER 5.6).
	Hashed func(index uint64, sum Hash, err error)
}

// Machine is the one state machine of a group's replica: it turns committed entries into engine batches, the same
// few lines for every space, op and version of the program (CLUSTER 1.3).
//
// Apply, Replace and Close belong to one goroutine at a time; everything else may be called concurrently. After an
// error of Apply the machine is fenced: every later Apply returns that error (CLUSTER 5.5).
type Machine struct {
	config MachineConfig
	coders coders

	use   sync.RWMutex // held for reading while the engine is used, for writing while it is exchanged
	db    *lsm.DB      // nil once closed
	batch *lsm.Batch

	applyMu sync.Mutex                  // one Apply, Checkpoint or Flush mark at a time
	failed  error                       // guarded by applyMu
	headers map[cluster.SpaceID]*header // guarded by applyMu: as applied; some of them

	commits atomic.Uint64 // of batches, begun and ended: odd while one becomes visible
	durable atomic.Uint64
	applied atomic.Pointer[Applied]
	level   atomic.Uint64 // of the group's record

	waitMu  sync.Mutex
	indexes []indexWaiter              // guarded by waitMu
	watches map[cluster.SpaceID]*watch // guarded by waitMu; only spaces that somebody watches

	scrubs     sync.WaitGroup
	scrubbing  chan struct{}         // one token: at most one hash runs
	hashing    atomic.Pointer[scrub] // the latest that began
	scrubMu    sync.Mutex
	scrubbed   *Scrubbed   // of hashing; guarded by scrubMu
	exchanging atomic.Bool // hashes end early, for Replace or Close
	stop       chan struct{}
	stopOnce   sync.Once
}

type indexWaiter struct {
	index uint64
	ready chan struct{}
}

// watch is of those who wait for one space to change.
type watch struct {
	changed chan struct{} // closed when it does
	waiting int
}

var errClosed = cluster.Errorf(cluster.KindUnavailable, "replica is closed")

// OpenMachine makes a machine on db, which it uses but never closes. What db holds counts as durable.
func OpenMachine(db *lsm.DB, config MachineConfig) (*Machine, error) {
	m := &Machine{
		config: config, watches: map[cluster.SpaceID]*watch{},
		scrubbing: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	if err := m.adopt(db); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Machine) adopt(db *lsm.DB) error {
	a, err := readApplied(db)
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	g, err := readGroup(db)
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	m.db, m.batch = db, db.NewBatch()
	m.level.Store(g.Level)
	m.headers = make(map[cluster.SpaceID]*header)
	m.durable.Store(a.Index)
	m.applied.Store(&a)
	if m.config.Events.Opened != nil {
		m.config.Events.Opened(m)
	}
	return nil
}

// Replace puts db, the contents of a snapshot, in place of the present engine and returns that one, unused from
// here on, for the caller to close. It waits for reads to end; all watchers are woken.
func (m *Machine) Replace(db *lsm.DB) (old *lsm.DB, err error) {
	m.applyMu.Lock()
	defer m.applyMu.Unlock()
	m.exchanging.Store(true)
	defer m.exchanging.Store(false)
	m.use.Lock()
	old = m.db
	if old == nil {
		m.use.Unlock()
		return nil, errClosed
	}
	if m.batch != nil {
		err = m.batch.Close()
	}
	err = errors.Join(err, m.adopt(db))
	m.use.Unlock()
	m.failed = err
	m.wakeAll()
	return old, err
}

// Close ends waiting calls, waits for reads to end and lets go of the engine, which the caller closes.
func (m *Machine) Close() error {
	m.stopOnce.Do(func() { close(m.stop) })
	m.wakeAll()
	m.applyMu.Lock()
	defer m.applyMu.Unlock()
	m.exchanging.Store(true)
	m.scrubs.Wait()
	m.use.Lock()
	defer m.use.Unlock()
	if m.db == nil {
		return nil
	}
	m.db = nil
	m.failed = errClosed
	return m.batch.Close()
}

// engine returns the engine, which stays open until release is called.
func (m *Machine) engine() (db *lsm.DB, release func(), err error) {
	m.use.RLock()
	if m.db == nil {
		m.use.RUnlock()
		return nil, nil, errClosed
	}
	return m.db, m.use.RUnlock, nil
}

// Applied is the position up to which entries have been applied and are visible.
func (m *Machine) Applied() Applied { return *m.applied.Load() }

// DurableApplied is the index up to which effects are known to survive a crash of the machine.
func (m *Machine) DurableApplied() uint64 { return m.durable.Load() }

// WaitApplied waits until the entry at index has been applied.
func (m *Machine) WaitApplied(ctx context.Context, index uint64) error {
	m.waitMu.Lock()
	if m.applied.Load().Index >= index {
		m.waitMu.Unlock()
		return nil
	}
	ready := make(chan struct{})
	m.indexes = append(m.indexes, indexWaiter{index, ready})
	m.waitMu.Unlock()
	select {
	case <-ready:
		return nil
	case <-m.stop:
		return errClosed
	case <-ctx.Done():
		m.forget(ready)
		return fmt.Errorf("wait for index %d: %w: %w", index, cluster.ErrDeadline, ctx.Err())
	}
}

func (m *Machine) forget(ready chan struct{}) {
	m.waitMu.Lock()
	defer m.waitMu.Unlock()
	for i := range m.indexes {
		if m.indexes[i].ready == ready {
			m.indexes = append(m.indexes[:i], m.indexes[i+1:]...)
			return
		}
	}
}

// wake ends the waits that what was applied satisfies.
func (m *Machine) wake(touched []cluster.SpaceID) {
	m.waitMu.Lock()
	defer m.waitMu.Unlock()
	m.wakeIndexesLocked()
	if planted.Is(planted.LostNotification) && m.applied.Load().Index%4 == 0 {
		return
	}
	for _, id := range touched {
		m.wakeSpaceLocked(id)
	}
}

// wakeAll also ends the waits for every space: the whole state is another.
func (m *Machine) wakeAll() {
	m.waitMu.Lock()
	defer m.waitMu.Unlock()
	m.wakeIndexesLocked()
	for id := range m.watches {
		m.wakeSpaceLocked(id)
	}
}

func (m *Machine) wakeIndexesLocked() {
	index := m.applied.Load().Index
	kept := m.indexes[:0]
	for _, w := range m.indexes {
		if w.index > index {
			kept = append(kept, w)
			continue
		}
		close(w.ready)
	}
	clear(m.indexes[len(kept):])
	m.indexes = kept
}

func (m *Machine) wakeSpaceLocked(id cluster.SpaceID) {
	if w := m.watches[id]; w != nil {
		close(w.changed)
		delete(m.watches, id)
	}
}

// Changed returns a channel that is closed when an effect has been applied to the space after the call, or the machine
// is closed; forget ends the wait and must be called. It wakes for every replica; who may answer from it is the
// Replica's to say.
func (m *Machine) Changed(id cluster.SpaceID) (changed <-chan struct{}, forget func()) {
	m.waitMu.Lock()
	defer m.waitMu.Unlock()
	w := m.watches[id]
	if w == nil {
		w = &watch{changed: make(chan struct{})}
		m.watches[id] = w
	}
	w.waiting++
	select {
	case <-m.stop: // wakeAll may have been before
		m.wakeSpaceLocked(id)
	default:
	}
	return w.changed, func() { m.forgetWatch(id, w) }
}

func (m *Machine) forgetWatch(id cluster.SpaceID, w *watch) {
	m.waitMu.Lock()
	defer m.waitMu.Unlock()
	if w.waiting--; w.waiting == 0 && m.watches[id] == w {
		delete(m.watches, id)
	}
}

// Flush makes everything applied before the call durable (CLUSTER 5.4).
func (m *Machine) Flush() error {
	db, release, err := m.engine()
	if err != nil {
		return err
	}
	defer release()
	return m.flush(db)
}

func (m *Machine) flush(db *lsm.DB) error {
	index := m.applied.Load().Index
	if err := db.Flush(); err != nil {
		return err
	}
	m.raiseDurable(index)
	return nil
}

func (m *Machine) raiseDurable(index uint64) {
	for {
		have := m.durable.Load()
		if have >= index || m.durable.CompareAndSwap(have, index) {
			return
		}
	}
}

// Checkpoint makes dir, which must not exist, a copy of the state out of hard links and returns the position that
// it holds exactly. Applying pauses while the last writes are flushed.
func (m *Machine) Checkpoint(dir string) (Applied, error) {
	if err := m.Flush(); err != nil { // most of the work, with applying going on
		return Applied{}, err
	}
	m.applyMu.Lock()
	defer m.applyMu.Unlock()
	db, release, err := m.engine()
	if err != nil {
		return Applied{}, err
	}
	defer release()
	at := m.Applied()
	if err := db.Checkpoint(dir); err != nil {
		return Applied{}, err
	}
	m.raiseDurable(at.Index)
	return at, nil
}

// Local returns a record of this replica alone, nil when absent: identities of its log and votes (CLUSTER 5.3).
func (m *Machine) Local(name string) ([]byte, error) {
	db, release, err := m.engine()
	if err != nil {
		return nil, err
	}
	defer release()
	return db.Get(localKey(name))
}

// SetLocal writes a record of this replica alone, durably; a nil value removes it.
func (m *Machine) SetLocal(name string, value []byte) error {
	db, release, err := m.engine()
	if err != nil {
		return err
	}
	defer release()
	b := db.NewBatch()
	defer b.Close()
	if value == nil {
		err = b.Delete(localKey(name))
	} else {
		err = b.Set(localKey(name), value)
	}
	if err == nil {
		err = b.Commit(false)
	}
	if err != nil {
		return fmt.Errorf("local record %s: %w", name, err)
	}
	return m.flush(db)
}

// Group is the group's own record.
func (m *Machine) Group() (GroupRecord, error) {
	db, release, err := m.engine()
	if err != nil {
		return GroupRecord{}, err
	}
	defer release()
	return readGroup(db)
}

// Info is what a group knows about one of its spaces.
type Info struct {
	ID       cluster.SpaceID
	State    State
	Epoch    uint64
	Sequence uint64
	// Move is the move that is under way here, or that a space which has Moved left with.
	Move MoveID
}

// Spaces lists the spaces of the group, dropped ones included, in order of id.
func (m *Machine) Spaces() ([]Info, error) {
	db, release, err := m.engine()
	if err != nil {
		return nil, err
	}
	defer release()
	var list []Info
	it := db.NewIter([]byte{prefixHeader}, []byte{prefixHeader + 1})
	for ok := it.First(); ok; ok = it.Next() {
		h, err := decodeHeader(it.Value())
		if err != nil || len(it.Key()) != dataStart {
			return nil, errors.Join(damaged("header", it.Key(), err), it.Close())
		}
		list = append(list, infoOf(cluster.SpaceID(it.Key()[1:]), h))
	}
	return list, it.Close()
}
