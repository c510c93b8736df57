// Package mbox reads and writes mailboxes that are one file (RFC 4155), in the form mboxrd: each mail begins with a line
// "From ", and lines of mails that could be taken for one get a ">" more, which reading takes away again.
//
// It knows lines, never what is in a mail. A mail streams through it, however long its lines are. Invariant: what is
// written is read back as it was, octet for octet, but for an end without a line end, which gets one: mails have CRLF, the
// file has LF, and only a line whose text ends in CR keeps its CRLF in the file.
package mbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// From is what the line in front of a mail says.
type From struct {
	// Sender is the reverse-path, or what stands for it.
	Sender string
	// Received is when the mail came, the zero time if the line does not say it in a form that is known.
	Received time.Time
}

// ErrNoMbox says that the input does not begin as a mailbox does.
var ErrNoMbox = errors.New("no mbox: it does not begin with a line \"From \"")

const (
	separator = "From "
	// maxFrom bounds the line in front of a mail.
	maxFrom = 4 << 10
	buffer  = 64 << 10
)

// Reader reads a mailbox, mail by mail: Next goes to one, Read reads it with the file's line ends.
type Reader struct {
	in *bufio.Reader
	// next is the line in front of the mail that comes next, if it has been read.
	next  *From
	begun bool
	// inside: a mail is being read. pending is what of it is ready to be given out.
	inside  bool
	pending []byte
	// blank is a held line end: an empty line belongs to the separator, if one follows. fresh: a line begins here.
	blank []byte
	fresh bool
}

// NewReader reads the mailbox that r yields.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, buffer)}
}

// Next goes to the next mail, past what of the one before has not been read. The end of the mailbox is io.EOF.
func (r *Reader) Next() (*From, error) {
	if !r.begun {
		if err := r.begin(); err != nil {
			return nil, err
		}
	}
	if r.inside {
		if _, err := io.Copy(io.Discard, readOnly{r}); err != nil {
			return nil, err
		}
	}
	if r.next == nil {
		return nil, io.EOF
	}
	from := r.next
	// No line at all may stand between two separators, so the line of this one counts as empty.
	r.next, r.inside, r.fresh, r.blank = nil, true, true, []byte{}
	return from, nil
}

// readOnly keeps io.Copy from what else a reader may have.
type readOnly struct{ io.Reader }

// begin reads up to the first mail. Empty lines in front of it are passed over; a mailbox may be empty.
func (r *Reader) begin() error {
	r.begun = true
	for {
		line, err := r.in.ReadSlice('\n')
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("read mbox: %w", err)
		}
		switch {
		case bytes.HasPrefix(line, []byte(separator)):
			return r.separator(line, err)
		case len(bytes.TrimSpace(line)) > 0:
			return ErrNoMbox
		case err == io.EOF:
			return nil
		}
	}
}

// separator takes the line in front of a mail in, of which line is the beginning if err says so.
func (r *Reader) separator(line []byte, err error) error {
	text := string(line[:min(len(line), maxFrom)])
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.in.ReadSlice('\n')
	}
	if err != nil && err != io.EOF {
		return fmt.Errorf("read mbox: %w", err)
	}
	r.next = parseFrom(text)
	return nil
}

// Read implements io.Reader for the mail that Next went to.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.pending) == 0 {
		if !r.inside {
			return 0, io.EOF
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.pending)
	r.pending = r.pending[n:]
	return n, nil
}

// fill reads a line, or as much of it as fits.
func (r *Reader) fill() error {
	line, err := r.in.ReadSlice('\n')
	whole := err == nil
	if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
		return fmt.Errorf("read mbox: %w", err)
	}
	ended := err == io.EOF
	if r.fresh && r.blank != nil && separates(line) || ended && len(line) == 0 {
		r.inside, r.blank = false, nil
		if ended && len(line) == 0 {
			return nil
		}
		return r.separator(line, err)
	}
	isBlank := r.fresh && whole && len(bytes.TrimRight(line, "\r\n")) == 0
	if r.fresh {
		line = unquoted(line)
	}
	held := r.blank
	r.blank = nil
	if isBlank {
		r.blank = bytes.Clone(line)
		line = nil
	}
	r.pending = append(append(r.pending[:0:0], held...), line...)
	r.fresh = whole
	if ended {
		r.inside, r.blank = false, nil
	}
	return nil
}

