package store

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// newDiskBox is a mailbox whose state is in files, as an owner's is.
func newDiskBox(t testing.TB) *box {
	t.Helper()
	shared := lsm.NewShared(lsm.Budget{CacheBytes: 64 << 20, OpenFiles: 1000})
	t.Cleanup(shared.Close)
	options := lsm.StateOptions(t.TempDir())
	options.Shared = shared
	db, err := lsm.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, id: cluster.SpaceID(mapi.NewMailboxID()), as: exmdb.System, now: time.Unix(1.8e9, 0), due: dueList{}, config: steady()}
	if b.rep, err = space.NewLocalReplica(db, space.Config{Now: func() time.Time { return b.now }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.rep.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	call(b, exmdb.OpCreateMailbox, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser})
	return b
}

// correspond fills the Inbox with mail as lists show it: 200 senders, threads of five, one in ten unread.
func (b *box) correspond(n int) {
	b.t.Helper()
	for done := 0; done < n; {
		some := min(n-done, 5000)
		b.update(func(t *tx) error {
			c, err := t.edit(schema.Inbox)
			for i := done; i < done+some && err == nil; i++ {
				err = t.oneOfMany(c, i)
			}
			return err
		})
		done += some
	}
}

func (t *tx) oneOfMany(c *schema.FolderCounts, i int) error {
	scattered := i * 7919
	sender, thread := scattered%200, i/5*7919
	row := schema.Row{Object: t.object(), Size: uint64(2000 + scattered%50_000), Received: mapi.FileTimeOf(t.now.Add(time.Duration(i) * time.Minute)),
		Bits: schema.RowBits(exmdb.FlagSeen)}
	if scattered%10 == 0 {
		row.Bits = 0
	}
	text := func(format string, args ...any) mapi.String { return mapi.String(fmt.Sprintf(format, args...)) }
	address, subject := text("person.%d@example.test", sender), text("the minutes of meeting %d on harbour dues", thread)
	bag := bagOf(mapi.PidTagMessageClass, mapi.String("IPM.Note"), mapi.PidTagSubjectPrefix, mapi.String("RE: "), mapi.PidTagNormalizedSubject, subject,
		mapi.PidTagSenderName, text("Person Number %d", sender), mapi.PidTagSenderEmailAddress, address, mapi.PidTagSenderSmtpAddress, address,
		mapi.PidTagSentRepresentingName, text("Person Number %d", sender), mapi.PidTagDisplayTo, mapi.String("Owner of the Mailbox; Somebody Else"),
		mapi.PidTagClientSubmitTime, row.Received, mapi.PidTagInternetMessageId, text("<%d.%d@mail.example.test>", i, scattered),
		mapi.PidTagImportance, mapi.Integer32(1), mapi.PidTagConversationTopic, subject)
	if err := t.setBag(&row, nil, &bag, nil); err != nil {
		return err
	}
	t.enter(&row)
	_, err := t.place(schema.Inbox, c, &row)
	return err
}

// listColumns are what a client's list of mails shows.
var listColumns = []mapi.Tag{mapi.PidTagFolderId, mapi.PidTagMid, mapi.PidTagInstID, mapi.PidTagInstanceNum, mapi.PidTagSubject, mapi.PidTagSenderName,
	mapi.PidTagMessageDeliveryTime, mapi.PidTagMessageSize, mapi.PidTagMessageFlags, mapi.PidTagHasAttachments, mapi.PidTagImportance, mapi.PidTagMessageClass}

// bench is one mailbox with what is measured on it.
type bench struct {
	*owner
	b *testing.B
	// longest is the longest single request of what ran last.
	longest time.Duration
}

func (x *bench) Call(ctx context.Context, as exmdb.Identity, id mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	begin := time.Now()
	err := x.owner.Call(ctx, as, id, op, req, resp)
	x.longest = max(x.longest, time.Since(begin))
	return err
}

func (x *bench) rows(spec exmdb.TableSpec, from exmdb.TablePosition) {
	t := exmdb.Table{Caller: x, As: x.as, Box: mapi.MailboxID(x.id)}
	resp, err := t.Rows(context.Background(), exmdb.TableRowsRequest{Table: exmdb.TableRequest{Spec: spec, Columns: listColumns}, From: from, Count: 50})
	if err != nil || len(resp.Rows) == 0 {
		x.b.Fatal(len(resp.Rows), err)
	}
}

func (x *bench) seek(spec exmdb.TableSpec, from exmdb.TablePosition) {
	t := exmdb.Table{Caller: x, As: x.as, Box: mapi.MailboxID(x.id)}
	if _, err := t.Seek(context.Background(), exmdb.TableSeekRequest{Table: exmdb.TableRequest{Spec: spec}, From: from}); err != nil {
		x.b.Fatal(err)
	}
}

// each measures fn over and over.
func (x *bench) each(name string, fn func(b *testing.B)) {
	x.b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			fn(b)
		}
	})
}

