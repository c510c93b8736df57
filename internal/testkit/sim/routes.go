package sim

import (
	"context"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/mover"
	"github.com/flotilla-mail/flotilla/placement/store"
	"github.com/flotilla-mail/flotilla/placement/view"
)

// router finds routes in the process's view of the map. It implements ops.Router.
type router struct{ p *process }

// Route implements ops.Router.
func (r router) Route(ctx context.Context, id cluster.SpaceID) (ops.Route, error) {
	if id == store.Space {
		return ops.Route{Group: cluster.SystemGroup, Epoch: 1, Leader: r.p.view.Leader(cluster.SystemGroup).Node, Replicas: r.p.node.w.names()}, nil
	}
	if g, ok := mover.GroupOf(id); ok {
		if r.p.view.Map().Group(g) == nil {
			return ops.Route{}, cluster.Errorf(cluster.KindUnavailable, "group %d is not in the map", g)
		}
		v := r.p.view.GroupRoute(placement.Place{Group: g, Epoch: 1})
		return ops.Route{Group: g, Epoch: 1, Leader: v.Leader, Replicas: v.Replicas}, nil
	}
	v, err := r.p.view.Route(ctx, id)
	return ops.Route{Group: v.Place.Group, Epoch: v.Place.Epoch, Leader: v.Leader, Replicas: v.Replicas}, err
}

// Learn implements ops.Router.
func (r router) Learn(g cluster.GroupID, term uint64, node cluster.NodeID) {
	r.p.view.Learn(g, term, node)
}

// Moved implements ops.Router.
func (r router) Moved(id cluster.SpaceID, route ops.Route) {
	r.p.view.Moved(id, placement.Place{Group: route.Group, Epoch: route.Epoch})
}

// Changed implements ops.Router.
func (r router) Changed() <-chan struct{} { return r.p.view.Changed() }

// systemReplica is the process's replica of the system group. It implements view.System.
type systemReplica struct{ p *process }

var _ view.System = systemReplica{}

var errNoSystem = &cluster.Error{Kind: cluster.KindUnavailable, Text: "no copy of the system group"}

// View implements view.System.
func (s systemReplica) View(ctx context.Context, id cluster.SpaceID, mode space.ReadMode, fn space.ViewFunc) error {
	if rep := s.p.Replica(cluster.SystemGroup); rep != nil {
		return rep.View(ctx, id, mode, fn)
	}
	return errNoSystem
}

// WaitApplied implements view.System.
func (s systemReplica) WaitApplied(ctx context.Context, id cluster.SpaceID, after uint64) (uint64, error) {
	rep := s.p.Replica(cluster.SystemGroup)
	if rep == nil {
		return 0, errNoSystem
	}
	return rep.WaitApplied(ctx, id, after)
}

// mapOp performs an op on the placement map, wherever its leader is.
func (p *process) mapOp(ctx context.Context, op ops.ID, req any) ([]byte, error) {
	return p.ops.Call(ctx, &ops.Request{Op: op, Space: store.Space, Payload: wire.Marshal(req)}, ops.Write)
}
