package builtin

import (
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func (p *people) standing(of *directory.Object) *directory.Standing {
	p.t.Helper()
	s, err := p.Standing(p.t.Context(), of.GUID)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

func guidsOf(objects ...*directory.Object) (ids []mapi.GUID) {
	for _, o := range objects {
		ids = append(ids, o.GUID)
	}
	return ids
}

func same(a, b []mapi.GUID) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(id mapi.GUID) bool { return !slices.Contains(b, id) })
}

func TestGroupsOfSomebody(t *testing.T) {
	p := newPeople(t)
	alice, bob := p.add(directory.KindUser, "alice@example.test", "al@example.test"), p.add(directory.KindUser, "bob@example.test")
	team := p.add(directory.KindList, "team@example.test", "AL@example.test", "x@elsewhere.test")
	all := p.add(directory.KindList, "all@example.test", "team@example.test", "bob@example.test")
	p.do(OpChange, &ChangeRequest{Address: "team@example.test", AddMembers: []string{"all@example.test"}}) // a circle
	other := p.add(directory.KindList, "other@example.test")
	if got := p.standing(alice).Groups; !same(got, guidsOf(team, all)) {
		t.Errorf("alice is in %v", got)
	}
	if got := p.standing(bob).Groups; !same(got, guidsOf(team, all)) {
		t.Errorf("bob is in %v", got)
	}
	p.do(OpChange, &ChangeRequest{Address: "other@example.test", AddMembers: []string{"bob@example.test", "bob@example.test"}})
	p.do(OpChange, &ChangeRequest{Address: "all@example.test", RemoveMembers: []string{"bob@example.test"}})
	if got := p.standing(bob).Groups; !same(got, guidsOf(other)) {
		t.Errorf("bob is in %v", got)
	}
	p.do(OpChange, &ChangeRequest{Address: "team@example.test", RemoveMembers: []string{"al@example.test"}})
	if got := p.standing(alice).Groups; len(got) != 0 {
		t.Errorf("alice, taken out by an alias, is in %v", got)
	}
	p.do(OpRemove, &AddressRequest{Address: "other@example.test"})
	if got := p.standing(bob).Groups; len(got) != 0 {
		t.Errorf("bob is in %v", got)
	}
}

