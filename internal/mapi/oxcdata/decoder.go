package oxcdata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Decoder reads structures one after the other.
type Decoder struct {
	r     *wire.Reader
	whole []byte
	form  widths
	// depth is how deep in restrictions and rule actions the decoder stands; nodes counts those it has read.
	depth, nodes int
}

// NewDecoder reads b from the start.
func NewDecoder(b []byte, f Form) *Decoder {
	return &Decoder{r: wire.NewReader(b), whole: b, form: f.widths()}
}

// Len is how many bytes are left; nought after an error.
func (d *Decoder) Len() int { return d.r.Len() }

// Err is the first error.
func (d *Decoder) Err() error { return kind(d.r.Err()) }

// Close is the first error; bytes left over are one.
func (d *Decoder) Close() error { return kind(d.r.Close()) }

// kind gives an error of the reader a kind, unless it has one.
func kind(err error) error {
	if err == nil || errors.Is(err, ErrMalformed) || errors.Is(err, mapi.ErrTooComplex) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// Fail records err, unless an error came before, and ends the input.
func (d *Decoder) Fail(err error) { d.r.Fail(err) }

// Failf records a malformation.
func (d *Decoder) Failf(format string, args ...any) {
	d.r.Fail(fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...)))
}

// Uint8 reads a byte.
func (d *Decoder) Uint8() uint8 { return d.r.Byte() }

// Uint16 reads two bytes, the lowest first, as all numbers are.
func (d *Decoder) Uint16() uint16 {
	b := d.r.Take(2)
	if len(b) < 2 {
		return 0
	}
	return binary.LittleEndian.Uint16(b)
}

// Uint32 reads four bytes.
func (d *Decoder) Uint32() uint32 {
	b := d.r.Take(4)
	if len(b) < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

// Uint64 reads eight bytes.
func (d *Decoder) Uint64() uint64 { return d.r.Fixed64() }

// Bool reads one byte, which is 0 or 1.
func (d *Decoder) Bool() bool { return d.flag(1) }

func (d *Decoder) flag(size int) bool {
	n := d.Number(size)
	if n > 1 {
		d.Failf("boolean %d", n)
	}
	return n == 1
}

// Number reads so many bytes, the lowest first.
func (d *Decoder) Number(size int) int {
	n := 0
	for i, b := range d.r.Take(size) {
		n |= int(b) << (8 * i)
	}
	return n
}

// GUID reads 16 bytes.
func (d *Decoder) GUID() (g mapi.GUID) {
	copy(g[:], d.r.Take(len(g)))
	return g
}

// Bytes reads n bytes and copies them.
func (d *Decoder) Bytes(n int) []byte { return append([]byte{}, d.r.Take(n)...) }

// field reads a type, an operator or a short count, which has 8 bits in whatever form.
func (d *Decoder) field() uint8 {
	n := d.Number(d.form.field)
	if n > math.MaxUint8 {
		d.Failf("%#x where 8 bits belong", n)
	}
	return uint8(n)
}

// counted reads bytes behind their COUNT.
func (d *Decoder) counted() []byte { return d.Bytes(d.Number(d.form.bytes)) }

// room is n, or how many elements of at least size bytes the input still has if that is less: what may be allocated
// before they are read.
func (d *Decoder) room(n, size int) int { return min(n, d.Len()/size+1) }

// String reads UTF-16 up to its NUL.
func (d *Decoder) String() string {
	rest := d.rest()
	for i := 0; i+1 < len(rest); i += 2 {
		if rest[i] == 0 && rest[i+1] == 0 {
			s := fromUTF16(rest[:i])
			d.r.Take(i + 2)
			return s
		}
	}
	d.r.Fail(wire.ErrTruncated)
	return ""
}

// String8 reads bytes up to their NUL.
func (d *Decoder) String8() string {
	for i, b := range d.rest() {
		if b == 0 {
			return string(d.r.Take(i + 1)[:i])
		}
	}
	d.r.Fail(wire.ErrTruncated)
	return ""
}

// text reads the string of a property value.
func (d *Decoder) text() string {
	if !d.form.counted {
		return d.String()
	}
	b := d.r.Take(d.Number(2))
	if len(b)%2 != 0 {
		d.Failf("UTF-16 of %d bytes", len(b))
	}
	return untilNUL(fromUTF16(b))
}

func (d *Decoder) text8() string {
	if !d.form.counted {
		return d.String8()
	}
	return untilNUL(string(d.r.Take(d.Number(2))))
}

// UTF16 reads so many characters of UTF-16 that no NUL ends.
func (d *Decoder) UTF16(characters int) string {
	return fromUTF16(d.r.Take(2 * min(characters, d.Len()+1)))
}

// rest is what is left, to look at.
func (d *Decoder) rest() []byte { return d.whole[len(d.whole)-d.r.Len():] }

// fromUTF16 turns an even number of bytes into UTF-8.
func fromUTF16(b []byte) string {
	out := make([]byte, 0, len(b)/2+8)
	for i := 0; i+1 < len(b); i += 2 {
		r := rune(binary.LittleEndian.Uint16(b[i:]))
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
			continue
		}
		if utf16.IsSurrogate(r) {
			second := rune(0)
			if i+3 < len(b) {
				second = rune(binary.LittleEndian.Uint16(b[i+2:]))
			}
			if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
				i += 2
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}
