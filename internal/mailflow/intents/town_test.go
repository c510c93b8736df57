package intents

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/client"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/exmdb/server"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mailflow/queue"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/testkit/fleet"
)

// town is two groups of one replica each with mailboxes of anna and bert in the first, carl's in the second, and all that
// carries mail between them: the real store, queue, pump and delivery. Faults are those of space.Local, and calls that fail
// before or after they are done.
type town struct {
	*fleet.Fleet
	t       *testing.T
	server  *ops.Server
	mail    client.Client
	queue   *queue.Queue
	deliver *deliver.Deliverer
	boxes   map[string]mapi.MailboxID
	// meetings is what somebody's mailbox does with mail about meetings.
	meetings map[string]exmdb.MeetingHandling

	mu sync.Mutex
	// faults say of the n-th call of an op what it meets.
	faults map[ops.ID][]error // guarded by mu
	told   []string           // guarded by mu
}

// errUnheard is a fault: the call is done, and its answer lost.
var errUnheard = errors.New("done and not heard of")

func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{Fleet: fleet.New(t, 2, queue.GroupOf), t: t, boxes: map[string]mapi.MailboxID{}, faults: map[ops.ID][]error{}}
	config := store.Defaults()
	config.DuplicateWindow = 0 // nothing but the numbers keeps a mail from coming twice
	w.server = ops.NewServer(w, ops.Events{}, server.Handlers(config), queue.Handlers())
	w.mail = client.Client{Ops: w, Routes: w}
	w.queue = &queue.Queue{Ops: w, Locator: w.mail, Groups: func() []cluster.GroupID { return w.Groups }}
	w.deliver = &deliver.Deliverer{Caller: w.mail, Directory: w, Spool: t.TempDir(), Limit: 64 << 20, Host: "mail.example.test", Later: w.queue, Now: w.Now}
	for name, g := range map[string]cluster.GroupID{"anna": 1, "bert": 1, "carl": 2} {
		id := mapi.NewMailboxID()
		w.boxes[name] = id
		w.Place(cluster.SpaceID(id), g)
		do(w, name, exmdb.OpCreateMailbox, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Owner: mapi.GUID(id)})
	}
	return w
}

func (w *town) tell(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf(format, args...))
}

// Call carries ops, as an ops.Client would that neither tries again nor draws request ids.
func (w *town) Call(ctx context.Context, q *ops.Request, _ ops.Mode) ([]byte, error) {
	route, err := w.Route(ctx, q.Space)
	if err != nil {
		return nil, err
	}
	q.Group = route.Group
	w.mu.Lock()
	var fault error
	if list := w.faults[q.Op]; len(list) > 0 {
		fault, w.faults[q.Op] = list[0], list[1:]
	}
	w.mu.Unlock()
	if fault != nil && !errors.Is(fault, errUnheard) {
		return nil, fault
	}
	b, err := w.server.Serve(ctx, q)
	if fault != nil && err == nil {
		return nil, cluster.ErrUnknownOutcome
	}
	return b, err
}

func (w *town) object(name string) *directory.Object {
	return &directory.Object{GUID: mapi.GUID(w.boxes[name]), Address: name + "@example.test", Aliases: []string{name + ".x@example.test"}, Name: strings.ToUpper(name[:1]) + name[1:],
		LegacyDN: "/o=Flotilla/cn=" + name, Mailbox: w.boxes[name]}
}

// byAddress finds who is in the directory.
func (w *town) byAddress(address string) *directory.Object {
	for name := range w.boxes {
		if o := w.object(name); o.Address == address || o.Aliases[0] == address {
			return o
		}
	}
	return nil
}

// Local implements directory.Directory.
func (w *town) Local(_ context.Context, domain string) (bool, error) {
	return domain == "example.test", nil
}

// Resolve implements directory.Directory.
func (w *town) Resolve(_ context.Context, address string) (directory.Resolution, error) {
	if address == "down@example.test" {
		return directory.Resolution{}, cluster.ErrUnavailable
	}
	if address == "all@example.test" {
		return directory.Resolution{Mailboxes: []directory.Recipient{w.recipient("bert"), w.recipient("carl")}, External: []string{"x@far.test"}}, nil
	}
	if o := w.byAddress(address); o != nil {
		return directory.Resolution{Mailboxes: []directory.Recipient{w.recipient(strings.ToLower(o.Name))}}, nil
	}
	return directory.Resolution{}, cluster.Errorf(exmdb.KindNoSuchUser, "%s is not in the directory", address)
}

