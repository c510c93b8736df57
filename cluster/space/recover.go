package space

import (
	"errors"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// RaiseSequences lets every space of a state that lost effects for good begin beyond them (CLUSTER 7.3): numbers of
// intents are drawn from a space's sequence, and their targets remember the highest for ever. It is for a machine that
// no replica runs on; the state is the first of its group from here on, as a log would not have made it.
func (m *Machine) RaiseSequences(by uint64) error {
	m.applyMu.Lock()
	defer m.applyMu.Unlock()
	db, release, err := m.engine()
	if err != nil {
		return err
	}
	defer release()
	b := db.NewBatch()
	defer b.Close()
	if err := raiseSequences(db, b, by); err != nil {
		return err
	}
	clear(m.headers)
	return m.show(b)
}

func raiseSequences(db *lsm.DB, b *lsm.Batch, by uint64) error {
	it := db.NewIter([]byte{prefixHeader}, []byte{prefixHeader + 1})
	for ok := it.First(); ok; ok = it.Next() {
		h, err := decodeHeader(it.Value())
		if err != nil || len(it.Key()) != dataStart {
			return errors.Join(damaged("header", it.Key(), err), it.Close())
		}
		h.sequence += by
		if err := b.Set(headerKey(cluster.SpaceID(it.Key()[1:])), appendHeader(nil, h)); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return it.Close()
}
