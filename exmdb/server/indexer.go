package server

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/fulltext"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/clock"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Indexer keeps the full-text index of a node's replicas behind what they apply, whether they lead or not, so that a new
// owner has one. It takes one mailbox after the other and rests between its steps: nobody waits for it.
type Indexer struct {
	config IndexerConfig
	store  *store.Store
	poke   chan struct{}
	end    context.CancelFunc
	ended  sync.WaitGroup
	// changed is when a space was touched last, in Unix nanoseconds.
	changed atomic.Int64

	// What follows is of the goroutine that indexes. A mailbox that moves from group to group inside a node is in two of its
	// state machines for a while, and what is left of it in one stays for ever.
	homes  map[cluster.SpaceID]*space.Machine // where a mailbox was indexed last
	absent map[cluster.SpaceID]time.Time      // since when it has been nowhere

	mu     sync.Mutex
	opened map[*space.Machine]bool                     // guarded by mu: all their spaces are to be looked at
	dirty  map[*space.Machine]map[cluster.SpaceID]bool // guarded by mu: these are
}

// IndexerConfig is what an Indexer is told.
type IndexerConfig struct {
	Index *fulltext.Index
	Store store.Config
	// Mailbox tells mailboxes from other spaces.
	Mailbox func(cluster.SpaceID) bool
	// Gather is how long what is touched is gathered before it is looked at.
	Gather time.Duration
	// Keep is for how long the index of a mailbox is kept that is in no replica any more: it may be in one that is not open
	// yet.
	Keep time.Duration
	// Hold, if not nil, says that nothing is to be written for now.
	Hold func() bool
	// Failed reports a mailbox that was not indexed; it is tried again when it is touched.
	Failed func(id cluster.SpaceID, err error)
}

// NewIndexer makes an Indexer; Start starts it.
func NewIndexer(c IndexerConfig) *Indexer {
	return &Indexer{config: c, store: store.New(c.Store), poke: make(chan struct{}, 1),
		homes: make(map[cluster.SpaceID]*space.Machine), absent: make(map[cluster.SpaceID]time.Time),
		opened: make(map[*space.Machine]bool), dirty: make(map[*space.Machine]map[cluster.SpaceID]bool)}
}

// Opened and Touched are for the MachineEvents of the replicas.
func (x *Indexer) Opened(m *space.Machine) {
	x.mu.Lock()
	x.opened[m] = true
	x.mu.Unlock()
	x.wake()
}

// Touched notes spaces that an effect was applied to.
func (x *Indexer) Touched(m *space.Machine, spaces []cluster.SpaceID) {
	x.changed.Store(time.Now().UnixNano())
	x.mu.Lock()
	if x.dirty[m] == nil {
		x.dirty[m] = make(map[cluster.SpaceID]bool)
	}
	for _, id := range spaces {
		x.dirty[m][id] = true
	}
	x.mu.Unlock()
	x.wake()
}

func (x *Indexer) wake() {
	select {
	case x.poke <- struct{}{}:
	default:
	}
}

// Start indexes until Stop.
func (x *Indexer) Start(ctx context.Context) {
	ctx, x.end = context.WithCancel(ctx)
	x.ended.Go(func() {
		for x.gather(ctx) {
			x.round(ctx)
		}
	})
}

// Stop ends the work and waits for that.
func (x *Indexer) Stop() {
	if x.end != nil {
		x.end()
	}
	x.ended.Wait()
}

// gather waits for something to do, and then for more of it.
func (x *Indexer) gather(ctx context.Context) bool {
	select {
	case <-x.poke:
	case <-ctx.Done():
		return false
	}
	for (clock.System{}).Sleep(ctx, x.config.Gather) == nil {
		if x.config.Hold == nil || !x.config.Hold() {
			return true
		}
	}
	return false
}

const (
	// yields is how many times as long as a step took is rested after it while mailboxes change: all replicas of a mail are
	// indexed, which takes more of the processor than storing it does, and nobody waits for it.
	yields = 15
	// busyFor is how long after a change more of them are expected.
	busyFor = 200 * time.Millisecond
)

// slice is about how long is worked at a time while mailboxes change: who wants the processor meanwhile waits for it, and
// for those of the other replicas, which do the same at the same time.
const slice = 5 * time.Millisecond

// restFor is how long to rest after a step, by when a mailbox changed last before it began; less than nothing for one that
// changed since.
func restFor(took, quiet time.Duration) time.Duration {
	if quiet < busyFor {
		return yields * took
	}
	return took
}

