package imap

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// searchWorkers is how many messages a SEARCH reads at the same time.
const searchWorkers = 4

// candidate is a message while it is tested.
type candidate struct {
	s   *session
	ctx context.Context // of the command; a candidate lives no longer
	row *exmdb.Row
	// reads says that octets are there to be read; else a key that needs them answers errUnread.
	reads bool
	m     *message
}

// errUnread says of a message that what else is asked for does not decide: its octets do.
var errUnread = errors.New("octets are not read yet")

// test tells whether the message has k. Of a compound key, parts that read octets are asked last.
func (c *candidate) test(k *key) (bool, error) {
	if k.matches != nil {
		return k.matches(c)
	}
	for _, reads := range [...]bool{false, true} {
		for _, part := range k.of {
			if part.reads != reads {
				continue
			}
			ok, err := c.test(part)
			if err != nil || ok != k.and {
				return ok, err
			}
		}
	}
	return k.and, nil
}

// message gives the candidate with its tree.
func (c *candidate) message() (*message, error) {
	if c.m == nil {
		m := &message{ctx: c.ctx, row: c.row, head: c.row.Octets}
		if err := c.s.structure(m); err != nil {
			return nil, err
		}
		c.m = m
	}
	return c.m, nil
}

// header reads the header, with the lines that were put before it.
func (c *candidate) header() ([]byte, error) {
	r, _ := c.m.locate(&section{spec: mime.SpecHeader})
	return c.s.octets(c.m, mime.Range{Start: r.Start, End: min(r.End, maxHeader)})
}

// envelope is the candidate's. Where it is no text as it stands, the header is read for the charset that it may be in.
func (c *candidate) envelope() (*mime.Envelope, error) {
	if c.m == nil {
		e, err := mime.DigestEnvelope(c.row.Digest)
		switch {
		case err == nil && e.IsLegible():
			return e, nil
		case err == nil && !c.reads:
			return nil, errUnread
		}
	}
	m, err := c.message()
	if err != nil {
		return nil, err
	}
	if m.root.Envelope.IsLegible() {
		return m.root.Envelope, nil
	}
	header, err := c.header()
	if err != nil {
		return nil, err
	}
	_, e := m.root.LegibleEnvelope(header)
	return e, nil
}

const rowDigest = exmdb.RowMeta | exmdb.RowDigest

func envelopeKey(match func(*mime.Envelope) bool) *key {
	return &key{fields: rowDigest, matches: func(c *candidate) (bool, error) {
		e, err := c.envelope()
		return err == nil && match(e), err
	}}
}

// textKey is BODY and TEXT: the decoded text parts, and for TEXT all headers.
func textKey(text string, scope mime.SearchScope) *key {
	if text == "" {
		return always(true)(nil)
	}
	in := exmdb.TextBody | exmdb.TextPart
	if scope == mime.InHeaderOrBody {
		in |= exmdb.TextSubject | exmdb.TextFrom | exmdb.TextTo | exmdb.TextHeader
	}
	k := octetsKey(func(c *candidate, m *message) (bool, error) {
		src := c.s.reader(m)
		prefix := int64(c.row.Prefix)
		if scope == mime.InHeaderOrBody && prefix > 0 {
			head, err := c.s.octets(m, mime.Range{End: prefix})
			if err != nil || contains(string(head), text) {
				return err == nil, err
			}
		}
		return m.root.SearchMessage(io.NewSectionReader(src, prefix, int64(c.row.Size)-prefix), text, scope)
	})
	k.text = &exmdb.TextQuery{Fields: in, Text: text}
	return k
}

// octetsKey is a key for which octets are read.
func octetsKey(match func(*candidate, *message) (bool, error)) *key {
	return &key{fields: exmdb.RowMeta, reads: true, matches: func(c *candidate) (bool, error) {
		if !c.reads {
			return false, errUnread
		}
		m, err := c.message()
		if err != nil {
			return false, err
		}
		return match(c, m)
	}}
}

