package mime

import (
	"bytes"
	"io"
	"strings"
)

// Limits bound what a scan keeps. A zero field stands for its default.
type Limits struct {
	MaxParts  int // entities in the tree, 10,000; the last one is the opaque rest
	MaxDepth  int // nesting of entities, 200; deeper multiparts and messages are leaves
	MaxHeader int // octets kept of one entity's header fields, and of one line, 256 KiB
	MaxKept   int // octets of field values kept in the whole tree, 2 MiB; later parts keep type and encoding only
}

// DefaultLimits are the bounds a mail server uses.
func DefaultLimits() Limits {
	return Limits{MaxParts: 10000, MaxDepth: 200, MaxHeader: 256 << 10, MaxKept: 2 << 20}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ field, value *int }{
		{&l.MaxParts, &d.MaxParts}, {&l.MaxDepth, &d.MaxDepth}, {&l.MaxHeader, &d.MaxHeader}, {&l.MaxKept, &d.MaxKept},
	} {
		if *f.field <= 0 {
			*f.field = *f.value
		}
	}
	l.MaxHeader = max(l.MaxHeader, 2*maxDelimiter)
	return l
}

// maxBoundary is the longest boundary looked for; RFC 2046 5.1.1 allows 70 characters, mailers were seen with more.
const maxBoundary = 400

// maxDelimiter is the longest line that can be a delimiter, with white space after it.
const maxDelimiter = maxBoundary + 256

// scanState says what the bytes at the scanner's position belong to.
type scanState byte

const (
	inHeader scanState = iota // a header of the innermost open entity
	inBody                    // the content of the innermost open entity: body, preamble or epilogue
)

// open is an entity whose end has not been seen.
type open struct {
	part      *Part
	isMessage bool // its header has an envelope
	startLine int64
	boundary  string // of a multipart that still may have parts, else ""
	shadowed  int    // index of the next outer entity with the same boundary, -1
	started   bool   // its header has at least one line
}

// Scanner finds the structure of one message that is written to it. Write never fails.
type Scanner struct {
	limits     Limits
	state      scanState
	off        int64 // of the next byte to be written
	lines      int64 // LFs before off
	midLine    bool  // the rest of the current line does not matter
	held       []byte
	heldStart  int64
	heldEOL    int64   // length of the line end before the held line
	last       [2]byte // the two bytes before off
	stack      []open
	boundaries map[string]int // boundary of an open multipart → innermost index in stack
	fields     fieldReader
	root       *Part
	parts      int
	kept       int
}

// NewScanner begins the scan of one message.
func NewScanner(limits Limits) *Scanner {
	s := &Scanner{limits: limits.withDefaults(), boundaries: map[string]int{}}
	s.root = &Part{}
	s.push(s.root, true)
	return s
}

// Scan finds the structure of a whole message.
func Scan(message []byte) *Part {
	s := NewScanner(Limits{})
	_, _ = s.Write(message) // never fails
	return s.Finish()
}

// ScanReader finds the structure of the message that r yields. The error is r's.
func ScanReader(r io.Reader, limits Limits) (*Part, error) {
	s := NewScanner(limits)
	if _, err := io.Copy(s, r); err != nil {
		return nil, err
	}
	return s.Finish(), nil
}

// Write takes the next bytes of the message.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		var used int
		switch {
		case s.state == inHeader:
			used = s.writeHeader(p)
		case len(s.boundaries) == 0:
			used = len(p)
			s.lines += int64(bytes.Count(p, newline))
		default:
			used = s.writeBody(p)
		}
		s.advance(p[:used])
		p = p[used:]
	}
	return n, nil
}

var newline = []byte{'\n'}

// advance moves the position over consumed bytes, whose LFs have been counted.
func (s *Scanner) advance(p []byte) {
	s.off += int64(len(p))
	switch n := len(p); {
	case n >= 2:
		s.last = [2]byte{p[n-2], p[n-1]}
	case n == 1:
		s.last = [2]byte{s.last[1], p[0]}
	}
}

// writeHeader consumes one line of a header, or what there is of it.
func (s *Scanner) writeHeader(p []byte) int {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		s.hold(p, s.limits.MaxHeader)
		return len(p)
	}
	line := p[:i+1]
	if len(s.held) > 0 || s.midLine {
		s.hold(line, s.limits.MaxHeader)
		line = s.held
	} else {
		s.heldStart, s.heldEOL = s.off, s.eolBefore()
	}
	s.lines++
	end := s.off + int64(i+1)
	s.headerLine(line[:min(len(line), s.limits.MaxHeader)], end, true)
	s.drop()
	return i + 1
}

// writeBody consumes lines that are no delimiters, up to one that may be.
func (s *Scanner) writeBody(p []byte) int {
	if len(s.held) > 0 {
		return s.growDelimiter(p)
	}
	pos := 0
	if !s.midLine && p[0] == '-' {
		return s.growDelimiter(p)
	}
	for pos < len(p) {
		i := bytes.IndexByte(p[pos:], '\n')
		if i < 0 {
			s.midLine = true
			return len(p)
		}
		s.lines++
		s.midLine = false
		pos += i + 1
		if pos < len(p) && p[pos] == '-' {
			return pos
		}
	}
	return pos
}

