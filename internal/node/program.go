package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/version"
	"github.com/flotilla-mail/flotilla/placement"
)

// programs is the folder with the programs of a node. Each is named after its content, so that one under its name is
// whole; links say which is started, which was before, and which was staged last.
type programs struct{ dir string }

// The links, for ever: the systemd unit starts the first.
const (
	linkCurrent  = "current"
	linkPrevious = "previous"
	linkStaged   = "staged"
)

const (
	programName = "flotilla-"
	// maxProgram bounds what is taken for a program.
	maxProgram = 1 << 30
	// describeTime is how long a program may take to say what it is.
	describeTime = 20 * time.Second
)

// CurrentProgram is the program that a node's data folder says to start; empty where an upgrade has chosen none.
func CurrentProgram(dir string) string {
	p := programs{filepath.Join(dir, "program")}
	if name, err := p.linked(linkCurrent); err == nil && name != "" {
		return p.path(name)
	}
	return ""
}

func (p programs) path(name string) string { return filepath.Join(p.dir, name) }

// linked is the program of the folder that a link names; empty when there is no such link, or it leads out of the folder, as
// that of a node that was only set up does.
func (p programs) linked(link string) (string, error) {
	to, err := os.Readlink(p.path(link))
	if errors.Is(err, fs.ErrNotExist) || err == nil && (filepath.Base(to) != to || !strings.HasPrefix(to, programName)) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read link %s: %w", link, err)
	}
	return to, nil
}

// link sets a link in one step: whoever starts it meets the old program or the new one.
func (p programs) link(link, to string) error {
	tmp := p.path(".new-" + link)
	if err := removeIfThere(tmp); err != nil {
		return fmt.Errorf("link %s: %w", link, err)
	}
	err := os.Symlink(to, tmp)
	if err == nil {
		err = os.Rename(tmp, p.path(link))
	}
	if err == nil {
		err = syncDir(p.dir)
	}
	if err != nil {
		return fmt.Errorf("link %s to %s: %w", link, to, err)
	}
	return nil
}

// linkInstalled makes the program that was installed on the machine, which this is, the one that is started, until an upgrade
// chooses another. A link that is there stays.
func linkInstalled(dir string) error {
	p := programs{dir}
	if _, err := os.Lstat(p.path(linkCurrent)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	installed, err := os.Executable()
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	return p.link(linkCurrent, installed)
}

// back makes an earlier program the one that is started. There is no way forward then but by what is staged.
func (p programs) back(to string) error {
	err := p.link(linkCurrent, to)
	if err == nil {
		err = p.unlink(linkPrevious)
	}
	return errors.Join(err, p.tidy())
}

// RevertHere makes the program that a node ran before the one that its next start meets, and returns its path. It is for a node
// whose program does not get as far as being told to go back, so it knows nothing but the node's data folder.
func RevertHere(dir string) (path string, err error) {
	p := programs{filepath.Join(dir, "program")}
	name, err := p.linked(linkPrevious)
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", cluster.Errorf(cluster.KindBadRequest, "%s names no earlier program: the node was not upgraded, or the upgrade was finalized or reverted", p.dir)
	}
	if err := p.whole(name); err != nil {
		return "", err
	}
	return p.path(name), p.back(name)
}

// unlink removes a link, if there is one.
func (p programs) unlink(link string) error {
	if _, err := os.Lstat(p.path(link)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.Remove(p.path(link)); err != nil {
		return fmt.Errorf("remove link %s: %w", link, err)
	}
	return syncDir(p.dir)
}

// nameOf is the name of a program with a SHA-256.
func nameOf(sum []byte) string { return programName + hex.EncodeToString(sum) }

// add takes a program in and returns its name. want is the SHA-256 that it has to have, in hex; empty takes any.
func (p programs) add(r io.Reader, want string) (name string, err error) {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return "", fmt.Errorf("make program folder: %w", err)
	}
	tmp, err := os.CreateTemp(p.dir, ".new-*")
	if err != nil {
		return "", fmt.Errorf("take program in: %w", err)
	}
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(tmp, hash), io.LimitReader(r, maxProgram+1))
	sum := hash.Sum(nil)
	switch {
	case err != nil:
	case size == 0 || size > maxProgram:
		err = cluster.Errorf(cluster.KindTooLarge, "a program of %d bytes: want 1 to %d", size, maxProgram)
	case want != "" && !strings.EqualFold(want, hex.EncodeToString(sum)):
		err = cluster.Errorf(cluster.KindBadRequest, "the program arrived with the checksum %x and not %s", sum, want)
	}
	err = errors.Join(err, tmp.Chmod(0o755), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), p.path(nameOf(sum)))
	}
	if err == nil {
		err = syncDir(p.dir)
	}
	if err != nil {
		return "", fmt.Errorf("take program in: %w", errors.Join(err, removeIfThere(tmp.Name())))
	}
	return nameOf(sum), nil
}

