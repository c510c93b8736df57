package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// finder is where clients put search folders.
const finder = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x05)

// searchBelow makes a search folder.
func (b *box) searchBelow(parent mapi.FID, name string) mapi.FID {
	b.t.Helper()
	f := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: parent, Name: name, Search: true}).Folder
	if !f.Search || f.IMAP {
		b.t.Fatalf("a search folder is %+v", f)
	}
	return f.FID
}

// static is a static search that is begun anew.
const static = exmdb.SearchStatic | exmdb.SearchRestart

func searching(fid mapi.FID, flags exmdb.SearchFlags, r mapi.Restriction, folders ...mapi.FID) *exmdb.SetSearchCriteriaRequest {
	return &exmdb.SetSearchCriteriaRequest{Folder: fid, Restriction: oxcdata.AppendRestriction(nil, r), Folders: folders, Flags: flags}
}

// contentStamps are the messages of folders, each with the stamp of its content.
func (b *box) contentStamps(folders []mapi.FID) map[uint64]mapi.Stamp {
	b.t.Helper()
	out := make(map[uint64]mapi.Stamp)
	b.view(func(v *view) error {
		for _, fid := range folders {
			err := v.scan(fid, nil, func(_ mapi.UID, stored []byte) (bool, error) {
				var row schema.Row
				err := row.UnmarshalWire(stored)
				out[uint64(row.MID)] = row.CN
				return true, err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return out
}

// searchModel is a search the plain way: which messages there were, in which version, when it began; of a dynamic one,
// whichever there are.
type searchModel struct {
	folders            []mapi.FID
	dynamic, recursive bool
	population         map[uint64]mapi.Stamp
	restriction        mapi.Restriction
}

// members are the messages of the population that are there as they were, and pass.
func (m *searchModel) members(b *box) []uint64 {
	now := b.contentStamps(m.folders)
	var out []uint64
	for _, fid := range m.folders {
		for _, id := range b.plainTable(b.t, restricted(contentsOf(fid), m.restriction)) {
			if at, there := m.population[id]; m.dynamic || there && at == now[id] {
				out = append(out, id)
			}
		}
	}
	slices.Sort(out)
	return out
}

// TestSearchFoldersAsAModel holds search folders of several folders, which random ops make, change, move, delete and bring
// back, against what was there when each static search began and what there is for dynamic ones, which random ops stop.
func TestSearchFoldersAsAModel(t *testing.T) {
	b := newBox(t, 0)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	top := b.newBelow(schema.IPMSubtree, "top")
	folders := []mapi.FID{top, b.newBelow(top, "a"), b.newBelow(top, "b"), b.newBelow(schema.IPMSubtree, "c")}
	searches := map[mapi.FID]*searchModel{b.searchBelow(finder, "one"): nil, b.searchBelow(top, "two"): nil}
	restrictions := []mapi.Restriction{textIn(mapi.PidTagSubject, "b"), is(mapi.RelOpGE, mapi.PidTagImportance, mapi.Integer32(1)),
		&mapi.BitMaskRestriction{Op: mapi.BitMaskEqualZero, Tag: mapi.PidTagMessageFlags, Mask: mapi.MessageFlagRead}}
	owners := []*owner{b.newOwner(time.Nanosecond), b.newOwner(0)}
	rounds := 80
	if testing.Short() {
		rounds = 20
	}
	for range rounds {
		for range rnd.IntN(12) {
			b.churn(rnd, folders[rnd.IntN(len(folders))])
		}
		if moved := folders[1]; rnd.IntN(4) == 0 {
			parent := []mapi.FID{top, folders[3]}[rnd.IntN(2)]
			if rnd.IntN(2) == 0 {
				call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: moved})
				b.compareSearches(rnd, searches, owners[0], moved)
				call(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: moved, Parent: parent})
			} else {
				call(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: moved, Parent: parent, Name: "a"})
			}
		}
		if rnd.IntN(10) == 0 {
			parents := slices.Delete(slices.Clone(folders), 1, 2) // that one comes and goes by itself
			folders = append(folders, b.newBelow(parents[rnd.IntN(len(parents))], fmt.Sprint("new ", len(folders))))
		}
		for fid, m := range searches {
			if m != nil && m.dynamic && m.recursive {
				m.folders = slices.Clone(folders)
			}
			if m != nil && m.dynamic && rnd.IntN(6) == 0 {
				call(b, exmdb.OpSetSearchCriteria, &exmdb.SetSearchCriteriaRequest{Folder: fid, Flags: exmdb.SearchStop})
				m.dynamic, m.population = false, b.contentStamps(m.folders)
			}
			if m != nil && rnd.IntN(3) > 0 {
				continue
			}
			m = &searchModel{restriction: restrictions[rnd.IntN(len(restrictions))], folders: []mapi.FID{top, folders[3]}}
			flags := static
			if m.recursive = rnd.IntN(2) == 0; m.recursive {
				flags |= exmdb.SearchRecursive
			}
			if m.dynamic = rnd.IntN(2) == 0; m.dynamic {
				flags &^= exmdb.SearchStatic
			}
			call(b, exmdb.OpSetSearchCriteria, searching(fid, flags, m.restriction, m.folders...))
			if m.recursive {
				m.folders = slices.Clone(folders)
			}
			m.population = b.contentStamps(m.folders)
			searches[fid] = m
		}
		b.compareSearches(rnd, searches, owners[rnd.IntN(2)], 0)
	}
}

// compareSearches reads the tables of search folders, while one of the folders that they search may be gone.
func (b *box) compareSearches(rnd *rand.Rand, searches map[mapi.FID]*searchModel, o *owner, gone mapi.FID) {
	b.t.Helper()
	for fid, m := range searches {
		if m == nil {
			continue
		}
		left := *m
		left.folders = slices.DeleteFunc(slices.Clone(m.folders), func(f mapi.FID) bool { return f == gone })
		rows := o.readTable(contentsOf(fid), 1+rnd.Uint32N(15), mapi.PidTagMessageDeliveryTime)
		got := rowIDs(rows)
		slices.Sort(got)
		if want := left.members(b); !slices.Equal(got, want) {
			b.t.Fatalf("%v in %x shows %x, want %x", m.restriction, m.folders, got, want)
		}
		newest := mapi.FileTime(1<<63 - 1)
		for i := range rows {
			at, _ := rows[i].Props.Get(mapi.PidTagMessageDeliveryTime).(mapi.FileTime)
			if at > newest {
				b.t.Fatalf("row %d is newer than the one in front of it", i)
			}
			newest = at
		}
	}
}

// TestSearchCriteriaAreKept: what is given is given back, with the state of a search that is over; what is left out is as
// before; a search begins anew when that is asked for, or with other criteria.
func TestSearchCriteriaAreKept(t *testing.T) {
	b := newBox(t, 0)
	o := b.newOwner(0)
	fid := b.searchBelow(finder, "s")
	all := mapi.AndRestriction{}
	refused(b, exmdb.OpSearchCriteria, &exmdb.FolderRequest{Folder: fid}, exmdb.KindNoCriteria)
	refused(b, exmdb.OpSearchCriteria, &exmdb.FolderRequest{Folder: schema.Inbox}, exmdb.KindNoSearch)
	if rows := o.readTable(contentsOf(fid), 9); len(rows) > 0 {
		t.Errorf("%d rows before there are criteria", len(rows))
	}
	b.deliver(text("one"))
	call(b, exmdb.OpSetSearchCriteria, searching(fid, static|exmdb.SearchRecursive, all, schema.IPMSubtree, schema.Inbox))
	got := call(b, exmdb.OpSearchCriteria, &exmdb.FolderRequest{Folder: fid})
	if want := exmdb.SearchStateStatic | exmdb.SearchStateComplete | exmdb.SearchStateRecursive; got.State != want ||
		!slices.Equal(got.Folders, []mapi.FID{schema.IPMSubtree, schema.Inbox}) || !slices.Equal(got.Restriction, oxcdata.AppendRestriction(nil, all)) {
		t.Errorf("criteria %+v", got)
	}
	count := func(flags exmdb.SearchFlags, want int) {
		t.Helper()
		call(b, exmdb.OpSetSearchCriteria, &exmdb.SetSearchCriteriaRequest{Folder: fid, Flags: flags})
		if n := len(o.readTable(contentsOf(fid), 9)); n != want {
			t.Errorf("%d rows after flags %#x, want %d", n, flags, want)
		}
	}
	b.deliver(text("two"))
	count(exmdb.SearchStop, 1)
	count(exmdb.SearchStatic|exmdb.SearchRecursive, 1)
	count(exmdb.SearchStatic|exmdb.SearchShallow, 2) // other criteria
	b.deliver(text("three"))
	count(exmdb.SearchStatic|exmdb.SearchShallow, 2)
	count(static|exmdb.SearchShallow, 3)
}

// TestSearchesThatAreRefused: each with a kind of its own, and nothing is changed.
func TestSearchesThatAreRefused(t *testing.T) {
	b := newBox(t, 0)
	fid, other := b.searchBelow(finder, "s"), b.searchBelow(finder, "t")
	all := mapi.AndRestriction{}
	deep := mapi.Restriction(all)
	for range mapi.MaxRestrictionDepth - 1 {
		deep = &mapi.NotRestriction{Of: deep}
	}
	malformed := searching(fid, static, all, schema.Inbox)
	malformed.Restriction = []byte{0x63, 1}
	long := searching(fid, static, textIn(mapi.PidTagSubject, strings.Repeat("x", maxCriteria)), schema.Inbox)
	for what, c := range map[string]struct {
		req  *exmdb.SetSearchCriteriaRequest
		kind cluster.Kind
	}{
		"no search folder":         {searching(schema.Inbox, static, all, schema.Inbox), exmdb.KindNoSearch},
		"no folder":                {searching(mapi.LocalFID(1<<40), static, all, schema.Inbox), exmdb.KindNoFolder},
		"stop and restart":         {searching(fid, static|exmdb.SearchStop, all, schema.Inbox), cluster.KindBadRequest},
		"recursive and shallow":    {searching(fid, static|exmdb.SearchRecursive|exmdb.SearchShallow, all, schema.Inbox), cluster.KindBadRequest},
		"a flag that there is not": {searching(fid, static|0x8000_0000, all, schema.Inbox), cluster.KindBadRequest},
		"no folders":               {searching(fid, static, all), exmdb.KindNoCriteria},
		"no restriction":           {&exmdb.SetSearchCriteriaRequest{Folder: fid, Folders: []mapi.FID{schema.Inbox}, Flags: static}, exmdb.KindNoCriteria},
		"stop what never began":    {&exmdb.SetSearchCriteriaRequest{Folder: fid, Flags: exmdb.SearchStop}, exmdb.KindNoCriteria},
		"a folder that is not":     {searching(fid, static, all, mapi.LocalFID(1<<40)), exmdb.KindNoFolder},
		"a search folder":          {searching(fid, static, all, other), exmdb.KindSearchFolder},
		"malformed":                {malformed, cluster.KindBadRequest},
		"too long":                 {long, exmdb.KindTooComplex},
		"too deep":                 {searching(fid, static, deep, schema.Inbox), exmdb.KindTooComplex},
		"members of a list":        {searching(fid, static, mapi.AndRestriction{isMember}, schema.Inbox), exmdb.KindTooComplex},
		"members, dynamic":         {searching(fid, exmdb.SearchRestart, isMember, schema.Inbox), exmdb.KindTooComplex},
		"counting":                 {searching(fid, static, &mapi.CountRestriction{Count: 1, Of: all}, schema.Inbox), exmdb.KindTooComplex},
	} {
		if _, err := try(b, exmdb.OpSetSearchCriteria, c.req); cluster.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: %v, want kind %d", what, err, c.kind)
		}
	}
	refused(b, exmdb.OpSearchCriteria, &exmdb.FolderRequest{Folder: fid}, exmdb.KindNoCriteria)
}

