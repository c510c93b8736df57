package query

import (
	"bytes"
	"slices"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Whoever sorts by a column and clicks on it again wants it the other way round, with what is equal in it as it was: the newest first.
// Both are one view. Below its first column a view of two columns or more is in groups of rows that are equal there; turned, the groups
// are shown from the last to the first, each with its rows as they are. Where a group begins and ends is looked for in the list, so
// that a turned page costs what any page does. Clients are given the keys that a view in the order they ask for would have.

// turn has the first column ascending in the view, whichever way round it is asked for. Headings, and what counts the rows in front,
// are made as they are asked; so is what is ordered by one column, which orders the rows that are equal in it as well.
func (s *Spec) turn() {
	if s.categories > 0 || s.counted || len(s.columns) < 2 || !s.columns[0].descending {
		return
	}
	s.turned, s.columns[0].descending = true, false
	s.order.Orders[0].Direction = mapi.SortAscending
}

// descends reports whether the first column is shown from the greatest to the least.
func (s *Spec) descends() bool { return s.columns[0].descending != s.turned }

// turnKey turns the first column of a sort key round, which is as it is asked for, or as the view has it.
func (s *Spec) turnKey(key []byte, asked bool) []byte {
	c := s.columns[0]
	c.descending = asked
	end := c.end(key, 0)
	key = slices.Clone(key)
	for i := range end {
		key[i] = ^key[i]
	}
	return key
}

// after is in front of what is behind all keys that begin with one.
func after(key []byte) []byte {
	next := slices.Clone(key)
	for i := len(next) - 1; i >= 0; i-- {
		if next[i]++; next[i] != 0 {
			return next[:i+1]
		}
	}
	return key // no key begins so
}

// groupOf is which rows of the list have the first column of a key.
func (t *shownView) groupOf(key []byte) (from, to int, err error) {
	group := t.prefix(0, key)
	first, next := t.rows.before(group), t.rows.before(after(group))
	if from, err = t.rows.search(&first); err == nil {
		to, err = t.rows.search(&next)
	}
	return from, to, err
}

// turnedPlace is how many turned rows are in front of a place that is in front of a row of the list.
func (t *shownView) turnedPlace(row int, e *entry) (int, error) {
	from, to, err := t.groupOf(e.key)
	return t.rows.len() - to + row - from, err
}

// turnedItem is the turned row of an index.
func (t *shownView) turnedItem(w *pages, index int) (Item, error) {
	row := t.rows.len() - 1 - index // of the groups in order, the rows of each turned round
	if row < w.from || row >= w.to {
		if err := t.findGroup(w, row); err != nil {
			return Item{}, err
		}
	}
	it, err := t.object(w, w.from+w.to-1-row, index)
	it.Place.Key = t.opened.turnKey(it.Place.Key, false)
	return it, err
}

// findGroup finds the group of a row, in the chunk at hand if all of it is there.
func (t *shownView) findGroup(w *pages, row int) error {
	e, err := w.entry(row)
	if err != nil {
		return err
	}
	group := t.prefix(0, e.key)
	in := row - w.starts[w.chunk]
	from, to := in, in+1
	for from > 0 && bytes.HasPrefix(w.open[from-1].key, group) {
		from--
	}
	for to < len(w.open) && bytes.HasPrefix(w.open[to].key, group) {
		to++
	}
	if from == 0 || to == len(w.open) {
		w.from, w.to, err = t.groupOf(e.key)
		return err
	}
	w.from, w.to = w.starts[w.chunk]+from, w.starts[w.chunk]+to
	return nil
}
