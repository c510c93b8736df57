package queue

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// brought is something that a mailbox sends.
func brought(from mapi.MailboxID, number uint64, to ...mailflow.Pending) *mailflow.Rest {
	return &mailflow.Rest{Source: cluster.SpaceID(from), Number: number, Host: "h", To: to,
		Message: func(context.Context, mapi.MailboxID) (exmdb.NewMessage, error) {
			return deliver.Short([]byte(withoutID))
		}}
}

// What a mailbox sends is taken once by its number, however often it is brought, and delivered without a pause.
func TestWhatMailboxesSendIsTakenOnce(t *testing.T) {
	f := newFleet(t, 2)
	a, b := f.box(1, 0), f.box(2, 0)
	rest := brought(a, 7, mailflow.Pending{Mailbox: b, Address: "b@example.test"})
	for range 3 {
		if err := f.queue.Take(t.Context(), 1, rest); err != nil {
			t.Fatal(err)
		}
	}
	f.run(1)
	for _, number := range []uint64{3, 7} {
		if err := f.queue.Take(t.Context(), 1, brought(a, number, rest.To[0])); err != nil {
			t.Fatal(err)
		}
	}
	f.run(1)
	if n := len(f.mails(b)); n != 1 || len(f.list()) != 0 {
		t.Fatalf("%d mails", n)
	}
	if got := f.tells(); !strings.HasPrefix(got, "delivered to b@example.test") || strings.Contains(got, "\n") {
		t.Errorf("told %q", got)
	}
	if err := f.queue.Take(t.Context(), 1, brought(a, 8, rest.To[0])); err != nil {
		t.Fatal(err)
	}
	f.run(1)
	if n := len(f.mails(b)); n != 2 {
		t.Errorf("%d mails", n)
	}
}

func TestWhatCannotBeSentIsKeptForWhoeverCares(t *testing.T) {
	f := newFleet(t, 1)
	a := f.box(1, 0)
	if err := f.queue.Take(t.Context(), 1, brought(a, 1, mailflow.Pending{Address: "x@far.test", Refused: mailflow.ErrRelay})); err != nil {
		t.Fatal(err)
	}
	if e := f.only(); e.Failed != 1 || e.Recipients[0].Address != "x@far.test" {
		t.Errorf("%+v", e)
	}
	if got, want := f.tells(), fmt.Sprintf("failed for x@far.test: %d", mailflow.KindRelay); got != want {
		t.Errorf("told %q", got)
	}
	f.set(1, cluster.ErrUnavailable)
	if err := f.queue.Take(t.Context(), 1, brought(a, 2, mailflow.Pending{Address: "x@far.test", Refused: mailflow.ErrRelay})); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Errorf("%v", err)
	}
}

// What a mailbox is told beside the mail waits with it.
func TestWhatIsKnownOfAMailWaitsWithIt(t *testing.T) {
	f := newFleet(t, 2)
	a, b := f.box(1, 0), f.box(2, 0)
	away := &exmdb.OOFSettings{State: exmdb.OOFEnabled, Internal: exmdb.ReplyText{Plain: "away"}}
	if _, err := exmdb.Do(t.Context(), f.mail, exmdb.System, b, exmdb.OpSetOOF, away); err != nil {
		t.Fatal(err)
	}
	rest := brought(a, 1, mailflow.Pending{Mailbox: b, Address: "list@example.test", About: exmdb.Circumstances{Own: []string{"b@example.test"}, Internal: true}})
	rest.From = "a@example.test"
	rest.Message = func(context.Context, mapi.MailboxID) (exmdb.NewMessage, error) {
		return deliver.Short([]byte("From: a@example.test\r\nTo: B@example.test\r\n\r\nhi\r\n"))
	}
	if err := f.queue.Take(t.Context(), 1, rest); err != nil {
		t.Fatal(err)
	}
	f.run(1)
	n := 0
	err := f.Replicas[2].View(t.Context(), cluster.SpaceID(b), space.ReadLocal, func(r space.Reader) error {
		n = 0
		it := r.Iter([]byte{schema.PrefixOutgoing}, []byte{schema.PrefixOutgoing + 1})
		for it.Next() {
			n++
		}
		return it.Close()
	})
	if err != nil || n != 1 || len(f.mails(b)) != 1 {
		t.Errorf("%d answers, %v", n, err)
	}
}