// TestNothingIsPutIntoSearchFolders: no message, no folder, no mail of the receive-folder table. What belongs to the folder
// itself is.
func TestNothingIsPutIntoSearchFolders(t *testing.T) {
	b := newBox(t, 0)
	fid := b.searchBelow(schema.IPMSubtree, "s")
	m := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox}).MID
	below := b.newBelow(schema.IPMSubtree, "below")
	refused(b, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: fid}, exmdb.KindSearchFolder)
	refused(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: fid, Message: text("x")}, exmdb.KindSearchFolder)
	refused(b, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{m}, Target: fid}, exmdb.KindSearchFolder)
	refused(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: fid, Name: "x"}, exmdb.KindSearchFolder)
	refused(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: below, Parent: fid, Name: "x"}, exmdb.KindSearchFolder)
	refused(b, exmdb.OpSetReceiveFolder, &exmdb.SetReceiveFolderRequest{Class: "IPM.Note.x", Folder: fid}, exmdb.KindSearchFolder)
	b.rule(schema.Inbox, aboutOffer, moveTo(fid))
	if r := b.comes(""); r.Folder != schema.Inbox {
		t.Errorf("a rule filed mail in %#x", r.Folder)
	}
	b.create(&exmdb.CreateMessageRequest{Folder: fid, Associated: true})
	if n := len(b.newOwner(0).readTable(exmdb.TableSpec{Kind: exmdb.TableAssociated, Object: exmdb.ObjectID{Folder: fid}}, 9)); n != 1 {
		t.Errorf("%d associated messages", n)
	}
	props := call(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Folder: fid}}).Props
	if props.Get(mapi.PidTagFolderType) != mapi.Integer32(mapi.FolderSearch) || props.Get(mapi.PidTagContentCount) != nil {
		t.Errorf("properties of a search folder: %v", props)
	}
	sync := call(b, exmdb.OpSyncHierarchy, &exmdb.SyncHierarchyRequest{Folder: schema.IPMSubtree})
	if slices.ContainsFunc(sync.Folders, func(f exmdb.SyncedFolder) bool { return f.FID == fid }) {
		t.Error("a search folder is told to offline clients")
	}
}

