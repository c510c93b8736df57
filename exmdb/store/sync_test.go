package store

import (
	"context"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
)

// key is the source key of an object of the mailbox.
func (b *box) key(c mapi.GlobalCounter) []byte {
	b.t.Helper()
	var id mapi.GID
	err := b.rep.View(context.Background(), b.id, space.ReadLease, func(r space.Reader) error {
		v, err := New(b.config).open(r, &exmdb.System, rightAdminister)
		if err == nil {
			id, err = v.gid(c)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return id.Append(nil)
}

// granted is a source key that a client may use.
func (b *box) granted() []byte {
	b.t.Helper()
	system := *b
	system.as = exmdb.System
	g := call(&system, exmdb.OpLocalReplicaIDs, &exmdb.LocalReplicaIDsRequest{Count: 1})
	return mapi.GID{Replica: g.Replica, Counter: g.First}.Append(nil)
}

// someVersion is a version of a replica that nobody has met.
func someVersion() exmdb.ImportedVersion {
	client := offline{guid: mapi.NewGUID()}
	return client.edit(nil, time.Unix(1.8e9, 0))
}

const syncAll = exmdb.SyncNormal | exmdb.SyncAssociated | exmdb.SyncReadState

// synced is what a download brought.
type synced struct {
	exmdb.SyncedContents
	pages int
}

// sync downloads a folder and moves the state on.
func (b *box) sync(fid mapi.FID, scope exmdb.SyncScope, st *oxcfxics.State, limit uint32) (all synced) {
	b.t.Helper()
	s := exmdb.ContentsSync{Caller: b, As: b.as, Box: mapi.MailboxID(b.id), Folder: fid, Scope: scope, State: *st, Limit: limit}
	for !s.Done {
		page, err := s.Next(context.Background())
		if err != nil {
			b.t.Fatal(err)
		}
		if limit != 0 && len(page.Changes) > int(limit) || all.pages > 10_000 {
			b.t.Fatalf("%d changes in page %d", len(page.Changes), all.pages)
		}
		all.pages++
		all.Changes = append(all.Changes, page.Changes...)
		all.Deleted, all.NoLongerInScope = all.Deleted.Union(page.Deleted), all.NoLongerInScope.Union(page.NoLongerInScope)
		all.Read, all.Unread = all.Read.Union(page.Read), all.Unread.Union(page.Unread)
		if page.Progress != nil {
			all.Progress = page.Progress
		}
	}
	*st = s.State
	return all
}

// quiet fails if there is anything new.
func (b *box) quiet(fid mapi.FID, scope exmdb.SyncScope, st *oxcfxics.State) {
	b.t.Helper()
	given := st.Given
	if got := b.sync(fid, scope, st, 0); len(got.Changes) > 0 || !got.Deleted.IsEmpty() || !got.NoLongerInScope.IsEmpty() || !got.Read.IsEmpty() || !got.Unread.IsEmpty() {
		b.t.Fatalf("nothing has happened: %+v", got)
	}
	if !st.Given.Equal(given) {
		b.t.Fatalf("the client has other objects than before: %v, %v", st.Given, given)
	}
}

func (all *synced) mids() (list []mapi.MID) {
	for i := range all.Changes {
		list = append(list, all.Changes[i].State.MID)
	}
	return list
}

func (b *box) idsOf(mids ...mapi.MID) mapi.IDSET {
	b.t.Helper()
	var list []mapi.GID
	for _, m := range mids {
		id, err := mapi.ParseGID(b.key(m.Counter()))
		if err != nil {
			b.t.Fatal(err)
		}
		list = append(list, id)
	}
	return mapi.IDSETOfIDs(list)
}

// TestSyncContents is every kind of difference once.
func TestSyncContents(t *testing.T) {
	b := newBox(t, 0)
	var mids []mapi.MID
	for range 6 {
		mids = append(mids, b.deliver(text("x")).MID)
	}
	fai := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true, Message: subjectEdit("view")})
	scope := exmdb.SyncScope{Flags: syncAll | exmdb.SyncProgress, Tags: []mapi.Tag{mapi.PidTagSubject}}
	var st oxcfxics.State
	got := b.sync(schema.Inbox, scope, &st, 2)
	if len(got.Changes) != 7 || got.pages < 3 || !st.Given.Equal(b.idsOf(append(mids, fai.MID)...)) || got.Progress.Messages != 6 || got.Progress.Associated != 1 {
		t.Fatalf("%+v, %+v", got, st)
	}
	for i := range got.Changes {
		c := &got.Changes[i]
		if !c.New || len(c.State.ChangeKey) == 0 || len(c.State.PCL) == 0 || c.Modified.IsZero() || c.Content == nil {
			t.Errorf("%+v", c)
		}
	}
	b.quiet(schema.Inbox, scope, &st)

	b.write(mid(mids[0]), mapi.PidTagSubject, mapi.String("changed"))
	b.flags(exmdb.FlagsAdd, exmdb.FlagSeen, nil, 2, 3)
	b.flags(exmdb.FlagsAdd, exmdb.FlagDeleted, nil, 6) // moves no stamp that synchronisation looks at
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mids[3]}})
	call(b, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mids[4]}, Target: schema.Sent})
	late := b.deliver(text("late"))
	got = b.sync(schema.Inbox, scope, &st, 0)
	if list := got.mids(); len(list) != 2 || list[0] != mids[0] || list[1] != late.MID || got.Changes[0].New || !got.Changes[1].New ||
		got.Changes[0].Content.Props.Get(mapi.PidTagSubject) != mapi.String("changed") {
		t.Errorf("changes %+v", got.Changes)
	}
	if !got.Deleted.Equal(b.idsOf(mids[3], mids[4])) || !got.NoLongerInScope.IsEmpty() || !got.Read.Equal(b.idsOf(mids[1], mids[2])) || !got.Unread.IsEmpty() {
		t.Errorf("%+v", got)
	}
	b.quiet(schema.Inbox, scope, &st)
	b.flags(exmdb.FlagsRemove, exmdb.FlagSeen, nil, 2)
	if got = b.sync(schema.Inbox, scope, &st, 0); !got.Unread.Equal(b.idsOf(mids[1])) || len(got.Changes) != 0 || !got.Read.IsEmpty() {
		t.Errorf("%+v", got)
	}
	// A message that changed and was read is brought once.
	b.write(mid(mids[1]), mapi.PidTagSubject, mapi.String("again"))
	b.flags(exmdb.FlagsAdd, exmdb.FlagSeen, nil, 2)
	if got = b.sync(schema.Inbox, scope, &st, 0); len(got.Changes) != 1 || !got.Read.IsEmpty() {
		t.Errorf("%+v", got)
	}
	b.quiet(schema.Inbox, scope, &st)
}

