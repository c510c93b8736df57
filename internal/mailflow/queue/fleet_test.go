package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/client"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/exmdb/server"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mapi"

	kit "github.com/flotilla-mail/flotilla/internal/testkit/fleet"
)

// fleet is a few groups of one replica each, with the real state machine, store and table of ops above them. Any of the
// groups can be down, and be met by the faults of space.Local.
type fleet struct {
	*kit.Fleet
	t      testing.TB
	server *ops.Server
	mail   client.Client
	queue  *Queue
	from   string  // who sends
	ours   senders // who of them has a mailbox here

	mu      sync.Mutex
	down    map[cluster.GroupID]error // guarded by mu
	lost    map[cluster.GroupID]bool  // guarded by mu; delivers and says that it does not know
	uploads map[cluster.GroupID]int   // guarded by mu: chunks
	asked   map[cluster.GroupID]int   // guarded by mu: deliveries
	held    chan struct{}             // guarded by mu; groups that are down do not answer before it is closed
	told    []string                  // guarded by mu: events
}

func newFleet(t testing.TB, n int) *fleet {
	t.Helper()
	f := &fleet{Fleet: kit.New(t, n, GroupOf), t: t, from: "s@elsewhere.test", ours: senders{}, lost: map[cluster.GroupID]bool{},
		down: map[cluster.GroupID]error{}, uploads: map[cluster.GroupID]int{}, asked: map[cluster.GroupID]int{}}
	f.server = ops.NewServer(f, ops.Events{}, server.Handlers(store.Defaults()), Handlers())
	f.mail = client.Client{Ops: f, Routes: f}
	f.queue = &Queue{Ops: f, Locator: f.mail, Groups: func() []cluster.GroupID { return f.Groups }, Events: f.events()}
	return f
}

func (f *fleet) events() Events {
	tell := func(format string, args ...any) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.told = append(f.told, fmt.Sprintf(format, args...))
	}
	return Events{
		Kept:      func(_ EntryID, n int) { tell("kept for %d", n) },
		Delivered: func(_ EntryID, address string, after time.Duration) { tell("delivered to %s after %v", address, after) },
		Deferred:  func(g cluster.GroupID, n int, err error) { tell("deferred for %d: %d", n, cluster.KindOf(err)) },
		Failed:    func(_ EntryID, address string, err error) { tell("failed for %s: %d", address, cluster.KindOf(err)) },
		Removed:   func(_ EntryID, n int) { tell("removed for %d", n) },
	}
}

// tells takes the events so far.
func (f *fleet) tells() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.told, "\n")
	f.told = nil
	return s
}

// set makes a group answer with err, or answer again with nil.
func (f *fleet) set(g cluster.GroupID, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down[g] = err
}

// Call implements Caller, as an ops.Client would that neither tries again nor draws request ids.
func (f *fleet) Call(ctx context.Context, q *ops.Request, _ ops.Mode) ([]byte, error) {
	route, err := f.Route(ctx, q.Space)
	if err != nil {
		return nil, err
	}
	q.Group = route.Group
	lost, held, down := f.meets(q)
	if down != nil {
		if held != nil {
			<-held
		}
		return nil, down
	}
	b, err := f.server.Serve(ctx, q)
	if lost && err == nil {
		return nil, cluster.ErrUnknownOutcome
	}
	return b, err
}

// meets says what an op meets at its group, and counts it.
func (f *fleet) meets(q *ops.Request) (lost bool, held chan struct{}, down error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch q.Op {
	case ops.ID(exmdb.OpUploadChunk.ID):
		f.uploads[q.Group]++
	case ops.ID(exmdb.OpDeliver.ID):
		f.asked[q.Group]++
		lost = f.lost[q.Group]
	}
	return lost, f.held, f.down[q.Group]
}

// box makes a mailbox in a group.
func (f *fleet) box(g cluster.GroupID, quota uint64) mapi.MailboxID {
	f.t.Helper()
	id := mapi.NewMailboxID()
	f.Place(cluster.SpaceID(id), g)
	_, err := exmdb.Do(f.t.Context(), f.mail, exmdb.System, id, exmdb.OpCreateMailbox, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Quota: quota})
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

