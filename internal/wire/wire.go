// Package wire is the one coding of records on disk and messages between nodes: tagged fields that can be added for
// ever and never change their meaning. It knows Go types and bytes, and no record, op or store.
//
// A struct's exported fields carry `wire:"N"`, N from 1, or `wire:"-"`. A field that is not zero is written as
// uvarint(N<<3 | form) and a payload; a zero field costs nothing. The forms:
//
//	varint  bool, unsigned integers; signed integers and time.Time (Unix nanoseconds) in zigzag
//	fixed8  float64, little endian
//	bytes   string, []byte, [N]byte, nested structs, Marshalers, each behind its length;
//	        slices of integers, bools, floats and times packed behind one length;
//	        other slices as one field per element
//
// A pointer is absent when nil and present, even if empty, when not. Named types are coded as their kind. Maps,
// interfaces, channels, float32 and complex numbers are refused when the type is first seen, with a broken invariant.
//
// Invariants: output is a function of the value alone, with tags ascending; input with tags out of order, a field
// given twice, or anything after a broken field is an error; unknown tags are skipped, or kept verbatim in a field
// `Unknown wire.Unknown` and written again at their place (CLUSTER 7.2). Decoding never panics, allocates no more than
// the input's length times the size of the widest element it decodes into, and nests at most MaxDepth deep.
//
// Times are held to the years 1678 to 2262 that fit in 64 bits of nanoseconds; wider dates belong to the Marshalers
// of other packages. Empty slices come back nil, nil elements of []*T come back empty.
package wire

import (
	"errors"
	"reflect"

	"github.com/flotilla-mail/flotilla/internal/invariant"
)

// MaxDepth is how deep structs may nest. Encoding beyond it is a broken invariant, because the result could not be
// read; types that nest by a client's wish are bounded where they are parsed.
const MaxDepth = 64

// Unknown keeps the fields of a record that this release does not know. A struct that is rewritten by whoever read it
// has a field `Unknown wire.Unknown` without a tag.
type Unknown []byte

// Marshaler is implemented by types with a coding of their own. AppendWire appends to dst and returns it; the length
// is kept around it. A pointer receiver is found as well.
type Marshaler interface {
	AppendWire(dst []byte) []byte
}

// Unmarshaler is the other half of Marshaler. It may not keep b. A type that nests in itself bounds its own depth.
type Unmarshaler interface {
	UnmarshalWire(b []byte) error
}

// Kinds of damage. They reach the caller inside a FieldError that names the field.
var (
	// ErrTruncated: the input ends inside a field, or a length points beyond it.
	ErrTruncated = errors.New("truncated")
	// ErrOverflow: a number does not fit the field, or a varint is longer than 64 bits.
	ErrOverflow = errors.New("number out of range")
	// ErrForm: the field's form on the wire is not that of its type, or no form at all.
	ErrForm = errors.New("wrong form")
	// ErrOrder: tags do not ascend, or a field that is no list is given twice.
	ErrOrder = errors.New("tags out of order")
	// ErrLength: a fixed-size field has another size.
	ErrLength = errors.New("wrong length")
	// ErrDepth: structs nest deeper than MaxDepth.
	ErrDepth = errors.New("nested too deep")
)

// FieldError says which field of the decoded type was damaged.
type FieldError struct {
	// Path is the type's name and the fields down to the damage, for example "Row.Envelope.Subject".
	Path string
	// Err is the kind of damage, or what an Unmarshaler returned.
	Err error
}

func (e *FieldError) Error() string { return "wire: " + e.Path + ": " + e.Err.Error() }

// Unwrap gives the kind of damage.
func (e *FieldError) Unwrap() error { return e.Err }

// Marshal encodes a struct, a pointer to one (nil encodes as empty), or a Marshaler.
func Marshal(v any) []byte { return Append(nil, v) }

// Append is Marshal to the end of dst. Given a pointer and enough capacity it does not allocate.
func Append(dst []byte, v any) []byte {
	rv := reflect.ValueOf(v)
	if !rv.IsValid() {
		invariant.Failf("wire: encoding nil of no type")
	}
	if rv.Kind() != reflect.Pointer {
		addressable := reflect.New(rv.Type())
		addressable.Elem().Set(rv)
		rv = addressable
	}
	p := planOf(rv.Type().Elem())
	if rv.IsNil() {
		return dst
	}
	if p.own {
		return rv.Interface().(Marshaler).AppendWire(dst)
	}
	return p.append(dst, rv.Elem(), 1)
}

// Unmarshal decodes b into the struct or Unmarshaler that v points to, after setting it to zero; on error it is left
// zero. Nothing in v refers to b afterwards.
func Unmarshal(b []byte, v any) error { return decodeInto(b, v, false) }

// UnmarshalShared is Unmarshal, but []byte fields, and those named after it, are parts of b and live as long as it is
// unchanged. Strings and arrays are copied as ever.
func UnmarshalShared(b []byte, v any) error { return decodeInto(b, v, true) }

func decodeInto(b []byte, v any, shared bool) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		invariant.Failf("wire: decoding into %T, want a pointer", v)
	}
	p := planOf(rv.Type().Elem())
	target := rv.Elem()
	target.SetZero()
	var err error
	if p.own {
		err = rv.Interface().(Unmarshaler).UnmarshalWire(b)
	} else {
		err = p.decode(decoder{shared: shared, depth: 1}, target, b)
	}
	if err == nil {
		return nil
	}
	target.SetZero()
	return within(p.typ.Name(), err)
}

// within puts one more name in front of an error's path.
func within(name string, err error) error {
	if name == "" {
		return err
	}
	// Only the error of the level below gets a longer path; one that an Unmarshaler wrapped stays as it is.
	if fe, ok := err.(*FieldError); ok {
		fe.Path = name + "." + fe.Path
		return fe
	}
	return &FieldError{Path: name, Err: err}
}
