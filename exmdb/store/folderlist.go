package store

import (
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// hierarchy is all folders of a mailbox in memory, for one op.
type hierarchy struct {
	folders    map[mapi.FID]*schema.Folder
	counts     map[mapi.FID]*schema.FolderCounts
	subscribed map[mapi.FID]bool
	below      map[mapi.FID][]mapi.FID
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
	h := &hierarchy{make(map[mapi.FID]*schema.Folder), make(map[mapi.FID]*schema.FolderCounts), make(map[mapi.FID]bool), make(map[mapi.FID][]mapi.FID)}
	err := v.each([]byte{schema.PrefixFolder}, []byte{schema.PrefixFolder + 1}, schema.ParseFolderKey, func(fid mapi.FID, b []byte) error {
		f := new(schema.Folder)
		h.folders[fid] = f
		if err := schema.Decode(b, f); err != nil {
			return err
		}
		parent := mapi.LocalFID(f.Parent)
		h.below[parent] = append(h.below[parent], fid)
		return nil
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

// appendBelow adds what is below a folder, by name, parents before children.
func (h *hierarchy) appendBelow(list []exmdb.Folder, parent mapi.FID, inIPM bool) []exmdb.Folder {
	inIPM = inIPM || parent == schema.IPMSubtree
	below := h.below[parent]
	slices.SortFunc(below, func(a, b mapi.FID) int { return strings.Compare(h.folders[a].Name, h.folders[b].Name) })
	for _, fid := range below {
		c := h.counts[fid]
		if c == nil {
			continue
		}
		f := describe(fid, h.folders[fid], c, inIPM)
		var said bool
		if f.Subscribed, said = h.subscribed[fid]; !said {
			f.Subscribed = subscribedByDefault(fid)
		}
		list = h.appendBelow(append(list, f), fid, inIPM)
	}
	return list
}

func listFolders(v *view, _ *exmdb.Empty) (*exmdb.ListFoldersResponse, error) {
	h, err := v.hierarchy()
	if err != nil {
		return nil, err
	}
	list := h.appendBelow(make([]exmdb.Folder, 0, len(h.folders)), schema.Root, false)
	return &exmdb.ListFoldersResponse{Folders: list, IPM: schema.IPMSubtree, Sequence: v.r.Sequence()}, nil
}
