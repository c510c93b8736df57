package node

import (
	"context"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory/builtin"
	"github.com/flotilla-mail/flotilla/internal/mailflow/intents"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// sendTimeout bounds one thing that a mailbox sends: a long mail is read and written once more.
const sendTimeout = 10 * time.Minute

// sendOutgoing empties the outboxes of a group's mailboxes while this node leads it.
func (n *Node) sendOutgoing(ctx context.Context, id cluster.GroupID) {
	n.pump(ctx, id, performed{n.performer(id), &n.deadly}, func(box cluster.SpaceID, err error) {
		n.log.Warn("what a mailbox sends by itself waits", "code", "MF-1007", "group", id, "mailbox", box, "err", err)
	})
}

// pump has what a group's spaces want done elsewhere performed while this node leads it.
func (n *Node) pump(ctx context.Context, id cluster.GroupID, by space.Performer, failed func(cluster.SpaceID, error)) {
	for ctx.Err() == nil {
		if g := n.storage.host.Group(id); g != nil {
			space.NewPump(g.Replica(), by, space.WorkConfig{Now: n.storage.clock.Now, Timeout: sendTimeout, Failed: failed}).Run(ctx)
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// purger performs what the directory wants done with mailboxes.
type purger struct{ n *Node }

// Perform implements space.Performer.
func (p purger) Perform(ctx context.Context, _ cluster.SpaceID, _ uint64, in space.Intent) error {
	var box mapi.MailboxID
	if n := copy(box[:], in.Payload); n != len(box) || len(in.Payload) != n || in.Op != builtin.IntentDelete || in.Target != builtin.TargetMailbox+box.String() {
		return cluster.Errorf(cluster.KindInternal, "the directory intends %d for %q, of %d bytes", in.Op, in.Target, len(in.Payload))
	}
	return backend(p).purge(ctx, box)
}

// unplace takes the space of a mailbox that was deleted out of the map.
func (n *Node) unplace(ctx context.Context, id cluster.SpaceID, epoch uint64) error {
	_, err := n.ops.Call(ctx, &ops.Request{Op: store.OpRemoveSpace, Space: store.Space,
		Payload: wire.Marshal(&store.RemoveSpaceRequest{Space: id, Epoch: epoch})}, ops.Write)
	return err
}

func (n *Node) performer(id cluster.GroupID) *intents.Performer {
	return &intents.Performer{Mail: onTheWay{n.mail, &n.deadly}, Deliver: n.deliverer(), People: n.people, Queue: n.queue(), Group: id, Host: n.cfg.ClusterName(),
		Now: n.storage.clock.Now, Events: intents.Events{
			Sent: func(box mapi.MailboxID, out *exmdb.Outgoing, recipients int) {
				n.log.Info("a mailbox sent by itself", "mailbox", box, "what", out.Kind, "about", out.Sender, "recipients", recipients)
				n.metrics.outgoing.WithLabelValues(out.Kind.String()).Inc()
			},
			Dropped: func(box mapi.MailboxID, out *exmdb.Outgoing, why error) {
				n.log.Warn("what a mailbox wanted to send by itself cannot be sent", "code", "MF-1006", "mailbox", box, "what", out.Kind,
					"about", out.Sender, "err", why)
				n.metrics.outgoing.WithLabelValues("dropped").Inc()
			},
			Refused: func(box mapi.MailboxID, c *exmdb.Crossing, why error) {
				n.log.Info("a message was not let into another mailbox and stays", "mailbox", box, "target", c.Mailbox, "user", c.As.User, "err", why)
				n.metrics.outgoing.WithLabelValues("refused").Inc()
			},
		}}
}
