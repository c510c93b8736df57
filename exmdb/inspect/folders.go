package inspect

import (
	"context"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Folders are the folders of a mailbox, parents before children.
type Folders struct {
	Folders []Folder        `json:"folders"`
	Deleted []DeletedFolder `json:"deleted,omitempty"`
}

// Folder is a folder with its counts and stamps.
type Folder struct {
	ID          ID         `json:"id"`
	Parent      ID         `json:"parent"`
	Path        string     `json:"path"`
	Name        string     `json:"name"`
	Class       string     `json:"class"`
	SpecialUse  string     `json:"special_use,omitempty"`
	Fixed       bool       `json:"fixed"`
	IMAP        bool       `json:"imap"`
	Messages    uint32     `json:"messages"`
	Unread      uint32     `json:"unread"`
	Size        uint64     `json:"size"`
	CN          mapi.Stamp `json:"cn"`
	ContentSeq  mapi.Stamp `json:"content_seq"`
	UIDValidity uint32     `json:"uid_validity"`
	UIDNext     mapi.UID   `json:"uid_next"`
}

// DeletedFolder is a folder that can still be recovered.
type DeletedFolder struct {
	ID       ID        `json:"id"`
	Parent   ID        `json:"parent"`
	Name     string    `json:"name"`
	Class    string    `json:"class"`
	Messages uint32    `json:"messages"`
	Size     uint64    `json:"size"`
	At       time.Time `json:"at"`
	By       mapi.GUID `json:"by"`
}

func (m *Mailbox) folders(ctx context.Context, q *Query) (*Folders, error) {
	out := &Folders{Folders: []Folder{}}
	if q.Deleted {
		return out, m.deletedFolders(ctx, out)
	}
	t, err := m.tree(ctx)
	if err != nil {
		return nil, err
	}
	for i := range t.list {
		f := &t.list[i]
		out.Folders = append(out.Folders, Folder{ID: ID(f.FID), Parent: ID(f.Parent), Path: t.path(f.FID), Name: f.Name, Class: f.Class,
			SpecialUse: f.SpecialUse, Fixed: f.Fixed, IMAP: f.IMAP, Messages: f.Messages, Unread: f.Unseen, Size: f.Size, CN: f.CN,
			ContentSeq: f.ContentSeq, UIDValidity: f.UIDValidity, UIDNext: f.UIDNext})
	}
	return out, nil
}

func (m *Mailbox) deletedFolders(ctx context.Context, out *Folders) error {
	req := &exmdb.DeletedFoldersRequest{}
	for {
		page, err := do(ctx, m, exmdb.OpDeletedFolders, req)
		if err != nil {
			return err
		}
		for _, f := range page.Folders {
			req.After = f.FID
			out.Deleted = append(out.Deleted, DeletedFolder{ID: ID(f.FID), Parent: ID(f.Parent), Name: f.Name, Class: f.Class,
				Messages: f.Messages, Size: f.Size, At: f.At, By: f.By})
		}
		if !page.More || len(page.Folders) == 0 {
			return nil
		}
	}
}

// tree is all folders, to find them by path.
type tree struct {
	list []exmdb.Folder
	byID map[mapi.FID]*exmdb.Folder
}

func (m *Mailbox) tree(ctx context.Context) (*tree, error) {
	all, err := exmdb.ListFolders(ctx, m.Caller, exmdb.System, m.ID)
	if err != nil {
		return nil, err
	}
	t := &tree{list: all.Folders, byID: make(map[mapi.FID]*exmdb.Folder, len(all.Folders))}
	for i := range t.list {
		t.byID[t.list[i].FID] = &t.list[i]
	}
	return t, nil
}

// path is a folder's path: below the IPM subtree without its top, which clients do not show; elsewhere from the root,
// with a slash in front.
func (t *tree) path(fid mapi.FID) string {
	names, at := []string{}, fid
	for {
		f := t.byID[at]
		if at == schema.IPMSubtree && len(names) > 0 || f == nil {
			break
		}
		names = append([]string{f.Name}, names...)
		at = f.Parent
	}
	if at == schema.IPMSubtree {
		return strings.Join(names, "/")
	}
	return "/" + strings.Join(names, "/")
}

// find is the folder of a path or id. A fixed folder also has its English name, and case does not matter.
func (t *tree) find(text string) (mapi.FID, error) {
	if id, ok := ParseID(text); ok {
		if mapi.FID(id) == schema.Root || t.byID[mapi.FID(id)] != nil {
			return mapi.FID(id), nil
		}
	}
	if text == "/" {
		return schema.Root, nil
	}
	for i := range t.list {
		if strings.EqualFold(t.path(t.list[i].FID), text) {
			return t.list[i].FID, nil
		}
	}
	for i := range schema.FixedFolders {
		f := &schema.FixedFolders[i]
		if strings.EqualFold(f.Name, text) && t.byID[f.FID()] != nil {
			return f.FID(), nil
		}
	}
	return 0, cluster.Errorf(exmdb.KindNoFolder, "no folder %q: 'folders' lists their paths and ids", text)
}

// folder finds the folder of a query, or the one that is meant where it names none, zero for all.
func (m *Mailbox) folder(ctx context.Context, text string, usual mapi.FID) (*tree, mapi.FID, error) {
	t, err := m.tree(ctx)
	if err != nil {
		return nil, 0, err
	}
	if text != "" {
		fid, err := t.find(text)
		return t, fid, err
	}
	if usual != 0 && t.byID[usual] == nil {
		return nil, 0, cluster.Errorf(exmdb.KindNoFolder, "the mailbox has no Inbox: name a folder, 'folders' lists them")
	}
	return t, usual, nil
}

// Find is the folder of a path or id.
func (m *Mailbox) Find(ctx context.Context, text string) (mapi.FID, error) {
	t, err := m.tree(ctx)
	if err != nil {
		return 0, err
	}
	return t.find(text)
}

// Path is the path of a folder.
func (m *Mailbox) Path(ctx context.Context, fid mapi.FID) (string, error) {
	t, err := m.tree(ctx)
	if err != nil {
		return "", err
	}
	return t.path(fid), nil
}
