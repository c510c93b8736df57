package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// stepFolders bounds the folders that one step deletes.
const stepFolders = 50

// toEmptyTree is what emptying a folder needs in every folder below, toEmptyAssociated what associated messages need.
func toEmptyTree(_ *view, req *exmdb.EmptyFolderRequest) (grant, error) {
	if req.Folders {
		return toOwn, nil
	}
	return grant{}, nil
}

// toEmptyAssociated is described at toEmptyTree.
func toEmptyAssociated(_ *view, req *exmdb.EmptyFolderRequest) (grant, error) {
	if req.Associated {
		return toOwn, nil
	}
	return grant{}, nil
}

// emptyFolder is OpEmptyFolder (MS-OXCFOLD 2.2.1.9, 2.2.1.10): associated messages first, then the others, then folders.
func emptyFolder(t *tx, req *exmdb.EmptyFolderRequest) (*exmdb.EmptyFolderResponse, error) {
	c, err := t.edit(req.Folder)
	if err != nil {
		return nil, err
	}
	e := &emptying{tx: t, req: req, counts: c, at: req.Cursor, work: t.measure(toDestroy), left: stepItems}
	if !e.at.Begun {
		e.at = exmdb.EmptyCursor{Begun: true, Next: 1, End: c.UIDNext - 1, AssociatedNext: 1}
	}
	if req.Associated && e.at.AssociatedNext != 0 {
		if e.at.AssociatedNext, err = e.some(schema.AssociatedKey, e.at.AssociatedNext, schema.EndOfUIDs-1); err != nil {
			return nil, err
		}
	}
	if e.left > 0 && e.at.Next != 0 {
		if e.at.Next, err = e.some(schema.RowKey, e.at.Next, e.at.End); err != nil {
			return nil, err
		}
	}
	if _, err := t.tombstone(req.Folder, c, e.gone); err != nil {
		return nil, err
	}
	resp := &exmdb.EmptyFolderResponse{Done: e.left > 0 && e.at.Next == 0}
	if resp.Done && req.Folders {
		if resp.Done, err = e.folders(); err != nil {
			return nil, err
		}
	}
	e.at.Denied = e.at.Denied || t.passedOver
	resp.Cursor, resp.Left = e.at, uint64(c.Messages)+uint64(c.Associated)
	return resp, nil
}

// emptying is a step of emptying a folder.
type emptying struct {
	*tx
	req    *exmdb.EmptyFolderRequest
	counts *schema.FolderCounts
	at     exmdb.EmptyCursor
	gone   schema.Tombstone
	work   *work
	left   int // messages that the step may still take
}

// some deletes messages from one UID or number up to another while the step lasts, and says where to go on, zero if that
// was all.
func (e *emptying) some(key rowKeys, next, end mapi.UID) (mapi.UID, error) {
	if next > end {
		return 0, nil
	}
	found, rest, err := e.collectRows(key, e.req.Folder, []exmdb.UIDRange{{First: next, Last: end}},
		collectLimit{messages: e.left, scanned: stepScanned})
	for i := 0; i < len(found) && err == nil; i++ {
		if e.work.full() {
			e.left = 0
			return found[i].uid, nil
		}
		bury(&e.gone, &found[i])
		err = e.discard(e.req.Folder, e.counts, &found[i], e.req.Hard)
		e.left--
		e.at.Messages++
	}
	if err != nil || len(rest) == 0 {
		return 0, err
	}
	e.left = 0
	return rest[0].First, nil
}

// folders deletes folders below, the deepest first, and reports whether those were the last. Fixed ones stay, and what they
// are in.
func (e *emptying) folders() (done bool, err error) {
	tree, err := e.subtree(e.req.Folder)
	if err != nil {
		return false, err
	}
	kept := make(map[mapi.FID]bool)
	var last []mapi.FID
	done = true
	for _, fid := range slices.Backward(tree[1:]) {
		f, err := e.folder(fid)
		if err != nil {
			return false, err
		}
		if kept[fid] || schema.Fixed(fid) != nil {
			kept[mapi.LocalFID(f.Parent)] = true
			e.passedOver = true
			continue
		}
		if done = len(last) < stepFolders; !done {
			break
		}
		last = append(last, fid)
	}
	if len(last) == 0 {
		return done, nil
	}
	e.at.Folders += uint32(len(last))
	e.at.Stamp, err = e.dropTree(last, e.req.Hard, e.at.Stamp)
	return done, err
}

// cycle refuses to bring a folder below itself.
func (v *view) cycle(folder, parent mapi.FID) ([]mapi.FID, error) {
	path, err := v.path(parent)
	if err == nil && slices.Contains(path, folder) {
		err = cluster.Errorf(exmdb.KindCycle, "a folder cannot be below itself")
	}
	return path, err
}
