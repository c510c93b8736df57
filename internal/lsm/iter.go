package lsm

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

type iterable interface {
	NewIter(o *pebble.IterOptions) (*pebble.Iterator, error)
}

// Iter walks pairs in key order. It begins nowhere: First, Last or a Seek comes first. Every move reports whether it
// stands on a pair; after a false one Err tells the end from an error. Key and Value are valid until the next move.
type Iter struct {
	it  *pebble.Iterator
	err error
}

func newIter(of iterable, lo, hi []byte) *Iter {
	it, err := of.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return &Iter{err: fmt.Errorf("iterate: %w", marked(err))}
	}
	return &Iter{it: it}
}

// First moves to the lowest pair.
func (i *Iter) First() bool { return i.it != nil && i.it.First() }

// Last moves to the highest pair.
func (i *Iter) Last() bool { return i.it != nil && i.it.Last() }

// Next moves up.
func (i *Iter) Next() bool { return i.it != nil && i.it.Next() }

// Prev moves down.
func (i *Iter) Prev() bool { return i.it != nil && i.it.Prev() }

// SeekGE moves to the first pair at or after key.
func (i *Iter) SeekGE(key []byte) bool { return i.it != nil && i.it.SeekGE(key) }

// SeekLT moves to the last pair before key.
func (i *Iter) SeekLT(key []byte) bool { return i.it != nil && i.it.SeekLT(key) }

// Valid reports whether the iterator stands on a pair.
func (i *Iter) Valid() bool { return i.it != nil && i.it.Valid() }

// Key is the pair's key.
func (i *Iter) Key() []byte { return i.it.Key() }

// Value is the pair's value; nil, and an error in Err, when it could not be read.
func (i *Iter) Value() []byte {
	value, err := i.it.ValueAndErr()
	if err != nil {
		i.keep(err)
		return nil
	}
	return value
}

// Err is the first error met.
func (i *Iter) Err() error {
	if i.it != nil {
		i.keep(i.it.Error())
	}
	return i.err
}

// Close releases the iterator and returns the first error met.
func (i *Iter) Close() error {
	if i.it != nil {
		i.keep(i.it.Close())
		i.it = nil
	}
	return i.err
}

func (i *Iter) keep(err error) {
	if i.err == nil && err != nil {
		i.err = fmt.Errorf("iterate: %w", marked(err))
	}
}
