package rtf

import (
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// Origin says what RTF was made of (MS-OXRTFEX 2.1.3.1).
type Origin uint8

// The origins.
const (
	OriginRTF Origin = iota
	OriginText
	OriginHTML
)

// originTokens is how many tokens may stand before the word that says the origin (MS-OXRTFEX 2.1.3.1.1).
const originTokens = 10

// OriginOf looks at the beginning of RTF for what it was made of.
func OriginOf(rtf []byte) Origin {
	l := lexer{rest: rtf}
	for range originTokens {
		switch t := l.next(); {
		case t.kind == tokenEnd, t.kind == tokenText:
			return OriginRTF
		case t.kind == tokenWord && t.name == "fromhtml" && t.number != 0:
			return OriginHTML
		case t.kind == tokenWord && t.name == "fromtext":
			return OriginText
		}
	}
	return OriginRTF
}

// HTML gives back the HTML that is hidden in RTF, in UTF-8, false where there is none.
func HTML(rtf []byte) (string, bool) {
	if OriginOf(rtf) != OriginHTML {
		return "", false
	}
	return read(rtf, htmlSymbols), true
}

// Text is the text of RTF in UTF-8, with lines ended by CRLF: the text that is hidden in it, or that a reader shows.
func Text(rtf []byte) string {
	return read(rtf, textSymbols)
}

// group is what a brace puts aside and brings back.
type group struct {
	// skip says that nothing in the group is text.
	skip bool
	// tag says that the group holds a piece of HTML, which is shown even where hidden says not.
	tag bool
	// hidden is \htmlrtf: for readers of RTF only.
	hidden bool
	// inFonts says that the group is in the font table.
	inFonts bool
	// width is \uc: how many characters stand behind a \u for readers that do not know it.
	width int
	font  int
	// fresh says that nothing was read in the group yet but \*.
	fresh, starred bool
}

// reader walks over RTF and collects its text.
type reader struct {
	group
	above   []group
	out     strings.Builder
	symbols map[string]string
	// bytes are characters in charset that are not decoded yet.
	bytes   []byte
	charset string
	page    string
	// fonts are the charsets of fonts.
	fonts map[int]string
	// behind is how many characters are still to be passed over behind a \u.
	behind int
	// half is the first half of a surrogate pair.
	half rune
}

// maxDepth bounds nested groups; deeper ones are read as if they were not there.
const maxDepth = 1000

// defaultPage is the code page of RTF that names none.
const defaultPage = "windows-1252"

// read gives the text of RTF, with the symbols that stand for characters replaced.
func read(rtf []byte, symbols map[string]string) string {
	r := reader{symbols: symbols, page: defaultPage, charset: defaultPage, fonts: map[int]string{}}
	r.width = 1
	l := lexer{rest: rtf}
	for t := l.next(); t.kind != tokenEnd; t = l.next() {
		r.token(t)
	}
	r.flush()
	return r.out.String()
}

func (r *reader) token(t token) {
	switch t.kind {
	case tokenOpen:
		r.flush()
		r.behind = 0
		if len(r.above) < maxDepth {
			r.above = append(r.above, r.group)
		}
		r.fresh, r.starred = true, false
		return
	case tokenClose:
		r.close()
		return
	case tokenWord:
		r.word(t)
	case tokenSymbol:
		r.symbol(t.name)
		if t.name == "*" {
			return
		}
	case tokenByte:
		r.raw([]byte{byte(t.number)})
	case tokenText:
		r.raw(t.text)
	}
	r.fresh = false
}

func (r *reader) close() {
	r.flush()
	r.behind = 0
	n := len(r.above)
	if n == 0 {
		return
	}
	r.group, r.above = r.above[n-1], r.above[:n-1]
	r.useFont()
}

// shown tells whether text here is text of the document.
func (r *reader) shown() bool { return !r.skip && (!r.hidden || r.tag) }

// raw takes characters in the charset of the font.
func (r *reader) raw(b []byte) {
	if n := min(r.behind, len(b)); n > 0 {
		r.behind, b = r.behind-n, b[n:]
	}
	if r.shown() && len(b) > 0 {
		r.endHalf()
		r.bytes = append(r.bytes, b...)
	}
}

// put adds text that needs no decoding.
func (r *reader) put(s string) {
	if r.behind > 0 {
		r.behind--
		return
	}
	if r.shown() {
		r.flush()
		r.out.WriteString(s)
	}
}

func (r *reader) flush() {
	r.endHalf()
	if len(r.bytes) > 0 {
		r.out.WriteString(mime.DecodeCharset(r.charset, r.bytes))
		r.bytes = r.bytes[:0]
	}
}

func (r *reader) endHalf() {
	if r.half != 0 {
		r.out.WriteRune('\uFFFD')
		r.half = 0
	}
}

func (r *reader) symbol(name string) {
	switch name {
	case "*":
		r.starred = r.fresh
	case "\\", "{", "}":
		r.raw([]byte(name))
	case "\r", "\n":
		r.put("\r\n")
	default:
		if s, known := r.symbols[name]; known {
			r.put(s)
		}
	}
}

// destinations are the groups whose content is no text, beside those that begin with \*.
var destinations = map[string]bool{
	"colortbl": true, "stylesheet": true, "info": true, "pict": true, "header": true, "footer": true, "headerl": true, "headerr": true,
	"footerl": true, "footerr": true, "footnote": true, "filetbl": true, "listtable": true, "object": true, "nonshppict": true,
	"private": true, "xe": true, "tc": true, "bkmkstart": true, "bkmkend": true, "fldinst": true, "themedata": true,
}

func (r *reader) word(t token) {
	if r.starred {
		r.starred = false
		r.skip = t.name != "htmltag"
		r.tag = !r.skip
		return
	}
	switch t.name {
	case "fonttbl":
		r.skip, r.inFonts = true, true
	case "ansicpg":
		r.setPage(t.number)
	case "f":
		r.font = t.number
		r.useFont()
	case "fcharset":
		r.setFont(t.number)
	case "uc":
		r.width = min(max(0, t.number), 16)
	case "u":
		r.unicode(t.number)
	case "htmlrtf":
		r.flush()
		r.hidden = !t.numbered || t.number != 0
	case "plain":
		r.plain()
	default:
		r.skip = r.skip || destinations[t.name]
		if s, known := r.symbols[t.name]; known {
			r.put(s)
		}
	}
}

func (r *reader) plain() {
	r.font = 0
	r.useFont()
}

// unicode adds a UTF-16 unit; behind it stand characters for readers that do not know the word.
func (r *reader) unicode(n int) {
	unit := rune(uint16(n))
	half := r.half
	if r.half = 0; r.shown() {
		switch pair := utf16.DecodeRune(half, unit); {
		case half != 0 && pair != '\uFFFD':
			r.out.WriteRune(pair)
		case unit >= 0xD800 && unit < 0xDC00:
			r.half = half
			r.flush()
			r.half = unit
		default:
			r.half = half
			r.flush()
			r.out.WriteRune(unit)
		}
	}
	r.behind = r.width
}

func (r *reader) setPage(number int) {
	if name, known := mime.CodePageCharset(number); known {
		r.page = name
	} else {
		r.page = "cp" + strconv.Itoa(number)
	}
	r.useFont()
}

// fontPages are the code pages of \fcharset; 0 and 1 are that of the document.
var fontPages = map[int]int{
	77: 10000, 128: 932, 129: 949, 134: 936, 136: 950, 161: 1253, 162: 1254, 163: 1258, 177: 1255, 178: 1256, 186: 1257, 204: 1251, 222: 874, 238: 1250,
}

// maxFonts bounds the font table.
const maxFonts = 4096

func (r *reader) setFont(charset int) {
	if !r.inFonts || len(r.fonts) >= maxFonts {
		return
	}
	if name, known := mime.CodePageCharset(fontPages[charset]); known {
		r.fonts[r.font] = name
	} else {
		delete(r.fonts, r.font)
	}
}

// useFont makes the charset that of the font.
func (r *reader) useFont() {
	name, known := r.fonts[r.font]
	if !known {
		name = r.page
	}
	if name != r.charset {
		r.flush()
		r.charset = name
	}
}

// htmlSymbols are the words and symbols that stand for characters in hidden HTML (MS-OXRTFEX 2.1.3.1.4).
var htmlSymbols = map[string]string{
	"par": "\r\n", "line": "\r\n", "tab": "\t", "lquote": "&lsquo;", "rquote": "&rsquo;", "ldblquote": "&ldquo;", "rdblquote": "&rdquo;",
	"bullet": "&bull;", "endash": "&ndash;", "emdash": "&mdash;", "~": "&nbsp;", "_": "&shy;",
}

// textSymbols are those of plain text and of RTF that hides nothing.
var textSymbols = map[string]string{
	"par": "\r\n", "line": "\r\n", "sect": "\r\n", "page": "\r\n", "row": "\r\n", "cell": "\t", "tab": "\t", "lquote": "\u2018", "rquote": "\u2019",
	"ldblquote": "\u201C", "rdblquote": "\u201D", "bullet": "\u2022", "endash": "\u2013", "emdash": "\u2014", "emspace": "\u2003", "enspace": "\u2002",
	"~": "\u00A0", "_": "\u2011", "-": "\u00AD",
}
