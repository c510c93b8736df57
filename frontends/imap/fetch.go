package imap

import (
	"context"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// fetchPlan is what a FETCH needs of each message.
type fetchPlan struct {
	items  []fetchItem
	fields exmdb.RowFields
	seen   bool // a section without PEEK: \Seen is set
	octets need
}

// need says which octets are loaded before a message's response begins.
type need uint8

const (
	needNothing need = iota
	needHeader
	needAll
)

// fetch is FETCH: rows come page by page, octets ahead of the line they go into, and each page's \Seen in one op.
func (s *session) fetch(ctx context.Context, a *fetchArgs) error {
	s.enabled.condstore = s.enabled.condstore || a.condstore
	uids, err := s.resolve(a.set, a.uid)
	if err != nil {
		return err
	}
	p := s.plan(a)
	written := uint32(0)
	err = s.rows(ctx, rowsQuery{uids: orEmpty(uids), since: a.changedSince, fields: p.fields}, func(page []exmdb.Row) error {
		marked, err := s.markSeen(ctx, p, page)
		if err != nil {
			return err
		}
		n, err := s.fetchPage(ctx, p, page, &marked)
		written += n
		return err
	})
	if err != nil {
		return err
	}
	if a.changedSince == 0 && written < s.countOf(uids) {
		s.done = reply{code: codeExpungeIssued, text: "Some messages are gone"}
	}
	return nil
}

// orEmpty keeps an empty choice from standing for all.
func orEmpty(ranges []exmdb.UIDRange) []exmdb.UIDRange {
	if ranges == nil {
		return []exmdb.UIDRange{}
	}
	return ranges
}

func (s *session) countOf(uids []exmdb.UIDRange) uint32 {
	n := uint32(0)
	for _, r := range s.selected.uids.within(uids) {
		n += uint32(r.Last-r.First) + 1
	}
	return n
}

func (s *session) plan(a *fetchArgs) *fetchPlan {
	p := &fetchPlan{items: a.items}
	if a.uid && !a.has("UID") {
		p.items = append([]fetchItem{fetchItemOf(s.dec, "UID")}, p.items...)
	}
	if a.changedSince > 0 && !a.has("MODSEQ") {
		p.items = append(p.items, fetchItemOf(s.dec, "MODSEQ"))
	}
	for _, item := range p.items {
		p.fields |= item.fields
		if item.section == nil {
			continue
		}
		p.seen = p.seen || !item.section.peek
		if item.section.headOnly() {
			p.octets = max(p.octets, needHeader)
		} else {
			p.octets = needAll
		}
	}
	p.seen = p.seen && !s.selected.readOnly
	return p
}

// markSeen sets \Seen on those of a page that lack it, in one op, shows it in their rows and gives their UIDs.
func (s *session) markSeen(ctx context.Context, p *fetchPlan, page []exmdb.Row) (uidList, error) {
	if !p.seen {
		return uidList{}, nil
	}
	var unseen []exmdb.UIDRange
	for i := range page {
		if page[i].Flags.Bits&exmdb.FlagSeen == 0 {
			unseen = append(unseen, exmdb.UIDRange{First: page[i].UID, Last: page[i].UID})
		}
	}
	if len(unseen) == 0 {
		return uidList{}, nil
	}
	_, own, err := s.setFlags(ctx, &exmdb.SetFlagsRequest{Folder: s.selected.fid, UIDs: mergeUIDs(unseen),
		Mode: exmdb.FlagsAdd, Flags: exmdb.Flags{Bits: exmdb.FlagSeen}})
	if kindOf(err) == exmdb.KindAccessDenied { // reading is allowed, marking is not
		return uidList{}, nil
	}
	if err != nil {
		return uidList{}, err
	}
	if !s.enabled.condstore { // else the poll at the end tells the new MODSEQs (RFC 7162 3.2)
		s.selected.own = append(s.selected.own, own...)
	}
	marked := newUIDList(mergeUIDs(unseen))
	for i := range page {
		page[i].Flags.Bits |= exmdb.FlagSeen
	}
	return marked, nil
}

// message is one message while its response is written.
type message struct {
	ctx  context.Context // of the command; a message lives no longer
	row  *exmdb.Row
	root *mime.Part // set by prepare where it is needed
	head []byte     // the octets from the first on that were loaded ahead
	// marked says that this FETCH set \Seen.
	marked bool
}

// fetchPage writes the responses of a page and counts them. A message that vanished meanwhile is passed over.
// In the others the flags are shown that this FETCH changed (RFC 9051 6.4.5).
func (s *session) fetchPage(ctx context.Context, p *fetchPlan, page []exmdb.Row, marked *uidList) (uint32, error) {
	for i := range page {
		s.learn(s.selected, page[i].Flags.Keywords)
	}
	ahead := s.readAhead(ctx, p, page)
	defer ahead.stop()
	written := uint32(0)
	for i := range page {
		seq := s.selected.uids.seq(page[i].UID)
		if seq == 0 {
			continue
		}
		m, err := ahead.take(i)
		if kindOf(err) == exmdb.KindNoMessage {
			continue
		}
		if err != nil {
			return written, err
		}
		m.marked = marked.seq(m.row.UID) != 0
		if err := s.fetchLine(seq, m, p); err != nil {
			return written, err
		}
		written++
	}
	return written, nil
}

func (s *session) fetchLine(seq uint32, m *message, p *fetchPlan) error {
	s.out.Raw("* ")
	s.out.Num(uint64(seq))
	s.out.Raw(" FETCH (")
	extra := m.marked
	for i := range p.items {
		item := &p.items[i]
		if i > 0 {
			s.out.Byte(' ')
		}
		extra = extra && item.label != "FLAGS"
		s.out.Raw(item.label)
		s.out.Byte(' ')
		if err := item.write(s, m); err != nil {
			return err
		}
	}
	if extra {
		s.out.Raw(" FLAGS ")
		writeFlags(s.out, &m.row.Flags)
	}
	s.out.Byte(')')
	s.out.CRLF()
	return s.out.Err()
}

func (s *session) fetchFlags(m *message) error {
	writeFlags(s.out, &m.row.Flags)
	return nil
}

func (s *session) fetchUID(m *message) error {
	s.out.Num(uint64(m.row.UID))
	return nil
}

func (s *session) fetchInternalDate(m *message) error {
	s.out.DateTime(m.row.Received.UTC())
	return nil
}

func (s *session) fetchSaveDate(m *message) error {
	if m.row.Saved.IsZero() {
		s.out.Raw("NIL")
		return nil
	}
	s.out.DateTime(m.row.Saved.UTC())
	return nil
}

func (s *session) fetchSize(m *message) error {
	s.out.Num(m.row.Size)
	return nil
}

func (s *session) fetchModSeq(m *message) error {
	s.out.Byte('(')
	s.out.Num(modSeq(m.row.ModSeq))
	s.out.Byte(')')
	return nil
}

func (s *session) fetchEmailID(m *message) error {
	s.out.Raw("(" + emailID(m.row) + ")")
	return nil
}

// fetchThreadID says that there are no threads (RFC 8474 5.2).
func (s *session) fetchThreadID(*message) error {
	s.out.Raw("NIL")
	return nil
}

func (s *session) fetchEnvelope(m *message) error {
	writeEnvelope(s.out, m.root.Envelope)
	return nil
}

func (s *session) fetchBodyStructure(m *message) error {
	writeBody(s.out, m.root, extended)
	return nil
}

func (s *session) fetchBody(m *message) error {
	writeBody(s.out, m.root, basic)
	return nil
}

// fetchSection writes the octets of a section; one that the message does not have is NIL.
func (s *session) fetchSection(m *message, sec *section) error {
	r, ok := m.locate(sec)
	if !ok {
		s.out.Raw("NIL")
		return nil
	}
	if sec.filter != unfiltered {
		return s.fetchFields(m, sec, r)
	}
	if sec.partial {
		r = r.Partial(sec.offset, sec.count)
	}
	return s.writeOctets(m, r)
}

// maxHeader is the most of a header that is filtered by field names.
const maxHeader = 1 << 20

// fetchFields writes HEADER.FIELDS and HEADER.FIELDS.NOT.
func (s *session) fetchFields(m *message, sec *section, r mime.Range) error {
	header, err := s.octets(m, mime.Range{Start: r.Start, End: min(r.End, r.Start+maxHeader)})
	if err != nil {
		return errCut
	}
	text := mime.FilterHeader(header, mime.Selection(sec.filter == onlyFields), sec.names...)
	if sec.partial {
		r := mime.Range{End: int64(len(text))}.Partial(sec.offset, sec.count)
		text = text[r.Start:r.End]
	}
	writeLiteral(s.out, text)
	return nil
}

func writeLiteral(out *imapwire.Encoder, text []byte) {
	out.LiteralSize(int64(len(text)))
	_, _ = out.Write(text) // the error stays in out
}
