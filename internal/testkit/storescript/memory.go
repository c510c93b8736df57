package storescript

import (
	"context"
	"errors"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit/mailboxes"
)

// memory is one store in this process. Whatever is done to its nodes, effects get lost and answers do not come.
type memory struct{ group *mailboxes.Group }

// Memory is a site for the time of a test.
func Memory(t testing.TB) Site { return memory{mailboxes.New(t, store.Defaults())} }

// Name implements Site.
func (memory) Name() string { return "memory" }

// Caller implements Site.
func (m memory) Caller(string) exmdb.Caller { return m.group }

// Create implements Site.
func (m memory) Create(_ context.Context, req *exmdb.CreateMailboxRequest) (mapi.MailboxID, error) {
	return m.group.Create(req), nil
}

// Open implements Site: there is no directory.
func (memory) Open(context.Context, string) (mapi.MailboxID, mapi.GUID, error) {
	return mapi.MailboxID{}, mapi.GUID{}, errNoDirectory
}

// Enter implements Site.
func (memory) Enter(context.Context, string, string, string) error { return errNoDirectory }

// IMAP implements Site: who would sign in is in the directory.
func (memory) IMAP(context.Context, string, string) ([]string, error) { return nil, errNoDirectory }

var errNoDirectory = errors.New("a store in memory has no directory")

// Do implements Site.
func (m memory) Do(_ context.Context, what, _ string, _ mapi.MailboxID) error {
	if what == "kill" || what == "freeze" || what == "cut" {
		m.group.Break()
	}
	return nil
}

// Doomed implements Site: there is no node that could be.
func (memory) Doomed(context.Context) error { return errors.New("a store in memory has no nodes") }

// Whole implements Site.
func (memory) Whole(context.Context) error { return nil }

// Same implements Site.
func (memory) Same(context.Context) error { return nil }

// Group implements Site: there is one.
func (memory) Group(mapi.MailboxID) uint64 { return 1 }

// Entries implements Site.
func (m memory) Entries(context.Context, mapi.MailboxID) (uint64, error) {
	return m.group.Entries(), nil
}

// Orders implements Site: a store in memory keeps none.
func (memory) Orders(context.Context, mapi.MailboxID) (map[string]int, error) { return nil, nil }
