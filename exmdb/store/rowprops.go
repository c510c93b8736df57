package store

import (
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// rowProp is a property of a message that is kept in its row (MAILBOX 4): set takes the value there, nil to delete it.
// What set returns is why it could not.
type rowProp struct {
	tag mapi.Tag
	set func(d *draft, v mapi.Value) mapi.ErrorCode
}

var rowProps = []rowProp{
	{mapi.PidTagMessageFlags, (*draft).setMessageFlags},
	{mapi.PidTagMessageStatus, (*draft).setMessageStatus},
	{mapi.PidTagFlagStatus, (*draft).setFlagStatus},
	{mapi.PidTagLastVerbExecuted, (*draft).setLastVerb},
	{mapi.PidTagIconIndex, (*draft).setIcon},
	{mapi.PidTagMessageDeliveryTime, (*draft).setDeliveryTime},
	{mapi.PidTagLastModificationTime, (*draft).passOver},
	{mapi.PidTagLocalCommitTime, (*draft).passOver},
	{mapi.PidTagHasAttachments, (*draft).passOver},
	{mapi.PidTagHasNamedProperties, (*draft).passOver},
	{mapi.PidTagConversationId, (*draft).passOver},
	{mapi.PidTagSourceKey, func(*draft, mapi.Value) mapi.ErrorCode { return mapi.ErrorComputed }},
}

// apart implements the function type of that name for messages: row properties go to the row, other computed ones
// nowhere. The subject is the bag editor's.
func (d *draft) apart(t mapi.Tag, v mapi.Value) (mapi.ErrorCode, bool) {
	for i := range rowProps {
		if p := &rowProps[i]; p.tag.ID() == t.ID() {
			if v != nil && !mapi.Fits(v, p.tag.Type()) {
				return mapi.ErrorUnexpectedType, true
			}
			return p.set(d, v), true
		}
	}
	if t.Named() {
		return d.setKeywords(t, v)
	}
	if t.ID() != mapi.PidTagSubject.ID() && find(messageTable.rules, t.WithType(mapi.TypeUnspecified)) != nil {
		return mapi.ErrorComputed, true
	}
	return 0, false
}

// passOver is for what clients send along though the mailbox computes it: nothing is wrong with that.
func (d *draft) passOver(mapi.Value) mapi.ErrorCode { return 0 }

// mark sets or clears a mark or flag of the row.
func (d *draft) mark(b schema.RowBits, on mapi.Integer32) {
	d.after.row.Bits &^= b
	if on != 0 {
		d.after.row.Bits |= b
	}
}

// asInt is the number a value holds, 0 of a deleted one.
func asInt(v mapi.Value) mapi.Integer32 {
	n, _ := v.(mapi.Integer32)
	return n
}

// setMessageFlags takes mfRead and mfUnsent; what else clients put there is kept as it is (MS-OXCMSG 2.2.1.6).
func (d *draft) setMessageFlags(v mapi.Value) mapi.ErrorCode {
	n := asInt(v)
	d.setSeen(n&mapi.MessageFlagRead != 0)
	if d.after.row.Bits&schema.RowBorn != 0 {
		d.mark(schema.RowBits(exmdb.FlagDraft), n&mapi.MessageFlagUnsent)
	}
	d.kept(mapi.PidTagMessageFlags, n&^rowMessageFlags)
	return 0
}

// setMessageStatus takes what the row has of it; that a message is marked as deleted needs what a deletion needs, as in other ops.
func (d *draft) setMessageStatus(v mapi.Value) mapi.ErrorCode {
	n := asInt(v)
	if marked := d.after.row.Bits.Flags()&exmdb.FlagDeleted != 0; !d.fresh && marked != (n&mapi.MessageStatusDeleteMarked != 0) {
		may, err := d.mayOn(d.fid, &d.before, toDelete)
		if d.fail(err); !may {
			return mapi.ErrorAccessDenied
		}
	}
	d.mark(schema.RowBits(exmdb.FlagDeleted), n&mapi.MessageStatusDeleteMarked)
	d.mark(schema.RowInConflict, n&mapi.MessageStatusInConflict)
	d.kept(mapi.PidTagMessageStatus, n&^statusBits)
	return 0
}

// kept puts what the row has no place for into the bag.
func (d *draft) kept(t mapi.Tag, n mapi.Integer32) {
	if n == 0 {
		d.contents.Delete(t)
		return
	}
	d.contents.Set(t, n)
}

func (d *draft) setFlagStatus(v mapi.Value) mapi.ErrorCode {
	n := asInt(v)
	if n < 0 || n > mapi.FlagStatusFlagged {
		return mapi.ErrorInvalidArgument
	}
	d.mark(schema.RowBits(exmdb.FlagFlagged), n&mapi.FlagStatusFlagged)
	d.mark(schema.RowFlagComplete, n&mapi.FlagStatusComplete)
	return 0
}

// setLastVerb sets the verb and, as IMAP sees it, that the message was answered or forwarded.
func (d *draft) setLastVerb(v mapi.Value) mapi.ErrorCode {
	d.after.row.Verb = uint32(asInt(v))
	switch iconOf(d.after.row.Verb) {
	case mapi.IconReplied:
		d.after.row.Bits |= schema.RowBits(exmdb.FlagAnswered)
	case mapi.IconForwarded:
		d.after.row.Bits |= schema.RowBits(exmdb.FlagForwarded)
	}
	return 0
}

func (d *draft) setIcon(v mapi.Value) mapi.ErrorCode {
	d.after.row.Icon = uint32(asInt(v))
	return 0
}

func (d *draft) setDeliveryTime(v mapi.Value) mapi.ErrorCode {
	at, ok := v.(mapi.FileTime)
	if !ok {
		return mapi.ErrorAccessDenied // every message has one: INTERNALDATE
	}
	d.after.row.Received = at
	return 0
}

// setKeywords takes PidNameKeywords.
func (d *draft) setKeywords(t mapi.Tag, v mapi.Value) (mapi.ErrorCode, bool) {
	tag, err := d.keywordsTag()
	if err != nil {
		d.fail(err)
		return 0, true
	}
	if tag == 0 || t.ID() != tag.ID() {
		return 0, false
	}
	names, ok := v.(mapi.Strings)
	if v != nil && !ok {
		return mapi.ErrorUnexpectedType, true
	}
	ids, err := d.internKeywords(names)
	if err != nil {
		d.fail(err)
		return 0, true
	}
	d.after.row.Keywords = ids
	return 0, true
}

func (d *draft) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// flagKinds is which stamps the difference of two rows' flags moves (MAILBOX 4).
func flagKinds(before, after *schema.Row) schema.ChangeKinds {
	var moved schema.ChangeKinds
	diff := before.Bits.Flags() ^ after.Bits.Flags()
	for i := range flags {
		if diff&flags[i].bit != 0 {
			moved |= flags[i].moves
		}
	}
	return moved
}

// attachmentApart and embeddedApart keep what is computed of attachments and embedded messages out of their bags.
func attachmentApart(t mapi.Tag, _ mapi.Value) (mapi.ErrorCode, bool) {
	return 0, find(attachmentTable.rules, t.WithType(mapi.TypeUnspecified)) != nil
}

func embeddedApart(t mapi.Tag, _ mapi.Value) (mapi.ErrorCode, bool) {
	return 0, t.ID() != mapi.PidTagSubject.ID() && find(embeddedTable.rules, t.WithType(mapi.TypeUnspecified)) != nil
}
