package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// flag is a row of the one table of MAILBOX 4: which stamps a flag moves, and what MAPI shows of it beside its bit.
// Every flag moves the modseq.
type flag struct {
	bit   exmdb.FlagBits
	moves schema.ChangeKinds
	// shown keeps the MAPI properties in step; nil where the bit says all.
	shown func(row *schema.Row, on bool)
}

var flags = []flag{
	{exmdb.FlagSeen, schema.ChangeRead, nil},      // mfRead
	{exmdb.FlagDeleted, schema.ChangeStatus, nil}, // msDelMarked
	{exmdb.FlagDraft, schema.ChangeContent, nil},  // mfUnsent
	{exmdb.FlagFlagged, schema.ChangeContent, func(row *schema.Row, on bool) { // PidTagFlagStatus
		if on {
			row.Bits &^= schema.RowFlagComplete
		}
	}},
	{exmdb.FlagAnswered, schema.ChangeContent, func(row *schema.Row, on bool) { showVerb(row, mapi.VerbReply, on) }},
	{exmdb.FlagForwarded, schema.ChangeContent, func(row *schema.Row, on bool) { showVerb(row, mapi.VerbForward, on) }},
}

// keywordMoves is what a keyword moves: PidNameKeywords is content.
const keywordMoves = schema.ChangeContent

func iconOf(verb uint32) uint32 {
	switch verb {
	case mapi.VerbReply, mapi.VerbReplyAll:
		return mapi.IconReplied
	case mapi.VerbForward:
		return mapi.IconForwarded
	}
	return 0
}

// showVerb sets the last verb with its icon. A verb taken back leaves the other one, if that was done too.
func showVerb(row *schema.Row, verb uint32, on bool) {
	switch {
	case on && iconOf(row.Verb) != iconOf(verb):
		row.Verb = verb
	case on || iconOf(row.Verb) != iconOf(verb):
		return
	case verb == mapi.VerbReply && row.Bits&schema.RowBits(exmdb.FlagForwarded) != 0:
		row.Verb = mapi.VerbForward
	case verb == mapi.VerbForward && row.Bits&schema.RowBits(exmdb.FlagAnswered) != 0:
		row.Verb = mapi.VerbReply
	default:
		row.Verb = 0
	}
	row.Icon = iconOf(row.Verb)
}

// wanted is a change of flags, with keywords by id.
type wanted struct {
	mode     exmdb.FlagMode
	bits     exmdb.FlagBits
	keywords []uint16 // ascending
}

// newBits are the flags of row after the change. \Draft is not set on a received message (MAILBOX 4).
func (w wanted) newBits(row *schema.Row) exmdb.FlagBits {
	old, bits := row.Bits.Flags(), w.bits
	switch w.mode {
	case exmdb.FlagsAdd:
		bits = old | w.bits
	case exmdb.FlagsRemove:
		bits = old &^ w.bits
	}
	if row.Bits&schema.RowBorn == 0 {
		bits &^= exmdb.FlagDraft
	}
	return bits
}

func (w wanted) newKeywords(old []uint16) []uint16 {
	switch {
	case w.mode == exmdb.FlagsReplace:
		return w.keywords
	case len(w.keywords) == 0:
		return old
	case w.mode == exmdb.FlagsRemove:
		return slices.DeleteFunc(slices.Clone(old), func(k uint16) bool { return slices.Contains(w.keywords, k) })
	}
	both := append(slices.Clone(old), w.keywords...)
	slices.Sort(both)
	return slices.Compact(both)
}

// applyFlags changes a row and says which stamps that moves; none when nothing is different.
func applyFlags(row *schema.Row, w wanted) schema.ChangeKinds {
	var moved schema.ChangeKinds
	bits := w.newBits(row)
	diff := bits ^ row.Bits.Flags()
	row.Bits = row.Bits&^schema.RowFlagMask | schema.RowBits(bits)
	for i := range flags {
		f := &flags[i]
		if diff&f.bit == 0 {
			continue
		}
		moved |= f.moves
		if f.shown != nil {
			f.shown(row, bits&f.bit != 0)
		}
	}
	if ids := w.newKeywords(row.Keywords); !slices.Equal(ids, row.Keywords) {
		row.Keywords = ids
		moved |= keywordMoves
	}
	return moved
}

// stepFlags bounds the messages that one step of SetFlags looks at, so that its effect fits however many keywords they
// have, and other ops wait for it no longer than for a large message (CLUSTER 1.6): four keys are written for each.
const stepFlags = 2000

// allFlags are the bits that a client may name.
const allFlags = exmdb.FlagSeen | exmdb.FlagAnswered | exmdb.FlagFlagged | exmdb.FlagDeleted | exmdb.FlagDraft | exmdb.FlagForwarded

func checkFlags(mode exmdb.FlagMode, bits exmdb.FlagBits) error {
	if mode < exmdb.FlagsReplace || mode > exmdb.FlagsRemove || bits&^allFlags != 0 {
		return cluster.Errorf(cluster.KindBadRequest, "flags %#x in mode %d", bits, mode)
	}
	return nil
}

