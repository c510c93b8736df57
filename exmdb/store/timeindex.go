package store

import (
	"math"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// The messages of a folder are indexed in order of delivery, in blocks whose sizes are kept, because that is the order
// in which clients open folders: a page anywhere in it costs about twice the square root of the folder's length in keys
// (docs/design/tables.md). Every row under schema.RowKey has its key there; associated messages have none.

// timeStep is a message that came into a folder's order of delivery (1) or left it (-1).
type timeStep struct {
	at    schema.TimePlace
	times int
}

// timePlace is where a message is in its folder's order of delivery.
func timePlace(m *message) schema.TimePlace {
	return schema.TimePlace{Received: m.row.Received, UID: m.uid}
}

// putInTime puts a message into its folder's order; takeFromTime takes it out of it. The blocks are counted by end.
func (t *tx) putInTime(fid mapi.FID, m *message) {
	if !m.associated() {
		t.w.Set(schema.TimeKey(fid, timePlace(m)), []byte{})
		t.stepInTime(fid, timeStep{timePlace(m), 1})
	}
}

func (t *tx) takeFromTime(fid mapi.FID, m *message) {
	if !m.associated() {
		t.w.Delete(schema.TimeKey(fid, timePlace(m)))
		t.stepInTime(fid, timeStep{timePlace(m), -1})
	}
}

// moveInTime is for a message whose UID or time of delivery may have changed.
func (t *tx) moveInTime(fid mapi.FID, before, after *message) {
	if timePlace(before) != timePlace(after) {
		t.takeFromTime(fid, before)
		t.putInTime(fid, after)
	}
}

func (t *tx) stepInTime(fid mapi.FID, s timeStep) {
	if t.times == nil {
		t.times = make(map[mapi.FID][]timeStep)
	}
	t.times[fid] = append(t.times[fid], s)
}

// dropTimes forgets the order of a folder that is gone.
func (t *tx) dropTimes(fid mapi.FID) {
	delete(t.times, fid)
	t.w.DeleteRange(schema.TimeKey(fid, schema.TimePlace{}), schema.TimeKey(fid+1, schema.TimePlace{}))
	t.w.DeleteRange(schema.TimeBlockKey(fid, schema.TimePlace{}), schema.TimeBlockKey(fid+1, schema.TimePlace{}))
}

// countTimes brings the blocks up to what came and left.
func (t *tx) countTimes() error {
	for fid, steps := range t.times {
		c := &schema.FolderCounts{} // of a folder that was deleted in the same op
		if open := t.counts[fid]; open != nil {
			c = &open.FolderCounts
		}
		slices.SortFunc(steps, func(a, b timeStep) int { return a.at.Compare(b.at) })
		if err := t.countBlocks(fid, c, steps, blockLimit(c.Messages)); err != nil {
			return err
		}
	}
	clear(t.times)
	return nil
}

// leastBlock is the least that a block may hold before it is cut in two.
const leastBlock = 256

// blockLimit is how many messages a block holds at most, so that there are about as many blocks as it holds.
func blockLimit(messages uint32) int {
	return max(leastBlock, 2*int(math.Sqrt(float64(messages))))
}

// timeBlock is a block of a folder's order: the messages from lo up to hi, which is nil in the last.
type timeBlock struct {
	lo    schema.TimePlace
	hi    *schema.TimePlace
	count int
	there bool // its record is
}

// countBlocks adds steps, which are in order, to the blocks that they fall into.
func (t *tx) countBlocks(fid mapi.FID, c *schema.FolderCounts, steps []timeStep, limit int) error {
	for len(steps) > 0 {
		b, err := t.blockOf(fid, c, steps[0].at)
		if err != nil {
			return err
		}
		for len(steps) > 0 && (b.hi == nil || steps[0].at.Compare(*b.hi) < 0) {
			b.count += steps[0].times
			steps = steps[1:]
		}
		blocks := []timeBlock{b}
		if b.count < 0 || b.count > limit {
			if blocks, err = b.cut(t.w, fid, limit); err != nil {
				return err
			}
		}
		for i := range blocks {
			t.setBlock(fid, &blocks[i])
		}
		if last := &blocks[len(blocks)-1]; last.hi == nil {
			c.NewestBlock = nil
			if last.stays() {
				c.NewestBlock = last.lo.AppendBytes(nil)
			}
		}
	}
	return nil
}

// blockOf is the block that a place is in. Mail comes into the newest, which the folder knows: to find it by the keys'
// order would be a third of what a delivery costs before log and disk.
func (t *tx) blockOf(fid mapi.FID, c *schema.FolderCounts, at schema.TimePlace) (timeBlock, error) {
	if len(c.NewestBlock) == 0 {
		return blockAt(t.w, fid, at)
	}
	lo, err := schema.ParseTimePlace(c.NewestBlock)
	if err != nil || lo.Compare(at) > 0 {
		return blockAt(t.w, fid, at)
	}
	b, err := t.w.Get(schema.TimeBlockKey(fid, lo))
	if err != nil || b == nil {
		return timeBlock{}, orElse(err, cluster.Errorf(cluster.KindDamaged, "folder %#x has no newest block", uint64(fid)))
	}
	n, err := schema.ParseTimeCount(b)
	return timeBlock{lo: lo, count: int(n), there: true}, err
}

// stays reports whether the block has a record: one that holds something, and the oldest.
func (b *timeBlock) stays() bool { return b.count > 0 || b.lo == (schema.TimePlace{}) }

// setBlock writes a block's size. One that is empty goes, and the one before reaches up to where it ended.
func (t *tx) setBlock(fid mapi.FID, b *timeBlock) {
	key := schema.TimeBlockKey(fid, b.lo)
	if b.stays() {
		t.w.Set(key, schema.AppendTimeCount(uint32(b.count)))
	} else if b.there {
		t.w.Delete(key)
	}
}

// cut makes several of a block that has grown too large, counting what is in it. The newest is cut at its end, since that
// is where mail comes in: those behind it stay full.
func (b timeBlock) cut(r space.Reader, fid mapi.FID, limit int) (blocks []timeBlock, err error) {
	size := limit
	if b.hi != nil {
		pieces := (b.count + limit - 1) / limit
		size = (b.count + pieces) / (pieces + 1)
	}
	it := r.Iter(schema.TimeKey(fid, b.lo), timeEnd(fid, b.hi))
	defer closing(it, &err)
	b.count = 0
	for ; it.Next(); b.count++ {
		if b.count < max(size, 1) {
			continue
		}
		place, err := schema.ParseTimeKey(it.Key())
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, b)
		b = timeBlock{lo: place, hi: b.hi}
	}
	return append(blocks, b), nil
}

