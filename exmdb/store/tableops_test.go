package store

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// owner is a box whose ops are served by a store of its own, as by another owner of the mailbox.
type owner struct {
	*box
	store    *Store
	handlers map[exmdb.OpID]Handler
	calls    int
}

// newOwner makes an owner; steps are how long one request may work.
func (b *box) newOwner(step time.Duration) *owner {
	config := steady()
	config.TableStep = step
	o := &owner{box: b}
	o.serve(New(config))
	return o
}

func (o *owner) serve(s *Store) { o.store, o.handlers = s, handlersOf(s) }

// Call implements exmdb.Caller.
func (o *owner) Call(ctx context.Context, as exmdb.Identity, _ mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	if op.Write {
		_, err := o.rep.Update(ctx, o.id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) { return o.handlers[op.ID].Run(w, &as, wire.Marshal(req)) })
		return err
	}
	o.calls++
	return o.rep.View(ctx, o.id, space.ReadLease, func(r space.Reader) error {
		raw, err := o.handlers[op.ID].View(r, &as, wire.Marshal(req))
		if err != nil {
			return err
		}
		o.largest = max(o.largest, len(raw))
		return wire.Unmarshal(raw, resp)
	})
}

func (o *owner) tables() *exmdb.Table {
	return &exmdb.Table{Caller: o, As: o.as, Box: mapi.MailboxID(o.id)}
}

var beginning = exmdb.TablePosition{Origin: exmdb.TableBeginning}

func rowAt(n int) exmdb.TablePosition {
	return exmdb.TablePosition{Origin: exmdb.TableBeginning, Offset: int64(n)}
}

func contentsOf(fid mapi.FID, orders ...mapi.SortOrder) exmdb.TableSpec {
	return exmdb.TableSpec{Kind: exmdb.TableContents, Object: exmdb.ObjectID{Folder: fid}, Sort: mapi.SortOrderSet{Orders: orders}}
}

func asc(t mapi.Tag) mapi.SortOrder { return mapi.SortOrder{Tag: t, Direction: mapi.SortAscending} }
func desc(t mapi.Tag) mapi.SortOrder {
	return mapi.SortOrder{Tag: t, Direction: mapi.SortDescending}
}

// readTable reads all rows, page by page.
func (o *owner) readTable(spec exmdb.TableSpec, page uint32, columns ...mapi.Tag) []exmdb.TableRow {
	o.t.Helper()
	var rows []exmdb.TableRow
	for from := beginning; ; {
		resp, err := o.tables().Rows(context.Background(), exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: spec, Columns: columns}, From: from, Count: page})
		if err != nil {
			o.t.Fatal(err)
		}
		if len(resp.Rows) == 0 {
			if int(resp.State.Rows) != len(rows) {
				o.t.Fatalf("%d rows of %d", len(rows), resp.State.Rows)
			}
			return rows
		}
		if int(resp.Index) != len(rows) {
			o.t.Fatalf("page at %d, want %d", resp.Index, len(rows))
		}
		rows = append(rows, resp.Rows...)
		from = exmdb.TablePosition{Origin: exmdb.TablePlace, Place: resp.After}
	}
}

func rowIDs(rows []exmdb.TableRow) []uint64 {
	ids := make([]uint64, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID.ID
	}
	return ids
}

func textIn(t mapi.Tag, text string) mapi.Restriction {
	return &mapi.ContentRestriction{Fuzzy: mapi.FuzzySubstring | mapi.FuzzyIgnoreCase, Tag: t, Value: mapi.Prop{Tag: t, Value: mapi.String(text)}}
}

func is(op mapi.RelOp, t mapi.Tag, v mapi.Value) mapi.Restriction {
	return &mapi.PropertyRestriction{Op: op, Tag: t, Value: mapi.Prop{Tag: t, Value: v}}
}

// isMember is a condition that a rule may have and nothing else.
var isMember = is(mapi.RelOpMemberOfDL, mapi.PidTagSenderEntryId, mapi.Binary("a list"))

func restricted(spec exmdb.TableSpec, r mapi.Restriction) exmdb.TableSpec {
	spec.Restriction = oxcdata.AppendRestriction(nil, r)
	return spec
}

// TestTablesOfAStore holds tables of a folder that random ops change against all its messages, filtered and sorted.
func TestTablesOfAStore(t *testing.T) {
	b := newBox(t, 0)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	work := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Work"}).Folder.FID
	owners := []*owner{b.newOwner(time.Nanosecond), b.newOwner(0)}
	specs := []exmdb.TableSpec{
		contentsOf(work), contentsOf(work, asc(mapi.PidTagMessageDeliveryTime)), contentsOf(work, asc(mapi.PidTagSubject), desc(mapi.PidTagMessageDeliveryTime)),
		contentsOf(work, desc(mapi.PidTagMessageSize)), contentsOf(work, asc(mapi.PidTagImportance), asc(mapi.PidTagDisplayTo)),
		restricted(contentsOf(work), &mapi.BitMaskRestriction{Op: mapi.BitMaskEqualZero, Tag: mapi.PidTagMessageFlags, Mask: mapi.MessageFlagRead}),
		restricted(contentsOf(work, desc(mapi.PidTagNormalizedSubject)), textIn(mapi.PidTagSubject, "B")),
		{Kind: exmdb.TableAssociated, Object: exmdb.ObjectID{Folder: work}},
		{Kind: exmdb.TableAssociated, Object: exmdb.ObjectID{Folder: work}, Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{desc(mapi.PidTagSubject)}}},
	}
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for range rounds {
		for range rnd.IntN(12) {
			b.churn(rnd, work)
		}
		spec := specs[rnd.IntN(len(specs))]
		want := b.plainTable(t, spec)
		got := rowIDs(owners[rnd.IntN(2)].readTable(spec, 1+rnd.Uint32N(15)))
		if !slices.Equal(got, want) {
			t.Fatalf("%+v shows %x, want %x", spec, got, want)
		}
		b.checkTimes(work, schema.Inbox)
	}
}

