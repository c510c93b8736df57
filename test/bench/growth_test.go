package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/orders"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcfxics"
	"github.com/flotilla-mail/flotilla/internal/testkit/mailboxes"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// owned is one mailbox at its owner, its state in files, without log and network: what is left is what the mailbox's size
// can make dearer. It is an exmdb.Caller.
type owned struct {
	t        *testing.T
	rep      *space.LocalReplica
	box      mapi.MailboxID
	handlers map[exmdb.OpID]store.Handler
	// longest is the longest single op since it was last zero.
	longest time.Duration
	// text is what the n-th mail says.
	text func(n int) string
	// keys is how many keys ops have come to.
	keys atomic.Int64
	// orders are what the owner's node keeps of tables.
	orders *orders.Dir
}

// counting is a reader that counts the keys that are looked up and walked over: what an op costs whatever else the machine does.
type counting struct {
	space.Reader
	keys *atomic.Int64
}

// Get implements space.Reader.
func (c counting) Get(key []byte) ([]byte, error) { c.keys.Add(1); return c.Reader.Get(key) }

// Iter implements space.Reader.
func (c counting) Iter(lo, hi []byte) space.Iterator { return walking{c.Reader.Iter(lo, hi), c.keys} }

type walking struct {
	space.Iterator
	keys *atomic.Int64
}

func (w walking) Next() bool             { w.keys.Add(1); return w.Iterator.Next() }
func (w walking) Prev() bool             { w.keys.Add(1); return w.Iterator.Prev() }
func (w walking) Last() bool             { w.keys.Add(1); return w.Iterator.Last() }
func (w walking) SeekGE(key []byte) bool { w.keys.Add(1); return w.Iterator.SeekGE(key) }

// countingWriter counts what an op that writes reads.
type countingWriter struct {
	space.Writer
	keys *atomic.Int64
}

// Get implements space.Reader.
func (c countingWriter) Get(key []byte) ([]byte, error) { return counting{c.Writer, c.keys}.Get(key) }

// Iter implements space.Reader.
func (c countingWriter) Iter(lo, hi []byte) space.Iterator {
	return counting{c.Writer, c.keys}.Iter(lo, hi)
}

