// Package imapwire is IMAP's coding: it reads commands and writes responses, octet by octet.
//
// It knows the grammar of RFC 9051 9 and RFC 3501 9 (atoms, strings, literals, sets, dates, modified UTF-7); it never
// knows what a command means, a mailbox or a session. A Decoder keeps its first error and turns later reads into
// no-ops; a line, a literal and a whole command are each bounded; after an error Recover finds the next command.
package imapwire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits bound what one command may hold. A literal streamed by OpenLiteral does not count.
type Limits struct {
	// Line is the most octets between two line ends.
	Line int
	// Literal is the most octets of one literal held in memory; Command of a whole command.
	Literal, Command int
	// Literals is the most octets of all literals held in memory since the connection began; zero is no bound.
	Literals int
	// Drain is the most octets skipped to find the next command after an error; beyond it the connection ends.
	Drain int64
}

// Defaults are the limits of DESIGN 6.
func (l Limits) Defaults() Limits {
	if l.Line == 0 {
		l.Line = 64 << 10
	}
	if l.Literal == 0 {
		l.Literal = 64 << 10
	}
	if l.Command == 0 {
		l.Command = 256 << 10
	}
	if l.Drain == 0 {
		l.Drain = 1 << 20
	}
	return l
}

// SyntaxError is a command that does not follow the grammar; its text may be shown to the client.
type SyntaxError struct{ Text string }

func (e *SyntaxError) Error() string { return e.Text }

// ErrTooLong is a line, literal or command beyond its limit.
var ErrTooLong = errors.New("command too long")

// ErrDrain ends a connection whose broken command is too long to be skipped.
var ErrDrain = errors.New("too much to skip")

// Decoder reads commands.
type Decoder struct {
	// UTF8 says that mailbox names come in UTF-8 instead of modified UTF-7 (RFC 9051 5.1, RFC 6855 3).
	UTF8     bool
	r        *bufio.Reader
	limits   Limits
	proceed  func() error
	err      error
	line     int
	total    int
	literals int   // octets of literals taken so far, of all commands
	pending  int64 // octets of a literal that the client sends unasked and nobody has read
	finished bool  // the command's last line end has been read
}

// NewDecoder reads from r. Before a synchronising literal it calls proceed, which sends the continuation request.
func NewDecoder(r *bufio.Reader, limits Limits, proceed func() error) *Decoder {
	return &Decoder{r: r, limits: limits.Defaults(), proceed: proceed, finished: true}
}

// Reset goes on with another input, where a new command begins.
func (d *Decoder) Reset(r *bufio.Reader) {
	d.Begin()
	d.r, d.finished = r, true
}

// SetLimits changes the limits from the next octet on.
func (d *Decoder) SetLimits(limits Limits) { d.limits = limits.Defaults() }

// Begin forgets the last command.
func (d *Decoder) Begin() {
	d.err, d.line, d.total, d.pending, d.finished = nil, 0, 0, 0, false
}

// Err is the first error since Begin.
func (d *Decoder) Err() error { return d.err }

// Fail records a mistake of grammar that the caller found.
func (d *Decoder) Fail(format string, args ...any) {
	d.fail(&SyntaxError{fmt.Sprintf(format, args...)})
}

