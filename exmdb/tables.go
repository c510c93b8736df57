package exmdb

import (
	"context"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// TableKind says what the rows of a table are. Numbers reach the wire.
type TableKind uint8

// The kinds.
const (
	TableContents    TableKind = 1 // the messages of a folder
	TableAssociated  TableKind = 2 // its associated messages
	TableHierarchy   TableKind = 3 // the folders below a folder
	TableAttachments TableKind = 4 // of a message
	TableRecipients  TableKind = 5 // of a message
	TablePermissions TableKind = 6 // of a folder
	TableRules       TableKind = 7 // of a folder
	// What is soft-deleted (MS-OXCFOLD 2.2.1.13.1 and 2.2.1.14.1, SoftDeletes), shown to who may recover it: messages of a
	// folder, associated messages of a folder, and folders that were below one.
	TableDeleted           TableKind = 8
	TableDeletedAssociated TableKind = 9
	TableDeletedFolders    TableKind = 10
)

// TableSpec is a table as its client has set it up (MS-OXCTABL). It lives in the front-end's session and comes with
// every request: the store keeps no table. Without Sort a contents table is in order of delivery, the newest first;
// others have their own order.
type TableSpec struct {
	Kind TableKind `wire:"1"`
	// Object is whose rows they are: a folder, or a message.
	Object ObjectID `wire:"2"`
	// Depth asks for folders of all levels; else those right below.
	Depth bool `wire:"3"`
	// Restriction is in the form of oxcdata.AppendRestriction, empty for none.
	Restriction []byte            `wire:"4"`
	Sort        mapi.SortOrderSet `wire:"5"`
	// Spread, when set, is a column of a list type with mapi.MultiInstance: each value of the list makes a row. A sort
	// key of such a type says the same.
	Spread mapi.Tag `wire:"6"`
	// Toggled are the headings that are open though Sort.Expanded closes them, or the other way.
	Toggled []uint64 `wire:"7"`
}

// TableRowID names a row in a table: PidTagInstID and PidTagInstanceNum. The id of a message or folder is its MID or
// FID, of an attachment its number, of what else there is its place in the list.
type TableRowID struct {
	ID       uint64 `wire:"1"`
	Instance uint32 `wire:"2"`
}

// headingBit marks the ids of headings; no MID has it, since replica ids are given out from 1 up.
const headingBit = 1 << 63

// HeadingID is the id of a category's heading: of a hash of what all rows below have in common.
func HeadingID(hash uint64) uint64 { return hash | headingBit }

// Heading reports whether the row is a category's heading.
func (r TableRowID) Heading() bool { return r.ID&headingBit != 0 }

// TableOrigin is what a position is counted from. Numbers reach the wire.
type TableOrigin uint8

// The origins.
const (
	TableBeginning TableOrigin = 1
	TableEnd       TableOrigin = 2
	// TablePlace is where TablePosition.Place says; TableFraction is Numerator of Denominator of the rows; TableRowAt
	// is in front of Row.
	TablePlace    TableOrigin = 3
	TableFraction TableOrigin = 4
	TableRowAt    TableOrigin = 5
)

// TablePosition is a position between two rows.
type TablePosition struct {
	Origin TableOrigin `wire:"1"`
	// Place is what an answer gave: in front of a row. It holds while the sort order does, whatever comes and goes; when
	// its row is gone it is in front of the next.
	Place       []byte     `wire:"2"`
	Numerator   uint32     `wire:"3"`
	Denominator uint32     `wire:"4"`
	Row         TableRowID `wire:"5"`
	// Offset is how many rows to go from there, towards the beginning when it is negative.
	Offset int64 `wire:"6"`
}

// TableState is what every answer says of the table.
type TableState struct {
	// Stamp is the state in which the answer is true: OpTableChanges from there on tells what has happened since.
	Stamp    mapi.Stamp `wire:"1"`
	Sequence uint64     `wire:"2"`
	// Rows is how many rows the table shows, headings included.
	Rows uint32 `wire:"3"`
	// Working says that there is no answer yet: a long scan goes on with every request, which is to come again with
	// Resume. Done of Of rows have been looked at.
	Working bool   `wire:"4"`
	Done    uint32 `wire:"5"`
	Of      uint32 `wire:"6"`
	Resume  []byte `wire:"7"`
	// Keep says that the order is worth keeping, or that of a large folder nobody has said lately that it is shown: OpKeepOrder
	// says so.
	Keep bool `wire:"8"`
}

// KeepOrderRequest asks that the order of a table be kept ready on each replica, so that nobody waits for it again after a
// change of owner, and the usual ones of its folder too, because it is shown to somebody. It is a hint: what is not worth it is not kept, and what is not asked for again within two months is
// forgotten.
type KeepOrderRequest struct {
	Table TableRequest `wire:"1"`
}

// TableRow is a row with the columns that it has. Values longer than a request allows are cut.
type TableRow struct {
	ID    TableRowID   `wire:"1"`
	Props mapi.PropBag `wire:"2"`
}

// TableRequest is what every request about a table says.
type TableRequest struct {
	Spec TableSpec `wire:"1"`
	// Columns are the properties wanted of each row. A tag of TypeUnspecified means whatever type is there.
	Columns []mapi.Tag `wire:"2"`
	// MaxValue is how many bytes or characters of a value are wanted; zero is DefaultMaxValue.
	MaxValue uint32 `wire:"3"`
	// Resume is that of the answer before, if that was TableState.Working.
	Resume []byte `wire:"4"`
}

// DefaultMaxValue is where tables cut values (MS-OXCDATA 2.8.2).
const DefaultMaxValue = 255

// TableRowsRequest asks for up to Count rows behind a position or, Backward, for those in front of it. They come in the
// table's order either way, about 1 MiB of them at most.
type TableRowsRequest struct {
	Table    TableRequest  `wire:"1"`
	From     TablePosition `wire:"2"`
	Count    uint32        `wire:"3"`
	Backward bool          `wire:"4"`
}

// TableRowsResponse holds rows, the first of which is Index rows behind the table's beginning. Before and After are the
// places in front of the first and behind the last.
type TableRowsResponse struct {
	State  TableState `wire:"1"`
	Rows   []TableRow `wire:"2"`
	Index  uint32     `wire:"3"`
	Before []byte     `wire:"4"`
	After  []byte     `wire:"5"`
}

// TableSeekRequest asks for a position.
type TableSeekRequest struct {
	Table TableRequest  `wire:"1"`
	From  TablePosition `wire:"2"`
}

// TableSeekResponse says how many rows are in front of the position, and its place. Moved is how many rows of Offset
// there were to go. Gone says that the row the position was made of is not shown any more.
type TableSeekResponse struct {
	State TableState `wire:"1"`
	Index uint32     `wire:"2"`
	Place []byte     `wire:"3"`
	Moved int64      `wire:"4"`
	Gone  bool       `wire:"5"`
}

// TableFindRequest asks for the first row behind a position, or the first in front of it, that passes a restriction.
type TableFindRequest struct {
	Table       TableRequest  `wire:"1"`
	From        TablePosition `wire:"2"`
	Backward    bool          `wire:"3"`
	Restriction []byte        `wire:"4"`
}

// TableFindResponse is the row found, and the place in front of it.
type TableFindResponse struct {
	State TableState `wire:"1"`
	Found bool       `wire:"2"`
	Row   TableRow   `wire:"3"`
	Index uint32     `wire:"4"`
	Place []byte     `wire:"5"`
	// Gone says that the row the position was made of is not shown any more.
	Gone bool `wire:"6"`
}

// TableChangesRequest asks what has become of the rows since a state.
type TableChangesRequest struct {
	Table TableRequest `wire:"1"`
	Since mapi.Stamp   `wire:"2"`
}

// TableChange is a row that is new, has changed or may have moved, with the row in front of it.
type TableChange struct {
	Row TableRow `wire:"1"`
	// New says that the object came into the folder after the state asked from.
	New   bool   `wire:"2"`
	Index uint32 `wire:"3"`
	// First says that there is no row in front.
	First  bool       `wire:"4"`
	Behind TableRowID `wire:"5"`
}

// TableChangesResponse says what has become of rows since a state. Gone are ids of which the table has no rows now; it
// may not have had any then either.
type TableChangesResponse struct {
	State TableState    `wire:"1"`
	Rows  []TableChange `wire:"2"`
	Gone  []uint64      `wire:"3"`
	// Reload says that it is not known row by row: the table is to be read again (TableChanged of MS-OXCNOTIF).
	Reload bool `wire:"4"`
}

// TableColumnsRequest asks which properties rows of a table have.
type TableColumnsRequest struct {
	Table TableRequest `wire:"1"`
}

// TableColumnsResponse lists properties that rows of the table have.
type TableColumnsResponse struct {
	State TableState `wire:"1"`
	Tags  []mapi.Tag `wire:"2"`
}

// tableAnswer is an answer that may have to be asked for again.
type tableAnswer[R any] interface {
	*R
	state() *TableState
}

func (r *TableRowsResponse) state() *TableState    { return &r.State }
func (r *TableSeekResponse) state() *TableState    { return &r.State }
func (r *TableFindResponse) state() *TableState    { return &r.State }
func (r *TableChangesResponse) state() *TableState { return &r.State }
func (r *TableColumnsResponse) state() *TableState { return &r.State }

// Table asks one mailbox about tables. Each method asks as often as it takes until there is an answer: a scan of many
// rows is made in short steps, so that no op keeps others waiting, and begins anew where the owner changes.
type Table struct {
	Caller Caller
	As     Identity
	Box    mapi.MailboxID
}

// Rows reads rows.
func (t *Table) Rows(ctx context.Context, req TableRowsRequest) (*TableRowsResponse, error) {
	return untilAnswered(ctx, t, OpTableRows, &req, &req.Table)
}

// Seek finds a position. At the beginning it says how many rows there are, which is what opening a table asks.
func (t *Table) Seek(ctx context.Context, req TableSeekRequest) (*TableSeekResponse, error) {
	return untilAnswered(ctx, t, OpTableSeek, &req, &req.Table)
}

// Find looks for a row.
func (t *Table) Find(ctx context.Context, req TableFindRequest) (*TableFindResponse, error) {
	return untilAnswered(ctx, t, OpTableFind, &req, &req.Table)
}

// Changes reads what has become of rows.
func (t *Table) Changes(ctx context.Context, req TableChangesRequest) (*TableChangesResponse, error) {
	return untilAnswered(ctx, t, OpTableChanges, &req, &req.Table)
}

// Columns lists properties of rows.
func (t *Table) Columns(ctx context.Context, req TableColumnsRequest) (*TableColumnsResponse, error) {
	return untilAnswered(ctx, t, OpTableColumns, &req, &req.Table)
}

func untilAnswered[Q, R any, P tableAnswer[R]](ctx context.Context, t *Table, op Op[Q, R], req *Q, table *TableRequest) (*R, error) {
	for {
		resp, err := Do(ctx, t.Caller, t.As, t.Box, op, req)
		if err != nil {
			return nil, err
		}
		state := P(resp).state()
		if !state.Working {
			if state.Keep {
				t.keep(ctx, table)
			}
			return resp, nil
		}
		if ctx.Err() != nil {
			return nil, cluster.Errorf(cluster.KindDeadline, "%s: %v", op.Name, ctx.Err())
		}
		table.Resume = state.Resume
	}
}

// keepPatience is how long a reader who has his answer waits for a hint to be taken.
const keepPatience = 250 * time.Millisecond

// keep asks for an order to be kept. Whoever reads the table has what he wanted whatever becomes of that, and a later one is told
// to ask again.
func (t *Table) keep(ctx context.Context, table *TableRequest) {
	ctx, cancel := context.WithTimeout(ctx, keepPatience)
	defer cancel()
	q := KeepOrderRequest{TableRequest{Spec: table.Spec}}
	_, _ = Do(ctx, t.Caller, t.As, t.Box, OpKeepOrder, &q)
}