// churn changes messages of a folder somehow.
func (b *box) churn(rnd *rand.Rand, fid mapi.FID) {
	b.t.Helper()
	b.now = b.now.Add(time.Minute)
	subject := mapi.String(fmt.Sprintf("%c %d", 'a'+rnd.IntN(3), rnd.IntN(5)))
	first := mapi.UID(1 + rnd.IntN(40))
	some := []exmdb.UIDRange{{First: first, Last: first + 3}}
	switch rnd.IntN(7) {
	case 0, 1:
		b.create(&exmdb.CreateMessageRequest{Folder: fid, Associated: rnd.IntN(4) == 0, Message: exmdb.MessageEdit{
			Set:               bagOf(mapi.PidTagSubject, subject, mapi.PidTagImportance, mapi.Integer32(rnd.IntN(3))),
			ReplaceRecipients: true, Recipients: []mapi.PropBag{recipient(1, string(subject[:1]))}}})
	case 2:
		call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: fid, Message: text(string(subject)), Received: b.now.Add(-time.Duration(rnd.IntN(500)) * time.Minute)})
	case 3:
		call(b, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: fid, UIDs: some, Mode: exmdb.FlagMode(2 + rnd.IntN(2)), Flags: exmdb.Flags{Bits: exmdb.FlagSeen}})
	case 4:
		call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: fid, UIDs: some, All: true})
	case 5:
		call(b, exmdb.OpMove, &exmdb.CopyRequest{Folder: fid, UIDs: some, Target: schema.Inbox})
		call(b, exmdb.OpMove, &exmdb.CopyRequest{Folder: schema.Inbox, Target: fid})
	case 6:
		for _, id := range b.plainTable(b.t, contentsOf(fid)) {
			if rnd.IntN(3) == 0 {
				b.write(mid(mapi.MID(id)), mapi.PidTagSubject, subject)
				return
			}
		}
	}
}

// plainRow is a row of plainTable. What nothing else orders stands by when it was deleted, and then by tie.
type plainRow struct {
	id, tie uint64
	deleted schema.DeletedAt
	props   *mapi.PropBag
}

// eachPlain calls fn with the messages that a table is of.
func (v *view) eachPlain(spec *exmdb.TableSpec, fn func(m *message) error) error {
	fid, keys := spec.Object.Folder, schema.RowKey
	switch spec.Kind {
	case exmdb.TableAssociated:
		keys = schema.AssociatedKey
	case exmdb.TableDeleted, exmdb.TableDeletedAssociated:
		return v.deletedBetween(fid, schema.DeletedKey(fid, 0, 0), schema.DeletedKey(fid+1, 0, 0), func(d *discarded) (bool, error) {
			if d.associated() != (spec.Kind == exmdb.TableDeletedAssociated) || !v.shows(fid, &d.row) {
				return true, nil
			}
			return true, fn(&d.message)
		})
	}
	return v.scanRows(keys, fid, nil, func(uid mapi.UID, stored []byte) (bool, error) {
		m := &message{uid: uid}
		if err := m.row.UnmarshalWire(stored); err != nil {
			return false, err
		}
		return true, fn(m)
	})
}

// plainTable is a table the plain way.
func (b *box) plainTable(t testing.TB, spec exmdb.TableSpec) []uint64 {
	t.Helper()
	var rows []plainRow
	order := spec.Sort
	delivery := func(o mapi.SortOrder) bool { return o.Tag == mapi.PidTagMessageDeliveryTime }
	if spec.Kind == exmdb.TableContents && !slices.ContainsFunc(order.Orders, delivery) {
		order.Orders = slices.Concat(order.Orders, newestFirst.Orders)
	}
	indexed := spec.Kind == exmdb.TableContents && len(spec.Restriction) == 0 && order.Orders[0].Tag == mapi.PidTagMessageDeliveryTime
	b.view(func(v *view) error {
		return v.eachPlain(&spec, func(m *message) error {
			bag, err := v.show(spec.Object.Folder, m).some(nil)
			rows = append(rows, plainRow{uint64(m.row.MID), uint64(m.row.MID), m.deleted, bag})
			if indexed {
				rows[len(rows)-1].tie = uint64(m.uid) // which an edit of what MIME shows moves, and not the MID
			}
			return err
		})
	})
	slices.SortFunc(rows, func(a, b plainRow) int {
		o := cmp.Or(order.Compare(a.props, b.props), cmp.Compare(a.deleted, b.deleted))
		if o == 0 {
			o = cmp.Compare(a.tie, b.tie)
			if n := len(order.Orders); n > 0 && order.Orders[n-1].Direction == mapi.SortDescending {
				o = -o
			}
		}
		return o
	})
	var ids []uint64
	for _, r := range rows {
		if len(spec.Restriction) > 0 {
			wanted, err := oxcdata.ParseRestriction(spec.Restriction)
			if err != nil {
				t.Fatal(err)
			}
			if !wanted.Match(r.props) {
				continue
			}
		}
		ids = append(ids, r.id)
	}
	return ids
}

