package store

import (
	"context"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
)

func (b *box) importing(q exmdb.ImportMessageRequest, want exmdb.ImportOutcome) *exmdb.ImportResponse {
	b.t.Helper()
	r := call(b, exmdb.OpImportMessage, &q)
	if r.Outcome != want {
		b.t.Fatalf("outcome %d, want %d", r.Outcome, want)
	}
	return r
}

// TestImportMessages: new ones, newer ones, the same once more, conflicts, and what was deleted.
func TestImportMessages(t *testing.T) {
	b := newBox(t, 0)
	client := offline{guid: mapi.GUID{7}}
	var st oxcfxics.State
	scope := exmdb.SyncScope{Flags: syncAll}
	for _, associated := range []bool{false, true} {
		q := exmdb.ImportMessageRequest{Folder: schema.Inbox, SourceKey: b.granted(), Version: client.edit(nil, b.now), Associated: associated, Message: subjectEdit("first")}
		r := b.importing(q, exmdb.ImportApplied)
		if string(r.Source.Append(nil)) != string(q.SourceKey) || r.State.Associated != associated || string(r.State.ChangeKey) != string(q.Version.ChangeKey) {
			t.Fatalf("%+v", r)
		}
		r.Note(&st)
		b.quiet(schema.Inbox, scope, &st)
		b.importing(q, exmdb.ImportIgnored)
		pcl, err := mapi.ParsePCL(q.Version.PCL)
		if err != nil {
			t.Fatal(err)
		}
		q.Version, q.Message = client.edit(pcl, b.now.Add(time.Minute)), subjectEdit("second")
		b.importing(q, exmdb.ImportApplied).Note(&st)
		b.quiet(schema.Inbox, scope, &st)

		other := offline{guid: mapi.GUID{8}}
		rival := q
		rival.Version, rival.Message, rival.FailOnConflict = other.edit(pcl, b.now.Add(time.Hour)), subjectEdit("rival"), true
		refused(b, exmdb.OpImportMessage, &rival, exmdb.KindConflict)
		rival.FailOnConflict = false
		b.importing(rival, exmdb.ImportConflict)
		if got := b.sync(schema.Inbox, scope, &st, 0); len(got.Changes) != 1 || got.Changes[0].New {
			t.Fatalf("%+v", got)
		}
		q.Associated = !associated
		refused(b, exmdb.OpImportMessage, &q, cluster.KindBadRequest)
		q.Associated, q.Folder = associated, schema.Drafts
		refused(b, exmdb.OpImportMessage, &q, exmdb.KindNoMessage)
		q.Folder = schema.Inbox
		deletes := &exmdb.ImportDeletesRequest{Folder: schema.Inbox, SourceKeys: [][]byte{q.SourceKey}, Hard: associated}
		if r := call(b, exmdb.OpImportDeletes, deletes); r.Deleted != 1 {
			t.Fatalf("%+v", r)
		}
		if r := call(b, exmdb.OpImportDeletes, deletes); r.Deleted != 0 {
			t.Fatalf("%+v", r)
		}
		refused(b, exmdb.OpImportMessage, &q, exmdb.KindObjectDeleted)
		if got := b.sync(schema.Inbox, scope, &st, 0); !got.Deleted.Equal(b.idsOf(r.State.MID)) {
			t.Fatalf("%+v", got)
		}
	}
	// What is deleted before it was ever brought does not come.
	q := exmdb.ImportMessageRequest{Folder: schema.Inbox, SourceKey: b.granted(), Version: client.edit(nil, b.now), Message: subjectEdit("late")}
	call(b, exmdb.OpImportDeletes, &exmdb.ImportDeletesRequest{Folder: schema.Inbox, SourceKeys: [][]byte{q.SourceKey}})
	refused(b, exmdb.OpImportMessage, &q, exmdb.KindObjectDeleted)
	b.audit("imports of messages")
}

