package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// box is one mailbox over a real state machine without Raft.
type box struct {
	t   testing.TB
	rep *space.LocalReplica
	id  cluster.SpaceID
	as  exmdb.Identity
	now time.Time
	// largest is the longest answer so far, in bytes.
	largest int
	// due is the work that is scheduled.
	due dueList
	// config is what the ops run under.
	config Config
	// first: effects are computed at the first level, as in a group whose log the cluster's has not reached.
	first *bool
}

// steady are the defaults without what depends on the speed of the machine.
func steady() Config {
	c := Defaults()
	c.StepTime = 0
	return c
}

func newBox(t testing.TB, quota uint64) *box {
	t.Helper()
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, id: cluster.SpaceID(mapi.NewMailboxID()), as: exmdb.System, now: time.Unix(1.8e9, 0), due: dueList{}, config: steady(), first: new(bool)}
	b.rep, err = space.NewLocalReplica(db, space.Config{Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.rep.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.rep.SetGroup(context.Background(), space.GroupRecord{Level: rangesLevel}); err != nil {
		t.Fatal(err)
	}
	call(b, exmdb.OpCreateMailbox, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Quota: quota})
	return b
}

// again makes another mailbox beside b's.
func (b *box) again(req *exmdb.CreateMailboxRequest) *box {
	b.t.Helper()
	other := *b
	other.id, other.due = cluster.SpaceID(mapi.NewMailboxID()), dueList{}
	call(&other, exmdb.OpCreateMailbox, req)
	return &other
}

var table = handlersOf(New(steady()))

func handlersOf(s *Store) map[exmdb.OpID]Handler {
	m := make(map[exmdb.OpID]Handler)
	for _, h := range s.Handlers() {
		m[h.ID] = h
	}
	return m
}

// Call implements exmdb.Caller; the mailbox is b's, whatever is asked for.
func (b *box) Call(ctx context.Context, as exmdb.Identity, _ mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	q := wire.Marshal(req)
	h := table[op.ID]
	if b.config != steady() {
		h = handlersOf(New(b.config))[op.ID]
	}
	var raw []byte
	var err error
	switch {
	case h.View != nil:
		err = b.rep.View(ctx, b.id, space.ReadLease, func(r space.Reader) (err error) {
			raw, err = h.View(r, &as, q)
			return err
		})
	case op.ID == exmdb.OpCreateMailbox.ID:
		raw, err = b.rep.Create(ctx, b.id, 1, cluster.RequestID{}, func(w space.Writer) ([]byte, error) { return h.Run(w, &as, q) })
	default:
		raw, err = b.rep.Update(ctx, b.id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) { return h.Run(b.note(w, req), &as, q) })
	}
	if err != nil {
		return err
	}
	b.largest = max(b.largest, len(raw))
	return wire.Unmarshal(raw, resp)
}

// Upload implements exmdb.Caller.
func (b *box) Upload(context.Context, exmdb.Identity, mapi.MailboxID) (exmdb.Upload, error) {
	return nil, cluster.ErrUnavailable
}

func try[Q, R any](b *box, op exmdb.Op[Q, R], q *Q) (*R, error) {
	return exmdb.Do(context.Background(), b, b.as, mapi.MailboxID(b.id), op, q)
}

func call[Q, R any](b *box, op exmdb.Op[Q, R], q *Q) *R {
	b.t.Helper()
	r, err := try(b, op, q)
	if err != nil {
		b.t.Fatalf("%s: %v", op.Name, err)
	}
	return r
}

func refused[Q, R any](b *box, op exmdb.Op[Q, R], q *Q, kind cluster.Kind) {
	b.t.Helper()
	if r, err := try(b, op, q); cluster.KindOf(err) != kind {
		b.t.Fatalf("%s: %v, %v; want kind %d", op.Name, r, err, kind)
	}
}

func text(body string) exmdb.NewMessage {
	return exmdb.NewMessage{Recipe: exmdb.Recipe{Prefix: []byte("Return-Path: <>\r\n"), Segments: []exmdb.Segment{{Raw: []byte(body)}}}, Digest: mime.MarshalDigest(mime.Scan([]byte(body)))}
}

// large is a message whose body is content.
func large(seed byte, n int) exmdb.NewMessage {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)*seed + seed
	}
	return exmdb.NewMessage{Inline: [][]byte{b}, Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: []byte("Subject: x\r\n\r\n")},
		{Chunks: []exmdb.ChunkRef{{Hash: sha256.Sum256(b), Size: uint32(n)}}, Octets: uint64(n)}}}}
}

