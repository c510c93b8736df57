package archive

import (
	"context"
	"fmt"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// root is the folder above all.
const root = mapi.FID(uint64(mapi.LocalReplica)<<48 | 1)

// slash stands for a "/" in the name of a folder, since that parts names in paths (MAILBOX 6).
const slash = "\u2215"

// tree is the folders of a mailbox, to find them by path.
type tree struct {
	list []*exmdb.Folder
	byID map[mapi.FID]*exmdb.Folder
	ipm  mapi.FID
}

func readTree(ctx context.Context, c exmdb.Caller, box mapi.MailboxID) (*tree, error) {
	all, err := exmdb.ListFolders(ctx, c, exmdb.System, box)
	if err != nil {
		return nil, fmt.Errorf("list folders: %w", err)
	}
	t := &tree{byID: make(map[mapi.FID]*exmdb.Folder, len(all.Folders)), ipm: all.IPM}
	for i := range all.Folders {
		t.add(&all.Folders[i])
	}
	return t, nil
}

func (t *tree) add(f *exmdb.Folder) {
	t.list = append(t.list, f)
	t.byID[f.FID] = f
}

// path is a folder's path below the IPM subtree; what is outside that begins with "/".
func (t *tree) path(fid mapi.FID) string {
	f := t.byID[fid]
	if f == nil || fid == t.ipm {
		return ""
	}
	name := strings.ReplaceAll(f.Name, "/", slash)
	switch above := t.path(f.Parent); {
	case f.Parent == t.ipm:
		return name
	case above == "":
		return "/" + name
	default:
		return above + "/" + name
	}
}

// inside reports whether a folder is below another, or is it.
func (t *tree) inside(fid, above mapi.FID) bool {
	for f := t.byID[fid]; f != nil; f = t.byID[f.Parent] {
		if f.FID == above {
			return true
		}
	}
	return false
}

// child is the folder of a name below another, nil if there is none.
func (t *tree) child(parent mapi.FID, name string) *exmdb.Folder {
	for _, f := range t.list {
		if f.Parent == parent && mapi.CompareFold(f.Name, name) == 0 {
			return f
		}
	}
	return nil
}

// find is the folder at a path, nil if there is none.
func (t *tree) find(path string) *exmdb.Folder {
	at, rest := t.ipm, path
	if strings.HasPrefix(path, "/") {
		at, rest = root, path[1:]
	}
	var f *exmdb.Folder
	for name := range strings.SplitSeq(rest, "/") {
		if f = t.child(at, strings.ReplaceAll(name, slash, "/")); f == nil {
			return nil
		}
		at = f.FID
	}
	return f
}

// chosen are the folders that an export is of.
func (j *job) chosen() []*exmdb.Folder {
	var list []*exmdb.Folder
	var top *exmdb.Folder
	if j.Folder != "" {
		top = j.tree.find(j.Folder)
	}
	for _, f := range j.tree.list {
		switch {
		case f.FID == j.tree.ipm && j.format.name != "archive":
		case top != nil && j.tree.inside(f.FID, top.FID) && (j.format.name == "archive" || !f.Search):
			list = append(list, f)
		case top == nil && j.format.carried(f) && (j.format.name == "archive" || j.tree.inside(f.FID, j.tree.ipm)):
			list = append(list, f)
		}
	}
	return list
}

// usual are the names that other programs have for folders which every mailbox has, by their special use (RFC 6154).
var usual = map[string]string{"sent": `\Sent`, "sent messages": `\Sent`, "drafts": `\Drafts`, "trash": `\Trash`, "deleted messages": `\Trash`,
	"junk": `\Junk`, "spam": `\Junk`, "archive": `\Archive`}

// inbox is the folder that mail comes into, whatever it is called here.
const inbox = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x0D)

// topmost is a folder right below the IPM subtree, by its name or a usual one.
func (t *tree) topmost(name string) *exmdb.Folder {
	if f := t.child(t.ipm, name); f != nil {
		return f
	}
	if strings.EqualFold(name, "inbox") {
		return t.byID[inbox]
	}
	if use := usual[strings.ToLower(name)]; use != "" {
		for _, f := range t.list {
			if f.SpecialUse == use {
				return f
			}
		}
	}
	return nil
}

// ensure is the folder at a path below the IPM subtree, made if there is none, of a class if that is not the parent's.
func (j *job) ensure(path, class string) (*exmdb.Folder, error) {
	at := j.tree.byID[j.tree.ipm]
	parent := j.tree.ipm
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		name = strings.ReplaceAll(name, slash, "/")
		if at = j.tree.child(parent, name); at == nil && parent == j.tree.ipm {
			at = j.tree.topmost(name)
		}
		if at == nil {
			made, err := do(j, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: parent, Name: name, Class: class, Subscribe: true})
			if err != nil {
				return nil, fmt.Errorf("make folder %q: %w", path, err)
			}
			at = &made.Folder
			j.tree.add(at)
		}
		parent = at.FID
	}
	if at == nil || at.Search {
		return nil, cluster.Errorf(exmdb.KindSearchFolder, "%q holds no messages", path)
	}
	return at, nil
}

// under is a path below the folder that an import is told to go to.
func (j *job) under(path string) string { return strings.Trim(j.Folder+"/"+path, "/") }
