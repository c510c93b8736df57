package storescript

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/inspect"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

var folderCommands = []command{
	{"folders", 0, "folders [show=class,use,counts] [below=PATH]: the folders' paths", false, (*run).folders},
	{"imap", 0, "imap: the folders that IMAP lists to the mailbox's user", false, (*run).imap},
	{"new", 1, "new PATH [class=] [use=] [search=yes]", false, (*run).newFolder},
	{"rename", 2, "rename PATH PATH: moves it too", false, (*run).rename},
	{"copyfolder", 2, "copyfolder PATH PATH [deep=yes]", false, (*run).copyFolder},
	{"rmdir", 1, "rmdir PATH [hard=yes] [deep=yes]", false, (*run).removeFolder},
	{"empty", 1, "empty PATH [hard=yes] [associated=yes] [folders=yes]", false, (*run).empty},
	{"cn", -1, "cn PATH…: whether the folder's CN has grown since it was asked for last", false, (*run).cn},
	{"count", -1, "count PATH…", false, (*run).count},
	{"deletedfolders", 0, "deletedfolders", false, (*run).deletedFolders},
	{"recoverfolder", 2, "recoverfolder NAME PATH", false, (*run).recoverFolder},
}

func (r *run) folders() error {
	all, err := exmdb.ListFolders(r.cmd.ctx, r.cmd.caller, r.cmd.as, r.cmd.box.id)
	if err != nil {
		return err
	}
	paths := map[mapi.FID]string{all.IPM: ""}
	show, below := r.cmd.list("show"), r.cmd.text("below", "")
	for _, f := range all.Folders {
		if _, inside := paths[f.Parent]; !inside {
			continue
		}
		paths[f.FID] = strings.TrimPrefix(paths[f.Parent]+"/"+f.Name, "/")
		if below != "" && !strings.HasPrefix(paths[f.FID]+"/", below+"/") {
			continue
		}
		line := paths[f.FID]
		for _, what := range show {
			line += " " + map[string]string{"class": f.Class, "use": f.SpecialUse, "counts": fmt.Sprintf("%d/%d", f.Messages, f.Unseen)}[what]
		}
		r.say("%s", line)
	}
	return nil
}

func (r *run) imap() error {
	list, err := r.site.IMAP(r.cmd.ctx, r.cmd.text("at", ""), r.cmd.box.address)
	if err != nil {
		return mistakeError{err}
	}
	slices.Sort(list)
	r.say("%s", strings.Join(list, "\n"))
	return nil
}

func (r *run) newFolder() error {
	parent, name := split(r.cmd.words[0])
	fid, err := r.folder(parent)
	if err != nil {
		return err
	}
	resp, err := do(r, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: fid, Name: name, Class: r.cmd.text("class", ""), SpecialUse: r.cmd.text("use", ""), Search: r.cmd.is("search")})
	if err == nil {
		r.cmd.made = made{uint64(resp.Folder.FID), true}
	}
	return err
}

// placing is a folder, and where and as what it is to be.
func (r *run) placing() (fid, parent mapi.FID, name string, err error) {
	fid, err = r.folder(r.cmd.words[0])
	above, name := split(r.cmd.words[1])
	parent, err2 := r.folder(above)
	return fid, parent, name, errors.Join(err, err2)
}

func (r *run) rename() error {
	fid, to, name, err := r.placing()
	if err != nil {
		return err
	}
	resp, err := do(r, exmdb.OpMoveFolder, &exmdb.MoveFolderRequest{Folder: fid, Parent: to, Name: name})
	if err == nil && resp.Folder.FID != fid {
		return mistake("the folder became another")
	}
	return err
}

func (r *run) copyFolder() error {
	fid, to, name, err := r.placing()
	if err != nil {
		return err
	}
	q := &exmdb.CopyFolderRequest{Folder: fid, Parent: to, Name: name, Recursive: r.cmd.is("deep")}
	return steps(r, exmdb.OpCopyFolder, q, func(resp *exmdb.CopyFolderResponse) bool {
		if q.Task = resp.Task; resp.Done {
			r.say("%s in %s", plural(resp.Messages, "message"), plural(uint64(resp.Folders), "folder"))
		}
		return !resp.Done
	})
}

func (r *run) removeFolder() error {
	fid, err := r.folder(r.cmd.words[0])
	if err != nil {
		return err
	}
	_, err = do(r, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: fid, Hard: r.cmd.is("hard"), Recursive: r.cmd.is("deep")})
	return err
}

func (r *run) empty() error {
	fid, err := r.folder(r.cmd.words[0])
	if err != nil {
		return err
	}
	q := &exmdb.EmptyFolderRequest{Folder: fid, Hard: r.cmd.is("hard"), Associated: r.cmd.is("associated"), Folders: r.cmd.is("folders")}
	return steps(r, exmdb.OpEmptyFolder, q, func(resp *exmdb.EmptyFolderResponse) bool {
		if q.Cursor = resp.Cursor; resp.Done {
			r.say("%s, %s deleted, %d left", plural(resp.Cursor.Messages, "message"), plural(uint64(resp.Cursor.Folders), "folder"), resp.Left)
		}
		return !resp.Done
	})
}

func (r *run) cn() error {
	for _, path := range r.cmd.words {
		fid, err := r.folder(path)
		if err != nil {
			return err
		}
		resp, err := do(r, exmdb.OpFolder, &exmdb.FolderRequest{Folder: fid})
		if err != nil {
			return err
		}
		was, known := r.seen[fid]
		word := map[bool]string{true: "has grown", false: "is the same"}[resp.Folder.CN > was]
		if !known {
			word = "is known now"
		}
		if resp.Folder.CN < was {
			word = "has shrunk"
		}
		r.seen[fid] = resp.Folder.CN
		r.say("%s %s", path, word)
	}
	return nil
}

func (r *run) count() error {
	for _, path := range r.cmd.words {
		fid, err := r.folder(path)
		if err != nil {
			return err
		}
		resp, err := do(r, exmdb.OpFolder, &exmdb.FolderRequest{Folder: fid})
		if err != nil {
			return err
		}
		r.say("%s: %s, %d unread", path, plural(uint64(resp.Folder.Messages), "message"), resp.Folder.Unseen)
	}
	return nil
}

// gone are the folders that can be recovered.
func (r *run) gone() ([]inspect.DeletedFolder, error) {
	v, err := r.look().Show(r.cmd.ctx, "folders", inspect.Query{Deleted: true})
	if err != nil {
		return nil, err
	}
	return v.(*inspect.Folders).Deleted, nil
}

func (r *run) deletedFolders() error {
	list, err := r.gone()
	for _, f := range list {
		r.say("%s: %s", f.Name, plural(uint64(f.Messages), "message"))
	}
	return err
}

func (r *run) recoverFolder() error {
	parent, name := split(r.cmd.words[1])
	to, err := r.folder(parent)
	if err != nil {
		return err
	}
	id, err := r.goneFolder(r.cmd.words[0])
	if err != nil {
		return err
	}
	_, err = do(r, exmdb.OpRecoverFolder, &exmdb.RecoverFolderRequest{Folder: id.Folder, Parent: to, Name: name})
	return err
}

// goneFolder is a soft-deleted folder by its name.
func (r *run) goneFolder(name string) (exmdb.ObjectID, error) {
	list, err := r.gone()
	if err != nil {
		return exmdb.ObjectID{}, err
	}
	for _, f := range list {
		if f.Name == name {
			return exmdb.ObjectID{Folder: mapi.FID(f.ID), Deleted: true}, nil
		}
	}
	return exmdb.ObjectID{}, mistake("no folder %q was deleted", name)
}