// TestReadersBuryNothing: a deletion of what was never here is noted for who might have made it, and not for who only sees the
// folder: else he kept others from bringing what they made.
func TestReadersBuryNothing(t *testing.T) {
	b := newBox(t, 0)
	reader, client := b.asUser(mapi.NewGUID()), offline{guid: mapi.GUID{7}}
	for _, c := range []struct {
		rights        exmdb.FolderRights
		keepsMessages bool
		keepsFolders  bool
	}{
		{roleReviewer, false, false}, {roleReviewer | exmdb.RightCreate | exmdb.RightEditAny, false, false},
		{roleReviewer | exmdb.RightDeleteOwned, true, false}, {roleReviewer | exmdb.RightCreateSubfolder, false, true},
	} {
		grantTo(b, schema.Inbox, reader.as.User, c.rights)
		mail := exmdb.ImportMessageRequest{Folder: schema.Inbox, SourceKey: b.granted(), Version: client.edit(nil, b.now), Message: subjectEdit("x")}
		folder := exmdb.ImportFolderRequest{Parent: schema.Inbox, SourceKey: b.granted(), Version: client.edit(nil, b.now), Name: "below"}
		for key, folders := range map[*[]byte]bool{&mail.SourceKey: false, &folder.SourceKey: true} {
			call(reader, exmdb.OpImportDeletes, &exmdb.ImportDeletesRequest{Folder: schema.Inbox, Folders: folders, SourceKeys: [][]byte{*key}})
		}
		_, merr := try(b, exmdb.OpImportMessage, &mail)
		_, ferr := try(b, exmdb.OpImportFolder, &folder)
		if (merr != nil) != c.keepsMessages || (ferr != nil) != c.keepsFolders {
			t.Errorf("with rights %#x: message %v, folder %v", c.rights, merr, ferr)
		}
		call(b, exmdb.OpImportDeletes, &exmdb.ImportDeletesRequest{Folder: schema.Inbox, Folders: true, SourceKeys: [][]byte{folder.SourceKey}})
	}
}

