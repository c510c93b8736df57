package mime

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Legible is a header in which the fields that are no text as they stand are, where they are text in the charset of the mail: so
// mailers write that know no encoded-words. It is that of the mail's own Content-Type, else charset, which is that of its text
// (TextCharset). All else stays octet for octet; where no charset says what it is, DecodeText takes it for windows-1252. A header
// that is text as it is comes back itself.
func Legible(header []byte, charset string) []byte {
	if IsLegible(header) {
		return header
	}
	parsed := ParseHeader(header)
	_, params := ParseParams(parsed.Get("Content-Type"))
	if own := params.Get("charset"); own != "" && KnownCharset(own) {
		charset = own
	}
	if charset == "" || !KnownCharset(charset) {
		return header
	}
	var out []byte
	at := 0
	for _, f := range parsed {
		field := header[f.Start:f.End]
		if IsLegible(field) {
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

// IsLegible tells bytes that are text as they stand: UTF-8, in which nothing begins another character set (ISO 2022).
func IsLegible(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, escape) < 0 }

const escape = 0x1b

// TextCharset is the charset of the text of the message p, by the first part that names one which says more than UTF-8 does; "" if none
// does. What is in messages inside it is not its own.
func (p *Part) TextCharset() string {
	if p.IsMessage() {
		return ""
	}
	if p.IsText() && p.Disposition != "attachment" {
		if charset := p.Charset(); charsetOf(charset) != nil {
			return charset
		}
	}
	for _, child := range p.Parts {
		if charset := child.TextCharset(); charset != "" {
			return charset
		}
	}
	return ""
}

// FilenameIn is the Filename of a part of a mail whose text is in charset: in that, or in the part's own, is a name that is no text as
// it stands, where it is text in it.
func (p *Part) FilenameIn(charset string) string {
	if own := p.Charset(); charsetOf(own) != nil {
		charset = own
	}
	q := Part{DispositionParams: p.DispositionParams.in(charset), Params: p.Params.in(charset)}
	return q.Filename()
}

// in are attributes whose values are text where they are that in charset.
func (p Params) in(charset string) Params {
	out := p
	for i, a := range p {
		if IsLegible([]byte(a.Value)) || charsetOf(charset) == nil {
			continue
		}
		if text := DecodeCharset(charset, []byte(a.Value)); !strings.ContainsRune(text, utf8.RuneError) {
			if &out[0] == &p[0] {
				out = slices.Clone(p)
			}
			out[i].Value = text
		}
	}
	return out
}

// LegibleEnvelope is the header of the message p as Legible makes it, and the envelope in it.
func (p *Part) LegibleEnvelope(header []byte) ([]byte, *Envelope) {
	text := Legible(header, p.TextCharset())
	if p.Envelope == nil || bytes.Equal(text, header) {
		return header, p.Envelope
	}
	return text, ParseEnvelope(text)
}

// ReadEnvelope is the envelope of the message p, whose bytes are src, as LegibleEnvelope has it. Of one that is text as it stands nothing
// is read.
// The error is src's.
func (p *Part) ReadEnvelope(src io.ReaderAt) (*Envelope, error) {
	if p.Envelope == nil || p.Envelope.IsLegible() {
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

// IsLegible reports whether the envelope is text as it stands; one that is not may say something else where Legible has read the header.
func (e *Envelope) IsLegible() bool {
	legible := func(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, escape) < 0 }
	if !legible(e.Subject) || !legible(e.MessageID) {
		return false
	}
	for _, list := range [...][]Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		for i := range list {
			if a := &list[i]; !legible(a.Name) || !legible(a.Local) || !legible(a.Host) {
				return false
			}
		}
	}
	return true
}
