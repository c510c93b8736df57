package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const asksForReceipts = "Disposition-Notification-To: bob@elsewhere.test\r\n"

// reads is OpSetReadFlags on the inbox.
func (b *box) reads(flags exmdb.ReadFlags, mids ...mapi.MID) *exmdb.SetReadFlagsResponse {
	b.t.Helper()
	return call(b, exmdb.OpSetReadFlags, &exmdb.SetReadFlagsRequest{Folder: schema.Inbox, Messages: mids, Flags: flags})
}

// receipts are what goes out, in words.
func (b *box) receipts() string {
	b.t.Helper()
	var all []string
	for _, o := range b.outgoing() {
		s := fmt.Sprintf("%s to %s", o.Outgoing.Kind, o.Outgoing.To[0].Address)
		if o.Outgoing.Asked {
			s += ", asked"
		}
		if len(o.Message.Digest) == 0 {
			s += ", about nothing"
		}
		all = append(all, s)
	}
	return strings.Join(all, "; ")
}

// shownFlags is PidTagMessageFlags of a message.
func (b *box) shownFlags(id mapi.MID) mapi.Integer32 {
	b.t.Helper()
	n, _ := b.prop(mid(id), mapi.PidTagMessageFlags).(mapi.Integer32)
	return n
}

const notifyBoth = mapi.MessageFlagNotifyRead | mapi.MessageFlagNotifyUnread

func TestReceipts(t *testing.T) {
	const read, unread = "read receipt to bob@elsewhere.test", "nonread receipt to bob@elsewhere.test"
	b := func(t *testing.T) (*box, mapi.MID) {
		b := newBox(t, 0)
		return b, b.comes(asksForReceipts).MID
	}
	deletes := func(b *box, mid mapi.MID, tell bool) {
		call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mid}, NotifyUnread: tell})
	}
	for name, c := range map[string]struct {
		do      func(b *box, mid mapi.MID)
		goesOut string
		owes    mapi.Integer32
		seen    bool
	}{
		"nothing": {func(*box, mapi.MID) {}, "", notifyBoth, false},
		"read": {func(b *box, mid mapi.MID) {
			if r := b.reads(0, mid); r.Changed != 1 || r.Receipts != 1 {
				t.Errorf("%+v", r)
			}
			b.reads(0, mid)
			b.reads(exmdb.ReadClear, mid)
			b.reads(exmdb.ReadReserved, mid) // is nothing, so the message is read
			b.reads(exmdb.ReadReceiptOnly, mid)
		}, read, 0, true},
		"read without a receipt": {func(b *box, mid mapi.MID) {
			b.reads(exmdb.ReadSuppressReceipt, mid)
			b.reads(exmdb.ReadReceiptOnly, mid)
		}, "", 0, true},
		"marked as unread": {func(b *box, mid mapi.MID) { b.reads(exmdb.ReadClear|exmdb.ReadSuppressReceipt, mid) }, "", notifyBoth, false},
		"a receipt alone": {func(b *box, mid mapi.MID) {
			if r := b.reads(exmdb.ReadReceiptOnly, mid); r.Changed != 0 || r.Receipts != 1 {
				t.Errorf("%+v", r)
			}
			b.reads(0, mid)
		}, read + ", asked", 0, true},
		"not to be told of reading": {func(b *box, mid mapi.MID) {
			b.reads(exmdb.ReadClearRead, mid)
			b.reads(0, mid)
		}, "", mapi.MessageFlagNotifyUnread, true},
		"not to be told of deletion": {func(b *box, mid mapi.MID) { b.reads(exmdb.ReadClearUnread, mid) }, "", mapi.MessageFlagNotifyRead, false},
		"not to be told of either":   {func(b *box, mid mapi.MID) { b.reads(exmdb.ReadClearRead|exmdb.ReadClearUnread, mid) }, "", 0, false},
		"flags alone tell nobody": {func(b *box, mid mapi.MID) {
			b.flags(exmdb.FlagsAdd, exmdb.FlagSeen, nil, 1)
			call(b, exmdb.OpMarkMessages, &exmdb.MarkMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mid}, Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}})
		}, "", notifyBoth, true},
		"a client has told": {func(b *box, mid mapi.MID) {
			b.flags(exmdb.FlagsAdd, 0, []string{"$MDNSent"}, 1)
			b.reads(0, mid)
		}, "", 0, true},
		"a copy owes nothing": {func(b *box, mid mapi.MID) {
			r := call(b, exmdb.OpCopyMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mid}, Target: schema.Inbox})
			b.reads(0, r.To...)
		}, "", notifyBoth, false},
		"deleted, and nobody told": {func(b *box, mid mapi.MID) { deletes(b, mid, false) }, "", -1, false},
		"deleted":                  {func(b *box, mid mapi.MID) { deletes(b, mid, true) }, unread, -1, false},
		"deleted when it was read": {func(b *box, mid mapi.MID) {
			b.flags(exmdb.FlagsAdd, exmdb.FlagSeen, nil, 1)
			deletes(b, mid, true)
		}, "", -1, false},
		"deleted and recovered": {func(b *box, mid mapi.MID) {
			deletes(b, mid, true)
			r := call(b, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mid}, Target: schema.Inbox})
			b.reads(0, r.To...)
		}, unread, -1, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, mid := b(t)
			c.do(b, mid)
			if got := b.receipts(); got != c.goesOut {
				t.Errorf("%q goes out, want %q", got, c.goesOut)
			}
			if c.owes < 0 {
				return
			}
			want := c.owes
			if c.seen {
				want |= mapi.MessageFlagRead
			}
			if got := b.shownFlags(mid); got&(notifyBoth|mapi.MessageFlagRead) != want {
				t.Errorf("flags %#x, want %#x of them", got, want)
			}
			b.audit(name)
		})
	}
}