func setFlags(t *tx, req *exmdb.SetFlagsRequest) (*exmdb.SetFlagsResponse, error) {
	if err := checkRanges(req.UIDs); err != nil {
		return nil, err
	}
	if err := checkFlags(req.Mode, req.Flags.Bits); err != nil {
		return nil, err
	}
	c, err := t.edit(req.Folder)
	if err != nil {
		return nil, err
	}
	ids, err := t.keywordIDs(req.Flags.Keywords, req.Mode)
	if err != nil {
		return nil, err
	}
	own, err := t.reader(req.Folder)
	if err != nil {
		return nil, err
	}
	s := flagSetter{tx: t, req: req, counts: c, want: wanted{req.Mode, req.Flags.Bits, ids}, own: own, work: t.measure(toMark)}
	for ranges := req.UIDs; ; {
		var found []message
		found, ranges, err = t.collect(req.Folder, ranges, collectLimit{messages: batchMessages, hide: schema.RowUnrendered})
		if err != nil {
			return nil, err
		}
		if err := s.some(found); err != nil || s.resp.Next != 0 || ranges == nil {
			s.resp.Denied = t.passedOver
			return &s.resp, err
		}
	}
}

type flagSetter struct {
	*tx
	req    *exmdb.SetFlagsRequest
	counts *schema.FolderCounts
	want   wanted
	own    *reader // where \Seen is the caller's
	seen   int
	work   *work
	resp   exmdb.SetFlagsResponse
}

// some changes messages until the step is full, and then notes where to go on.
func (s *flagSetter) some(found []message) error {
	for i := range found {
		if s.seen == stepFlags || len(s.resp.Modified) == stepRanges || s.work.full() {
			s.resp.Next = found[i].uid
			return nil
		}
		s.seen++
		if err := s.one(&found[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *flagSetter) one(m *message) error {
	if s.req.Conditional && s.own.modseq(&m.row) > s.req.UnchangedSince {
		s.resp.Modified = addUID(s.resp.Modified, m.uid)
		return nil
	}
	if s.own != nil {
		return s.oneOfHis(m)
	}
	old := m.row
	moved := applyFlags(&m.row, s.want)
	if moved == 0 {
		return nil
	}
	if len(m.row.Keywords) > maxRowKeywords {
		return cluster.Errorf(exmdb.KindKeywordLimit, "message with %d keywords", len(m.row.Keywords))
	}
	if err := s.settleByClient(&m.row); err != nil {
		return err
	}
	leave(s.counts, &old)
	enter(s.counts, &m.row)
	s.touch(s.req.Folder, s.counts, m, moved)
	s.changed(m.row.ModSeq)
	return nil
}

func (s *flagSetter) changed(at mapi.Stamp) {
	if s.resp.Changed == 0 {
		s.resp.First = at
	}
	s.resp.Last = at
	s.resp.Changed++
}

// oneOfHis changes a message whose \Seen is the caller's own: that goes to his read state, the rest to the row.
func (s *flagSetter) oneOfHis(m *message) error {
	was := s.own.seen(&m.row)
	is := was
	switch named := s.want.bits&exmdb.FlagSeen != 0; {
	case s.want.mode == exmdb.FlagsReplace:
		is = named
	case named:
		is = s.want.mode == exmdb.FlagsAdd
	}
	shared := s.want
	shared.bits &^= exmdb.FlagSeen
	if shared.mode == exmdb.FlagsReplace {
		shared.bits |= m.row.Bits.Flags() & exmdb.FlagSeen
	}
	rest := flagSetter{tx: s.tx, req: s.req, counts: s.counts, want: shared}
	if err := rest.one(m); err != nil {
		return err
	}
	at := rest.resp.Last
	if is != was {
		at = s.stamp()
		if err := s.markRead(s.req.Folder, s.own, &m.row, is, at); err != nil {
			return err
		}
	}
	if at != 0 {
		s.changed(at)
	}
	return nil
}

// touch gives a message its next stamp, of the kinds that moved, in row and change index (MAILBOX 2). A step of the
// index whose kinds have all moved on goes.
func (t *tx) touch(fid mapi.FID, c *schema.FolderCounts, m *message, moved schema.ChangeKinds) {
	t.restamp(fid, c, m, moved)
	t.w.Set(m.key(fid), m.row.AppendWire(nil))
}

// restamp is touch without the row, which the caller writes.
func (t *tx) restamp(fid mapi.FID, c *schema.FolderCounts, m *message, moved schema.ChangeKinds) {
	row, old := &m.row, stampsOf(&m.row)
	s := t.stamp()
	row.ModSeq = s
	t.advance(c, s)
	if moved&schema.ChangeContent != 0 {
		row.CN, row.ChangeKey = s, nil
		row.Modified = mapi.FileTimeOf(t.now)
	}
	if moved&schema.ChangeRead != 0 {
		row.ReadCN = s
	}
	now := stampsOf(row)
	for i, past := range old {
		if past != 0 && !slices.Contains(now[:], past) && !slices.Contains(old[:i], past) {
			t.w.Delete(schema.ChangeKey(fid, past))
		}
	}
	associated := row.Bits&schema.RowAssociated != 0
	t.set(schema.ChangeKey(fid, s), &schema.Change{Kinds: moved | schema.ChangeStatus, UID: m.uid, Associated: associated})
}

func stampsOf(row *schema.Row) [3]mapi.Stamp { return [3]mapi.Stamp{row.CN, row.ReadCN, row.ModSeq} }
