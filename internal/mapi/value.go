package mapi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Value is a property's value: one of the types of this file. Values are not changed once they are in a bag.
type Value interface {
	// fits reports whether the value may stand under a tag of type t.
	fits(t Type) bool
	// appendStored adds the payload of our storage form, without its length.
	appendStored(dst []byte) []byte
}

// The values of one element each.
type (
	Integer16  int16
	Integer32  int32
	Integer64  int64
	Floating32 float32
	Floating64 float64
	// Currency is in steps of a ten-thousandth.
	Currency int64
	// AppTime is days since 1899-12-30, with the time of day as fraction.
	AppTime   float64
	ErrorCode uint32
	Boolean   bool
	// String is UTF-8 here and UTF-16LE on MAPI's wire.
	String string
	// String8 is bytes in the client's code page.
	String8 string
	Binary  []byte
	// Null is the value of TypeNull.
	Null struct{}
)

// The lists.
type (
	Integers16  []int16
	Integers32  []int32
	Integers64  []int64
	Floatings32 []float32
	Floatings64 []float64
	Currencies  []int64
	AppTimes    []float64
	Strings     []string
	Strings8    []string
	Binaries    [][]byte
	Times       []FileTime
	GUIDs       []GUID
)

// Opaque is the stored payload of a type this package does not take apart: restrictions, rule actions, server ids,
// objects, and types of later releases, which are kept as they are. oxcdata says what is in it (RestrictionOf,
// RuleActionsOf, ServerIDOf).
type Opaque []byte

// Error codes that stand in the place of values (MS-OXCDATA 2.4).
const (
	ErrorNotFound        ErrorCode = 0x8004_010F
	ErrorNotEnoughMemory ErrorCode = 0x8007_000E
)

// ContentRef is a piece of content by the SHA-256 of its bytes.
type ContentRef struct {
	Hash [32]byte
	Size uint32
}

// Reference stands for a value above MaxStoredValue, which is kept as content (MAILBOX 3): String, String8, Binary or
// an opaque type, in the form that would have been stored in its place.
type Reference []ContentRef

// MaxStoredValue is the longest payload that is kept in a bag itself.
const MaxStoredValue = 8 << 10

// ErrBadValue says that stored bytes are not a value of their type.
var ErrBadValue = errors.New("malformed property value")

// Fits reports whether v may stand under a tag of type t.
func Fits(v Value, t Type) bool { return v != nil && v.fits(t) }

// TypeOf is the type that v is of; TypeUnspecified for what may be of several: Opaque, Reference, nil.
func TypeOf(v Value) Type { return types[reflect.TypeOf(v)] }

// types has the values that are of one type.
var types = map[reflect.Type]Type{
	reflect.TypeFor[Null](): TypeNull, reflect.TypeFor[Integer16](): TypeInteger16, reflect.TypeFor[Integer32](): TypeInteger32,
	reflect.TypeFor[Integer64](): TypeInteger64, reflect.TypeFor[Floating32](): TypeFloating32, reflect.TypeFor[Floating64](): TypeFloating64,
	reflect.TypeFor[Currency](): TypeCurrency, reflect.TypeFor[AppTime](): TypeAppTime, reflect.TypeFor[ErrorCode](): TypeErrorCode,
	reflect.TypeFor[Boolean](): TypeBoolean, reflect.TypeFor[String](): TypeString, reflect.TypeFor[String8](): TypeString8,
	reflect.TypeFor[Binary](): TypeBinary, reflect.TypeFor[FileTime](): TypeTime, reflect.TypeFor[GUID](): TypeGUID,
	reflect.TypeFor[Integers16](): TypeMultiInteger16, reflect.TypeFor[Integers32](): TypeMultiInteger32,
	reflect.TypeFor[Integers64](): TypeMultiInteger64, reflect.TypeFor[Floatings32](): TypeMultiFloating32,
	reflect.TypeFor[Floatings64](): TypeMultiFloating64, reflect.TypeFor[Currencies](): TypeMultiCurrency,
	reflect.TypeFor[AppTimes](): TypeMultiAppTime, reflect.TypeFor[Strings](): TypeMultiString, reflect.TypeFor[Strings8](): TypeMultiString8,
	reflect.TypeFor[Binaries](): TypeMultiBinary, reflect.TypeFor[Times](): TypeMultiTime, reflect.TypeFor[GUIDs](): TypeMultiGUID,
}

