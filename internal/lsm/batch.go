package lsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"
)

// prove puts the room for the proof first into an empty batch; see checkWAL.
func (b *Batch) prove() *Batch {
	if !b.db.opts.DisableWAL {
		var room [8]byte
		b.keep(b.b.LogData(room[:], nil))
	}
	return b
}

// Batch collects writes that are made together or not at all. It is for one goroutine. The slices given to it are
// copied.
type Batch struct {
	db  *DB
	b   *pebble.Batch
	err error // of a write that has no error to return
}

func (b *Batch) keep(err error) {
	if b.err == nil {
		b.err = err
	}
}

// Set writes a pair.
func (b *Batch) Set(key, value []byte) error { return b.b.Set(key, value, nil) }

// Delete removes a key.
func (b *Batch) Delete(key []byte) error { return b.b.Delete(key, nil) }

// DeleteRange removes every key of [lo, hi).
func (b *Batch) DeleteRange(lo, hi []byte) error { return b.b.DeleteRange(lo, hi, nil) }

// Get implements Reader for an indexed batch.
func (b *Batch) Get(key []byte) ([]byte, error) { return copied(b.b.Get(key)) }

// NewIter implements Reader for an indexed batch. It sees the writes made before it, not those made after.
func (b *Batch) NewIter(lo, hi []byte) *Iter { return newIter(b.b, lo, hi) }

// Len is the batch's size in bytes.
func (b *Batch) Len() int { return b.b.Len() }

// Empty reports whether nothing was written.
func (b *Batch) Empty() bool { return b.b.Count() == 0 }

// Reset forgets the writes; a committed batch may be used again after it.
func (b *Batch) Reset() {
	b.b.Reset()
	b.err = nil
	b.prove()
}

// Close gives the batch's memory back.
func (b *Batch) Close() error { return b.b.Close() }

// Commit makes the writes visible. With sync it returns when the write-ahead log has them durably; a database without
// a log ignores sync. After an error the database has failed, and what became of the batch is known at the next Open.
func (b *Batch) Commit(sync bool) (err error) {
	if err := errors.Join(b.db.Failure(), b.err); err != nil {
		return err
	}
	if b.Empty() {
		return nil
	}
	// The engine panics when its log cannot be written; the database has failed then, like with any other error.
	defer func() {
		if r := recover(); r != nil {
			b.db.fail(fmt.Errorf("commit: %v", r))
			err = b.db.Failure()
		}
	}()
	size := b.b.Len()
	if err := b.commit(sync && !b.db.opts.DisableWAL); err != nil {
		b.db.fail(fmt.Errorf("commit: %w", err))
	}
	b.db.shared.wrote(b.db, int64(size))
	return b.db.Failure()
}

func (b *Batch) commit(sync bool) error {
	if !b.db.opts.DisableWAL {
		binary.LittleEndian.PutUint64(b.b.Repr()[proofValue:], b.db.synced.Load())
	}
	opts := pebble.NoSync
	if sync {
		opts = pebble.Sync
	}
	count := uint64(b.b.Count())
	if err := b.b.Commit(opts); err != nil || !sync || b.db.Failure() != nil {
		return err
	}
	end := uint64(b.b.SeqNum()) + count
	for was := b.db.synced.Load(); was < end && !b.db.synced.CompareAndSwap(was, end); {
		was = b.db.synced.Load()
	}
	return nil
}

func copied(value []byte, closer io.Closer, err error) ([]byte, error) {
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get: %w", marked(err))
	}
	own := append(make([]byte, 0, len(value)), value...)
	return own, closer.Close()
}
