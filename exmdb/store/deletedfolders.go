package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// DueFolderOver is the work at a time that ends a soft-deleted folder. Its key is the folder's counter. The number is on
// disk.
const DueFolderOver uint16 = 3

func folderOver(fid mapi.FID, d *schema.DeletedFolder, c Config) space.Due {
	return space.Due{At: d.At.Add(c.SoftDeleted), Op: DueFolderOver, Key: schema.AppendCounter(fid.Counter())}
}

// shelve takes a folder out of the hierarchy and the mailbox's counts and keeps it for a while, its messages where they
// are. The stamp is that of the tombstone.
func (t *tx) shelve(fid mapi.FID, s mapi.Stamp) error {
	d := &schema.DeletedFolder{At: t.now, By: t.creator(), Stamp: s}
	f, err := t.folder(fid)
	if err != nil {
		return err
	}
	c, err := t.edit(fid)
	if err != nil {
		return err
	}
	d.Folder, d.Counts = *f, *c
	if len(t.times[fid]) > 0 {
		d.Counts.NewestBlock = nil // what is still to be counted may move it
	}
	t.leaveFolder(fid, f, c)
	delete(t.counts, fid)
	t.counters.Retained += c.Used + c.AssociatedUsed
	t.set(schema.DeletedFolderKey(fid), d)
	t.shelved = nil
	t.w.Schedule(folderOver(fid, d, t.config))
	return nil
}

// leaveFolder takes a folder out of the hierarchy and the mailbox's counts.
func (t *tx) leaveFolder(fid mapi.FID, f *schema.Folder, c *schema.FolderCounts) {
	t.counters.Folders--
	t.movedBelow(f.Parent, 1)
	t.counters.Messages -= uint64(c.Messages)
	t.counters.Used -= c.Used + c.AssociatedUsed
	t.w.Delete(schema.FolderKey(fid))
	t.w.Delete(schema.FolderCountsKey(fid))
	t.w.Delete(schema.FolderNameKey(mapi.LocalFID(f.Parent), foldName(f.Name)))
	t.w.Delete(schema.ChangeKey(schema.Hierarchy, f.CN))
}

// forgetFolder removes what a folder has beside its record, counts and messages.
func (t *tx) forgetFolder(fid mapi.FID, f *schema.Folder, c *schema.FolderCounts) error {
	bag, err := folderBag(f)
	if err != nil {
		return err
	}
	t.w.Delete(schema.SubscriptionKey(t.subscriber(), fid))
	t.w.Delete(schema.PermissionsKey(fid))
	t.w.Delete(schema.KeptOrdersKey(fid))
	t.w.DeleteRange(schema.ChangeKey(fid, 0), schema.ChangeKey(fid+1, 0))
	t.w.DeleteRange(schema.TombstoneKey(fid, 0), schema.TombstoneKey(fid+1, 0))
	t.w.DeleteRange(schema.OriginKey(fid, 0), schema.OriginKey(fid+1, 0))
	t.dropTimes(fid)
	if err := t.dropRanges(c); err != nil {
		return err
	}
	if err := t.dropReaders(fid); err != nil {
		return err
	}
	if err := t.dropRules(fid); err != nil {
		return err
	}
	return content.Release(t.w, content.BagHashes(bag))
}

func (v *view) deletedFolder(fid mapi.FID) (*schema.DeletedFolder, error) {
	d := new(schema.DeletedFolder)
	found, err := load(v.r, schema.DeletedFolderKey(fid), d)
	if err == nil && !found {
		err = cluster.Errorf(exmdb.KindNoFolder, "no deleted folder %#x", uint64(fid))
	}
	return d, err
}

// endFolder is DueFolderOver: from here on a folder goes as one that was deleted for good.
func (t *tx) endFolder(fid mapi.FID) error {
	d, err := t.deletedFolder(fid)
	if err != nil {
		if cluster.KindOf(err) == exmdb.KindNoFolder {
			return nil // it was recovered
		}
		return err
	}
	t.w.Delete(schema.DeletedFolderKey(fid))
	t.shelved = nil
	trace, err := t.lastTrace(fid, &d.Folder)
	if err != nil {
		return err
	}
	t.counters.FolderEnd = t.stamp()
	t.noteFolders(schema.OriginOver, t.counters.FolderEnd, trace)
	t.counters.Retained -= d.Counts.Used + d.Counts.AssociatedUsed + d.Counts.RetainedUsed
	if err := t.forgetFolder(fid, &d.Folder, &d.Counts); err != nil {
		return err
	}
	t.set(schema.PurgeKey(fid), &schema.Purge{})
	t.w.Schedule(purgeDue(t, fid))
	return nil
}

// eachDeletedFolder walks the soft-deleted folders above a FID.
func (v *view) eachDeletedFolder(after mapi.FID, fn func(fid mapi.FID, d *schema.DeletedFolder) error) error {
	return v.each(schema.DeletedFolderKey(after+1), []byte{schema.PrefixDeletedFolder + 1}, schema.ParseFolderKey, func(fid mapi.FID, b []byte) error {
		d := new(schema.DeletedFolder)
		if err := schema.Decode(b, d); err != nil {
			return err
		}
		return fn(fid, d)
	})
}