func (Null) fits(t Type) bool        { return t == TypeNull }
func (Integer16) fits(t Type) bool   { return t == TypeInteger16 }
func (Integer32) fits(t Type) bool   { return t == TypeInteger32 }
func (Integer64) fits(t Type) bool   { return t == TypeInteger64 }
func (Floating32) fits(t Type) bool  { return t == TypeFloating32 }
func (Floating64) fits(t Type) bool  { return t == TypeFloating64 }
func (Currency) fits(t Type) bool    { return t == TypeCurrency }
func (AppTime) fits(t Type) bool     { return t == TypeAppTime }
func (ErrorCode) fits(t Type) bool   { return t == TypeErrorCode }
func (Boolean) fits(t Type) bool     { return t == TypeBoolean }
func (String) fits(t Type) bool      { return t == TypeString }
func (String8) fits(t Type) bool     { return t == TypeString8 }
func (Binary) fits(t Type) bool      { return t == TypeBinary }
func (FileTime) fits(t Type) bool    { return t == TypeTime }
func (GUID) fits(t Type) bool        { return t == TypeGUID }
func (Integers16) fits(t Type) bool  { return t == TypeMultiInteger16 }
func (Integers32) fits(t Type) bool  { return t == TypeMultiInteger32 }
func (Integers64) fits(t Type) bool  { return t == TypeMultiInteger64 }
func (Floatings32) fits(t Type) bool { return t == TypeMultiFloating32 }
func (Floatings64) fits(t Type) bool { return t == TypeMultiFloating64 }
func (Currencies) fits(t Type) bool  { return t == TypeMultiCurrency }
func (AppTimes) fits(t Type) bool    { return t == TypeMultiAppTime }
func (Strings) fits(t Type) bool     { return t == TypeMultiString }
func (Strings8) fits(t Type) bool    { return t == TypeMultiString8 }
func (Binaries) fits(t Type) bool    { return t == TypeMultiBinary }
func (Times) fits(t Type) bool       { return t == TypeMultiTime }
func (GUIDs) fits(t Type) bool       { return t == TypeMultiGUID }
func (Opaque) fits(t Type) bool      { return parsers[t] == nil }
func (Reference) fits(t Type) bool {
	return t == TypeString || t == TypeString8 || t == TypeBinary || parsers[t] == nil
}

func (Null) appendStored(dst []byte) []byte        { return dst }
func (v Integer16) appendStored(dst []byte) []byte { return wire.AppendVarint(dst, int64(v)) }
func (v Integer32) appendStored(dst []byte) []byte { return wire.AppendVarint(dst, int64(v)) }
func (v Integer64) appendStored(dst []byte) []byte { return wire.AppendVarint(dst, int64(v)) }
func (v Currency) appendStored(dst []byte) []byte  { return wire.AppendVarint(dst, int64(v)) }
func (v ErrorCode) appendStored(dst []byte) []byte { return wire.AppendUvarint(dst, uint64(v)) }
func (v FileTime) appendStored(dst []byte) []byte  { return wire.AppendFixed64(dst, uint64(v)) }
func (g GUID) appendStored(dst []byte) []byte      { return append(dst, g[:]...) }
func (v String) appendStored(dst []byte) []byte    { return append(dst, v...) }
func (v String8) appendStored(dst []byte) []byte   { return append(dst, v...) }
func (v Binary) appendStored(dst []byte) []byte    { return append(dst, v...) }
func (v Opaque) appendStored(dst []byte) []byte    { return append(dst, v...) }

func (v Floating32) appendStored(dst []byte) []byte {
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v)))
}

func (v Floating64) appendStored(dst []byte) []byte {
	return wire.AppendFixed64(dst, math.Float64bits(float64(v)))
}

func (v AppTime) appendStored(dst []byte) []byte { return Floating64(v).appendStored(dst) }

func (v Boolean) appendStored(dst []byte) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func (v Reference) appendStored(dst []byte) []byte {
	for _, r := range v {
		dst = wire.AppendUvarint(append(dst, r.Hash[:]...), uint64(r.Size))
	}
	return dst
}

