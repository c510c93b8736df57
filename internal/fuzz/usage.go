package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// usage is what the fuzz workers of a process group took of the machine.
type usage struct {
	// peak is the most that one of them has held of its own, in MB.
	peak float64
	// cpu is how long processors worked for each, by its folder in /proc. On a machine that does other things at the same
	// time it is far less than what a clock says.
	cpu map[string]time.Duration
}

// read looks at /proc, which is proc. Processes come and go while it is read; what one did after the last look is missing.
func (u *usage) read(proc fs.FS, group int) {
	dirs, err := fs.Glob(proc, "[0-9]*")
	if err != nil {
		return
	}
	for _, dir := range dirs {
		stat, err := fs.ReadFile(proc, dir+"/stat")
		if err != nil || field(stat, pgrp) != group {
			continue
		}
		if args, err := fs.ReadFile(proc, dir+"/cmdline"); err != nil || !bytes.Contains(args, []byte("-test.fuzzworker")) {
			continue
		}
		u.cpu[dir] = time.Duration(field(stat, utime)+field(stat, stime)) * tick
		if status, err := fs.ReadFile(proc, dir+"/status"); err == nil {
			u.peak = max(u.peak, own(string(status)))
		}
	}
}

// Fields of /proc/N/stat behind the name, from 0 (proc_pid_stat(5)).
const (
	pgrp  = 2
	utime = 11
	stime = 12
)

// tick is the unit of utime and stime: USER_HZ is 100 on every architecture that Go knows.
const tick = 10 * time.Millisecond

// field of /proc/N/stat; the name, which may hold anything, is in brackets.
func field(stat []byte, i int) int {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= i {
		return 0
	}
	n, err := strconv.Atoi(string(fields[i]))
	if err != nil {
		return 0
	}
	return n
}

// own is the most that a process held of its own, in MB, of its /proc/N/status: its resident memory at the highest, less
// the pages of files and those shared with the coordinator, which are the program's text and the 100 MB through which
// inputs come. No such figure is kept, so those are taken as they are now; it is never less than what it holds now.
//
// The fuzzing engine's part stays in: coverage counters, seeds, the runtime, and the slice in which inputs are changed,
// which is as long as an input may be (internal/fuzz, mutator.scratch): another 100 MB, of which Linux gives as much as is
// touched, all or nearly nothing as the heap happens to lie.
func own(status string) float64 {
	kB := map[string]int{}
	for line := range strings.Lines(status) {
		var name string
		var n int
		if _, err := fmt.Sscanf(line, "%s %d kB", &name, &n); err == nil {
			kB[name] = n
		}
	}
	return float64(max(kB["RssAnon:"], kB["VmHWM:"]-kB["RssFile:"]-kB["RssShmem:"])) / 1024
}
