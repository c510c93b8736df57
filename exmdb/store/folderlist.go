package store

import (
	"maps"
	"slices"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// hierarchy is all folders of a mailbox in memory, for one op.
type hierarchy struct {
	folders    map[mapi.FID]*schema.Folder
	counts     map[mapi.FID]*schema.FolderCounts
	subscribed map[mapi.FID]bool
}

// each walks the keys of a prefix that end in a folder.
func (v *view) each(lo, hi []byte, parse func([]byte) (mapi.FID, error), fn func(fid mapi.FID, value []byte) error) (err error) {
	it := v.r.Iter(lo, hi)
	for it.Next() && err == nil {
		var fid mapi.FID
		if fid, err = parse(it.Key()); err == nil {
			err = fn(fid, it.Value())
		}
	}
	if cerr := it.Close(); err == nil {
		err = cerr
	}
	return err
}

func (v *view) hierarchy() (*hierarchy, error) {
	h := &hierarchy{make(map[mapi.FID]*schema.Folder), make(map[mapi.FID]*schema.FolderCounts), make(map[mapi.FID]bool)}
	err := v.each([]byte{schema.PrefixFolder}, []byte{schema.PrefixFolder + 1}, schema.ParseFolderKey, func(fid mapi.FID, b []byte) error {
		f := new(schema.Folder)
		h.folders[fid] = f
		return schema.Decode(b, f)
	})
	if err != nil {
		return nil, err
	}
	err = v.each([]byte{schema.PrefixFolderCounts}, []byte{schema.PrefixFolderCounts + 1}, schema.ParseFolderKey, func(fid mapi.FID, b []byte) error {
		h.counts[fid] = new(schema.FolderCounts)
		return schema.Decode(b, h.counts[fid])
	})
	if err != nil {
		return nil, err
	}
	user := v.subscriber()
	lo, hi := schema.SubscriptionKey(user, 0), schema.SubscriptionKey(user, mapi.FID(mapi.MaxGlobalCounter))
	return h, v.each(lo, hi, schema.ParseSubscriptionKey, func(fid mapi.FID, value []byte) error {
		h.subscribed[fid] = len(value) == 0
		return nil
	})
}

// inIPM reports whether a folder lies below the IPM subtree's top.
func (h *hierarchy) inIPM(f *schema.Folder) bool {
	for depth := 0; f != nil && depth <= maxDepth; depth++ {
		parent := mapi.LocalFID(f.Parent)
		if parent == schema.IPMSubtree {
			return true
		}
		f = h.folders[parent]
	}
	return false
}

func (h *hierarchy) describe(fid mapi.FID, c *schema.FolderCounts) exmdb.Folder {
	f := h.folders[fid]
	out := describe(fid, f, c, h.inIPM(f))
	var said bool
	if out.Subscribed, said = h.subscribed[fid]; !said {
		out.Subscribed = subscribedByDefault(fid)
	}
	return out
}

// folderBytes is about what a folder takes in an answer without its texts.
const folderBytes = 96

// listFolders answers in order of FID and not of the tree: a folder is found once, whatever moves between two pages.
func listFolders(v *view, req *exmdb.ListFoldersRequest) (*exmdb.ListFoldersResponse, error) {
	h, err := v.hierarchy()
	if err != nil {
		return nil, err
	}
	resp := &exmdb.ListFoldersResponse{IPM: schema.IPMSubtree, Sequence: v.r.Sequence()}
	size := 0
	for _, fid := range slices.Sorted(maps.Keys(h.counts)) {
		if fid <= req.After || fid == schema.Root || h.folders[fid] == nil {
			continue
		}
		if seen, err := v.sees(fid); err != nil || !seen {
			if err != nil {
				return nil, err
			}
			continue
		}
		if size >= answerBytes {
			resp.More = true
			break
		}
		c, err := v.shownCounts(fid, h.counts[fid])
		if err != nil {
			return nil, err
		}
		f := h.describe(fid, c)
		resp.Folders = append(resp.Folders, f)
		size += folderBytes + len(f.Name) + len(f.Class) + len(f.SpecialUse)
	}
	return resp, nil
}
