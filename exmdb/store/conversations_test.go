package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// acting is the bag of an action on the conversation of a message, with more properties.
func (b *box) acting(conversation mapi.Value, more ...any) mapi.PropBag {
	b.t.Helper()
	guid, _ := conversation.(mapi.Binary)
	index := append([]byte{1, 0, 0, 0, 0, 0}, guid...)
	return bagOf(append([]any{mapi.PidTagMessageClass, mapi.String(conversationActionClass), mapi.PidTagConversationIndex, mapi.Binary(index)}, more...)...)
}

// tagOf is a named property's tag in the mailbox.
func (b *box) tagOf(p mapi.NamedProperty) mapi.Tag {
	b.t.Helper()
	return p.Tag(call(b, exmdb.OpNameProperties, &exmdb.NamesRequest{Names: []mapi.PropertyName{p.PropertyName}}).IDs[0])
}

// TestConversationActions: what is to be done with a conversation is done with each mail of it that comes, after the rules, as
// long as the action is where actions are.
func TestConversationActions(t *testing.T) {
	b := newBox(t, 0)
	work := b.newFolder("work")
	folder, store, categories := b.tagOf(mapi.PidLidConversationActionMoveFolderEid), b.tagOf(mapi.PidLidConversationActionMoveStoreEid), b.tagOf(mapi.PidNameKeywords)
	first := b.comes("")
	conversation := b.prop(mid(first.MID), mapi.PidTagConversationId)
	entry := b.prop(exmdb.ObjectID{Folder: work}, mapi.PidTagEntryId)
	act := func(fid mapi.FID, more ...any) mapi.MID {
		return b.create(&exmdb.CreateMessageRequest{Folder: fid, Associated: true, Message: exmdb.MessageEdit{Set: b.acting(conversation, more...)}}).MID
	}
	come := func(what string, want mapi.FID, keywords ...string) {
		t.Helper()
		r := b.comes("")
		if got, _ := b.prop(mid(r.MID), categories).(mapi.Strings); r.Folder != want || !slices.Equal(got, keywords) {
			t.Errorf("%s: in %#x with %q, want %#x with %q", what, uint64(r.Folder), got, uint64(want), keywords)
		}
		b.audit(what)
	}
	come("no action", schema.Inbox)
	for _, c := range []struct {
		what     string
		props    []any
		want     mapi.FID
		keywords []string
	}{
		{"ignored", []any{folder, mapi.Binary{}}, schema.DeletedItems, nil},
		{"filed", []any{folder, entry}, work, nil},
		{"filed in another store", []any{folder, entry, store, mapi.Binary("x")}, schema.Inbox, nil},
		{"filed where nothing is", []any{folder, mapi.Binary("x")}, schema.Inbox, nil},
		{"given categories", []any{categories, mapi.Strings{"Red", "Blue"}}, schema.Inbox, []string{"Red", "Blue"}},
		{"both", []any{categories, mapi.Strings{"Red"}, folder, entry}, work, []string{"Red"}},
	} {
		made := act(schema.ConversationActions, c.props...)
		come(c.what, c.want, c.keywords...)
		call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.ConversationActions, Messages: []mapi.MID{made}})
		come(c.what+", no more", schema.Inbox)
	}
	act(schema.Inbox, folder, entry)
	come("an action elsewhere", schema.Inbox)
	b.rule(schema.Inbox, nil, copyTo(work), markRead)
	act(schema.ConversationActions, folder, mapi.Binary{})
	come("after rules", schema.DeletedItems)
}

