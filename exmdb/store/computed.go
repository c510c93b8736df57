package store

import (
	"cmp"
	"slices"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// computed is a row of a table of properties that are not in an object's bag but made of what the store knows of it. O
// is the object as it is read.
type computed[O any] struct {
	tag mapi.Tag
	// get is the value, nil where the object has none.
	get func(o O) mapi.Value
}

// computedTable is the properties that are computed for one kind of objects. Rules stand above the bag, whose value
// does not count; defaults are for what it does not have.
type computedTable[O any] struct{ rules, defaults []computed[O] }

func newTable[O any](rules, defaults []computed[O]) *computedTable[O] {
	byTag := func(a, b computed[O]) int { return cmp.Compare(a.tag, b.tag) }
	slices.SortFunc(rules, byTag)
	slices.SortFunc(defaults, byTag)
	return &computedTable[O]{rules, defaults}
}

// find is the row for a tag, or the first under its id whose type the tag's allows.
func find[O any](rows []computed[O], t mapi.Tag) *computed[O] {
	i, _ := slices.BinarySearchFunc(rows, t.WithType(0), func(c computed[O], t mapi.Tag) int { return cmp.Compare(c.tag, t) })
	for ; i < len(rows) && rows[i].tag.ID() == t.ID(); i++ {
		if sameValue(rows[i].tag.Type(), t.Type()) {
			return &rows[i]
		}
	}
	return nil
}

// sameValue reports whether a value of a type answers a question for another: for any type, or for the same; strings
// of either kind answer for both, because only the caller knows the client's code page.
func sameValue(have, asked mapi.Type) bool {
	switch {
	case have == asked || asked == mapi.TypeUnspecified:
		return true
	case asked == mapi.TypeString || asked == mapi.TypeString8:
		return have == mapi.TypeString || have == mapi.TypeString8
	case asked == mapi.TypeMultiString || asked == mapi.TypeMultiString8:
		return have == mapi.TypeMultiString || have == mapi.TypeMultiString8
	}
	return false
}

// lookup is the property of a bag under a tag, or under its id with a type that the tag's allows.
func lookup(bag *mapi.PropBag, t mapi.Tag) (mapi.Prop, bool) {
	if v := bag.Get(t); v != nil {
		return mapi.Prop{Tag: t, Value: v}, true
	}
	all := bag.All()
	i, _ := slices.BinarySearchFunc(all, t.WithType(0), func(p mapi.Prop, t mapi.Tag) int { return cmp.Compare(p.Tag, t) })
	for ; i < len(all) && all[i].Tag.ID() == t.ID(); i++ {
		if sameValue(all[i].Tag.Type(), t.Type()) {
			return all[i], true
		}
	}
	return mapi.Prop{}, false
}

// value is one property of an object, whose bag is loaded only when no rule answers.
func (ct *computedTable[O]) value(o O, bag func() *mapi.PropBag, t mapi.Tag) (mapi.Prop, bool) {
	if rule := find(ct.rules, t); rule != nil {
		v := rule.get(o)
		return mapi.Prop{Tag: rule.tag, Value: v}, v != nil
	}
	if p, found := lookup(bag(), t); found {
		return p, true
	}
	if rule := find(ct.defaults, t); rule != nil {
		v := rule.get(o)
		return mapi.Prop{Tag: rule.tag, Value: v}, v != nil
	}
	return mapi.Prop{}, false
}

// all is every property of an object.
func (ct *computedTable[O]) all(o O, bag *mapi.PropBag) *mapi.PropBag {
	out := new(mapi.PropBag)
	for _, p := range bag.All() {
		if find(ct.rules, p.Tag) == nil {
			out.Set(p.Tag, p.Value)
		}
	}
	for _, rule := range ct.defaults {
		if _, found := lookup(bag, rule.tag); !found {
			set(out, rule.tag, rule.get(o))
		}
	}
	for _, rule := range ct.rules {
		set(out, rule.tag, rule.get(o))
	}
	return out
}

func set(bag *mapi.PropBag, t mapi.Tag, v mapi.Value) {
	if v != nil {
		bag.Set(t, v)
	}
}

// some is the properties asked for that value has.
func some(tags []mapi.Tag, value func(mapi.Tag) (mapi.Prop, bool)) *mapi.PropBag {
	out := new(mapi.PropBag)
	for _, t := range tags {
		if p, found := value(t); found {
			out.Set(p.Tag, p.Value)
		}
	}
	return out
}
