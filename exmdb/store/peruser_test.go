package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
)

// named is a folder's identifier across mailboxes.
func (b *box) named(fid mapi.FID) mapi.GID {
	b.t.Helper()
	return call(b, exmdb.OpLongTermIDs, &exmdb.LongTermIDsRequest{IDs: []uint64{uint64(fid)}}).GIDs[0]
}

// TestWhatWasReadOfAPublicFolder: it is told as change numbers, each user's own, and what a client brings takes its place.
func TestWhatWasReadOfAPublicFolder(t *testing.T) {
	b, news, anna, bob := newPublic(t)
	b.mails(news, 5)
	anna.mark(news, exmdb.FlagsAdd, exmdb.FlagSeen, 2, 4)
	id := b.named(news)
	got := call(anna, exmdb.OpPerUser, &exmdb.PerUserRequest{Folder: id})
	read, err := oxcfxics.ParseIDSET(got.Data)
	if err != nil || read.Len() != 2 || got.Replica != id.Replica {
		t.Fatalf("%x of %v, %v", got.Data, got.Replica, err)
	}
	if other := call(bob, exmdb.OpPerUser, &exmdb.PerUserRequest{Folder: id}); len(other.Data) != 0 {
		t.Errorf("bob has read %x", other.Data)
	}
	bob.mark(news, exmdb.FlagsAdd, exmdb.FlagSeen, 1, 2)
	r := call(bob, exmdb.OpWritePerUser, &exmdb.WritePerUserRequest{Folder: id, Data: got.Data})
	if r.Changed != 2 || r.Next != 0 || !slices.Equal(bob.seen(news), []mapi.UID{2, 4}) {
		t.Errorf("%+v; bob has read %v", r, bob.seen(news))
	}
	if r = call(bob, exmdb.OpWritePerUser, &exmdb.WritePerUserRequest{Folder: id, Data: got.Data}); r.Changed != 0 {
		t.Errorf("the same once more changes %d", r.Changed)
	}
	if r = call(bob, exmdb.OpWritePerUser, &exmdb.WritePerUserRequest{Folder: id}); r.Changed != 2 || len(bob.seen(news)) != 0 {
		t.Errorf("%+v; bob has read %v", r, bob.seen(news))
	}
	if !slices.Equal(anna.seen(news), []mapi.UID{2, 4}) {
		t.Errorf("anna has read %v", anna.seen(news))
	}
	call(b, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: news, Changes: []exmdb.PermissionChange{
		permission(exmdb.PermissionModify, exmdb.MemberDefault, mapi.GUID{}, 0)}})
	stranger := b.asUser(mapi.NewGUID())
	refused(stranger, exmdb.OpPerUser, &exmdb.PerUserRequest{Folder: id}, exmdb.KindAccessDenied)
	refused(stranger, exmdb.OpWritePerUser, &exmdb.WritePerUserRequest{Folder: id}, exmdb.KindAccessDenied)
	refused(bob, exmdb.OpPerUserFolders, &exmdb.PerUserFoldersRequest{Replica: id.Replica}, exmdb.KindAccessDenied)
	refused(b, exmdb.OpWritePerUser, &exmdb.WritePerUserRequest{Folder: id}, exmdb.KindAccessDenied) // the system reads nothing
	gone := mapi.GID{Replica: mapi.GUID{9}, Counter: id.Counter}
	refused(bob, exmdb.OpPerUser, &exmdb.PerUserRequest{Folder: gone}, exmdb.KindNoFolder)
	b.audit("read states were brought")
}

// TestWhatWasReadIsBroughtInSteps: a step that is full says where to go on, and nothing is done twice.
func TestWhatWasReadIsBroughtInSteps(t *testing.T) {
	b, news, anna, bob := newPublic(t)
	b.fill(news, stepFlags+200)
	anna.mark(news, exmdb.FlagsAdd, exmdb.FlagSeen, 1)
	call(anna, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: news, UIDs: []exmdb.UIDRange{{First: 1, Last: stepFlags + 150}}, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}})
	q := &exmdb.WritePerUserRequest{Folder: b.named(news), Data: call(anna, exmdb.OpPerUser, &exmdb.PerUserRequest{Folder: b.named(news)}).Data}
	changed, steps := uint32(0), 0
	for {
		r := call(bob, exmdb.OpWritePerUser, q)
		changed, steps = changed+r.Changed, steps+1
		if q.From = r.Next; r.Next == 0 {
			break
		}
	}
	if int(changed) != len(anna.seen(news)) || !slices.Equal(bob.seen(news), anna.seen(news)) {
		t.Errorf("%d changed in %d steps, anna has read %d and bob %d", changed, steps, len(anna.seen(news)), len(bob.seen(news)))
	}
}

