package store

import (
	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/content"
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
	for _, fid := range tree {
		if f := schema.Fixed(fid); f != nil {
			return nil, cluster.Errorf(exmdb.KindFixedFolder, "%s is not deleted", f.Name)
		}
	}
	budget := purgeAtOnce
	for _, fid := range tree {
		n, err := t.unlink(fid)
		if err != nil {
			return nil, err
		}
		if n <= budget {
			budget -= n
			if _, err := t.purge(fid, schema.Purge{}); err != nil {
				return nil, err
			}
			continue
		}
		t.set(schema.PurgeKey(fid), &schema.Purge{})
		t.w.Schedule(purgeDue(t, fid))
	}
	return &exmdb.Empty{}, t.buryFolders(tree)
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
	bag, err := folderBag(f)
	if err != nil {
		return 0, err
	}
	if err := content.Release(t.w, content.BagHashes(bag)); err != nil {
		return 0, err
	}
	if err := t.dropRules(fid); err != nil {
		return 0, err
	}
	t.counters.Folders--
	t.counters.Messages -= uint64(c.Messages)
	t.counters.Used -= c.Used + c.AssociatedUsed
	t.w.Delete(schema.FolderKey(fid))
	t.w.Delete(schema.FolderCountsKey(fid))
	t.w.Delete(schema.FolderNameKey(mapi.LocalFID(f.Parent), foldName(f.Name)))
	t.w.Delete(schema.SubscriptionKey(t.subscriber(), fid))
	t.w.Delete(schema.PermissionsKey(fid))
	t.w.Delete(schema.ChangeKey(schema.Hierarchy, f.CN))
	t.w.DeleteRange(schema.ChangeKey(fid, 0), schema.ChangeKey(fid+1, 0))
	t.w.DeleteRange(schema.TombstoneKey(fid, 0), schema.TombstoneKey(fid+1, 0))
	t.dropTimes(fid)
	return int(c.Messages + c.Associated), nil
}

// purge removes the next messages of a deleted folder, the associated ones first, and reports whether that was the last
// step.
func (t *tx) purge(fid mapi.FID, p schema.Purge) (done bool, err error) {
	found, more, err := t.collectRows(schema.AssociatedKey, fid, nil, collectLimit{messages: stepMessages})
	if err != nil {
		return false, err
	}
	rest := []exmdb.UIDRange{{First: max(p.Next, 1), Last: schema.EndOfUIDs - 1}}
	if len(more) == 0 {
		var normal []message
		normal, rest, err = t.collect(fid, rest, collectLimit{messages: stepMessages - len(found)})
		if err != nil {
			return false, err
		}
		found = append(found, normal...)
	}
	for i := range found {
		t.w.Delete(found[i].key(fid))
		t.w.Delete(schema.MIDKey(found[i].row.MID))
		if err := t.destroy(&found[i].row); err != nil {
			return false, err
		}
	}
	if len(rest) == 0 {
		t.w.Delete(schema.PurgeKey(fid))
		return true, nil
	}
	t.set(schema.PurgeKey(fid), &schema.Purge{Next: rest[0].First})
	return false, nil
}

// PerformDue does one work at a time inside the update that has taken d out of the due index (CLUSTER 2.2).
func (s *Store) PerformDue(w space.Writer, d space.Due) error {
	if d.Op != DuePurge {
		return cluster.Errorf(cluster.KindInternal, "no work of number %d", d.Op)
	}
	counter, err := schema.ParseCounter(d.Key)
	if err != nil {
		return err
	}
	t, err := s.begin(w, &exmdb.System, rightAdminister)
	if err != nil {
		return err
	}
	fid := mapi.LocalFID(counter)
	var p schema.Purge
	found, err := load(w, schema.PurgeKey(fid), &p)
	if err != nil || !found {
		return err
	}
	done, err := t.purge(fid, p)
	if err != nil {
		return err
	}
	if !done {
		w.Schedule(purgeDue(t, fid))
	}
	return t.end()
}
