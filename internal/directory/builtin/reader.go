package builtin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// System is this node's replica of the system group.
type System interface {
	View(ctx context.Context, id cluster.SpaceID, mode space.ReadMode, fn space.ViewFunc) error
}

// MaxAge is how old the copy may be that a sign-in rests on (CLUSTER 1.8).
const MaxAge = 5 * time.Second

// Reader implements directory.Directory on the node's own replica.
type Reader struct {
	System System
	// Age is how long ago the copy was known to be the newest; nil is for copies that always are.
	Age func() time.Duration
}

// read runs fn on the local copy and, when its answer is negative, once more behind a read index: a copy that lags
// must not bounce mail (CLUSTER 4.4).
func (d Reader) read(ctx context.Context, fn func(r space.Reader) (negative bool, err error)) error {
	var negative bool
	view := func(r space.Reader) (err error) {
		negative, err = fn(r)
		return err
	}
	err := d.System.View(ctx, Space, space.ReadLocal, view)
	if err == nil && !negative {
		return nil
	}
	if err != nil && cluster.KindOf(err) != exmdb.KindNoSuchUser && !cluster.Retryable(err) {
		return err
	}
	return d.System.View(ctx, Space, space.ReadIndex, view)
}

// Resolve implements directory.Directory.
func (d Reader) Resolve(ctx context.Context, address string) (res directory.Resolution, err error) {
	a, err := directory.Normalise(address)
	if err != nil {
		return res, err
	}
	err = d.read(ctx, func(r space.Reader) (bool, error) {
		res, err = resolve(r, a)
		return false, err
	})
	return res, err
}

// Local implements directory.Directory.
func (d Reader) Local(ctx context.Context, domain string) (ours bool, err error) {
	name, err := directory.NormaliseDomain(domain)
	if err != nil {
		return false, nil // what is no domain is none of ours
	}
	err = d.read(ctx, func(r space.Reader) (bool, error) {
		ours, err = isLocal(r, name)
		return !ours, err
	})
	return ours, err
}

// Lookup implements directory.Directory.
func (d Reader) Lookup(ctx context.Context, address string) (o *directory.Object, err error) {
	a, err := directory.Normalise(address)
	if err != nil {
		return nil, err
	}
	err = d.read(ctx, func(r space.Reader) (bool, error) {
		o, err = mustFind(r, a)
		return false, err
	})
	return o, err
}

// People implements directory.Hints.
func (d Reader) People(ctx context.Context, sender string, addresses []string) (internal bool, people []directory.Person) {
	err := d.System.View(ctx, Space, space.ReadLocal, func(r space.Reader) (err error) {
		h := hints{r: r, ours: make(map[string]bool)}
		if internal, err = h.local(sender); err != nil {
			return err
		}
		for _, address := range addresses {
			if err := h.find(address); err != nil {
				return err
			}
		}
		people = h.people
		return nil
	})
	if err != nil {
		return false, nil
	}
	return internal, people
}

// hints looks people up in one read.
type hints struct {
	r      space.Reader
	ours   map[string]bool
	people []directory.Person
}

// local reports whether an address is in a domain of ours.
func (h *hints) local(address string) (bool, error) {
	a, err := directory.Normalise(address)
	if err != nil {
		return false, nil // what is no address is none of ours
	}
	domain := directory.DomainOf(a)
	known, asked := h.ours[domain]
	if !asked {
		known, err = isLocal(h.r, domain)
		h.ours[domain] = known
	}
	return known, err
}

func (h *hints) find(address string) error {
	ours, err := h.local(address)
	if err != nil || !ours {
		return err
	}
	a, err := directory.Normalise(address)
	if err != nil {
		return err
	}
	o, err := byAddress(h.r, a)
	if err != nil || o == nil || slices.ContainsFunc(h.people, func(x directory.Person) bool { return x.GUID == o.GUID }) {
		return err
	}
	groups, err := groupsOf(h.r, o)
	h.people = append(h.people, directory.Person{Object: o, Groups: groups})
	return err
}

