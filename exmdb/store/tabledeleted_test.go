package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func deletedOf(fid mapi.FID, orders ...mapi.SortOrder) exmdb.TableSpec {
	return listOf(exmdb.TableDeleted, fid, orders...)
}

// churnDeleted takes messages of a folder's soft-deleted set out of it somehow, and puts associated ones in.
func (b *box) churnDeleted(rnd *rand.Rand, fid mapi.FID) {
	b.t.Helper()
	some := b.plainTable(b.t, deletedOf(fid))
	some = some[:min(len(some), rnd.IntN(4))]
	mids := make([]mapi.MID, len(some))
	for i := range some {
		mids[i] = mapi.MID(some[i])
	}
	switch rnd.IntN(8) {
	case 0:
		call(b, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: fid, Messages: mids, Target: []mapi.FID{fid, schema.Inbox}[rnd.IntN(2)]})
	case 1:
		if len(mids) > 0 {
			call(b, exmdb.OpPurgeDeleted, &exmdb.PurgeDeletedRequest{Folder: fid, Messages: mids})
		}
	case 2:
		b.now = b.now.Add(time.Duration(rnd.IntN(100)) * time.Hour)
		b.work()
	case 3, 4:
		for _, id := range b.plainTable(b.t, listOf(exmdb.TableAssociated, fid)) {
			call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: fid, Messages: []mapi.MID{mapi.MID(id)}, Hard: rnd.IntN(4) == 0})
		}
	case 5:
		b.now = b.now.Add(-time.Minute) // the clock of another owner
	}
}

// TestTablesOfDeletedAsAModel holds tables of what is soft-deleted in a folder against all of it, filtered and sorted, while
// random ops delete, recover, purge and age it out, from two owners, the one of which makes a view in many steps.
func TestTablesOfDeletedAsAModel(t *testing.T) {
	b := newBox(t, 0)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	work := b.newFolder("Work")
	owners := []*owner{b.newOwner(time.Nanosecond), b.newOwner(0)}
	associated := listOf(exmdb.TableDeletedAssociated, work)
	specs := []exmdb.TableSpec{deletedOf(work), deletedOf(work, desc(mapi.PidTagDeletedOn)), deletedOf(work, asc(mapi.PidTagSubject), desc(mapi.PidTagMessageDeliveryTime)),
		unread(deletedOf(work)), restricted(deletedOf(work, desc(mapi.PidTagNormalizedSubject)), textIn(mapi.PidTagSubject, "B")),
		restricted(deletedOf(work), &mapi.ExistRestriction{Tag: mapi.PidTagDeletedOn}), associated, listOf(exmdb.TableDeletedAssociated, work, desc(mapi.PidTagSubject)),
	}
	rounds, shown := 80, 0
	if testing.Short() {
		rounds = 20
	}
	for range rounds {
		for range 2 + rnd.IntN(12) {
			b.churn(rnd, work)
		}
		b.churnDeleted(rnd, work)
		spec := specs[rnd.IntN(len(specs))]
		want := b.plainTable(t, spec)
		got := rowIDs(owners[rnd.IntN(2)].readTable(spec, 1+rnd.Uint32N(15), mapi.PidTagDeletedOn))
		if shown += len(got); !slices.Equal(got, want) {
			t.Fatalf("%+v shows %x, want %x", spec, got, want)
		}
	}
	if shown == 0 {
		t.Error("nothing was ever shown")
	}
}