// TestImportMoves: a move keeps what the client knows, a second one changes nothing, and versions that meet in it are told
// apart.
func TestImportMoves(t *testing.T) {
	b := newBox(t, 0)
	client := offline{guid: mapi.GUID{7}}
	move := func(st exmdb.MessageState, pcl mapi.PCL) (*exmdb.ImportMoveRequest, mapi.XID) {
		client.last++
		key := mapi.ChangeKey(client.guid, client.last)
		return &exmdb.ImportMoveRequest{Folder: schema.Sent, From: schema.Inbox, SourceKey: b.key(st.MID.Counter()), Target: b.granted(),
			PCL: pcl.Append(nil), ChangeKey: key.Append(nil)}, key
	}
	var inbox, sent oxcfxics.State
	scope := exmdb.SyncScope{Flags: syncAll}
	st := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: subjectEdit("one")})
	b.sync(schema.Inbox, scope, &inbox, 0)
	b.sync(schema.Sent, scope, &sent, 0)
	q, key := move(st, b.pcl(st.MID))
	r := call(b, exmdb.OpImportMove, q)
	if r.Outcome != exmdb.ImportApplied || string(r.State.ChangeKey) != string(key.Append(nil)) || r.State.Folder != schema.Sent || r.State.Object != st.Object {
		t.Fatalf("%+v", r)
	}
	inbox.Given = inbox.Given.Minus(b.idsOf(st.MID))
	r.Note(&sent)
	b.quiet(schema.Inbox, scope, &inbox)
	b.quiet(schema.Sent, scope, &sent)
	if again := call(b, exmdb.OpImportMove, q); again.Outcome != exmdb.ImportIgnored || again.State.MID != r.State.MID {
		t.Fatalf("%+v", again)
	}
	elsewhere, _ := move(st, nil)
	elsewhere.Folder = schema.Drafts
	refused(b, exmdb.OpImportMove, elsewhere, exmdb.KindObjectDeleted)

	// The mailbox has a change that the client has not: it is moved, and the client is to fetch it.
	st = b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: subjectEdit("two")})
	q, _ = move(st, b.pcl(st.MID))
	b.write(mid(st.MID), mapi.PidTagSubject, mapi.String("changed meanwhile"))
	if r = call(b, exmdb.OpImportMove, q); r.Outcome != exmdb.ImportConflict || b.prop(mid(r.State.MID), mapi.PidTagSubject) != mapi.String("changed meanwhile") {
		t.Fatalf("%+v", r)
	}
	// The client has one that the mailbox has not: it is moved as it is, and what the client brings then is upon it.
	st = b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: subjectEdit("three")})
	edited := client.edit(b.pcl(st.MID), b.now)
	newer, err := mapi.ParsePCL(edited.PCL)
	if err != nil {
		t.Fatal(err)
	}
	before := b.pcl(st.MID)
	q, _ = move(st, newer)
	if r = call(b, exmdb.OpImportMove, q); r.Outcome != exmdb.ImportClientNewer || b.pcl(r.State.MID).Compare(before) != mapi.PCLEqual {
		t.Fatalf("%+v", r)
	}
	b.importing(exmdb.ImportMessageRequest{Folder: schema.Sent, SourceKey: q.Target, Version: edited, Message: subjectEdit("three by the client")}, exmdb.ImportApplied)

	for name, bad := range map[string]exmdb.ImportMoveRequest{
		"to where it is": {Folder: schema.Sent, From: schema.Sent, SourceKey: q.SourceKey, Target: b.granted(), ChangeKey: q.ChangeKey},
		"under its id":   {Folder: schema.Sent, From: schema.Inbox, SourceKey: q.SourceKey, Target: q.SourceKey, ChangeKey: q.ChangeKey},
		"no change key":  {Folder: schema.Sent, From: schema.Inbox, SourceKey: q.SourceKey, Target: b.granted()},
		"half a list":    {Folder: schema.Sent, From: schema.Inbox, SourceKey: q.SourceKey, Target: b.granted(), ChangeKey: q.ChangeKey, PCL: []byte{40, 1}},
		"no id":          {Folder: schema.Sent, From: schema.Inbox, SourceKey: q.SourceKey, Target: []byte("x"), ChangeKey: q.ChangeKey},
	} {
		if _, err := try(b, exmdb.OpImportMove, &bad); cluster.KindOf(err) != cluster.KindBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.audit("imports of moves")
}

// TestImportMovesTellWhatWasRead: a client that moves a message which was read meanwhile is told so where it has moved it to.
func TestImportMovesTellWhatWasRead(t *testing.T) {
	for _, perUser := range []bool{false, true} {
		b := newBox(t, 0)
		b.as.User = mapi.GUID{1}
		call(b, exmdb.OpSetReadState, &exmdb.SetReadStateRequest{PerUser: perUser})
		var inbox, sent oxcfxics.State
		scope := exmdb.SyncScope{Flags: syncAll}
		mail := b.deliver(text("x"))
		b.sync(schema.Inbox, scope, &inbox, 0)
		b.sync(schema.Sent, scope, &sent, 0)
		b.flags(exmdb.FlagsAdd, exmdb.FlagSeen, nil, mail.UID)
		pcl := b.pcl(mail.MID)
		client := offline{guid: mapi.GUID{7}}
		r := call(b, exmdb.OpImportMove, &exmdb.ImportMoveRequest{Folder: schema.Sent, From: schema.Inbox, SourceKey: b.key(mail.MID.Counter()),
			Target: b.granted(), PCL: pcl.Append(nil), ChangeKey: client.edit(pcl, b.now).ChangeKey})
		r.Note(&sent)
		got := b.sync(schema.Sent, scope, &sent, 0)
		if r.Outcome != exmdb.ImportApplied || len(got.Changes) != 0 || !got.Read.Equal(b.idsOf(r.State.MID)) || !got.Unread.IsEmpty() {
			t.Errorf("each his own %v: %v, told of %d changes, read %v, unread %v", perUser, r.Outcome, len(got.Changes), got.Read, got.Unread)
		}
		b.quiet(schema.Sent, scope, &sent)
		if f := b.folder(schema.Sent); f.Messages != 1 || f.Unseen != 0 {
			t.Errorf("each his own %v: %d messages, %d unread", perUser, f.Messages, f.Unseen)
		}
	}
}

