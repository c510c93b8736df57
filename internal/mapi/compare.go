package mapi

import (
	"bytes"
	"cmp"
	"slices"
)

// Compare orders two values: numbers by size, whatever their width; strings without case (see Fold); times, booleans
// (false first), error codes; GUIDs and other bytes by their bytes; lists element by element. ok says whether they
// compare at all: a number and a string do not, nor does what is kept as a Reference, which whoever reads values from a
// store puts the bytes in the place of.
func Compare(a, b Value) (order int, ok bool) {
	if x, is := integer(a); is {
		y, is := integer(b)
		return cmp.Compare(x, y), is
	}
	if x, is := text(a); is {
		y, is := text(b)
		return CompareFold(x, y), is
	}
	if x, is := float(a); is {
		y, is := float(b)
		return cmp.Compare(x, y), is
	}
	if x, is := octets(a); is {
		y, is := octets(b)
		return bytes.Compare(x, y), is
	}
	return compareOthers(a, b)
}

func compareOthers(a, b Value) (order int, ok bool) {
	switch x := a.(type) {
	case FileTime:
		y, is := b.(FileTime)
		return cmp.Compare(x, y), is
	case ErrorCode:
		y, is := b.(ErrorCode)
		return cmp.Compare(x, y), is
	case Boolean:
		y, is := b.(Boolean)
		return cmp.Compare(bit(x), bit(y)), is
	case Null:
		_, is := b.(Null)
		return 0, is
	case Reference, nil:
		return 0, false
	}
	return compareLists(a, b)
}

func compareLists(a, b Value) (order int, ok bool) {
	left, right := Elements(a), Elements(b)
	if left == nil || right == nil {
		return 0, false
	}
	ok = true
	order = slices.CompareFunc(left, right, func(x, y Value) int {
		order, is := Compare(x, y)
		ok = ok && is
		return order
	})
	return order, ok
}

// CompareForSort orders values of one column: what is absent comes first, and what does not compare is equal.
func CompareForSort(a, b Value) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	order, ok := Compare(a, b)
	if !ok {
		return 0
	}
	return order
}

func bit(b Boolean) int {
	if b {
		return 1
	}
	return 0
}

func integer(v Value) (int64, bool) {
	switch v := v.(type) {
	case Integer16:
		return int64(v), true
	case Integer32:
		return int64(v), true
	case Integer64:
		return int64(v), true
	case Currency:
		return int64(v), true
	}
	return 0, false
}

func float(v Value) (float64, bool) {
	switch v := v.(type) {
	case Floating32:
		return float64(v), true
	case Floating64:
		return float64(v), true
	case AppTime:
		return float64(v), true
	}
	return 0, false
}

func text(v Value) (string, bool) {
	switch v := v.(type) {
	case String:
		return string(v), true
	case String8:
		return string(v), true
	}
	return "", false
}

func octets(v Value) ([]byte, bool) {
	switch v := v.(type) {
	case Binary:
		return v, true
	case GUID:
		return v[:], true
	case Opaque:
		return v, true
	}
	return nil, false
}

// Elements is the values of a list one by one, not nil even if there are none; nil if v is no list.
func Elements(v Value) []Value {
	switch v := v.(type) {
	case Integers16:
		return each(v, func(e int16) Value { return Integer16(e) })
	case Integers32:
		return each(v, func(e int32) Value { return Integer32(e) })
	case Integers64:
		return each(v, func(e int64) Value { return Integer64(e) })
	case Currencies:
		return each(v, func(e int64) Value { return Currency(e) })
	case Strings:
		return each(v, func(e string) Value { return String(e) })
	case Strings8:
		return each(v, func(e string) Value { return String8(e) })
	case Binaries:
		return each(v, func(e []byte) Value { return Binary(e) })
	}
	return otherElements(v)
}

func otherElements(v Value) []Value {
	switch v := v.(type) {
	case Floatings32:
		return each(v, func(e float32) Value { return Floating32(e) })
	case Floatings64:
		return each(v, func(e float64) Value { return Floating64(e) })
	case AppTimes:
		return each(v, func(e float64) Value { return AppTime(e) })
	case Times:
		return each(v, func(e FileTime) Value { return e })
	case GUIDs:
		return each(v, func(e GUID) Value { return e })
	}
	return nil
}

func each[E any](list []E, value func(E) Value) []Value {
	out := make([]Value, len(list))
	for i, e := range list {
		out[i] = value(e)
	}
	return out
}

// SizeOf is how many bytes v takes as MS-OXCDATA 2.11.1 puts it on the wire, ends of strings counted, counts in front
// of bytes and lists not. Of a Reference it is what is kept, which for strings is UTF-8.
func SizeOf(v Value) uint64 {
	switch v := v.(type) {
	case Null, nil:
		return 0
	case Boolean:
		return 1
	case Integer16:
		return 2
	case Integer32, Floating32, ErrorCode:
		return 4
	case String:
		return utf16Size(string(v)) + 2
	case String8:
		return uint64(len(v)) + 1
	case Reference:
		return v.Size()
	}
	if b, ok := octets(v); ok {
		return uint64(len(b))
	}
	list := Elements(v)
	if list == nil {
		return 8
	}
	n := uint64(0)
	for _, e := range list {
		n += SizeOf(e)
	}
	return n
}

// utf16Size is how many bytes s takes in UTF-16.
func utf16Size(s string) uint64 {
	n := uint64(0)
	for _, r := range s {
		n += 2
		if r > 0xFFFF {
			n += 2
		}
	}
	return n
}
