package mime

import (
	"bytes"
	"io"
	"strings"

	"golang.org/x/text/transform"
)

// transferForm is what a Content-Transfer-Encoding means to a decoder.
type transferForm byte

const (
	identity transferForm = iota
	base64Form
	quotedPrintable
	uuencoded
)

// transferOf names the form; words that are not known stand for content as it is.
func transferOf(encoding string) transferForm {
	switch strings.ToLower(encoding) {
	case "base64":
		return base64Form
	case "quoted-printable":
		return quotedPrintable
	case "x-uuencode", "uuencode", "x-uue":
		return uuencoded
	}
	return identity
}

// NewDecoder yields the content of a body that r yields in a Content-Transfer-Encoding. It is lenient: broken
// encoding gives what can be read of it, and the only errors are those of r. Its memory is constant.
func NewDecoder(encoding string, r io.Reader) io.Reader {
	switch transferOf(encoding) {
	case base64Form:
		return transform.NewReader(r, &base64Decoder{})
	case quotedPrintable:
		return transform.NewReader(r, qpDecoder{})
	case uuencoded:
		return transform.NewReader(r, &uuDecoder{})
	}
	return r
}

// base64Value gives the 6 bits of a digit, 64 for "=" and 65 for any other byte.
var base64Value = func() (t [256]byte) {
	for i := range t {
		t[i] = 65
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	t['='] = 64
	return t
}()

// base64Decoder passes over bytes that are no digits, and takes padding in the middle for the end of one piece and
// the beginning of another.
type base64Decoder struct {
	bits uint32
	n    int // digits in bits
}

func (d *base64Decoder) Reset() { *d = base64Decoder{} }

func (d *base64Decoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	room := (len(dst) - 4) / 3 * 4
	if room <= 0 {
		return 0, 0, transform.ErrShortDst
	}
	nSrc = min(len(src), room)
	nDst = d.decode(dst, src[:nSrc])
	if nSrc < len(src) {
		return nDst, nSrc, transform.ErrShortDst
	}
	if atEOF {
		nDst += d.flush(dst[nDst:])
	}
	return nDst, nSrc, nil
}

// decode needs room for 3 bytes per 4 of src and 3 more.
func (d *base64Decoder) decode(dst, src []byte) (n int) {
	for i := 0; i < len(src); {
		for d.n == 0 && i+4 <= len(src) {
			a, b, c, e := base64Value[src[i]], base64Value[src[i+1]], base64Value[src[i+2]], base64Value[src[i+3]]
			if a|b|c|e >= 64 {
				break
			}
			v := uint32(a)<<18 | uint32(b)<<12 | uint32(c)<<6 | uint32(e)
			dst[n], dst[n+1], dst[n+2] = byte(v>>16), byte(v>>8), byte(v)
			n, i = n+3, i+4
		}
		if i == len(src) {
			break
		}
		switch v := base64Value[src[i]]; {
		case v < 64:
			d.bits, d.n = d.bits<<6|uint32(v), d.n+1
			if d.n == 4 {
				dst[n], dst[n+1], dst[n+2] = byte(d.bits>>16), byte(d.bits>>8), byte(d.bits)
				n += 3
				d.bits, d.n = 0, 0
			}
		case v == 64:
			n += d.flush(dst[n:])
		}
		i++
	}
	return n
}

// flush gives the whole bytes of an unfinished group.
func (d *base64Decoder) flush(dst []byte) (n int) {
	switch d.n {
	case 2:
		dst[0] = byte(d.bits >> 4)
		n = 1
	case 3:
		dst[0], dst[1] = byte(d.bits>>10), byte(d.bits>>2)
		n = 2
	}
	d.bits, d.n = 0, 0
	return n
}

// maxBlank is the longest run of white space looked over for the end of a line.
const maxBlank = 1024

// qpDecoder drops white space before line ends and keeps "=" where it encodes nothing.
type qpDecoder struct{ transform.NopResetter }

func (qpDecoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		rest := src[nSrc:]
		run := bytes.IndexAny(rest[:min(len(rest), 128)], "= \t")
		if run < 0 {
			run = min(len(rest), 128)
		}
		if run > len(dst)-nDst {
			run = len(dst) - nDst
		}
		nDst += copy(dst[nDst:], rest[:run])
		nSrc += run
		if nSrc == len(src) {
			break
		}
		if nDst == len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		if c := src[nSrc]; c != '=' && c != ' ' && c != '\t' {
			continue
		}
		if c, ok := qpByte(src[nSrc:]); ok {
			dst[nDst] = c
			nDst, nSrc = nDst+1, nSrc+3
			continue
		}
		out, n, ok := qpToken(src[nSrc:], atEOF)
		if !ok {
			return nDst, nSrc, transform.ErrShortSrc
		}
		if len(dst)-nDst < len(out) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += copy(dst[nDst:], out)
		nSrc += n
	}
	return nDst, nSrc, nil
}