// TestSearchesShowWhatMayBeRead: each caller is shown what he may read where it is, whoever set the criteria.
func TestSearchesShowWhatMayBeRead(t *testing.T) {
	b := newBox(t, 0)
	fid := b.searchBelow(schema.IPMSubtree, "s")
	open, own, shut := b.newBelow(schema.IPMSubtree, "open"), b.newBelow(schema.IPMSubtree, "own"), b.newBelow(schema.IPMSubtree, "shut")
	user := b.asUser(mapi.NewGUID())
	grantTo(b, fid, user.as.User, roleReviewer)
	grantTo(b, open, user.as.User, roleReviewer)
	grantTo(b, own, user.as.User, exmdb.RightCreate|exmdb.RightFolderVisible)
	his := user.create(&exmdb.CreateMessageRequest{Folder: own}).MID
	var seen []uint64
	for i, folder := range []mapi.FID{open, own, shut} {
		m := b.create(&exmdb.CreateMessageRequest{Folder: folder}).MID
		if i == 0 {
			seen = []uint64{uint64(his), uint64(m)}
		}
	}
	call(b, exmdb.OpSetSearchCriteria, searching(fid, static|exmdb.SearchRecursive, mapi.AndRestriction{}, schema.IPMSubtree))
	refused(user, exmdb.OpSetSearchCriteria, searching(fid, static, mapi.AndRestriction{}, open), exmdb.KindAccessDenied)
	all, his2 := b.newOwner(0), user.newOwner(0)
	his2.serve(all.store)
	if n := len(all.readTable(contentsOf(fid), 9)); n != 4 {
		t.Errorf("the owner is shown %d of 4", n)
	}
	got := rowIDs(his2.readTable(contentsOf(fid), 9))
	slices.Sort(got)
	if !slices.Equal(got, seen) {
		t.Errorf("the user is shown %x, want %x", got, seen)
	}
	grantTo(b, shut, user.as.User, roleReviewer)
	if n := len(his2.readTable(contentsOf(fid), 9)); n != 3 {
		t.Errorf("the user is shown %d of 3", n)
	}
}

