package space

import (
	"bytes"
	"errors"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// reader is a Reader of one space over an engine's reader, with what an update has written over it, if any.
type reader struct {
	from  lsm.Reader
	over  *overlay // nil for a view
	whole *state   // nil for a view, which reads a snapshot
	space cluster.SpaceID
	seq   uint64
	epoch uint64
	m     *Machine
	key   []byte // scratch; begins with the data prefix of the space
	open  []*iterator
	ended bool
}

func newReader(m *Machine, from lsm.Reader, id cluster.SpaceID, hdr *header) reader {
	r := reader{from: from, space: id, m: m, key: appendSpaceKey(make([]byte, 0, 64), prefixData, id)}
	if hdr != nil {
		r.seq, r.epoch = hdr.sequence, hdr.epoch
	}
	return r
}

// Sequence implements Reader.
func (r *reader) Sequence() uint64 { return r.seq }

// Epoch implements Reader.
func (r *reader) Epoch() uint64 { return r.epoch }

// Space implements Reader.
func (r *reader) Space() cluster.SpaceID { return r.space }

// Get implements Reader.
func (r *reader) Get(key []byte) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return r.get(key)
}

func (r *reader) get(key []byte) ([]byte, error) {
	if r.over != nil {
		if n := r.over.lookup(key); n != 0 && r.over.nodes[n].kind == nodeSet {
			return append([]byte{}, r.over.nodes[n].value...), nil
		}
		if r.over.hides(key) {
			return nil, nil
		}
	}
	r.key = append(r.key[:dataStart], key...)
	return r.from.Get(r.key)
}

// Iter implements Reader.
func (r *reader) Iter(lo, hi []byte) Iterator {
	end := []byte{ReservedPrefix}
	if hi == nil || bytes.Compare(hi, end) > 0 {
		hi = end
	}
	return r.iter(lo, hi)
}

// iter walks [lo, hi), reserved keys included; hi is not nil.
func (r *reader) iter(lo, hi []byte) *iterator {
	if bytes.Compare(lo, hi) > 0 {
		lo = hi
	}
	it := &iterator{of: r, lo: slices.Clone(lo), hi: slices.Clone(hi)}
	it.db = r.from.NewIter(dataKey(r.space, lo), dataKey(r.space, hi))
	if r.whole != nil {
		if err := r.whole.stands(); err != nil { // it may show what was applied since
			it.err = errors.Join(err, it.db.Close())
			it.db = nil
			return it
		}
	}
	r.open = append(r.open, it)
	return it
}

// Content implements Reader.
func (r *reader) Content(h Hash) ([]byte, error) {
	stored, err := r.from.Get(hashKey(prefixBody, h))
	if err != nil {
		return nil, err
	}
	if stored == nil {
		return nil, cluster.Errorf(cluster.KindContentMissing, "content %x is not held by the group", h[:8])
	}
	b, err := r.m.coders.unseal(stored)
	if err != nil {
		return nil, damaged("content", h[:], err)
	}
	return b, nil
}

// end closes what the function left open; the engine cannot be closed under it.
func (r *reader) end() error {
	var err error
	for len(r.open) > 0 {
		err = errors.Join(err, r.open[len(r.open)-1].Close())
	}
	r.ended = true
	return err
}

// iterator merges the applied state and an overlay. It walks both cursors in one direction at a time.
type iterator struct {
	of     *reader
	db     *lsm.Iter
	lo, hi []byte

	node    int32 // overlay's cursor, 0 at its end
	onDB    bool  // the engine's cursor stands on a pair
	forward bool  // both cursors stand at or after the current key, else at or before it
	state   iterState
	fromDB  bool // the current pair is the engine's
	err     error
}

type iterState uint8

const (
	iterFresh iterState = iota // before the first pair
	iterOn
	iterEnd
)

// Next implements Iterator.
func (i *iterator) Next() bool {
	switch {
	case i.db == nil || i.state == iterEnd:
		return false
	case i.state == iterFresh:
		return i.SeekGE(i.lo)
	case i.forward:
		i.stepUp()
	default:
		i.turn()
	}
	return i.settleUp()
}

// stepUp moves the cursors that stand on the current key past it.
func (i *iterator) stepUp() {
	over := i.of.over
	if i.fromDB {
		i.onDB = i.db.Next()
		return
	}
	if i.onDB && bytes.Equal(i.dbKey(), over.nodes[i.node].key) {
		i.onDB = i.db.Next()
	}
	i.node = i.bounded(over.next(i.node, 0))
}

// turn changes from walking down to walking up.
func (i *iterator) turn() {
	key := append(slices.Clone(i.Key()), 0)
	i.seekCursors(key)
}

func (i *iterator) seekCursors(key []byte) {
	i.onDB = i.db.SeekGE(i.of.full(key))
	i.node = 0
	if i.of.over != nil {
		i.node = i.bounded(i.of.over.find(key, nil))
	}
	i.forward = true
}

// SeekGE implements Iterator.
func (i *iterator) SeekGE(key []byte) bool {
	if i.db == nil {
		return false
	}
	if bytes.Compare(key, i.lo) < 0 {
		key = i.lo
	}
	i.seekCursors(key)
	return i.settleUp()
}

