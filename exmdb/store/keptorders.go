package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/query"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// The order of delivery is stored with each message (timeindex.go). Of the others a mailbox only says which somebody has waited
// for; each replica makes these by itself, behind what it applies, and keeps them in files, so that an owner that is new begins
// with one instead of looking at every message.

const (
	// orderRows is how many messages a folder has at least of which orders are kept. Fewer are looked at in one step.
	orderRows = 8 << 10
	// ordersKept is how many orders of one folder are kept, orderDays for how many days after somebody waited for one, or was
	// shown it a while after that: once in orderAgain days the mailbox is told.
	ordersKept = 16
	orderDays  = 60
	orderAgain = 7
	// orderBytes is the largest order that is kept.
	orderBytes = 32 << 20
	// An order is renewed when more has changed in the folder than orderChanges and one in orderShare of its messages: whoever
	// begins with it looks at that much. One in usualShare it is of an arrangement by which nobody has sorted yet.
	orderChanges = 1024
	orderShare   = 128
	usualShare   = 32
)

// usualArrangements are those that clients offer above a list of mail, either way round (query.Spec.Order). In a large folder that is
// shown to somebody they are made ready before he asks.
func usualArrangements() (sets []mapi.SortOrderSet) {
	for _, first := range []mapi.Tag{mapi.PidTagSentRepresentingName, mapi.PidTagSenderName, mapi.PidTagDisplayTo, mapi.PidTagSubject,
		mapi.PidTagNormalizedSubject, mapi.PidTagMessageSize, mapi.PidTagImportance} {
		sets = append(sets, mapi.SortOrderSet{Orders: []mapi.SortOrder{{Tag: first, Direction: mapi.SortAscending}, newestFirst.Orders[0]}})
	}
	return sets
}

// large is the messages of a large folder that a table shows, in whatever order and all of them, to everybody alike; nil if it shows
// something else.
func (v *view) large(s *query.Spec, src query.Source) *messageSource {
	m, is := src.(*messageSource)
	if !is || m.associated || m.shelved || m.Len() < v.config.OrderRows || !s.Keepable() || !m.forAll(s) {
		return nil
	}
	return m
}

// keeps is the messages of which an order may be kept, nil if it may not: that of delivery is stored.
func (v *view) keeps(s *query.Spec, src query.Source) *messageSource {
	if _, delivery := s.Orders(mapi.PidTagMessageDeliveryTime); delivery {
		return nil
	}
	return v.large(s, src)
}

func (v *view) keptOrders(fid mapi.FID) (*schema.KeptOrders, error) {
	list := new(schema.KeptOrders)
	_, err := load(v.r, schema.KeptOrdersKey(fid), list)
	return list, err
}

// findOrder is where an order is in the list, -1 if it is not.
func findOrder(list *schema.KeptOrders, sort mapi.SortOrderSet) int {
	return slices.IndexFunc(list.Orders, func(o schema.KeptOrder) bool {
		return o.Sort.Categories == sort.Categories && slices.Equal(o.Sort.Orders, sort.Orders)
	})
}

// wantsKept reports whether the mailbox is to be told of a table that somebody is shown: that its folder is shown, or that its order
// is to be kept, and it has not been told so lately.
func (v *view) wantsKept(s *query.Spec, src query.Source) (bool, error) {
	m := v.large(s, src)
	if m == nil {
		return false, nil
	}
	list, err := v.keptOrders(m.fid)
	if err != nil {
		return false, err
	}
	again := dayOf(time.Now()) - orderAgain
	if list.Shown <= again || v.keeps(s, src) == nil {
		return list.Shown <= again, nil
	}
	i := findOrder(list, s.Order())
	return i < 0 || list.Orders[i].Used <= again, nil
}

// keepOrder is OpKeepOrder.
func keepOrder(t *tx, req *exmdb.KeepOrderRequest) (*exmdb.Empty, error) {
	asked := &req.Table.Spec
	src, err := t.source(asked)
	if err != nil {
		return nil, err
	}
	spec, err := query.Compile(asked, newestFirst)
	if err != nil {
		return nil, err
	}
	m := t.large(spec, src)
	if m == nil {
		return &exmdb.Empty{}, nil
	}
	list, err := t.keptOrders(m.fid)
	if err != nil {
		return nil, err
	}
	today := dayOf(t.now)
	if list.Shown = today; t.keeps(spec, src) != nil {
		addOrder(list, spec.Order(), today)
	}
	t.set(schema.KeptOrdersKey(m.fid), list)
	return &exmdb.Empty{}, nil
}

