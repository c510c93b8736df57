package query

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// A view may outlast the process that made it: as bytes, which whoever has the same objects brings up to date from the stamp
// that they say, instead of looking at every row. What is told of one restores it; nothing else is known of it. Its bytes are
//
//	version, length of the head, head: what the chunks are, what is needed of them for headings, and of each block of ids the first
//	chunks
//	blocks of ids: every row's, in order, each with the number of the chunk that it is in
//
// and whoever begins with them reads the head. A chunk is read when somebody is shown it, and a block of ids when a row has changed
// that may be in it, so that what a page costs has nothing to do with how many rows there are.

// Kept is the rows of a view as they were in one state.
type Kept struct {
	Stamp mapi.Stamp
	rows  *list
}

// keptVersion is of the bytes, of sort keys and of what properties show that they are made of: who changes one of these
// raises it.
const keptVersion = 2

// keptPrelude is how many bytes version and length of the head take.
const keptPrelude = 1 + 8

// blockIDs is how many ids a block has.
const blockIDs = 512

// ErrNotKept says that bytes are not of a view of the specification that this program made, or cannot be read any more.
var ErrNotKept = errors.New("no kept view of this order")

// keptRows are the rows of a kept view, where they are kept.
type keptRows struct {
	src    io.ReaderAt
	chunks []keptChunk
	blocks []idBlock
	// lost: something could not be read. Who asks for the view next gets it made anew.
	lost atomic.Bool
}

// heldFile is what a file counts for that is held open, so that the bound of a cache is one of files too.
const heldFile = 16 << 10

// size is about what is held in memory to find the rest.
func (k *keptRows) size() int { return heldFile + 56*len(k.chunks) + 32*len(k.blocks) }

// read reads so many bytes.
func (k *keptRows) read(n int, at int64) (keptReader, error) {
	b := make([]byte, n)
	if _, err := k.src.ReadAt(b, at); err != nil {
		return keptReader{}, k.fail()
	}
	return keptReader{b}, nil
}

func (k *keptRows) fail() error {
	k.lost.Store(true)
	return ErrNotKept
}

// keptChunk is where the body of a chunk is kept.
type keptChunk struct {
	*keptRows
	number      int
	at          int64
	keys, whole int // bytes of all keys, as they are kept and unshared
}

// idBlock is where ids are kept, from the first on.
type idBlock struct {
	first uint64
	n     int
	at    int64
	size  int
}

// Keepable reports whether a view of the specification can be kept: its rows are all of the objects, each once, in an order that
// is asked for, under headings or not. What is open is the caller's.
func (s *Spec) Keepable() bool { return s.restriction == nil && !s.natural && s.instances == 0 }

// wordsOf is how many words the unread bits of so many entries take.
func wordsOf(n int) int { return (n + 63) / 64 }

