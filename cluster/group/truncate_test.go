package group

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster/space"
)

// What a follower needs behind a snapshot that is on its way to it stays in the log, with the entry that the first of
// them is appended to.
func TestTruncationSparesASnapshotOnItsWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, tinyLog)
	defer w.dump()
	nd := w.form(1)
	nd.create(1)
	nd.mustPut(1, "a", "1")
	g := nd.group(1)
	first := func() uint64 {
		t.Helper()
		nd.mustPut(1, "a", "2")
		nd.mustPut(1, "a", "3")
		nd.truncate(1)
		index, err := g.log.FirstIndex()
		if err != nil || index == 0 {
			t.Fatalf("log begins at %d: %v", index, err)
		}
		return index
	}
	before := first()
	nd.mustPut(1, "a", "4")
	meta, sent, err := g.snaps.Open(liveSnapshot)
	if err != nil {
		t.Fatal(err)
	}
	if at := first(); at > meta.Index || at <= before {
		t.Errorf("the log was cut from %d to %d while a snapshot of %d was sent", before, at, meta.Index)
	}
	if err := sent.Close(); err != nil {
		t.Fatal(err)
	}
	if at := first(); at <= meta.Index {
		t.Errorf("the log begins at %d after the snapshot of %d was sent", at, meta.Index)
	}
}

// A log that is short enough as a rule is cut all the same when the disk is full.
func TestFullDiskShortensTheLog(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	w := newWorld(t, 1, func(c *Config) { c.LogBytes, c.LogKeepBytes, c.DiskFull = 64<<10, 32<<10, full.Load })
	defer w.dump()
	nd := w.form(1)
	nd.create(1)
	for range 20 {
		nd.mustPut(1, "a", strings.Repeat("x", 1<<10))
	}
	g := nd.group(1)
	nd.truncate(1)
	if first, err := g.log.FirstIndex(); err != nil || first != 1 {
		t.Fatalf("the log begins at %d: %v", first, err)
	}
	full.Store(true)
	nd.truncate(1)
	if first, err := g.log.FirstIndex(); err != nil || first == 1 || g.log.Bytes() > 8<<10 {
		t.Errorf("the log of a full disk begins at %d and has %d bytes: %v", first, g.log.Bytes(), err)
	}
	nd.mustPut(1, "a", "y")
	nd.mustGet(1, space.ReadLease, "a", "y")
}
