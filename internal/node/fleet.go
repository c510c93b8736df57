package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/rpc"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// The methods by which one node does to another what an administrator asks for, for ever. Only nodes reach them.
var (
	methodDrain   = rpc.Method{ID: 20, Name: "drain"}
	methodUndrain = rpc.Method{ID: 21, Name: "undrain"}
	methodHealth  = rpc.Method{ID: 22, Name: "health"}
)

func (n *Node) registerFleet() {
	handle(n, methodPlacement, n.answerPlacement)
	n.registerUpgrade()
	n.registerDrills()
	handle(n, methodDrain, func(ctx context.Context, q *drainRequest) (*DrainReport, error) { return n.drainHere(ctx, q.Force) })
	handle(n, methodUndrain, func(ctx context.Context, _ *nothing) (*nothing, error) { return &nothing{}, n.Undrain(ctx) })
	handle(n, methodHealth, func(ctx context.Context, _ *nothing) (*health, error) { return n.ownHealth(ctx), nil })
}

// nothing is a request or an answer without content.
type nothing struct{}

// handle adds a method whose request and answer are records.
func handle[Q, A any](n *Node, m rpc.Method, fn func(context.Context, *Q) (*A, error)) {
	n.storage.calls.Handle(m, func(ctx context.Context, _ rpc.Peer, req []byte) ([]byte, error) {
		q := new(Q)
		if err := wire.Unmarshal(req, q); err != nil {
			return nil, cluster.Errorf(cluster.KindBadRequest, "decode %s: %v", m.Name, err)
		}
		a, err := fn(ctx, q)
		if err != nil {
			return nil, err
		}
		return wire.Marshal(a), nil
	})
}

// askNode calls a method of a node, this one too.
func askNode[A any](ctx context.Context, n *Node, node cluster.NodeID, m rpc.Method, q any) (*A, error) {
	b, err := n.storage.client.Call(ctx, node, m, wire.Marshal(q))
	if err != nil {
		return nil, err
	}
	a := new(A)
	if err := wire.Unmarshal(b, a); err != nil {
		return nil, fmt.Errorf("decode answer of %s to %s: %w", node, m.Name, err)
	}
	return a, nil
}

// named is the node that an administrator means: this one when he names none.
func (n *Node) named(name string) (cluster.NodeID, error) {
	id := cluster.NodeID(name)
	if name == "" || id == n.self {
		return n.self, nil
	}
	if n.view.Map().Node(id) == nil && !slices.ContainsFunc(n.peers, func(p Peer) bool { return p.ID == id }) {
		return "", cluster.Errorf(cluster.KindBadRequest, "%s is no node of this cluster", name)
	}
	return id, nil
}

// detached outlives whoever asked: once begun, nothing is left half done because he has gone.
func detached(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}