// deletedFolders is OpDeletedFolders: those that the caller owned.
func deletedFolders(v *view, req *exmdb.DeletedFoldersRequest) (*exmdb.DeletedFoldersResponse, error) {
	resp := &exmdb.DeletedFoldersResponse{}
	size := 0
	err := v.eachDeletedFolder(req.After, func(fid mapi.FID, d *schema.DeletedFolder) error {
		rights, err := v.rightsIn(fid)
		if err != nil || rights&toOwn.any == 0 || resp.More {
			return err
		}
		if resp.More = size >= answerBytes; resp.More {
			return nil
		}
		size += folderBytes + len(d.Folder.Name) + len(d.Folder.Class)
		resp.Folders = append(resp.Folders, exmdb.DeletedFolder{FID: fid, Parent: mapi.LocalFID(d.Folder.Parent), Name: d.Folder.Name,
			Class: d.Folder.Class, Messages: d.Counts.Messages, Size: d.Counts.Used + d.Counts.AssociatedUsed, At: d.At, By: d.By})
		return nil
	})
	return resp, err
}

// recoverFolder is OpRecoverFolder. Folders that were deleted together come back together.
func recoverFolder(t *tx, req *exmdb.RecoverFolderRequest) (*exmdb.FolderResponse, error) {
	d, err := t.deletedFolder(req.Folder)
	if err != nil {
		return nil, err
	}
	path, err := t.path(req.Parent)
	if err != nil {
		return nil, err
	}
	if req.Name != "" {
		d.Folder.Name = req.Name
	}
	if err := t.freeName(req.Parent, d.Folder.Name, 0); err != nil {
		return nil, err
	}
	from := d.Folder.Parent
	d.Folder.Parent = req.Parent.Counter()
	tree, err := t.deletedTree(req.Folder, d)
	if err != nil {
		return nil, err
	}
	if err := t.roomForTree(tree, len(path)); err != nil {
		return nil, err
	}
	for _, each := range tree {
		if err := t.unshelve(each.fid, each.folder, from); err != nil {
			return nil, err
		}
		from = 0 // the others stay below it
	}
	return t.folderResponse(req.Folder, &d.Folder)
}

// shelved is a folder of a deleted tree.
type shelved struct {
	fid    mapi.FID
	folder *schema.DeletedFolder
	depth  int
}

// deletedTree is a deleted folder with those below it that were deleted with it, parents first.
func (v *view) deletedTree(top mapi.FID, d *schema.DeletedFolder) ([]shelved, error) {
	below := make(map[mapi.GlobalCounter][]shelved)
	err := v.eachDeletedFolder(0, func(fid mapi.FID, each *schema.DeletedFolder) error {
		if each.Stamp == d.Stamp && fid != top {
			below[each.Folder.Parent] = append(below[each.Folder.Parent], shelved{fid: fid, folder: each})
		}
		return nil
	})
	tree := []shelved{{fid: top, folder: d}}
	for i := 0; i < len(tree); i++ {
		for _, each := range below[tree[i].fid.Counter()] {
			each.depth = tree[i].depth + 1
			tree = append(tree, each)
		}
	}
	return tree, err
}

// roomForTree refuses a tree that does not fit below a folder whose path is so long.
func (t *tx) roomForTree(tree []shelved, path int) error {
	size := uint64(0)
	for _, each := range tree {
		size += each.folder.Counts.Used + each.folder.Counts.AssociatedUsed
		if path+each.depth > maxDepth {
			return cluster.Errorf(exmdb.KindBadName, "folders nest deeper than %d", maxDepth)
		}
	}
	if int(t.counters.Folders)+len(tree) > maxFolders {
		return cluster.Errorf(cluster.KindTooLarge, "mailbox has %d folders, %d more do not fit", t.counters.Folders, len(tree))
	}
	return t.room(size)
}

// unshelve puts a deleted folder back. What was lost with a restore in between was given under its numbers, so they go
// on above that (MAILBOX 2). from is described at noteArrived.
func (t *tx) unshelve(fid mapi.FID, d *schema.DeletedFolder, from mapi.GlobalCounter) error {
	f, c := &d.Folder, &d.Counts
	t.w.Delete(schema.DeletedFolderKey(fid))
	t.shelved = nil
	t.w.Unschedule(folderOver(fid, d, t.config))
	t.counters.Folders++
	t.movedBelow(f.Parent, 1)
	t.counters.Messages += uint64(c.Messages)
	t.counters.Used += c.Used + c.AssociatedUsed
	t.counters.Retained -= c.Used + c.AssociatedUsed
	if d.Stamp <= t.header.EpochStart {
		c.UIDNext = mapi.UID(min(uint64(c.UIDNext)+epochStep, schema.EndOfUIDs-1))
	}
	open := &openCounts{FolderCounts: *c}
	t.counts[fid] = open
	t.w.Set(schema.FolderNameKey(mapi.LocalFID(f.Parent), foldName(f.Name)), schema.AppendCounter(fid.Counter()))
	t.folderChanged(fid, f)
	t.noteArrived(fid, f, from)
	t.set(schema.FolderKey(fid), f)
	t.advance(&open.FolderCounts, f.CN)
	if c.Retained > 0 { // whatever fell due meanwhile found no folder
		t.scheduleAgeOut(fid, &open.FolderCounts, t.now.Add(-t.config.SoftDeleted))
	}
	return nil
}
