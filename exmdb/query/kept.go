package query

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// A view may outlast the process that made it: as bytes, which whoever has the same objects brings up to date from the stamp
// that they say, instead of looking at every row. What is told of one restores it; nothing else is known of it.

// Kept is the rows of a view as they were in one state.
type Kept struct {
	Stamp mapi.Stamp
	rows  *list
}

// keptVersion is of the bytes, of sort keys and of what properties show that they are made of: who changes one of these
// raises it.
const keptVersion = 1

// ErrNotKept says that bytes are not of a view of the specification that this program made.
var ErrNotKept = errors.New("no kept view of this order")

// Keepable reports whether a view of the specification can be kept: its rows are all of the objects, each once, in an order that
// is asked for, under headings or not. What is open is the caller's.
func (s *Spec) Keepable() bool { return s.restriction == nil && !s.natural && s.instances == 0 }

// AppendKept adds the view as bytes. Its specification is Keepable.
func (v *View) AppendKept(dst []byte) []byte {
	dst = append(dst, keptVersion)
	dst = binary.AppendUvarint(dst, uint64(len(v.spec.print)))
	dst = append(dst, v.spec.print...)
	dst = binary.AppendUvarint(dst, uint64(v.Stamp))
	for _, c := range v.rows.chunks {
		dst = binary.AppendUvarint(dst, uint64(c.len()))
		dst = binary.AppendUvarint(dst, uint64(c.whole))
		dst = binary.AppendUvarint(dst, uint64(len(c.keys)))
		dst = append(dst, c.keys...)
		for _, id := range c.ids {
			dst = binary.LittleEndian.AppendUint64(dst, id)
		}
		for _, bits := range c.unread {
			dst = binary.LittleEndian.AppendUint64(dst, bits)
		}
	}
	return dst
}

// KeptSize is about how many bytes AppendKept adds.
func (v *View) KeptSize() int {
	n := 32 + len(v.spec.print)
	for _, c := range v.rows.chunks {
		n += 16 + len(c.keys) + 8*(len(c.ids)+len(c.unread))
	}
	return n
}

// ParseKept reads what AppendKept made of a view of the same order.
func ParseKept(b []byte, s *Spec) (*Kept, error) {
	r := keptReader{b}
	version := r.bytes(1)
	print := r.bytes(r.number())
	stamp := mapi.Stamp(r.number())
	if r.b == nil || version[0] != keptVersion || string(print) != s.print || !s.Keepable() {
		return nil, ErrNotKept
	}
	w := listWriter{list: list{reversed: s.reversed}}
	for len(r.b) > 0 {
		c := r.chunk()
		if c == nil {
			return nil, ErrNotKept
		}
		w.chunks = append(w.chunks, c)
	}
	return &Kept{stamp, w.finish()}, nil
}

// keptReader reads a kept view; after what is not one, b is nil.
type keptReader struct{ b []byte }

func (r *keptReader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.b = nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *keptReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b = nil
	}
	if r.b == nil {
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

// chunk reads a chunk, nil if there is none.
func (r *keptReader) chunk() *chunk {
	n, whole := r.number(), r.number()
	c := &chunk{whole: int(whole), keys: bytes.Clone(r.bytes(r.number()))} // the rest of what was read is not to be held by it
	if r.b == nil || n == 0 || n > 2*chunkEntries {
		return nil
	}
	c.ids, c.unread = r.words(n), r.words((n+63)/64)
	if r.b == nil || !c.keysOf(int(n)) {
		return nil
	}
	return c
}

func (r *keptReader) words(n uint64) []uint64 {
	b := r.bytes(8 * n)
	words := make([]uint64, len(b)/8)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return words
}

// keysOf reports whether the keys of a chunk are so many, of so many bytes as it says, and finds the first.
func (c *chunk) keysOf(n int) bool {
	keys, last, whole := c.keys, 0, 0
	for i := range n {
		shared, a := binary.Uvarint(keys)
		if a <= 0 {
			return false
		}
		more, b := binary.Uvarint(keys[a:])
		if b <= 0 || shared > uint64(last) || more > uint64(len(keys)-a-b) {
			return false
		}
		keys = keys[a+b:]
		if i == 0 {
			c.first = keys[:more:more]
		}
		keys, last = keys[more:], int(shared+more)
		whole += last
	}
	return len(keys) == 0 && whole == c.whole
}