// timeEnd is the bound above a block's keys.
func timeEnd(fid mapi.FID, hi *schema.TimePlace) []byte {
	if hi == nil {
		return schema.TimeKey(fid+1, schema.TimePlace{})
	}
	return schema.TimeKey(fid, *hi)
}

func closing(it space.Iterator, err *error) {
	if cerr := it.Close(); *err == nil {
		*err = cerr
	}
}

// blockAt is the block that a place is in; where there is none, an empty one over everything. Most places are in the
// newest block, so that one is looked at first.
func blockAt(r space.Reader, fid mapi.FID, at schema.TimePlace) (b timeBlock, err error) {
	it := r.Iter(schema.TimeBlockKey(fid, schema.TimePlace{}), schema.TimeBlockKey(fid+1, schema.TimePlace{}))
	defer closing(it, &err)
	if !it.Last() {
		return b, nil
	}
	if b, err = readBlock(it, nil); err != nil || b.lo.Compare(at) <= 0 {
		return b, err
	}
	it.SeekGE(append(schema.TimeBlockKey(fid, at), 0))
	hi, err := schema.ParseTimeKey(it.Key())
	if err != nil || !it.Prev() {
		return timeBlock{hi: &hi}, err
	}
	return readBlock(it, &hi)
}

// readBlock is the block that an iterator stands on.
func readBlock(it space.Iterator, hi *schema.TimePlace) (timeBlock, error) {
	lo, err := schema.ParseTimeKey(it.Key())
	if err != nil {
		return timeBlock{}, err
	}
	n, err := schema.ParseTimeCount(it.Value())
	return timeBlock{lo: lo, hi: hi, count: int(n), there: true}, err
}