// TestImportMovesDescribeWhatIsRead: a move that was made before is answered with the message, for who may read it.
func TestImportMovesDescribeWhatIsRead(t *testing.T) {
	b := newBox(t, 0)
	someone, client := b.asUser(mapi.NewGUID()), offline{guid: mapi.GUID{7}}
	there := b.create(&exmdb.CreateMessageRequest{Folder: schema.Sent, Message: subjectEdit("the owner's")})
	q := &exmdb.ImportMoveRequest{Folder: schema.Sent, From: schema.Inbox, SourceKey: b.granted(), Target: b.key(there.MID.Counter()),
		ChangeKey: client.edit(nil, b.now).ChangeKey}
	grantTo(b, schema.Inbox, someone.as.User, exmdb.AllRights)
	grantTo(b, schema.Sent, someone.as.User, exmdb.AllRights&^exmdb.RightReadAny)
	refused(someone, exmdb.OpImportMove, q, exmdb.KindObjectDeleted)
	grantTo(b, schema.Sent, someone.as.User, exmdb.RightCreate|exmdb.RightReadAny)
	if r := call(someone, exmdb.OpImportMove, q); r.Outcome != exmdb.ImportIgnored || r.State.MID != there.MID {
		t.Errorf("%+v", r)
	}
}

// TestImportReadStates: they are the caller's own where read state is, and nobody is told of what he said himself.
func TestImportReadStates(t *testing.T) {
	b, news, anna, bob := newPublic(t)
	m := call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: news, Message: text("x")})
	scope := exmdb.SyncScope{Flags: syncAll}
	var hers, his oxcfxics.State
	anna.sync(news, scope, &hers, 0)
	bob.sync(news, scope, &his, 0)
	q := &exmdb.ImportReadStatesRequest{Folder: news, Changes: []exmdb.ReadStateChange{{SourceKey: b.key(m.MID.Counter()), Read: true},
		{SourceKey: b.granted(), Read: true}, {SourceKey: mapi.GID{Replica: mapi.GUID{5}, Counter: 5}.Append(nil), Read: true}}}
	other := hers.Read.Clone()
	r := call(anna, exmdb.OpImportReadStates, q)
	hers.Read = hers.Read.Union(r.Changes)
	if r.Changes.Len() != 1 || call(anna, exmdb.OpImportReadStates, q).Changes.Len() != 0 {
		t.Fatalf("%+v", r)
	}
	anna.quiet(news, scope, &hers)
	bob.quiet(news, scope, &his)
	second := oxcfxics.State{Given: hers.Given.Clone(), Seen: hers.Seen.Clone(), SeenFAI: hers.SeenFAI.Clone(), Read: other}
	if got := anna.sync(news, scope, &second, 0); !got.Read.Equal(b.idsOf(m.MID)) || len(got.Changes) != 0 {
		t.Fatalf("her other client is told %+v", got)
	}
	q.Changes[0].SourceKey = []byte{1}
	refused(anna, exmdb.OpImportReadStates, q, cluster.KindBadRequest)
}

// folders downloads the hierarchy below a folder.
func (b *box) folders(root mapi.FID, st *oxcfxics.State, limit uint32) (names []string, deleted mapi.IDSET) {
	b.t.Helper()
	s := exmdb.HierarchySync{Caller: b, As: b.as, Box: mapi.MailboxID(b.id), Folder: root, State: *st, Limit: limit, Tags: []mapi.Tag{mapi.PidTagComment}}
	for !s.Done {
		page, err := s.Next(context.Background())
		if err != nil || len(names) > 1000 {
			b.t.Fatal(len(names), err)
		}
		for _, f := range page.Folders {
			names = append(names, f.Name)
		}
		deleted = deleted.Union(page.Deleted)
	}
	*st = s.State
	return names, deleted
}