// TestTableOfDeleted: rows have the properties of the messages and when they were deleted, stand in that order, and are found,
// counted and named by position as in other tables.
func TestTableOfDeleted(t *testing.T) {
	b := newBox(t, 0)
	var mids []mapi.MID
	for i := range 4 {
		mids = append(mids, b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: i == 3, Message: subjectEdit(fmt.Sprint("subject ", 3-i))}).MID)
	}
	for _, m := range []mapi.MID{mids[1], mids[0], mids[2], mids[3]} {
		b.now = b.now.Add(time.Hour)
		call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{m}})
	}
	o := b.newOwner(0)
	rows := o.readTable(deletedOf(schema.Inbox), 2, mapi.PidTagSubject, mapi.PidTagDeletedOn)
	if got := texts(rows, mapi.PidTagSubject); !slices.Equal(got, []string{"subject 2", "subject 3", "subject 1"}) {
		t.Fatalf("%q", got)
	}
	if at := rows[2].Props.Get(mapi.PidTagDeletedOn); at != mapi.FileTimeOf(b.now.Add(-time.Hour)) {
		t.Errorf("deleted at %v", at)
	}
	if got := rowIDs(o.readTable(listOf(exmdb.TableDeletedAssociated, schema.Inbox), 9)); !slices.Equal(got, []uint64{uint64(mids[3])}) {
		t.Errorf("associated %x", got)
	}
	bySubject := deletedOf(schema.Inbox, asc(mapi.PidTagSubject))
	if at := o.find(bySubject, textIn(mapi.PidTagSubject, "2")); at != 1 {
		t.Errorf("found at %d", at)
	}
	seek, err := o.tables().Seek(t.Context(), exmdb.TableSeekRequest{Table: exmdb.TableRequest{Spec: bySubject}, From: exmdb.TablePosition{Origin: exmdb.TableFraction, Numerator: 2, Denominator: 3}})
	if err != nil || seek.Index != 2 || seek.State.Rows != 3 {
		t.Errorf("%+v, %v", seek, err)
	}
	if got := o.readTable(deletedOf(schema.Drafts), 9); len(got) > 0 {
		t.Errorf("%d rows of another folder", len(got))
	}
	columns, err := o.tables().Columns(t.Context(), exmdb.TableColumnsRequest{Table: exmdb.TableRequest{Spec: deletedOf(schema.Inbox)}})
	if err != nil || !slices.Contains(columns.Tags, mapi.PidTagDeletedOn) || !slices.Contains(columns.Tags, mapi.PidTagSubject) {
		t.Errorf("%+v, %v", columns, err)
	}
	read := call(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: mids[0], Deleted: true}, Tags: []mapi.Tag{mapi.PidTagDeletedOn}})
	if read.Props.Get(mapi.PidTagDeletedOn) == nil {
		t.Error("a deleted message does not say when it was deleted")
	}
}

// TestChangesOfDeleted: what comes into a soft-deleted set is told row by row, what leaves it by reading again, and nothing
// where nothing happened, whatever happens in the folder.
func TestChangesOfDeleted(t *testing.T) {
	b := newBox(t, 0)
	o := b.newOwner(0)
	var since mapi.Stamp
	changes := func(when string, rows, all int, reload bool) {
		t.Helper()
		resp, err := o.tables().Changes(t.Context(), exmdb.TableChangesRequest{Table: exmdb.TableRequest{Spec: deletedOf(schema.Inbox)}, Since: since})
		if err != nil || len(resp.Rows) != rows || int(resp.State.Rows) != all || resp.Reload != reload || len(resp.Gone) > 0 {
			t.Errorf("%s: %+v, %v", when, resp, err)
		}
		since = resp.State.Stamp
	}
	deletes := func(mids ...mapi.MID) {
		call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: mids})
	}
	first, second, third := b.deliver(text("a")).MID, b.deliver(text("b")).MID, b.deliver(text("c")).MID
	deletes(first)
	changes("one was deleted", 1, 1, false)
	deletes(second)
	changes("another, whose tombstone is merged with the first", 1, 2, false)
	b.flags(exmdb.FlagsAdd, exmdb.FlagSeen, nil, 3)
	changes("one was read that is there", 0, 2, false)
	call(b, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{third}, Target: schema.Drafts})
	changes("one moved away", 0, 2, false)
	call(b, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{first}, Target: schema.Drafts})
	changes("one was recovered", 0, 1, true)
	changes("nothing", 0, 1, false)
	b.letGo()
	changes("the time of the rest is over", 0, 0, true)
	deletes(b.deliver(text("d")).MID)
	call(b, exmdb.OpPurgeDeleted, &exmdb.PurgeDeletedRequest{Folder: schema.Inbox})
	changes("one was purged", 0, 0, true)
}

