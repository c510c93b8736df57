// Package smtp takes mail in: from the world (MX), from users (submission), and by LMTP from an MTA of ours.
//
// It knows the protocol, who may send under which address, and how a refusal reads; it never knows where a mailbox
// lives or how mail is stored: internal/mailflow does. The engine is go-smtp; conn stands between it and the network
// and holds deadlines, limits and the end of a connection to what this package promises.
//
// Invariants: 250 is said only for recipients whose mail is on a majority's disks (DESIGN 1.10); a mail that did not
// arrive whole is never handed on; no text of an internal error reaches a client; after a read has failed no octet
// of the connection is taken for a command.
// RFC 5321, RFC 2033 (LMTP), RFC 6409 (submission), RFC 4954 (AUTH), RFC 3030 (CHUNKING).
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

// Service is what a listener is for.
type Service int

// The services.
const (
	MX          Service = iota // mail from elsewhere, for our addresses only
	Submission                 // mail of signed-in users; STARTTLS
	Submissions                // the same with TLS from the start (RFC 8314 3.3)
	LMTP                       // mail from an MTA of ours, an answer a recipient
)

func (s Service) String() string {
	switch s {
	case MX:
		return "mx"
	case Submission:
		return "submission"
	case Submissions:
		return "submissions"
	case LMTP:
		return "lmtp"
	}
	return "unknown"
}

// signsIn reports whether mail needs a user.
func (s Service) signsIn() bool { return s == Submission || s == Submissions }

// Config is what an administrator may set.
type Config struct {
	// Host is the name in the greeting.
	Host string
	// TLS enables STARTTLS, and Submissions.
	TLS *tls.Config
	// AllowPlaintext lets users sign in without TLS.
	AllowPlaintext bool
	// MaxMessage is the largest mail, in octets; MaxRecipients the most recipients of one.
	MaxMessage    int64
	MaxRecipients int
	// MaxConnections bounds the connections of this node; MaxPerRemote those of one address (of one /64 in IPv6), LMTP
	// excepted.
	MaxConnections, MaxPerRemote int
	// MaxLine bounds a line, of a command or of a mail. Mails with lines far beyond RFC 5321 4.5.3.1.6 are common.
	MaxLine int
	// MaxHops is how many Received fields a mail may have before it is taken to go in circles (RFC 5321 6.3).
	MaxHops int
	// MaxFailures ends a connection after so many refused sign-ins, MaxRefused after so many refused recipients.
	MaxFailures, MaxRefused int
	// Idle is the time to send a command, and the longest pause inside a mail (RFC 5321 4.5.3.2.7 asks for 5 minutes).
	Idle time.Duration
	// Transfer bounds the time a whole mail takes to arrive.
	Transfer time.Duration
	// Store bounds the time from the end of a mail to its answer; Check that of a sign-in or of a recipient.
	Store, Check time.Duration
}

// Defaults fills what is zero.
func (c Config) Defaults() Config {
	if c.MaxMessage == 0 {
		c.MaxMessage = exmdb.MaxMessage
	}
	or(&c.MaxRecipients, 1000)
	or(&c.MaxConnections, 10_000)
	or(&c.MaxPerRemote, 200)
	or(&c.MaxLine, 1<<20)
	or(&c.MaxHops, 100)
	or(&c.MaxFailures, 5)
	or(&c.MaxRefused, 100)
	or(&c.Idle, 5*time.Minute)
	or(&c.Transfer, 2*time.Hour)
	or(&c.Store, time.Minute)
	or(&c.Check, 30*time.Second)
	return c
}

func or[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	switch {
	case c.Host == "":
		return errors.New("smtp: the greeting needs a host name")
	case c.TLS == nil && !c.AllowPlaintext:
		return errors.New("smtp: nobody could sign in: neither TLS nor plain text is allowed")
	case c.MaxMessage < 64<<10:
		return fmt.Errorf("smtp: message limit %d is less than the 65536 octets of RFC 5321 4.5.3.1.7", c.MaxMessage)
	case c.MaxRecipients < 100:
		return fmt.Errorf("smtp: %d recipients are less than the 100 of RFC 5321 4.5.3.1.8", c.MaxRecipients)
	case c.MaxLine < 2<<10:
		return fmt.Errorf("smtp: lines of %d octets are too short", c.MaxLine)
	case c.MaxConnections < 1 || c.MaxPerRemote < 1 || c.MaxHops < 1 || c.MaxFailures < 1 || c.MaxRefused < 1:
		return errors.New("smtp: limits start at 1")
	case c.Idle < 0 || c.Transfer < 0 || c.Store < 0 || c.Check < 0:
		return errors.New("smtp: a time limit is negative")
	}
	return nil
}

// Events are called as things happen; every func may be nil.
type Events struct {
	// Connected and Disconnected count connections.
	Connected, Disconnected func(service Service)
	// Taken reports a mail that was answered with 250: for how many recipients it is stored, for how many it was
	// refused for good, its octets, and the time from its first octet to the answer.
	Taken func(service Service, stored, failed int, octets int64, took time.Duration)
	// Answered reports a command (AUTH, MAIL, RCPT, DATA; CONNECT when it is refused) and its reply code. In LMTP DATA
	// has an answer for each recipient.
	Answered func(service Service, command string, code int)
}

func (e *Events) answered(service Service, command string, code int) {
	if e.Answered != nil {
		e.Answered(service, command, code)
	}
}

// Services are what the server works with.
type Services struct {
	Mail  mailflow.Receiver
	Users auth.Authenticator
	// MaySendAs reports whether somebody else's address lets the user send under it now; nil lets nobody.
	MaySendAs func(ctx context.Context, user *auth.Principal, from string) (bool, error)
	// Log carries the node's attributes; nil discards.
	Log    *slog.Logger
	Events Events
}
