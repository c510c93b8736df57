package node

import (
	"context"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/admin"
)

// PerformOp implements admin.Backend: the op goes the way that those of front-ends go. It comes from whoever holds the
// socket of a node that was started for tests, as whom he likes.
func (b backend) PerformOp(ctx context.Context, op admin.SpaceOp) (*admin.SpaceOpAnswer, error) {
	if !b.n.cfg.Staging {
		return nil, cluster.Errorf(exmdb.KindAccessDenied, "this node was not started by 'flotilla dev': its ops are the front-ends'")
	}
	q := &ops.Request{Op: ops.ID(op.Op), As: op.As, Payload: op.Payload}
	if len(op.Space) != len(q.Space) || len(op.ID) > 0 && len(op.ID) != len(q.ID) {
		return nil, cluster.Errorf(cluster.KindBadRequest, "a space has %d bytes, a request id %d", len(q.Space), len(q.ID))
	}
	copy(q.Space[:], op.Space)
	copy(q.ID[:], op.ID)
	payload, err := b.n.ops.Call(ctx, q, ops.Mode(op.Mode))
	if err != nil {
		return nil, err
	}
	route, err := router(b).Route(ctx, q.Space)
	return &admin.SpaceOpAnswer{Payload: payload, Owner: string(route.Leader), Group: uint32(route.Group)}, err
}
