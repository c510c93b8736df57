// Package query answers for tables: the rows of a folder or message that pass a restriction, in a sort order, under the
// headings of categories, with cursors that hold while rows come and go (MS-OXCTABL).
//
// It knows properties, restrictions and orders; it never knows where rows are kept: a Source shows it those of one state
// of a store. Invariants: a View is a function of specification and state alone, however it came about; what is kept
// between two requests (Cache) is derived from the store, belongs to no client and may be dropped at any time; a cursor
// is made of values only, so every owner of a mailbox understands it. docs/design/tables.md says what it costs.
package query

import (
	"errors"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Row is one object as a table sees it. It holds until the next row is asked for.
type Row interface {
	// Getter gives values to restrict and sort by.
	mapi.Getter
	// ID is PidTagInstID; below 2^63.
	ID() uint64
	// Unread says that the object counts as unread under a heading.
	Unread() bool
	// Natural is where the row stands when nothing else tells it from another: byte order, in front of the order of ids.
	Natural() []byte
	// Column is a property as it is shown, cut to a number of bytes or characters.
	Column(t mapi.Tag, most int) (mapi.Prop, bool)
	// Err is the first failure of what came before.
	Err() error
}

// Source is the rows of a table, without restriction and order, in one state of the store.
type Source interface {
	// Stamp rises with every change of what rows there are and of what is restricted and sorted by.
	Stamp() mapi.Stamp
	// Len is about how many rows there are.
	Len() int
	// Scan calls fn with the rows from a mark on until it says stop; next is the mark behind the row. r is nil at a mark
	// where there is no row: the budget is asked there too.
	Scan(from Mark, fn func(r Row, next Mark) (more bool, err error)) error
	// Since calls fn with what was touched after a state, in order of stamps, until it says stop. ErrForgotten says that
	// it is not known.
	Since(after mapi.Stamp, fn func(t Touched) (more bool, err error)) error
	// Row is the row with an id; nil if there is none.
	Row(id uint64) (Row, error)
}

// Mark is where a scan goes on, in whatever state of the store: numbers of the source's own, which ascend. The zero Mark is
// the beginning.
type Mark struct{ Major, Minor uint64 }

// Touched is an object that has come, changed or gone. Row is nil when it is not among the rows now; New says that it
// was not before.
type Touched struct {
	Stamp mapi.Stamp
	ID    uint64
	Row   Row
	New   bool
}

// ErrForgotten says that a source does not know what was touched since a state.
var ErrForgotten = errors.New("changes are not known")

// Budget says whether a step may go on; it is asked after every row.
type Budget func() bool

// Unlimited is the budget of what is never cut into steps.
func Unlimited() bool { return true }
