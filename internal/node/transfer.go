package node

import (
	"context"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/client"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/archive"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// transferPatience is how long a node follows a mailbox's owner before it lets the command line try again.
const transferPatience = 20 * time.Second

// MailboxOp implements admin.Backend: the op goes the way that those of front-ends go, as the system's.
func (b backend) MailboxOp(ctx context.Context, address string, op admin.MailboxOp) (*admin.MailboxOpAnswer, error) {
	all := archive.Ops()
	at := slices.IndexFunc(all, func(o exmdb.OpInfo) bool { return uint16(o.ID) == op.Op })
	if at < 0 {
		return nil, cluster.Errorf(exmdb.KindAccessDenied, "op %d is none of import and export", op.Op)
	}
	q := &ops.Request{Op: ops.ID(op.Op), As: wire.Marshal(&exmdb.System), Payload: op.Payload}
	if len(op.ID) != len(q.ID) {
		return nil, cluster.Errorf(cluster.KindBadRequest, "a request id has %d bytes", len(q.ID))
	}
	copy(q.ID[:], op.ID)
	ctx, cancel := context.WithTimeout(ctx, transferPatience)
	defer cancel()
	box, err := b.mailboxOf(ctx, address)
	if err != nil {
		return nil, err
	}
	q.Space = cluster.SpaceID(box)
	payload, err := b.n.ops.Call(ctx, q, client.ModeOf(all[at]))
	if err != nil {
		return nil, err
	}
	return &admin.MailboxOpAnswer{Payload: payload}, nil
}
