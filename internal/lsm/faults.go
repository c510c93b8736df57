package lsm

import (
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Faults makes the files behind Wrap slow or full, for tests and for nodes started for them, and counts syncs. Its
// fields may be changed at any time.
type Faults struct {
	// SyncDelay in nanoseconds is added to every sync of a file.
	SyncDelay atomic.Int64
	// NoSpace makes every write and every new file end with ENOSPC.
	NoSpace atomic.Bool
	// Syncs counts the syncs of files that were written.
	Syncs atomic.Int64
}

// Wrap is fs with the faults.
func (f *Faults) Wrap(fs FS) FS { return &faultFS{FS: fs, f: f} }

type faultFS struct {
	vfs.FS
	f *Faults
}

// Unwrap gives the engine the file system below.
func (s *faultFS) Unwrap() vfs.FS { return s.FS }

// Create implements FS.
func (s *faultFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if s.f.NoSpace.Load() {
		return nil, syscall.ENOSPC
	}
	return s.wrap(s.FS.Create(name, c))
}

// ReuseForWrite implements FS.
func (s *faultFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.wrap(s.FS.ReuseForWrite(old, name, c))
}

func (s *faultFS) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultFile{File: file, f: s.f}, nil
}

type faultFile struct {
	vfs.File
	f *Faults
}

// Write implements vfs.File.
func (w *faultFile) Write(p []byte) (int, error) {
	if w.f.NoSpace.Load() {
		return 0, syscall.ENOSPC
	}
	return w.File.Write(p)
}

// Sync implements vfs.File.
func (w *faultFile) Sync() error {
	w.f.sync()
	return w.File.Sync()
}

// SyncData implements vfs.File.
func (w *faultFile) SyncData() error {
	w.f.sync()
	return w.File.SyncData()
}

func (f *Faults) sync() {
	f.Syncs.Add(1)
	if d := f.SyncDelay.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
}
