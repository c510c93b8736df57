package query

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// Values of PidTagRowType (MS-OXCTABL 2.2.1.3).
const (
	rowLeaf      mapi.Integer32 = 1
	rowExpanded  mapi.Integer32 = 3
	rowCollapsed mapi.Integer32 = 4
)

// object is what a row shows, nil when the source does not have it.
func (a *Asked) object(it *Item) (Row, error) {
	if it.Row != nil {
		return it.Row, nil
	}
	return a.Source.Row(it.ID.ID)
}

// row is the columns of a row.
func (a *Asked) row(it *Item) (*mapi.PropBag, error) {
	value := (&headingProps{Asked: a, it: it}).value
	if it.Heading == nil {
		r, err := a.object(it)
		if err != nil {
			return nil, err
		}
		if r == nil {
			return nil, cluster.Errorf(cluster.KindDamaged, "row %#x of a table is not there", it.ID.ID)
		}
		value = func(t mapi.Tag) (mapi.Prop, error) { return a.cell(r, it, t) }
	}
	bag := new(mapi.PropBag)
	for _, t := range a.columns {
		p, err := value(t)
		if err != nil {
			return nil, err
		}
		if p.Value != nil {
			bag.Set(p.Tag, p.Value)
		}
	}
	return bag, nil
}

// cell is one column of an object.
func (a *Asked) cell(r Row, it *Item, t mapi.Tag) (mapi.Prop, error) {
	switch t.ID() {
	case mapi.PidTagInstanceNum.ID():
		return mapi.Prop{Tag: mapi.PidTagInstanceNum, Value: mapi.Integer32(it.ID.Instance)}, nil
	case mapi.PidTagRowType.ID():
		return mapi.Prop{Tag: mapi.PidTagRowType, Value: rowLeaf}, nil
	case mapi.PidTagDepth.ID():
		if p, there := r.Column(mapi.PidTagDepth, a.most); there {
			return p, r.Err()
		}
		return mapi.Prop{Tag: mapi.PidTagDepth, Value: mapi.Integer32(a.Spec.categories)}, nil
	}
	return a.column(r, it.ID.Instance, t)
}

// column is a property of an object; of the list that makes rows, and is asked for as that, the row's value.
func (a *Asked) column(r Row, instance uint32, t mapi.Tag) (mapi.Prop, error) {
	if t.Type()&mapi.MultiInstance == 0 {
		p, _ := r.Column(t, a.most)
		return p, r.Err()
	}
	p, _ := r.Column(t.WithType(t.Type()&^mapi.MultiInstance), a.most)
	if t != a.Spec.instances {
		instance = 0
	}
	v := element(p.Value, instance)
	if v == nil {
		return mapi.Prop{}, r.Err()
	}
	return mapi.Prop{Tag: p.Tag.WithType(p.Tag.Type().Element()), Value: v}, r.Err()
}

// headingProps is a heading as an object with properties: what its rows have in common, the value that orders it, and
// what it counts (MS-OXCTABL 2.2.1).
type headingProps struct {
	*Asked
	it  *Item
	err error
}

// Get implements mapi.Getter.
func (h *headingProps) Get(t mapi.Tag) mapi.Value {
	p, err := h.value(t)
	if h.err == nil {
		h.err = err
	}
	return p.Value
}

func (h *headingProps) value(t mapi.Tag) (mapi.Prop, error) {
	of := h.it.Heading
	switch t.ID() {
	case mapi.PidTagInstID.ID():
		return mapi.Prop{Tag: mapi.PidTagInstID, Value: oxcdata.MIDValue(mapi.MID(h.it.ID.ID))}, nil
	case mapi.PidTagInstanceNum.ID():
		return mapi.Prop{Tag: mapi.PidTagInstanceNum, Value: mapi.Integer32(0)}, nil
	case mapi.PidTagRowType.ID():
		if of.Open {
			return mapi.Prop{Tag: mapi.PidTagRowType, Value: rowExpanded}, nil
		}
		return mapi.Prop{Tag: mapi.PidTagRowType, Value: rowCollapsed}, nil
	case mapi.PidTagDepth.ID():
		return mapi.Prop{Tag: mapi.PidTagDepth, Value: mapi.Integer32(of.Level)}, nil
	case mapi.PidTagContentCount.ID():
		return mapi.Prop{Tag: mapi.PidTagContentCount, Value: mapi.Integer32(of.Rows)}, nil
	case mapi.PidTagContentUnreadCount.ID():
		return mapi.Prop{Tag: mapi.PidTagContentUnreadCount, Value: mapi.Integer32(of.Unread)}, nil
	}
	return h.shared(t)
}

// shared is a property that the rows below have in common, or the largest value of what orders the headings.
func (h *headingProps) shared(t mapi.Tag) (mapi.Prop, error) {
	of := h.it.Heading
	if m := h.Spec.maxima[of.Level]; m.tag != 0 && m.tag.ID() == t.ID() {
		return h.of(of.Top, t)
	}
	for _, c := range h.Spec.columns[:of.Level+1] {
		if c.tag.ID() == t.ID() {
			return h.of(of.First, t)
		}
	}
	return mapi.Prop{}, nil
}

func (h *headingProps) of(id exmdb.TableRowID, t mapi.Tag) (mapi.Prop, error) {
	r, err := h.Source.Row(id.ID)
	if err != nil || r == nil {
		return mapi.Prop{}, err
	}
	return h.column(r, id.Instance, t)
}
