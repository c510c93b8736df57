package store

import (
	"encoding/binary"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/fulltext"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// maxSearched is how much of a long value restrictions and orders look at.
const maxSearched = 1 << 20

// shown is an object as its properties are read.
type shown interface {
	value(t mapi.Tag) (mapi.Prop, bool)
	some(tags []mapi.Tag) (*mapi.PropBag, error)
	failure() error
}

// tableRow is an object as a row: it implements query.Row.
type tableRow struct {
	shown
	r       space.Reader
	id      uint64
	natural []byte
	unread  bool
	// parts are the recipients or attachments of a message, nil of others.
	parts func(t mapi.Tag) ([]shown, error)
	// made is the text of a message that has none, nil before somebody looked for it.
	made *mapi.Value
	err  error
}

// ID implements query.Row.
func (r *tableRow) ID() uint64 { return r.id }

// Unread implements query.Row.
func (r *tableRow) Unread() bool { return r.unread }

// Natural implements query.Row.
func (r *tableRow) Natural() []byte { return r.natural }

// Err implements query.Row.
func (r *tableRow) Err() error { return orElse(r.err, r.failure()) }

func (r *tableRow) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Get implements mapi.Getter: what is kept as content is given as its bytes, as far as they are looked at, and a message that has
// no text is looked at for what its HTML or RTF shows.
func (r *tableRow) Get(t mapi.Tag) mapi.Value {
	p, _ := r.value(t)
	if ref, long := p.Value.(mapi.Reference); long {
		return r.load(p.Tag, ref, maxSearched)
	}
	if p.Value == nil && t.ID() == mapi.PidTagBody.ID() {
		return r.bodyText()
	}
	return p.Value
}

// load is the beginning of a long value.
func (r *tableRow) load(t mapi.Tag, ref mapi.Reference, n uint64) mapi.Value {
	b, err := content.ReadReference(r.r, ref, 0, n)
	if r.fail(err); err != nil {
		return nil
	}
	switch t.Type() {
	case mapi.TypeString:
		return mapi.String(strings.ToValidUTF8(string(b), "")) // the last character may have been cut
	case mapi.TypeString8:
		return mapi.String8(b)
	case mapi.TypeBinary:
		return mapi.Binary(b)
	}
	return mapi.Opaque(b)
}

// Column implements query.Row.
func (r *tableRow) Column(t mapi.Tag, most int) (mapi.Prop, bool) {
	p, found := r.value(t)
	if ref, long := p.Value.(mapi.Reference); long {
		p.Value = r.load(p.Tag, ref, uint64(most)*utf8.UTFMax)
	}
	p.Value = cut(p.Value, most)
	return p, found && p.Value != nil
}

// cut shortens a string or binary value.
func cut(v mapi.Value, most int) mapi.Value {
	switch v := v.(type) {
	case mapi.String:
		if len(v) <= most {
			return v
		}
		n := 0
		for at := range string(v) {
			if n == most {
				return v[:at]
			}
			n++
		}
		return v
	case mapi.String8:
		return v[:min(len(v), most)]
	case mapi.Binary:
		return v[:min(len(v), most)]
	}
	return v
}

// SubObjects implements mapi.SubObjects.
func (r *tableRow) SubObjects(t mapi.Tag) iter.Seq[mapi.Getter] {
	return func(yield func(mapi.Getter) bool) {
		if r.parts == nil {
			return
		}
		list, err := r.parts(t)
		r.fail(err)
		for _, part := range list {
			g := &tableRow{shown: part, r: r.r}
			more := yield(g)
			if r.fail(g.Err()); !more {
				return
			}
		}
	}
}

// failure implements shown.
func (s *shownMessage) failure() error { return s.err }

// failure implements shown.
func (s *shownFolder) failure() error { return s.err }

// value implements shown.
func (s *shownFolder) value(t mapi.Tag) (mapi.Prop, bool) {
	return folderTable.value(s, s.contents, t)
}

// bagProps is an object that is its bag.
type bagProps struct{ *mapi.PropBag }

func (b bagProps) value(t mapi.Tag) (mapi.Prop, bool) { return lookup(b.PropBag, t) }
func (b bagProps) failure() error                     { return nil }
func (b bagProps) some([]mapi.Tag) (*mapi.PropBag, error) {
	return b.PropBag, nil
}

// attachmentProps is an attachment with what is computed of it.
type attachmentProps struct{ *schema.Attachment }

func (a attachmentProps) failure() error { return nil }
func (a attachmentProps) value(t mapi.Tag) (mapi.Prop, bool) {
	return attachmentTable.value(a.Attachment, func() *mapi.PropBag { return &a.Bag }, t)
}
func (a attachmentProps) some([]mapi.Tag) (*mapi.PropBag, error) {
	return attachmentTable.all(a.Attachment, &a.Bag), nil
}

// parts are the recipients or attachments of a message.
func (v *view) parts(row *schema.Row, t mapi.Tag) ([]shown, error) {
	var list []shown
	if t.ID() == mapi.PidTagMessageRecipients.ID() {
		bags, err := v.recipients(row)
		for i := range bags {
			list = append(list, bagProps{&bags[i]})
		}
		return list, err
	}
	attachments, err := v.attachments(row)
	for i := range attachments {
		list = append(list, attachmentProps{&attachments[i]})
	}
	return list, err
}

// messageRow is a message as a row.
func (v *view) messageRow(fid mapi.FID, m *message) *tableRow {
	message := v.show(fid, m)
	row := &tableRow{shown: message, r: v.r, id: uint64(m.row.MID), unread: !message.flag(exmdb.FlagSeen),
		parts: func(t mapi.Tag) ([]shown, error) { return v.parts(&m.row, t) }}
	if m.deleted != 0 { // in the order in which they were deleted
		row.natural = binary.BigEndian.AppendUint64(nil, uint64(m.deleted))
	}
	return row
}

// messageSource is the messages of a folder, or its associated ones: it implements query.Source. Its stamp is the
// folder's, which every change of a message moves, and what was touched stands in the change index and the tombstones.
// Where read state is the caller's own, so are some stamps, and what they touched is in his ranges.
type messageSource struct {
	*view
	fid        mapi.FID
	associated bool
	counts     *schema.FolderCounts
	own        *reader
	// shelved: the folder is a soft-deleted one.
	shelved bool
	// text is what a row that is scanned has to have, as far as the full-text index can tell; nil if nothing is asked.
	text *fulltext.Query
}

func (v *view) messageSource(fid mapi.FID, associated bool, c *schema.FolderCounts) (*messageSource, error) {
	own, err := v.reader(fid)
	return &messageSource{view: v, fid: fid, associated: associated, counts: c, own: own}, err
}

// shared is the source as everybody has it, for what does not depend on who has read what.
func (s *messageSource) shared() *messageSource {
	others := *s
	others.own = nil
	return &others
}

// Stamp implements query.Source.
func (s *messageSource) Stamp() mapi.Stamp { return max(s.counts.ContentSeq, s.own.newest()) }

// Len implements query.Source.
func (s *messageSource) Len() int {
	if s.associated {
		return int(s.counts.Associated)
	}
	return int(s.counts.Messages)
}

func (s *messageSource) keys() rowKeys {
	if s.associated {
		return schema.AssociatedKey
	}
	return schema.RowKey
}

// Scan implements query.Source; its marks are UIDs.
func (s *messageSource) Scan(from query.Mark, fn func(query.Row, query.Mark) (bool, error)) error {
	if from.Minor >= schema.EndOfUIDs {
		return nil
	}
	rest := []exmdb.UIDRange{{First: max(mapi.UID(from.Minor), 1), Last: schema.EndOfUIDs - 1}}
	if !s.associated && !s.shelved {
		some, _, err := s.mayPass(s.fid, s.counts, s.text) // unless it is known, this step looks at all, and the next asks again
		if err != nil {
			return err
		}
		if some != nil {
			rest = rangesOf(some, rest[0].First)
		}
	}
	bags := s.walkBags()
	err := s.scanRows(s.keys(), s.fid, rest, func(uid mapi.UID, stored []byte) (bool, error) {
		m := &message{uid: uid}
		if err := m.row.UnmarshalWire(stored); err != nil {
			return false, err
		}
		r := s.messageRow(s.fid, m)
		r.shown.(*shownMessage).bags = bags
		return fn(r, query.Mark{Minor: uint64(uid) + 1})
	})
	return orElse(err, bags.close())
}

// Since implements query.Source. Steps of the change index, tombstones and the caller's own changes come in order of
// their stamps.
func (s *messageSource) Since(after mapi.Stamp, fn func(query.Touched) (bool, error)) (err error) {
	if after < s.counters.Floor || after < s.header.EpochStart {
		return query.ErrForgotten
	}
	own, err := s.ownSince(after)
	if err != nil {
		return err
	}
	changed := s.r.Iter(schema.ChangeKey(s.fid, after+1), schema.ChangeKey(s.fid+1, 0))
	defer closing(changed, &err)
	gone := s.r.Iter(schema.TombstoneKey(s.fid, after+1), schema.TombstoneKey(s.fid+1, 0))
	defer closing(gone, &err)
	change, tomb := newStampWalk(changed), newStampWalk(gone)
	for change.there || tomb.there {
		if change.err != nil || tomb.err != nil {
			return orElse(change.err, tomb.err)
		}
		more := false
		buried := tomb.there && (!change.there || tomb.stamp < change.stamp)
		first := change
		if buried {
			first = tomb
		}
		if own, more, err = s.tellOwn(after, own, first.stamp, fn); err != nil || !more {
			return err
		}
		if buried {
			more, err = s.left(after, tomb, fn)
		} else {
			more, err = s.moved(after, change, fn)
		}
		if err != nil || !more {
			return err
		}
		first.next()
	}
	if err := orElse(change.err, tomb.err); err != nil {
		return err
	}
	_, _, err = s.tellOwn(after, own, mapi.Stamp(mapi.MaxGlobalCounter), fn)
	return err
}

// ownTouched is up to how many messages of the caller's own changes are looked at one by one: who has marked more as read
// is better served by a new table.
const ownTouched = 4096

// ownSince are the messages of which the caller has read or unread some since a stamp, in order.
func (s *messageSource) ownSince(after mapi.Stamp) ([]ownChange, error) {
	if s.associated || s.own.newest() <= after {
		return nil, nil
	}
	span := mapi.GlobalCounter(0)
	for _, r := range s.own.Ranges {
		if r.Stamp > after {
			span += r.Last - r.First + 1
		}
	}
	if span > ownTouched {
		return nil, query.ErrForgotten
	}
	return s.ownChanges(s.fid, s.own, after)
}

// tellOwn tells of the caller's own changes up to a stamp, and returns the rest.
func (s *messageSource) tellOwn(after mapi.Stamp, own []ownChange, until mapi.Stamp, fn func(query.Touched) (bool, error)) ([]ownChange, bool, error) {
	for len(own) > 0 && own[0].modseq <= until {
		c := &own[0]
		m := &message{uid: c.uid, row: c.row}
		more, err := fn(s.touched(after, c.modseq, uint64(c.row.MID), m))
		if err != nil || !more {
			return nil, false, err
		}
		own = own[1:]
	}
	return own, true, nil
}

// stampWalk walks records whose keys end in a stamp.
type stampWalk struct {
	it    space.Iterator
	there bool
	stamp mapi.Stamp
	err   error
}

func newStampWalk(it space.Iterator) *stampWalk {
	w := &stampWalk{it: it}
	w.next()
	return w
}

func (w *stampWalk) next() {
	if w.there = w.it.Next(); w.there {
		w.stamp, w.err = schema.ParseStampKey(w.it.Key())
	}
}

// moved is a step of the change index.
func (s *messageSource) moved(after mapi.Stamp, w *stampWalk, fn func(query.Touched) (bool, error)) (bool, error) {
	_, step, err := changeStep(w.it.Key(), w.it.Value())
	if err != nil || step.Associated != s.associated {
		return err == nil, err
	}
	m := &message{uid: step.UID}
	found, err := load(s.r, s.keys()(s.fid, uint64(step.UID)), &m.row)
	if err != nil || !found {
		return err == nil, err // it has left since, or its UID has: a tombstone or a later step tells
	}
	return fn(s.touched(after, w.stamp, uint64(m.row.MID), m))
}

// left is a tombstone. What has come back is told as it is now.
func (s *messageSource) left(after mapi.Stamp, w *stampWalk, fn func(query.Touched) (bool, error)) (more bool, err error) {
	var ts schema.Tombstone
	if err := schema.Decode(w.it.Value(), &ts); err != nil {
		return false, err
	}
	more = true
	ts.MIDs.Each(func(c uint64) bool {
		id := uint64(mapi.NewMID(mapi.LocalReplica, mapi.GlobalCounter(c)))
		var m *message
		if m, err = s.message(id); err == nil {
			more, err = fn(s.touched(after, w.stamp, id, m))
		}
		return err == nil && more
	})
	return more, err
}

// touched is a message that has changed since a stamp, nil if it is not in the folder.
func (s *messageSource) touched(after, at mapi.Stamp, id uint64, m *message) query.Touched {
	t := query.Touched{Stamp: at, ID: id}
	if m != nil && s.shows(s.fid, &m.row) {
		t.Row = s.messageRow(s.fid, m)
		t.New = m.row.CameAt() > after && m.row.Bits&schema.RowGrantedMID == 0
	}
	return t
}

// findRow is find of the message that a row's id names, nil if there is none.
func (v *view) findRow(id uint64) (mapi.FID, *message, error) { return orNone(v.find(mapi.MID(id))) }

// orNone makes nothing of a message that is not there.
func orNone(fid mapi.FID, m *message, err error) (mapi.FID, *message, error) {
	if err == nil {
		return fid, m, nil
	}
	if cluster.KindOf(err) == exmdb.KindNoMessage {
		err = nil
	}
	return 0, nil, err
}

// message is a message of the folder by its MID, nil if there is none.
func (s *messageSource) message(id uint64) (*message, error) {
	find := s.find
	if s.shelved {
		find = s.findShelved
	}
	fid, m, err := orNone(find(mapi.MID(id)))
	if err != nil || m == nil {
		return nil, err
	}
	if fid != s.fid || m.associated() != s.associated {
		return nil, nil
	}
	return m, nil
}

// Row implements query.Source.
func (s *messageSource) Row(id uint64) (query.Row, error) {
	m, err := s.message(id)
	if err != nil || m == nil || !s.shows(s.fid, &m.row) {
		return nil, err
	}
	return s.messageRow(s.fid, m), nil
}

// fixedSource is a few rows that are all at hand: it implements query.Source.
type fixedSource struct {
	rows  []*tableRow
	stamp mapi.Stamp
}

// newFixedSource gives rows the order in which they are listed.
func newFixedSource(stamp mapi.Stamp, rows []*tableRow) *fixedSource {
	for i := range rows {
		rows[i].natural = binary.BigEndian.AppendUint32(nil, uint32(i))
	}
	return &fixedSource{rows, stamp}
}

// Stamp implements query.Source.
func (s *fixedSource) Stamp() mapi.Stamp { return s.stamp }

// Len implements query.Source.
func (s *fixedSource) Len() int { return len(s.rows) }

// Scan implements query.Source.
func (s *fixedSource) Scan(from query.Mark, fn func(query.Row, query.Mark) (bool, error)) error {
	for i := int(from.Minor); i < len(s.rows); i++ {
		if more, err := fn(s.rows[i], query.Mark{Minor: uint64(i) + 1}); err != nil || !more {
			return err
		}
	}
	return nil
}

// Since implements query.Source.
func (s *fixedSource) Since(mapi.Stamp, func(query.Touched) (bool, error)) error {
	return query.ErrForgotten
}

// Row implements query.Source.
func (s *fixedSource) Row(id uint64) (query.Row, error) {
	for _, r := range s.rows {
		if r.id == id {
			return r, nil
		}
	}
	return nil, nil
}

// partSource is the attachments or recipients of a message.
func (v *view) partSource(id *exmdb.ObjectID, kind mapi.Tag) (*fixedSource, error) {
	_, m, err := v.findObject(id)
	if err != nil {
		return nil, err
	}
	list, err := v.parts(&m.row, kind)
	rows := make([]*tableRow, len(list))
	for i, part := range list {
		rows[i] = &tableRow{shown: part, r: v.r, id: uint64(i)}
		if a, is := part.(attachmentProps); is {
			rows[i].id = uint64(a.Number)
		}
	}
	return newFixedSource(m.row.CN, rows), err
}