// settleUp finds the lowest visible pair at or after both cursors.
func (i *iterator) settleUp() bool {
	over := i.of.over
	for {
		order := i.compare()
		switch {
		case order == 0:
			return i.stop()
		case order > 0: // the engine's key is lower
			if over == nil {
				return i.stand(true)
			}
			hidden := over.covering(i.dbKey())
			if hidden == nil {
				return i.stand(true)
			}
			i.onDB = i.db.SeekGE(i.of.full(hidden.hi))
		case over.nodes[i.node].kind == nodeSet:
			return i.stand(false)
		default:
			i.skipUp()
		}
	}
}

// skipUp passes an overlay node without a value, and the engine's pair that it hides.
func (i *iterator) skipUp() {
	over := i.of.over
	n := &over.nodes[i.node]
	if i.onDB && bytes.Equal(i.dbKey(), n.key) {
		if n.kind == nodeAbsent && over.covering(n.key) == nil {
			i.node = i.bounded(over.next(i.node, 0)) // undone: the engine's pair shows again
			return
		}
		i.onDB = i.db.Next()
	}
	i.node = i.bounded(over.next(i.node, 0))
}

// compare is positive when the engine's cursor is strictly first in the direction of walk, negative when the
// overlay's is (also when they stand on one key), 0 when both are at their end.
func (i *iterator) compare() int {
	switch {
	case !i.onDB && i.node == 0:
		return 0
	case !i.onDB:
		return -1
	case i.node == 0:
		return 1
	}
	c := bytes.Compare(i.of.over.nodes[i.node].key, i.dbKey())
	if !i.forward {
		c = -c
	}
	if c > 0 {
		return 1
	}
	return -1
}

// Last implements Iterator.
func (i *iterator) Last() bool {
	if i.db == nil {
		return false
	}
	i.onDB = i.db.Last()
	i.node = 0
	if i.of.over != nil {
		i.node = i.bounded(i.of.over.before(i.hi))
	}
	i.forward = false
	return i.settleDown()
}

// Prev implements Iterator.
func (i *iterator) Prev() bool {
	if i.db == nil || i.state != iterOn {
		return false
	}
	key := slices.Clone(i.Key())
	switch {
	case i.forward:
		i.onDB = i.db.SeekLT(i.of.full(key))
	case i.fromDB:
		i.onDB = i.db.Prev()
	case i.onDB && bytes.Equal(i.dbKey(), key):
		i.onDB = i.db.Prev()
	}
	if i.of.over != nil && (i.forward || !i.fromDB) {
		i.node = i.bounded(i.of.over.before(key))
	}
	i.forward = false
	return i.settleDown()
}

// settleDown finds the highest visible pair at or before both cursors.
func (i *iterator) settleDown() bool {
	over := i.of.over
	for {
		order := i.compare()
		switch {
		case order == 0:
			return i.stop()
		case order > 0: // the engine's key is higher
			if over == nil {
				return i.stand(true)
			}
			hidden := over.covering(i.dbKey())
			if hidden == nil {
				return i.stand(true)
			}
			i.onDB = i.db.SeekLT(i.of.full(hidden.lo))
		case over.nodes[i.node].kind == nodeSet:
			return i.stand(false)
		default:
			i.skipDown()
		}
	}
}

func (i *iterator) skipDown() {
	over := i.of.over
	n := &over.nodes[i.node]
	shows := n.kind == nodeAbsent && over.covering(n.key) == nil
	if !shows && i.onDB && bytes.Equal(i.dbKey(), n.key) {
		i.onDB = i.db.Prev()
	}
	i.node = i.bounded(over.before(n.key))
}

func (i *iterator) stand(fromDB bool) bool {
	i.fromDB, i.state = fromDB, iterOn
	return true
}

func (i *iterator) stop() bool {
	i.state = iterEnd
	if err := i.db.Err(); err != nil {
		i.err = err
	}
	return false
}

// bounded is n if its key is in [lo, hi), else 0.
func (i *iterator) bounded(n int32) int32 {
	if n == 0 {
		return 0
	}
	key := i.of.over.nodes[n].key
	if bytes.Compare(key, i.lo) < 0 || bytes.Compare(key, i.hi) >= 0 {
		return 0
	}
	return n
}

func (i *iterator) dbKey() []byte { return i.db.Key()[dataStart:] }

// full is the engine's key; it is valid until the next call.
func (r *reader) full(key []byte) []byte {
	r.key = append(r.key[:dataStart], key...)
	return r.key
}

// Key implements Iterator.
func (i *iterator) Key() []byte {
	if i.fromDB {
		return i.dbKey()
	}
	return i.of.over.nodes[i.node].key
}

// Value implements Iterator.
func (i *iterator) Value() []byte {
	if i.fromDB {
		return i.db.Value()
	}
	return i.of.over.nodes[i.node].value
}

// Close implements Iterator.
func (i *iterator) Close() error {
	if i.db == nil {
		return i.err
	}
	if err := i.db.Close(); err != nil && i.err == nil {
		i.err = err
	}
	i.db = nil
	if n := slices.Index(i.of.open, i); n >= 0 {
		i.of.open = slices.Delete(i.of.open, n, n+1)
	}
	return i.err
}
