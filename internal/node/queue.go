package node

import (
	"context"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb/server"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mailflow/queue"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/placement"
)

// queue is the mail queue as this node asks for it.
func (n *Node) queue() *queue.Queue {
	return &queue.Queue{Ops: n.ops, Locator: n.mail, Groups: n.mailboxGroups, Events: n.queueEvents()}
}

// mailboxGroups are the groups of the map that hold mailboxes.
func (n *Node) mailboxGroups() []cluster.GroupID {
	var ids []cluster.GroupID
	for _, g := range n.view.Map().Groups {
		if g.ID != cluster.SystemGroup {
			ids = append(ids, g.ID)
		}
	}
	return ids
}

func (n *Node) queueEvents() queue.Events {
	return queue.Events{
		Kept: func(id queue.EntryID, recipients int) {
			n.log.Warn("mail kept in the queue for recipients that cannot be delivered to now", "code", "MF-1001", "entry", id, "recipients", recipients)
			n.metrics.queued.WithLabelValues("kept").Add(float64(recipients))
		},
		Delivered: func(id queue.EntryID, address string, after time.Duration) {
			n.log.Info("delivered from the queue", "entry", id, "recipient", address, "after", after)
			n.metrics.queued.WithLabelValues("delivered").Inc()
		},
		Deferred: func(from cluster.GroupID, mailboxes int, err error) {
			n.log.Warn("mail in the queue cannot be delivered yet", "code", "MF-1002", "group", from, "mailboxes", mailboxes, "err", err)
		},
		Failed: func(id queue.EntryID, address string, err error) {
			n.log.Error("mail in the queue is not tried any more: 'flotilla queue' shows it", "code", "MF-1003", "entry", id, "recipient", address, "err", err)
			n.metrics.queued.WithLabelValues("failed").Inc()
		},
		Removed: func(id queue.EntryID, recipients int) {
			n.log.Warn("mail removed from the queue by an administrator", "code", "MF-1004", "entry", id, "recipients", recipients)
			n.metrics.queued.WithLabelValues("removed").Add(float64(recipients))
		},
	}
}

func (n *Node) deliverEvents() deliver.Events {
	return deliver.Events{
		Duplicate: func(env *mailflow.Envelope, address string, box mapi.MailboxID) {
			n.log.Info("mail was in the mailbox already and not stored again", "code", "MF-1005", "from", env.From, "recipient", address,
				"mailbox", box, "remote", env.Remote)
		},
	}
}

// groupRoute is where a space is that stands in the group its id names: the queue's, and the scratch space.
func (n *Node) groupRoute(g cluster.GroupID) (ops.Route, error) {
	if n.view.Map().Group(g) == nil {
		return ops.Route{}, cluster.Errorf(cluster.KindUnavailable, "group %d is not in the map", g)
	}
	v := n.view.GroupRoute(placement.Place{Group: g, Epoch: 1})
	return ops.Route{Group: g, Epoch: 1, Leader: v.Leader, Replicas: v.Replicas}, nil
}

// dueTimeout bounds one piece of due work. A sweep of the queue may have long mails to bring to other groups.
const dueTimeout = 10 * time.Minute

// dueWork does what falls due in the spaces of a group: mailboxes, and the group's queue.
type dueWork struct {
	mailboxes server.Due
	queue     queue.Work
	deadly    *deadlyStep
}

func (n *Node) dueWork(rep *space.Replica) dueWork {
	return dueWork{server.Due{Replica: rep, Config: n.mailboxes(), Unplace: n.unplace}, queue.Work{Replica: rep, Mail: n.mail, Locator: n.mail, Now: n.storage.clock.Now,
		Events: n.queueEvents()}, &n.deadly}
}

// PerformDue implements space.DuePerformer.
func (d dueWork) PerformDue(ctx context.Context, id cluster.SpaceID, due space.Due) error {
	if _, ok := queue.GroupOf(id); ok {
		return d.queue.PerformDue(ctx, id, due)
	}
	if err := d.deadly.due(due.Op); err != nil {
		return err
	}
	return d.mailboxes.PerformDue(ctx, id, due)
}

// Queue implements admin.Backend.
func (b backend) Queue(ctx context.Context) (any, error) { return b.n.queue().List(ctx) }

// QueueEntry implements admin.Backend.
func (b backend) QueueEntry(ctx context.Context, id string) (any, error) {
	return withEntry(ctx, id, b.n.queue().Show)
}

// RetryQueueEntry implements admin.Backend.
func (b backend) RetryQueueEntry(ctx context.Context, id string) (any, error) {
	return withEntry(ctx, id, b.n.queue().Retry)
}

// RemoveQueueEntry implements admin.Backend.
func (b backend) RemoveQueueEntry(ctx context.Context, id string) (any, error) {
	return withEntry(ctx, id, b.n.queue().Remove)
}

func withEntry(ctx context.Context, id string, fn func(context.Context, queue.EntryID) (*queue.Entry, error)) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	parsed, err := queue.ParseEntryID(id)
	if err != nil {
		return nil, err
	}
	return fn(ctx, parsed)
}
