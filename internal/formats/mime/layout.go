package mime

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// LayoutForm names a way of encoding that can be done again. The numbers reach disk.
type LayoutForm uint8

// The forms. Quoted-printable has two: mailers agree in nearly everything but whether the last character of a line
// may stand in column 76.
const (
	LayoutBase64   LayoutForm = 1
	LayoutQP75     LayoutForm = 2 // no character in column 76 but "="
	LayoutQP76     LayoutForm = 3 // one, when the line ends after it
	qpWidth                   = 76
	maxLineLen                = 1 << 20
	maxFinalBreaks            = 255
)

// Layout describes how content was encoded, so exactly that Encoder gives the received bytes back (MAILBOX 3). Line
// ends are CRLF.
type Layout struct {
	Form LayoutForm
	// LineLen is the number of base64 digits in every line but the last; 0 when there is only one line.
	LineLen int
	// Final is the number of line ends after the last base64 digit.
	Final int
}

// ErrLayout is the kind of the error for a layout that no Layout.Append made.
var ErrLayout = errors.New("damaged transfer layout")

// Append appends the layout's stored form, 1 to 5 bytes.
func (l Layout) Append(b []byte) []byte {
	b = append(b, byte(l.Form))
	if l.Form != LayoutBase64 {
		return b
	}
	return append(binary.AppendUvarint(b, uint64(l.LineLen)), byte(l.Final))
}

// ParseLayout reads the stored form of a layout from the beginning of b and returns the rest.
func ParseLayout(b []byte) (l Layout, rest []byte, err error) {
	if len(b) == 0 {
		return l, nil, fmt.Errorf("%w: empty", ErrLayout)
	}
	l.Form, b = LayoutForm(b[0]), b[1:]
	switch l.Form {
	case LayoutQP75, LayoutQP76:
		return l, b, nil
	case LayoutBase64:
		v, n := binary.Uvarint(b)
		if n <= 0 || v > maxLineLen || len(b) <= n {
			return Layout{}, nil, fmt.Errorf("%w: line length", ErrLayout)
		}
		l.LineLen, l.Final = int(v), int(b[n])
		return l, b[n+1:], nil
	}
	return Layout{}, nil, fmt.Errorf("%w: form %d", ErrLayout, l.Form)
}

// EncodedSize is the number of octets that n octets of content have in a base64 layout. For quoted-printable it
// depends on the content, and ok is false.
func (l Layout) EncodedSize(n int64) (size int64, ok bool) {
	if l.Form != LayoutBase64 {
		return 0, false
	}
	digits := (n + 2) / 3 * 4
	size = digits + 2*int64(l.Final)
	if l.LineLen > 0 && digits > 0 {
		size += (digits - 1) / int64(l.LineLen) * 2
	}
	return size, true
}

// Encoder encodes what is written to it. Close writes the end and does not close w.
func (l Layout) Encoder(w io.Writer) io.WriteCloser {
	enc, _, _ := l.EncoderAt(w, 0, 0)
	return enc
}

// EncoderAt begins in the middle, for ranged reads of content of size octets: to get the encoded bytes from offset off
// on, write the content from offset from on, and pass over the first skip bytes. Quoted-printable always begins at 0.
func (l Layout) EncoderAt(w io.Writer, off, size int64) (enc io.WriteCloser, from, skip int64) {
	if l.Form != LayoutBase64 {
		return &qpEncoder{w: w, form: l.Form}, 0, off
	}
	digit, lineLen := off, int64(l.LineLen)
	if lineLen > 0 {
		digit = off/(lineLen+2)*lineLen + min(off%(lineLen+2), lineLen)
	}
	digit = min(digit-digit%4, (size+2)/3*4)
	start, col := digit, digit
	if lineLen > 0 && digit > 0 {
		breaks := (digit - 1) / lineLen // at the end of a line the break is still to come
		start, col = digit+2*breaks, digit-breaks*lineLen
	}
	return &base64Encoder{w: w, layout: l, col: int(col)}, min(digit/4*3, size), off - start
}

// base64Encoder breaks a line just before the digit that no longer fits, so the last line has no break of its own.
type base64Encoder struct {
	w      io.Writer
	layout Layout
	col    int
	carry  [3]byte
	n      int // bytes in carry
	digits []byte
	out    []byte
}

