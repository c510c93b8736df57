package schema

import (
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// SubmittedKey is a message that waits to be sent (RowSubmitted).
func SubmittedKey(o mapi.ObjectNumber) []byte { return objectKey(PrefixSubmitted, o) }

// Submitted is what a message that waits is sent with.
type Submitted struct {
	At   time.Time `wire:"1"`
	Own  []string  `wire:"2"` // as in exmdb.SubmitRequest
	Name string    `wire:"3"`
	// Stays says that it is neither moved nor deleted when it is sent: who submitted it may not do that.
	Stays   bool `wire:"4"`
	Unknown wire.Unknown
}
