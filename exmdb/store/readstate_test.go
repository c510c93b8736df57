package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// newPublic is a public mailbox with a folder, and two who may read in it.
func newPublic(t testing.TB) (b *box, news mapi.FID, anna, bob *box) {
	b = newBox(t, 0).again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxPublic})
	news = b.newBelow(schema.IPMSubtree, "News")
	anna, bob = b.asUser(mapi.NewGUID()), b.asUser(mapi.NewGUID())
	for _, who := range []*box{anna, bob} {
		grantTo(b, news, who.as.User, roleReviewer)
	}
	return b, news, anna, bob
}

// seen are the UIDs that are read, as one user sees them.
func (b *box) seen(fid mapi.FID) (uids []mapi.UID) {
	b.t.Helper()
	for _, row := range b.rows(fid) {
		if row.Flags.Bits&exmdb.FlagSeen != 0 {
			uids = append(uids, row.UID)
		}
	}
	return uids
}

func (b *box) mark(fid mapi.FID, mode exmdb.FlagMode, bits exmdb.FlagBits, uids ...mapi.UID) *exmdb.SetFlagsResponse {
	b.t.Helper()
	return call(b, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: fid, UIDs: ranges(uids...), Mode: mode, Flags: exmdb.Flags{Bits: bits}})
}

// TestReadStateOfEachUser: in a public mailbox \Seen is each user's own, by IMAP and by MAPI, with its counts and stamps;
// a right to read is enough for it.
func TestReadStateOfEachUser(t *testing.T) {
	b, news, anna, bob := newPublic(t)
	if !b.info().PerUserRead {
		t.Error("a public mailbox does not say so")
	}
	for range 4 {
		call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: news, Message: sample(t)})
	}
	was := anna.folder(news)
	r := anna.mark(news, exmdb.FlagsAdd, exmdb.FlagSeen, 2, 3)
	if r.Changed != 2 || r.Denied || r.First <= was.ContentSeq || r.Last < r.First {
		t.Fatalf("%+v", r)
	}
	if got := anna.seen(news); !slices.Equal(got, []mapi.UID{2, 3}) || len(bob.seen(news)) != 0 || len(b.seen(news)) != 0 {
		t.Errorf("anna %v, bob %v, the system %v", got, bob.seen(news), b.seen(news))
	}
	if a, o := anna.folder(news), bob.folder(news); a.Unseen != 2 || o.Unseen != 4 || a.ContentSeq != r.Last || o.ContentSeq != was.ContentSeq {
		t.Errorf("%+v\n%+v", a, o)
	}
	refused(anna, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: news, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagFlagged}}, exmdb.KindAccessDenied)
	refused(anna, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: news, Mode: exmdb.FlagsReplace, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}}, exmdb.KindAccessDenied)

	changes := call(anna, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: news, Since: was.ContentSeq, Fields: exmdb.RowFlags})
	if len(changes.Rows) != 2 || changes.Rows[0].UID != 2 || changes.Rows[0].ModSeq != r.First || changes.Stamp != r.Last {
		t.Errorf("%+v", changes)
	}
	if none := call(bob, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: news, Since: was.ContentSeq}); len(none.Rows) != 0 {
		t.Errorf("bob is told of what anna reads: %+v", none)
	}
	if rows := call(anna, exmdb.OpRows, &exmdb.RowsRequest{Folder: news, Since: was.ContentSeq}).Rows; len(rows) != 2 {
		t.Errorf("%+v", rows)
	}
	if again := anna.mark(news, exmdb.FlagsAdd, exmdb.FlagSeen, 2, 3); again.Changed != 0 {
		t.Errorf("%+v", again)
	}
	late := call(anna, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: news, UIDs: ranges(1, 2), Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagSeen},
		Conditional: true, UnchangedSince: was.ContentSeq})
	if late.Changed != 1 || len(late.Modified) != 1 || late.Modified[0].First != 2 {
		t.Errorf("%+v", late)
	}
	if first := call(anna, exmdb.OpUIDs, &exmdb.UIDsRequest{Folder: news}).FirstUnseen; first != 4 {
		t.Errorf("the first unseen is %d", first)
	}

	id := mid(b.raw(news, 3).MID)
	if anna.prop(id, mapi.PidTagRead) != mapi.Boolean(true) || bob.prop(id, mapi.PidTagRead) != mapi.Boolean(false) ||
		anna.prop(id, mapi.PidTagMessageFlags) != mapi.Integer32(mapi.MessageFlagRead) || bob.prop(id, mapi.PidTagMessageFlags) != mapi.Integer32(0) {
		t.Error("properties do not say what each has read")
	}
	in := exmdb.ObjectID{Folder: news}
	if anna.prop(in, mapi.PidTagContentUnreadCount) != mapi.Integer32(1) || bob.prop(in, mapi.PidTagContentUnreadCount) != mapi.Integer32(4) {
		t.Error("PidTagContentUnreadCount is not each user's own")
	}
	st := call(anna, exmdb.OpLocate, &exmdb.LocateRequest{Messages: []mapi.MID{id.Message}}).Messages[0]
	if st.Flags.Bits != exmdb.FlagSeen || st.ReadCN != r.Last || st.CN == st.ReadCN {
		t.Errorf("%+v", st)
	}
	m := call(bob, exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: news, Messages: []mapi.MID{id.Message}, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}})
	if m.Changed != 1 || !slices.Equal(bob.seen(news), []mapi.UID{3}) {
		t.Errorf("%+v", m)
	}
	grantTo(b, news, anna.as.User, roleEditor)
	anna.write(id, mapi.PidTagMessageFlags, mapi.Integer32(0))
	if got := anna.seen(news); !slices.Equal(got, []mapi.UID{1, 2}) || !slices.Equal(bob.seen(news), []mapi.UID{3}) {
		t.Errorf("anna %v, bob %v", got, bob.seen(news))
	}
	both := anna.mark(news, exmdb.FlagsReplace, exmdb.FlagSeen|exmdb.FlagFlagged, 3)
	if row := b.raw(news, 3); both.Changed != 1 || row.Bits.Flags() != exmdb.FlagFlagged || len(anna.seen(news)) != 3 {
		t.Errorf("%+v, row %x", both, row.Bits)
	}
	anonymous := b.asUser(mapi.GUID{})
	call(b, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: news, Changes: []exmdb.PermissionChange{permission(exmdb.PermissionModify, exmdb.MemberAnonymous, mapi.GUID{}, roleReviewer)}})
	refused(anonymous, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: news, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}}, exmdb.KindAccessDenied)
	if len(anonymous.seen(news)) != 0 || anonymous.folder(news).Unseen != 4 {
		t.Error("nobody has read something")
	}
}

