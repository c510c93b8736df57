// Package version says which build this is. It knows what the linker and the Go tool stamped into the program, and
// nothing of formats: what nodes of different releases may write together is the cluster level's matter (CLUSTER 7.2).
package version

import (
	"runtime"
	"runtime/debug"
	"strconv"
)

// release is set by the linker (Makefile); without it the build is one of a checkout.
var release string

// level and oldest are set by the linker in builds for tests alone: a newest level that no format has yet, and an oldest one,
// so that programs of two levels can be made of one tree.
var level, oldest string

// TestLevels are the oldest and the newest level that a build for tests claims to speak, 0 of any other build.
func TestLevels() (first, last uint32) { return number(oldest), number(level) }

func number(stamp string) uint32 {
	n, err := strconv.ParseUint(stamp, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// Info describes a build.
type Info struct {
	// Release is the tag, or tag, distance and commit, or "dev".
	Release string `json:"release"`
	// Commit is the revision the Go tool recorded, if it did.
	Commit string `json:"commit,omitempty"`
	// Go is the toolchain.
	Go string `json:"go"`
	// Platform is operating system and architecture, "linux/amd64".
	Platform string `json:"platform"`
}

// Get describes this build.
func Get() Info {
	info := Info{Release: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, s := range build.Settings {
			if s.Key == "vcs.revision" {
				info.Commit = s.Value
			}
		}
	}
	if info.Release == "" {
		info.Release = "dev"
	}
	return info
}

// String is one line: release, toolchain, platform.
func (i Info) String() string { return i.Release + " (" + i.Go + ", " + i.Platform + ")" }
