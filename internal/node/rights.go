package node

import (
	"context"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/directory/builtin"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// directoryGrants are the rights that the directory keeps. To send on somebody's behalf is his mailbox's to know, since
// its owner gives that too.
var directoryGrants = map[string]directory.Grant{admin.RightFullAccess: directory.GrantFullAccess, admin.RightSendAs: directory.GrantSendAs,
	admin.RightSender: directory.GrantSender}

// Grant implements admin.Backend.
func (b backend) Grant(ctx context.Context, address, right, to string) error {
	return b.setRight(ctx, address, right, to, true)
}

// Revoke implements admin.Backend.
func (b backend) Revoke(ctx context.Context, address, right, to string) error {
	return b.setRight(ctx, address, right, to, false)
}

func (b backend) setRight(ctx context.Context, address, right, to string, given bool) error {
	g, kept := directoryGrants[right]
	switch {
	case kept && given:
		_, err := b.change(ctx, builtin.OpGrant, &builtin.GrantRequest{Address: address, Grant: g, Add: []string{to}})
		return err
	case kept:
		_, err := b.change(ctx, builtin.OpGrant, &builtin.GrantRequest{Address: address, Grant: g, Remove: []string{to}})
		return err
	case right != admin.RightSendOnBehalf:
		return cluster.Errorf(cluster.KindBadRequest, "right %q: want full-access, send-as, send-on-behalf or sender", right)
	}
	box, err := b.mailboxOf(ctx, address)
	if err != nil {
		return err
	}
	who, err := b.n.people.Lookup(ctx, to)
	if err != nil {
		return err
	}
	_, err = exmdb.Do(ctx, b.n.mail, exmdb.System, box, exmdb.OpChangeDelegate,
		&exmdb.DelegateChange{User: who.GUID, Name: who.Name, SendOnBehalf: &given})
	return err
}

// SetSenders implements admin.Backend.
func (b backend) SetSenders(ctx context.Context, list, policy string) error {
	p, ok := directory.SenderPolicyByName(policy)
	if !ok {
		return cluster.Errorf(cluster.KindBadRequest, "senders %q: want anyone, internal, members or named", policy)
	}
	_, err := b.change(ctx, builtin.OpSenders, &builtin.SendersRequest{Address: list, Policy: p})
	return err
}

// Rights implements admin.Backend.
func (b backend) Rights(ctx context.Context, address string) (*admin.Rights, error) {
	o, err := b.n.people.Lookup(ctx, address)
	if err != nil {
		return nil, err
	}
	s, err := b.n.people.Standing(ctx, o.GUID)
	if err != nil {
		return nil, err
	}
	r := &admin.Rights{FullAccessTo: addressesOf(s.FullAccess), SendAsOf: addressesOf(s.SendAs), SendOnBehalf: []string{}}
	if o.Kind == directory.KindList {
		r.Senders = o.Senders.String()
	}
	var behalf []mapi.GUID
	if !o.Mailbox.IsZero() {
		list, err := exmdb.Do(ctx, b.n.mail, exmdb.System, o.Mailbox, exmdb.OpDelegates, &exmdb.Empty{})
		if err != nil {
			return nil, err
		}
		for i := range list.Members {
			if list.Members[i].SendOnBehalf {
				behalf = append(behalf, list.Members[i].User)
			}
		}
	}
	for _, x := range []struct {
		into *[]string
		ids  []mapi.GUID
	}{{&r.FullAccess, o.FullAccess}, {&r.SendAs, o.SendAs}, {&r.SendOnBehalf, behalf}, {&r.Allowed, o.Allowed}, {&r.Groups, s.Groups}} {
		if *x.into, err = b.named(ctx, x.ids); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func addressesOf(objects []*directory.Object) []string {
	all := []string{}
	for _, o := range objects {
		all = append(all, o.Address)
	}
	return all
}

// named are the addresses of some objects; one that is gone is shown by its GUID.
func (b backend) named(ctx context.Context, ids []mapi.GUID) ([]string, error) {
	all := []string{}
	for _, id := range ids {
		o, err := b.n.people.ByGUID(ctx, id)
		switch {
		case cluster.KindOf(err) == exmdb.KindNoSuchUser:
			all = append(all, id.String())
		case err != nil:
			return nil, err
		default:
			all = append(all, o.Address)
		}
	}
	return all, nil
}
