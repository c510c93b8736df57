package store

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	roleReviewer = exmdb.RightReadAny | exmdb.RightFolderVisible
	roleEditor   = roleAuthor | exmdb.RightEditAny | exmdb.RightDeleteAny
)

// permission makes a change of a list.
func permission(kind exmdb.PermissionChangeKind, id int64, user mapi.GUID, rights exmdb.FolderRights) exmdb.PermissionChange {
	return exmdb.PermissionChange{Kind: kind, Member: exmdb.Member{ID: id, User: user, Rights: rights}}
}

func (b *box) members(fid mapi.FID) map[mapi.GUID]exmdb.Member {
	b.t.Helper()
	found := map[mapi.GUID]exmdb.Member{}
	for _, m := range call(b, exmdb.OpPermissions, &exmdb.FolderRequest{Folder: fid}).Members[2:] {
		found[m.User] = m
	}
	return found
}

// reserved are the rights of the default and the anonymous entry.
func (b *box) reserved(fid mapi.FID) [2]exmdb.FolderRights {
	b.t.Helper()
	m := call(b, exmdb.OpPermissions, &exmdb.FolderRequest{Folder: fid}).Members
	if m[0].ID != exmdb.MemberDefault || m[1].ID != exmdb.MemberAnonymous || !m[0].User.IsZero() || !m[1].User.IsZero() {
		b.t.Fatalf("%+v", m)
	}
	return [2]exmdb.FolderRights{m[0].Rights, m[1].Rights}
}

// asUser is the same mailbox as someone sees it.
func (b *box) asUser(u mapi.GUID, groups ...mapi.GUID) *box {
	other := *b
	other.as = exmdb.Identity{User: u, Groups: groups}
	return &other
}

// ownedBy makes the mailbox somebody's.
func (b *box) ownedBy(owner mapi.GUID) {
	b.t.Helper()
	b.update(func(t *tx) error {
		t.header.Owner = owner
		t.set(schema.HeaderKey(), &t.header)
		return nil
	})
}

func TestModifyPermissions(t *testing.T) {
	b := newBox(t, 0)
	a, c := mapi.NewGUID(), mapi.NewGUID()
	change := func(replace, freeBusy bool, changes ...exmdb.PermissionChange) *exmdb.PermissionsResponse {
		t.Helper()
		return call(b, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: schema.Inbox, Replace: replace, FreeBusy: freeBusy, Changes: changes})
	}
	was := b.folder(schema.Inbox).CN
	r := change(false, false, permission(exmdb.PermissionAdd, 0, a, exmdb.RightEditAny|exmdb.RightDeleteAny|exmdb.RightFreeBusyDetailed),
		permission(exmdb.PermissionAdd, 0, c, roleReviewer), permission(exmdb.PermissionModify, exmdb.MemberDefault, mapi.GUID{}, exmdb.RightFolderVisible),
		permission(exmdb.PermissionAdd, exmdb.MemberAnonymous, mapi.GUID{}, exmdb.RightCreate))
	if r.CN <= was || b.folder(schema.Inbox).CN != r.CN {
		t.Errorf("rights are the folder's own properties: cn %d after %d", r.CN, was)
	}
	first := b.members(schema.Inbox)
	if first[a].Rights != exmdb.RightEditAny|exmdb.RightEditOwned|exmdb.RightDeleteAny|exmdb.RightDeleteOwned || first[c].Rights != roleReviewer || first[a].ID == first[c].ID {
		t.Errorf("%+v", first)
	}
	if got := b.reserved(schema.Inbox); got != [2]exmdb.FolderRights{exmdb.RightFolderVisible, exmdb.RightCreate} {
		t.Errorf("%x", got)
	}
	if again := change(false, false, permission(exmdb.PermissionAdd, 0, c, roleReviewer)); again.CN != r.CN {
		t.Error("what changes nothing moved the folder's cn")
	}
	// Free/busy rights are touched only by who says so.
	change(false, true, permission(exmdb.PermissionModify, first[a].ID, mapi.GUID{}, roleAuthor|exmdb.RightFreeBusyDetailed))
	change(false, false, permission(exmdb.PermissionModify, first[a].ID, mapi.GUID{}, roleReviewer))
	if got := b.members(schema.Inbox)[a].Rights; got != roleReviewer|exmdb.FreeBusyRights {
		t.Errorf("rights %x", got)
	}
	change(false, false, permission(exmdb.PermissionRemove, first[c].ID, mapi.GUID{}, 0), permission(exmdb.PermissionRemove, exmdb.MemberDefault, mapi.GUID{}, 0))
	if got := b.members(schema.Inbox); len(got) != 1 || b.reserved(schema.Inbox)[0] != 0 {
		t.Errorf("%+v", got)
	}
	// A list that is replaced keeps its default entry, and an entry that comes back its free/busy rights.
	change(false, false, permission(exmdb.PermissionModify, exmdb.MemberDefault, mapi.GUID{}, exmdb.RightFolderVisible))
	change(true, false, permission(exmdb.PermissionAdd, 0, a, roleAuthor))
	after := b.members(schema.Inbox)
	if len(after) != 1 || after[a].Rights != roleAuthor|exmdb.FreeBusyRights || after[a].ID == first[a].ID || b.reserved(schema.Inbox) != [2]exmdb.FolderRights{exmdb.RightFolderVisible} {
		t.Errorf("%+v %x", after, b.reserved(schema.Inbox))
	}
}

