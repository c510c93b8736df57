// Package builtin is the directory kept in the system group: its records, the ops that change them, and the reader
// that answers from a node's own replica.
//
// It knows keys and uniqueness; it never knows passwords beyond their verifiers. Invariants: an address key exists
// for exactly the addresses of objects that exist; an object's domain exists as long as the object does.
package builtin

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Space is the directory's space in the system group, a fixed id.
var Space = cluster.SpaceID{'f', 'l', 'o', 't', 'i', 'l', 'l', 'a', '.', 'd', 'i', 'r', 'e', 'c', 0, 1}

// Key prefixes, for ever.
const (
	prefixObject     = 'o' // GUID → directory.Object
	prefixAddress    = 'a' // address → GUID
	prefixDomain     = 'd' // name → directory.Domain
	prefixCredential = 'k' // GUID → verifiers, coded by internal/auth
	prefixAuthority  = 'i' // → the domain part of SIDs, 12 bytes
	prefixRID        = 'r' // → the last relative id given out, uvarint
	prefixMember     = 'm' // address, 0, GUID of a list that names it → empty
	prefixGrant      = 'g' // GUID of who has it, directory.Grant (1), GUID of who gives it → empty
)

// firstRID is the first relative id of an ordinary object: those below 1000 are well-known (MS-DTYP 2.4.2.4).
const firstRID = 1000

// MaxAliases, MaxMembers and MaxGrants bound one object's record.
const (
	MaxAliases = 500
	MaxMembers = 5000
	MaxGrants  = 500 // of each kind
)

func key(prefix byte, rest string) []byte { return append([]byte{prefix}, rest...) }

func objectKey(id mapi.GUID) []byte { return append([]byte{prefixObject}, id[:]...) }

func credentialKey(id mapi.GUID) []byte { return append([]byte{prefixCredential}, id[:]...) }

func get(r space.Reader, key []byte, into any) (bool, error) {
	v, err := r.Get(key)
	if err != nil || v == nil {
		return false, err
	}
	if err := wire.Unmarshal(v, into); err != nil {
		return false, fmt.Errorf("directory record %q: %w", key, err)
	}
	return true, nil
}

// list walks the records of a prefix.
func list[T any](r space.Reader, prefix byte, fn func(*T) error) error {
	it := r.Iter([]byte{prefix}, []byte{prefix + 1})
	var err error
	for err == nil && it.Next() {
		v := new(T)
		if err = wire.Unmarshal(it.Value(), v); err == nil {
			err = fn(v)
		}
	}
	return errors.Join(err, it.Close())
}

// byAddress finds the object an address belongs to, nil when there is none.
func byAddress(r space.Reader, address string) (*directory.Object, error) {
	id, err := r.Get(key(prefixAddress, address))
	if err != nil || id == nil {
		return nil, err
	}
	if len(id) != len(mapi.GUID{}) {
		return nil, fmt.Errorf("directory address %q: %d bytes of GUID", address, len(id))
	}
	o := new(directory.Object)
	ok, err := get(r, objectKey(mapi.GUID(id)), o)
	if err == nil && !ok {
		err = fmt.Errorf("directory address %q: its object is not there", address)
	}
	return o, err
}

func mustFind(r space.Reader, address string) (*directory.Object, error) {
	o, err := byAddress(r, address)
	if err == nil && o == nil {
		err = cluster.Errorf(exmdb.KindNoSuchUser, "%s is not in the directory", address)
	}
	return o, err
}

// putAddress claims an address for an object; the domain has to be ours.
func putAddress(w space.Writer, address string, id mapi.GUID) error {
	have, err := w.Get(key(prefixAddress, address))
	if err != nil {
		return err
	}
	if have != nil && !bytes.Equal(have, id[:]) {
		return cluster.Errorf(exmdb.KindExists, "%s is taken", address)
	}
	domain := directory.DomainOf(address)
	if d, err := w.Get(key(prefixDomain, domain)); err != nil {
		return err
	} else if d == nil {
		return cluster.Errorf(exmdb.KindBadAddress, "%s is not a domain of this cluster: 'flotilla domain add %s' makes it one", domain, domain)
	}
	w.Set(key(prefixAddress, address), id[:])
	return nil
}

func addDomain(w space.Writer, q *DomainRequest) error {
	name, err := directory.NormaliseDomain(q.Name)
	if err != nil {
		return err
	}
	if old, err := w.Get(key(prefixDomain, name)); err != nil {
		return err
	} else if old != nil {
		return cluster.Errorf(exmdb.KindExists, "domain %s exists", name)
	}
	d := directory.Domain{Name: name, GUID: mapi.NewGUID(), Created: w.Now()}
	w.Set(key(prefixDomain, name), wire.Marshal(&d))
	return nil
}

// EnsureDomain adds a domain unless it is there.
func EnsureDomain(w space.Writer, name string) error {
	if err := addDomain(w, &DomainRequest{Name: name}); cluster.KindOf(err) != exmdb.KindExists {
		return err
	}
	return nil
}