func subjectHas(word string) []byte {
	return oxcdata.AppendRestriction(nil, textIn(mapi.PidTagSubject, word))
}

// TestSyncScope: what leaves the restriction, and what comes into it, with every choice of what is told.
func TestSyncScope(t *testing.T) {
	b := newBox(t, 0)
	in := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: subjectEdit("harbour one")})
	out := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: subjectEdit("other")})
	scope := exmdb.SyncScope{Flags: syncAll, Restriction: subjectHas("harbour")}
	var st oxcfxics.State
	if got := b.sync(schema.Inbox, scope, &st, 0); len(got.Changes) != 1 || got.Changes[0].State.MID != in.MID {
		t.Fatalf("%+v", got)
	}
	b.quiet(schema.Inbox, scope, &st)
	b.write(mid(in.MID), mapi.PidTagSubject, mapi.String("left"))
	b.write(mid(out.MID), mapi.PidTagSubject, mapi.String("harbour two"))
	got := b.sync(schema.Inbox, scope, &st, 0)
	if list := got.mids(); len(list) != 1 || list[0] != out.MID || !got.NoLongerInScope.Equal(b.idsOf(in.MID)) || !got.Deleted.IsEmpty() {
		t.Fatalf("%+v", got)
	}
	b.quiet(schema.Inbox, scope, &st)
	if !st.Given.Equal(b.idsOf(out.MID)) {
		t.Errorf("%v", st.Given)
	}

	// Another restriction under the same state is found out: what it lacks is brought, what it has too much is out of scope.
	wide := exmdb.SyncScope{Flags: syncAll}
	if got = b.sync(schema.Inbox, wide, &st, 1); len(got.Changes) != 1 || got.Changes[0].State.MID != in.MID {
		t.Fatalf("%+v", got)
	}
	b.quiet(schema.Inbox, wide, &st)
	if got = b.sync(schema.Inbox, scope, &st, 0); len(got.Changes) != 0 || !got.NoLongerInScope.Equal(b.idsOf(in.MID)) || !got.Deleted.IsEmpty() {
		t.Fatalf("%+v", got)
	}

	// What a client did not want to be told is told when it does.
	silent := scope
	silent.Flags |= exmdb.SyncNoDeletions
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{out.MID}})
	if got = b.sync(schema.Inbox, silent, &st, 0); !got.Deleted.IsEmpty() || len(got.Changes) != 0 || !st.Given.Equal(b.idsOf(out.MID)) {
		t.Fatalf("%+v", got)
	}
	b.quiet(schema.Inbox, silent, &st)
	if got = b.sync(schema.Inbox, scope, &st, 0); !got.Deleted.Equal(b.idsOf(out.MID)) || !st.Given.IsEmpty() {
		t.Fatalf("%+v, %v", got, st.Given)
	}
	again := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: subjectEdit("harbour three")})
	b.sync(schema.Inbox, scope, &st, 0)
	b.write(mid(again.MID), mapi.PidTagSubject, mapi.String("gone"))
	keep := scope
	keep.Flags |= exmdb.SyncKeepOutOfScope
	if got = b.sync(schema.Inbox, keep, &st, 0); !got.NoLongerInScope.IsEmpty() || !st.Given.Equal(b.idsOf(again.MID)) {
		t.Fatalf("%+v", got)
	}
	b.quiet(schema.Inbox, keep, &st)
	if got = b.sync(schema.Inbox, scope, &st, 0); !got.NoLongerInScope.Equal(b.idsOf(again.MID)) {
		t.Fatalf("%+v", got)
	}
	refused(b, exmdb.OpSyncContents, &exmdb.SyncContentsRequest{Folder: schema.Inbox, Scope: exmdb.SyncScope{Restriction: []byte{9, 9}}}, cluster.KindBadRequest)
	members := oxcdata.AppendRestriction(nil, isMember)
	refused(b, exmdb.OpSyncContents, &exmdb.SyncContentsRequest{Folder: schema.Inbox, Scope: exmdb.SyncScope{Restriction: members}}, exmdb.KindTooComplex)
	counting := oxcdata.AppendRestriction(nil, &mapi.CountRestriction{Count: 3, Of: mapi.AndRestriction{}})
	refused(b, exmdb.OpSyncContents, &exmdb.SyncContentsRequest{Folder: schema.Inbox, Scope: exmdb.SyncScope{Restriction: counting}}, exmdb.KindTooComplex)
}