func TestBadPermissions(t *testing.T) {
	b := newBox(t, 0)
	grantTo(b, schema.Inbox, mapi.GUID{1}, roleReviewer)
	was := call(b, exmdb.OpPermissions, &exmdb.FolderRequest{Folder: schema.Inbox})
	good := permission(exmdb.PermissionAdd, 0, mapi.GUID{2}, roleAuthor)
	long := permission(exmdb.PermissionAdd, 0, mapi.GUID{3}, roleAuthor)
	long.Member.Name = string(make([]byte, maxLabel+1))
	for name, bad := range map[string]struct {
		replace bool
		change  exmdb.PermissionChange
		kind    cluster.Kind
	}{
		"a right that is none":         {false, permission(exmdb.PermissionAdd, 0, mapi.GUID{3}, 0x4000), cluster.KindBadRequest},
		"an entry of nobody":           {false, permission(exmdb.PermissionAdd, 9, mapi.GUID{}, roleAuthor), cluster.KindBadRequest},
		"a kind that is none":          {false, permission(3, 1, mapi.GUID{3}, roleAuthor), cluster.KindBadRequest},
		"a kind of the default entry":  {false, permission(3, 0, mapi.GUID{}, roleAuthor), cluster.KindBadRequest},
		"an entry that is not there":   {false, permission(exmdb.PermissionModify, 99, mapi.GUID{}, roleAuthor), exmdb.KindNoMember},
		"one to remove":                {false, permission(exmdb.PermissionRemove, 99, mapi.GUID{}, 0), exmdb.KindNoMember},
		"a change of a replaced entry": {true, permission(exmdb.PermissionModify, 1, mapi.GUID{}, 0), cluster.KindBadRequest},
		"a long name":                  {false, long, cluster.KindBadRequest},
	} {
		_, err := try(b, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: schema.Inbox, Replace: bad.replace, Changes: []exmdb.PermissionChange{good, bad.change}})
		if cluster.KindOf(err) != bad.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := &exmdb.ModifyPermissionsRequest{Folder: schema.Inbox}
	for i := range maxMembers {
		many.Changes = append(many.Changes, permission(exmdb.PermissionAdd, 0, mapi.GUID{5, byte(i), byte(i >> 8)}, roleReviewer))
	}
	refused(b, exmdb.OpModifyPermissions, many, cluster.KindTooLarge)
	is := call(b, exmdb.OpPermissions, &exmdb.FolderRequest{Folder: schema.Inbox})
	if was.Sequence = is.Sequence; !reflect.DeepEqual(was, is) {
		t.Errorf("a refused change left %+v of %+v", is, was)
	}
	refused(b, exmdb.OpEffectiveRights, &exmdb.EffectiveRightsRequest{Folders: make([]mapi.FID, maxFoldersAsked+1)}, cluster.KindBadRequest)
}

