package mime

import (
	"bytes"
	"iter"
	"strings"
)

// Field is one field of a header, or a line in it that is none; its bytes are those of the header.
type Field struct {
	Start, End int    // offsets in the header, line ends included
	Name       string // as received, "" of a line without a name
	raw        []byte // value with its folds
}

// Raw is the value with its folds, without the last line end.
func (f Field) Raw() []byte { return f.raw }

// Value is the value unfolded, without CR, LF, NUL and outer white space, undecoded.
func (f Field) Value() string {
	return strings.Trim(string(appendUnfolded(make([]byte, 0, len(f.raw)), f.raw)), " \t")
}

// Text is the value in UTF-8 with its encoded-words decoded.
func (f Field) Text() string { return DecodeText(f.Value()) }

// Header is the fields of a header in their order.
type Header []Field

// maxFields bounds a header; the rest becomes part of the last field's range.
const maxFields = 10000

// ParseHeader splits the bytes of a header, up to its empty line.
func ParseHeader(b []byte) Header {
	h := make(Header, 0, 32)
	pos := 0
	for line := range headerLines(b) {
		start := pos
		pos += len(line)
		if isBlank(line) {
			break
		}
		if n := len(h); n > 0 && (line[0] == ' ' || line[0] == '\t' || n == maxFields) {
			h[n-1].End = pos
			continue
		}
		h = append(h, Field{Start: start, End: pos, Name: string(fieldName(line))})
	}
	for i := range h {
		f := &h[i]
		raw := b[f.Start:f.End]
		if f.Name != "" {
			raw = raw[bytes.IndexByte(raw, ':')+1:]
		}
		f.raw = bytes.TrimRight(raw, "\r\n")
	}
	return h
}

// Get is the unfolded, undecoded value of the first field of this name, "" if there is none.
func (h Header) Get(name string) string {
	for f := range h.All(name) {
		return f.Value()
	}
	return ""
}

// Text is the decoded value of the first field of this name.
func (h Header) Text(name string) string { return DecodeText(h.Get(name)) }

// Has tells whether there is a field of this name.
func (h Header) Has(name string) bool {
	for range h.All(name) {
		return true
	}
	return false
}

// All yields the fields of this name in their order.
func (h Header) All(name string) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for _, f := range h {
			if strings.EqualFold(f.Name, name) && !yield(f) {
				return
			}
		}
	}
}

// headerLines yields the lines of b with their line ends.
func headerLines(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := bytes.IndexByte(b, '\n') + 1
			if n == 0 {
				n = len(b)
			}
			if !yield(b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// FilterHeader is the answer to HEADER.FIELDS (RFC 9051 6.4.5): the fields with these names in the header's own order
// and bytes, then the empty line. With Except it is HEADER.FIELDS.NOT.
func FilterHeader(header []byte, sel Selection, names ...string) []byte {
	out := make([]byte, 0, 512)
	for _, f := range ParseHeader(header) {
		if f.Name == "" {
			continue
		}
		listed := false
		for _, n := range names {
			listed = listed || strings.EqualFold(f.Name, n)
		}
		if listed == (sel == Only) {
			out = append(out, header[f.Start:f.End]...)
		}
	}
	if n := len(out); n > 0 && out[n-1] != '\n' {
		out = append(out, '\r', '\n')
	}
	return append(out, '\r', '\n')
}

// Selection says how names select fields.
type Selection bool

// The two selections of FilterHeader.
const (
	Only   Selection = true
	Except Selection = false
)
