package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
)

// What the sender of a mail asked to be told of its reading is in the row, from its delivery until he is told or is not to be
// (MS-OXOMSG 3.2.5.2, 3.2.5.3). The effect that takes it out of there writes the intent that tells him, so he is told once. Only what
// came as mail owes anything: neither what a client has put there, nor a copy. Where read state is each user's own, nobody's
// reading is the mailbox's, and nothing is owed.

// oweReceipts notes what the mail asks for. Junk does not get here: it is not answered.
func (in *incoming) oweReceipts(row *schema.Row) {
	if in.tx.header.PerUserRead {
		return
	}
	owed := rules.Owed(in.mail)
	for _, each := range []struct {
		is  bool
		bit schema.Receipts
	}{{owed.Read, schema.ReceiptRead}, {owed.Unread, schema.ReceiptUnread}, {owed.Ask, schema.ReceiptAsk}} {
		if each.is {
			row.Receipts |= each.bit
		}
	}
}

// owes reports whether a receipt of the message is due to its sender.
func (s *shownMessage) owes(r schema.Receipts) bool { return s.m.row.Receipts&r != 0 }

// readFlagsAlone are what a request may ask for; the client's reserved bits are taken out before.
var readFlagsAlone = map[exmdb.ReadFlags]bool{
	0: true, exmdb.ReadSuppressReceipt: true, exmdb.ReadClear: true, exmdb.ReadClear | exmdb.ReadSuppressReceipt: true,
	exmdb.ReadReceiptOnly: true, exmdb.ReadClearRead: true, exmdb.ReadClearUnread: true, exmdb.ReadClearRead | exmdb.ReadClearUnread: true,
}

// setReadFlags is OpSetReadFlags.
func setReadFlags(t *tx, req *exmdb.SetReadFlagsRequest) (*exmdb.SetReadFlagsResponse, error) {
	asked := req.Flags &^ exmdb.ReadReserved
	if !readFlagsAlone[asked] {
		return nil, cluster.Errorf(cluster.KindBadRequest, "read flags %#x", uint8(req.Flags))
	}
	seen := exmdb.Flags{Bits: exmdb.FlagSeen}
	s, err := t.newSet(req.Folder, req.Messages, t.flagGrants(exmdb.FlagsAdd, seen)...)
	if err != nil {
		return nil, err
	}
	s.work.bounds = toMark
	r := readMarker{asked: asked, marks: flagSetter{tx: t, req: &exmdb.SetFlagsRequest{Folder: req.Folder}, counts: s.counts,
		want: wanted1(asked&exmdb.ReadClear == 0)}}
	if r.marks.own, err = t.reader(req.Folder); err != nil {
		return nil, err
	}
	err = s.each(req.Messages, r.one)
	return &exmdb.SetReadFlagsResponse{Changed: r.marks.resp.Changed, Receipts: r.sent, Missing: s.missing, Next: s.next, Denied: s.passedOver}, err
}

// readMarker marks messages as read or unread, and settles what they owe.
type readMarker struct {
	asked exmdb.ReadFlags
	marks flagSetter
	sent  uint32
}

func (r *readMarker) one(m *message) error {
	before := m.row.Receipts
	if err := r.receipts(m); err != nil {
		return err
	}
	changed := r.marks.resp.Changed
	const unmarked = exmdb.ReadReceiptOnly | exmdb.ReadClearRead | exmdb.ReadClearUnread
	if r.asked&unmarked == 0 {
		if err := r.marks.one(m); err != nil {
			return err
		}
	}
	if m.row.Receipts != before && (r.marks.own != nil || r.marks.resp.Changed == changed) {
		r.marks.w.Set(m.key(r.marks.req.Folder), m.row.AppendWire(nil))
	}
	return nil
}

// receipts does with what is owed what is asked. With a receipt that is sent nothing is owed any more: who has been told that his
// mail was read is not told that it was not.
func (r *readMarker) receipts(m *message) error {
	owed := m.row.Receipts
	if owed == 0 || r.marks.own != nil {
		return nil
	}
	switch r.asked {
	case exmdb.ReadClearRead, exmdb.ReadClearUnread, exmdb.ReadClearRead | exmdb.ReadClearUnread:
		if r.asked&exmdb.ReadClearRead != 0 {
			m.row.Receipts &^= schema.ReceiptRead
		}
		if r.asked&exmdb.ReadClearUnread != 0 {
			m.row.Receipts &^= schema.ReceiptUnread
		}
		return nil
	case exmdb.ReadSuppressReceipt:
		m.row.Receipts = 0
		return nil
	case exmdb.ReadReceiptOnly:
		return r.send(m, true)
	case 0:
		if r.marks.own.seen(&m.row) || owed&schema.ReceiptAsk != 0 {
			return nil
		}
		return r.send(m, false)
	}
	return nil
}

func (r *readMarker) send(m *message, asked bool) error {
	if m.row.Receipts&schema.ReceiptRead == 0 {
		return nil
	}
	m.row.Receipts = 0
	sent, err := r.marks.sendReceipt(&m.row, &exmdb.Outgoing{Kind: exmdb.OutgoingRead, Asked: asked})
	if sent {
		r.sent++
	}
	return err
}

// deleteTelling is OpDeleteMessages.
func deleteTelling(t *tx, req *exmdb.DeleteMessagesRequest) (*exmdb.DeleteMessagesResponse, error) {
	t.notifyUnread = req.NotifyUnread
	return deleteMessages(t, req)
}

// tellUnread has the sender of a message that is deleted told that it was not read. What is deleted without that still owes it,
// if it should come back.
func (s *messageSet) tellUnread(row *schema.Row) error {
	own, err := s.reader(s.fid)
	owed := row.Receipts
	if err != nil || own != nil || owed&schema.ReceiptUnread == 0 || owed&schema.ReceiptAsk != 0 || own.seen(row) {
		return err
	}
	row.Receipts = 0
	_, err = s.sendReceipt(row, &exmdb.Outgoing{Kind: exmdb.OutgoingUnread})
	return err
}

// sendReceipt writes a receipt into the outbox, with a share in the mail as it came. It reports false where there is nobody to
// whom it could go, or nothing that it would be about, which an edit may have taken away: then nothing is owed either.
func (t *tx) sendReceipt(row *schema.Row, out *exmdb.Outgoing) (sent bool, err error) {
	bag, err := t.bag(row)
	if err != nil {
		return false, err
	}
	to := rules.ReceiptTo(bag)
	body := receivedBody(row)
	if to.Address == "" || body == 0 {
		return false, nil
	}
	if err := t.holdBody(body); err != nil {
		return false, err
	}
	out.At, out.Received = t.now, row.Received.Time()
	out.To = []exmdb.OutgoingRecipient{{Name: to.Name, Address: to.Address}}
	t.intend(out, body, row.Bits&schema.RowContent != 0)
	return true, nil
}

// settleByClient takes what a message owes from it when a client says, by a keyword, that it has dealt with that itself.
func (t *tx) settleByClient(row *schema.Row) error {
	if row.Receipts == 0 || len(row.Keywords) == 0 {
		return nil
	}
	names, err := t.keywordNames(row.Keywords)
	if err == nil && rules.SettlesReceipts(names) {
		row.Receipts = 0
	}
	return err
}