// Size is the length of the content that the value stands for.
func (v Reference) Size() uint64 {
	n := uint64(0)
	for _, r := range v {
		n += uint64(r.Size)
	}
	return n
}

func (v Integers16) appendStored(dst []byte) []byte {
	return appendEach(dst, v, func(dst []byte, e int16) []byte { return Integer16(e).appendStored(dst) })
}

func (v Integers32) appendStored(dst []byte) []byte {
	return appendEach(dst, v, func(dst []byte, e int32) []byte { return Integer32(e).appendStored(dst) })
}

func (v Integers64) appendStored(dst []byte) []byte { return appendEach(dst, v, wire.AppendVarint) }
func (v Currencies) appendStored(dst []byte) []byte { return appendEach(dst, v, wire.AppendVarint) }

func (v Floatings32) appendStored(dst []byte) []byte {
	return appendEach(dst, v, func(dst []byte, e float32) []byte { return Floating32(e).appendStored(dst) })
}

func (v Floatings64) appendStored(dst []byte) []byte {
	return appendEach(dst, v, func(dst []byte, e float64) []byte { return Floating64(e).appendStored(dst) })
}

func (v AppTimes) appendStored(dst []byte) []byte { return Floatings64(v).appendStored(dst) }
func (v Strings) appendStored(dst []byte) []byte  { return appendEach(dst, v, wire.AppendString) }
func (v Strings8) appendStored(dst []byte) []byte { return appendEach(dst, v, wire.AppendString) }
func (v Binaries) appendStored(dst []byte) []byte { return appendEach(dst, v, wire.AppendBytes) }

func (v Times) appendStored(dst []byte) []byte {
	return appendEach(dst, v, func(dst []byte, e FileTime) []byte { return e.appendStored(dst) })
}

func (v GUIDs) appendStored(dst []byte) []byte {
	return appendEach(dst, v, func(dst []byte, e GUID) []byte { return e.appendStored(dst) })
}

func appendEach[E any](dst []byte, list []E, put func([]byte, E) []byte) []byte {
	for _, e := range list {
		dst = put(dst, e)
	}
	return dst
}

// parsers reads the payload of each type we take apart; whatever is not here is Opaque.
var parsers = map[Type]func(r *wire.Reader) Value{
	TypeNull:       func(*wire.Reader) Value { return Null{} },
	TypeInteger16:  func(r *wire.Reader) Value { return Integer16(takeInt(r, 16)) },
	TypeInteger32:  func(r *wire.Reader) Value { return Integer32(takeInt(r, 32)) },
	TypeInteger64:  func(r *wire.Reader) Value { return Integer64(r.Varint()) },
	TypeFloating32: func(r *wire.Reader) Value { return Floating32(takeFloat32(r)) },
	TypeFloating64: func(r *wire.Reader) Value { return Floating64(math.Float64frombits(r.Fixed64())) },
	TypeCurrency:   func(r *wire.Reader) Value { return Currency(r.Varint()) },
	TypeAppTime:    func(r *wire.Reader) Value { return AppTime(math.Float64frombits(r.Fixed64())) },
	TypeErrorCode:  func(r *wire.Reader) Value { return ErrorCode(takeUint32(r)) },
	TypeBoolean:    func(r *wire.Reader) Value { return Boolean(takeBool(r)) },
	TypeString:     func(r *wire.Reader) Value { return String(takeUTF8(r, r.Take(r.Len()))) },
	TypeString8:    func(r *wire.Reader) Value { return String8(r.Take(r.Len())) },
	TypeBinary:     func(r *wire.Reader) Value { return Binary(append([]byte{}, r.Take(r.Len())...)) },
	TypeTime:       func(r *wire.Reader) Value { return FileTime(r.Fixed64()) },
	TypeGUID:       func(r *wire.Reader) Value { return takeGUID(r) },

	TypeMultiInteger16: func(r *wire.Reader) Value {
		return Integers16(takeEach(r, func(r *wire.Reader) int16 { return int16(takeInt(r, 16)) }))
	},
	TypeMultiInteger32: func(r *wire.Reader) Value {
		return Integers32(takeEach(r, func(r *wire.Reader) int32 { return int32(takeInt(r, 32)) }))
	},
	TypeMultiInteger64:  func(r *wire.Reader) Value { return Integers64(takeEach(r, (*wire.Reader).Varint)) },
	TypeMultiFloating32: func(r *wire.Reader) Value { return Floatings32(takeEach(r, takeFloat32)) },
	TypeMultiFloating64: func(r *wire.Reader) Value { return Floatings64(takeEach(r, takeFloat64)) },
	TypeMultiCurrency:   func(r *wire.Reader) Value { return Currencies(takeEach(r, (*wire.Reader).Varint)) },
	TypeMultiAppTime:    func(r *wire.Reader) Value { return AppTimes(takeEach(r, takeFloat64)) },
	TypeMultiString: func(r *wire.Reader) Value {
		return Strings(takeEach(r, func(r *wire.Reader) string { return takeUTF8(r, r.Bytes()) }))
	},
	TypeMultiString8: func(r *wire.Reader) Value { return Strings8(takeEach(r, (*wire.Reader).String)) },
	TypeMultiBinary: func(r *wire.Reader) Value {
		return Binaries(takeEach(r, func(r *wire.Reader) []byte { return append([]byte{}, r.Bytes()...) }))
	},
	TypeMultiTime: func(r *wire.Reader) Value {
		return Times(takeEach(r, func(r *wire.Reader) FileTime { return FileTime(r.Fixed64()) }))
	},
	TypeMultiGUID: func(r *wire.Reader) Value { return GUIDs(takeEach(r, takeGUID)) },
}

