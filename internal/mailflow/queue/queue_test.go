package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func TestTheRestIsDeliveredWhenItsGroupIsBack(t *testing.T) {
	for name, octets := range map[string]string{"with Message-ID": withID, "without": withoutID, "long": long('a')} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 2)
			a, b := f.box(1, 0), f.box(2, 0)
			f.set(2, cluster.ErrUnavailable)
			came := f.Now()
			f.sent(octets, a, b)
			e := f.only()
			if e.ID.Group != 1 || e.Waiting != 1 || e.Failed != 0 || e.From != "s@elsewhere.test" || e.Size != uint64(len(octets)) {
				t.Fatalf("%+v", e)
			}
			if r := e.Recipients[0]; r.Mailbox != b || r.Address != "u1@example.test" || r.State != "waiting" || r.Attempts != 0 {
				t.Fatalf("%+v", r)
			}
			f.Pass(5 * time.Second)
			f.run(1)
			if r := f.only().Recipients[0]; r.Attempts != 1 || r.Error == "" || !r.Next.Equal(f.Now().Add(5*time.Second)) {
				t.Fatalf("%+v", r)
			}
			f.set(2, nil)
			f.Pass(time.Hour)
			f.run(1)
			f.once(a, "u0@example.test", octets)
			f.once(b, "u1@example.test", octets)
			rows, err := exmdb.Do(t.Context(), f.mail, exmdb.System, b, exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowMeta})
			if err != nil || !rows.Rows[0].Received.Equal(came) {
				t.Errorf("received %v, %v; it came at %v", rows.Rows[0].Received, err, came)
			}
			if len(f.list()) != 0 || f.pairs(1) != 0 || !f.due(1).IsZero() {
				t.Errorf("the queue keeps %d pairs, due %v", f.pairs(1), f.due(1))
			}
			want := fmt.Sprintf("kept for 1\ndeferred for 1: %d\ndelivered to u1@example.test after 1h0m5s", cluster.KindUnavailable)
			if got := f.tells(); got != want {
				t.Errorf("told\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// A node that dies between a step and its note leaves the step to be done again: by whoever leads then.
func TestNoCrashDoublesOrLosesAMail(t *testing.T) {
	for name, octets := range map[string]string{"with Message-ID": withID, "without": withoutID, "long": long('b')} {
		for fault, what := range map[space.LocalFault]string{space.FaultLostEntry: "lost", space.FaultLostAnswer: "done, unheard", space.FaultRefused: "refused"} {
			t.Run(name+", note "+what, func(t *testing.T) {
				f := newFleet(t, 2)
				a, b := f.box(1, 0), f.box(2, 0)
				f.set(2, cluster.ErrUnavailable)
				f.sent(octets, a, b)
				f.set(2, nil)
				f.Pass(100 * time.Hour) // longer than a delivery key is known
				f.Replicas[1].Local.Fail(fault)
				if err := f.perform(1); err == nil {
					t.Fatal("the fault was not met")
				}
				f.once(b, "u1@example.test", octets)
				f.Pass(100 * time.Hour)
				f.run(1)
				f.once(a, "u0@example.test", octets)
				f.once(b, "u1@example.test", octets)
				if len(f.list()) != 0 {
					t.Error("the mail is still in the queue")
				}
			})
		}
	}
}

func TestAnAttemptThatWasNotHeardOfIsNotMadeAgain(t *testing.T) {
	for name, octets := range map[string]string{"with Message-ID": withID, "without": withoutID} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, 2)
			a, b := f.box(1, 0), f.box(2, 0)
			f.lost[2] = true
			f.sent(octets, a, b) // stored in both, and of one nobody knows
			f.Pass(5 * time.Second)
			f.run(1) // and once more
			if e := f.only(); e.Waiting != 1 || e.Recipients[0].Attempts != 1 {
				t.Fatalf("%+v", e)
			}
			f.lost[2] = false
			f.Pass(time.Minute)
			f.run(1)
			f.once(a, "u0@example.test", octets)
			f.once(b, "u1@example.test", octets)
			if len(f.list()) != 0 {
				t.Error("the mail is still in the queue")
			}
		})
	}
}

