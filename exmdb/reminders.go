package exmdb

import (
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// RemindersRequest asks for the reminders of a mailbox in the order in which they are due (MS-OXORMDR 3.1.4.1): those due
// until a time, all where that is zero, from behind After on.
type RemindersRequest struct {
	Until time.Time `wire:"1"`
	After []byte    `wire:"2"`
	// Limit bounds the answer; zero is MaxReminders.
	Limit uint32 `wire:"3"`
}

// MaxReminders is the most one answer holds.
const MaxReminders = 500

// Reminder is a message that asks for one. Whether it still does is its client's to say: of a recurring one, and of one that
// was put off, the client sets the time of the next (PidLidReminderSignalTime).
type Reminder struct {
	Due    time.Time         `wire:"1"`
	Folder mapi.FID          `wire:"2"`
	MID    mapi.MID          `wire:"3"`
	Object mapi.ObjectNumber `wire:"4"`
	CN     mapi.Stamp        `wire:"5"`
}

// RemindersResponse holds reminders. Nothing that the answer does not hold is due before Next, and nothing at all where that is
// zero; After is what to ask from on, nil at the end.
type RemindersResponse struct {
	Reminders []Reminder `wire:"1"`
	Next      time.Time  `wire:"2"`
	After     []byte     `wire:"3"`
	Sequence  uint64     `wire:"4"`
}
