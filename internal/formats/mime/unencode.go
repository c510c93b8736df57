package mime

import (
	"bytes"
	"encoding/base64"
	"io"
)

// Unencoder decodes a body that is written to it and finds out whether a Layout can encode it again to the same
// bytes. Its memory is constant. It is strict where NewDecoder is lenient: the first byte that no layout would give
// ends it, and the body is then to be kept as received.
type Unencoder struct {
	strict strictDecoder
	dst    io.Writer
	buf    []byte
	err    error
	broken bool
}

// strictDecoder takes raw bytes, appends content, and fails for good at bytes that it could not give back.
type strictDecoder interface {
	decode(content, raw []byte) ([]byte, bool)
	finish() (content []byte, l Layout, ok bool)
}

// NewUnencoder writes content to dst. An encoding that does not change content is never worth it, so it is not Exact.
func NewUnencoder(encoding string, dst io.Writer) *Unencoder {
	u := &Unencoder{dst: dst}
	switch transferOf(encoding) {
	case base64Form:
		u.strict = &strictBase64{}
	case quotedPrintable:
		u.strict = &strictQP{fits75: true, fits76: true}
	default:
		u.broken = true
	}
	return u
}

// Exact tells whether the bytes so far can be given back. Once false it stays so.
func (u *Unencoder) Exact() bool { return !u.broken && u.err == nil }

// Write takes the next raw bytes. The error is dst's; bytes that cannot be given back are no error.
func (u *Unencoder) Write(p []byte) (int, error) {
	for chunk := range chunks(p, 32<<10) {
		if !u.Exact() {
			break
		}
		if cap(u.buf) < len(chunk) {
			u.buf = make([]byte, 0, len(chunk)) // content is not longer, but for a line begun before
		}
		content, ok := u.strict.decode(u.buf[:0], chunk)
		if !ok {
			u.broken, u.buf = true, nil
			break
		}
		u.buf = content
		_, u.err = u.dst.Write(content)
	}
	if u.err != nil {
		return 0, u.err
	}
	return len(p), nil
}

// Finish ends the body: ok tells that the layout gives the raw bytes back from what dst got.
func (u *Unencoder) Finish() (l Layout, ok bool, err error) {
	if !u.Exact() {
		return Layout{}, false, u.err
	}
	content, l, ok := u.strict.finish()
	if !ok {
		return Layout{}, false, nil
	}
	if _, u.err = u.dst.Write(content); u.err != nil {
		return Layout{}, false, u.err
	}
	return l, true, nil
}

// ReencodeIdentical decodes a whole body if a Layout gives it back byte for byte.
func ReencodeIdentical(encoding string, raw []byte) (content []byte, l Layout, ok bool) {
	var buf bytes.Buffer
	u := NewUnencoder(encoding, &buf)
	_, _ = u.Write(raw) // a buffer does not fail
	l, ok, _ = u.Finish()
	if !ok {
		return nil, Layout{}, false
	}
	return buf.Bytes(), l, true
}

// strictBase64 accepts lines of equal length, the last one no longer, then padding, then line ends.
type strictBase64 struct {
	group   [4]byte
	n       int // digits in group
	col     int // digits in this line
	lineLen int // of the first line, 0 while that is the only one
	eols    int // line ends since the last digit
	cr      bool
	last    bool // this must be the last line: padding was seen, or the line was short
	any     bool
}

func (d *strictBase64) decode(content, raw []byte) ([]byte, bool) {
	for len(raw) > 0 {
		if d.cr || raw[0] == '\r' {
			if !d.lineEnd(raw[0]) {
				return nil, false
			}
			raw = raw[1:]
			continue
		}
		n := bytes.IndexByte(raw, '\r')
		if n < 0 {
			n = len(raw)
		}
		var ok bool
		if content, ok = d.run(content, raw[:n]); !ok {
			return nil, false
		}
		raw = raw[n:]
	}
	return content, true
}

// lineEnd takes a CR or the LF after it.
func (d *strictBase64) lineEnd(c byte) bool {
	if !d.cr {
		d.cr = true
		return true
	}
	d.cr = false
	d.eols++
	return c == '\n' && d.eols <= maxFinalBreaks
}

// run takes digits of one line.
func (d *strictBase64) run(content, digits []byte) ([]byte, bool) {
	if d.eols > 0 && !d.nextLine() {
		return nil, false
	}
	d.any = true
	if d.col += len(digits); d.lineLen > 0 && d.col > d.lineLen {
		return nil, false
	}
	if d.n > 0 {
		k := copy(d.group[d.n:], digits)
		d.n, digits = d.n+k, digits[k:]
		if d.n < 4 {
			return content, true
		}
		var ok bool
		if content, ok = d.groups(content, d.group[:]); !ok {
			return nil, false
		}
		d.n = 0
	}
	whole := len(digits) / 4 * 4
	content, ok := d.groups(content, digits[:whole])
	d.n = copy(d.group[:], digits[whole:])
	return content, ok
}