// separates reports whether a line behind an empty one begins a mail: others than we leave sentences that begin with
// "From " as they are, but those have no time of day in them.
func separates(line []byte) bool {
	if !bytes.HasPrefix(line, []byte(separator)) {
		return false
	}
	for i := 1; i+1 < len(line); i++ {
		if line[i] == ':' && isDigit(line[i-1]) && isDigit(line[i+1]) {
			return true
		}
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// unquoted takes the ">" away that quoting put in front of a line.
func unquoted(line []byte) []byte {
	rest := bytes.TrimLeft(line, ">")
	if len(rest) < len(line) && bytes.HasPrefix(rest, []byte(separator)) {
		return line[1:]
	}
	return line
}

// layouts are the forms in which the time of a mail is written: asctime, with and without a zone.
var layouts = []string{time.ANSIC, "Mon Jan _2 15:04:05 2006 -0700", "Mon Jan _2 15:04:05 -0700 2006", "Mon Jan _2 15:04:05 MST 2006"}

func parseFrom(line string) *From {
	sender, date, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, separator)), " ")
	f := &From{Sender: sender}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, strings.TrimSpace(date)); err == nil {
			f.Received = at.UTC()
			break
		}
	}
	return f
}

// Writer writes a mailbox: Begin, the octets of a mail, End, and so on.
type Writer struct {
	out *bufio.Writer
	// quotes and matched are what may become a line that needs quoting: so many ">", and so much of "From ".
	quotes, matched int
	start           bool
	// cr is a CR that is held back; text: the line's text ends in CR; broken: the mail does not end a line.
	cr, text, broken bool
}

// NewWriter writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{out: bufio.NewWriterSize(w, buffer)} }

// Begin begins a mail.
func (w *Writer) Begin(from From) error {
	sender := strings.Map(func(c rune) rune {
		if c <= ' ' || c == 0x7f {
			return -1
		}
		return c
	}, from.Sender)
	if sender == "" {
		sender = "MAILER-DAEMON"
	}
	*w = Writer{out: w.out, start: true}
	_, err := fmt.Fprintf(w.out, "%s%s %s\n", separator, sender, from.Received.UTC().Format(time.ANSIC))
	return err
}

// Write takes octets of the mail. Errors are those of the writer below, told at the latest by End.
func (w *Writer) Write(p []byte) (int, error) {
	for _, c := range p {
		if w.start && w.match(c) {
			continue
		}
		w.put(c)
	}
	return len(p), nil
}

// match reports whether a line may still be one that needs quoting; when that is decided it writes what it held.
func (w *Writer) match(c byte) bool {
	switch {
	case w.matched == 0 && c == '>':
		w.quotes++
		return true
	case c == separator[w.matched]:
		if w.matched++; w.matched < len(separator) {
			return true
		}
		w.quotes++
		w.release()
		return true
	}
	w.release()
	return false
}

// release writes what was held of the beginning of a line.
func (w *Writer) release() {
	quotes, matched := w.quotes, w.matched
	w.start, w.quotes, w.matched = false, 0, 0
	for range quotes {
		w.put('>')
	}
	for _, c := range []byte(separator[:matched]) {
		w.put(c)
	}
}

// put writes one octet, with LF in the place of CRLF. bufio keeps the first error.
func (w *Writer) put(c byte) {
	switch {
	case c == '\n':
		if w.cr && w.text {
			_ = w.out.WriteByte('\r') // told by Flush
		}
		_ = w.out.WriteByte('\n') // told by Flush
		w.cr, w.text, w.start, w.broken = false, false, true, false
		return
	case w.cr:
		_ = w.out.WriteByte('\r') // told by Flush
		w.text = true
	}
	w.broken = true
	if w.cr = c == '\r'; !w.cr {
		_ = w.out.WriteByte(c) // told by Flush
		w.text = false
	}
}

// End ends the mail.
func (w *Writer) End() error {
	if w.start {
		w.release()
	}
	if w.broken {
		w.put('\r')
		w.put('\n')
	}
	_ = w.out.WriteByte('\n') // told by Flush
	return w.out.Flush()
}
