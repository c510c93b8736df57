package oxcdata

import (
	"fmt"
	"math"

	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// codec reads and writes the values of one type; put is given values that fit the type.
type codec struct {
	get func(d *Decoder) mapi.Value
	put func(e *Encoder, v mapi.Value)
}

// codecOf is the row of a type. Types whose values hold values again stand beside the table, which would else refer to
// itself.
func codecOf(t mapi.Type) (codec, bool) {
	switch t {
	case mapi.TypeRestriction:
		return single((*Decoder).restrictionValue, (*Encoder).restrictionValue), true
	case mapi.TypeRuleAction:
		return single((*Decoder).ruleActionsValue, (*Encoder).ruleActionsValue), true
	}
	c, known := codecs[t]
	return c, known
}

// codecs has a row for each other property type (MS-OXCDATA 2.11.1).
var codecs = map[mapi.Type]codec{
	mapi.TypeNull:       {func(*Decoder) mapi.Value { return mapi.Null{} }, func(*Encoder, mapi.Value) {}},
	mapi.TypeInteger16:  single(func(d *Decoder) mapi.Integer16 { return mapi.Integer16(d.Uint16()) }, func(e *Encoder, v mapi.Integer16) { e.Uint16(uint16(v)) }),
	mapi.TypeInteger32:  single(func(d *Decoder) mapi.Integer32 { return mapi.Integer32(d.Uint32()) }, func(e *Encoder, v mapi.Integer32) { e.Uint32(uint32(v)) }),
	mapi.TypeInteger64:  single(func(d *Decoder) mapi.Integer64 { return mapi.Integer64(d.Uint64()) }, func(e *Encoder, v mapi.Integer64) { e.Uint64(uint64(v)) }),
	mapi.TypeFloating32: single(func(d *Decoder) mapi.Floating32 { return mapi.Floating32(d.float32()) }, func(e *Encoder, v mapi.Floating32) { e.float32(float32(v)) }),
	mapi.TypeFloating64: single(func(d *Decoder) mapi.Floating64 { return mapi.Floating64(d.float64()) }, func(e *Encoder, v mapi.Floating64) { e.float64(float64(v)) }),
	mapi.TypeCurrency:   single(func(d *Decoder) mapi.Currency { return mapi.Currency(d.Uint64()) }, func(e *Encoder, v mapi.Currency) { e.Uint64(uint64(v)) }),
	mapi.TypeAppTime:    single(func(d *Decoder) mapi.AppTime { return mapi.AppTime(d.float64()) }, func(e *Encoder, v mapi.AppTime) { e.float64(float64(v)) }),
	mapi.TypeErrorCode:  single(func(d *Decoder) mapi.ErrorCode { return mapi.ErrorCode(d.Uint32()) }, func(e *Encoder, v mapi.ErrorCode) { e.Uint32(uint32(v)) }),
	mapi.TypeBoolean:    single(func(d *Decoder) mapi.Boolean { return mapi.Boolean(d.flag(d.form.boolean)) }, func(e *Encoder, v mapi.Boolean) { e.flag(bool(v), e.form.boolean) }),
	mapi.TypeString:     single(func(d *Decoder) mapi.String { return mapi.String(d.text()) }, func(e *Encoder, v mapi.String) { e.text(string(v)) }),
	mapi.TypeString8:    single(func(d *Decoder) mapi.String8 { return mapi.String8(d.text8()) }, func(e *Encoder, v mapi.String8) { e.text8(string(v)) }),
	mapi.TypeTime:       single(func(d *Decoder) mapi.FileTime { return mapi.FileTime(d.Uint64()) }, func(e *Encoder, v mapi.FileTime) { e.Uint64(uint64(v)) }),
	mapi.TypeGUID:       single((*Decoder).GUID, (*Encoder).GUID),
	mapi.TypeBinary:     single(func(d *Decoder) mapi.Binary { return d.counted() }, func(e *Encoder, v mapi.Binary) { e.counted(v) }),
	mapi.TypeObject:     single(func(d *Decoder) mapi.Opaque { return d.counted() }, func(e *Encoder, v mapi.Opaque) { e.counted(v) }),
	mapi.TypeServerID:   single(func(d *Decoder) mapi.Opaque { return d.Bytes(int(d.Uint16())) }, (*Encoder).serverID),

	mapi.TypeMultiInteger16:  list[mapi.Integers16](2, func(d *Decoder) int16 { return int16(d.Uint16()) }, func(e *Encoder, v int16) { e.Uint16(uint16(v)) }),
	mapi.TypeMultiInteger32:  list[mapi.Integers32](4, func(d *Decoder) int32 { return int32(d.Uint32()) }, func(e *Encoder, v int32) { e.Uint32(uint32(v)) }),
	mapi.TypeMultiInteger64:  list[mapi.Integers64](8, (*Decoder).int64, (*Encoder).int64),
	mapi.TypeMultiFloating32: list[mapi.Floatings32](4, (*Decoder).float32, (*Encoder).float32),
	mapi.TypeMultiFloating64: list[mapi.Floatings64](8, (*Decoder).float64, (*Encoder).float64),
	mapi.TypeMultiCurrency:   list[mapi.Currencies](8, (*Decoder).int64, (*Encoder).int64),
	mapi.TypeMultiAppTime:    list[mapi.AppTimes](8, (*Decoder).float64, (*Encoder).float64),
	mapi.TypeMultiString:     list[mapi.Strings](2, (*Decoder).text, (*Encoder).text),
	mapi.TypeMultiString8:    list[mapi.Strings8](1, (*Decoder).text8, (*Encoder).text8),
	mapi.TypeMultiBinary:     list[mapi.Binaries](2, (*Decoder).element, (*Encoder).element),
	mapi.TypeMultiTime:       list[mapi.Times](8, func(d *Decoder) mapi.FileTime { return mapi.FileTime(d.Uint64()) }, func(e *Encoder, v mapi.FileTime) { e.Uint64(uint64(v)) }),
	mapi.TypeMultiGUID:       list[mapi.GUIDs](16, (*Decoder).GUID, (*Encoder).GUID),
}

func single[V mapi.Value](get func(*Decoder) V, put func(*Encoder, V)) codec {
	return codec{
		func(d *Decoder) mapi.Value { return get(d) },
		func(e *Encoder, v mapi.Value) { put(e, v.(V)) },
	}
}

// list codes a count and elements of at least size bytes.
func list[L interface {
	mapi.Value
	~[]E
}, E any](size int, get func(*Decoder) E, put func(*Encoder, E)) codec {
	return codec{
		func(d *Decoder) mapi.Value {
			n := d.Number(d.form.values)
			out := make(L, 0, d.room(n, size))
			for range n {
				if out = append(out, get(d)); d.r.Err() != nil {
					break
				}
			}
			return out
		},
		func(e *Encoder, v mapi.Value) {
			values := v.(L)
			e.Number(len(values), e.form.values)
			for _, value := range values {
				put(e, value)
			}
		},
	}
}

func (d *Decoder) element() []byte { return d.Bytes(d.Number(d.form.element)) }

func (e *Encoder) element(b []byte) {
	e.Number(len(b), e.form.element)
	e.Raw(b)
}

func (d *Decoder) int64() int64     { return int64(d.Uint64()) }
func (d *Decoder) float32() float32 { return math.Float32frombits(d.Uint32()) }
func (d *Decoder) float64() float64 { return math.Float64frombits(d.Uint64()) }
func (e *Encoder) int64(n int64)    { e.Uint64(uint64(n)) }
func (e *Encoder) float32(f float32) {
	e.Uint32(math.Float32bits(f))
}
func (e *Encoder) float64(f float64) { e.Uint64(math.Float64bits(f)) }

func (e *Encoder) serverID(v mapi.Opaque) {
	e.Number(len(v), 2)
	e.Raw(v)
}

// Value reads a PropertyValue of type t (MS-OXCDATA 2.11.2).
func (d *Decoder) Value(t mapi.Type) mapi.Value {
	c, known := codecOf(t)
	if !known {
		d.Failf("property type %#04x", uint16(t))
		return nil
	}
	if d.depth > 0 && (t == mapi.TypeRestriction || t == mapi.TypeRuleAction) {
		d.Fail(fmt.Errorf("property type %#04x inside a restriction or rule action: %w", uint16(t), mapi.ErrTooComplex))
	}
	v := c.get(d)
	if d.r.Err() != nil {
		return nil
	}
	return v
}

// Value writes a PropertyValue of type t. A value of another type is a mistake of the program, and so is a Reference:
// what is kept as content is read first.
func (e *Encoder) Value(t mapi.Type, v mapi.Value) {
	c, known := codecOf(t)
	if _, reference := v.(mapi.Reference); reference || !known || !mapi.Fits(v, t) {
		invariant.Failf("oxcdata: %T as type %#04x", v, uint16(t))
	}
	c.put(e, v)
}

// Tag reads a PropertyTag (MS-OXCDATA 2.9).
func (d *Decoder) Tag() mapi.Tag { return mapi.Tag(d.Uint32()) }

// Tag writes a PropertyTag.
func (e *Encoder) Tag(t mapi.Tag) { e.Uint32(uint32(t)) }

// Tags reads a PropertyTagArray (MS-OXCDATA 2.10.1).
func (d *Decoder) Tags() []mapi.Tag {
	n := int(d.Uint16())
	tags := make([]mapi.Tag, 0, d.room(n, 4))
	for range n {
		if tags = append(tags, d.Tag()); d.r.Err() != nil {
			return nil
		}
	}
	return tags
}

// Tags writes a PropertyTagArray.
func (e *Encoder) Tags(tags []mapi.Tag) {
	e.Number(len(tags), 2)
	for _, t := range tags {
		e.Tag(t)
	}
}

// Prop reads a TaggedPropertyValue (MS-OXCDATA 2.11.4).
func (d *Decoder) Prop() mapi.Prop {
	t := d.Tag()
	if d.r.Err() != nil {
		return mapi.Prop{}
	}
	return mapi.Prop{Tag: t, Value: d.Value(t.Type())}
}

// Prop writes a TaggedPropertyValue.
func (e *Encoder) Prop(p mapi.Prop) {
	e.Tag(p.Tag)
	e.Value(p.Tag.Type(), p.Value)
}

// Props reads n TaggedPropertyValues.
func (d *Decoder) Props(n int) []mapi.Prop {
	props := make([]mapi.Prop, 0, d.room(n, 4))
	for range n {
		if props = append(props, d.Prop()); d.r.Err() != nil {
			return nil
		}
	}
	return props
}

// Typed reads a TypedPropertyValue (MS-OXCDATA 2.11.3).
func (d *Decoder) Typed() (mapi.Type, mapi.Value) {
	t := mapi.Type(d.Uint16())
	if d.r.Err() != nil {
		return 0, nil
	}
	return t, d.Value(t)
}

// Typed writes a TypedPropertyValue.
func (e *Encoder) Typed(t mapi.Type, v mapi.Value) {
	e.Uint16(uint16(t))
	e.Value(t, v)
}