// TestWhoShowsDeletedIsTold: whoever shows a soft-deleted set, or what was deleted below a folder, is told with an event of that
// folder when something leaves it, from any state and once; who may not see the set is not.
func TestWhoShowsDeletedIsTold(t *testing.T) {
	b := newTold(t)
	reader := b.asUser(mapi.NewGUID())
	for _, fid := range []mapi.FID{b.a, b.b} {
		grantTo(b.box, fid, reader.as.User, roleReviewer)
	}
	mids := []mapi.MID{b.put(b.a), b.put(b.a), b.put(b.a)}
	call(b.box, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: b.a, Messages: mids})
	back := b.folderOf(b.a, "back")
	b.folderOf(back, "below")
	over := b.folderOf(b.a, "over")
	b.nameOf(over)
	for _, fid := range []mapi.FID{back, over} {
		call(b.box, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid, Recursive: true})
	}
	b.events(nil)
	tell := func(when string, do func(), want ...string) {
		t.Helper()
		start := b.since
		do()
		if got := slices.Sorted(slices.Values(b.events([]mapi.FID{b.a}))); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
		if again := b.events([]mapi.FID{b.a}); len(again) > 0 {
			t.Errorf("%s: again %q", when, again)
		}
		r := call(reader, exmdb.OpEvents, &exmdb.EventsRequest{Since: start, Folders: []mapi.FID{b.a}})
		for i := range r.Events {
			if r.Events[i].Deleted || slices.Contains(r.Events[i].Tags, mapi.PidTagDeletedMessageCount) {
				t.Errorf("%s: the reader is told %+v", when, r.Events[i])
			}
		}
	}
	set := fmt.Sprintf("modified folder a below Top of Information Store, 0 messages, 0 unread, %v", mapi.PidTagDeletedMessageCount)
	below := fmt.Sprintf("modified folder a below Top of Information Store, 0 messages, 0 unread, %v", mapi.PidTagDeletedFolderCount)
	tell("one was recovered", func() {
		call(b.box, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: b.a, Messages: mids[:1], Target: b.b})
	}, set)
	tell("one was purged", func() {
		call(b.box, exmdb.OpPurgeDeleted, &exmdb.PurgeDeletedRequest{Folder: b.a, Messages: mids[1:2]})
	}, set)
	tell("a folder was recovered", func() {
		call(b.box, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: back, Parent: b.b})
	}, below)
	tell("the time of the rest is over", b.letGo, "deleted folder over below a, soft-deleted", set, below)
	call(b.box, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: b.a})
	call(b.box, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: b.a, Parent: schema.IPMSubtree})
	start := b.since
	for _, line := range b.events([]mapi.FID{b.a}) {
		if line == set || line == below {
			t.Errorf("a folder that came back after that tells %q from %d on", line, start)
		}
	}
}

