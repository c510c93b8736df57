package oxcdata

import "github.com/flotilla-mail/flotilla/internal/mapi"

// SortOrderSet reads a SortOrderSet (MS-OXCDATA 2.13.2); whether it makes sense is its Check to say.
func (d *Decoder) SortOrderSet() mapi.SortOrderSet {
	n := int(d.Uint16())
	s := mapi.SortOrderSet{Categories: d.Uint16(), Expanded: d.Uint16(), Orders: make([]mapi.SortOrder, 0, d.room(n, 5))}
	for range n {
		o := mapi.SortOrder{Tag: d.Tag(), Direction: mapi.SortDirection(d.Uint8())}
		if d.r.Err() != nil {
			return mapi.SortOrderSet{}
		}
		s.Orders = append(s.Orders, o)
	}
	return s
}

// SortOrderSet writes a SortOrderSet.
func (e *Encoder) SortOrderSet(s mapi.SortOrderSet) {
	e.Number(len(s.Orders), 2)
	e.Uint16(s.Categories)
	e.Uint16(s.Expanded)
	for _, o := range s.Orders {
		e.Tag(o.Tag)
		e.Uint8(uint8(o.Direction))
	}
}