// TestSearchTablesTellWhatChanged: members that go are told one by one, folders that go by reading again; nothing is told
// of what the search does not show.
func TestSearchTablesTellWhatChanged(t *testing.T) {
	b := newBox(t, 0)
	o := b.newOwner(0)
	fid, sub := b.searchBelow(finder, "s"), b.newBelow(schema.Inbox, "sub")
	var made []mapi.MID
	for i := range 3 {
		made = append(made, b.create(&exmdb.CreateMessageRequest{Folder: []mapi.FID{schema.Inbox, sub}[i%2], Message: subjectEdit(fmt.Sprint(i))}).MID)
	}
	call(b, exmdb.OpSetSearchCriteria, searching(fid, static|exmdb.SearchRecursive, mapi.AndRestriction{}, schema.Inbox))
	table := exmdb.TableRequest{Spec: contentsOf(fid)}
	seek, err := o.tables().Seek(t.Context(), exmdb.TableSeekRequest{Table: table, From: beginning})
	if err != nil || seek.State.Rows != 3 {
		t.Fatalf("%+v, %v", seek, err)
	}
	since := seek.State.Stamp
	changes := func() *exmdb.TableChangesResponse {
		t.Helper()
		resp, err := o.tables().Changes(t.Context(), exmdb.TableChangesRequest{Table: table, Since: since})
		if err != nil {
			t.Fatal(err)
		}
		since = resp.State.Stamp
		return resp
	}
	if c := changes(); c.Reload || len(c.Rows)+len(c.Gone) > 0 {
		t.Errorf("nothing has happened: %+v", c)
	}
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: made[:1]})
	if c := changes(); c.Reload || !slices.Equal(c.Gone, []uint64{uint64(made[0])}) || c.State.Rows != 2 {
		t.Errorf("one was deleted: %+v", c)
	}
	b.write(mid(made[1]), mapi.PidTagSubject, mapi.String("edited"))
	if c := changes(); c.Reload || !slices.Equal(c.Gone, []uint64{uint64(made[1])}) || c.State.Rows != 1 {
		t.Errorf("one was edited: %+v", c)
	}
	told := call(b, exmdb.OpTableEvents, &exmdb.TableEventsRequest{Table: table, Since: seek.State.Stamp})
	if len(told.Events) != 2 || told.Reload || told.Events[0].Kind != exmdb.TableRowDeleted {
		t.Errorf("events %+v", told)
	}
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: sub})
	if c := changes(); !c.Reload || c.State.Rows != 1 {
		t.Errorf("a folder was deleted: %+v", c)
	}
}

