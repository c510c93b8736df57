package mime

import (
	"bytes"
	"html"
	"io"
	"strings"
)

// NewHTMLText yields the text that HTML in UTF-8 shows: without tags and comments, without what scripts and styles are made of,
// with its character references decoded. Where one block ends and another begins there is a line end, so words of two
// paragraphs or cells stay two. It takes whatever it gets, as browsers do, and its memory is constant.
func NewHTMLText(src io.Reader) io.Reader {
	return &htmlText{src: src, step: (*htmlText).text}
}

const (
	htmlBlock = 8 << 10
	// longestReference is more than the longest name of a character, with its ampersand; longestTag, than that of any tag that
	// matters.
	longestReference = 34
	longestTag       = 12
)

// htmlText is a reader that knows where in HTML it is by the step it takes with the next byte.
type htmlText struct {
	src   io.Reader
	block [htmlBlock]byte
	out   []byte
	sent  int // of out, how much was read
	err   error

	step func(*htmlText, byte)
	// kept is the name of a tag, or a character reference, as far as it has come.
	kept    []byte
	closing bool // the tag is an end tag
	assigns bool // an equals sign was the last in the tag but for space
	quote   byte
	dashes  int
	// hidden is the beginning of the end tag that is awaited, of an element whose text is none.
	hidden string
}

// Read implements io.Reader.
func (h *htmlText) Read(p []byte) (int, error) {
	for h.sent == len(h.out) && h.err == nil {
		h.out, h.sent = h.out[:0], 0
		n, err := h.src.Read(h.block[:])
		for _, c := range h.block[:n] {
			h.step(h, c)
		}
		if h.err = err; err != nil {
			h.end()
		}
	}
	if h.sent == len(h.out) {
		return 0, h.err
	}
	n := copy(p, h.out[h.sent:])
	h.sent += n
	return n, nil
}

// end gives what was kept for what it might have become.
func (h *htmlText) end() {
	if len(h.kept) > 0 && h.kept[0] == '&' {
		h.refer()
	}
}

func (h *htmlText) text(c byte) {
	switch c {
	case '<':
		h.step = (*htmlText).open
	case '&':
		h.kept, h.step = append(h.kept[:0], c), (*htmlText).reference
	default:
		h.out = append(h.out, c)
	}
}

// reference is inside of a character reference, or what looks like one.
func (h *htmlText) reference(c byte) {
	if isAlphanumeric(c) || c == '#' && len(h.kept) == 1 {
		if h.kept = append(h.kept, c); len(h.kept) < longestReference {
			return
		}
		h.refer()
		return
	}
	if c == ';' {
		h.kept = append(h.kept, c)
		h.refer()
		return
	}
	h.refer()
	h.text(c)
}

// refer writes what a character reference stands for, or itself where it stands for nothing.
func (h *htmlText) refer() {
	h.out = append(h.out, html.UnescapeString(string(h.kept))...)
	h.kept, h.step = h.kept[:0], (*htmlText).text
}

// open is behind a "<".
func (h *htmlText) open(c byte) {
	h.closing, h.assigns, h.kept = false, false, h.kept[:0]
	switch {
	case isLetter(c):
		h.step = (*htmlText).name
		h.name(c)
	case c == '/':
		h.step = (*htmlText).openEnd
	case c == '!':
		h.dashes, h.step = 0, (*htmlText).declaration
	case c == '?':
		h.step = (*htmlText).bogus
	default:
		h.out, h.step = append(h.out, '<'), (*htmlText).text
		h.text(c)
	}
}

// openEnd is behind a "</".
func (h *htmlText) openEnd(c byte) {
	switch {
	case isLetter(c):
		h.closing, h.step = true, (*htmlText).name
		h.name(c)
	case c == '>':
		h.step = (*htmlText).text
	default:
		h.step = (*htmlText).bogus
	}
}