// What a mail asks for to go to somebody else than it came from, goes there only when the user says so.
func TestReceiptsForOthers(t *testing.T) {
	b := newBox(t, 0)
	mid := b.comes("Disposition-Notification-To: third@far.test\r\n").MID
	if b.reads(0, mid); b.receipts() != "" || b.shownFlags(mid)&mapi.MessageFlagNotifyRead == 0 {
		t.Errorf("%q went out", b.receipts())
	}
	if b.reads(exmdb.ReadReceiptOnly, mid); b.receipts() != "read receipt to third@far.test, asked" {
		t.Errorf("%q goes out", b.receipts())
	}
}

// A receipt for which an edit has left nobody is not sent, not counted, and not owed any more.
func TestReceiptsForNobody(t *testing.T) {
	for name, tell := range map[string]func(b *box, id mapi.MID){
		"read": func(b *box, id mapi.MID) {
			if r := b.reads(0, id); r.Changed != 1 || r.Receipts != 0 {
				b.t.Errorf("%+v", r)
			}
			if got := b.shownFlags(id) & notifyBoth; got != 0 {
				b.t.Errorf("flags %#x are left", got)
			}
		},
		"deleted": func(b *box, id mapi.MID) {
			call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{id}, NotifyUnread: true})
		},
	} {
		b := newBox(t, 0)
		id := b.comes(asksForReceipts).MID
		call(b, exmdb.OpSaveMessage, &exmdb.SaveMessageRequest{Message: id, Edit: exmdb.MessageEdit{
			Delete: []mapi.Tag{mapi.PidTagReadReceiptSmtpAddress, mapi.PidTagSentRepresentingSmtpAddress}}})
		if got := b.shownFlags(id) & notifyBoth; got != notifyBoth {
			t.Errorf("%s: flags %#x after the edit", name, got)
		}
		tell(b, id)
		if got := b.receipts(); got != "" {
			t.Errorf("%s: %q goes out", name, got)
		}
		b.audit(name)
	}
}

// Nobody's reading is a mailbox's where each has read what he has read.
func TestNothingIsOwedWhereReadingIsOnesOwn(t *testing.T) {
	own := newBox(t, 0)
	before := own.comes(asksForReceipts).MID
	call(own, exmdb.OpSetReadState, &exmdb.SetReadStateRequest{PerUser: true})
	if got := own.rowOf(own.comes(asksForReceipts).MID).Receipts; got != 0 {
		t.Errorf("%d are owed", got)
	}
	reader := own.asUser(mapi.NewGUID())
	grantTo(own, schema.Inbox, reader.as.User, exmdb.AllRights)
	if r := reader.reads(0, before); r.Changed != 1 || r.Receipts != 0 {
		t.Errorf("%+v", r)
	}
	reader.reads(exmdb.ReadClear, before)
	call(reader, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{before}, NotifyUnread: true})
	if got := own.receipts(); got != "" {
		t.Errorf("%q goes out", got)
	}
}

// Mail of junk senders, and what clients put there, is not answered.
func TestNothingIsOwedForJunkAndWhatClientsMake(t *testing.T) {
	b := newBox(t, 0)
	call(b, exmdb.OpSetJunk, &exmdb.SetJunkRequest{Add: []exmdb.JunkEntry{{List: exmdb.JunkBlocked, Entry: "bob@elsewhere.test"}}})
	r := b.comes(asksForReceipts)
	if r.Folder != schema.Junk || b.rowOf(r.MID).Receipts != 0 {
		t.Errorf("%+v owes", r)
	}
	mid := b.create(&exmdb.CreateMessageRequest{Folder: schema.Inbox, Message: exmdb.MessageEdit{Set: bagOf(mapi.PidTagReadReceiptRequested, mapi.Boolean(true),
		mapi.PidTagSentRepresentingSmtpAddress, mapi.String("bob@elsewhere.test"), mapi.PidTagMessageFlags, mapi.Integer32(notifyBoth))}}).MID
	a := call(b, exmdb.OpAppend, &exmdb.AppendRequest{Folder: schema.Inbox, Message: b.incomingMail(asksForReceipts).Message})
	if b.reads(0, mid, a.MID); b.receipts() != "" {
		t.Errorf("%q goes out", b.receipts())
	}
	if got := b.shownFlags(mid); got&notifyBoth != 0 {
		t.Errorf("flags %#x", got)
	}
}

func TestReadFlagsThatSayNothing(t *testing.T) {
	b := newBox(t, 0)
	mid := b.comes(asksForReceipts).MID
	for f := range exmdb.ReadFlags(0xFF) {
		if asked := f &^ exmdb.ReadReserved; readFlagsAlone[asked] {
			continue
		}
		refused(b, exmdb.OpSetReadFlags, &exmdb.SetReadFlagsRequest{Folder: schema.Inbox, Messages: []mapi.MID{mid}, Flags: f}, cluster.KindBadRequest)
	}
	refused(b, exmdb.OpSetReadFlags, &exmdb.SetReadFlagsRequest{Folder: 99, Messages: []mapi.MID{mid}}, exmdb.KindNoFolder)
	if r := b.reads(0, mid, 1); len(r.Missing) != 1 || r.Changed != 1 {
		t.Errorf("%+v", r)
	}
}
