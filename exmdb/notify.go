package exmdb

import (
	"context"
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// EventKinds are kinds of notifications, a bit each: those of MS-OXCNOTIF 2.2.1.1. Bits reach the wire.
type EventKinds uint16

// The kinds. An Event is of one of those from EventCreated on; EventNewMail is told of some that were created, and
// EventSearchComplete of a search folder whose search is complete.
const (
	EventNewMail  EventKinds = 0x0002
	EventCreated  EventKinds = 0x0004
	EventDeleted  EventKinds = 0x0008
	EventModified EventKinds = 0x0010
	EventMoved    EventKinds = 0x0020
	EventCopied   EventKinds = 0x0040

	EventSearchComplete EventKinds = 0x0080
)

// Event is what became of a folder or message with a stamp. It is told as the mailbox is when it is read: what changed
// twice since the stamp asked from is told once, and what came and went is not told.
type Event struct {
	Kind  EventKinds `wire:"1"`
	Stamp mapi.Stamp `wire:"2"`
	// Folder is where the message is, or was that is deleted; without Message it is the folder that the event is about.
	Folder  mapi.FID `wire:"3"`
	Message mapi.MID `wire:"4"`
	// Parent is the folder above, of events about folders; zero where that is not known.
	Parent mapi.FID `wire:"5"`
	// OldFolder and OldMessage are what a message was before it moved, or what it is a copy of. Of a folder OldFolder is
	// the same, and OldParent where that was.
	OldFolder  mapi.FID `wire:"6"`
	OldMessage mapi.MID `wire:"7"`
	OldParent  mapi.FID `wire:"8"`
	Associated bool     `wire:"9"`
	// NewMail says that the message came in from outside: Flags is PidTagMessageFlags, Class its class.
	NewMail bool   `wire:"10"`
	Flags   uint32 `wire:"11"`
	Class   string `wire:"12"`
	// Tags are the properties that changed, none where that is not known (MS-OXCNOTIF 2.2.1.4.1.2).
	Tags []mapi.Tag `wire:"13"`
	// Counts says that the messages in the folder changed: there are Total, of which Unread, where UnreadKnown says that
	// this is known.
	Counts      bool   `wire:"14"`
	Total       uint32 `wire:"15"`
	Unread      uint32 `wire:"16"`
	UnreadKnown bool   `wire:"17"`
	// Whole says that a folder came with messages in it of which nothing is told: it was recovered.
	Whole bool `wire:"18"`
	// Deleted says that the folder is a soft-deleted one, as it was told before: what was below it has changed, or it is gone for
	// good. That is for who shows tables of it; no Subscription wants it.
	Deleted bool `wire:"19"`
}

// EventsRequest asks what happened in a mailbox since a stamp, in order of the stamps: at most Limit events, but those
// of one stamp together. The caller is told of what he may see.
type EventsRequest struct {
	Since mapi.Stamp `wire:"1"`
	Limit uint32     `wire:"2"`
	// Folders, when there are any, are those of interest: told is what happens in them, to them, and right below them.
	Folders []mapi.FID `wire:"3"`
	// Wait is how many milliseconds to wait where nothing has happened yet.
	Wait uint32 `wire:"4"`
}

const (
	// MaxEvents bounds one answer, EventFolders the folders of one request.
	MaxEvents    = 10_000
	EventFolders = 1000
)

// EventsResponse holds events. With More there are others already; in any case ask again from Stamp on.
type EventsResponse struct {
	Events []Event    `wire:"1"`
	Stamp  mapi.Stamp `wire:"2"`
	More   bool       `wire:"3"`
	// Overflow says that it is not known any more what happened: all that the client shows is to be read again, as of Stamp.
	Overflow bool   `wire:"4"`
	Sequence uint64 `wire:"5"`
}

// Subscription is what a client wants to be told of. It is kept by his session and no one else: any owner tells events from
// any stamp, and Wants picks those for it.
type Subscription struct {
	Kinds EventKinds
	// Folder, or Message in it, is what the subscription is about; the whole mailbox without.
	Folder  mapi.FID
	Message mapi.MID
}

// Wants is which notifications an event makes for the subscription, none for most. New mail is an object that was created
// too: who asks for both gets both.
func (s *Subscription) Wants(e *Event) EventKinds {
	if e.Deleted || !s.about(e) {
		return 0
	}
	kinds := e.Kind
	if e.NewMail {
		kinds |= EventNewMail
	}
	return kinds & s.Kinds
}

func (s *Subscription) about(e *Event) bool {
	switch {
	case s.Folder == 0:
		return true
	case s.Message != 0:
		return e.Message == s.Message && e.Folder == s.Folder || e.OldMessage == s.Message && e.OldFolder == s.Folder
	case e.Message != 0:
		return e.Folder == s.Folder || e.OldFolder == s.Folder
	case e.Folder == s.Folder || e.OldFolder == s.Folder:
		return true
	}
	return e.Kind&(EventModified|EventSearchComplete) == 0 && (e.Parent == s.Folder || e.OldParent == s.Folder)
}

// SubscribedFolders is what to ask for on behalf of subscriptions: nil for everything.
func SubscribedFolders(all []Subscription) []mapi.FID {
	folders := make([]mapi.FID, 0, len(all))
	known := make(map[mapi.FID]bool, len(all))
	for i := range all {
		fid := all[i].Folder
		if fid == 0 {
			return nil
		}
		if !known[fid] {
			known[fid] = true
			folders = append(folders, fid)
		}
	}
	if len(folders) > EventFolders {
		return nil
	}
	return folders
}

// Feed reads the events of a mailbox, one answer after the other. Since is all there is to keep of it.
type Feed struct {
	Caller  Caller
	As      Identity
	Box     mapi.MailboxID
	Since   mapi.Stamp
	Folders []mapi.FID
	// Limit bounds an answer; zero is the store's.
	Limit uint32
}

// feedGrace is how much longer than asked for an answer may take, so that a change of owner fits in.
const feedGrace = 2 * time.Minute

// Next reads what has happened, and waits for something up to a time. An answer without events is no error; one that
// overflows ends what was known before Feed.Since.
func (f *Feed) Next(ctx context.Context, wait time.Duration) (*EventsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+feedGrace)
	defer cancel()
	resp, err := Do(ctx, f.Caller, f.As, f.Box, OpEvents, &EventsRequest{Since: f.Since, Limit: f.Limit, Folders: f.Folders,
		Wait: uint32(wait.Milliseconds())})
	if err != nil {
		return nil, err
	}
	f.Since = resp.Stamp
	return resp, nil
}