// anew measures fn with nothing kept from before, and says how long the longest request took and what is kept.
func (x *bench) anew(name string, fn func()) {
	x.b.Run(name, func(b *testing.B) {
		for b.Loop() {
			x.serve(New(steady()))
			x.longest, x.calls = 0, 0
			fn()
		}
		used, _ := x.store.tables.Used()
		b.ReportMetric(float64(x.longest.Microseconds())/1000, "ms/longest")
		b.ReportMetric(float64(x.calls), "calls/op")
		b.ReportMetric(float64(used)/(1<<20), "MiB-kept")
	})
}

// BenchmarkTables prints what tables of folders of several sizes cost (S9, S10).
func BenchmarkTables(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 400_000} {
		if n > 10_000 && testing.Short() {
			continue
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkTables(b, n) })
	}
}

func benchmarkTables(b *testing.B, n int) {
	box := newDiskBox(b)
	box.correspond(n)
	x := &bench{owner: box.newOwner(0), b: b}
	inbox := contentsOf(schema.Inbox)
	middle := rowAt(n / 2)
	x.anew("open", func() { x.seek(inbox, beginning) })
	x.each("count", func(b *testing.B) { x.seek(inbox, beginning) })
	x.each("first page", func(b *testing.B) { x.rows(inbox, beginning) })
	x.each("page in the middle", func(b *testing.B) { x.rows(inbox, middle) })
	x.each("position", func(b *testing.B) { x.seek(inbox, middle) })
	x.each("fraction", func(b *testing.B) {
		x.seek(inbox, exmdb.TablePosition{Origin: exmdb.TableFraction, Numerator: 2, Denominator: 3})
	})
	bySubject := contentsOf(schema.Inbox, asc(mapi.PidTagSubject))
	unread := restricted(inbox, &mapi.BitMaskRestriction{Op: mapi.BitMaskEqualZero, Tag: mapi.PidTagMessageFlags, Mask: mapi.MessageFlagRead})
	for _, t := range []struct {
		name string
		spec exmdb.TableSpec
	}{{"by sender", bySender},
		{"by size", contentsOf(schema.Inbox, desc(mapi.PidTagMessageSize))}, {"by subject", bySubject}, {"unread", unread}, {"conversations", conversations()}} {
		x.anew(t.name+" made", func() { x.rows(t.spec, beginning) })
		x.each(t.name+" first page", func(b *testing.B) { x.rows(t.spec, beginning) })
		x.each(t.name+" position", func(b *testing.B) { x.seek(t.spec, rowAt(n/40)) })
		x.each(t.name+" after a delivery", func(b *testing.B) {
			b.StopTimer()
			x.deliver(text("Subject: x\r\n\r\nx"))
			b.StartTimer()
			x.rows(t.spec, beginning)
		})
	}
	find := exmdb.TableFindRequest{Table: exmdb.TableRequest{Spec: bySubject, Columns: listColumns}, From: beginning, Restriction: oxcdata.AppendRestriction(nil,
		&mapi.ContentRestriction{Fuzzy: mapi.FuzzyPrefix | mapi.FuzzyIgnoreCase, Tag: mapi.PidTagSubject, Value: mapi.Prop{Tag: mapi.PidTagSubject, Value: mapi.String("re: the minutes of meeting 9")}})}
	x.rows(bySubject, beginning)
	x.each("type-ahead", func(b *testing.B) {
		if resp, err := x.tables().Find(context.Background(), find); err != nil || !resp.Found {
			b.Fatal(resp, err)
		}
	})
	x.each("delivery", func(b *testing.B) { x.deliver(text("Subject: x\r\n\r\nx")) })
	x.memory(bySubject)
}

// memory says how much the heap grows by a view.
func (x *bench) memory(spec exmdb.TableSpec) {
	var before, after runtime.MemStats
	x.serve(New(steady()))
	runtime.GC()
	runtime.ReadMemStats(&before)
	x.rows(spec, beginning)
	runtime.GC()
	runtime.ReadMemStats(&after)
	used, _ := x.store.tables.Used()
	x.b.Logf("by subject: %.1f MiB of heap, %.1f MiB counted", (float64(after.HeapAlloc)-float64(before.HeapAlloc))/(1<<20), float64(used)/(1<<20))
}

// BenchmarkKeptOrders prints what the first page of an order in use costs at an owner that is new, and as far behind as what is kept
// may be: of an order in use, and of an arrangement by which nobody has sorted yet.
func BenchmarkKeptOrders(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 400_000} {
		if n > 10_000 && testing.Short() {
			continue
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkKeptOrders(b, n) })
	}
}

func benchmarkKeptOrders(b *testing.B, n int) {
	box := newDiskBox(b)
	box.correspond(n)
	k := box.newKeeper()
	behind := 0
	for state, changes := range []int{0, max(orderChanges, n/orderShare), max(orderChanges, n/usualShare)} {
		box.correspond(changes - behind)
		behind = changes
		for name, spec := range map[string]exmdb.TableSpec{"by sender": bySender, "conversations": conversations()} {
			k.asks(spec)
			if changes == 0 {
				k.work()
			}
			b.Run(name+[]string{" at rest", " behind", " far behind"}[state], func(b *testing.B) {
				for b.Loop() {
					config := steady()
					config.Orders = k.dir
					k.serve(New(config))
					k.calls = 0
					(&bench{owner: k.owner, b: b}).rows(spec, beginning)
				}
				b.ReportMetric(float64(k.calls), "calls/op")
			})
		}
	}
}
