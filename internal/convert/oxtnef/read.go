package oxtnef

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Read takes a TNEF apart. Ids of named properties come from names. Values of any length stand in the bags themselves
// and point into b.
func Read(b []byte, names *oxcmsg.Names) (*Message, error) {
	return read(b, names, 0)
}

func read(b []byte, names *oxcmsg.Names, depth int) (*Message, error) {
	if len(b) < 6 || binary.LittleEndian.Uint32(b) != Signature {
		return nil, fmt.Errorf("%d bytes: %w", len(b), ErrNotTNEF)
	}
	r := reader{names: names, depth: depth, m: &Message{CodePage: westernEurope, Key: binary.LittleEndian.Uint16(b[4:])}}
	d := decoder{rest: b[6:], r: &r}
	for len(d.rest) > 0 && !d.bad {
		r.attribute(&d)
	}
	r.m.Damaged = r.m.Damaged || d.bad
	r.endAttachment()
	return r.m, nil
}

// reader is a message on its way.
type reader struct {
	m     *Message
	names *oxcmsg.Names
	depth int
	// file is the attachment that attributes belong to.
	file *exmdb.Attachment
}

// attribute reads one: level, id, length, data, checksum.
func (r *reader) attribute(d *decoder) {
	at := level(0)
	if b := d.take(1); b != nil {
		at = level(b[0])
	}
	id := attributeID(d.uint32())
	data := d.take(d.length())
	if d.bad {
		return
	}
	if sum := d.uint16(); d.bad || sum != checksum(data) {
		r.m.Damaged = true
	}
	inner := decoder{rest: data, r: r}
	switch at {
	case levelMessage:
		r.message(id, &inner, data)
	case levelAttachment:
		r.attachment(id, &inner, data)
	default:
		d.bad = true
	}
	r.m.Damaged = r.m.Damaged || inner.bad
}

func checksum(b []byte) uint16 {
	sum := uint16(0)
	for _, c := range b {
		sum += uint16(c)
	}
	return sum
}

// set gives a property that an attribute stands for, which the encapsulated property overrules.
func set(bag *mapi.PropBag, t mapi.Tag, v mapi.Value) {
	if v != nil && bag.Get(t) == nil {
		bag.Set(t, v)
	}
}

func (r *reader) message(id attributeID, d *decoder, data []byte) {
	bag := &r.m.Props
	switch id {
	case attTnefVersion:
	case attOemCodepage:
		if n := d.uint32(); !d.bad && n < 1<<16 {
			r.m.CodePage = int(n)
		}
	case attMsgProps:
		d.properties(func(p property) {
			if p.value != nil {
				bag.Set(p.tag, p.value)
			}
		})
	case attRecipTable:
		r.recipients(d)
	case attFrom:
		r.from(d)
	case attMessageID:
		if key, err := hex.DecodeString(r.string8(data)); err == nil && len(key) > 0 {
			set(bag, mapi.PidTagSearchKey, mapi.Binary(key))
		}
	default:
		t, v, known := r.counterpart(id, data)
		if !known {
			r.m.Unknown = append(r.m.Unknown, Attribute{uint32(id), data})
		}
		set(bag, t, v)
	}
}

// counterpart is the property that an attribute of a message stands for (MS-OXTNEF 2.1.3.3).
func (r *reader) counterpart(id attributeID, data []byte) (mapi.Tag, mapi.Value, bool) {
	switch id {
	case attMessageClass:
		return mapi.PidTagMessageClass, mapi.String(classHere(r.string8(data))), true
	case attOriginalMessageClass:
		return mapi.PidTagOriginalMessageClass, mapi.String(classHere(r.string8(data))), true
	case attSubject:
		return mapi.PidTagSubject, mapi.String(r.string8(data)), true
	case attBody:
		return mapi.PidTagBody, mapi.String(r.string8(data)), true
	case attPriority:
		return mapi.PidTagImportance, importance(data), true
	case attDateSent:
		return mapi.PidTagClientSubmitTime, date(data), true
	case attDateRecd:
		return mapi.PidTagMessageDeliveryTime, date(data), true
	case attDateModified:
		return mapi.PidTagLastModificationTime, date(data), true
	case attDateStart:
		return mapi.PidTagStartDate, date(data), true
	case attDateEnd:
		return mapi.PidTagEndDate, date(data), true
	case attAidOwner:
		if len(data) >= 4 {
			return mapi.PidTagOwnerAppointmentId, mapi.Integer32(binary.LittleEndian.Uint32(data)), true
		}
	case attRequestRes:
		if len(data) >= 2 {
			return mapi.PidTagResponseRequested, mapi.Boolean(data[0] != 0), true
		}
	}
	return 0, nil, false
}

// importance turns a priority, which is high at 1, around (MS-OXTNEF 2.1.3.3.10).
func importance(data []byte) mapi.Value {
	if len(data) < 2 {
		return nil
	}
	switch binary.LittleEndian.Uint16(data) {
	case 1:
		return mapi.Integer32(2)
	case 3:
		return mapi.Integer32(0)
	}
	return mapi.Integer32(1)
}

