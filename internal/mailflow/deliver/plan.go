package deliver

import (
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/planted"
)

// plan is the recipe of a mail with the places its content comes from.
type plan struct {
	segments []exmdb.Segment
	pieces   []piece
	content  int64 // bytes of all pieces, decoded
	digest   []byte
	// props and converted are the message that the mail became.
	props     []byte
	converted *exmdb.Conversion
}

// message is the mail without what is different for each mailbox.
func (pl *plan) message() exmdb.NewMessage {
	return exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: pl.segments}, Digest: pl.digest, Props: pl.props, Converted: pl.converted}
}

// piece is a run of octets that becomes content.
type piece struct {
	from, to int64
	encoding exmdb.Encoding
	refs     []exmdb.ChunkRef
	// content is what it becomes, in chunks, if the mail is in memory.
	content [][]byte
}

// transfer is what a header calls the encoding of a piece that has one.
func (p *piece) transfer() string {
	if p.encoding == exmdb.EncodingBase64 {
		return "base64"
	}
	return "quoted-printable"
}

// maxRawRun bounds the octets that stand in the recipe itself in one run: structure and small parts. A longer run
// becomes content, or a mail of ten thousand small parts would be one gigantic record.
const maxRawRun = 32 << 10

// makePlan cuts a mail into raw runs and content (MAILBOX 3): leaf bodies above MaxRawLeaf become content, decoded
// when they can be encoded again to the same octets; everything else stays as received.
func makePlan(m *Received) (*plan, error) {
	pl := &plan{digest: mime.MarshalDigest(m.root)}
	var at int64
	for leaf := range m.root.Leaves() {
		if leaf.Size() <= exmdb.MaxRawLeaf {
			continue
		}
		if err := pl.raw(m, at, leaf.BodyStart); err != nil {
			return nil, err
		}
		rest, err := pl.leaf(m, leaf)
		if err != nil {
			return nil, err
		}
		at = rest
	}
	if err := pl.raw(m, at, m.size); err != nil {
		return nil, err
	}
	if planted.Is(planted.BareDelivery) {
		return pl, nil
	}
	return pl, pl.convert(m)
}

// raw adds octets as they are, in the recipe when they are few.
func (pl *plan) raw(m *Received, from, to int64) error {
	if to-from > maxRawRun {
		return pl.asReceived(m, from, to)
	}
	if from == to {
		return nil
	}
	b, err := m.octets(from, to)
	if err != nil {
		return err
	}
	pl.segments = append(pl.segments, exmdb.Segment{Raw: b})
	return nil
}

// asReceived adds octets as they are as content.
func (pl *plan) asReceived(m *Received, from, to int64) error {
	c := newChunker(m, to-from)
	if m.file == nil {
		c.share(m.data[from:to])
	} else if _, err := io.Copy(c, m.section(from, to)); err != nil {
		return fmt.Errorf("read mail: %w", err)
	}
	pl.add(c, piece{from: from, to: to}, exmdb.Segment{})
	return nil
}

// leaf adds a long leaf body and returns how far it got: line ends behind the last line of base64 stay raw.
func (pl *plan) leaf(m *Received, leaf *mime.Part) (int64, error) {
	if leaf.Encoding == "base64" || leaf.Encoding == "quoted-printable" && leaf.Size() <= exmdb.MaxQuoted {
		c := newChunker(m, leaf.Size()/4*3)
		u := mime.NewUnencoder(leaf.Encoding, c)
		if err := m.copyWhileExact(u, leaf.BodyStart, leaf.BodyEnd); err != nil {
			return 0, err
		}
		l, ok, err := u.Finish()
		if err != nil {
			return 0, err
		}
		if ok {
			return pl.decoded(c, leaf, l), nil
		}
	}
	return leaf.BodyEnd, pl.asReceived(m, leaf.BodyStart, leaf.BodyEnd)
}