// TestReadStateGoesAlong: what one has read stays read for him where it is copied, moved, appended or made; for others it
// is new.
func TestReadStateGoesAlong(t *testing.T) {
	b, news, anna, bob := newPublic(t)
	old := b.newBelow(schema.IPMSubtree, "Old")
	for _, fid := range []mapi.FID{news, old} {
		grantTo(b, fid, anna.as.User, roleEditor)
		grantTo(b, fid, bob.as.User, roleEditor)
	}
	for range 3 {
		call(anna, exmdb.OpAppend, &exmdb.AppendRequest{Folder: news, Message: sample(t), Flags: exmdb.Flags{Bits: exmdb.FlagSeen}})
	}
	if anna.folder(news).Unseen != 0 || bob.folder(news).Unseen != 3 || b.folder(news).Unseen != 3 {
		t.Error("who appends a message as read has read it, nobody else")
	}
	anna.mark(news, exmdb.FlagsRemove, exmdb.FlagSeen, 3)
	bob.mark(news, exmdb.FlagsAdd, exmdb.FlagSeen, 1)
	call(anna, exmdb.OpCopy, &exmdb.CopyRequest{Folder: news, UIDs: ranges(1, 3), Target: old})
	call(anna, exmdb.OpMove, &exmdb.CopyRequest{Folder: news, UIDs: ranges(2), Target: old})
	if got := anna.seen(old); !slices.Equal(got, []mapi.UID{1, 3}) || len(bob.seen(old)) != 0 || anna.folder(old).Unseen != 1 {
		t.Errorf("anna %v, bob %v", got, bob.seen(old))
	}
	mine := bob.create(&exmdb.CreateMessageRequest{Folder: old, Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("x"))}})
	if mine.Flags.Bits&exmdb.FlagSeen == 0 || bob.folder(old).Unseen != 3 || anna.folder(old).Unseen != 2 {
		t.Errorf("%+v, unseen %d and %d", mine, bob.folder(old).Unseen, anna.folder(old).Unseen)
	}
	read := []mapi.MID{b.raw(old, 1).MID}
	call(anna, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: old, Messages: read})
	back := call(anna, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: old, Messages: read, Target: old})
	if anna.folder(old).Unseen != 2 || bob.folder(old).Unseen != 3 || anna.prop(mid(back.To[0]), mapi.PidTagRead) != mapi.Boolean(true) {
		t.Errorf("unseen %d and %d after a recovery", anna.folder(old).Unseen, bob.folder(old).Unseen)
	}
	call(anna, exmdb.OpCopyMessages, &exmdb.CarryMessagesRequest{Folder: old, Messages: back.To, Target: news})
	call(anna, exmdb.OpMoveMessages, &exmdb.CarryMessagesRequest{Folder: old, Messages: back.To, Target: news})
	if got := anna.seen(news); !slices.Equal(got, []mapi.UID{1, 4, 5}) || !slices.Equal(bob.seen(news), []mapi.UID{1}) {
		t.Errorf("anna %v, bob %v", got, bob.seen(news))
	}
	all := b.asUser(anna.as.User)
	grantTo(b, schema.IPMSubtree, anna.as.User, exmdb.AllRights)
	copied, _ := all.copyAll(exmdb.CopyFolderRequest{Folder: news, Parent: schema.IPMSubtree, Name: "Copy"})
	if anna.folder(copied.Folder).Unseen != 1 || b.folder(copied.Folder).Unseen != 4 {
		t.Errorf("unseen %d and %d in the copy", anna.folder(copied.Folder).Unseen, b.folder(copied.Folder).Unseen)
	}
	b.audit("public")
	states := func() (n int) {
		b.view(func(v *view) error {
			return v.each([]byte{schema.PrefixReadState}, []byte{schema.PrefixReadState + 1}, func(k []byte) (mapi.FID, error) {
				_, fid, err := schema.ParseReadStateKey(k)
				return fid, err
			}, func(mapi.FID, []byte) error { n++; return nil })
		})
		return n
	}
	was := states()
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: old, Hard: true})
	if is := states(); is != was-2 {
		t.Errorf("%d read states are left of %d after a folder that two had read in", is, was)
	}
}

