package archive

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mbox"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// An mbox has no place for flags: mail programs put them into fields of the header. We write the three of them as a block in
// front of the header, always, and take that block out again; fields that others have put elsewhere are read and left.

const (
	statusField   = "Status"
	xStatusField  = "X-Status"
	keywordsField = "X-Keywords"
	// headerPeek is how much of a mail is looked at for its flags.
	headerPeek = 64 << 10
)

// letters are the letters of flags in Status and X-Status.
var letters = []struct {
	field  string
	letter byte
	bit    exmdb.FlagBits
}{
	{statusField, 'R', exmdb.FlagSeen},
	{xStatusField, 'A', exmdb.FlagAnswered}, {xStatusField, 'F', exmdb.FlagFlagged},
	{xStatusField, 'D', exmdb.FlagDeleted}, {xStatusField, 'T', exmdb.FlagDraft},
}

// forwarded is the keyword of a flag of ours that others have as one (RFC 5788).
const forwarded = "$Forwarded"

// flagBlock is the block in front of a mail's header.
func flagBlock(f exmdb.Flags) []byte {
	status := map[string]string{}
	for _, l := range letters {
		if f.Bits&l.bit != 0 {
			status[l.field] += string(l.letter)
		}
	}
	words := make([]string, 0, len(f.Keywords)+1)
	if f.Bits&exmdb.FlagForwarded != 0 {
		words = append(words, forwarded)
	}
	for _, k := range f.Keywords {
		words = append(words, url.PathEscape(k))
	}
	return fmt.Appendf(nil, "%s: %sO\r\n%s: %s\r\n%s: %s\r\n", statusField, status[statusField], xStatusField, status[xStatusField],
		keywordsField, strings.Join(words, " "))
}

// flagsOf reads the flags that fields say.
func flagsOf(status, xStatus, keywords string) exmdb.Flags {
	var f exmdb.Flags
	for _, l := range letters {
		if strings.IndexByte(map[string]string{statusField: status, xStatusField: xStatus}[l.field], l.letter) >= 0 {
			f.Bits |= l.bit
		}
	}
	for _, word := range strings.Fields(keywords) {
		if plain, err := url.PathUnescape(word); err == nil {
			word = plain
		}
		if strings.EqualFold(word, forwarded) {
			f.Bits |= exmdb.FlagForwarded
			continue
		}
		f.Keywords = append(f.Keywords, word)
	}
	return f
}

// takeFlags reads the flags in front of a mail; what r yields afterwards is the mail.
func takeFlags(r *bufio.Reader) (exmdb.Flags, error) {
	head, err := r.Peek(headerPeek)
	if err != nil && err != io.EOF {
		return exmdb.Flags{}, err
	}
	rest := head
	var values []string
	for _, name := range []string{statusField, xStatusField, keywordsField} {
		line, behind, found := bytes.Cut(rest, []byte("\n"))
		value, is := bytes.CutPrefix(line, []byte(name+":"))
		if !found || !is {
			break
		}
		values, rest = append(values, string(value)), behind
	}
	if len(values) == 3 {
		_, err := r.Discard(len(head) - len(rest))
		return flagsOf(values[0], values[1], values[2]), err
	}
	header, _, _ := bytes.Cut(mime.Normalize(head), []byte("\r\n\r\n"))
	h := mime.ParseHeader(append(slices.Clip(header), "\r\n"...))
	return flagsOf(h.Get(statusField), h.Get(xStatusField), h.Get(keywordsField)), nil
}

// readMbox imports a mailbox file, or those in a folder: each is a folder of the mailbox.
func (j *job) readMbox() error {
	list, err := j.sources(true)
	if err != nil {
		return err
	}
	for _, s := range list {
		if err := j.readMboxFile(s); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) readMboxFile(s source) (err error) {
	to, err := j.mailFolder(s.folder)
	if err != nil {
		return err
	}
	f, err := open(s.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r, in := mbox.NewReader(f), bufio.NewReaderSize(nil, headerPeek)
	for n := 1; ; n++ {
		from, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if errors.Is(err, mbox.ErrNoMbox) {
			return fmt.Errorf("%w: %s: %w", ErrInput, s.path, err)
		}
		if err != nil {
			return err
		}
		in.Reset(r)
		st := state{received: from.Received}
		if st.flags, err = takeFlags(in); err != nil {
			return err
		}
		if err := j.mail(fmt.Sprintf("%s, mail %d", s.path, n), to, in, st); err != nil {
			return err
		}
	}
}

// mailFolder is the folder that mail comes into which a path leads to; without one that is the Inbox, unless the job says
// otherwise.
func (j *job) mailFolder(path string) (*exmdb.Folder, error) { return j.folderFor(path, "") }

// folderFor is mailFolder for messages that want a class of folder.
func (j *job) folderFor(path, class string) (*exmdb.Folder, error) {
	to := j.tree.byID[inbox]
	if path = j.under(path); path != "" {
		var err error
		if to, err = j.ensure(path, class); err != nil {
			return nil, err
		}
	}
	j.done.Folder = j.tree.path(to.FID)
	return to, nil
}

// writeMbox exports each folder as a mailbox file.
func (j *job) writeMbox() error {
	return j.perFolder(func(out *output, f *exmdb.Folder) error {
		w := mbox.NewWriter(out)
		return j.exportMails(f, func(row *exmdb.Row) (bool, error) {
			if err := w.Begin(mbox.From{Received: row.Received}); err != nil {
				return false, err
			}
			_, _ = w.Write(flagBlock(row.Flags)) // End tells
			if err := j.octets(w, f.FID, row); err != nil {
				return false, errors.Join(err, w.End())
			}
			return true, w.End()
		})
	})
}
