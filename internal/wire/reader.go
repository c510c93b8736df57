package wire

import (
	"encoding/binary"
	"math"
)

// Reader takes a Marshaler's bytes apart. It keeps its first error and returns zero values after it, so parsing reads
// straight and asks once, with Close. It never reads beyond its input and never allocates, but for String.
type Reader struct {
	b   []byte
	err error
}

// NewReader reads b from the start.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Reset reads b from the start, whatever came before.
func (r *Reader) Reset(b []byte) { *r = Reader{b: b} }

// Len is how many bytes are left; nought after an error.
func (r *Reader) Len() int { return len(r.b) }

// Err is the first error.
func (r *Reader) Err() error { return r.err }

// Close is the first error; bytes left over are one.
func (r *Reader) Close() error {
	if r.err == nil && len(r.b) > 0 {
		r.Fail(ErrLength)
	}
	return r.err
}

// Fail records err, unless an error came before, and ends the input.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// Uvarint reads what AppendUvarint wrote.
func (r *Reader) Uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		n := uint64(r.b[0])
		r.b = r.b[1:]
		return n
	}
	n, size := binary.Uvarint(r.b)
	switch {
	case size > 0:
		r.b = r.b[size:]
		return n
	case size == 0:
		r.Fail(ErrTruncated)
	default:
		r.Fail(ErrOverflow)
	}
	return 0
}

// Varint reads what AppendVarint wrote.
func (r *Reader) Varint() int64 { return unzigzag(r.Uvarint()) }

// Fixed64 reads what AppendFixed64 wrote.
func (r *Reader) Fixed64() uint64 {
	b := r.Take(8)
	if r.err != nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	b := r.Take(1)
	if r.err != nil {
		return 0
	}
	return b[0]
}

// Bytes reads what AppendBytes wrote. The result is a part of the input.
func (r *Reader) Bytes() []byte {
	n := r.Uvarint()
	if n > uint64(len(r.b)) {
		r.Fail(ErrTruncated)
		return nil
	}
	return r.Take(int(n))
}

// String reads what AppendString wrote.
func (r *Reader) String() string { return string(r.Bytes()) }

// Count reads the number of elements that follow, each of at least size bytes; more than the input can hold is an
// error, so the caller may allocate for them.
func (r *Reader) Count(size int) int {
	n := r.Uvarint()
	if n > uint64(len(r.b)/max(size, 1)) {
		r.Fail(ErrTruncated)
		return 0
	}
	return int(n)
}

// Take reads n bytes that have no length in front. The result is a part of the input.
func (r *Reader) Take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.Fail(ErrTruncated)
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *Reader) key() (tag uint64, f form) {
	n := r.Uvarint()
	if r.err == nil && (n>>3 == 0 || n > math.MaxUint32) {
		r.Fail(ErrForm)
		return 0, 0
	}
	return n >> 3, form(n & 7)
}

func (r *Reader) number(f form) uint64 {
	if f == formFixed8 {
		return r.Fixed64()
	}
	return r.Uvarint()
}

func (r *Reader) skip(f form) {
	switch f {
	case formVarint:
		r.Uvarint()
	case formFixed8:
		r.Take(8)
	case formBytes:
		r.Bytes()
	case formFixed4:
		r.Take(4)
	default:
		r.Fail(ErrForm)
	}
}
