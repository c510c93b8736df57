package deliver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// people is a directory of example.test.
type people map[string]directory.Resolution

func (people) Local(_ context.Context, domain string) (bool, error) {
	return domain == "example.test", nil
}

func (p people) Resolve(_ context.Context, address string) (directory.Resolution, error) {
	res, ok := p[address]
	if !ok {
		return res, cluster.Errorf(exmdb.KindNoSuchUser, "%s is not in the directory", address)
	}
	return res, nil
}

func (people) Lookup(context.Context, string) (*directory.Object, error) { panic("not for mail") }

// accepted is the kind of no refusal.
const accepted = cluster.Kind(0)

func refusal(err error) cluster.Kind {
	if err == nil {
		return accepted
	}
	return cluster.KindOf(err)
}

// one leads to one mailbox.
func one(box mapi.MailboxID, quota uint64) directory.Resolution {
	return directory.Resolution{Mailboxes: []directory.Recipient{{Mailbox: box, Quota: quota}}}
}

// guarded is people with somebody who may send to what is restricted.
type guarded struct {
	people
	user string
}

func (g guarded) Admits(_ context.Context, _ mapi.GUID, user string) (bool, error) {
	return user == g.user, nil
}

func TestAcceptAsksWhoMaySendToAList(t *testing.T) {
	d := deliverer(t, newStore())
	list := one(mapi.MailboxID{1}, 0)
	list.Restricted = mapi.GUID{7}
	all := people{"team@example.test": list}
	for _, x := range []struct {
		who  directory.Directory
		env  mailflow.Envelope
		want cluster.Kind
	}{
		{guarded{all, "alice@example.test"}, mailflow.Envelope{From: "alice@example.test", User: "alice@example.test"}, accepted},
		{guarded{all, "alice@example.test"}, mailflow.Envelope{From: "sales@example.test", User: "alice@example.test"}, accepted},
		{guarded{all, "alice@example.test"}, mailflow.Envelope{From: "alice@example.test"}, exmdb.KindAccessDenied},
		{guarded{all, "alice@example.test"}, mailflow.Envelope{User: "bob@example.test"}, exmdb.KindAccessDenied},
		{all, mailflow.Envelope{From: "alice@example.test", User: "alice@example.test"}, exmdb.KindAccessDenied},
	} {
		d.Directory = x.who
		if _, err := d.Accept(t.Context(), &x.env, "team@example.test"); refusal(err) != x.want {
			t.Errorf("%+v: %v", x.env, err)
		}
	}
}

func TestAccept(t *testing.T) {
	s := newStore()
	d := deliverer(t, s)
	d.Directory = people{"alice@example.test": one(mapi.MailboxID{1}, 0), "o'b+c@example.test": one(mapi.MailboxID{2}, 0),
		"away@example.test":  {External: []string{"a@elsewhere.test"}},
		"mixed@example.test": {Mailboxes: one(mapi.MailboxID{1}, 0).Mailboxes, External: []string{"a@elsewhere.test"}}}
	for address, want := range map[string]cluster.Kind{
		"alice@example.test": accepted, "ALICE@EXAMPLE.test": accepted, "alice+lists@example.test": accepted, "o'b+c@example.test": accepted,
		"+alice@example.test": exmdb.KindNoSuchUser, "bob@example.test": exmdb.KindNoSuchUser, "alice": exmdb.KindBadAddress,
		"alice@elsewhere.test": mailflow.KindRelay, "away@example.test": mailflow.KindRelay, "mixed@example.test": mailflow.KindRelay,
	} {
		r, err := d.Accept(context.Background(), &mailflow.Envelope{}, address)
		if refusal(err) != want || r.Address != address || err == nil && len(r.To.Mailboxes) != 1 {
			t.Errorf("%s: %+v, %v", address, r, err)
		}
	}
	d.Later = &later{}
	for address, want := range map[string]cluster.Kind{"mixed@example.test": accepted, "away@example.test": mailflow.KindRelay} {
		if _, err := d.Accept(context.Background(), &mailflow.Envelope{}, address); refusal(err) != want {
			t.Errorf("%s, with a place for who cannot be reached: %v", address, err)
		}
	}
	if s.asked != 0 {
		t.Errorf("%d mailboxes without a limit were asked how full they are", s.asked)
	}
}

func TestAFullMailboxIsRefusedWithItsRecipient(t *testing.T) {
	const quota = 1000
	box, other := mapi.MailboxID{1}, mapi.MailboxID{2}
	for _, c := range []struct {
		name  string
		to    directory.Resolution
		info  *exmdb.MailboxInfo
		want  cluster.Kind
		asked int
	}{
		{"has room", one(box, quota), &exmdb.MailboxInfo{Quota: quota, Used: quota - 1}, accepted, 1},
		{"is full", one(box, quota), &exmdb.MailboxInfo{Quota: quota, Used: quota}, exmdb.KindOverQuota, 1},
		{"is more than full", one(box, quota), &exmdb.MailboxInfo{Quota: quota, Used: 2 * quota}, exmdb.KindOverQuota, 1},
		{"its limit was lifted", one(box, quota), &exmdb.MailboxInfo{Used: 2 * quota}, accepted, 1},
		{"cannot say", one(box, quota), nil, accepted, 1},
		{"has no limit", one(box, 0), &exmdb.MailboxInfo{Used: quota}, accepted, 0},
		{"is one of several", directory.Resolution{Mailboxes: append(one(box, quota).Mailboxes, one(other, quota).Mailboxes...)},
			&exmdb.MailboxInfo{Quota: quota, Used: quota}, accepted, 0},
	} {
		s := newStore()
		d := deliverer(t, s)
		d.Directory = people{"alice@example.test": c.to}
		s.infos = map[mapi.MailboxID]*exmdb.MailboxInfo{box: c.info}
		_, err := d.Accept(context.Background(), &mailflow.Envelope{}, "alice@example.test")
		if refusal(err) != c.want || s.asked != c.asked {
			t.Errorf("a mailbox that %s: %v, asked %d times", c.name, err, s.asked)
		}
	}
}

func TestASilentMailboxHoldsUpNoRecipient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		d := deliverer(t, s)
		box := mapi.MailboxID{1}
		d.Directory = people{"alice@example.test": one(box, 1)}
		s.silent[box] = true
		start := time.Now()
		if _, err := d.Accept(context.Background(), &mailflow.Envelope{}, "alice@example.test"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != roomPatience {
			t.Errorf("waited %v", took)
		}
	})
}
