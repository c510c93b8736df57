package store

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/orders"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// keeper is a node with a replica of a box: what it keeps, what makes it, and the owner that it becomes.
type keeper struct {
	*owner
	fs    lsm.FS
	dir   *orders.Dir
	maker *Store
	// usual: arrangements are made ready before anybody asks.
	usual bool
}

// newKeeper makes a node whose requests work for a few rows at a time.
func (b *box) newKeeper() *keeper {
	b.t.Helper()
	k := &keeper{owner: &owner{box: b}, fs: lsm.MemFS()}
	var err error
	if k.dir, err = orders.Open(orders.Options{Dir: "/orders", FS: k.fs}); err != nil {
		b.t.Fatal(err)
	}
	k.begin()
	return k
}

// begin is a start of the node's process.
func (k *keeper) begin() {
	config := steady()
	config.Orders, config.OrderRows, config.OnlyAsked = k.dir, 100, !k.usual
	k.maker = New(config)
	config.TableStep = time.Nanosecond
	k.serve(New(config))
}

// work makes and renews what there is to, and reports how many steps that took.
func (k *keeper) work() (steps int) {
	k.t.Helper()
	for more := true; more; steps++ {
		if err := k.rep.View(k.t.Context(), k.id, space.ReadLease, func(r space.Reader) (err error) {
			more, err = k.maker.KeepOrders(r, time.Time{})
			return err
		}); err != nil || steps > 10_000 {
			k.t.Fatalf("%d steps, %v", steps, err)
		}
	}
	return steps
}

// asks reads the first rows of a table and reports with how many requests.
func (k *keeper) asks(spec exmdb.TableSpec) (rows []uint64, requests int) {
	k.t.Helper()
	k.calls = 0
	resp, err := k.tables().Rows(k.t.Context(), exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: spec}, From: beginning, Count: 5000})
	if err != nil {
		k.t.Fatal(err)
	}
	return rowIDs(resp.Rows), k.calls
}

func (b *box) ordersOf(fid mapi.FID) (list []schema.KeptOrder) {
	b.t.Helper()
	b.view(func(v *view) error {
		kept, err := v.keptOrders(fid)
		list = kept.Orders
		return err
	})
	return list
}

// used makes all orders of a folder so many days old.
func (b *box) used(fid mapi.FID, days uint32) {
	b.t.Helper()
	b.update(func(t *tx) error {
		list, err := t.keptOrders(fid)
		for i := range list.Orders {
			list.Orders[i].Used = today() - days
		}
		t.set(schema.KeptOrdersKey(fid), list)
		return err
	})
}

func today() uint32 { return dayOf(time.Now()) }

func sentBy(name string) exmdb.MessageEdit {
	return exmdb.MessageEdit{Set: bagOf(mapi.PidTagSenderName, mapi.String(name))}
}

// conversations are those of the Inbox as a client lists them, the last on top.
func conversations() exmdb.TableSpec {
	spec := contentsOf(schema.Inbox, desc(mapi.PidTagConversationTopic),
		mapi.SortOrder{Tag: mapi.PidTagMessageDeliveryTime, Direction: mapi.SortMaximumCategory}, desc(mapi.PidTagMessageDeliveryTime))
	spec.Sort.Categories = 1
	return spec
}

var bySender = contentsOf(schema.Inbox, asc(mapi.PidTagSenderName), desc(mapi.PidTagMessageDeliveryTime))