// TestWhoShowsADeletedFolderIsTold: whoever owned a soft-deleted folder is told with an event of it when one leaves those that
// were below it, and when it is gone for good; who only saw it is not, and no subscription of the folder wants to hear it.
func TestWhoShowsADeletedFolderIsTold(t *testing.T) {
	b := newTold(t)
	gone := b.folderOf(b.a, "gone")
	before, with := b.folderOf(gone, "before"), b.folderOf(gone, "with")
	owning, seeing := b.asUser(mapi.NewGUID()), b.asUser(mapi.NewGUID())
	for _, fid := range []mapi.FID{gone, before, with} {
		b.nameOf(fid)
		grantTo(b.box, fid, owning.as.User, exmdb.RightFolderVisible|exmdb.RightFolderOwner)
		grantTo(b.box, fid, seeing.as.User, roleReviewer)
	}
	grantTo(b.box, b.b, owning.as.User, roleReviewer)
	grantTo(b.box, b.b, seeing.as.User, roleReviewer)
	for _, fid := range []mapi.FID{before, gone} {
		call(b.box, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid, Recursive: true})
	}
	b.events(nil)
	all := exmdb.Subscription{Kinds: 0xFFFF, Folder: gone}
	tell := func(when string, do func(), want ...string) {
		t.Helper()
		start := b.since
		do()
		for _, who := range []*box{b.box, owning, seeing} {
			b.since = start
			told := *b
			told.box = who
			got := slices.Sorted(slices.Values(told.events([]mapi.FID{gone}))) // what is due at one time goes in any order
			if who == seeing && len(got) > 0 || who != seeing && !slices.Equal(got, want) {
				t.Errorf("%s: user %v is told %q, want %q", when, who.as.User, got, want)
			}
			b.since = told.since
		}
		r := call(b.box, exmdb.OpEvents, &exmdb.EventsRequest{Since: start, Folders: []mapi.FID{gone}})
		for i := range r.Events {
			if kinds := all.Wants(&r.Events[i]); kinds != 0 {
				t.Errorf("%s: a subscription wants %v of %+v", when, kinds, r.Events[i])
			}
		}
	}
	tell("one was recovered", func() {
		call(b.box, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: before, Parent: b.b})
	}, fmt.Sprintf("modified folder gone below a, soft-deleted, %v", mapi.PidTagDeletedFolderCount))
	tell("the time of the rest is over", b.letGo, "deleted folder gone below a, soft-deleted", "deleted folder with below gone, soft-deleted")
}

// TestTablesOfOthersDeleted: who may delete only what he made sees of the soft-deleted what he made; who may not delete
// anything sees nothing.
func TestTablesOfOthersDeleted(t *testing.T) {
	b := newBox(t, 0)
	work := b.newFolder("Work")
	author, reader := b.asUser(mapi.NewGUID()), b.asUser(mapi.NewGUID())
	grantTo(b, work, author.as.User, roleAuthor)
	grantTo(b, work, reader.as.User, roleReviewer)
	mine, other := author.create(&exmdb.CreateMessageRequest{Folder: work}).MID, b.create(&exmdb.CreateMessageRequest{Folder: work}).MID
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: work, Messages: []mapi.MID{mine, other}})
	owners := readersOf(b, author)
	for _, spec := range []exmdb.TableSpec{deletedOf(work), deletedOf(work, asc(mapi.PidTagMessageFlags))} {
		if got := rowIDs(owners[1].readTable(spec, 9)); !slices.Equal(got, []uint64{uint64(mine)}) {
			t.Errorf("the author sees %x", got)
		}
		if got := owners[0].readTable(spec, 9); len(got) != 2 {
			t.Errorf("the owner sees %d of 2", len(got))
		}
	}
	for _, kind := range []exmdb.TableKind{exmdb.TableDeleted, exmdb.TableDeletedAssociated} {
		refused(reader, exmdb.OpTableRows, &exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: listOf(kind, work)}, From: beginning, Count: 9}, exmdb.KindAccessDenied)
	}
	refused(b, exmdb.OpTableRows, &exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: deletedOf(mapi.LocalFID(0x999))}, From: beginning, Count: 9}, exmdb.KindNoFolder)
}