// contains tells whether needle is in text by the rules of SEARCH.
func contains(text, needle string) bool {
	m := mime.NewMatcher(needle)
	_, _ = io.WriteString(m, text) // never fails
	return m.Found()
}

// headerKey is HEADER and the keys for single fields; what the envelope holds is not read again.
func headerKey(name, text string) *key {
	k := headerTest(name, text)
	in := map[string]exmdb.TextFields{"SUBJECT": exmdb.TextSubject, "FROM": exmdb.TextFrom, "TO": exmdb.TextTo, "CC": exmdb.TextTo,
		"BCC": exmdb.TextTo}[upper(name)]
	if in == 0 {
		in = exmdb.TextHeader
	}
	k.text = &exmdb.TextQuery{Fields: in, Text: text}
	return k
}

// headerTest is a key for a field, by reading.
func headerTest(name, text string) *key {
	switch upper(name) {
	case "SUBJECT":
		return envelopeKey(func(e *mime.Envelope) bool {
			return e.Has&mime.HasSubject != 0 && contains(e.DecodedSubject(), text)
		})
	case "MESSAGE-ID":
		return envelopeKey(func(e *mime.Envelope) bool {
			return e.Has&mime.HasMessageID != 0 && contains(e.MessageID, text)
		})
	case "FROM":
		return addressKey(text, func(e *mime.Envelope) []mime.Address { return e.From })
	case "TO":
		return addressKey(text, func(e *mime.Envelope) []mime.Address { return e.To })
	case "CC":
		return addressKey(text, func(e *mime.Envelope) []mime.Address { return e.Cc })
	case "BCC":
		return addressKey(text, func(e *mime.Envelope) []mime.Address { return e.Bcc })
	}
	return octetsKey(func(c *candidate, _ *message) (bool, error) {
		header, err := c.header()
		if err != nil {
			return false, err
		}
		for f := range mime.ParseHeader(mime.Legible(header, c.m.root.TextCharset())).All(name) {
			if contains(f.Text(), text) {
				return true, nil
			}
		}
		return false, nil
	})
}

func addressKey(text string, list func(*mime.Envelope) []mime.Address) *key {
	return envelopeKey(func(e *mime.Envelope) bool {
		for _, a := range list(e) {
			whole := a.DisplayName() + " <" + a.Local + "@" + a.Host + ">"
			if contains(whole, text) || contains(a.Name, text) {
				return true
			}
		}
		return false
	})
}

// search is SEARCH: rows are tested page by page; only what matches is kept.
func (s *session) search(ctx context.Context, a *searchArgs) error {
	if a.charset != "" && a.charset != "UTF-8" && a.charset != "US-ASCII" {
		return &refusal{reply{imap.StatusResponseTypeNo, codeBadCharset + " (UTF-8 US-ASCII)", "Charset is not supported"}}
	}
	result, err := s.findMessages(ctx, a)
	if a.returns.save {
		s.selected.saved = a.returns.saved(result.hits.ranges())
	}
	if err != nil {
		return err
	}
	s.enabled.condstore = s.enabled.condstore || result.byModSeq
	if a.returns.given {
		s.writeESearch(a, result)
		return nil
	}
	s.writeSearch(a, result)
	return nil
}

// searchResult is the messages found and their stamps.
type searchResult struct {
	hits     uidList
	byModSeq bool // a MODSEQ key was given: the response tells the highest
	highest  mapi.Stamp
	first    mapi.Stamp
	last     mapi.Stamp
}

func (r *searchResult) add(row *exmdb.Row) {
	if r.hits.count() == 0 {
		r.first = row.ModSeq
	}
	r.last, r.highest = row.ModSeq, max(r.highest, row.ModSeq)
	r.hits.add(exmdb.UIDRange{First: row.UID, Last: row.UID})
}

