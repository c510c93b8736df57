package store

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func (b *box) deleted(fid mapi.FID, tags ...mapi.Tag) *exmdb.DeletedResponse {
	b.t.Helper()
	return call(b, exmdb.OpDeleted, &exmdb.DeletedRequest{Folder: fid, Tags: tags})
}

func (b *box) info() *exmdb.MailboxInfo {
	b.t.Helper()
	return call(b, exmdb.OpMailboxInfo, &exmdb.Empty{})
}

// checkRetained compares the counts of what is soft-deleted with what there is.
func (b *box) checkRetained() {
	b.t.Helper()
	b.view(func(v *view) error {
		total := uint64(0)
		err := v.each([]byte{schema.PrefixFolderCounts}, []byte{schema.PrefixFolderCounts + 1}, schema.ParseFolderKey, func(fid mapi.FID, _ []byte) error {
			n, size := uint32(0), uint64(0)
			err := v.deletedBetween(fid, schema.DeletedKey(fid, 0, 0), schema.DeletedKey(fid+1, 0, 0), func(d *discarded) (bool, error) {
				n++
				size += d.row.MessageSize()
				_, again, err := v.findDeleted(d.row.MID)
				if err == nil && again.deleted != d.deleted {
					b.t.Errorf("message %#x was deleted at %d and %d", uint64(d.row.MID), d.deleted, again.deleted)
				}
				return true, err
			})
			if err != nil {
				return err
			}
			c, err := v.folderCounts(fid)
			if err == nil && (c.Retained != n || c.RetainedUsed != size || n > 0 && c.AgeOut.IsZero()) {
				b.t.Errorf("folder %#x keeps %d messages of %d bytes until %v, and counts %d of %d", uint64(fid), n, size, c.AgeOut, c.Retained, c.RetainedUsed)
			}
			total += size
			return err
		})
		if err != nil {
			return err
		}
		err = v.eachDeletedFolder(0, func(_ mapi.FID, d *schema.DeletedFolder) error {
			total += d.Counts.Used + d.Counts.AssociatedUsed + d.Counts.RetainedUsed
			return nil
		})
		if err == nil && total != v.counters.Retained {
			b.t.Errorf("%d bytes are kept, the mailbox counts %d", total, v.counters.Retained)
		}
		return err
	})
}

// TestExpungedCanBeRecovered: an expunged message is gone for everybody and every quota, and comes back whole, as
// another one.
func TestExpungedCanBeRecovered(t *testing.T) {
	b := newBox(t, 0)
	first := b.deliver(large(3, 30_000))
	b.deliver(text("x"))
	b.flags(exmdb.FlagsAdd, exmdb.FlagDeleted|exmdb.FlagFlagged, []string{"Red"}, 1)
	used := b.info().Used
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox})
	if is := b.info(); is.Messages != 1 || is.Used >= used-30_000 {
		t.Errorf("%+v", is)
	}
	refused(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(first.MID)}, exmdb.KindNoMessage)
	refused(b, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: schema.Inbox, UID: 1, Length: 1}, exmdb.KindNoMessage)
	refused(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: mid(first.MID)}, exmdb.KindNoMessage)
	gone := b.deleted(schema.Inbox, mapi.PidTagMessageClass)
	if len(gone.Messages) != 1 || gone.Count != 1 || gone.Size != used-b.info().Used || gone.More {
		t.Fatalf("%+v", gone)
	}
	m := gone.Messages[0]
	if m.State.MID != first.MID || m.State.Object != first.Object || !m.At.Equal(b.now) || m.Props.Get(mapi.PidTagMessageClass) == nil || m.State.Flags.Keywords[0] != "Red" {
		t.Errorf("%+v", m)
	}
	if n := b.prop(exmdb.ObjectID{Folder: schema.Inbox}, mapi.PidTagDeletedMessageCount); n != mapi.Integer32(1) {
		t.Errorf("PidTagDeletedMessageCount is %v", n)
	}
	b.checkRetained()
	r := call(b, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{first.MID, first.MID, 0x77}, Target: schema.Inbox})
	if len(r.To) != 1 || r.To[0] == first.MID || len(r.Missing) != 2 {
		t.Fatalf("%+v", r)
	}
	back := b.rows(schema.Inbox)[1]
	if back.UID != 3 || back.Object != first.Object || back.Flags.Bits != exmdb.FlagFlagged || back.Flags.Keywords[0] != "Red" || !back.Received.Equal(b.now) {
		t.Errorf("%+v", back)
	}
	if got := call(b, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: schema.Inbox, UID: 3, Length: 40_000}); len(got.Data) != 30_014 {
		t.Errorf("%d octets came back", len(got.Data))
	}
	if is := b.info(); is.Used != used || is.Messages != 2 || len(b.deleted(schema.Inbox).Messages) != 0 {
		t.Errorf("%+v", is)
	}
	b.checkRetained()
	b.letGo() // what was scheduled for it does no harm
	if b.info().Messages != 2 {
		t.Error("a recovered message aged out")
	}
}

