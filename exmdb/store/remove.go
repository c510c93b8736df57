package store

import (
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// stepLimit is how many messages one effect removes, copies or moves; the rest is the next step's (CLUSTER 1.6).
const stepLimit = 1000

func expunge(t *tx, q *exmdb.ExpungeRequest) (*exmdb.ExpungeResponse, error) {
	counts, err := t.countsOf(q.Folder)
	if err != nil {
		return nil, err
	}
	gone, next, err := t.removeRows(q.Folder, q.UIDs, stepLimit, func(row *schema.Row) bool {
		return q.All || row.Bits.Flags()&exmdb.FlagDeleted != 0
	})
	return &exmdb.ExpungeResponse{Vanished: gone, Next: next, ModSeq: counts.ContentSeq}, err
}

// removeRows takes messages for good, at most limit of those that want chooses, and buries them.
func (t *tx) removeRows(f mapi.FID, ranges []exmdb.UIDRange, limit int, want func(*schema.Row) bool) (gone []exmdb.UIDRange, next mapi.UID, err error) {
	counts, err := t.countsOf(f)
	if err != nil {
		return nil, 0, err
	}
	type item struct {
		uid mapi.UID
		row schema.Row
	}
	var batch []item
	err = t.scan(f, ranges, 0, func(uid mapi.UID, b []byte) error {
		var row schema.Row
		if err := schema.Decode(b, &row); err != nil || !want(&row) {
			return err
		}
		if len(batch) == limit {
			next = uid
			return errStop
		}
		batch = append(batch, item{uid, row})
		return nil
	})
	if err != nil || len(batch) == 0 {
		return nil, 0, err
	}
	var tomb schema.Tombstone
	for i := range batch {
		uid, row := batch[i].uid, &batch[i].row
		t.unplace(f, uid, counts, row)
		if err := t.dropObject(row); err != nil {
			return nil, 0, err
		}
		gone = addUID(gone, uid)
		tomb.UIDs = tomb.UIDs.Add(uint64(uid))
		tomb.MIDs = tomb.MIDs.Add(uint64(row.MID.Counter()))
		tomb.Objects = tomb.Objects.Add(uint64(row.Object))
	}
	counts.ContentSeq = t.buryIn(f, counts, &tomb)
	return gone, next, nil
}

// Bounds of what is kept of the past (MAILBOX 2).
const (
	tombstoneAge   = 400 * day
	maxTombstones  = 1_000_000
	tombstonesMark = 10_000
	// mergeRuns is the size up to which the newest tombstone of a folder takes in the next.
	mergeRuns = 64
)

// buryIn writes a folder's tombstone, merged with its newest one while that is small, and returns its stamp.
func (t *tx) buryIn(f mapi.FID, c *schema.FolderCounts, tomb *schema.Tombstone) mapi.Stamp {
	n := tomb.UIDs.Len()
	if c.Tombstone > t.counters.Floor {
		var last schema.Tombstone
		ok, err := get(t.r, schema.TombstoneKey(f, c.Tombstone), &last)
		if err == nil && ok && len(last.UIDs)+len(tomb.UIDs) <= mergeRuns {
			t.w.Delete(schema.TombstoneKey(f, c.Tombstone))
			last.UIDs, last.MIDs, last.Objects = last.UIDs.Join(tomb.UIDs), last.MIDs.Join(tomb.MIDs), last.Objects.Join(tomb.Objects)
			tomb = &last
		}
	}
	c.Tombstone = t.bury(f, tomb, n)
	return c.Tombstone
}

// bury writes a tombstone of n objects under a new stamp and lets the oldest go when there are too many.
func (t *tx) bury(f mapi.FID, tomb *schema.Tombstone, n uint64) mapi.Stamp {
	s := t.stamp()
	t.w.Set(schema.TombstoneKey(f, s), wire.Marshal(tomb))
	t.counters.Tombstones += n
	t.mark(s, n)
	return s
}

// mark counts tombstones from stamp to stamp, a mark a day or every ten thousand.
func (t *tx) mark(s mapi.Stamp, n uint64) {
	var open schema.TombMark
	ok, err := get(t.r, schema.TombMarkKey(t.counters.TombMark), &open)
	if err == nil && ok && open.Count < tombstonesMark && t.w.Now().Sub(open.Time) < day {
		open.Count += n
		t.w.Set(schema.TombMarkKey(t.counters.TombMark), wire.Marshal(&open))
		return
	}
	t.counters.TombMark = s
	t.w.Set(schema.TombMarkKey(s), wire.Marshal(&schema.TombMark{Time: t.w.Now(), Count: n}))
	t.forgetTombstones(t.w.Now())
}

// forgetTombstones drops the oldest mark when it is too old, or there are too many tombstones; a call at each new mark
// is enough.
func (t *tx) forgetTombstones(now time.Time) {
	it := t.r.Iter([]byte{schema.PrefixTombMark}, []byte{schema.PrefixTombMark + 1})
	var first schema.TombMark
	var from, until mapi.Stamp
	var err error
	if it.Next() {
		from, err = schema.ParseStampKey(it.Key())
		if err == nil {
			err = schema.Decode(it.Value(), &first)
		}
	}
	if err == nil && it.Next() {
		until, err = schema.ParseStampKey(it.Key())
	}
	if joined(err, it.Close()) != nil || until == 0 || t.counters.Tombstones <= maxTombstones && now.Sub(first.Time) < tombstoneAge {
		return
	}
	folders := []mapi.FID{schema.Hierarchy}
	err = eachFolder(t.r, func(f mapi.FID, _ *schema.Folder) error {
		folders = append(folders, f)
		return nil
	})
	if err != nil {
		return // what cannot be read now is dropped at a later mark
	}
	for _, f := range folders {
		t.w.DeleteRange(schema.TombstoneKey(f, 0), schema.TombstoneKey(f, until))
	}
	t.w.Delete(schema.TombMarkKey(from))
	t.counters.Tombstones -= min(first.Count, t.counters.Tombstones)
	t.counters.Floor = max(t.counters.Floor, until-1)
}

// copyMessages gives every copy a MID, UID and object of its own; the bytes are shared.
func copyMessages(t *tx, q *exmdb.CopyRequest) (*exmdb.CopyResponse, error) {
	return t.transfer(q, func(_ mapi.UID, row *schema.Row) error {
		if err := t.admit(row.MessageSize()); err != nil {
			return err
		}
		body := row.BodyNumber()
		n, err := t.sharers(body)
		if err != nil {
			return err
		}
		t.setSharers(body, n+1)
		bag, err := t.r.Get(schema.BagKey(row.Object))
		if err != nil {
			return err
		}
		t.counters.Object++
		row.Object, row.Body = t.counters.Object, body
		if bag != nil {
			t.w.Set(schema.BagKey(row.Object), bag)
		}
		return nil
	})
}

// moveMessages keeps the object; MID and UID are new, as a move in MAPI makes them (MAILBOX 1).
func moveMessages(t *tx, q *exmdb.CopyRequest) (*exmdb.CopyResponse, error) {
	source, err := t.countsOf(q.Folder)
	if err != nil {
		return nil, err
	}
	var tomb schema.Tombstone
	resp, err := t.transfer(q, func(uid mapi.UID, row *schema.Row) error {
		t.unplace(q.Folder, uid, source, row)
		tomb.UIDs = tomb.UIDs.Add(uint64(uid))
		tomb.MIDs = tomb.MIDs.Add(uint64(row.MID.Counter()))
		return nil
	})
	if err == nil && len(tomb.UIDs) > 0 {
		source.ContentSeq = t.buryIn(q.Folder, source, &tomb)
	}
	return resp, err
}

// transfer puts rows into another folder after prepare has seen to what they leave behind.
func (t *tx) transfer(q *exmdb.CopyRequest, prepare func(mapi.UID, *schema.Row) error) (*exmdb.CopyResponse, error) {
	if _, _, err := t.folder(q.Folder); err != nil {
		return nil, err
	}
	target, err := t.countsOf(q.Target)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.CopyResponse{UIDValidity: target.UIDValidity}
	end := target.UIDNext // a copy into the same folder must not meet itself
	resp.Next, err = t.eachRow(q.Folder, q.UIDs, stepLimit, func(uid mapi.UID, row *schema.Row) error {
		if q.Folder == q.Target && uid >= end {
			return nil
		}
		if err := prepare(uid, row); err != nil {
			return err
		}
		resp.Source = addUID(resp.Source, uid)
		resp.Target = addUID(resp.Target, t.place(q.Target, target, row))
		return nil
	})
	return resp, err
}