func (b *box) expectFolders(root mapi.FID, st *oxcfxics.State, want ...string) mapi.IDSET {
	b.t.Helper()
	names, deleted := b.folders(root, st, 1)
	if len(names) != len(want) {
		b.t.Fatalf("folders %q, want %q", names, want)
	}
	for i := range want {
		if names[i] != want[i] {
			b.t.Fatalf("folders %q, want %q", names, want)
		}
	}
	return deleted
}

// TestSyncHierarchy: parents come first, and every way in which a folder changes is told.
func TestSyncHierarchy(t *testing.T) {
	b := newBox(t, 0)
	top := b.newBelow(schema.IPMSubtree, "Top")
	one := b.newBelow(top, "one")
	two := b.newBelow(one, "two")
	var st oxcfxics.State
	b.expectFolders(top, &st, "one", "two")
	if d := b.expectFolders(top, &st); !d.IsEmpty() {
		t.Fatal(d)
	}
	above := b.newBelow(top, "above")
	call(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: one, Parent: above, Name: "one"})
	b.expectFolders(top, &st, "above", "one")
	b.write(exmdb.ObjectID{Folder: two}, mapi.PidTagComment, mapi.String("x"))
	b.expectFolders(top, &st, "two")
	b.deliver(text("x")) // what is inside folders is not the hierarchy's
	b.expectFolders(top, &st)
	call(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: two, Parent: schema.IPMSubtree, Name: "two"})
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: one})
	if d := b.expectFolders(top, &st); d.Len() != 2 || st.Given.Len() != 1 {
		t.Fatal(d, st.Given)
	}
	// After a restore a client that has seen what was lost starts anew.
	b.raiseEpoch()
	b.expectFolders(top, &st)
	former := st.Seen.Replicas()
	for _, r := range former {
		if r.Set.Highest() < mapi.GlobalCounter(epochStep) {
			st.Seen.AddRange(r.Replica, r.Set.Highest()+1, r.Set.Highest()+9)
			break
		}
	}
	b.expectFolders(top, &st, "above")
	b.expectFolders(top, &st)

	stranger := b.asUser(mapi.NewGUID())
	grantTo(b, top, stranger.as.User, exmdb.RightFolderVisible)
	var theirs oxcfxics.State
	stranger.expectFolders(top, &theirs)
	grantTo(b, above, stranger.as.User, exmdb.RightFolderVisible)
	stranger.expectFolders(top, &theirs, "above")
	call(b, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: above, Replace: true})
	if d := stranger.expectFolders(top, &theirs); d.Len() != 1 {
		t.Fatal(d)
	}
}