// TestWhoseEntryCounts compares the rights of random callers with the rule: his own entry alone, else what his groups
// have together, else the default one; the anonymous one for who is nobody.
func TestWhoseEntryCounts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	some := func() exmdb.FolderRights { return exmdb.FolderRights(random.Uint32()) & exmdb.AllRights }
	for range 2000 {
		list := schema.Permissions{Default: some(), Anonymous: some()}
		for u := range byte(6) {
			if random.IntN(2) == 0 {
				list.Members = append(list.Members, schema.Member{User: mapi.GUID{u + 1}, Rights: some()})
			}
		}
		as := exmdb.Identity{User: mapi.GUID{byte(random.IntN(4))}, Groups: []mapi.GUID{{byte(4 + random.IntN(3))}, {byte(4 + random.IntN(3))}}}
		own, group := list.Default, false
		joint := exmdb.FolderRights(0)
		for _, m := range list.Members {
			if m.User == as.Groups[0] || m.User == as.Groups[1] {
				joint |= m.Rights
				group = true
			}
		}
		if group {
			own = joint
		}
		for _, m := range list.Members {
			if m.User == as.User {
				own = m.Rights
			}
		}
		if as.User.IsZero() {
			own = list.Anonymous
		}
		if got := granted(&list, &as); got != own {
			t.Fatalf("%+v has %x in %+v, want %x", as, got, list, own)
		}
	}
}

// TestNewFoldersInherit: a folder has the rights of the one it is made in, and who makes one in another's mailbox owns it.
func TestNewFoldersInherit(t *testing.T) {
	b := newBox(t, 0)
	assistant, reader := mapi.NewGUID(), mapi.NewGUID()
	top := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "a"}).Folder.FID
	grantTo(b, top, reader, roleReviewer)
	grantTo(b, top, assistant, exmdb.RightCreateSubfolder|exmdb.RightFolderVisible)
	theirs := call(b.asUser(assistant), exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: top, Name: "b"}).Folder.FID
	got := b.members(theirs)
	if got[reader].Rights != roleReviewer || got[assistant].Rights != exmdb.AllRights&^exmdb.FreeBusyRights {
		t.Errorf("%+v", got)
	}
	if b.members(top)[assistant].Rights != exmdb.RightCreateSubfolder|exmdb.RightFolderVisible {
		t.Error("making a folder changed the rights in the one above it")
	}
	calendar := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.Calendar, Name: "c"}).Folder.FID
	if b.reserved(calendar)[0] != exmdb.RightFreeBusySimple {
		t.Errorf("a calendar in a calendar grants %x", b.reserved(calendar))
	}
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: theirs, Hard: true})
	b.view(func(v *view) error {
		stored, err := v.r.Get(schema.PermissionsKey(theirs))
		if stored != nil {
			t.Error("the rights of a deleted folder are still there")
		}
		return err
	})
}

func TestPublicFoldersAreOpen(t *testing.T) {
	b := newBox(t, 0).again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxPublic})
	news := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "News"}).Folder.FID
	someone, other := b.asUser(mapi.NewGUID()), b.asUser(mapi.NewGUID())
	mine := call(someone, exmdb.OpAppend, &exmdb.AppendRequest{Folder: news, Message: text("x")})
	call(other, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: news, UID: mine.UID, Length: 1})
	if r := call(other, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: news, All: true}); len(r.Vanished) != 0 || !r.Denied {
		t.Errorf("%+v", r)
	}
	refused(other, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "x"}, exmdb.KindAccessDenied)
	anonymous := b.asUser(mapi.GUID{})
	refused(anonymous, exmdb.OpRows, &exmdb.RowsRequest{Folder: news}, exmdb.KindAccessDenied)
	refused(anonymous, exmdb.OpMailboxInfo, &exmdb.Empty{}, exmdb.KindAccessDenied)
	if r := call(someone, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: news, All: true}); len(r.Vanished) != 1 || r.Denied {
		t.Errorf("%+v", r)
	}
}

