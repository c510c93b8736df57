// Package oxcdata puts the nouns of MAPI on the wire and takes them off: property values, rows, restrictions, sort
// orders, recipients, entry ids (MS-OXCDATA), and the conditions and actions of rules (MS-OXORULE 2.2). It knows the
// bytes; what they mean is mapi's, who sends them in which request is the front-end's.
//
// Decoding never panics, allocates no more than a small multiple of its input, and nests no deeper than
// mapi.MaxRestrictionDepth. Nothing that was decoded refers to the input. A Decoder keeps its first error, which is of
// one of the kinds below, and reads zero values after it.
//
// Strings are UTF-8 in mapi and UTF-16 on the wire: halves of surrogate pairs become U+FFFD, and what lies behind a
// NUL is not sent, because there the wire's string ends.
package oxcdata

import "errors"

// Form is how wide counts are (MS-OXCDATA 2.11.1.1).
type Form uint8

const (
	// ROP is the form inside ROP buffers: counts of bytes and of operands have 16 bits, counts of values in a list 32.
	ROP Form = iota
	// Extended is the form inside extended rules, where every count has 32 bits (MS-OXORULE 2.2.4). It is also the form of
	// restrictions in our own records and calls, since everything fits it.
	Extended
	// Definition is the form inside PidTagSearchFolderDefinition (MS-OXOSRCH 2.2.1.2): types, operators and counts of
	// operands have 32 bits, booleans 16; counts of bytes and values have 16, and strings have one as well.
	Definition
)

// widths are the sizes in bytes of what differs between forms.
type widths struct {
	bytes    int // counts of bytes
	element  int // counts of bytes inside a list
	values   int // counts of values in a list
	operands int // counts of a restriction's operands
	field    int // types, operators, and a comment's count
	boolean  int
	counted  bool // strings stand behind a count of their bytes
}

func (f Form) widths() widths {
	switch f {
	case Extended:
		return widths{4, 4, 4, 4, 1, 1, false}
	case Definition:
		return widths{2, 4, 2, 4, 4, 2, true}
	}
	return widths{2, 2, 4, 2, 1, 1, false}
}

var (
	// ErrMalformed says that bytes are not what they should be.
	ErrMalformed = errors.New("malformed")
	// ErrTooLong says that something has no form on the wire because its count does not fit.
	ErrTooLong = errors.New("too long for its count")
)
