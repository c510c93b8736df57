package query

import (
	"errors"
	"slices"
	"sync"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// batchEntries is how many entries are gathered before they are sorted into a run, or merged into the list: a few
// milliseconds of work.
const batchEntries = 8 << 10

// build is a view in the making, step by step over states that move on, and afterwards what keeps it up. It scans all
// rows once, into sorted runs that are then merged; then whatever was touched since the scan began is looked at again in
// the newest state, so it does not matter in which of the states a row was scanned.
type build struct {
	spec  *Spec
	batch int

	mu sync.Mutex
	// What follows is guarded by mu.
	rows    *list // nil until the scan is over and its runs are merged
	match   mapi.Restriction
	from    Mark // where the scan goes on
	begun   bool
	seen    int
	added   []entry // of the scan
	runs    []*list
	merging *merger
	synced  mapi.Stamp // everything touched up to here was looked at
	newest  mapi.Stamp // no state before this one is looked at
	touched map[uint64][]entry
	arena   []byte // keys of added and touched
	count   *counting
	view    *View
	// kept gives what is kept of the view from before, nil if nothing is; it is asked once.
	kept func() *Kept
}

func newBuild(s *Spec, batch int) *build {
	b := &build{spec: s, batch: batch}
	b.resetLocked()
	return b
}

func (b *build) resetLocked() {
	b.match = nil
	if b.spec.restriction != nil && !b.spec.counted {
		b.match = mapi.ForOneWalk(b.spec.restriction)
	}
	b.rows, b.from, b.begun, b.seen, b.added, b.runs, b.merging = nil, Mark{}, false, 0, nil, nil, nil
	b.touched, b.arena, b.count, b.view = make(map[uint64][]entry), nil, nil, nil
}

// advance goes on until the view is that of src's state or the budget is spent; nil is a view that is not there yet.
func (b *build) advance(src Source, budget Budget) (*View, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := src.Stamp()
	if at < b.newest {
		return nil, nil // the next request sees a newer state
	}
	b.newest = at
	if b.rows != nil && b.rows.kept != nil && b.rows.kept.lost.Load() {
		b.resetLocked()
	}
	for b.view == nil || b.view.Stamp != at {
		done, err := b.stepLocked(src, budget)
		if errors.Is(err, ErrForgotten) || errors.Is(err, ErrNotKept) {
			b.resetLocked()
			continue
		}
		if err != nil {
			b.resetLocked() // what was done of a step that failed is not known
			return nil, err
		}
		if !done {
			return nil, nil
		}
	}
	return b.view, nil
}

func (b *build) stepLocked(src Source, budget Budget) (done bool, err error) {
	b.restoreLocked(src)
	if b.rows == nil {
		if done, err := b.scanLocked(src, budget); err != nil || !done {
			return false, err
		}
	}
	if b.synced < src.Stamp() {
		if done, err := b.catchUpLocked(src, budget); err != nil || !done {
			return false, err
		}
	}
	if err := b.flushLocked(); err != nil {
		return false, err
	}
	rows := b.rows
	if b.spec.counted {
		if rows, done, err = b.countLocked(src, budget); err != nil || !done {
			return false, err
		}
	}
	if done, err := b.spec.digest(rows, budget); err != nil || !done {
		return false, err
	}
	b.view = &View{Stamp: src.Stamp(), spec: b.spec, rows: rows}
	b.arena, b.count = nil, nil
	return true, nil
}

// restoreLocked begins with what is kept instead of a scan. What is of a later state than src's is left: it is of a log that is
// not applied again yet.
func (b *build) restoreLocked(src Source) {
	load := b.kept
	if b.kept = nil; load == nil {
		return
	}
	if k := load(); k != nil && k.Stamp <= src.Stamp() {
		b.rows, b.synced, b.begun = k.rows, k.Stamp, true
	}
}

// scanLocked scans, and when that is over merges.
func (b *build) scanLocked(src Source, budget Budget) (done bool, err error) {
	if !b.begun {
		b.begun, b.synced = true, src.Stamp()
	}
	if b.merging == nil {
		done = true
		err = src.Scan(b.from, func(r Row, next Mark) (bool, error) {
			b.from = next
			b.seen++
			if r == nil {
				done = budget()
				return done, nil
			}
			b.added, b.arena = b.spec.entries(b.added, b.match, r, b.arena)
			if len(b.added) >= b.batch {
				b.runLocked()
			}
			done = budget()
			return done, r.Err()
		})
		if err != nil || !done {
			return false, err
		}
		b.runLocked()
		b.merging = newMerger(b.spec.reversed, b.runs)
		b.added, b.arena, b.runs = nil, nil, nil
	}
	if !b.merging.advance(budget) {
		return false, nil
	}
	b.rows, b.merging = b.merging.out.finish(), nil
	return true, nil
}

// runLocked makes a sorted run of what was gathered.
func (b *build) runLocked() {
	w := listWriter{list: list{reversed: b.spec.reversed}}
	slices.SortFunc(b.added, func(x, y entry) int { return w.compare(&x, &y) })
	w.add(b.added)
	w.flush(0)
	b.runs = append(b.runs, w.finish())
	b.added, b.arena = b.added[:0], b.arena[:0]
}

// catchUpLocked looks at what was touched. It stops between two stamps only, since that is where it goes on.
func (b *build) catchUpLocked(src Source, budget Budget) (done bool, err error) {
	last, spent := b.synced, false
	err = src.Since(b.synced, func(t Touched) (bool, error) {
		if spent && t.Stamp != last {
			return false, nil
		}
		last = t.Stamp
		spent = !budget() || spent
		var entries []entry
		if t.Row != nil {
			entries, b.arena = b.spec.entries(nil, b.match, t.Row, b.arena)
			if err := t.Row.Err(); err != nil {
				return false, err
			}
		}
		b.touched[t.ID] = entries
		return true, nil
	})
	if err != nil {
		return false, err
	}
	if b.synced = last; !spent {
		b.synced = src.Stamp()
	}
	if len(b.touched) >= b.batch {
		err = b.flushLocked()
	}
	return !spent, err
}

// flushLocked merges what was touched into the list.
func (b *build) flushLocked() (err error) {
	if len(b.touched) == 0 {
		return nil
	}
	gone := make(map[uint64]bool, len(b.touched))
	var added []entry
	for id, entries := range b.touched {
		gone[id] = true
		added = append(added, entries...)
	}
	slices.SortFunc(added, func(x, y entry) int { return b.rows.compare(&x, &y) })
	b.rows, err = b.rows.merge(added, gone)
	b.arena = b.arena[:0]
	clear(b.touched)
	return err
}

// counting is the walk of a restriction that counts rows, over the view without it.
type counting struct {
	at     mapi.Stamp // of the state it goes over
	next   int
	match  mapi.Restriction
	passed listWriter
	rows   *list // at the end
}

func (b *build) countLocked(src Source, budget Budget) (rows *list, done bool, err error) {
	if b.count != nil && b.count.at == src.Stamp() && b.count.rows != nil {
		return b.count.rows, true, nil
	}
	if b.count == nil || b.count.at != src.Stamp() {
		b.count = &counting{at: src.Stamp(), match: mapi.ForOneWalk(b.spec.restriction)}
		b.count.passed.reversed = b.spec.reversed
	}
	c := b.count
	failed := b.rows.walk(c.next, false, func(i int, e *entry) bool {
		var r Row
		if r, err = src.Row(e.id); err != nil || r == nil {
			return false
		}
		if c.match.Match(r) {
			c.passed.put(*e)
		}
		c.next = i + 1
		err = r.Err()
		return err == nil && budget()
	})
	if err = errors.Join(failed, err); err != nil || c.next < b.rows.len() {
		return nil, false, err
	}
	c.passed.flush(0)
	c.rows = c.passed.finish()
	return c.rows, true, nil
}

// size is about what the build keeps in memory.
func (b *build) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := cap(b.arena) + 64*cap(b.added) + 128*len(b.touched)
	if b.rows != nil {
		n += b.rows.size()
	}
	for _, r := range b.runs {
		n += r.size()
	}
	if b.merging != nil {
		n += b.merging.size()
	}
	if b.count != nil {
		n += b.count.passed.size()
	}
	if b.view != nil {
		n += b.view.size(b.rows)
	}
	return n
}

// progress is how many rows were looked at.
func (b *build) progress() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen
}
