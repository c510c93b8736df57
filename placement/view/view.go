// Package view is each node's live copy of the placement map, with what is known of who leads which group, and
// answers where a call about a space has to go.
//
// The map comes from the node's own replica of the system group and follows it; leaders are hints, kept only when
// their term is the newest heard of. Nothing here has a time limit: a wrong answer is corrected by the node that is
// asked (CLUSTER 6.7).
package view

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// System is the node's replica of the system group.
type System interface {
	View(ctx context.Context, id cluster.SpaceID, mode space.ReadMode, fn space.ViewFunc) error
	// WaitApplied waits until this replica has applied an effect of the space beyond after and returns the
	// sequence reached.
	WaitApplied(ctx context.Context, id cluster.SpaceID, after uint64) (uint64, error)
}

// Leader is who leads a group, as far as is known.
type Leader struct {
	Term uint64
	Node cluster.NodeID // empty when the term has no known leader
}

// Route is where a call about a space goes.
type Route struct {
	Place placement.Place
	// Leader is the node to ask first; when empty, any of Replicas.
	Leader   cluster.NodeID
	Replicas []cluster.NodeID
}

// View is safe for concurrent use.
type View struct {
	system System
	m      atomic.Pointer[placement.Map]
	// OnMap, if set before Run, is called with every new map, one call at a time.
	OnMap func(*placement.Map)

	mu      sync.RWMutex
	leaders map[cluster.GroupID]Leader          // guarded by mu
	places  map[cluster.SpaceID]placement.Place // guarded by mu; dropped when the owner says it moved
	changed chan struct{}                       // guarded by mu; closed when leaders or map change
}

// New returns a view that knows nothing until Run has read the map once.
func New(system System) *View {
	v := &View{system: system, leaders: make(map[cluster.GroupID]Leader),
		places: make(map[cluster.SpaceID]placement.Place), changed: make(chan struct{})}
	v.m.Store(new(placement.Map))
	return v
}

// Map is the newest map read; empty before the first.
func (v *View) Map() *placement.Map { return v.m.Load() }

// Run follows the placement space until ctx ends. It returns ctx's error, or that of a system replica that stopped.
func (v *View) Run(ctx context.Context) error {
	var seq uint64
	for {
		next, err := v.system.WaitApplied(ctx, store.Space, seq)
		if err != nil {
			return err
		}
		if err := v.Refresh(ctx); err != nil {
			return err
		}
		seq = next
	}
}

// Refresh reads the map from the local replica.
func (v *View) Refresh(ctx context.Context) error {
	var m *placement.Map
	err := v.system.View(ctx, store.Space, space.ReadLocal, func(r space.Reader) (err error) {
		m, err = store.Load(r)
		return err
	})
	if err != nil {
		return err
	}
	if m.Sequence <= v.Map().Sequence {
		return nil
	}
	v.m.Store(m)
	v.follow(m)
	v.wake()
	if v.OnMap != nil {
		v.OnMap(m)
	}
	return nil
}

// follow takes in which spaces have moved, so that those who wait for one look at its new place when they are woken.
func (v *View) follow(m *placement.Map) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range m.Moves {
		mv := &m.Moves[i]
		if p, known := v.places[mv.Space]; known && mv.State == placement.MoveFlipped && p.Epoch <= mv.Epoch {
			delete(v.places, mv.Space)
		}
	}
}

func (v *View) wake() {
	v.mu.Lock()
	close(v.changed)
	v.changed = make(chan struct{})
	v.mu.Unlock()
}

// Changed is closed at the next change of map or leaders.
func (v *View) Changed() <-chan struct{} {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.changed
}

// Learn takes a hint: from the node's own replicas, a NotLeader answer, or gossip. An older term than the one known
// says nothing; the same term says something only when it names the leader. It reports whether the hint was new.
func (v *View) Learn(group cluster.GroupID, term uint64, leader cluster.NodeID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	known := v.leaders[group]
	if term < known.Term || term == known.Term && (leader == "" || leader == known.Node) {
		return false
	}
	v.leaders[group] = Leader{Term: term, Node: leader}
	close(v.changed)
	v.changed = make(chan struct{})
	return true
}

// Leader is what is known of a group's leader.
func (v *View) Leader(group cluster.GroupID) Leader {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.leaders[group]
}

// Leaders is what is known of all groups' leaders.
func (v *View) Leaders() map[cluster.GroupID]Leader {
	v.mu.RLock()
	defer v.mu.RUnlock()
	all := make(map[cluster.GroupID]Leader, len(v.leaders))
	for g, l := range v.leaders {
		all[g] = l
	}
	return all
}

// Route says where a space lives. A space that has no place is looked for once more behind a read index, so that
// «no such space» is never a stale answer (CLUSTER 4.4); then the error is cluster.ErrNoSpace.
func (v *View) Route(ctx context.Context, id cluster.SpaceID) (Route, error) {
	v.mu.RLock()
	p, ok := v.places[id]
	v.mu.RUnlock()
	if !ok {
		var err error
		if p, err = v.lookup(ctx, id); err != nil {
			return Route{}, err
		}
	}
	return v.GroupRoute(p), nil
}

// GroupRoute adds to a place who is to be asked.
func (v *View) GroupRoute(p placement.Place) Route {
	r := Route{Place: p, Leader: v.Leader(p.Group).Node}
	if g := v.Map().Group(p.Group); g != nil {
		for i := range g.Replicas {
			if g.Replicas[i].State != placement.Lost {
				r.Replicas = append(r.Replicas, g.Replicas[i].Server.Node())
			}
		}
	}
	return r
}

func (v *View) lookup(ctx context.Context, id cluster.SpaceID) (placement.Place, error) {
	var p placement.Place
	var ok bool
	read := func(r space.Reader) (err error) {
		p, ok, err = store.Lookup(r, id)
		return err
	}
	for _, mode := range []space.ReadMode{space.ReadLocal, space.ReadIndex} {
		if err := v.system.View(ctx, store.Space, mode, read); err != nil {
			if mode == space.ReadLocal && !errors.Is(err, context.Canceled) {
				continue
			}
			return p, err
		}
		if ok {
			v.mu.Lock()
			v.places[id] = p
			v.mu.Unlock()
			return p, nil
		}
	}
	return p, cluster.Errorf(cluster.KindNoSpace, "no place for space %s", id)
}

// Moved forgets a place that its group no longer knows.
func (v *View) Moved(id cluster.SpaceID, p placement.Place) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.places[id].Epoch <= p.Epoch {
		delete(v.places, id)
	}
}