// TestDefaultTableOfALargeFolder (S9): count, pages from anywhere, positions and fractions come from the index; nothing
// is kept.
func TestDefaultTableOfALargeFolder(t *testing.T) {
	t.Parallel()
	b := newBox(t, 0)
	n := 20_000
	if testing.Short() {
		n = 3000
	}
	b.fill(schema.Inbox, n/2)
	older := b.now.Add(-time.Hour)
	b.fillAt(schema.Inbox, n-n/2, older) // though their UIDs are higher
	o := b.newOwner(0)
	spec := contentsOf(schema.Inbox)
	table := exmdb.TableRequest{Spec: spec, Columns: []mapi.Tag{mapi.PidTagMid, mapi.PidTagInternetArticleNumber, mapi.PidTagInstID}}
	// Row k is the message with this UID: the newer half first, in each the one that came last.
	uid := func(k int) int32 {
		if k < n/2 {
			return int32(n/2 - k)
		}
		return int32(n - (k - n/2))
	}
	for _, at := range []int{0, 1, 700, n/2 - 1, n / 2, n - 3} {
		resp, err := o.tables().Rows(t.Context(), exmdb.TableRowsRequest{Table: table, From: rowAt(at), Count: 50})
		if err != nil || int(resp.State.Rows) != n || int(resp.Index) != at || len(resp.Rows) != min(50, n-at) {
			t.Fatalf("at %d: %d rows at %d of %d, %v", at, len(resp.Rows), resp.Index, resp.State.Rows, err)
		}
		for i := range resp.Rows {
			r := &resp.Rows[i]
			if r.Props.Get(mapi.PidTagInternetArticleNumber) != mapi.Integer32(uid(at+i)) || r.Props.Get(mapi.PidTagInstID) != oxcdata.MIDValue(mapi.MID(r.ID.ID)) {
				t.Fatalf("row %d is %+v, want UID %d", at+i, r, uid(at+i))
			}
		}
		found, err := o.tables().Seek(t.Context(), exmdb.TableSeekRequest{Table: table, From: exmdb.TablePosition{Origin: exmdb.TableRowAt, Row: resp.Rows[1].ID}})
		if err != nil || int(found.Index) != at+1 || found.Gone {
			t.Fatalf("%+v, %v", found, err)
		}
	}
	half, err := o.tables().Seek(t.Context(), exmdb.TableSeekRequest{Table: table, From: exmdb.TablePosition{Origin: exmdb.TableFraction, Numerator: 1, Denominator: 2}})
	if err != nil || int(half.Index) != n/2 {
		t.Fatalf("%+v, %v", half, err)
	}
	back, err := o.tables().Rows(t.Context(), exmdb.TableRowsRequest{Table: table, From: exmdb.TablePosition{Origin: exmdb.TablePlace, Place: half.Place}, Count: 3, Backward: true})
	if err != nil || len(back.Rows) != 3 || int(back.Index) != n/2-3 || back.Rows[2].Props.Get(mapi.PidTagInternetArticleNumber) != mapi.Integer32(1) {
		t.Fatalf("%+v, %v", back, err)
	}
	if used, views := o.store.tables.Used(); used != 0 || views != 0 {
		t.Errorf("%d bytes in %d views", used, views)
	}
	b.checkFindByTime(t, o, table, n, mapi.FileTimeOf(older))
}

// fillAt puts messages without a body into a folder, delivered at a time.
func (b *box) fillAt(fid mapi.FID, n int, at time.Time) {
	b.t.Helper()
	b.update(func(t *tx) error {
		c, err := t.edit(fid)
		for i := 0; i < n && err == nil; i++ {
			row := schema.Row{Object: t.object(), Received: mapi.FileTimeOf(at)}
			t.counters.Messages++
			_, err = t.place(fid, c, &row)
		}
		return err
	})
}

