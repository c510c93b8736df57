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
	last, size := Tag(0), 0
	for _, p := range b.props {
		n, _ := plainSize(p.Value)
		size += n + usualSize
	}
	dst = slices.Grow(dst, size)
	var payload []byte
	for _, p := range b.props {
		dst = wire.AppendUvarint(dst, uint64(p.Tag-last))
		last = p.Tag
		if n, is := plainSize(p.Value); is {
			dst = p.Value.appendStored(wire.AppendUvarint(dst, uint64(n)<<1))
			continue
		}
		payload = p.Value.appendStored(payload[:0])
		_, reference := p.Value.(Reference)
		head := uint64(len(payload)) << 1
		if reference {
			head |= 1
		}
		dst = append(wire.AppendUvarint(dst, head), payload...)
	}
	return dst
}

// usualSize is about what a property takes beside a long value.
const usualSize = 16

// plainSize is the length of a payload that is known before it is written, if it is.
func plainSize(v Value) (int, bool) {
	switch v := v.(type) {
	case String:
		return len(v), true
	case String8:
		return len(v), true
	case Binary:
		return len(v), true
	}
	return 0, false
}

// StoredSize is how many bytes AppendValue adds for a value.
func StoredSize(v Value) int {
	if n, is := plainSize(v); is {
		return n
	}
	return len(v.appendStored(nil))
}

// UnmarshalWire reads the storage form, all of data, and refers to nothing of it afterwards.
func (b *PropBag) UnmarshalWire(data []byte) error {
	b.props = nil
	n := 0
	if err := walkStored(data, func(Tag, []byte, bool) error { n++; return nil }); err != nil {
		return err
	}
	if n > 0 {
		b.props = make([]Prop, 0, n)
	}
	in := wire.NewReader(nil)
	return walkStored(data, func(t Tag, payload []byte, reference bool) error {
		in.Reset(payload)
		v, err := takeStored(t.Type(), in, reference)
		if err == nil {
			b.props = append(b.props, Prop{t, v})
		}
		return err
	})
}

// StoredReferences is all content that the values of a bag in its storage form stand in; no other value is read.
func StoredReferences(data []byte) (refs []ContentRef, err error) {
	err = walkStored(data, func(t Tag, payload []byte, reference bool) error {
		if !reference {
			return nil
		}
		v, err := parseStored(t.Type(), payload, reference)
		if r, ok := v.(Reference); ok && err == nil {
			refs = append(refs, r...)
		}
		return err
	})
	return refs, err
}

// walkStored calls fn with each property of a bag in its storage form.
func walkStored(data []byte, fn func(t Tag, payload []byte, reference bool) error) error {
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
		if err := fn(Tag(tag), payload, head&1 == 1); err != nil {
			return fmt.Errorf("tag %#x: %w", tag, errors.Join(ErrBadBag, err))
		}
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
