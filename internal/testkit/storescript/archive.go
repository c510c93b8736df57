package storescript

import (
	"path/filepath"

	"github.com/flotilla-mail/flotilla/internal/archive"
)

var archiveCommands = []command{
	{"export", 1, "export FILE: the mailbox into an archive", false, (*run).exportAll},
	{"import", 1, "import FILE: an archive into the mailbox, as far as it is not there", false, (*run).importAll},
}

func (r *run) exportAll() error {
	path := filepath.Join(r.t.TempDir(), "all.flotilla")
	r.marks["archive "+r.cmd.words[0]] = path
	p, err := archive.Export(r.cmd.ctx, archive.Job{Caller: r.cmd.caller, Mailbox: r.cmd.box.id, Path: path, Format: "archive"})
	if err == nil {
		r.say("%s are in it, %d passed over", plural(uint64(p.Messages), "message"), p.Failed)
	}
	return err
}

func (r *run) importAll() error {
	path, ok := r.marks["archive "+r.cmd.words[0]].(string)
	if !ok {
		return mistake("no archive %q", r.cmd.words[0])
	}
	p, err := archive.Import(r.cmd.ctx, archive.Job{Caller: r.cmd.caller, Mailbox: r.cmd.box.id, Path: path, Format: "archive", Spool: r.t.TempDir()})
	if err == nil {
		r.say("%s came in, %d were there, %d passed over", plural(uint64(p.Messages), "message"), p.Known, p.Failed)
	}
	return err
}
