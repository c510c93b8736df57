package store

import (
	"cmp"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// maxVanished bounds the ranges of one answer; who has missed more is better off starting anew.
const maxVanished = 100_000

func changes(v *view, req *exmdb.ChangesRequest) (*exmdb.ChangesResponse, error) {
	f, err := v.wholeFolder(req.Folder)
	if err != nil {
		return nil, err
	}
	if req.Epoch != 0 && req.Epoch != v.header.Epoch || req.Since != 0 && req.Since < v.counters.Floor {
		return nil, cluster.Errorf(exmdb.KindStaleToken, "changes since %d of epoch %d are not known", req.Since, req.Epoch)
	}
	resp := &exmdb.ChangesResponse{Folder: f, Stamp: f.ContentSeq, Sequence: v.r.Sequence()}
	if req.Since >= f.ContentSeq {
		return resp, nil
	}
	if req.Since != 0 {
		if resp.Vanished, err = v.vanished(req.Folder, req.Since); err != nil {
			return nil, err
		}
	}
	if len(resp.Vanished) > maxVanished {
		return nil, cluster.Errorf(exmdb.KindStaleToken, "%d ranges vanished since %d", len(resp.Vanished), req.Since)
	}
	return resp, v.changedRows(req, resp)
}

// changedRows fills in the rows whose modseq is above the stamp, in that order.
func (v *view) changedRows(req *exmdb.ChangesRequest, resp *exmdb.ChangesResponse) (err error) {
	a, err := v.newAnswer(req.Folder, req.Fields, req.Limit)
	if err != nil {
		return err
	}
	if a.reader.newest() > req.Since {
		return v.ownChangedRows(req, a, resp)
	}
	it := v.r.Iter(schema.ChangeKey(req.Folder, req.Since+1), schema.ChangeKey(req.Folder+1, 0))
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
		resp.Rows = a.rows
	}()
	last := req.Since
	for it.Next() {
		s, step, err := changeStep(it.Key(), it.Value())
		if err != nil {
			return err
		}
		if step.Associated {
			continue
		}
		var row schema.Row
		found, err := load(v.r, schema.RowKey(req.Folder, uint64(step.UID)), &row)
		if err != nil {
			return err
		}
		if !found || row.ModSeq != s || row.Bits&schema.RowUnrendered != 0 || !v.shows(req.Folder, &row) {
			continue // a step that only tells of cn or readCN, a message without MIME form, or one that is not shown
		}
		if a.full() {
			resp.More, resp.Stamp = true, last
			return nil
		}
		if err := a.add(step.UID, &row); err != nil {
			return err
		}
		last = s
	}
	return nil
}

// ownChangedRows is changedRows where the caller's own read state has moved too. What stands under one stamp is not torn.
func (v *view) ownChangedRows(req *exmdb.ChangesRequest, a *rowAnswer, resp *exmdb.ChangesResponse) error {
	list, err := v.ownChanges(req.Folder, a.reader, req.Since)
	if err != nil {
		return err
	}
	known := make(map[mapi.UID]bool, len(list))
	for i := range list {
		known[list[i].uid] = true
	}
	shared, err := v.sharedChanges(req.Folder, a.reader, req.Since)
	if err != nil {
		return err
	}
	for _, c := range shared {
		if !known[c.uid] {
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b ownChange) int { return cmp.Compare(a.modseq, b.modseq) })
	last := req.Since
	for i := range list {
		c := &list[i]
		if c.row.Bits&schema.RowUnrendered != 0 {
			continue
		}
		if a.full() && c.modseq > last {
			resp.More, resp.Stamp = true, last
			break
		}
		if err := a.add(c.uid, &c.row); err != nil {
			return err
		}
		last = c.modseq
	}
	resp.Rows = a.rows
	return nil
}

// sharedChanges are the messages of a folder whose modseq is above a stamp by changes that everybody sees.
func (v *view) sharedChanges(fid mapi.FID, r *reader, since mapi.Stamp) (list []ownChange, err error) {
	it := v.r.Iter(schema.ChangeKey(fid, since+1), schema.ChangeKey(fid+1, 0))
	defer closing(it, &err)
	for it.Next() {
		s, step, err := changeStep(it.Key(), it.Value())
		if err != nil {
			return nil, err
		}
		c := ownChange{uid: step.UID}
		if step.Associated {
			continue
		}
		found, err := load(v.r, schema.RowKey(fid, uint64(step.UID)), &c.row)
		if err != nil {
			return nil, err
		}
		if c.modseq = r.modseq(&c.row); found && c.row.ModSeq == s && v.shows(fid, &c.row) {
			list = append(list, c)
		}
	}
	return list, nil
}

func changeStep(key, value []byte) (mapi.Stamp, schema.Change, error) {
	var c schema.Change
	s, err := schema.ParseStampKey(key)
	if err == nil {
		err = schema.Decode(value, &c)
	}
	return s, c, err
}
