package rtf

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// FromText hides plain text in RTF so that Text gives it back, and a reader of RTF shows it (MS-OXRTFEX 2.1.3.2).
func FromText(text string) []byte {
	var w writer
	w.b.WriteString(`{\rtf1\ansi\ansicpg1252\fromtext \deff0{\fonttbl{\f0\fmodern Courier New;}}` + "\r\n" + `\uc1\pard\plain\deftab360 \f0\fs20 `)
	w.text(text)
	w.b.WriteString("}")
	return []byte(w.b.String())
}

// FromHTML hides HTML in RTF so that HTML gives it back byte for byte where it is UTF-8, and a reader of RTF shows its
// text in paragraphs (MS-OXRTFEX 2.1.3.3).
func FromHTML(html string) []byte {
	w := writer{missing: map[string]bool{}}
	w.b.WriteString(`{\rtf1\ansi\ansicpg1252\fromhtml1 \deff0{\fonttbl{\f0\fswiss Arial;}}` + "\r\n" + `\uc1\pard\plain\deftab360 \f0\fs24 `)
	for html != "" {
		n := w.tagLength(html)
		if n > 0 {
			w.tag(html[:n])
			html = html[n:]
			continue
		}
		n = strings.IndexByte(html[1:], '<') + 1
		if n == 0 || w.missing[">"] {
			n = len(html)
		}
		w.shown(html[:n])
		html = html[n:]
	}
	w.b.WriteString("}")
	return []byte(w.b.String())
}

// opaque are the elements whose content is no text that a reader shows.
var opaque = []string{"style", "script", "title"}

// tagLength is how long the tag, comment or element without text is that html begins with, 0 if it begins with text.
func (w *writer) tagLength(html string) int {
	if html[0] != '<' {
		return 0
	}
	end := ""
	if strings.HasPrefix(html, "<!--") {
		end = "-->"
	}
	for _, name := range opaque {
		if len(html) > len(name) && strings.EqualFold(html[1:1+len(name)], name) {
			end = "</" + name
		}
	}
	at := 0
	if end != "" {
		at = max(0, w.index(html, end))
	}
	return at + w.index(html[at:], ">") + 1
}

// index is where end stands, -1 if nowhere. What was not found once is not looked for again, which keeps it linear.
func (w *writer) index(html, end string) int {
	if w.missing[end] {
		return -1
	}
	at := strings.Index(html, end)
	if at < 0 {
		w.missing[end] = true
	}
	return at
}

// breaks are the tags before which a reader of RTF begins a new line.
var breaks = []string{"<br", "</p", "</div", "</tr", "</li", "</h1", "</h2", "</h3"}

type writer struct {
	b strings.Builder
	// missing are the ends that are not ahead any more.
	missing map[string]bool
}

// tag writes a piece of HTML that no reader shows.
func (w *writer) tag(s string) {
	w.b.WriteString(`{\*\htmltag `)
	w.text(s)
	w.b.WriteString("}")
	for _, prefix := range breaks {
		if len(s) > len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) && !isLetter(s[len(prefix)]) {
			w.b.WriteString("\\htmlrtf \\par\r\n\\htmlrtf0 ")
		}
	}
}

// shown writes text of HTML. What it names by entities stands as such in a tag, and as text for readers of RTF.
func (w *writer) shown(s string) {
	for s != "" {
		at := strings.IndexAny(s, "&\r\n")
		if at < 0 {
			at = len(s)
		}
		w.text(s[:at])
		s = s[at:]
		n := 0
		for n < len(s) && (s[n] == '\r' || s[n] == '\n') {
			n++
		}
		if n == 0 && s != "" {
			n = entityLength(s)
		}
		if n > 0 {
			w.b.WriteString(`{\*\htmltag `)
			w.text(s[:n])
			w.b.WriteString(`}`)
			w.b.WriteString(`\htmlrtf ` + standIn(s[:n]) + `\htmlrtf0 `)
			s = s[n:]
		}
	}
}

// entityLength is the length of a character reference, or of a lone ampersand.
func entityLength(s string) int {
	for i := 1; i < len(s) && i < 12; i++ {
		if s[i] == ';' {
			return i + 1
		}
		if !isLetter(s[i]) && !isDigit(s[i]) && s[i] != '#' {
			break
		}
	}
	return 1
}

// standIn is what a reader of RTF shows in the place of a line end or a character reference.
func standIn(s string) string {
	switch s {
	case "&lt;":
		return "<"
	case "&gt;":
		return ">"
	case "&amp;", "&":
		return "&"
	case "&quot;":
		return `"`
	case "&nbsp;":
		return `\~`
	}
	return " "
}

// text writes characters: line ends as \par, what is not ASCII as \u.
func (w *writer) text(s string) {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case strings.HasPrefix(s[i:], "\r\n"):
			w.b.WriteString("\\par\r\n")
			size = 2
		case r == '\t':
			w.b.WriteString(`\tab `)
		case r == '\\' || r == '{' || r == '}':
			w.b.WriteByte('\\')
			w.b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&w.b, `\'%02x`, r)
		case r < utf8.RuneSelf:
			w.b.WriteRune(r)
		default:
			w.unicode(r)
		}
		i += size
	}
}

func (w *writer) unicode(r rune) {
	for _, unit := range utf16.AppendRune(nil, r) {
		fmt.Fprintf(&w.b, `\u%d?`, int16(unit))
	}
}
