package wire

import (
	"math"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/internal/invariant"
)

// form is how a payload is delimited; the low three bits of a field's key.
type form uint8

const (
	formVarint form = 0
	formFixed8 form = 1
	formBytes  form = 2
	formFixed4 form = 5 // not written by this release, but skipped
)

// maxTag keeps keys within 32 bits.
const maxTag = 1<<29 - 1

// plan is what was learnt about one struct type. It is immutable once published.
type plan struct {
	typ     reflect.Type
	fields  []field // ascending by tag
	unknown int     // index of the Unknown field, or -1
	own     bool    // the type codes itself
}

type field struct {
	tag      uint64
	key      []byte // uvarint(tag<<3 | form)
	index    int    // in the struct
	name     string
	repeated bool // one field per element
	codec    *codec
}

// codec codes one value behind its key. For a repeated field it codes the element.
type codec struct {
	form form
	what string // for Describe
	// absent reports whether a field of this type is left out.
	absent func(v reflect.Value) bool
	// put appends the payload, with its length if the form has one. v is addressable.
	put func(dst []byte, v reflect.Value, depth int) []byte
	// get sets v from a number (varint and fixed8) or from bytes.
	get func(d decoder, v reflect.Value, num uint64, b []byte) error
	// elide: a payload that comes out empty is taken back.
	elide bool
	// unsigned: a plain unsigned number, which append codes in line.
	unsigned bool
}

// plans holds *plan by reflect.Type. It is derived from types alone, so it has no state worth the name.
var plans sync.Map

var (
	timeType        = reflect.TypeFor[time.Time]()
	unknownType     = reflect.TypeFor[Unknown]()
	marshalerType   = reflect.TypeFor[Marshaler]()
	unmarshalerType = reflect.TypeFor[Unmarshaler]()
)

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	c := compiler{open: map[reflect.Type]*plan{}}
	c.plan(t)
	for typ, p := range c.open {
		plans.LoadOrStore(typ, p)
	}
	p, _ := plans.Load(t)
	return p.(*plan)
}

// compiler makes the plans of a type and of all it contains; open breaks the circle of types that contain themselves.
type compiler struct {
	open map[reflect.Type]*plan
}

func (c compiler) plan(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	if p, ok := c.open[t]; ok {
		return p
	}
	p := &plan{typ: t, unknown: -1, own: isOwn(t)}
	c.open[t] = p
	if p.own {
		return p
	}
	if t.Kind() != reflect.Struct {
		invariant.Failf("wire: %v cannot stand alone: want a struct or a Marshaler", t)
	}
	for i := range t.NumField() {
		c.addField(p, i)
	}
	if len(p.fields) == 0 && p.unknown < 0 && t.NumField() > 0 {
		invariant.Failf("wire: %v has no field with a tag", t)
	}
	return p
}

func (c compiler) addField(p *plan, i int) {
	sf := p.typ.Field(i)
	text, tagged := sf.Tag.Lookup("wire")
	if sf.Type == unknownType && !tagged {
		invariant.Check(sf.IsExported() && p.unknown < 0, "wire: %v.%s: one exported Unknown field is enough", p.typ, sf.Name)
		p.unknown = i
		return
	}
	if text == "-" || (!tagged && !sf.IsExported()) {
		return
	}
	tag, err := strconv.ParseUint(text, 10, 32)
	if err != nil || tag == 0 || tag > maxTag || !sf.IsExported() {
		invariant.Failf("wire: %v.%s: want an exported field with wire:\"N\", N from 1, or wire:\"-\"", p.typ, sf.Name)
	}
	f := field{tag: tag, index: i, name: sf.Name}
	at := len(p.fields)
	for j, other := range p.fields {
		if other.tag == tag {
			invariant.Failf("wire: %v.%s: tag %d is taken by %s", p.typ, sf.Name, tag, other.name)
		}
		if other.tag > tag {
			at = min(at, j)
		}
	}
	f.codec, f.repeated = c.fieldCodec(sf.Type, p.typ.String()+"."+sf.Name)
	f.key = AppendUvarint(nil, tag<<3|uint64(f.codec.form))
	p.fields = append(p.fields, field{})
	copy(p.fields[at+1:], p.fields[at:])
	p.fields[at] = f
}

// fieldCodec is the codec of a field's type, or of its elements if they are repeated.
func (c compiler) fieldCodec(t reflect.Type, path string) (codec *codec, repeated bool) {
	if isOwn(t) || t.Kind() != reflect.Slice || t.Elem().Kind() == reflect.Uint8 && !isOwn(t.Elem()) {
		return c.valueCodec(t, path), false
	}
	elem := c.valueCodec(t.Elem(), path+"[]")
	if elem.form != formBytes {
		return packedCodec(elem), false
	}
	return elem, true
}

// valueCodec is the codec of a type that stands as one payload.
func (c compiler) valueCodec(t reflect.Type, path string) *codec {
	switch {
	case isOwn(t):
		return ownCodec(t)
	case t == timeType:
		return timeCodec()
	}
	switch t.Kind() {
	case reflect.Struct:
		return structCodec(c.plan(t))
	case reflect.Pointer:
		return c.pointerCodec(t, path)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && !isOwn(t.Elem()) {
			return bytesCodec()
		}
		elem := c.valueCodec(t.Elem(), path+"[]")
		if elem.form == formBytes {
			invariant.Failf("wire: %s: a list of lists needs a struct between them", path)
		}
		return packedCodec(elem)
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && !isOwn(t.Elem()) {
			return arrayCodec(t.Len())
		}
	}
	codec := scalarCodec(t.Kind())
	if codec == nil {
		invariant.Failf("wire: %s: type %v is not supported", path, t)
	}
	return codec
}

func (c compiler) pointerCodec(t reflect.Type, path string) *codec {
	if t.Elem().Kind() == reflect.Pointer {
		invariant.Failf("wire: %s: type %v is not supported", path, t)
	}
	elem := c.valueCodec(t.Elem(), path)
	return &codec{
		form:   elem.form,
		what:   "*" + elem.what,
		absent: func(v reflect.Value) bool { return v.IsNil() },
		put: func(dst []byte, v reflect.Value, depth int) []byte {
			if v.IsNil() { // an element of a list keeps its place
				return putEmpty(dst, elem.form)
			}
			return elem.put(dst, v.Elem(), depth)
		},
		get: func(d decoder, v reflect.Value, num uint64, b []byte) error {
			fresh := reflect.New(t.Elem())
			if err := elem.get(d, fresh.Elem(), num, b); err != nil {
				return err
			}
			v.Set(fresh)
			return nil
		},
	}
}

// isOwn reports whether values of t code themselves. Half a coding is a mistake.
func isOwn(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return false
	}
	p := reflect.PointerTo(t)
	out, in := p.Implements(marshalerType), p.Implements(unmarshalerType)
	if out != in {
		invariant.Failf("wire: %v has only one of AppendWire and UnmarshalWire", t)
	}
	return out
}

// The ends of what fits in 64 bits of nanoseconds. noTime stands for the zero time inside lists.
const (
	noTime    = math.MinInt64
	firstTime = math.MinInt64 + 1
)

func nanoseconds(t time.Time) int64 {
	switch sec := t.Unix(); {
	case t.IsZero():
		return noTime
	case sec <= math.MinInt64/int64(time.Second):
		return firstTime
	case sec >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	}
	return t.UnixNano()
}
