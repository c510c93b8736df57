package node

import (
	"context"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mailflow/intents"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// sendTimeout bounds one thing that a mailbox sends: a long mail is read and written once more.
const sendTimeout = 10 * time.Minute

// sendOutgoing empties the outboxes of a group's mailboxes while this node leads it.
func (n *Node) sendOutgoing(ctx context.Context, id cluster.GroupID) {
	for ctx.Err() == nil {
		if g := n.storage.host.Group(id); g != nil {
			space.NewPump(g.Replica(), n.performer(id), space.WorkConfig{Now: n.storage.clock.Now, Timeout: sendTimeout,
				Failed: func(box cluster.SpaceID, err error) {
					n.log.Warn("what a mailbox sends by itself waits", "code", "MF-1007", "group", id, "mailbox", box, "err", err)
				}}).Run(ctx)
		}
		pause(ctx, 100*time.Millisecond)
	}
}

func (n *Node) performer(id cluster.GroupID) *intents.Performer {
	return &intents.Performer{Mail: n.mail, Deliver: n.deliverer(), People: n.people, Queue: n.queue(), Group: id, Host: n.cfg.ClusterName(),
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
		}}
}