// TestDeletedIsRead: a soft-deleted message is read as it was by who may delete it; nobody changes it, and under its own name there
// is none.
func TestDeletedIsRead(t *testing.T) {
	b := newBox(t, 0)
	mail, long := b.deliver(large(3, 30_000)), strings.Repeat("long ", 4000)
	item := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("item"), mapi.PidTagBody, mapi.String(long))}})
	reader, deleter := b.asUser(mapi.NewGUID()), b.asUser(mapi.NewGUID())
	for user, rights := range map[*box]exmdb.FolderRights{reader: exmdb.RightReadAny, deleter: exmdb.RightReadAny | exmdb.RightDeleteAny} {
		call(b, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: schema.Inbox, Changes: []exmdb.PermissionChange{
			{Kind: exmdb.PermissionAdd, Member: exmdb.Member{User: user.as.User, Name: "x", Rights: rights | exmdb.RightFolderVisible}}}})
	}
	octets := b.octets(schema.Inbox, mail.UID)
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mail.MID, item.MID}})
	id := exmdb.ObjectID{Message: item.MID, Deleted: true}
	read := &exmdb.ReadBytesRequest{Folder: schema.Inbox, Deleted: mail.MID, Length: exmdb.MaxReadBytes}
	for _, who := range []*box{b, deleter} {
		m := call(who, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: id})
		if m.State.MID != item.MID || m.Content.Props.Get(mapi.PidTagSubject) != mapi.String("item") {
			t.Errorf("%+v", m)
		}
		if v := call(who, exmdb.OpReadValue, &exmdb.ReadValueRequest{Object: id, Tag: mapi.PidTagBody, Length: exmdb.MaxReadBytes}); string(v.Data) != long {
			t.Errorf("%d bytes", len(v.Data))
		}
		if got := call(who, exmdb.OpReadBytes, read); string(got.Data) != octets {
			t.Errorf("%d octets", len(got.Data))
		}
	}
	refused(reader, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: id}, exmdb.KindAccessDenied)
	refused(reader, exmdb.OpReadBytes, read, exmdb.KindAccessDenied)
	refused(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: mid(item.MID)}, exmdb.KindNoMessage)
	refused(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: id, Set: bagOf(mapi.PidTagSubject, mapi.String("other"))}, exmdb.KindNoMessage)
	refused(b, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: schema.Drafts, Deleted: mail.MID, Length: 1}, exmdb.KindNoMessage)
	refused(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: 0x77, Deleted: true}}, exmdb.KindNoMessage)
}

// TestAgeOut: what was deleted goes in its order, when its time is over and not before, in bounded steps.
func TestAgeOut(t *testing.T) {
	b := newBox(t, 0)
	expunge := func(n int) {
		b.fill(schema.Inbox, n)
		for next := mapi.UID(1); next != 0; {
			next = call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, All: true}).Next
		}
	}
	expunge(1230) // the last step has room for what is not over yet
	b.now = b.now.Add(24 * time.Hour)
	expunge(5)
	b.deliver(large(9, 50_000))
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, All: true})
	b.now = b.now.Add(13*24*time.Hour - time.Minute)
	if b.work(); b.deleted(schema.Inbox).Count != 1236 {
		t.Fatalf("%d left before their time", b.deleted(schema.Inbox).Count)
	}
	b.now = b.now.Add(2 * time.Minute)
	if steps := b.work(); steps < 3 || b.deleted(schema.Inbox).Count != 6 {
		t.Errorf("%d left after %d steps", b.deleted(schema.Inbox).Count, steps)
	}
	b.checkRetained()
	b.now = b.now.Add(24 * time.Hour)
	if b.work(); b.deleted(schema.Inbox).Count != 0 || len(b.due) != 0 {
		t.Errorf("%d left, %d works", b.deleted(schema.Inbox).Count, len(b.due))
	}
	b.checkEmpty()
}

