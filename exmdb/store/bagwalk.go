package store

import (
	"bytes"

	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// bagWalk reads the bags of many objects that mostly stand one behind the other, as those of a folder's messages do, at
// the price of walking over them.
type bagWalk struct {
	r  space.Reader
	it space.Iterator // nil before the first is read
	on bool           // it stands on a pair
}

// near is up to how many pairs are stepped over instead of sought.
const near = 4

func (v *view) walkBags() *bagWalk { return &bagWalk{r: v.r} }

// bag is view.listed.
func (w *bagWalk) bag(object mapi.ObjectNumber) (*mapi.PropBag, error) {
	bag := new(mapi.PropBag)
	if stored := w.stored(object); stored != nil {
		return bag, schema.Decode(stored, bag)
	}
	return bag, nil
}

// stored is a bag as it is stored, nil where there is none; it is valid until the next is read.
func (w *bagWalk) stored(object mapi.ObjectNumber) []byte {
	key := schema.BagKey(object)
	if w.it == nil {
		w.it = w.r.Iter(schema.BagKey(0), []byte{schema.PrefixBag + 1})
	}
	for i := 0; w.on && i < near && bytes.Compare(w.it.Key(), key) < 0; i++ {
		w.on = w.it.Next()
	}
	if !w.on || !bytes.Equal(w.it.Key(), key) {
		w.on = w.it.SeekGE(key)
	}
	if !w.on || !bytes.Equal(w.it.Key(), key) {
		return nil
	}
	return w.it.Value()
}

func (w *bagWalk) close() error {
	if w.it == nil {
		return nil
	}
	return w.it.Close()
}
