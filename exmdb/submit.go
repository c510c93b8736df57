package exmdb

import (
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// SubmitRequest hands a message to the mail flow (MS-OXOMSG 2.2.3.1). It goes at once, or at the time that its properties
// name (MS-OXOMSG 2.2.3.2 to 2.2.3.4, and PidTagDeferredDeliveryTime); until then it waits in the mailbox.
type SubmitRequest struct {
	Message mapi.MID `wire:"1"`
	// Own are the addresses under which it is sent, the mailbox's: the directory's part, read before the op. The first is the
	// reverse-path. Name is what the mailbox is called.
	Own  []string `wire:"2"`
	Name string   `wire:"3"`
}

// SubmitResponse says when a message goes; Waits, that it is not gone yet.
type SubmitResponse struct {
	At    time.Time `wire:"1"`
	Waits bool      `wire:"2"`
}

// AbortSubmitRequest takes a message back that waits (MS-OXOMSG 2.2.3.2, RopAbortSubmit). What has gone is KindNotWaiting.
type AbortSubmitRequest struct {
	Message mapi.MID `wire:"1"`
}
