package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// later keeps what it is given, unless it fails.
type later struct {
	fail error
	rest *mailflow.Rest
}

func (l *later) Keep(_ context.Context, rest *mailflow.Rest) error {
	if l.fail == nil {
		l.rest = rest
	}
	return l.fail
}

func (l *later) kept() int {
	if l.rest == nil {
		return 0
	}
	return len(l.rest.To)
}

func receiveAll(t *testing.T, d *Deliverer, mail string) *Received {
	t.Helper()
	m, err := d.Receive(context.Background(), strings.NewReader(mail), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m.(*Received)
}

func TestWhatCannotBeStoredNowIsKeptOnceOthersAre(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second error
		with          string
		keep          error
		kept, errs    int
	}{
		{"the second waits", nil, cluster.ErrUnavailable, "ESMTP", nil, 1, 0},
		{"a broken machine is mended", nil, errors.New("a bug"), "ESMTP", nil, 1, 0},
		{"a mailbox may still come", nil, &cluster.Error{Kind: exmdb.KindNoMailbox}, "ESMTP", nil, 1, 0},
		{"both are stored", nil, nil, "ESMTP", nil, 0, 0},
		{"a full mailbox is no answer for both", nil, &cluster.Error{Kind: exmdb.KindOverQuota}, "ESMTP", nil, 1, 0},
		{"a full mailbox is an answer", nil, &cluster.Error{Kind: exmdb.KindOverQuota}, "LMTP", nil, 0, 1},
		{"both are full", &cluster.Error{Kind: exmdb.KindOverQuota}, &cluster.Error{Kind: exmdb.KindOverQuota}, "ESMTP", nil, 0, 2},
		{"nor can it be noted", nil, &cluster.Error{Kind: exmdb.KindOverQuota}, "ESMTP", cluster.ErrUnavailable, 0, 1},
		{"nothing was stored", cluster.ErrUnavailable, cluster.ErrUnavailable, "ESMTP", nil, 0, 2},
		{"nor here", &cluster.Error{Kind: exmdb.KindOverQuota}, cluster.ErrUnavailable, "ESMTP", nil, 0, 2},
		{"LMTP answers for each", nil, cluster.ErrUnavailable, "LMTPS", nil, 0, 1},
		{"no queue takes it", nil, cluster.ErrUnavailable, "ESMTP", cluster.ErrUnavailable, 0, 1},
	} {
		s := newStore()
		d, l := deliverer(t, s), &later{fail: c.keep}
		d.Later = l
		a, b := mapi.MailboxID{1}, mapi.MailboxID{2}
		s.fail[a], s.fail[b] = c.first, c.second
		errs := 0
		for i, r := range d.Deliver(context.Background(), &mailflow.Envelope{With: c.with}, to(a, b), receiveAll(t, d, "Subject: x\r\n\r\n")) {
			if r.Err == nil {
				continue
			}
			errs++
			if want := []error{c.first, c.second}[i]; !errors.Is(r.Err, want) {
				t.Errorf("%s: %v, want %v", c.name, r.Err, want)
			}
		}
		if l.kept() != c.kept || errs != c.errs {
			t.Errorf("%s: %d kept, %d refused", c.name, l.kept(), errs)
		}
	}
}

// A mailbox that several recipients lead to is tried once and answers for all of them.
func TestAMailboxAnswersForAllWhoLeadToIt(t *testing.T) {
	full := &cluster.Error{Kind: exmdb.KindOverQuota}
	a, b := mapi.MailboxID{1}, mapi.MailboxID{2}
	list := mailflow.Recipient{Address: "list@example.test", To: directory.Resolution{Mailboxes: []directory.Recipient{{Mailbox: b}, {Mailbox: a}}}}
	for _, c := range []struct {
		name    string
		with    string
		to      []mailflow.Recipient
		refused []bool
	}{
		{"address and alias", "ESMTP", to(a, a), []bool{true, true}},
		{"address and alias", "LMTP", to(a, a), []bool{true, true}},
		{"another between", "LMTP", to(a, b, a), []bool{true, false, true}},
		{"list and member", "LMTP", []mailflow.Recipient{list, to(a)[0]}, []bool{true, true}},
		{"member and list", "LMTP", []mailflow.Recipient{to(a)[0], list}, []bool{true, true}},
	} {
		s := newStore()
		s.fail[a] = full
		d := deliverer(t, s)
		for i, r := range d.Deliver(context.Background(), &mailflow.Envelope{With: c.with}, c.to, receiveAll(t, d, "Subject: x\r\n\r\n")) {
			if refused := errors.Is(r.Err, full); refused != c.refused[i] || r.Recipient != c.to[i].Address {
				t.Errorf("%s, %s: recipient %d: %v", c.name, c.with, i, r.Err)
			}
		}
		if tries := len(s.keys) - len(s.mails[b]); tries != 1 {
			t.Errorf("%s: the full mailbox was tried %d times", c.name, tries)
		}
	}
}

func TestAGroupWithoutAnswerHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.apart = true
		d, l := deliverer(t, s), &later{}
		d.Later = l
		dead, alive := mapi.MailboxID{1}, mapi.MailboxID{2}
		s.silent[dead] = true
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		start := time.Now()
		for _, r := range d.Deliver(ctx, &mailflow.Envelope{From: "a@b", With: "ESMTP"}, to(dead, alive), receiveAll(t, d, "Subject: x\r\n\r\n")) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		if took := time.Since(start); took != mailflow.Patience(0) {
			t.Errorf("the silent group was waited for %v", took)
		}
		if len(s.mails[alive]) != 1 || l.kept() != 1 || l.rest.To[0].Mailbox != dead {
			t.Fatalf("%d stored, %d kept", len(s.mails[alive]), l.kept())
		}
		if len(l.rest.Near) != 1 || l.rest.Near[0] != alive {
			t.Errorf("near %v", l.rest.Near)
		}
	})
}

func TestTimeIsLeftToKeepTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.apart = true
		d, l := deliverer(t, s), &later{}
		d.Later = l
		s.silent[mapi.MailboxID{1}] = true
		ctx, cancel := context.WithTimeout(context.Background(), 9*time.Second)
		defer cancel()
		start := time.Now()
		d.Deliver(ctx, &mailflow.Envelope{With: "ESMTP"}, to(mapi.MailboxID{1}, mapi.MailboxID{2}), receiveAll(t, d, "Subject: x\r\n\r\n"))
		if took := time.Since(start); took != 6*time.Second || ctx.Err() != nil || l.kept() != 1 {
			t.Fatalf("kept %d after %v", l.kept(), took)
		}
	})
}

func TestTheRestIsWhatWouldHaveBeenStored(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 2))
	for range 20 {
		s := newStore()
		d, l := deliverer(t, s), &later{}
		d.Later = l
		a, b, spool := mapi.MailboxID{1}, mapi.MailboxID{2}, mapi.MailboxID{9}
		s.fail[b] = cluster.ErrUnavailable
		sent := compose(rng)
		env := &mailflow.Envelope{From: "s@elsewhere", Helo: "h", Remote: "192.0.2.1", With: "ESMTPS"}
		d.Deliver(context.Background(), env, to(a, b), receiveAll(t, d, string(sent)))
		if l.kept() != 1 {
			t.Fatalf("seed %d: nothing kept", seed)
		}
		p := l.rest.To[0]
		want := bytes.ReplaceAll(s.mails[a][0].Message.Recipe.Prefix, []byte("u0@"), []byte("u1@"))
		if !bytes.Equal(p.Trace, want) || p.Address != "u1@example.test" {
			t.Errorf("trace %q, want %q", p.Trace, want)
		}
		if l.rest.From != env.From || !l.rest.Received.Equal(d.Now()) || l.rest.Size != int64(len(sent)) {
			t.Errorf("%+v", l.rest)
		}
		for range 2 {
			clear(s.chunks)
			msg, err := l.rest.Message(context.Background(), spool)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range msg.Inline {
				s.putLocked(c)
			}
			if got := s.octets(t, &msg.Recipe); !bytes.Equal(got, sent) || len(msg.Recipe.Prefix) > 0 {
				t.Fatalf("seed %d: %d octets became %d", seed, len(sent), len(got))
			}
		}
	}
}

func TestDeliveryKeyNamesSenderRecipientAndOctets(t *testing.T) {
	d := deliverer(t, newStore())
	key := func(from, rcpt, body string) [32]byte {
		tx, err := d.begin(&mailflow.Envelope{From: from}, nil, receiveAll(t, d, "Message-ID: <1@x>\r\n\r\n"+body))
		if err != nil {
			t.Fatal(err)
		}
		return tx.key(&target{address: rcpt})
	}
	same := key("a", "b", "c")
	if same != key("a", "b", "c") {
		t.Fatal("one mail has two keys")
	}
	for _, other := range [][32]byte{key("x", "b", "c"), key("a", "x", "c"), key("a", "b", "x"), {}} {
		if other == same {
			t.Fatal("different mails share a key")
		}
	}
}

func TestAMailWithoutMessageIDIsToldByItsTransaction(t *testing.T) {
	const mail = "Subject: x\r\n\r\nhi\r\n"
	a, b := mapi.MailboxID{1}, mapi.MailboxID{2}
	attempt := func(later *later, with string, boxes ...mapi.MailboxID) *store {
		s := newStore()
		d := deliverer(t, s)
		if s.fail[b] = cluster.ErrUnknownOutcome; later != nil {
			d.Later = later
		}
		d.Deliver(context.Background(), &mailflow.Envelope{From: "a@b", With: with}, to(boxes...), receiveAll(t, d, mail))
		return s
	}
	first, second := &later{}, &later{}
	s := attempt(first, "ESMTP", a, b)
	attempt(second, "ESMTP", a, b)
	key := first.rest.To[0].Key
	if key == [32]byte{} || key == second.rest.To[0].Key {
		t.Fatal("two transactions cannot be told apart")
	}
	if len(s.keys) != 2 || s.keys[0] != key && s.keys[1] != key {
		t.Fatal("the attempt that was not heard of had another key than those to come")
	}
	for _, s := range []*store{attempt(nil, "ESMTP", a, b), attempt(&later{}, "ESMTP", a), attempt(&later{}, "LMTP", a, b)} {
		for _, k := range s.keys {
			if k != [32]byte{} {
				t.Error("a key where nothing is ever kept")
			}
		}
	}
}

func TestDuplicatesAreTold(t *testing.T) {
	s := newStore()
	a, b := mapi.MailboxID{1}, mapi.MailboxID{2}
	s.known = map[mapi.MailboxID]bool{b: true}
	d := deliverer(t, s)
	for _, told := range []bool{false, true} {
		var got []string
		if told {
			d.Events.Duplicate = func(env *mailflow.Envelope, address string, box mapi.MailboxID) {
				got = append(got, fmt.Sprint(env.From, " ", address, " ", box == b))
			}
		}
		for _, r := range d.Deliver(context.Background(), &mailflow.Envelope{From: "s@x"}, to(a, b), receiveAll(t, d, "Message-ID: <1@x>\r\n\r\n")) {
			if r.Err != nil {
				t.Error(r.Err) // the first answer stands
			}
		}
		if want := "[s@x u1@example.test true]"; told && fmt.Sprint(got) != want {
			t.Errorf("told %v, want %s", got, want)
		}
	}
}