// TestImportFolders: new ones, renames, moves, conflicts by time, and what cannot be.
func TestImportFolders(t *testing.T) {
	b := newBox(t, 0)
	top := b.newBelow(schema.IPMSubtree, "Top")
	client, other := offline{guid: mapi.GUID{7}}, offline{guid: mapi.GUID{8}}
	var st oxcfxics.State
	q := exmdb.ImportFolderRequest{Parent: top, SourceKey: b.granted(), Version: client.edit(nil, b.now), Name: "one", Set: bagOf(mapi.PidTagComment, mapi.String("c"))}
	r := call(b, exmdb.OpImportFolder, &q)
	r.Note(&st)
	if r.Outcome != exmdb.ImportApplied || b.prop(exmdb.ObjectID{Folder: r.FID}, mapi.PidTagComment) != mapi.String("c") {
		t.Fatalf("%+v", r)
	}
	b.expectFolders(top, &st)
	if again := call(b, exmdb.OpImportFolder, &q); again.Outcome != exmdb.ImportIgnored {
		t.Fatalf("%+v", again)
	}
	base, err := mapi.ParsePCL(q.Version.PCL)
	if err != nil {
		t.Fatal(err)
	}
	below := exmdb.ImportFolderRequest{Parent: r.FID, SourceKey: b.granted(), Version: client.edit(nil, b.now), Name: "below"}
	inner := call(b, exmdb.OpImportFolder, &below)
	inner.Note(&st)
	for name, c := range map[string]struct {
		q    exmdb.ImportFolderRequest
		kind cluster.Kind
	}{
		"below itself":   {exmdb.ImportFolderRequest{Parent: inner.FID, SourceKey: q.SourceKey, Version: client.edit(base, b.now), Name: "one"}, exmdb.KindCycle},
		"a name taken":   {exmdb.ImportFolderRequest{Parent: top, SourceKey: b.granted(), Version: client.edit(nil, b.now), Name: "ONE"}, exmdb.KindFolderExists},
		"no parent":      {exmdb.ImportFolderRequest{Parent: mapi.LocalFID(0x999), SourceKey: b.granted(), Version: client.edit(nil, b.now), Name: "x"}, exmdb.KindNoFolder},
		"a fixed one":    {exmdb.ImportFolderRequest{Parent: top, SourceKey: b.key(schema.Inbox.Counter()), Version: client.edit(nil, b.now.Add(time.Hour)), Name: "x"}, exmdb.KindFixedFolder},
		"an id of none":  {exmdb.ImportFolderRequest{Parent: top, SourceKey: b.key(1 << 40), Version: someVersion(), Name: "x"}, cluster.KindBadRequest},
		"another's id":   {exmdb.ImportFolderRequest{Parent: top, SourceKey: mapi.GID{Replica: mapi.GUID{3}, Counter: 9}.Append(nil), Version: someVersion(), Name: "x"}, cluster.KindBadRequest},
		"no change key":  {exmdb.ImportFolderRequest{Parent: top, SourceKey: b.granted(), Name: "x"}, cluster.KindBadRequest},
		"no name at all": {exmdb.ImportFolderRequest{Parent: top, SourceKey: b.granted(), Version: someVersion()}, exmdb.KindBadName},
	} {
		if _, err := try(b, exmdb.OpImportFolder, &c.q); cluster.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Two rename it: the later name stands, whichever comes first.
	late, early := q, q
	late.Version, late.Name = client.edit(base, b.now.Add(time.Hour)), "late"
	early.Version, early.Name = other.edit(base, b.now.Add(time.Minute)), "early"
	call(b, exmdb.OpImportFolder, &late)
	if c := call(b, exmdb.OpImportFolder, &early); c.Outcome != exmdb.ImportConflict || b.folder(r.FID).Name != "late" {
		t.Fatalf("%+v", c)
	}
	third := offline{guid: mapi.GUID{9}}
	middle := q
	middle.Version, middle.Name = third.edit(base, b.now.Add(2*time.Minute)), "middle"
	if c := call(b, exmdb.OpImportFolder, &middle); c.Outcome != exmdb.ImportConflict || b.folder(r.FID).Name != "late" {
		t.Fatalf("%+v", c)
	}
	b.expectFolders(top, &st, "late")

	fixed := &exmdb.ImportDeletesRequest{Folder: schema.IPMSubtree, Folders: true, SourceKeys: [][]byte{q.SourceKey, b.key(schema.Inbox.Counter())}}
	refused(b, exmdb.OpImportDeletes, fixed, exmdb.KindFixedFolder)
	never := b.granted()
	deletes := &exmdb.ImportDeletesRequest{Folder: top, Folders: true, SourceKeys: [][]byte{q.SourceKey, below.SourceKey, never}}
	if d := call(b, exmdb.OpImportDeletes, deletes); d.Deleted != 2 || call(b, exmdb.OpImportDeletes, deletes).Deleted != 0 {
		t.Fatalf("%+v", d)
	}
	for _, key := range [][]byte{q.SourceKey, never} {
		refused(b, exmdb.OpImportFolder, &exmdb.ImportFolderRequest{Parent: top, SourceKey: key, Version: someVersion(), Name: "back"}, exmdb.KindObjectDeleted)
	}
	if d := b.expectFolders(top, &st); d.Len() != 2 {
		t.Fatal(d)
	}
	b.audit("imports of folders")
}

// TestSyncAfterRestore: a client that has seen what was lost is told everything anew, and to delete what is not there.
func TestSyncAfterRestore(t *testing.T) {
	b := newBox(t, 0)
	m := b.deliver(text("x"))
	var st oxcfxics.State
	scope := exmdb.SyncScope{Flags: syncAll}
	b.sync(schema.Inbox, scope, &st, 0)
	old, err := mapi.ParseGID(b.key(m.MID.Counter()))
	if err != nil {
		t.Fatal(err)
	}
	b.raiseEpoch()
	same := oxcfxics.State{Given: st.Given.Clone(), Seen: st.Seen.Clone(), SeenFAI: st.SeenFAI.Clone(), Read: st.Read.Clone()}
	b.quiet(schema.Inbox, scope, &same)
	last := st.Seen.Of(old.Replica).Highest()
	lost := mapi.GID{Replica: old.Replica, Counter: last + 1}
	st.Given.Add(lost)
	st.Seen.AddRange(old.Replica, last+1, last+2)
	got := b.sync(schema.Inbox, scope, &st, 0)
	if len(got.Changes) != 1 || got.Changes[0].New || !got.Deleted.Equal(mapi.IDSETOfIDs([]mapi.GID{lost})) {
		t.Fatalf("%+v", got)
	}
	b.quiet(schema.Inbox, scope, &st)
	refused(b, exmdb.OpImportMessage, &exmdb.ImportMessageRequest{Folder: schema.Inbox, SourceKey: lost.Append(nil), Version: someVersion()}, exmdb.KindStaleToken)
	stale := &exmdb.SyncContentsRequest{Folder: schema.Inbox, Scope: scope, Cursor: exmdb.SyncCursor{Phase: exmdb.SyncChanged, Stamp: mapi.Stamp(last)}}
	refused(b, exmdb.OpSyncContents, stale, exmdb.KindStaleToken)
}

// TestSyncRights: what the caller comes to see is brought, though it has not changed, and what he no longer sees goes.
func TestSyncRights(t *testing.T) {
	b := newBox(t, 0)
	work := b.newBelow(schema.IPMSubtree, "Work")
	theirs := call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: work, Message: text("x")})
	who := b.asUser(mapi.NewGUID())
	rights := func(r exmdb.FolderRights) { grantTo(b, work, who.as.User, r) }
	rights(exmdb.RightFolderVisible | exmdb.RightCreate | exmdb.RightEditOwned)
	mine := call(who, exmdb.OpAppend, &exmdb.AppendRequest{Folder: work, Message: text("mine")})
	var st oxcfxics.State
	scope := exmdb.SyncScope{Flags: syncAll}
	if got := who.sync(work, scope, &st, 0); len(got.Changes) != 1 || got.Changes[0].State.MID != mine.MID {
		t.Fatalf("%+v", got)
	}
	rights(exmdb.RightReadAny)
	if got := who.sync(work, scope, &st, 0); len(got.Changes) != 1 || got.Changes[0].State.MID != theirs.MID {
		t.Fatalf("%+v", got)
	}
	rights(exmdb.RightFolderVisible)
	if got := who.sync(work, scope, &st, 0); !got.Deleted.Equal(b.idsOf(theirs.MID)) || len(got.Changes) != 0 {
		t.Fatalf("%+v", got)
	}
	who.quiet(work, scope, &st)
	rights(0)
	refused(who, exmdb.OpSyncContents, &exmdb.SyncContentsRequest{Folder: work, Scope: scope}, exmdb.KindAccessDenied)
}