// checkFindByTime looks for a time in both directions, and for what is not there in steps.
func (b *box) checkFindByTime(t *testing.T, o *owner, table exmdb.TableRequest, n int, older mapi.FileTime) {
	for _, tt := range []struct {
		order mapi.SortOrder
		r     mapi.Restriction
		at    int
	}{
		{desc(mapi.PidTagMessageDeliveryTime), is(mapi.RelOpLE, mapi.PidTagMessageDeliveryTime, older), n / 2},
		{asc(mapi.PidTagMessageDeliveryTime), is(mapi.RelOpGE, mapi.PidTagMessageDeliveryTime, older+1), n - n/2},
		{desc(mapi.PidTagMessageDeliveryTime), is(mapi.RelOpLT, mapi.PidTagMessageDeliveryTime, older), -1},
	} {
		table.Spec.Sort.Orders = []mapi.SortOrder{tt.order}
		o.calls = 0
		resp, err := o.tables().Find(t.Context(), exmdb.TableFindRequest{Table: table, From: beginning, Restriction: oxcdata.AppendRestriction(nil, tt.r)})
		if err != nil || resp.Found != (tt.at >= 0) || resp.Found && (int(resp.Index) != tt.at || o.calls != 1) {
			t.Fatalf("%+v after %d calls, %v", resp, o.calls, err)
		}
	}
	slow := b.newOwner(time.Nanosecond)
	find := exmdb.TableFindRequest{Table: table, From: exmdb.TablePosition{Origin: exmdb.TableEnd}, Backward: true,
		Restriction: oxcdata.AppendRestriction(nil, is(mapi.RelOpEQ, mapi.PidTagInternetArticleNumber, mapi.Integer32(n/2)))}
	resp, err := slow.tables().Find(t.Context(), find)
	if err != nil || !resp.Found || resp.Index != 0 || slow.calls < n/budgetRows {
		t.Fatalf("%+v after %d calls, %v", resp, slow.calls, err)
	}
}

// TestCategories (S10): headings with counts by sender, open and closed, and a conversation view in which the one with
// the newest message is first.
func TestCategories(t *testing.T) {
	b := newBox(t, 0)
	for i, from := range []string{"anna", "bert", "Anna", "carl", "anna"} {
		b.now = b.now.Add(time.Minute)
		topic := []string{"one", "two", "one", "two", "three"}[i]
		st := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: exmdb.MessageEdit{
			Set: bagOf(mapi.PidTagSenderName, mapi.String(from), mapi.PidTagConversationTopic, mapi.String(topic), mapi.PidTagSubject, mapi.String(fmt.Sprint(i)))}})
		if i == 1 {
			call(b, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, UIDs: ranges(st.UID), Mode: exmdb.FlagsRemove, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}})
		}
	}
	o := b.newOwner(time.Nanosecond)
	columns := []mapi.Tag{mapi.PidTagRowType, mapi.PidTagDepth, mapi.PidTagContentCount, mapi.PidTagContentUnreadCount, mapi.PidTagSenderName, mapi.PidTagSubject, mapi.PidTagConversationTopic}
	spec := contentsOf(schema.Inbox, asc(mapi.PidTagSenderName), desc(mapi.PidTagMessageDeliveryTime))
	spec.Sort.Categories, spec.Sort.Expanded = 1, 1
	rows := o.readTable(spec, 3, columns...)
	shape := func(rows []exmdb.TableRow, name mapi.Tag) (s string) {
		for i := range rows {
			p := &rows[i].Props
			if rows[i].ID.Heading() {
				s += fmt.Sprintf("[%v %v/%v type %v]", p.Get(name), p.Get(mapi.PidTagContentUnreadCount), p.Get(mapi.PidTagContentCount), p.Get(mapi.PidTagRowType))
			} else {
				s += fmt.Sprintf(" %v", p.Get(mapi.PidTagSubject))
			}
		}
		return s
	}
	if got := shape(rows, mapi.PidTagSenderName); got != "[anna 0/3 type 3] 4 2 0[bert 1/1 type 3] 1[carl 0/1 type 3] 3" && got != "[Anna 0/3 type 3] 4 2 0[bert 1/1 type 3] 1[carl 0/1 type 3] 3" {
		t.Fatal(got)
	}
	spec.Toggled = []uint64{rows[0].ID.ID}
	if got := shape(o.readTable(spec, 3, columns...), mapi.PidTagSubject); got != "[<nil> 0/3 type 4][<nil> 1/1 type 3] 1[<nil> 0/1 type 3] 3" {
		t.Fatal(got)
	}
	conversations := contentsOf(schema.Inbox, desc(mapi.PidTagConversationTopic), mapi.SortOrder{Tag: mapi.PidTagMessageDeliveryTime, Direction: mapi.SortMaximumCategory},
		asc(mapi.PidTagMessageDeliveryTime))
	conversations.Sort.Categories, conversations.Sort.Expanded = 1, 1
	if got := shape(o.readTable(conversations, 2, columns...), mapi.PidTagConversationTopic); got != "[three 0/1 type 3] 4[two 1/2 type 3] 1 3[one 0/2 type 3] 0 2" {
		t.Fatal(got)
	}
	if _, views := o.store.tables.Used(); views != 2 {
		t.Fatalf("%d views are kept", views)
	}
}

// TestKeywordInstances: a column of categories makes a row of each.
func TestKeywordInstances(t *testing.T) {
	b := newBox(t, 0)
	b.deliver(text("x"))
	b.deliver(text("y"))
	b.flags(exmdb.FlagsAdd, 0, []string{"red", "blue"}, 1)
	ids := call(b, exmdb.OpNameProperties, &exmdb.NamesRequest{Names: []mapi.PropertyName{mapi.PidNameKeywords.PropertyName}})
	keywords := mapi.PidNameKeywords.Tag(ids.IDs[0])
	each := keywords | mapi.Tag(mapi.MultiInstance)
	rows := b.newOwner(0).readTable(contentsOf(schema.Inbox, asc(each)), 10, each, mapi.PidTagInstanceNum)
	var got []string
	for i := range rows {
		got = append(got, fmt.Sprintf("%d %v", rows[i].ID.Instance, rows[i].Props.Get(keywords.WithType(mapi.TypeString))))
	}
	if !slices.Equal(got, []string{"0 <nil>", "1 blue", "0 red"}) {
		t.Fatalf("%q", got)
	}
}