// TestOrdersInUseAreKept: who waits for an order has it kept, on each node, and no owner that is new makes anybody wait for it.
func TestOrdersInUseAreKept(t *testing.T) {
	b := newBox(t, 0)
	b.correspond(600)
	one, two, bare := b.newKeeper(), b.newKeeper(), b.newOwner(0)
	if one.work() != 1 || len(one.dir.Names(b.id)) != 0 {
		t.Fatal("orders are kept that nobody has asked for")
	}
	moved := call(b, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: sentBy("Anna")}).State.MID
	want, requests := one.asks(bySender)
	if requests < 10 || len(want) != 601 || want[0] != uint64(moved) {
		t.Fatalf("%d rows in %d requests", len(want), requests)
	}
	if list := b.ordersOf(schema.Inbox); len(list) != 1 || !slices.Equal(list[0].Sort.Orders, bySender.Sort.Orders) {
		t.Fatalf("kept are %+v", list)
	}
	for _, k := range []*keeper{one, two} {
		if steps := k.work(); steps < 2 || len(k.dir.Names(b.id)) != 1 {
			t.Fatalf("%q are kept after %d steps", k.dir.Names(b.id), steps)
		}
		if steps := k.work(); steps != 1 {
			t.Errorf("made once more, in %d steps", steps)
		}
		k.begin()
		if steps := k.work(); steps != 1 {
			t.Errorf("made once more after a start, in %d steps", steps)
		}
		if got, requests := k.asks(bySender); requests != 1 || !slices.Equal(got, want) {
			t.Errorf("%d rows in %d requests", len(got), requests)
		}
	}
	// What has changed since is looked at, and only that.
	call(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: moved, Edit: sentBy("Zoe"), Force: true})
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mapi.MID(want[1])}})
	b.correspond(3)
	two.begin()
	got, requests := two.asks(bySender)
	if want := rowIDs(bare.readTable(bySender, 5000)); requests > 2 || !slices.Equal(got, want) || got[len(got)-1] != uint64(moved) {
		t.Errorf("%d rows in %d requests, want %d", len(got), requests, len(want))
	}
	if two.work() != 1 {
		t.Error("made anew for a few changes")
	}
	b.correspond(orderChanges)
	if steps := two.work(); steps < 2 {
		t.Error("not made anew after many changes")
	}
	two.begin()
	if got, requests := two.asks(bySender); requests != 1 || !slices.Equal(got, rowIDs(bare.readTable(bySender, 5000))) {
		t.Errorf("%d rows in %d requests", len(got), requests)
	}
}

// shownAt makes it so many days since it was noted that a folder is shown.
func (b *box) shownAt(fid mapi.FID, days uint32) {
	b.t.Helper()
	b.update(func(t *tx) error {
		list, err := t.keptOrders(fid)
		list.Shown = today() - days
		t.set(schema.KeptOrdersKey(fid), list)
		return err
	})
}

// TestUsualArrangementsAreReady: once a large folder is shown to somebody nobody waits for an arrangement that clients offer, though
// nobody has asked for it; what is not shown, or small, has none.
func TestUsualArrangementsAreReady(t *testing.T) {
	b := newBox(t, 0)
	b.correspond(600)
	small := b.newBelow(schema.IPMSubtree, "Small")
	b.append(small)
	k, bare := b.newKeeper(), b.newOwner(0)
	k.usual = true
	k.begin()
	call(b, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox})
	k.asks(contentsOf(small))
	if k.work() != 1 || len(k.dir.Names(b.id)) != 0 {
		t.Fatalf("%q are kept of what nobody is shown", k.dir.Names(b.id))
	}
	newest := contentsOf(schema.Inbox)
	told := func() bool {
		t.Helper()
		was := b.rep.Machine().Applied().Index
		k.asks(newest)
		return b.rep.Machine().Applied().Index != was
	}
	if !told() || told() || len(b.ordersOf(schema.Inbox)) != 0 {
		t.Fatalf("a folder is shown, and asked for are %+v", b.ordersOf(schema.Inbox))
	}
	k.work()
	if names := k.dir.Names(b.id); len(names) != len(usualArrangements()) {
		t.Fatalf("%q are kept", names)
	}
	k.begin()
	if steps := k.work(); steps != 1 {
		t.Errorf("made again after a start, in %d steps", steps)
	}
	for i, sort := range usualArrangements() {
		first := sort.Orders[0].Tag
		clicks := [][]mapi.SortOrder{{asc(first), newestFirst.Orders[0]}, {desc(first), newestFirst.Orders[0]}, {asc(first)}, {desc(first)}}
		if testing.Short() {
			clicks = clicks[i%4 : i%4+1]
		}
		for _, clicked := range clicks {
			k.serve(New(k.store.config))
			spec := contentsOf(schema.Inbox, clicked...)
			got, requests := k.asks(spec)
			if want := rowIDs(bare.readTable(spec, 5000)); requests != 1 || !slices.Equal(got, want) || !slices.Equal(got, b.plainTable(t, spec)) || len(want) != 600 {
				t.Errorf("%v: %d rows in %d requests, want %d", clicked, len(got), requests, len(want))
			}
		}
	}
	if n := len(b.ordersOf(schema.Inbox)); n != len(usualArrangements()) {
		t.Errorf("%d were asked for", n)
	}
	k.work()
	if names := k.dir.Names(b.id); len(names) != len(usualArrangements()) {
		t.Errorf("%q are kept once they are asked for", names)
	}
	b.used(schema.Inbox, orderDays+1)
	if k.work(); len(k.dir.Names(b.id)) != len(usualArrangements()) {
		t.Errorf("%q are kept while the folder is shown", k.dir.Names(b.id))
	}
	b.shownAt(schema.Inbox, orderDays+1)
	if k.work(); len(k.dir.Names(b.id)) != 0 {
		t.Errorf("%q are kept of a folder that is shown no more", k.dir.Names(b.id))
	}
	b.shownAt(schema.Inbox, orderAgain)
	if !told() || told() {
		t.Error("told in another week, or not only once")
	}
}