// addOrder puts an order at the end of the list, in which they are as they were asked for. Where there are too many, the one goes
// that nobody was shown for the longest.
func addOrder(list *schema.KeptOrders, sort mapi.SortOrderSet, today uint32) {
	order := schema.KeptOrder{Sort: sort, Used: today}
	if i := findOrder(list, sort); i >= 0 {
		order.Unknown = list.Orders[i].Unknown
		list.Orders = slices.Delete(list.Orders, i, i+1)
	}
	list.Orders = slices.DeleteFunc(list.Orders, func(o schema.KeptOrder) bool { return o.Used+orderDays < today })
	list.Orders = append(list.Orders, order)
	if n := len(list.Orders); n > ordersKept {
		list.Orders = slices.Delete(list.Orders, 0, n-ordersKept)
	}
}

// orderName is the name under which an order of a folder is kept.
func orderName(fid mapi.FID, s *query.Spec) string {
	print := sha256.Sum256([]byte(s.Print()))
	return fmt.Sprintf("%x-%x", uint64(fid.Counter()), print[:8])
}

// keptOrder gives what this node keeps of an order, nil if it keeps none.
func (v *view) keptOrder(s *query.Spec, src query.Source) func() *query.Kept {
	m := v.keeps(s, src)
	if m == nil || v.config.Orders == nil {
		return nil
	}
	return func() *query.Kept { return v.readOrder(m.fid, s) }
}

// readOrder reads an order of this mailbox and its past, nil if there is none.
func (v *view) readOrder(fid mapi.FID, s *query.Spec) *query.Kept {
	f := v.config.Orders.Load(v.r.Space(), orderName(fid, s))
	if f == nil {
		return nil
	}
	var past mapi.GUID
	if _, err := f.ReadAt(past[:], 0); err != nil || past != v.header.ReplicaGUID {
		return nil
	}
	size := f.Size() - int64(len(past))
	k, err := query.OpenKept(io.NewSectionReader(f, int64(len(past)), size), size, s)
	if err != nil {
		return nil
	}
	return k
}

// readyOrders is how far the orders are that this node keeps: what KeepOrders has found out, so that it looks at no file and no
// change twice.
type readyOrders struct {
	mu sync.Mutex
	of map[cluster.SpaceID]map[string]*readyOrder // guarded by mu, and what it leads to
}

func newReadyOrders() *readyOrders {
	return &readyOrders{of: make(map[cluster.SpaceID]map[string]*readyOrder)}
}

// readyOrder is an order that was made.
type readyOrder struct {
	past mapi.GUID
	// kept: there was a file of it, which may be lost at any time. Else it was too large.
	kept bool
	// made is the state it is of; changes is how much has changed since, up to counted.
	made, counted mapi.Stamp
	changes       int
}

