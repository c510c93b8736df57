package archive

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// inMemory is how much of a mail is held in memory before it is known whether it is there already; what is longer goes
	// to a file.
	inMemory = 256 << 10
	// tries is how often a message is brought whose content has got lost on the way, because the mailbox moved meanwhile.
	tries = 4
	// everyUID is the last UID.
	everyUID = mapi.UID(1<<32 - 1)
)

// spooled is a mail's octets as they stand in its source; sum is of them with CRLF for every line end.
type spooled struct {
	data []byte
	file *os.File
	size int64
	sum  sum
}

// spool reads a mail to its end.
func (j *job) spool(r io.Reader) (*spooled, error) {
	s := &spooled{}
	h := sha256.New()
	limited := io.TeeReader(io.LimitReader(r, j.Limit+1), mime.NewNormalizer(h))
	var head bytes.Buffer
	n, err := io.CopyN(&head, limited, inMemory)
	s.data, s.size = head.Bytes(), n
	if err == nil { // there may be more
		err = s.spill(j.Spool, limited)
	}
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read mail: %w", err)
	}
	switch {
	case s.size > j.Limit:
		err = cluster.Errorf(exmdb.KindTooBig, "the mail is longer than %d bytes", j.Limit)
	case s.size == 0:
		err = fmt.Errorf("%w: the mail is empty", ErrInput)
	default:
		s.sum = sum(h.Sum(nil))
		return s, nil
	}
	s.close()
	return nil, err
}

// spill puts what was read, and the rest, into a file that has no name any more.
func (s *spooled) spill(dir string, rest io.Reader) error {
	f, err := os.CreateTemp(dir, "flotilla-mail-*")
	if err != nil {
		return err
	}
	s.file = f
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	if _, err := f.Write(s.data); err != nil {
		return err
	}
	n, err := io.Copy(f, rest)
	s.data = nil
	s.size += n
	return err
}

func (s *spooled) reader() io.Reader {
	if s.file != nil {
		return io.NewSectionReader(s.file, 0, s.size)
	}
	return bytes.NewReader(s.data)
}

func (s *spooled) close() {
	if s.file != nil {
		_ = s.file.Close() // it has no name: nothing is lost
	}
}

// state is what a mail has in a mailbox beside its octets.
type state struct {
	flags    exmdb.Flags
	received time.Time
}

// mail brings one mail into a folder, unless it is there from an import before.
func (j *job) mail(what string, to *exmdb.Folder, r io.Reader, st state) error {
	s, err := j.spool(r)
	if err != nil {
		return j.each(what, err)
	}
	defer s.close()
	at := place{folder: to.FID}
	mine, there, err := j.keyed(at, s.sum)
	if err != nil {
		return err
	}
	if there {
		j.knew(s.size)
		return nil
	}
	if _, _, err := j.append(to.FID, s, st, mine[:]); err != nil {
		return j.each(what, err)
	}
	j.has(at, mine)
	j.carried(s.size)
	return nil
}

// knew counts a message that was there already.
func (j *job) knew(bytes int64) {
	j.done.Known++
	j.done.Bytes += bytes
	j.tell()
}

// append stores a mail under a key, and says what its octets alone say of it.
func (j *job) append(to mapi.FID, s *spooled, st state, mine []byte) (*exmdb.DeliverResponse, *mapi.PropBag, error) {
	for try := 1; ; try++ {
		msg, err := j.ingest.Ingest(j.ctx, j.owner, s.reader(), s.size)
		if err != nil {
			return nil, nil, err
		}
		said := new(mapi.PropBag)
		if err := said.UnmarshalWire(msg.Props); err != nil {
			return nil, nil, fmt.Errorf("read properties of mail: %w", err)
		}
		said.Set(importKey, mapi.Binary(mine))
		msg.Props = said.AppendWire(nil)
		resp, err := do(j, exmdb.OpAppend, &exmdb.AppendRequest{Folder: to, Message: msg, Flags: st.flags, Received: st.received})
		if lost(err) && try < tries {
			continue
		}
		return resp, said, err
	}
}

func lost(err error) bool { return err != nil && cluster.KindOf(err) == cluster.KindContentMissing }

// mails calls fn for each mail of a folder, in order of UIDs.
func (j *job) mails(f *exmdb.Folder, fn func(*exmdb.Row) error) error {
	req := &exmdb.RowsRequest{Folder: f.FID, Fields: exmdb.RowFlags | exmdb.RowMeta, Limit: 500}
	for {
		page, err := do(j, exmdb.OpRows, req)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			if err := fn(&page.Rows[i]); err != nil {
				return err
			}
		}
		if !page.More {
			return nil
		}
		req.UIDs = []exmdb.UIDRange{{First: page.Next, Last: everyUID}}
	}
}

// octets copies a mail's octets to w.
func (j *job) octets(w io.Writer, folder mapi.FID, row *exmdb.Row) error {
	m := exmdb.OpenMessage(j.ctx, j.Caller, exmdb.System, j.Mailbox, folder, *row)
	size := min(max(m.Size(), 1), exmdb.MaxReadBytes)
	_, err := io.CopyBuffer(writeOnly{w}, readOnly{io.NewSectionReader(m, 0, m.Size())}, make([]byte, size))
	return err
}

// writeOnly and readOnly keep a copy to the buffer that it was given.
type (
	writeOnly struct{ io.Writer }
	readOnly  struct{ io.Reader }
)

// exportMails calls fn for each mail of the chosen folders, and counts it.
func (j *job) exportMails(f *exmdb.Folder, fn func(*exmdb.Row) (stored bool, err error)) error {
	path := j.tree.path(f.FID)
	j.done.Folder = path
	return j.mails(f, func(row *exmdb.Row) error {
		stored, err := fn(row)
		switch {
		case err != nil:
			return j.each(fmt.Sprintf("%s, UID %d", path, row.UID), err)
		case stored:
			j.carried(int64(row.Size))
		default:
			j.knew(int64(row.Size))
		}
		return nil
	})
}
