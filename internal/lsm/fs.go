package lsm

import (
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS holds a database's files.
type FS = vfs.FS

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
