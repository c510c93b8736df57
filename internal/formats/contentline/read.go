package contentline

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Limits bound what a reader takes, in bytes: the longest unfolded line, and all between two calls of Restart.
type Limits struct{ Line, Total int64 }

// Default is for what comes in a mail or an upload: a photo fits a line.
func Default() Limits { return Limits{Line: 24 << 20, Total: 64 << 20} }

// ErrTooLong says that the input is beyond its limits.
var ErrTooLong = errors.New("content lines beyond their limit")

// Reader reads lines. It is lenient; what it passed over is counted.
type Reader struct {
	in     *bufio.Reader
	limits Limits
	total  int64
	// ahead is the next physical line, if it has been read.
	ahead    []byte
	hasAhead bool
	err      error
	// Skipped counts the lines that were no content lines.
	Skipped int
}

// NewReader reads from r. UTF-16 is known by its mark; a mark of UTF-8 is dropped.
func NewReader(r io.Reader, limits Limits) *Reader {
	in := bufio.NewReader(r)
	if mark, err := in.Peek(2); err == nil && (mark[0] == 0xFE && mark[1] == 0xFF || mark[0] == 0xFF && mark[1] == 0xFE) {
		in = bufio.NewReader(transform.NewReader(in, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder()))
	}
	if mark, err := in.Peek(3); err == nil && bytes.Equal(mark, []byte("\xEF\xBB\xBF")) {
		in.Discard(len(mark)) //nolint:errcheck // they have just been seen, so they are in the buffer
	}
	return &Reader{in: in, limits: limits}
}

// Restart lets Limits.Total count anew: each card or calendar of a long input has it for itself.
func (r *Reader) Restart() { r.total = 0 }

// Next is the next line; io.EOF after the last. An error is for ever.
func (r *Reader) Next() (Line, error) {
	for {
		raw, err := r.unfolded()
		if err != nil {
			return Line{}, err
		}
		if line, ok := Parse(raw); ok {
			return line, nil
		}
		if len(bytes.TrimSpace(raw)) > 0 {
			r.Skipped++
		}
	}
}

// physical reads up to a line's end, which is not part of it.
func (r *Reader) physical() ([]byte, error) {
	if r.hasAhead {
		r.hasAhead = false
		return r.ahead, nil
	}
	if r.err != nil {
		return nil, r.err
	}
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		r.total += int64(len(part))
		if r.total > r.limits.Total || int64(len(line)+len(part)) > r.limits.Line {
			r.err = fmt.Errorf("after %d bytes: %w", r.total, ErrTooLong)
			return nil, r.err
		}
		line = append(line, part...)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			r.err = err
			if err != io.EOF || len(line) == 0 {
				return nil, err
			}
		}
		return bytes.TrimRight(line, "\r\n"), nil
	}
}

func (r *Reader) peek() ([]byte, bool) {
	line, err := r.physical()
	if err != nil {
		return nil, false
	}
	r.ahead, r.hasAhead = line, true
	return line, true
}

// unfolded joins the physical lines of one line.
func (r *Reader) unfolded() ([]byte, error) {
	line, err := r.physical()
	if err != nil {
		return nil, err
	}
	quoted, base64 := encodings(line)
	for {
		next, ok := r.peek()
		if !ok {
			break
		}
		switch {
		case quoted && bytes.HasSuffix(line, []byte("=")):
			// A soft break of quoted-printable; some programs indent what follows as if it were folded.
			line = append(line[:len(line)-1], next...)
		case len(next) > 0 && (next[0] == ' ' || next[0] == '\t'):
			line = append(line, next[1:]...)
		case base64 && isBase64(next):
			line = append(line, next...)
		default:
			return line, r.tooLong(line)
		}
		if err := r.tooLong(line); err != nil {
			return nil, err
		}
		r.hasAhead = false
	}
	if r.err != nil && r.err != io.EOF {
		return nil, r.err
	}
	return line, nil
}

