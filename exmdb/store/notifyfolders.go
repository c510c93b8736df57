package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// hierarchyEvents walks what happened to folders. The fixed ones were always there: they are told of as changed.
func (w *eventWalk) hierarchyEvents() error {
	if err := w.createdFolders(); err != nil {
		return err
	}
	if err := w.walkStamps(schema.ChangeKey, schema.Hierarchy, w.modifiedFolder); err != nil {
		return err
	}
	return w.walkStamps(schema.OriginKey, schema.Hierarchy, w.tracedFolders)
}

// createdFolders walks the folders whose FIDs were given above the stamp.
func (w *eventWalk) createdFolders() error {
	lo := schema.FolderKey(mapi.LocalFID(max(mapi.GlobalCounter(w.after), schema.FirstCustom)))
	return w.each(lo, []byte{schema.PrefixFolder + 1}, schema.ParseFolderKey, func(fid mapi.FID, stored []byte) error {
		s := mapi.Stamp(fid.Counter()) + 1
		if w.page.beyond(s) {
			return nil
		}
		var f schema.Folder
		if err := schema.Decode(stored, &f); err != nil {
			return err
		}
		traced, err := w.r.Get(schema.OriginKey(schema.Hierarchy, s))
		if err != nil || traced != nil || f.Recovered != 0 {
			return err // it is told where that is walked
		}
		return w.folderEvent(s, &exmdb.Event{Kind: exmdb.EventCreated, Folder: fid}, &f)
	})
}

// folderEvent tells of a folder that is there.
func (w *eventWalk) folderEvent(s mapi.Stamp, told *exmdb.Event, folder *schema.Folder) error {
	f, err := w.at(told.Folder)
	if err != nil || !f.there {
		return err
	}
	e := &event{Event: *told}
	if folder.Parent != 0 && e.Parent == 0 {
		e.Parent = mapi.LocalFID(folder.Parent)
	}
	if w.asks(e.Folder, e.Parent, e.OldFolder, e.OldParent) {
		e.count(f)
		w.page.add(s, e)
	}
	return nil
}

// modifiedFolder tells of a folder with its last step, unless that is the one it came with.
func (w *eventWalk) modifiedFolder(s mapi.Stamp, stored []byte) error {
	var step schema.Change
	if err := schema.Decode(stored, &step); err != nil {
		return err
	}
	traced, err := w.r.Get(schema.OriginKey(schema.Hierarchy, s))
	if err != nil || traced != nil {
		return err
	}
	fid := mapi.LocalFID(step.Folder)
	if s == mapi.Stamp(step.Folder)+1 && schema.Fixed(fid) == nil {
		return nil
	}
	f, err := w.folder(fid)
	if err != nil {
		return err
	}
	return w.folderEvent(s, &exmdb.Event{Kind: exmdb.EventModified, Folder: fid}, f)
}