// nextLine begins a line after exactly one line end.
func (d *strictBase64) nextLine() bool {
	if d.last || d.eols > 1 || !d.any || d.col > maxLineLen {
		return false
	}
	if d.lineLen == 0 {
		d.lineLen = d.col
	}
	if d.col != d.lineLen {
		return false
	}
	d.col, d.eols = 0, 0
	return true
}

func (d *strictBase64) groups(content, digits []byte) ([]byte, bool) {
	if len(digits) == 0 {
		return content, true
	}
	if d.last || bytes.IndexByte(digits, '\n') >= 0 {
		return nil, false
	}
	before := len(content)
	content, err := base64.StdEncoding.Strict().AppendDecode(content, digits)
	d.last = len(content)-before < len(digits)/4*3
	return content, err == nil
}

func (d *strictBase64) finish() ([]byte, Layout, bool) {
	return nil, Layout{Form: LayoutBase64, LineLen: d.lineLen, Final: d.eols}, d.n == 0 && !d.cr
}

// strictQP decodes line by line and checks that qpEncoder would have cut and encoded each line so.
type strictQP struct {
	line           []byte
	fits75, fits76 bool
	softCol        int  // columns of the line before, if it ended softly
	soft           bool // it did
}

func (d *strictQP) decode(content, raw []byte) ([]byte, bool) {
	for len(raw) > 0 {
		n := bytes.IndexByte(raw, '\n') + 1
		whole := n > 0
		if !whole {
			n = len(raw)
		}
		if len(d.line)+n > qpWidth+2 {
			return nil, false
		}
		d.line = append(d.line, raw[:n]...)
		raw = raw[n:]
		if !whole {
			return content, true
		}
		line, ok := bytes.CutSuffix(d.line, []byte("\r\n"))
		if !ok {
			return nil, false
		}
		if content, ok = d.decodeLine(content, line, true); !ok {
			return nil, false
		}
		d.line = d.line[:0]
	}
	return content, true
}

// decodeLine decodes a line without its line end. The last line of a body may have none.
func (d *strictQP) decodeLine(content, line []byte, eol bool) ([]byte, bool) {
	text, soft := bytes.CutSuffix(line, []byte("="))
	if soft && (!eol || len(text) == 0) {
		return nil, false
	}
	first, count := 0, 0
	for i := 0; i < len(text); {
		c, width, ok := qpStrictToken(text[i:], soft)
		if !ok {
			return nil, false
		}
		if content = append(content, c); count == 0 {
			first = width
		}
		i, count = i+width, count+1
	}
	d.checkWidth(len(text), first, count == 1 && !soft, soft)
	d.soft, d.softCol = soft, len(text)
	if !soft && eol {
		content = append(content, '\r', '\n')
	}
	return content, d.fits75 || d.fits76
}

// checkWidth strikes out the forms that would have cut differently: one that had room for the first token of this line
// in the soft line before, or none for the last of this one. A token alone on a hard line could have stood in
// column 76.
func (d *strictQP) checkWidth(cols, first int, alone, soft bool) {
	if d.soft {
		if first == 0 || d.softCol+first <= qpWidth-1 {
			d.fits75, d.fits76 = false, false
		}
		if alone && d.softCol+first == qpWidth {
			d.fits76 = false
		}
	}
	if cols > qpWidth-1 {
		d.fits75 = false
		d.fits76 = d.fits76 && !soft && cols == qpWidth
	}
}

// qpStrictToken decodes the character with which s begins, s being the rest of a line, if qpEncoder writes it so.
func qpStrictToken(s []byte, soft bool) (c byte, width int, ok bool) {
	if s[0] != '=' {
		return s[0], 1, qpLiteral(s[0], len(s) == 1 && !soft)
	}
	if len(s) < 3 || !isUpperHex(s[1]) || !isUpperHex(s[2]) {
		return 0, 0, false
	}
	c = byte(unhex(s[1])<<4 | unhex(s[2]))
	return c, 3, c != '\r' && c != '\n' && !qpLiteral(c, len(s) == 3 && !soft)
}

func isUpperHex(c byte) bool { return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' }

func (d *strictQP) finish() ([]byte, Layout, bool) {
	content, ok := d.decodeLine(nil, d.line, false)
	form := LayoutQP75
	if !d.fits75 {
		form = LayoutQP76
	}
	return content, Layout{Form: form}, ok
}