// dateSize is the length of a date: year, month, day, hour, minute, second, day of the week, 16 bits each.
const dateSize = 14

func date(data []byte) mapi.Value {
	if len(data) < dateSize {
		return nil
	}
	var n [6]int
	for i := range n {
		n[i] = int(binary.LittleEndian.Uint16(data[2*i:]))
	}
	if n[0] < 1601 || n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > 31 || n[3] > 23 || n[4] > 59 || n[5] > 60 {
		return nil
	}
	return mapi.FileTimeOf(time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC))
}

// from reads the sender of old writers: four numbers, the name, and the address behind its type (MS-OXTNEF 2.1.3.3.2).
func (r *reader) from(d *decoder) {
	d.uint16()
	d.uint16()
	nameLength, addressLength := int(d.uint16()), int(d.uint16())
	name, address := d.take(nameLength), d.take(addressLength)
	if d.bad {
		return
	}
	kind, at, ok := strings.Cut(r.string8(address), ":")
	if !ok {
		return
	}
	set(&r.m.Props, mapi.PidTagSenderName, mapi.String(r.string8(name)))
	set(&r.m.Props, mapi.PidTagSenderAddressType, mapi.String(kind))
	set(&r.m.Props, mapi.PidTagSenderEmailAddress, mapi.String(at))
}

func (r *reader) recipients(d *decoder) {
	for range d.uint32() {
		var bag mapi.PropBag
		d.properties(func(p property) {
			if p.value != nil {
				bag.Set(p.tag, p.value)
			}
		})
		if d.bad || len(r.m.Recipients) >= maxRecipients {
			d.bad = true
			return
		}
		r.m.Recipients = append(r.m.Recipients, bag)
	}
}

func (r *reader) attachment(id attributeID, d *decoder, data []byte) {
	if id == attAttachRenddata {
		r.endAttachment()
		r.file = &exmdb.Attachment{}
		r.rendering(d)
		return
	}
	if r.file == nil {
		r.m.Damaged = true
		r.file = &exmdb.Attachment{}
	}
	bag := &r.file.Props
	switch id {
	case attAttachData:
		set(bag, mapi.PidTagAttachDataBinary, mapi.Binary(data))
	case attAttachTitle:
		set(bag, mapi.PidTagAttachFilename, mapi.String(r.string8(data)))
	case attAttachTransportName:
		set(bag, mapi.PidTagAttachTransportName, mapi.String(r.string8(data)))
	case attAttachMetaFile:
		set(bag, mapi.PidTagAttachRendering, mapi.Binary(data))
	case attAttachCreateDate:
		set(bag, mapi.PidTagCreationTime, date(data))
	case attAttachModifyDate:
		set(bag, mapi.PidTagLastModificationTime, date(data))
	case attAttachment:
		d.properties(r.attachmentProperty)
	}
}

// rendering reads AttachType, AttachPosition, RenderWidth, RenderHeight and DataFlags (MS-OXTNEF 2.1.3.3.15).
func (r *reader) rendering(d *decoder) {
	kind, position := d.uint16(), d.uint32()
	if d.bad {
		return
	}
	r.file.Props.Set(mapi.PidTagRenderingPosition, mapi.Integer32(position))
	if kind == 2 {
		r.file.Props.Set(mapi.PidTagAttachMethod, mapi.Integer32(methodOLE))
	}
}

func (r *reader) attachmentProperty(p property) {
	bag := &r.file.Props
	switch {
	case p.object == nil:
		bag.Set(p.tag, p.value)
	case p.iid == iidMessage:
		if r.depth+1 >= MaxDepth {
			r.m.Damaged = true
			return
		}
		m, err := read(p.object, r.names, r.depth+1)
		if err != nil {
			r.m.Damaged = true
			return
		}
		r.m.Damaged = r.m.Damaged || m.Damaged
		r.file.IsMessage, r.file.Embedded = true, &m.MessageContent
		bag.Set(mapi.PidTagAttachMethod, mapi.Integer32(methodEmbedded))
	default:
		bag.Delete(mapi.PidTagAttachDataBinary)
		bag.Set(mapi.PidTagAttachDataObject, mapi.Opaque(p.object))
		set(bag, mapi.PidTagAttachMethod, mapi.Integer32(methodOLE))
	}
}

// endAttachment puts the attachment that is being read in the message.
func (r *reader) endAttachment() {
	if r.file == nil {
		return
	}
	if len(r.m.Attachments) >= maxAttachments {
		r.m.Damaged, r.file = true, nil
		return
	}
	set(&r.file.Props, mapi.PidTagAttachMethod, mapi.Integer32(methodByValue))
	if r.file.IsMessage { // the stream has an empty or other form of it beside
		r.file.Props.Delete(mapi.PidTagAttachDataBinary)
		r.file.Props.Delete(mapi.PidTagAttachDataObject)
	}
	r.file.Number = uint32(len(r.m.Attachments))
	r.m.Attachments = append(r.m.Attachments, *r.file)
	r.file = nil
}
