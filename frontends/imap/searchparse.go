package imap

import (
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// searchArgs is SEARCH (RFC 9051 6.4.4).
type searchArgs struct {
	uid     bool
	charset string
	returns searchReturn
	key     *key
}

func (a *searchArgs) setUID() { a.uid = true }

// searchReturn is the RETURN options (RFC 4731 3.1, RFC 5182 2.1).
type searchReturn struct {
	given, min, max, all, count, save bool
}

// key is a search key: what it needs of a message, and whether a message has it.
type key struct {
	fields exmdb.RowFields
	// reads says that octets may be read: such keys are asked last.
	reads   bool
	matches func(*candidate) (bool, error)
	// text is what a message has to contain to pass, for the store's index to narrow down what is tested; nil if the key
	// says nothing of the kind.
	text *exmdb.TextQuery
	// bind prepares a key that depends on the session's state.
	bind func(*session) error
	// of are the parts of a compound key; and says that all of them have to match.
	of  []*key
	and bool
	// uids, once bound, is what a key for a set of messages allows; since what a MODSEQ key allows.
	uids  []exmdb.UIDRange
	isSet bool
	since mapi.Stamp
}

// Bounds of a SEARCH.
const (
	maxSearchDepth = 50
	maxSearchKeys  = 1000
)

// searchParser reads keys with their nesting and number bounded.
type searchParser struct {
	d     *imapwire.Decoder
	depth int
	keys  int
}

func parseSearch(d *imapwire.Decoder) *searchArgs {
	a := &searchArgs{}
	p := &searchParser{d: d}
	d.SP()
	word := p.word()
	if word == "RETURN" {
		a.returns.parse(d)
		d.SP()
		word = p.word()
	}
	if word == "CHARSET" {
		d.SP()
		a.charset = upper(d.AString())
		d.SP()
		word = p.word()
	}
	a.key = p.list(word, func() bool { return d.AtEnd() })
	return a
}

func (r *searchReturn) parse(d *imapwire.Decoder) {
	r.given = true
	d.SP()
	empty := true
	d.List(func() {
		empty = false
		switch d.Keyword() {
		case "MIN":
			r.min = true
		case "MAX":
			r.max = true
		case "ALL":
			r.all = true
		case "COUNT":
			r.count = true
		case "SAVE":
			r.save = true
		default:
			d.Fail("unknown return option")
		}
	})
	if empty {
		r.all = true
	}
}

// word takes the name of a key; it is empty before a parenthesis and "=" before a set.
func (p *searchParser) word() string {
	switch c := p.d.Peek(); {
	case c == '(':
		return ""
	case c == '*' || c == '$' || c >= '0' && c <= '9':
		return "="
	}
	return p.d.Keyword()
}

// list takes keys up to the end and joins them.
func (p *searchParser) list(word string, end func() bool) *key {
	all := &key{and: true}
	for p.d.Err() == nil {
		all.of = append(all.of, p.key(word))
		if end() {
			break
		}
		p.d.SP()
		word = p.word()
	}
	return compound(all)
}

// compound sums up what the parts of k need.
func compound(k *key) *key {
	for _, part := range k.of {
		k.fields |= part.fields
		k.reads = k.reads || part.reads
	}
	return k
}

func (p *searchParser) key(word string) *key {
	p.depth++
	p.keys++
	defer func() { p.depth-- }()
	if p.depth > maxSearchDepth || p.keys > maxSearchKeys {
		p.d.Fail("search is too complex")
		return &key{}
	}
	switch word {
	case "":
		p.d.Special('(')
		return p.list(p.word(), func() bool { return p.d.TrySpecial(')') })
	case "=":
		return setKey(p.d.NumSet(), false)
	}
	for _, row := range searchTable() {
		if row.name == word {
			return row.parse(p)
		}
	}
	p.d.Fail("unknown search key")
	return &key{}
}

func (p *searchParser) next() *key {
	p.d.SP()
	return p.key(p.word())
}

func (p *searchParser) text() string {
	p.d.SP()
	return p.d.AString()
}

func (p *searchParser) date() time.Time {
	p.d.SP()
	return p.d.Date()
}

func (p *searchParser) number() uint64 {
	p.d.SP()
	return p.d.Number64()
}

// searchRow is a row of the table of search keys.
type searchRow struct {
	name  string
	parse func(*searchParser) *key
}

func searchTable() []searchRow {
	rows := []searchRow{
		{"ALL", always(true)},
		{"NEW", always(false)}, // \Recent is not kept (docs/design/decisions.md)
		{"RECENT", always(false)},
		{"OLD", always(true)},
		{"NOT", parseNot},
		{"OR", parseOr},
		{"UID", func(p *searchParser) *key { p.d.SP(); return setKey(p.d.NumSet(), true) }},
		{"KEYWORD", func(p *searchParser) *key { return keywordKey(p, true) }},
		{"UNKEYWORD", func(p *searchParser) *key { return keywordKey(p, false) }},
		{"LARGER", func(p *searchParser) *key {
			n := p.number()
			return metaKey(func(r *exmdb.Row) bool { return r.Size > n })
		}},
		{"SMALLER", func(p *searchParser) *key {
			n := p.number()
			return metaKey(func(r *exmdb.Row) bool { return r.Size < n })
		}},
		{"BODY", func(p *searchParser) *key { return textKey(p.text(), mime.InBody) }},
		{"TEXT", func(p *searchParser) *key { return textKey(p.text(), mime.InHeaderOrBody) }},
		{"HEADER", func(p *searchParser) *key { name := p.text(); return headerKey(name, p.text()) }},
		{"OLDER", func(p *searchParser) *key { return withinKey(p, false) }},
		{"YOUNGER", func(p *searchParser) *key { return withinKey(p, true) }},
		{"MODSEQ", parseModSeqKey},
		{"EMAILID", func(p *searchParser) *key {
			id := p.text()
			return metaKey(func(r *exmdb.Row) bool { return emailID(r) == id })
		}},
		{"THREADID", func(p *searchParser) *key { p.text(); return always(false)(p) }},
		{"SAVEDATESUPPORTED", always(true)},
	}
	rows = append(rows, flagKeys()...)
	rows = append(rows, dateKeys()...)
	for _, name := range []string{"FROM", "TO", "CC", "BCC", "SUBJECT"} {
		rows = append(rows, searchRow{name, func(p *searchParser) *key { return headerKey(name, p.text()) }})
	}
	return rows
}

// maxNarrowDepth is how deep keys are told to the store.
const maxNarrowDepth = 8

// narrowed is what a message has to contain to pass a key, nil if it may be any. Of keys that are joined those that say
// something count; of alternatives all have to.
func (k *key) narrowed(depth int) *exmdb.TextQuery {
	if k.matches != nil || depth == 0 {
		return k.text
	}
	var parts []exmdb.TextQuery
	for _, part := range k.of {
		q := part.narrowed(depth - 1)
		if q == nil && !k.and {
			return nil
		}
		if q != nil {
			parts = append(parts, *q)
		}
	}
	switch {
	case len(parts) == 0:
		return nil
	case k.and:
		return &exmdb.TextQuery{All: parts}
	}
	return &exmdb.TextQuery{Any: parts}
}

func always(result bool) func(*searchParser) *key {
	return func(*searchParser) *key {
		return &key{matches: func(*candidate) (bool, error) { return result, nil }}
	}
}

// flagKeys are SEEN and UNSEEN and so on.
func flagKeys() []searchRow {
	var rows []searchRow
	for _, row := range flagTable() {
		if row.flag == imap.FlagForwarded {
			continue
		}
		name := upper(strings.TrimPrefix(string(row.flag), `\`))
		for _, want := range []bool{true, false} {
			prefix := ""
			if !want {
				prefix = "UN"
			}
			bit := row.bit
			rows = append(rows, searchRow{prefix + name, func(*searchParser) *key { return flagKey(bit, want) }})
		}
	}
	return rows
}

func flagKey(bit exmdb.FlagBits, want bool) *key {
	return &key{fields: exmdb.RowFlags, matches: func(c *candidate) (bool, error) {
		return c.row.Flags.Bits&bit != 0 == want, nil
	}}
}

func keywordKey(p *searchParser, want bool) *key {
	p.d.SP()
	var f exmdb.Flags
	addFlag(p.d, &f, parseFlag(p.d))
	if f.Bits != 0 {
		return flagKey(f.Bits, want)
	}
	return &key{fields: exmdb.RowFlags, matches: func(c *candidate) (bool, error) {
		for _, k := range c.row.Flags.Keywords {
			if len(f.Keywords) > 0 && strings.EqualFold(k, f.Keywords[0]) {
				return want, nil
			}
		}
		return !want, nil
	}}
}

func metaKey(match func(*exmdb.Row) bool) *key {
	return &key{fields: exmdb.RowMeta, matches: func(c *candidate) (bool, error) { return match(c.row), nil }}
}

// dateKeys are the comparisons by day, of three dates.
func dateKeys() []searchRow {
	orders := []struct {
		name  string
		match func(day, of int64) bool
	}{
		{"BEFORE", func(day, of int64) bool { return day < of }},
		{"ON", func(day, of int64) bool { return day == of }},
		{"SINCE", func(day, of int64) bool { return day >= of }},
	}
	var rows []searchRow
	for _, o := range orders {
		rows = append(rows,
			searchRow{o.name, func(p *searchParser) *key {
				of := dayOf(p.date())
				return metaKey(func(r *exmdb.Row) bool { return o.match(dayOf(r.Received.UTC()), of) })
			}},
			searchRow{"SAVED" + o.name, func(p *searchParser) *key {
				of := dayOf(p.date())
				return metaKey(func(r *exmdb.Row) bool { return o.match(dayOf(r.Saved.UTC()), of) })
			}},
			searchRow{"SENT" + o.name, func(p *searchParser) *key {
				of := dayOf(p.date())
				return envelopeKey(func(e *mime.Envelope) bool {
					sent, ok := e.SentDate()
					return ok && o.match(dayOf(sent), of)
				})
			}})
	}
	return rows
}

// dayOf numbers the day of t in t's own zone: time and zone are disregarded (RFC 9051 6.4.4).
func dayOf(t time.Time) int64 {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

// withinKey is OLDER and YOUNGER (RFC 5032).
func withinKey(p *searchParser, younger bool) *key {
	seconds := p.number()
	if seconds == 0 || seconds > 1<<32-1 {
		p.d.Fail("bad interval")
	}
	limit := time.Now().Add(-time.Duration(seconds) * time.Second)
	return metaKey(func(r *exmdb.Row) bool { return r.Received.After(limit) == younger })
}

func parseNot(p *searchParser) *key {
	inner := p.next()
	return &key{fields: inner.fields, reads: inner.reads, of: []*key{inner}, matches: func(c *candidate) (bool, error) {
		ok, err := c.test(inner)
		return !ok, err
	}}
}

func parseOr(p *searchParser) *key {
	k := &key{of: []*key{p.next()}}
	k.of = append(k.of, p.next())
	return compound(k)
}

// parseModSeqKey takes MODSEQ with or without entry name (RFC 7162 3.1.5); all entries share one mod-sequence.
func parseModSeqKey(p *searchParser) *key {
	p.d.SP()
	if p.d.Peek() == '"' {
		_ = p.d.String()
		p.d.SP()
		switch p.d.Keyword() {
		case "PRIV", "SHARED", "ALL":
		default:
			p.d.Fail("expected priv, shared or all")
		}
		p.d.SP()
	}
	n := mapi.Stamp(p.d.Number64())
	return &key{since: max(n, 1), matches: func(c *candidate) (bool, error) { return c.row.ModSeq >= n, nil }}
}

// setKey is a sequence set or UID set.
func setKey(set imapwire.NumSet, byUID bool) *key {
	k := &key{isSet: true}
	var allowed uidList
	k.bind = func(s *session) error {
		var err error
		if k.uids, err = s.resolve(set, byUID); err == nil {
			allowed = newUIDList(k.uids)
		}
		return err
	}
	k.matches = func(c *candidate) (bool, error) { return allowed.seq(c.row.UID) != 0, nil }
	return k
}