const encoderChunk = 24 << 10 // a multiple of 3

func (e *base64Encoder) Write(p []byte) (int, error) {
	total := len(p)
	if e.n > 0 {
		k := copy(e.carry[e.n:], p)
		e.n, p = e.n+k, p[k:]
		if e.n < 3 {
			return total, nil
		}
		if err := e.emit(e.carry[:]); err != nil {
			return 0, err
		}
		e.n = 0
	}
	for len(p) >= 3 {
		k := min(len(p)/3*3, encoderChunk)
		if err := e.emit(p[:k]); err != nil {
			return 0, err
		}
		p = p[k:]
	}
	e.n = copy(e.carry[:], p)
	return total, nil
}

func (e *base64Encoder) emit(p []byte) error {
	e.digits = base64.StdEncoding.AppendEncode(e.digits[:0], p)
	digits := e.digits
	if e.layout.LineLen == 0 {
		_, err := e.w.Write(digits)
		return err
	}
	e.out = e.out[:0]
	for len(digits) > 0 {
		if e.col == e.layout.LineLen {
			e.out, e.col = append(e.out, '\r', '\n'), 0
		}
		k := min(len(digits), e.layout.LineLen-e.col)
		e.out, digits, e.col = append(e.out, digits[:k]...), digits[k:], e.col+k
	}
	_, err := e.w.Write(e.out)
	return err
}

func (e *base64Encoder) Close() error {
	if e.n > 0 {
		n := e.n
		e.n = 0
		if err := e.emit(e.carry[:n]); err != nil {
			return err
		}
	}
	_, err := e.w.Write(bytes.Repeat([]byte("\r\n"), e.layout.Final))
	return err
}

// qpEncoder breaks lines as late as it may and encodes what RFC 2045 6.7 demands. It looks two bytes ahead.
type qpEncoder struct {
	w     io.Writer
	form  LayoutForm
	col   int
	ahead []byte
	out   []byte
}

func (e *qpEncoder) Write(p []byte) (int, error) {
	for chunk := range chunks(p, 16<<10) {
		e.ahead = append(e.ahead, chunk...)
		if err := e.drain(2); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (e *qpEncoder) Close() error { return e.drain(0) }

// drain encodes all but the last keep bytes.
func (e *qpEncoder) drain(keep int) error {
	e.out = e.out[:0]
	i := 0
	for len(e.ahead)-i > keep {
		i += e.next(e.ahead[i:])
	}
	e.ahead = e.ahead[:copy(e.ahead, e.ahead[i:])]
	_, err := e.w.Write(e.out)
	return err
}

// next encodes the byte, or the line end, with which b begins.
func (e *qpEncoder) next(b []byte) int {
	if isCRLF(b) {
		e.out, e.col = append(e.out, '\r', '\n'), 0
		return 2
	}
	atEnd := len(b) == 1 || isCRLF(b[1:])
	width := 1
	if !qpLiteral(b[0], atEnd) {
		width = 3
	}
	fits := e.col+width <= qpWidth-1 || e.form == LayoutQP76 && atEnd && e.col+width == qpWidth
	if !fits {
		e.out, e.col = append(e.out, '=', '\r', '\n'), 0
	}
	e.col += width
	if width == 1 {
		e.out = append(e.out, b[0])
	} else {
		const hex = "0123456789ABCDEF"
		e.out = append(e.out, '=', hex[b[0]>>4], hex[b[0]&15])
	}
	return 1
}

func isCRLF(b []byte) bool { return len(b) >= 2 && b[0] == '\r' && b[1] == '\n' }

// qpLiteral tells the bytes that stand for themselves; white space does not at the end of a line.
func qpLiteral(c byte, atEnd bool) bool {
	if c == ' ' || c == '\t' {
		return !atEnd
	}
	return c > ' ' && c < 0x7f && c != '='
}

// chunks cuts p into pieces of at most n bytes.
func chunks(p []byte, n int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(p) > 0 {
			k := min(n, len(p))
			if !yield(p[:k]) {
				return
			}
			p = p[k:]
		}
	}
}