func TestPagesOfDeleted(t *testing.T) {
	b := newBox(t, 0)
	var want []mapi.MID
	for range 7 {
		m := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: len(want)%2 == 0}).MID
		want = append(want, m)
		b.now = b.now.Add(time.Duration(len(want)/3) * time.Second) // some at one time
		call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{m}})
	}
	var got []mapi.MID
	q := &exmdb.DeletedRequest{Folder: schema.Inbox, Limit: 2}
	for more := true; more; {
		page := call(b, exmdb.OpDeleted, q)
		for _, m := range page.Messages {
			got = append(got, m.State.MID)
			q.After, q.AfterMessage = m.At, m.State.MID
		}
		if more = page.More; more && len(page.Messages) != 2 {
			t.Fatalf("%+v", page)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d of %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: %#x, want %#x", i, got[i], want[i])
		}
	}
}

// TestHardDeletes: what is deleted for good leaves nothing, by whatever way.
func TestHardDeletes(t *testing.T) {
	b := newBox(t, 0)
	mail, view := b.deliver(large(3, 30_000)), b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true})
	r := call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mail.MID, view.MID, 0x99}, Hard: true})
	if r.Deleted != 2 || len(r.Missing) != 1 || r.ModSeq == 0 || b.deleted(schema.Inbox).Count != 0 {
		t.Errorf("%+v", r)
	}
	first, second := b.deliver(large(5, 30_000)), b.deliver(text("x"))
	both := []mapi.MID{first.MID, second.MID}
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: both})
	if p := call(b, exmdb.OpPurgeDeleted, &exmdb.PurgeDeletedRequest{Folder: schema.Inbox, Messages: both[:1]}); p.Purged != 1 || p.More || p.Next != 0 {
		t.Errorf("%+v", p)
	}
	if p := call(b, exmdb.OpPurgeDeleted, &exmdb.PurgeDeletedRequest{Folder: schema.Inbox, Messages: both}); p.Purged != 1 || len(p.Missing) != 1 {
		t.Errorf("%+v", p)
	}
	b.fill(schema.Inbox, stepItems+10)
	b.expunge(schema.Inbox, true)
	p := call(b, exmdb.OpPurgeDeleted, &exmdb.PurgeDeletedRequest{Folder: schema.Inbox})
	if p.Purged != stepItems || !p.More {
		t.Errorf("%+v", p)
	}
	if p = call(b, exmdb.OpPurgeDeleted, &exmdb.PurgeDeletedRequest{Folder: schema.Inbox}); p.Purged != 10 || p.More {
		t.Errorf("%+v", p)
	}
	b.checkRetained()
	b.due = dueList{} // nothing waits for a time
	b.checkEmpty()
}

// TestConfigOfSoftDeletes: without a time nothing is kept, and beyond the quota of what is kept no more is.
func TestConfigOfSoftDeletes(t *testing.T) {
	b := newBox(t, 0)
	b.config.SoftDeleted = 0
	b.deliver(large(3, 30_000))
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, All: true})
	if b.deleted(schema.Inbox).Count != 0 || len(b.due) != 0 {
		t.Error("something was kept for no time")
	}
	work := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Work"}).Folder.FID
	call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: work, Message: text("x")})
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work})
	b.checkEmpty()

	b.config = steady()
	b.config.SoftDeletedQuota = 3000
	for range 3 {
		b.deliver(large(3, 1000))
	}
	for range 3 {
		call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, All: true})
	}
	if got := b.deleted(schema.Inbox); got.Count != 2 || got.Size > 3000 {
		t.Errorf("%d messages of %d bytes are kept where 3000 may be", got.Count, got.Size)
	}
	b.checkRetained()
	work = call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Work"}).Folder.FID
	call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: work, Message: large(3, 1000)})
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work})
	if all := call(b, exmdb.OpDeletedFolders, &exmdb.DeletedFoldersRequest{}); len(all.Folders) != 0 {
		t.Errorf("%+v", all)
	}
	b.checkEmpty()
}

