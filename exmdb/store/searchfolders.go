package store

import (
	"bytes"
	"maps"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// maxCriteria bounds the restriction of a search folder, because folders are listed whole.
const maxCriteria = 16 << 10

func errSearchFolder(fid mapi.FID) error {
	return cluster.Errorf(exmdb.KindSearchFolder, "folder %#x is a search folder", uint64(fid))
}

// searchFolder is the record of a search folder.
func (v *view) searchFolder(fid mapi.FID) (*schema.Folder, error) {
	c, err := v.folderCounts(fid)
	if err != nil {
		return nil, err
	}
	if !c.Search {
		return nil, cluster.Errorf(exmdb.KindNoSearch, "folder %#x is no search folder", uint64(fid))
	}
	return v.folder(fid)
}

func errNoCriteria(fid mapi.FID) error {
	return cluster.Errorf(exmdb.KindNoCriteria, "search folder %#x has no criteria", uint64(fid))
}

// searchFlagPairs are flags of which a client may set one at most.
var searchFlagPairs = []exmdb.SearchFlags{exmdb.SearchStop | exmdb.SearchRestart, exmdb.SearchRecursive | exmdb.SearchShallow}

// allSearchFlags are those that there are.
const allSearchFlags = exmdb.SearchStop | exmdb.SearchRestart | exmdb.SearchRecursive | exmdb.SearchShallow | exmdb.SearchForeground |
	exmdb.SearchBackground | exmdb.SearchContentIndexed | exmdb.SearchNoContentIndex | exmdb.SearchStatic

func checkSearchFlags(f exmdb.SearchFlags) error {
	if f&^allSearchFlags != 0 || slices.ContainsFunc(searchFlagPairs, func(pair exmdb.SearchFlags) bool { return f&pair == pair }) {
		return cluster.Errorf(cluster.KindBadRequest, "search flags %#x", f)
	}
	return nil
}

// setSearchCriteria is OpSetSearchCriteria (MS-OXCFOLD 3.2.5.4). A static search has nothing to stop: whom it finds is
// settled when it begins. A dynamic one that is stopped goes on as a static one from there. A search begins anew with other
// criteria, or when that is asked for.
func setSearchCriteria(t *tx, req *exmdb.SetSearchCriteriaRequest) (*exmdb.Empty, error) {
	f, err := t.searchFolder(req.Folder)
	if err != nil {
		return nil, err
	}
	if err := checkSearchFlags(req.Flags); err != nil {
		return nil, err
	}
	before := f.Criteria
	if before == nil && (len(req.Restriction) == 0 || len(req.Folders) == 0) {
		return nil, errNoCriteria(req.Folder)
	}
	if req.Flags&exmdb.SearchStop != 0 {
		return &exmdb.Empty{}, t.stopSearch(req.Folder, f)
	}
	now, err := t.criteria(req, before)
	if err != nil {
		return nil, err
	}
	if req.Flags&exmdb.SearchRestart == 0 && sameCriteria(before, now) {
		return &exmdb.Empty{}, nil
	}
	f.Criteria = now
	t.noteSearched(req.Folder)
	t.folderChanged(req.Folder, f)
	return &exmdb.Empty{}, nil
}

// stopSearch makes a dynamic search static.
func (t *tx) stopSearch(fid mapi.FID, f *schema.Folder) error {
	if !f.Criteria.Dynamic {
		return nil
	}
	stopped := *f.Criteria
	var err error
	if stopped.Searched, err = t.searchedFolders(f.Criteria); err != nil {
		return err
	}
	stopped.Dynamic, stopped.Stamp = false, t.counters.Stamp
	f.Criteria = &stopped
	t.folderChanged(fid, f)
	return nil
}

func sameCriteria(a, b *schema.SearchCriteria) bool {
	return a != nil && a.Recursive == b.Recursive && a.Dynamic == b.Dynamic && bytes.Equal(a.Restriction, b.Restriction) && slices.Equal(a.Folders, b.Folders)
}

// criteria are what a request asks for, after what stood before.
func (t *tx) criteria(req *exmdb.SetSearchCriteriaRequest, before *schema.SearchCriteria) (*schema.SearchCriteria, error) {
	now := &schema.SearchCriteria{Restriction: req.Restriction, Recursive: req.Flags&exmdb.SearchRecursive != 0,
		Dynamic: req.Flags&exmdb.SearchStatic == 0, Stamp: t.counters.Stamp}
	if len(req.Restriction) == 0 {
		now.Restriction = before.Restriction
	} else if err := checkCriteria(req.Restriction); err != nil {
		return nil, err
	}
	if len(req.Folders) > maxFolders {
		return nil, cluster.Errorf(cluster.KindBadRequest, "a search of %d folders", len(req.Folders))
	}
	for _, fid := range req.Folders {
		now.Folders = append(now.Folders, uint64(fid.Counter()))
	}
	if len(now.Folders) == 0 {
		now.Folders = before.Folders
	}
	return now, t.search(now, req.Folders)
}

// checkCriteria refuses a restriction that is not evaluated below that of a table.
func checkCriteria(b []byte) error {
	if len(b) > maxCriteria {
		return cluster.Errorf(exmdb.KindTooComplex, "criteria of %d bytes, %d at most", len(b), maxCriteria)
	}
	r, err := query.Filter(b)
	if err == nil {
		_, err = query.Filter(oxcdata.AppendRestriction(nil, mapi.AndRestriction{r}))
	}
	return err
}

// search finds the folders that are searched: those given now, who are there and seen by the caller, or of those given
// before the ones that are left.
func (t *tx) search(c *schema.SearchCriteria, given []mapi.FID) error {
	for _, fid := range given {
		counts, err := t.folderCounts(fid)
		if err != nil || counts.Search {
			return orElse(err, errSearchFolder(fid))
		}
		if err := t.inFolder(fid, toSee); err != nil {
			return err
		}
	}
	var err error
	c.Searched, err = t.settleFolders(c)
	return err
}

// settleFolders is what the folders of criteria stand for now.
func (v *view) settleFolders(c *schema.SearchCriteria) (out schema.Runs, err error) {
	found := make(map[mapi.FID]bool)
	for _, counter := range c.Folders {
		tree := []mapi.FID{mapi.LocalFID(mapi.GlobalCounter(counter))}
		if c.Recursive {
			if tree, err = v.subtree(tree[0]); err != nil {
				return nil, err
			}
		}
		for _, fid := range tree {
			found[fid] = true
		}
	}
	for _, fid := range slices.Sorted(maps.Keys(found)) {
		out = out.Add(uint64(fid.Counter()))
	}
	return out, nil
}

// searchedFolders are the folders that a search goes over: as it began or, if it is dynamic, as they are.
func (v *view) searchedFolders(c *schema.SearchCriteria) (schema.Runs, error) {
	if c.Dynamic && c.Recursive {
		return v.settleFolders(c)
	}
	return c.Searched, nil
}

// searchCriteria is OpSearchCriteria.
func searchCriteria(v *view, req *exmdb.FolderRequest) (*exmdb.SearchCriteria, error) {
	f, err := v.searchFolder(req.Folder)
	if err != nil {
		return nil, err
	}
	c := f.Criteria
	if c == nil {
		return nil, errNoCriteria(req.Folder)
	}
	out := &exmdb.SearchCriteria{Restriction: c.Restriction, State: exmdb.SearchStateComplete}
	if !c.Dynamic {
		out.State |= exmdb.SearchStateStatic
	}
	if c.Recursive {
		out.State |= exmdb.SearchStateRecursive
	}
	for _, counter := range c.Folders {
		out.Folders = append(out.Folders, mapi.LocalFID(mapi.GlobalCounter(counter)))
	}
	return out, nil
}