func removeDomain(w space.Writer, q *DomainRequest) error {
	name, err := directory.NormaliseDomain(q.Name)
	if err != nil {
		return err
	}
	if old, err := w.Get(key(prefixDomain, name)); err != nil {
		return err
	} else if old == nil {
		return cluster.Errorf(exmdb.KindNoSuchUser, "%s is not a domain of this cluster", name)
	}
	it := w.Iter([]byte{prefixAddress}, []byte{prefixAddress + 1})
	var user string
	for user == "" && it.Next() {
		if a := string(it.Key()[1:]); directory.DomainOf(a) == name {
			user = a
		}
	}
	if err := it.Close(); err != nil {
		return err
	}
	if user != "" {
		return cluster.Errorf(exmdb.KindInUse, "domain %s still has addresses, %s among them", name, user)
	}
	w.Delete(key(prefixDomain, name))
	return nil
}

// add creates an object with its identities.
func add(w space.Writer, q *AddRequest) (*directory.Object, error) {
	o := q.Object
	var err error
	if o.Address, err = directory.Normalise(o.Address); err != nil {
		return nil, err
	}
	if err := normaliseAll(o.Aliases); err != nil {
		return nil, err
	}
	if err := normaliseAll(o.Members); err != nil {
		return nil, err
	}
	if len(o.Aliases) > MaxAliases || len(o.Members) > MaxMembers {
		return nil, cluster.Errorf(cluster.KindTooLarge, "at most %d aliases and %d members", MaxAliases, MaxMembers)
	}
	o.Created = w.Now()
	if o.GUID.IsZero() {
		o.GUID = mapi.NewGUID()
	}
	if old, err := w.Get(objectKey(o.GUID)); err != nil {
		return nil, err
	} else if old != nil {
		return nil, cluster.Errorf(exmdb.KindExists, "%s is another object's identity", o.GUID)
	}
	if o.SID, err = nextSID(w); err != nil {
		return nil, err
	}
	o.LegacyDN = directory.LegacyDNOf(o.GUID)
	for _, a := range o.Addresses() {
		if old, err := w.Get(key(prefixAddress, a)); err != nil {
			return nil, err
		} else if old != nil {
			return nil, cluster.Errorf(exmdb.KindExists, "%s is taken", a)
		}
		if err := putAddress(w, a, o.GUID); err != nil {
			return nil, err
		}
	}
	if len(q.Credential) > 0 {
		o.CredentialVersion = 1
		w.Set(credentialKey(o.GUID), q.Credential)
	}
	if o.Kind == directory.KindList {
		members := o.Members
		o.Members = nil
		if err := addMembers(w, &o, members); err != nil {
			return nil, err
		}
	}
	w.Set(objectKey(o.GUID), wire.Marshal(&o))
	return &o, nil
}

func normaliseAll(addresses []string) error {
	for i, a := range addresses {
		n, err := directory.Normalise(a)
		if err != nil {
			return err
		}
		addresses[i] = n
	}
	return nil
}

// nextSID gives out S-1-5-21-x-y-z-RID: x, y, z are the directory's own, drawn once (MS-DTYP 2.4.2.4).
func nextSID(w space.Writer) (string, error) {
	authority, err := w.Get([]byte{prefixAuthority})
	if err != nil {
		return "", err
	}
	if authority == nil {
		authority = make([]byte, 12)
		if _, err := rand.Read(authority); err != nil {
			return "", fmt.Errorf("draw SID authority: %w", err)
		}
		w.Set([]byte{prefixAuthority}, authority)
	}
	if len(authority) != 12 {
		return "", fmt.Errorf("directory SID authority has %d bytes", len(authority))
	}
	rid := uint64(firstRID)
	v, err := w.Get([]byte{prefixRID})
	if err != nil {
		return "", err
	}
	if last, n := binary.Uvarint(v); n > 0 {
		rid = last + 1
	}
	w.Set([]byte{prefixRID}, binary.AppendUvarint(nil, rid))
	le := binary.LittleEndian
	return fmt.Sprintf("S-1-5-21-%d-%d-%d-%d", le.Uint32(authority), le.Uint32(authority[4:]), le.Uint32(authority[8:]), rid), nil
}

func remove(w space.Writer, q *AddressRequest) (*directory.Object, error) {
	o, err := find(w, q.Address)
	if err != nil {
		return nil, err
	}
	if err := forget(w, o); err != nil {
		return nil, err
	}
	for _, a := range o.Addresses() {
		w.Delete(key(prefixAddress, a))
	}
	w.Delete(objectKey(o.GUID))
	w.Delete(credentialKey(o.GUID))
	if q.Purge && !o.Mailbox.IsZero() {
		deleteMailbox(w, o.Mailbox)
	}
	return o, nil
}

// deleteMailbox has a mailbox deleted, now or when its group can be reached (CLUSTER 2.1).
func deleteMailbox(w space.Writer, box mapi.MailboxID) {
	w.Intend(space.Intent{Target: TargetMailbox + box.String(), Op: IntentDelete, Payload: box[:]})
}

