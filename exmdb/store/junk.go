package store

import (
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// maxJunkEntries bounds the lists of senders together.
const maxJunkEntries = 5000

// junk is OpJunk.
func junk(v *view, _ *exmdb.Empty) (*exmdb.JunkResponse, error) {
	a, err := v.automation()
	if err != nil {
		return nil, err
	}
	resp := &exmdb.JunkResponse{Settings: a.Junk}
	it := v.r.Iter([]byte{schema.PrefixJunk}, []byte{schema.PrefixJunk + 1})
	for it.Next() && err == nil {
		var e exmdb.JunkEntry
		e.List, e.Entry, err = schema.ParseJunkKey(it.Key())
		resp.Entries = append(resp.Entries, e)
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	return resp, err
}

// setJunk is OpSetJunk. An entry stands under the form that rules.JunkEntry gives it.
func setJunk(t *tx, req *exmdb.SetJunkRequest) (*exmdb.Empty, error) {
	a, err := t.automation()
	if err != nil {
		return nil, err
	}
	if req.Settings != nil {
		a.Junk = *req.Settings
	}
	for _, list := range req.Clear {
		if err := t.clearJunk(a, list); err != nil {
			return nil, err
		}
	}
	for _, change := range []struct {
		entries []exmdb.JunkEntry
		on      bool
	}{{req.Remove, false}, {req.Add, true}} {
		for _, e := range change.entries {
			if err := t.changeJunk(a, e, change.on); err != nil {
				return nil, err
			}
		}
	}
	if a.JunkEntries > maxJunkEntries {
		return nil, cluster.Errorf(exmdb.KindTooBig, "%d entries of senders, %d at most", a.JunkEntries, maxJunkEntries)
	}
	t.setAutomation(a)
	return &exmdb.Empty{}, nil
}

func (t *tx) clearJunk(a *schema.Automation, list exmdb.JunkList) error {
	it := t.r.Iter(schema.JunkKey(list, ""), schema.JunkKey(list+1, ""))
	n := uint32(0)
	for it.Next() {
		n++
	}
	a.JunkEntries -= n
	t.w.DeleteRange(schema.JunkKey(list, ""), schema.JunkKey(list+1, ""))
	return it.Close()
}

func (t *tx) changeJunk(a *schema.Automation, e exmdb.JunkEntry, on bool) error {
	entry, ok := rules.JunkEntry(e.Entry)
	if !ok || e.List < exmdb.JunkSafeSenders || e.List > exmdb.JunkBlocked {
		return cluster.Errorf(cluster.KindBadRequest, "%q is no entry of list %d", e.Entry, e.List)
	}
	key := schema.JunkKey(e.List, entry)
	b, err := t.r.Get(key)
	if err != nil || (b != nil) == on {
		return err
	}
	if on {
		a.JunkEntries++
		t.w.Set(key, nil)
	} else {
		a.JunkEntries--
		t.w.Delete(key)
	}
	return nil
}

// maxContacts is how many contacts are looked through for an address.
const maxContacts = 10_000

// contactAddresses are where contacts have their addresses.
var contactAddresses = []mapi.NamedProperty{mapi.PidLidEmail1EmailAddress, mapi.PidLidEmail2EmailAddress, mapi.PidLidEmail3EmailAddress,
	mapi.PidLidEmail1OriginalDisplayName, mapi.PidLidEmail2OriginalDisplayName, mapi.PidLidEmail3OriginalDisplayName}

// isContact reports whether an address is one of the user's contacts'.
func (v *view) isContact(address string) (bool, error) {
	var tags []mapi.Tag
	for _, p := range contactAddresses {
		id, err := v.propertyID(p.PropertyName)
		if err != nil {
			return false, err
		}
		if id != 0 {
			tags = append(tags, p.Tag(id))
		}
	}
	if len(tags) == 0 {
		return false, nil // no contact of this mailbox has an address
	}
	contacts, _, err := v.collect(schema.Contacts, nil, collectLimit{messages: maxContacts})
	for i := 0; i < len(contacts) && err == nil; i++ {
		var bag *mapi.PropBag
		if bag, err = v.bag(&contacts[i].row); err != nil {
			break
		}
		if slices.ContainsFunc(tags, func(t mapi.Tag) bool { return strings.EqualFold(textOf(bag, t), address) }) {
			return true, nil
		}
	}
	return false, err
}
