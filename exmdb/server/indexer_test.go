package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/fulltext"
	"github.com/flotilla-mail/flotilla/exmdb/orders"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// node is a replica with an index of its own, as one node has it.
type node struct {
	*host
	db      *lsm.DB
	fs      lsm.FS
	ix      *fulltext.Index
	orders  *orders.Dir
	indexer *Indexer
}

func newNode(t *testing.T, box mapi.MailboxID) *node {
	t.Helper()
	n := &node{host: &host{t: t, box: box, epoch: 1}, fs: lsm.MemFS()}
	var err error
	if n.db, err = lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true}); err != nil {
		t.Fatal(err)
	}
	n.start()
	t.Cleanup(func() {
		n.stop()
		if err := n.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// newIndexedNode is a node with a mailbox of twenty mails that are indexed.
func newIndexedNode(t *testing.T) *node {
	t.Helper()
	n := newNode(t, mapi.NewMailboxID())
	call(n.host, exmdb.System, exmdb.OpCreateMailbox, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser})
	for i := range 20 {
		n.deliver(i)
	}
	n.awaitIndexed("w3x", 8)
	return n
}

// start opens what the node has on disk, as a start of its process does.
func (n *node) start() {
	n.t.Helper()
	var err error
	if n.ix, err = fulltext.Open(fulltext.Options{Dir: "/text", FS: n.fs}); err != nil {
		n.t.Fatal(err)
	}
	if n.orders, err = orders.Open(orders.Options{Dir: "/orders", FS: n.fs}); err != nil {
		n.t.Fatal(err)
	}
	config := store.Defaults()
	config.Text, config.TextBatch = n.ix, 5
	config.Orders, config.OrderRows, config.OnlyAsked, config.TableStep = n.orders, 50, true, time.Nanosecond
	n.indexer = NewIndexer(IndexerConfig{Index: n.ix, Store: config, Mailbox: func(cluster.SpaceID) bool { return true }, Gather: time.Millisecond,
		Failed: func(id cluster.SpaceID, err error) { n.t.Errorf("not indexed: %v", err) }})
	m, err := space.OpenMachine(n.db, space.MachineConfig{Events: space.MachineEvents{Opened: n.indexer.Opened, Touched: n.indexer.Touched}})
	if err != nil {
		n.t.Fatal(err)
	}
	local := space.NewLocal(m)
	n.rep = &space.LocalReplica{Replica: space.New(m, local, space.Config{}), Local: local}
	n.Server = ops.NewServer(n, ops.Events{}, Handlers(config))
	n.indexer.Start(context.Background())
}

func (n *node) stop() {
	n.t.Helper()
	n.indexer.Stop()
	if err := errors.Join(n.rep.Close(), n.ix.Close()); err != nil {
		n.t.Error(err)
	}
}

// kill ends the node with its index lost.
func (n *node) kill() {
	n.t.Helper()
	n.stop()
	n.fs = lsm.MemFS()
}

func (n *node) deliver(i int) {
	n.t.Helper()
	raw := fmt.Appendf(nil, "Subject: mail %d\r\nMessage-ID: <%d@example.test>\r\n\r\nnumber w%dx\r\n", i, i, i%7)
	call(n.host, exmdb.System, exmdb.OpDeliver, &exmdb.DeliverRequest{Message: exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: raw}}}, Digest: mime.MarshalDigest(mime.Scan(raw))}})
}

// awaitIndexed waits until the index narrows a search to less than all messages, and returns what it names.
func (n *node) awaitIndexed(word string, most int) []exmdb.UIDRange {
	n.t.Helper()
	var found []exmdb.UIDRange
	await(n.t, "the index narrows "+word, func() bool {
		resp := call(n.host, exmdb.System, exmdb.OpNarrow, &exmdb.NarrowRequest{Folder: schema.Inbox, Query: exmdb.TextQuery{Fields: exmdb.TextBody, Text: word}})
		found = resp.UIDs
		return resp.Known && count(found) <= most
	})
	return found
}

// await waits until a condition holds that another goroutine works at.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for deadline := time.After(time.Minute); !holds(); {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func count(ranges []exmdb.UIDRange) int {
	n := 0
	for _, r := range ranges {
		n += int(r.Last - r.First + 1)
	}
	return n
}

// follow applies to n what leader has written since a place in its log.
func (n *node) follow(log []space.LogEntry) {
	n.t.Helper()
	if _, err := n.rep.Machine().Apply(log); err != nil {
		n.t.Fatal(err)
	}
}

// TestEveryReplicaHasItsIndex: replicas index what they apply, each in its time. When the owner's node dies the next
// owner narrows as well; one whose index is lost makes it again while mail goes on coming in; and what is replicated is
// the same on all of them.
func TestEveryReplicaHasItsIndex(t *testing.T) {
	box := mapi.NewMailboxID()
	owner, other := newNode(t, box), newNode(t, box)
	owner.rep.Local.Record()
	call(owner.host, exmdb.System, exmdb.OpCreateMailbox, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser})
	for i := range 70 {
		owner.deliver(i)
		if i%10 == 0 {
			other.follow(owner.rep.Local.Log())
		}
	}
	other.follow(owner.rep.Local.Log())
	const hits, pending = 10, 4
	first := owner.awaitIndexed("w3x", hits+pending)

	if a, b := replicated(t, owner.db), replicated(t, other.db); !maps.Equal(a, b) {
		t.Fatalf("%d replicated pairs at the owner, %d others", len(a), len(b))
	}

	owner.kill() // the other one leads from here
	if second := other.awaitIndexed("w3x", hits+pending); count(second) < hits {
		t.Fatalf("the next owner finds %v, the first found %v", second, first)
	}

	owner.start() // without the index it had
	for i := 70; i < 140; i++ {
		owner.deliver(i)
	}
	found := owner.awaitIndexed("w3x", 2*hits+pending)
	all := call(owner.host, exmdb.System, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, UIDs: found, Fields: exmdb.RowMeta})
	if len(all.Rows) < 2*hits {
		t.Fatalf("%d of %d messages with the word are found", len(all.Rows), 2*hits)
	}
	if !slices.ContainsFunc(found, func(r exmdb.UIDRange) bool { return r.First > 70 }) {
		t.Fatal("nothing that came while the index was made again is found")
	}
}