func (b *box) deliver(m exmdb.NewMessage) *exmdb.DeliverResponse {
	b.t.Helper()
	return call(b, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: m, Received: b.now})
}

func (b *box) flags(mode exmdb.FlagMode, bits exmdb.FlagBits, keywords []string, uids ...mapi.UID) *exmdb.SetFlagsResponse {
	b.t.Helper()
	return call(b, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, UIDs: ranges(uids...), Mode: mode, Flags: exmdb.Flags{Bits: bits, Keywords: keywords}})
}

func ranges(uids ...mapi.UID) []exmdb.UIDRange {
	var rs []exmdb.UIDRange
	for _, u := range uids {
		rs = addUID(rs, u)
	}
	return rs
}

func (b *box) folder(f mapi.FID) exmdb.Folder {
	b.t.Helper()
	return call(b, exmdb.OpFolder, &exmdb.FolderRequest{Folder: f}).Folder
}

func (b *box) rows(f mapi.FID) []exmdb.Row {
	b.t.Helper()
	return call(b, exmdb.OpRows, &exmdb.RowsRequest{Folder: f, Fields: exmdb.RowFlags | exmdb.RowMeta | exmdb.RowDigest}).Rows
}

// raw reads a row as it is stored, to see the stamps that no op shows.
func (b *box) raw(f mapi.FID, uid mapi.UID) schema.Row {
	b.t.Helper()
	var row schema.Row
	err := b.rep.View(context.Background(), b.id, space.ReadLease, func(r space.Reader) error {
		_, err := load(r, schema.RowKey(f, uint64(uid)), &row)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return row
}

func TestDeliverAndRead(t *testing.T) {
	b := newBox(t, 0)
	first, second := b.deliver(text("Subject: one\r\n\r\nhi\r\n")), b.deliver(large(3, 100_000))
	if first.UID != 1 || second.UID != 2 || first.UIDValidity == 0 || second.ModSeq <= first.ModSeq || first.MID == second.MID {
		t.Fatalf("%+v %+v", first, second)
	}
	rows := b.rows(schema.Inbox)
	if len(rows) != 2 || rows[0].Prefix != 17 || string(rows[0].Digest) != string(text("Subject: one\r\n\r\nhi\r\n").Digest) || rows[1].Size != 100_014 {
		t.Fatalf("%+v", rows)
	}
	got := call(b, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: schema.Inbox, UID: 1, Length: 1000})
	if string(got.Data) != "Return-Path: <>\r\nSubject: one\r\n\r\nhi\r\n" {
		t.Fatalf("%q", got.Data)
	}
	part := call(b, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: schema.Inbox, UID: 2, Offset: 50_000, Length: 4})
	want := func(i int) byte { return byte(i-14)*3 + 3 }
	for i, c := range part.Data {
		if c != want(50_000+i) {
			t.Fatalf("octet %d is %d", 50_000+i, c)
		}
	}
	refused(b, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: schema.Inbox, UID: 9, Length: 1}, exmdb.KindNoMessage)
	refused(b, exmdb.OpRows, &exmdb.RowsRequest{Folder: mapi.LocalFID(0x999)}, exmdb.KindNoFolder)
}

// TestRowsWithOctets: those of messages up to a length, whatever they are kept as, and no more rows than fit into an answer.
func TestRowsWithOctets(t *testing.T) {
	b := newBox(t, 0)
	b.deliver(text("Subject: one\r\n\r\nhi\r\n"))
	const head = len("Subject: x\r\n\r\n")
	for _, n := range []int{1000, exmdb.MaxRowOctets - head, exmdb.MaxRowOctets - head + 1} {
		b.deliver(large(3, n))
	}
	q := &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowMeta | exmdb.RowOctets}
	for _, row := range call(b, exmdb.OpRows, q).Rows {
		want := b.octets(schema.Inbox, row.UID)
		if row.Size > exmdb.MaxRowOctets {
			want = ""
		}
		if string(row.Octets) != want || (want == "") != (row.UID == 4) {
			t.Errorf("UID %d of %d octets comes with %d, want %d", row.UID, row.Size, len(row.Octets), len(want))
		}
	}
	if rows := b.rows(schema.Inbox); len(rows) != 4 || rows[0].Octets != nil {
		t.Errorf("octets that nobody asked for: %+v", rows)
	}
	for range 2 * answerBytes / exmdb.MaxRowOctets {
		b.deliver(large(3, 60_000))
	}
	if r := call(b, exmdb.OpRows, q); !r.More || len(r.Rows) > 4+answerBytes/60_000+1 {
		t.Errorf("%d rows in an answer, more %v", len(r.Rows), r.More)
	}
}