// OpenKept begins with what AppendKept made of a view of the same order, so many bytes. They are read for as long as somebody holds
// the view; what cannot be read then is ErrNotKept too.
func OpenKept(src io.ReaderAt, size int64, s *Spec) (*Kept, error) {
	prelude := make([]byte, keptPrelude)
	if _, err := src.ReadAt(prelude, 0); size < keptPrelude || err != nil || prelude[0] != keptVersion || !s.Keepable() {
		return nil, ErrNotKept
	}
	n := binary.LittleEndian.Uint64(prelude[1:])
	if n > uint64(size-keptPrelude) {
		return nil, ErrNotKept
	}
	r := keptReader{make([]byte, n)}
	if _, err := src.ReadAt(r.b, keptPrelude); err != nil {
		return nil, ErrNotKept
	}
	return r.head(src, size, s)
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

// upTo reads a number that is no larger than most.
func (r *keptReader) upTo(most int) int {
	n := r.number()
	if n > uint64(most) {
		r.b, n = nil, 0
	}
	return int(n)
}

// length reads how many there are of something of which each takes a byte or more.
func (r *keptReader) length() int { return r.upTo(len(r.b)) }

func (r *keptReader) bytes(n int) []byte {
	if n > len(r.b) {
		r.b = nil
	}
	if r.b == nil {
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

func (r *keptReader) words(n int) []uint64 {
	b := r.bytes(8 * n)
	words := make([]uint64, len(b)/8)
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return words
}

func (r *keptReader) word() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *keptReader) head(src io.ReaderAt, size int64, s *Spec) (*Kept, error) {
	at := int64(keptPrelude + len(r.b))
	print := r.bytes(r.length())
	k := &Kept{Stamp: mapi.Stamp(r.number())}
	if string(print) != s.print {
		return nil, ErrNotKept
	}
	rows := &keptRows{src: src, chunks: make([]keptChunk, r.length())}
	chunks := make([]chunk, len(rows.chunks)) // all of them in one piece
	w := listWriter{list: list{reversed: s.reversed, kept: rows, chunks: make([]*chunk, len(chunks))}}
	for i := range chunks {
		c, of := &chunks[i], &rows.chunks[i]
		*of = keptChunk{rows, i, at, r.upTo(int(size)), r.number32()}
		c.kept, c.n, c.first = of, r.upTo(2*chunkEntries), r.bytes(r.length())
		c.id = r.word()
		if s.categories > 0 {
			c.digest.Store(r.digest(s, c.n))
		}
		if r.b == nil || c.n == 0 || at > size {
			return nil, ErrNotKept
		}
		at += int64(of.size(c.n))
		w.chunks[i] = c
	}
	rows.blocks = make([]idBlock, r.length())
	for i := range rows.blocks {
		b := &rows.blocks[i]
		*b = idBlock{r.word(), r.upTo(blockIDs), at, r.upTo(int(size))}
		at += int64(b.size)
	}
	if r.b == nil || len(r.b) > 0 || at != size {
		return nil, ErrNotKept
	}
	k.rows = w.finish()
	return k, nil
}

// number32 reads a number that memory is asked for by.
func (r *keptReader) number32() int { return r.upTo(1 << 31) }

// digest reads that of a chunk of so many entries.
func (r *keptReader) digest(s *Spec, n int) *digest {
	d := &digest{parts: make([]part, r.upTo(n))}
	d.ids, d.ranks = make([]uint64, 0, len(d.parts)*s.categories), make([]uint64, 0, len(d.parts)*s.categories)
	d.tops = make([]uint16, 0, cap(d.ids))
	left := n
	for i := range d.parts {
		p := &d.parts[i]
		p.rows = uint16(r.upTo(left))
		p.unread, p.level = uint16(r.upTo(int(p.rows))), uint8(r.upTo(s.categories))
		left -= int(p.rows)
		for range s.categories {
			d.ids = append(d.ids, r.word())
		}
		for range s.categories {
			d.ranks, d.tops = append(d.ranks, r.number()), append(d.tops, uint16(r.upTo(max(int(p.rows)-1, 0))))
		}
		if p.rows == 0 {
			r.b = nil
			break
		}
	}
	if d.last = r.bytes(r.length()); left != 0 {
		r.b = nil
	}
	return d
}

func (d *digest) appendKept(dst []byte, categories int) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(d.parts)))
	for i, p := range d.parts {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(p.rows)), uint64(p.unread))
		dst = binary.AppendUvarint(dst, uint64(p.level))
		for l := range categories {
			dst = binary.LittleEndian.AppendUint64(dst, d.ids[i*categories+l])
		}
		for l := range categories {
			dst = binary.AppendUvarint(dst, d.ranks[i*categories+l])
			dst = binary.AppendUvarint(dst, uint64(d.tops[i*categories+l]))
		}
	}
	return append(binary.AppendUvarint(dst, uint64(len(d.last))), d.last...)
}

// size is how many bytes the chunk's body takes where it is kept, with so many entries.
func (c *keptChunk) size(n int) int { return c.keys + 8*(n+wordsOf(n)) }

// body reads the body of the chunk, which has so many entries.
func (c *keptChunk) body(n int) (*body, error) {
	r, err := c.read(c.size(n), c.at)
	if err != nil {
		return nil, err
	}
	b := &body{keys: r.bytes(c.keys), whole: c.whole}
	b.ids, b.unread = r.words(n), r.words(wordsOf(n))
	if !b.keysOf(n) {
		return nil, c.fail()
	}
	return b, nil
}

// keysOf reports whether the keys of a body are so many, of so many bytes as it says.
func (b *body) keysOf(n int) bool {
	keys, last, whole := b.keys, 0, 0
	for range n {
		shared, x := binary.Uvarint(keys)
		if x <= 0 {
			return false
		}
		more, y := binary.Uvarint(keys[x:])
		if y <= 0 || shared > uint64(last) || more > uint64(len(keys)-x-y) {
			return false
		}
		keys, last = keys[x+y+int(more):], int(shared+more)
		whole += last
	}
	return len(keys) == 0 && whole == b.whole
}