// TestSharedMailboxByItsSetting: what was read before stays so for all, until each reads or unreads it.
func TestSharedMailboxByItsSetting(t *testing.T) {
	b := newBox(t, 0).again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxShared, Owner: mapi.GUID{5}})
	anna, bob := b.asUser(mapi.NewGUID()), b.asUser(mapi.NewGUID())
	for _, who := range []*box{anna, bob} {
		who.as.FullAccess = []mapi.GUID{{5}}
	}
	for range 3 {
		b.deliver(sample(t))
	}
	anna.mark(schema.Inbox, exmdb.FlagsAdd, exmdb.FlagSeen, 1, 2)
	if b.info().PerUserRead || len(bob.seen(schema.Inbox)) != 2 {
		t.Error("read state is not shared")
	}
	call(anna, exmdb.OpSetReadState, &exmdb.SetReadStateRequest{PerUser: true})
	bob.mark(schema.Inbox, exmdb.FlagsRemove, exmdb.FlagSeen, 2)
	anna.mark(schema.Inbox, exmdb.FlagsAdd, exmdb.FlagSeen, 3)
	if got, his := anna.seen(schema.Inbox), bob.seen(schema.Inbox); len(got) != 3 || !slices.Equal(his, []mapi.UID{1}) ||
		anna.folder(schema.Inbox).Unseen != 0 || bob.folder(schema.Inbox).Unseen != 2 || b.folder(schema.Inbox).Unseen != 1 {
		t.Errorf("anna %v, bob %v", got, his)
	}
	call(anna, exmdb.OpSetReadState, &exmdb.SetReadStateRequest{})
	if len(anna.seen(schema.Inbox)) != 2 || len(bob.seen(schema.Inbox)) != 2 {
		t.Error("it is not shared again")
	}
}

// TestManyReadRanges: who reads here and there has a state that is bounded by what is between, and loses nothing by it.
func TestManyReadRanges(t *testing.T) {
	t.Parallel()
	b, news, anna, _ := newPublic(t)
	n := 2*readRanges + 100
	for range n {
		call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: news, Message: text("x")})
	}
	longest := 0
	order := rand.New(rand.NewPCG(3, 4)).Perm(n)
	for i, at := range order {
		anna.mark(news, exmdb.FlagsAdd, exmdb.FlagSeen, mapi.UID(at+1))
		if i%500 == 499 || i == n-1 {
			anna.view(func(v *view) error {
				v.as = &anna.as
				r, err := v.reader(news)
				longest = max(longest, len(r.Ranges))
				return err
			})
		}
	}
	if got := anna.folder(news); got.Unseen != 0 || len(anna.seen(news)) != n || longest > 2*readRanges {
		t.Errorf("%d unseen, up to %d ranges", got.Unseen, longest)
	}
}

// readerOf is what a test knows of one user and one folder: what he has read, and what a client of his has been told.
type readerOf struct {
	*box
	read  map[mapi.ObjectNumber]bool
	cache map[mapi.UID]exmdb.FlagBits
	since mapi.Stamp
}