// tracedFolders tells of the folders of a step that is noted.
func (w *eventWalk) tracedFolders(s mapi.Stamp, stored []byte) error {
	var o schema.FolderOrigin
	if err := schema.Decode(stored, &o); err != nil {
		return err
	}
	for i := range o.Folders {
		t := &o.Folders[i]
		var err error
		switch o.Kind {
		case schema.OriginGone:
			err = w.goneFolder(s, t, o.Folders[:i])
		case schema.OriginSearched:
			err = w.searchedFolder(s, t)
		case schema.OriginOver:
			err = w.endedFolder(s, t)
		default:
			err = w.tracedFolder(s, o.Kind, t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// searchedFolder tells of a search folder that is there that its search was complete (MS-OXCNOTIF 2.2.1.4.1). What came back
// since is told with that.
func (w *eventWalk) searchedFolder(s mapi.Stamp, t *schema.FolderTrace) error {
	fid := mapi.LocalFID(t.Folder)
	f, err := w.at(fid)
	if err != nil || !f.there || s < f.whole {
		return err
	}
	folder, err := w.folder(fid)
	if err != nil {
		return err
	}
	e := exmdb.Event{Kind: exmdb.EventSearchComplete, Folder: fid}
	if folder.Parent != 0 {
		e.Parent = mapi.LocalFID(folder.Parent)
	}
	if w.asks(e.Folder, e.Parent) {
		w.page.add(s, &event{Event: e})
	}
	return nil
}

func (w *eventWalk) tracedFolder(s mapi.Stamp, kind schema.OriginKind, t *schema.FolderTrace) error {
	fid := mapi.LocalFID(t.Folder)
	var f schema.Folder
	found, err := load(w.r, schema.FolderKey(fid), &f)
	if err != nil {
		return err
	}
	there := found && f.Recovered <= s // one that was deleted since and recovered is told of with that
	if left := leftBy[kind]; left != 0 && (kind == schema.OriginArrived || !there) {
		err = w.leftParent(s, t, left)
	}
	if err != nil || !there {
		return err
	}
	e := &exmdb.Event{Kind: exmdb.EventCreated, Folder: fid}
	old, oldParent := fid, mapi.LocalFID(t.Parent)
	switch kind {
	case schema.OriginArrived:
		e.Whole = true
		return w.folderEvent(s, e, &f)
	case schema.OriginMoved:
		e.Kind, e.Parent = exmdb.EventMoved, mapi.LocalFID(t.To)
	case schema.OriginCopied:
		e.Kind, old = exmdb.EventCopied, mapi.LocalFID(t.Source)
	default:
		return nil
	}
	from, err := w.at(old)
	switch {
	case err != nil:
		return err
	case from.there:
		e.OldFolder, e.OldParent = old, oldParent
	default: // of a folder that he does not see he is not told
		e.Kind = exmdb.EventCreated
	}
	return w.folderEvent(s, e, &f)
}

// leftBy is what of the folder above may be another where one has left it: one that was moved and is not told of itself, or a
// soft-deleted one that was recovered.
var leftBy = map[schema.OriginKind]mapi.Tag{schema.OriginMoved: mapi.PidTagSubfolders, schema.OriginArrived: mapi.PidTagDeletedFolderCount}

// leftParent tells of the folder above that one has left, which may have none left. Zero is none.
func (w *eventWalk) leftParent(s mapi.Stamp, t *schema.FolderTrace, moved mapi.Tag) error {
	if t.Parent == 0 {
		return nil
	}
	fid := mapi.LocalFID(t.Parent)
	var f schema.Folder
	found, err := load(w.r, schema.FolderKey(fid), &f)
	switch e := (&exmdb.Event{Kind: exmdb.EventModified, Folder: fid, Tags: []mapi.Tag{moved}}); {
	case err != nil:
		return err
	case !found:
		return w.leftShelved(s, e)
	case f.Recovered > s:
		return nil
	default:
		return w.folderEvent(s, e, &f)
	}
}

// leftShelved tells of a soft-deleted folder that one below it has left. What happened up to its own deletion is told with that.
func (w *eventWalk) leftShelved(s mapi.Stamp, e *exmdb.Event) error {
	d, err := w.deletedFolder(e.Folder)
	if err != nil {
		if cluster.KindOf(err) == exmdb.KindNoFolder {
			err = nil // its time is over too, which is told
		}
		return err
	}
	rights, err := w.rightsIn(e.Folder)
	if err != nil || d.Stamp >= s || rights&toOwn.any == 0 {
		return err
	}
	e.Parent, e.Deleted = mapi.LocalFID(d.Folder.Parent), true
	w.addFolder(s, e)
	return nil
}

// endedFolder tells of a soft-deleted folder whose time is over: of itself whoever owned it, and of the one it was below.
func (w *eventWalk) endedFolder(s mapi.Stamp, t *schema.FolderTrace) error {
	owned, err := w.had(t, toOwn.any)
	if err != nil {
		return err
	}
	if owned && !w.cameSince(t) {
		w.addFolder(s, &exmdb.Event{Kind: exmdb.EventDeleted, Folder: mapi.LocalFID(t.Folder), Parent: mapi.LocalFID(t.Parent), Deleted: true})
	}
	return w.leftParent(s, t, mapi.PidTagDeletedFolderCount)
}

// goneFolder tells of a folder that was deleted whoever saw it then. One that came above the stamp was never told of, but may be
// one of those that were deleted below another: of that it is told once, whatever was deleted before in the same step.
func (w *eventWalk) goneFolder(s mapi.Stamp, t *schema.FolderTrace, before []schema.FolderTrace) error {
	if w.cameSince(t) {
		if slices.ContainsFunc(before, func(o schema.FolderTrace) bool { return o.Parent == t.Parent && w.cameSince(&o) }) {
			return nil
		}
		return w.leftParent(s, t, mapi.PidTagDeletedFolderCount)
	}
	seen, err := w.had(t, canSee)
	if err != nil || !seen {
		return err
	}
	w.addFolder(s, &exmdb.Event{Kind: exmdb.EventDeleted, Folder: mapi.LocalFID(t.Folder), Parent: mapi.LocalFID(t.Parent)})
	return nil
}

// cameSince reports whether a folder came above the stamp.
func (w *eventWalk) cameSince(t *schema.FolderTrace) bool { return mapi.Stamp(t.Folder) >= w.after }

// addFolder tells of a folder that is not there, if it or the one it was below is asked for.
func (w *eventWalk) addFolder(s mapi.Stamp, e *exmdb.Event) {
	if w.asks(e.Folder, e.Parent) {
		w.page.add(s, &event{Event: *e})
	}
}

// had reports whether the caller had one of some rights in a folder that is gone.
func (w *eventWalk) had(t *schema.FolderTrace, of exmdb.FolderRights) (bool, error) {
	if w.whole {
		return true, nil
	}
	list := firstPermissions(w.header.Kind, mapi.LocalFID(t.Folder))
	if len(t.Permissions) > 0 {
		list = schema.Permissions{}
		if err := schema.Decode(t.Permissions, &list); err != nil {
			return false, err
		}
	}
	return granted(&list, w.as)&of != 0, nil
}