// TestWhatIsAskedForComesFirst: usual arrangements have the room that orders in use leave.
func TestWhatIsAskedForComesFirst(t *testing.T) {
	b := newBox(t, 0)
	b.view(func(v *view) error {
		list := &schema.KeptOrders{Shown: today()}
		for i := range ordersKept + 1 {
			used, usual := 0, 0
			for _, o := range v.ordersToKeep(list) {
				if i := findOrder(list, o.sort); i >= 0 && o.share == orderShare {
					used++
				} else if i < 0 && o.share == usualShare {
					usual++
				}
			}
			if used != i || used+usual != min(ordersKept, max(len(usualArrangements()), i+len(usualArrangements())-min(i, 1))) {
				t.Errorf("of %d in use %d are kept, and %d usual ones", i, used, usual)
			}
			if i == 0 {
				list.Orders = append(list.Orders, schema.KeptOrder{Sort: usualArrangements()[3], Used: today()})
				continue
			}
			list.Orders = append(list.Orders, schema.KeptOrder{Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{asc(mapi.NewTag(uint16(0x6600+i), mapi.TypeString))}}, Used: today()})
		}
		list.Shown = today() - orderDays - 1
		if n := len(v.ordersToKeep(list)); n != len(list.Orders) {
			t.Errorf("%d of %d in use are kept of a folder that is not shown", n, len(list.Orders))
		}
		return nil
	})
}

// TestOrdersUnderHeadingsAreKept: conversations as a client lists them, with what is unread below each, whichever are open.
func TestOrdersUnderHeadingsAreKept(t *testing.T) {
	b := newBox(t, 0)
	b.correspond(600)
	one, two, bare := b.newKeeper(), b.newKeeper(), b.newOwner(0)
	talks := conversations()
	if rows, _ := one.asks(talks); len(rows) != 120 {
		t.Fatalf("%d conversations", len(rows))
	}
	two.work()
	call(b, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, UIDs: []exmdb.UIDRange{{First: 3, Last: 40}}, Mode: exmdb.FlagsRemove, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}})
	b.correspond(6)
	for _, expanded := range []uint16{0, 1} {
		talks.Sort.Expanded = expanded
		two.begin()
		if _, requests := two.asks(talks); requests > 4 { // what has changed, and the headings, in steps
			t.Errorf("%d requests", requests)
		}
		columns := []mapi.Tag{mapi.PidTagContentCount, mapi.PidTagContentUnreadCount, mapi.PidTagSubject}
		got, want := two.readTable(talks, 100, columns...), bare.readTable(talks, 100, columns...)
		if !reflect.DeepEqual(got, want) || len(want) < 120 {
			t.Errorf("%d open: %d rows differ from %d", expanded, len(got), len(want))
		}
	}
}

// TestOrdersOfReadersAreTheirOwn: where everybody has read something else, headings count for each what is unread for him.
func TestOrdersOfReadersAreTheirOwn(t *testing.T) {
	b := newBox(t, 0)
	b.correspond(200)
	call(b, exmdb.OpSetReadState, &exmdb.SetReadStateRequest{PerUser: true})
	k := b.newKeeper()
	user := b.as
	user.User = mapi.NewGUID()
	k.as = user
	under := contentsOf(schema.Inbox, asc(mapi.PidTagSenderName))
	under.Sort.Categories = 1
	k.asks(under)
	if list := b.ordersOf(schema.Inbox); len(list) != 0 {
		t.Errorf("kept are %+v", list)
	}
	k.asks(bySender)
	if list := b.ordersOf(schema.Inbox); len(list) != 1 {
		t.Errorf("kept are %+v", list)
	}
}