// ByLegacyDN finds an object by its legacyExchangeDN, which ends in its identity; exmdb.KindNoSuchUser when there is none.
func (d Reader) ByLegacyDN(ctx context.Context, dn string) (o *directory.Object, err error) {
	none := cluster.Errorf(exmdb.KindNoSuchUser, "%q is not in the directory", dn)
	id, ok := directory.IdentityOf(dn)
	if !ok {
		return nil, none
	}
	err = d.read(ctx, func(r space.Reader) (bool, error) {
		o = new(directory.Object)
		ok, err := get(r, objectKey(id), o)
		if err == nil && (!ok || !strings.EqualFold(o.LegacyDN, dn)) {
			err = none
		}
		return false, err
	})
	return o, err
}

// Credential finds an object with the verifiers of its password. fresh reads behind a read index: a refusal of a
// password must not rest on a stale copy. Nor may an acceptance for longer than MaxAge: a node that is cut off would let
// in who was disabled meanwhile. Then the error is cluster.KindUnavailable.
func (d Reader) Credential(ctx context.Context, address string, fresh bool) (o *directory.Object, verifiers []byte, err error) {
	a, err := directory.Normalise(address)
	if err != nil {
		return nil, nil, err
	}
	mode := space.ReadLocal
	if fresh {
		mode = space.ReadIndex
	} else if d.Age != nil && d.Age() > MaxAge {
		return nil, nil, cluster.Errorf(cluster.KindUnavailable, "this node's copy of the directory may be older than %v", MaxAge)
	}
	err = d.System.View(ctx, Space, mode, func(r space.Reader) error {
		if o, err = mustFind(r, a); err != nil {
			return err
		}
		verifiers, err = r.Get(credentialKey(o.GUID))
		return err
	})
	return o, verifiers, err
}

// Objects lists all objects of a kind, in order of GUID; zero is every kind.
func (d Reader) Objects(ctx context.Context, kind directory.Kind) (all []*directory.Object, err error) {
	err = d.System.View(ctx, Space, space.ReadLocal, func(r space.Reader) error {
		all = nil
		return list(r, prefixObject, func(o *directory.Object) error {
			if kind == 0 || o.Kind == kind {
				all = append(all, o)
			}
			return nil
		})
	})
	return all, err
}

// ObjectsAfter lists objects in order of GUID from behind one on, so many at most.
func (d Reader) ObjectsAfter(ctx context.Context, after mapi.GUID, limit int) (page []*directory.Object, err error) {
	err = d.System.View(ctx, Space, space.ReadLocal, func(r space.Reader) error {
		page = nil
		it := r.Iter(append(objectKey(after), 0), []byte{prefixObject + 1})
		var err error
		for err == nil && len(page) < limit && it.Next() {
			o := new(directory.Object)
			err = wire.Unmarshal(it.Value(), o)
			page = append(page, o)
		}
		return errors.Join(err, it.Close())
	})
	return page, err
}

// Domains lists all domains in order of name.
func (d Reader) Domains(ctx context.Context) (all []*directory.Domain, err error) {
	err = d.System.View(ctx, Space, space.ReadLocal, func(r space.Reader) error {
		all = nil
		return list(r, prefixDomain, func(v *directory.Domain) error {
			all = append(all, v)
			return nil
		})
	})
	return all, err
}

// Sequence is how far this node's copy has come.
func (d Reader) Sequence(ctx context.Context) (n uint64, err error) {
	err = d.System.View(ctx, Space, space.ReadLocal, func(r space.Reader) error {
		n = r.Sequence()
		return nil
	})
	return n, err
}

// ByGUID finds an object by its identity; exmdb.KindNoSuchUser when there is none.
func (d Reader) ByGUID(ctx context.Context, id mapi.GUID) (o *directory.Object, err error) {
	err = d.System.View(ctx, Space, space.ReadLocal, func(r space.Reader) error {
		o, err = withGUID(r, id)
		return err
	})
	return o, err
}

// Owner is ByGUID that takes no lagging copy's word for it that there is none.
func (d Reader) Owner(ctx context.Context, id mapi.GUID) (o *directory.Object, err error) {
	err = d.read(ctx, func(r space.Reader) (bool, error) {
		o, err = withGUID(r, id)
		return false, err
	})
	return o, err
}

func withGUID(r space.Reader, id mapi.GUID) (*directory.Object, error) {
	o := new(directory.Object)
	ok, err := get(r, objectKey(id), o)
	if err == nil && !ok {
		err = cluster.Errorf(exmdb.KindNoSuchUser, "object %s is not in the directory", id)
	}
	return o, err
}