// TestQuickSearch (S11): Outlook's search in all fields is an OR of 22 conditions, attachments and recipients among them.
func TestQuickSearch(t *testing.T) {
	b := newBox(t, 0)
	hit := func(set mapi.PropBag, recipients []mapi.PropBag, attachments []exmdb.AttachmentEdit) uint64 {
		return uint64(b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: exmdb.MessageEdit{Set: set, ReplaceRecipients: true,
			Recipients: recipients, Attachments: attachments}}).MID)
	}
	long := make([]byte, 20_000)
	for i := range long {
		long[i] = 'a' + byte(i%26)
	}
	none := bagOf(mapi.PidTagSubject, mapi.String("nothing"))
	want := []uint64{
		hit(bagOf(mapi.PidTagSubject, mapi.String("the Harbour plan")), nil, nil),
		hit(bagOf(mapi.PidTagSenderName, mapi.String("harbour master")), nil, nil),
		hit(bagOf(mapi.PidTagBody, mapi.String(string(long)+" harbour")), nil, nil),
		hit(none, []mapi.PropBag{recipient(1, "harbour")}, nil),
		hit(none, nil, []exmdb.AttachmentEdit{{Number: 1, Set: bagOf(mapi.PidTagAttachLongFilename, mapi.String("Harbour.pdf"))}}),
	}
	hit(none, []mapi.PropBag{recipient(1, "anna")}, []exmdb.AttachmentEdit{{Number: 1, Set: bagOf(mapi.PidTagAttachLongFilename, mapi.String("a.pdf"))}})
	var any mapi.OrRestriction
	for _, tag := range []mapi.Tag{mapi.PidTagSubject, mapi.PidTagNormalizedSubject, mapi.PidTagSenderName, mapi.PidTagSenderEmailAddress, mapi.PidTagSenderSmtpAddress,
		mapi.PidTagSentRepresentingName, mapi.PidTagSentRepresentingEmailAddress, mapi.PidTagDisplayTo, mapi.PidTagDisplayCc, mapi.PidTagDisplayBcc, mapi.PidTagBody,
		mapi.PidTagComment, mapi.PidTagConversationTopic, mapi.PidTagMessageClass, mapi.PidTagReceivedByName, mapi.PidTagReceivedRepresentingName,
		mapi.PidTagInternetMessageId, mapi.PidTagTransportMessageHeaders, mapi.PidTagCompanyName, mapi.PidTagDisplayName} {
		any = append(any, textIn(tag, "harbour"))
	}
	any = append(any, &mapi.SubObjectRestriction{Tag: mapi.PidTagMessageRecipients, Of: mapi.OrRestriction{textIn(mapi.PidTagDisplayName, "harbour"), textIn(mapi.PidTagSmtpAddress, "harbour")}},
		&mapi.SubObjectRestriction{Tag: mapi.PidTagMessageAttachments, Of: textIn(mapi.PidTagAttachLongFilename, "harbour")})
	if len(any) != 22 {
		t.Fatalf("%d conditions", len(any))
	}
	whole := mapi.AndRestriction{any, &mapi.NotRestriction{Of: textIn(mapi.PidTagMessageClass, "IPM.Appointment")}, &mapi.CommentRestriction{Of: mapi.AndRestriction{}}}
	spec := restricted(contentsOf(schema.Inbox, asc(mapi.PidTagMid)), whole)
	spec.Sort.Orders = []mapi.SortOrder{asc(mapi.PidTagCreationTime)}
	got := rowIDs(b.newOwner(time.Nanosecond).readTable(spec, 2))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("found %x, want %x", got, want)
	}
	first := restricted(contentsOf(schema.Inbox), &mapi.CountRestriction{Count: 2, Of: any})
	if got := b.newOwner(0).readTable(first, 10); len(got) != 2 {
		t.Fatalf("%d rows of the first two", len(got))
	}
}

