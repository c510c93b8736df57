package store

import (
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// Clients keep the list of delegates in a message of the Freebusy Data folder, the delegate information object (MS-OXODLGT 2.2.2.2).
// What the mailbox goes by is its own record; the two are kept in step. Of the message, the record takes who is shown what is
// private; that one sends on behalf is not in the message, so whom the message does not name keeps that. The message takes what an
// op changes of the record, and keeps whom it names besides. The message is the client's to make: until there is one, the record
// is all there is, and a client that makes one without a list is given it.

// freebusyData is the folder, delegateClass the class of the message.
const (
	freebusyData  = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x18)
	delegateClass = "IPM.Microsoft.ScheduleData.FreeBusy"
)

// seesPrivate is the flag of a delegate who is shown what is private (MS-OXODLGT 2.2.2.2.6).
const seesPrivate mapi.Integer32 = 1

// listed is a delegate as the message names him. Who has no identity is none of ours, and stays as he is.
type listed struct {
	entryID []byte
	user    mapi.GUID
	name    string
	private bool
}

// listedIn reads the delegates of a message.
func listedIn(bag *mapi.PropBag) []listed {
	ids, _ := bag.Get(mapi.PidTagScheduleInfoDelegateEntryIds).(mapi.Binaries)
	names, _ := bag.Get(mapi.PidTagScheduleInfoDelegateNames).(mapi.Strings)
	if wide, is := bag.Get(mapi.PidTagScheduleInfoDelegateNamesW).(mapi.Strings); is {
		names = wide
	}
	flags, _ := bag.Get(mapi.PidTagDelegateFlags).(mapi.Integers32)
	var list []listed
	for i, id := range ids[:min(len(ids), maxDelegates)] {
		l := listed{entryID: id}
		if parsed, err := oxcdata.ParseEntryID(id); err == nil {
			if a, is := parsed.(*oxcdata.AddressBookEntryID); is {
				l.user, _ = directory.IdentityOf(a.DN)
			}
		}
		if i < len(names) {
			l.name = names[i]
		}
		l.private = i < len(flags) && flags[i] == int32(seesPrivate)
		list = append(list, l)
	}
	return list
}

// setListed writes the delegates of a message: lists side by side, the names twice.
func setListed(bag *mapi.PropBag, list []listed) {
	ids, names, flags := mapi.Binaries{}, mapi.Strings{}, mapi.Integers32{}
	for _, l := range list {
		ids, names = append(ids, l.entryID), append(names, l.name)
		flag := mapi.Integer32(0)
		if l.private {
			flag = seesPrivate
		}
		flags = append(flags, int32(flag))
	}
	bag.Set(mapi.PidTagScheduleInfoDelegateEntryIds, ids)
	bag.Set(mapi.PidTagScheduleInfoDelegateNames, names)
	bag.Set(mapi.PidTagScheduleInfoDelegateNamesW, names)
	bag.Set(mapi.PidTagDelegateFlags, flags)
}

// isDelegates reports whether a message with a bag is the one that holds delegates.
func isDelegates(fid mapi.FID, class string) bool {
	return fid == freebusyData && strings.EqualFold(class, delegateClass)
}

// delegatesOf keeps the record in step with an edit of the message: what the edit says of delegates counts if its writer has the
// mailbox whole, since who may only write into the folder does not make delegates.
func (d *draft) delegatesOf(old *mapi.PropBag, edit *exmdb.MessageEdit) error {
	class, says := edit.Set.Get(mapi.PidTagMessageClass).(mapi.String)
	if !says {
		class = mapi.String(textOf(old, mapi.PidTagMessageClass))
	}
	if d.byMailbox || !d.whole || !isDelegates(d.fid, string(class)) {
		return nil
	}
	list, err := d.delegates()
	if err != nil {
		return err
	}
	cleared := edit.Clear || slices.ContainsFunc(edit.Delete, func(t mapi.Tag) bool { return t.ID() == mapi.PidTagScheduleInfoDelegateEntryIds.ID() })
	switch {
	case edit.Set.Get(mapi.PidTagScheduleInfoDelegateEntryIds) != nil || cleared && !d.fresh:
		d.takeDelegates(list, listedIn(&edit.Set))
	case d.fresh && len(list.Members) > 0:
		setListed(&edit.Set, changeListed(nil, nil, list.Members))
	}
	return nil
}

// takeDelegates makes the record say of private things what the message says.
func (t *tx) takeDelegates(list *schema.Delegates, now []listed) {
	before := slices.Clone(list.Members)
	for i := range list.Members {
		m := &list.Members[i]
		at := slices.IndexFunc(now, func(l listed) bool { return l.user == m.User })
		m.SeePrivate = at >= 0 && now[at].private
	}
	list.Members = slices.DeleteFunc(list.Members, func(m schema.Delegate) bool { return !m.SendOnBehalf && !m.SeePrivate })
	for _, l := range now {
		known := slices.ContainsFunc(list.Members, func(m schema.Delegate) bool { return m.User == l.user })
		if l.private && !known && !l.user.IsZero() && len(list.Members) < maxDelegates {
			list.Members = append(list.Members, schema.Delegate{User: l.user, Name: l.name[:min(len(l.name), maxLabel)], SeePrivate: true})
		}
	}
	if !slices.Equal(before, list.Members) {
		t.putDelegates(list)
	}
}

// changeListed is what becomes of a message's delegates when the record changes from one list to another: who has left it is
// gone, who is in it is as it says, and the others stay.
func changeListed(list []listed, was, is []schema.Delegate) []listed {
	in := func(all []schema.Delegate, user mapi.GUID) int {
		return slices.IndexFunc(all, func(m schema.Delegate) bool { return m.User == user })
	}
	list = slices.DeleteFunc(slices.Clone(list), func(l listed) bool { return in(was, l.user) >= 0 && in(is, l.user) < 0 })
	for _, m := range is {
		at := slices.IndexFunc(list, func(l listed) bool { return l.user == m.User })
		if at < 0 {
			id, _ := userEntryID(m.User).(mapi.Binary)
			at, list = len(list), append(list, listed{entryID: id, user: m.User})
		}
		if list[at].private = m.SeePrivate; m.Name != "" {
			list[at].name = m.Name
		}
	}
	return list
}

// showDelegates has the message say what an op has made of the record. There may be none, or a client may have made several.
func (t *tx) showDelegates(was, is []schema.Delegate) error {
	if _, err := t.folderCounts(freebusyData); err != nil || slices.Equal(was, is) {
		return nil // the mailbox is of a kind without the folder
	}
	for _, keys := range []rowKeys{schema.RowKey, schema.AssociatedKey} {
		found, _, err := t.collectRows(keys, freebusyData, nil, collectLimit{messages: stepItems})
		for i := 0; i < len(found) && err == nil; i++ {
			err = t.showDelegatesIn(&found[i], was, is)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) showDelegatesIn(m *message, was, is []schema.Delegate) error {
	bag, err := t.bag(&m.row)
	if err != nil || !isDelegates(freebusyData, textOf(bag, mapi.PidTagMessageClass)) {
		return err
	}
	var edit exmdb.MessageEdit
	setListed(&edit.Set, changeListed(listedIn(bag), was, is))
	d, err := t.reopen(m.row.MID, &exmdb.Payload{})
	if err != nil {
		return err
	}
	d.byMailbox = true
	if err := d.apply(&edit); err != nil {
		return err
	}
	return d.commit()
}
