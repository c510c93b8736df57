package group

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/hashicorp/raft"
)

// liveSnapshot is the id of the snapshot that every state is of itself.
const liveSnapshot = "live"

var errSnapshotsBusy = errors.New("too many snapshots are being sent")

// snapshotStore is a replica's raft.SnapshotStore. There is always one snapshot, the state itself: raft then starts
// at what is really on disk, and neither replays nor restores (CLUSTER 5.4). A snapshot that is being received is a
// directory beside it.
type snapshotStore struct {
	dir     replicaDir
	machine *space.Machine
	// open opens the engine of a state directory.
	open func(path string) (*lsm.DB, error)
	// sending limits the snapshots that the node sends at a time.
	sending chan struct{}
	// switched is told of a snapshot that was switched in.
	switched func(index uint64)
	// lastIndex is where the replica's log ends.
	lastIndex func() (uint64, error)
	// outgrown: a snapshot was switched in while the log went on behind it, on a branch that is void. raft empties such
	// a log, but keeps its end in memory, and would refuse what follows the snapshot for ever; it must be started anew.
	outgrown atomic.Bool

	mu       sync.Mutex
	next     uint64                        // number of the next directory; guarded by mu
	active   string                        // guarded by mu
	origin   uint64                        // index of the snapshot active came from; guarded by mu
	db       *lsm.DB                       // of active; guarded by mu
	received map[string]*raft.SnapshotMeta // whole, not switched in; guarded by mu
	held     map[uint64]int                // indexes whose entries stay; guarded by mu
	seeds    map[cluster.NodeID]seedHold   // replicas being made; guarded by mu
}

// metaOf describes the state as a snapshot.
func metaOf(a space.Applied) (*raft.SnapshotMeta, error) {
	members, err := membersApplied(a)
	if err != nil {
		return nil, err
	}
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: liveSnapshot, Index: a.Index, Term: a.Term,
		Configuration: configurationOf(members), ConfigurationIndex: a.ConfigurationIndex,
	}, nil
}

// List implements raft.SnapshotStore. When raft starts, what is applied is what was durable.
func (s *snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	a := s.machine.Applied()
	if a.Index == 0 {
		return nil, nil
	}
	meta, err := metaOf(a)
	if err != nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{meta}, nil
}

// Open implements raft.SnapshotStore: of the live snapshot it makes a checkpoint, whose position is exactly its
// content's; of a received one it gives the name, for Restore.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if id != liveSnapshot {
		s.mu.Lock()
		defer s.mu.Unlock()
		meta := s.received[id]
		if meta == nil {
			return nil, nil, fmt.Errorf("snapshot %s is not here", id)
		}
		return meta, io.NopCloser(strings.NewReader(id)), nil
	}
	select {
	case s.sending <- struct{}{}:
	default:
		return nil, nil, errSnapshotsBusy
	}
	meta, r, err := s.stream()
	if err != nil {
		<-s.sending
		return nil, nil, fmt.Errorf("checkpoint: %w", err)
	}
	return meta, r, nil
}

func (s *snapshotStore) stream() (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, files, release, err := s.checkpoint()
	if err != nil {
		return nil, nil, err
	}
	stream, err := newStreamReader(files)
	if err != nil {
		return nil, nil, errors.Join(err, release())
	}
	meta.Size = stream.Size()
	return meta, &outgoingSnapshot{streamReader: stream, done: func() error {
		<-s.sending
		return release()
	}}, nil
}

// checkpoint makes one of the state. Until release removes it the log is held from its index on.
func (s *snapshotStore) checkpoint() (meta *raft.SnapshotMeta, files snapshotFiles, release func() error, err error) {
	files = s.dir.files(s.number(sendPrefix))
	unhold := s.hold(s.machine.Applied().Index)
	release = func() error {
		unhold()
		return files.fs.RemoveAll(files.dir)
	}
	a, err := s.machine.Checkpoint(files.dir)
	if err == nil {
		meta, err = metaOf(a)
	}
	if err != nil {
		return nil, files, nil, errors.Join(err, release())
	}
	return meta, files, release, nil
}

// size is about how large the state is on disk.
func (s *snapshotStore) size() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db.Size()
}

// outgoingSnapshot removes its checkpoint when it is closed.
type outgoingSnapshot struct {
	*streamReader
	done func() error
	once sync.Once
}

// Close implements io.Closer.
func (o *outgoingSnapshot) Close() error {
	err := o.streamReader.Close()
	o.once.Do(func() { err = errors.Join(err, o.done()) })
	return err
}

