package store

import (
	"encoding/binary"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// stepMessages is up to how many messages one step of a large op copies, moves or marks (CLUSTER 1.6).
	stepMessages = 2000
	// stepRanges bounds the UID ranges of a step's answer, which a space remembers for retries.
	stepRanges = 2000
	// batchMessages is how many rows are in memory at a time.
	batchMessages = 2000
)

// message is a row with its UID, or the number of an associated message; deleted is when, of one in a soft-deleted set.
type message struct {
	uid     mapi.UID
	row     schema.Row
	deleted schema.DeletedAt
}

func (m *message) associated() bool { return m.row.Bits&schema.RowAssociated != 0 }

// key is where the row of a message of a folder is.
func (m *message) key(fid mapi.FID) []byte {
	if m.associated() {
		return schema.AssociatedKey(fid, uint64(m.uid))
	}
	return schema.RowKey(fid, uint64(m.uid))
}

// collectLimit bounds what collect returns and, unless scanned is zero, looks at; only is the flag that a message must
// have, hide the marks it must not.
type collectLimit struct {
	messages int
	scanned  int
	only     exmdb.FlagBits
	hide     schema.RowBits
}

// collect reads rows of a folder, up to the limit. The ranges it returns are those still to be read, nil for none.
func (v *view) collect(fid mapi.FID, ranges []exmdb.UIDRange, limit collectLimit) ([]message, []exmdb.UIDRange, error) {
	return v.collectRows(schema.RowKey, fid, ranges, limit)
}

// collectRows is collect over either kind of rows.
func (v *view) collectRows(key rowKeys, fid mapi.FID, ranges []exmdb.UIDRange, limit collectLimit) ([]message, []exmdb.UIDRange, error) {
	if ranges == nil {
		ranges = []exmdb.UIDRange{{First: 1, Last: schema.EndOfUIDs - 1}}
	}
	var found []message
	next, scanned := mapi.UID(0), 0
	err := v.scanRows(key, fid, ranges, func(uid mapi.UID, stored []byte) (bool, error) {
		if scanned++; limit.scanned != 0 && scanned > limit.scanned {
			next = uid
			return false, nil
		}
		if bits, _ := schema.PeekRow(stored); bits.Flags()&limit.only != limit.only || bits&limit.hide != 0 {
			return true, nil
		}
		if len(found) == limit.messages {
			next = uid
			return false, nil
		}
		found = append(found, message{uid: uid})
		return true, found[len(found)-1].row.UnmarshalWire(stored)
	})
	if err != nil || next == 0 {
		return found, nil, err
	}
	return found, clip(ranges, next), nil
}

// clip is what of ranges lies at or above a UID.
func clip(ranges []exmdb.UIDRange, from mapi.UID) []exmdb.UIDRange {
	for i, r := range ranges {
		if r.Last < from {
			continue
		}
		rest := append([]exmdb.UIDRange(nil), ranges[i:]...)
		rest[0].First = max(r.First, from)
		return rest
	}
	return nil
}

// take removes a message from its folder: row, place, index, counts. What belongs to the object stays.
func (t *tx) take(fid mapi.FID, c *schema.FolderCounts, m *message) {
	row := &m.row
	t.w.Delete(m.key(fid))
	t.w.Delete(schema.MIDKey(row.MID))
	t.w.Delete(schema.ChangeKey(fid, row.CN))
	if row.ReadCN != 0 && row.ReadCN != row.CN {
		t.w.Delete(schema.ChangeKey(fid, row.ReadCN))
	}
	if row.ModSeq != row.CN && row.ModSeq != row.ReadCN {
		t.w.Delete(schema.ChangeKey(fid, row.ModSeq))
	}
	t.takeFromTime(fid, m)
	leave(c, row)
}

// destroy removes what belongs to an object that is in no folder any more, and its bodies with their last copy.
func (t *tx) destroy(row *schema.Row) error {
	t.w.Delete(schema.ObjectKey(row.Object))
	if row.Bits&schema.RowSubmitted != 0 {
		t.w.Delete(schema.SubmittedKey(row.Object))
	}
	if err := t.destroyProps(row); err != nil {
		return err
	}
	for _, body := range row.Bodies() {
		if err := t.releaseBody(body, row.Bits); err != nil {
			return err
		}
	}
	return nil
}

