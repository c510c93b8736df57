package builtin

import (
	"context"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// grantKey is there for each grant that one object has of another.
func grantKey(to mapi.GUID, g directory.Grant, of mapi.GUID) []byte {
	return append(grantsKey(to, g), of[:]...)
}

func grantsKey(to mapi.GUID, g directory.Grant) []byte {
	return append(append([]byte{prefixGrant}, to[:]...), byte(g))
}

var grants = []directory.Grant{directory.GrantFullAccess, directory.GrantSendAs, directory.GrantSender}

// granted is where an object keeps whom it gives something, nil for what it cannot give.
func granted(o *directory.Object, g directory.Grant) *[]mapi.GUID {
	switch {
	case g == directory.GrantFullAccess && !o.Mailbox.IsZero():
		return &o.FullAccess
	case g == directory.GrantSendAs && o.Kind != directory.KindContact:
		return &o.SendAs
	case g == directory.GrantSender && o.Kind == directory.KindList:
		return &o.Allowed
	}
	return nil
}

// grant is OpGrant.
func grant(w space.Writer, q *GrantRequest) (*directory.Object, error) {
	o, err := find(w, q.Address)
	if err != nil {
		return nil, err
	}
	list := granted(o, q.Grant)
	if list == nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "%s is a %s and has nothing like that to give", o.Address, o.Kind)
	}
	for _, a := range q.Add {
		to, err := find(w, a)
		if err != nil {
			return nil, err
		}
		if to.Kind == directory.KindContact {
			return nil, cluster.Errorf(cluster.KindBadRequest, "%s is a contact and signs in nowhere", to.Address)
		}
		if !slices.Contains(*list, to.GUID) {
			*list = append(*list, to.GUID)
		}
		w.Set(grantKey(to.GUID, q.Grant, o.GUID), nil)
	}
	for _, a := range q.Remove {
		to, err := find(w, a)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(*list, to.GUID) {
			return nil, cluster.Errorf(exmdb.KindNoSuchUser, "%s does not have that of %s", to.Address, o.Address)
		}
		*list = without(*list, to.GUID)
		w.Delete(grantKey(to.GUID, q.Grant, o.GUID))
	}
	if len(*list) > MaxGrants {
		return nil, cluster.Errorf(cluster.KindTooLarge, "at most %d: give it to a group", MaxGrants)
	}
	w.Set(objectKey(o.GUID), wire.Marshal(o))
	return o, nil
}

func without(list []mapi.GUID, id mapi.GUID) []mapi.GUID {
	return slices.DeleteFunc(list, func(x mapi.GUID) bool { return x == id })
}

// leaveGrants takes back what an object was given and what it gave.
func (c *cleaning) leaveGrants(w space.Writer, o *directory.Object) error {
	for _, g := range grants {
		of, err := guidsBehind(w, grantsKey(o.GUID, g))
		if err != nil {
			return err
		}
		for _, id := range of {
			w.Delete(grantKey(o.GUID, g, id))
			giver := new(directory.Object)
			found, err := get(w, objectKey(id), giver)
			if err != nil {
				return err
			}
			list := granted(giver, g)
			if !found || list == nil || id == o.GUID {
				continue
			}
			*list = without(*list, o.GUID)
			if err := c.put(w, giver); err != nil {
				return err
			}
		}
		if list := granted(o, g); list != nil {
			for _, to := range *list {
				w.Delete(grantKey(to, g, o.GUID))
			}
		}
	}
	return nil
}

// setSenders is OpSenders.
func setSenders(w space.Writer, q *SendersRequest) (*directory.Object, error) {
	o, err := find(w, q.Address)
	if err != nil {
		return nil, err
	}
	if o.Kind != directory.KindList || q.Policy > directory.SendersNamed {
		return nil, cluster.Errorf(cluster.KindBadRequest, "senders %s of %s, which is a %s", q.Policy, o.Address, o.Kind)
	}
	o.Senders = q.Policy
	w.Set(objectKey(o.GUID), wire.Marshal(o))
	return o, nil
}

// maxGranted bounds the mailboxes that one person has of others.
const maxGranted = 5000

// Standing is what somebody has of others; exmdb.KindNoSuchUser when he is not there. It rests on the node's own copy.
func (d Reader) Standing(ctx context.Context, user mapi.GUID) (s *directory.Standing, err error) {
	err = d.System.View(ctx, Space, space.ReadLocal, func(r space.Reader) error {
		s, err = standing(r, user)
		return err
	})
	return s, err
}

func standing(r space.Reader, user mapi.GUID) (*directory.Standing, error) {
	s := &directory.Standing{User: new(directory.Object), Sequence: r.Sequence()}
	found, err := get(r, objectKey(user), s.User)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, cluster.Errorf(exmdb.KindNoSuchUser, "object %s is not in the directory", user)
	}
	if s.Groups, err = groupsOf(r, s.User); err != nil {
		return nil, err
	}
	holders := append([]mapi.GUID{user}, s.Groups...)
	if s.FullAccess, err = givers(r, holders, directory.GrantFullAccess); err != nil {
		return nil, err
	}
	s.SendAs, err = givers(r, holders, directory.GrantSendAs)
	return s, err
}

// givers are the objects that give something to any of some holders, each once.
func givers(r space.Reader, holders []mapi.GUID, g directory.Grant) (all []*directory.Object, err error) {
	seen := make(map[mapi.GUID]bool)
	for _, holder := range holders {
		ids, err := guidsBehind(r, grantsKey(holder, g))
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			o := new(directory.Object)
			if seen[id] || len(all) == maxGranted {
				continue
			}
			seen[id] = true
			if found, err := get(r, objectKey(id), o); err != nil {
				return nil, err
			} else if found {
				all = append(all, o)
			}
		}
	}
	return all, nil
}

// Admits implements directory.Gate.
func (d Reader) Admits(ctx context.Context, list mapi.GUID, user string) (may bool, err error) {
	err = d.read(ctx, func(r space.Reader) (bool, error) {
		may, err = admits(r, list, user)
		return !may, err
	})
	return may, err
}

func admits(r space.Reader, id mapi.GUID, user string) (bool, error) {
	list := new(directory.Object)
	found, err := get(r, objectKey(id), list)
	if err != nil || !found {
		return false, err
	}
	if list.Senders == directory.SendersAnyone || user == "" {
		return list.Senders == directory.SendersAnyone, nil
	}
	o, err := byAddress(r, user)
	if err != nil || o == nil {
		return false, err
	}
	if list.Senders == directory.SendersInternal {
		return true, nil
	}
	groups, err := groupsOf(r, o)
	if err != nil {
		return false, err
	}
	if list.Senders == directory.SendersMembers && slices.Contains(groups, id) {
		return true, nil
	}
	return slices.ContainsFunc(append(groups, o.GUID), func(who mapi.GUID) bool { return slices.Contains(list.Allowed, who) }), nil
}