// growDelimiter collects a line that begins with '-' until it is known to be a delimiter or not.
func (s *Scanner) growDelimiter(p []byte) int {
	n, whole := len(p), false
	if i := bytes.IndexByte(p[:min(n, maxDelimiter+1)], '\n'); i >= 0 {
		n, whole = i+1, true
	}
	had := len(s.held)
	n = min(n, maxDelimiter+1-had)
	s.hold(p[:n], maxDelimiter+1)
	switch {
	case len(s.held) >= 2 && s.held[1] != '-', len(s.held) > maxDelimiter && s.held[len(s.held)-1] != '\n':
		return s.notDelimiter(n)
	case !whole || s.held[len(s.held)-1] != '\n':
		return n
	}
	s.lines++
	line, end := s.held, s.off+int64(n)
	s.delimiter(line, s.heldStart, end)
	s.drop()
	return n
}

// notDelimiter gives the held bytes, of which the last n are of this write, back to the body.
func (s *Scanner) notDelimiter(n int) int {
	ended := s.held[len(s.held)-1] == '\n'
	s.drop()
	s.midLine = !ended
	if ended {
		s.lines++
	}
	return n
}

// hold keeps the beginning of a line that is not complete yet, at most limit bytes of it.
func (s *Scanner) hold(p []byte, limit int) {
	if len(s.held) == 0 && !s.midLine {
		s.heldStart, s.heldEOL = s.off, s.eolBefore()
	}
	s.midLine = true
	if room := limit - len(s.held); room > 0 {
		s.held = append(s.held, p[:min(room, len(p))]...)
	}
}

func (s *Scanner) drop() {
	s.held = s.held[:0]
	s.midLine = false
	if cap(s.held) > 8<<10 {
		s.held = nil
	}
}

// eolBefore is the length of the line end just before the position.
func (s *Scanner) eolBefore() int64 {
	switch {
	case s.off == 0 || s.last[1] != '\n':
		return 0
	case s.off > 1 && s.last[0] == '\r':
		return 2
	}
	return 1
}

// Finish ends the message and returns its structure. The scanner is not to be used afterwards.
func (s *Scanner) Finish() *Part {
	if len(s.held) > 0 {
		line := s.held
		if s.state == inHeader {
			s.headerLine(line, s.off, false)
		} else if len(line) <= maxDelimiter {
			s.delimiter(line, s.heldStart, s.off)
		}
		s.drop()
	}
	s.closeTo(0, s.off, s.lines)
	return s.root
}

// push opens an entity whose header begins at the position.
func (s *Scanner) push(p *Part, isMessage bool) {
	s.parts++
	s.state = inHeader
	s.fields.reset(s.limits.MaxHeader)
	s.stack = append(s.stack, open{part: p, isMessage: isMessage, shadowed: -1})
}

// headerLine takes one line of the innermost entity's header; end is the offset after it. Without a line end
// (eol false) the line is the last of the mail.
func (s *Scanner) headerLine(line []byte, end int64, eol bool) {
	top := &s.stack[len(s.stack)-1]
	if isBlank(line) && eol {
		s.endHeader(end, s.lines)
		return
	}
	if isDashes(line) && len(line) <= maxDelimiter && s.delimiter(line, s.heldStart, end) {
		return
	}
	if !top.started && !top.isMessage && fieldName(line) == nil && !isFromLine(line) {
		lines := s.lines
		if eol {
			lines--
		}
		s.endHeader(top.part.HeaderStart, lines)
		return
	}
	top.started = true
	s.fields.line(line)
}

// endHeader ends the innermost entity's header: its body begins at start, with lines LFs before it.
func (s *Scanner) endHeader(start, lines int64) {
	top := &s.stack[len(s.stack)-1]
	p := top.part
	p.BodyStart, p.BodyEnd, top.startLine = start, start, lines
	s.state = inBody
	values := s.fields.finish()
	boundary := s.keep(p, values, top.isMessage)
	if len(s.stack) > s.limits.MaxDepth {
		return
	}
	switch {
	case p.Type == "multipart":
		if boundary != "" && len(boundary) <= maxBoundary && s.parts < s.limits.MaxParts {
			s.await(boundary)
		}
	case holdsMessage(p.Type, p.Subtype) && IsIdentity(p.Encoding) && s.parts+1 < s.limits.MaxParts:
		// The last entity is kept for the rest of a multipart around this one.
		inner := &Part{HeaderStart: start, BodyStart: start, BodyEnd: start}
		p.Parts = []*Part{inner}
		s.push(inner, true)
		s.stack[len(s.stack)-1].startLine = lines
	}
}