// deletedFolderLines are the rows of a table of soft-deleted folders: level and name, with + where there are some below.
func (o *owner) deletedFolderLines(top mapi.FID, depth bool, orders ...mapi.SortOrder) string {
	o.t.Helper()
	spec := listOf(exmdb.TableDeletedFolders, top, orders...)
	spec.Depth = depth
	var lines []string
	for _, r := range o.readTable(spec, 2, mapi.PidTagDepth, mapi.PidTagDisplayName, mapi.PidTagSubfolders, mapi.PidTagDeletedOn) {
		line := fmt.Sprint(r.Props.Get(mapi.PidTagDepth), r.Props.Get(mapi.PidTagDisplayName))
		if r.Props.Get(mapi.PidTagSubfolders) == mapi.Boolean(true) {
			line += "+"
		}
		if r.Props.Get(mapi.PidTagDeletedOn) == nil {
			o.t.Errorf("%s does not say when it was deleted", line)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, " ")
}

// TestTableOfDeletedFolders: those right below a folder, those of all levels, those that were below a deleted one, to who owned
// them.
func TestTableOfDeletedFolders(t *testing.T) {
	b := newBox(t, 0)
	work := b.newFolder("Work")
	sub := b.newBelow(work, "Sub")
	leaf := b.newBelow(sub, "leaf")
	old := b.newBelow(work, "Old")
	b.mails(old, 2)
	drop := func(fid mapi.FID) {
		b.now = b.now.Add(time.Hour)
		call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid, Recursive: true})
	}
	drop(old)
	again := b.newBelow(work, "old")
	drop(again)
	drop(sub)
	o := b.newOwner(0)
	check := func(when string, top mapi.FID, depth bool, want string, orders ...mapi.SortOrder) {
		t.Helper()
		if got := o.deletedFolderLines(top, depth, orders...); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	check("below", work, false, "0Old 0old 0Sub+")
	check("all levels", work, true, "0Old 0old 0Sub+ 1leaf")
	check("from above", schema.IPMSubtree, true, "1Old 1old 1Sub+ 2leaf")
	check("right below the top", schema.IPMSubtree, false, "")
	check("below a deleted one", sub, false, "0leaf")
	check("the last first", work, true, "0Sub+ 1leaf 0old 0Old", desc(mapi.PidTagDeletedOn))
	spec := listOf(exmdb.TableDeletedFolders, work)
	if at := o.find(spec, is(mapi.RelOpEQ, mapi.PidTagContentCount, mapi.Integer32(2))); at != 0 {
		t.Errorf("found at %d", at)
	}
	since, err := o.tables().Seek(t.Context(), exmdb.TableSeekRequest{Table: exmdb.TableRequest{Spec: spec}, From: beginning})
	if err != nil || since.State.Rows != 3 {
		t.Fatalf("%+v, %v", since, err)
	}
	changed := func(when string, want bool) {
		t.Helper()
		resp, err := o.tables().Changes(t.Context(), exmdb.TableChangesRequest{Table: exmdb.TableRequest{Spec: spec}, Since: since.State.Stamp})
		if err != nil || resp.Reload != want {
			t.Errorf("%s: %+v, %v", when, resp, err)
		}
		since.State.Stamp = resp.State.Stamp
	}
	changed("nothing happened", false)
	call(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: sub, Parent: schema.Inbox})
	changed("one is back", true)
	check("without what came back", work, true, "0Old 0old")
	user := b.asUser(mapi.NewGUID())
	grantTo(b, work, user.as.User, roleReviewer)
	theirs := user.newOwner(0)
	if got := theirs.deletedFolderLines(work, true); got != "" {
		t.Errorf("who owned none is shown %q", got)
	}
	drop(leaf)
	b.letGo()
	changed("the time of all is over", true)
	check("at the end", schema.IPMSubtree, true, "")
}

