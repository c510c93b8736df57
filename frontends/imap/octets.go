package imap

import (
	"context"
	"fmt"
	"io"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

const (
	// smallMessage is read whole in one op, ahead of its response.
	smallMessage = 64 << 10
	// firstPiece of a larger message is read ahead, so that what can fail mostly fails before the response begins.
	firstPiece = 256 << 10
	// aheadMessages is how many messages are read at the same time.
	aheadMessages = 8
)

// locate finds a section in the message's octets. The digest describes what follows the row's prefix; the prefix
// belongs to the message's own header.
func (m *message) locate(sec *section) (mime.Range, bool) {
	r, ok := m.root.Section(sec.path, sec.spec)
	if !ok {
		return r, false
	}
	prefix := int64(m.row.Prefix)
	whole := len(sec.path) == 0 && sec.spec == mime.SpecAll
	inHeader := sec.spec == mime.SpecHeader || sec.spec == mime.SpecMIME
	if (whole || inHeader) && r.Start == 0 {
		return mime.Range{Start: 0, End: min(r.End+prefix, int64(m.row.Size))}, true
	}
	return mime.Range{Start: r.Start + prefix, End: min(r.End+prefix, int64(m.row.Size))}, true
}

// readBytes reads octets of a message of the selected folder, MaxReadBytes at most.
func (s *session) readBytes(ctx context.Context, row *exmdb.Row, off, n int64) ([]byte, error) {
	resp, err := do(ctx, s, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: s.selected.fid, UID: row.UID,
		Offset: uint64(off), Length: uint32(min(n, exmdb.MaxReadBytes))})
	if err != nil {
		return nil, err
	}
	if len(resp.Data) == 0 || int64(len(resp.Data)) > n {
		return nil, fmt.Errorf("read %d octets at %d of UID %d: got %d", n, off, row.UID, len(resp.Data))
	}
	return resp.Data, nil
}

// octets reads a piece of a message that fits into memory.
func (s *session) octets(m *message, r mime.Range) ([]byte, error) {
	if r.End <= int64(len(m.head)) {
		return m.head[r.Start:r.End], nil
	}
	data := make([]byte, 0, r.Len())
	for off := r.Start; off < r.End; off = r.Start + int64(len(data)) {
		piece, err := s.readBytes(m.ctx, m.row, off, r.End-off)
		if err != nil {
			return nil, err
		}
		data = append(data, piece...)
	}
	return data, nil
}

// writeOctets writes a piece of a message as a literal: from what was read ahead, then piece by piece, the next one
// on its way while one is written. A failure in the middle ends the session, as the literal cannot be completed.
func (s *session) writeOctets(m *message, r mime.Range) error {
	s.out.LiteralSize(r.Len())
	off := r.Start
	if have := min(r.End, int64(len(m.head))); off < have {
		_, _ = s.out.Write(m.head[off:have]) // the error stays in out
		off = have
	}
	if off >= r.End {
		return nil
	}
	ctx, cancel := context.WithCancel(m.ctx)
	next := s.readPiece(ctx, m.row, off, r.End-off)
	defer func() {
		cancel()
		if next != nil {
			<-next
		}
	}()
	for next != nil {
		piece := <-next
		next = nil
		if piece.err != nil {
			s.report(piece.err, statusOf(piece.err))
			return errCut
		}
		if off += int64(len(piece.data)); off < r.End {
			next = s.readPiece(ctx, m.row, off, r.End-off)
		}
		if _, err := s.out.Write(piece.data); err != nil {
			return err
		}
	}
	return nil
}

type pieceRead struct {
	data []byte
	err  error
}

func (s *session) readPiece(ctx context.Context, row *exmdb.Row, off, n int64) <-chan pieceRead {
	result := make(chan pieceRead, 1)
	go func() {
		data, err := s.readBytes(ctx, row, off, n)
		result <- pieceRead{data, err}
	}()
	return result
}

// readAhead prepares the messages of a page, some at a time, in the order they are taken.
type readAhead struct {
	s      *session
	ctx    context.Context
	cancel context.CancelFunc
	plan   *fetchPlan
	page   []exmdb.Row
	begun  int
	ready  map[int]<-chan prepared
}

type prepared struct {
	m   *message
	err error
}

func (s *session) readAhead(ctx context.Context, p *fetchPlan, page []exmdb.Row) *readAhead {
	a := &readAhead{s: s, plan: p, page: page, ready: map[int]<-chan prepared{}}
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// take gives message i, prepared. Rows are taken in ascending order; those passed over are prepared in vain.
func (a *readAhead) take(i int) (*message, error) {
	if a.plan.octets == needNothing {
		m := &message{ctx: a.ctx, row: &a.page[i]}
		return m, a.s.prepare(m, a.plan)
	}
	for a.begun = max(a.begun, i); a.begun < len(a.page) && a.begun < i+aheadMessages; a.begun++ {
		a.ready[a.begun] = a.begin(&a.page[a.begun])
	}
	result := <-a.ready[i]
	delete(a.ready, i)
	return result.m, result.err
}

func (a *readAhead) begin(row *exmdb.Row) <-chan prepared {
	result := make(chan prepared, 1)
	go func() {
		m := &message{ctx: a.ctx, row: row}
		err := contained(func() error { return a.s.prepare(m, a.plan) })
		result <- prepared{m, err}
	}()
	return result
}

// stop ends the preparation of what was not taken and waits for it.
func (a *readAhead) stop() {
	a.cancel()
	for _, c := range a.ready {
		<-c
	}
}

// prepare reads what m's response needs and what may fail.
func (s *session) prepare(m *message, p *fetchPlan) error {
	if p.fields&exmdb.RowDigest == 0 {
		return nil
	}
	if err := s.structure(m); err != nil {
		return err
	}
	n := int64(0)
	switch size := int64(m.row.Size); {
	case p.octets == needHeader:
		n = min(m.root.BodyStart+int64(m.row.Prefix), size, firstPiece)
	case p.octets == needAll && size <= smallMessage:
		n = size
	case p.octets == needAll:
		n = min(size, firstPiece)
	}
	if n == 0 {
		return nil
	}
	head, err := s.octets(m, mime.Range{End: n})
	m.head = head
	return err
}

// structure gives m its tree: from the digest, or by reading the message where the digest cannot be read.
func (s *session) structure(m *message) error {
	root, err := mime.UnmarshalDigest(m.row.Digest)
	if err == nil && root.Envelope != nil {
		m.root = root
		return nil
	}
	prefix := int64(m.row.Prefix)
	src := io.NewSectionReader(s.reader(m), prefix, int64(m.row.Size)-prefix)
	m.root, err = mime.ScanReader(src, mime.DefaultLimits())
	return err
}

// window is an io.ReaderAt over a message that keeps the block it read last.
type window struct {
	s     *session
	m     *message
	start int64
	block []byte
}

// windowSize is one block of a window.
const windowSize = 256 << 10

// reader begins with what was read ahead.
func (s *session) reader(m *message) *window { return &window{s: s, m: m, block: m.head} }

// ReadAt implements io.ReaderAt.
func (w *window) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= int64(w.m.row.Size) {
			return n, io.EOF
		}
		if at < w.start || at >= w.start+int64(len(w.block)) {
			block, err := w.s.readBytes(w.m.ctx, w.m.row, at, min(windowSize, int64(w.m.row.Size)-at))
			if err != nil {
				return n, err
			}
			w.start, w.block = at, block
		}
		n += copy(p[n:], w.block[at-w.start:])
	}
	return n, nil
}
