package group

import "testing"

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
