package query

import (
	stdlist "container/list"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
)

// Cache keeps views from one request to the next, so that a page costs no scan. Whoever asks for the same rows in the
// same order shares a view, whichever client he is. It holds a bounded number of bytes and forgets first what was not
// asked for the longest. A view brings itself up to date with each request, so nothing in the cache has an age.
type Cache struct {
	limit, batch int

	mu    sync.Mutex
	used  int                         // guarded by mu: bytes
	views map[string]*stdlist.Element // guarded by mu; of *cached
	order stdlist.List                // guarded by mu: the last asked for in front
}

type cached struct {
	key   string
	build *build
	size  int
}

// NewCache makes a Cache of so many bytes.
func NewCache(limit int) *Cache {
	return &Cache{limit: limit, batch: batchEntries, views: make(map[string]*stdlist.Element)}
}

// View is the view of a specification over the objects that key names, in src's state; nil when the budget was spent
// before it was there, and then done is how many rows were looked at. A key names objects for ever and for everybody who
// may use it. kept, if not nil, is asked for what is kept of a view that is not in the cache.
func (c *Cache) View(key string, s *Spec, src Source, budget Budget, kept func() *Kept) (v *View, done int, err error) {
	el := c.take(key+"\x00"+s.print, s, kept)
	v, err = el.build.advance(src, budget)
	if lerr := c.settle(el); err == nil {
		err = lerr
	}
	if err != nil {
		return nil, 0, err
	}
	if v == nil {
		done = el.build.progress()
	}
	return v, done, nil
}

// Build is a view that is made at once and not kept.
func Build(s *Spec, src Source) (*View, error) {
	return newBuild(s, batchEntries).advance(src, Unlimited)
}

func (c *Cache) take(key string, s *Spec, kept func() *Kept) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.views[key]; el != nil {
		c.order.MoveToFront(el)
		return el.Value.(*cached)
	}
	el := &cached{key: key, build: newBuild(s, c.batch)}
	el.build.kept = kept
	c.views[key] = c.order.PushFront(el)
	return el
}

// takes is what a view takes without its rows: its specification, written and taken apart, and its place here. A search that finds
// nothing has no more than that, and there may be one for each word that anybody types.
func (v *cached) takes() int { return 2048 + 8*len(v.key) }

// settle counts what a view takes now and makes room for it. One that has no room at all is refused.
func (c *Cache) settle(v *cached) error {
	size := v.build.size() + v.takes()
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.views[v.key]; el == nil || el.Value.(*cached) != v {
		return nil // forgotten meanwhile
	}
	c.used += size - v.size
	v.size = size
	for c.used > c.limit {
		last := c.order.Back()
		c.dropLocked(last)
		if last.Value.(*cached) == v {
			return cluster.Errorf(exmdb.KindTooComplex, "a table of %d bytes", size)
		}
	}
	return nil
}

// Drop forgets a view.
func (c *Cache) Drop(key string, s *Spec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.views[key+"\x00"+s.print]; el != nil {
		c.dropLocked(el)
	}
}

func (c *Cache) dropLocked(el *stdlist.Element) {
	v := el.Value.(*cached)
	c.order.Remove(el)
	delete(c.views, v.key)
	c.used -= v.size
}

// Used is how many bytes the views take, and how many there are.
func (c *Cache) Used() (bytes, views int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used, len(c.views)
}
