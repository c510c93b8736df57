// Package content turns a recipe into a message's octets, any run of them at a time, checks recipes that come in, and
// counts who holds a piece of content inside one space.
//
// It knows recipes and hashes; it never knows folders or flags, and never has a whole message in memory. Invariant:
// content is held of the group from the first holder in the space to the last (CLUSTER 3.2, MAILBOX 3).
package content

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Source gives content by its hash; a space.Reader is one.
type Source interface {
	Content(h space.Hash) ([]byte, error)
}

const (
	groupChars = 4 // characters that base64 makes of
	groupBytes = 3 // bytes
	crlf       = 2
)

// decodedSize is the sum of a segment's chunks.
func decodedSize(s *exmdb.Segment) uint64 {
	n := uint64(0)
	for i := range s.Chunks {
		n += uint64(s.Chunks[i].Size)
	}
	return n
}

func segmentSize(s *exmdb.Segment) uint64 {
	if len(s.Chunks) == 0 {
		return uint64(len(s.Raw))
	}
	return s.Octets
}

// Read returns up to n octets of the message from offset off on; fewer only where the message ends. No more content
// is in memory at a time than one chunk beyond the octets returned.
func Read(src Source, r *exmdb.Recipe, off uint64, n uint32) ([]byte, error) {
	size := r.Size()
	if off >= size {
		return nil, nil
	}
	want := min(uint64(n), size-off)
	rd := reader{src: src, out: make([]byte, 0, want), off: off, end: off + want}
	rd.raw(r.Prefix)
	for i := range r.Segments {
		if rd.at >= rd.end {
			break
		}
		if err := rd.segment(&r.Segments[i]); err != nil {
			return nil, err
		}
	}
	return rd.out, nil
}

// reader walks a recipe once. at is the offset of what comes next; [off, end) is wanted.
type reader struct {
	src          Source
	out          []byte
	at, off, end uint64
}

// overlap takes the next size octets and says which of them are wanted.
func (rd *reader) overlap(size uint64) (from, to uint64) {
	start := rd.at
	rd.at += size
	if rd.at <= rd.off || start >= rd.end {
		return 0, 0
	}
	return max(start, rd.off) - start, min(rd.at, rd.end) - start
}

func (rd *reader) raw(b []byte) {
	from, to := rd.overlap(uint64(len(b)))
	rd.out = append(rd.out, b[from:to]...)
}

func (rd *reader) segment(s *exmdb.Segment) error {
	if len(s.Chunks) == 0 {
		rd.raw(s.Raw)
		return nil
	}
	from, to := rd.overlap(s.Octets)
	if from == to {
		return nil
	}
	c := chunks{src: rd.src, refs: s.Chunks}
	if layout, is := quoted[s.Encoding]; is {
		return rd.quoted(&c, layout, decodedSize(s), window{skip: from, left: to - from})
	}
	if s.Encoding == exmdb.EncodingNone {
		var err error
		rd.out, err = c.append(rd.out, from, to)
		return err
	}
	return rd.encoded(&c, s, from, to)
}

// quoted are the encodings in which an octet's place follows from all content before it.
var quoted = map[exmdb.Encoding]mime.Layout{exmdb.EncodingQP75: {Form: mime.LayoutQP75}, exmdb.EncodingQP76: {Form: mime.LayoutQP76}}

// window takes the octets of a segment that are wanted out of all that are written.
type window struct {
	out        []byte
	skip, left uint64
}

// Write implements io.Writer.
func (w *window) Write(b []byte) (int, error) {
	from := min(w.skip, uint64(len(b)))
	n := min(w.left, uint64(len(b))-from)
	w.out = append(w.out, b[from:from+n]...)
	w.skip, w.left = w.skip-from, w.left-n
	return len(b), nil
}

// quotedBlock is how much content is encoded at a time.
const quotedBlock = 16 << 10

// quoted adds the octets of a window of a segment in quoted-printable, which is encoded from its beginning: MaxQuoted bounds it.
func (rd *reader) quoted(c *chunks, layout mime.Layout, total uint64, w window) error {
	w.out = rd.out
	enc := layout.Encoder(&w)
	var buf []byte
	for at := uint64(0); at < total && w.left > 0; {
		n := min(quotedBlock, total-at)
		var err error
		if buf, err = c.append(buf[:0], at, at+n); err != nil {
			return err
		}
		if _, err := enc.Write(buf); err != nil {
			return err
		}
		at += n
	}
	if err := enc.Close(); err != nil {
		return err
	}
	if w.left > 0 {
		return fmt.Errorf("content makes %d octets too few: %w", w.left, cluster.ErrDamaged)
	}
	rd.out = w.out
	return nil
}