// TestConversationActionsAreIndexed: the indexes follow a message that acts on another conversation, or on none, is copied, and
// is gone with its folder.
func TestConversationActionsAreIndexed(t *testing.T) {
	b := newBox(t, 0)
	of := func(n byte) mapi.Value { return mapi.Binary(slices.Repeat([]byte{n}, 16)) }
	is := func(what string, want ...byte) {
		t.Helper()
		var got []byte
		b.view(func(v *view) error {
			it := v.r.Iter([]byte{schema.PrefixConversationAction}, []byte{schema.PrefixConversationAction + 1})
			for it.Next() {
				object, err := schema.ParseConversationActionKey(it.Key())
				back, gerr := v.r.Get(schema.ConversationOfKey(object))
				if err != nil || gerr != nil || !slices.Equal(back, it.Key()[1:17]) {
					return fmt.Errorf("%x, %x: %v, %v", it.Key(), back, err, gerr)
				}
				got = append(got, it.Key()[1])
			}
			a, err := v.automation()
			if err == nil && int(a.Conversations) != len(got) {
				err = fmt.Errorf("%d actions are counted", a.Conversations)
			}
			if err != nil {
				return err
			}
			return it.Close()
		})
		if !slices.Equal(got, want) {
			t.Errorf("%s: actions on %d, want %d", what, got, want)
		}
	}
	made := b.create(&exmdb.CreateMessageRequest{Folder: schema.ConversationActions, Associated: true, Message: exmdb.MessageEdit{Set: b.acting(of(1))}}).MID
	b.create(&exmdb.CreateMessageRequest{Folder: schema.ConversationActions, Message: exmdb.MessageEdit{Set: b.acting(of(9))}}) // not associated
	is("one", 1)
	save := func(set mapi.PropBag) {
		call(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: made, Edit: exmdb.MessageEdit{Set: set}})
	}
	save(b.acting(of(2)))
	is("another conversation", 2)
	save(bagOf(mapi.PidTagMessageClass, mapi.String("IPM.Configuration.x")))
	is("none")
	save(b.acting(of(3)))
	work := b.newFolder("work")
	call(b, exmdb.OpCopyMessages, &exmdb.CarryMessagesRequest{Folder: schema.ConversationActions, Messages: []mapi.MID{made}, Target: work})
	is("copied", 3, 3)
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work, Hard: true})
	is("the copy is gone", 3)
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.ConversationActions, Messages: []mapi.MID{made}, Hard: true})
	is("all are gone")
	b.audit("no actions")
}

// TestNobodyElseActsOnConversations: an action files mail of the whole mailbox, so it is not for who owns the folder of actions alone,
// whichever way it would come there.
func TestNobodyElseActsOnConversations(t *testing.T) {
	b := newBox(t, 0)
	someone := b.asUser(mapi.NewGUID())
	work := b.newFolder("work")
	for _, fid := range []mapi.FID{schema.ConversationActions, work} {
		grantTo(b, fid, someone.as.User, exmdb.AllRights)
	}
	of := mapi.Binary(slices.Repeat([]byte{1}, 16))
	action := &exmdb.CreateMessageRequest{Folder: schema.ConversationActions, Associated: true, Message: exmdb.MessageEdit{Set: b.acting(of)}}
	refused(someone, exmdb.OpCreateMessage, action, exmdb.KindAccessDenied)
	mid := b.create(action).MID
	refused(someone, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Message: mid}, Set: b.acting(of)}, exmdb.KindAccessDenied)
	action.Folder = work
	his := someone.create(action).MID
	for _, op := range []exmdb.Op[exmdb.CarryMessagesRequest, exmdb.CarryMessagesResponse]{exmdb.OpCopyMessages, exmdb.OpMoveMessages} {
		r := call(someone, op, &exmdb.CarryMessagesRequest{Folder: work, Messages: []mapi.MID{his}, Target: schema.ConversationActions})
		if len(r.To) != 0 || !r.Denied {
			t.Errorf("%s: %+v", op.Name, r)
		}
	}
	marked := call(someone, exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: schema.ConversationActions, Messages: []mapi.MID{mid}, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Keywords: []string{"his"}}})
	if marked.Changed != 0 || !marked.Denied {
		t.Errorf("%+v", marked)
	}
}