func (w *town) recipient(name string) directory.Recipient {
	o := w.object(name)
	return directory.Recipient{Mailbox: o.Mailbox, User: o.GUID, Address: o.Address, Aliases: o.Aliases, Name: o.Name,
		Meetings: w.meetings[name]}
}

// Lookup implements directory.Directory.
func (w *town) Lookup(context.Context, string) (*directory.Object, error) { panic("not for mail") }

// People implements directory.Hints.
func (w *town) People(_ context.Context, sender string, addresses []string) (bool, []directory.Person) {
	var people []directory.Person
	for _, a := range addresses {
		if o := w.byAddress(a); o != nil {
			people = append(people, directory.Person{Object: o})
		}
	}
	return strings.HasSuffix(sender, "@example.test"), people
}

// ByLegacyDN implements People.
func (w *town) ByLegacyDN(_ context.Context, dn string) (*directory.Object, error) {
	for name := range w.boxes {
		if o := w.object(name); strings.EqualFold(o.LegacyDN, dn) {
			return o, nil
		}
	}
	return nil, cluster.Errorf(exmdb.KindNoSuchUser, "%s is not in the directory", dn)
}

// Owner implements People.
func (w *town) Owner(_ context.Context, id mapi.GUID) (*directory.Object, error) {
	for name := range w.boxes {
		if o := w.object(name); o.GUID == id {
			return o, nil
		}
	}
	return nil, cluster.Errorf(exmdb.KindNoSuchUser, "%v is not in the directory", id)
}

func do[Q, R any](w *town, name string, op exmdb.Op[Q, R], q *Q) *R {
	w.t.Helper()
	r, err := exmdb.Do(w.t.Context(), w.mail, exmdb.System, w.boxes[name], op, q)
	if err != nil {
		w.t.Fatalf("%s of %s: %v", op.Name, name, err)
	}
	return r
}

// rule gives somebody's inbox a rule for every mail.
func (w *town) rule(name string, actions ...mapi.RuleAction) {
	w.t.Helper()
	v, err := oxcdata.RuleActionsValue(actions)
	if err != nil {
		w.t.Fatal(err)
	}
	var bag mapi.PropBag
	bag.Set(mapi.PidTagRuleState, mapi.Integer32(rules.Enabled))
	bag.Set(mapi.PidTagRuleProvider, mapi.String("RuleOrganizer"))
	bag.Set(mapi.PidTagRuleActions, v)
	do(w, name, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: schema.Inbox, Changes: []exmdb.RuleChange{{Kind: exmdb.RuleAdd, Props: bag}}})
}

func forwardTo(flavor uint32, addresses ...string) mapi.RuleAction {
	var to mapi.ForwardAction
	for _, a := range addresses {
		tag := mapi.PidTagSmtpAddress
		props := []mapi.Prop{{Tag: tag, Value: mapi.String(a)}}
		if strings.HasPrefix(a, "/o=") {
			props = []mapi.Prop{{Tag: mapi.PidTagAddressType, Value: mapi.String("EX")}, {Tag: mapi.PidTagEmailAddress, Value: mapi.String(a)}}
		}
		to = append(to, props)
	}
	return mapi.RuleAction{Type: mapi.ActionForward, Flavor: flavor, Data: to}
}

var deleteIt = mapi.RuleAction{Type: mapi.ActionDelete}

const plainMail = "From: Dora <dora@elsewhere.test>\r\nTo: anna@example.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@elsewhere.test>\r\n" +
	"Date: Tue, 03 Mar 2026 10:20:30 +0100\r\n\r\nHello Anna.\r\n"