// TableEventKind says what became of a row (MS-OXCNOTIF 2.2.1.1.1). Numbers reach the wire.
type TableEventKind uint8

// The kinds, as TableEventType has them; that the table is to be read again is TableEventsResponse.Reload.
const (
	TableRowAdded    TableEventKind = 3
	TableRowDeleted  TableEventKind = 4
	TableRowModified TableEventKind = 5
)

// TableEventsRequest asks what became of the rows of a table since a state.
type TableEventsRequest struct {
	Table TableRequest `wire:"1"`
	Since mapi.Stamp   `wire:"2"`
}

// TableEvent is what became of a row. One that was added or modified stands behind another, or First; Index rows are in
// front of it. A deleted row may not have been in the table.
type TableEvent struct {
	Kind   TableEventKind `wire:"1"`
	Row    TableRow       `wire:"2"`
	Index  uint32         `wire:"3"`
	First  bool           `wire:"4"`
	Behind TableRowID     `wire:"5"`
}

// TableEventsResponse makes rows as they were into rows as they are, when its events are followed in order. Where it is not
// known row by row, Reload says that the table is to be read again.
type TableEventsResponse struct {
	State  TableState   `wire:"1"`
	Events []TableEvent `wire:"2"`
	Reload bool         `wire:"3"`
}

func (r *TableEventsResponse) state() *TableState { return &r.State }

// Events reads what became of rows, as notifications tell it.
func (t *Table) Events(ctx context.Context, req TableEventsRequest) (*TableEventsResponse, error) {
	return untilAnswered(ctx, t, OpTableEvents, &req, &req.Table)
}