// decoded adds the content of a leaf that its layout makes the same octets of.
func (pl *plan) decoded(c *chunker, leaf *mime.Part, l mime.Layout) (end int64) {
	pc, s := piece{from: leaf.BodyStart, to: leaf.BodyEnd}, exmdb.Segment{}
	switch l.Form {
	case mime.LayoutQP75:
		pc.encoding = exmdb.EncodingQP75
	case mime.LayoutQP76:
		pc.encoding = exmdb.EncodingQP76
	default:
		pc.encoding = exmdb.EncodingBase64
		pc.to -= 2 * int64(max(0, l.Final-1))
		s.LastCRLF = l.Final > 0
		if s.Line = uint32(l.LineLen); s.Line == 0 {
			s.Line = uint32((leaf.Size() + 3) / 4 * 4)
		}
	}
	s.Encoding = pc.encoding
	pl.add(c, pc, s)
	return pc.to
}

func (pl *plan) add(c *chunker, pc piece, s exmdb.Segment) {
	s.Octets, s.Chunks = uint64(pc.to-pc.from), c.finish()
	pl.segments = append(pl.segments, s)
	pl.addPiece(c, pc)
}

// addPiece adds content that is cut.
func (pl *plan) addPiece(c *chunker, pc piece) {
	pc.refs, pc.content = c.refs, c.kept
	for _, ref := range pc.refs {
		pl.content += int64(ref.Size)
	}
	pl.pieces = append(pl.pieces, pc)
}

// chunker cuts content into chunks as it comes, all but the last of MaxChunk bytes, and names them.
type chunker struct {
	refs []exmdb.ChunkRef
	kept [][]byte
	// keeps says that the chunks are kept, since the mail is in memory too.
	keeps bool
	// chunk is being filled; expected is how much is to come with it.
	chunk    []byte
	expected int64
}

func newChunker(m *Received, expected int64) *chunker {
	return &chunker{keeps: m.file == nil, expected: expected}
}

// Write implements io.Writer.
func (c *chunker) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if c.chunk == nil {
			c.chunk = make([]byte, 0, max(0, min(c.expected, exmdb.MaxChunk)))
		}
		n := min(exmdb.MaxChunk-len(c.chunk), len(rest))
		c.chunk, rest = append(c.chunk, rest[:n]...), rest[n:]
		if len(c.chunk) == exmdb.MaxChunk {
			c.cut()
		}
	}
	return len(p), nil
}

// share is Write of all that comes, without a copy.
func (c *chunker) share(b []byte) {
	for len(b) > 0 {
		n := min(exmdb.MaxChunk, len(b))
		c.chunk, b = b[:n:n], b[n:]
		c.cut()
	}
}

func (c *chunker) cut() {
	c.refs = append(c.refs, exmdb.ChunkRef{Hash: sha256.Sum256(c.chunk), Size: uint32(len(c.chunk))})
	c.expected -= int64(len(c.chunk))
	if c.keeps {
		c.kept, c.chunk = append(c.kept, c.chunk), nil
		return
	}
	c.chunk = c.chunk[:0]
}

func (c *chunker) finish() []exmdb.ChunkRef {
	if len(c.chunk) > 0 {
		c.cut()
	}
	return c.refs
}

// chunks gives a piece's content to fn in chunks, all but the last of MaxChunk bytes. A chunk is valid only until fn
// returns, but that of a mail in memory for as long as the mail.
func (m *Received) chunks(pc *piece, fn func([]byte) error) error {
	if m.file == nil {
		for _, chunk := range pc.content {
			if err := fn(chunk); err != nil {
				return err
			}
		}
		return nil
	}
	var r io.Reader = m.section(pc.from, pc.to)
	if pc.encoding != exmdb.EncodingNone {
		r = mime.NewDecoder(pc.transfer(), r)
	}
	buf := make([]byte, min(exmdb.MaxChunk, pc.to-pc.from))
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := fn(buf[:n]); err != nil {
				return err
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return nil
		default:
			return fmt.Errorf("read mail: %w", err)
		}
	}
}
