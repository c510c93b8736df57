package rules

import (
	"bytes"
	"html"
	"io"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

const (
	// MaxOctets is how many octets of a part are read for its text; maxBody how much text rules look at.
	MaxOctets = 128 << 10
	maxBody   = 64 << 10
)

// TextOf is the beginning of a message's text: of its first part of plain text, else of HTML without its tags. read gives
// octets of the message, MaxOctets at most; what cannot be read has no text.
func TextOf(root *mime.Part, read func(from, n int64) ([]byte, error)) string {
	part := textPart(root, "plain")
	if part == nil {
		part = textPart(root, "html")
	}
	if part == nil {
		return ""
	}
	octets, err := read(part.BodyStart, min(part.Size(), MaxOctets))
	if err != nil {
		return ""
	}
	decoded := io.LimitReader(mime.NewDecoder(part.Encoding, bytes.NewReader(octets)), maxBody)
	b, _ := io.ReadAll(decoded) // an encoding that breaks off has a text up to there
	text := mime.DecodeCharset(part.CharsetOf(b), b)
	text = strings.ToValidUTF8(text, "\uFFFD")
	if part.Subtype == "html" {
		return strings.ToValidUTF8(withoutTags(text), "\uFFFD")
	}
	return text
}

// textPart is the first part of text that is no attachment, and not inside one.
func textPart(p *mime.Part, subtype string) *mime.Part {
	if p.IsLeaf() {
		if p.Type == "text" && p.Subtype == subtype && p.Disposition != "attachment" {
			return p
		}
		return nil
	}
	if p.IsMessage() {
		return nil
	}
	for _, child := range p.Parts {
		if found := textPart(child, subtype); found != nil {
			return found
		}
	}
	return nil
}

// hiddenTags begin what is no text.
var hiddenTags = []string{"style", "script", "head"}

// withoutTags is what HTML says, roughly: words stay whole, and nothing of styles and scripts is left. It takes one pass.
func withoutTags(s string) string {
	lower := string(bytes.Map(func(r rune) rune { // of the same length as s, so that places in one are those in the other
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, []byte(s)))
	var b strings.Builder
	for at := 0; ; {
		open := strings.IndexByte(s[at:], '<')
		if open < 0 {
			b.WriteString(s[at:])
			break
		}
		b.WriteString(s[at : at+open])
		at += open + 1
		end := strings.IndexByte(s[at:], '>')
		if end < 0 {
			break
		}
		tag := lower[at : at+end]
		at += end + 1
		for _, hidden := range hiddenTags {
			if strings.HasPrefix(tag, hidden) {
				at = behindTag(lower, at, "</"+hidden)
			}
		}
		if isBlock(tag) {
			b.WriteByte(' ')
		}
	}
	return html.UnescapeString(b.String())
}

// behindTag is where an element ends that begins before at: where the text does, if nothing ends it.
func behindTag(lower string, at int, tag string) int {
	start := strings.Index(lower[at:], tag)
	if start < 0 {
		return len(lower)
	}
	end := strings.IndexByte(lower[at+start:], '>')
	if end < 0 {
		return len(lower)
	}
	return at + start + end + 1
}

// inlineTags are elements that stand inside a word.
var inlineTags = map[string]bool{"b": true, "i": true, "u": true, "em": true, "strong": true, "span": true, "font": true, "a": true, "sub": true, "sup": true}

func isBlock(tag string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(tag, "/"), " ")
	return !inlineTags[strings.TrimRight(name, "/")]
}
