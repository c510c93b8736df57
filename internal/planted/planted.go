// Package planted says which bug has been put into the program on purpose, so that what looks for bugs can be shown to find
// it, or what has been left out of it, so that what it costs can be measured. Built without the tag planted there is
// neither, and asking costs nothing.
//
// It knows the names of the bugs; each is where it would be made, in the package concerned, behind one call of Is.
package planted

// Bug names one.
type Bug string

// The bugs. FLOTILLA_PLANTED chooses one in a build with the tag.
const (
	// EarlyAnswer: an update is acknowledged though nobody knows whether a majority has it.
	EarlyAnswer Bug = "acknowledges early"
	// NoSequence: an effect is written whatever the space's sequence is.
	NoSequence Bug = "skips the sequence check"
	// SameUID: now and then a message gets the UID of the one before it.
	SameUID Bug = "reuses a UID"
	// LostNotification: now and then nobody who watches is woken.
	LostNotification Bug = "loses a notification"
)

// BareDelivery is no bug to be found: mails are stored as octets alone, without what MAPI shows of them, and nothing is
// indexed. Deliveries are measured against it.
const BareDelivery Bug = "delivers octets alone"

// Bugs lists them.
func Bugs() []Bug { return []Bug{EarlyAnswer, NoSequence, SameUID, LostNotification} }