func (s *session) findMessages(ctx context.Context, a *searchArgs) (searchResult, error) {
	var result searchResult
	if err := s.bind(a.key, &result); err != nil {
		return result, err
	}
	q := rowsQuery{uids: []exmdb.UIDRange{{First: 1, Last: s.selected.uids.highest()}}, fields: a.key.fields}
	if s.selected.uids.count() == 0 {
		return result, nil
	}
	for _, k := range a.key.of { // keys at the top narrow what is read at all
		if k.isSet {
			q.uids = intersect(q.uids, k.uids)
		}
		if k.since > 0 {
			q.since = max(q.since, k.since-1)
		}
	}
	if err := s.narrow(ctx, a.key, &q); err != nil {
		return result, err
	}
	err := s.rows(ctx, q, func(page []exmdb.Row) error {
		matched, err := s.testPage(ctx, a.key, page)
		if err != nil {
			return err
		}
		for i := range page {
			if matched[i] && s.selected.uids.seq(page[i].UID) != 0 {
				result.add(&page[i])
			}
		}
		return nil
	})
	return result, err
}

// narrow leaves out of q what cannot contain what is searched for, as far as the store's index knows. Octets under a UID
// never change, and what comes later is none of the session's messages yet, so this holds for the whole command.
func (s *session) narrow(ctx context.Context, k *key, q *rowsQuery) error {
	text := k.narrowed(maxNarrowDepth)
	if text == nil || len(q.uids) == 0 {
		return nil
	}
	resp := &exmdb.NarrowResponse{Again: true}
	for steps := 0; resp.Again && steps < maxNarrowSteps; steps++ {
		var err error
		resp, err = do(ctx, s, exmdb.OpNarrow, &exmdb.NarrowRequest{Folder: s.selected.fid, Query: *text})
		if err != nil && kindOf(err) == cluster.KindNoMethod {
			return nil // an owner of the release before
		}
		if err != nil {
			return err
		}
	}
	if resp.Known {
		q.uids = intersect(q.uids, resp.UIDs)
	}
	return nil
}

// maxNarrowSteps is how many times the store is asked that says it is not done: two million messages that came at once.
const maxNarrowSteps = 64

// bind prepares a key and its parts.
func (s *session) bind(k *key, r *searchResult) error {
	r.byModSeq = r.byModSeq || k.since > 0
	if k.bind != nil {
		return k.bind(s)
	}
	for _, part := range k.of {
		if err := s.bind(part, r); err != nil {
			return err
		}
	}
	return nil
}

// intersect is what two ascending lists of ranges have in common.
func intersect(a, b []exmdb.UIDRange) []exmdb.UIDRange {
	l := newUIDList(a)
	return orEmpty(l.within(b))
}

// testPage tests a page of rows. Octets are read of those that nothing else decides, a page of them in one op where they are
// short, so a message that is found costs little more than its own octets.
func (s *session) testPage(ctx context.Context, k *key, page []exmdb.Row) ([]bool, error) {
	matched := make([]bool, len(page))
	var unread []exmdb.UIDRange
	for i := range page {
		ok, err := testRow(k, &candidate{s: s, ctx: ctx, row: &page[i]})
		if errors.Is(err, errUnread) {
			unread = append(unread, exmdb.UIDRange{First: page[i].UID, Last: page[i].UID})
		} else if err != nil {
			return nil, err
		}
		matched[i] = ok
	}
	if len(unread) == 0 {
		return matched, ctx.Err()
	}
	q := rowsQuery{uids: mergeUIDs(unread), fields: k.fields | rowDigest | exmdb.RowOctets}
	next := 0
	err := s.rows(ctx, q, func(rows []exmdb.Row) error {
		read, err := s.testRead(ctx, k, rows)
		for i := range read {
			for page[next].UID < rows[i].UID { // both ascend, and all that is read is of the page
				next++
			}
			matched[next] = read[i]
		}
		return err
	})
	return matched, err
}

