package oxcdata

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Encoder writes structures one after the other and keeps its first error, which is ErrTooLong or one of mapi's about
// what it was given.
type Encoder struct {
	b    []byte
	form widths
	err  error
}

// NewEncoder writes behind dst.
func NewEncoder(dst []byte, f Form) *Encoder { return &Encoder{b: dst, form: f.widths()} }

// Bytes is all that was written, with what it was written behind, or the first error.
func (e *Encoder) Bytes() ([]byte, error) {
	if e.err != nil {
		return nil, e.err
	}
	return e.b, nil
}

// Fail records err, unless an error came before.
func (e *Encoder) Fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

// Uint8 writes a byte.
func (e *Encoder) Uint8(n uint8) { e.b = append(e.b, n) }

// Uint16 writes two bytes, the lowest first.
func (e *Encoder) Uint16(n uint16) { e.b = binary.LittleEndian.AppendUint16(e.b, n) }

// Uint32 writes four bytes.
func (e *Encoder) Uint32(n uint32) { e.b = binary.LittleEndian.AppendUint32(e.b, n) }

// Uint64 writes eight bytes.
func (e *Encoder) Uint64(n uint64) { e.b = binary.LittleEndian.AppendUint64(e.b, n) }

// Bool writes one byte.
func (e *Encoder) Bool(v bool) { e.flag(v, 1) }

func (e *Encoder) flag(v bool, size int) {
	n := 0
	if v {
		n = 1
	}
	e.Number(n, size)
}

// GUID writes 16 bytes.
func (e *Encoder) GUID(g mapi.GUID) { e.b = append(e.b, g[:]...) }

// Raw writes b as it is.
func (e *Encoder) Raw(b []byte) { e.b = append(e.b, b...) }

// Number writes n in so many bytes, if it fits.
func (e *Encoder) Number(n, bytes int) {
	if uint64(n) > math.MaxUint64>>(64-8*bytes) {
		e.Fail(fmt.Errorf("count of %d in %d bytes: %w", n, bytes, ErrTooLong))
	}
	for range bytes {
		e.Uint8(uint8(n))
		n >>= 8
	}
}

// counted writes b behind its COUNT.
func (e *Encoder) counted(b []byte) {
	e.Number(len(b), e.form.bytes)
	e.Raw(b)
}

// Sized calls write and puts how many bytes it wrote in front, as a number of so many bytes.
func (e *Encoder) Sized(bytes int, write func()) {
	start := len(e.b)
	e.Number(0, bytes)
	write()
	n := len(e.b) - start - bytes
	end := len(e.b)
	e.b = e.b[:start]
	e.Number(n, bytes)
	e.b = e.b[:end]
}

// String writes s in UTF-16 with a NUL behind.
func (e *Encoder) String(s string) {
	e.b = appendUTF16(e.b, untilNUL(s))
	e.Uint16(0)
}

// String8 writes s with a NUL behind.
func (e *Encoder) String8(s string) {
	e.b = append(append(e.b, untilNUL(s)...), 0)
}

// UTF16 writes s in UTF-16 behind the number of its characters in so many bytes.
func (e *Encoder) UTF16(s string, bytes int) {
	units := appendUTF16(nil, s)
	e.Number(len(units)/2, bytes)
	e.Raw(units)
}

// text writes the string of a property value.
func (e *Encoder) text(s string) {
	if !e.form.counted {
		e.String(s)
		return
	}
	e.Sized(2, func() { e.String(s) })
}

func (e *Encoder) text8(s string) {
	if !e.form.counted {
		e.String8(s)
		return
	}
	e.Sized(2, func() { e.String8(s) })
}

func untilNUL(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

func appendUTF16(dst []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			dst = append(dst, byte(r), 0)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			dst = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(dst, uint16(high)), uint16(low))
		default:
			dst = binary.LittleEndian.AppendUint16(dst, uint16(r))
		}
	}
	return dst
}
