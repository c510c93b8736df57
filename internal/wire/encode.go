package wire

import (
	"encoding/binary"
	"reflect"

	"github.com/flotilla-mail/flotilla/internal/invariant"
)

// AppendUvarint appends an unsigned number, seven bits a byte.
func AppendUvarint(dst []byte, n uint64) []byte { return binary.AppendUvarint(dst, n) }

// AppendVarint appends a signed number in zigzag, so that small negative numbers are short too.
func AppendVarint(dst []byte, n int64) []byte {
	return binary.AppendUvarint(dst, uint64(n)<<1^uint64(n>>63))
}

// AppendFixed64 appends eight bytes, little endian.
func AppendFixed64(dst []byte, n uint64) []byte { return binary.LittleEndian.AppendUint64(dst, n) }

// AppendBytes appends b behind its length.
func AppendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// AppendString appends s behind its length.
func AppendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

// closeLength writes the length of dst[start:] into the byte kept free before start, making room if it needs more.
func closeLength(dst []byte, start int) []byte {
	n := uint64(len(dst) - start)
	if n < 0x80 {
		dst[start-1] = byte(n)
		return dst
	}
	var head [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(head[:], n)
	dst = append(dst, head[:size-1]...)
	copy(dst[start-1+size:], dst[start:start+int(n)])
	copy(dst[start-1:], head[:size])
	return dst
}

// putEmpty is the payload of an element that is not there.
func putEmpty(dst []byte, f form) []byte {
	if f == formFixed8 {
		return AppendFixed64(dst, 0)
	}
	return append(dst, 0)
}

func (p *plan) append(dst []byte, v reflect.Value, depth int) []byte {
	if depth > MaxDepth {
		invariant.Failf("wire: %v nests deeper than %d", p.typ, MaxDepth)
	}
	var kept []byte
	if p.unknown >= 0 {
		kept = v.Field(p.unknown).Bytes()
	}
	for i := range p.fields {
		f := &p.fields[i]
		if len(kept) > 0 {
			dst, kept = appendKept(dst, kept, f.tag)
		}
		dst = f.append(dst, v.Field(f.index), depth)
	}
	return append(dst, kept...)
}

// appendKept moves the unknown fields below tag from kept to dst.
func appendKept(dst, kept []byte, tag uint64) ([]byte, []byte) {
	r := NewReader(kept)
	for r.Len() > 0 {
		rest := r.b
		got, f := r.key()
		if got >= tag {
			return append(dst, kept[:len(kept)-len(rest)]...), rest
		}
		r.skip(f)
	}
	if r.err != nil {
		invariant.Failf("wire: kept fields are damaged: %v", r.err)
	}
	return append(dst, kept...), nil
}

func (f *field) appendKey(dst []byte) []byte {
	if len(f.key) == 1 {
		return append(dst, f.key[0])
	}
	return append(dst, f.key...)
}

func (f *field) append(dst []byte, v reflect.Value, depth int) []byte {
	if f.repeated {
		for i := range v.Len() {
			dst = f.codec.put(f.appendKey(dst), v.Index(i), depth)
		}
		return dst
	}
	if f.codec.unsigned { // most fields of most records: without the two calls through the codec
		n := v.Uint()
		if n == 0 {
			return dst
		}
		return AppendUvarint(f.appendKey(dst), n)
	}
	if f.codec.absent(v) {
		return dst
	}
	start := len(dst)
	dst = f.codec.put(f.appendKey(dst), v, depth)
	if f.codec.elide && len(dst) == start+len(f.key)+1 {
		return dst[:start] // only the length, and that is nought
	}
	return dst
}
