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

	once    sync.Once
	made    *plan // set by once
	planErr error // set by once
}

// receive reads r to its end. Octets beyond limit are an error of kind KindTooBig; the rest of r is not read then.
func receive(ctx context.Context, r io.Reader, limit int64, spool string) (*Received, error) {
	w := &spoolWriter{limit: limit, dir: spool, sum: sha256.New(), scanner: mime.NewScanner(mime.DefaultLimits())}
	n := mime.NewNormalizer(w)
	_, err := io.Copy(n, ctxReader{ctx, r})
	if err != nil {
		return nil, errors.Join(err, w.discard())
	}
	rec := &Received{size: w.size, data: w.buf.Bytes(), file: w.file, root: w.scanner.Finish()}
	w.sum.Sum(rec.sum[:0])
	return rec, nil
}

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
	buf         bytes.Buffer
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
	if w.file == nil && w.buf.Len()+len(p) <= inMemory {
		return w.buf.Write(p)
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

func (w *spoolWriter) spill() error {
	f, err := os.CreateTemp(w.dir, "mail-*")
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	w.file = f
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if _, err := f.Write(w.buf.Bytes()); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	w.buf = bytes.Buffer{}
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
	m.once.Do(func() { m.made, m.planErr = makePlan(m) })
	return m.made, m.planErr
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

// section reads the octets of [from, to).
func (m *Received) section(from, to int64) *io.SectionReader {
	return io.NewSectionReader(m, from, to-from)
}

// hasMessageID reports whether the mail says who it is, without which it is never taken for a copy (MAILBOX 7).
func (m *Received) hasMessageID() bool {
	return m.root.Envelope != nil && m.root.Envelope.MessageID != ""
}
