package builtin

import (
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func TestPeopleAreWhoTheCopyKnows(t *testing.T) {
	p := newPeople(t)
	alice := p.add(directory.KindUser, "alice@example.test", "al@example.test")
	bob := p.add(directory.KindUser, "bob@example.test")
	team := p.add(directory.KindList, "team@example.test", "bob@example.test")
	internal, people := p.People(t.Context(), "Somebody@Example.test", []string{"x@elsewhere.test", "AL@example.test", "nobody@example.test", "bob@example.test",
		"alice@example.test", "no address", ""})
	if !internal || len(people) != 2 || people[0].GUID != alice.GUID || people[1].GUID != bob.GUID || len(people[0].Groups) != 0 || !same(people[1].Groups, guidsOf(team)) {
		t.Errorf("%v, %+v", internal, people)
	}
	for _, sender := range []string{"", "x@elsewhere.test", "no address"} {
		if internal, people := p.People(t.Context(), sender, nil); internal || people != nil {
			t.Errorf("%q is internal", sender)
		}
	}
}

func TestPeopleByLegacyDN(t *testing.T) {
	p := newPeople(t)
	alice := p.add(directory.KindUser, "alice@example.test")
	for _, dn := range []string{alice.LegacyDN, strings.ToUpper(alice.LegacyDN)} {
		if o, err := p.ByLegacyDN(t.Context(), dn); err != nil || o.GUID != alice.GUID {
			t.Errorf("%s: %+v, %v", dn, o, err)
		}
	}
	end := alice.LegacyDN[strings.LastIndexByte(alice.LegacyDN, '='):]
	for _, dn := range []string{"", "=", "/o=Flotilla/cn=alice", "/o=Another/cn" + end, alice.LegacyDN[:len(alice.LegacyDN)-1], strings.Repeat("0", 32), alice.LegacyDN + "0"} {
		if _, err := p.ByLegacyDN(t.Context(), dn); cluster.KindOf(err) != exmdb.KindNoSuchUser {
			t.Errorf("%q: %v", dn, err)
		}
	}
}

func TestResolutionsSayWhatAMailboxIsCalled(t *testing.T) {
	p := newPeople(t)
	alice := p.add(directory.KindUser, "alice@example.test", "al@example.test")
	name := "Alice Example"
	p.do(OpChange, &ChangeRequest{Address: "al@example.test", Name: &name})
	res, err := p.Resolve(t.Context(), "al@example.test")
	if err != nil || len(res.Mailboxes) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	if r := res.Mailboxes[0]; r.Address != "alice@example.test" || len(r.Aliases) != 1 || r.Aliases[0] != "al@example.test" || r.Name != name || r.User != alice.GUID {
		t.Errorf("%+v", r)
	}
}

// TestObjectsComeInPages: each once, in the order of the whole list, however many are asked for.
func TestObjectsComeInPages(t *testing.T) {
	p := newPeople(t)
	for _, a := range []string{"a@example.test", "b@example.test", "c@example.test", "d@example.test", "e@example.test"} {
		p.add(directory.KindUser, a)
	}
	all, err := p.Objects(t.Context(), 0)
	if err != nil || len(all) < 5 {
		t.Fatalf("%d objects, %v", len(all), err)
	}
	for limit := 1; limit <= len(all)+1; limit++ {
		var after mapi.GUID
		for i := 0; ; {
			page, err := p.ObjectsAfter(t.Context(), after, limit)
			if err != nil || len(page) != min(limit, len(all)-i) {
				t.Fatalf("%d of %d from %d on: %d, %v", limit, len(all), i, len(page), err)
			}
			for _, o := range page {
				if o.GUID != all[i].GUID {
					t.Errorf("object %d is %s, want %s", i, o.Address, all[i].Address)
				}
				after, i = o.GUID, i+1
			}
			if len(page) < limit {
				break
			}
		}
	}
}
