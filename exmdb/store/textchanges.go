package store

import (
	"cmp"
	"slices"
	"sync"

	"github.com/flotilla-mail/flotilla/exmdb/fulltext"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// textWalk is how many steps of a change index one request walks over for what is not in the full-text index yet. What
	// is behind them is walked over by the next one.
	textWalk = 32 << 10
	// maxChangedRuns is how many runs are kept of a folder. One that has more counts as not indexed.
	maxChangedRuns = 64 << 10
	// maxChangedFolders is of how many folders they are kept.
	maxChangedFolders = 64
	// A run takes in what is at most runGap from its last message, and is at most runLength long: so little is looked at in
	// vain when the index has a part of it.
	runGap    = 4
	runLength = 1024
)

// textChanges is what has changed since the index was there, of the folders that were searched last, as far as somebody has
// walked over it: a folder that a million messages were brought into has a million steps which the index does not know
// yet, and no search is to walk over all of them. No answer depends on it.
type textChanges struct {
	mu   sync.Mutex
	list []folderChanges // guarded by mu; the last asked for at the end
}

// folderChanges is what has changed in a folder between two stamps. Steps that have moved on since may be in it.
type folderChanges struct {
	box          fulltext.Mailbox
	folder       mapi.FID
	since, until mapi.Stamp
	runs         []changedRun // in order of stamps
}

// changedRun is neighbours whose content changed between two stamps.
type changedRun struct {
	from, at    mapi.Stamp
	first, last mapi.UID
}

// after is what is known of a folder's changes after a stamp.
func (c *textChanges) after(box fulltext.Mailbox, folder mapi.FID, since mapi.Stamp) folderChanges {
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := folderChanges{box: box, folder: folder, since: since, until: since}
	i := c.indexLocked(&fresh)
	if i < 0 || since < c.list[i].since || since > c.list[i].until {
		return fresh
	}
	known := c.list[i]
	gone, _ := slices.BinarySearchFunc(known.runs, since+1, func(r changedRun, s mapi.Stamp) int { return cmp.Compare(r.at, s) })
	fresh.until, fresh.runs = known.until, slices.Clone(known.runs[gone:])
	return fresh
}

func (c *textChanges) indexLocked(of *folderChanges) int {
	return slices.IndexFunc(c.list, func(f folderChanges) bool { return f.folder == of.folder && f.box == of.box })
}

// keep remembers changes, unless more of them are known. They are not to be added to any more.
func (c *textChanges) keep(f folderChanges) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.indexLocked(&f); i >= 0 {
		if known := c.list[i]; known.since <= f.since && known.until > f.until {
			f = known
		}
		c.list = slices.Delete(c.list, i, i+1)
	} else if len(c.list) == maxChangedFolders {
		c.list = slices.Delete(c.list, 0, 1)
	}
	c.list = append(c.list, f)
}

// add notes that the content of a message changed.
func (f *folderChanges) add(at mapi.Stamp, uid mapi.UID) {
	if n := len(f.runs); n > 0 {
		r := &f.runs[n-1]
		if uid >= r.first && uid <= r.last+runGap && uid-r.first < runLength {
			r.at, r.last = at, max(r.last, uid)
			return
		}
	}
	f.runs = append(f.runs, changedRun{at, at, uid, uid})
}

// changedSince is what has changed in a folder since the index was there, and whether all of it is known: else who asks again
// is nearer to it, if another step was walked over.
func (v *view) changedSince(folder mapi.FID, since mapi.Stamp) (f folderChanges, whole, nearer bool, err error) {
	f = v.changes.after(v.indexedAs(), folder, since)
	was := f.until
	if err = v.cutRun(&f); err == nil {
		whole, err = v.walkChanges(&f, schema.ChangeKey(folder+1, 0))
	}
	if err != nil {
		return f, false, false, err
	}
	v.changes.keep(f)
	return f, whole, f.until > was, nil
}

// cutRun takes out of the first run what the index has meanwhile: it may have come to a stop in the middle of it.
func (v *view) cutRun(f *folderChanges) error {
	if len(f.runs) == 0 || f.runs[0].from > f.since {
		return nil
	}
	rest := folderChanges{folder: f.folder, until: f.since}
	whole, err := v.walkChanges(&rest, schema.ChangeKey(f.folder, f.runs[0].at+1))
	if err == nil && whole {
		f.runs = slices.Concat(rest.runs, f.runs[1:])
	}
	return err
}

// walkChanges goes on walking over the folder's changes from where f ends, and reports whether it came to the key.
func (v *view) walkChanges(f *folderChanges, to []byte) (whole bool, err error) {
	it := v.r.Iter(schema.ChangeKey(f.folder, f.until+1), to)
	defer closing(it, &err)
	for steps := 0; it.Next(); steps++ {
		if steps == v.config.TextWalk || len(f.runs) >= maxChangedRuns {
			return false, nil
		}
		at, step, err := changeStep(it.Key(), it.Value())
		if err != nil {
			return false, err
		}
		f.until = at
		// What is not content, as read states and marks of deletion, is in no text.
		if !step.Associated && step.Kinds&schema.ChangeContent != 0 {
			f.add(at, step.UID)
		}
	}
	return true, nil
}
