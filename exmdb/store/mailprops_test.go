package store

import (
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

const sampleMail = `From: Anna <anna@example.test>
To: Bert <bert@example.test>
Cc: carl@example.test
Subject: RE: Harbour
Date: Tue, 03 Mar 2026 10:20:30 +0100
Message-ID: <1@example.test>

text
`

func sample(t testing.TB) exmdb.NewMessage {
	return mail(t, []byte(strings.ReplaceAll(sampleMail, "\n", "\r\n")))
}

// TestMailHasProperties: a delivered mail shows in lists what its header says, and what follows from that.
func TestMailHasProperties(t *testing.T) {
	b := newBox(t, 0)
	id := mid(b.deliver(sample(t)).MID)
	bag := b.props(id)
	anna := oxcdata.OneOffOf("Anna", "SMTP", "anna@example.test").Append(nil)
	for tag, want := range map[mapi.Tag]mapi.Value{
		mapi.PidTagSubject: mapi.String("RE: Harbour"), mapi.PidTagNormalizedSubject: mapi.String("Harbour"),
		mapi.PidTagSenderName: mapi.String("Anna"), mapi.PidTagSenderEmailAddress: mapi.String("anna@example.test"), mapi.PidTagSenderAddressType: mapi.String("SMTP"),
		mapi.PidTagSentRepresentingName: mapi.String("Anna"), mapi.PidTagSentRepresentingAddressType: mapi.String("SMTP"),
		mapi.PidTagDisplayTo: mapi.String("Bert"), mapi.PidTagDisplayCc: mapi.String("carl@example.test"),
		mapi.PidTagClientSubmitTime: mapi.FileTimeOf(time.Date(2026, 3, 3, 9, 20, 30, 0, time.UTC)), mapi.PidTagMessageDeliveryTime: mapi.FileTimeOf(b.now),
		mapi.PidTagInternetMessageId: mapi.String("<1@example.test>"), mapi.PidTagMessageFlags: mapi.Integer32(0), mapi.PidTagImportance: mapi.Integer32(1),
		mapi.PidTagMessageClass: mapi.String("IPM.Note"), mapi.PidTagInternetArticleNumber: mapi.Integer32(1), mapi.PidTagHasAttachments: mapi.Boolean(false),
	} {
		if v := bag.Get(tag); v != want {
			t.Errorf("%s is %v, want %v", tag.Name(), v, want)
		}
	}
	for _, tag := range []mapi.Tag{mapi.PidTagSenderEntryId, mapi.PidTagSentRepresentingEntryId} {
		if v, _ := bag.Get(tag).(mapi.Binary); string(v) != string(anna) {
			t.Errorf("%s is %x", tag.Name(), v)
		}
	}
	index, _ := bag.Get(mapi.PidTagConversationIndex).(mapi.Binary)
	conversation, _ := bag.Get(mapi.PidTagConversationId).(mapi.Binary)
	if len(index) != 22 || string(index[6:]) != string(conversation) {
		t.Errorf("conversation %x in index %x", conversation, index)
	}
	other := b.deliver(sample(t))
	if a, b := b.prop(id, mapi.PidTagSearchKey), b.prop(mid(other.MID), mapi.PidTagSearchKey); string(a.(mapi.Binary)) == string(b.(mapi.Binary)) {
		t.Error("two deliveries have one search key")
	}
}

// TestRecipientsOfAMail: they are its header's until a client has others, or none.
func TestRecipientsOfAMail(t *testing.T) {
	b := newBox(t, 0)
	st := b.deliver(sample(t))
	read := func() []mapi.PropBag {
		t.Helper()
		return call(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(st.MID)}).Content.Recipients
	}
	list := read()
	if len(list) != 2 || list[0].Get(mapi.PidTagDisplayName) != mapi.String("Bert") || list[1].Get(mapi.PidTagRecipientType) != mapi.Integer32(2) {
		t.Fatalf("%v", list)
	}
	save := &exmdb.SaveMessageRequest{Message: st.MID, Edit: exmdb.MessageEdit{ReplaceRecipients: true, Recipients: list}}
	if again := call(b, exmdb.OpSaveMessage, save).State; again.CN != st.ModSeq {
		t.Fatalf("the same recipients are a change: %+v", again)
	}
	save.Edit.Recipients = nil
	call(b, exmdb.OpSaveMessage, save)
	if list := read(); len(list) != 0 || b.prop(mid(st.MID), mapi.PidTagDisplayTo) != mapi.String("") {
		t.Fatalf("%v", list)
	}
	b.update(func(t *tx) error { return t.remove(st.MID) })
	b.checkEmpty()
}

// TestRecipientsInACharset: those of a header whose octets are in the charset of the text have the names that clients see.
func TestRecipientsInACharset(t *testing.T) {
	b := newBox(t, 0)
	octets := "To: \xe2\xcf\xd2\xc9\xd3 <boris@far.test>\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n"
	st := b.deliver(mail(t, []byte(octets)))
	list := call(b, exmdb.OpReadMessage, &exmdb.ReadMessageRequest{Object: mid(st.MID)}).Content.Recipients
	if len(list) != 1 || list[0].Get(mapi.PidTagDisplayName) != mapi.String("Борис") || b.prop(mid(st.MID), mapi.PidTagDisplayTo) != mapi.String("Борис") {
		t.Errorf("%v", list)
	}
}

// TestSearchKeyIsCopied: a copy is another object with the same search key (MS-OXCPRPT 2.2.1.9).
func TestSearchKeyIsCopied(t *testing.T) {
	b := newBox(t, 0)
	st := b.deliver(sample(t))
	call(b, exmdb.OpCopy, &exmdb.CopyRequest{Folder: schema.Inbox, UIDs: ranges(st.UID), Target: schema.Sent})
	copied := b.rows(schema.Sent)[0]
	a, c := b.props(mid(st.MID)), b.props(mid(copied.MID))
	if string(a.Get(mapi.PidTagSearchKey).(mapi.Binary)) != string(c.Get(mapi.PidTagSearchKey).(mapi.Binary)) {
		t.Error("a copy has another search key")
	}
	if string(a.Get(mapi.PidTagEntryId).(mapi.Binary)) == string(c.Get(mapi.PidTagEntryId).(mapi.Binary)) {
		t.Error("a copy has the same entry id")
	}
	call(b, exmdb.OpMove, &exmdb.CopyRequest{Folder: schema.Sent, UIDs: ranges(copied.UID), Target: schema.Drafts})
	moved := b.rows(schema.Drafts)[0]
	if string(b.prop(mid(moved.MID), mapi.PidTagSearchKey).(mapi.Binary)) != string(c.Get(mapi.PidTagSearchKey).(mapi.Binary)) {
		t.Error("a moved copy has another search key")
	}
}