// holding reports of each chunk whether entries of some ids were in it.
func (k *keptRows) holding(ids map[uint64]bool) ([]bool, error) {
	in := make([]bool, len(k.chunks))
	for i, asked := range k.blocksOf(ids) {
		if !asked {
			continue
		}
		if err := k.each(&k.blocks[i], func(id uint64, chunk int) bool {
			if chunk < len(in) && ids[id] {
				in[chunk] = true
			}
			return chunk < len(in)
		}); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// blocksOf reports of each block of ids whether one of some may be in it.
func (k *keptRows) blocksOf(ids map[uint64]bool) []bool {
	asked := make([]bool, len(k.blocks))
	for id := range ids {
		if i := sort.Search(len(k.blocks), func(i int) bool { return k.blocks[i].first > id }); i > 0 {
			asked[i-1] = true
		}
	}
	return asked
}

// each calls fn with the ids of a block and the chunks they are in, until it says that they are none.
func (k *keptRows) each(b *idBlock, fn func(id uint64, chunk int) bool) error {
	r, err := k.read(b.size, b.at)
	if err != nil {
		return err
	}
	id := b.first
	for range b.n {
		id += r.number()
		if chunk := r.number32(); r.b == nil || !fn(id, chunk) {
			return k.fail()
		}
	}
	return nil
}

// placedID is an id and the chunk that it is in.
type placedID struct {
	id    uint64
	chunk int
}

// AppendKept adds the view as bytes. Its specification is Keepable.
func (v *View) AppendKept(dst []byte) ([]byte, error) {
	bodies := make([]*body, len(v.rows.chunks))
	ids := make([]placedID, 0, v.rows.len())
	for i, c := range v.rows.chunks {
		var err error
		if bodies[i], err = c.load(); err != nil {
			return nil, err
		}
		for _, id := range bodies[i].ids {
			ids = append(ids, placedID{id, i})
		}
	}
	slices.SortFunc(ids, func(a, b placedID) int { return cmp.Compare(a.id, b.id) })
	head, blocks := v.keptHead(bodies, ids)
	dst = binary.LittleEndian.AppendUint64(append(dst, keptVersion), uint64(len(head)))
	dst = append(dst, head...)
	for _, b := range bodies {
		dst = append(dst, b.keys...)
		dst = appendWords(appendWords(dst, b.ids), b.unread)
	}
	return append(dst, blocks...), nil
}

func appendWords(dst []byte, words []uint64) []byte {
	for _, w := range words {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

// keptHead makes the head of what is kept, and the blocks of ids.
func (v *View) keptHead(bodies []*body, ids []placedID) (head, blocks []byte) {
	head = append(binary.AppendUvarint(head, uint64(len(v.spec.print))), v.spec.print...)
	head = binary.AppendUvarint(head, uint64(v.Stamp))
	head = binary.AppendUvarint(head, uint64(len(bodies)))
	for i, b := range bodies {
		c := v.rows.chunks[i]
		head = binary.AppendUvarint(head, uint64(len(b.keys)))
		head = binary.AppendUvarint(head, uint64(b.whole))
		head = binary.AppendUvarint(head, uint64(c.n))
		head = append(binary.AppendUvarint(head, uint64(len(c.first))), c.first...)
		head = binary.LittleEndian.AppendUint64(head, c.id)
		if v.spec.categories > 0 {
			head = c.digest.Load().appendKept(head, v.spec.categories)
		}
	}
	head = binary.AppendUvarint(head, uint64((len(ids)+blockIDs-1)/blockIDs))
	for some := range slices.Chunk(ids, blockIDs) {
		was, last := len(blocks), some[0].id
		for _, p := range some {
			blocks = binary.AppendUvarint(binary.AppendUvarint(blocks, p.id-last), uint64(p.chunk))
			last = p.id
		}
		head = binary.LittleEndian.AppendUint64(head, some[0].id)
		head = binary.AppendUvarint(binary.AppendUvarint(head, uint64(len(some))), uint64(len(blocks)-was))
	}
	return head, blocks
}

// KeptSize is about how many bytes AppendKept adds.
func (v *View) KeptSize() int {
	n := 64 + len(v.spec.print)
	for _, c := range v.rows.chunks {
		n += 32 + len(c.first) + 13*c.n
		if b := c.body.Load(); b != nil {
			n += len(b.keys)
		} else {
			n += c.kept.keys
		}
		if d := c.digest.Load(); d != nil {
			n += 2*len(d.ids)*8 + 8*len(d.parts) + len(d.last)
		}
	}
	return n
}
