package archive

import (
	"fmt"
	"path/filepath"

	"github.com/flotilla-mail/flotilla/exmdb"
)

// readEML imports a file that is one mail, or those in a folder and below it: their folders are the mailbox's.
func (j *job) readEML() error {
	list, err := j.sources(false)
	if err != nil {
		return err
	}
	for _, s := range list {
		to, err := j.mailFolder(s.folder)
		if err != nil {
			return err
		}
		if err := j.mailFile(s.path, to, exmdb.Flags{}); err != nil {
			return err
		}
	}
	return nil
}

// writeEML exports each mail as a file, under its UID. What an export before has written there stays.
func (j *job) writeEML() error {
	for _, f := range j.chosen() {
		dir := filepath.Join(j.Path, onDisk(j.tree.path(f.FID)))
		err := j.exportMails(f, func(row *exmdb.Row) (bool, error) {
			path := filepath.Join(dir, fmt.Sprintf("%010d%s", row.UID, j.format.suffixes[0]))
			if exists(path) {
				return false, nil
			}
			return true, write(path, row.Received, func(out *output) error { return j.octets(out, f.FID, row) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}