func TestPausesDoubleAndEndAfterFiveDays(t *testing.T) {
	f := newFleet(t, 2)
	a, b := f.box(1, 0), f.box(2, 0)
	f.set(2, cluster.ErrUnavailable)
	f.sent(withID, a, b)
	start, last := f.Now(), f.Now()
	var pauses []time.Duration
	for f.only().Failed == 0 {
		due := f.due(1)
		if due.IsZero() || len(pauses) > 1000 {
			t.Fatalf("after %d attempts the mail waits for nothing", len(pauses))
		}
		pauses, last = append(pauses, due.Sub(last)), due
		f.Pass(due.Sub(f.Now()))
		f.run(1)
	}
	want := "[5s 5s 10s 20s 40s 1m20s 2m40s 5m20s 10m40s 15m0s 15m0s]"
	if got := fmt.Sprint(pauses[:11]); got != want {
		t.Errorf("pauses %s, want %s", got, want)
	}
	if took := last.Sub(start); took < lifetime || took > lifetime+lastDelay {
		t.Errorf("given up after %v", took)
	}
	e := f.only()
	if r := e.Recipients[0]; e.Waiting != 0 || r.State != "failed" || !strings.Contains(r.Error, "given up after 5 days") || !r.Tried.Equal(last) {
		t.Errorf("%+v", r)
	}
	if got := f.tells(); strings.Count(got, "failed for u1@example.test") != 1 {
		t.Errorf("told\n%s", got)
	}
	f.set(2, nil)
	f.Pass(30 * 24 * time.Hour)
	f.run(1)
	if e := f.only(); e.Failed != 1 || !f.due(1).IsZero() {
		t.Fatal("what was given up is gone, or tried again by itself")
	}
	if e, err := f.queue.Retry(t.Context(), e.ID); err != nil || e.Waiting != 1 || e.Failed != 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	f.run(1)
	f.once(b, "u1@example.test", withID)
}

func TestARefusalStaysUntilSomebodyDecides(t *testing.T) {
	f := newFleet(t, 2)
	a, b, gone := f.box(1, 0), f.box(2, 40), f.box(2, 0)
	f.set(2, cluster.ErrUnavailable)
	f.sent(withID, a, b, gone)
	f.set(2, nil)
	f.Place(cluster.SpaceID(gone), 0)
	f.Pass(5 * time.Second)
	f.run(1)
	e := f.only()
	if e.Failed != 2 || e.Waiting != 0 || !f.due(1).IsZero() {
		t.Fatalf("%+v", e)
	}
	if got := f.tells(); !strings.Contains(got, fmt.Sprintf("failed for u1@example.test: %d", exmdb.KindOverQuota)) ||
		!strings.Contains(got, fmt.Sprintf("failed for u2@example.test: %d", exmdb.KindNoMailbox)) {
		t.Errorf("told\n%s", got)
	}
	if _, err := exmdb.Do(t.Context(), f.mail, exmdb.System, b, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.queue.Retry(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	f.run(1)
	f.once(b, "u1@example.test", withID)
	if e := f.only(); e.Failed != 1 || e.Recipients[0].Address != "u2@example.test" {
		t.Fatalf("%+v", e)
	}
	if was, err := f.queue.Remove(t.Context(), e.ID); err != nil || len(was.Recipients) != 1 {
		t.Fatalf("%+v, %v", was, err)
	}
	if len(f.list()) != 0 || f.pairs(1) != 0 {
		t.Error("a removed mail left something behind")
	}
}

func TestARetryIsNow(t *testing.T) {
	f := newFleet(t, 2)
	a, b := f.box(1, 0), f.box(2, 0)
	f.set(2, cluster.ErrUnavailable)
	f.sent(withID, a, b)
	for range 8 {
		f.Pass(f.due(1).Sub(f.Now()))
		f.run(1)
	}
	f.set(2, nil)
	id := f.only().ID
	if e, err := f.queue.Retry(t.Context(), id); err != nil || !e.Next.Equal(f.Now()) || e.Recipients[0].Attempts != 0 {
		t.Fatalf("%+v, %v", e, err)
	}
	f.run(1)
	f.once(b, "u1@example.test", withID)
	for what, fn := range map[string]func(context.Context, EntryID) (*Entry, error){"show": f.queue.Show, "retry": f.queue.Retry, "remove": f.queue.Remove} {
		for _, id := range []EntryID{id, {Group: 2, Number: 1}, {Group: 9, Number: 1}, {}} {
			if _, err := fn(t.Context(), id); cluster.KindOf(err) != mailflow.KindNoEntry {
				t.Errorf("%s %s: %v", what, id, err)
			}
		}
	}
}

// What waits for one mailbox comes in the order in which it came, and one mail that meets a fault of ours does not hold
// the others up for ever.
func TestALaneGoesOnBehindABrokenMail(t *testing.T) {
	f := newFleet(t, 2)
	a, b := f.box(1, 0), f.box(2, 0)
	f.set(2, cluster.ErrUnavailable)
	for _, s := range []string{"one", "two", "three"} {
		f.sent("Message-ID: <"+s+"@x>\r\nSubject: "+s+"\r\n\r\n", a, b)
	}
	if n := len(f.list()); n != 3 {
		t.Fatalf("%d entries", n)
	}
	f.set(2, errors.New("a bug"))
	for attempts := 1; f.list()[0].Failed == 0; attempts++ {
		if attempts > brokenTries {
			t.Fatalf("still tried after %d attempts", attempts)
		}
		f.Pass(f.due(1).Sub(f.Now()))
		f.run(1)
		if l := f.list(); (l[0].Failed > 0) != (attempts == brokenTries) || l[1].Failed+l[2].Failed > 0 {
			t.Fatalf("after %d attempts %+v", attempts, l)
		}
	}
	f.set(2, nil)
	f.Pass(time.Hour)
	f.run(1)
	var subjects []string
	for _, m := range f.mails(b) {
		_, s, _ := strings.Cut(m, "Subject: ")
		subjects = append(subjects, strings.TrimSpace(s))
	}
	if fmt.Sprint(subjects) != "[two three]" {
		t.Errorf("%v", subjects)
	}
}

func TestOneSilentGroupHoldsUpNoOther(t *testing.T) {
	f := newFleet(t, 3)
	boxes := []mapi.MailboxID{f.box(1, 0)}
	for range 20 {
		boxes = append(boxes, f.box(2, 0), f.box(3, 0))
	}
	f.set(2, cluster.ErrUnavailable)
	f.set(3, cluster.ErrUnavailable)
	f.sent(withoutID, boxes...)
	f.set(3, nil)
	f.mu.Lock()
	f.asked, f.held = map[cluster.GroupID]int{}, make(chan struct{})
	f.mu.Unlock()
	f.Pass(5 * time.Second)
	done := make(chan error)
	go func() { done <- f.perform(1) }()
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		for i, box := range boxes {
			if f.PlaceOf(cluster.SpaceID(box)) == 3 && len(f.mails(box)) != 1 {
				return fmt.Errorf("box %d waits for a group that has nothing to do with it", i)
			}
		}
		return nil
	})
	close(f.held)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	e := f.only()
	if e.Waiting != 20 || f.asked[2] != 1 {
		t.Fatalf("%d wait, the silent group was asked %d times", e.Waiting, f.asked[2])
	}
	for _, r := range e.Recipients {
		if r.Attempts != 1 || r.Error == "" || !r.Next.Equal(e.Next) {
			t.Errorf("%+v", r)
		}
	}
}