// TestHierarchyTables: folders below one, and of all levels, in order of the tree; what is sorted by counts is up to date.
func TestHierarchyTables(t *testing.T) {
	b := newBox(t, 0)
	o := b.newOwner(0)
	make := func(parent mapi.FID, name string) mapi.FID {
		return call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: parent, Name: name}).Folder.FID
	}
	top := make(schema.IPMSubtree, "top")
	two, one := make(top, "b two"), make(top, "A one")
	deep := make(one, "deep")
	table := exmdb.TableSpec{Kind: exmdb.TableHierarchy, Object: exmdb.ObjectID{Folder: top}}
	all := table
	all.Depth = true
	check := func(spec exmdb.TableSpec, want ...mapi.FID) []exmdb.TableRow {
		t.Helper()
		rows := o.readTable(spec, 2, mapi.PidTagDisplayName, mapi.PidTagDepth, mapi.PidTagFolderId, mapi.PidTagContentCount)
		var got []mapi.FID
		for i := range rows {
			got = append(got, mapi.FID(rows[i].ID.ID))
			if rows[i].Props.Get(mapi.PidTagFolderId) != oxcdata.FIDValue(got[i]) {
				t.Errorf("%+v", rows[i])
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%x, want %x", got, want)
		}
		return rows
	}
	check(table, one, two)
	rows := check(all, one, deep, two)
	if rows[1].Props.Get(mapi.PidTagDepth) != mapi.Integer32(1) || rows[2].Props.Get(mapi.PidTagDepth) != mapi.Integer32(0) {
		t.Fatalf("%+v", rows)
	}
	call(b, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: one, Parent: two, Name: "A one"})
	check(table, two)
	check(all, two, one, deep)
	byCount := all
	byCount.Sort.Orders = []mapi.SortOrder{desc(mapi.PidTagContentCount)}
	check(byCount, two, one, deep)
	call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: deep, Message: text("x")})
	if rows := check(byCount, deep, two, one); rows[0].Props.Get(mapi.PidTagContentCount) != mapi.Integer32(1) {
		t.Fatalf("%+v", rows)
	}
	check(restricted(all, textIn(mapi.PidTagDisplayName, "e")), one, deep)
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: one, Recursive: true})
	check(all, two)
	resp, err := o.tables().Changes(t.Context(), exmdb.TableChangesRequest{Table: exmdb.TableRequest{Spec: all}, Since: 1})
	if err != nil || !resp.Reload {
		t.Fatal(resp, err)
	}
}

// TestPartTables: attachments and recipients of a message, and who may what in a folder.
func TestPartTables(t *testing.T) {
	b := newBox(t, 0)
	o := b.newOwner(0)
	st := b.create(&exmdb.CreateMessageRequest{Message: exmdb.MessageEdit{ReplaceRecipients: true, Recipients: []mapi.PropBag{recipient(1, "anna"), recipient(2, "bert")},
		Attachments: []exmdb.AttachmentEdit{{Number: 7, Set: bagOf(mapi.PidTagAttachFilename, mapi.String("b.txt"))}, {Number: 3, Set: bagOf(mapi.PidTagAttachFilename, mapi.String("a.txt"))}}}})
	object := exmdb.ObjectID{Message: st.MID}
	attachments := o.readTable(exmdb.TableSpec{Kind: exmdb.TableAttachments, Object: object}, 1, mapi.PidTagAttachNumber, mapi.PidTagAttachFilename)
	if !slices.Equal(rowIDs(attachments), []uint64{3, 7}) || attachments[0].Props.Get(mapi.PidTagAttachFilename) != mapi.String("a.txt") {
		t.Fatalf("%+v", attachments)
	}
	recipients := exmdb.TableSpec{Kind: exmdb.TableRecipients, Object: object, Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{desc(mapi.PidTagDisplayName)}}}
	if rows := o.readTable(recipients, 10, mapi.PidTagSmtpAddress); !slices.Equal(rowIDs(rows), []uint64{1, 0}) || rows[1].Props.Get(mapi.PidTagSmtpAddress) != mapi.String("anna@example.test") {
		t.Fatalf("%+v", rows)
	}
	if got := o.readTable(restricted(recipients, textIn(mapi.PidTagDisplayName, "ann")), 10); !slices.Equal(rowIDs(got), []uint64{0}) {
		t.Fatalf("%+v", got)
	}
	user := mapi.NewGUID()
	call(b, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: schema.Inbox, Changes: []exmdb.PermissionChange{
		{Kind: exmdb.PermissionAdd, Member: exmdb.Member{User: user, Name: "Anna", Rights: exmdb.RightReadAny}}}})
	permissions := o.readTable(exmdb.TableSpec{Kind: exmdb.TablePermissions, Object: exmdb.ObjectID{Folder: schema.Inbox}}, 10,
		mapi.PidTagMemberId, mapi.PidTagMemberName, mapi.PidTagMemberRights, mapi.PidTagRecordKey)
	if len(permissions) != 3 || permissions[0].Props.Get(mapi.PidTagMemberId) != mapi.Integer64(0) || permissions[1].Props.Get(mapi.PidTagMemberName) != mapi.String("Anonymous") ||
		permissions[2].Props.Get(mapi.PidTagMemberName) != mapi.String("Anna") || permissions[2].Props.Get(mapi.PidTagMemberRights) != mapi.Integer32(exmdb.RightReadAny) ||
		string(permissions[2].Props.Get(mapi.PidTagRecordKey).(mapi.Binary)) != string(user[:]) {
		t.Fatalf("%+v", permissions)
	}
	rules := exmdb.TableSpec{Kind: exmdb.TableRules, Object: exmdb.ObjectID{Folder: schema.Inbox}, Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{asc(mapi.PidTagRuleSequence)}}}
	if got := o.readTable(rules, 10); len(got) != 0 {
		t.Fatalf("%+v", got)
	}
	columns, err := o.tables().Columns(t.Context(), exmdb.TableColumnsRequest{Table: exmdb.TableRequest{Spec: exmdb.TableSpec{Kind: exmdb.TableAttachments, Object: object}}})
	if err != nil || !slices.Contains(columns.Tags, mapi.PidTagAttachFilename) || !slices.Contains(columns.Tags, mapi.PidTagAttachNumber) {
		t.Fatal(columns, err)
	}
}

