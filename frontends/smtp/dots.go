package smtp

import (
	"bytes"
	"io"

	"github.com/emersion/go-smtp"
)

// dotReader reads the octets of a mail behind DATA (RFC 5321 4.5.2) from the connection, where the engine's own reader
// takes them one by one. Nothing but CR LF dot CR LF ends a mail; the dot and what is behind it are left to the engine.
type dotReader struct {
	conn *conn
	// left is how many octets more the mail may have, maxLine how many a line.
	left    int64
	maxLine int

	start bool  // at the beginning of a line
	cr    bool  // the last octet was a CR
	held  int   // octets of end that were read already, at the beginning of a line
	line  int   // octets of the present line
	err   error // the end of the mail, or of the connection
	// refusal is why the mail is not wanted.
	refusal error
	// rest is what a reader of few octets at a time has not had yet.
	rest []byte
}

// end is what ends a mail, at the beginning of a line.
const end = ".\r\n"

// leastRead is the least room that dotReader reads into.
const leastRead = 512

func newDotReader(c *conn) *dotReader {
	return &dotReader{conn: c, left: c.server.config.MaxMessage, maxLine: c.server.config.MaxLine, start: true}
}

// Read implements io.Reader.
func (d *dotReader) Read(p []byte) (int, error) {
	if len(p) < leastRead || len(d.rest) > 0 {
		return d.readFew(p)
	}
	n := 0
	for n == 0 && d.err == nil && d.refusal == nil {
		n = d.next(p)
	}
	switch {
	case d.refusal != nil:
		return 0, d.refusal
	case n > 0:
		return n, nil
	}
	return 0, d.err
}

func (d *dotReader) readFew(p []byte) (int, error) {
	if len(d.rest) == 0 {
		b := make([]byte, leastRead)
		n, err := d.Read(b)
		if err != nil {
			return 0, err
		}
		d.rest = b[:n]
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// next reads from the connection once and returns how many octets of the mail that gave.
func (d *dotReader) next(p []byte) int {
	held := copy(p, end[:d.held])
	n, err := d.conn.readMail(p[held:])
	if err != nil {
		d.err = err
		return 0
	}
	d.held = 0
	return d.decode(p[:held+n])
}

// decode takes the dots that were put in front of others out of b, in place.
func (d *dotReader) decode(b []byte) (n int) {
	for at := 0; at < len(b); {
		if d.start && b[at] == '.' {
			dot := b[at:min(at+len(end), len(b))]
			switch {
			case string(dot) == end:
				d.conn.putBack(b[at:])
				d.err = io.EOF
				return n
			case string(dot) == end[:len(dot)]:
				d.held = len(dot)
				return n
			}
			at++
			d.start = false
			continue
		}
		run := d.run(b[at:])
		if n != at {
			copy(b[n:], run)
		}
		d.count(b[n : n+len(run)])
		n, at = n+len(run), at+len(run)
	}
	return n
}

// run is as much of b as can be passed on at once: up to a line that begins with a dot.
func (d *dotReader) run(b []byte) []byte {
	if d.cr && b[0] == '\n' {
		b, d.start = b[:1], true
	} else {
		if i := bytes.Index(b, []byte("\r\n.")); i >= 0 {
			b = b[:i+2]
		}
		d.start = bytes.HasSuffix(b, []byte("\r\n"))
	}
	d.cr = b[len(b)-1] == '\r'
	return b
}

// count holds the mail to the limits. Octets that break them are still read, or the engine would take them for commands.
func (d *dotReader) count(run []byte) {
	if d.left -= int64(len(run)); d.left < 0 {
		d.refusal = smtp.ErrDataTooLarge
	}
	if d.line+len(run) > d.maxLine {
		run = d.lines(run)
	}
	if i := bytes.LastIndexByte(run, '\n'); i >= 0 {
		d.line, run = 0, run[i+1:]
	}
	d.line += len(run)
}

// lines looks at each line that ends in run, and returns what is behind.
func (d *dotReader) lines(run []byte) []byte {
	for {
		i := bytes.IndexByte(run, '\n') + 1
		if i > 0 && d.line+i > d.maxLine || i == 0 && d.line+len(run) > d.maxLine {
			d.refusal = smtp.ErrTooLongLine
		}
		if i == 0 {
			return run
		}
		d.line, run = 0, run[i:]
	}
}

// drain reads to the end of a mail that nobody wants to read.
func (d *dotReader) drain() {
	for p := make([]byte, engineBuffer); d.err == nil; {
		d.next(p)
	}
}
