package storescript

import (
	"errors"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
)

var searchCommands = []command{
	{"search", 1, "search PATH [where=(R)] [in=PATH,…] [flags=Static,Recursive,…]: gives a search folder criteria", false, (*run).search},
	{"criteria", 1, "criteria PATH: where a search folder looks, and its state", false, (*run).criteria},
}

var searchFlags = map[string]exmdb.SearchFlags{"Stop": exmdb.SearchStop, "Restart": exmdb.SearchRestart, "Recursive": exmdb.SearchRecursive,
	"Shallow": exmdb.SearchShallow, "Static": exmdb.SearchStatic}

// searchStates are in the order in which they are said.
var searchStates = []struct {
	bit  exmdb.SearchState
	name string
}{{exmdb.SearchStateStatic, "static"}, {exmdb.SearchStateComplete, "complete"}, {exmdb.SearchStateRecursive, "recursive"}}

func (r *run) search() error {
	fid, err := r.folder(r.cmd.words[0])
	where, err2 := parseRestriction(r.cmd.text("where", ""))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	q := &exmdb.SetSearchCriteriaRequest{Folder: fid}
	if where != nil {
		q.Restriction = restrictionBytes(where)
	}
	for _, path := range r.cmd.list("in") {
		in, err := r.folder(path)
		if err != nil {
			return err
		}
		q.Folders = append(q.Folders, in)
	}
	for _, name := range r.cmd.list("flags") {
		bit, known := searchFlags[name]
		if !known {
			return mistake("no search flag %q", name)
		}
		q.Flags |= bit
	}
	_, err = do(r, exmdb.OpSetSearchCriteria, q)
	return err
}

func (r *run) criteria() error {
	fid, err := r.folder(r.cmd.words[0])
	if err != nil {
		return err
	}
	c, err := do(r, exmdb.OpSearchCriteria, &exmdb.FolderRequest{Folder: fid})
	if err != nil {
		return err
	}
	all, err := exmdb.ListFolders(r.cmd.ctx, r.cmd.caller, r.cmd.as, r.cmd.box.id)
	if err != nil {
		return err
	}
	var words []string
	for _, in := range c.Folders {
		name := "?" // one that the user does not see
		if i := slices.IndexFunc(all.Folders, func(f exmdb.Folder) bool { return f.FID == in }); i >= 0 {
			name = all.Folders[i].Name
		}
		words = append(words, name)
	}
	line := "in " + strings.Join(words, ", ") + ":"
	for _, s := range searchStates {
		if c.State&s.bit != 0 {
			line += " " + s.name
		}
	}
	r.say("%s", line)
	return nil
}
