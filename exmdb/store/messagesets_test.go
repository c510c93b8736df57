package store

import (
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// TestMessagesByMID: what IMAP sees, what it does not see yet and what it never sees is marked, copied and moved alike.
func TestMessagesByMID(t *testing.T) {
	b := newBox(t, 0)
	fid := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Work"}).Folder.FID
	edit := formless()
	edit.Set = bagOf(mapi.PidTagBody, mapi.String(make([]byte, 30_000)))
	edit.ReplaceRecipients, edit.Recipients = true, []mapi.PropBag{recipient(1, "anna")}
	draft := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: edit})
	view := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true})
	received := b.deliver(sample(t))
	all := []mapi.MID{draft.MID, view.MID, received.MID, mapi.NewMID(1, 0x7777)}
	m := call(b, exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: schema.Inbox, Messages: all, Mode: exmdb.FlagsAdd,
		Flags: exmdb.Flags{Bits: exmdb.FlagFlagged, Keywords: []string{"Red"}}})
	if m.Changed != 3 || len(m.Missing) != 1 || m.Next != 0 {
		t.Fatalf("%+v", m)
	}
	c := call(b, exmdb.OpCopyMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: all, Target: fid})
	if len(c.From) != 3 || len(c.To) != 3 || len(c.Missing) != 1 || c.From[1] != view.MID {
		t.Fatalf("%+v", c)
	}
	copied := call(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(c.To[0])})
	if len(copied.Content.Recipients) != 1 || len(copied.Content.Attachments) != len(edit.Attachments) || copied.State.Flags.Keywords[0] != "Red" {
		t.Fatalf("%+v", copied)
	}
	states := call(b, exmdb.OpLocate, &exmdb.LocateRequest{Messages: c.To, Objects: []mapi.ObjectNumber{draft.Object, 999}}).Messages
	if len(states) != 4 || states[0].UID != 0 || !states[1].Associated || states[2].UID == 0 || states[3].MID != draft.MID || states[0].Folder != fid {
		t.Fatalf("%+v", states)
	}
	moved := call(b, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: fid, Messages: append(c.To, c.To[0]), Target: schema.Sent})
	if len(moved.To) != 3 || len(moved.Missing) != 1 || b.folder(fid).Messages != 0 || b.folder(schema.Sent).Messages != 1 {
		t.Fatalf("%+v", moved)
	}
	if b.prop(exmdb.ObjectID{Folder: schema.Sent}, mapi.PidTagAssociatedContentCount) != mapi.Integer32(1) || b.rowOf(moved.To[1]).Object != states[1].Object {
		t.Fatal("the associated message did not move")
	}
	b.update(func(t *tx) error {
		for _, id := range append(moved.To, all[:3]...) {
			if err := t.remove(id); err != nil {
				return err
			}
		}
		return nil
	})
	b.checkEmpty()
}

func TestSetsAreBounded(t *testing.T) {
	b := newBox(t, 0)
	var all []mapi.MID
	for range stepMessages + 50 {
		all = append(all, b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true}).MID)
	}
	steps, changed := 0, uint32(0)
	for rest := all; len(rest) > 0; steps++ {
		m := call(b, exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: schema.Inbox, Messages: rest, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagFlagged}})
		changed += m.Changed
		if m.Next == 0 {
			break
		}
		rest = rest[m.Next:]
	}
	if steps != 1 || int(changed) != len(all) {
		t.Fatalf("%d of %d messages in %d steps", changed, len(all), steps+1)
	}
	refused(b, exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: schema.Inbox, Mode: 9}, cluster.KindBadRequest)
	refused(b, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: make([]mapi.MID, maxMIDsAsked+1), Target: schema.Sent}, cluster.KindBadRequest)
	refused(b, exmdb.OpLocate, &exmdb.LocateRequest{Messages: make([]mapi.MID, maxIDsAsked+1)}, cluster.KindBadRequest)
	// The folder goes in steps too, associated messages with it.
	fid := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Work"}).Folder.FID
	for rest := all; len(rest) > 0; {
		m := call(b, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: rest, Target: fid})
		if m.Next == 0 {
			break
		}
		rest = rest[m.Next:]
	}
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid})
	b.checkEmpty()
}

// TestCopyByMIDOverQuota: a copy for which there is no room copies nothing.
func TestCopyByMIDOverQuota(t *testing.T) {
	b := newBox(t, 5000)
	var all []mapi.MID
	for range 3 {
		all = append(all, b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagBody, mapi.String(make([]byte, 1000)))}}).MID)
	}
	refused(b, exmdb.OpCopyMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: all, Target: schema.Sent}, exmdb.KindOverQuota)
	if c := call(b, exmdb.OpCopyMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: all[:1], Target: schema.Sent}); len(c.To) != 1 {
		t.Fatalf("%+v", c)
	}
}

// TestSetsPassOverWhatIsNotAllowed: who may edit his own items only marks those, and the answer says that there were
// others.
func TestSetsPassOverWhatIsNotAllowed(t *testing.T) {
	b := newBox(t, 0)
	bob := mapi.GUID{0xB0}
	call(b, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: schema.Inbox, Changes: []exmdb.PermissionChange{{Kind: exmdb.PermissionAdd,
		Member: exmdb.Member{User: bob, Name: "bob", Rights: exmdb.RightFolderVisible | exmdb.RightReadAny | exmdb.RightCreate | exmdb.RightEditOwned}}}})
	received := b.deliver(sample(t))
	view := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true})
	b.as = exmdb.Identity{User: bob}
	mine := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox})
	all := []mapi.MID{received.MID, view.MID, mine.MID}
	m := call(b, exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: schema.Inbox, Messages: all, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagFlagged}})
	if m.Changed != 1 || !m.Denied || len(m.Missing) != 0 {
		t.Fatalf("%+v", m)
	}
	if m = call(b, exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: schema.Inbox, Messages: all, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagDeleted}}); m.Changed != 0 || !m.Denied {
		t.Fatalf("%+v", m)
	}
	if c := call(b, exmdb.OpCopyMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: all, Target: schema.Inbox}); len(c.To) != 2 || !c.Denied {
		t.Fatalf("%+v", c)
	}
	if c := call(b, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: all, Target: schema.Inbox}); len(c.To) != 0 || !c.Denied {
		t.Fatalf("%+v", c)
	}
	if found := call(b, exmdb.OpLocate, &exmdb.LocateRequest{Messages: all}).Messages; len(found) != 3 {
		t.Fatalf("%+v", found)
	}
	refused(b, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: all, Target: schema.Sent}, exmdb.KindAccessDenied)
}