// TestColumnsOfContents: computed and stored properties are columns, long values are cut, and an owner that is new goes
// on where the one before stopped.
func TestColumnsOfContents(t *testing.T) {
	b := newBox(t, 0)
	long := ""
	for range 3000 {
		long += "äö "
	}
	b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("b"), mapi.PidTagBody, mapi.String(long), mapi.PidTagComment, mapi.String(long[:600]))}})
	b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("a"))}})
	spec := contentsOf(schema.Inbox, asc(mapi.PidTagSubject))
	columns, err := b.newOwner(0).tables().Columns(t.Context(), exmdb.TableColumnsRequest{Table: exmdb.TableRequest{Spec: spec}})
	for _, tag := range []mapi.Tag{mapi.PidTagBody, mapi.PidTagMid, mapi.PidTagMessageFlags, mapi.PidTagSubject} {
		if err != nil || !slices.Contains(columns.Tags, tag) {
			t.Fatalf("%v is no column: %v, %v", tag, columns, err)
		}
	}
	table := exmdb.TableRequest{Spec: spec, Columns: []mapi.Tag{mapi.PidTagBody, mapi.PidTagComment, mapi.PidTagMessageFlags, mapi.PidTagSubject.WithType(mapi.TypeUnspecified)}, MaxValue: 100}
	first, err := b.newOwner(0).tables().Rows(t.Context(), exmdb.TableRowsRequest{Table: table, From: beginning, Count: 1})
	if err != nil || len(first.Rows) != 1 || first.Rows[0].Props.Get(mapi.PidTagSubject) != mapi.String("a") {
		t.Fatal(first, err)
	}
	second, err := b.newOwner(0).tables().Rows(t.Context(), exmdb.TableRowsRequest{Table: table, From: exmdb.TablePosition{Origin: exmdb.TablePlace, Place: first.After}, Count: 5})
	if err != nil || len(second.Rows) != 1 {
		t.Fatal(second, err)
	}
	for _, tag := range []mapi.Tag{mapi.PidTagBody, mapi.PidTagComment} {
		if got := string(second.Rows[0].Props.Get(tag).(mapi.String)); len([]rune(got)) != 100 || got != string([]rune(long)[:100]) {
			t.Errorf("%s is cut to %q", tag.Name(), got)
		}
	}
}

// TestTableChangesOfAStore: what came, changed and went since a stamp, in the default order and in a kept view.
func TestTableChangesOfAStore(t *testing.T) {
	b := newBox(t, 0)
	for i := range 5 {
		b.now = b.now.Add(time.Minute)
		b.deliver(text(fmt.Sprint(i)))
	}
	unread := restricted(contentsOf(schema.Inbox), &mapi.BitMaskRestriction{Op: mapi.BitMaskEqualZero, Tag: mapi.PidTagMessageFlags, Mask: mapi.MessageFlagRead})
	o := b.newOwner(0)
	var since mapi.Stamp
	for _, spec := range []exmdb.TableSpec{contentsOf(schema.Inbox), unread} {
		resp, err := o.tables().Seek(t.Context(), exmdb.TableSeekRequest{Table: exmdb.TableRequest{Spec: spec}, From: beginning})
		if err != nil || resp.State.Rows != 5 {
			t.Fatal(resp, err)
		}
		since = resp.State.Stamp
	}
	b.now = b.now.Add(time.Minute)
	fresh := b.deliver(text("new"))
	rows := b.rows(schema.Inbox)
	b.flags(exmdb.FlagsAdd, exmdb.FlagSeen, nil, 3)
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: schema.Inbox, UIDs: ranges(2), All: true})
	columns := []mapi.Tag{mapi.PidTagMessageFlags}
	for i, spec := range []exmdb.TableSpec{contentsOf(schema.Inbox), unread} {
		resp, err := o.tables().Changes(t.Context(), exmdb.TableChangesRequest{Table: exmdb.TableRequest{Spec: spec, Columns: columns}, Since: since})
		if err != nil || resp.Reload || len(resp.Rows) != 2-i || len(resp.Gone) != 1+i || !slices.Contains(resp.Gone, uint64(rows[1].MID)) {
			t.Fatalf("%d: %+v, %v", i, resp, err)
		}
		if c := resp.Rows[0]; c.Row.ID.ID != uint64(fresh.MID) || !c.New || !c.First || c.Index != 0 {
			t.Fatalf("%d: %+v", i, c)
		}
		if i == 0 {
			if c := resp.Rows[1]; c.New || c.First || c.Index != 3 || c.Behind.ID != uint64(rows[3].MID) || c.Row.ID.ID != uint64(rows[2].MID) {
				t.Fatalf("%+v", c)
			}
		}
		quiet, err := o.tables().Changes(t.Context(), exmdb.TableChangesRequest{Table: exmdb.TableRequest{Spec: spec}, Since: resp.State.Stamp})
		if err != nil || len(quiet.Rows)+len(quiet.Gone) != 0 || quiet.Reload {
			t.Fatalf("%d: %+v, %v", i, quiet, err)
		}
	}
}