// TestRightsInFoldersBelow: what is done to a folder with those below it needs its rights in each of them; nothing is done where they
// lack in one.
func TestRightsInFoldersBelow(t *testing.T) {
	b := newBox(t, 0)
	friend := b.asUser(mapi.NewGUID())
	work := b.newBelow(schema.IPMSubtree, "Work")
	below := b.newBelow(b.newBelow(work, "Open"), "Closed")
	for _, fid := range []mapi.FID{schema.IPMSubtree, work, call(b, exmdb.OpFolder, &exmdb.FolderRequest{Folder: below}).Folder.Parent} {
		grantTo(b, fid, friend.as.User, exmdb.AllRights)
	}
	before := b.info()
	refused(friend, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work, Recursive: true}, exmdb.KindAccessDenied)
	refused(friend, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work, Recursive: true, Hard: true}, exmdb.KindAccessDenied)
	refused(friend, exmdb.OpEmptyFolder, &exmdb.EmptyFolderRequest{Folder: work, Folders: true}, exmdb.KindAccessDenied)
	refused(friend, exmdb.OpCopyFolder, &exmdb.CopyFolderRequest{Folder: work, Parent: schema.IPMSubtree, Name: "Copy", Recursive: true}, exmdb.KindAccessDenied)
	refused(friend, exmdb.OpImportDeletes, &exmdb.ImportDeletesRequest{Folder: schema.IPMSubtree, Folders: true,
		SourceKeys: [][]byte{b.key(work.Counter())}}, exmdb.KindAccessDenied)
	if is := b.info(); is.Folders != before.Folders || is.Stamp != before.Stamp {
		t.Errorf("%+v, was %+v", is, before)
	}
	grantTo(b, below, friend.as.User, exmdb.AllRights)
	call(friend, exmdb.OpCopyFolder, &exmdb.CopyFolderRequest{Folder: work, Parent: schema.IPMSubtree, Name: "Copy", Recursive: true})
	call(friend, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work, Recursive: true})
	if is := b.info(); is.Folders != before.Folders {
		t.Errorf("%+v, was %+v", is, before)
	}
}

// TestWhoMadeAnItem: a copy is the copier's, a moved item stays who made it, and the owner's own carry no mark.
func TestWhoMadeAnItem(t *testing.T) {
	b := newBox(t, 0)
	owner, friend := mapi.NewGUID(), mapi.NewGUID()
	b.ownedBy(owner)
	for _, fid := range []mapi.FID{schema.Inbox, schema.Sent} {
		grantTo(b, fid, friend, roleEditor)
	}
	his := b.asUser(friend)
	owns := *b
	owns.as = exmdb.Identity{User: owner, Privileges: exmdb.PrivilegeOwner}
	b.deliver(text("from outside"))
	call(his, exmdb.OpAppend, &exmdb.AppendRequest{Folder: schema.Inbox, Message: text("his")})
	call(&owns, exmdb.OpAppend, &exmdb.AppendRequest{Folder: schema.Inbox, Message: text("the owner's")})
	made := call(his, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Inbox}).State
	for uid, want := range map[mapi.UID]mapi.GUID{1: {}, 2: friend, 3: {}} {
		if got := b.raw(schema.Inbox, uid).Creator; got != want {
			t.Errorf("message %d was made by %v, want %v", uid, got, want)
		}
	}
	if row := b.rowOf(made.MID); row.Creator != friend {
		t.Errorf("a message made by properties: %v", row.Creator)
	}
	call(his, exmdb.OpCopy, &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: ranges(1), Target: schema.Sent})
	call(&owns, exmdb.OpMove, &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: ranges(2), Target: schema.Sent})
	if b.raw(schema.Sent, 1).Creator != friend || b.raw(schema.Sent, 2).Creator != friend {
		t.Error("a copy is the copier's, a moved item stays whose it was")
	}
}

// TestAssociatedMessagesAreTheOwners: rules and views are associated messages, so who may create items may not bring
// them in, by whatever way.
func TestAssociatedMessagesAreTheOwners(t *testing.T) {
	b := newBox(t, 0)
	friend := b.asUser(mapi.NewGUID())
	own := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "his"}).Folder.FID
	grantTo(b, own, friend.as.User, exmdb.AllRights)
	grantTo(b, schema.Inbox, friend.as.User, roleEditor)
	refused(friend, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true}, exmdb.KindAccessDenied)
	rule := friend.create(&exmdb.CreateMessageRequest{Folder: own, Associated: true})
	carry := &exmdb.CarryMessagesRequest{Folder: own, Messages: []mapi.MID{rule.MID}, Target: schema.Inbox}
	if r := call(friend, exmdb.OpCopyMessages, carry); len(r.To) != 0 || !r.Denied {
		t.Errorf("copied: %+v", r)
	}
	if r := call(friend, exmdb.OpMoveMessages, carry); len(r.To) != 0 || !r.Denied {
		t.Errorf("moved: %+v", r)
	}
	theirs := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true})
	refused(friend, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: mid(theirs.MID), Set: bagOf(mapi.PidTagImportance, mapi.Integer32(2))}, exmdb.KindAccessDenied)
	friend.props(mid(theirs.MID))
	grantTo(b, schema.Inbox, friend.as.User, exmdb.AllRights)
	if r := call(friend, exmdb.OpMoveMessages, carry); len(r.To) != 1 || r.Denied {
		t.Errorf("moved by an owner of both: %+v", r)
	}
}