// TestOrdersThatAreNotKept: of what is quick, of what only some see, and of what is no order of all messages.
func TestOrdersThatAreNotKept(t *testing.T) {
	b := newBox(t, 0)
	b.correspond(200)
	small := b.newFolder("small")
	associated, spread := bySender, contentsOf(schema.Inbox, asc(mapi.NewTag(0x6801, mapi.TypeMultiString|mapi.MultiInstance)))
	associated.Kind = exmdb.TableAssociated
	specs := map[string]exmdb.TableSpec{
		"a small folder": contentsOf(small, asc(mapi.PidTagSenderName)), "no order": contentsOf(schema.Inbox), "associated messages": associated,
		"the order of delivery": contentsOf(schema.Inbox, desc(mapi.PidTagMessageDeliveryTime)), "a row for each value": spread,
		"a restriction": restricted(bySender, is(mapi.RelOpGE, mapi.PidTagMessageSize, mapi.Integer32(1))),
	}
	k := b.newKeeper()
	for what, spec := range specs {
		if _, err := k.tables().Seek(t.Context(), exmdb.TableSeekRequest{Table: exmdb.TableRequest{Spec: spec}, From: beginning}); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		call(b, exmdb.OpKeepOrder, &exmdb.KeepOrderRequest{Table: exmdb.TableRequest{Spec: spec}}) // asked for all the same
	}
	for _, fid := range []mapi.FID{schema.Inbox, small} {
		if list := b.ordersOf(fid); len(list) != 0 {
			t.Errorf("kept are %+v", list)
		}
	}
}

// TestOrdersAreForgotten: the one that nobody asked for the longest when there are too many, all after a while, and what is kept
// of a folder that is gone; then the files go.
func TestOrdersAreForgotten(t *testing.T) {
	b := newBox(t, 0)
	b.correspond(200)
	k := b.newKeeper()
	k.asks(bySender)
	b.used(schema.Inbox, orderAgain-1)
	k.asks(bySender)
	if list := b.ordersOf(schema.Inbox); len(list) != 1 || list[0].Used >= today() {
		t.Errorf("shown again at once, kept are %+v", list)
	}
	b.used(schema.Inbox, orderAgain)
	k.asks(bySender)
	if list := b.ordersOf(schema.Inbox); len(list) != 1 || list[0].Used < today() {
		t.Errorf("shown again after a while, kept are %+v", list)
	}
	k.work()
	first := k.dir.Names(b.id)
	for i := range uint16(ordersKept) {
		k.asks(contentsOf(schema.Inbox, asc(mapi.NewTag(0x6800+i, mapi.TypeString))))
	}
	k.work()
	if names := k.dir.Names(b.id); len(first) != 1 || len(names) != ordersKept || slices.Contains(names, first[0]) || len(b.ordersOf(schema.Inbox)) != ordersKept {
		t.Errorf("%d orders are kept, %q was the first", len(names), first)
	}
	b.used(schema.Inbox, orderDays+1)
	k.work()
	if names := k.dir.Names(b.id); len(names) != 0 {
		t.Errorf("%d orders are kept for ever", len(names))
	}
	k.asks(bySender)
	if list := b.ordersOf(schema.Inbox); len(list) != 1 {
		t.Errorf("%d orders are known for ever", len(list))
	}

	fid := b.newFolder("large")
	b.fill(fid, 200)
	k.asks(contentsOf(fid, asc(mapi.PidTagMessageSize)))
	k.work()
	if names := k.dir.Names(b.id); len(names) != 2 {
		t.Fatalf("%q are kept", names)
	}
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid, Hard: true})
	b.work()
	k.work()
	if names := k.dir.Names(b.id); len(names) != 1 || len(b.ordersOf(fid)) != 0 {
		t.Errorf("%q are kept, and %d orders of a folder that is gone", names, len(b.ordersOf(fid)))
	}
}

// TestOrdersOfAnotherPast: what was kept before a mailbox began from an older state is of no use.
func TestOrdersOfAnotherPast(t *testing.T) {
	b := newBox(t, 0)
	b.correspond(200)
	k := b.newKeeper()
	k.asks(bySender)
	k.work()
	k.begin()
	if _, requests := k.asks(bySender); requests != 1 {
		t.Fatalf("%d requests", requests)
	}
	b.update(func(t *tx) error { return RaiseEpoch(t.w, 1) })
	k.begin()
	if _, requests := k.asks(bySender); requests < 3 {
		t.Errorf("%d requests", requests)
	}
	if k.work() < 2 {
		t.Error("not made anew")
	}
	k.begin()
	if _, requests := k.asks(bySender); requests != 1 {
		t.Errorf("%d requests", requests)
	}
}

