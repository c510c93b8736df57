package mapi

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Prop is a property with its value.
type Prop struct {
	Tag   Tag
	Value Value
}

// PropBag is a set of properties, ascending by tag, one value for each. Two tags of one id but different type may
// stand side by side; whoever sets properties for a client looks to that.
//
// Its storage form is, for each property: uvarint(tag - tag before), uvarint(length of payload << 1 | reference), payload.
// The length is there for every type, so a release keeps what it does not understand.
type PropBag struct{ props []Prop }

// ErrBadBag says that bytes are no property bag.
var ErrBadBag = errors.New("malformed property bag")

func (b *PropBag) find(t Tag) (int, bool) {
	return slices.BinarySearchFunc(b.props, t, func(p Prop, t Tag) int {
		switch {
		case p.Tag < t:
			return -1
		case p.Tag > t:
			return 1
		}
		return 0
	})
}

// Len is the number of properties.
func (b *PropBag) Len() int { return len(b.props) }

// All is the properties in order; the caller does not change it.
func (b *PropBag) All() []Prop { return b.props }

// Get is the value of t, nil when it is not there.
func (b *PropBag) Get(t Tag) Value {
	if i, found := b.find(t); found {
		return b.props[i].Value
	}
	return nil
}

// Set gives t a value. A value of another type than the tag's is a mistake of the program.
func (b *PropBag) Set(t Tag, v Value) {
	if v == nil || !v.fits(t.Type()) {
		invariant.Failf("mapi: %T under tag %v", v, t)
	}
	i, found := b.find(t)
	if found {
		b.props[i].Value = v
		return
	}
	b.props = slices.Insert(b.props, i, Prop{t, v})
}

// Delete takes t out.
func (b *PropBag) Delete(t Tag) {
	if i, found := b.find(t); found {
		b.props = slices.Delete(b.props, i, i+1)
	}
}

// AppendWire adds the storage form.
func (b *PropBag) AppendWire(dst []byte) []byte {
	last := Tag(0)
	var payload []byte
	for _, p := range b.props {
		payload = p.Value.appendStored(payload[:0])
		_, reference := p.Value.(Reference)
		head := uint64(len(payload)) << 1
		if reference {
			head |= 1
		}
		dst = wire.AppendUvarint(dst, uint64(p.Tag-last))
		dst = append(wire.AppendUvarint(dst, head), payload...)
		last = p.Tag
	}
	return dst
}

// UnmarshalWire reads the storage form, all of data, and refers to nothing of it afterwards.
func (b *PropBag) UnmarshalWire(data []byte) error {
	b.props = nil
	r := wire.NewReader(data)
	tag := uint64(0)
	for first := true; r.Len() > 0; first = false {
		delta, head := r.Uvarint(), r.Uvarint()
		payload := r.Take(int(min(head>>1, math.MaxInt32)))
		if err := r.Err(); err != nil {
			return errors.Join(ErrBadBag, err)
		}
		if delta == 0 && !first || delta > math.MaxUint32-tag {
			return fmt.Errorf("tags do not ascend after %#x: %w", tag, ErrBadBag)
		}
		tag += delta
		v, err := parseStored(Tag(tag).Type(), payload, head&1 == 1)
		if err != nil {
			return fmt.Errorf("tag %#x: %w", tag, errors.Join(ErrBadBag, err))
		}
		b.props = append(b.props, Prop{Tag(tag), v})
	}
	return nil
}

// Externalise replaces every payload above MaxStoredValue by what put returns for it. Values that cannot be kept as
// content (long lists) stay.
func (b *PropBag) Externalise(put func(payload []byte) Reference) {
	for i, p := range b.props {
		if _, done := p.Value.(Reference); done || !Reference(nil).fits(p.Tag.Type()) {
			continue
		}
		if payload := p.Value.appendStored(nil); len(payload) > MaxStoredValue {
			b.props[i].Value = put(payload)
		}
	}
}

// References is all content the bag's values stand in.
func (b *PropBag) References() []ContentRef {
	var refs []ContentRef
	for _, p := range b.props {
		if r, ok := p.Value.(Reference); ok {
			refs = append(refs, r...)
		}
	}
	return refs
}
