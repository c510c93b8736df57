package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// syncHierarchy is OpSyncHierarchy. A mailbox has a bounded number of folders, so each page looks at all of them.
func syncHierarchy(v *view, req *exmdb.SyncHierarchyRequest) (*exmdb.SyncHierarchyResponse, error) {
	if req.Flags&^allSyncFlags != 0 || len(req.Tags) > maxSyncTags {
		return nil, cluster.Errorf(cluster.KindBadRequest, "synchronisation flags %#x, %d properties", req.Flags, len(req.Tags))
	}
	if _, err := v.folder(req.Folder); err != nil {
		return nil, err
	}
	s := &hierarchySync{view: v, req: req, resp: &exmdb.SyncHierarchyResponse{Sequence: v.r.Sequence()}}
	var err error
	if s.reigns, err = v.reigns(v.counters.Stamp); err != nil {
		return nil, err
	}
	if s.tree, err = v.hierarchy(); err != nil {
		return nil, err
	}
	var lost bool
	if s.seen, lost = stampsIn(s.reigns, req.State.Seen); lost {
		s.resp.Lost, s.resp.More = true, true
		return s.resp, nil
	}
	if err := s.page(); err != nil {
		return nil, err
	}
	return s.answer()
}

// hierarchySync is one page of a download of the folders below one.
type hierarchySync struct {
	*view
	req    *exmdb.SyncHierarchyRequest
	resp   *exmdb.SyncHierarchyResponse
	tree   *hierarchy
	reigns []reign
	seen   mapi.GLOBSET
	size   int
	// present are all folders that the caller sees.
	present []mapi.GID
	bags    []*mapi.PropBag
}

// page walks the tree level by level, so that parents come first.
func (s *hierarchySync) page() error {
	below := make(map[mapi.FID][]mapi.FID)
	for fid, f := range s.tree.folders {
		seen, err := s.sees(fid)
		if err != nil {
			return err
		}
		if parent := mapi.LocalFID(f.Parent); seen && f.Parent != 0 && !s.tree.counts[fid].Search {
			below[parent] = append(below[parent], fid)
		}
	}
	for level := []mapi.FID{s.req.Folder}; len(level) > 0; {
		var next []mapi.FID
		for _, fid := range level {
			next = append(next, below[fid]...)
		}
		slices.Sort(next)
		for _, fid := range next {
			if err := s.one(fid); err != nil {
				return err
			}
		}
		level = next
	}
	return nil
}

// one puts a folder into the page if the client does not know it as it is.
func (s *hierarchySync) one(fid mapi.FID) error {
	f := s.tree.folders[fid]
	source, err := s.gid(fid.Counter())
	if err != nil {
		return err
	}
	s.present = append(s.present, source)
	given := s.req.State.Given.Contains(source)
	if given && s.seen.Contains(mapi.GlobalCounter(f.CN)) || s.resp.More || s.req.Flags&exmdb.SyncStateOnly != 0 {
		return nil
	}
	limit := syncChanges
	if s.req.Limit != 0 {
		limit = min(limit, int(s.req.Limit))
	}
	if s.resp.More = len(s.resp.Folders) >= limit || s.size >= answerBytes; s.resp.More {
		return nil
	}
	out, err := s.describe(fid, f, source)
	out.New = !given
	s.resp.Folders = append(s.resp.Folders, out)
	return err
}

func (s *hierarchySync) describe(fid mapi.FID, f *schema.Folder, source mapi.GID) (out exmdb.SyncedFolder, err error) {
	shown := &shownFolder{view: s.view, fid: fid, f: f, counts: s.tree.counts[fid]}
	out = exmdb.SyncedFolder{Source: source, FID: fid, Name: f.Name, Class: f.Class}
	modified, _ := shown.modified().(mapi.FileTime)
	out.Modified = modified.Time()
	if out.Parent, err = s.gid(f.Parent); err != nil {
		return out, err
	}
	if out.Change, err = s.gid(mapi.GlobalCounter(f.CN)); err != nil {
		return out, err
	}
	if out.ChangeKey, err = s.changeKey(folderVersion(f)); err != nil {
		return out, err
	}
	pcl, err := s.predecessors(folderVersion(f))
	if err != nil {
		return out, err
	}
	out.PCL = pcl.Append(nil)
	s.size += 2*folderBytes + len(f.Name) + len(f.Class) + len(out.PCL)
	if len(s.req.Tags) == 0 {
		return out, nil
	}
	if shown, err = s.showFolder(fid); err != nil {
		return out, err
	}
	bag, err := shown.some(s.req.Tags)
	if err != nil {
		return out, err
	}
	out.Props = *bag
	s.size += len(bag.AppendWire(nil))
	s.bags = append(s.bags, bag)
	return out, nil
}

func (s *hierarchySync) answer() (*exmdb.SyncHierarchyResponse, error) {
	r := s.resp
	if !r.More {
		r.Seen = allOf(s.reigns)
		if s.req.Flags&exmdb.SyncStateOnly != 0 {
			r.Present = mapi.IDSETOfIDs(s.present)
		} else if s.req.Flags&exmdb.SyncNoDeletions == 0 {
			r.Deleted = s.req.State.Given.Minus(mapi.IDSETOfIDs(s.present))
		}
	}
	var err error
	if len(s.bags) > 0 {
		r.Names, err = s.namesIn(s.bags...)
	}
	return r, err
}
