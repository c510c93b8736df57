package store

import (
	"bytes"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/binprop"
)

// TestConversationActionsAreFound: the root and the Inbox lead to the folder, others do not, and a client's own list is believed.
func TestConversationActionsAreFound(t *testing.T) {
	b := newBox(t, 0)
	want := b.prop(exmdb.ObjectID{Folder: schema.ConversationActions}, mapi.PidTagEntryId)
	for _, fid := range []mapi.FID{schema.Root, schema.Inbox} {
		raw, _ := b.prop(exmdb.ObjectID{Folder: fid}, mapi.PidTagAdditionalRenEntryIdsEx).(mapi.Binary)
		data, err := binprop.ParsePersistData(raw)
		if err != nil || want == nil || !bytes.Equal(data.Folder(binprop.PersistConversations), want.(mapi.Binary)) {
			t.Errorf("folder %#x: %x, %v", uint64(fid), raw, err)
		}
	}
	if got := b.prop(exmdb.ObjectID{Folder: schema.Sent}, mapi.PidTagAdditionalRenEntryIdsEx); got != nil {
		t.Errorf("another folder has %v", got)
	}
	own := mapi.Binary{0, 0, 0, 0}
	b.write(exmdb.ObjectID{Folder: schema.Inbox}, mapi.PidTagAdditionalRenEntryIdsEx, own)
	if got := b.prop(exmdb.ObjectID{Folder: schema.Inbox}, mapi.PidTagAdditionalRenEntryIdsEx); !bytes.Equal(got.(mapi.Binary), own) {
		t.Errorf("a client's list became %v", got)
	}
}

// TestWhatClientsMaySend: the mailbox says its limits, and a folder whether who asks may change it.
func TestWhatClientsMaySend(t *testing.T) {
	b := newBox(t, 0)
	if got := b.prop(exmdb.ObjectID{}, mapi.PidTagMaximumSubmitMessageSize); got != mapi.Integer32(b.config.MaxMessage>>10) {
		t.Errorf("at most %v kilobytes", got)
	}
	if got := b.prop(exmdb.ObjectID{}, mapi.PidTagExtendedRuleSizeLimit); got != mapi.Integer32(rules.MaxExtendedBytes) {
		t.Errorf("rules of %v bytes", got)
	}
	f := b.newFolder("f")
	reader, owner := mapi.NewGUID(), mapi.NewGUID()
	grantTo(b, f, reader, exmdb.RightReadAny|exmdb.RightFolderVisible)
	grantTo(b, f, owner, exmdb.RightFolderOwner|exmdb.RightFolderVisible)
	for user, want := range map[mapi.GUID]mapi.Integer32{reader: 0, owner: 1} {
		if got := b.asUser(user).prop(exmdb.ObjectID{Folder: f}, mapi.PidTagAccessLevel); got != want {
			t.Errorf("level %v, want %d", got, want)
		}
	}
}