// TestRightsOnDeletedFolders: a soft-deleted folder is there for who owned it, and for nobody else who saw it.
func TestRightsOnDeletedFolders(t *testing.T) {
	b := newBox(t, 0)
	work := b.newFolder("Work")
	b.newBelow(work, "below")
	owning, seeing := b.asUser(mapi.NewGUID()), b.asUser(mapi.NewGUID())
	for _, fid := range append([]mapi.FID{schema.IPMSubtree}, b.tree(work)...) {
		grantTo(b, fid, owning.as.User, exmdb.RightFolderVisible|exmdb.RightFolderOwner)
		grantTo(b, fid, seeing.as.User, exmdb.RightFolderVisible)
	}
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work, Recursive: true})
	if got := owning.newOwner(0).deletedFolderLines(schema.IPMSubtree, true); got != "0Work+ 1below" {
		t.Errorf("who owned them is shown %q", got)
	}
	if got := owning.newOwner(0).deletedFolderLines(work, false); got != "0below" {
		t.Errorf("who owned them is shown %q", got)
	}
	if got := seeing.newOwner(0).deletedFolderLines(schema.IPMSubtree, true); got != "" {
		t.Errorf("who saw them is shown %q", got)
	}
	ask := &exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: listOf(exmdb.TableDeletedFolders, work)}, From: beginning, Count: 9}
	refused(seeing, exmdb.OpTableRows, ask, exmdb.KindNoFolder)
	refused(b.asUser(mapi.NewGUID()), exmdb.OpTableRows, ask, exmdb.KindAccessDenied)
}

