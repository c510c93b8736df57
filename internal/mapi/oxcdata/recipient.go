package oxcdata

import (
	"slices"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// RecipientFlags are the first field of a RecipientRow (MS-OXCDATA 2.8.3.1): a kind of address in the lower three bits,
// and which fields follow.
type RecipientFlags uint16

// The kinds of address, and the flags.
const (
	RecipientNoType       RecipientFlags = 0x0
	RecipientX500DN       RecipientFlags = 0x1
	RecipientMSMail       RecipientFlags = 0x2
	RecipientSMTP         RecipientFlags = 0x3
	RecipientFax          RecipientFlags = 0x4
	RecipientOfficeSystem RecipientFlags = 0x5
	RecipientPrivateList1 RecipientFlags = 0x6
	RecipientPrivateList2 RecipientFlags = 0x7

	RecipientHasEmail         RecipientFlags = 0x0008
	RecipientHasDisplayName   RecipientFlags = 0x0010
	RecipientHasTransmittable RecipientFlags = 0x0020
	// RecipientSameTransmittable: the transmittable name is the display name.
	RecipientSameTransmittable RecipientFlags = 0x0040
	// RecipientResponsible: another transport takes care of this recipient.
	RecipientResponsible RecipientFlags = 0x0080
	// RecipientNoRichText: the recipient gets no RTF.
	RecipientNoRichText    RecipientFlags = 0x0100
	RecipientUnicode       RecipientFlags = 0x0200
	RecipientHasSimpleName RecipientFlags = 0x0400
	// RecipientNamesType: the kind is none of those above, and the row says which.
	RecipientNamesType RecipientFlags = 0x8000

	recipientKind RecipientFlags = 0x7
)

// kind is the kind of address.
func (f RecipientFlags) kind() RecipientFlags { return f & recipientKind }

// RecipientRow is a recipient as clients send and get it (MS-OXCDATA 2.8.3.2). Strings are bytes in the client's code
// page unless the flags have RecipientUnicode.
type RecipientRow struct {
	Flags RecipientFlags
	// Of RecipientX500DN: how much of the logon's address prefix stands in front of DN, what it is, and the DN.
	PrefixUsed  uint8
	DisplayType uint8
	DN          string
	// Of RecipientPrivateList1 and 2.
	EntryID, SearchKey []byte
	// AddressType is there with RecipientNamesType.
	AddressType string
	// These are there as the flags say.
	EmailAddress, DisplayName, SimpleDisplayName, TransmittableDisplayName string
	// Values are of the first len(Values) columns that the request names.
	Values Row
}

// RecipientRow reads a recipient; columns are those that the request names for all of its recipients.
func (d *Decoder) RecipientRow(columns []mapi.Tag) RecipientRow {
	r := RecipientRow{Flags: RecipientFlags(d.Uint16())}
	switch r.Flags.kind() {
	case RecipientX500DN:
		r.PrefixUsed, r.DisplayType, r.DN = d.Uint8(), d.Uint8(), d.String8()
	case RecipientPrivateList1, RecipientPrivateList2:
		r.EntryID = d.Bytes(int(d.Uint16()))
		r.SearchKey = d.Bytes(int(d.Uint16()))
	case RecipientNoType:
		if r.Flags&RecipientNamesType != 0 {
			r.AddressType = d.String8()
		}
	}
	for _, s := range r.names() {
		switch {
		case r.Flags&s.flag == 0:
		case r.Flags&RecipientUnicode != 0:
			*s.text = d.String()
		default:
			*s.text = d.String8()
		}
	}
	n := int(d.Uint16())
	if n > len(columns) {
		d.Failf("recipient with %d of %d columns", n, len(columns))
		return RecipientRow{}
	}
	r.Values = d.Row(columns[:n])
	return r
}

// name is a string of the row and the flag that says that it is there.
type name struct {
	flag RecipientFlags
	text *string
}

func (r *RecipientRow) names() [4]name {
	return [...]name{
		{RecipientHasEmail, &r.EmailAddress}, {RecipientHasDisplayName, &r.DisplayName},
		{RecipientHasSimpleName, &r.SimpleDisplayName}, {RecipientHasTransmittable, &r.TransmittableDisplayName},
	}
}

// RecipientRow writes a recipient.
func (e *Encoder) RecipientRow(columns []mapi.Tag, r RecipientRow) {
	e.Uint16(uint16(r.Flags))
	switch r.Flags.kind() {
	case RecipientX500DN:
		e.Uint8(r.PrefixUsed)
		e.Uint8(r.DisplayType)
		e.String8(r.DN)
	case RecipientPrivateList1, RecipientPrivateList2:
		e.Number(len(r.EntryID), 2)
		e.Raw(r.EntryID)
		e.Number(len(r.SearchKey), 2)
		e.Raw(r.SearchKey)
	case RecipientNoType:
		if r.Flags&RecipientNamesType != 0 {
			e.String8(r.AddressType)
		}
	}
	for _, s := range r.names() {
		switch {
		case r.Flags&s.flag == 0:
		case r.Flags&RecipientUnicode != 0:
			e.String(*s.text)
		default:
			e.String8(*s.text)
		}
	}
	e.Number(len(r.Values), 2)
	e.Row(columns[:len(r.Values)], r.Values)
}

// kinds are the address types that rows have numbers for (MS-OXCDATA 2.8.3.1).
var kinds = map[RecipientFlags]string{
	RecipientX500DN: "EX", RecipientMSMail: "MS", RecipientSMTP: "SMTP", RecipientFax: "FAX", RecipientOfficeSystem: "PROFS",
	RecipientPrivateList1: "MAPIPDL", RecipientPrivateList2: "MAPIPDL",
}

// Bag is the recipient as properties: what the fields say, then what stands in the columns. Strings without
// RecipientUnicode come as String8. A DN that leans on the logon's address prefix is completed with it.
func (r RecipientRow) Bag(columns []mapi.Tag, prefix string) mapi.PropBag {
	var b mapi.PropBag
	text := func(t mapi.Tag, s string) {
		if r.Flags&RecipientUnicode != 0 {
			b.Set(t, mapi.String(s))
			return
		}
		b.Set(t.WithType(mapi.TypeString8), mapi.String8(s))
	}
	if r.Flags&RecipientNamesType != 0 && r.Flags.kind() == RecipientNoType {
		text(mapi.PidTagAddressType, r.AddressType)
	} else if kind := kinds[r.Flags.kind()]; kind != "" {
		text(mapi.PidTagAddressType, kind)
	}
	r.typed(&b, text, prefix)
	if r.Flags&RecipientHasEmail != 0 {
		text(mapi.PidTagEmailAddress, r.EmailAddress)
	}
	if r.Flags&RecipientHasDisplayName != 0 {
		text(mapi.PidTagDisplayName, r.DisplayName)
	}
	if r.Flags&RecipientHasSimpleName != 0 {
		text(mapi.PidTagAddressBookDisplayNamePrintable, r.SimpleDisplayName)
	}
	switch {
	case r.Flags&RecipientHasTransmittable != 0:
		text(mapi.PidTagTransmittableDisplayName, r.TransmittableDisplayName)
	case r.Flags&(RecipientSameTransmittable|RecipientHasDisplayName) == RecipientSameTransmittable|RecipientHasDisplayName:
		text(mapi.PidTagTransmittableDisplayName, r.DisplayName)
	}
	b.Set(mapi.PidTagSendRichInfo, mapi.Boolean(r.Flags&RecipientNoRichText == 0))
	b.Set(mapi.PidTagResponsibility, mapi.Boolean(r.Flags&RecipientResponsible != 0))
	for i, v := range r.Values {
		if mapi.Fits(v, columns[i].Type()) {
			b.Set(columns[i], v)
		}
	}
	return b
}

// typed sets what only some kinds of address have.
func (r RecipientRow) typed(b *mapi.PropBag, text func(mapi.Tag, string), prefix string) {
	switch r.Flags.kind() {
	case RecipientX500DN:
		text(mapi.PidTagEmailAddress, prefix[:min(int(r.PrefixUsed), len(prefix))]+r.DN)
		b.Set(mapi.PidTagDisplayType, mapi.Integer32(r.DisplayType))
	case RecipientPrivateList1, RecipientPrivateList2:
		b.Set(mapi.PidTagEntryId, mapi.Binary(r.EntryID))
		b.Set(mapi.PidTagSearchKey, mapi.Binary(r.SearchKey))
	}
}

// RecipientRowOf is the row of a recipient's properties, in Unicode, with the columns' values behind.
func RecipientRowOf(g mapi.Getter, columns []mapi.Tag) RecipientRow {
	r := RecipientRow{Flags: RecipientUnicode}
	kind, address := textOf(g, mapi.PidTagAddressType), textOf(g, mapi.PidTagEmailAddress)
	switch kind {
	case "EX":
		r.Flags |= RecipientX500DN
		r.DN = address
		if t, ok := g.Get(mapi.PidTagDisplayType).(mapi.Integer32); ok {
			r.DisplayType = uint8(t)
		}
	case "SMTP":
		r.Flags |= RecipientSMTP | RecipientHasEmail
		r.EmailAddress = address
	case "":
	default:
		r.Flags |= RecipientNamesType | RecipientHasEmail
		r.AddressType, r.EmailAddress = kind, address
	}
	r.nameAfter(g)
	if rich, ok := g.Get(mapi.PidTagSendRichInfo).(mapi.Boolean); ok && !bool(rich) {
		r.Flags |= RecipientNoRichText
	}
	if g.Get(mapi.PidTagResponsibility) == mapi.Boolean(true) {
		r.Flags |= RecipientResponsible
	}
	for _, c := range columns {
		r.Values = append(r.Values, g.Get(c))
	}
	return r
}

func (r *RecipientRow) nameAfter(g mapi.Getter) {
	r.DisplayName = textOf(g, mapi.PidTagDisplayName)
	r.SimpleDisplayName = textOf(g, mapi.PidTagAddressBookDisplayNamePrintable)
	r.TransmittableDisplayName = textOf(g, mapi.PidTagTransmittableDisplayName)
	if r.TransmittableDisplayName == r.DisplayName && r.DisplayName != "" {
		r.Flags |= RecipientSameTransmittable
		r.TransmittableDisplayName = ""
	}
	for _, s := range r.names() {
		if *s.text != "" {
			r.Flags |= s.flag
		}
	}
}

// textOf is a string of an object, in whichever coding it has it.
func textOf(g mapi.Getter, t mapi.Tag) string {
	if s, ok := g.Get(t).(mapi.String); ok {
		return string(s)
	}
	s, _ := g.Get(t.WithType(mapi.TypeString8)).(mapi.String8)
	return string(s)
}

// RecipientColumns are the properties that the fields of a row already say, so a request leaves them out of its
// columns (MS-OXCMSG 2.2.3.5.1).
func RecipientColumns(tags []mapi.Tag) []mapi.Tag {
	said := []mapi.Tag{
		mapi.PidTagAddressType, mapi.PidTagDisplayName, mapi.PidTagEmailAddress, mapi.PidTagTransmittableDisplayName,
		mapi.PidTagSendRichInfo, mapi.PidTagResponsibility, mapi.PidTagRecipientType, mapi.PidTagAddressBookDisplayNamePrintable,
	}
	return slices.DeleteFunc(slices.Clone(tags), func(t mapi.Tag) bool {
		return slices.ContainsFunc(said, func(s mapi.Tag) bool { return s.ID() == t.ID() })
	})
}
