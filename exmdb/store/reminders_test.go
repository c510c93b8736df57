package store

import (
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// remind are properties that ask for a reminder at a time, or for none.
func (b *box) remind(at time.Time, on bool) mapi.PropBag {
	ids := call(b, exmdb.OpNameProperties, &exmdb.NamesRequest{Names: []mapi.PropertyName{mapi.PidLidReminderSet.PropertyName,
		mapi.PidLidReminderSignalTime.PropertyName}}).IDs
	return bagOf(mapi.PidLidReminderSet.Tag(ids[0]), mapi.Boolean(on), mapi.PidLidReminderSignalTime.Tag(ids[1]), mapi.FileTimeOf(at))
}

// reminding makes an item that asks for one.
func (b *box) reminding(fid mapi.FID, at time.Time, on bool) mapi.MID {
	b.t.Helper()
	return b.create(&exmdb.CreateMessageRequest{Folder: fid, Message: exmdb.MessageEdit{Set: b.remind(at, on)}}).MID
}

func (b *box) reminders(req exmdb.RemindersRequest) (mids []mapi.MID, resp *exmdb.RemindersResponse) {
	b.t.Helper()
	resp = call(b, exmdb.OpReminders, &req)
	for _, r := range resp.Reminders {
		mids = append(mids, r.MID)
	}
	return mids, resp
}

func TestReminders(t *testing.T) {
	b := newBox(t, 0)
	calendar, tasks := mapi.LocalFID(0x0F), mapi.LocalFID(0x12)
	at := func(n int) time.Time { return b.now.Add(time.Duration(n) * time.Hour).UTC() }
	var made []mapi.MID
	for _, n := range []int{3, 1, 2} {
		made = append(made, b.reminding(calendar, at(n), true))
	}
	b.reminding(calendar, at(1), false)
	b.reminding(schema.Drafts, at(1), true)
	b.reminding(mapi.LocalFID(0x08), at(1), true) // not in the tree that users see
	b.create(&exmdb.CreateMessageRequest{Folder: calendar, Associated: true, Message: exmdb.MessageEdit{Set: b.remind(at(1), true)}})
	want := func(what string, order ...mapi.MID) {
		t.Helper()
		if got, resp := b.reminders(exmdb.RemindersRequest{}); !slices.Equal(got, order) || resp.After != nil || !resp.Next.IsZero() {
			t.Errorf("%s: %x, want %x: %+v", what, got, order, resp)
		}
		b.audit(what)
	}
	want("all", made[1], made[2], made[0])
	due, resp := b.reminders(exmdb.RemindersRequest{Until: at(1)})
	if !slices.Equal(due, made[1:2]) || !resp.Next.Equal(at(2)) || !resp.Reminders[0].Due.Equal(at(1)) || resp.Reminders[0].Folder != calendar {
		t.Errorf("due: %+v", resp)
	}
	if rest, _ := b.reminders(exmdb.RemindersRequest{After: resp.After}); !slices.Equal(rest, []mapi.MID{made[2], made[0]}) {
		t.Errorf("the rest: %x", rest)
	}
	if one, resp := b.reminders(exmdb.RemindersRequest{Limit: 1}); !slices.Equal(one, made[1:2]) || !resp.Next.Equal(at(1)) || resp.After == nil { // what is in Drafts may be next
		t.Errorf("one: %+v", resp)
	}
	edit := func(mid mapi.MID, set mapi.PropBag) {
		t.Helper()
		call(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: mid, Edit: exmdb.MessageEdit{Set: set}})
	}
	carry := func(op exmdb.Op[exmdb.CarryMessagesRequest, exmdb.CarryMessagesResponse], from mapi.FID, mid mapi.MID, to mapi.FID) mapi.MID {
		t.Helper()
		return call(b, op, &exmdb.CarryMessagesRequest{Folder: from, Messages: []mapi.MID{mid}, Target: to}).To[0]
	}
	edit(made[1], b.remind(at(5), true))
	want("put off", made[2], made[0], made[1])
	edit(made[2], b.remind(at(2), false))
	want("dismissed", made[0], made[1])
	moved := carry(exmdb.OpMoveMessages, calendar, made[0], tasks)
	copied := carry(exmdb.OpCopyMessages, calendar, made[1], tasks)
	want("moved and copied", moved, made[1], copied)
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: calendar, Messages: made[1:2]})
	want("deleted", moved, copied)
	carry(exmdb.OpMoveMessages, tasks, copied, schema.DeletedItems)
	want("among what was deleted", moved)
	back := carry(exmdb.OpRecoverMessages, calendar, made[1], calendar)
	want("recovered", moved, back)
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: calendar, Messages: []mapi.MID{back}, Hard: true})
	want("gone", moved)
	refused(b, exmdb.OpReminders, &exmdb.RemindersRequest{After: []byte("x")}, cluster.KindBadRequest)
}

// TestRemindersOfOthers: somebody is reminded of what he may read, and of what he made himself where he sees the folder.
func TestRemindersOfOthers(t *testing.T) {
	b := newBox(t, 0)
	calendar, tasks, guest := mapi.LocalFID(0x0F), mapi.LocalFID(0x12), mapi.NewGUID()
	readable := b.reminding(calendar, b.now, true)
	b.reminding(tasks, b.now, true)
	for fid, rights := range map[mapi.FID]exmdb.FolderRights{calendar: exmdb.RightReadAny, tasks: exmdb.RightFolderVisible | exmdb.RightCreate} {
		call(b, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: fid, Changes: []exmdb.PermissionChange{
			{Kind: exmdb.PermissionAdd, Member: exmdb.Member{User: guest, Rights: rights}}}})
	}
	own := b.asUser(guest).reminding(tasks, b.now, true)
	if got, _ := b.asUser(guest).reminders(exmdb.RemindersRequest{}); !slices.Equal(got, []mapi.MID{readable, own}) {
		t.Errorf("%x, want %x and %x", got, readable, own)
	}
}