// mails are the octets of everything in a mailbox's inbox, in order.
func (f *fleet) mails(box mapi.MailboxID) []string {
	f.t.Helper()
	rows, err := exmdb.Do(f.t.Context(), f.mail, exmdb.System, box, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowMeta})
	if err != nil {
		f.t.Fatal(err)
	}
	var all []string
	for _, row := range rows.Rows {
		b := make([]byte, row.Size)
		if _, err := exmdb.OpenMessage(f.t.Context(), f.mail, exmdb.System, box, schema.Inbox, row).ReadAt(b, 0); err != nil {
			f.t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

// senders is a directory of example.test for those who send.
type senders map[string]mapi.MailboxID

func (senders) Local(_ context.Context, domain string) (bool, error) {
	return domain == "example.test", nil
}

func (s senders) Resolve(_ context.Context, address string) (directory.Resolution, error) {
	box, ok := s[address]
	if !ok {
		return directory.Resolution{}, cluster.Errorf(exmdb.KindNoSuchUser, "%s is not in the directory", address)
	}
	return directory.Resolution{Mailboxes: []directory.Recipient{{Mailbox: box}}}, nil
}

func (senders) Lookup(context.Context, string) (*directory.Object, error) { panic("not for mail") }

// bags are the properties of everything in a mailbox's inbox, in order.
func (f *fleet) bags(box mapi.MailboxID) (all []mapi.PropBag) {
	f.t.Helper()
	rows, err := exmdb.Do(f.t.Context(), f.mail, exmdb.System, box, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowMeta})
	if err != nil {
		f.t.Fatal(err)
	}
	g := f.PlaceOf(cluster.SpaceID(box))
	err = f.Replicas[g].View(f.t.Context(), cluster.SpaceID(box), space.ReadLocal, func(r space.Reader) error {
		for _, row := range rows.Rows {
			b, err := r.Get(schema.BagKey(row.Object))
			if err != nil {
				return err
			}
			var bag mapi.PropBag
			if err := bag.UnmarshalWire(b); err != nil {
				return err
			}
			all = append(all, bag)
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return all
}

// send is a mail to the mailboxes u0, u1, …
func (f *fleet) send(octets string, boxes ...mapi.MailboxID) []mailflow.Result {
	f.t.Helper()
	var to []mailflow.Recipient
	for i, b := range boxes {
		to = append(to, mailflow.Recipient{Address: fmt.Sprintf("u%d@example.test", i),
			To: directory.Resolution{Mailboxes: []directory.Recipient{{Mailbox: b}}}})
	}
	return f.sendTo(octets, to)
}

func (f *fleet) sendTo(octets string, to []mailflow.Recipient) []mailflow.Result {
	f.t.Helper()
	d := &deliver.Deliverer{Caller: f.mail, Directory: f.ours, Spool: f.t.TempDir(), Limit: 64 << 20, Host: "mail.example.test", Later: f.queue, Now: f.Now}
	m, err := d.Receive(f.t.Context(), strings.NewReader(octets), 0)
	if err != nil {
		f.t.Fatal(err)
	}
	env := &mailflow.Envelope{From: f.from, Helo: "elsewhere.test", Remote: "192.0.2.1", With: "ESMTPS"}
	results := d.Deliver(f.t.Context(), env, to, m)
	if err := m.Close(); err != nil {
		f.t.Fatal(err)
	}
	return results
}

// sent is send for mail that has to be answered with 250.
func (f *fleet) sent(octets string, boxes ...mapi.MailboxID) {
	f.t.Helper()
	for _, r := range f.send(octets, boxes...) {
		if r.Err != nil {
			f.t.Fatalf("%s: %v", r.Recipient, r.Err)
		}
	}
}

func (f *fleet) work(g cluster.GroupID) Work {
	return Work{Replica: f.Replicas[g].Replica, Mail: f.mail, Locator: f.mail, Now: f.Now, Events: f.events()}
}

// due is when a group's queue is due; zero when nothing waits in it.
func (f *fleet) due(g cluster.GroupID) time.Time {
	f.t.Helper()
	var h header
	err := f.Replicas[g].View(f.t.Context(), SpaceOf(g), space.ReadLocal, func(r space.Reader) error {
		_, err := load(r, headerKey(), &h)
		return err
	})
	if err != nil && !errors.Is(err, cluster.ErrNoSpace) {
		f.t.Fatal(err)
	}
	return h.Due
}

// perform does what is due in a group's queue now, as a DueRunner would.
func (f *fleet) perform(g cluster.GroupID) error {
	f.t.Helper()
	due := f.due(g)
	if due.IsZero() || due.After(f.Now()) {
		return nil
	}
	return f.work(g).PerformDue(f.t.Context(), SpaceOf(g), sweepAt(due))
}

func (f *fleet) run(g cluster.GroupID) {
	f.t.Helper()
	if err := f.perform(g); err != nil {
		f.t.Fatal(err)
	}
}

// list is everything in the queue, of the groups that answer.
func (f *fleet) list() []Entry {
	f.t.Helper()
	l, err := f.queue.List(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return l.Entries
}

// only is the one entry of the queue.
func (f *fleet) only() *Entry {
	f.t.Helper()
	l := f.list()
	if len(l) != 1 {
		f.t.Fatalf("%d entries", len(l))
	}
	e, err := f.queue.Show(f.t.Context(), l[0].ID)
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

// pairs counts what a group's queue holds beside its header.
func (f *fleet) pairs(g cluster.GroupID) int {
	f.t.Helper()
	n := 0
	err := f.Replicas[g].View(f.t.Context(), SpaceOf(g), space.ReadLocal, func(r space.Reader) error {
		it := r.Iter([]byte{prefixHeader + 1}, nil)
		for it.Next() {
			n++
		}
		return it.Close()
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// once fails the test unless a mailbox has exactly these octets behind the trace headers of its address.
func (f *fleet) once(box mapi.MailboxID, address, octets string) {
	f.t.Helper()
	all := f.mails(box)
	if len(all) != 1 {
		f.t.Fatalf("%d mails for %s", len(all), address)
	}
	want := "Return-Path: <" + f.from + ">\r\nDelivered-To: " + address + "\r\nReceived: from elsewhere.test (192.0.2.1)\r\n\tby mail.example.test with ESMTPS;\r\n\t"
	if !strings.HasPrefix(all[0], want) || !strings.HasSuffix(all[0], " +0000\r\n"+octets) {
		f.t.Fatalf("%s has other octets: %.400q", address, all[0])
	}
}

const (
	withID    = "Message-ID: <1@elsewhere.test>\r\nSubject: x\r\n\r\nhi\r\n"
	withoutID = "Subject: x\r\n\r\nhi\r\n"
)

// long is a mail whose content does not fit an op.
func long(fill byte) string {
	var b bytes.Buffer
	b.WriteString("Message-ID: <" + string(fill) + "@elsewhere.test>\r\nSubject: x\r\n\r\n")
	for i := range 12_000 {
		fmt.Fprintf(&b, "%c line %d of a long text\r\n", fill, i)
	}
	return b.String()
}
