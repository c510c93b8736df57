// Package contentline reads and writes the lines that iCalendar and vCard are made of: a name with parameters and a
// value, folded (RFC 5545 3.1 and 3.2, RFC 6350 3.2 and 3.3, RFC 2426 2.6, RFC 6868), and vCard 2.1's quoted-printable
// and unfolded base64.
//
// It knows lines only: no component, no property, no meaning. Reading is lenient, because what phones and old programs
// write has to come in: a line that is none is passed over and counted. Writing is strict. The order of lines and of
// parameters is kept. A reader holds one line, at most Limits.Line bytes of it.
package contentline

import (
	"bytes"
	"io"
	"mime/quotedprintable"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// Param is a parameter. Its name is in capitals; vCard 2.1's parameters without a name have none.
type Param struct {
	Name   string
	Values []string
}

// Line is one unfolded line. Group and Name are in capitals. Value is what stands behind the colon, its escapes as they
// came: which of them there are is a matter of the property.
type Line struct {
	Group, Name string
	Params      []Param
	Value       string
}

// Param is the parameter's first value, "" if it is not there.
func (l *Line) Param(name string) string {
	if values := l.All(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// All is every value of the parameter, which may stand more than once.
func (l *Line) All(name string) []string {
	var values []string
	for i := range l.Params {
		if l.Params[i].Name == name {
			values = append(values, l.Params[i].Values...)
		}
	}
	return values
}

// Set gives the parameter these values in the place of what it had; none takes it out.
func (l *Line) Set(name string, values ...string) {
	l.Drop(name)
	if len(values) > 0 {
		l.Params = append(l.Params, Param{name, values})
	}
}

// Drop takes the parameter out.
func (l *Line) Drop(name string) {
	l.Params = slices.DeleteFunc(slices.Clone(l.Params), func(p Param) bool { return p.Name == name })
}

// With is the line with one more parameter, if that has a value.
func (l Line) With(name string, values ...string) Line {
	if len(values) > 0 && values[0] != "" {
		l.Params = append(slices.Clone(l.Params), Param{name, values})
	}
	return l
}

// Clone shares nothing that can be changed with l.
func (l Line) Clone() Line {
	l.Params = slices.Clone(l.Params)
	for i := range l.Params {
		l.Params[i].Values = slices.Clone(l.Params[i].Values)
	}
	return l
}

// Normal is the line with its parameters merged by name and in the order of their names, so that lines which say the
// same compare alike. The order of a parameter's values stays.
func (l Line) Normal() Line {
	var merged []Param
	for _, p := range l.Params {
		at := slices.IndexFunc(merged, func(m Param) bool { return m.Name == p.Name })
		if at < 0 {
			merged = append(merged, Param{p.Name, slices.Clone(p.Values)})
			continue
		}
		merged[at].Values = append(merged[at].Values, p.Values...)
	}
	slices.SortStableFunc(merged, func(a, b Param) int { return strings.Compare(a.Name, b.Name) })
	l.Params = merged
	return l
}

// Escape is text as a value may hold it (RFC 5545 3.3.11, RFC 6350 3.4).
func Escape(s string) string {
	if !strings.ContainsAny(s, "\\;,\r\n") {
		return s
	}
	return escaper.Replace(s)
}

// A replacer holds no state and may be used by many at once.
var escaper = strings.NewReplacer("\\", `\\`, ";", `\;`, ",", `\,`, "\r\n", `\n`, "\n", `\n`, "\r", `\n`)

// Unescape is the text of a value. A backslash before anything that needs none is dropped before punctuation and kept
// before letters: old programs escape colons and quotes, and paths of Windows come with single backslashes.
func Unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; {
		case c == 'n' || c == 'N':
			b.WriteByte('\n')
		case c == '\\' || c == ';' || c == ',' || c == ':' || c == '"':
			b.WriteByte(c)
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Split cuts a value at each sep that no backslash stands before; the pieces keep their escapes.
func Split(s string, sep byte) []string {
	var list []string
	from := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			list = append(list, s[from:i])
			from = i + 1
		}
	}
	return append(list, s[from:])
}

// Texts is Split with the pieces unescaped.
func Texts(s string, sep byte) []string {
	list := Split(s, sep)
	for i := range list {
		list[i] = Unescape(list[i])
	}
	return list
}

// Join escapes texts and puts sep between them.
func Join(list []string, sep string) string {
	escaped := make([]string, len(list))
	for i, s := range list {
		escaped[i] = Escape(s)
	}
	return strings.Join(escaped, sep)
}

// Unquote decodes quoted-printable in a charset, UTF-8 if that is "". A value that is broken stays as it is. The text may
// have line feeds.
func Unquote(s, charset string) string {
	b, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(s)))
	if err != nil {
		b = []byte(s)
	}
	if charset == "" {
		charset = "utf-8"
	}
	decoded := mime.DecodeCharset(charset, bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")))
	return strings.ReplaceAll(decoded, "\x00", "")
}
