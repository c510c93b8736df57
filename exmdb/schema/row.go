package schema

import (
	"errors"
	"fmt"
	"math"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Row is a message in a folder: all that lists and flag changes need, and all that a flag change rewrites (MAILBOX 3).
// Its coding is wire's, written out by hand, because ten thousand rows are read to show a folder.
type Row struct {
	// Bits are exmdb's flags in the lower half and the store's own marks in the upper. First, so that a scan can
	// stop reading after them.
	Bits     RowBits           `wire:"1"`
	ModSeq   mapi.Stamp        `wire:"2"`
	CN       mapi.Stamp        `wire:"3"`
	ReadCN   mapi.Stamp        `wire:"4"` // zero until the read state first moves
	MID      mapi.MID          `wire:"5"` // counter half; always of the local replica
	Object   mapi.ObjectNumber `wire:"6"`
	Body     mapi.ObjectNumber `wire:"7"` // zero when it is Object
	Size     uint64            `wire:"8"` // octets of the MIME form, exact
	Prefix   uint32            `wire:"9"`
	Props    uint32            `wire:"10"` // bytes of bag, recipients and attachments; with Size it is PidTagMessageSize
	Received mapi.FileTime     `wire:"11"`
	Saved    int64             `wire:"12"` // Unix seconds
	Keywords []uint16          `wire:"13"` // ascending ids of the name table
	Verb     uint32            `wire:"14"` // PidTagLastVerbExecuted
	Icon     uint32            `wire:"15"` // PidTagIconIndex
	// ChangeKey is set when the last content change was a foreign client's; else it is that of CN. PCL holds the
	// entries of other replicas only.
	ChangeKey []byte `wire:"16"`
	PCL       []byte `wire:"17"`
	// Modified is PidTagLastModificationTime, zero while it is Saved.
	Modified mapi.FileTime `wire:"18"`
	// Original is the body that was received, where an edit has put another in its place (MAILBOX 3).
	Original mapi.ObjectNumber `wire:"19"`
	// Creator is who made the message, where it was neither the mailbox's owner nor the mail flow.
	Creator mapi.GUID `wire:"20"`
	// Receipts are those that the sender is still owed.
	Receipts Receipts `wire:"21"`
	// Strange says of an associated message that who wrote it last, or brought it where it is, has not the mailbox whole.
	Strange bool `wire:"22"`
	// Came is the stamp with which the message came into its folder, zero where that is one above its MID or its MID was granted.
	Came    mapi.Stamp `wire:"23"`
	Unknown wire.Unknown
}

// Receipts are receipts that a message's sender is owed, one bit each, on disk.
type Receipts uint32

// The receipts.
const (
	// ReceiptRead: mfNotifyRead; ReceiptUnread: mfNotifyUnread (MS-OXCMSG 2.2.1.6).
	ReceiptRead   Receipts = 1 << 0
	ReceiptUnread Receipts = 1 << 1
	// ReceiptAsk: only if the user says so.
	ReceiptAsk Receipts = 1 << 2
)

// RowBits are flags and marks of a row, on disk.
type RowBits uint32

// The marks.
const (
	RowFlagMask RowBits = 0xFFFF
	// RowContent: the recipe refers to content. RowBagContent: the bag does.
	RowContent    RowBits = 1 << 16
	RowBagContent RowBits = 1 << 17
	// RowRecipients, RowAttachments: there are such records.
	RowRecipients  RowBits = 1 << 18
	RowAttachments RowBits = 1 << 19
	// RowFlagComplete: PidTagFlagStatus is followupComplete; excludes exmdb.FlagFlagged.
	RowFlagComplete RowBits = 1 << 20
	// RowBorn: made by a MAPI client or as a draft, so \Draft may be set.
	RowBorn RowBits = 1 << 21
	// RowAssociated: an associated message, with its row under PrefixAssociated.
	RowAssociated RowBits = 1 << 22
	// RowUnrendered: there is no MIME form yet, so protocols that serve one do not show the message. RowRendered: the
	// MIME form was made from the properties, so it is not counted beside them.
	RowUnrendered RowBits = 1 << 23
	RowRendered   RowBits = 1 << 24
	// RowInConflict: msInConflict of PidTagMessageStatus.
	RowInConflict RowBits = 1 << 25
	// RowGrantedMID: the MID is out of a range granted to a client, so it does not say when the message came.
	RowGrantedMID RowBits = 1 << 26
	// RowReheaded: beside RowRendered, the form is the received body under another header, and is counted.
	RowReheaded RowBits = 1 << 27
	// RowDelivered: the message came into this folder as new mail from outside.
	RowDelivered RowBits = 1 << 28
	// RowReminder: the bag asks for a reminder, so there is a ReminderKey.
	RowReminder RowBits = 1 << 29
	// RowSubmitted: the message waits to be sent, if there is a SubmittedKey of it too.
	RowSubmitted RowBits = 1 << 30
	// RowConverted: properties and attachments were made of the octets that were received, and share their content; so the
	// greater of the two is counted.
	RowConverted RowBits = 1 << 31
)

// Flags is the IMAP half of the bits.
func (b RowBits) Flags() exmdb.FlagBits { return exmdb.FlagBits(b & RowFlagMask) }

// CameAt is the stamp with which the message came into its folder. Of a granted MID that is not known: it is of its number then.
func (r *Row) CameAt() mapi.Stamp {
	if r.Came != 0 {
		return r.Came
	}
	return mapi.Stamp(r.MID.Counter()) + 1
}

// BodyNumber is where recipe and digest are.
func (r *Row) BodyNumber() mapi.ObjectNumber {
	if r.Body != 0 {
		return r.Body
	}
	return r.Object
}

// Bodies are the bodies that the message holds: that which is served, and the received one where it is another.
func (r *Row) Bodies() []mapi.ObjectNumber {
	var bodies []mapi.ObjectNumber
	if r.Bits&(RowUnrendered|RowAssociated) == 0 {
		bodies = append(bodies, r.BodyNumber())
	}
	if r.Original != 0 {
		bodies = append(bodies, r.Original)
	}
	return bodies
}

// MessageSize is what quotas count: PidTagMessageSize.
func (r *Row) MessageSize() uint64 {
	if r.Bits&(RowRendered|RowReheaded) == RowRendered {
		return uint64(r.Props)
	}
	if r.Bits&RowConverted != 0 {
		return max(r.Size, uint64(r.Props))
	}
	return r.Size + uint64(r.Props)
}

const (
	formNumber = 0
	formBytes  = 2
)

func appendNumber(dst []byte, tag byte, n uint64) []byte {
	if n == 0 {
		return dst
	}
	return wire.AppendUvarint(wire.AppendUvarint(dst, uint64(tag)<<3|formNumber), n)
}

func appendBytes(dst []byte, tag byte, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	return wire.AppendBytes(wire.AppendUvarint(dst, uint64(tag)<<3|formBytes), b)
}

// AppendWire implements wire.Marshaler. Tags of later releases are above ours, so they come last.
func (r *Row) AppendWire(dst []byte) []byte {
	dst = appendNumber(dst, 1, uint64(r.Bits))
	dst = appendNumber(dst, 2, uint64(r.ModSeq))
	dst = appendNumber(dst, 3, uint64(r.CN))
	dst = appendNumber(dst, 4, uint64(r.ReadCN))
	dst = appendNumber(dst, 5, uint64(r.MID.Counter()))
	dst = appendNumber(dst, 6, uint64(r.Object))
	dst = appendNumber(dst, 7, uint64(r.Body))
	dst = appendNumber(dst, 8, r.Size)
	dst = appendNumber(dst, 9, uint64(r.Prefix))
	dst = appendNumber(dst, 10, uint64(r.Props))
	dst = appendNumber(dst, 11, uint64(r.Received))
	dst = appendNumber(dst, 12, uint64(r.Saved))
	if len(r.Keywords) > 0 {
		ids := make([]byte, 0, 2*len(r.Keywords))
		for _, k := range r.Keywords {
			ids = wire.AppendUvarint(ids, uint64(k))
		}
		dst = appendBytes(dst, 13, ids)
	}
	dst = appendNumber(dst, 14, uint64(r.Verb))
	dst = appendNumber(dst, 15, uint64(r.Icon))
	dst = appendBytes(dst, 16, r.ChangeKey)
	dst = appendBytes(dst, 17, r.PCL)
	dst = appendNumber(dst, 18, uint64(r.Modified))
	dst = appendNumber(dst, 19, uint64(r.Original))
	if !r.Creator.IsZero() {
		dst = appendBytes(dst, 20, r.Creator[:])
	}
	dst = appendNumber(dst, 21, uint64(r.Receipts))
	if r.Strange {
		dst = appendNumber(dst, 22, 1)
	}
	dst = appendNumber(dst, 23, uint64(r.Came))
	return append(dst, r.Unknown...)
}

// numbers is where each number of a row goes, by tag; the bound is the field's width.
func (r *Row) number(tag, n uint64) (bound uint64) {
	switch tag {
	case 1:
		r.Bits, bound = RowBits(n), math.MaxUint32
	case 2:
		r.ModSeq, bound = mapi.Stamp(n), math.MaxUint64
	case 3:
		r.CN, bound = mapi.Stamp(n), math.MaxUint64
	case 4:
		r.ReadCN, bound = mapi.Stamp(n), math.MaxUint64
	case 5:
		r.MID, bound = mapi.NewMID(mapi.LocalReplica, mapi.GlobalCounter(n)), uint64(mapi.MaxGlobalCounter)
	case 6:
		r.Object, bound = mapi.ObjectNumber(n), math.MaxUint64
	case 7:
		r.Body, bound = mapi.ObjectNumber(n), math.MaxUint64
	case 8:
		r.Size, bound = n, math.MaxUint64
	case 9:
		r.Prefix, bound = uint32(n), math.MaxUint32
	case 10:
		r.Props, bound = uint32(n), math.MaxUint32
	case 11:
		r.Received, bound = mapi.FileTime(n), math.MaxUint64
	case 12:
		r.Saved, bound = int64(n), math.MaxInt64
	case 14:
		r.Verb, bound = uint32(n), math.MaxUint32
	case 15:
		r.Icon, bound = uint32(n), math.MaxUint32
	case 18:
		r.Modified, bound = mapi.FileTime(n), math.MaxUint64
	case 19:
		r.Original, bound = mapi.ObjectNumber(n), math.MaxUint64
	case 21:
		r.Receipts, bound = Receipts(n), math.MaxUint32
	case 22:
		r.Strange, bound = n == 1, 1
	case 23:
		r.Came, bound = mapi.Stamp(n), uint64(mapi.MaxGlobalCounter)
	}
	return bound
}

func (r *Row) bytes(tag uint64, b []byte) error {
	switch tag {
	case 13:
		ids := wire.NewReader(b)
		for ids.Len() > 0 {
			id := ids.Uvarint()
			if id > math.MaxUint16 {
				return ErrBadRecord
			}
			r.Keywords = append(r.Keywords, uint16(id))
		}
		return ids.Err()
	case 16:
		r.ChangeKey = append([]byte(nil), b...)
	case 17:
		r.PCL = append([]byte(nil), b...)
	case 20:
		if len(b) != len(r.Creator) {
			return ErrBadRecord
		}
		copy(r.Creator[:], b)
	default:
		return ErrBadRecord
	}
	return nil
}

// lastRowTag is the highest tag this release knows.
const lastRowTag = 23

// UnmarshalWire implements wire.Unmarshaler.
func (r *Row) UnmarshalWire(b []byte) error {
	*r = Row{}
	in := wire.NewReader(b)
	last := uint64(0)
	for in.Len() > 0 {
		left := in.Len()
		key := in.Uvarint()
		tag, form := key>>3, key&7
		if tag > lastRowTag {
			r.Unknown = append(wire.Unknown(nil), b[len(b)-left:]...)
			break
		}
		if tag <= last {
			in.Fail(wire.ErrOrder)
			break
		}
		last = tag
		switch form {
		case formNumber:
			if n := in.Uvarint(); n > r.number(tag, n) {
				in.Fail(wire.ErrOverflow)
			}
		case formBytes:
			if err := r.bytes(tag, in.Bytes()); err != nil {
				in.Fail(err)
			}
		default:
			in.Fail(wire.ErrForm)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("row: %w", errors.Join(ErrBadRecord, err))
	}
	return nil
}

// PeekRow reads the flags and the modseq of a stored row, which come first.
func PeekRow(b []byte) (bits RowBits, modseq mapi.Stamp) {
	in := wire.NewReader(b)
	key := in.Uvarint()
	if key == 1<<3 {
		bits = RowBits(in.Uvarint())
		key = in.Uvarint()
	}
	if key == 2<<3 {
		modseq = mapi.Stamp(in.Uvarint())
	}
	return bits, modseq
}
