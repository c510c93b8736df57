package lsm

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS holds a database's files.
type FS = vfs.FS

// What an FS gives and takes.
type (
	File          = vfs.File
	WriteCategory = vfs.DiskWriteCategory
	OpenOption    = vfs.OpenOption
	DiskUsage     = vfs.DiskUsage
)

// OSFS is the operating system's file system.
func OSFS() FS { return vfs.Default }

// MemFS is a file system in memory.
func MemFS() FS { return vfs.NewMem() }

// CrashFS is a file system in memory that can lose what was not synced.
type CrashFS struct{ *vfs.MemFS }

// CrashableMemFS makes an empty CrashFS.
func CrashableMemFS() *CrashFS { return &CrashFS{vfs.NewCrashableMem()} }

// CrashClone is what a power cut at this moment could leave: all that was synced and, of the rest, each block with the
// given probability in percent.
func (c *CrashFS) CrashClone(rng *rand.Rand, unsyncedPercent int) *CrashFS {
	return &CrashFS{c.MemFS.CrashClone(vfs.CrashCloneCfg{RNG: rng, UnsyncedDataPercent: unsyncedPercent})}
}

// WriteFile replaces the named file durably: after a crash it holds the old content or the new.
func WriteFile(fs FS, name string, content []byte) error {
	temp := name + ".tmp"
	f, err := fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(slices.Clone(content)) // a file may change what it is given
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(temp, name); err != nil {
		return err
	}
	return syncDir(fs, fs.PathDir(name))
}

func syncDir(fs FS, name string) error {
	dir, err := fs.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// ReadFile reads the named file; nil without an error when there is none.
func ReadFile(fs FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	if info, err := f.Stat(); err == nil {
		content.Grow(int(info.Size()) + bytes.MinRead)
	}
	_, err = content.ReadFrom(f)
	return content.Bytes(), errors.Join(err, f.Close())
}

// MakeDir makes a directory and the missing ones above it, durably.
func MakeDir(fs FS, name string) error {
	if _, err := fs.Stat(name); err == nil {
		return nil
	}
	above := fs.PathDir(name)
	if above != name {
		if err := MakeDir(fs, above); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(name, 0o700); err != nil {
		return err
	}
	return syncDir(fs, above)
}