// TestSearchFoldersMoveAsFolders: criteria go with a search folder that is copied, and are there again when one that was
// deleted comes back.
func TestSearchFoldersMoveAsFolders(t *testing.T) {
	b := newBox(t, 0)
	o := b.newOwner(0)
	fid := b.searchBelow(schema.IPMSubtree, "s")
	b.deliver(text("one"))
	call(b, exmdb.OpSetSearchCriteria, searching(fid, static, mapi.AndRestriction{}, schema.Inbox))
	b.deliver(text("two"))
	copied := call(b, exmdb.OpCopyFolder, &exmdb.CopyFolderRequest{Folder: fid, Parent: schema.IPMSubtree, Name: "copy"}).Folder
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid})
	call(b, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: fid, Parent: finder})
	for _, f := range []mapi.FID{copied, fid} {
		if rows := o.readTable(contentsOf(f), 9); len(rows) != 1 || !b.folder(f).Search {
			t.Errorf("%d rows in %+v", len(rows), b.folder(f))
		}
	}
}

// TestSearchesByOwnReadState: where read state is each user's own, so is a search for what is unread.
func TestSearchesByOwnReadState(t *testing.T) {
	b := newBox(t, 0)
	call(b, exmdb.OpSetReadState, &exmdb.SetReadStateRequest{PerUser: true})
	news, fid := b.newBelow(schema.IPMSubtree, "News"), b.searchBelow(schema.IPMSubtree, "s")
	users := []*box{b.asUser(mapi.NewGUID()), b.asUser(mapi.NewGUID())}
	for _, u := range users {
		grantTo(b, news, u.as.User, roleReviewer)
		grantTo(b, fid, u.as.User, roleReviewer)
	}
	for range 3 {
		call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: news, Message: text("x")})
	}
	isUnread := &mapi.BitMaskRestriction{Op: mapi.BitMaskEqualZero, Tag: mapi.PidTagMessageFlags, Mask: mapi.MessageFlagRead}
	call(b, exmdb.OpSetSearchCriteria, searching(fid, static, isUnread, news))
	owners := readersOf(users...)
	for read, want := range [][2]int{{3, 3}, {2, 3}, {1, 3}} {
		if read > 0 {
			call(users[0], exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: news, UIDs: ranges(mapi.UID(read)), Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}})
		}
		for i, o := range owners {
			if n := len(o.readTable(contentsOf(fid), 9)); n != want[i] {
				t.Errorf("user %d is shown %d of %d when the first has read %d", i, n, want[i], read)
			}
		}
	}
}

