package builtin

import (
	"context"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// people is a directory over a state machine without Raft.
type people struct {
	t   *testing.T
	rep *space.LocalReplica
	Reader
}

func newPeople(t *testing.T) *people {
	t.Helper()
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := space.NewLocalReplica(db, space.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rep.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := rep.Create(context.Background(), Space, 1, cluster.RequestID{}, func(space.Writer) ([]byte, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	p := &people{t: t, rep: rep, Reader: Reader{System: rep}}
	p.do(OpAddDomain, &DomainRequest{Name: "Example.TEST"})
	return p
}

func (p *people) try(op ops.ID, req any) (*directory.Object, error) {
	for _, h := range Handlers() {
		if h.ID != op {
			continue
		}
		q := &ops.Request{Op: op, Payload: wire.Marshal(req)}
		raw, err := p.rep.Update(context.Background(), Space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) { return h.Update(w, q) })
		if err != nil {
			return nil, err
		}
		a := new(Answer)
		return &a.Object, wire.Unmarshal(raw, a)
	}
	p.t.Fatalf("op %d is not in the table", op)
	return nil, nil
}

func (p *people) do(op ops.ID, req any) *directory.Object {
	p.t.Helper()
	o, err := p.try(op, req)
	if err != nil {
		p.t.Fatal(err)
	}
	return o
}

func (p *people) refused(op ops.ID, req any, kind cluster.Kind) {
	p.t.Helper()
	if o, err := p.try(op, req); cluster.KindOf(err) != kind {
		p.t.Fatalf("%+v, %v; want kind %d", o, err, kind)
	}
}

func (p *people) add(kind directory.Kind, address string, more ...string) *directory.Object {
	p.t.Helper()
	o := directory.Object{Kind: kind, Address: address}
	if kind == directory.KindList {
		o.Members = more
	} else {
		o.Aliases, o.Mailbox = more, mapi.NewMailboxID()
	}
	return p.do(OpAdd, &AddRequest{Object: o})
}

func TestObjectsKeepTheirIdentity(t *testing.T) {
	p := newPeople(t)
	alice := p.add(directory.KindUser, "Alice@Example.test", "al@example.test")
	bob := p.add(directory.KindUser, "bob@example.test")
	if alice.GUID == bob.GUID || alice.SID == bob.SID || alice.SID == "" || alice.LegacyDN == bob.LegacyDN || alice.Address != "alice@example.test" {
		t.Fatalf("%+v\n%+v", alice, bob)
	}
	name, barred := "Alice Example", Protocols{Names: []string{"imap"}}
	p.do(OpChange, &ChangeRequest{Address: "al@example.test", Name: &name, Barred: &barred, AddAliases: []string{"sales@example.test"}, Credential: []byte{1}})
	got, err := p.Lookup(context.Background(), "SALES@example.test")
	if err != nil || got.GUID != alice.GUID || got.SID != alice.SID || got.Name != name || got.CredentialVersion != 1 || len(got.Barred) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	p.refused(OpAdd, &AddRequest{Object: directory.Object{Kind: directory.KindUser, Address: "sales@example.test"}}, exmdb.KindExists)
	p.refused(OpAdd, &AddRequest{Object: directory.Object{Kind: directory.KindUser, Address: "x@elsewhere.test"}}, exmdb.KindBadAddress)
	p.refused(OpChange, &ChangeRequest{Address: "bob@example.test", AddAliases: []string{"al@example.test"}}, exmdb.KindExists)
	p.refused(OpRemoveDomain, &DomainRequest{Name: "example.test"}, exmdb.KindInUse)
	p.do(OpRemove, &AddressRequest{Address: "alice@example.test"})
	if _, err := p.Lookup(context.Background(), "sales@example.test"); cluster.KindOf(err) != exmdb.KindNoSuchUser {
		t.Fatalf("an alias outlived its object: %v", err)
	}
	if again := p.add(directory.KindUser, "alice@example.test"); again.SID == alice.SID || again.GUID == alice.GUID {
		t.Fatal("an identity was given twice")
	}
}

// TestDrawnIdentity: an object may come with the identity that its mailbox was made for, but not with another's.
func TestDrawnIdentity(t *testing.T) {
	p := newPeople(t)
	alice := directory.Object{GUID: mapi.NewGUID(), Kind: directory.KindUser, Address: "alice@example.test", Mailbox: mapi.NewMailboxID()}
	if got := p.do(OpAdd, &AddRequest{Object: alice}); got.GUID != alice.GUID {
		t.Errorf("%v became %v", alice.GUID, got.GUID)
	}
	alice.Address = "other@example.test"
	p.refused(OpAdd, &AddRequest{Object: alice}, exmdb.KindExists)
	if got, err := p.ByGUID(context.Background(), alice.GUID); err != nil || got.Address != "alice@example.test" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestResolve(t *testing.T) {
	p := newPeople(t)
	alice, bob := p.add(directory.KindUser, "alice@example.test"), p.add(directory.KindUser, "bob@example.test")
	p.add(directory.KindList, "team@example.test", "alice@example.test", "all@example.test", "gone@example.test", "you@elsewhere.test")
	p.add(directory.KindList, "all@example.test", "team@example.test", "bob@example.test", "alice@example.test")
	res, err := p.Resolve(context.Background(), "all@example.test")
	if err != nil || len(res.Mailboxes) != 2 || len(res.External) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	seen := map[mapi.MailboxID]bool{res.Mailboxes[0].Mailbox: true, res.Mailboxes[1].Mailbox: true}
	if !seen[alice.Mailbox] || !seen[bob.Mailbox] {
		t.Fatalf("%+v", res)
	}
	if _, err := p.Resolve(context.Background(), "nobody@example.test"); cluster.KindOf(err) != exmdb.KindNoSuchUser {
		t.Fatal(err)
	}
	if _, err := p.Resolve(context.Background(), "no address"); cluster.KindOf(err) != exmdb.KindBadAddress {
		t.Fatal(err)
	}
	p.do(OpChange, &ChangeRequest{Address: "team@example.test", RemoveMembers: []string{"alice@example.test"}})
	if res, err := p.Resolve(context.Background(), "team@example.test"); err != nil || len(res.Mailboxes) != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	quota := uint64(5 << 30)
	p.do(OpChange, &ChangeRequest{Address: "bob@example.test", Quota: &quota})
	if res, err := p.Resolve(context.Background(), "bob@example.test"); err != nil || res.Mailboxes[0].Quota != quota {
		t.Fatalf("%+v, %v", res, err)
	}
	for domain, want := range map[string]bool{"EXAMPLE.test": true, "elsewhere.test": false, "not a domain": false} {
		if got, err := p.Local(context.Background(), domain); got != want || err != nil {
			t.Errorf("%s: %v, %v", domain, got, err)
		}
	}
}

func TestCredentialRestsOnNoOldCopy(t *testing.T) {
	p := newPeople(t)
	p.add(directory.KindUser, "alice@example.test")
	ctx, age := context.Background(), MaxAge
	p.Reader.Age = func() time.Duration { return age }
	if _, _, err := p.Credential(ctx, "alice@example.test", false); err != nil {
		t.Fatalf("a copy that is just young enough: %v", err)
	}
	age++
	if _, _, err := p.Credential(ctx, "alice@example.test", false); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Fatalf("an old copy: %v", err)
	}
	if _, _, err := p.Credential(ctx, "alice@example.test", true); err != nil {
		t.Fatalf("behind a read index: %v", err)
	}
	if _, err := p.Resolve(ctx, "alice@example.test"); err != nil {
		t.Fatalf("delivery goes on: %v", err)
	}
}
