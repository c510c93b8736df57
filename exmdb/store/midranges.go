package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Each folder draws its messages' MIDs from ranges of its own (MS-OXCFXICS 3.1.5.5), so that what an offline client has of a
// folder is a few ranges instead of one for each message. MIDs of different folders do not say any more which came
// first, and neither does a MID compared with a stamp: that is Row.CameAt. In one folder a higher MID came later, but for
// MIDs that clients were granted. Before rangesLevel each MID came out of the mailbox's counter just before the message's
// first stamp, and stays what it is.

const (
	// rangesLevel is the level from which on folders have ranges (CLUSTER 7.2).
	rangesLevel = 2
	// maxRange is how many numbers a range has at most. It has as many as there are messages in the folder, so a folder
	// that grows has twice the messages with each.
	maxRange = 1 << 20
)

// drawMID draws the MID of a message that comes into a folder, of which c are the open counts.
func (t *tx) drawMID(fid mapi.FID, c *schema.FolderCounts) mapi.MID {
	if t.w.Level() < rangesLevel || t.counters.Global > mapi.MaxGlobalCounter-2*maxRange {
		c.MIDEnd = c.MIDLast // what is left of the range lies below this one
		return mapi.NewMID(mapi.LocalReplica, t.draw())
	}
	next := c.MIDLast + 1
	if c.MIDLast == c.MIDEnd || t.ofThePast(c) {
		next = t.drawRange(c)
	}
	if next%schema.MIDBlockLength == 0 {
		t.set(schema.MIDBlockKey(next), &schema.MIDBlock{Folder: fid.Counter(), Since: mapi.Stamp(t.counters.Global), Previous: blockOf(c.MIDLast)})
	}
	c.MIDLast = next
	return mapi.NewMID(mapi.LocalReplica, next)
}

// drawRange gives a folder the next numbers of the counter, and says with which they begin.
func (t *tx) drawRange(c *schema.FolderCounts) mapi.GlobalCounter {
	n := mapi.GlobalCounter(schema.MIDBlockLength)
	for n < mapi.GlobalCounter(c.Messages) && n < maxRange {
		n *= 2
	}
	first := blockOf(t.counters.Global) + schema.MIDBlockLength
	c.MIDEnd = first + n - 1
	t.counters.Global = c.MIDEnd
	return first
}

// blockOf is where the block of a number begins; zero is in none.
func blockOf(n mapi.GlobalCounter) mapi.GlobalCounter { return n - n%schema.MIDBlockLength }

// ofThePast reports whether a folder's range was drawn before the epoch. Then more of it may have been given out than is
// known here (MAILBOX 2).
func (v *view) ofThePast(c *schema.FolderCounts) bool {
	return mapi.Stamp(c.MIDLast) <= v.header.EpochStart
}

// drawn reports whether a number was given out, other than to a fixed folder: by the counter, and out of a folder's range.
func (v *view) drawn(n mapi.GlobalCounter) (_ bool, err error) {
	if n < schema.FirstCustom || n > v.counters.Global {
		return false, nil
	}
	it := v.r.Iter(schema.MIDBlockKey(0), schema.MIDBlockKey(n+1))
	defer closing(it, &err)
	if !it.Last() {
		return true, nil
	}
	var b schema.MIDBlock
	if err := schema.Decode(it.Value(), &b); err != nil {
		return false, err
	}
	c, err := v.countsAnywhere(mapi.LocalFID(b.Folder))
	if err != nil || c == nil {
		return true, err
	}
	return n <= c.MIDLast || n > c.MIDEnd || v.ofThePast(c), nil
}

// countsAnywhere are the counts of a folder that is there or soft-deleted, nil if it is neither.
func (v *view) countsAnywhere(fid mapi.FID) (*schema.FolderCounts, error) {
	c, err := v.folderCounts(fid)
	if cluster.KindOf(err) != exmdb.KindNoFolder || err == nil {
		return c, err
	}
	d, err := v.deletedFolder(fid)
	if cluster.KindOf(err) == exmdb.KindNoFolder && err != nil {
		return nil, nil
	}
	return &d.Counts, err
}

// dropRanges forgets the blocks of a folder that is gone. Nobody gets what was left of them.
func (t *tx) dropRanges(c *schema.FolderCounts) error {
	for first := blockOf(c.MIDLast); first != 0; {
		var b schema.MIDBlock
		if found, err := load(t.r, schema.MIDBlockKey(first), &b); err != nil || !found {
			return err
		}
		t.w.Delete(schema.MIDBlockKey(first))
		first = b.Previous
	}
	return nil
}