// TestDynamicSearches: members come as they arrive, move and begin to pass, and go as they cease to; the table tells of
// each; what is stopped stays as it is, until it is begun anew.
func TestDynamicSearches(t *testing.T) {
	b := newBox(t, 0)
	o := b.searched(0, 1)
	fid, sub := b.searchBelow(finder, "s"), b.newBelow(schema.Inbox, "sub")
	made := func(folder mapi.FID, subject string) uint64 {
		return uint64(b.create(&exmdb.CreateMessageRequest{Folder: folder, Message: subjectEdit(subject)}).MID)
	}
	first := made(schema.Inbox, "plan one")
	o.index(-1)
	call(b, exmdb.OpSetSearchCriteria, searching(fid, exmdb.SearchRestart|exmdb.SearchRecursive, textIn(mapi.PidTagSubject, "plan"), schema.Inbox))
	if got := call(b, exmdb.OpSearchCriteria, &exmdb.FolderRequest{Folder: fid}); got.State != exmdb.SearchStateComplete|exmdb.SearchStateRecursive {
		t.Errorf("state %#x", got.State)
	}
	shows := func(what string, want ...uint64) {
		t.Helper()
		got := rowIDs(o.readTable(contentsOf(fid, asc(mapi.PidTagSubject)), 9))
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Fatalf("%s: %x, want %x", what, got, want)
		}
	}
	shows("at the beginning", first)
	table := exmdb.TableRequest{Spec: contentsOf(fid)}
	seek, err := o.tables().Seek(t.Context(), exmdb.TableSeekRequest{Table: table, From: beginning})
	if err != nil {
		t.Fatal(err)
	}
	second, third := made(sub, "plan two"), made(sub, "other")
	c, err := o.tables().Changes(t.Context(), exmdb.TableChangesRequest{Table: table, Since: seek.State.Stamp})
	if err != nil || c.Reload || c.State.Rows != 2 || len(c.Rows) != 1 || c.Rows[0].Row.ID.ID != second {
		t.Fatalf("told of a new member: %+v, %v", c, err)
	}
	shows("after an arrival", first, second)
	b.write(mid(mapi.MID(third)), mapi.PidTagSubject, mapi.String("plan three"))
	shows("after an edit", first, second, third)
	b.write(mid(mapi.MID(first)), mapi.PidTagSubject, mapi.String("over"))
	shows("after another", second, third)
	fourth := made(b.newBelow(sub, "below"), "plan four")
	shows("in a folder that is new", second, third, fourth)
	call(b, exmdb.OpSetSearchCriteria, &exmdb.SetSearchCriteriaRequest{Folder: fid, Flags: exmdb.SearchStop})
	fifth := made(sub, "plan five")
	shows("after the stop", second, third, fourth)
	call(b, exmdb.OpSetSearchCriteria, &exmdb.SetSearchCriteriaRequest{Folder: fid, Flags: exmdb.SearchRestart})
	shows("begun anew, not recursive") // the folder itself has none left
	call(b, exmdb.OpSetSearchCriteria, &exmdb.SetSearchCriteriaRequest{Folder: fid, Flags: exmdb.SearchRecursive})
	shows("recursive again", second, third, fourth, fifth)
}
