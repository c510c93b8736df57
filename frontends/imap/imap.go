// Package imap serves mailboxes over IMAP: IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051) with the extensions in the
// table of capabilities.
//
// It knows the protocol and what a client was told: names of folders, sequence numbers, the last stamp seen. It never
// knows where a mailbox lives, how it is stored, or who may do what: ops carry their caller to the store.
//
// Invariants: a session holds no message, only the selected folder's UIDs as ranges and its stamp; a sequence number
// changes only where RFC 9051 7.5.1 lets EXPUNGE be sent; no lock is held while writing to a client; a change of the
// mailbox's owner is never seen by a client other than as a pause.
package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/auth"
)

// Config is what an administrator may set.
type Config struct {
	// TLS enables STARTTLS, and TLS from the start on listeners served with ImplicitTLS.
	TLS *tls.Config
	// AllowPlaintext lets clients sign in without TLS.
	AllowPlaintext bool
	// AllFolders shows folders of every class below the IPM subtree, not those of mail alone (MAILBOX 6).
	AllFolders bool
	// MaxConnections bounds the connections of this node; MaxPerUser those of one user.
	MaxConnections, MaxPerUser int
	// MaxMessage is the largest message that APPEND takes, in octets.
	MaxMessage int64
	// MaxLine bounds a command line; MaxLiteral a literal other than a message; MaxCommand a whole command without
	// its message.
	MaxLine, MaxLiteral, MaxCommand int
	// MaxFailures ends a connection after so many refused sign-ins.
	MaxFailures int
	// LoginTimeout is the time from the beginning of a connection to sign in, whatever comes meanwhile; IdleTimeout ends a session that says nothing (RFC 9051 5.4 asks for 30
	// minutes at least); ReadTimeout is the longest pause inside a command; WriteTimeout the longest that a client
	// may leave output unread.
	LoginTimeout, IdleTimeout, ReadTimeout, WriteTimeout time.Duration
	// CommandTimeout ends a command; TransferTimeout one that moves messages or searches them.
	CommandTimeout, TransferTimeout time.Duration
	// WatchTimeout is how long one wait for changes lasts in IDLE; after it the client is sent "OK Still here".
	WatchTimeout time.Duration
	// ServerName and ServerVersion answer the ID command; an empty version is not told.
	ServerName, ServerVersion string
}

// Defaults fills what is zero.
func (c Config) Defaults() Config {
	orInt(&c.MaxConnections, 10_000)
	orInt(&c.MaxPerUser, 100)
	orInt(&c.MaxLine, 64<<10)
	orInt(&c.MaxLiteral, 64<<10)
	orInt(&c.MaxCommand, 256<<10)
	orInt(&c.MaxFailures, 5)
	if c.MaxMessage == 0 {
		c.MaxMessage = exmdb.MaxMessage
	}
	orDuration(&c.LoginTimeout, time.Minute)
	orDuration(&c.IdleTimeout, 30*time.Minute)
	orDuration(&c.ReadTimeout, 2*time.Minute)
	orDuration(&c.WriteTimeout, 5*time.Minute)
	orDuration(&c.CommandTimeout, 2*time.Minute)
	orDuration(&c.TransferTimeout, 2*time.Hour)
	orDuration(&c.WatchTimeout, 25*time.Minute)
	if c.ServerName == "" {
		c.ServerName = "Flotilla"
	}
	return c
}

func orInt(v *int, def int) {
	if *v == 0 {
		*v = def
	}
}

func orDuration(v *time.Duration, def time.Duration) {
	if *v == 0 {
		*v = def
	}
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	switch {
	case c.TLS == nil && !c.AllowPlaintext:
		return errors.New("imap: nobody could sign in: neither TLS nor plain text is allowed")
	case c.MaxConnections < 1 || c.MaxPerUser < 1 || c.MaxFailures < 1:
		return errors.New("imap: limits of connections and failures start at 1")
	case c.MaxLine < 8<<10:
		return fmt.Errorf("imap: command lines of %d octets are too short, clients need 8192", c.MaxLine)
	case c.MaxMessage < 1 || c.MaxMessage > 1<<32-1:
		return fmt.Errorf("imap: message limit %d is not between 1 and 4294967295", c.MaxMessage)
	}
	return nil
}

// Ingester turns the octets of a message into what the store takes: it cuts them, uploads what is large to the
// group of the owner's mailbox, and fills the recipe, the digest and the MAPI view. It reads r to its end or fails. An error of
// cluster's kinds is shown by its kind; any other is an internal one.
type Ingester interface {
	Ingest(ctx context.Context, owner *auth.Principal, r io.Reader, size int64) (exmdb.NewMessage, error)
}

// Events are called as things happen; every func may be nil.
type Events struct {
	// Connected and Disconnected count connections.
	Connected, Disconnected func()
	// SignedIn reports an attempt; err is nil when it was accepted.
	SignedIn func(mechanism string, err error)
	// Command reports a finished command: its name in the table, OK, NO or BAD, and how long it took.
	Command func(name, status string, took time.Duration)
}

// Services are what the server works with.
type Services struct {
	Mailboxes exmdb.Caller
	Users     auth.Authenticator
	Messages  Ingester
	// Log carries the node's attributes; nil discards.
	Log    *slog.Logger
	Events Events
}

// limits are those of a command of somebody who has signed in; strangerLimits those of anybody's.
func (c Config) limits() imapwire.Limits {
	return imapwire.Limits{Line: c.MaxLine, Literal: c.MaxLiteral, Command: c.MaxCommand, Drain: 1 << 20}
}

func (c Config) strangerLimits() imapwire.Limits {
	const line, literals = 16 << 10, 8 << 10
	return imapwire.Limits{Line: min(c.MaxLine, line), Literal: min(c.MaxLiteral, literals), Literals: literals,
		Command: min(c.MaxCommand, line+literals), Drain: 64 << 10}
}
