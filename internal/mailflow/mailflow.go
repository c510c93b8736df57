// Package mailflow holds the nouns of mail on its way: envelopes and what became of each recipient.
//
// It knows transactions, never protocols' replies (each front-end has its own) nor how a mailbox is stored.
package mailflow

import (
	"context"
	"io"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/directory"
)

// Envelope is one mail transaction (RFC 5321 2.3.1).
type Envelope struct {
	// From is the reverse-path without brackets, empty for the null reverse-path.
	From string
	// Helo is the name the client gave, Remote its address without port, With the protocol as it stands in a
	// Received field (RFC 3848): SMTP, ESMTPSA, LMTP, …
	Helo, Remote, With string
	// User is who signed in, an address; empty for mail from elsewhere.
	User string
}

// Recipient is an accepted forward-path.
type Recipient struct {
	// Address is as it was given in RCPT TO.
	Address string
	// To is where it leads, as the directory said when it was accepted.
	To directory.Resolution
}

// Result is what became of one recipient; Err is nil when the mail is stored for good, or kept durably until it can be.
type Result struct {
	Recipient string
	Err       error
}

// Receiver takes a mail in and delivers it.
type Receiver interface {
	// Accept checks one recipient. Refusals are *cluster.Error: exmdb.KindNoSuchUser, KindBadAddress; KindUnavailable
	// when it cannot be told now; ErrRelay when the address is elsewhere.
	Accept(ctx context.Context, env *Envelope, address string) (Recipient, error)
	// Receive reads the octets of the mail to their end. announced is how many the client said it has, zero when it did not
	// say; it may be wrong. The caller closes what it gets.
	Receive(ctx context.Context, r io.Reader, announced int64) (Mail, error)
	// Deliver stores the mail for every recipient; results are in the order of the recipients. An error that is not
	// retryable stands for that recipient for good.
	Deliver(ctx context.Context, env *Envelope, to []Recipient, m Mail) []Result
}

// Mail is a received mail, held by the node that received it until it is delivered or refused.
type Mail interface {
	// Size is its length in octets.
	Size() int64
	// Close lets it go; what was delivered is no longer its concern.
	Close() error
}

// Printable keeps what a client said from breaking out of its header line.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
