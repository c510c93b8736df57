package mime

import (
	"encoding/base64"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode/utf32"
	"golang.org/x/text/transform"
)

// charsetOf finds the decoder of a charset; nil means UTF-8, ASCII or none that is known.
func charsetOf(name string) transform.Transformer {
	switch strings.ToLower(trimCharset(name)) {
	case "utf-7", "unicode-1-1-utf-7":
		return &utf7{}
	}
	if enc := encodingOf(name); enc != nil {
		return cutShort{enc.NewDecoder().Transformer}
	}
	return nil
}

// cutShort gives U+FFFD for the beginning of a character at the end of the text, where a decoder waits for the rest of it.
type cutShort struct{ transform.Transformer }

func (c cutShort) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	nDst, nSrc, err = c.Transformer.Transform(dst, src, atEOF)
	if err != transform.ErrShortSrc || !atEOF {
		return nDst, nSrc, err
	}
	if len(dst)-nDst < utf8.RuneLen(utf8.RuneError) {
		return nDst, nSrc, transform.ErrShortDst
	}
	return nDst + utf8.EncodeRune(dst[nDst:], utf8.RuneError), len(src), nil
}

func trimCharset(name string) string { return strings.Trim(name, " \t\"'") }

// encodingOf finds a charset of x/text; nil means UTF-8, ASCII or none that is known.
func encodingOf(name string) encoding.Encoding {
	name = strings.ToLower(trimCharset(name))
	switch name {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "unknown-8bit", "x-unknown", "default", "binary":
		return nil
	}
	if len(name) > 64 {
		return nil
	}
	if alias, ok := charsetAlias(name); ok {
		name = alias
	}
	if enc := unindexed(name); enc != nil {
		return enc
	}
	var enc encoding.Encoding
	if name == "hz-gb-2312" { // the index of the web replaces it for reasons that mail does not share
		enc, _ = ianaindex.MIME.Encoding(name)
	} else {
		enc, _ = htmlindex.Get(name)
	}
	if enc == nil || enc == encoding.Replacement {
		enc, _ = ianaindex.IANA.Encoding(name)
	}
	if enc == encoding.Replacement {
		return nil
	}
	return enc
}

// EncodeCharset writes UTF-8 in a charset, what is not in it as question marks. A charset that cannot be written is
// taken for UTF-8.
func EncodeCharset(charset, s string) []byte {
	enc := encodingOf(charset)
	if enc == nil {
		return []byte(s)
	}
	out, err := enc.NewEncoder().Bytes([]byte(s))
	if err == nil {
		return out
	}
	known := strings.Map(func(r rune) rune {
		if _, err := enc.NewEncoder().String(string(r)); err != nil {
			return '?'
		}
		return r
	}, s)
	if out, err = enc.NewEncoder().Bytes([]byte(known)); err != nil {
		return []byte(s)
	}
	return out
}

// unindexed finds the charsets of x/text that its indexes do not have, or have under a name that nobody uses.
func unindexed(name string) encoding.Encoding {
	switch name {
	case "ibm858":
		return charmap.CodePage858
	case "ibm1140":
		return charmap.CodePage1140
	case "utf-32", "utf-32be":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case "utf-32le":
		return utf32.UTF32(utf32.LittleEndian, utf32.UseBOM)
	}
	return nil
}

// charsetAlias maps the names that mailers use to those that the indexes know.
func charsetAlias(name string) (string, bool) {
	switch name {
	case "cp932", "ms932", "windows-31j", "x-ms-cp932":
		return "shift_jis", true
	case "cp936", "ms936", "x-gbk":
		return "gbk", true
	case "cp949", "ms949", "x-windows-949":
		return "euc-kr", true
	case "cp950", "ms950", "x-big5":
		return "big5", true
	case "latin1", "latin-1", "iso-8859-1-windows-3.0-latin-1", "ansi":
		return "windows-1252", true
	case "iso-8859-8-i", "iso-8859-8-e":
		return "iso-8859-8", true
	}
	for _, prefix := range []string{"cp-", "cp", "ansi-", "x-cp", "win-", "windows_"} {
		if digits, ok := strings.CutPrefix(name, prefix); ok && len(digits) == 4 && strings.HasPrefix(digits, "125") {
			return "windows-" + digits, true
		}
		if digits, ok := strings.CutPrefix(name, prefix); ok && (len(digits) == 3 || len(digits) == 4) {
			return "ibm" + digits, true
		}
	}
	return "", false
}

// KnownCharset tells whether bytes in this charset are decoded and not guessed.
func KnownCharset(name string) bool {
	switch strings.ToLower(name) {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return true
	}
	return charsetOf(name) != nil
}

