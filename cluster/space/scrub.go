package space

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Scrubbed is what hashing the pairs as of a hash entry has found so far (CLUSTER 5.6).
type Scrubbed struct {
	Index uint64    // of the entry
	At    time.Time // the entry's wall time
	Done  bool
	Bytes uint64 // read so far
	Sum   Hash   // when Done without Err
	// Err is why there is no sum. It is ErrDamaged when a content is not what its name says.
	Err error
}

// Hash is the SHA-256 of the replicated pairs as of index, for comparing replicas. It reads a snapshot; applying goes on.
func (m *Machine) Hash(ctx context.Context) (index uint64, sum Hash, err error) {
	db, release, err := m.engine()
	if err != nil {
		return 0, Hash{}, err
	}
	defer release()
	snap := db.Snapshot()
	defer snap.Close()
	at, err := readApplied(snap)
	if err != nil {
		return 0, Hash{}, err
	}
	h := hasher{from: snap, pause: func(uint64) error { return ctx.Err() }}
	sum, err = h.all()
	return at.Index, sum, err
}

// hasher hashes the replicated pairs of a snapshot.
type hasher struct {
	from lsm.Reader
	// body, when not nil, is given each content with its name, and says what is wrong with it.
	body func(name, stored []byte) error
	// pause is called every so often with the bytes read so far; its error ends the hash.
	pause func(read uint64) error
	read  uint64
	next  uint64 // pause is called when so much is read
}

// bytesPerPause is how much is read between two calls of pause.
const bytesPerPause = 256 << 10

// all hashes prefix by prefix, so that the sum does not depend on prefixes that hold nothing.
func (h *hasher) all() (sum Hash, err error) {
	whole := sha256.New()
	for prefix := byte(1); prefix < localFrom; prefix++ {
		one, pairs, err := h.prefix(prefix)
		if err != nil {
			return Hash{}, err
		}
		if pairs > 0 {
			whole.Write(append([]byte{prefix}, one...))
		}
	}
	return Hash(whole.Sum(nil)), nil
}

func (h *hasher) prefix(prefix byte) (sum []byte, pairs int, err error) {
	s := sha256.New()
	it := h.from.NewIter([]byte{prefix}, []byte{prefix + 1})
	for ok := it.First(); ok; ok = it.Next() {
		key, value := it.Key(), it.Value()
		h.read += uint64(len(key) + len(value))
		if err := h.look(prefix, key, value); err != nil {
			return nil, 0, errors.Join(err, it.Close())
		}
		pairs++
		hashBytes(s, key)
		hashBytes(s, value)
	}
	return s.Sum(nil), pairs, it.Close()
}

func (h *hasher) look(prefix byte, key, value []byte) error {
	if h.read >= h.next {
		h.next = h.read + bytesPerPause
		if err := h.pause(h.read); err != nil {
			return err
		}
	}
	if prefix != prefixBody || h.body == nil {
		return nil
	}
	return h.body(key[1:], value)
}

func hashBytes(h hash.Hash, b []byte) {
	var size [binary.MaxVarintLen64]byte
	h.Write(size[:binary.PutUvarint(size[:], uint64(len(b)))])
	h.Write(b)
}

// checkBody compares a content with its name.
func (m *Machine) checkBody(name, stored []byte) error {
	body, err := m.coders.unseal(stored)
	if err == nil && HashOf(body) != Hash(name) {
		err = errors.New("the bytes have another hash")
	}
	if err != nil {
		return damaged("content", name, err)
	}
	return nil
}

// scrub is one hash under way.
type scrub struct {
	index uint64
	at    time.Time
	read  atomic.Uint64
	over  atomic.Bool // a later entry has asked for another
}

