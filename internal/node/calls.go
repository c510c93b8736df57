package node

import (
	"context"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/rpc"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/mailflow/queue"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/mover"
	"github.com/flotilla-mail/flotilla/placement/store"
	"github.com/flotilla-mail/flotilla/placement/view"

	builtindir "github.com/flotilla-mail/flotilla/internal/directory/builtin"
)

// The methods between nodes, for ever.
var (
	methodOps    = rpc.Method{ID: 1, Name: "ops"}
	methodHello  = rpc.Method{ID: 2, Name: "hello"}
	methodStatus = rpc.Method{ID: 3, Name: "status"}
	methodMember = rpc.Method{ID: 4, Name: "member"}
	methodHashes = rpc.Method{ID: 5, Name: "hashes"}
	methodWait   = rpc.Method{ID: 6, Name: "ops that wait"}
	methodScrub  = rpc.Method{ID: 16, Name: "scrub"}
)

func (n *Node) registerCalls() {
	n.makeServer()
	n.storage.calls.Handle(methodOps, func(ctx context.Context, _ rpc.Peer, req []byte) ([]byte, error) {
		return n.server.Handle(ctx, req)
	})
	n.storage.calls.HandleWait(methodWait, func(ctx context.Context, _ rpc.Peer, req []byte) ([]byte, error) {
		return n.server.HandleWait(ctx, req)
	})
	n.storage.calls.Handle(methodHello, func(_ context.Context, from rpc.Peer, _ []byte) ([]byte, error) {
		h := n.hello()
		h.Stranger = n.strange(from.Node)
		return wire.Marshal(h), nil
	})
	n.storage.calls.Handle(methodStatus, func(ctx context.Context, _ rpc.Peer, _ []byte) ([]byte, error) {
		return wire.Marshal(n.ownStatus(ctx)), nil
	})
	n.storage.calls.Handle(methodHashes, func(ctx context.Context, _ rpc.Peer, _ []byte) ([]byte, error) {
		h, err := n.ownHashes(ctx)
		if err != nil {
			return nil, err
		}
		return wire.Marshal(h), nil
	})
	n.storage.calls.Handle(methodScrub, func(_ context.Context, _ rpc.Peer, req []byte) ([]byte, error) {
		return n.answerScrub(req)
	})
	n.storage.calls.Handle(methodMember, func(ctx context.Context, _ rpc.Peer, req []byte) ([]byte, error) {
		return nil, n.changeMember(ctx, req)
	})
	handle(n, methodGossipKey, n.stepGossipKey)
	n.registerFleet()
}

// opsConn carries ops to other nodes.
type opsConn struct{ n *Node }

// CallOps implements ops.Conn.
func (c opsConn) CallOps(ctx context.Context, node cluster.NodeID, mode ops.Mode, frame []byte) ([]byte, error) {
	method := methodOps
	if mode == ops.Wait {
		method = methodWait
	}
	return c.n.storage.client.Call(ctx, node, method, frame)
}

// replicas finds this node's replicas for the ops server.
type replicas struct{ n *Node }

// Replica implements ops.Replicas.
func (r replicas) Replica(id cluster.GroupID) *space.Replica {
	if g := r.n.storage.host.Group(id); g != nil {
		return g.Replica()
	}
	return nil
}

// router finds routes in the view; the system group's spaces have their place by definition.
type router struct{ n *Node }

// Route implements ops.Router.
func (r router) Route(ctx context.Context, id cluster.SpaceID) (ops.Route, error) {
	if id == store.Space || id == builtindir.Space {
		route := ops.Route{Group: cluster.SystemGroup, Epoch: 1, Leader: r.n.view.Leader(cluster.SystemGroup).Node}
		for _, p := range r.n.everyone() {
			route.Replicas = append(route.Replicas, p.ID)
		}
		return route, nil
	}
	if g, ok := queue.GroupOf(id); ok {
		return r.n.groupRoute(g)
	}
	if g, ok := scratchGroup(id); ok {
		return r.n.groupRoute(g)
	}
	if g, ok := mover.GroupOf(id); ok {
		return r.n.groupRoute(g)
	}
	v, err := r.n.view.Route(ctx, id)
	return ops.Route{Group: v.Place.Group, Epoch: v.Place.Epoch, Leader: v.Leader, Replicas: v.Replicas}, err
}

// Learn implements ops.Router.
func (r router) Learn(g cluster.GroupID, term uint64, leader cluster.NodeID) {
	r.n.view.Learn(g, term, leader)
}

// Moved implements ops.Router.
func (r router) Moved(id cluster.SpaceID, route ops.Route) {
	r.n.view.Moved(id, placement.Place{Group: route.Group, Epoch: route.Epoch})
}

// Changed implements ops.Router.
func (r router) Changed() <-chan struct{} { return r.n.view.Changed() }

var _ view.System = systemReplica{}

// systemReplica is this node's replica of the system group, whichever it is at the moment.
type systemReplica struct{ n *Node }

var errNoSystem = &cluster.Error{Kind: cluster.KindUnavailable, Text: "this node has no copy of the system group yet"}

// View implements view.System.
func (s systemReplica) View(ctx context.Context, id cluster.SpaceID, mode space.ReadMode, fn space.ViewFunc) error {
	g := s.n.storage.host.Group(cluster.SystemGroup)
	if g == nil {
		return errNoSystem
	}
	return g.Replica().View(ctx, id, mode, fn)
}

// WaitApplied implements view.System.
func (s systemReplica) WaitApplied(ctx context.Context, id cluster.SpaceID, after uint64) (uint64, error) {
	g := s.n.storage.host.Group(cluster.SystemGroup)
	if g == nil {
		return 0, errNoSystem
	}
	return g.Replica().WaitApplied(ctx, id, after)
}

// mapOp performs an op on the placement map, wherever its leader is.
func (n *Node) mapOp(ctx context.Context, op ops.ID, req any) error {
	_, err := n.ops.Call(ctx, &ops.Request{Op: op, Space: store.Space, Payload: wire.Marshal(req)}, ops.Write)
	return err
}
