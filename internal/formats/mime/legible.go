package mime

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Legible is a header in which the fields that are no UTF-8 are, where they are text in the charset of the mail's own Content-Type:
// so mailers write that know no encoded-words. All else stays octet for octet; where no charset says what it is, DecodeText
// takes it for windows-1252. A header that is UTF-8 as it is comes back itself.
func Legible(header []byte) []byte {
	if utf8.Valid(header) {
		return header
	}
	parsed := ParseHeader(header)
	_, params := ParseParams(parsed.Get("Content-Type"))
	charset := params.Get("charset")
	if charset == "" || !KnownCharset(charset) {
		return header
	}
	var out []byte
	at := 0
	for _, f := range parsed {
		field := header[f.Start:f.End]
		if utf8.Valid(field) {
			continue
		}
		text := DecodeCharset(charset, field)
		if !strings.HasPrefix(text, f.Name) || strings.ContainsRune(text, utf8.RuneError) || text == DecodeCharset("", field) {
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

// LegibleEnvelope is the header of the message p as Legible makes it, and the envelope in it.
func (p *Part) LegibleEnvelope(header []byte) ([]byte, *Envelope) {
	text := Legible(header)
	if p.Envelope == nil || bytes.Equal(text, header) {
		return header, p.Envelope
	}
	return text, ParseEnvelope(text)
}

// ReadEnvelope is the envelope of the message p, whose bytes are src, as LegibleEnvelope has it. Of one that is UTF-8 nothing is read.
// The error is src's.
func (p *Part) ReadEnvelope(src io.ReaderAt) (*Envelope, error) {
	if p.Envelope == nil || p.Envelope.IsUTF8() {
		return p.Envelope, nil
	}
	header := make([]byte, min(p.HeaderSize(), int64(DefaultLimits().MaxHeader)))
	n, err := src.ReadAt(header, p.HeaderStart)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	_, e := p.LegibleEnvelope(header[:n])
	return e, nil
}

// IsUTF8 reports whether the envelope is UTF-8; one that is not may say something else where Legible has read the header.
func (e *Envelope) IsUTF8() bool {
	if !utf8.ValidString(e.Subject) || !utf8.ValidString(e.MessageID) {
		return false
	}
	for _, list := range [...][]Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		for i := range list {
			if a := &list[i]; !utf8.ValidString(a.Name) || !utf8.ValidString(a.Local) || !utf8.ValidString(a.Host) {
				return false
			}
		}
	}
	return true
}
