package oxcdata

import (
	"fmt"

	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Restriction reads a restriction (MS-OXCDATA 2.12), which is within mapi's limits of depth and size; whether it can be
// evaluated is mapi.CheckRestriction's to say.
func (d *Decoder) Restriction() mapi.Restriction {
	if d.depth++; d.depth > mapi.MaxRestrictionDepth {
		d.Fail(fmt.Errorf("restriction of more than %d levels: %w", mapi.MaxRestrictionDepth, mapi.ErrTooComplex))
	}
	if d.nodes++; d.nodes > mapi.MaxRestrictionNodes {
		d.Fail(fmt.Errorf("restriction of more than %d nodes: %w", mapi.MaxRestrictionNodes, mapi.ErrTooComplex))
	}
	r := d.node()
	d.depth--
	if d.r.Err() != nil {
		return nil
	}
	return r
}

func (d *Decoder) node() mapi.Restriction {
	switch t := mapi.RestrictionType(d.field()); t {
	case mapi.RestrictAnd:
		return mapi.AndRestriction(d.operands())
	case mapi.RestrictOr:
		return mapi.OrRestriction(d.operands())
	case mapi.RestrictNot:
		return &mapi.NotRestriction{Of: d.Restriction()}
	case mapi.RestrictSubObject:
		return &mapi.SubObjectRestriction{Tag: d.Tag(), Of: d.Restriction()}
	case mapi.RestrictComment:
		return d.comment()
	case mapi.RestrictCount:
		return &mapi.CountRestriction{Count: d.Uint32(), Of: d.Restriction()}
	default:
		return d.leaf(t)
	}
}

func (d *Decoder) leaf(t mapi.RestrictionType) mapi.Restriction {
	switch t {
	case mapi.RestrictContent:
		return &mapi.ContentRestriction{Fuzzy: mapi.FuzzyLevel(d.Uint32()), Tag: d.Tag(), Value: d.Prop()}
	case mapi.RestrictProperty:
		return &mapi.PropertyRestriction{Op: d.relOp(), Tag: d.Tag(), Value: d.Prop()}
	case mapi.RestrictCompareProperties:
		return &mapi.ComparePropertiesRestriction{Op: d.relOp(), Left: d.Tag(), Right: d.Tag()}
	case mapi.RestrictBitMask:
		op := mapi.BitMaskOp(d.field())
		if op > mapi.BitMaskNotEqualZero {
			d.Failf("bit mask operator %d", op)
		}
		return &mapi.BitMaskRestriction{Op: op, Tag: d.Tag(), Mask: d.Uint32()}
	case mapi.RestrictSize:
		return &mapi.SizeRestriction{Op: d.relOp(), Tag: d.Tag(), Size: d.Uint32()}
	case mapi.RestrictExist:
		return &mapi.ExistRestriction{Tag: d.Tag()}
	}
	d.Failf("restriction of type %#x", uint8(t))
	return nil
}

func (d *Decoder) relOp() mapi.RelOp {
	op := mapi.RelOp(d.field())
	if !op.Valid() {
		d.Failf("relation %#x", uint8(op))
	}
	return op
}

// operands reads those of And and Or behind their COUNT.
func (d *Decoder) operands() []mapi.Restriction {
	n := d.Number(d.form.operands)
	list := make([]mapi.Restriction, 0, d.room(n, 2))
	for range n {
		if list = append(list, d.Restriction()); d.r.Err() != nil {
			return nil
		}
	}
	return list
}

func (d *Decoder) comment() mapi.Restriction {
	c := &mapi.CommentRestriction{Values: d.Props(int(d.field()))}
	if d.Bool() {
		c.Of = d.Restriction()
	}
	return c
}

// Restriction writes a restriction. One without a node where one belongs is a mistake of the program.
func (e *Encoder) Restriction(r mapi.Restriction) {
	if r == nil {
		invariant.Failf("oxcdata: a node of a restriction is missing")
	}
	e.Number(int(r.Type()), e.form.field)
	switch r := r.(type) {
	case mapi.AndRestriction:
		e.operands(r)
	case mapi.OrRestriction:
		e.operands(r)
	case *mapi.NotRestriction:
		e.Restriction(r.Of)
	case *mapi.SubObjectRestriction:
		e.Tag(r.Tag)
		e.Restriction(r.Of)
	case *mapi.CommentRestriction:
		e.comment(r)
	case *mapi.CountRestriction:
		e.Uint32(r.Count)
		e.Restriction(r.Of)
	default:
		e.leaf(r)
	}
}

func (e *Encoder) leaf(r mapi.Restriction) {
	switch r := r.(type) {
	case *mapi.ContentRestriction:
		e.Uint32(uint32(r.Fuzzy))
		e.Tag(r.Tag)
		e.Prop(r.Value)
	case *mapi.PropertyRestriction:
		e.Number(int(r.Op), e.form.field)
		e.Tag(r.Tag)
		e.Prop(r.Value)
	case *mapi.ComparePropertiesRestriction:
		e.Number(int(r.Op), e.form.field)
		e.Tag(r.Left)
		e.Tag(r.Right)
	case *mapi.BitMaskRestriction:
		e.Number(int(r.Op), e.form.field)
		e.Tag(r.Tag)
		e.Uint32(r.Mask)
	case *mapi.SizeRestriction:
		e.Number(int(r.Op), e.form.field)
		e.Tag(r.Tag)
		e.Uint32(r.Size)
	case *mapi.ExistRestriction:
		e.Tag(r.Tag)
	default:
		invariant.Failf("oxcdata: %T has no form on the wire", r)
	}
}

func (e *Encoder) operands(list []mapi.Restriction) {
	e.Number(len(list), e.form.operands)
	for _, r := range list {
		e.Restriction(r)
	}
}

func (e *Encoder) comment(c *mapi.CommentRestriction) {
	e.Number(len(c.Values), e.form.field)
	for _, p := range c.Values {
		e.Prop(p)
	}
	e.Bool(c.Of != nil)
	if c.Of != nil {
		e.Restriction(c.Of)
	}
}

// AppendRestriction adds r in the form of our own records and calls.
func AppendRestriction(dst []byte, r mapi.Restriction) []byte {
	e := NewEncoder(dst, Extended)
	e.Restriction(r)
	if e.err != nil {
		invariant.Failf("oxcdata: %v", e.err) // nothing in memory is too long for 32 bits, nor a comment that was checked
	}
	return e.b
}

// ParseRestriction reads what AppendRestriction wrote, all of b.
func ParseRestriction(b []byte) (mapi.Restriction, error) {
	d := NewDecoder(b, Extended)
	r := d.Restriction()
	if err := d.Close(); err != nil {
		return nil, err
	}
	return r, nil
}

// RestrictionValue is r as the value of a PtypRestriction property.
func RestrictionValue(r mapi.Restriction) mapi.Opaque { return AppendRestriction(nil, r) }

// RestrictionOf takes a value of PtypRestriction apart.
func RestrictionOf(v mapi.Opaque) (mapi.Restriction, error) { return ParseRestriction(v) }

func (d *Decoder) restrictionValue() mapi.Opaque {
	r := d.Restriction()
	if r == nil {
		return nil
	}
	return RestrictionValue(r)
}

func (e *Encoder) restrictionValue(v mapi.Opaque) {
	r, err := RestrictionOf(v)
	if err != nil {
		e.Fail(err)
		return
	}
	e.Restriction(r)
}