// TestLostOrdersAreMadeAgain: what is kept may be damaged or go at any time, while the node knows that it was made.
func TestLostOrdersAreMadeAgain(t *testing.T) {
	b := newBox(t, 0)
	b.correspond(600)
	k := b.newKeeper()
	k.asks(bySender)
	k.work()
	file := func() string { return fmt.Sprintf("/orders/%x/%s", b.id[:], k.dir.Names(b.id)[0]) }
	for what, lose := range map[string]func() error{
		"dropped": func() error { return k.dir.Drop(b.id) },
		"damaged": func() error {
			return lsm.WriteFile(k.fs, file(), []byte("what is no order"))
		},
		"damaged where a page is read": func() error {
			content, err := lsm.ReadFile(k.fs, file())
			if err != nil {
				return err
			}
			content[len(content)/2] ^= 1
			return lsm.WriteFile(k.fs, file(), content)
		},
	} {
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		k.serve(New(k.store.config))
		got, requests := k.asks(bySender)
		if want := b.plainTable(t, bySender); requests < 3 || !slices.Equal(got, want) {
			t.Errorf("%s: %d rows in %d requests", what, len(got), requests)
		}
		if steps := k.work(); steps < 2 {
			t.Errorf("%s: not made again", what)
		}
		k.serve(New(k.store.config))
		if _, requests := k.asks(bySender); requests != 1 {
			t.Errorf("%s: %d requests afterwards", what, requests)
		}
	}
}

// TestKeptOrdersOfManyFolders: each step works at one order, and all are there in the end.
func TestKeptOrdersOfManyFolders(t *testing.T) {
	b := newBox(t, 0)
	k := b.newKeeper()
	var specs []exmdb.TableSpec
	for i := range 5 {
		fid := b.newFolder(fmt.Sprint("folder ", i))
		b.fill(fid, 150+i)
		specs = append(specs, contentsOf(fid, asc(mapi.PidTagMessageSize)), contentsOf(fid, desc(mapi.PidTagMessageSize)))
	}
	for _, spec := range specs {
		k.asks(spec)
	}
	k.work()
	k.begin()
	for i, spec := range specs {
		if rows, requests := k.asks(spec); requests != 1 || len(rows) != 150+i/2 {
			t.Errorf("table %d: %d rows in %d requests", i, len(rows), requests)
		}
	}
	if names := k.dir.Names(b.id); len(names) != len(specs)/2 { // one for both ways round
		t.Errorf("%d orders are kept", len(names))
	}
}

// TestUsualArrangementsAreRenewedLessOften: an order that somebody uses is renewed when one in orderShare has changed, a usual one
// that nobody has sorted by yet when one in usualShare has.
func TestUsualArrangementsAreRenewedLessOften(t *testing.T) {
	b := newBox(t, 0)
	b.correspond(600)
	k := b.newKeeper()
	k.usual = true
	k.begin()
	k.asks(contentsOf(schema.Inbox))
	k.work()
	const mails = 400_000
	sort := usualArrangements()[0]
	due := func(share, changes int) (due bool) {
		t.Helper()
		if err := k.rep.View(t.Context(), k.id, space.ReadLease, func(r space.Reader) error {
			v, err := k.maker.open(r, &exmdb.System, rightRead)
			if err != nil {
				return err
			}
			o, err := v.inUse(schema.Inbox, sort)
			if err != nil {
				return err
			}
			o.rows.counts.Messages, o.share, o.ready = mails, share, o.found()
			if !o.ready.kept {
				t.Fatal("it is not kept")
			}
			o.ready.changes = changes
			due, err = o.due()
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return due
	}
	for _, share := range []int{orderShare, usualShare} {
		if most := mails / share; due(share, most) || !due(share, most+1) {
			t.Errorf("renewed at another number of changes than one in %d", share)
		}
	}
	if 4*(mails/orderShare) > mails/usualShare {
		t.Error("a usual arrangement is renewed as often as one in use")
	}
}
