// Package fleet keeps a few groups of one replica each in memory, for tests of what carries mail between them: the real state
// machine, under a clock that stands until it is told to go on.
//
// It knows which group each space is in; what is served there, and what calls meet on their way, is the test's.
package fleet

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// Fleet is the groups 1, 2 and so on.
type Fleet struct {
	Groups   []cluster.GroupID
	Replicas map[cluster.GroupID]*space.LocalReplica
	Engines  map[cluster.GroupID]*lsm.DB
	// fixed finds the group of spaces whose id says it.
	fixed func(cluster.SpaceID) (cluster.GroupID, bool)

	mu     sync.Mutex
	now    time.Time                           // guarded by mu
	places map[cluster.SpaceID]cluster.GroupID // guarded by mu
}

// New opens n groups, which end with the test.
func New(t testing.TB, n int, fixed func(cluster.SpaceID) (cluster.GroupID, bool)) *Fleet {
	t.Helper()
	f := &Fleet{Replicas: map[cluster.GroupID]*space.LocalReplica{}, Engines: map[cluster.GroupID]*lsm.DB{}, fixed: fixed,
		now: time.Unix(1.8e9, 0).UTC(), places: map[cluster.SpaceID]cluster.GroupID{}}
	for i := range n {
		f.open(t, cluster.GroupID(i+1))
	}
	return f
}

func (f *Fleet) open(t testing.TB, g cluster.GroupID) {
	t.Helper()
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := space.NewLocalReplica(db, space.Config{Now: f.Now})
	if err != nil {
		t.Fatal(err)
	}
	f.Groups, f.Engines[g], f.Replicas[g] = append(f.Groups, g), db, rep
	t.Cleanup(func() {
		if err := errors.Join(rep.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
}

// Now is what the clock says.
func (f *Fleet) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Pass lets time pass.
func (f *Fleet) Pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// Place says where a space is, with group 0 that it is nowhere.
func (f *Fleet) Place(id cluster.SpaceID, g cluster.GroupID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.places[id] = g; g == 0 {
		delete(f.places, id)
	}
}

// PlaceOf is the group of a space, 0 if it is nowhere.
func (f *Fleet) PlaceOf(id cluster.SpaceID) cluster.GroupID {
	if g, ok := f.fixed(id); ok {
		return g
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.places[id]
}

// Replica implements ops.Replicas.
func (f *Fleet) Replica(g cluster.GroupID) *space.Replica { return f.Replicas[g].Replica }

// Route says where calls go.
func (f *Fleet) Route(_ context.Context, id cluster.SpaceID) (ops.Route, error) {
	g := f.PlaceOf(id)
	if g == 0 {
		return ops.Route{}, cluster.ErrNoSpace
	}
	return ops.Route{Group: g}, nil
}