// whole checks that a program still has the content that its name says.
func (p programs) whole(name string) error {
	sum, err := sumOf(p.path(name))
	if err != nil {
		return err
	}
	if nameOf(sum) != name {
		return cluster.Errorf(cluster.KindUnsafe, "%s has changed since it was staged: stage it again", p.path(name))
	}
	return nil
}

func sumOf(path string) (sum []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read program: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return nil, fmt.Errorf("read program %s: %w", path, err)
	}
	return hash.Sum(nil), nil
}

// ownProgram is the file that this process runs, even if another stands under its name by now.
const ownProgram = "/proc/self/exe"

func ownName() (string, error) {
	sum, err := sumOf(ownProgram)
	return nameOf(sum), err
}

// keepOwn takes the running program in, so that there is a way back to it, and returns its name.
func (p programs) keepOwn() (name string, err error) {
	if name, err = ownName(); err != nil {
		return "", err
	}
	if p.whole(name) == nil {
		return name, nil
	}
	f, err := os.Open(ownProgram)
	if err != nil {
		return "", fmt.Errorf("read own program: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return p.add(f, strings.TrimPrefix(name, programName))
}

// tidy removes the programs that no link names, and what a crash has left.
func (p programs) tidy() error {
	keep := map[string]bool{linkCurrent: true, linkPrevious: true, linkStaged: true}
	for _, link := range []string{linkCurrent, linkPrevious, linkStaged} {
		name, err := p.linked(link)
		if err != nil {
			return err
		}
		keep[name] = true
	}
	entries, err := os.ReadDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !keep[e.Name()] {
			err = errors.Join(err, removeIfThere(p.path(e.Name())))
		}
	}
	return err
}

// Described is what a program says of itself, to `flotilla version --json`.
type Described struct {
	version.Info
	Levels placement.Levels `json:"levels"`
}

// Describe says what this program is.
func Describe() Described {
	return Described{Info: version.Get(), Levels: levels()}
}

// describe asks a program what it is: one that does not run on this machine does not get further.
func (p programs) describe(ctx context.Context, name string) (*Described, error) {
	ctx, cancel := context.WithTimeout(ctx, describeTime)
	defer cancel()
	// #nosec G204 -- only an administrator stages programs, and this one runs as the node itself soon
	out, err := exec.CommandContext(ctx, p.path(name), "version", "--json").Output()
	d := new(Described)
	if err == nil {
		err = json.Unmarshal(out, d)
	}
	if err != nil || d.Levels.Newest == 0 {
		return nil, cluster.Errorf(cluster.KindBadRequest, "this is no flotilla that runs on this machine: %v", err)
	}
	return d, nil
}

// fit refuses a program that does not speak the cluster's level.
func (p programs) fit(ctx context.Context, name string, level placement.Level) (*Described, error) {
	d, err := p.describe(ctx, name)
	if err != nil {
		return nil, err
	}
	level = max(level, placement.FirstLevel)
	if speaks := d.Levels; !speaks.Has(level) {
		why := "the upgrade was finalized, there is no way back"
		if speaks.Oldest > level {
			why = "go over to a release in between first, with 'flotilla upgrade --all', and make it the oldest there is with 'flotilla upgrade --finalize'"
		}
		return nil, cluster.Errorf(cluster.KindUnsafe, "%s speaks %s, and the cluster is at level %d: %s", d.Release, speaks, level, why)
	}
	return d, nil
}