func TestDeliveryOnce(t *testing.T) {
	b := newBox(t, 0)
	q := &exmdb.DeliverRequest{Message: text("x"), Key: [32]byte{1}, Received: b.now}
	first := call(b, exmdb.OpDeliver, q)
	b.now = b.now.Add(71 * time.Hour)
	again := call(b, exmdb.OpDeliver, q)
	if !again.Duplicate || again.UID != first.UID || b.folder(schema.Inbox).Messages != 1 {
		t.Fatalf("%+v then %+v", first, again)
	}
	b.now = b.now.Add(2 * time.Hour)
	if late := call(b, exmdb.OpDeliver, q); late.Duplicate || late.UID != 2 {
		t.Fatalf("after the window: %+v", late)
	}
	q.Key = [32]byte{}
	call(b, exmdb.OpDeliver, q)
	if call(b, exmdb.OpDeliver, q).Duplicate || b.folder(schema.Inbox).Messages != 4 {
		t.Fatal("mail without Message-ID is never suppressed")
	}
}

// A delivery out of a queue is known by its number however much later it comes again, with and without a delivery key.
func TestDeliveryOutOfAQueueOnce(t *testing.T) {
	b := newBox(t, 1000)
	queue, other := cluster.SpaceID{7}, cluster.SpaceID{8}
	deliver := func(source cluster.SpaceID, number uint64, key byte) *exmdb.DeliverResponse {
		return call(b, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: text("x"), Received: b.now, Source: source, Number: number, Key: [32]byte{key}})
	}
	if deliver(queue, 5, 0).Duplicate || deliver(queue, 9, 1).Duplicate || deliver(other, 5, 0).Duplicate {
		t.Fatal("new deliveries were taken for old ones")
	}
	b.now = b.now.Add(365 * 24 * time.Hour)
	for _, n := range []uint64{5, 7, 9} {
		if !deliver(queue, n, 0).Duplicate {
			t.Errorf("number %d was stored again", n)
		}
	}
	refused(b, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: large(1, 2000), Received: b.now, Source: queue, Number: 10}, exmdb.KindOverQuota)
	if deliver(queue, 10, 2).Duplicate {
		t.Error("a refused delivery was taken for a stored one")
	}
	// What a sender's own attempt has stored is not stored again, and the number is used up with it.
	straight := call(b, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: text("x"), Received: b.now, Key: [32]byte{3}})
	if known := deliver(queue, 11, 3); !known.Duplicate || known.UID != straight.UID {
		t.Errorf("%+v, want the UID of %+v", known, straight)
	}
	if !deliver(queue, 11, 4).Duplicate || b.folder(schema.Inbox).Messages != 5 {
		t.Errorf("%d messages", b.folder(schema.Inbox).Messages)
	}
}

func TestFoldersNamesAndPlaces(t *testing.T) {
	b := newBox(t, 0)
	made := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Projects"}).Folder
	if made.FID.Counter() < schema.FirstCustom || made.UIDValidity == 0 || made.Class != schema.ClassMail || !made.IMAP {
		t.Fatalf("%+v", made)
	}
	refused(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "PROJECTS"}, exmdb.KindFolderExists)
	refused(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "a\x00b"}, exmdb.KindBadName)
	refused(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: schema.Inbox, Parent: schema.IPMSubtree, Name: "x"}, exmdb.KindFixedFolder)
	sub := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: made.FID, Name: "2026"}).Folder
	refused(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: made.FID, Parent: sub.FID, Name: "x"}, exmdb.KindCycle)
	refused(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: made.FID}, exmdb.KindHasChildren)
	moved := call(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: made.FID, Parent: schema.Inbox, Name: "Work"}).Folder
	if moved.FID != made.FID || moved.UIDValidity != made.UIDValidity || moved.CN <= made.CN || moved.Parent != schema.Inbox {
		t.Fatalf("%+v became %+v", made, moved)
	}
	call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: sub.FID, Message: large(5, 20_000)})
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: made.FID, Recursive: true})
	if info := call(b, exmdb.OpMailboxInfo, &exmdb.Empty{}); info.Messages != 0 || info.Used != 0 {
		t.Fatalf("%+v", info)
	}
	again := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Projects"}).Folder
	if again.UIDValidity <= made.UIDValidity || again.FID == made.FID {
		t.Fatalf("a name made again repeats its identity: %+v then %+v", made, again)
	}
	for _, f := range call(b, exmdb.OpListFolders, &exmdb.ListFoldersRequest{}).Folders {
		if fixed := schema.Fixed(f.FID); fixed != nil && (fixed.Name != f.Name || fixed.SpecialUse != f.SpecialUse || f.IMAP != fixed.IMAP) {
			t.Errorf("%+v is not as the table has it", f)
		}
	}
}