// name is inside of the name of a tag.
func (h *htmlText) name(c byte) {
	switch {
	case c == '>':
		h.endTag()
	case c == '/' || isHTMLSpace(c):
		h.step = (*htmlText).attributes
	case len(h.kept) < longestTag:
		h.kept = append(h.kept, lowerASCII(c))
	}
}

// attributes is inside of a tag, behind its name. Quotation marks mean something where a value begins only.
func (h *htmlText) attributes(c byte) {
	switch {
	case c == '>':
		h.endTag()
	case h.assigns && (c == '"' || c == '\''):
		h.quote, h.assigns, h.step = c, false, (*htmlText).quoted
	case !isHTMLSpace(c):
		h.assigns = c == '='
	}
}

func (h *htmlText) quoted(c byte) {
	if c == h.quote {
		h.step = (*htmlText).attributes
	}
}

// endTag is behind a tag.
func (h *htmlText) endTag() {
	name := string(h.kept)
	h.kept, h.step = h.kept[:0], (*htmlText).text
	if htmlBlocks[name] {
		h.out = append(h.out, '\n')
	}
	if !h.closing && htmlHidden[name] {
		h.hidden, h.step = "</"+name, (*htmlText).skip
	}
}

// declaration is behind a "<!": two dashes make it a comment.
func (h *htmlText) declaration(c byte) {
	switch {
	case c == '-' && h.dashes == 1:
		// "<!-->" is a whole one, so these dashes may be the last.
		h.dashes, h.step = 2, (*htmlText).comment
	case c == '-':
		h.dashes++
	default:
		h.step = (*htmlText).bogus
		h.bogus(c)
	}
}

func (h *htmlText) comment(c byte) {
	switch {
	case c == '>' && h.dashes >= 2:
		h.step = (*htmlText).text
	case c == '-':
		h.dashes++
	case c == '!' && h.dashes >= 2: // "--!>" ends one too
	default:
		h.dashes = 0
	}
}

// bogus is inside of what is no tag and no comment but goes like one.
func (h *htmlText) bogus(c byte) {
	if c == '>' {
		h.step = (*htmlText).text
	}
}

// skip is inside of an element that shows nothing, and looks for its end tag.
func (h *htmlText) skip(c byte) {
	switch {
	case len(h.kept) == len(h.hidden):
		if c == '>' || c == '/' || isHTMLSpace(c) {
			h.kept, h.closing, h.assigns = append(h.kept[:0], h.hidden[len("</"):]...), true, false
			h.step = (*htmlText).attributes
			h.attributes(c)
			return
		}
		h.kept = h.kept[:0]
	case lowerASCII(c) == h.hidden[len(h.kept)]:
		h.kept = append(h.kept, lowerASCII(c))
		return
	default:
		h.kept = h.kept[:0]
	}
	if c == '<' {
		h.kept = append(h.kept, c)
	}
}

// htmlHidden are the elements whose content is no text.
var htmlHidden = tagSet("script style")

// htmlBlocks are the elements that begin and end a line, a cell or an item.
var htmlBlocks = tagSet("address article aside blockquote body br button caption center dd details dialog dir div dl dt fieldset figcaption " +
	"figure footer form h1 h2 h3 h4 h5 h6 head header hr html legend li main menu nav ol optgroup option p pre section select summary " +
	"table tbody td textarea tfoot th thead title tr ul script style")

func tagSet(names string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(names) {
		set[name] = true
	}
	return set
}

func isHTMLSpace(c byte) bool { return bytes.IndexByte([]byte(" \t\r\n\f"), c) >= 0 }
func isLetter(c byte) bool    { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isAlphanumeric(c byte) bool { return isLetter(c) || '0' <= c && c <= '9' }

// ShownText yields the text that the leaf p shows as UTF-8: of HTML without its tags. Its memory is constant.
func (p *Part) ShownText(src io.ReaderAt) io.Reader {
	if p.Type == "text" && p.Subtype == "html" {
		return NewHTMLText(p.Text(src))
	}
	return p.Text(src)
}