// replicated are the pairs of an engine that all replicas have alike (docs/design/space.md).
func replicated(t *testing.T, db *lsm.DB) map[string]string {
	t.Helper()
	pairs := make(map[string]string)
	it := db.NewIter(nil, []byte{0x80})
	for ok := it.First(); ok; ok = it.Next() {
		pairs[string(it.Key())] = string(it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return pairs
}

// TestAMailboxThatIsGoneIsForgotten: what is indexed of a mailbox goes with it.
func TestAMailboxThatIsGoneIsForgotten(t *testing.T) {
	n := newIndexedNode(t)
	if err := n.orders.Save(cluster.SpaceID(n.box), "an-order", nil); err != nil {
		t.Fatal(err)
	}
	if err := n.rep.Drop(t.Context(), cluster.SpaceID(n.box)); err != nil {
		t.Fatal(err)
	}
	await(t, "the mailbox is forgotten", func() bool {
		spaces, err := n.ix.Spaces()
		if err != nil {
			t.Fatal(err)
		}
		return len(spaces) == 0 && len(n.orders.Spaces()) == 0
	})
}

// TestWhatWasGivenUpIsForgotten: what a node has of a mailbox that went while its process did not run goes too.
func TestWhatWasGivenUpIsForgotten(t *testing.T) {
	n := newIndexedNode(t)
	gone := cluster.SpaceID(mapi.NewMailboxID())
	if err := errors.Join(n.orders.Save(gone, "an-order", nil), n.ix.Adopt(fulltext.Mailbox{Space: gone, Past: mapi.NewGUID()})); err != nil {
		t.Fatal(err)
	}
	n.stop()
	n.start()
	await(t, "what was given up is forgotten", func() bool {
		n.deliver(20)
		spaces, err := n.ix.Spaces()
		if err != nil {
			t.Fatal(err)
		}
		return len(n.orders.Spaces()) == 0 && slices.Equal(spaces, []cluster.SpaceID{cluster.SpaceID(n.box)})
	})
	n.awaitIndexed("w3x", 8)
}

// TestEveryReplicaHasOrdersInUse: when the owner's node dies, the next owner shows the first page of an order that somebody uses
// without looking at all messages.
func TestEveryReplicaHasOrdersInUse(t *testing.T) {
	box := mapi.NewMailboxID()
	owner, other := newNode(t, box), newNode(t, box)
	owner.rep.Local.Record()
	call(owner.host, exmdb.System, exmdb.OpCreateMailbox, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser})
	for i := range 300 {
		owner.deliver(i)
	}
	page := exmdb.TableRowsRequest{Count: 300, From: exmdb.TablePosition{Origin: exmdb.TableBeginning}, Table: exmdb.TableRequest{Spec: exmdb.TableSpec{
		Kind: exmdb.TableContents, Object: exmdb.ObjectID{Folder: schema.Inbox}, Sort: mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: mapi.PidTagSubject}}}}}}
	asked := func(n *node) (rows []exmdb.TableRow, requests int) {
		for requests = 1; ; requests++ {
			resp := call(n.host, exmdb.System, exmdb.OpTableRows, &page)
			if !resp.State.Working {
				return resp.Rows, requests
			}
		}
	}
	want, requests := asked(owner)
	if requests < 5 || len(want) != 300 {
		t.Fatalf("%d rows in %d requests", len(want), requests)
	}
	call(owner.host, exmdb.System, exmdb.OpKeepOrder, &exmdb.KeepOrderRequest{Table: page.Table})
	other.follow(owner.rep.Local.Log())
	for _, n := range []*node{owner, other} {
		await(t, "the order is kept", func() bool { return len(n.orders.Names(cluster.SpaceID(box))) == 1 })
	}
	if a, b := replicated(t, owner.db), replicated(t, other.db); !maps.Equal(a, b) {
		t.Fatalf("%d replicated pairs at the owner, %d others", len(a), len(b))
	}
	owner.kill()
	got, requests := asked(other)
	if same := slices.EqualFunc(got, want, func(a, b exmdb.TableRow) bool { return a.ID == b.ID }); !same || requests != 1 {
		t.Errorf("%d rows in %d requests", len(got), requests)
	}
	owner.start()
}

// TestIndexingYields: as long as mailboxes change, little goes into what nobody waits for.
func TestIndexingYields(t *testing.T) {
	const took = 3 * time.Millisecond
	for quiet, want := range map[time.Duration]time.Duration{
		-time.Millisecond: yields * took, 0: yields * took, busyFor - 1: yields * took, busyFor: took, time.Hour: took,
	} {
		if got := restFor(took, quiet); got != want {
			t.Errorf("%v after a change the rest is %v, want %v", quiet, got, want)
		}
	}
	x := NewIndexer(IndexerConfig{})
	before := time.Now()
	x.Touched(nil, nil)
	if quiet := before.Sub(time.Unix(0, x.changed.Load())); quiet >= busyFor {
		t.Errorf("a change now was %v ago", quiet)
	}
}