// TestLanguageOfFixedFolders: only names follow the language; every kind of mailbox can be made in every one.
func TestLanguageOfFixedFolders(t *testing.T) {
	english := newBox(t, 0)
	for kind := exmdb.MailboxUser; kind <= exmdb.MailboxPublic; kind++ {
		plain := call(english.again(&exmdb.CreateMailboxRequest{Kind: kind}), exmdb.OpListFolders, &exmdb.ListFoldersRequest{}).Folders
		for _, language := range []string{"de-AT", "es", "fr-FR", "it", "nl", "pl", "pt-BR", "ru_RU.UTF-8", "tlh"} {
			names := map[mapi.FID]exmdb.Folder{}
			b := english.again(&exmdb.CreateMailboxRequest{Kind: kind, Language: language})
			for _, f := range call(b, exmdb.OpListFolders, &exmdb.ListFoldersRequest{}).Folders {
				names[f.FID] = f
			}
			for _, f := range plain {
				is := names[f.FID]
				if is.Name != schema.Fixed(f.FID).NameIn(language) || is.SpecialUse != f.SpecialUse || is.IMAP != f.IMAP || is.Class != f.Class {
					t.Errorf("%s: %+v became %+v", language, f, is)
				}
			}
			if len(names) != len(plain) {
				t.Errorf("%s: %d folders, in English %d", language, len(names), len(plain))
			}
		}
	}
	b := english.again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Language: "de"})
	if f := b.folder(schema.Inbox); f.Name != "Posteingang" {
		t.Errorf("the inbox is %s", f.Name)
	}
	refused(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "ENTWÜRFE"}, exmdb.KindFolderExists)
	call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Drafts"})
}

func TestCopyMoveExpungeKeepCountsAndContent(t *testing.T) {
	b := newBox(t, 0)
	for i := range 5 {
		b.deliver(large(byte(i+1), 30_000))
	}
	b.flags(exmdb.FlagsAdd, exmdb.FlagSeen, []string{"$Label1"}, 2, 3)
	cp := call(b, exmdb.OpCopy, &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: ranges(2, 3), Target: schema.Sent})
	mv := call(b, exmdb.OpMove, &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: ranges(3, 4), Target: schema.Drafts})
	if len(cp.Target) != 1 || cp.Target[0] != (exmdb.UIDRange{First: 1, Last: 2}) || len(mv.Source) != 1 || mv.Source[0].First != 3 {
		t.Fatalf("%+v %+v", cp, mv)
	}
	in, sent, drafts := b.folder(schema.Inbox), b.folder(schema.Sent), b.folder(schema.Drafts)
	if in.Messages != 3 || sent.Messages != 2 || sent.Unseen != 0 || drafts.Messages != 2 || drafts.Unseen != 1 || in.Unseen != 2 {
		t.Fatalf("inbox %+v\nsent %+v\ndrafts %+v", in, sent, drafts)
	}
	if r := b.rows(schema.Sent); r[0].Flags.Keywords[0] != "$Label1" || r[0].Flags.Bits != exmdb.FlagSeen {
		t.Fatalf("%+v", r[0])
	}
	// The original of a copied message goes; the copy still reads.
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, All: true})
	if got := call(b, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: schema.Sent, UID: 1, Length: 30_014}); len(got.Data) != 30_014 {
		t.Fatalf("%d octets", len(got.Data))
	}
	for _, f := range []mapi.FID{schema.Sent, schema.Drafts} {
		call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: f, All: true})
	}
	b.checkEmpty()
}

