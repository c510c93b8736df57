package store

import (
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// The texts of a received mail that are too short to be content are in a record of their own: bags are read ten thousand at
// a time to sort a folder, and no order is that of the texts.

// textProps are the properties that are apart, from minText bytes on.
var textProps = idsOf(mapi.PidTagBody, mapi.PidTagHtml, mapi.PidTagRtfCompressed)

const minText = 512

// split parts a bag in what lists look at and texts.
func split(bag *mapi.PropBag) (listed, texts *mapi.PropBag) {
	listed, texts = bag, new(mapi.PropBag)
	for _, p := range bag.All() {
		if textProps[p.Tag.ID()] && isLongText(p.Value) {
			texts.Set(p.Tag, p.Value)
		}
	}
	if texts.Len() > 0 {
		listed = clone(bag)
		for _, p := range texts.All() {
			listed.Delete(p.Tag)
		}
	}
	return listed, texts
}

func isLongText(v mapi.Value) bool {
	_, content := v.(mapi.Reference)
	return !content && mapi.StoredSize(v) >= minText
}

// listed reads what lists look at of an object's properties; one that has none has an empty bag.
func (v *view) listed(object mapi.ObjectNumber) (*mapi.PropBag, error) {
	bag := new(mapi.PropBag)
	_, err := load(v.r, schema.BagKey(object), bag)
	return bag, err
}

// withTexts puts the texts of a message to the rest of its properties.
func (v *view) withTexts(row *schema.Row, listed *mapi.PropBag) (*mapi.PropBag, error) {
	if row.Bits&schema.RowConverted == 0 {
		return listed, nil
	}
	texts := new(mapi.PropBag)
	found, err := load(v.r, schema.TextsKey(row.Object), texts)
	if err != nil || !found {
		return listed, err
	}
	bag := clone(listed)
	for _, p := range texts.All() {
		bag.Set(p.Tag, p.Value)
	}
	return bag, nil
}

// bag reads the property bag of a message.
func (v *view) bag(row *schema.Row) (*mapi.PropBag, error) {
	listed, err := v.listed(row.Object)
	if err != nil {
		return nil, err
	}
	return v.withTexts(row, listed)
}

// putBag writes the records of a bag in the place of old, nil for none.
func (t *tx) putBag(row *schema.Row, old, bag *mapi.PropBag, inline map[space.Hash][]byte) error {
	if old == nil {
		old = new(mapi.PropBag)
	}
	if row.Bits&schema.RowConverted == 0 {
		return t.put(row, bagRecord(schema.BagKey(row.Object), old, bag), inline)
	}
	was, wasTexts := split(old)
	now, texts := split(bag)
	if err := t.put(row, bagRecord(schema.BagKey(row.Object), was, now), inline); err != nil {
		return err
	}
	return t.put(row, bagRecord(schema.TextsKey(row.Object), wasTexts, texts), inline)
}

// bagRecord is a record that is a bag; an empty one is none.
func bagRecord(key []byte, old, bag *mapi.PropBag) record {
	r := record{key: key}
	if old.Len() > 0 {
		r.old, r.oldRefs = old.AppendWire(nil), old.References()
	}
	if bag.Len() > 0 {
		r.now, r.refs = bag.AppendWire(nil), bag.References()
	}
	return r
}

// whole is the message's bag with its texts.
func (s *shownMessage) whole() *mapi.PropBag {
	if s.texts == nil {
		bag, err := s.withTexts(&s.m.row, s.contents())
		if s.fail(err); err != nil {
			bag = s.contents()
		}
		s.texts = bag
	}
	return s.texts
}
