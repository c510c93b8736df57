package inspect

import (
	"context"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Rights are the permissions lists of folders.
type Rights struct {
	Folders []FolderRights `json:"folders"`
}

// FolderRights is the permissions list of a folder.
type FolderRights struct {
	ID      ID         `json:"id"`
	Path    string     `json:"path"`
	CN      mapi.Stamp `json:"cn"`
	Members []Member   `json:"members"`
}

// Member is an entry of a permissions list. User is zero for everyone else, "default", and for those who are not signed
// in, "anonymous".
type Member struct {
	ID     int64     `json:"id"`
	User   mapi.GUID `json:"user"`
	Name   string    `json:"name"`
	Rights []string  `json:"rights"`
}

// rightNames are the rights as MS-OXCPERM 2.2.7 names their bits.
var rightNames = []struct {
	bit  exmdb.FolderRights
	name string
}{{exmdb.RightReadAny, "ReadAny"}, {exmdb.RightCreate, "Create"}, {exmdb.RightEditOwned, "EditOwned"}, {exmdb.RightDeleteOwned, "DeleteOwned"},
	{exmdb.RightEditAny, "EditAny"}, {exmdb.RightDeleteAny, "DeleteAny"}, {exmdb.RightCreateSubfolder, "CreateSubFolder"},
	{exmdb.RightFolderOwner, "FolderOwner"}, {exmdb.RightFolderContact, "FolderContact"}, {exmdb.RightFolderVisible, "FolderVisible"},
	{exmdb.RightFreeBusySimple, "FreeBusySimple"}, {exmdb.RightFreeBusyDetailed, "FreeBusyDetailed"}}

// RightNames are the names of rights.
func RightNames(r exmdb.FolderRights) []string {
	names := []string{}
	for _, n := range rightNames {
		if r&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

func (m *Mailbox) rights(ctx context.Context, q *Query) (*Rights, error) {
	t, only, err := m.folder(ctx, q.Folder, 0)
	if err != nil {
		return nil, err
	}
	fids := []mapi.FID{only}
	if only == 0 {
		fids = fids[:0]
		for i := range t.list {
			fids = append(fids, t.list[i].FID)
		}
	}
	out := &Rights{Folders: []FolderRights{}}
	for _, fid := range fids {
		list, err := do(ctx, m, exmdb.OpPermissions, &exmdb.FolderRequest{Folder: fid})
		if err != nil {
			return nil, err
		}
		f := FolderRights{ID: ID(fid), Path: t.path(fid), CN: list.CN}
		for _, e := range list.Members {
			f.Members = append(f.Members, Member{ID: e.ID, User: e.User, Name: memberName(&e), Rights: RightNames(e.Rights)})
		}
		out.Folders = append(out.Folders, f)
	}
	return out, nil
}

func memberName(e *exmdb.Member) string {
	switch {
	case !e.User.IsZero():
		return e.Name
	case e.ID == exmdb.MemberAnonymous:
		return "anonymous"
	}
	return "default"
}