// sync is a client that is told of changes, and must end with what is there.
func (r *readerOf) sync(fid mapi.FID, when string) {
	r.t.Helper()
	for more := true; more; {
		c := call(r.box, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: fid, Since: r.since, Fields: exmdb.RowFlags, Limit: 3})
		for _, row := range c.Rows {
			r.cache[row.UID] = row.Flags.Bits
		}
		for _, gone := range c.Vanished {
			for uid := gone.First; uid <= gone.Last; uid++ {
				delete(r.cache, uid)
			}
		}
		if more = c.More; c.Stamp < r.since {
			r.t.Fatalf("%s: the stamp went back from %d to %d", when, r.since, c.Stamp)
		}
		r.since = c.Stamp
	}
	unread := uint32(0)
	rows := r.rows(fid)
	for _, row := range rows {
		seen := row.Flags.Bits&exmdb.FlagSeen != 0
		if seen != r.read[row.Object] {
			r.t.Fatalf("%s: message %d is read %v, want %v", when, row.UID, seen, r.read[row.Object])
		}
		if told, known := r.cache[row.UID]; !known || told != row.Flags.Bits {
			r.t.Fatalf("%s: the client takes the flags of %d for %x (%v), they are %x", when, row.UID, told, known, row.Flags.Bits)
		}
		if !seen {
			unread++
		}
	}
	if f := r.folder(fid); f.Unseen != unread || f.Messages != uint32(len(rows)) || len(r.cache) != len(rows) {
		r.t.Fatalf("%s: %d of %d are unread, the folder says %d of %d and the client knows %d", when, unread, len(rows), f.Unseen, f.Messages, len(r.cache))
	}
}

// TestRandomReaders: whatever three users do in a folder, each sees what he has read, and is told of it.
func TestRandomReaders(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 5))
	b, news, anna, bob := newPublic(t)
	other := b.newBelow(schema.IPMSubtree, "Other")
	var users []*readerOf
	for _, who := range []*box{anna, bob, b.asUser(mapi.NewGUID())} {
		grantTo(b, news, who.as.User, roleEditor)
		grantTo(b, other, who.as.User, roleEditor)
		users = append(users, &readerOf{box: who, read: map[mapi.ObjectNumber]bool{}, cache: map[mapi.UID]exmdb.FlagBits{}})
	}
	for step := range 400 {
		*b.first = random.IntN(4) == 0
		u := users[random.IntN(len(users))]
		rows := u.rows(news)
		var some []mapi.UID
		for _, row := range rows {
			if random.IntN(4) == 0 {
				some = append(some, row.UID)
			}
		}
		if len(some) == 0 {
			some = []mapi.UID{1 << 20} // there is none
		}
		set := func(read bool) {
			for _, row := range rows {
				if slices.Contains(some, row.UID) {
					u.read[row.Object] = read
				}
			}
		}
		switch random.IntN(8) {
		case 0, 1:
			flags := exmdb.FlagBits(random.IntN(2))
			r := call(u.box, exmdb.OpAppend, &exmdb.AppendRequest{Folder: news, Message: text("x"), Flags: exmdb.Flags{Bits: flags}})
			u.read[r.Object] = flags != 0
		case 2, 3:
			u.mark(news, exmdb.FlagsAdd, exmdb.FlagSeen, some...)
			set(true)
		case 4:
			u.mark(news, exmdb.FlagsRemove, exmdb.FlagSeen|exmdb.FlagFlagged, some...)
			set(false)
		case 5:
			bits := exmdb.FlagBits(random.IntN(8)) &^ exmdb.FlagAnswered
			u.mark(news, exmdb.FlagsReplace, bits, some...)
			set(bits&exmdb.FlagSeen != 0)
		case 6:
			if random.IntN(3) == 0 {
				call(u.box, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: news, UIDs: ranges(some...), All: true})
			}
		case 7:
			// Away and back: for the others they are new messages.
			call(u.box, exmdb.OpMove, &exmdb.CopyRequest{Folder: news, UIDs: ranges(some...), Target: other})
			call(u.box, exmdb.OpMove, &exmdb.CopyRequest{Folder: other, Target: news})
			for _, each := range users {
				for _, row := range rows {
					if each != u && slices.Contains(some, row.UID) {
						each.read[row.Object] = false
					}
				}
			}
		}
		if who := users[random.IntN(len(users))]; step%3 == 0 {
			who.sync(news, fmt.Sprintf("seed %d, step %d", seed, step))
		}
	}
	b.audit("readers")
}