// round looks at what was noted.
func (x *Indexer) round(ctx context.Context) {
	x.mu.Lock()
	opened, dirty := x.opened, x.dirty
	x.opened, x.dirty = make(map[*space.Machine]bool), make(map[*space.Machine]map[cluster.SpaceID]bool)
	x.mu.Unlock()
	for m := range opened {
		list, err := m.Spaces()
		if err != nil {
			continue // closed, or replaced by what will be opened
		}
		if dirty[m] == nil {
			dirty[m] = make(map[cluster.SpaceID]bool)
		}
		for _, s := range list {
			dirty[m][s.ID] = true
		}
	}
	if len(opened) > 0 {
		x.missing()
	}
	for m, spaces := range dirty {
		for id := range maps.Keys(spaces) {
			if ctx.Err() != nil || x.config.Index.Err() != nil {
				return
			}
			if x.config.Mailbox(id) {
				x.bring(ctx, m, id)
			}
		}
	}
	x.forget()
}

// missing notes the mailboxes of which there is something and that have not been met since the node began: they may be in
// replicas that are not open yet, or the node gave them up while nobody looked.
func (x *Indexer) missing() {
	list, err := x.config.Index.Spaces()
	if err != nil {
		return // the index says so itself
	}
	if kept := x.config.Store.Orders; kept != nil {
		list = append(list, kept.Spaces()...)
	}
	for _, id := range list {
		if _, known := x.absent[id]; !known && x.homes[id] == nil {
			x.absent[id] = time.Now()
		}
	}
}

// forget drops what has been nowhere for long enough.
func (x *Indexer) forget() {
	for id, since := range x.absent {
		if time.Since(since) < x.config.Keep {
			continue
		}
		err := x.config.Index.Drop(id)
		if kept := x.config.Store.Orders; kept != nil {
			err = errors.Join(err, kept.Drop(id))
		}
		if err != nil {
			x.failed(id, err)
			continue
		}
		delete(x.absent, id)
	}
}

func (x *Indexer) failed(id cluster.SpaceID, err error) {
	if x.config.Failed != nil {
		x.config.Failed(id, err)
	}
}

// bring indexes what a mailbox has that is new.
func (x *Indexer) bring(ctx context.Context, m *space.Machine, id cluster.SpaceID) {
	var err error
	for more := true; more && err == nil && ctx.Err() == nil; {
		more, err = x.step(ctx, m, id)
	}
	switch kind := cluster.KindOf(err); {
	case ctx.Err() != nil || err != nil && (kind == cluster.KindMoving || kind == cluster.KindUnavailable):
	case err == nil:
		x.homes[id] = m
		delete(x.absent, id)
	case kind != cluster.KindNoSpace && kind != exmdb.KindNoMailbox:
		x.failed(id, err)
	case x.homes[id] == nil || x.homes[id] == m:
		delete(x.homes, id)
		if _, known := x.absent[id]; !known {
			x.absent[id] = time.Now()
		}
	}
}

func (x *Indexer) step(ctx context.Context, m *space.Machine, id cluster.SpaceID) (more bool, err error) {
	var box fulltext.Mailbox
	var did mapi.FID
	began := time.Now()
	until := time.Time{}
	if x.quietAt(began) < busyFor {
		until = began.Add(slice)
	}
	err = m.View(id, func(r space.Reader) (err error) {
		if box, did, err = x.store.IndexText(r, x.config.Index, until); err == nil && did == 0 {
			more, err = x.store.KeepOrders(r, until)
		}
		return err
	})
	if err != nil || did == 0 && !more {
		return false, err
	}
	x.rest(ctx, began)
	if did == 0 {
		return true, nil
	}
	began = time.Now()
	for again := true; again && err == nil; {
		again, err = x.config.Index.Merge(ctx, box, did, func() {
			if time.Since(began) >= slice {
				x.rest(ctx, began)
				began = time.Now()
			}
		})
	}
	x.rest(ctx, began)
	return true, err
}

// quietAt is for how long no mailbox had changed at a time.
func (x *Indexer) quietAt(t time.Time) time.Duration { return t.Sub(time.Unix(0, x.changed.Load())) }

// rest rests from what began then. What comes next looks at ctx.
func (x *Indexer) rest(ctx context.Context, began time.Time) {
	_ = clock.System{}.Sleep(ctx, restFor(time.Since(began), x.quietAt(began)))
}