// encoded adds the octets [from, to) of a base64 segment. Every line but the last is Line characters and CRLF, so a
// division finds the line, the character in it, and the bytes behind that.
func (rd *reader) encoded(c *chunks, s *exmdb.Segment, from, to uint64) error {
	line, total := uint64(s.Line), decodedSize(s)
	chars := (total + groupBytes - 1) / groupBytes * groupChars
	var buf []byte
	for at := from; at < to; {
		number, col := at/(line+crlf), at%(line+crlf)
		length := min(line, chars-min(chars, number*line)) // characters in this line
		if col >= length {
			end := min(length+crlf-col, to-at)
			rd.out = append(rd.out, "\r\n"[col-length:col-length+end]...)
			at += end
			continue
		}
		// Of a very long line only a piece at a time.
		stop := min(length, col+to-at, (col/groupChars+maxGroups)*groupChars)
		first, last := col/groupChars, (stop+groupChars-1)/groupChars
		base := number * line / groupChars
		var err error
		buf, err = c.append(buf[:0], (base+first)*groupBytes, min((base+last)*groupBytes, total))
		if err != nil {
			return err
		}
		start := len(rd.out)
		rd.out = base64.StdEncoding.AppendEncode(rd.out, buf)
		piece := rd.out[start:][col-first*groupChars : stop-first*groupChars]
		rd.out = append(rd.out[:start], piece...)
		at += stop - col
	}
	return nil
}

// maxGroups bounds the groups of four characters that are encoded at a time.
const maxGroups = 16 << 10

// chunks reads runs of bytes over the chunks of a segment. It keeps the chunk read last.
type chunks struct {
	src  Source
	refs []exmdb.ChunkRef
	// index and start are the chunk at hand and where it begins; data is nil until it is needed.
	index int
	start uint64
	data  []byte
}

// append adds the bytes [from, to) to dst. Calls come in ascending order, which is how segments are read.
func (c *chunks) append(dst []byte, from, to uint64) ([]byte, error) {
	for from < to {
		if c.index >= len(c.refs) {
			return nil, fmt.Errorf("content ends at %d of %d: %w", c.start, to, cluster.ErrDamaged)
		}
		end := c.start + uint64(c.refs[c.index].Size)
		if from >= end {
			c.index, c.start, c.data = c.index+1, end, nil
			continue
		}
		if err := c.load(); err != nil {
			return nil, err
		}
		stop := min(to, end)
		dst = append(dst, c.data[from-c.start:stop-c.start]...)
		from = stop
	}
	return dst, nil
}

func (c *chunks) load() error {
	if c.data != nil {
		return nil
	}
	ref := c.refs[c.index]
	b, err := c.src.Content(ref.Hash)
	if err != nil {
		return fmt.Errorf("chunk %x: %w", ref.Hash[:8], err)
	}
	if len(b) != int(ref.Size) {
		return fmt.Errorf("chunk %x has %d bytes, not %d: %w", ref.Hash[:8], len(b), ref.Size, cluster.ErrDamaged)
	}
	c.data = b
	return nil
}

// Bounds of what a message's own records may hold, so that one fits an effect.
const (
	// MaxRaw is the most octets that stand in a recipe itself.
	MaxRaw = 4 << 20
	// MaxDigest and MaxProps bound the digest and the property bag.
	MaxDigest = 4 << 20
	MaxProps  = 1 << 20
	// MaxPieces bounds segments and chunks.
	MaxPieces = 64 << 10
)

var errBase64 = errors.New("lines of base64")