func newOwned(t *testing.T) *owned {
	t.Helper()
	shared := lsm.NewShared(lsm.Budget{CacheBytes: 64 << 20, OpenFiles: 1000})
	options := lsm.StateOptions(t.TempDir())
	options.Shared = shared
	db, err := lsm.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := space.NewLocalReplica(db, space.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := rep.SetGroup(t.Context(), space.GroupRecord{Level: uint64(placement.NewestLevel)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(rep.Close(), db.Close()); err != nil {
			t.Error(err)
		}
		shared.Close()
	})
	o := &owned{t: t, rep: rep, box: mapi.NewMailboxID(), text: func(int) string { return "Dear all, …" }}
	if o.orders, err = orders.Open(orders.Options{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	o.forget()
	create := o.handlers[exmdb.OpCreateMailbox.ID]
	if _, err := rep.Create(t.Context(), cluster.SpaceID(o.box), 1, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return create.Run(w, &exmdb.System, wire.Marshal(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser}))
	}); err != nil {
		t.Fatal(err)
	}
	return o
}

// forget has the ops served by an owner that is new: nothing is kept from before but what his node has on its disk.
func (o *owned) forget() {
	o.handlers = make(map[exmdb.OpID]store.Handler)
	for _, h := range o.store().Handlers() {
		o.handlers[h.ID] = h
	}
}

func (o *owned) store() *store.Store {
	config := store.Defaults()
	config.Orders = o.orders
	return store.New(config)
}

// keepOrders does what each replica does behind what it applies: it makes the orders that are in use ready.
func (o *owned) keepOrders() error {
	s := o.store()
	for more := true; more; {
		if err := o.rep.View(o.t.Context(), cluster.SpaceID(o.box), space.ReadLease, func(r space.Reader) (err error) {
			more, err = s.KeepOrders(counting{r, &o.keys}, time.Time{})
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// Call implements exmdb.Caller.
func (o *owned) Call(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	begin := time.Now()
	err := owner{o}.Call(ctx, as, box, op, req, resp)
	o.longest = max(o.longest, time.Since(begin))
	return err
}

// owner is owned for callers that call at the same time.
type owner struct{ *owned }

// Call implements exmdb.Caller.
func (o owner) Call(ctx context.Context, as exmdb.Identity, _ mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	h, q := o.handlers[op.ID], wire.Marshal(req)
	var answer []byte
	var err error
	if op.Write {
		answer, err = o.rep.Update(ctx, cluster.SpaceID(o.box), cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
			return h.Run(countingWriter{w, &o.keys}, &as, q)
		})
	} else {
		err = o.rep.View(ctx, cluster.SpaceID(o.box), space.ReadLease, func(r space.Reader) (err error) {
			answer, err = h.View(counting{r, &o.keys}, &as, q)
			return err
		})
	}
	if err == nil {
		err = wire.Unmarshal(answer, resp)
	}
	return err
}

// Upload implements exmdb.Caller.
func (o *owned) Upload(context.Context, exmdb.Identity, mapi.MailboxID) (exmdb.Upload, error) {
	return nil, cluster.ErrUnavailable
}

// grow fills the Inbox from so many mails to so many, a thousand in an effect: 200 senders, threads of five, one mail a
// minute, one in ten unread.
func (o *owned) grow(from, to int) {
	o.t.Helper()
	h := o.handlers[exmdb.OpAppend.ID]
	first := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for from < to {
		some := min(to-from, 1000)
		requests := make([][]byte, some)
		for i := range requests {
			n := from + i
			scattered := n * 7919
			octets := fmt.Sprintf("From: Person Number %d <person.%d@example.test>\r\nTo: owner@example.test\r\nSubject: the minutes of meeting %d on harbour dues\r\n"+
				"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-ID: <%d@bench.example.org>\r\n\r\n%s\r\n", scattered%200, scattered%200, n/5*7919, n, o.text(n))
			q := exmdb.AppendRequest{Folder: schema.Inbox, Message: mailboxes.Mail(o.t, []byte(octets)), Received: first.Add(time.Duration(n) * time.Minute)}
			if scattered%10 != 0 {
				q.Flags.Bits = exmdb.FlagSeen
			}
			requests[i] = wire.Marshal(&q)
		}
		if _, err := o.rep.Update(o.t.Context(), cluster.SpaceID(o.box), cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
			for _, q := range requests {
				if _, err := h.Run(w, &exmdb.System, q); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}); err != nil {
			o.t.Fatal(err)
		}
		from += some
	}
}

// median is how long fn takes, of so many times, in ms.
func (o *owned) median(times int, fn func() error) float64 {
	o.t.Helper()
	took := make([]time.Duration, times)
	for i := range took {
		begin := time.Now()
		if err := fn(); err != nil {
			o.t.Fatal(err)
		}
		took[i] = time.Since(begin)
	}
	slices.Sort(took)
	return ms(took[times/2])
}

// spend measures what fn costs, of so many times the middle: how long it takes, in ms, and how many keys its ops come to.
func (o *owned) spend(c map[string]any, what string, times int, fn func() error) {
	o.t.Helper()
	keys := make([]int64, 0, times)
	c[what+" ms"] = o.median(times, func() error {
		before := o.keys.Load()
		err := fn()
		keys = append(keys, o.keys.Load()-before)
		return err
	})
	slices.Sort(keys)
	c[what+" keys"] = float64(keys[times/2])
}

// listed are the columns of a client's list of mails.
var listed = []mapi.Tag{mapi.PidTagFolderId, mapi.PidTagMid, mapi.PidTagInstID, mapi.PidTagInstanceNum, mapi.PidTagSubject, mapi.PidTagSenderName,
	mapi.PidTagMessageDeliveryTime, mapi.PidTagMessageSize, mapi.PidTagMessageFlags, mapi.PidTagHasAttachments, mapi.PidTagImportance, mapi.PidTagMessageClass}

var (
	atBeginning = exmdb.TablePosition{Origin: exmdb.TableBeginning}
	newest      = inboxBy()
	bySender    = inboxBy(mapi.SortOrder{Tag: mapi.PidTagSenderName}, mapi.SortOrder{Tag: mapi.PidTagMessageDeliveryTime, Direction: mapi.SortDescending})
	bySizeDown  = inboxBy(mapi.SortOrder{Tag: mapi.PidTagMessageSize, Direction: mapi.SortDescending})
	byMessageID = inboxBy(mapi.SortOrder{Tag: mapi.PidTagInternetMessageId})
)

// inboxBy is the Inbox in an order.
func inboxBy(orders ...mapi.SortOrder) exmdb.TableSpec {
	return exmdb.TableSpec{Kind: exmdb.TableContents, Object: exmdb.ObjectID{Folder: schema.Inbox}, Sort: mapi.SortOrderSet{Orders: orders}}
}

func (o *owned) table() *exmdb.Table {
	return &exmdb.Table{Caller: o, As: exmdb.System, Box: o.box}
}

func (o *owned) page(spec exmdb.TableSpec) error {
	resp, err := o.table().Rows(o.t.Context(), exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: spec, Columns: listed}, From: atBeginning, Count: 50})
	if err == nil && len(resp.Rows) != 50 {
		err = fmt.Errorf("%d rows of %d", len(resp.Rows), resp.State.Rows)
	}
	return err
}

func (o *owned) seek(at exmdb.TablePosition) error { return o.seekIn(newest, at) }

func (o *owned) seekIn(spec exmdb.TableSpec, at exmdb.TablePosition) error {
	_, err := o.table().Seek(o.t.Context(), exmdb.TableSeekRequest{Table: exmdb.TableRequest{Spec: spec}, From: at})
	return err
}

func (o *owned) deliver() error {
	_, err := exmdb.Do(o.t.Context(), o, exmdb.System, o.box, exmdb.OpDeliver, &exmdb.DeliverRequest{Received: time.Now(),
		Message: mailboxes.Mail(o.t, []byte(mail(1, 4<<10)))})
	return err
}

// synced downloads what is different in the Inbox from a state.
func (o *owned) synced(s *exmdb.ContentsSync) (changes int, err error) {
	for s.Done = false; !s.Done; {
		page, err := s.Next(o.t.Context())
		if err != nil {
			return 0, err
		}
		changes += len(page.Changes)
	}
	return changes, nil
}

// oneChange is how long it takes a client that knows all to be told of one mail that has come since, in ms: what its owner
// does, and all of it with the client's state, which names the ranges of the mail that the client has. What that state costs by itself is
// measured too: it comes as bytes and goes back as bytes.
func (o *owned) oneChange(costs map[string]any) {
	o.t.Helper()
	scope := exmdb.SyncScope{Flags: exmdb.SyncNormal | exmdb.SyncReadState, Tags: []mapi.Tag{mapi.PidTagSubject}}
	before := exmdb.ContentsSync{Caller: o, As: exmdb.System, Box: o.box, Folder: schema.Inbox, Scope: scope}
	before.Scope.Flags |= exmdb.SyncStateOnly
	if _, err := o.synced(&before); err != nil {
		o.t.Fatal(err)
	}
	if err := o.deliver(); err != nil {
		o.t.Fatal(err)
	}
	one := func(n int, err error) error {
		if err == nil && n != 1 {
			err = fmt.Errorf("%d changes", n)
		}
		return err
	}
	o.spend(costs, "sync of one change", 20, func() error {
		q := exmdb.SyncContentsRequest{Folder: schema.Inbox, Scope: scope, Seen: before.State.Seen, Read: before.State.Read, Holds: true}
		for n := 0; ; {
			resp, err := exmdb.Do(o.t.Context(), o, exmdb.System, o.box, exmdb.OpSyncContents, &q)
			if err != nil {
				return err
			}
			if n += len(resp.Changes); !resp.More {
				return one(n, nil)
			}
			q.Cursor = resp.Next
		}
	})
	o.spend(costs, "sync of one change with the client's state", 20, func() error {
		return one(o.synced(&exmdb.ContentsSync{Caller: o, As: exmdb.System, Box: o.box, Folder: schema.Inbox, Scope: scope, State: before.State}))
	})
	var size int
	costs["the client's state, read and written ms"] = o.median(20, func() error {
		var read oxcfxics.State
		size = 0
		for _, p := range before.State.Contents() {
			size += len(p.Value)
			if err := read.Put(p.Tag, p.Value); err != nil {
				return err
			}
		}
		return nil
	})
	costs["the client's state kB"] = float64(size) / 1000
}

// kept is how much memory the owner keeps from one request to the next, in MB: what becomes free when it is a new one.
func (o *owned) kept() float64 {
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := heap()
	o.forget()
	return max(0, before-heap()) / 1e6
}

// costs measures a mailbox of n mails.
func (o *owned) costs(n int) map[string]any {
	o.t.Helper()
	c := map[string]any{}
	o.spend(c, "open", 20, func() error { o.forget(); return o.seek(atBeginning) })
	o.spend(c, "count", 50, func() error { return o.seek(atBeginning) })
	o.spend(c, "first 50 rows", 50, func() error { return o.page(newest) })
	o.spend(c, "position", 50, func() error {
		return o.seek(exmdb.TablePosition{Origin: exmdb.TableBeginning, Offset: int64(n / 2)})
	})
	o.spend(c, "fraction", 50, func() error {
		return o.seek(exmdb.TablePosition{Origin: exmdb.TableFraction, Numerator: 2, Denominator: 3})
	})
	c["memory kept MB"] = o.kept()
	o.firstSorts(c, n)
	o.spend(c, "sort by sender, page", 50, func() error { return o.page(bySender) })
	o.spend(c, "sort by sender, page after a delivery", 20, func() error { return errors.Join(o.deliver(), o.page(bySender)) })
	o.spend(c, "sort by sender, position", 20, func() error {
		return o.seekIn(bySender, exmdb.TablePosition{Origin: exmdb.TableBeginning, Offset: int64(n / 2)})
	})
	c["memory kept with the sort by sender MB"] = o.kept()
	if err := o.keepOrders(); err != nil {
		o.t.Fatal(err)
	}
	o.spend(c, "sort by sender, first page at a new owner", 20, func() error { o.forget(); return o.page(bySender) })
	o.spend(c, "delivery", 200, o.deliver)
	o.oneChange(c)
	return c
}

// firstSorts is what it costs to sort by a column by which nobody has sorted the folder yet: by sender, which each replica has made
// ready since the folder was shown, in its rests; and by message id, which is not among the usual arrangements: that is made when it is asked for.
func (o *owned) firstSorts(c map[string]any, n int) {
	o.t.Helper()
	if err := errors.Join(o.unused(), o.page(newest)); err != nil {
		o.t.Fatal(err)
	}
	took := o.median(1, o.keepOrders)
	kept := len(o.orders.Names(cluster.SpaceID(o.box)))
	c["an arrangement kept by a replica, for each mail us"] = 1000 * took / float64(n*max(kept, 1))
	o.longest = 0
	o.spend(c, "sort by message id, for the first time", 1, func() error { return o.page(byMessageID) })
	c["sort by message id, longest step ms"] = ms(o.longest)
	c["memory kept with the sort by message id MB"] = o.kept()
	o.spend(c, "sort by sender, for the first time", 1, func() error { return o.page(bySender) })
	o.forget()
	o.spend(c, "sort by size turned round, for the first time", 1, func() error { return o.page(bySizeDown) })
	o.forget()
}

// unused has the mailbox and its node know of no order that is in use.
func (o *owned) unused() error {
	_, err := o.rep.Update(o.t.Context(), cluster.SpaceID(o.box), cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		w.Delete(schema.KeptOrdersKey(schema.Inbox))
		return nil, nil
	})
	o.forget()
	return errors.Join(err, o.orders.Drop(cluster.SpaceID(o.box)))
}

// cost is what was measured with so many mails.
type cost struct {
	mails int
	of    map[string]any
}

// TestGrowth: what a mailbox costs at its owner against how many mails are in it, as docs/measurements/growth.md says.
func TestGrowth(t *testing.T) {
	only(t)
	o := newOwned(t)
	results := map[string]any{}
	var costs []cost
	had := 0
	for _, n := range []int{1000, 10_000, 100_000, 400_000} {
		o.grow(had, n)
		had = n
		of := o.costs(n)
		results[fmt.Sprintf("%d mails", n)] = of
		costs = append(costs, cost{n, of})
	}
	devtest.Record(t, "growth", results)
	page(t, "growth", growthPage(costs))
	judge(costs, func(format string, args ...any) { t.Errorf(format, args...) })
	largest := costs[len(costs)-1].of
	for what, most := range map[string]float64{"open ms": 100, "count ms": 10, "first 50 rows ms": 20, "memory kept with the sort by message id MB": 20} {
		if got := largest[what].(float64); got > most {
			t.Errorf("%s with 400,000 mails is %.1f, wanted is %.0f", what, got, most)
		}
	}
}

// growthPage is the costs as a page to be read.
func growthPage(costs []cost) []byte {
	var b bytes.Buffer
	b.WriteString("# What a mailbox costs, by how much is in it\n\n" +
		"Made by `make bench BENCH=TestGrowth`; growth.json beside this page says on which machine and when. One mailbox at its owner,\n" +
		"its state in files, without log and network. Times are medians; the last column is how many times as much the largest\n" +
		"mailbox costs as that of the others which costs the least.\n\n")
	var columns []string
	var of []map[string]any
	for _, c := range costs {
		columns, of = append(columns, fmt.Sprint(c.mails)), append(of, c.of)
	}
	times := map[string]any{}
	for what := range costs[0].of {
		times[what] = grown(what, costs)
	}
	b.WriteString(table(append(columns, "growth"), append(of, times)))
	b.WriteString("\nKeys are those that an op looks up or walks over. Growth counts from " + fmt.Sprint(floor("ms")) + " ms, " + fmt.Sprint(floor("us")) + " us and " + fmt.Sprint(floor("MB")) +
		" MB on: below, a figure is the clock's and the\ncollector's more than the mailbox's. It fails the run above " + fmt.Sprint(flat) + ", but for what may grow as the mailbox does:\n\n")
	for _, what := range slices.Sorted(maps.Keys(linear)) {
		fmt.Fprintf(&b, "- %s: %s\n", what, linear[what])
	}
	b.WriteString("\ndocs/design/tables.md and sync.md say why that is so.\n")
	return b.Bytes()
}
