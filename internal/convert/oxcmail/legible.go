package oxcmail

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// legible is a header in which the fields that are no UTF-8 are, where they are text in the charset of the mail's own Content-Type:
// so mailers write that know no encoded-words. All else stays octet for octet; where no charset says what it is, mime.DecodeText
// takes it for windows-1252.
func legible(header []byte) []byte {
	if utf8.Valid(header) {
		return header
	}
	parsed := mime.ParseHeader(header)
	_, params := mime.ParseParams(parsed.Get("Content-Type"))
	charset := params.Get("charset")
	if charset == "" || !mime.KnownCharset(charset) {
		return header
	}
	var out []byte
	at := 0
	for _, f := range parsed {
		field := header[f.Start:f.End]
		if utf8.Valid(field) {
			continue
		}
		text := mime.DecodeCharset(charset, field)
		if !strings.HasPrefix(text, f.Name) || strings.ContainsRune(text, utf8.RuneError) || text == mime.DecodeCharset("", field) {
			continue
		}
		out = append(append(out, header[at:f.Start]...), text...)
		at = f.End
	}
	if at == 0 {
		return header
	}
	return append(slices.Clip(out), header[at:]...)
}