// testRead tests rows with their octets, several at a time: those of long messages are read one after the other.
func (s *session) testRead(ctx context.Context, k *key, rows []exmdb.Row) ([]bool, error) {
	matched := make([]bool, len(rows))
	g, gctx := errgroup.WithContext(ctx)
	for w := range searchWorkers {
		g.Go(func() (err error) {
			for i := w; i < len(rows) && gctx.Err() == nil && err == nil; i += searchWorkers {
				matched[i], err = testRow(k, &candidate{s: s, ctx: gctx, row: &rows[i], reads: true})
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return matched, ctx.Err()
}

// testRow tests one message; one that has vanished has nothing.
func testRow(k *key, c *candidate) (ok bool, err error) {
	err = contained(func() (err error) { ok, err = c.test(k); return err })
	switch {
	case err == nil:
		return ok, nil
	case kindOf(err) == exmdb.KindNoMessage:
		return false, nil
	case errors.Is(err, errUnread):
		return false, err
	}
	return false, fmt.Errorf("search UID %d: %w", c.row.UID, err)
}

// saved is what "$" stands for afterwards (RFC 5182 2.1).
func (r *searchReturn) saved(hits []exmdb.UIDRange) []exmdb.UIDRange {
	if r.all || r.count || !r.min && !r.max || len(hits) == 0 {
		return hits
	}
	var out []exmdb.UIDRange
	if r.min {
		out = append(out, exmdb.UIDRange{First: hits[0].First, Last: hits[0].First})
	}
	if r.max {
		last := hits[len(hits)-1].Last
		out = append(out, exmdb.UIDRange{First: last, Last: last})
	}
	return mergeUIDs(out)
}

// writeSearch is the response of RFC 3501 7.2.5.
func (s *session) writeSearch(a *searchArgs, r searchResult) {
	s.out.Raw("* SEARCH")
	hits := r.hits.ranges()
	numbers := toWire(hits)
	if !a.uid {
		numbers = s.seqRanges(hits)
	}
	for _, n := range numbers {
		for i := n.First; ; i++ {
			s.out.Byte(' ')
			s.out.Num(uint64(i))
			if i == n.Last {
				break
			}
		}
	}
	if r.byModSeq && r.hits.count() > 0 {
		s.out.Raw(" (MODSEQ " + decimal(modSeq(r.highest)) + ")")
	}
	s.out.CRLF()
}

// writeESearch is the response of RFC 4731 3.1. With SAVE alone there is none.
func (s *session) writeESearch(a *searchArgs, r searchResult) {
	opts := a.returns
	if opts.save && !opts.min && !opts.max && !opts.all && !opts.count {
		return
	}
	s.out.Raw("* ESEARCH (TAG ")
	s.out.String(s.tag)
	s.out.Raw(")")
	if a.uid {
		s.out.Raw(" UID")
	}
	hits := r.hits.ranges()
	numbers := toWire(hits)
	if !a.uid {
		numbers = s.seqRanges(hits)
	}
	if n := len(numbers); n > 0 {
		if opts.min {
			s.out.Raw(" MIN " + decimal(uint64(numbers[0].First)))
		}
		if opts.max {
			s.out.Raw(" MAX " + decimal(uint64(numbers[n-1].Last)))
		}
		if opts.all {
			s.out.Raw(" ALL ")
			s.out.Ranges(numbers)
		}
	}
	if opts.count {
		s.out.Raw(" COUNT " + decimal(uint64(r.hits.count())))
	}
	if r.byModSeq && len(numbers) > 0 {
		s.out.Raw(" MODSEQ " + decimal(modSeq(opts.modSeq(r))))
	}
	s.out.CRLF()
}

// modSeq is the stamp that MODSEQ tells: that of the messages named when only MIN and MAX are asked for (RFC 7162
// 3.1.10).
func (r *searchReturn) modSeq(result searchResult) mapi.Stamp {
	switch {
	case r.all || r.count:
		return result.highest
	case r.min && r.max:
		return max(result.first, result.last)
	case r.min:
		return result.first
	}
	return result.last
}