// DecodeCharset gives the UTF-8 of bytes in a charset.
func DecodeCharset(charset string, b []byte) string {
	t := charsetOf(charset)
	if t == nil {
		if utf8.Valid(b) {
			return string(b)
		}
		t = lenientUTF8{}
	}
	out, _, err := transform.Bytes(t, b)
	if err != nil {
		out, _, _ = transform.Bytes(lenientUTF8{}, b)
	}
	return string(out)
}

// NewCharsetReader decodes what r yields from a charset to UTF-8. The only errors are those of r.
func NewCharsetReader(charset string, r io.Reader) io.Reader {
	t := charsetOf(charset)
	if t == nil {
		t = lenientUTF8{}
	}
	return transform.NewReader(r, t)
}

// lenientUTF8 passes UTF-8 and takes every byte outside it for windows-1252.
type lenientUTF8 struct{ transform.NopResetter }

func (lenientUTF8) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if c := src[nSrc]; c < utf8.RuneSelf {
			if nDst == len(dst) {
				return nDst, nSrc, transform.ErrShortDst
			}
			dst[nDst] = c
			nDst, nSrc = nDst+1, nSrc+1
			continue
		}
		if !atEOF && !utf8.FullRune(src[nSrc:]) {
			return nDst, nSrc, transform.ErrShortSrc
		}
		r, size := utf8.DecodeRune(src[nSrc:])
		if r == utf8.RuneError && size == 1 {
			if r = charmap.Windows1252.DecodeByte(src[nSrc]); r == utf8.RuneError {
				r = rune(src[nSrc]) // the five holes of windows-1252 are C1 controls
			}
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += size
	}
	return nDst, nSrc, nil
}

// utf7 decodes RFC 2152, which x/text does not know. A shifted run is decoded when it ends or grows long.
type utf7 struct{ shifted bool }

// maxUTF7Run is the longest piece of a shifted run decoded at once: a multiple of 8 digits, 3 UTF-16 units each.
const maxUTF7Run = 512

func (u *utf7) Reset() { u.shifted = false }

func (u *utf7) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if !u.shifted {
			n, used, err := utf7Direct(dst[nDst:], src[nSrc:], atEOF)
			nDst, nSrc = nDst+n, nSrc+used
			if err != nil {
				return nDst, nSrc, err
			}
			u.shifted = nSrc > 0 && nSrc <= len(src) && used > 0 && src[nSrc-1] == '+'
			continue
		}
		n, used, ended, err := utf7Shifted(dst[nDst:], src[nSrc:], atEOF)
		nDst, nSrc = nDst+n, nSrc+used
		u.shifted = !ended
		if err != nil {
			return nDst, nSrc, err
		}
	}
	return nDst, nSrc, nil
}

// utf7Direct copies up to and over a "+" that begins a shifted run.
func utf7Direct(dst, src []byte, atEOF bool) (n, used int, err error) {
	for used < len(src) {
		c := src[used]
		if c == '+' {
			switch {
			case used+1 == len(src) && !atEOF:
				return n, used, transform.ErrShortSrc
			case used+1 < len(src) && src[used+1] == '-':
				if n == len(dst) {
					return n, used, transform.ErrShortDst
				}
				dst[n] = '+'
				n, used = n+1, used+2
				if used == len(src) || src[used] != '+' {
					continue
				}
				return n, used, nil
			}
			return n, used + 1, nil
		}
		if n+2 > len(dst) {
			return n, used, transform.ErrShortDst
		}
		if c < utf8.RuneSelf {
			dst[n] = c
			n++
		} else {
			n += utf8.EncodeRune(dst[n:], rune(c))
		}
		used++
	}
	return n, used, nil
}

// utf7Shifted decodes a piece of a run of base64 digits.
func utf7Shifted(dst, src []byte, atEOF bool) (n, used int, ended bool, err error) {
	for used < len(src) && used < maxUTF7Run && base64Value[src[used]] < 64 {
		used++
	}
	ended = used < len(src) && used < maxUTF7Run || used == len(src) && atEOF
	if !ended && used < maxUTF7Run {
		return 0, 0, false, transform.ErrShortSrc
	}
	raw := make([]byte, base64.RawStdEncoding.DecodedLen(used))
	m, _ := base64.RawStdEncoding.Decode(raw, src[:used])
	units := make([]uint16, 0, m/2)
	for i := 0; i+1 < m; i += 2 {
		units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
	}
	text := string(utf16.Decode(units))
	if len(text) > len(dst) {
		return 0, 0, false, transform.ErrShortDst
	}
	n = copy(dst, text)
	if ended && used < len(src) && src[used] == '-' {
		used++
	}
	return n, used, ended, nil
}
