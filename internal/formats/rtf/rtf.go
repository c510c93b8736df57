// Package rtf knows Rich Text Format as messages carry it: the compression of PidTagRtfCompressed (MS-OXRTFCP), the
// way HTML and plain text are hidden in RTF so that they come out again (MS-OXRTFEX), and the text of RTF that hides
// neither. It knows bytes and UTF-8; it never knows a property or a message.
//
// Invariants: no input panics; every output is bounded by a limit that the caller gives or by a small multiple of the
// input; what Compress and Encapsulate write is read back to the same bytes.
package rtf

import (
	"errors"
	"strings"
)

var (
	// ErrDamaged says that bytes are not what they should be: a size or a checksum is wrong, or they end too early.
	ErrDamaged = errors.New("damaged RTF")
	// ErrTooLarge says that the result would be beyond the limit.
	ErrTooLarge = errors.New("RTF beyond the limit")
)

// tokenKind tells the elements of the syntax apart.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenOpen
	tokenClose
	tokenWord   // \name, perhaps with a number
	tokenSymbol // \ and one character that is no letter
	tokenByte   // \'hh
	tokenText   // a run of other bytes
)

// token is one element. Text points into the input.
type token struct {
	kind   tokenKind
	name   string // of a word or symbol
	number int
	// numbered says that the word has a number.
	numbered bool
	text     []byte
}

// maxNumber bounds a number in a control word; what is beyond says nothing sensible.
const maxNumber = 1 << 30

// maxWord is the longest control word (RTF 1.9.1: 32 letters).
const maxWord = 32

// lexer splits RTF into tokens.
type lexer struct{ rest []byte }

func (l *lexer) next() token {
	for len(l.rest) > 0 && (l.rest[0] == '\r' || l.rest[0] == '\n') {
		l.rest = l.rest[1:]
	}
	if len(l.rest) == 0 {
		return token{}
	}
	switch l.rest[0] {
	case '{':
		l.rest = l.rest[1:]
		return token{kind: tokenOpen}
	case '}':
		l.rest = l.rest[1:]
		return token{kind: tokenClose}
	case '\\':
		return l.control()
	}
	n := 0
	for n < len(l.rest) && !strings.ContainsRune("{}\\\r\n", rune(l.rest[n])) {
		n++
	}
	t := token{kind: tokenText, text: l.rest[:n]}
	l.rest = l.rest[n:]
	return t
}

// control reads what a backslash begins.
func (l *lexer) control() token {
	b := l.rest[1:]
	if len(b) == 0 {
		l.rest = nil
		return token{}
	}
	if b[0] == '\'' && len(b) >= 3 && unhex(b[1]) >= 0 && unhex(b[2]) >= 0 {
		l.rest = b[3:]
		return token{kind: tokenByte, number: unhex(b[1])<<4 | unhex(b[2])}
	}
	n := 0
	for n < len(b) && n < maxWord && isLetter(b[n]) {
		n++
	}
	if n == 0 {
		l.rest = b[1:]
		return token{kind: tokenSymbol, name: string(b[:1])}
	}
	t := token{kind: tokenWord, name: string(b[:n])}
	b = t.parameter(b[n:])
	if len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	if t.name == "bin" {
		b = b[min(len(b), max(0, t.number)):]
	}
	l.rest = b
	return t
}

// parameter reads the number behind a word.
func (t *token) parameter(b []byte) []byte {
	i, sign := 0, 1
	if len(b) > 1 && b[0] == '-' && isDigit(b[1]) {
		i, sign = 1, -1
	}
	for ; i < len(b) && isDigit(b[i]); i++ {
		t.numbered = true
		t.number = min(t.number*10+int(b[i]-'0'), maxNumber)
	}
	t.number *= sign
	return b[i:]
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// unhex is the value of a hexadecimal digit, -1 for any other byte.
func unhex(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
