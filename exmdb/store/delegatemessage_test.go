package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// delegateObject is what a client makes in the folder of free/busy data, with what it says of delegates.
func delegateObject(list ...listed) exmdb.MessageEdit {
	set := bagOf(mapi.PidTagMessageClass, mapi.String(delegateClass), mapi.PidTagSubject, mapi.String("LocalFreebusy"))
	if list != nil {
		setListed(&set, list)
	}
	return exmdb.MessageEdit{Set: set}
}

func nobody(name string) listed {
	return listed{entryID: oxcdata.AddressBookOf(oxcdata.DisplayMailUser, "/o=elsewhere/cn="+name).Append(nil), name: name}
}

func delegateOf(user mapi.GUID, name string, private bool) listed {
	id, _ := userEntryID(user).(mapi.Binary)
	return listed{entryID: id, user: user, name: name, private: private}
}

// delegatesAs are the delegates as the record says, and as the message does.
func (b *box) delegatesAs(m mapi.MID) (record, message string) {
	b.t.Helper()
	var r, s []string
	for _, d := range call(b, exmdb.OpDelegates, &exmdb.Empty{}).Members {
		r = append(r, fmt.Sprintf("%s %x behalf=%v private=%v", d.Name, d.User[:1], d.SendOnBehalf, d.SeePrivate))
	}
	for _, l := range listedIn(b.props(mid(m))) {
		s = append(s, fmt.Sprintf("%s %x private=%v", l.name, l.user[:1], l.private))
	}
	return strings.Join(r, "; "), strings.Join(s, "; ")
}

func (b *box) wantDelegates(m mapi.MID, record, message string) {
	b.t.Helper()
	r, s := b.delegatesAs(m)
	if r != record || s != message {
		b.t.Errorf("record %q, message %q, want %q and %q", r, s, record, message)
	}
}

func TestDelegatesAreInTheirMessage(t *testing.T) {
	b := newBox(t, 0)
	one, two, three := mapi.GUID{1}, mapi.GUID{2}, mapi.GUID{3}
	call(b, exmdb.OpSetDelegates, &exmdb.Delegates{Members: []exmdb.Delegate{{User: one, Name: "One", SendOnBehalf: true}}})
	m := b.create(&exmdb.CreateMessageRequest{Folder: freebusyData, Message: delegateObject()}).MID
	b.wantDelegates(m, "One 01 behalf=true private=false", "One 01 private=false")

	// What a client writes.
	save := func(edit exmdb.MessageEdit) {
		t.Helper()
		call(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: m, Edit: edit, Force: true})
	}
	save(delegateObject(delegateOf(one, "One", true), delegateOf(two, "Two", true), delegateOf(three, "Three", false), nobody("x")))
	b.wantDelegates(m, "One 01 behalf=true private=true; Two 02 behalf=false private=true",
		"One 01 private=true; Two 02 private=true; Three 03 private=false; x 00 private=false")
	save(exmdb.MessageEdit{Set: bagOf(mapi.PidTagComment, mapi.String("beside"))})
	b.wantDelegates(m, "One 01 behalf=true private=true; Two 02 behalf=false private=true",
		"One 01 private=true; Two 02 private=true; Three 03 private=false; x 00 private=false")

	// What ops change.
	yes, no := true, false
	call(b, exmdb.OpChangeDelegate, &exmdb.DelegateChange{User: three, SendOnBehalf: &yes})
	call(b, exmdb.OpChangeDelegate, &exmdb.DelegateChange{User: two, SeePrivate: &no})
	b.wantDelegates(m, "One 01 behalf=true private=true;  03 behalf=true private=false", "One 01 private=true; Three 03 private=false; x 00 private=false")
	call(b, exmdb.OpSetDelegates, &exmdb.Delegates{Members: []exmdb.Delegate{{User: two, Name: "2", SeePrivate: true}}})
	b.wantDelegates(m, "2 02 behalf=false private=true", "x 00 private=false; 2 02 private=true")
	save(exmdb.MessageEdit{Delete: []mapi.Tag{mapi.PidTagScheduleInfoDelegateEntryIds}})
	b.wantDelegates(m, "", "")
	b.audit("delegates are written")
}

// Who may write into the folder makes no delegates; nor do other messages, or the same elsewhere.
func TestDelegatesAreTheOwnersToName(t *testing.T) {
	b := newBox(t, 0)
	friend := b.asUser(mapi.NewGUID())
	grantTo(b, freebusyData, friend.as.User, exmdb.AllRights)
	named := delegateObject(delegateOf(friend.as.User, "Friend", true))
	friend.create(&exmdb.CreateMessageRequest{Folder: freebusyData, Message: named})
	b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: named})
	other := named
	other.Set = *clone(&named.Set)
	other.Set.Set(mapi.PidTagMessageClass, mapi.String("IPM.Note"))
	b.create(&exmdb.CreateMessageRequest{Folder: freebusyData, Message: other})
	if d := call(b, exmdb.OpDelegates, &exmdb.Empty{}); len(d.Members) != 0 {
		t.Errorf("%+v", d.Members)
	}
	public := newBox(t, 0).again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxPublic})
	call(public, exmdb.OpSetDelegates, &exmdb.Delegates{Members: []exmdb.Delegate{{User: mapi.GUID{1}, SendOnBehalf: true}}})
}

// As many as there can be fit, whichever way they come.
func TestManyDelegates(t *testing.T) {
	b := newBox(t, 0)
	var all exmdb.Delegates
	var list []listed
	for i := range maxDelegates {
		user := mapi.GUID{1, byte(i), byte(i >> 8)}
		all.Members = append(all.Members, exmdb.Delegate{User: user, Name: "somebody", SeePrivate: true})
		list = append(list, delegateOf(user, "somebody", true))
	}
	m := b.create(&exmdb.CreateMessageRequest{Folder: freebusyData, Message: delegateObject()}).MID
	call(b, exmdb.OpSetDelegates, &all)
	if got := listedIn(b.props(mid(m))); len(got) != maxDelegates {
		t.Errorf("the message names %d", len(got))
	}
	call(b, exmdb.OpSetDelegates, &exmdb.Delegates{})
	more := delegateObject(append(list, delegateOf(mapi.GUID{2}, "one more", true))...)
	call(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: m, Edit: more, Force: true})
	if got := call(b, exmdb.OpDelegates, &exmdb.Empty{}).Members; len(got) != maxDelegates {
		t.Errorf("the record has %d", len(got))
	}
}
