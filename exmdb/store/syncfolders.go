package store

import (
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// importedFID is the FID of a folder that a client brings.
func (v *view) importedFID(sourceKey []byte) (mapi.FID, error) {
	mid, err := v.importedMID(sourceKey)
	return mapi.LocalFID(mid.Counter()), err
}

// toImportFolder is what an imported folder needs: where it comes to be, and that the one that is there is the caller's.
func toImportFolder(v *view, req *exmdb.ImportFolderRequest) (grant, error) {
	fid, err := v.importedFID(req.SourceKey)
	if err != nil {
		return grant{}, v.toMember(err)
	}
	f, err := v.folder(fid)
	if err != nil {
		if cluster.KindOf(err) == exmdb.KindNoFolder {
			return toMakeFolders, nil
		}
		return grant{}, err
	}
	if err := v.inFolder(fid, toOwn); err != nil || mapi.LocalFID(f.Parent) == req.Parent {
		return grant{}, err
	}
	return toMakeFolders, nil
}

// importFolder is OpImportFolder.
func importFolder(t *tx, req *exmdb.ImportFolderRequest) (*exmdb.ImportFolderResponse, error) {
	v, err := readVersion(&req.Version)
	if err != nil {
		return nil, err
	}
	fid, err := t.importedFID(req.SourceKey)
	if err != nil {
		return nil, err
	}
	i := &folderImport{tx: t, req: req, fid: fid, version: v}
	if i.editor, err = t.newEditor(&req.Payload); err != nil {
		return nil, err
	}
	outcome := exmdb.ImportApplied
	i.f, err = t.folder(fid)
	switch {
	case err == nil:
		outcome, err = i.over()
	case cluster.KindOf(err) == exmdb.KindNoFolder:
		err = i.first()
	}
	if err != nil {
		return nil, err
	}
	resp := &exmdb.ImportFolderResponse{Outcome: outcome, FID: fid, Problems: i.editor.problems}
	if resp.Source, err = t.gid(fid.Counter()); err != nil {
		return nil, err
	}
	resp.Change, err = t.gid(mapi.GlobalCounter(i.f.CN))
	return resp, err
}

// folderImport is a client's version of a folder on its way in.
type folderImport struct {
	*tx
	req     *exmdb.ImportFolderRequest
	fid     mapi.FID
	version *foreignVersion
	editor  *bagEditor
	f       *schema.Folder
}

// first makes a folder that the mailbox does not have, unless it was deleted.
func (i *folderImport) first() error {
	for _, key := range [][]byte{schema.DeletedFolderKey(i.fid), schema.PurgeKey(i.fid)} {
		if b, err := i.r.Get(key); err != nil || b != nil {
			return orElse(err, gone(i.fid.Counter()))
		}
	}
	if err := i.freeMID(mapi.NewMID(mapi.LocalReplica, i.fid.Counter())); err != nil {
		return err
	}
	if err := i.notDeleted(schema.Hierarchy, i.fid.Counter(), foldersOf); err != nil {
		return err
	}
	var err error
	if i.f, err = i.newFolder(&exmdb.CreateFolderRequest{Parent: i.req.Parent, Name: i.req.Name}); err != nil {
		return err
	}
	if err := i.edit(); err != nil {
		return err
	}
	i.addFolder(i.fid, i.f)
	i.take()
	return i.inherit(i.fid, i.req.Parent)
}

// over brings a client's version of a folder that the mailbox has: of two that do not know of each other the one that was
// written last stands (MS-OXCFXICS 3.1.5.6.2.2).
func (i *folderImport) over() (exmdb.ImportOutcome, error) {
	current, err := i.predecessors(folderVersion(i.f))
	if err != nil {
		return 0, err
	}
	switch i.version.pcl.Compare(current) {
	case mapi.PCLEqual, mapi.PCLOlder:
		return exmdb.ImportIgnored, nil
	case mapi.PCLNewer:
		if err := i.replace(); err != nil {
			return 0, err
		}
		i.folderChanged(i.fid, i.f)
		i.take()
		return exmdb.ImportApplied, nil
	}
	key, err := i.changeKey(folderVersion(i.f))
	if err != nil {
		return 0, err
	}
	ours, err := mapi.ParseXID(key)
	if err != nil {
		return 0, cluster.Errorf(cluster.KindDamaged, "change key: %v", err)
	}
	modified := i.f.Modified
	if modified.IsZero() {
		modified = i.f.Created
	}
	if laterThan(i.version.modified, i.version.changeKey.Namespace, mapi.FileTimeOf(modified), ours.Namespace) {
		if err := i.replace(); err != nil {
			return 0, err
		}
		modified = i.version.modified.Time()
	}
	i.f.PCL = current.Merge(i.version.pcl).Append(nil)
	i.folderChanged(i.fid, i.f)
	i.dated(modified)
	return exmdb.ImportConflict, nil
}

// replace gives the folder the client's place, name and properties.
func (i *folderImport) replace() error {
	if fixed := schema.Fixed(i.fid); fixed != nil {
		if mapi.LocalFID(i.f.Parent) != i.req.Parent || i.f.Name != i.req.Name {
			return cluster.Errorf(exmdb.KindFixedFolder, "%s is not moved or renamed", i.f.Name)
		}
	} else if _, err := i.relocate(i.fid, i.f, i.req.Parent, i.req.Name); err != nil {
		return err
	}
	return i.edit()
}

// edit changes the properties that the client names; place and name are said apart.
func (i *folderImport) edit() error {
	old, err := folderBag(i.f)
	if err != nil {
		return err
	}
	bag := clone(old)
	d := &folderDraft{tx: i.tx, fid: i.fid, f: i.f}
	if err := i.editor.change(bag, &i.req.Set, i.req.Delete, d.apart); err != nil {
		return err
	}
	return i.setFolderBag(i.f, old, bag, i.editor.staged.inline)
}

// take makes the folder's version the client's.
func (i *folderImport) take() {
	i.f.ChangeKey, i.f.PCL = i.version.changeKey.Append(nil), i.version.pcl.Append(nil)
	i.dated(i.version.modified.Time())
}

// dated writes the folder with the time of the version that it is.
func (i *folderImport) dated(at time.Time) {
	i.f.Modified = at
	i.set(schema.FolderKey(i.fid), i.f)
}
