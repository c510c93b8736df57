package space

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"

	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// Hash is the SHA-256 of the replicated pairs as of index, for comparing replicas (CLUSTER 5.6). It reads a
// snapshot; applying goes on.
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
	sum, err = hashPairs(snap, ctx.Err)
	return at.Index, sum, err
}

// hashPairs hashes prefix by prefix, so that the sum does not depend on prefixes that hold nothing.
// It ends with what stopped returns.
func hashPairs(from lsm.Reader, stopped func() error) (sum Hash, err error) {
	whole := sha256.New()
	for prefix := byte(1); prefix < localFrom; prefix++ {
		one, pairs, err := hashPrefix(from, prefix, stopped)
		if err != nil {
			return Hash{}, err
		}
		if pairs > 0 {
			whole.Write(append([]byte{prefix}, one...))
		}
	}
	return Hash(whole.Sum(nil)), nil
}

// pairsPerCheck is how many pairs are hashed between calls of stopped.
const pairsPerCheck = 1024

func hashPrefix(from lsm.Reader, prefix byte, stopped func() error) (sum []byte, pairs int, err error) {
	h := sha256.New()
	it := from.NewIter([]byte{prefix}, []byte{prefix + 1})
	for ok := it.First(); ok; ok = it.Next() {
		if pairs%pairsPerCheck == 0 && stopped() != nil {
			return nil, 0, errors.Join(stopped(), it.Close())
		}
		pairs++
		hashBytes(h, it.Key())
		hashBytes(h, it.Value())
	}
	return h.Sum(nil), pairs, it.Close()
}

func hashBytes(h hash.Hash, b []byte) {
	var size [binary.MaxVarintLen64]byte
	h.Write(size[:binary.PutUvarint(size[:], uint64(len(b)))])
	h.Write(b)
}

// scrub hashes the state as it is now, behind Apply's back, and reports it. While one hash runs others are left
// out: the owner asks again. Apply holds the engine when it calls.
func (m *Machine) scrub(db *lsm.DB, index uint64) {
	if m.config.Events.Hashed == nil {
		return
	}
	select {
	case m.scrubbing <- struct{}{}:
	default:
		return
	}
	snap := db.Snapshot()
	// Nobody waits to exchange the engine while Apply holds applyMu, so this second hold cannot deadlock.
	m.use.RLock()
	m.scrubs.Add(1)
	go func() {
		defer m.scrubs.Done()
		defer func() { <-m.scrubbing }()
		defer m.use.RUnlock()
		sum, err := hashPairs(snap, m.ending)
		err = errors.Join(err, snap.Close())
		m.config.Events.Hashed(index, sum, err)
	}()
}

// ending is errClosed while somebody wants the engine for themselves.
func (m *Machine) ending() error {
	if m.exchanging.Load() {
		return errClosed
	}
	return nil
}