// checkEmpty looks for anything that expunged messages left behind.
func (b *box) checkEmpty() {
	b.t.Helper()
	b.letGo()
	info := call(b, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if info.Messages != 0 || info.Used != 0 {
		b.t.Fatalf("%+v", info)
	}
	err := b.rep.View(context.Background(), b.id, space.ReadLease, func(r space.Reader) error {
		for _, of := range [][2]byte{{schema.PrefixRow, schema.PrefixContent}, {schema.PrefixAssociated, schema.PrefixAssociated}} {
			it := r.Iter([]byte{of[0]}, []byte{of[1] + 1})
			for it.Next() {
				b.t.Errorf("left behind: %x", it.Key())
			}
			if err := it.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestChangesAndTombstones(t *testing.T) {
	b := newBox(t, 0)
	for range 6 {
		b.deliver(text("x"))
	}
	start := b.folder(schema.Inbox).ContentSeq
	b.flags(exmdb.FlagsAdd, exmdb.FlagSeen, nil, 2)
	b.flags(exmdb.FlagsAdd, exmdb.FlagDeleted, nil, 4, 5)
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox})
	ch := call(b, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: schema.Inbox, Since: start, Fields: exmdb.RowFlags})
	if len(ch.Rows) != 1 || ch.Rows[0].UID != 2 || len(ch.Vanished) != 1 || ch.Vanished[0] != (exmdb.UIDRange{First: 4, Last: 5}) {
		t.Fatalf("%+v", ch)
	}
	if none := call(b, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: schema.Inbox, Since: ch.Stamp}); len(none.Rows)+len(none.Vanished) != 0 {
		t.Fatalf("after the stamp: %+v", none)
	}
	refused(b, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: schema.Inbox, Since: start, Epoch: 9}, exmdb.KindStaleToken)
}

func TestConditionalStore(t *testing.T) {
	b := newBox(t, 0)
	b.deliver(text("x"))
	seen := b.deliver(text("y")).ModSeq
	b.flags(exmdb.FlagsAdd, exmdb.FlagFlagged, nil, 2)
	r := call(b, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, UIDs: ranges(1, 2), Mode: exmdb.FlagsAdd,
		Flags: exmdb.Flags{Bits: exmdb.FlagSeen}, Conditional: true, UnchangedSince: seen})
	if r.Changed != 1 || len(r.Modified) != 1 || r.Modified[0].First != 2 {
		t.Fatalf("%+v", r)
	}
}

func TestQuotaIsExact(t *testing.T) {
	one := text("0123456789")
	size := one.Recipe.Size()
	b := newBox(t, 3*size)
	for range 3 {
		b.deliver(one)
	}
	refused(b, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: one}, exmdb.KindOverQuota)
	refused(b, exmdb.OpCopy, &exmdb.CopyRequest{Folder: schema.Inbox, Target: schema.Sent}, exmdb.KindOverQuota)
	call(b, exmdb.OpMove, &exmdb.CopyRequest{Folder: schema.Inbox, Target: schema.Sent})
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Sent, UIDs: ranges(1), All: true})
	b.deliver(one)
}

// TestOnlyOwnerAndSystem walks the table: every op is refused to strangers, to owners of other mailboxes, and to whoever
// says he is an owner of a mailbox that is nobody's.
func TestOnlyOwnerAndSystem(t *testing.T) {
	b, nobodys := newBox(t, 0), newBox(t, 0)
	owner := mapi.NewGUID()
	b.ownedBy(owner)
	owning := func(u mapi.GUID) exmdb.Identity { return exmdb.Identity{User: u, Privileges: exmdb.PrivilegeOwner} }
	for _, h := range Handlers() {
		if h.ID == exmdb.OpDeleteMailbox.ID { // the matrix of rights tries it: what follows wants the mailbox
			continue
		}
		denied := h.access.right != rightAsk
		b.ask(h, exmdb.Identity{User: owner}, denied)
		b.ask(h, owning(mapi.NewGUID()), denied)
		b.ask(h, owning(mapi.GUID{}), denied)
		b.ask(h, owning(owner), h.ID == exmdb.OpCreateMailbox.ID || h.access.right.ofTheSystem())
		b.ask(h, exmdb.System, false)
		nobodys.ask(h, owning(mapi.GUID{}), denied)
		nobodys.ask(h, owning(owner), denied)
	}
	for _, may := range []func(space.Reader, *exmdb.Identity) error{New(steady()).MayRead, New(steady()).MayWrite} {
		for as, denied := range map[mapi.GUID]bool{owner: false, mapi.NewGUID(): true} {
			id := owning(as)
			err := b.rep.View(context.Background(), b.id, space.ReadLease, func(r space.Reader) error { return may(r, &id) })
			if (cluster.KindOf(err) == exmdb.KindAccessDenied) != denied {
				t.Errorf("owner %v: %v", as == owner, err)
			}
		}
	}
}