// TestRecoverOverQuota: what comes back must fit.
func TestRecoverOverQuota(t *testing.T) {
	b := newBox(t, 2500)
	for i := range 2 {
		b.deliver(large(byte(i+3), 1000))
	}
	gone := b.rows(schema.Inbox)[0].MID
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, UIDs: ranges(1), All: true})
	b.deliver(large(9, 1000))
	refused(b, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{gone}, Target: schema.Sent}, exmdb.KindOverQuota)
	refused(b, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{gone}, Target: 0x999}, exmdb.KindNoFolder)
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, UIDs: ranges(2), All: true})
	call(b, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{gone}, Target: schema.Sent})
	if b.folder(schema.Sent).Messages != 1 {
		t.Error("it did not come back")
	}
	b.checkRetained()
}

// TestDeletedFolderComesBack: with its messages, the folders below it, rights and UIDs, and no other folder's.
func TestDeletedFolderComesBack(t *testing.T) {
	b := newBox(t, 0)
	make := func(parent mapi.FID, name string) mapi.FID {
		return call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: parent, Name: name}).Folder.FID
	}
	work := make(schema.IPMSubtree, "Work")
	early, late := make(work, "early"), make(work, "late")
	call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: early, Message: text("x")})
	for range 3 {
		call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: late, Message: large(7, 20_000)})
	}
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: late, UIDs: ranges(2), All: true})
	grantTo(b, late, mapi.GUID{9}, roleAuthor)
	before, was, subject := b.info(), b.folder(late), b.rows(late)
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: early})
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work, Recursive: true})
	b.checkRetained()
	refused(b, exmdb.OpRows, &exmdb.RowsRequest{Folder: late}, exmdb.KindNoFolder)
	refused(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(subject[0].MID)}, exmdb.KindNoMessage)
	if is := b.info(); is.Messages != 0 || is.Used != 0 || is.Folders != before.Folders-3 {
		t.Errorf("%+v", is)
	}
	again := make(schema.IPMSubtree, "Work")
	gone := call(b, exmdb.OpDeletedFolders, &exmdb.DeletedFoldersRequest{}).Folders
	if len(gone) != 3 || gone[2].FID != late || gone[2].Name != "late" || gone[2].Parent != work || gone[2].Messages != 2 || !gone[2].At.Equal(b.now) {
		t.Fatalf("%+v", gone)
	}
	if page := call(b, exmdb.OpDeletedFolders, &exmdb.DeletedFoldersRequest{After: early}); len(page.Folders) != 1 {
		t.Errorf("%+v", page)
	}
	back := &exmdb.RecoverFolderRequest{Folder: work, Parent: schema.IPMSubtree}
	refused(b, exmdb.OpRecoverFolder, back, exmdb.KindFolderExists)
	refused(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: work, Parent: work}, exmdb.KindNoFolder)
	back.Parent, back.Name = again, "Old work"
	r := call(b, exmdb.OpRecoverFolder, back).Folder
	is := b.folder(late)
	if r.Name != "Old work" || r.Parent != again || is.Parent != work || is.UIDValidity != was.UIDValidity || is.UIDNext != was.UIDNext || is.CN <= was.CN || is.Messages != 2 {
		t.Errorf("%+v\n%+v was %+v", r, is, was)
	}
	if b.members(late)[mapi.GUID{9}].Rights != roleAuthor || len(b.rows(late)) != 2 || b.deleted(late).Count != 1 {
		t.Error("something of the folder did not come back")
	}
	refused(b, exmdb.OpFolder, &exmdb.FolderRequest{Folder: early}, exmdb.KindNoFolder) // deleted apart, before
	b.checkRetained()
	b.checkTimes(work, late)
	refused(b, exmdb.OpRecoverFolder, back, exmdb.KindNoFolder)
	b.letGo()
	if b.deleted(late).Count != 0 || b.folder(late).Messages != 2 || len(call(b, exmdb.OpDeletedFolders, &exmdb.DeletedFoldersRequest{}).Folders) != 0 {
		t.Error("age-out did too much or too little")
	}
	b.checkRetained()
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: again, Recursive: true})
	b.checkEmpty()
}