// KeepOrders makes one of the orders that are in use in a mailbox, or renews it where much has changed, for a while or until a
// time, if that is not zero; more says that there may be more to do. Files of orders that are not in use any more go. No caller
// is asked for, because nobody is shown anything.
func (s *Store) KeepOrders(r space.Reader, until time.Time) (more bool, err error) {
	if s.config.Orders == nil {
		return false, nil
	}
	v, err := s.open(r, &exmdb.System, rightRead)
	if err != nil {
		return false, err
	}
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	wanted := make(map[string]*readyOrder)
	known := s.ready.of[r.Space()]
	err = v.each([]byte{schema.PrefixKeptOrders}, []byte{schema.PrefixKeptOrders + 1}, schema.ParseFolderKey, func(fid mapi.FID, stored []byte) error {
		var list schema.KeptOrders
		if err := schema.Decode(stored, &list); err != nil {
			return err
		}
		for _, each := range v.ordersToKeep(&list) {
			o, err := v.inUse(fid, each.sort)
			if err != nil {
				return err
			}
			if o == nil {
				continue
			}
			o.share = each.share
			if o.ready = known[o.name]; o.ready == nil {
				o.ready = o.found()
			}
			wanted[o.name] = o.ready
			if more {
				continue // another step's
			}
			if more, err = o.renew(until); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	for _, name := range s.config.Orders.Names(r.Space()) {
		if wanted[name] == nil {
			err = orElse(err, s.config.Orders.Remove(r.Space(), name))
		}
	}
	if s.ready.of[r.Space()] = wanted; len(wanted) == 0 {
		delete(s.ready.of, r.Space())
	}
	return more, err
}

// orderToKeep is an order that is to be kept, and renewed when one in share of the folder's messages has changed.
type orderToKeep struct {
	sort  mapi.SortOrderSet
	share int
}

// ordersToKeep are the orders of a folder that somebody uses, and as many of the usual ones as there is room for if it is shown.
func (v *view) ordersToKeep(list *schema.KeptOrders) (keep []orderToKeep) {
	since := dayOf(time.Now()) - orderDays
	for i := range list.Orders {
		if o := &list.Orders[i]; o.Used >= since {
			keep = append(keep, orderToKeep{o.Sort, orderShare})
		}
	}
	if list.Shown < since || v.config.OnlyAsked {
		return keep
	}
	for _, sort := range usualArrangements() {
		i := findOrder(list, sort)
		if (i < 0 || list.Orders[i].Used < since) && len(keep) < ordersKept {
			keep = append(keep, orderToKeep{sort, usualShare})
		}
	}
	return keep
}

// orderInUse is an order that is to be kept, with what it is made of.
type orderInUse struct {
	*view
	share int
	name  string
	key   string // in the cache
	spec  *query.Spec
	rows  *messageSource
	from  query.Source
	ready *readyOrder
}

// inUse is an order of a folder, nil where it is not kept: the folder is gone or small, or the order says nothing any more.
func (v *view) inUse(fid mapi.FID, sort mapi.SortOrderSet) (*orderInUse, error) {
	asked := &exmdb.TableSpec{Kind: exmdb.TableContents, Object: exmdb.ObjectID{Folder: fid}, Sort: sort}
	src, err := v.source(asked)
	if err != nil {
		if cluster.KindOf(err) == exmdb.KindNoFolder {
			err = nil
		}
		return nil, err
	}
	spec, err := query.Compile(asked, newestFirst)
	if err != nil {
		return nil, nil
	}
	o := &orderInUse{view: v, name: orderName(fid, spec), spec: spec, rows: v.keeps(spec, src)}
	if o.rows == nil {
		return nil, nil
	}
	o.key, o.from = v.tableKey(asked, spec, src)
	return o, nil
}

// found is how far the order is in the file that there is.
func (o *orderInUse) found() *readyOrder {
	if k := o.readOrder(o.rows.fid, o.spec); k != nil {
		return &readyOrder{past: o.header.ReplicaGUID, kept: true, made: k.Stamp, counted: k.Stamp}
	}
	return new(readyOrder)
}

// due counts what has changed since the order was made, and reports whether it is to be made anew.
func (o *orderInUse) due() (_ bool, err error) {
	d := o.ready
	lost := d.kept && !o.config.Orders.Has(o.r.Space(), o.name)
	if d.made == 0 || d.past != o.header.ReplicaGUID || d.made < o.counters.Floor || lost {
		return true, nil
	}
	most := max(orderChanges, o.rows.Len()/o.share)
	for _, key := range []func(mapi.FID, mapi.Stamp) []byte{schema.ChangeKey, schema.TombstoneKey} {
		it := o.r.Iter(key(o.rows.fid, d.counted+1), key(o.rows.fid+1, 0))
		for d.changes <= most && it.Next() {
			d.changes++
		}
		if err := it.Close(); err != nil {
			return false, err
		}
	}
	d.counted = max(d.counted, o.rows.counts.ContentSeq)
	return d.changes > most, nil
}

// renew makes the order anew, from what is kept where that is of use, if it is due; more says that it is not there yet, or just
// is.
func (o *orderInUse) renew(until time.Time) (more bool, err error) {
	if due, err := o.due(); err != nil || !due {
		return false, err
	}
	budget := o.budget()
	if !until.IsZero() {
		budget = budgetUntil(until)
	}
	made, _, err := o.tables.View(o.key, o.spec, o.from, budget, o.keptOrder(o.spec, o.rows))
	switch {
	case cluster.KindOf(err) == exmdb.KindTooComplex: // there is no room for it here
		o.done(o.rows.Stamp(), false)
		return false, nil
	case err != nil || made == nil:
		return true, err
	}
	o.tables.Drop(o.key, o.spec)
	size := made.KeptSize()
	if size <= orderBytes {
		err = o.save(made, size)
	}
	if errors.Is(err, query.ErrNotKept) { // what it was made from cannot be read
		return true, o.config.Orders.Remove(o.r.Space(), o.name)
	}
	o.done(made.Stamp, err == nil && size <= orderBytes)
	return true, err
}

// save keeps the order in a file, of about so many bytes.
func (o *orderInUse) save(made *query.View, size int) error {
	past := o.header.ReplicaGUID
	content, err := made.AppendKept(append(make([]byte, 0, size+size/512), past[:]...))
	if err != nil {
		return err
	}
	return o.config.Orders.Save(o.r.Space(), o.name, content)
}

func (o *orderInUse) done(at mapi.Stamp, kept bool) {
	*o.ready = readyOrder{past: o.header.ReplicaGUID, kept: kept, made: at, counted: at}
}
