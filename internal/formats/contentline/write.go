package contentline

import (
	"strings"
	"unicode/utf8"
)

// foldAt is the most octets of a line, without its end (RFC 5545 3.1).
const foldAt = 75

// Append adds the line, folded and with its end.
func (l *Line) Append(dst []byte) []byte {
	s := l.String()
	room := foldAt
	for len(s) > room {
		cut := room
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		if cut == 0 {
			cut = room // no UTF-8; any octet is as good
		}
		dst = append(dst, s[:cut]...)
		dst = append(dst, "\r\n "...)
		s = s[cut:]
		room = foldAt - 1
	}
	return append(append(dst, s...), "\r\n"...)
}

// String is the line as it is written but for folding. Line ends and other controls, which no line can hold, are left
// out.
func (l *Line) String() string {
	var b strings.Builder
	if l.Group != "" {
		b.WriteString(l.Group)
		b.WriteByte('.')
	}
	b.WriteString(l.Name)
	for i := range l.Params {
		l.Params[i].write(&b)
	}
	b.WriteByte(':')
	b.WriteString(strings.Map(printable, l.Value))
	return b.String()
}

// printable drops the controls that RFC 5545 3.1 and RFC 6350 3.3 forbid.
func printable(r rune) rune {
	if r < ' ' && r != '\t' || r == 0x7F {
		return -1
	}
	return r
}

func (p *Param) write(b *strings.Builder) {
	b.WriteByte(';')
	if p.Name != "" {
		b.WriteString(p.Name)
		b.WriteByte('=')
	}
	for i, v := range p.Values {
		if i > 0 {
			b.WriteByte(',')
		}
		v = strings.Map(printable, caret.Replace(v))
		if strings.ContainsAny(v, ":;,") {
			v = `"` + v + `"`
		}
		b.WriteString(v)
	}
}

// caret writes what a parameter's value cannot hold (RFC 6868 3).
var caret = strings.NewReplacer("^", "^^", "\r\n", "^n", "\n", "^n", "\"", "^'")

// uncaret reads it. What follows a caret otherwise stays with it.
func uncaret(s string) string {
	if strings.IndexByte(s, '^') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '^' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case '\'':
			b.WriteByte('"')
		case '^':
			b.WriteByte('^')
		default:
			b.WriteByte('^')
			i--
		}
	}
	return b.String()
}