// startScrub hashes the state as it is now, behind Apply's back. It takes the place of a hash under way: who asked for
// that one has gone. Apply holds the engine when it calls.
func (m *Machine) startScrub(db *lsm.DB, index uint64, wall int64) {
	s := &scrub{index: index, at: time.Unix(0, wall)}
	if before := m.hashing.Swap(s); before != nil {
		before.over.Store(true)
	}
	m.keepScrubbed(s, &Scrubbed{Index: index, At: s.at})
	snap := db.Snapshot()
	// Nobody waits to exchange the engine while Apply holds applyMu, so this second hold cannot deadlock.
	m.use.RLock()
	m.scrubs.Add(1)
	go func() {
		defer m.scrubs.Done()
		m.scrubbing <- struct{}{} // the one before ends at its next pause
		defer func() { <-m.scrubbing }()
		defer m.use.RUnlock()
		begin := time.Now()
		h := hasher{from: snap, body: m.checkBody, pause: func(read uint64) error { return m.pace(s, begin, read) }}
		sum, err := h.all()
		err = errors.Join(err, snap.Close())
		if err == nil {
			err = recordScrub(db, s, h.read)
		}
		m.keepScrubbed(s, &Scrubbed{Index: index, At: s.at, Done: true, Bytes: h.read, Sum: sum, Err: err})
		if m.config.Events.Hashed != nil {
			m.config.Events.Hashed(index, sum, err)
		}
	}()
}

// keepScrubbed remembers what s has found, unless another began after it.
func (m *Machine) keepScrubbed(s *scrub, found *Scrubbed) {
	m.scrubMu.Lock()
	defer m.scrubMu.Unlock()
	if m.hashing.Load() == s {
		m.scrubbed = found
	}
}

// Scrubbed is the latest hash that an entry asked for since the machine was opened; false when none did.
func (m *Machine) Scrubbed() (Scrubbed, bool) {
	m.scrubMu.Lock()
	defer m.scrubMu.Unlock()
	if m.scrubbed == nil {
		return Scrubbed{}, false
	}
	s := *m.scrubbed
	if !s.Done {
		s.Bytes = m.hashing.Load().read.Load()
	}
	return s, true
}

// paceStep is the longest that pace waits without looking whether the hash is still wanted.
const paceStep = 50 * time.Millisecond

// pace waits until so many bytes may have been read since begin. It fails when the hash has to end.
func (m *Machine) pace(s *scrub, begin time.Time, read uint64) error {
	s.read.Store(read)
	for {
		switch {
		case m.exchanging.Load():
			return errClosed
		case s.over.Load():
			return errOvertakenScrub
		}
		if m.config.ScrubRate <= 0 {
			return nil
		}
		ahead := time.Duration(float64(read)/float64(m.config.ScrubRate)*float64(time.Second)) - time.Since(begin)
		if ahead <= 0 {
			return nil
		}
		t := time.NewTimer(min(ahead, paceStep))
		select {
		case <-t.C:
		case <-m.stop:
			t.Stop()
			return errClosed
		}
	}
}

var errOvertakenScrub = cluster.Errorf(cluster.KindUnavailable, "a later entry asked for another hash")

// scrubRecord is the local record of the last hash that ended well.
const scrubRecord = "scrub"

func recordScrub(db *lsm.DB, s *scrub, read uint64) error {
	b := db.NewBatch()
	defer b.Close()
	err := b.Set(localKey(scrubRecord), encodeScrub(s.at, read))
	if err == nil {
		err = b.Commit(false) // lost in a crash, the next comes early
	}
	if err != nil {
		return fmt.Errorf("record of the hash: %w", err)
	}
	return nil
}

func encodeScrub(at time.Time, read uint64) []byte {
	return wire.AppendUvarint(wire.AppendFixed64(nil, uint64(at.UnixNano())), read)
}

// LastScrub is the wall time of the last hash entry whose hash ended well here, and how much was read then; false when
// there was none. BeginScrubs sets it where the first is to be waited for.
func (m *Machine) LastScrub() (at time.Time, read uint64, ok bool, err error) {
	b, err := m.Local(scrubRecord)
	if err != nil || b == nil {
		return time.Time{}, 0, false, err
	}
	r := wire.NewReader(b)
	at, read = time.Unix(0, int64(r.Fixed64())), r.Uvarint()
	if err := r.Close(); err != nil {
		return time.Time{}, 0, false, damaged("record", []byte(scrubRecord), err)
	}
	return at, read, true, nil
}

// BeginScrubs lets the time until the first hash count from now.
func (m *Machine) BeginScrubs(now time.Time) error {
	return m.SetLocal(scrubRecord, encodeScrub(now, 0))
}