// TestSyncState: the state of a folder without its data is that of a client that has everything.
func TestSyncState(t *testing.T) {
	b := newBox(t, 0)
	for range 5 {
		b.deliver(text("x"))
	}
	var st, hierarchy oxcfxics.State
	scope := exmdb.SyncScope{Flags: syncAll | exmdb.SyncStateOnly}
	if got := b.sync(schema.Inbox, scope, &st, 0); len(got.Changes) != 0 || st.Given.Len() != 5 {
		t.Fatalf("%+v, %v", got, st.Given)
	}
	b.quiet(schema.Inbox, exmdb.SyncScope{Flags: syncAll}, &st)
	s := exmdb.HierarchySync{Caller: b, As: b.as, Box: mapi.MailboxID(b.id), Folder: schema.IPMSubtree, Flags: exmdb.SyncStateOnly}
	if page, err := s.Next(context.Background()); err != nil || len(page.Folders) > 0 || s.State.Given.Len() < 10 || !s.Done {
		t.Fatal(page, err)
	}
	hierarchy = s.State
	b.expectFolders(schema.IPMSubtree, &hierarchy)
}

// TestSyncRefuses: what is malformed gets a kind, and leaves nothing behind.
func TestSyncRefuses(t *testing.T) {
	b := newBox(t, 0)
	b.deliver(text("x"))
	type raw struct {
		Folder mapi.FID `wire:"1"`
		Seen   []byte   `wire:"3"`
		Given  []byte   `wire:"6"`
	}
	malformed := exmdb.Op[raw, exmdb.SyncContentsResponse]{OpInfo: exmdb.OpSyncContents.OpInfo}
	for _, q := range []*raw{{Folder: schema.Inbox, Seen: []byte{1, 2, 3}}, {Folder: schema.Inbox, Given: make([]byte, 40)}} {
		refused(b, malformed, q, cluster.KindBadRequest)
	}
	for _, q := range []*exmdb.SyncContentsRequest{
		{Folder: schema.Inbox, Scope: exmdb.SyncScope{Flags: 1 << 31}}, {Folder: schema.Inbox, Cursor: exmdb.SyncCursor{Phase: 99}},
		{Folder: schema.Inbox, Scope: exmdb.SyncScope{Tags: make([]mapi.Tag, maxSyncTags+1)}},
	} {
		refused(b, exmdb.OpSyncContents, q, cluster.KindBadRequest)
	}
	refused(b, exmdb.OpSyncContents, &exmdb.SyncContentsRequest{Folder: schema.Inbox, Cursor: exmdb.SyncCursor{Phase: exmdb.SyncGone, Stamp: 1 << 40}}, exmdb.KindStaleToken)
	refused(b, exmdb.OpSyncHierarchy, &exmdb.SyncHierarchyRequest{Folder: schema.IPMSubtree, Flags: 1 << 31}, cluster.KindBadRequest)
	refused(b, exmdb.OpImportDeletes, &exmdb.ImportDeletesRequest{Folder: schema.Inbox, SourceKeys: make([][]byte, maxImports+1)}, cluster.KindBadRequest)
	refused(b, exmdb.OpImportReadStates, &exmdb.ImportReadStatesRequest{Folder: schema.Inbox, Changes: make([]exmdb.ReadStateChange, maxImports+1)}, cluster.KindBadRequest)
	for name, v := range map[string]exmdb.ImportedVersion{"no change key": {}, "half a list": {ChangeKey: someVersion().ChangeKey, PCL: []byte{30, 1}}} {
		q := &exmdb.ImportMessageRequest{Folder: schema.Inbox, SourceKey: b.granted(), Version: v}
		if _, err := try(b, exmdb.OpImportMessage, q); cluster.KindOf(err) != cluster.KindBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(b.rows(schema.Inbox)); n != 1 {
		t.Errorf("%d messages", n)
	}
	b.audit("refusals")
}
