package store

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb/fulltext"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// changedFolder is a folder's steps beside what is remembered of them, as far as who walked furthest saw them.
type changedFolder struct {
	box    fulltext.Mailbox
	folder mapi.FID
	steps  []changedRun // of one message each
}

// TestChangesAreRemembered holds what is remembered of many folders' changes against the changes themselves: whatever the
// index knows, each message that changed later is named, and of others only neighbours. Who walks may be behind others.
func TestChangesAreRemembered(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	remembered := new(textChanges)
	folders := make([]*changedFolder, maxChangedFolders+4)
	for i := range folders {
		folders[i] = &changedFolder{box: fulltext.Mailbox{Space: cluster.SpaceID{byte(i % 5)}, Past: mapi.GUID{byte(i % 2)}}, folder: mapi.LocalFID(mapi.GlobalCounter(i / 10))}
	}
	stamp := mapi.Stamp(0)
	for range 4000 {
		f := folders[rnd.IntN(len(folders))]
		f.change(rnd, &stamp)
		since := mapi.Stamp(rnd.Uint64N(uint64(stamp) + 1))
		c := remembered.after(f.box, f.folder, since)
		if c.since != since || c.until < since {
			t.Fatalf("from %d to %d, want from %d", c.since, c.until, since)
		}
		behind := rnd.IntN(3) // how many steps the walker does not see yet
		for _, s := range f.steps[:max(0, len(f.steps)-behind)] {
			if s.at > c.until {
				c.until = s.at
				c.add(s.at, s.first)
			}
		}
		remembered.keep(c)
		f.check(t, &c)
	}
	if len(remembered.list) != maxChangedFolders {
		t.Errorf("%d folders are remembered, want %d", len(remembered.list), maxChangedFolders)
	}
}

// change has messages come in a row, or some change that were there.
func (f *changedFolder) change(rnd *rand.Rand, stamp *mapi.Stamp) {
	next := mapi.UID(1 + len(f.steps))
	for range rnd.IntN(40) {
		*stamp++
		uid := next
		if next > 1 && rnd.IntN(4) == 0 {
			uid = 1 + mapi.UID(rnd.Uint32N(uint32(next)))
		}
		f.steps = append(f.steps, changedRun{at: *stamp, first: uid})
		next++
	}
}

func (f *changedFolder) check(t *testing.T, c *folderChanges) {
	t.Helper()
	named, changed := fulltext.NewSet(), fulltext.NewSet()
	at := c.since
	for _, r := range c.runs {
		if r.at <= at || r.first > r.last || r.last-r.first >= runLength+runGap {
			t.Fatalf("run %+v behind %d", r, at)
		}
		named.AddAll(r.first, r.last)
		at = r.at
	}
	for _, s := range f.steps {
		if s.at > c.since && s.at <= c.until && !named.Has(s.first) {
			t.Fatalf("message %d changed at %d and is not named after %d", s.first, s.at, c.since)
		}
		changed.AddAll(s.first-min(s.first, runLength), s.first+runLength)
	}
	named.Each(func(uid mapi.UID) bool {
		if !changed.Has(uid) {
			t.Fatalf("message %d is named, and none near it changed", uid)
		}
		return true
	})
}