// keep fills p from its header as far as the budget of the tree allows, and returns the boundary of a multipart.
func (s *Scanner) keep(p *Part, v *fieldValues, isMessage bool) (boundary string) {
	s.kept += v.size
	full := s.kept > s.limits.MaxKept
	v.fillType(p, s.defaultType(isMessage))
	if p.Type == "multipart" {
		boundary = trimSpaceRight(p.Params.Get("boundary"))
	}
	if !full {
		v.fillRest(p)
	} else {
		p.Params, p.Type, p.Subtype = nil, short(p.Type), short(p.Subtype)
		p.Encoding = short(p.Encoding)
	}
	switch {
	case isMessage && !full:
		p.Envelope = v.envelope()
	case isMessage:
		p.Envelope = &Envelope{}
	}
	return boundary
}

// short is a word fit to be kept whatever the budget says.
func short(s string) string {
	if len(s) > 32 {
		return strings.Clone(s[:32])
	}
	return strings.Clone(s)
}

// defaultType is the type of a part without Content-Type (RFC 2046 5.1.5).
func (s *Scanner) defaultType(isMessage bool) mediaType {
	if n := len(s.stack); n >= 2 && !isMessage {
		if up := s.stack[n-2].part; up.Type == "multipart" && up.Subtype == "digest" {
			return mediaType{"message", "rfc822"}
		}
	}
	return mediaType{"text", "plain"}
}

// await makes the innermost entity a multipart with this boundary.
func (s *Scanner) await(boundary string) {
	i := len(s.stack) - 1
	s.stack[i].boundary = boundary
	if outer, ok := s.boundaries[boundary]; ok {
		s.stack[i].shadowed = outer
	}
	s.boundaries[boundary] = i
}

// forget ends the wait for the boundary of the entity at index i, which is the innermost one waiting for it.
func (s *Scanner) forget(i int) {
	o := &s.stack[i]
	if o.boundary == "" {
		return
	}
	if o.shadowed >= 0 {
		s.boundaries[o.boundary] = o.shadowed
	} else {
		delete(s.boundaries, o.boundary)
	}
	o.boundary = ""
}

// delimiter acts on a line that begins with "-", if it is a delimiter, and tells so.
func (s *Scanner) delimiter(line []byte, start, end int64) bool {
	if !isDashes(line) || len(s.boundaries) == 0 {
		return false
	}
	name := bytes.TrimRight(line[2:], " \t\r\n")
	at, isOpen := s.boundaries[string(name)]
	closing := -1
	if n := len(name) - 2; n > 0 && string(name[n:]) == "--" {
		if i, ok := s.boundaries[string(name[:n])]; ok {
			closing = i
		}
	}
	if !isOpen && closing < 0 {
		return false
	}
	lines := s.lines
	if line[len(line)-1] == '\n' {
		lines--
	}
	if closing >= 0 && (!isOpen || closing > at) {
		s.closeTo(closing+1, start-s.heldEOL, lines-sign(s.heldEOL))
		s.forget(closing)
		s.state = inBody
		return true
	}
	s.closeTo(at+1, start-s.heldEOL, lines-sign(s.heldEOL))
	s.openPart(at, end)
	return true
}

func sign(n int64) int64 { return min(n, 1) }

// openPart begins a part of the multipart at index at, which is the innermost entity, at offset start.
func (s *Scanner) openPart(at int, start int64) {
	p := &Part{HeaderStart: start, BodyStart: start, BodyEnd: start}
	up := s.stack[at].part
	up.Parts = append(up.Parts, p)
	s.push(p, false)
	s.stack[at+1].startLine = s.lines
	if s.parts < s.limits.MaxParts {
		return
	}
	p.Type, p.Subtype = "application", "octet-stream"
	s.state = inBody
	for i := at; i >= 0; i-- {
		s.forget(i)
	}
}

// closeTo ends all entities from index n on at offset end, with lines LFs before it. A header that ended right before a
// delimiter has the line end that is the delimiter's (RFC 2046 5.1.1), and its empty body begins behind it; what is inside
// another that ends here too, a message in its entity or a part in an unfinished multipart, ends no later than that.
func (s *Scanner) closeTo(n int, end, lines int64) {
	if s.state == inHeader && n < len(s.stack) {
		s.endHeaderAt(end, lines)
	}
	for i := n; i < len(s.stack); i++ {
		s.forget(i)
		o := &s.stack[i]
		p := o.part
		p.BodyEnd = max(p.BodyStart, end)
		p.Lines = max(0, lines-o.startLine)
		if i > n {
			within := s.stack[i-1].part.BodyEnd
			p.HeaderStart, p.BodyStart, p.BodyEnd = min(p.HeaderStart, within), min(p.BodyStart, within), min(p.BodyEnd, within)
		}
	}
	s.stack = s.stack[:n]
}

// endHeaderAt ends a header that a delimiter cut short. A message/rfc822 gets the empty message it announces.
func (s *Scanner) endHeaderAt(end, lines int64) {
	for s.state == inHeader {
		top := s.stack[len(s.stack)-1].part
		s.endHeader(max(top.HeaderStart, end), lines)
	}
}

func isDashes(line []byte) bool { return len(line) >= 2 && line[0] == '-' && line[1] == '-' }

// isBlank tells the empty line that ends a header, also one of broken line ends (CR CR LF).
func isBlank(line []byte) bool {
	for _, c := range line {
		if c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

func isFromLine(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}