// TestRecoveredFoldersNestNoDeeper: a tree comes back where all of it may be, as deep as folders can be made and no deeper.
func TestRecoveredFoldersNestNoDeeper(t *testing.T) {
	b := newBox(t, 0)
	tree := b.newBelow(schema.IPMSubtree, "Tree")
	b.newBelow(tree, "below")
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: tree, Recursive: true})
	deep, err := schema.IPMSubtree, error(nil)
	for err == nil {
		var made *exmdb.FolderResponse
		if made, err = try(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: deep, Name: "x"}); err == nil {
			deep = made.Folder.FID
		}
	}
	if cluster.KindOf(err) != exmdb.KindBadName {
		t.Fatal(err)
	}
	above := b.folder(deep).Parent
	refused(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: tree, Parent: above, Name: "y"}, exmdb.KindBadName)
	call(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: tree, Parent: b.folder(above).Parent, Name: "y"})
}

// TestNoRoomForAFolder: a folder comes back whole or not at all.
func TestNoRoomForAFolder(t *testing.T) {
	b := newBox(t, 3000)
	work := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Work"}).Folder.FID
	call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: work, Message: large(3, 2000)})
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work})
	mail := b.deliver(large(5, 2000))
	refused(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: work, Parent: schema.IPMSubtree}, exmdb.KindOverQuota)
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mail.MID}})
	b.update(func(t *tx) error { return RaiseEpoch(t.w, 1) })
	if f := call(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: work, Parent: schema.IPMSubtree}).Folder; f.UIDNext < epochStep {
		t.Errorf("after a restore the folder goes on at UID %d", f.UIDNext)
	}
	b.checkRetained()
	refused(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: schema.Inbox}, exmdb.KindFixedFolder)
}

// TestRandomDeletesAndRecoveries keeps the counts right whatever happens, and leaves nothing in the end.
func TestRandomDeletesAndRecoveries(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	b := newBox(t, 0)
	var folders []mapi.FID
	for _, name := range []string{"a", "b"} {
		folders = append(folders, call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: name}).Folder.FID)
	}
	folder := func() mapi.FID { return folders[random.IntN(len(folders))] }
	known := func(err error) {
		t.Helper()
		switch cluster.KindOf(err) {
		case exmdb.KindNoFolder, exmdb.KindNoMessage, exmdb.KindFolderExists:
		default:
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	var made []mapi.MID
	some := func() []mapi.MID { return made[random.IntN(len(made)):] }
	for range 400 {
		fid := folder()
		var err error
		switch random.IntN(9) {
		case 0, 1:
			var r *exmdb.DeliverResponse
			if r, err = try(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: fid, Message: large(byte(random.IntN(4)), 9000)}); err == nil {
				made = append(made, r.MID)
			}
		case 2:
			_, err = try(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid, Hard: random.IntN(9) == 0})
		case 3:
			_, err = try(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: fid, Parent: schema.IPMSubtree})
		case 4:
			_, err = try(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: fid, UIDs: []exmdb.UIDRange{{First: 1, Last: mapi.UID(random.IntN(200) + 1)}}, All: true})
		case 5:
			if len(made) > 0 {
				_, err = try(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: fid, Messages: some(), Hard: random.IntN(2) == 0})
			}
		case 6, 7:
			if len(made) > 0 {
				var r *exmdb.CarryMessagesResponse
				if r, err = try(b, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: fid, Messages: some(), Target: folder()}); err == nil {
					made = append(made, r.To...)
				}
			}
		case 8:
			b.now = b.now.Add(time.Duration(random.IntN(48)) * time.Hour)
			b.work()
		}
		known(err)
		b.checkRetained()
	}
	for _, fid := range folders {
		_, err := try(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid})
		known(err)
	}
	b.checkEmpty()
}
