package query

import (
	"crypto/sha256"
	"encoding/binary"
	"math"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// A sort key is bytes that order as the sort order does: the encoded values of its columns one behind the other, those
// of descending columns inverted. Each ends where it says itself, so headings are found in the key.

// The forms of a value, its first byte. What is absent comes first (mapi.CompareForSort).
const (
	formAbsent = 0x00
	formNumber = 0x01 // eight bytes
	formBytes  = 0x02 // bytes with 0 as 0 FF, then an end
	formList   = 0x03 // values, then formAbsent
)

// The ends of bytes, behind a 0: those of a value that is whole, and of one that was cut, which has a hash behind.
const (
	endWhole  = 0x00
	endCut    = 0x01
	zeroByte  = 0xFF
	hashBytes = 8
)

const (
	// keyBytes is how much of a string or binary value orders. Longer ones that begin alike are in an order of their
	// own, and different.
	keyBytes = 64
	// keyElements is how many elements of a list order.
	keyElements = 16
)

// column is one key of a sort order.
type column struct {
	tag        mapi.Tag
	descending bool
	// spread: the list's values make rows, each its own.
	spread bool
}

// append adds the column's part of the key of a row's instance.
func (c column) append(dst []byte, v mapi.Value, instance uint32) []byte {
	if c.spread {
		v = element(v, instance)
	}
	return c.direct(appendValue(dst, v), len(dst))
}

// bound is what keys of rows whose value is v, or orders behind it, are not in front of. Values that were cut are in no
// order that a value could be held against, so it is in front of all that begin alike.
func (c column) bound(v mapi.Value) []byte {
	if b, is := asBytes(v); is {
		return c.direct(appendStart([]byte{formBytes}, b), 0)
	}
	return c.direct(appendValue(nil, v), 0)
}

// direct inverts what stands from a place on if the column is descending.
func (c column) direct(key []byte, from int) []byte {
	if c.descending {
		for i := from; i < len(key); i++ {
			key[i] = ^key[i]
		}
	}
	return key
}

// element is a value of a list; what is no list is its own only value.
func element(v mapi.Value, i uint32) mapi.Value {
	list := mapi.Elements(v)
	switch {
	case list == nil:
		return v
	case int(i) < len(list):
		return list[i]
	}
	return nil
}

// end is where the column's part that begins at a place of a key ends: at the key's end, if it is not whole.
func (c column) end(key []byte, at int) int {
	invert := byte(0)
	if c.descending {
		invert = 0xFF
	}
	return valueEnd(key, at, invert)
}

func valueEnd(key []byte, at int, invert byte) int {
	if at >= len(key) {
		return len(key)
	}
	switch key[at] ^ invert {
	case formNumber:
		return min(at+1+8, len(key))
	case formBytes:
		return bytesEnd(key, at+1, invert)
	case formList:
		for at++; at < len(key) && key[at]^invert != formAbsent; {
			at = valueEnd(key, at, invert)
		}
	}
	return min(at+1, len(key))
}

func bytesEnd(key []byte, at int, invert byte) int {
	for ; at+1 < len(key); at++ {
		if key[at]^invert != 0 {
			continue
		}
		at++
		switch key[at] ^ invert {
		case endWhole:
			return at + 1
		case endCut:
			return min(at+1+hashBytes, len(key))
		}
	}
	return len(key)
}

func appendValue(dst []byte, v mapi.Value) []byte {
	if v == nil {
		return append(dst, formAbsent)
	}
	if n, is := asNumber(v); is {
		return binary.BigEndian.AppendUint64(append(dst, formNumber), n)
	}
	if b, is := asBytes(v); is {
		return appendBytes(append(dst, formBytes), b)
	}
	list := mapi.Elements(v)
	dst = append(dst, formList)
	for i, e := range list {
		if i == keyElements {
			dst = appendBytes(append(dst, formBytes), hashOf(mapi.AppendValue(nil, v)))
			break
		}
		dst = appendValue(dst, e)
	}
	return append(dst, formAbsent)
}

// asNumber is a value that orders as a number, which orders as it does.
func asNumber(v mapi.Value) (uint64, bool) {
	const sign = 1 << 63
	switch v := v.(type) {
	case mapi.Integer16:
		return uint64(v) ^ sign, true
	case mapi.Integer32:
		return uint64(v) ^ sign, true
	case mapi.Integer64:
		return uint64(v) ^ sign, true
	case mapi.Currency:
		return uint64(v) ^ sign, true
	case mapi.FileTime:
		return uint64(v), true
	case mapi.ErrorCode:
		return uint64(v), true
	case mapi.Boolean:
		if v {
			return 1, true
		}
		return 0, true
	case mapi.Null:
		return 0, true
	}
	return asFloat(v)
}

func asFloat(v mapi.Value) (uint64, bool) {
	var f float64
	switch v := v.(type) {
	case mapi.Floating32:
		f = float64(v)
	case mapi.Floating64:
		f = float64(v)
	case mapi.AppTime:
		f = float64(v)
	default:
		return 0, false
	}
	switch bits := math.Float64bits(f); {
	case math.IsNaN(f):
		return 0, true // below all others, as cmp.Compare has it
	case f == 0:
		return 1 << 63, true // of either sign
	case f < 0:
		return ^bits, true
	default:
		return bits | 1<<63, true
	}
}

// asBytes is a value that orders as bytes: strings folded, as mapi.Compare does.
func asBytes(v mapi.Value) ([]byte, bool) {
	switch v := v.(type) {
	case mapi.String:
		return []byte(mapi.Fold(string(v))), true
	case mapi.String8:
		return []byte(mapi.Fold(string(v))), true
	case mapi.Binary:
		return v, true
	case mapi.GUID:
		return v[:], true
	case mapi.Opaque:
		return v, true
	case mapi.Reference:
		return nil, true // whoever has content gives its bytes; without them all are equal
	}
	return nil, false
}

func appendBytes(dst, b []byte) []byte {
	dst = appendStart(dst, b)
	if len(b) <= keyBytes {
		return append(dst, 0, endWhole)
	}
	return append(append(dst, 0, endCut), hashOf(b)...)
}

// appendStart adds what orders of bytes, without the end: it is in front of all values that begin so.
func appendStart(dst, b []byte) []byte {
	for _, c := range b[:min(len(b), keyBytes)] {
		dst = append(dst, c)
		if c == 0 {
			dst = append(dst, zeroByte)
		}
	}
	return dst
}

func hashOf(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:hashBytes]
}
