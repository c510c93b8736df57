package store

import (
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// A message that is deleted leaves its folder as far as anybody sees: row, UID and counts are gone, a tombstone tells of
// it, quotas do not count it. What belongs to its object stays, and a record in the folder's soft-deleted set leads
// there, until it is recovered or its time is over.

// DueAgeOut is the work at a time that ends soft-deleted messages of a folder whose time is over. Its key is the
// folder's counter. The number is on disk.
const DueAgeOut uint16 = 2

// discard takes a message out of its folder and the mailbox's counts: into the soft-deleted set, or for good.
func (t *tx) discard(fid mapi.FID, c *schema.FolderCounts, m *message, hard bool) error {
	t.take(fid, c, m)
	t.leave(&m.row)
	if hard || !t.retains(m.row.MessageSize()) {
		return t.destroy(&m.row)
	}
	at := schema.DeletedAtOf(t.now)
	t.set(schema.DeletedKey(fid, at, m.row.MID), &schema.Deleted{Row: m.row, UID: m.uid, By: t.creator()})
	t.set(schema.MIDKey(m.row.MID), &schema.Place{Folder: fid.Counter(), UID: m.uid, Associated: m.associated(), Deleted: uint64(at)})
	c.Retained++
	c.RetainedUsed += m.row.MessageSize()
	t.counters.Retained += m.row.MessageSize()
	if c.AgeOut.IsZero() {
		t.scheduleAgeOut(fid, c, t.now)
	}
	return nil
}

// retains reports whether a deleted message is kept for a while.
func (v *view) retains(size uint64) bool {
	return v.config.SoftDeleted > 0 && (v.config.SoftDeletedQuota == 0 || v.counters.Retained+size <= v.config.SoftDeletedQuota)
}

// scheduleAgeOut has the work done when what was deleted at a time is due. There is one for each folder.
func (t *tx) scheduleAgeOut(fid mapi.FID, c *schema.FolderCounts, deleted time.Time) {
	c.AgeOut = deleted.Add(t.config.SoftDeleted)
	t.w.Schedule(space.Due{At: c.AgeOut, Op: DueAgeOut, Key: schema.AppendCounter(fid.Counter())})
}

// discarded is a soft-deleted message with who deleted it.
type discarded struct {
	message
	by mapi.GUID
}

// findDeleted reads a soft-deleted message by its MID.
func (v *view) findDeleted(mid mapi.MID) (mapi.FID, *discarded, error) {
	var at schema.Place
	found, err := load(v.r, schema.MIDKey(mid), &at)
	if err != nil || !found || at.Deleted == 0 || mid.Replica() != mapi.LocalReplica {
		return 0, nil, orElse(err, noMessage(mid))
	}
	fid := mapi.LocalFID(at.Folder)
	if _, err := v.folderCounts(fid); err != nil {
		if cluster.KindOf(err) == exmdb.KindNoFolder {
			err = noMessage(mid)
		}
		return 0, nil, err
	}
	d := &discarded{message: message{deleted: schema.DeletedAt(at.Deleted)}}
	var record schema.Deleted
	found, err = load(v.r, schema.DeletedKey(fid, d.deleted, mid), &record)
	if err == nil && !found {
		err = cluster.Errorf(cluster.KindDamaged, "deleted message %#x is not in its place", uint64(mid))
	}
	d.uid, d.row, d.by = record.UID, record.Row, record.By
	return fid, d, err
}

// release takes a message out of the soft-deleted set of its folder.
func (t *tx) release(fid mapi.FID, c *schema.FolderCounts, d *discarded) {
	t.w.Delete(schema.DeletedKey(fid, d.deleted, d.row.MID))
	t.w.Delete(schema.MIDKey(d.row.MID))
	c.Retained--
	c.RetainedUsed -= d.row.MessageSize()
	t.counters.Retained -= d.row.MessageSize()
}

// released notes that something has left the soft-deleted set of a folder. What it was is not told: who shows the set reads
// it again.
func (t *tx) released(c *schema.FolderCounts, n int) {
	if n > 0 {
		c.Released = t.stamp()
	}
}

// deletedBetween reads the messages of a folder's soft-deleted set from one time up to another, in order, until fn says
// stop.
func (v *view) deletedBetween(fid mapi.FID, lo, hi []byte, fn func(d *discarded) (more bool, err error)) (err error) {
	it := v.r.Iter(lo, hi)
	defer closing(it, &err)
	for it.Next() {
		d := &discarded{}
		var mid mapi.MID
		if d.deleted, mid, err = schema.ParseDeletedKey(it.Key()); err != nil {
			return err
		}
		var record schema.Deleted
		if err := schema.Decode(it.Value(), &record); err != nil {
			return err
		}
		d.uid, d.row, d.by = record.UID, record.Row, record.By
		if d.row.MID != mid {
			return cluster.Errorf(cluster.KindDamaged, "deleted message %#x of folder %#x has another's record", uint64(mid), uint64(fid))
		}
		if more, err := fn(d); err != nil || !more {
			return err
		}
	}
	return nil
}

// someDeleted is up to so many messages of a folder's soft-deleted set that were deleted up to a time, and the time of the
// next one, zero if there is none.
func (v *view) someDeleted(fid mapi.FID, limit int, until schema.DeletedAt) (found []*discarded, next schema.DeletedAt, err error) {
	lo, hi := schema.DeletedKey(fid, 0, 0), schema.DeletedKey(fid+1, 0, 0)
	err = v.deletedBetween(fid, lo, hi, func(d *discarded) (bool, error) {
		if len(found) == limit || d.deleted > until {
			next = d.deleted
			return false, nil
		}
		found = append(found, d)
		return true, nil
	})
	return found, next, err
}

// endDeleted destroys messages of a folder's soft-deleted set, which lie side by side, while the step lasts, and says how
// many. What lets go of each is release. Their records go as one range: age-out and purge read from the front, and would
// walk over every single deletion that came before.
func (t *tx) endDeleted(fid mapi.FID, list []*discarded, step *work, release func(*discarded)) (n int, err error) {
	for n < len(list) && !step.full() && err == nil {
		release(list[n])
		err = t.destroy(&list[n].row)
		n++
	}
	if n > 0 && err == nil {
		first, last := list[0], list[n-1]
		t.w.DeleteRange(schema.DeletedKey(fid, first.deleted, first.row.MID), append(schema.DeletedKey(fid, last.deleted, last.row.MID), 0))
	}
	return n, err
}

// ageOut is DueAgeOut: a step through what is over, and the next at its time.
func (t *tx) ageOut(fid mapi.FID) error {
	c, err := t.edit(fid)
	if cluster.KindOf(err) == exmdb.KindNoFolder && err != nil {
		return nil // the folder was deleted too, and has its own end
	}
	if err != nil {
		return err
	}
	until := schema.DeletedAtOf(t.now.Add(-t.config.SoftDeleted))
	found, next, err := t.someDeleted(fid, stepItems, until)
	if err != nil {
		return err
	}
	n, err := t.endDeleted(fid, found, t.measure(toDestroy), func(d *discarded) { t.release(fid, c, d) })
	if err != nil {
		return err
	}
	t.released(c, n)
	if n < len(found) {
		next = found[n].deleted
	}
	c.AgeOut = time.Time{}
	if next != 0 {
		t.scheduleAgeOut(fid, c, next.Time())
	}
	return nil
}

// deleteMessages is OpDeleteMessages.
func deleteMessages(t *tx, req *exmdb.DeleteMessagesRequest) (*exmdb.DeleteMessagesResponse, error) {
	s, err := t.newSet(req.Folder, req.Messages, toDelete)
	if err != nil {
		return nil, err
	}
	s.destroys()
	resp := &exmdb.DeleteMessagesResponse{}
	var gone schema.Tombstone
	err = s.each(req.Messages, func(m *message) error {
		bury(&gone, m)
		resp.Deleted++
		return t.discard(req.Folder, s.counts, m, req.Hard)
	})
	if err != nil {
		return nil, err
	}
	resp.Missing, resp.Next, resp.Denied = s.missing, s.next, s.passedOver
	resp.ModSeq, err = t.tombstone(req.Folder, s.counts, gone)
	return resp, err
}

// listDeleted is OpDeleted.
func listDeleted(v *view, req *exmdb.DeletedRequest) (*exmdb.DeletedResponse, error) {
	c, err := v.folderCounts(req.Folder)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.DeletedResponse{Count: c.Retained, Size: c.RetainedUsed}
	lo := schema.DeletedKey(req.Folder, 0, 0)
	if !req.After.IsZero() {
		lo = append(schema.DeletedKey(req.Folder, schema.DeletedAtOf(req.After), req.AfterMessage), 0)
	}
	limit, size := answerRows, 0
	if req.Limit != 0 {
		limit = min(limit, int(req.Limit))
	}
	err = v.deletedBetween(req.Folder, lo, schema.DeletedKey(req.Folder+1, 0, 0), func(d *discarded) (bool, error) {
		if !v.shows(req.Folder, &d.row) {
			return true, nil
		}
		if len(resp.Messages) >= limit || size >= answerBytes {
			resp.More = true
			return false, nil
		}
		out, err := v.describeDeleted(req.Folder, d, req.Tags)
		resp.Messages = append(resp.Messages, out)
		size += rowBytes*2 + len(out.Props.AppendWire(nil))
		return true, err
	})
	return resp, err
}

func (v *view) describeDeleted(fid mapi.FID, d *discarded, tags []mapi.Tag) (exmdb.DeletedMessage, error) {
	out := exmdb.DeletedMessage{At: d.deleted.Time(), By: d.by}
	var err error
	if out.State, err = v.state(fid, &d.message); err != nil || len(tags) == 0 {
		return out, err
	}
	props, err := v.show(fid, &d.message).some(tags)
	if err == nil {
		out.Props = *props
	}
	return out, err
}

// recoverMessages is OpRecoverMessages. A message that comes back is a new one in its folder: clients were told that the
// old one is gone.
func recoverMessages(t *tx, req *exmdb.CarryMessagesRequest) (*exmdb.CarryMessagesResponse, error) {
	s, err := t.newDeletedSet(req.Folder, req.Messages, toRead, toDelete)
	if err != nil {
		return nil, err
	}
	s.into = req.Target
	target, err := t.edit(req.Target)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.CarryMessagesResponse{}
	err = s.each(req.Messages, func(m *message) error {
		_, d, err := t.findDeleted(m.row.MID)
		if err != nil {
			return err
		}
		if err := t.room(m.row.MessageSize()); err != nil {
			return err
		}
		resp.From = append(resp.From, m.row.MID)
		t.release(req.Folder, s.counts, d)
		if err := t.takeSeen(req.Folder, &m.row); err != nil {
			return err
		}
		m.row.Bits &^= schema.RowBits(exmdb.FlagDeleted)
		t.enter(&m.row)
		_, err = t.place(req.Target, target, &m.row)
		resp.To = append(resp.To, m.row.MID)
		return err
	})
	t.released(s.counts, len(resp.To))
	resp.Missing, resp.Next, resp.Denied = s.missing, s.next, s.passedOver
	return resp, err
}

// newDeletedSet is newSet for messages of a folder's soft-deleted set.
func (t *tx) newDeletedSet(fid mapi.FID, mids []mapi.MID, grants ...grant) (*messageSet, error) {
	s, err := t.newSet(fid, mids, grants...)
	if err != nil {
		return nil, err
	}
	s.look = func(mid mapi.MID) (mapi.FID, *message, error) {
		at, d, err := t.findDeleted(mid)
		if err != nil {
			return 0, nil, err
		}
		return at, &d.message, nil
	}
	return s, nil
}

// purgeDeleted is OpPurgeDeleted.
func purgeDeleted(t *tx, req *exmdb.PurgeDeletedRequest) (*exmdb.PurgeDeletedResponse, error) {
	if len(req.Messages) == 0 {
		return t.purgeAllDeleted(req.Folder)
	}
	s, err := t.newDeletedSet(req.Folder, req.Messages, toDelete)
	if err != nil {
		return nil, err
	}
	s.destroys()
	resp := &exmdb.PurgeDeletedResponse{}
	err = s.each(req.Messages, func(m *message) error {
		_, d, err := t.findDeleted(m.row.MID)
		if err != nil {
			return err
		}
		t.release(req.Folder, s.counts, d)
		resp.Purged++
		return t.destroy(&m.row)
	})
	t.released(s.counts, int(resp.Purged))
	resp.Missing, resp.Next, resp.Denied = s.missing, s.next, s.passedOver
	return resp, err
}

// purgeAllDeleted is a step through a folder's soft-deleted set, from the oldest on.
func (t *tx) purgeAllDeleted(fid mapi.FID) (*exmdb.PurgeDeletedResponse, error) {
	c, err := t.edit(fid)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.PurgeDeletedResponse{}
	step := t.measure(toDestroy)
	var found []*discarded
	lo, hi := schema.DeletedKey(fid, 0, 0), schema.DeletedKey(fid+1, 0, 0)
	err = t.deletedBetween(fid, lo, hi, func(d *discarded) (bool, error) {
		if resp.More = len(found) == stepItems; resp.More {
			return false, nil
		}
		if t.shows(fid, &d.row) {
			found = append(found, d)
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	for n := 1; len(found) > 0 && n > 0; found = found[n:] {
		together := found
		if t.passedOver { // there may be others' between them
			together = found[:1]
		}
		if n, err = t.endDeleted(fid, together, step, func(d *discarded) { t.release(fid, c, d) }); err != nil {
			return nil, err
		}
		resp.Purged += uint32(n)
	}
	t.released(c, int(resp.Purged))
	resp.More, resp.Denied = resp.More || len(found) > 0, t.passedOver
	return resp, nil
}
