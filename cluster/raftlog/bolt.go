package raftlog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// boltEngine keeps each group in a raft-boltdb file of its own. An entry is stored in our coding as the data of a
// raft-boltdb entry of the same index, because raft-boltdb has no checksum of its own.
type boltEngine struct {
	dir    string
	faults *Faults
	// between, when a test sets it, is called before each transaction: what a crash there would leave is on disk.
	between func()

	mu    sync.Mutex // guards files
	files map[cluster.GroupID]*raftboltdb.BoltStore
}

const boltSuffix = ".bolt"

var (
	boltFloor    = []byte("floor")
	boltIdentity = []byte("identity")
)

func openBolt(o Options) (*boltEngine, error) {
	e := &boltEngine{dir: o.Dir, faults: o.Faults, files: make(map[cluster.GroupID]*raftboltdb.BoltStore)}
	groups, err := e.groups()
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if _, err := e.file(g); err != nil {
			return nil, errors.Join(err, e.close())
		}
	}
	return e, nil
}

// openBoltFile opens a file with the settings that stay fast after much was deleted: the list of free pages is rebuilt
// at open instead of written with each commit.
func openBoltFile(name string) (store *raftboltdb.BoltStore, err error) {
	if err := checkBoltFile(name); err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("open %s: %v: %w", name, r, cluster.ErrDamaged)
		}
	}()
	store, err = raftboltdb.New(raftboltdb.Options{
		Path: name,
		BoltOptions: &bbolt.Options{
			Timeout: 5 * time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
		},
		MsgpackUseNewTimeFormat: true,
	})
	switch {
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("open %s: %w: %w", name, cluster.ErrDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return store, nil
}

// boltIdentityOf returns a file's identity, drawn when it has none yet.
func boltIdentityOf(f *raftboltdb.BoltStore) (Identity, error) {
	var id Identity
	v, err := f.Get(boltIdentity)
	switch {
	case errors.Is(err, raftboltdb.ErrKeyNotFound):
		rand.Read(id[:]) //nolint:errcheck // crypto/rand.Read never fails
		return id, f.Set(boltIdentity, id[:])
	case err != nil:
		return id, err
	case len(v) != len(id):
		return id, fmt.Errorf("identity of %d bytes: %w", len(v), errCoding)
	}
	return Identity(v), nil
}

func (e *boltEngine) name(g cluster.GroupID) string {
	return filepath.Join(e.dir, strconv.FormatUint(uint64(g), 10)+boltSuffix)
}

func (e *boltEngine) groups() ([]cluster.GroupID, error) {
	files, err := os.ReadDir(e.dir)
	if err != nil {
		return nil, err
	}
	var all []cluster.GroupID
	for _, f := range files {
		digits, ours := strings.CutSuffix(f.Name(), boltSuffix)
		id, err := strconv.ParseUint(digits, 10, 32)
		if ours && err == nil {
			all = append(all, cluster.GroupID(id))
		}
	}
	return all, nil
}

func (e *boltEngine) file(g cluster.GroupID) (*raftboltdb.BoltStore, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f := e.files[g]; f != nil {
		return f, nil
	}
	f, err := openBoltFile(e.name(g))
	if err != nil {
		return nil, err
	}
	if _, err := boltIdentityOf(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	e.files[g] = f
	return f, nil
}

// before is what every write of a bolt file meets first: the faults that the operating system's files cannot be
// wrapped for.
func beforeBoltWrite(f *Faults) error {
	if f.NoSpace.Load() {
		return syscall.ENOSPC
	}
	if d := f.SyncDelay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	f.Syncs.Add(1)
	return nil
}

func (e *boltEngine) write(g cluster.GroupID, do func(*raftboltdb.BoltStore) error) error {
	f, err := e.file(g)
	if err != nil {
		return err
	}
	if err := beforeBoltWrite(e.faults); err != nil {
		return err
	}
	e.mayCrash()
	return do(f)
}

func (e *boltEngine) bounds(g cluster.GroupID) (first, last uint64, err error) {
	f, err := e.file(g)
	if err != nil {
		return 0, 0, err
	}
	if first, err = f.FirstIndex(); err != nil {
		return 0, 0, err
	}
	last, err = f.LastIndex()
	return first, last, err
}

func (e *boltEngine) get(g cluster.GroupID, index uint64) (entry []byte, err error) {
	f, err := e.file(g)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errCoding, r)
		}
	}()
	var l raft.Log
	switch err := f.GetLog(index, &l); {
	case errors.Is(err, raft.ErrLogNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errCoding, err)
	}
	return l.Data, nil
}

func (e *boltEngine) append(g cluster.GroupID, first uint64, entries [][]byte, floor []byte) error {
	logs := make([]*raft.Log, len(entries))
	for i, v := range entries {
		logs[i] = &raft.Log{Index: first + uint64(i), Data: v}
	}
	return e.write(g, func(f *raftboltdb.BoltStore) error {
		if err := e.setFloor(f, floor); err != nil {
			return err
		}
		return f.StoreLogs(logs)
	})
}

// deleteRange sets the floor first: raft-boltdb has no transaction over both, and Log.load ends a deletion that a
// crash left half done.
func (e *boltEngine) deleteRange(g cluster.GroupID, lo, hi uint64, floor []byte) error {
	return e.write(g, func(f *raftboltdb.BoltStore) error {
		if err := e.setFloor(f, floor); err != nil {
			return err
		}
		return f.DeleteRange(lo, hi)
	})
}

// setFloor sets the floor, if there is one to be set, in a transaction before another.
func (e *boltEngine) setFloor(f *raftboltdb.BoltStore, floor []byte) error {
	if floor == nil {
		return nil
	}
	if err := f.Set(boltFloor, floor); err != nil {
		return err
	}
	e.mayCrash()
	return nil
}

func (e *boltEngine) mayCrash() {
	if e.between != nil {
		e.between()
	}
}

func (e *boltEngine) floor(g cluster.GroupID) ([]byte, error) {
	f, err := e.file(g)
	if err != nil {
		return nil, err
	}
	v, err := f.Get(boltFloor)
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return nil, nil
	}
	return v, err
}

func (e *boltEngine) init(g cluster.GroupID, floor []byte) error {
	return e.write(g, func(f *raftboltdb.BoltStore) error {
		if err := f.DeleteRange(0, ^uint64(0)); err != nil {
			return err
		}
		e.mayCrash()
		return f.Set(boltFloor, floor)
	})
}

func (e *boltEngine) remove(g cluster.GroupID) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f := e.files[g]; f != nil {
		if err := f.Close(); err != nil {
			return err
		}
		delete(e.files, g)
	}
	if err := os.Remove(e.name(g)); err != nil {
		return err
	}
	dir, err := os.Open(e.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (e *boltEngine) identity(g cluster.GroupID) (Identity, error) {
	f, err := e.file(g)
	if err != nil {
		return Identity{}, err
	}
	return boltIdentityOf(f)
}

func (e *boltEngine) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all error
	for _, f := range e.files {
		all = errors.Join(all, f.Close())
	}
	clear(e.files)
	return all
}
