package store

import (
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

func dnIn(t *testing.T, v mapi.Value) string {
	t.Helper()
	b, _ := v.(mapi.Binary)
	id, err := oxcdata.ParseEntryID(b)
	if a, is := id.(*oxcdata.AddressBookEntryID); err == nil && is {
		return a.DN
	}
	t.Errorf("%x is no entry id of the address book: %v", b, err)
	return ""
}

// TestTheMailboxSaysWhoseItIs: the entry ids of its owner and of who asks are the address book's.
func TestTheMailboxSaysWhoseItIs(t *testing.T) {
	owner, user := mapi.NewGUID(), mapi.NewGUID()
	b := newBox(t, 0).again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Owner: owner})
	grantTo(b, schema.Inbox, user, roleReviewer)
	who := b.asUser(user)
	if got := dnIn(t, who.prop(exmdb.ObjectID{}, mapi.PidTagMailboxOwnerEntryId)); !strings.EqualFold(got, directory.LegacyDNOf(owner)) {
		t.Errorf("the owner is %q", got)
	}
	if got := dnIn(t, who.prop(exmdb.ObjectID{}, mapi.PidTagUserEntryId)); !strings.EqualFold(got, directory.LegacyDNOf(user)) {
		t.Errorf("the user is %q", got)
	}
	b.as = exmdb.System
	if got := b.prop(exmdb.ObjectID{}, mapi.PidTagUserEntryId); got != nil {
		t.Errorf("the system is %v", got)
	}
	public := newBox(t, 0).again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxPublic})
	if got := public.prop(exmdb.ObjectID{}, mapi.PidTagMailboxOwnerEntryId); got != nil {
		t.Errorf("a public mailbox is of %v", got)
	}
}

func TestTheMailboxSaysItsLanguage(t *testing.T) {
	for language, want := range map[string]locale{"": {0x0409, 1252}, "de": {0x0407, 1252}, "de-CH": {0x0807, 1252}, "de_LI": {0x0407, 1252}, "pl-PL": {0x0415, 1250},
		"ru": {0x0419, 1251}, "pt-BR": {0x0416, 1252}, "xx": {0x0409, 1252}} {
		b := newBox(t, 0).again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Language: language})
		for tag, is := range map[mapi.Tag]mapi.Integer32{mapi.PidTagLocaleId: want.id, mapi.PidTagSortLocaleId: want.id, mapi.PidTagCodePageId: want.codePage} {
			if got := b.prop(exmdb.ObjectID{}, tag); got != is {
				t.Errorf("%q: %v is %v, want %d", language, tag, got, is)
			}
		}
	}
}

func TestTheMailboxSaysThatItSearches(t *testing.T) {
	b := newBox(t, 0)
	if got := b.prop(exmdb.ObjectID{}, mapi.PidTagStoreState); got != mapi.Integer32(0) {
		t.Errorf("state %v", got)
	}
	b.newBelow(finder, "no search")
	fid := b.searchBelow(finder, "found")
	if got := b.prop(exmdb.ObjectID{}, mapi.PidTagStoreState); got != hasSearches {
		t.Errorf("state %v", got)
	}
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid})
	if got := b.prop(exmdb.ObjectID{}, mapi.PidTagStoreState); got != mapi.Integer32(0) {
		t.Errorf("state %v", got)
	}
	r := b.write(exmdb.ObjectID{}, mapi.PidTagStoreState, mapi.Integer32(1), mapi.PidTagLocaleId, mapi.Integer32(1))
	if len(r.Problems) != 2 || r.Problems[0].Code != mapi.ErrorComputed {
		t.Errorf("%+v", r.Problems)
	}
}
