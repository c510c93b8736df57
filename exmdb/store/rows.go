package store

import (
	"errors"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// allUIDs is what nil ranges mean.
var allUIDs = []exmdb.UIDRange{{First: 1, Last: 1<<32 - 1}}

// errStop ends a walk early.
var errStop = errors.New("stop")

// scan calls fn with the key and stored form of every row in the ranges, from UID next on, in ascending order.
func (v *view) scan(f mapi.FID, ranges []exmdb.UIDRange, next mapi.UID, fn func(mapi.UID, []byte) error) error {
	if ranges == nil {
		ranges = allUIDs
	}
	it := v.r.Iter(schema.RowKey(f, uint64(next)), schema.RowKey(f, schema.EndOfUIDs))
	err := walk(f, it, ranges, next, fn)
	if cerr := it.Close(); err == nil || errors.Is(err, errStop) {
		err = cerr
	}
	return err
}

// rowIterator is the part of space.Iterator that walk needs.
type rowIterator interface {
	Next() bool
	SeekGE(key []byte) bool
	Key() []byte
	Value() []byte
}

func walk(f mapi.FID, it rowIterator, ranges []exmdb.UIDRange, next mapi.UID, fn func(mapi.UID, []byte) error) error {
	for _, r := range ranges {
		if r.Last < next || r.Last < r.First {
			continue
		}
		for ok := it.SeekGE(schema.RowKey(f, uint64(max(r.First, next)))); ok; ok = it.Next() {
			_, uid, err := schema.ParseRowKey(it.Key())
			if err != nil {
				return err
			}
			if uid > r.Last {
				break
			}
			if err := fn(uid, it.Value()); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachRow walks the rows of the ranges, at most limit of them (0 is all), and returns where to go on, zero at the end.
// The rows are read before fn is called, so that fn may change what is walked.
func (v *view) eachRow(f mapi.FID, ranges []exmdb.UIDRange, limit int, fn func(mapi.UID, *schema.Row) error) (next mapi.UID, err error) {
	type item struct {
		uid mapi.UID
		row schema.Row
	}
	var batch []item
	err = v.scan(f, ranges, 0, func(uid mapi.UID, b []byte) error {
		if limit > 0 && len(batch) == limit {
			next = uid
			return errStop
		}
		batch = append(batch, item{uid: uid})
		return schema.Decode(b, &batch[len(batch)-1].row)
	})
	for i := range batch {
		if err != nil {
			return 0, err
		}
		err = fn(batch[i].uid, &batch[i].row)
	}
	return next, err
}

// addUID puts a UID at the end of ascending ranges.
func addUID(rs []exmdb.UIDRange, uid mapi.UID) []exmdb.UIDRange {
	if n := len(rs); n > 0 && rs[n-1].Last+1 == uid {
		rs[n-1].Last = uid
		return rs
	}
	return append(rs, exmdb.UIDRange{First: uid, Last: uid})
}

// Bounds of one answer of rows.
const (
	rowsLimit = 5000
	rowsBytes = 1 << 20
)

func rows(v *view, q *exmdb.RowsRequest) (*exmdb.RowsResponse, error) {
	if _, _, err := v.folder(q.Folder); err != nil {
		return nil, err
	}
	b := rowBuilder{view: v, fields: q.Fields}
	limit := int(q.Limit)
	if limit == 0 || limit > rowsLimit {
		limit = rowsLimit
	}
	resp := &exmdb.RowsResponse{}
	err := v.scan(q.Folder, q.UIDs, 0, func(uid mapi.UID, stored []byte) error {
		if _, modseq := schema.PeekRow(stored); q.Since > 0 && modseq <= q.Since {
			return nil
		}
		if len(resp.Rows) >= limit || b.bytes >= rowsBytes {
			resp.More, resp.Next = true, uid
			return errStop
		}
		x, err := b.build(uid, stored)
		resp.Rows = append(resp.Rows, x)
		return err
	})
	return resp, err
}

// rowBuilder fills the fields of rows that were asked for.
type rowBuilder struct {
	*view
	fields exmdb.RowFields
	names  map[uint16]string
	bytes  int
}

func (b *rowBuilder) build(uid mapi.UID, stored []byte) (x exmdb.Row, err error) {
	x.UID = uid
	b.bytes += 16
	if b.fields == 0 {
		_, x.ModSeq = schema.PeekRow(stored)
		return x, nil
	}
	var row schema.Row
	if err := schema.Decode(stored, &row); err != nil {
		return x, err
	}
	return b.fill(x, &row)
}

func (b *rowBuilder) fill(x exmdb.Row, row *schema.Row) (exmdb.Row, error) {
	x.ModSeq = row.ModSeq
	b.bytes += 32
	if b.fields&exmdb.RowFlags != 0 {
		flags, err := b.flags(row)
		if err != nil {
			return x, err
		}
		x.Flags = flags
	}
	if b.fields&exmdb.RowMeta != 0 {
		x.MID, x.Object, x.Size, x.Prefix = row.MID, row.Object, row.Size, row.Prefix
		x.Received, x.Saved = row.Received.Time(), time.Unix(row.Saved, 0).UTC()
		b.bytes += 48
	}
	if b.fields&exmdb.RowDigest != 0 {
		var err error
		if x.Digest, err = b.r.Get(schema.DigestKey(row.BodyNumber())); err != nil {
			return x, err
		}
		b.bytes += len(x.Digest)
	}
	return x, nil
}

func (b *rowBuilder) flags(row *schema.Row) (exmdb.Flags, error) {
	f := exmdb.Flags{Bits: row.Bits.Flags()}
	if len(row.Keywords) == 0 {
		return f, nil
	}
	if b.names == nil {
		var err error
		if b.names, err = b.keywordNames(); err != nil {
			return f, err
		}
	}
	for _, id := range row.Keywords {
		f.Keywords = append(f.Keywords, b.names[id])
		b.bytes += len(b.names[id])
	}
	return f, nil
}

func uids(v *view, q *exmdb.FolderRequest) (*exmdb.UIDsResponse, error) {
	rec, c, err := v.folder(q.Folder)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.UIDsResponse{Sequence: v.r.Sequence()}
	if resp.Folder, err = v.shown(q.Folder, rec, c); err != nil {
		return nil, err
	}
	err = v.scan(q.Folder, nil, 0, func(uid mapi.UID, stored []byte) error {
		resp.UIDs = addUID(resp.UIDs, uid)
		if resp.FirstUnseen == 0 && c.Unseen > 0 {
			if bits, _ := schema.PeekRow(stored); bits.Flags()&exmdb.FlagSeen == 0 {
				resp.FirstUnseen = uid
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	names, err := v.keywordNames()
	for _, n := range names {
		resp.Keywords = append(resp.Keywords, n)
	}
	slices.Sort(resp.Keywords)
	return resp, err
}

// changes answers what is new since a stamp, in order of the change index (MAILBOX 2).
func changes(v *view, q *exmdb.ChangesRequest) (*exmdb.ChangesResponse, error) {
	rec, c, err := v.folder(q.Folder)
	if err != nil {
		return nil, err
	}
	if q.Since < v.counters.Floor && q.Since != 0 || q.Epoch != 0 && q.Epoch != v.header.Epoch {
		return nil, cluster.Errorf(exmdb.KindStaleToken, "stamp %d is below the floor %d, or of another epoch", q.Since, v.counters.Floor)
	}
	resp := &exmdb.ChangesResponse{Stamp: max(c.ContentSeq, q.Since), Sequence: v.r.Sequence()}
	if resp.Folder, err = v.shown(q.Folder, rec, c); err != nil {
		return nil, err
	}
	if c.ContentSeq <= q.Since {
		return resp, nil
	}
	if err := v.changedRows(q, resp); err != nil {
		return nil, err
	}
	resp.Vanished, err = v.vanished(q.Folder, q.Since)
	return resp, err
}

func (v *view) changedRows(q *exmdb.ChangesRequest, resp *exmdb.ChangesResponse) error {
	b := rowBuilder{view: v, fields: q.Fields}
	limit := int(q.Limit)
	if limit == 0 || limit > rowsLimit {
		limit = rowsLimit
	}
	it := v.r.Iter(schema.ChangeKey(q.Folder, q.Since+1), schema.ChangeKey(q.Folder+1, 0))
	var err error
	for err == nil && it.Next() {
		var s mapi.Stamp
		var ch schema.Change
		if s, err = schema.ParseStampKey(it.Key()); err == nil {
			err = schema.Decode(it.Value(), &ch)
		}
		if err != nil || ch.Kinds&schema.ChangeStatus == 0 {
			continue
		}
		row := new(schema.Row)
		var ok bool
		if ok, err = get(v.r, schema.RowKey(q.Folder, uint64(ch.UID)), row); err != nil || !ok || row.ModSeq != s {
			continue
		}
		if len(resp.Rows) >= limit || b.bytes >= rowsBytes {
			resp.More, resp.Stamp = true, resp.Rows[len(resp.Rows)-1].ModSeq
			break
		}
		var x exmdb.Row
		x, err = b.fill(exmdb.Row{UID: ch.UID}, row)
		resp.Rows = append(resp.Rows, x)
	}
	return joined(err, it.Close())
}

// vanished is the UIDs in tombstones above a stamp, and perhaps some below it.
func (v *view) vanished(f mapi.FID, since mapi.Stamp) ([]exmdb.UIDRange, error) {
	it := v.r.Iter(schema.TombstoneKey(f, since+1), schema.TombstoneKey(f+1, 0))
	var all []mapi.UID
	var err error
	for err == nil && it.Next() {
		var t schema.Tombstone
		if err = schema.Decode(it.Value(), &t); err == nil {
			for n := range t.UIDs.Each {
				all = append(all, mapi.UID(n))
			}
		}
	}
	slices.Sort(all)
	var rs []exmdb.UIDRange
	for _, uid := range slices.Compact(all) {
		rs = addUID(rs, uid)
	}
	return rs, joined(err, it.Close())
}