func (d *Decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// Peek is the next octet, zero after an error. At the end of a line it is '\r' or '\n'.
func (d *Decoder) Peek() byte {
	if d.err != nil {
		return 0
	}
	if d.finished {
		d.Fail("command ended early")
		return 0
	}
	b, err := d.r.Peek(1)
	if err != nil {
		d.fail(err)
		return 0
	}
	return b[0]
}

// skip takes the octet that Peek showed.
func (d *Decoder) skip() {
	if d.err != nil {
		return
	}
	if _, err := d.r.Discard(1); err != nil {
		d.fail(err)
		return
	}
	d.line++
	d.total++
	if d.line > d.limits.Line || d.total > d.limits.Command {
		d.fail(ErrTooLong)
	}
}

// Special takes the octet c.
func (d *Decoder) Special(c byte) {
	if !d.TrySpecial(c) {
		d.Fail("expected %q", string(rune(c)))
	}
}

// TrySpecial takes the octet c if it comes next.
func (d *Decoder) TrySpecial(c byte) bool {
	if d.Peek() != c || d.err != nil {
		return false
	}
	d.skip()
	return d.err == nil
}

// SP takes a space.
func (d *Decoder) SP() {
	if !d.TrySpecial(' ') {
		d.Fail("expected a space")
	}
}

// TrySP takes a space if there is one.
func (d *Decoder) TrySP() bool { return d.TrySpecial(' ') }

// AtEnd reports whether the line ends here.
func (d *Decoder) AtEnd() bool {
	c := d.Peek()
	return d.err != nil || c == '\r' || c == '\n'
}

// CRLF takes the end of the command. A bare LF is taken too.
func (d *Decoder) CRLF() {
	d.TrySpecial('\r')
	if !d.TrySpecial('\n') {
		d.Fail("unexpected text at the end of the command")
		return
	}
	d.finished = true
}

// Take takes octets as long as ok says so.
func (d *Decoder) Take(ok func(byte) bool) string {
	var text []byte
	for {
		c := d.Peek()
		if d.err != nil || !ok(c) {
			return string(text)
		}
		text = append(text, c)
		d.skip()
	}
}

// IsAtomChar is ATOM-CHAR of RFC 9051 9.
func IsAtomChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`(){%*"\]`, c) < 0
}

func isAStringChar(c byte) bool { return IsAtomChar(c) || c == ']' }

func isListChar(c byte) bool { return isAStringChar(c) || c == '%' || c == '*' }

func isTagChar(c byte) bool { return isAStringChar(c) && c != '+' }

// Tag takes a command's tag.
func (d *Decoder) Tag() string { return d.some(isTagChar, "a tag") }

// Atom takes an atom.
func (d *Decoder) Atom() string { return d.some(IsAtomChar, "an atom") }

// Keyword takes an atom and gives it in upper case.
func (d *Decoder) Keyword() string { return strings.ToUpper(d.Atom()) }

func (d *Decoder) some(ok func(byte) bool, what string) string {
	text := d.Take(ok)
	if text == "" {
		d.Fail("expected %s", what)
	}
	return text
}

// AString takes an atom or a string.
func (d *Decoder) AString() string { return d.stringOr(isAStringChar, "a string") }

// ListMailbox takes a mailbox name with wildcards, undecoded.
func (d *Decoder) ListMailbox() string { return d.stringOr(isListChar, "a mailbox pattern") }

func (d *Decoder) stringOr(ok func(byte) bool, what string) string {
	if c := d.Peek(); c == '"' || c == '{' {
		return d.String()
	}
	return d.some(ok, what)
}

// Mailbox takes a mailbox name and decodes it; INBOX comes out in upper case.
func (d *Decoder) Mailbox() string { return d.mailbox(d.AString()) }

// Pattern takes a mailbox name with wildcards and decodes it.
func (d *Decoder) Pattern() string { return d.mailbox(d.ListMailbox()) }

func (d *Decoder) mailbox(name string) string {
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	if d.UTF8 {
		if !validUTF8(name) {
			d.Fail("mailbox name is not UTF-8")
		}
		return name
	}
	name, err := DecodeUTF7(name)
	if err != nil {
		d.Fail("%v", err)
	}
	return name
}

// NString takes a string or NIL; ok is false for NIL.
func (d *Decoder) NString() (text string, ok bool) {
	if c := d.Peek(); c == '"' || c == '{' {
		return d.String(), true
	}
	if atom := d.Keyword(); atom != "NIL" {
		d.Fail("expected a string or NIL")
	}
	return "", false
}

// String takes a quoted string or a literal.
func (d *Decoder) String() string {
	switch d.Peek() {
	case '"':
		return d.quoted()
	case '{':
		return d.literal()
	}
	d.Fail("expected a string")
	return ""
}

