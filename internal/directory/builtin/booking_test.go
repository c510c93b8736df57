package builtin

import (
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
)

// What becomes of mail about meetings goes by kind, until somebody says otherwise; to archives and public mailboxes no mail goes.
func TestMeetingsGoByKind(t *testing.T) {
	p := newPeople(t)
	tentative, off := directory.BookingTentative, directory.BookingOff
	for kind, want := range map[directory.Kind]exmdb.MeetingHandling{directory.KindUser: exmdb.MeetingsEntered, directory.KindShared: exmdb.MeetingsEntered,
		directory.KindRoom: exmdb.MeetingsDecided, directory.KindEquipment: exmdb.MeetingsDecided, directory.KindResource: exmdb.MeetingsDecided} {
		address := kind.String() + "@example.test"
		p.add(kind, address)
		for _, c := range []struct {
			set  *directory.BookingPolicy
			want exmdb.MeetingHandling
		}{{nil, want}, {&tentative, exmdb.MeetingsEntered}, {nil, exmdb.MeetingsEntered}, {&off, exmdb.MeetingsLeft}} {
			p.do(OpChange, &ChangeRequest{Address: address, Booking: c.set})
			if res, err := p.Resolve(t.Context(), address); err != nil || res.Mailboxes[0].Meetings != c.want {
				t.Errorf("%s, %v: %+v, %v", kind, c.set, res, err)
			}
		}
	}
	p.add(directory.KindList, "list@example.test", "archive@example.test", "public@example.test", "room@example.test")
	for _, kind := range []directory.Kind{directory.KindArchive, directory.KindPublic} {
		o := p.add(kind, kind.String()+"@example.test")
		if _, err := p.Resolve(t.Context(), o.Address); cluster.KindOf(err) != exmdb.KindNoSuchUser || err == nil {
			t.Errorf("mail to %s: %v", kind, err)
		}
		if found, err := p.Lookup(t.Context(), o.Address); err != nil || found.Kind != kind || found.Meetings() != exmdb.MeetingsLeft {
			t.Errorf("%+v, %v", found, err)
		}
	}
	if res, err := p.Resolve(t.Context(), "list@example.test"); err != nil || len(res.Mailboxes) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	for _, name := range []string{"auto", "tentative", "off"} {
		if b, ok := directory.BookingPolicyByName(name); !ok || b.String() != name {
			t.Errorf("%s is %v", name, b)
		}
	}
	if _, ok := directory.KindByName(""); ok {
		t.Error("nothing is a kind")
	}
}

// The zone of an object goes to whoever delivers to it, by a list too; an empty name takes it away.
func TestZonesGoWithTheRecipient(t *testing.T) {
	p := newPeople(t)
	p.add(directory.KindUser, "anna@example.test")
	p.add(directory.KindRoom, "room@example.test")
	p.add(directory.KindList, "list@example.test", "anna@example.test", "room@example.test")
	berlin, none := "Europe/Berlin", ""
	for _, c := range []struct {
		set  *string
		want string
	}{{nil, ""}, {&berlin, berlin}, {nil, berlin}, {&none, ""}} {
		p.do(OpChange, &ChangeRequest{Address: "anna@example.test", Zone: c.set})
		res, err := p.Resolve(t.Context(), "list@example.test")
		if err != nil || len(res.Mailboxes) != 2 || res.Mailboxes[0].Zone != c.want || res.Mailboxes[1].Zone != "" {
			t.Errorf("want %q: %+v, %v", c.want, res, err)
		}
	}
}