// TestOnlyOwnItems: an author sees all and changes his own; who sees the folder only reads his own.
func TestOnlyOwnItems(t *testing.T) {
	b := newBox(t, 0)
	friend := b.asUser(mapi.NewGUID())
	grantTo(b, schema.Inbox, friend.as.User, roleAuthor)
	b.deliver(text("a"))
	call(friend, exmdb.OpAppend, &exmdb.AppendRequest{Folder: schema.Inbox, Message: text("b")})
	b.deliver(text("c"))
	r := call(friend, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagFlagged}})
	if r.Changed != 1 || !r.Denied || b.raw(schema.Inbox, 2).Bits.Flags()&exmdb.FlagFlagged == 0 {
		t.Errorf("%+v", r)
	}
	if all := friend.rows(schema.Inbox); len(all) != 3 {
		t.Errorf("an author sees %d of 3", len(all))
	}
	access := func(uid mapi.UID) mapi.Value {
		return friend.prop(mid(b.raw(schema.Inbox, uid).MID), mapi.PidTagAccess)
	}
	if access(1) != mapi.Integer32(mapi.AccessRead) || access(2) != mapi.Integer32(mapi.AccessRead|mapi.AccessModify|mapi.AccessDelete) {
		t.Errorf("%v %v", access(1), access(2))
	}
	grantTo(b, schema.Inbox, friend.as.User, exmdb.RightFolderVisible)
	if own := friend.rows(schema.Inbox); len(own) != 1 || own[0].UID != 2 {
		t.Errorf("%+v", own)
	}
	refused(friend, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(b.raw(schema.Inbox, 1).MID)}, exmdb.KindAccessDenied)
	ch := call(friend, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: schema.Inbox})
	if len(ch.Rows) != 1 || ch.Rows[0].UID != 2 {
		t.Errorf("%+v", ch.Rows)
	}
	in := exmdb.ObjectID{Folder: schema.Inbox}
	if got := friend.prop(in, mapi.PidTagAccess); got != mapi.Integer32(mapi.AccessRead) {
		t.Errorf("access %v", got)
	}
	if got := friend.prop(in, mapi.PidTagRights); got != mapi.Integer32(exmdb.RightFolderVisible) {
		t.Errorf("rights %v", got)
	}
	if got := b.prop(in, mapi.PidTagRights); got != mapi.Integer32(exmdb.AllRights&^exmdb.FreeBusyRights) {
		t.Errorf("the system's rights %v", got)
	}
}

// TestHierarchyShowsWhatIsVisible: only visible folders are listed, and the mailbox's own bag is its owner's.
func TestHierarchyShowsWhatIsVisible(t *testing.T) {
	b := newBox(t, 0)
	friend := b.asUser(mapi.NewGUID(), mapi.GUID{7})
	grantTo(b, schema.Inbox, mapi.GUID{7}, roleReviewer)
	grantTo(b, schema.Sent, friend.as.User, exmdb.RightFolderOwner)
	grantTo(b, schema.Drafts, friend.as.User, exmdb.RightCreate|exmdb.RightFreeBusyDetailed)
	listed := map[mapi.FID]bool{}
	for _, f := range call(friend, exmdb.OpListFolders, &exmdb.ListFoldersRequest{}).Folders {
		listed[f.FID] = true
	}
	if len(listed) != 2 || !listed[schema.Inbox] || !listed[schema.Sent] {
		t.Errorf("%v", listed)
	}
	b.write(exmdb.ObjectID{}, mapi.PidTagComment, mapi.String("the owner's"))
	if friend.prop(exmdb.ObjectID{}, mapi.PidTagComment) != nil || friend.prop(exmdb.ObjectID{}, mapi.PidTagMappingSignature) == nil {
		t.Error("of the mailbox's properties only the computed ones are for others")
	}
}
