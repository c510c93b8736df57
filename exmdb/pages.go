package exmdb

import (
	"cmp"
	"context"
	"slices"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// ListFolders reads every folder below the root, page by page: parents before children, siblings by name. What changes
// between two pages may be seen as it was or as it is; Sequence is that of the first page, so a watch from there on
// tells of it.
func ListFolders(ctx context.Context, c Caller, as Identity, box mapi.MailboxID) (*ListFoldersResponse, error) {
	all, err := Do(ctx, c, as, box, OpListFolders, &ListFoldersRequest{})
	if err != nil {
		return nil, err
	}
	for more := all.More; more && len(all.Folders) > 0; {
		page, err := Do(ctx, c, as, box, OpListFolders, &ListFoldersRequest{After: all.Folders[len(all.Folders)-1].FID})
		if err != nil {
			return nil, err
		}
		all.Folders = append(all.Folders, page.Folders...)
		more = page.More && len(page.Folders) > 0
	}
	all.Folders, all.More = inTreeOrder(all.Folders), false
	return all, nil
}

// inTreeOrder puts parents before children and siblings in order of their names. Folders whose parents are not listed
// are at the top.
func inTreeOrder(folders []Folder) []Folder {
	slices.SortFunc(folders, func(a, b Folder) int { return cmp.Compare(a.Name, b.Name) })
	listed := make(map[mapi.FID]bool, len(folders))
	for i := range folders {
		listed[folders[i].FID] = true
	}
	below := make(map[mapi.FID][]*Folder)
	for i := range folders {
		parent := folders[i].Parent
		if !listed[parent] {
			parent = 0
		}
		below[parent] = append(below[parent], &folders[i])
	}
	out := make([]Folder, 0, len(folders))
	var add func(parent mapi.FID)
	add = func(parent mapi.FID) {
		for _, f := range below[parent] {
			out = append(out, *f)
			add(f.FID)
		}
	}
	add(0)
	return out
}

// UIDs reads all UIDs of a folder, page by page. They are those of the first page's state but for what has vanished
// since, and the stamp in its Folder is not above any page's: OpChanges from there on tells what else has happened.
func UIDs(ctx context.Context, c Caller, as Identity, box mapi.MailboxID, folder mapi.FID) (*UIDsResponse, error) {
	all, err := Do(ctx, c, as, box, OpUIDs, &UIDsRequest{Folder: folder})
	if err != nil {
		return nil, err
	}
	for next := all.Next; next != 0 && next < all.Folder.UIDNext; {
		page, err := Do(ctx, c, as, box, OpUIDs, &UIDsRequest{Folder: folder, From: next})
		if err != nil {
			return nil, err
		}
		for _, r := range page.UIDs {
			if r.First < all.Folder.UIDNext {
				all.UIDs = append(all.UIDs, UIDRange{First: r.First, Last: min(r.Last, all.Folder.UIDNext-1)})
			}
		}
		if all.FirstUnseen == 0 && page.FirstUnseen < all.Folder.UIDNext {
			all.FirstUnseen = page.FirstUnseen
		}
		next = page.Next
	}
	all.Next = 0
	return all, nil
}