// releaseBody takes a body from one message.
func (t *tx) releaseBody(body mapi.ObjectNumber, marks schema.RowBits) error {
	shares, err := t.shares(body)
	if err != nil {
		return err
	}
	switch {
	case shares > 2:
		t.w.Set(schema.ShareKey(body), binary.AppendUvarint(nil, shares-1))
		return nil
	case shares == 2:
		t.w.Delete(schema.ShareKey(body))
		return nil
	}
	if marks&schema.RowContent != 0 {
		recipe, err := t.recipe(body)
		if err != nil {
			return err
		}
		if err := content.Release(t.w, content.Hashes(recipe)); err != nil {
			return err
		}
	}
	t.w.Delete(schema.RecipeKey(body))
	t.w.Delete(schema.DigestKey(body))
	return nil
}

// shares is how many messages have a body, 0 standing for one.
func (v *view) shares(body mapi.ObjectNumber) (uint64, error) {
	b, err := v.r.Get(schema.ShareKey(body))
	if err != nil || b == nil {
		return 0, err
	}
	n, size := binary.Uvarint(b)
	if size != len(b) || n < 2 {
		return 0, cluster.Errorf(cluster.KindDamaged, "share count of body %d", body)
	}
	return n, nil
}

// duplicate makes a new object of a message: the bodies are shared, the properties are copied, because they may be
// edited.
func (t *tx) duplicate(row *schema.Row) error {
	for _, body := range row.Bodies() {
		if err := t.holdBody(body); err != nil {
			return err
		}
	}
	from := *row
	row.Object = t.object()
	row.Creator = t.creator()
	row.Bits &^= schema.RowSubmitted
	row.Receipts = 0 // a receipt is of one message
	if row.Bits&schema.RowUnrendered == 0 {
		row.Body = from.BodyNumber()
	}
	return t.copyProps(&from, row.Object)
}

func copyMessages(t *tx, req *exmdb.CopyRequest) (*exmdb.CopyResponse, error) {
	s, found, err := t.beginStep(req)
	if err != nil || len(found) == 0 {
		return s.answer(nil, err)
	}
	total, err := t.sizeOf(req)
	if err != nil {
		return nil, err
	}
	if err := t.room(total); err != nil {
		return nil, err
	}
	for i := range found {
		m := &found[i]
		if s.done(m) {
			break
		}
		if err := t.takeSeen(req.Folder, &m.row); err != nil {
			return nil, err
		}
		if err := t.duplicate(&m.row); err != nil {
			return nil, err
		}
		t.enter(&m.row)
		if err := s.arrive(m); err != nil {
			return nil, err
		}
	}
	t.copied(&s.carried)
	return s.answer(found, nil)
}

func moveMessages(t *tx, req *exmdb.CopyRequest) (*exmdb.CopyResponse, error) {
	s, found, err := t.beginStep(req)
	if err != nil || len(found) == 0 {
		return s.answer(nil, err)
	}
	source, err := t.edit(req.Folder)
	if err != nil {
		return nil, err
	}
	var gone schema.Tombstone
	for i := range found {
		m := &found[i]
		if s.done(m) {
			break
		}
		bury(&gone, m)
		t.take(req.Folder, source, m)
		if err := t.takeSeen(req.Folder, &m.row); err != nil {
			return nil, err
		}
		if err := s.arrive(m); err != nil {
			return nil, err
		}
	}
	if err := t.moved(source, gone, &s.carried); err != nil {
		return nil, err
	}
	return s.answer(found, nil)
}

// step is one bounded part of a copy or move.
type step struct {
	tx     *tx
	req    *exmdb.CopyRequest
	target *schema.FolderCounts
	rest   []exmdb.UIDRange // what collect left
	work   *work
	whole  bool // it is the only step
	next   mapi.UID
	resp   exmdb.CopyResponse
	// carried is what the step has brought so far.
	carried carriage
}