// TestAMailboxKeepsWhatWasReadElsewhere: by folder and replica, for its owner alone, and within bounds.
func TestAMailboxKeepsWhatWasReadElsewhere(t *testing.T) {
	b := newBox(t, 0)
	replica, other := mapi.GUID{1}, mapi.GUID{2}
	folder := func(i int) mapi.GID { return mapi.GID{Replica: mapi.GUID{7}, Counter: mapi.GlobalCounter(i)} }
	set := func(n int) []byte {
		ids := make([]mapi.GID, n)
		for i := range ids {
			ids[i] = mapi.GID{Replica: replica, Counter: mapi.GlobalCounter(0x10000 * (i + 1))}
		}
		return oxcfxics.AppendIDSET(nil, mapi.IDSETOfIDs(ids))
	}
	write := func(i int, from mapi.GUID, data []byte) {
		t.Helper()
		call(b, exmdb.OpWritePerUser, &exmdb.WritePerUserRequest{Folder: folder(i), Replica: from, Data: data})
	}
	folders := func(from mapi.GUID) string {
		return fmt.Sprint(call(b, exmdb.OpPerUserFolders, &exmdb.PerUserFoldersRequest{Replica: from}).Folders)
	}
	if r := call(b, exmdb.OpPerUser, &exmdb.PerUserRequest{Folder: folder(1)}); !r.Replica.IsZero() || len(r.Data) != 0 {
		t.Errorf("before anything: %+v", r)
	}
	write(1, replica, set(3))
	write(2, other, set(1))
	write(3, replica, set(2))
	write(3, other, set(2))
	if r := call(b, exmdb.OpPerUser, &exmdb.PerUserRequest{Folder: folder(1)}); r.Replica != replica || string(r.Data) != string(set(3)) {
		t.Errorf("%+v", r)
	}
	if got, want := folders(other), fmt.Sprint([]mapi.GID{folder(2), folder(3)}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	write(2, other, nil)
	write(9, other, nil)
	if got, want := folders(other), fmt.Sprint([]mapi.GID{folder(3)}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	big := set(exmdb.MaxPerUserKept / 3)
	for name, c := range map[string]struct {
		q    exmdb.WritePerUserRequest
		kind cluster.Kind
	}{
		"no set":     {exmdb.WritePerUserRequest{Folder: folder(1), Replica: replica, Data: []byte("x")}, cluster.KindBadRequest},
		"no replica": {exmdb.WritePerUserRequest{Folder: folder(1), Data: set(1)}, cluster.KindBadRequest},
		"a big set":  {exmdb.WritePerUserRequest{Folder: folder(1), Replica: replica, Data: big}, cluster.KindTooLarge},
		"a huge one": {exmdb.WritePerUserRequest{Folder: folder(1), Replica: replica, Data: make([]byte, exmdb.MaxPerUser+1)}, cluster.KindTooLarge},
	} {
		if _, err := try(b, exmdb.OpWritePerUser, &c.q); err == nil || cluster.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := 10; i < 10+exmdb.MaxPerUserFolders-2; i++ {
		write(i, replica, set(1))
	}
	refused(b, exmdb.OpWritePerUser, &exmdb.WritePerUserRequest{Folder: folder(5000), Replica: replica, Data: set(1)}, cluster.KindTooLarge)
	write(10, replica, set(4))
	friend := b.asUser(mapi.NewGUID())
	grantTo(b, schema.Inbox, friend.as.User, exmdb.AllRights)
	refused(friend, exmdb.OpPerUser, &exmdb.PerUserRequest{Folder: folder(1)}, exmdb.KindAccessDenied)
	b.audit("read states are kept")
}