// TestTableOfADeletedFolder: the messages of a soft-deleted folder have tables in any order, and are read, by who owned it and may
// read them; who saw it only is told of nothing.
func TestTableOfADeletedFolder(t *testing.T) {
	b := newBox(t, 0)
	work := b.newFolder("Work")
	owning, author, seeing := b.asUser(mapi.NewGUID()), b.asUser(mapi.NewGUID()), b.asUser(mapi.NewGUID())
	grantTo(b, work, owning.as.User, exmdb.RightFolderOwner|exmdb.RightReadAny)
	grantTo(b, work, author.as.User, exmdb.RightFolderOwner|exmdb.RightCreate)
	grantTo(b, work, seeing.as.User, roleReviewer|exmdb.RightDeleteAny)
	plain := b.create(&exmdb.CreateMessageRequest{Folder: work, Message: subjectEdit("b")}).MID
	edit := deepEdit()
	edit.Set.Set(mapi.PidTagSubject, mapi.String("a"))
	deep := author.create(&exmdb.CreateMessageRequest{Folder: work, Message: edit, Payload: deepPayload()}).MID
	view := b.create(&exmdb.CreateMessageRequest{Folder: work, Associated: true, Message: subjectEdit("view")}).MID
	shelved := func(kind exmdb.TableKind, orders ...mapi.SortOrder) exmdb.TableSpec {
		spec := listOf(kind, work, orders...)
		spec.Object.Deleted = true
		return spec
	}
	parts := exmdb.TableSpec{Kind: exmdb.TableAttachments, Object: exmdb.ObjectID{Message: deep, Deleted: true}}
	ask := func(spec exmdb.TableSpec) *exmdb.TableRowsRequest {
		return &exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: spec}, From: beginning, Count: 9}
	}
	read := func(m mapi.MID) *exmdb.ReadMessageRequest {
		return &exmdb.ReadMessageRequest{Object: exmdb.ObjectID{Folder: work, Message: m, Deleted: true}}
	}
	refused(b, exmdb.OpTableRows, ask(shelved(exmdb.TableContents)), exmdb.KindNoFolder)
	before := readersOf(b)[0].readTable(contentsOf(work), 9, mapi.PidTagSubject)
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work})
	refused(b, exmdb.OpTableRows, ask(contentsOf(work)), exmdb.KindNoFolder)
	owners := readersOf(b, owning, author)
	for i, want := range [][]uint64{{uint64(deep), uint64(plain)}, {uint64(deep), uint64(plain)}, {uint64(deep)}} {
		o := owners[i]
		if got := rowIDs(o.readTable(shelved(exmdb.TableContents, asc(mapi.PidTagSubject)), 1)); !slices.Equal(got, want) {
			t.Errorf("user %d sees %x, want %x", i, got, want)
		}
		if got := o.readTable(shelved(exmdb.TableContents), 9); len(got) != len(want) {
			t.Errorf("user %d sees %d in order of delivery", i, len(got))
		}
		if got := o.readTable(parts, 9); len(got) != len(edit.Attachments) {
			t.Errorf("user %d sees %d attachments", i, len(got))
		}
	}
	if got := texts(owners[0].readTable(shelved(exmdb.TableContents), 9, mapi.PidTagSubject), mapi.PidTagSubject); !slices.Equal(got, texts(before, mapi.PidTagSubject)) {
		t.Errorf("%q in order of delivery, before it was deleted %q", got, texts(before, mapi.PidTagSubject))
	}
	if got := rowIDs(owners[1].readTable(shelved(exmdb.TableAssociated), 9)); !slices.Equal(got, []uint64{uint64(view)}) {
		t.Errorf("associated %x", got)
	}
	if at := owners[0].find(shelved(exmdb.TableContents, asc(mapi.PidTagSubject)), textIn(mapi.PidTagSubject, "b")); at != 1 {
		t.Errorf("found at %d", at)
	}
	for _, who := range []*box{b, owning} {
		call(who, exmdb.OpReadMessage, read(plain))
		if r := call(who, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: work, Deleted: plain, Length: 100}); len(r.Data) == 0 {
			t.Error("no octets")
		}
	}
	call(author, exmdb.OpReadMessage, read(deep))
	refused(author, exmdb.OpReadMessage, read(plain), exmdb.KindAccessDenied)
	refused(author, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: work, Deleted: plain, Length: 1}, exmdb.KindAccessDenied)
	refused(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(plain)}, exmdb.KindNoMessage)
	grantTo(b, schema.Inbox, seeing.as.User, roleReviewer)
	for _, spec := range []exmdb.TableSpec{shelved(exmdb.TableContents), shelved(exmdb.TableAssociated)} {
		refused(seeing, exmdb.OpTableRows, ask(spec), exmdb.KindNoFolder)
	}
	refused(seeing, exmdb.OpTableRows, ask(parts), exmdb.KindAccessDenied)
	refused(seeing, exmdb.OpReadMessage, read(plain), exmdb.KindAccessDenied)
	call(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: work, Parent: schema.Inbox})
	refused(b, exmdb.OpTableRows, ask(shelved(exmdb.TableContents)), exmdb.KindNoFolder)
	refused(b, exmdb.OpReadMessage, read(plain), exmdb.KindNoMessage)
	if got := owners[0].readTable(contentsOf(work), 9); len(got) != 2 {
		t.Errorf("%d rows of what came back", len(got))
	}
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work})
	b.letGo()
	refused(b, exmdb.OpTableRows, ask(shelved(exmdb.TableContents)), exmdb.KindNoFolder)
	refused(b, exmdb.OpReadMessage, read(plain), exmdb.KindNoMessage)
}

// tree is a folder with those below it.
func (b *box) tree(fid mapi.FID) (all []mapi.FID) {
	b.t.Helper()
	b.view(func(v *view) error {
		var err error
		all, err = v.subtree(fid)
		return err
	})
	return all
}

// TestFolderTablesOutliveTombstones: the state of a table of folders does not go back when what was deleted is forgotten.
func TestFolderTablesOutliveTombstones(t *testing.T) {
	b := newBox(t, 0)
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: b.newFolder("gone"), Hard: true})
	o := b.newOwner(0)
	spec := listOf(exmdb.TableHierarchy, schema.IPMSubtree)
	rows := o.readTable(spec, 100)
	for _, later := range []time.Duration{2 * markAge, 2 * tombstoneAge} {
		b.now = b.now.Add(later)
		call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{b.deliver(text("x")).MID}, Hard: true})
	}
	resp, err := exmdb.Do(t.Context(), o, o.as, mapi.MailboxID(o.id), exmdb.OpTableRows,
		&exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: spec}, From: beginning, Count: 100})
	if err != nil || resp.State.Working || len(resp.Rows) != len(rows) {
		t.Errorf("%d rows of %d: %+v, %v", len(resp.Rows), len(rows), resp.State, err)
	}
}
