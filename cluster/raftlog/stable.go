package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// stableFiles is how many files hold the terms and votes of all groups, for ever: group modulo stableFiles.
const stableFiles = 8

// The names under which hashicorp/raft keeps what it must not forget.
const (
	raftCurrentTerm = "CurrentTerm"
	raftVoteTerm    = "LastVoteTerm"
	raftVoteCand    = "LastVoteCand"
)

// StableOptions describe the stable store of a node.
type StableOptions struct {
	Dir string
	// Fatal is called once, with the first failed write; it is expected to end the process (CLUSTER 5.5).
	Fatal func(err error)
	// SlowSync is how long a write runs before SyncSlow hears of it, again and again until it ends; default 1 s. SyncSlow
	// may be nil.
	SlowSync time.Duration
	SyncSlow func(running time.Duration)
	// Faults, when set, can be changed while the store runs.
	Faults *Faults
}

// StableStore holds term and vote of every group of a node, in a few raft-boltdb files.
type StableStore struct {
	opts  StableOptions
	files [stableFiles]*raftboltdb.BoltStore
	ids   [stableFiles]Identity
	watch *watch

	stop    chan struct{}
	workers sync.WaitGroup

	mu      sync.Mutex // guards failure
	failure error
}

// OpenStable opens or creates a node's stable store; as Open does, it refuses one that is damaged.
func OpenStable(o StableOptions) (*StableStore, error) {
	if o.Faults == nil {
		o.Faults = &Faults{}
	}
	if o.SlowSync == 0 {
		o.SlowSync = slowSync
	}
	if err := lsm.MakeDir(lsm.OSFS(), o.Dir); err != nil {
		return nil, fmt.Errorf("open stable store: %w", err)
	}
	s := &StableStore{opts: o, watch: newWatch(o.SlowSync, o.SyncSlow), stop: make(chan struct{})}
	for i := range s.files {
		f, err := openBoltFile(filepath.Join(o.Dir, "stable-"+strconv.Itoa(i)+boltSuffix))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open stable store: %w", asDamage(err)), s.Close())
		}
		s.files[i] = f
		if s.ids[i], err = boltIdentityOf(f); err != nil {
			return nil, errors.Join(fmt.Errorf("open stable store: %w", asDamage(err)), s.Close())
		}
	}
	s.workers.Go(func() { s.watch.run(s.stop) })
	return s, nil
}

// Group is the part of a group.
func (s *StableStore) Group(id cluster.GroupID) *Stable {
	return &Stable{store: s, file: int(id % stableFiles), prefix: fmt.Sprintf("g%d/", id)}
}

// Close closes the files. It is called once.
func (s *StableStore) Close() error {
	close(s.stop)
	s.workers.Wait()
	var all error
	for _, f := range s.files {
		if f != nil {
			all = errors.Join(all, f.Close())
		}
	}
	return all
}

// Failure is the error that ended the store, or nil.
func (s *StableStore) Failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

func (s *StableStore) fail(err error) error {
	s.mu.Lock()
	first := s.failure == nil
	if first {
		s.failure = fmt.Errorf("stable store %s failed: %w", s.opts.Dir, err)
	}
	failure := s.failure
	s.mu.Unlock()
	if first && s.opts.Fatal != nil {
		s.opts.Fatal(failure)
	}
	return failure
}

// Stable is one group's part. It implements raft.StableStore as raft-boltdb does: what is absent is an error whose
// text is "not found", which hashicorp/raft compares.
type Stable struct {
	store  *StableStore
	file   int
	prefix string
}

var _ raft.StableStore = (*Stable)(nil)

func (s *Stable) key(name []byte) []byte { return append([]byte(s.prefix), name...) }

// Set implements raft.StableStore: when it returns nil the value is on disk.
func (s *Stable) Set(name, value []byte) error {
	if err := s.store.Failure(); err != nil {
		return err
	}
	_, _, err := s.store.watch.over(func() error {
		if err := beforeBoltWrite(s.store.opts.Faults); err != nil {
			return err
		}
		return s.store.files[s.file].Set(s.key(name), value)
	})
	if err != nil {
		return s.store.fail(err)
	}
	return nil
}

// Get implements raft.StableStore. An empty value is what Reset leaves, and absent.
func (s *Stable) Get(name []byte) ([]byte, error) {
	v, err := s.store.files[s.file].Get(s.key(name))
	if err == nil && len(v) == 0 {
		err = raftboltdb.ErrKeyNotFound
	}
	return v, err
}

// SetUint64 implements raft.StableStore.
func (s *Stable) SetUint64(name []byte, value uint64) error {
	return s.Set(name, binary.BigEndian.AppendUint64(nil, value))
}

// GetUint64 implements raft.StableStore.
func (s *Stable) GetUint64(name []byte) (uint64, error) {
	v, err := s.Get(name)
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("%s%s has %d bytes: %w", s.prefix, name, len(v), cluster.ErrDamaged)
	}
	return binary.BigEndian.Uint64(v), nil
}

// Identity is that of the file the group is in; the group's state records it when the replica is made.
func (s *Stable) Identity() Identity { return s.store.ids[s.file] }

// Reset forgets term and vote, for a replica that is made under a new server id or removed.
func (s *Stable) Reset() error {
	for _, name := range []string{raftVoteCand, raftVoteTerm, raftCurrentTerm} {
		if _, err := s.Get([]byte(name)); errors.Is(err, raftboltdb.ErrKeyNotFound) {
			continue
		}
		if err := s.Set([]byte(name), nil); err != nil {
			return err
		}
	}
	return nil
}

// votes is what is known of a group's term and vote.
type votes struct {
	term, voteTerm        uint64
	hasVote, hasCandidate bool
}

func (s *Stable) votes() (votes, error) {
	var v votes
	var err error
	if v.term, _, err = s.maybe(raftCurrentTerm); err != nil {
		return v, err
	}
	if v.voteTerm, v.hasVote, err = s.maybe(raftVoteTerm); err != nil {
		return v, err
	}
	_, err = s.Get([]byte(raftVoteCand))
	v.hasCandidate = err == nil
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		err = nil
	}
	return v, err
}

func (s *Stable) maybe(name string) (value uint64, known bool, err error) {
	value, err = s.GetUint64([]byte(name))
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return 0, false, nil
	}
	return value, err == nil, err
}