func (t *tx) beginStep(req *exmdb.CopyRequest) (*step, []message, error) {
	s := &step{tx: t, req: req, work: t.measure(toCarry), carried: carriage{from: req.Folder, to: req.Target}}
	if err := checkRanges(req.UIDs); err != nil {
		return s, nil, err
	}
	if _, err := t.folderCounts(req.Folder); err != nil {
		return s, nil, err
	}
	target, err := t.edit(req.Target)
	if err != nil {
		return s, nil, err
	}
	s.target, s.resp.UIDValidity = target, target.UIDValidity
	end := target.UIDNext
	found, rest, err := t.collect(req.Folder, req.UIDs, collectLimit{messages: stepMessages, hide: schema.RowUnrendered})
	s.whole = req.Folder == req.Target && (req.UIDs == nil || len(req.UIDs) > 0 && req.UIDs[len(req.UIDs)-1].Last >= end)
	if err == nil && s.whole && len(rest) > 0 {
		// The next step would meet the messages this one makes, and so on without end.
		err = cluster.Errorf(cluster.KindBadRequest, "more than %d messages into their own folder need named UIDs", stepMessages)
	}
	s.rest = rest
	return s, found, err
}

// done reports whether the step is full before m, and notes where to go on.
func (s *step) done(m *message) bool {
	if s.whole || !s.work.full() && len(s.resp.Source) < stepRanges && len(s.resp.Target) < stepRanges {
		return false
	}
	s.next = m.uid
	return true
}

// arrive places a message in the target.
func (s *step) arrive(m *message) error {
	from, was := m.uid, m.row.MID
	uid, err := s.tx.place(s.req.Target, s.target, &m.row)
	if err != nil {
		return err
	}
	s.carried.add(s.tx, was, &m.row)
	s.resp.Source = addUID(s.resp.Source, from)
	s.resp.Target = addUID(s.resp.Target, uid)
	return nil
}

func (s *step) answer(found []message, err error) (*exmdb.CopyResponse, error) {
	if err != nil {
		return nil, err
	}
	s.resp.Next, s.resp.Denied = s.next, s.tx.passedOver
	if s.next == 0 && len(found) > 0 && len(s.rest) > 0 {
		s.resp.Next = s.rest[0].First
	}
	return &s.resp, nil
}

// sizeOf is what a copy still has to make room for, so that it is refused before its first step and not in the middle.
func (v *view) sizeOf(req *exmdb.CopyRequest) (uint64, error) {
	if all, err := v.roomForAll(req.Folder); err != nil || all {
		return 0, err
	}
	total := uint64(0)
	var row schema.Row
	err := v.scan(req.Folder, req.UIDs, func(_ mapi.UID, stored []byte) (bool, error) {
		err := row.UnmarshalWire(stored)
		total += row.MessageSize()
		return true, err
	})
	return total, err
}

func expunge(t *tx, req *exmdb.ExpungeRequest) (*exmdb.ExpungeResponse, error) {
	if err := checkRanges(req.UIDs); err != nil {
		return nil, err
	}
	c, err := t.edit(req.Folder)
	if err != nil {
		return nil, err
	}
	limit := collectLimit{messages: stepItems, scanned: stepScanned, only: exmdb.FlagDeleted, hide: schema.RowUnrendered}
	if req.All {
		limit.only = 0
	}
	found, rest, err := t.collect(req.Folder, req.UIDs, limit)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.ExpungeResponse{Denied: t.passedOver}
	step := t.measure(toDestroy)
	var gone schema.Tombstone
	for i := range found {
		m := &found[i]
		if len(resp.Vanished) == stepRanges || step.full() {
			resp.Next = m.uid
			break
		}
		bury(&gone, m)
		if err := t.discard(req.Folder, c, m, false); err != nil {
			return nil, err
		}
		resp.Vanished = addUID(resp.Vanished, m.uid)
	}
	if resp.Next == 0 && len(rest) > 0 {
		resp.Next = rest[0].First
	}
	resp.ModSeq, err = t.tombstone(req.Folder, c, gone)
	return resp, err
}