// ask sends an empty request and looks only at whether it is refused for who asks.
func (b *box) ask(h Handler, as exmdb.Identity, denied bool) {
	b.t.Helper()
	var err error
	if h.View != nil {
		err = b.rep.View(context.Background(), b.id, space.ReadLease, func(r space.Reader) error {
			_, err := h.View(r, &as, nil)
			return err
		})
	} else {
		_, err = b.rep.Update(context.Background(), b.id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) { return h.Run(w, &as, nil) })
	}
	if (cluster.KindOf(err) == exmdb.KindAccessDenied) != denied {
		b.t.Errorf("%s as %+v: %v", h.Name, as, err)
	}
}

func TestEpoch(t *testing.T) {
	b := newBox(t, 0)
	was := b.deliver(text("x"))
	stamp := b.folder(schema.Inbox).ContentSeq
	_, err := b.rep.Update(context.Background(), b.id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) { return nil, RaiseEpoch(w, 1) })
	if err != nil {
		t.Fatal(err)
	}
	is := b.deliver(text("y"))
	if is.UID < was.UID+epochStep || is.ModSeq < was.ModSeq+epochStep || is.UIDValidity != was.UIDValidity {
		t.Fatalf("%+v then %+v", was, is)
	}
	refused(b, exmdb.OpChanges, &exmdb.ChangesRequest{Folder: schema.Inbox, Since: stamp}, exmdb.KindStaleToken)
}

// TestValiditiesAfterEpoch: folders that were made and lost do not lend their validity to those made afterwards, and the
// counter is not raised beyond its end.
func TestValiditiesAfterEpoch(t *testing.T) {
	b := newBox(t, 0)
	made := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "a"}).Folder
	b.update(func(t *tx) error { return RaiseEpoch(t.w, 1) })
	if is := b.folder(made.FID).UIDValidity; is != made.UIDValidity {
		t.Errorf("the validity of a folder that is there became %d from %d", is, made.UIDValidity)
	}
	next := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "b"}).Folder
	if next.UIDValidity <= made.UIDValidity+epochStep {
		t.Errorf("validity %d after %d: a lost folder may have had it", next.UIDValidity, made.UIDValidity)
	}
	b.update(func(t *tx) error {
		t.counters.UIDValidity = math.MaxUint32 - epochStep
		return nil
	})
	_, err := b.rep.Update(context.Background(), b.id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) { return nil, RaiseEpoch(w, 2) })
	if cluster.KindOf(err) != cluster.KindTooLarge {
		t.Errorf("at the end of the counter: %v", err)
	}
}

func TestLargeSetsGoInSteps(t *testing.T) {
	t.Parallel()
	b := newBox(t, 0)
	n := stepMessages + 10
	for range n {
		b.deliver(text("x"))
	}
	if r := b.flags(exmdb.FlagsAdd, exmdb.FlagSeen, nil); r.Changed != stepFlags || r.Last-r.First != stepFlags-1 || r.Next != stepFlags+1 {
		t.Fatalf("%+v", r)
	}
	first := call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, All: true})
	if first.Next != stepItems+1 || b.folder(schema.Inbox).Messages != uint32(n-stepItems) {
		t.Fatalf("next %d", first.Next)
	}
	b.expunge(schema.Inbox, true)
	b.checkEmpty()
}

func BenchmarkDeliver4K(b *testing.B) {
	x := newBox(b, 0)
	body := make([]byte, 4<<10)
	m := text(string(body))
	b.ReportAllocs()
	for i := range b.N {
		m.Digest = fmt.Appendf(m.Digest[:0], "digest %d", i)
		x.deliver(m)
	}
}

func BenchmarkRows10000(b *testing.B) {
	x := newBox(b, 0)
	for range 10_000 {
		x.deliver(text("x"))
	}
	for b.Loop() {
		n := 0
		q := &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowFlags, UIDs: []exmdb.UIDRange{{First: 1, Last: schema.EndOfUIDs - 1}}}
		for {
			r := call(x, exmdb.OpRows, q)
			n += len(r.Rows)
			if !r.More {
				break
			}
			q.UIDs = []exmdb.UIDRange{{First: r.Next, Last: 1<<32 - 1}}
		}
		if n != 10_000 {
			b.Fatal(n)
		}
	}
}
