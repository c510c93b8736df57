package query

import (
	"errors"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Spec is a table specification that can be evaluated.
type Spec struct {
	restriction mapi.Restriction // nil for none
	// counted: a count is in the restriction, so a row passes or not by those in front of it.
	counted bool
	// columns are what the sort key is made of: the categories, the other sort keys, then what only orders headings.
	columns []column
	// categories is how many of the first columns make headings, of which expanded levels are open.
	categories, expanded int
	// maxima orders the headings of a level by the largest value below each; one for each category.
	maxima []maximum
	// instances is the list that makes rows, with mapi.MultiInstance; zero for none.
	instances mapi.Tag
	// reversed: rows that nothing else tells apart are in descending order of their ids.
	reversed bool
	// turned: the first column is asked for the other way round than the view has it (turned.go).
	turned  bool
	toggled map[uint64]bool
	natural bool // there is no sort order
	// order is that of the view.
	order mapi.SortOrderSet
	print string
}

// Counts reports whether a row passes or not by those in front of it.
func (s *Spec) Counts() bool { return s.counted }

// maximum is a value whose largest below a heading orders the headings in the category's direction; its tag is zero where
// there is none. It is a number, and one of the columns.
type maximum struct {
	tag mapi.Tag
	at  int
}

// maxToggled bounds the headings that a client may have opened or closed one by one.
const maxToggled = 10_000

// Compile makes a Spec of what a client asks. order is what stands when he asks for none, and what rows are in that are equal in what
// he asks.
func Compile(s *exmdb.TableSpec, order mapi.SortOrderSet) (*Spec, error) {
	out := &Spec{toggled: make(map[uint64]bool, len(s.Toggled))}
	if err := out.restrict(s.Restriction); err != nil {
		return nil, err
	}
	sort := s.Sort
	if len(sort.Orders) == 0 {
		sort = order
	}
	if err := sort.Check(); err != nil {
		return nil, refused(err)
	}
	sort = within(sort, order)
	if err := out.sort(sort); err != nil {
		return nil, err
	}
	if err := out.spread(s.Spread); err != nil {
		return nil, err
	}
	if len(s.Toggled) > maxToggled {
		return nil, refused(fmt.Errorf("%d headings opened or closed: %w", len(s.Toggled), mapi.ErrTooComplex))
	}
	for _, id := range s.Toggled {
		out.toggled[id] = true
	}
	out.order = mapi.SortOrderSet{Orders: sort.Orders, Categories: sort.Categories}
	out.turn()
	out.print = string(wire.Marshal(&exmdb.TableSpec{Restriction: s.Restriction, Sort: out.order, Spread: out.instances}))
	return out, nil
}

// within adds an order below another, but for what that orders by already, as far as there is room.
func within(sort, order mapi.SortOrderSet) mapi.SortOrderSet {
	sort.Orders = slices.Clone(sort.Orders)
	for _, o := range order.Orders {
		if len(sort.Orders) < mapi.MaxSortOrders && !slices.ContainsFunc(sort.Orders, func(s mapi.SortOrder) bool { return s.Tag == o.Tag && s.Direction != mapi.SortMaximumCategory }) {
			sort.Orders = append(sort.Orders, o)
		}
	}
	return sort
}

// Order is the order of the views that the specification is answered from. Specifications of one order share them: those that are turned,
// and those that say what stands below an order in any case.
func (s *Spec) Order() mapi.SortOrderSet { return s.order }

// Print is what tells the rows and their order from those of other specifications over the same objects. What is open
// is no part of it.
func (s *Spec) Print() string { return s.print }

// Natural reports whether neither a restriction nor an order is asked for.
func (s *Spec) Natural() bool { return s.restriction == nil && s.natural && s.instances == 0 }

// Orders reports whether the rows are all of the objects in the order of one property, and in which direction.
func (s *Spec) Orders(t mapi.Tag) (descending, only bool) {
	if s.restriction != nil || len(s.columns) != 1 || s.categories > 0 || s.instances != 0 || s.columns[0].tag != t {
		return false, false
	}
	return s.columns[0].descending, true
}

// Headings reports whether rows are under headings, which count those that are unread.
func (s *Spec) Headings() bool { return s.categories > 0 }

// Tags calls fn with every property that decides which rows there are and where they stand.
func (s *Spec) Tags(fn func(t mapi.Tag)) {
	for _, c := range s.columns {
		fn(c.tag)
	}
	if s.restriction != nil {
		mapi.MapTags(s.restriction, func(t mapi.Tag) mapi.Tag { fn(t); return t })
	}
}

// refused gives the kinds of mapi's errors.
func refused(err error) error {
	if errors.Is(err, mapi.ErrTooComplex) {
		return cluster.Errorf(exmdb.KindTooComplex, "%v", err)
	}
	return cluster.Errorf(cluster.KindBadRequest, "%v", err)
}

// restriction reads a restriction of a request.
func restriction(b []byte) (mapi.Restriction, error) {
	r, err := oxcdata.ParseRestriction(b)
	if err == nil {
		err = mapi.CheckRestriction(r)
	}
	if err == nil && mapi.Within(r, asksMembers) {
		err = fmt.Errorf("membership of a distribution list, which only the directory knows: %w", mapi.ErrTooComplex)
	}
	if err != nil {
		return nil, refused(err)
	}
	return r, nil
}

// asksMembers reports whether a restriction asks who is in a distribution list (MS-OXCDATA 2.12.5.1). An op asks no directory:
// a rule's condition is another matter, since the mail it is held against brings along which lists its people are in.
func asksMembers(r mapi.Restriction) bool {
	p, is := r.(*mapi.PropertyRestriction)
	return is && p.Op == mapi.RelOpMemberOfDL
}

// Filter reads a restriction that is asked of one object by itself, nil for none.
func Filter(b []byte) (mapi.Restriction, error) {
	if len(b) == 0 {
		return nil, nil
	}
	r, err := restriction(b)
	if err == nil && counts(r) {
		err = cluster.Errorf(exmdb.KindTooComplex, "a restriction that counts rows, where there are none")
	}
	return r, err
}

func (s *Spec) restrict(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	r, err := restriction(b)
	s.restriction, s.counted = r, err == nil && counts(r)
	return err
}

// counts reports whether a restriction counts rows. What counts recipients or attachments does not.
func counts(r mapi.Restriction) bool {
	switch r := r.(type) {
	case *mapi.CountRestriction:
		return true
	case mapi.AndRestriction:
		return slices.ContainsFunc(r, counts)
	case mapi.OrRestriction:
		return slices.ContainsFunc(r, counts)
	case *mapi.NotRestriction:
		return counts(r.Of)
	case *mapi.CommentRestriction:
		return r.Of != nil && counts(r.Of)
	}
	return false
}

// Properties of rows, not of objects: nothing is sorted by them (MS-OXCTABL 2.2.1).
var rowProperties = []mapi.Tag{mapi.PidTagInstID, mapi.PidTagInstanceNum, mapi.PidTagRowType}

func (s *Spec) sort(set mapi.SortOrderSet) error {
	s.natural = len(set.Orders) == 0
	s.categories, s.expanded = int(set.Categories), int(set.Expanded)
	s.maxima = make([]maximum, s.categories)
	for _, o := range set.Orders {
		c := column{tag: o.Tag, descending: o.Direction == mapi.SortDescending, spread: o.Tag.Type()&mapi.MultiInstance != 0}
		if slices.Contains(rowProperties, c.tag) {
			return cluster.Errorf(cluster.KindBadRequest, "sorted by %v, which is no property of an object", o.Tag)
		}
		if c.spread {
			if !o.Tag.Type().Multi() {
				return cluster.Errorf(cluster.KindBadRequest, "sorted by instances of %v, which is no list", o.Tag)
			}
			s.instances = o.Tag
		}
		if c.tag = o.Tag.WithType(o.Tag.Type() &^ mapi.MultiInstance); o.Direction == mapi.SortMaximumCategory {
			s.maxima[len(s.columns)-1].tag = c.tag
			continue
		}
		s.columns = append(s.columns, c)
		s.reversed = c.descending
	}
	return s.sortHeadings()
}

// numbers are the types of values that order headings.
var numbers = []mapi.Type{mapi.TypeInteger16, mapi.TypeInteger32, mapi.TypeInteger64, mapi.TypeCurrency, mapi.TypeTime,
	mapi.TypeFloating32, mapi.TypeFloating64, mapi.TypeAppTime, mapi.TypeBoolean}

// sortHeadings finds what orders headings among the columns, or puts it there.
func (s *Spec) sortHeadings() error {
	for l := range s.maxima {
		m := &s.maxima[l]
		if m.tag == 0 {
			continue
		}
		if !slices.Contains(numbers, m.tag.Type()) {
			return refused(fmt.Errorf("headings ordered by %v, which is no number: %w", m.tag, mapi.ErrTooComplex))
		}
		if m.at = slices.IndexFunc(s.columns, func(c column) bool { return c.tag == m.tag }); m.at < 0 {
			m.at = len(s.columns)
			s.columns = append(s.columns, column{tag: m.tag, descending: s.columns[l].descending})
		}
	}
	return nil
}

func (s *Spec) spread(t mapi.Tag) error {
	switch {
	case t == 0 || t == s.instances:
		return nil
	case t.Type()&mapi.MultiInstance == 0 || !t.Type().Multi():
		return cluster.Errorf(cluster.KindBadRequest, "rows of %v, which is no list", t)
	case s.instances != 0:
		return refused(fmt.Errorf("rows of %v and of %v: %w", s.instances, t, mapi.ErrTooComplex))
	}
	s.instances = t
	return nil
}

// entries appends what the view has of a row: nothing if it does not pass, one for each value of the list that makes
// rows. The keys are in arena, which the caller keeps.
func (s *Spec) entries(dst []entry, match mapi.Restriction, r Row, arena []byte) ([]entry, []byte) {
	if match != nil && !match.Match(r) {
		return dst, arena
	}
	instances := 1
	if s.instances != 0 {
		list := mapi.Elements(lookup(r, s.instances.WithType(s.instances.Type()&^mapi.MultiInstance)))
		instances = max(len(list), 1)
	}
	values := make([]mapi.Value, len(s.columns))
	for i, c := range s.columns {
		values[i] = lookup(r, c.tag)
	}
	for i := range uint32(instances) {
		start := len(arena)
		for k, c := range s.columns {
			arena = c.append(arena, values[k], i)
		}
		arena = append(arena, r.Natural()...)
		dst = append(dst, entry{key: arena[start:len(arena):len(arena)], id: r.ID(), instance: i, unread: r.Unread()})
	}
	return dst, arena
}

// lookup asks for a property; of what could not be read there is none.
func lookup(r Row, t mapi.Tag) mapi.Value {
	v := r.Get(t)
	if _, failed := v.(mapi.ErrorCode); failed && t.Type() != mapi.TypeErrorCode {
		return nil
	}
	return v
}
