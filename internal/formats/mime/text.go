package mime

import (
	"bufio"
	"errors"
	"io"
	"unicode"
	"unicode/utf8"
)

// Content yields the decoded content of the leaf p, whose message is src.
func (p *Part) Content(src io.ReaderAt) io.Reader {
	return NewDecoder(p.Encoding, io.NewSectionReader(src, p.BodyStart, p.Size()))
}

// Text yields the content of the leaf p as UTF-8. Its memory is constant.
func (p *Part) Text(src io.ReaderAt) io.Reader {
	if KnownCharset(p.Charset()) {
		return NewCharsetReader(p.Charset(), p.Content(src))
	}
	content := bufio.NewReaderSize(p.Content(src), MetaWithin)
	start, _ := content.Peek(MetaWithin) // why there is no more, the next read says
	return NewCharsetReader(p.CharsetOf(start), content)
}

// Matcher searches text that is written to it for a string, as IMAP SEARCH does: letters match in any case, a run of
// white space matches any other, and the string may lie anywhere. Its memory is constant.
type Matcher struct {
	needle []rune
	fall   []int // where to go on in needle after a mismatch (Knuth, Morris, Pratt)
	at     int   // how many runes of needle match at the end of the text
	found  bool
	space  bool
	tail   [utf8.UTFMax]byte // the beginning of a character that a write cut
	nTail  int
}

// NewMatcher searches for s.
func NewMatcher(s string) *Matcher {
	m := &Matcher{}
	space := false
	for _, r := range s {
		r = foldRune(r)
		if r == ' ' && space {
			continue
		}
		space = r == ' '
		m.needle = append(m.needle, r)
	}
	m.fall = make([]int, len(m.needle))
	for i, k := 1, 0; i < len(m.needle); i++ {
		for k > 0 && m.needle[i] != m.needle[k] {
			k = m.fall[k-1]
		}
		if m.needle[i] == m.needle[k] {
			k++
		}
		m.fall[i] = k
	}
	m.found = len(m.needle) == 0
	return m
}

// Found tells whether the string was in what was written.
func (m *Matcher) Found() bool { return m.found }

// Reset forgets the text but not a match: the next text does not continue this one.
func (m *Matcher) Reset() { m.at, m.space, m.nTail = 0, false, 0 }

// Write takes the next bytes of UTF-8. It never fails.
func (m *Matcher) Write(p []byte) (int, error) {
	n := len(p)
	for m.nTail > 0 && len(p) > 0 && !m.found {
		m.tail[m.nTail] = p[0]
		m.nTail, p = m.nTail+1, p[1:]
		if r, size := utf8.DecodeRune(m.tail[:m.nTail]); utf8.FullRune(m.tail[:m.nTail]) {
			m.step(r)
			m.nTail = copy(m.tail[:], m.tail[size:m.nTail])
			if m.nTail > 0 && utf8.FullRune(m.tail[:m.nTail]) {
				rest := append([]byte(nil), m.tail[:m.nTail]...)
				m.nTail = 0
				m.search(rest)
			}
		}
	}
	m.search(p)
	return n, nil
}

func (m *Matcher) search(p []byte) {
	for len(p) > 0 && !m.found {
		if c := p[0]; c < utf8.RuneSelf {
			m.step(rune(c))
			p = p[1:]
			continue
		}
		if !utf8.FullRune(p) {
			m.nTail = copy(m.tail[:], p)
			return
		}
		r, size := utf8.DecodeRune(p)
		m.step(r)
		p = p[size:]
	}
}

func (m *Matcher) step(r rune) {
	r = foldRune(r)
	if r == ' ' && m.space {
		return
	}
	m.space = r == ' '
	for m.at > 0 && m.needle[m.at] != r {
		m.at = m.fall[m.at-1]
	}
	if m.needle[m.at] == r {
		m.at++
	}
	m.found = m.at == len(m.needle)
}

// foldRune makes letters that differ in case alike, and all white space.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case r == '\t' || r == '\r' || r == '\n':
			return ' '
		}
		return r
	}
	if unicode.IsSpace(r) {
		return ' '
	}
	return unicode.ToLower(unicode.ToUpper(r))
}

// SearchScope says where SearchMessage looks.
type SearchScope uint8

// SEARCH BODY and SEARCH TEXT of RFC 9051 6.4.4.
const (
	InBody         SearchScope = iota // text parts
	InHeaderOrBody                    // and all headers, decoded
)

// SearchMessage tells whether text is in the message p, whose bytes are src: in what the text parts show and, by scope,
// the decoded headers. It reads no other parts and holds a header or a buffer at a time. The error is src's.
func (p *Part) SearchMessage(src io.ReaderAt, text string, scope SearchScope) (bool, error) {
	m := NewMatcher(text)
	charset := p.TextCharset()
	for part := range p.All() {
		if scope == InHeaderOrBody || part != p {
			if err := part.searchHeader(src, charset, m); err != nil {
				return false, err
			}
		}
		if part.IsText() && !m.Found() {
			m.Reset()
			if err := copyUntil(m, part.ShownText(src)); err != nil {
				return false, err
			}
		}
		if m.Found() {
			return true, nil
		}
	}
	return m.Found(), nil
}

// searchHeader searches the header of p field by field. charset is that of the text of the mail that p is in.
func (p *Part) searchHeader(src io.ReaderAt, charset string, m *Matcher) error {
	header := make([]byte, min(p.HeaderSize(), int64(DefaultLimits().MaxHeader)))
	if _, err := src.ReadAt(header, p.HeaderStart); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if p.Envelope != nil {
		charset = p.TextCharset()
	}
	for _, f := range ParseHeader(Legible(header, charset)) {
		m.Reset()
		_, _ = io.WriteString(m, f.Name+": "+f.Text()) // never fails
	}
	return nil
}

// copyUntil feeds r to m until m has found what it looks for.
func copyUntil(m *Matcher, r io.Reader) error {
	buf := make([]byte, 8<<10)
	for !m.Found() {
		n, err := r.Read(buf)
		_, _ = m.Write(buf[:n]) // never fails
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
