package raftlog

import (
	"github.com/flotilla-mail/flotilla/cluster"
)

// engine is where entries are kept: the difference between Pebble and Bolt. It is given coded entries and orders of
// one group at a time by one goroutine; reads may run beside them.
type engine interface {
	groups() ([]cluster.GroupID, error)
	// bounds returns the first and last index held, zeros for none.
	bounds(g cluster.GroupID) (first, last uint64, err error)
	// get returns a copy of a coded entry, nil when it is absent.
	get(g cluster.GroupID, index uint64) ([]byte, error)
	// append makes entries of consecutive indexes durable; floor, if not nil, is set with them.
	append(g cluster.GroupID, first uint64, entries [][]byte, floor []byte) error
	// deleteRange deletes the entries of [lo, hi]. With a floor it is a deletion from the front: floor is durable
	// no later than the deletion, which a crash may undo.
	deleteRange(g cluster.GroupID, lo, hi uint64, floor []byte) error
	// floor returns a group's floor record, nil when it has none.
	floor(g cluster.GroupID) ([]byte, error)
	// init deletes a group's entries and sets its floor, durably.
	init(g cluster.GroupID, floor []byte) error
	remove(g cluster.GroupID) error
	identity(g cluster.GroupID) (Identity, error)
	close() error
}
