package mime

import "strings"

// AddressKind tells an address from the marks of a group.
type AddressKind uint8

// The kinds reach disk in a digest.
const (
	Mailbox    AddressKind = 0
	GroupStart AddressKind = 1 // Name is the group's
	GroupEnd   AddressKind = 2
)

// Address is one element of an address list, as received: names are unquoted but not decoded.
type Address struct {
	Kind  AddressKind
	Name  string // display name, or the comment after an address of the old form
	Route string // source route (RFC 5322 4.4), nearly always ""
	Local string // part before the last "@"; of a broken address whatever there was
	Host  string // part after it, "" when there is none
}

// DisplayName is the decoded name.
func (a Address) DisplayName() string { return DecodeText(a.Name) }

// String is the address as SMTP knows it, without the name.
func (a Address) String() string {
	if a.Host == "" {
		return a.Local
	}
	return a.Local + "@" + a.Host
}

// maxAddresses bounds a list; what follows is left out.
const maxAddresses = 20000

// ParseAddresses reads an address list (RFC 5322 3.4 and 4.4) and never fails: groups are given as marks around
// their members, a semicolon outside a group separates as a comma does, and text without an address becomes a
// Mailbox without a host.
func ParseAddresses(s string) []Address {
	if strings.Trim(s, " \t,;") == "" {
		return nil
	}
	p := addressParser{s: s}
	p.words, p.spaced = p.wordRoom[:0], p.spacedRoom[:0]
	p.list = make([]Address, 0, min(1+strings.Count(s, ","), maxAddresses))
	for p.pos < len(s) && len(p.list) < maxAddresses {
		p.step()
	}
	p.end()
	if p.inGroup {
		p.list = append(p.list, Address{Kind: GroupEnd})
	}
	if len(p.list) == 0 {
		return nil
	}
	return p.list
}

// addressParser collects the words of one address until the delimiter that tells what they were.
type addressParser struct {
	s       string
	pos     int
	list    []Address
	inGroup bool

	words   []string // of the phrase or the bare address
	spaced  []bool   // white space came before the word
	space   bool     // white space came just now
	comment string   // the last comment
	angle   string   // what was in angle brackets
	hasAddr bool

	noComments, noQuotes bool

	wordRoom   [8]string
	spacedRoom [8]bool
}

func (p *addressParser) step() {
	switch c := p.s[p.pos]; c {
	case ' ', '\t', '\r', '\n':
		p.space = true
		p.pos++
	case ',':
		p.pos++
		p.end()
	case ';':
		p.pos++
		p.end()
		if p.inGroup {
			p.inGroup = false
			p.list = append(p.list, Address{Kind: GroupEnd})
		}
	case ':':
		p.pos++
		p.colon()
	case '(':
		p.parenthesis()
	case '<':
		p.angleAddr()
	case '"':
		p.quotedString()
	case '>':
		p.pos++
	default:
		p.atom()
	}
}

// parenthesis passes over a comment. Without an end it is text, and so are all that follow, which keeps the parser
// linear.
func (p *addressParser) parenthesis() {
	if end, closed := p.commentEnd(); closed {
		p.comment = commentText(p.s[p.pos:end])
		p.pos, p.space = end, true
		return
	}
	p.noComments = true
	p.atom()
}

func (p *addressParser) commentEnd() (end int, closed bool) {
	if p.noComments {
		return 0, false
	}
	return commentEnd(p.s, p.pos)
}

// quotedString reads a quoted string as one word. Without an end the quote is passed over, and so are all after it.
func (p *addressParser) quotedString() {
	if p.noQuotes {
		p.pos++
		return
	}
	v, end, closed := unquoteClosed(p.s, p.pos)
	if !closed {
		p.noQuotes = true
		p.pos++
		return
	}
	p.pos = end
	p.word(v)
}

func (p *addressParser) word(w string) {
	p.words = append(p.words, w)
	p.spaced = append(p.spaced, p.space)
	p.space = false
}

// colon makes the words before it the name of a group; inside a group, or after an address, it is text.
func (p *addressParser) colon() {
	if p.inGroup || p.hasAddr || p.hasAt() {
		p.word(":")
		return
	}
	p.inGroup = true
	p.list = append(p.list, Address{Kind: GroupStart, Name: p.phrase()})
	p.clear()
}

func (p *addressParser) hasAt() bool {
	for _, w := range p.words {
		if w == "@" {
			return true
		}
	}
	return false
}

// atom reads up to the next special character. "@" is a word of its own; an encoded-word is read whole, since some
// mailers leave commas in it; a domain literal too.
func (p *addressParser) atom() {
	start := p.pos
	if p.s[start] == '@' {
		p.pos++
		p.word("@")
		return
	}
	if n := encodedWordLen(p.s[start:]); n > 0 {
		p.pos += n
		p.word(p.s[start:p.pos])
		return
	}
	if p.s[start] == '[' {
		if n := strings.IndexAny(p.s[start:min(len(p.s), start+300)], "],<"); n > 0 && p.s[start+n] == ']' {
			p.pos += n + 1
			p.word(p.s[start:p.pos])
			return
		}
	}
	p.pos++
	for p.pos < len(p.s) && !strings.ContainsRune(" \t\r\n,;:()<>\"@", rune(p.s[p.pos])) && p.s[p.pos:min(len(p.s), p.pos+2)] != "=?" {
		p.pos++
	}
	p.word(p.s[start:p.pos])
}

