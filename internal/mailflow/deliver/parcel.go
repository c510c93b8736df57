package deliver

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// parcel is one mail on its way to the mailboxes of one group, and whether its content is there already.
type parcel struct {
	caller exmdb.Caller
	mail   *Received
	// shared says that more than one space of the group gets the mail.
	shared bool

	mu       sync.Mutex
	uploaded bool // guarded by mu; content is in the group
}

// plan is the recipe of a mail with the places its content comes from.
type plan struct {
	segments []exmdb.Segment
	pieces   []piece
	content  int64 // bytes of all pieces, decoded
	digest   []byte
	props    []byte
}

// piece is a run of octets that becomes content.
type piece struct {
	from, to int64
	encoding exmdb.Encoding
	segment  int
}

// maxRawRun bounds the octets that stand in the recipe itself in one run: structure and small parts. A longer run
// becomes content, or a mail of ten thousand small parts would be one gigantic record.
const maxRawRun = 32 << 10

// inlineShared is the content above which a mail for several spaces of a group is uploaded once instead of being sent
// with each.
const inlineShared = 16 << 10

// message gives the mail in the form for one mailbox, its content either inside or uploaded.
func (p *parcel) message(ctx context.Context, box mapi.MailboxID) (exmdb.NewMessage, error) {
	pl, err := p.mail.plan()
	if err != nil {
		return exmdb.NewMessage{}, err
	}
	msg := exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: pl.segments}, Digest: pl.digest, Props: pl.props}
	if pl.content > exmdb.MaxInline || p.shared && pl.content > inlineShared {
		return msg, p.upload(ctx, box, pl.pieces)
	}
	for _, pc := range pl.pieces {
		err := p.mail.chunks(pc, func(chunk []byte) error {
			msg.Inline = append(msg.Inline, append([]byte(nil), chunk...))
			return nil
		})
		if err != nil {
			return msg, err
		}
	}
	return msg, nil
}

// forget makes the next message upload its content again.
func (p *parcel) forget() {
	p.mu.Lock()
	p.uploaded = false
	p.mu.Unlock()
}

// upload brings the content to the group, once however many ask for it.
func (p *parcel) upload(ctx context.Context, box mapi.MailboxID, pieces []piece) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.uploaded {
		return nil
	}
	up, err := p.caller.Upload(ctx, exmdb.System, box)
	if err != nil {
		return err
	}
	for _, pc := range pieces {
		err := p.mail.chunks(pc, func(chunk []byte) error {
			_, err := up.Put(ctx, chunk)
			return err
		})
		if err != nil {
			_ = up.Close(ctx) // the first error is the cause
			return err
		}
	}
	if err := up.Close(ctx); err != nil {
		return err
	}
	p.uploaded = true
	return nil
}

// makePlan cuts a mail into raw runs and content (MAILBOX 3): leaf bodies above MaxRawLeaf become content, decoded
// when they can be encoded again to the same octets; everything else stays as received.
func makePlan(m *Received) (*plan, error) {
	pl := &plan{digest: mime.MarshalDigest(m.root)}
	props, err := oxcmail.HeaderProps(m.root, m)
	if err != nil {
		return nil, err
	}
	pl.props = props.AppendWire(nil)
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
	return pl, pl.raw(m, at, m.size)
}

// raw adds octets as they are, in the recipe when they are few.
func (pl *plan) raw(m *Received, from, to int64) error {
	if to-from > maxRawRun {
		return pl.add(m, piece{from: from, to: to}, exmdb.Segment{})
	}
	if from == to {
		return nil
	}
	b := make([]byte, to-from)
	if _, err := m.ReadAt(b, from); err != nil {
		return fmt.Errorf("read mail: %w", err)
	}
	pl.segments = append(pl.segments, exmdb.Segment{Raw: b})
	return nil
}

// leaf adds a long leaf body and returns how far it got: line ends behind the last line of base64 stay raw.
func (pl *plan) leaf(m *Received, leaf *mime.Part) (int64, error) {
	if leaf.Encoding == "base64" {
		u := mime.NewUnencoder(leaf.Encoding, io.Discard)
		if err := copyWhileExact(u, m.section(leaf.BodyStart, leaf.BodyEnd)); err != nil {
			return 0, err
		}
		l, ok, err := u.Finish()
		if err != nil {
			return 0, err
		}
		if ok {
			end := leaf.BodyEnd - 2*int64(max(0, l.Final-1))
			line := uint32(l.LineLen)
			if line == 0 {
				line = uint32((leaf.Size() + 3) / 4 * 4)
			}
			return end, pl.add(m, piece{from: leaf.BodyStart, to: end, encoding: exmdb.EncodingBase64},
				exmdb.Segment{Encoding: exmdb.EncodingBase64, Line: line, LastCRLF: l.Final > 0})
		}
	}
	return leaf.BodyEnd, pl.add(m, piece{from: leaf.BodyStart, to: leaf.BodyEnd}, exmdb.Segment{})
}

// copyWhileExact stops early at octets that cannot be given back.
func copyWhileExact(u *mime.Unencoder, r io.Reader) error {
	buf := make([]byte, 32<<10)
	for u.Exact() {
		n, err := r.Read(buf)
		if _, werr := u.Write(buf[:n]); werr != nil {
			return werr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read mail: %w", err)
		}
	}
	return nil
}

func (pl *plan) add(m *Received, pc piece, s exmdb.Segment) error {
	pc.segment = len(pl.segments)
	s.Octets = uint64(pc.to - pc.from)
	err := m.chunks(pc, func(chunk []byte) error {
		s.Chunks = append(s.Chunks, exmdb.ChunkRef{Hash: sha256.Sum256(chunk), Size: uint32(len(chunk))})
		pl.content += int64(len(chunk))
		return nil
	})
	if err != nil {
		return err
	}
	pl.segments, pl.pieces = append(pl.segments, s), append(pl.pieces, pc)
	return nil
}

// chunks gives a piece's content to fn in chunks, all but the last of MaxChunk bytes. A chunk is valid only until fn
// returns.
func (m *Received) chunks(pc piece, fn func([]byte) error) error {
	var r io.Reader = m.section(pc.from, pc.to)
	if pc.encoding == exmdb.EncodingBase64 {
		r = mime.NewDecoder("base64", r)
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