// send has a mail delivered to somebody, by SMTP from elsewhere.
func (w *town) send(from, name, octets string) {
	w.t.Helper()
	m, err := w.deliver.Receive(w.t.Context(), strings.NewReader(octets), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	env := &mailflow.Envelope{From: from, Helo: "elsewhere.test", Remote: "192.0.2.1", With: "ESMTPS"}
	to, err := w.deliver.Accept(w.t.Context(), env, name+"@example.test")
	if err != nil {
		w.t.Fatal(err)
	}
	if r := w.deliver.Deliver(w.t.Context(), env, []mailflow.Recipient{to}, m); r[0].Err != nil {
		w.t.Fatal(r[0].Err)
	}
	if err := m.Close(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) performer(g cluster.GroupID) *Performer {
	return &Performer{Mail: w.mail, Deliver: w.deliver, People: w, Queue: w.queue, Group: g, Host: "mail.example.test", Now: w.Now, Events: Events{
		Sent:    func(_ mapi.MailboxID, out *exmdb.Outgoing, n int) { w.tell("sent kind %d to %d", out.Kind, n) },
		Dropped: func(_ mapi.MailboxID, out *exmdb.Outgoing, err error) { w.tell("dropped kind %d: %v", out.Kind, err) },
		Refused: func(_ mapi.MailboxID, c *exmdb.Crossing, err error) {
			w.tell("refused %#x: %v", uint64(c.Message), err)
		},
	}}
}

// settle runs pumps and queues until nothing is on its way, under one leader after the other: what a pump knows is gone
// with each.
func (w *town) settle() {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for round := 0; ; round++ {
		w.pump()
		for _, g := range w.Groups {
			work := queue.Work{Replica: w.Replica(g), Mail: w.mail, Locator: w.mail, Now: w.Now}
			// What fails is tried again in the next round.
			_ = work.PerformDue(w.t.Context(), queue.SpaceOf(g), space.Due{Op: queue.DueSweep})
		}
		if w.quiet() {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("still not settled after %d rounds; %q", round, w.told)
		}
		w.Pass(time.Hour)
	}
}

// pump runs the pumps of both groups until they stand still.
func (w *town) pump() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	for _, g := range w.Groups {
		running.Go(func() {
			space.NewPump(w.Replica(g), w.performer(g), space.WorkConfig{Retry: time.Hour, Rescan: time.Millisecond,
				Failed: func(_ cluster.SpaceID, err error) { w.tell("failed: %v", err) }}).Run(ctx)
		})
	}
	before := -1
	for n := w.onTheirWay(); n > 0 && n != before; n = w.onTheirWay() {
		before = n
		for end := time.Now().Add(2 * time.Second); w.onTheirWay() == n && w.failures() == 0 && time.Now().Before(end); {
			<-time.After(time.Millisecond)
		}
		if w.failures() > 0 {
			break
		}
	}
	cancel()
	running.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = slices.DeleteFunc(w.told, func(s string) bool { return strings.HasPrefix(s, "failed: ") })
}

func (w *town) failures() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, s := range w.told {
		if strings.HasPrefix(s, "failed: ") {
			n++
		}
	}
	return n
}

// onTheirWay counts what mailboxes have not given away, and their intents.
func (w *town) onTheirWay() int {
	w.t.Helper()
	n := 0
	for _, id := range w.boxes {
		n += w.count(cluster.SpaceID(id), schema.PrefixOutgoing, schema.PrefixOutgoing+1)
		n += w.outbox(cluster.SpaceID(id))
	}
	return n
}

// outbox counts the intents of a space. No reader shows them, so the engine is looked at (docs/design/space.md).
func (w *town) outbox(id cluster.SpaceID) int {
	w.t.Helper()
	db := w.Engines[w.PlaceOf(id)]
	it := db.NewIter(slices.Concat([]byte{0x01}, id[:], []byte{space.ReservedPrefix}), slices.Concat([]byte{0x01}, id[:], []byte{space.ReservedPrefix + 1}))
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *town) count(id cluster.SpaceID, lo, hi byte) int {
	w.t.Helper()
	n := 0
	g := w.PlaceOf(id)
	err := w.Replicas[g].View(w.t.Context(), id, space.ReadLocal, func(r space.Reader) error {
		n = 0
		it := r.Iter([]byte{lo}, []byte{hi})
		for it.Next() {
			n++
		}
		return it.Close()
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// quiet reports whether nothing is on its way, and nothing waits in a queue.
func (w *town) quiet() bool {
	w.t.Helper()
	l, err := w.queue.List(w.t.Context())
	if err != nil || len(l.Silent) > 0 {
		return false
	}
	waiting := slices.ContainsFunc(l.Entries, func(e queue.Entry) bool { return e.Waiting > 0 })
	return !waiting && w.onTheirWay() == 0
}

// inbox are the octets of everything in somebody's inbox.
func (w *town) inbox(name string) []string {
	w.t.Helper()
	rows := do(w, name, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowMeta})
	var all []string
	for _, row := range rows.Rows {
		b := make([]byte, row.Size)
		if _, err := exmdb.OpenMessage(w.t.Context(), w.mail, exmdb.System, w.boxes[name], schema.Inbox, row).ReadAt(b, 0); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

// one is the only mail in somebody's inbox.
func (w *town) one(name string) string {
	w.t.Helper()
	all := w.inbox(name)
	if len(all) != 1 {
		w.t.Fatalf("%s has %d mails", name, len(all))
	}
	return all[0]
}