// Check says whether the recipe of a message holds together and how large it is. What it cannot see is whether
// uploaded content is there: the effect is void if it is not (CLUSTER 1.3). The map is the inline content by hash.
func Check(m *exmdb.NewMessage, limit uint64) (map[space.Hash][]byte, error) {
	raw, pieces, size := uint64(len(m.Recipe.Prefix)), len(m.Recipe.Segments), uint64(len(m.Recipe.Prefix))
	named := make(map[space.Hash]uint32)
	for i := range m.Recipe.Segments {
		s := &m.Recipe.Segments[i]
		if err := checkSegment(s, named); err != nil {
			return nil, cluster.Errorf(exmdb.KindBadContent, "segment %d: %v", i, err)
		}
		raw += uint64(len(s.Raw))
		pieces += len(s.Chunks)
		if size += segmentSize(s); size > limit {
			return nil, cluster.Errorf(exmdb.KindTooBig, "message of %d bytes or more, limit %d", size, limit)
		}
	}
	if raw > MaxRaw || pieces > MaxPieces || len(m.Digest) > MaxDigest || len(m.Props) > MaxProps {
		return nil, cluster.Errorf(exmdb.KindTooBig, "structure of %d bytes in %d pieces with a digest of %d and properties of %d",
			raw, pieces, len(m.Digest), len(m.Props))
	}
	if err := checkConversion(m, named); err != nil {
		return nil, err
	}
	return checkInline(m.Inline, named)
}

func checkSegment(s *exmdb.Segment, named map[space.Hash]uint32) error {
	if len(s.Chunks) == 0 {
		if s.Encoding != exmdb.EncodingNone || s.Line != 0 || s.Octets != 0 || s.LastCRLF {
			return errors.New("raw octets have no encoding")
		}
		return nil
	}
	if len(s.Raw) > 0 {
		return errors.New("both raw octets and content")
	}
	total := uint64(0)
	for _, c := range s.Chunks {
		if err := checkChunk(c.Hash, c.Size, named); err != nil {
			return err
		}
		total += uint64(c.Size)
	}
	switch s.Encoding {
	case exmdb.EncodingNone:
		if s.Line != 0 || s.LastCRLF {
			return errBase64
		}
	case exmdb.EncodingBase64:
		if s.Line == 0 || s.Line%groupChars != 0 {
			return errBase64
		}
		total, _ = exmdb.Base64Size(total, s.Line, s.LastCRLF)
	case exmdb.EncodingQP75, exmdb.EncodingQP76:
		return checkQuoted(s, total)
	default:
		return fmt.Errorf("encoding %d", s.Encoding)
	}
	if total != s.Octets {
		return fmt.Errorf("content makes %d octets, not %d", total, s.Octets)
	}
	return nil
}

// checkQuoted says whether a segment can be quoted-printable of so many bytes. How many octets they make is not known without them:
// at most three for each, and a soft line break for the 24 that fill a line.
func checkQuoted(s *exmdb.Segment, total uint64) error {
	if s.Line != 0 || s.LastCRLF || s.Octets < total || s.Octets > 4*total || s.Octets > exmdb.MaxQuoted {
		return fmt.Errorf("%d octets of quoted-printable of %d bytes", s.Octets, total)
	}
	return nil
}

func checkChunk(h space.Hash, size uint32, named map[space.Hash]uint32) error {
	if size == 0 || size > exmdb.MaxChunk {
		return fmt.Errorf("chunk of %d bytes", size)
	}
	if known, ok := named[h]; ok && known != size {
		return fmt.Errorf("chunk %x of %d and of %d bytes", h[:8], known, size)
	}
	named[h] = size
	return nil
}

func checkInline(inline [][]byte, named map[space.Hash]uint32) (map[space.Hash][]byte, error) {
	if len(inline) == 0 {
		return nil, nil
	}
	total := 0
	have := make(map[space.Hash][]byte, len(inline))
	for i, b := range inline {
		h := space.Hash(sha256.Sum256(b))
		if size, ok := named[h]; !ok || int(size) != len(b) {
			return nil, cluster.Errorf(exmdb.KindBadContent, "inline content %d is named nowhere", i)
		}
		have[h] = b
		if total += len(b); total > exmdb.MaxInline {
			return nil, cluster.Errorf(exmdb.KindTooBig, "inline content of more than %d bytes", exmdb.MaxInline)
		}
	}
	return have, nil
}

// ReadReference returns up to n bytes, from offset off on, of a value that is kept as content.
func ReadReference(src Source, ref mapi.Reference, off, n uint64) ([]byte, error) {
	size := ref.Size()
	if off >= size {
		return nil, nil
	}
	n = min(n, size-off)
	c := chunks{src: src, refs: make([]exmdb.ChunkRef, len(ref))}
	for i, r := range ref {
		c.refs[i] = exmdb.ChunkRef{Hash: r.Hash, Size: r.Size}
	}
	return c.append(make([]byte, 0, n), off, off+n)
}
