package deliver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// inMemory is how much of a mail is held in memory; what is longer goes to a file in the spool folder, so that a
// mail of any size costs a connection no more than this.
const inMemory = 256 << 10

// Received is a mail's octets, with CRLF line ends, and what was learnt while they passed.
type Received struct {
	size int64
	data []byte   // the octets, when they fit
	file *os.File // else; its name is gone already, so that nothing is left behind however the process ends
	sum  [sha256.Size]byte
	root *mime.Part
	// made is how many octets that were made of the mail stand behind it in the file.
	made int64
	// converting is held while a mail in a file becomes a message.
	converting *sync.Mutex
	// zone is that of times in a calendar that name none, as long as nobody says who gets the mail; empty is UTC.
	zone string

	once    sync.Once
	planned *plan // set by once
	planErr error // set by once
}

// copyBuffer is how much is read at once.
const copyBuffer = 32 << 10

// receive reads r to its end. Octets beyond the limit are an error of kind KindTooBig; the rest of r is not read then.
func (d *Deliverer) receive(ctx context.Context, r io.Reader, announced int64) (*Received, error) {
	w := &spoolWriter{limit: d.Limit, dir: d.Spool, sum: sha256.New(), scanner: mime.NewScanner(mime.DefaultLimits())}
	if announced > 0 {
		w.buf = make([]byte, 0, min(announced+slack, inMemory))
	}
	buf, ok := d.buffers.Get().(*[copyBuffer]byte)
	if !ok {
		buf = new([copyBuffer]byte)
	}
	defer d.buffers.Put(buf)
	_, err := io.CopyBuffer(mime.NewNormalizer(w), ctxReader{ctx, r}, buf[:])
	if err != nil {
		return nil, errors.Join(err, w.discard())
	}
	rec := &Received{size: w.size, data: w.buf, file: w.file, root: w.scanner.Finish(), converting: &d.converting}
	w.sum.Sum(rec.sum[:0])
	return rec, nil
}

// slack is how many octets more than announced a mail may have without a second buffer: not all count line ends as two.
const slack = 1 << 10

// ctxReader ends a read loop when its context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// spoolWriter takes the octets in, in memory first.
type spoolWriter struct {
	limit, size int64
	dir         string
	buf         []byte
	file        *os.File
	sum         hash.Hash
	scanner     *mime.Scanner
}

func (w *spoolWriter) Write(p []byte) (int, error) {
	if w.size += int64(len(p)); w.size > w.limit {
		return 0, cluster.Errorf(exmdb.KindTooBig, "the message is longer than %d bytes", w.limit)
	}
	w.sum.Write(p)
	if _, err := w.scanner.Write(p); err != nil {
		return 0, fmt.Errorf("scan: %w", err)
	}
	if w.file == nil && len(w.buf)+len(p) <= inMemory {
		w.keep(p)
		return len(p), nil
	}
	if w.file == nil {
		if err := w.spill(); err != nil {
			return 0, err
		}
	}
	n, err := w.file.Write(p)
	if err != nil {
		return n, fmt.Errorf("spool: %w", err)
	}
	return n, nil
}

// keep adds p to what is in memory. Room is doubled: what append would add is copied more often.
func (w *spoolWriter) keep(p []byte) {
	if len(w.buf)+len(p) > cap(w.buf) {
		grown := make([]byte, len(w.buf), min(inMemory, max(len(w.buf)+len(p), 2*cap(w.buf))))
		copy(grown, w.buf)
		w.buf = grown
	}
	w.buf = append(w.buf, p...)
}

func (w *spoolWriter) spill() error {
	f, err := os.CreateTemp(w.dir, "mail-*")
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	w.file = f
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if _, err := f.Write(w.buf); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	w.buf = nil
	return nil
}

func (w *spoolWriter) discard() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}

// Size implements mailflow.Mail.
func (m *Received) Size() int64 { return m.size }

// plan is the mail's recipe, the same for every group.
func (m *Received) plan() (*plan, error) {
	m.once.Do(func() { m.planned, m.planErr = makePlan(m) })
	return m.planned, m.planErr
}

// Close implements mailflow.Mail.
func (m *Received) Close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}

// ReadAt reads the octets.
func (m *Received) ReadAt(p []byte, off int64) (int, error) {
	if m.file != nil {
		return m.file.ReadAt(p, off)
	}
	return bytes.NewReader(m.data).ReadAt(p, off)
}

// octets are those of [from, to), the mail's own where it is in memory.
func (m *Received) octets(from, to int64) ([]byte, error) {
	if m.file == nil {
		return m.data[from:to:to], nil
	}
	b := make([]byte, to-from)
	if _, err := m.file.ReadAt(b, from); err != nil {
		return nil, fmt.Errorf("read mail: %w", err)
	}
	return b, nil
}

// copyWhileExact gives octets to u, and stops early at some that cannot be given back.
func (m *Received) copyWhileExact(u *mime.Unencoder, from, to int64) error {
	if m.file == nil {
		_, err := u.Write(m.data[from:to])
		return err
	}
	r, buf := m.section(from, to), make([]byte, 32<<10)
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

// section reads the octets of [from, to).
func (m *Received) section(from, to int64) *io.SectionReader {
	return io.NewSectionReader(m, from, to-from)
}

// hasMessageID reports whether the mail says who it is, without which it is never taken for a copy (MAILBOX 7).
func (m *Received) hasMessageID() bool {
	return m.root.Envelope != nil && m.root.Envelope.MessageID != ""
}
