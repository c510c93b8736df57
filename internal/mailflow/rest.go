package mailflow

import (
	"context"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Rest is what was not stored of a mail that was stored for others (CLUSTER 2.3).
type Rest struct {
	// From is the reverse-path; Received is when the mail came, Size its octets without trace headers.
	From     string
	Received time.Time
	Size     int64
	// Sender is the mailbox of the reverse-path, to which reports go (RFC 5321 4.2.5); zero when it is none of ours.
	Sender mapi.MailboxID
	// Host names this system in reports.
	Host string
	// Source and Number, when set, name what a mailbox sends by itself: it is kept once, however often it is brought, and
	// what one source brings comes in ascending order (CLUSTER 2.1).
	Source cluster.SpaceID
	Number uint64
	// To are the mailboxes that are still to get it, each once, and the recipients that never will.
	To []Pending
	// Near are mailboxes that got it just now: their groups have a quorum, and its content.
	Near []mapi.MailboxID
	// Message gives the mail without trace headers in the form for the group of a space, addressed as a mailbox would
	// be: its content is inside, or in the group already. Called again, it brings the content again.
	Message func(ctx context.Context, box mapi.MailboxID) (exmdb.NewMessage, error)
}

// Pending is one recipient that has not got a mail.
type Pending struct {
	// Mailbox is zero for an address elsewhere.
	Mailbox mapi.MailboxID
	// Address is the forward-path as given; for a member of a list that is elsewhere, the member's.
	Address string
	// Refused is why the mail cannot be stored; nil when it may be later.
	Refused error
	// Trace are the headers in front of the mail in this mailbox (RFC 5321 4.4).
	Trace []byte
	// Key is the delivery key under which the mailbox may have stored the mail already, unheard.
	Key [32]byte
	// About is what the mailbox is told beside the mail.
	About exmdb.Circumstances
}

// Patience is how long one attempt to store a mail of so many octets may take: longer than any fail-over, and enough
// to send its content.
func Patience(octets int64) time.Duration {
	return 15*time.Second + time.Duration(octets>>20)*time.Second
}

// final are the refusals that time does not heal. All others, those of broken machines too, are worth another try.
var final = map[cluster.Kind]bool{
	exmdb.KindNoSuchUser: true, exmdb.KindBadAddress: true, exmdb.KindAccessDenied: true, exmdb.KindOverQuota: true,
	exmdb.KindTooBig: true, exmdb.KindBadContent: true, cluster.KindTooLarge: true, KindRelay: true, KindLoop: true,
}

// Final reports whether a mailbox refused a mail for good.
func Final(err error) bool { return final[cluster.KindOf(err)] }
