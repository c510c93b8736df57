package sim

import (
	"context"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
)

// epoch is that of every mailbox's place.
const epoch = 1

// routes is one process's knowledge of who leads. It implements ops.Router.
type routes struct {
	w       *World
	mu      sync.Mutex
	leaders map[cluster.GroupID]leader // guarded by mu
	changed chan struct{}              // closed and replaced; guarded by mu
}

type leader struct {
	term uint64
	node cluster.NodeID
}

func newRoutes(w *World) *routes {
	return &routes{w: w, leaders: map[cluster.GroupID]leader{}, changed: make(chan struct{})}
}

// Route implements ops.Router.
func (r *routes) Route(_ context.Context, id cluster.SpaceID) (ops.Route, error) {
	g := r.w.groupOf(id)
	r.mu.Lock()
	defer r.mu.Unlock()
	return ops.Route{Group: g, Epoch: epoch, Leader: r.leaders[g].node, Replicas: r.w.names()}, nil
}

// Learn implements ops.Router.
func (r *routes) Learn(g cluster.GroupID, term uint64, node cluster.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if node == "" || term < r.leaders[g].term || r.leaders[g].node == node {
		return
	}
	r.leaders[g] = leader{term, node}
	close(r.changed)
	r.changed = make(chan struct{})
}

// Moved implements ops.Router; no mailbox moves here.
func (r *routes) Moved(cluster.SpaceID, ops.Route) {}

// Changed implements ops.Router.
func (r *routes) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}
