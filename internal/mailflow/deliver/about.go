package deliver

import (
	"context"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

// About is what the directory says of a mail, the same for all who get it.
type About struct {
	// Internal says that the sender's domain is ours, Known are the people of ours whom the header names.
	Internal bool
	Known    []exmdb.KnownAddress
	// Memberships are the lists that those people are in.
	Memberships []exmdb.Membership
}

// For is what one mailbox is told beside the mail.
func (a *About) For(r *directory.Recipient) exmdb.Circumstances {
	return exmdb.Circumstances{Own: append([]string{r.Address}, r.Aliases...), Name: r.Name, Internal: a.Internal, Known: a.Known,
		Memberships: a.Memberships, Meetings: r.Meetings, Zone: r.Zone}
}

// maxKnown bounds the addresses of a mail that are looked up, maxMemberships the lists that are told of them in all.
const maxKnown, maxMemberships = 32, 1000

// About asks the directory about a mail. It does not wait for anybody: what this node's copy does not know yet is left out,
// since mail is delivered all the same.
func (d *Deliverer) About(ctx context.Context, env *mailflow.Envelope, header *mime.Envelope) About {
	hints, ok := d.Directory.(directory.Hints)
	if !ok {
		return About{}
	}
	var named []string
	if header != nil {
		for _, list := range [][]mime.Address{header.From, header.Sender, header.To, header.Cc} {
			for i := range list {
				if a := list[i].String(); list[i].Host != "" && len(named) < maxKnown {
					named = append(named, a)
				}
			}
		}
	}
	internal, people := hints.People(ctx, env.From, named)
	a := About{Internal: internal}
	room := maxMemberships
	for _, o := range people {
		if n := min(len(o.Groups), room); n > 0 {
			a.Memberships = append(a.Memberships, exmdb.Membership{LegacyDN: o.LegacyDN, Lists: o.Groups[:n]})
			room -= n
		}
		a.Known = append(a.Known, exmdb.KnownAddress{Address: o.Address, LegacyDN: o.LegacyDN, Name: o.Name})
		for _, alias := range o.Aliases {
			a.Known = append(a.Known, exmdb.KnownAddress{Address: alias, LegacyDN: o.LegacyDN, Name: o.Name})
		}
	}
	return a
}
