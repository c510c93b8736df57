package archive

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
)

// Maildir as Dovecot and Courier have it: the Inbox at the top, each other folder in one beside it whose name is its path with
// dots (Maildir++), flags at the end of the names of files, keywords as small letters that a file explains.

// maildirFlags are the letters of flags, in the order in which they stand.
var maildirFlags = []struct {
	letter byte
	bit    exmdb.FlagBits
}{
	{'D', exmdb.FlagDraft}, {'F', exmdb.FlagFlagged}, {'P', exmdb.FlagForwarded}, {'R', exmdb.FlagAnswered}, {'S', exmdb.FlagSeen}, {'T', exmdb.FlagDeleted},
}

const (
	keywordsFile = "dovecot-keywords"
	// maxKeywords is how many keywords have letters.
	maxKeywords = 26
	infoMark    = ":2,"
)

// keywordLetters are the keywords of a folder; a keyword's place is its letter.
type keywordLetters []string

func readKeywords(dir string) (keywordLetters, error) {
	b, err := os.ReadFile(filepath.Join(dir, keywordsFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseKeywords(string(b)), nil
}

// parseKeywords reads what explains letters: a number and a word a line.
func parseKeywords(text string) keywordLetters {
	list := make(keywordLetters, maxKeywords)
	for line := range strings.Lines(text) {
		var n int
		number, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, err := fmt.Sscan(number, &n); err == nil && n >= 0 && n < maxKeywords {
			list[n] = name
		}
	}
	for len(list) > 0 && list[len(list)-1] == "" {
		list = list[:len(list)-1]
	}
	return list
}

func (k keywordLetters) write(dir string) error {
	var b bytes.Buffer
	for i, name := range k {
		fmt.Fprintf(&b, "%d %s\n", i, name)
	}
	return os.WriteFile(filepath.Join(dir, keywordsFile), b.Bytes(), fileMode)
}

// info is the end of a file's name: the flags. Keywords that have no letter any more are returned.
func (k *keywordLetters) info(f exmdb.Flags) (info string, left []string) {
	b := []byte(infoMark)
	for _, each := range maildirFlags {
		if f.Bits&each.bit != 0 {
			b = append(b, each.letter)
		}
	}
	var small []byte
	for _, name := range f.Keywords {
		at := slices.Index(*k, name)
		if at < 0 && len(*k) < maxKeywords {
			at = len(*k)
			*k = append(*k, name)
		}
		if at < 0 {
			left = append(left, name)
			continue
		}
		small = append(small, 'a'+byte(at))
	}
	slices.Sort(small)
	return string(append(b, small...)), left
}

// flags reads the end of a file's name.
func (k keywordLetters) flags(name string) exmdb.Flags {
	var f exmdb.Flags
	_, info, _ := strings.Cut(name, infoMark)
	for i := range len(info) {
		for _, each := range maildirFlags {
			if info[i] == each.letter {
				f.Bits |= each.bit
			}
		}
		if at := int(info[i]) - 'a'; at >= 0 && at < len(k) && k[at] != "" {
			f.Keywords = append(f.Keywords, k[at])
		}
	}
	return f
}

// maildirOf is where a folder is below the top.
func maildirOf(path string) string {
	names := strings.Split(path, "/")
	for i, name := range names {
		names[i] = imapwire.EncodeUTF7(strings.ReplaceAll(name, ".", dot))
	}
	return "." + strings.Join(names, ".")
}

// maildirPath is the path of the folder in a directory of that name.
func maildirPath(name string) (string, error) {
	names := strings.Split(strings.TrimPrefix(name, "."), ".")
	for i := range names {
		plain, err := imapwire.DecodeUTF7(names[i])
		if err != nil || plain == "" {
			return "", fmt.Errorf("%w: the name of folder %q is no modified UTF-7", ErrInput, name)
		}
		names[i] = strings.ReplaceAll(strings.ReplaceAll(plain, "/", slash), dot, ".")
	}
	return strings.Join(names, "/"), nil
}

// readMaildir imports a Maildir with its folders.
func (j *job) readMaildir() error {
	if !exists(filepath.Join(j.Path, "cur")) {
		return fmt.Errorf("%w: %s is no Maildir: it has no folder cur", ErrInput, j.Path)
	}
	if err := j.readMaildirFolder(j.Path, ""); err != nil {
		return err
	}
	all, err := os.ReadDir(j.Path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	for _, e := range all {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), ".") || !exists(filepath.Join(j.Path, e.Name(), "cur")) {
			continue
		}
		path, err := maildirPath(e.Name())
		if err != nil {
			return err
		}
		if err := j.readMaildirFolder(filepath.Join(j.Path, e.Name()), path); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) readMaildirFolder(dir, path string) error {
	to, err := j.mailFolder(path)
	if err != nil {
		return err
	}
	keywords, err := readKeywords(dir)
	if err != nil {
		return err
	}
	for _, sub := range []string{"cur", "new"} {
		all, err := os.ReadDir(filepath.Join(dir, sub))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		for _, e := range all {
			if !e.Type().IsRegular() {
				continue
			}
			if err := j.mailFile(filepath.Join(dir, sub, e.Name()), to, keywords.flags(e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// mailFile imports a file that is one mail, received at the time of the file.
func (j *job) mailFile(path string, to *exmdb.Folder, flags exmdb.Flags) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return j.each(path, fmt.Errorf("%w: %w", ErrInput, err))
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return j.mail(path, to, f, state{flags, info.ModTime()})
}

// writeMaildir exports folders as a Maildir. What an export before has written there stays.
func (j *job) writeMaildir() error {
	if err := makeMaildir(j.Path); err != nil {
		return err
	}
	for _, f := range j.chosen() {
		dir := j.Path
		if f.FID != inbox {
			dir = filepath.Join(j.Path, maildirOf(j.tree.path(f.FID)))
			if err := errors.Join(makeMaildir(dir), os.WriteFile(filepath.Join(dir, "maildirfolder"), nil, fileMode)); err != nil {
				return err
			}
		}
		if err := j.writeMaildirFolder(dir, f); err != nil {
			return err
		}
	}
	return nil
}

func makeMaildir(dir string) error {
	var all error
	for _, sub := range []string{"cur", "new", "tmp"} {
		all = errors.Join(all, os.MkdirAll(filepath.Join(dir, sub), folderMode))
	}
	return all
}

func (j *job) writeMaildirFolder(dir string, f *exmdb.Folder) error {
	keywords, err := readKeywords(dir)
	if err != nil {
		return err
	}
	before, err := os.ReadDir(filepath.Join(dir, "cur"))
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(before))
	for _, e := range before {
		base, _, _ := strings.Cut(e.Name(), infoMark)
		there[base] = true
	}
	err = j.exportMails(f, func(row *exmdb.Row) (bool, error) {
		base := fmt.Sprintf("%d.M%dV%d.flotilla,S=%d", row.Received.Unix(), row.UID, f.UIDValidity, row.Size)
		if there[base] {
			return false, nil
		}
		info, left := keywords.info(row.Flags)
		if len(left) > 0 && j.Warn != nil {
			j.Warn(fmt.Sprintf("%s, UID %d", j.done.Folder, row.UID), fmt.Errorf("a Maildir has %d keywords: no room for %q", maxKeywords, left))
		}
		return true, j.writeMaildirMail(dir, base, info, func(out *output) error { return j.octets(out, f.FID, row) }, row.Received)
	})
	if len(keywords) > 0 {
		err = errors.Join(err, keywords.write(dir))
	}
	return err
}

// writeMaildirMail writes one mail, first into tmp, as readers of a Maildir expect.
func (j *job) writeMaildirMail(dir, base, info string, fill func(*output) error, at time.Time) error {
	tmp := filepath.Join(dir, "tmp", base)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) { // of an export that was cut off
		return err
	}
	if err := write(tmp, at, fill); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, "cur", base+info))
}
