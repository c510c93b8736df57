package fulltext

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Query says what is searched for. A nil Query is one that the index cannot narrow: every message may pass.
type Query struct {
	// all and any are of a compound query, one of them; fields and probes of one that looks for a string.
	all, any []*Query
	fields   Fields
	probes   []probe
}

// probe is a question to the terms of one field.
type probe struct {
	how  how
	term string
	// head is what stands in one piece whole of a word with term in it, if that is longer.
	head string
}

type how uint8

const (
	is     how = iota // the term itself
	begins            // terms that begin with it
	holds             // terms that it is in, or may be in
)

// All passes what every query passes. Those that cannot narrow are left out.
func All(list ...*Query) *Query {
	var kept []*Query
	for _, q := range list {
		if q != nil {
			kept = append(kept, q)
		}
	}
	if len(kept) < 2 {
		kept = append(kept, nil)
		return kept[0]
	}
	return &Query{all: kept}
}

// Any passes what one of the queries passes.
func Any(list ...*Query) *Query {
	if len(list) == 0 {
		return nil
	}
	for _, q := range list {
		if q == nil {
			return nil
		}
	}
	return &Query{any: list}
}

// Contains finds what has text in the fields, anywhere: the first word of text may be the end of one there, and
// the last one the beginning.
func Contains(in Fields, text string) *Query { return newQuery(in, text, true, true) }

// Prefix finds what has the words of text in the fields, the last of them as the beginning of a word.
func Prefix(in Fields, text string) *Query { return newQuery(in, text, false, true) }

// Words finds what has the words of text in the fields.
func Words(in Fields, text string) *Query { return newQuery(in, text, false, false) }

func newQuery(in Fields, text string, openLeft, openRight bool) *Query {
	if !utf8.ValidString(text) || strings.ContainsRune(text, iotaBelow) {
		return nil
	}
	q := &Query{fields: in}
	for _, w := range words(text) {
		q.probes = append(q.probes, w.probes(openLeft, openRight)...)
	}
	if len(q.probes) == 0 {
		return nil
	}
	return q
}

// word is letters, or ideographs, that follow each other in what is searched for.
type word struct {
	class       class
	runes       []rune
	first, last bool // nothing stands in front of it, nothing behind
}

func words(text string) []word {
	var folded []rune
	for _, r := range text {
		folded = appendFolded(folded, r)
	}
	var list []word
	before := space
	for i, r := range folded {
		c := classOf(r)
		if c != space && c != before {
			list = append(list, word{class: c, first: i == 0})
		}
		if c != space {
			w := &list[len(list)-1]
			w.runes, w.last = append(w.runes, r), i == len(folded)-1
		}
		before = c
	}
	return list
}

func (w *word) probes(openLeft, openRight bool) []probe {
	openLeft, openRight = openLeft && w.first, openRight && w.last
	text := string(w.runes)
	switch {
	case w.class == ideograph && len(w.runes) == 1:
		return []probe{{how: begins, term: text}}
	case w.class == ideograph:
		var list []probe
		for i := range len(w.runes) - 1 {
			list = append(list, probe{how: is, term: string(w.runes[i : i+2])})
		}
		return list
	case openLeft:
		return []probe{{how: holds, term: text, head: string(w.runes[:min(len(w.runes), pieceOverlap+1)])}}
	case openRight && len(w.runes) <= pieceRunes:
		return []probe{{how: begins, term: text}}
	case openRight:
		return []probe{{how: is, term: string(w.runes[:pieceRunes])}}
	}
	var list []probe
	s := newSplitter(func(term []byte) { list = append(list, probe{how: is, term: string(term)}) })
	_, _ = s.Write([]byte(text)) // never fails
	s.end()
	return list
}

// Found is what a query finds in a folder.
type Found struct {
	// Synced is the stamp up to which the folder is indexed: what has changed since may pass as well.
	Synced mapi.Stamp
	UIDs   *Set
}

// Find finds the messages of a folder that may pass a query; nil if the folder is not indexed.
func (ix *Index) Find(m Mailbox, f mapi.FID, q *Query) (*Found, error) {
	if err := ix.Err(); err != nil || q == nil {
		return nil, err
	}
	snap := ix.db.Snapshot()
	defer snap.Close()
	past, err := snap.Get(spaceKey(m.Space))
	if err != nil || string(past) != string(m.Past[:]) {
		return nil, ix.noticed(err)
	}
	record, found, err := ix.record(snap, m, f)
	if err != nil || !found {
		return nil, err
	}
	key := recentKey{m, f, record, q.print()}
	if known := ix.recent.find(key); known != nil {
		return &Found{record.synced, known.clone()}, nil
	}
	runs, err := runsOf(snap, m.Space, f)
	if err != nil {
		return nil, ix.noticed(err)
	}
	s := new(search)
	for _, r := range runs {
		s.runs = append(s.runs, newCursor(snap, runKey(prefixTerm, m.Space, f, r.number)))
	}
	set := s.find(q)
	if err := s.close(); err != nil {
		return nil, ix.noticed(err)
	}
	ix.recent.keep(key, set.clone())
	return &Found{record.synced, set}, nil
}

// search is one query over the runs of a folder.
type search struct{ runs []*cursor }

func (s *search) close() error {
	var err error
	for _, c := range s.runs {
		err = errors.Join(err, c.close())
	}
	return err
}

func (s *search) find(q *Query) *Set {
	switch {
	case q.all != nil:
		out := s.find(q.all[0])
		for _, part := range q.all[1:] {
			out.Intersect(s.find(part))
		}
		return out
	case q.any != nil:
		out := NewSet()
		for _, part := range q.any {
			out.Union(s.find(part))
		}
		return out
	}
	var out *Set
	for _, p := range q.probes {
		switch {
		case out == nil:
			out = s.inFields(q.fields, p)
		case len(out.chunks) > 0:
			out.Intersect(s.inFields(q.fields, p))
		}
	}
	out.Union(s.inFields(q.fields, probe{how: is, term: partial}))
	return out
}

// inFields is the messages in one of whose fields a probe succeeds. Words of one text need not be in one field: a field of
// a header and its name are not.
func (s *search) inFields(in Fields, p probe) *Set {
	out := NewSet()
	for f := range fields {
		if in&In(f) != 0 {
			s.probe(f, p, out)
		}
	}
	return out
}

func (s *search) probe(f Field, p probe, out *Set) {
	prefix := string(rune(f)) + p.term // fields are ASCII
	switch p.how {
	case is:
		prefix += string(rune(endOfTerm))
	case holds:
		prefix = string(rune(f))
	}
	for _, c := range s.runs {
		c.scan([]byte(prefix), &p, out)
	}
}

// scan adds the messages of a run's entries that begin with prefix and that the probe asks for.
func (c *cursor) scan(prefix []byte, p *probe, out *Set) {
	add := func(uid uint32) { out.Add(mapi.UID(uid)) }
	for ok := c.seek(prefix); ok && bytes.HasPrefix(c.entry, prefix); ok = c.next() {
		if p.how != holds || p.in(c.term()[1:]) {
			c.each(add)
		}
	}
}

// in reports whether a term has what is searched for in it, or is a piece of a word that may go on with it.
func (p *probe) in(term []byte) bool {
	return contains(term, p.term) ||
		len(p.head) < len(p.term) && len(term) >= pieceRunes && contains(term, p.head) && utf8.RuneCount(term) == pieceRunes
}

func contains(b []byte, s string) bool {
	return len(b) >= len(s) && bytes.Contains(b, []byte(s))
}