// abandon has a mailbox deleted that was made for an object which was then refused.
func abandon(w space.Writer, q *AbandonRequest) (*directory.Object, error) {
	used := false
	err := list(w, prefixObject, func(o *directory.Object) error {
		used = used || o.Mailbox == q.Mailbox
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case used || q.Mailbox.IsZero():
		return nil, cluster.Errorf(exmdb.KindInUse, "somebody has mailbox %v", q.Mailbox)
	}
	deleteMailbox(w, q.Mailbox)
	return nil, nil
}

func find(r space.Reader, address string) (*directory.Object, error) {
	a, err := directory.Normalise(address)
	if err != nil {
		return nil, err
	}
	return mustFind(r, a)
}

// change applies what q names; everything else stays.
func change(w space.Writer, q *ChangeRequest) (*directory.Object, error) {
	o, err := find(w, q.Address)
	if err != nil {
		return nil, err
	}
	if q.Credential != nil {
		o.CredentialVersion++
		w.Set(credentialKey(o.GUID), q.Credential)
	}
	setIf(&o.Name, q.Name)
	setIf(&o.Disabled, q.Disabled)
	setIf(&o.Quota, q.Quota)
	setIf(&o.Booking, q.Booking)
	setIf(&o.Zone, q.Zone)
	if q.Barred != nil {
		o.Barred = q.Barred.Names
	}
	if err := changeAliases(w, o, q); err != nil {
		return nil, err
	}
	if err := changeMembers(w, o, q); err != nil {
		return nil, err
	}
	w.Set(objectKey(o.GUID), wire.Marshal(o))
	return o, nil
}

func setIf[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func changeAliases(w space.Writer, o *directory.Object, q *ChangeRequest) error {
	if err := errors.Join(normaliseAll(q.AddAliases), normaliseAll(q.RemoveAliases)); err != nil {
		return err
	}
	for _, a := range q.AddAliases {
		if a == o.Address || slices.Contains(o.Aliases, a) {
			return cluster.Errorf(exmdb.KindExists, "%s already leads to %s", a, o.Address)
		}
		if err := putAddress(w, a, o.GUID); err != nil {
			return err
		}
		o.Aliases = append(o.Aliases, a)
	}
	for _, a := range q.RemoveAliases {
		i := slices.Index(o.Aliases, a)
		if i < 0 {
			return cluster.Errorf(exmdb.KindNoSuchUser, "%s is no alias of %s", a, o.Address)
		}
		o.Aliases = slices.Delete(o.Aliases, i, i+1)
		w.Delete(key(prefixAddress, a))
		if err := new(cleaning).leaveLists(w, a); err != nil {
			return err
		}
	}
	if len(o.Aliases) > MaxAliases {
		return cluster.Errorf(cluster.KindTooLarge, "at most %d aliases", MaxAliases)
	}
	return nil
}

// maxDepth bounds lists within lists; maxExpanded bounds what one address leads to.
const (
	maxDepth    = 10
	maxExpanded = 20000
)

// resolve follows an address to mailboxes.
func resolve(r space.Reader, address string) (directory.Resolution, error) {
	var res directory.Resolution
	seen := make(map[string]bool)
	err := expand(r, address, 0, seen, &res)
	return res, err
}

func expand(r space.Reader, address string, depth int, seen map[string]bool, res *directory.Resolution) error {
	if seen[address] || depth > maxDepth || len(seen) > maxExpanded {
		return nil
	}
	seen[address] = true
	o, err := byAddress(r, address)
	if err != nil {
		return err
	}
	if o == nil {
		return expandUnknown(r, address, depth, res)
	}
	switch {
	case o.Kind == directory.KindList:
		if depth == 0 && o.Senders != directory.SendersAnyone {
			res.Restricted = o.GUID
		}
		for _, m := range o.Members {
			if err := expand(r, m, depth+1, seen, res); err != nil {
				return err
			}
		}
	case o.Kind == directory.KindContact:
		res.External = append(res.External, o.Members...)
	case !o.Kind.TakesMail():
		if depth == 0 {
			return cluster.Errorf(exmdb.KindNoSuchUser, "%s is of kind %s, which takes no mail", address, o.Kind)
		}
	case !slices.ContainsFunc(res.Mailboxes, func(x directory.Recipient) bool { return x.Mailbox == o.Mailbox }):
		res.Mailboxes = append(res.Mailboxes, directory.Recipient{Mailbox: o.Mailbox, User: o.GUID, Address: o.Address, Aliases: o.Aliases, Name: o.Name,
			Quota: o.Quota, Meetings: o.Meetings(), Zone: o.Zone})
	}
	return nil
}

// expandUnknown: at the top an address of ours that is not there is refused; inside a list it is passed over, as the
// list is more use without it than not at all.
func expandUnknown(r space.Reader, address string, depth int, res *directory.Resolution) error {
	local, err := isLocal(r, directory.DomainOf(address))
	switch {
	case err != nil:
		return err
	case local && depth == 0:
		return cluster.Errorf(exmdb.KindNoSuchUser, "%s is not in the directory", address)
	case !local:
		res.External = append(res.External, address)
	}
	return nil
}

func isLocal(r space.Reader, domain string) (bool, error) {
	v, err := r.Get(key(prefixDomain, domain))
	return v != nil, err
}
