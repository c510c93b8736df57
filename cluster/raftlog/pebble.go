package raftlog

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"path"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// The first byte of a key, for ever.
const (
	keyEntry    = 0x01 // · group (4) · index (8)
	keyFloor    = 0x02 // · group (4)
	keyIdentity = 0x03
)

// pebbleEngine keeps all groups in one database. Commits of several goroutines that wait for a sync share it: the
// database's commit pipeline does that.
type pebbleEngine struct {
	db *lsm.DB
	id Identity
}

func openPebble(o Options, failed func(error) error) (*pebbleEngine, error) {
	lo := lsm.LogOptions(path.Join(o.Dir, "pebble"))
	lo.FS, lo.Shared = o.Faults.Wrap(o.FS), o.Shared
	lo.Events.Failed = func(err error) { failed(err) }
	lo.Events.Unusual = o.Events.Unusual
	lo.Events.Corrupt = func(err error) {
		if o.Events.Unusual != nil {
			o.Events.Unusual(err.Error())
		}
	}
	db, err := lsm.Open(lo)
	if err != nil {
		return nil, err
	}
	e := &pebbleEngine{db: db}
	if err := e.loadIdentity(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return e, nil
}

func (e *pebbleEngine) loadIdentity() error {
	v, err := e.db.Get([]byte{keyIdentity})
	if err != nil {
		return err
	}
	if v == nil {
		rand.Read(e.id[:]) //nolint:errcheck // crypto/rand.Read never fails
		return e.write(true, func(b *lsm.Batch) error { return b.Set([]byte{keyIdentity}, e.id[:]) })
	}
	if copy(e.id[:], v) != len(e.id) || len(v) != len(e.id) {
		return fmt.Errorf("identity of %d bytes: %w", len(v), errCoding)
	}
	return nil
}

func entryKey(g cluster.GroupID, index uint64) []byte {
	k := make([]byte, 13)
	k[0] = keyEntry
	binary.BigEndian.PutUint32(k[1:], uint32(g))
	binary.BigEndian.PutUint64(k[5:], index)
	return k
}

// afterEntry is the first key behind that of index, also behind the last index there can be.
func afterEntry(g cluster.GroupID, index uint64) []byte { return append(entryKey(g, index), 0) }

func floorKey(g cluster.GroupID) []byte {
	return binary.BigEndian.AppendUint32([]byte{keyFloor}, uint32(g))
}

func (e *pebbleEngine) write(sync bool, fill func(*lsm.Batch) error) error {
	b := e.db.NewBatch()
	err := fill(b)
	if err == nil {
		err = b.Commit(sync)
	}
	return errors.Join(err, b.Close())
}

func (e *pebbleEngine) groups() ([]cluster.GroupID, error) {
	var all []cluster.GroupID
	it := e.db.NewIter([]byte{keyFloor}, []byte{keyFloor + 1})
	for ok := it.First(); ok; ok = it.Next() {
		all = append(all, cluster.GroupID(binary.BigEndian.Uint32(it.Key()[1:])))
	}
	return all, it.Close()
}

func (e *pebbleEngine) bounds(g cluster.GroupID) (first, last uint64, err error) {
	it := e.db.NewIter(entryKey(g, 0), afterEntry(g, ^uint64(0)))
	if it.First() {
		first = binary.BigEndian.Uint64(it.Key()[5:])
	}
	if it.Last() {
		last = binary.BigEndian.Uint64(it.Key()[5:])
	}
	return first, last, it.Close()
}

func (e *pebbleEngine) get(g cluster.GroupID, index uint64) ([]byte, error) {
	return e.db.Get(entryKey(g, index))
}

func (e *pebbleEngine) append(g cluster.GroupID, first uint64, entries [][]byte, floor []byte) error {
	return e.write(true, func(b *lsm.Batch) error {
		for i, v := range entries {
			if err := b.Set(entryKey(g, first+uint64(i)), v); err != nil {
				return err
			}
		}
		return setFloor(b, g, floor)
	})
}

func setFloor(b *lsm.Batch, g cluster.GroupID, floor []byte) error {
	if floor == nil {
		return nil
	}
	return b.Set(floorKey(g), floor)
}

// deleteRange does not wait for a sync: the next append's covers it, and until then a crash brings back what was
// deleted, which Raft allows.
func (e *pebbleEngine) deleteRange(g cluster.GroupID, lo, hi uint64, floor []byte) error {
	return e.write(false, func(b *lsm.Batch) error {
		return errors.Join(b.DeleteRange(entryKey(g, lo), afterEntry(g, hi)), setFloor(b, g, floor))
	})
}

func (e *pebbleEngine) floor(g cluster.GroupID) ([]byte, error) { return e.db.Get(floorKey(g)) }

func (e *pebbleEngine) init(g cluster.GroupID, floor []byte) error {
	return e.write(true, func(b *lsm.Batch) error {
		return errors.Join(b.DeleteRange(entryKey(g, 0), afterEntry(g, ^uint64(0))), setFloor(b, g, floor))
	})
}

func (e *pebbleEngine) remove(g cluster.GroupID) error {
	return e.write(true, func(b *lsm.Batch) error {
		return errors.Join(b.DeleteRange(entryKey(g, 0), afterEntry(g, ^uint64(0))), b.Delete(floorKey(g)))
	})
}

func (e *pebbleEngine) identity(cluster.GroupID) (Identity, error) { return e.id, nil }

func (e *pebbleEngine) close() error { return e.db.Close() }

// isCorrupt reports an error of the engine that means wrong bytes, not a disk that failed.
func isCorrupt(err error) bool { return errors.Is(err, lsm.ErrCorrupt) }
