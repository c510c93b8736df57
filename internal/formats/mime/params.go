package mime

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Param is one attribute of a structured field, as received but for quoting; the name is lower case.
type Param struct{ Name, Value string }

// Params are the attributes of Content-Type or Content-Disposition in their order.
type Params []Param

// maxParams bounds the attributes kept of one field.
const maxParams = 128

// ParseParams splits a structured value ("text/plain; charset=utf-8") leniently: comments are dropped, a missing
// semicolon, closing quote or value is forgiven, file names may hold unquoted spaces.
func ParseParams(s string) (value string, params Params) {
	p := lexer{s: s}
	value = strings.TrimSpace(p.until(";"))
	if i := strings.IndexAny(value, " \t"); i > 0 && strings.Contains(value[i:], "=") {
		missed := lexer{s: value[i+1:]} // the semicolon after the type is missing
		value, params = value[:i], missed.params(nil)
	}
	return value, p.params(params)
}

func (p *lexer) params(list Params) Params {
	for !p.done() && len(list) < maxParams {
		name := strings.ToLower(strings.TrimSpace(p.until("=;")))
		if p.last != '=' {
			continue
		}
		if i := strings.LastIndexAny(name, " \t"); i >= 0 {
			name = name[i+1:]
		}
		v := p.value(isFileAttribute(name))
		if name != "" {
			list = append(list, Param{strings.Clone(name), v})
		}
	}
	return list
}

// isFileAttribute tells the attributes whose unquoted value runs to the semicolon.
func isFileAttribute(name string) bool {
	return strings.HasPrefix(name, "filename") || strings.HasPrefix(name, "name")
}

// lexer walks over a structured value.
type lexer struct {
	s    string
	pos  int
	last byte // the delimiter that until met, 0 at the end
}

func (p *lexer) done() bool { return p.pos >= len(p.s) }

// until returns what lies before the next of the delimiters, and steps over that. Comments are left out, quoted
// strings are passed as they are.
func (p *lexer) until(delims string) string {
	p.last = 0
	var kept []byte // what lies before a comment
	from := p.pos
	for p.pos < len(p.s) && p.last == 0 {
		c := p.s[p.pos]
		switch {
		case strings.IndexByte(delims, c) >= 0:
			p.last = c
		case c == '(':
			kept = append(kept, p.s[from:p.pos]...)
			p.pos = skipComment(p.s, p.pos)
			from = p.pos
		case c == '"':
			_, p.pos = unquote(p.s, p.pos)
		default:
			p.pos++
		}
	}
	rest := p.s[from:p.pos]
	if p.last != 0 {
		p.pos++
	}
	if kept == nil {
		return rest
	}
	return string(append(kept, rest...))
}

// value reads an attribute's value and steps over the semicolon after it, if there is one.
func (p *lexer) value(toSemicolon bool) string {
	for !p.done() && (p.s[p.pos] == ' ' || p.s[p.pos] == '\t') {
		p.pos++
	}
	if p.done() {
		return ""
	}
	if p.s[p.pos] == '"' {
		v, end := unquote(p.s, p.pos)
		p.pos = end
		p.skipToNext()
		return v
	}
	stop := " \t;("
	if toSemicolon {
		stop = ";"
	}
	n := strings.IndexAny(p.s[p.pos:], stop)
	if n < 0 {
		n = len(p.s) - p.pos
	}
	v := p.s[p.pos : p.pos+n]
	p.pos += n
	p.skipToNext()
	return strings.TrimSpace(v)
}

// skipToNext steps over white space, comments and one semicolon.
func (p *lexer) skipToNext() {
	for !p.done() {
		switch p.s[p.pos] {
		case ' ', '\t':
			p.pos++
		case '(':
			p.pos = skipComment(p.s, p.pos)
		case ';':
			p.pos++
			return
		default:
			return
		}
	}
}

// skipComment returns the position after the comment that begins at i. An unclosed one runs to the end.
func skipComment(s string, i int) int {
	end, _ := commentEnd(s, i)
	return end
}

// commentEnd finds the parenthesis that closes the one at i.
func commentEnd(s string, i int) (end int, closed bool) {
	depth := 0
	for j := i; j < len(s); j++ {
		switch s[j] {
		case '\\':
			j++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return j + 1, true
			}
		}
	}
	return len(s), false
}

