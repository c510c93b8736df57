package builtin

import (
	"errors"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// A list names its members by address, since they may be elsewhere. That must not hand membership, and with it rights,
// from one person to another: one of ours is named by his primary address, which is his as long as he is there, and
// leaves all lists when he goes.

// memberKey is there for each list that names an address.
func memberKey(address string, list mapi.GUID) []byte {
	return append(append(key(prefixMember, address), 0), list[:]...)
}

// canonical is the address under which lists name who has one.
func canonical(r space.Reader, address string) (string, error) {
	o, err := byAddress(r, address)
	if err != nil || o == nil {
		return address, err
	}
	return o.Address, nil
}

// changeMembers applies a change of a list's members.
func changeMembers(w space.Writer, o *directory.Object, q *ChangeRequest) error {
	if len(q.AddMembers)+len(q.RemoveMembers) == 0 {
		return nil
	}
	if o.Kind != directory.KindList {
		return cluster.Errorf(cluster.KindBadRequest, "%s is no list", o.Address)
	}
	if err := errors.Join(normaliseAll(q.AddMembers), normaliseAll(q.RemoveMembers)); err != nil {
		return err
	}
	if err := addMembers(w, o, q.AddMembers); err != nil {
		return err
	}
	for _, m := range q.RemoveMembers {
		own, err := canonical(w, m)
		if err != nil {
			return err
		}
		dropMember(w, o, m)
		dropMember(w, o, own)
	}
	return nil
}

func addMembers(w space.Writer, o *directory.Object, members []string) error {
	have := make(map[string]bool)
	for _, m := range o.Members {
		have[m] = true
	}
	for _, m := range members {
		m, err := canonical(w, m)
		if err != nil {
			return err
		}
		if !have[m] {
			o.Members = append(o.Members, m)
		}
		have[m] = true
		w.Set(memberKey(m, o.GUID), nil)
	}
	if len(o.Members) > MaxMembers {
		return cluster.Errorf(cluster.KindTooLarge, "at most %d members", MaxMembers)
	}
	return nil
}

func dropMember(w space.Writer, o *directory.Object, member string) {
	o.Members = slices.DeleteFunc(o.Members, func(m string) bool { return m == member })
	w.Delete(memberKey(member, o.GUID))
}

// listsNaming are the lists that name an address.
func listsNaming(r space.Reader, address string) (lists []mapi.GUID, err error) {
	prefix := append(key(prefixMember, address), 0)
	return guidsBehind(r, prefix)
}

// guidsBehind are the GUIDs that the keys under a prefix end in.
func guidsBehind(r space.Reader, prefix []byte) (ids []mapi.GUID, err error) {
	end := slices.Clone(prefix)
	end[len(end)-1]++
	it := r.Iter(prefix, end)
	for it.Next() {
		if id := it.Key()[len(prefix):]; len(id) == len(mapi.GUID{}) {
			ids = append(ids, mapi.GUID(id))
		}
	}
	return ids, it.Close()
}

// maxGroups bounds the lists that one person is in, as a token of MS-PAC has room for 1,015.
const maxGroups = 1000

// groupsOf are all lists that somebody is in, directly or by others, each once: lists that name each other are no trouble.
func groupsOf(r space.Reader, o *directory.Object) (groups []mapi.GUID, err error) {
	seen := make(map[mapi.GUID]bool)
	for named := o.Addresses(); len(named) > 0; named = named[1:] {
		lists, err := listsNaming(r, named[0])
		if err != nil {
			return nil, err
		}
		for _, id := range lists {
			list := new(directory.Object)
			if found, err := get(r, objectKey(id), list); err != nil || !found || seen[id] || len(groups) == maxGroups {
				if err != nil {
					return nil, err
				}
				continue
			}
			seen[id] = true
			groups, named = append(groups, id), append(named, list.Addresses()...)
		}
	}
	return groups, nil
}

// cleaning is the other objects that an object leaves when it goes. It is one effect, so it is bounded.
type cleaning struct{ bytes int }

// maxCleaned bounds what is written again when an object goes.
const maxCleaned = 8 << 20

func (c *cleaning) put(w space.Writer, o *directory.Object) error {
	b := wire.Marshal(o)
	if c.bytes += len(b); c.bytes > maxCleaned {
		return cluster.Errorf(exmdb.KindInUse, "too many lists and mailboxes name it: take it out of some first")
	}
	w.Set(objectKey(o.GUID), b)
	return nil
}

// leaveLists takes an address out of every list.
func (c *cleaning) leaveLists(w space.Writer, address string) error {
	lists, err := listsNaming(w, address)
	if err != nil {
		return err
	}
	for _, id := range lists {
		list := new(directory.Object)
		found, err := get(w, objectKey(id), list)
		if err != nil {
			return err
		}
		dropMember(w, list, address)
		if found {
			if err := c.put(w, list); err != nil {
				return err
			}
		}
	}
	return nil
}

// forget takes an object out of what others say of it, and out of the indexes of what it says of others.
func forget(w space.Writer, o *directory.Object) error {
	var c cleaning
	for _, a := range o.Addresses() {
		if err := c.leaveLists(w, a); err != nil {
			return err
		}
	}
	if o.Kind == directory.KindList {
		for _, m := range o.Members {
			w.Delete(memberKey(m, o.GUID))
		}
	}
	return c.leaveGrants(w, o)
}