func TestContentIsBroughtOnceAndHeldWhileItIsNeeded(t *testing.T) {
	f := newFleet(t, 2)
	a := f.box(1, 0)
	boxes := []mapi.MailboxID{a}
	for range 10 {
		boxes = append(boxes, f.box(2, 0))
	}
	f.set(2, cluster.ErrUnavailable)
	octets := long('c')
	f.sent(octets, boxes...)
	f.sent(octets[:len(octets)-2]+"!\r\n", a, boxes[1]) // nearly the same content, in an entry of its own
	f.sent(octets, a, boxes[2])                         // quite the same
	f.Pass(48 * time.Hour)                              // an upload that nobody holds is kept for an hour
	if _, err := f.Replicas[1].Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.set(2, nil)
	f.uploads = map[cluster.GroupID]int{}
	f.run(1)
	chunks := len(octets)/exmdb.MaxChunk + 1
	if f.uploads[2] > 3*chunks || f.uploads[2] == 0 {
		t.Errorf("%d chunks were brought, three mails have %d each", f.uploads[2], chunks)
	}
	for i, box := range boxes[3:] {
		f.once(box, fmt.Sprintf("u%d@example.test", i+3), octets)
	}
	if n, m := len(f.mails(boxes[1])), len(f.mails(boxes[2])); n != 2 || m != 2 {
		t.Errorf("%d and %d mails where two were sent", n, m)
	}
	if len(f.list()) != 0 || f.pairs(1) != 0 {
		t.Error("the queue still holds something")
	}
}