func TestWhoGoesLeavesNothingToWhoComes(t *testing.T) {
	p := newPeople(t)
	sales, boss := p.add(directory.KindShared, "sales@example.test"), p.add(directory.KindUser, "boss@example.test")
	p.add(directory.KindUser, "alice@example.test", "al@example.test")
	p.add(directory.KindList, "team@example.test", "alice@example.test")
	p.do(OpSenders, &SendersRequest{Address: "team@example.test", Policy: directory.SendersNamed})
	for _, q := range []GrantRequest{{Address: "sales@example.test", Grant: directory.GrantFullAccess}, {Address: "boss@example.test", Grant: directory.GrantSendAs},
		{Address: "team@example.test", Grant: directory.GrantSender}} {
		q.Add = []string{"alice@example.test"}
		p.do(OpGrant, &q)
	}
	p.do(OpRemove, &AddressRequest{Address: "alice@example.test"})
	again := p.add(directory.KindUser, "alice@example.test", "al@example.test")
	if s := p.standing(again); len(s.Groups)+len(s.FullAccess)+len(s.SendAs) != 0 {
		t.Errorf("another alice has %+v", s)
	}
	for _, o := range []*directory.Object{sales, boss} {
		if got, err := p.ByGUID(t.Context(), o.GUID); err != nil || len(got.FullAccess)+len(got.SendAs) != 0 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if res, err := p.Resolve(t.Context(), "team@example.test"); err != nil || len(res.Mailboxes) != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	// A giver that goes takes its grants along.
	p.do(OpGrant, &GrantRequest{Address: "sales@example.test", Grant: directory.GrantFullAccess, Add: []string{"alice@example.test"}})
	p.do(OpRemove, &AddressRequest{Address: "sales@example.test"})
	if s := p.standing(again); len(s.FullAccess) != 0 {
		t.Errorf("access to a mailbox that is gone: %+v", s)
	}
	// So does an alias that is taken away.
	p.do(OpChange, &ChangeRequest{Address: "team@example.test", AddMembers: []string{"new@example.test"}})
	p.do(OpChange, &ChangeRequest{Address: "alice@example.test", AddAliases: []string{"new@example.test"}})
	p.do(OpChange, &ChangeRequest{Address: "alice@example.test", RemoveAliases: []string{"new@example.test"}})
	p.do(OpChange, &ChangeRequest{Address: "boss@example.test", AddAliases: []string{"new@example.test"}})
	if s := p.standing(boss); len(s.Groups) != 0 {
		t.Errorf("the next holder of an alias is in %v", s.Groups)
	}
}

func TestGrantsOfPeopleAndOfGroups(t *testing.T) {
	p := newPeople(t)
	alice, bob := p.add(directory.KindUser, "alice@example.test"), p.add(directory.KindUser, "bob@example.test")
	sales := p.add(directory.KindShared, "sales@example.test", "shop@example.test")
	p.add(directory.KindList, "inner@example.test", "alice@example.test")
	p.add(directory.KindList, "team@example.test", "inner@example.test")
	p.do(OpGrant, &GrantRequest{Address: "shop@example.test", Grant: directory.GrantFullAccess, Add: []string{"team@example.test", "alice@example.test"}})
	p.do(OpGrant, &GrantRequest{Address: "team@example.test", Grant: directory.GrantSendAs, Add: []string{"bob@example.test"}})
	if s := p.standing(alice); len(s.FullAccess) != 1 || s.FullAccess[0].GUID != sales.GUID || len(s.SendAs) != 0 {
		t.Errorf("alice has %+v", s)
	}
	if s := p.standing(bob); len(s.FullAccess) != 0 || len(s.SendAs) != 1 || s.SendAs[0].Address != "team@example.test" {
		t.Errorf("bob has %+v", s)
	}
	before := p.standing(alice).Sequence
	p.do(OpGrant, &GrantRequest{Address: "sales@example.test", Grant: directory.GrantFullAccess, Remove: []string{"alice@example.test"}})
	if s := p.standing(alice); len(s.FullAccess) != 1 || s.Sequence == before {
		t.Errorf("alice, who is in the team, has %+v", s)
	}
	p.do(OpChange, &ChangeRequest{Address: "inner@example.test", RemoveMembers: []string{"alice@example.test"}})
	if s := p.standing(alice); len(s.FullAccess) != 0 {
		t.Errorf("alice has %+v", s)
	}
	p.refused(OpGrant, &GrantRequest{Address: "sales@example.test", Grant: directory.GrantFullAccess, Remove: []string{"alice@example.test"}}, exmdb.KindNoSuchUser)
	p.refused(OpGrant, &GrantRequest{Address: "sales@example.test", Grant: directory.GrantFullAccess, Add: []string{"nobody@example.test"}}, exmdb.KindNoSuchUser)
	p.refused(OpGrant, &GrantRequest{Address: "team@example.test", Grant: directory.GrantFullAccess, Add: []string{"bob@example.test"}}, cluster.KindBadRequest)
	p.refused(OpGrant, &GrantRequest{Address: "sales@example.test", Grant: directory.GrantSender, Add: []string{"bob@example.test"}}, cluster.KindBadRequest)
	p.refused(OpGrant, &GrantRequest{Address: "sales@example.test", Grant: 9, Add: []string{"bob@example.test"}}, cluster.KindBadRequest)
	p.refused(OpSenders, &SendersRequest{Address: "sales@example.test"}, cluster.KindBadRequest)
	p.refused(OpSenders, &SendersRequest{Address: "team@example.test", Policy: 9}, cluster.KindBadRequest)
	if _, err := p.Standing(t.Context(), mapi.NewGUID()); cluster.KindOf(err) != exmdb.KindNoSuchUser {
		t.Error(err)
	}
}

func TestWhoMaySendToAList(t *testing.T) {
	p := newPeople(t)
	for _, name := range []string{"alice", "bob", "carol"} {
		p.add(directory.KindUser, name+"@example.test", name+".x@example.test")
	}
	inner := p.add(directory.KindList, "inner@example.test", "alice@example.test")
	team := p.add(directory.KindList, "team@example.test", "inner@example.test")
	p.do(OpGrant, &GrantRequest{Address: "team@example.test", Grant: directory.GrantSender, Add: []string{"bob@example.test"}})
	p.do(OpSenders, &SendersRequest{Address: "inner@example.test", Policy: directory.SendersNamed})
	for _, x := range []struct {
		policy directory.SenderPolicy
		may    []string
	}{
		{directory.SendersAnyone, []string{"", "alice@example.test", "bob@example.test", "carol@example.test", "x@elsewhere.test"}},
		{directory.SendersInternal, []string{"alice@example.test", "bob@example.test", "carol@example.test"}},
		{directory.SendersMembers, []string{"alice@example.test", "alice.x@example.test", "bob@example.test"}},
		{directory.SendersNamed, []string{"bob@example.test"}},
	} {
		p.do(OpSenders, &SendersRequest{Address: "team@example.test", Policy: x.policy})
		for _, who := range []string{"", "alice@example.test", "alice.x@example.test", "bob@example.test", "carol@example.test", "x@elsewhere.test"} {
			may, err := p.Admits(t.Context(), team.GUID, who)
			if want := slices.Contains(x.may, who) || x.policy <= directory.SendersInternal && who == "alice.x@example.test"; err != nil || may != want {
				t.Errorf("%s: %q: %v, %v", x.policy, who, may, err)
			}
		}
		res, err := p.Resolve(t.Context(), "team@example.test")
		if want := x.policy != directory.SendersAnyone; err != nil || (res.Restricted == team.GUID) != want || len(res.Mailboxes) != 1 {
			t.Errorf("%s: %+v, %v", x.policy, res, err)
		}
	}
	if may, err := p.Admits(t.Context(), inner.GUID, "alice@example.test"); err != nil || may {
		t.Errorf("a member, where only named ones may: %v, %v", may, err)
	}
	if may, err := p.Admits(t.Context(), mapi.NewGUID(), "alice@example.test"); err != nil || may {
		t.Errorf("to a list that is not there: %v, %v", may, err)
	}
}