// takeEach reads elements to the end of the payload; each takes at least a byte, which bounds the list.
func takeEach[E any](r *wire.Reader, take func(*wire.Reader) E) []E {
	list := []E{}
	for r.Len() > 0 {
		list = append(list, take(r))
	}
	return list
}

func takeInt(r *wire.Reader, bits uint) int64 {
	n := r.Varint()
	if limit := int64(1) << (bits - 1); n < -limit || n >= limit {
		r.Fail(ErrBadValue)
		return 0
	}
	return n
}

func takeUint32(r *wire.Reader) uint32 {
	n := r.Uvarint()
	if n > math.MaxUint32 {
		r.Fail(ErrBadValue)
		return 0
	}
	return uint32(n)
}

func takeBool(r *wire.Reader) bool {
	b := r.Byte()
	if b > 1 {
		r.Fail(ErrBadValue)
	}
	return b == 1
}

func takeFloat32(r *wire.Reader) float32 {
	b := r.Take(4)
	if len(b) != 4 {
		return 0
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(b))
}

func takeFloat64(r *wire.Reader) float64 { return math.Float64frombits(r.Fixed64()) }

func takeUTF8(r *wire.Reader, b []byte) string {
	if !utf8.Valid(b) {
		r.Fail(ErrBadValue)
		return ""
	}
	return string(b)
}

func takeGUID(r *wire.Reader) GUID {
	var g GUID
	copy(g[:], r.Take(len(g)))
	return g
}

func takeReference(r *wire.Reader) Reference {
	var refs Reference
	for r.Len() > 0 {
		var c ContentRef
		copy(c.Hash[:], r.Take(len(c.Hash)))
		c.Size = takeUint32(r)
		refs = append(refs, c)
	}
	return refs
}

// parseStored reads one payload; nothing of the value refers to b.
func parseStored(t Type, b []byte, reference bool) (Value, error) {
	return takeStored(t, wire.NewReader(b), reference)
}

// takeStored is parseStored of all that r has.
func takeStored(t Type, r *wire.Reader, reference bool) (Value, error) {
	var v Value
	switch parse := parsers[t]; {
	case reference:
		v = takeReference(r)
		if !v.fits(t) {
			r.Fail(ErrBadValue)
		}
	case parse != nil:
		v = parse(r)
	default:
		v = Opaque(append([]byte{}, r.Take(r.Len())...))
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("type %#04x: %w", uint16(t), errors.Join(ErrBadValue, err))
	}
	return v, nil
}

// AppendValue adds the payload of v's storage form: of a string its UTF-8, of Binary its bytes.
func AppendValue(dst []byte, v Value) []byte { return v.appendStored(dst) }
