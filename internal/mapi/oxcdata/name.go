package oxcdata

import "github.com/flotilla-mail/flotilla/internal/mapi"

// PropertyName reads a PropertyName (MS-OXCDATA 2.6.1).
func (d *Decoder) PropertyName() mapi.PropertyName {
	n := mapi.PropertyName{Kind: mapi.NameKind(d.Uint8()), Set: d.GUID()}
	switch n.Kind {
	case mapi.NameByLID:
		n.LID = d.Uint32()
	case mapi.NameByString:
		b := d.r.Take(int(d.Uint8()))
		if len(b)%2 != 0 {
			d.Failf("name of %d bytes", len(b))
		}
		n.Name = untilNUL(fromUTF16(b))
	case mapi.NameNone:
	default:
		d.Failf("name of kind %#x", uint8(n.Kind))
	}
	return n
}

// PropertyName writes a PropertyName. A string may have 126 UTF-16 characters.
func (e *Encoder) PropertyName(n mapi.PropertyName) {
	e.Uint8(uint8(n.Kind))
	e.GUID(n.Set)
	switch n.Kind {
	case mapi.NameByLID:
		e.Uint32(n.LID)
	case mapi.NameByString:
		e.Sized(1, func() { e.String(n.Name) })
	}
}

// minName is the shortest name on the wire: one without a name.
const minName = 17

// propertyNames reads n names.
func (d *Decoder) propertyNames(n int) []mapi.PropertyName {
	names := make([]mapi.PropertyName, 0, d.room(n, minName))
	for range n {
		if names = append(names, d.PropertyName()); d.r.Err() != nil {
			return nil
		}
	}
	return names
}