// encodedWordLen is the length of the encoded-word with which s begins, 0 if it does not.
func encodedWordLen(s string) int {
	if !strings.HasPrefix(s, "=?") {
		return 0
	}
	d := textDecoder{s: s[:min(len(s), 1000)], noEnd: len(s)}
	w, ok := d.word(0)
	if !ok {
		return 0
	}
	return w.end
}

// angleAddr reads "<…>". A missing ">" ends at the next "<", comma outside a route, or the end.
func (p *addressParser) angleAddr() {
	start := p.pos + 1
	end, next := len(p.s), len(p.s)
	for i := start; i < len(p.s); i++ {
		c := p.s[i]
		if c == '"' {
			_, i = unquote(p.s, i)
			i--
			continue
		}
		if c == '>' {
			end, next = i, i+1
			break
		}
		if c == '<' || c == ',' && (i == start || p.s[start] != '@') {
			end, next = i, i
			break
		}
	}
	p.pos = next
	if inner := strings.TrimSpace(p.s[start:end]); !p.hasAddr || p.angle == "" {
		p.angle = inner
	}
	p.hasAddr = true
}

// end closes the address collected so far.
func (p *addressParser) end() {
	defer p.clear()
	if !p.hasAddr && len(p.words) == 0 {
		return
	}
	var a Address
	switch {
	case p.hasAddr:
		a = parseAddrSpec(p.angle)
		if a.Name = p.phrase(); a.Name == "" {
			a.Name = p.comment
		}
	case p.hasAt():
		a = p.bareAddress()
	case len(p.words) == 1:
		a = Address{Local: p.words[0], Name: p.comment}
	default:
		a = Address{Name: p.phrase()}
	}
	p.list = append(p.list, a)
}

// bareAddress makes an address of words with an "@" among them. White space around "@" and dots is obsolete but
// legal; words before the last one that touches the address are its name ("John j@example.test").
func (p *addressParser) bareAddress() Address {
	at := len(p.words) - 1
	for p.words[at] != "@" {
		at--
	}
	first := at
	for first > 0 && (first == at || !p.spaced[first] || dotted(p.words[first-1], p.words[first])) {
		first--
	}
	last := at + 1
	for last < len(p.words) && (last == at+1 || !p.spaced[last] || dotted(p.words[last-1], p.words[last])) {
		last++
	}
	a := Address{
		Local: strings.Join(p.words[first:at], ""),
		Host:  strings.Join(p.words[at+1:last], ""),
		Name:  p.comment,
	}
	if first > 0 {
		a.Name = p.join(0, first)
	}
	return a
}

func dotted(before, after string) bool {
	return strings.HasSuffix(before, ".") || strings.HasPrefix(after, ".")
}

// phrase is the display name made of the collected words.
func (p *addressParser) phrase() string { return p.join(0, len(p.words)) }

func (p *addressParser) join(from, to int) string {
	if to-from == 1 {
		return p.words[from]
	}
	var b strings.Builder
	for i := from; i < to; i++ {
		if i > from && p.spaced[i] {
			b.WriteByte(' ')
		}
		b.WriteString(p.words[i])
	}
	return b.String()
}

func (p *addressParser) clear() {
	p.words, p.spaced = p.words[:0], p.spaced[:0]
	p.space, p.hasAddr = false, false
	p.comment, p.angle = "", ""
}

// parseAddrSpec reads what is between angle brackets: an optional source route and local@host.
func parseAddrSpec(s string) Address {
	var a Address
	s = strings.TrimPrefix(s, "mailto:")
	if strings.HasPrefix(s, "@") {
		if route, rest, ok := strings.Cut(s, ":"); ok {
			a.Route, s = strings.TrimSpace(route), rest
		}
	}
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, `"`) {
		local, end := unquote(s, 0)
		if host, ok := strings.CutPrefix(strings.TrimSpace(s[end:]), "@"); ok {
			a.Local, a.Host = local, compact(host)
			return a
		}
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		a.Local = s
		return a
	}
	a.Local, a.Host = compact(s[:at]), compact(s[at+1:])
	return a
}

// compact drops comments and the white space that obsolete syntax allows around dots.
func compact(s string) string {
	if !strings.ContainsAny(s, " \t(") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ', '\t':
		case '(':
			i = skipComment(s, i) - 1
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// commentText is what a comment says, without its parentheses and escapes.
func commentText(s string) string {
	s = strings.TrimPrefix(s, "(")
	s = strings.TrimSuffix(s, ")")
	return strings.TrimSpace(strings.NewReplacer(`\(`, "(", `\)`, ")", `\\`, `\`).Replace(s))
}

// ParseMessageIDs lists the message identifiers of Message-ID, In-Reply-To or References with their angle
// brackets. Where there are no brackets, words with an "@" are taken.
func ParseMessageIDs(s string) []string {
	var ids []string
	for len(ids) < maxAddresses {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			break
		}
		s = s[i:]
		end := strings.IndexByte(s, '>')
		if end < 0 {
			break
		}
		if next := strings.LastIndexByte(s[:end], '<'); next > 0 {
			s, end = s[next:], end-next
		}
		if id := strings.Join(strings.Fields(s[:end+1]), ""); len(id) > 2 {
			ids = append(ids, id)
		}
		s = s[end+1:]
	}
	if ids != nil {
		return ids
	}
	for _, w := range strings.Fields(s) {
		if w = strings.Trim(w, "<>,;"); strings.Contains(w, "@") && len(ids) < maxAddresses {
			ids = append(ids, "<"+w+">")
		}
	}
	return ids
}