// TestTablesOfOthers: who may see only what he made sees a table of that; folders that are not his to see are not in it.
func TestTablesOfOthers(t *testing.T) {
	b := newBox(t, 0)
	author := exmdb.Identity{User: mapi.NewGUID()}
	grant := func(fid mapi.FID, rights exmdb.FolderRights) {
		call(b, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: fid, Changes: []exmdb.PermissionChange{
			{Kind: exmdb.PermissionAdd, Member: exmdb.Member{User: author.User, Rights: rights}}}})
	}
	work := call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Work"}).Folder.FID
	grant(schema.IPMSubtree, exmdb.RightFolderVisible)
	grant(work, exmdb.RightFolderVisible|exmdb.RightCreate)
	b.create(&exmdb.CreateMessageRequest{Folder: work})
	o := b.newOwner(0)
	if got := o.readTable(contentsOf(work), 10); len(got) != 1 {
		t.Fatalf("the owner sees %+v", got)
	}
	his := *b
	his.as = author
	mine := his.create(&exmdb.CreateMessageRequest{Folder: work, Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagSubject, mapi.String("mine"))}})
	other := his.newOwner(0)
	other.serve(o.store)
	for _, spec := range []exmdb.TableSpec{contentsOf(work), contentsOf(work, asc(mapi.PidTagSubject))} {
		if got := rowIDs(other.readTable(spec, 10)); !slices.Equal(got, []uint64{uint64(mine.MID)}) {
			t.Fatalf("the author sees %x", got)
		}
		if got := o.readTable(spec, 10); len(got) != 2 {
			t.Fatalf("the owner sees %+v", got)
		}
	}
	hierarchy := exmdb.TableSpec{Kind: exmdb.TableHierarchy, Object: exmdb.ObjectID{Folder: schema.IPMSubtree}, Depth: true}
	if got := rowIDs(other.readTable(hierarchy, 10)); !slices.Equal(got, []uint64{uint64(work)}) {
		t.Fatalf("the author sees folders %x", got)
	}
	if got := o.readTable(hierarchy, 10); len(got) < 5 {
		t.Fatalf("the owner sees %d folders", len(got))
	}
}

func TestTablesRefuse(t *testing.T) {
	b := newBox(t, 0)
	b.deliver(text("x"))
	o := b.newOwner(0)
	rows := func(spec exmdb.TableSpec, from exmdb.TablePosition) error {
		_, err := o.tables().Rows(context.Background(), exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: spec}, From: from, Count: 1})
		return err
	}
	looks := func(spec exmdb.TableSpec, r mapi.Restriction) error {
		_, err := o.tables().Find(context.Background(), exmdb.TableFindRequest{Table: exmdb.TableRequest{Spec: spec}, From: beginning, Restriction: oxcdata.AppendRestriction(nil, r)})
		return err
	}
	inbox := contentsOf(schema.Inbox)
	for i, tt := range []struct {
		err  error
		want cluster.Kind
	}{
		{rows(exmdb.TableSpec{}, beginning), cluster.KindBadRequest},
		{rows(exmdb.TableSpec{Kind: 99, Object: inbox.Object}, beginning), cluster.KindBadRequest},
		{rows(contentsOf(mapi.LocalFID(0x999)), beginning), exmdb.KindNoFolder},
		{rows(exmdb.TableSpec{Kind: exmdb.TableAttachments, Object: exmdb.ObjectID{Message: mapi.NewMID(1, 5)}}, beginning), exmdb.KindNoMessage},
		{rows(inbox, exmdb.TablePosition{Origin: exmdb.TablePlace, Place: []byte{0xFF}}), cluster.KindBadRequest},
		{rows(inbox, exmdb.TablePosition{Origin: exmdb.TablePlace, Place: wire.Marshal(&struct {
			ID  uint64 `wire:"4"`
			Key []byte `wire:"6"`
		}{5, []byte("short")})}), cluster.KindBadRequest},
		{rows(exmdb.TableSpec{Kind: exmdb.TableContents, Object: inbox.Object, Restriction: []byte{0x77}}, beginning), cluster.KindBadRequest},
		{rows(contentsOf(schema.Inbox, mapi.SortOrder{Tag: mapi.PidTagSubject, Direction: 9}), beginning), exmdb.KindTooComplex},
		{rows(restricted(inbox, isMember), beginning), exmdb.KindTooComplex},
		{rows(restricted(listOf(exmdb.TableHierarchy, schema.IPMSubtree), isMember), beginning), exmdb.KindTooComplex},
		{looks(inbox, isMember), exmdb.KindTooComplex},
	} {
		if cluster.KindOf(tt.err) != tt.want || tt.err == nil {
			t.Errorf("%d: %v, want kind %d", i, tt.err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	slow := b.newOwner(time.Nanosecond)
	b.fill(schema.Inbox, 200)
	if _, err := slow.tables().Rows(ctx, exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: contentsOf(schema.Inbox, asc(mapi.PidTagSubject))}, From: beginning, Count: 1}); err == nil {
		t.Error("a table is waited for without end")
	}
}
