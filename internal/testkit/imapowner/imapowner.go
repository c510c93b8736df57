// Package imapowner serves a mailbox by IMAP to its owner, for tests of what a client sees of a mailbox that is in their own
// process.
//
// It knows the front-end as a node builds it, over a socket; it never knows where the mailbox is.
package imapowner

import (
	"context"
	"net"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// owner signs in as the mailbox's owner, whoever asks.
type owner struct{ box mapi.MailboxID }

// Authenticate implements auth.Authenticator.
func (o owner) Authenticate(context.Context, auth.Attempt) (*auth.Principal, error) {
	return &auth.Principal{Identity: exmdb.System, Mailbox: o.box, Address: "u0@example.test"}, nil
}

// Client signs in to a mailbox. Messages takes in what is appended. Server and connection end with the test.
func Client(t testing.TB, caller exmdb.Caller, box mapi.MailboxID, messages imap.Ingester) *imapclient.Client {
	t.Helper()
	s, err := imap.New(imap.Config{AllowPlaintext: true}, imap.Services{Mailboxes: caller, Users: owner{box}, Messages: messages})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background(), l, imap.StartTLS) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != imap.ErrServerClosed {
			t.Error(err)
		}
	})
	c, err := imapclient.DialInsecure(l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the server ends as well
	if err := c.Login("u0@example.test", "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}
