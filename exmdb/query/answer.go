package query

import (
	"errors"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const (
	// answerBytes is about the most that rows of one answer take; answerRows the most there are.
	answerBytes = 1 << 20
	answerRows  = 10_000
	// rowBytes is about what a row takes beside its columns.
	rowBytes = 32
	// maxColumns bounds the columns of a request, maxValue where values are cut.
	maxColumns = 1000
	maxValue   = mapi.MaxStoredValue
	// maxTouched is up to how many objects are told of one by one when a table has changed.
	maxTouched = 1000
)

// Asked is a request about a table, with the table in the state in which it is answered.
type Asked struct {
	Table  Table
	Source Source
	Spec   *Spec
	Budget Budget
	// Sequence is that of the state. Keep says that the order is worth keeping.
	Sequence uint64
	Keep     bool

	columns []mapi.Tag
	most    int
}

// Want takes what the request says of columns.
func (a *Asked) Want(r *exmdb.TableRequest) error {
	if len(r.Columns) > maxColumns {
		return cluster.Errorf(cluster.KindBadRequest, "%d columns", len(r.Columns))
	}
	a.columns, a.most = r.Columns, int(r.MaxValue)
	if a.most == 0 {
		a.most = exmdb.DefaultMaxValue
	}
	a.most = min(a.most, maxValue)
	return nil
}

func (a *Asked) state() exmdb.TableState {
	return exmdb.TableState{Stamp: a.Source.Stamp(), Sequence: a.Sequence, Rows: uint32(a.Table.Len()), Keep: a.Keep}
}

// position is how many rows are in front of a position, and how many of its offset there were to go.
func (a *Asked) position(p *exmdb.TablePosition) (index int, moved int64, gone bool, err error) {
	n := int64(a.Table.Len())
	at := int64(0)
	switch p.Origin {
	case exmdb.TableBeginning:
	case exmdb.TableEnd:
		at = n
	case exmdb.TableFraction:
		if p.Denominator == 0 {
			return 0, 0, false, cluster.Errorf(cluster.KindBadRequest, "a fraction of %d by nothing", p.Numerator)
		}
		at = min(n*int64(p.Numerator)/int64(p.Denominator), n)
	case exmdb.TablePlace, exmdb.TableRowAt:
		i, there, err := a.locate(p)
		if err != nil {
			return 0, 0, false, err
		}
		at, gone = int64(i), !there
	default:
		return 0, 0, false, cluster.Errorf(cluster.KindBadRequest, "position of origin %d", p.Origin)
	}
	to := max(0, min(n, at+max(-n, min(n, p.Offset))))
	return int(to), to - at, gone, nil
}

func (a *Asked) locate(p *exmdb.TablePosition) (index int, there bool, err error) {
	if p.Origin == exmdb.TablePlace {
		place, err := ParsePlace(p.Place)
		if err != nil {
			return 0, false, err
		}
		return a.Table.Locate(place)
	}
	index, there, err = a.find(p.Row)
	return max(index, 0), there, err
}

// find is where a row is shown.
func (a *Asked) find(id exmdb.TableRowID) (index int, there bool, err error) {
	if id.Heading() {
		index, there = a.Table.Heading(id.ID)
		return index, there, nil
	}
	r, err := a.Source.Row(id.ID)
	if err != nil || r == nil {
		return 0, false, err
	}
	at, err := a.Table.Instances(r)
	if err != nil || int(id.Instance) >= len(at) {
		return 0, false, err
	}
	return at[id.Instance], at[id.Instance] >= 0, nil
}

// place is what a client is given of an item's place.
func place(it *Item, behind bool) []byte {
	p := it.Place
	p.Behind = behind
	return p.Append(nil)
}

// Rows answers OpTableRows.
func (a *Asked) Rows(req *exmdb.TableRowsRequest) (*exmdb.TableRowsResponse, error) {
	from, _, _, err := a.position(&req.From)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.TableRowsResponse{State: a.state(), Index: uint32(from)}
	size := 0
	var first, last Item
	most := min(int(req.Count), answerRows)
	if most > 0 {
		err = a.Table.Walk(from, req.Backward, func(index int, it *Item) (bool, error) {
			bag, err := a.row(it)
			if err != nil {
				return false, err
			}
			if len(resp.Rows) == 0 {
				first = *it
			}
			last = *it
			resp.Rows = append(resp.Rows, exmdb.TableRow{ID: it.ID, Props: *bag})
			size += rowBytes + len(bag.AppendWire(nil))
			return len(resp.Rows) < most && size < answerBytes, nil
		})
	}
	if err != nil {
		return nil, err
	}
	if req.Backward {
		first, last = last, first
		slices.Reverse(resp.Rows)
		resp.Index -= uint32(len(resp.Rows))
	}
	if len(resp.Rows) > 0 {
		resp.Before, resp.After = place(&first, false), place(&last, true)
		return resp, nil
	}
	resp.Before, err = a.placeAt(from)
	resp.After = resp.Before
	return resp, err
}

// placeAt is the place in front of the row that so many are in front of.
func (a *Asked) placeAt(index int) ([]byte, error) {
	switch {
	case index == 0:
		return new(Place).Append(nil), nil
	case index >= a.Table.Len():
		return (&Place{End: true}).Append(nil), nil
	}
	var at []byte
	err := a.Table.Walk(index, false, func(_ int, it *Item) (bool, error) {
		at = place(it, false)
		return false, nil
	})
	return at, err
}

// Seek answers OpTableSeek.
func (a *Asked) Seek(req *exmdb.TableSeekRequest) (*exmdb.TableSeekResponse, error) {
	index, moved, gone, err := a.position(&req.From)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.TableSeekResponse{State: a.state(), Index: uint32(index), Moved: moved, Gone: gone}
	resp.Place, err = a.placeAt(index)
	return resp, err
}

// Find answers OpTableFind. It goes on where the answer before stopped.
func (a *Asked) Find(req *exmdb.TableFindRequest) (*exmdb.TableFindResponse, error) {
	wanted, err := restriction(req.Restriction)
	if err != nil {
		return nil, err
	}
	from := req.From
	if len(req.Table.Resume) > 0 {
		from = exmdb.TablePosition{Origin: exmdb.TablePlace, Place: req.Table.Resume}
	}
	index, _, gone, err := a.position(&from)
	if err != nil {
		return nil, err
	}
	resp := &exmdb.TableFindResponse{State: a.state(), Gone: gone && len(req.Table.Resume) == 0}
	if index, err = a.skip(index, wanted, req.Backward); err != nil {
		return nil, err
	}
	match := mapi.ForOneWalk(wanted)
	err = a.Table.Walk(index, req.Backward, func(index int, it *Item) (bool, error) {
		passes, err := a.passes(it, match)
		if err != nil {
			return false, err
		}
		if passes {
			return false, a.found(resp, index, it)
		}
		if a.Budget() {
			return true, nil
		}
		resp.State.Working, resp.State.Resume = true, place(it, !req.Backward)
		resp.State.Of = resp.State.Rows
		if resp.State.Done = uint32(index); req.Backward {
			resp.State.Done = resp.State.Rows - uint32(index)
		}
		return false, nil
	})
	return resp, err
}

func (a *Asked) found(resp *exmdb.TableFindResponse, index int, it *Item) error {
	bag, err := a.row(it)
	if err != nil {
		return err
	}
	resp.Found, resp.Index, resp.Place = true, uint32(index), place(it, false)
	resp.Row = exmdb.TableRow{ID: it.ID, Props: *bag}
	return nil
}

// passes holds a row against a restriction.
func (a *Asked) passes(it *Item, match mapi.Restriction) (bool, error) {
	if it.Heading != nil {
		g := &headingProps{Asked: a, it: it}
		return match.Match(g) && g.err == nil, g.err
	}
	r, err := a.object(it)
	if err != nil || r == nil {
		return false, err
	}
	return match.Match(r) && r.Err() == nil, r.Err()
}

// skip passes over rows in front of which there is surely nothing to be found: type-ahead in a table that is sorted by
// what is typed is not to walk through it.
func (a *Asked) skip(index int, wanted mapi.Restriction, backward bool) (int, error) {
	if backward {
		return index, nil
	}
	tag, v := least(wanted, a.Spec)
	if v == nil {
		return index, nil
	}
	bound, ok, err := a.Table.Bound(tag, v)
	if err != nil || !ok {
		return index, err
	}
	return max(index, bound), nil
}

// least is a value that every row which passes has, or one that orders behind it.
func least(r mapi.Restriction, s *Spec) (mapi.Tag, mapi.Value) {
	if len(s.columns) == 0 {
		return 0, nil
	}
	descending := s.descends()
	switch r := r.(type) {
	case mapi.AndRestriction:
		for _, o := range r {
			if tag, v := least(o, s); v != nil {
				return tag, v
			}
		}
	case *mapi.PropertyRestriction:
		up := r.Op == mapi.RelOpGE || r.Op == mapi.RelOpGT
		down := r.Op == mapi.RelOpLE || r.Op == mapi.RelOpLT
		if (r.Op == mapi.RelOpEQ || up && !descending || down && descending) && !r.Value.Tag.Type().Multi() {
			return r.Tag, r.Value.Value
		}
	case *mapi.ContentRestriction:
		begins := r.Fuzzy&0x3F == mapi.FuzzyPrefix || r.Fuzzy&0x3F == mapi.FuzzyFullString
		if begins && !descending && r.Fuzzy&(mapi.FuzzyIgnoreNonSpace|mapi.FuzzyLoose) == 0 && !r.Value.Tag.Type().Multi() {
			return r.Tag, r.Value.Value
		}
	}
	return 0, nil
}

// Changes answers OpTableChanges.
func (a *Asked) Changes(req *exmdb.TableChangesRequest) (*exmdb.TableChangesResponse, error) {
	resp := &exmdb.TableChangesResponse{State: a.state()}
	if req.Since >= a.Source.Stamp() {
		return resp, nil
	}
	if a.Spec.categories > 0 || a.Spec.counted {
		resp.Reload = true // a row may change headings, and rows that were not touched
		return resp, nil
	}
	told := make(map[uint64]bool)
	err := a.Source.Since(req.Since, func(t Touched) (bool, error) {
		if told[t.ID] {
			return true, nil
		}
		told[t.ID] = true
		if len(told) > maxTouched {
			return false, ErrForgotten
		}
		return true, a.changed(resp, &t)
	})
	if errors.Is(err, ErrForgotten) {
		return &exmdb.TableChangesResponse{State: resp.State, Reload: true}, nil
	}
	slices.SortFunc(resp.Rows, func(x, y exmdb.TableChange) int { return int(int64(x.Index) - int64(y.Index)) })
	return resp, err
}

func (a *Asked) changed(resp *exmdb.TableChangesResponse, t *Touched) error {
	shown := false
	if t.Row != nil {
		at, err := a.Table.Instances(t.Row)
		if err != nil {
			return err
		}
		for _, index := range at {
			if index < 0 {
				continue
			}
			shown = true
			c := exmdb.TableChange{New: t.New, Index: uint32(index), First: index == 0}
			if err := a.around(index, &c); err != nil {
				return err
			}
			resp.Rows = append(resp.Rows, c)
		}
	}
	if !shown {
		resp.Gone = append(resp.Gone, t.ID)
	}
	return nil
}

// around reads a row, and which is in front of it.
func (a *Asked) around(index int, c *exmdb.TableChange) error {
	return a.Table.Walk(max(index-1, 0), false, func(i int, it *Item) (bool, error) {
		if i < index {
			c.Behind = it.ID
			return true, nil
		}
		bag, err := a.row(it)
		if err == nil {
			c.Row = exmdb.TableRow{ID: it.ID, Props: *bag}
		}
		return false, err
	})
}
