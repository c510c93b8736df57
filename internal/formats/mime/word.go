package mime

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// maxCharsetName bounds the charset of an encoded-word.
const maxCharsetName = 64

// encodedWord is a piece "=?charset?q?text?=" of a header value.
type encodedWord struct {
	charset string
	base64  bool
	text    string
	end     int // offset after it
}

// DecodeText gives the UTF-8 of an unstructured header value: encoded-words (RFC 2047) are decoded, also inside
// words, with spaces in them, or split inside a character; bytes outside ASCII are taken for UTF-8 or windows-1252.
func DecodeText(s string) string {
	if !strings.Contains(s, "=?") {
		return toUTF8(s)
	}
	d := textDecoder{s: s, noEnd: len(s)}
	return d.decode()
}

func toUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return DecodeCharset("", []byte(s))
}

type textDecoder struct {
	s     string
	noEnd int // no "?=" begins at or after this offset
	out   strings.Builder
	// pending are the decoded bytes of adjacent words in one charset.
	pending []byte
	charset string
	inWords bool
}

func (d *textDecoder) decode() string {
	pos := 0
	for {
		i := strings.Index(d.s[pos:], "=?")
		if i < 0 {
			break
		}
		at := pos + i
		w, ok := d.word(at)
		if !ok {
			d.plain(d.s[pos : at+2])
			pos = at + 2
			continue
		}
		if between := d.s[pos:at]; !d.inWords || strings.Trim(between, " \t\r\n") != "" {
			d.plain(between)
		}
		d.add(w)
		pos = w.end
	}
	d.plain(d.s[pos:])
	d.flush()
	return d.out.String()
}

// plain adds text outside encoded-words.
func (d *textDecoder) plain(s string) {
	if s == "" {
		return
	}
	d.flush()
	d.inWords = false
	d.out.WriteString(toUTF8(s))
}

// add takes an encoded-word; its bytes are joined with those before it in the same charset.
func (d *textDecoder) add(w encodedWord) {
	if !strings.EqualFold(w.charset, d.charset) {
		d.flush()
	}
	d.charset, d.inWords = w.charset, true
	if w.base64 {
		d.pending = appendBase64(d.pending, w.text)
		return
	}
	d.pending = appendQ(d.pending, w.text)
}

func (d *textDecoder) flush() {
	if len(d.pending) > 0 {
		d.out.WriteString(DecodeCharset(d.charset, d.pending))
		d.pending = d.pending[:0]
	}
}

// word reads the encoded-word at offset at.
func (d *textDecoder) word(at int) (encodedWord, bool) {
	rest := d.s[at+2:]
	q := strings.IndexByte(rest[:min(len(rest), maxCharsetName)], '?')
	if q < 1 || len(rest) < q+3 || rest[q+2] != '?' || strings.ContainsAny(rest[:q], " \t") {
		return encodedWord{}, false
	}
	form := lowerASCII(rest[q+1])
	if form != 'q' && form != 'b' {
		return encodedWord{}, false
	}
	start := at + 2 + q + 3
	if start >= d.noEnd {
		return encodedWord{}, false
	}
	n := strings.Index(d.s[start:], "?=")
	if n < 0 {
		d.noEnd = start
		return encodedWord{}, false
	}
	charset, _, _ := strings.Cut(rest[:q], "*") // RFC 2231 5: a language may follow
	return encodedWord{charset, form == 'b', d.s[start : start+n], start + n + 2}, true
}

func appendQ(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			dst = append(dst, ' ')
		case c == '=' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0:
			dst = append(dst, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendBase64 decodes leniently: strange bytes are passed over, padding may be missing or in the middle.
func appendBase64(dst []byte, s string) []byte {
	var dec base64Decoder
	out := make([]byte, base64.StdEncoding.DecodedLen(len(s))+4)
	n := dec.decode(out, []byte(s))
	n += dec.flush(out[n:])
	return append(dst, out[:n]...)
}