func (r *Reader) tooLong(line []byte) error {
	if int64(len(line)) > r.limits.Line {
		r.err = fmt.Errorf("line of %d bytes: %w", len(line), ErrTooLong)
		return r.err
	}
	return nil
}

// encodings reports whether a line's head says that its value is quoted-printable or base64.
func encodings(line []byte) (quoted, base64 bool) {
	head, _, found := bytes.Cut(line, []byte(":"))
	if !found || len(head) > 200 || bytes.IndexByte(head, ';') < 0 {
		return false, false
	}
	for _, param := range strings.Split(strings.ToUpper(string(head)), ";")[1:] {
		switch strings.TrimPrefix(strings.TrimSpace(param), "ENCODING=") {
		case "QUOTED-PRINTABLE", "Q":
			quoted = true
		case "BASE64", "B":
			base64 = true
		}
	}
	return quoted, base64 && !quoted
}

func isBase64(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	for _, c := range line {
		if !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '=') {
			return false
		}
	}
	return true
}

// maxParams bounds the parameters of a line: one with more is none.
const maxParams = 1_000

// Parse takes an unfolded line apart: [group.]name *(;param):value.
func Parse(raw []byte) (Line, bool) {
	s := strings.Map(printable, utf8Of(raw))
	end := strings.IndexAny(s, ":;")
	if end <= 0 {
		return Line{}, false
	}
	var line Line
	name := strings.ToUpper(strings.TrimSpace(s[:end]))
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		line.Group, name = name[:dot], name[dot+1:]
	}
	if !isName(name) || line.Group != "" && !isName(line.Group) {
		return Line{}, false
	}
	line.Name = name
	rest := s[end:]
	for strings.HasPrefix(rest, ";") {
		if len(line.Params) == maxParams {
			return Line{}, false
		}
		var p Param
		p, rest = parseParam(rest[1:])
		if p.Name != "" || len(p.Values) > 0 && p.Values[0] != "" {
			line.Params = append(line.Params, p)
		}
	}
	if !strings.HasPrefix(rest, ":") {
		return Line{}, false
	}
	line.Value = rest[1:]
	return line, true
}

func isName(s string) bool {
	for _, c := range []byte(s) {
		if !('A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '/') {
			return false
		}
	}
	return s != ""
}

// parseParam reads a parameter and returns what follows it.
func parseParam(s string) (Param, string) {
	end := strings.IndexAny(s, "=;:")
	if end < 0 {
		return Param{}, ""
	}
	if s[end] != '=' {
		return Param{Values: strings.Split(uncaret(s[:end]), ",")}, s[end:]
	}
	p := Param{Name: strings.ToUpper(strings.TrimSpace(s[:end]))}
	rest := s[end+1:]
	for {
		var v string
		v, rest = parseParamValue(rest)
		p.Values = append(p.Values, uncaret(v))
		if !strings.HasPrefix(rest, ",") {
			if p.Name == "" {
				p = Param{}
			}
			return p, rest
		}
		rest = rest[1:]
	}
}

// parseParamValue reads one value. A quote without its fellow is a character like others.
func parseParamValue(s string) (value, rest string) {
	if strings.HasPrefix(s, `"`) {
		if end := strings.IndexByte(s[1:], '"'); end >= 0 {
			value, rest = s[1:1+end], s[end+2:]
			// Characters between the quote and the next mark are taken along: "a"b is ab.
			more := strings.IndexAny(rest, ",;:")
			if more < 0 {
				return value + rest, ""
			}
			return value + rest[:more], rest[more:]
		}
	}
	end := strings.IndexAny(s, ",;:")
	if end < 0 {
		return s, ""
	}
	return s[:end], s[end:]
}

// utf8Of is the text of a line. What is not UTF-8 is Windows' Latin alphabet: nothing else is so often sent unsaid.
func utf8Of(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	text, err := charmap.Windows1252.NewDecoder().Bytes(raw)
	if err != nil {
		return strings.ToValidUTF8(string(raw), "\uFFFD")
	}
	return string(text)
}