func (d *Decoder) quoted() string {
	d.skip()
	var text []byte
	for {
		c := d.Peek()
		switch {
		case d.err != nil:
			return ""
		case c == '"':
			d.skip()
			return string(text)
		case c == '\r' || c == '\n' || c == 0:
			d.Fail("quoted string is not closed")
			return ""
		case c == '\\':
			d.skip()
			if c = d.Peek(); c != '"' && c != '\\' {
				d.Fail("bad escape in a quoted string")
				return ""
			}
		}
		text = append(text, c)
		d.skip()
	}
}

func (d *Decoder) literal() string {
	l := d.OpenLiteral()
	if d.err != nil {
		return ""
	}
	if !d.holds(l.Size) {
		l.Refuse()
		d.fail(ErrTooLong)
		return ""
	}
	d.total += int(l.Size)
	d.literals += int(l.Size)
	if l.Accept(); d.err != nil {
		return ""
	}
	data := make([]byte, l.Size)
	if _, err := io.ReadFull(l, data); err != nil {
		d.fail(err)
		return ""
	}
	if strings.IndexByte(string(data), 0) >= 0 {
		d.Fail("NUL in a literal")
	}
	return string(data)
}

// holds reports whether a literal of n octets may be kept in memory.
func (d *Decoder) holds(n int64) bool {
	l := &d.limits
	return n <= int64(l.Literal) && int64(d.total)+n <= int64(l.Command) && (l.Literals == 0 || int64(d.literals)+n <= int64(l.Literals))
}

// List takes a parenthesized list, calling item for each of its members.
func (d *Decoder) List(item func()) {
	d.Special('(')
	if d.TrySpecial(')') {
		return
	}
	for d.err == nil {
		item()
		if d.TrySpecial(')') {
			return
		}
		d.SP()
	}
}

// Rest takes everything up to the end of the line.
func (d *Decoder) Rest() string {
	return d.Take(func(c byte) bool { return c != '\r' && c != '\n' })
}

// Fatal reports whether err ends the connection: the input failed, or cannot be brought to the next command.
func Fatal(err error) bool {
	var syntax *SyntaxError
	return err != nil && !errors.As(err, &syntax) && !errors.Is(err, ErrTooLong)
}

// Recover skips what is left of a command that was given up, with the literals that the client sends unasked.
func (d *Decoder) Recover() error {
	budget := d.limits.Drain
	for !d.finished {
		if d.pending > budget {
			return ErrDrain
		}
		budget -= d.pending
		if err := d.drop(d.pending); err != nil {
			return err
		}
		tail, n, err := d.skipLine(budget)
		if err != nil {
			return err
		}
		budget -= n
		if d.pending = announced(tail); d.pending < 0 {
			d.finished, d.pending = true, 0
		}
	}
	return nil
}

func (d *Decoder) drop(n int64) error {
	for n > 0 {
		m, err := d.r.Discard(int(min(n, 1<<20)))
		if err != nil {
			return err
		}
		n -= int64(m)
	}
	return nil
}

// skipLine drops a line and gives its last octets, enough for a literal's announcement.
func (d *Decoder) skipLine(budget int64) (tail []byte, n int64, err error) {
	for {
		part, err := d.r.ReadSlice('\n')
		n += int64(len(part))
		tail = append(tail, part[max(0, len(part)-32):]...)
		tail = tail[max(0, len(tail)-32):]
		if err == nil {
			return tail, n, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, n, err
		}
		if n > budget {
			return nil, n, ErrDrain
		}
	}
}

// announced is the size of the non-synchronising literal that a line announces, or -1.
func announced(line []byte) int64 {
	text := strings.TrimRight(string(line), "\r\n")
	open := strings.LastIndexByte(text, '{')
	if open < 0 || !strings.HasSuffix(text, "+}") {
		return -1
	}
	var n int64
	digits := text[open+1 : len(text)-2]
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' || n > 1<<50 {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	if digits == "" {
		return -1
	}
	return n
}