// hold keeps the log from index on while the snapshot of it is on its way: to append what follows, raft names the entry
// before it, and without that it would send another snapshot.
func (s *snapshotStore) hold(index uint64) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[index]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.held[index]--; s.held[index] == 0 {
			delete(s.held, index)
		}
	}
}

// truncatable is the highest index up to which nobody needs the log.
func (s *snapshotStore) truncatable(upTo uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for index := range s.held {
		upTo = min(upTo, max(index, 1)-1)
	}
	return upTo
}

func (s *snapshotStore) number(prefix string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.next
	s.next++
	if prefix == sendPrefix {
		return fmt.Sprintf("%s%d", sendPrefix, n)
	}
	return stateName(n)
}

// Create implements raft.SnapshotStore: it begins to receive a snapshot. raft also calls it for a snapshot of its
// own, which writes nothing.
func (s *snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, c raft.Configuration, cIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	name := s.number(statePrefix)
	return &sink{s: s, name: name, meta: &raft.SnapshotMeta{
		Version: version, ID: name, Index: index, Term: term, Configuration: c, ConfigurationIndex: cIndex,
	}}, nil
}

// sink receives one snapshot: files, each made durable, in a directory that gets its name when all are there.
type sink struct {
	s    *snapshotStore
	name string
	meta *raft.SnapshotMeta
	w    *streamWriter // nil before the first byte
}

// ID implements raft.SnapshotSink.
func (k *sink) ID() string { return k.name }

func (k *sink) tmp() string { return k.s.dir.join(k.name + tmpSuffix) }

// Write implements io.Writer.
func (k *sink) Write(p []byte) (int, error) {
	if k.w == nil {
		if err := k.s.dir.fs.MkdirAll(k.tmp(), 0o755); err != nil {
			return 0, err
		}
		k.w = newStreamWriter(k.s.dir.files(k.name + tmpSuffix))
	}
	n, err := k.w.Write(p)
	k.meta.Size += int64(n)
	return n, err
}

// Close implements raft.SnapshotSink: the snapshot is whole and durable, or there is none.
func (k *sink) Close() error {
	if k.w == nil {
		return nil
	}
	fs := k.s.dir.fs
	err := k.w.finish()
	if err == nil {
		err = syncDir(fs, k.tmp())
	}
	if err == nil {
		err = fs.Rename(k.tmp(), k.s.dir.join(k.name))
	}
	if err == nil {
		err = syncDir(fs, k.s.dir.path)
	}
	if err != nil {
		return errors.Join(err, k.Cancel())
	}
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	k.s.received[k.name] = k.meta
	return nil
}

// Cancel implements raft.SnapshotSink.
func (k *sink) Cancel() error {
	if k.w == nil {
		return nil
	}
	return errors.Join(k.w.abort(), k.s.dir.fs.RemoveAll(k.tmp()))
}

// switchTo makes a received snapshot the state. Until the pointer is written the old state is the replica's; from
// then on the new one, whatever happens.
func (s *snapshotStore) switchTo(name string) error {
	s.mu.Lock()
	meta := s.received[name]
	delete(s.received, name)
	s.mu.Unlock()
	if meta == nil {
		return fmt.Errorf("snapshot %q is not here", name)
	}
	path := s.dir.join(name)
	db, err := s.open(path)
	if err != nil {
		return err
	}
	if err := checkReceived(db, meta); err != nil {
		return errors.Join(err, db.Close())
	}
	if err := s.dir.activate(activeState{name: name, origin: meta.Index}); err != nil {
		return errors.Join(err, db.Close())
	}
	last, err := s.lastIndex()
	if err != nil {
		return errors.Join(err, db.Close())
	}
	if last > meta.Index {
		s.outgrown.Store(true) // for good: another snapshot finds the log empty
	}
	old, err := s.machine.Replace(db)
	s.mu.Lock()
	before := s.active
	s.active, s.origin, s.db = name, meta.Index, db
	s.mu.Unlock()
	if err != nil {
		return errors.Join(err, old.Close())
	}
	err = errors.Join(old.Close(), s.dir.fs.RemoveAll(s.dir.join(before)))
	s.switched(meta.Index)
	return err
}

// checkReceived opens what was received once before it is made the state, and compares it with what its sender said.
func checkReceived(db *lsm.DB, meta *raft.SnapshotMeta) error {
	m, err := space.OpenMachine(db, space.MachineConfig{})
	if err != nil {
		return err
	}
	a := m.Applied()
	if err := m.Close(); err != nil {
		return err
	}
	if a.Index != meta.Index || a.Term != meta.Term {
		return cluster.Errorf(cluster.KindDamaged, "snapshot of %d/%d holds the state of %d/%d", meta.Index, meta.Term, a.Index, a.Term)
	}
	return nil
}
