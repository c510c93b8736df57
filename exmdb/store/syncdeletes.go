package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// stepFolderDeletes is how many deleted folders one step takes, with all below them.
const stepFolderDeletes = 100

// importedCounters are the objects of this mailbox that a request names; those of other replicas were never here.
func (v *view) importedCounters(sourceKeys [][]byte) ([]mapi.GlobalCounter, error) {
	if len(sourceKeys) > maxImports {
		return nil, cluster.Errorf(cluster.KindBadRequest, "%d objects at once, %d at most", len(sourceKeys), maxImports)
	}
	list := make([]mapi.GlobalCounter, len(sourceKeys))
	for i, key := range sourceKeys {
		c, _, err := v.keyCounter(key)
		if err != nil && cluster.KindOf(err) != exmdb.KindStaleToken {
			return nil, err
		}
		list[i] = c
	}
	return list, nil
}

// toImportDeletes refuses to delete folders that the caller does not own, with all below; of messages it is asked one by
// one.
func toImportDeletes(v *view, req *exmdb.ImportDeletesRequest) (grant, error) {
	if !req.Folders {
		return toSee, nil
	}
	list, err := v.importedCounters(req.SourceKeys)
	if err != nil {
		return grant{}, v.toMember(err)
	}
	for _, c := range list {
		err := v.inTree(mapi.LocalFID(c), toOwn)
		if err != nil && cluster.KindOf(err) != exmdb.KindNoFolder {
			return grant{}, err
		}
	}
	return toSee, nil
}

// importDeletes is OpImportDeletes.
func importDeletes(t *tx, req *exmdb.ImportDeletesRequest) (*exmdb.ImportDeletesResponse, error) {
	list, err := t.importedCounters(req.SourceKeys)
	if err != nil {
		return nil, err
	}
	if req.Folders {
		return t.importFolderDeletes(req, list)
	}
	mids := make([]mapi.MID, len(list))
	for i, c := range list {
		mids[i] = mapi.NewMID(mapi.LocalReplica, c)
	}
	s, err := t.newSet(req.Folder, mids, toDelete)
	if err != nil {
		return nil, err
	}
	s.destroys()
	resp := &exmdb.ImportDeletesResponse{}
	var left schema.Tombstone
	err = s.each(mids, func(m *message) error {
		bury(&left, m)
		resp.Deleted++
		return t.discard(req.Folder, s.counts, m, req.Hard)
	})
	if err != nil {
		return nil, err
	}
	never, err := t.neverHere(req.Folder, s.missing)
	if err != nil {
		return nil, err
	}
	for c := range never.All() {
		left.MIDs, left.Came = left.MIDs.Add(uint64(c)), left.Came.Add(uint64(c)+1)
	}
	_, err = t.tombstone(req.Folder, s.counts, left)
	resp.Next, resp.Denied = s.next, s.passedOver
	return resp, err
}

// neverHere are those of some missing messages that no message has and no tombstone of the folder names: what a client
// made and deleted again (MS-OXCFXICS 3.2.5.9.4.5). A tombstone keeps others from bringing a message of that number, so who may
// delete nothing in the folder leaves none.
func (t *tx) neverHere(fid mapi.FID, missing []mapi.MID) (mapi.GLOBSET, error) {
	rights, err := t.rightsIn(fid)
	if err != nil || rights&(toDelete.any|toDelete.own|toDelete.associated) == 0 {
		return mapi.GLOBSET{}, err
	}
	var list []mapi.GlobalCounter
	for _, mid := range missing {
		b, err := t.r.Get(schema.MIDKey(mid))
		if err != nil {
			return mapi.GLOBSET{}, err
		}
		drawn, err := t.drawn(mid.Counter())
		if err != nil {
			return mapi.GLOBSET{}, err
		}
		if b == nil && drawn {
			list = append(list, mid.Counter())
		}
	}
	never := mapi.GLOBSETOf(list)
	known, err := t.deletedAmong(fid, never, midsOf)
	return never.Minus(known), err
}

// importFolderDeletes deletes folders below one, those that are not there by a tombstone. What cannot be deleted is said
// before anything is.
func (t *tx) importFolderDeletes(req *exmdb.ImportDeletesRequest, list []mapi.GlobalCounter) (*exmdb.ImportDeletesResponse, error) {
	resp := &exmdb.ImportDeletesResponse{}
	if _, err := t.folder(req.Folder); err != nil {
		return nil, err
	}
	if len(list) > stepFolderDeletes {
		list, resp.Next = list[:stepFolderDeletes], stepFolderDeletes
	}
	var missing []mapi.GlobalCounter
	var doomed []mapi.FID
	for _, c := range list {
		fid := mapi.LocalFID(c)
		path, err := t.path(fid)
		switch {
		case cluster.KindOf(err) == exmdb.KindNoFolder && err != nil:
			missing = append(missing, c)
			continue
		case err != nil:
			return nil, err
		case !slices.Contains(path[1:], req.Folder):
			continue // it has moved out of what the client synchronises
		}
		tree, err := t.subtree(fid)
		if err == nil {
			err = noneFixed(tree)
		}
		if err != nil {
			return nil, err
		}
		doomed = append(doomed, tree...)
	}
	slices.Sort(doomed)
	doomed = slices.Compact(doomed) // one may be named by itself and with a tree
	if resp.Deleted = uint32(len(doomed)); len(doomed) > 0 {
		if _, err := t.dropTree(doomed, req.Hard, 0); err != nil {
			return nil, err
		}
	}
	return resp, t.buryNever(req.Folder, missing)
}

// buryNever writes tombstones of folders that are not there and have none, for who could have made them below another.
func (t *tx) buryNever(parent mapi.FID, missing []mapi.GlobalCounter) error {
	if rights, err := t.rightsIn(parent); err != nil || rights&toMakeFolders.any == 0 {
		return err
	}
	var list []mapi.GlobalCounter
	for _, c := range missing {
		drawn, err := t.drawn(c)
		if err != nil {
			return err
		}
		if drawn {
			list = append(list, c)
		}
	}
	never := mapi.GLOBSETOf(list)
	known, err := t.deletedAmong(schema.Hierarchy, never, foldersOf)
	if err != nil {
		return err
	}
	var fids []mapi.FID
	for c := range never.Minus(known).All() {
		fids = append(fids, mapi.LocalFID(c))
	}
	if len(fids) == 0 {
		return nil
	}
	_, err = t.buryFolders(fids)
	return err
}
