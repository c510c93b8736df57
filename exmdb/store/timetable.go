package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// timeTable is all messages of a folder in order of delivery, in either direction, as they are indexed: it implements
// query.Table. Rows are counted from the oldest; the table shows them from there or to there.
type timeTable struct {
	*messageSource
	descending bool
	blocks     []timeBlock // in order, without empty ones; nil until they are needed
}

// readBlocks reads the blocks of the folder. There are as many as the square root of its length, so whoever can does without:
// how many messages there are the folder's counts say.
func (t *timeTable) readBlocks() (err error) {
	if t.blocks != nil {
		return nil
	}
	it := t.r.Iter(schema.TimeBlockKey(t.fid, schema.TimePlace{}), schema.TimeBlockKey(t.fid+1, schema.TimePlace{}))
	defer closing(it, &err)
	for it.Next() {
		b, err := readBlock(it, nil)
		if err != nil {
			return err
		}
		if b.count > 0 {
			t.blocks = append(t.blocks, b)
		}
	}
	return nil
}

// Len implements query.Table.
func (t *timeTable) Len() int { return t.messageSource.Len() }

// show turns the number of a row from the oldest into its number as it is shown, and back.
func (t *timeTable) show(row int) int {
	if t.descending {
		return t.Len() - 1 - row
	}
	return row
}

// rank is how many messages are older than a place; there says whether one is at it.
func (t *timeTable) rank(at schema.TimePlace) (rank int, there bool, err error) {
	if err := t.readBlocks(); err != nil {
		return 0, false, err
	}
	block := schema.TimePlace{}
	for _, b := range t.blocks {
		if b.lo.Compare(at) > 0 {
			break
		}
		rank, block = rank+b.count, b.lo
	}
	// The block that the place is in was counted whole: count what is in it from the place on.
	it := t.r.Iter(schema.TimeKey(t.fid, at), t.blockEnd(block))
	defer closing(it, &err)
	for ok := it.Next(); ok; ok = it.Next() {
		p, err := schema.ParseTimeKey(it.Key())
		if err != nil {
			return 0, false, err
		}
		rank, there = rank-1, there || p == at
	}
	return rank, there, nil
}

// blockEnd is the bound above the block that begins at a place.
func (t *timeTable) blockEnd(lo schema.TimePlace) []byte {
	for i := range t.blocks {
		if t.blocks[i].lo.Compare(lo) > 0 {
			return timeEnd(t.fid, &t.blocks[i].lo)
		}
	}
	return timeEnd(t.fid, nil)
}

// seek moves an iterator over the folder's order to a row counted from the oldest. It goes there from an end of the order that
// is near, so whoever opens a folder pays for no blocks.
func (t *timeTable) seek(it space.Iterator, row int) (bool, error) {
	switch behind := t.Len() - 1 - row; {
	case behind < leastBlock:
		return steps(it.Last(), it.Prev, behind), nil
	case row < leastBlock:
		return steps(it.Next(), it.Next, row), nil
	}
	if err := t.readBlocks(); err != nil {
		return false, err
	}
	for i := range t.blocks {
		b := &t.blocks[i]
		if row < b.count {
			return steps(it.SeekGE(schema.TimeKey(t.fid, b.lo)), it.Next, row), nil
		}
		row -= b.count
	}
	return false, nil
}

// steps moves an iterator that stands on a key so many times.
func steps(ok bool, move func() bool, times int) bool {
	for ; ok && times > 0; times-- {
		ok = move()
	}
	return ok
}

// Locate implements query.Table.
func (t *timeTable) Locate(p *query.Place) (int, bool, error) {
	if p.End {
		return t.Len(), true, nil
	}
	if len(p.Key) == 0 && p.ID == 0 {
		return 0, true, nil
	}
	at, err := schema.ParseTimePlace(p.Key)
	if err != nil || p.Level != 0 {
		return 0, false, cluster.Errorf(cluster.KindBadRequest, "a place of another table")
	}
	rank, there, err := t.rank(at)
	index := t.Len() - rank
	if !t.descending {
		index = rank
	} else if there {
		index--
	}
	if there && p.Behind {
		index++
	}
	return index, there, err
}

// Instances implements query.Table.
func (t *timeTable) Instances(r query.Row) ([]int, error) {
	m := r.(*tableRow).shown.(*shownMessage).m
	rank, there, err := t.rank(timePlace(m))
	if err == nil && !there {
		err = cluster.Errorf(cluster.KindDamaged, "message %#x is not in its folder's order of delivery", uint64(m.row.MID))
	}
	return []int{t.show(rank)}, err
}

// Heading implements query.Table; there are none.
func (t *timeTable) Heading(uint64) (int, bool) { return 0, false }

// Bound implements query.Table.
func (t *timeTable) Bound(tag mapi.Tag, v mapi.Value) (int, bool, error) {
	at, is := v.(mapi.FileTime)
	if !is || tag != mapi.PidTagMessageDeliveryTime {
		return 0, false, nil
	}
	if !t.descending {
		rank, _, err := t.rank(schema.TimePlace{Received: at})
		return rank, true, err
	}
	if at+1 == 0 {
		return 0, true, nil
	}
	rank, _, err := t.rank(schema.TimePlace{Received: at + 1})
	return t.Len() - rank, true, err
}

// Walk implements query.Table.
func (t *timeTable) Walk(index int, backward bool, fn func(int, *query.Item) (bool, error)) (err error) {
	step := 1
	if backward {
		index, step = index-1, -1
	}
	if index < 0 || index >= t.Len() {
		return nil
	}
	it := t.r.Iter(schema.TimeKey(t.fid, schema.TimePlace{}), timeEnd(t.fid, nil))
	defer closing(it, &err)
	move := it.Next
	if backward != t.descending {
		move = it.Prev
	}
	ok, err := t.seek(it, t.show(index))
	for ; ok && err == nil; ok = move() {
		item, err := t.item(it.Key(), index)
		if err != nil {
			return err
		}
		if more, err := fn(index, item); err != nil || !more {
			return err
		}
		index += step
	}
	return err
}

// item is the row that a key of the order leads to.
func (t *timeTable) item(key []byte, index int) (*query.Item, error) {
	at, err := schema.ParseTimeKey(key)
	if err != nil {
		return nil, err
	}
	m := &message{uid: at.UID}
	found, err := load(t.r, schema.RowKey(t.fid, uint64(at.UID)), &m.row)
	if err == nil && !found {
		err = cluster.Errorf(cluster.KindDamaged, "row %d of folder %#x is in its order and not there", at.UID, uint64(t.fid))
	}
	row := t.messageRow(t.fid, m)
	return &query.Item{ID: exmdb.TableRowID{ID: row.id}, Row: row,
		Place: query.Place{ID: row.id, Key: at.AppendBytes(nil), Index: uint32(index)}}, err
}
