package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// The messages of a folder are indexed in order of delivery, in blocks whose sizes are kept, and the blocks in spans, because
// that is the order in which clients open folders: a page anywhere in it costs the keys of a block, the blocks of a span and
// one record for each span (docs/design/tables.md). Every row under schema.RowKey has its key there; associated messages have
// none.

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
	t.w.DeleteRange(schema.TimeSpanKey(fid, schema.TimePlace{}), schema.TimeSpanKey(fid+1, schema.TimePlace{}))
}

// countTimes brings the blocks up to what came and left.
func (t *tx) countTimes() error {
	for fid, steps := range t.times {
		c := &schema.FolderCounts{} // of a folder that was deleted in the same op
		if open := t.counts[fid]; open != nil {
			c = &open.FolderCounts
		}
		slices.SortFunc(steps, func(a, b timeStep) int { return a.at.Compare(b.at) })
		if err := t.countBlocks(fid, c, steps, timeLimits{blockMessages, spanBlocks}); err != nil {
			return err
		}
	}
	clear(t.times)
	return nil
}

const (
	// blockMessages is how many messages a block holds at most, spanBlocks how many blocks a span, before it is cut.
	blockMessages = 256
	spanBlocks    = 64
)

// timeLimits are those two; tests have smaller ones.
type timeLimits struct{ block, span int }

// timeBlock is a block of a folder's order, or a span of blocks: the messages from lo up to hi, which is nil in the last.
type timeBlock struct {
	lo    schema.TimePlace
	hi    *schema.TimePlace
	count int
	there bool // its record is
}

// countBlocks adds steps, which are in order, to the blocks that they fall into.
func (t *tx) countBlocks(fid mapi.FID, c *schema.FolderCounts, steps []timeStep, limits timeLimits) error {
	for len(steps) > 0 {
		b, err := t.blockOf(fid, c, steps[0].at)
		if err != nil {
			return err
		}
		before := b.count
		for len(steps) > 0 && (b.hi == nil || steps[0].at.Compare(*b.hi) < 0) {
			b.count += steps[0].times
			steps = steps[1:]
		}
		if err := t.countSpan(fid, &b, b.count-before); err != nil {
			return err
		}
		if err := t.setBlocks(fid, c, b, limits); err != nil {
			return err
		}
	}
	return nil
}

// setBlocks writes a block that has another size now, cut in several where it has grown too large.
func (t *tx) setBlocks(fid mapi.FID, c *schema.FolderCounts, b timeBlock, limits timeLimits) (err error) {
	blocks := []timeBlock{b}
	if b.count < 0 || b.count > limits.block {
		if blocks, err = b.cut(t.w, fid, limits.block); err != nil {
			return err
		}
	}
	for i := range blocks {
		stays, err := t.setBlock(fid, &blocks[i])
		if err != nil {
			return err
		}
		if blocks[i].hi != nil {
			continue
		}
		c.NewestBlock = nil
		if stays && i == len(blocks)-1 {
			c.NewestBlock = blocks[i].lo.AppendBytes(nil)
		}
	}
	if len(blocks) == 1 {
		return nil
	}
	return t.cutSpan(fid, b.lo, limits.span)
}

// blockOf is the block that a place is in. Mail comes into the newest, which the folder knows: to find it by the keys'
// order would be a third of what a delivery costs before log and disk.
func (t *tx) blockOf(fid mapi.FID, c *schema.FolderCounts, at schema.TimePlace) (timeBlock, error) {
	if len(c.NewestBlock) == 0 {
		return recordAt(t.w, schema.TimeBlockKey, fid, at)
	}
	lo, err := schema.ParseTimePlace(c.NewestBlock)
	if err != nil || lo.Compare(at) > 0 {
		return recordAt(t.w, schema.TimeBlockKey, fid, at)
	}
	b, err := t.w.Get(schema.TimeBlockKey(fid, lo))
	if err != nil || b == nil {
		return timeBlock{}, orElse(err, cluster.Errorf(cluster.KindDamaged, "folder %#x has no newest block", uint64(fid)))
	}
	n, err := schema.ParseTimeCount(b)
	return timeBlock{lo: lo, count: int(n), there: true}, err
}

// setBlock writes a block's size, and reports whether it has a record: one that holds something, the oldest, and the first of
// a span. Another that is empty goes, and the one before reaches up to where it ended.
func (t *tx) setBlock(fid mapi.FID, b *timeBlock) (stays bool, err error) {
	if stays = b.count > 0 || b.lo == (schema.TimePlace{}); !stays {
		begins, err := t.w.Get(schema.TimeSpanKey(fid, b.lo))
		if err != nil {
			return false, err
		}
		stays = begins != nil
	}
	key := schema.TimeBlockKey(fid, b.lo)
	if stays {
		t.w.Set(key, schema.AppendTimeCount(uint32(b.count)))
	} else if b.there {
		t.w.Delete(key)
	}
	return stays, nil
}