// unquote reads the quoted string that begins at i. A backslash escapes a quote or a backslash; before anything
// else it is itself, as in the paths that Windows mailers put into file names.
func unquote(s string, i int) (value string, end int) {
	value, end, _ = unquoteClosed(s, i)
	return value, end
}

// unquoteClosed also tells whether the closing quote is there.
func unquoteClosed(s string, i int) (value string, end int, closed bool) {
	j := i + 1
	from := j
	var b []byte
	for ; j < len(s); j++ {
		if s[j] == '"' {
			if b == nil {
				return s[from:j], j + 1, true
			}
			return string(append(b, s[from:j]...)), j + 1, true
		}
		if s[j] == '\\' && j+1 < len(s) && (s[j+1] == '"' || s[j+1] == '\\') {
			b = append(b, s[from:j]...)
			j++
			from = j
		}
	}
	return string(append(b, s[from:]...)), len(s), false
}

// Get is the decoded value of an attribute. It comes in several forms (RFC 2231 3 and 4), of which the first counts that says
// anything: name*, which is all of it; the pieces name*0, name*1*, … where none is missing; name itself, in which encoded-words do
// not belong but are common; whatever pieces there are, in the order of their numbers. Of two with the same name the first counts
// that is not empty.
func (p Params) Get(name string) string {
	pieces := p.pieces(name)
	if len(pieces) > 0 && pieces[0].number == whole {
		value := joined(pieces[:1])
		switch {
		case len(pieces) > 1 && pieces[1].number > 0:
			pieces[0].number = 0 // the number of the first piece was forgotten
		case value != "":
			return value
		default:
			pieces = pieces[1:]
		}
	}
	value := joined(pieces)
	if value != "" && pieces[len(pieces)-1].number == len(pieces)-1 {
		return value
	}
	for _, a := range p {
		if a.Name != name {
			continue
		}
		if plain := DecodeText(a.Value); plain != "" {
			return plain
		}
	}
	return value
}

// piece is one of the parameters that a value is cut into.
type piece struct {
	number  int
	encoded bool
	value   string
}

// whole is the number of what is no piece but all of it.
const whole = -1

// pieces are those of an attribute in the order of their numbers, each once.
func (p Params) pieces(name string) []piece {
	var list []piece
	for _, a := range p {
		rest, ok := strings.CutPrefix(a.Name, name)
		if !ok || rest == "" || rest[0] != '*' {
			continue
		}
		digits, encoded := strings.CutSuffix(rest[1:], "*")
		if number, ok := pieceNumber(digits); ok {
			list = append(list, piece{number, encoded || number == whole, a.Value})
		}
	}
	slices.SortStableFunc(list, func(a, b piece) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(min(len(b.value), 1), min(len(a.value), 1)))
	})
	return slices.CompactFunc(list, func(a, b piece) bool { return a.number == b.number })
}

// pieceNumber reads the number of a piece, of five digits at the most; none means the whole value.
func pieceNumber(s string) (int, bool) {
	if s == "" {
		return whole, true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil
}

// joined is the value of pieces. Encoded ones and those that are not may follow each other (RFC 2231 4.1).
func joined(pieces []piece) string {
	charset := ""
	var b []byte
	plain := true
	for _, p := range pieces {
		if !p.encoded {
			b = append(b, p.value...)
			continue
		}
		plain = false
		said, rest := p.charset()
		if charset == "" {
			charset = said
		}
		b = appendUnpercent(b, rest)
	}
	if plain {
		return DecodeText(string(b))
	}
	return DecodeCharset(charset, b)
}

// charset cuts charset'language' off an encoded piece. Only the first has it (RFC 2231 4.1); writers that count from one, or say it
// again in every piece, put it into others, and there it has to be a charset that is known, or none.
func (p *piece) charset() (charset, rest string) {
	parts := strings.SplitN(p.value, "'", 3)
	if len(parts) != 3 || p.number > 0 && parts[0]+parts[1] != "" && !KnownCharset(parts[0]) {
		return "", p.value
	}
	return parts[0], parts[2]
}

func appendUnpercent(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi >= 0 && lo >= 0 {
				dst = append(dst, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		dst = append(dst, s[i])
	}
	return dst
}

// unhex is the value of a hexadecimal digit, -1 for any other byte.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

func trimSpaceRight(s string) string { return strings.TrimRight(s, " \t\r\n") }
