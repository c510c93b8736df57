package lsm

import (
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// DirectBlock is what offset, length and address of a direct write are multiples of, in bytes.
const DirectBlock = 4096

// Direct says that what is written to f from now on goes to the disk itself and not into the operating system's cache, or no
// longer. It reports whether it is so: files in memory, and those of some file systems, know only one of the two.
func Direct(f File, direct bool) bool {
	fd := f.Fd()
	if fd == vfs.InvalidFd {
		return !direct
	}
	flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
	if err != nil {
		return false
	}
	want := flags &^ unix.O_DIRECT
	if direct {
		want |= unix.O_DIRECT
	}
	if want == flags {
		return true
	}
	_, err = unix.FcntlInt(fd, unix.F_SETFL, want)
	return err == nil
}