func TestTheQueueIsWhereThereIsAQuorum(t *testing.T) {
	f := newFleet(t, 4)
	a, b := f.box(1, 0), f.box(2, 0)
	f.set(2, cluster.ErrUnavailable)
	rest := func(near ...mapi.MailboxID) *mailflow.Rest {
		return &mailflow.Rest{From: "x@y", Received: f.Now(), Near: near, To: []mailflow.Pending{{Mailbox: b, Address: "b@z"}},
			Message: func(context.Context, mapi.MailboxID) (exmdb.NewMessage, error) {
				return exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: []byte("hi")}}}}, nil
			}}
	}
	for range 5 {
		if c := f.queue.candidates(t.Context(), rest(a)); c[0] != 1 || c[3] != 2 || len(c) != 4 {
			t.Fatalf("asked in order %v", c)
		}
	}
	f.set(1, cluster.ErrUnavailable)
	f.set(3, cluster.ErrOverloaded)
	if err := f.queue.Keep(t.Context(), rest(a)); err != nil {
		t.Fatal(err)
	}
	f.set(4, cluster.ErrUnavailable)
	err := f.queue.Keep(t.Context(), rest(a))
	if !cluster.Retryable(err) {
		t.Fatalf("with no group: %v", err)
	}
	l, err := f.queue.List(t.Context())
	if err != nil || len(l.Silent) != 4 || len(l.Entries) != 0 {
		t.Fatalf("%+v, %v", l, err)
	}
	for _, g := range f.Groups {
		f.set(g, nil)
	}
	if e := f.only(); e.ID.Group != 4 {
		t.Fatalf("kept in group %d", e.ID.Group)
	}
	f.queue.Groups = func() []cluster.GroupID { return nil }
	if err := f.queue.Keep(t.Context(), rest(a)); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Fatalf("without groups: %v", err)
	}
}

func TestLostContentIsBroughtAgain(t *testing.T) {
	f := newFleet(t, 2)
	b := f.box(2, 0)
	data := []byte(strings.Repeat("x", 20_000))
	ref := exmdb.ChunkRef{Hash: space.HashOf(data), Size: uint32(len(data))}
	asked := 0
	rest := &mailflow.Rest{Received: f.Now(), To: []mailflow.Pending{{Mailbox: b, Address: "b@z"}},
		Message: func(ctx context.Context, box mapi.MailboxID) (exmdb.NewMessage, error) {
			msg := exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Chunks: []exmdb.ChunkRef{ref}, Octets: uint64(len(data))}}}}
			if asked++; asked == 1 {
				return msg, nil // as if it had been collected meanwhile
			}
			up, err := f.mail.Upload(ctx, exmdb.System, box)
			if err != nil {
				return msg, err
			}
			_, err = up.Put(ctx, data)
			return msg, errors.Join(err, up.Close(ctx))
		}}
	if err := f.queue.Keep(t.Context(), rest); err != nil || asked != 2 {
		t.Fatalf("%v after bringing it %d times", err, asked)
	}
	f.Pass(time.Minute)
	g := f.only().ID.Group
	f.run(g)
	if got := f.mails(b); len(got) != 1 || got[0] != string(data) {
		t.Fatalf("%d mails", len(got))
	}
	if err := f.queue.Keep(t.Context(), &mailflow.Rest{Message: rest.Message}); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("mail for nobody: %v", err)
	}
}

func TestManyEntriesAreListedInPages(t *testing.T) {
	f := newFleet(t, 1)
	const many = 2*listAtOnce + 3
	_, err := f.queue.call(t.Context(), SpaceOf(1), OpOpen, nil)
	if err != nil {
		t.Fatal(err)
	}
	msg := exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: []byte("hi")}}}}
	for i := range many {
		err := f.queue.do(t.Context(), SpaceOf(1), OpKeep, &KeepRequest{From: fmt.Sprint(i), Received: f.Now().Add(time.Duration(i) * time.Second),
			Message: msg, To: []KeptRecipient{{Mailbox: mapi.MailboxID{1}, Address: "a@b"}}}, new(KeepResponse))
		if err != nil {
			t.Fatal(err)
		}
	}
	l := f.list()
	if len(l) != many {
		t.Fatalf("%d of %d", len(l), many)
	}
	for i, e := range l {
		if e.From != fmt.Sprint(i) || len(e.Recipients) > 0 {
			t.Fatalf("entry %d is %+v", i, e)
		}
	}
}

// The real runner of due work drives it: nobody has to ask.
func TestADueRunnerDeliversByItself(t *testing.T) {
	f := newFleet(t, 2)
	a, b := f.box(1, 0), f.box(2, 0)
	f.set(2, cluster.ErrUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		space.NewDueRunner(f.Replicas[1].Replica, f.work(1), space.WorkConfig{Now: f.Now, Rescan: 10 * time.Millisecond}).Run(ctx)
	}()
	f.sent(withID, a, b)
	f.set(2, nil)
	f.Pass(time.Hour)
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		if n := len(f.mails(b)); n != 1 {
			return fmt.Errorf("%d mails", n)
		}
		return nil
	})
	cancel()
	<-done
	f.once(b, "u1@example.test", withID)
}
