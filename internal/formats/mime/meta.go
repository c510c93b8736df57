package mime

import (
	"bytes"
	"strings"
)

// MetaWithin is how much of HTML is looked at for its charset.
const MetaWithin = 4 << 10

// CharsetOf is the charset of the leaf p, whose content begins with start: what its header says, else what HTML says of itself; ""
// where none says one that is known.
func (p *Part) CharsetOf(start []byte) string {
	charset := p.Charset()
	if KnownCharset(charset) {
		return charset
	}
	if p.Type == "text" && p.Subtype == "html" {
		return metaCharset(start[:min(len(start), MetaWithin)])
	}
	return ""
}

// metaCharset is the charset that an element META names. UTF-8 is none, since that is what is tried anyway; UTF-16 is none, since what
// is read here would not be in it.
func metaCharset(start []byte) string {
	rest := lowered(start)
	for {
		_, after, found := strings.Cut(rest, "<")
		if !found {
			return ""
		}
		switch rest = after; {
		case strings.HasPrefix(rest, "!--"):
			_, rest, _ = strings.Cut(rest, "-->")
		case strings.HasPrefix(rest, "meta") && len(rest) > 4 && (rest[4] == '/' || isHTMLSpace(rest[4])):
			tag, _, _ := strings.Cut(rest[4:], ">")
			charset := charsetIn(tag)
			if charsetOf(charset) != nil && !strings.HasPrefix(charset, "utf-16") && !strings.HasPrefix(charset, "utf-32") {
				return charset
			}
		}
	}
}

// charsetIn is what stands behind "charset=" in a tag, in an attribute of its own or within one.
func charsetIn(tag string) string {
	for {
		_, after, found := strings.Cut(tag, "charset")
		if !found {
			return ""
		}
		tag = after
		if value, assigned := strings.CutPrefix(strings.TrimLeft(after, " \t\r\n\f"), "="); assigned {
			value = strings.TrimLeft(value, " \t\r\n\f\"'")
			if end := strings.IndexAny(value, " \t\r\n\f\"';/"); end >= 0 {
				value = value[:end]
			}
			return value
		}
	}
}

// lowered is bytes with their letters in small.
func lowered(b []byte) string {
	out := bytes.Clone(b)
	for i, c := range out {
		out[i] = lowerASCII(c)
	}
	return string(out)
}
