package deliver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// knowing is a directory that can answer at once.
type knowing struct {
	people
	asked []string
	// groups is how many lists bob is in.
	groups int
}

func (k *knowing) People(_ context.Context, sender string, addresses []string) (bool, []directory.Person) {
	k.asked = addresses
	return strings.HasSuffix(sender, "@example.test"), []directory.Person{
		{Object: &directory.Object{Address: "bob@example.test", Aliases: []string{"b@example.test"}, LegacyDN: "/o=bob", Name: "Bob"}, Groups: make([]mapi.GUID, k.groups)},
		{Object: &directory.Object{Address: "carl@example.test", LegacyDN: "/o=carl"}, Groups: make([]mapi.GUID, 1)}}
}

// noting keeps what mailboxes are told, and fails for one of them.
type noting struct {
	swallow
	fails mapi.MailboxID
	about map[mapi.MailboxID]exmdb.Circumstances
}

func (n *noting) Call(_ context.Context, _ exmdb.Identity, box mapi.MailboxID, _ exmdb.OpInfo, req, _ any) error {
	if q, is := req.(*exmdb.DeliverRequest); is {
		if box == n.fails {
			return cluster.ErrUnavailable
		}
		n.about[box] = q.About
	}
	return nil
}

func TestMailboxesAreToldWhatTheDirectoryKnows(t *testing.T) {
	one, two := mapi.MailboxID{1}, mapi.MailboxID{2}
	dir := &knowing{people: people{}}
	caller := &noting{fails: two, about: map[mapi.MailboxID]exmdb.Circumstances{}}
	kept := &later{}
	d := &Deliverer{Caller: caller, Directory: dir, Spool: t.TempDir(), Limit: 1 << 20, Host: "h", Later: kept, Now: time.Now}
	mail := receiveAll(t, d, "From: Bob <bob@example.test>\r\nSender: s@elsewhere.test\r\nTo: list@example.test, broken\r\nCc: c@elsewhere.test\r\n\r\n")
	to := []mailflow.Recipient{{Address: "list@example.test", To: directory.Resolution{Mailboxes: []directory.Recipient{
		{Mailbox: one, Address: "anna@example.test", Aliases: []string{"a@example.test"}, Name: "Anna", Meetings: exmdb.MeetingsEntered, Zone: "Europe/Berlin"}, {Mailbox: two, Address: "carl@example.test"}}}}}
	for _, r := range d.Deliver(t.Context(), &mailflow.Envelope{From: "bob@example.test", With: "ESMTP"}, to, mail) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	want := "{[anna@example.test a@example.test] Anna true [{bob@example.test /o=bob Bob} {b@example.test /o=bob Bob} {carl@example.test /o=carl }] <nil> [{/o=carl [00000000-0000-0000-0000-000000000000]}] 1 Europe/Berlin}"
	if got := fmt.Sprint(caller.about[one]); got != want {
		t.Errorf("%s", got)
	}
	if kept.kept() != 1 || !slices.Equal(kept.rest.To[0].About.Own, []string{"carl@example.test"}) || !kept.rest.To[0].About.Internal {
		t.Errorf("%+v", kept.rest)
	}
	if !slices.Equal(dir.asked, []string{"bob@example.test", "s@elsewhere.test", "list@example.test", "c@elsewhere.test"}) {
		t.Errorf("asked about %v", dir.asked)
	}
}

func TestListsOfTheFirstAreTold(t *testing.T) {
	dir := &knowing{people: people{}, groups: maxMemberships + 5}
	d := &Deliverer{Directory: dir}
	if a := d.About(t.Context(), &mailflow.Envelope{}, nil); len(a.Memberships) != 1 || a.Memberships[0].LegacyDN != "/o=bob" || len(a.Memberships[0].Lists) != maxMemberships {
		t.Errorf("%d told", len(a.Memberships))
	}
}

func TestFewAreLookedUp(t *testing.T) {
	dir := &knowing{people: people{}}
	d := &Deliverer{Caller: swallow{}, Directory: dir, Spool: t.TempDir(), Limit: 1 << 20, Host: "h", Now: time.Now}
	var all []string
	for i := range 3 * maxKnown {
		all = append(all, fmt.Sprintf("u%d@example.test", i))
	}
	mail := receiveAll(t, d, "To: "+strings.Join(all, ",\r\n ")+"\r\n\r\n")
	if d.About(t.Context(), &mailflow.Envelope{}, mail.root.Envelope); len(dir.asked) != maxKnown {
		t.Errorf("%d were looked up", len(dir.asked))
	}
	d.Directory = dir.people
	if a := d.About(t.Context(), &mailflow.Envelope{}, mail.root.Envelope); a.Internal || a.Known != nil {
		t.Errorf("%+v", a)
	}
}
