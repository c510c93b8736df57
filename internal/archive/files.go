package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
)

// What is written holds mail: it is for its owner alone.
const (
	fileMode   = 0o600
	folderMode = 0o700
)

// dot stands for a "." where that would mean something: at the beginning of a file's name, and in Maildir's folders.
const dot = "\u2024"

// output is a file that has its name only when it is whole.
type output struct {
	*bufio.Writer
	file *os.File
	path string
}

// part is the end of the names of files that are not whole.
const part = ".part"

// create begins a file, which must not be there.
func create(path string) (*output, error) {
	if exists(path) {
		return nil, fmt.Errorf("%w: %s: %w", ErrJob, path, fs.ErrExist)
	}
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return nil, err
	}
	return &output{bufio.NewWriterSize(f, 256<<10), f, path}, nil
}

// finish gives the file its name, or with an error removes it.
func (o *output) finish(err error) error {
	if err == nil {
		err = o.Flush()
	}
	if err == nil {
		err = o.file.Sync()
	}
	err = errors.Join(err, o.file.Close())
	if err != nil {
		return errors.Join(err, os.Remove(o.path+part))
	}
	return os.Rename(o.path+part, o.path)
}

// write writes a whole file of one message, with its time.
func write(path string, at time.Time, fill func(*output) error) error {
	out, err := create(path)
	if err != nil {
		return err
	}
	if err := out.finish(fill(out)); err != nil {
		return err
	}
	return os.Chtimes(path, time.Time{}, at)
}

// onDisk is a folder's path in a file system.
func onDisk(path string) string {
	names := strings.Split(path, "/")
	for i, name := range names {
		name = strings.ReplaceAll(name, "\x00", "")
		if rest, is := strings.CutPrefix(name, "."); is {
			name = dot + rest
		}
		names[i] = name
	}
	return filepath.Join(names...)
}

// fromDisk is the path of a folder that was written under a path in a file system.
func fromDisk(path string) string {
	names := strings.Split(filepath.ToSlash(path), "/")
	for i, name := range names {
		if rest, is := strings.CutPrefix(name, dot); is {
			names[i] = "." + rest
		}
	}
	return strings.Join(names, "/")
}

// isFile reports whether a path names one file of the format.
func (j *job) isFile(path string) bool {
	return slices.Contains(j.format.suffixes, strings.ToLower(filepath.Ext(path)))
}

// perFolder writes one file for each folder that has messages, or all folders into one, where the path names a file.
func (j *job) perFolder(fill func(*output, *exmdb.Folder) error) error {
	folders := j.chosen()
	if j.isFile(j.Path) {
		out, err := create(j.Path)
		if err != nil {
			return err
		}
		for _, f := range folders {
			if err = fill(out, f); err != nil {
				break
			}
		}
		return out.finish(err)
	}
	for _, f := range folders {
		if f.Messages == 0 {
			continue
		}
		out, err := create(filepath.Join(j.Path, onDisk(j.tree.path(f.FID))+j.format.suffixes[0]))
		if err != nil {
			return err
		}
		if err := out.finish(fill(out, f)); err != nil {
			return err
		}
	}
	return nil
}

// source is a file to be read, and the folder of the mailbox that its path says, "" if it says none.
type source struct {
	path, folder string
	at           time.Time
}

// sources are the files of the format at the path, in order of their names. A file's own name is that of a folder where files
// are folders; else the folder that the file is in is.
func (j *job) sources(filesAreFolders bool) ([]source, error) {
	info, err := os.Stat(j.Path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if !info.IsDir() {
		return []source{{path: j.Path, at: info.ModTime()}}, nil
	}
	var list []source
	err = filepath.WalkDir(j.Path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !j.isFile(path) {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		below, err := filepath.Rel(j.Path, path)
		if err != nil {
			return err
		}
		if filesAreFolders {
			below = strings.TrimSuffix(below, filepath.Ext(below))
		} else if below = filepath.Dir(below); below == "." {
			below = ""
		}
		list = append(list, source{path, fromDisk(below), info.ModTime()})
		return nil
	})
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%w: %s has no file %s", ErrInput, j.Path, strings.Join(j.format.suffixes, " or "))
	}
	return list, err
}

// open opens a source. The caller closes it.
func open(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return f, nil
}
