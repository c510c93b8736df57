package store

import (
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// tombstoneAge and tombstoneCount are how long tombstones are kept (MAILBOX 2).
	tombstoneAge   = 400 * 24 * time.Hour
	tombstoneCount = 1_000_000
	// markCount and markAge close a mark: tombstones are dropped a mark at a time.
	markCount = 64 << 10
	markAge   = 24 * time.Hour
	// mergeRuns is up to how many runs a tombstone takes in the one before, mergeParts up to how many steps.
	mergeRuns  = 8
	mergeParts = 64
)

// bury adds a message that leaves its folder. Only what has a MIME form was ever seen under its UID.
func bury(ts *schema.Tombstone, m *message) {
	if m.row.Bits&(schema.RowAssociated|schema.RowUnrendered) == 0 {
		ts.UIDs = ts.UIDs.Add(uint64(m.uid))
	}
	ts.MIDs = ts.MIDs.Add(uint64(m.row.MID.Counter()))
	ts.Came = ts.Came.Add(uint64(m.row.CameAt()))
	ts.Objects = ts.Objects.Add(uint64(m.row.Object))
}

// tombstone writes what has vanished from a folder under one stamp. Small ones take in the one before, so that a
// thousand single deletes are one run in the end.
func (t *tx) tombstone(fid mapi.FID, c *schema.FolderCounts, ts schema.Tombstone) (mapi.Stamp, error) {
	n := max(ts.UIDs.Len(), ts.MIDs.Len())
	if n == 0 {
		return 0, nil
	}
	s := t.stamp()
	if len(ts.Parts) > 0 {
		ts.Parts[0].Stamp, ts.Parts[0].Count = s, ts.MIDs.Len()
	}
	c.DeletedTotal += ts.MIDs.Len()
	if c.Tombstone != 0 {
		var before schema.Tombstone
		key := schema.TombstoneKey(fid, c.Tombstone)
		found, err := load(t.r, key, &before)
		if err != nil {
			return 0, err
		}
		if found && len(before.UIDs)+len(before.MIDs)+len(before.Objects)+len(before.Came) <= mergeRuns && len(before.Parts) < mergeParts {
			before.Parts = before.PartsAt(c.Tombstone)
			ts = merge(before, ts, s)
			t.w.Delete(key)
		}
	}
	if slices.Equal(ts.Came, ts.MIDs.Above(1)) {
		ts.Came = nil
	}
	c.Tombstone = s
	t.advance(c, s)
	t.set(schema.TombstoneKey(fid, s), &ts)
	return s, t.mark(s, n)
}

// merge is both tombstones, the second of which is of a stamp.
func merge(before, ts schema.Tombstone, s mapi.Stamp) schema.Tombstone {
	if ts.MIDs.Len() > 0 {
		before.Parts = append(before.Parts, ts.PartsAt(s)...)
	}
	before.Came, ts.Came = before.CameAt(), ts.CameAt()
	for _, each := range []struct{ into, from *schema.Runs }{
		{&before.UIDs, &ts.UIDs}, {&before.MIDs, &ts.MIDs}, {&before.Objects, &ts.Objects}, {&before.Came, &ts.Came},
	} {
		if len(*each.from) > 1 {
			*each.into = each.into.Join(*each.from)
			continue
		}
		each.from.Each(func(n uint64) bool { *each.into = each.into.Add(n); return true })
	}
	return before
}

// buryFolders records folders that are gone, under one stamp.
func (t *tx) buryFolders(fids []mapi.FID) (mapi.Stamp, error) {
	var ts schema.Tombstone
	for _, fid := range fids {
		ts.Folders = ts.Folders.Add(uint64(fid.Counter()))
	}
	s := t.stamp()
	t.set(schema.TombstoneKey(schema.Hierarchy, s), &ts)
	if err := t.noteGone(fids, s); err != nil {
		return 0, err
	}
	return s, t.mark(s, uint64(len(fids)))
}

// mark counts n tombstones at s, and drops the oldest mark when it is due.
func (t *tx) mark(s mapi.Stamp, n uint64) error {
	var open schema.TombMark
	found := false
	if t.counters.TombMark != 0 {
		var err error
		if found, err = load(t.r, schema.TombMarkKey(t.counters.TombMark), &open); err != nil {
			return err
		}
	}
	t.counters.Tombstones += n
	if !found || open.Count >= markCount || t.now.Sub(open.Time) >= markAge {
		t.counters.TombMark = s
		open = schema.TombMark{Time: t.now}
	}
	open.Count += n
	t.set(schema.TombMarkKey(t.counters.TombMark), &open)
	return t.dropTombstones()
}

// dropTombstones forgets the oldest mark's tombstones when they are too old or too many: one mark at a time, which is
// enough, since a mark holds more than any op adds.
func (t *tx) dropTombstones() error {
	first, mark, next, newer, err := t.oldestMarks()
	if err != nil || next == 0 {
		return err
	}
	if t.now.Sub(newer.Time) <= tombstoneAge && t.counters.Tombstones <= tombstoneCount {
		return nil
	}
	t.counters.Tombstones -= min(mark.Count, t.counters.Tombstones)
	t.counters.Floor = max(t.counters.Floor, next-1)
	t.w.Delete(schema.TombMarkKey(first))
	t.w.DeleteRange(schema.TombstoneKey(schema.Hierarchy, 0), schema.TombstoneKey(schema.Hierarchy, next))
	t.dropOrigins(schema.Hierarchy, next)
	lo, hi := []byte{schema.PrefixFolderCounts}, []byte{schema.PrefixFolderCounts + 1}
	var fids []mapi.FID
	err = t.each(lo, hi, schema.ParseFolderKey, func(fid mapi.FID, _ []byte) error {
		fids = append(fids, fid)
		return nil
	})
	for _, fid := range fids {
		t.w.DeleteRange(schema.TombstoneKey(fid, 0), schema.TombstoneKey(fid, next))
		t.dropOrigins(fid, next)
	}
	return err
}

// oldestMarks reads the two oldest marks; next is zero when there are not two.
func (t *tx) oldestMarks() (first mapi.Stamp, mark schema.TombMark, next mapi.Stamp, newer schema.TombMark, err error) {
	it := t.r.Iter(schema.TombMarkKey(0), []byte{schema.PrefixTombMark + 1})
	for i := 0; i < 2 && err == nil && it.Next(); i++ {
		var s mapi.Stamp
		if s, err = schema.ParseStampKey(it.Key()); err != nil {
			break
		}
		if i == 0 {
			first, err = s, schema.Decode(it.Value(), &mark)
		} else {
			next, err = s, schema.Decode(it.Value(), &newer)
		}
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	return first, mark, next, newer, err
}

// vanished is every UID that left a folder after a stamp, or some more (Tombstone).
func (v *view) vanished(fid mapi.FID, since mapi.Stamp) ([]exmdb.UIDRange, error) {
	var gone []mapi.UID
	it := v.r.Iter(schema.TombstoneKey(fid, since+1), schema.TombstoneKey(fid+1, 0))
	var err error
	for it.Next() && err == nil {
		var ts schema.Tombstone
		err = schema.Decode(it.Value(), &ts)
		ts.UIDs.Each(func(n uint64) bool { gone = append(gone, mapi.UID(n)); return true })
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	slices.Sort(gone)
	var ranges []exmdb.UIDRange
	for _, uid := range slices.Compact(gone) {
		ranges = addUID(ranges, uid)
	}
	return ranges, err
}
