package store

import (
	"cmp"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Tables of what is soft-deleted are views like any other, over other rows. Nobody changes those, so a row comes once and goes
// once.

// deletedSource is the soft-deleted messages of a folder, or the associated ones among them, as far as the caller may read them as
// well: a message is no more open to who deletes it than it was. It implements query.Source. What
// came is in the tombstones; of what has left there is a stamp, and the rows are read again.
type deletedSource struct{ *messageSource }

func (v *view) deletedSource(fid mapi.FID, associated bool) (*deletedSource, error) {
	c, err := v.folderCounts(fid)
	if err == nil {
		err = v.inFolder(fid, toRead)
	}
	if err != nil {
		return nil, err
	}
	s, err := v.messageSource(fid, associated, c)
	return &deletedSource{s}, err
}

// Stamp implements query.Source.
func (s *deletedSource) Stamp() mapi.Stamp {
	return max(s.counts.Tombstone, s.counts.Released, s.own.newest())
}

// Len implements query.Source. Those of the other kind are counted too.
func (s *deletedSource) Len() int { return int(s.counts.Retained) }

// Scan implements query.Source; its marks are times and MIDs.
func (s *deletedSource) Scan(from query.Mark, fn func(query.Row, query.Mark) (bool, error)) error {
	lo := schema.DeletedKey(s.fid, schema.DeletedAt(from.Major), mapi.MID(from.Minor))
	return s.deletedBetween(s.fid, lo, schema.DeletedKey(s.fid+1, 0, 0), func(d *discarded) (bool, error) {
		next := query.Mark{Major: uint64(d.deleted), Minor: uint64(d.row.MID) + 1}
		if !s.has(d) {
			return fn(nil, next)
		}
		return fn(s.messageRow(s.fid, &d.message), next)
	})
}

// has reports whether a soft-deleted message of the folder is one of the rows.
func (s *deletedSource) has(d *discarded) bool {
	return d.associated() == s.associated && s.shows(s.fid, &d.row)
}

// Since implements query.Source.
func (s *deletedSource) Since(after mapi.Stamp, fn func(query.Touched) (bool, error)) error {
	if after < s.counters.Floor || after < s.header.EpochStart || after < s.counts.Released || after < s.own.newest() {
		return query.ErrForgotten
	}
	return s.eachBurial(s.fid, after, func(part *schema.TombstonePart, left []burial) (bool, error) {
		for _, b := range left {
			r, err := s.Row(uint64(b.mid))
			if err != nil {
				return false, err
			}
			if r == nil {
				continue // it moved, or is gone for good
			}
			if more, err := fn(query.Touched{Stamp: part.Stamp, ID: uint64(b.mid), Row: r, New: true}); err != nil || !more {
				return false, err
			}
		}
		return true, nil
	})
}

// Row implements query.Source.
func (s *deletedSource) Row(id uint64) (query.Row, error) {
	at, d, err := s.findDeleted(mapi.MID(id))
	if err != nil {
		if cluster.KindOf(err) == exmdb.KindNoMessage {
			err = nil
		}
		return nil, err
	}
	if at != s.fid || !s.has(d) {
		return nil, nil
	}
	return s.messageRow(s.fid, &d.message), nil
}

// deletedOn is PidTagDeletedOn, which only what is soft-deleted has.
func deletedOn(at schema.DeletedAt) mapi.Value {
	if at == 0 {
		return nil
	}
	return mapi.FileTimeOf(at.Time())
}

// shelf is the soft-deleted folders, and below which others they were.
type shelf struct {
	records map[mapi.FID]*schema.DeletedFolder
	below   map[mapi.FID][]mapi.FID
}

// deletedHierarchy reads all of them, siblings in the order of their names. Several may have one name.
func (v *view) deletedHierarchy() (*shelf, error) {
	if v.shelved != nil {
		return v.shelved, nil
	}
	all := &shelf{make(map[mapi.FID]*schema.DeletedFolder), make(map[mapi.FID][]mapi.FID)}
	err := v.eachDeletedFolder(0, func(fid mapi.FID, d *schema.DeletedFolder) error {
		parent := mapi.LocalFID(d.Folder.Parent)
		all.records[fid], all.below[parent] = d, append(all.below[parent], fid)
		return nil
	})
	for _, list := range all.below {
		slices.SortStableFunc(list, func(a, b mapi.FID) int {
			return cmp.Compare(foldName(all.records[a].Folder.Name), foldName(all.records[b].Folder.Name))
		})
	}
	if err == nil {
		v.shelved = all
	}
	return all, err
}

// deletedFolderSource is the soft-deleted folders that were below one: those that the caller owned, as OpDeletedFolders shows
// them. On all levels it is those too that were below folders that are there. The folder itself may be a soft-deleted one of
// his.
func (v *view) deletedFolderSource(top mapi.FID, depth bool) (*folderSource, error) {
	all, err := v.deletedHierarchy()
	if err != nil {
		return nil, err
	}
	if all.records[top] == nil {
		if _, err := v.folderCounts(top); err != nil {
			return nil, err
		}
	}
	stamp, err := v.hierarchyStamp()
	return &folderSource{view: v, top: top, depth: depth, stamp: max(stamp, v.counters.FolderEnd), deleted: all}, err
}

// shelvedSource is the messages of a soft-deleted folder, or its associated ones, as they were when it was deleted.
func (v *view) shelvedSource(fid mapi.FID, associated bool) (*messageSource, error) {
	d, err := v.deletedFolder(fid)
	if err != nil {
		return nil, err
	}
	s, err := v.messageSource(fid, associated, &d.Counts)
	if err == nil {
		s.shelved = true
	}
	return s, err
}

// onShelved refuses a caller who did not own a soft-deleted folder.
func (v *view) onShelved(fid mapi.FID) error {
	if _, err := v.deletedFolder(fid); err != nil {
		return err
	}
	rights, err := v.rightsIn(fid)
	if err == nil && rights&toOwn.any == 0 {
		err = noFolder(fid)
	}
	return err
}

// onDeletedFolders refuses a caller who may not see a folder or, when it is soft-deleted, did not own it.
func (v *view) onDeletedFolders(top mapi.FID) error {
	_, err := v.folderCounts(top)
	if err == nil {
		return v.inFolder(top, toSee)
	}
	if cluster.KindOf(err) != exmdb.KindNoFolder {
		return err
	}
	return v.onShelved(top)
}

// descendDeleted lists what was deleted below a folder, parents first.
func (s *folderSource) descendDeleted(fid mapi.FID, level int) error {
	for _, child := range s.deleted.below[fid] {
		rights, err := s.rightsIn(child)
		if err != nil {
			return err
		}
		if rights&toOwn.any != 0 {
			s.add(child, level)
		}
		if s.depth {
			if err := s.descendDeleted(child, level+1); err != nil {
				return err
			}
		}
	}
	if !s.depth || s.deleted.records[fid] != nil {
		return nil
	}
	below, err := s.children(fid)
	for i := 0; i < len(below) && err == nil; i++ {
		err = s.descendDeleted(below[i], level+1)
	}
	return err
}

// showDeletedFolder is a soft-deleted folder as it was.
func (s *folderSource) showDeletedFolder(fid mapi.FID) (*shownFolder, error) {
	d := s.deleted.records[fid]
	c, err := s.shownCounts(fid, &d.Counts)
	return &shownFolder{view: s.view, fid: fid, f: &d.Folder, counts: c, deleted: s.deleted}, err
}