// countSpan adds to the span of a block what was added to the block. The last is not counted, because what the others have not
// it has: so mail that comes in costs nothing here. An empty one goes with its first block, and the one before reaches up to
// where it ended.
func (t *tx) countSpan(fid mapi.FID, b *timeBlock, times int) error {
	if b.hi == nil || times == 0 {
		return nil
	}
	s, err := recordAt(t.w, schema.TimeSpanKey, fid, b.lo)
	if err != nil || s.hi == nil {
		return err
	}
	s.count += times
	switch key := schema.TimeSpanKey(fid, s.lo); {
	case s.count < 0:
		return cluster.Errorf(cluster.KindDamaged, "folder %#x has a span of %d messages", uint64(fid), s.count)
	case s.count > 0 || s.lo == (schema.TimePlace{}):
		t.w.Set(key, schema.AppendTimeCount(uint32(s.count)))
	default:
		t.w.Delete(key)
		if s.lo != b.lo {
			t.w.Delete(schema.TimeBlockKey(fid, s.lo))
		}
	}
	return nil
}

// cutSpan makes several of the span that a place is in where it has too many blocks. The last is cut at its end, as the last
// block is.
func (t *tx) cutSpan(fid mapi.FID, at schema.TimePlace, limit int) error {
	s, err := recordAt(t.w, schema.TimeSpanKey, fid, at)
	if err != nil {
		return err
	}
	blocks, err := recordsIn(t.w, schema.TimeBlockKey, fid, &s)
	if err != nil || len(blocks) <= limit {
		return err
	}
	size := limit
	if s.hi != nil {
		pieces := (len(blocks) + limit - 1) / limit
		size = (len(blocks) + pieces - 1) / pieces
	}
	for piece := range slices.Chunk(blocks, size) {
		count := 0
		for i := range piece {
			count += piece[i].count
		}
		if piece[len(piece)-1].hi == nil {
			count = 0 // it is the last
		}
		t.w.Set(schema.TimeSpanKey(fid, piece[0].lo), schema.AppendTimeCount(uint32(count)))
	}
	return nil
}

// cut makes several of a block that has grown too large, counting what is in it. The newest is cut at its end, since that
// is where mail comes in: those behind it stay full.
func (b timeBlock) cut(r space.Reader, fid mapi.FID, limit int) (blocks []timeBlock, err error) {
	size := limit
	if b.hi != nil {
		pieces := (b.count + limit - 1) / limit
		size = (b.count + pieces) / (pieces + 1)
	}
	it := r.Iter(schema.TimeKey(fid, b.lo), timeEnd(schema.TimeKey, fid, b.hi))
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

// timeKeys is schema.TimeKey, TimeBlockKey or TimeSpanKey.
type timeKeys func(fid mapi.FID, at schema.TimePlace) []byte

// timeEnd is the bound above keys up to hi.
func timeEnd(key timeKeys, fid mapi.FID, hi *schema.TimePlace) []byte {
	if hi == nil {
		return key(fid+1, schema.TimePlace{})
	}
	return key(fid, *hi)
}

func closing(it space.Iterator, err *error) {
	if cerr := it.Close(); *err == nil {
		*err = cerr
	}
}

// recordAt is the block, or the span, that a place is in; where there is none, an empty one over everything. Most places are in
// the newest, so that one is looked at first.
func recordAt(r space.Reader, key timeKeys, fid mapi.FID, at schema.TimePlace) (b timeBlock, err error) {
	it := r.Iter(key(fid, schema.TimePlace{}), key(fid+1, schema.TimePlace{}))
	defer closing(it, &err)
	if !it.Last() {
		return b, nil
	}
	if b, err = readBlock(it, nil); err != nil || b.lo.Compare(at) <= 0 {
		return b, err
	}
	it.SeekGE(append(key(fid, at), 0))
	hi, err := schema.ParseTimeKey(it.Key())
	if err != nil || !it.Prev() {
		return timeBlock{hi: &hi}, err
	}
	return readBlock(it, &hi)
}

// recordsIn are the blocks, or the spans, of a part of the order.
func recordsIn(r space.Reader, key timeKeys, fid mapi.FID, part *timeBlock) (list []timeBlock, err error) {
	it := r.Iter(key(fid, part.lo), timeEnd(key, fid, part.hi))
	defer closing(it, &err)
	for it.Next() {
		b, err := readBlock(it, part.hi)
		if err != nil {
			return nil, err
		}
		if n := len(list); n > 0 {
			list[n-1].hi = &b.lo
		}
		list = append(list, b)
	}
	return list, nil
}

// readBlock is the block, or the span, that an iterator stands on.
func readBlock(it space.Iterator, hi *schema.TimePlace) (timeBlock, error) {
	lo, err := schema.ParseTimeKey(it.Key())
	if err != nil {
		return timeBlock{}, err
	}
	n, err := schema.ParseTimeCount(it.Value())
	return timeBlock{lo: lo, hi: hi, count: int(n), there: true}, err
}