// qpByte decodes the byte that "=" and two digits stand for.
func qpByte(src []byte) (byte, bool) {
	if len(src) < 3 || src[0] != '=' || unhex(src[1]) < 0 || unhex(src[2]) < 0 {
		return 0, false
	}
	return byte(unhex(src[1])<<4 | unhex(src[2])), true
}

// qpToken decodes an "=" that encodes no byte, or the white space, with which src begins, of n bytes; ok is false if more
// must be seen.
func qpToken(src []byte, atEOF bool) (out []byte, n int, ok bool) {
	i := 0
	if src[0] == '=' {
		i = 1
		if len(src) < 3 && !atEOF {
			return nil, 0, false
		}
	}
	end := i
	for end < len(src) && end < maxBlank && (src[end] == ' ' || src[end] == '\t') {
		end++
	}
	eol := 0
	switch {
	case end == len(src) || end+1 == len(src) && src[end] == '\r':
		if !atEOF {
			return nil, 0, false
		}
		if end < len(src) {
			break
		}
		return nil, end, true
	case src[end] == '\n':
		eol = 1
	case src[end] == '\r' && src[end+1] == '\n':
		eol = 2
	}
	switch {
	case eol > 0 && i == 1:
		return nil, end + eol, true
	case eol > 0:
		return nil, end, true
	case i == 1:
		return src[:1], 1, true
	}
	return src[:end], end, true
}

// maxUULine is the longest line of uuencoded data looked at whole.
const maxUULine = 512

// uuDecoder yields the first file of a uuencoded body.
type uuDecoder struct{ begun, ended bool }

func (d *uuDecoder) Reset() { *d = uuDecoder{} }

func (d *uuDecoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		rest := src[nSrc:]
		n := bytes.IndexByte(rest[:min(len(rest), maxUULine)], '\n') + 1
		switch {
		case n == 0 && len(rest) < maxUULine && !atEOF:
			return nDst, nSrc, transform.ErrShortSrc
		case n == 0:
			n = min(len(rest), maxUULine)
		}
		line := bytes.TrimRight(rest[:n], "\r\n")
		switch {
		case d.ended:
		case !d.begun:
			d.begun = bytes.HasPrefix(line, []byte("begin "))
		case string(line) == "end":
			d.ended = true
		case len(line) > 0:
			if len(dst)-nDst < len(line) {
				return nDst, nSrc, transform.ErrShortDst
			}
			nDst += uuLine(dst[nDst:], line)
		}
		nSrc += n
	}
	return nDst, nSrc, nil
}

func uuLine(dst, line []byte) int {
	want := int((line[0] - ' ') & 63)
	n := 0
	at := func(i int) uint32 {
		if i < len(line) {
			return uint32((line[i] - ' ') & 63)
		}
		return 0
	}
	for i := 1; n < want && i < len(line); i += 4 {
		v := at(i)<<18 | at(i+1)<<12 | at(i+2)<<6 | at(i+3)
		for shift := 16; shift >= 0 && n < want && n < len(dst); shift -= 8 {
			dst[n] = byte(v >> shift)
			n++
		}
	}
	return n
}
