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
	spans      []timeBlock // in order; nil until they are needed
}

// readSpans reads the spans of the folder. Whoever can does without: how many messages there are the folder's counts say.
func (t *timeTable) readSpans() (err error) {
	if t.spans != nil {
		return nil
	}
	t.spans, err = recordsIn(t.r, schema.TimeSpanKey, t.fid, &timeBlock{})
	if len(t.spans) == 0 {
		t.spans = []timeBlock{{}}
	}
	return err
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
	if err := t.readSpans(); err != nil {
		return 0, false, err
	}
	span := 0
	for ; span+1 < len(t.spans) && t.spans[span+1].lo.Compare(at) <= 0; span++ {
		rank += t.spans[span].count
	}
	blocks, err := recordsIn(t.r, schema.TimeBlockKey, t.fid, &t.spans[span])
	if err != nil {
		return 0, false, err
	}
	end := t.spans[span].hi
	for i := range blocks {
		if blocks[i].lo.Compare(at) > 0 {
			break
		}
		rank, end = rank+blocks[i].count, blocks[i].hi
	}
	// The block that the place is in was counted whole: count what is in it from the place on.
	it := t.r.Iter(schema.TimeKey(t.fid, at), timeEnd(schema.TimeKey, t.fid, end))
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

// seek moves an iterator over the folder's order to a row counted from the oldest. It goes there from an end of the order that
// is near, so whoever opens a folder pays for no counts.
func (t *timeTable) seek(it space.Iterator, row int) (bool, error) {
	switch behind := t.Len() - 1 - row; {
	case behind < blockMessages:
		return steps(it.Last(), it.Prev, behind), nil
	case row < blockMessages:
		return steps(it.Next(), it.Next, row), nil
	}
	if err := t.readSpans(); err != nil {
		return false, err
	}
	span := 0
	for ; span+1 < len(t.spans) && row >= t.spans[span].count; span++ {
		row -= t.spans[span].count
	}
	blocks, err := recordsIn(t.r, schema.TimeBlockKey, t.fid, &t.spans[span])
	if err != nil {
		return false, err
	}
	for i := range blocks {
		if row < blocks[i].count {
			return steps(it.SeekGE(schema.TimeKey(t.fid, blocks[i].lo)), it.Next, row), nil
		}
		row -= blocks[i].count
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
	it := t.r.Iter(schema.TimeKey(t.fid, schema.TimePlace{}), timeEnd(schema.TimeKey, t.fid, nil))
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
