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
	blocks     []timeBlock // in order, without empty ones
	length     int
}

// newTimeTable reads the blocks of a folder.
func newTimeTable(s *messageSource, descending bool) (t *timeTable, err error) {
	t = &timeTable{messageSource: s, descending: descending}
	it := s.r.Iter(schema.TimeBlockKey(s.fid, schema.TimePlace{}), schema.TimeBlockKey(s.fid+1, schema.TimePlace{}))
	defer closing(it, &err)
	for it.Next() {
		b, err := readBlock(it, nil)
		if err != nil {
			return nil, err
		}
		if b.count > 0 {
			t.blocks = append(t.blocks, b)
			t.length += b.count
		}
	}
	return t, nil
}

// Len implements query.Table.
func (t *timeTable) Len() int { return t.length }

// show turns the number of a row from the oldest into its number as it is shown, and back.
func (t *timeTable) show(row int) int {
	if t.descending {
		return t.length - 1 - row
	}
	return row
}

// rank is how many messages are older than a place; there says whether one is at it.
func (t *timeTable) rank(at schema.TimePlace) (rank int, there bool, err error) {
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

// seek moves an iterator over the folder's order to a row counted from the oldest.
func (t *timeTable) seek(it space.Iterator, row int) bool {
	for i := range t.blocks {
		b := &t.blocks[i]
		if row >= b.count {
			row -= b.count
			continue
		}
		ok := it.SeekGE(schema.TimeKey(t.fid, b.lo))
		for ; ok && row > 0; row-- {
			ok = it.Next()
		}
		return ok
	}
	return false
}

// Locate implements query.Table.
func (t *timeTable) Locate(p *query.Place) (int, bool, error) {
	if p.End {
		return t.length, true, nil
	}
	if len(p.Key) == 0 && p.ID == 0 {
		return 0, true, nil
	}
	at, err := schema.ParseTimePlace(p.Key)
	if err != nil || p.Level != 0 {
		return 0, false, cluster.Errorf(cluster.KindBadRequest, "a place of another table")
	}
	rank, there, err := t.rank(at)
	index := t.length - rank
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
	return t.length - rank, true, err
}

// Walk implements query.Table.
func (t *timeTable) Walk(index int, backward bool, fn func(int, *query.Item) (bool, error)) (err error) {
	step := 1
	if backward {
		index, step = index-1, -1
	}
	if index < 0 || index >= t.length {
		return nil
	}
	it := t.r.Iter(schema.TimeKey(t.fid, schema.TimePlace{}), timeEnd(t.fid, nil))
	defer closing(it, &err)
	move := it.Next
	if backward != t.descending {
		move = it.Prev
	}
	for ok := t.seek(it, t.show(index)); ok; ok = move() {
		item, err := t.item(it.Key(), index)
		if err != nil {
			return err
		}
		if more, err := fn(index, item); err != nil || !more {
			return err
		}
		index += step
	}
	return nil
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
