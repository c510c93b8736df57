package store

import (
	"math"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// DuePurge is the work at a time that removes the messages of deleted folders, a step at a time. Its key is the
// folder's counter. The number is on disk.
const DuePurge uint16 = 1

// purgeAtOnce is up to how many messages go with the folder in the same effect.
const purgeAtOnce = 500

func deleteFolder(t *tx, req *exmdb.DeleteFolderRequest) (*exmdb.Empty, error) {
	if _, err := t.folder(req.Folder); err != nil {
		return nil, err
	}
	tree, err := t.subtree(req.Folder)
	if err != nil {
		return nil, err
	}
	if len(tree) > 1 && !req.Recursive {
		return nil, cluster.Errorf(exmdb.KindHasChildren, "folder has subfolders")
	}
	if err := noneFixed(tree); err != nil {
		return nil, err
	}
	_, err = t.dropTree(tree, req.Hard, 0)
	return &exmdb.Empty{}, err
}

// noneFixed refuses to delete folders among which there is a fixed one.
func noneFixed(tree []mapi.FID) error {
	for _, fid := range tree {
		if f := schema.Fixed(fid); f != nil {
			return cluster.Errorf(exmdb.KindFixedFolder, "%s is not deleted", f.Name)
		}
	}
	return nil
}

// dropTree deletes folders: for good, or so that they can be recovered while there is room for what they hold. The stamp
// is that of folders that were deleted before as part of the same tree, zero for none; it returns that of all.
func (t *tx) dropTree(tree []mapi.FID, hard bool, together mapi.Stamp) (mapi.Stamp, error) {
	size := uint64(0)
	for _, fid := range tree {
		c, err := t.folderCounts(fid)
		if err != nil {
			return 0, err
		}
		size += c.Used + c.AssociatedUsed
	}
	stamp, err := t.buryFolders(tree)
	if together != 0 {
		stamp = together
	}
	hard = hard || !t.retains(size)
	budget := purgeAtOnce
	for i := 0; i < len(tree) && err == nil; i++ {
		if hard {
			budget, err = t.drop(tree[i], budget)
		} else {
			err = t.shelve(tree[i], stamp)
		}
	}
	return stamp, err
}

// drop deletes a folder for good: in the same effect if it holds no more than the budget, of which it returns the rest.
func (t *tx) drop(fid mapi.FID, budget int) (int, error) {
	n, err := t.unlink(fid)
	if err != nil {
		return 0, err
	}
	if n <= budget {
		done, err := t.purge(fid, schema.Purge{})
		if err == nil && !done {
			t.w.Schedule(purgeDue(t, fid))
		}
		return budget - n, err
	}
	t.set(schema.PurgeKey(fid), &schema.Purge{})
	t.w.Schedule(purgeDue(t, fid))
	return budget, nil
}

func purgeDue(t *tx, fid mapi.FID) space.Due {
	return space.Due{At: t.now, Op: DuePurge, Key: schema.AppendCounter(fid.Counter())}
}

// unlink takes a folder out of the hierarchy and the mailbox's counts and says how many messages it leaves behind.
// They are reached by nothing any more: every way to a message asks for its folder first.
func (t *tx) unlink(fid mapi.FID) (messages int, err error) {
	f, err := t.folder(fid)
	if err != nil {
		return 0, err
	}
	c, err := t.folderCounts(fid)
	if err != nil {
		return 0, err
	}
	t.leaveFolder(fid, f, c)
	t.counters.Retained -= c.RetainedUsed
	if err := t.forgetFolder(fid, f, c); err != nil {
		return 0, err
	}
	return int(c.Messages + c.Associated + c.Retained), nil
}

// purge removes the next messages of a deleted folder, the soft-deleted ones and the associated ones first, and reports
// whether that was the last step.
func (t *tx) purge(fid mapi.FID, p schema.Purge) (done bool, err error) {
	step := t.measure(toDestroy)
	deleted, later, err := t.someDeleted(fid, stepItems, math.MaxUint64)
	if err != nil {
		return false, err
	}
	n, err := t.endDeleted(fid, deleted, step, func(d *discarded) { t.w.Delete(schema.MIDKey(d.row.MID)) })
	if err != nil || n < len(deleted) || later != 0 {
		t.set(schema.PurgeKey(fid), &p)
		return false, err
	}
	found, rest, err := t.purgeable(fid, stepItems-n, []exmdb.UIDRange{{First: max(p.Next, 1), Last: schema.EndOfUIDs - 1}})
	for i := 0; i < len(found) && err == nil; i++ {
		m := &found[i]
		if step.full() {
			if !m.associated() {
				p.Next = m.uid
			}
			t.set(schema.PurgeKey(fid), &p)
			return false, nil
		}
		t.w.Delete(m.key(fid))
		t.w.Delete(schema.MIDKey(m.row.MID))
		err = t.destroy(&m.row)
	}
	if err != nil {
		return false, err
	}
	if len(rest) == 0 {
		t.w.Delete(schema.PurgeKey(fid))
		return true, nil
	}
	t.set(schema.PurgeKey(fid), &schema.Purge{Next: rest[0].First})
	return false, nil
}

// purgeable is the next messages of a deleted folder, the associated ones first, and which UIDs are left.
func (t *tx) purgeable(fid mapi.FID, limit int, rest []exmdb.UIDRange) ([]message, []exmdb.UIDRange, error) {
	found, more, err := t.collectRows(schema.AssociatedKey, fid, nil, collectLimit{messages: limit})
	if err != nil || len(more) > 0 {
		return found, rest, err
	}
	normal, rest, err := t.collect(fid, rest, collectLimit{messages: limit - len(found)})
	return append(found, normal...), rest, err
}
