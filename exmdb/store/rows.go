package store

import (
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// answerBytes is about the most rows of one answer take; answerRows the most there are.
	answerBytes = 1 << 20
	answerRows  = 50_000
	// rowBytes is about what a row takes in an answer without names and digest.
	rowBytes = 64
)

// rowAnswer gathers rows up to the bounds of one answer.
type rowAnswer struct {
	*view
	reader *reader
	fields exmdb.RowFields
	limit  int
	size   int
	rows   []exmdb.Row
}

func (v *view) newAnswer(fid mapi.FID, fields exmdb.RowFields, limit uint32) (*rowAnswer, error) {
	n := answerRows
	if limit != 0 {
		n = min(n, int(limit))
	}
	r, err := v.reader(fid)
	return &rowAnswer{view: v, reader: r, fields: fields, limit: n}, err
}

func (a *rowAnswer) full() bool { return len(a.rows) >= a.limit || a.size >= answerBytes }

func (a *rowAnswer) add(uid mapi.UID, row *schema.Row) error {
	out := exmdb.Row{UID: uid, ModSeq: a.reader.modseq(row)}
	var err error
	if a.fields&exmdb.RowFlags != 0 {
		out.Flags.Bits = a.reader.flags(row)
		if out.Flags.Keywords, err = a.keywordNames(row.Keywords); err != nil {
			return err
		}
	}
	if a.fields&exmdb.RowMeta != 0 {
		out.MID, out.Object, out.Size, out.Prefix = row.MID, row.Object, row.Size, row.Prefix
		out.Received, out.Saved = row.Received.Time(), time.Unix(row.Saved, 0).UTC()
	}
	if a.fields&exmdb.RowDigest != 0 {
		if out.Digest, err = a.r.Get(schema.DigestKey(row.BodyNumber())); err != nil {
			return err
		}
	}
	if a.fields&exmdb.RowOctets != 0 && row.Size <= exmdb.MaxRowOctets {
		recipe, err := a.recipe(row.BodyNumber())
		if err != nil {
			return err
		}
		if out.Octets, err = content.Read(a.r, recipe, 0, exmdb.MaxRowOctets); err != nil {
			return err
		}
	}
	a.size += rowBytes + len(out.Digest) + len(out.Octets)
	a.rows = append(a.rows, out)
	return nil
}

func rows(v *view, req *exmdb.RowsRequest) (*exmdb.RowsResponse, error) {
	if err := checkRanges(req.UIDs); err != nil {
		return nil, err
	}
	c, err := v.folderCounts(req.Folder)
	if err != nil {
		return nil, err
	}
	since := req.Since
	if since < v.header.EpochStart {
		since = 0 // a modseq of before a restore says nothing about the rows of today (MAILBOX 2)
	}
	resp := &exmdb.RowsResponse{}
	a, err := v.newAnswer(req.Folder, req.Fields, req.Limit)
	if err != nil || since >= max(c.ContentSeq, a.reader.newest()) {
		return resp, err
	}
	a.rows = make([]exmdb.Row, 0, min(int(c.Messages), a.limit))
	var row schema.Row
	err = v.scan(req.Folder, req.UIDs, func(uid mapi.UID, stored []byte) (bool, error) {
		bits, modseq := schema.PeekRow(stored)
		if bits&schema.RowUnrendered != 0 || modseq <= since && a.reader == nil {
			return true, nil
		}
		if err := row.UnmarshalWire(stored); err != nil || a.reader.modseq(&row) <= since {
			return true, err
		}
		if a.full() {
			resp.More, resp.Next = true, uid
			return false, nil
		}
		return true, a.add(uid, &row)
	})
	resp.Rows = a.rows
	return resp, err
}

// maxUIDRanges bounds the ranges of one answer.
const maxUIDRanges = 100_000

func uids(v *view, req *exmdb.UIDsRequest) (*exmdb.UIDsResponse, error) {
	f, err := v.wholeFolder(req.Folder)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.UIDsResponse{Folder: f, Sequence: v.r.Sequence()}
	look := f.Unseen > 0
	own, err := v.reader(req.Folder)
	if err != nil {
		return nil, err
	}
	var row schema.Row
	from := []exmdb.UIDRange{{First: max(req.From, 1), Last: schema.EndOfUIDs - 1}}
	err = v.scan(req.Folder, from, func(uid mapi.UID, stored []byte) (bool, error) {
		bits, _ := schema.PeekRow(stored)
		if bits&schema.RowUnrendered != 0 {
			return true, nil
		}
		if len(resp.UIDs) == maxUIDRanges && resp.UIDs[maxUIDRanges-1].Last+1 != uid {
			resp.Next = uid
			return false, nil
		}
		resp.UIDs = addUID(resp.UIDs, uid)
		if !look || own == nil && bits.Flags()&exmdb.FlagSeen != 0 {
			return true, nil
		}
		if err := row.UnmarshalWire(stored); err != nil {
			return false, err
		}
		if !own.seen(&row) {
			resp.FirstUnseen, look = uid, false
		}
		return true, nil
	})
	if err != nil || req.From > 1 {
		return resp, err
	}
	table, err := v.keywordTable()
	if err != nil {
		return nil, err
	}
	resp.Keywords = slices.Clone(table.order)
	return resp, nil
}

// row reads one message of a folder.
func (v *view) row(fid mapi.FID, uid mapi.UID) (*schema.Row, error) {
	row := new(schema.Row)
	found, err := load(v.r, schema.RowKey(fid, uint64(uid)), row)
	if err == nil && (!found || row.Bits&schema.RowUnrendered != 0 || !v.shows(fid, row)) {
		err = cluster.Errorf(exmdb.KindNoMessage, "no message %d in folder %#x", uid, uint64(fid))
	}
	return row, err
}

func readBytes(v *view, req *exmdb.ReadBytesRequest) (*exmdb.ReadBytesResponse, error) {
	row, err := v.rowToRead(req)
	if err != nil {
		return nil, err
	}
	recipe, err := v.recipe(row.BodyNumber())
	if err != nil {
		return nil, err
	}
	data, err := content.Read(v.r, recipe, req.Offset, min(req.Length, exmdb.MaxReadBytes))
	return &exmdb.ReadBytesResponse{Data: data}, err
}

// rowToRead is the row of the message whose octets are asked for. Of soft-deleted ones whoever may not delete them is told nothing.
func (v *view) rowToRead(req *exmdb.ReadBytesRequest) (*schema.Row, error) {
	if req.Deleted == 0 {
		if _, err := v.folderCounts(req.Folder); err != nil {
			return nil, err
		}
		return v.row(req.Folder, req.UID)
	}
	id := &exmdb.ObjectID{Folder: req.Folder, Message: req.Deleted, Deleted: true}
	if !v.whole {
		if err := v.hide(v.onDeleted(id, toRead)); err != nil {
			return nil, err
		}
	}
	_, m, err := v.locate(id)
	if err != nil {
		return nil, err
	}
	if m.row.Bits&(schema.RowAssociated|schema.RowUnrendered) != 0 {
		return nil, noMessage(req.Deleted)
	}
	return &m.row, nil
}

func (v *view) recipe(body mapi.ObjectNumber) (*exmdb.Recipe, error) {
	recipe := new(exmdb.Recipe)
	found, err := load(v.r, schema.RecipeKey(body), recipe)
	if err == nil && !found {
		err = cluster.Errorf(cluster.KindDamaged, "message has no recipe %d", body)
	}
	return recipe, err
}
