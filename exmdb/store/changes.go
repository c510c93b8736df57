package store

import (
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
	a := v.newAnswer(req.Fields, req.Limit)
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

func changeStep(key, value []byte) (mapi.Stamp, schema.Change, error) {
	var c schema.Change
	s, err := schema.ParseStampKey(key)
	if err == nil {
		err = schema.Decode(value, &c)
	}
	return s, c, err
}