// TestSyncOfALargeTombstone: deletions of very many messages, which merge to one tombstone, are told in bounded pages.
func TestSyncOfALargeTombstone(t *testing.T) {
	if testing.Short() {
		t.Skip("many messages")
	}
	t.Parallel()
	b := newBox(t, 0)
	work := b.newBelow(schema.IPMSubtree, "Work")
	b.fill(work, 2*syncLooked+50)
	var st oxcfxics.State
	scope := exmdb.SyncScope{Flags: syncAll | exmdb.SyncStateOnly}
	b.sync(work, scope, &st, 0)
	scope.Flags = syncAll
	b.update(func(t *tx) error {
		c, err := t.edit(work)
		if err != nil {
			return err
		}
		found, _, err := t.collect(work, nil, collectLimit{messages: 3 * syncLooked})
		if err != nil {
			return err
		}
		var ts schema.Tombstone
		for i := range found[1:] {
			bury(&ts, &found[i+1])
			t.take(work, c, &found[i+1])
		}
		_, err = t.tombstone(work, c, ts)
		return err
	})
	if got := b.sync(work, scope, &st, 0); got.Deleted.Len() != 2*syncLooked+49 || got.pages < 3 || st.Given.Len() != 1 {
		t.Fatalf("%d deleted in %d pages", got.Deleted.Len(), got.pages)
	}
	b.quiet(work, scope, &st)
}
