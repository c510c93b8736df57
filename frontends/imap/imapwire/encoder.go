package imapwire

import (
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bufferSize is the room of an encoder's buffer; it is written out when flushAt is reached at the end of a line.
const (
	bufferSize = 32 << 10
	flushAt    = 24 << 10
)

// Buffers lends output buffers to encoders, so that a connection that has nothing to say holds none.
type Buffers struct{ pool sync.Pool }

func (p *Buffers) get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, bufferSize)
}

func (p *Buffers) put(b []byte) {
	if cap(b) == bufferSize {
		p.pool.Put(&b)
	}
}

// Encoder writes responses. It keeps its first error and turns later writes into no-ops.
type Encoder struct {
	// UTF8 allows UTF-8 in quoted strings (RFC 9051, RFC 6855).
	UTF8    bool
	w       io.Writer
	buffers *Buffers
	buf     []byte
	err     error
}

// NewEncoder writes to w.
func NewEncoder(w io.Writer, buffers *Buffers) *Encoder {
	return &Encoder{w: w, buffers: buffers}
}

// Err is the first error.
func (e *Encoder) Err() error { return e.err }

// Buffered is the number of octets not yet written out.
func (e *Encoder) Buffered() int { return len(e.buf) }

// Flush writes out what is buffered and gives the buffer back.
func (e *Encoder) Flush() error {
	if e.buf == nil {
		return e.err
	}
	e.write()
	e.buffers.put(e.buf)
	e.buf = nil
	return e.err
}

func (e *Encoder) write() {
	if e.err == nil && len(e.buf) > 0 {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

func (e *Encoder) room() {
	if e.buf == nil {
		e.buf = e.buffers.get()
	}
}

// Raw writes text as it is.
func (e *Encoder) Raw(text string) {
	e.room()
	e.buf = append(e.buf, text...)
}

// Byte writes one octet.
func (e *Encoder) Byte(c byte) {
	e.room()
	e.buf = append(e.buf, c)
}

// Num writes a number.
func (e *Encoder) Num(n uint64) {
	e.room()
	e.buf = strconv.AppendUint(e.buf, n, 10)
}

// CRLF ends a response.
func (e *Encoder) CRLF() {
	e.Raw("\r\n")
	if len(e.buf) >= flushAt {
		e.write()
	}
}

// Write implements io.Writer for octets of a literal.
func (e *Encoder) Write(p []byte) (int, error) {
	e.room()
	if len(e.buf)+len(p) > bufferSize {
		e.write()
		if len(p) >= flushAt {
			if e.err == nil {
				_, e.err = e.w.Write(p)
			}
			return len(p), e.err
		}
	}
	e.buf = append(e.buf, p...)
	return len(p), e.err
}

// LiteralSize announces a literal of n octets; exactly so many are to be written next.
func (e *Encoder) LiteralSize(n int64) {
	e.Byte('{')
	e.Num(uint64(n))
	e.Raw("}\r\n")
}

// String writes a string: quoted where it may be, else as a literal.
func (e *Encoder) String(text string) {
	if !e.quotable(text) {
		if strings.IndexByte(text, 0) >= 0 {
			text = strings.ReplaceAll(text, "\x00", "")
		}
		e.LiteralSize(int64(len(text)))
		_, _ = e.Write([]byte(text)) // the error stays in e
		return
	}
	e.room()
	e.buf = append(e.buf, '"')
	for i := range len(text) {
		if c := text[i]; c == '"' || c == '\\' {
			e.buf = append(e.buf, '\\')
		}
		e.buf = append(e.buf, text[i])
	}
	e.buf = append(e.buf, '"')
	if len(e.buf) >= flushAt {
		e.write()
	}
}

// maxQuoted keeps lines short enough for clients with small line buffers.
const maxQuoted = 1024

func (e *Encoder) quotable(text string) bool {
	if len(text) > maxQuoted {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c == 0 || c == '\r' || c == '\n' || c >= 0x80 && !e.UTF8 {
			return false
		}
	}
	return !e.UTF8 || validUTF8(text)
}

// NString writes a string, or NIL for the empty one.
func (e *Encoder) NString(text string) {
	if text == "" {
		e.Raw("NIL")
		return
	}
	e.String(text)
}

// Mailbox writes a mailbox name: modified UTF-7 unless UTF8 is set, an atom where it may be one.
func (e *Encoder) Mailbox(name string) {
	if !e.UTF8 {
		name = EncodeUTF7(name)
	}
	if name == "" || strings.EqualFold(name, "NIL") || !allAtomChars(name) {
		e.String(name)
		return
	}
	e.Raw(name)
}

func allAtomChars(text string) bool {
	for i := range len(text) {
		if !IsAtomChar(text[i]) {
			return false
		}
	}
	return true
}

// Ranges writes a sequence-set.
func (e *Encoder) Ranges(ranges []Range) {
	e.room()
	for len(ranges) > 512 { // long sets go out in pieces
		e.buf = AppendRanges(e.buf, ranges[:512])
		e.buf = append(e.buf, ',')
		e.write()
		ranges = ranges[512:]
	}
	e.buf = AppendRanges(e.buf, ranges)
}

// DateTime writes a quoted date-time.
func (e *Encoder) DateTime(t time.Time) {
	e.room()
	e.buf = AppendDateTime(e.buf, t)
}
