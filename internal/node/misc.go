package node

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb/server"
	"github.com/flotilla-mail/flotilla/internal/directory/builtin"
	"github.com/flotilla-mail/flotilla/internal/mailflow/queue"
	"github.com/flotilla-mail/flotilla/internal/version"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/mover"
	"github.com/flotilla-mail/flotilla/placement/store"

	mailbox "github.com/flotilla-mail/flotilla/exmdb/store"
)

// makeServer builds the table of everything that can be asked of a space.
func (n *Node) makeServer() {
	tables := [][]ops.Handler{store.Handlers(), builtin.Handlers(), server.Handlers(n.mailboxes()), queue.Handlers(), mover.Handlers()}
	if n.cfg.Staging {
		tables = append(tables, scratchHandlers())
	}
	n.server = ops.NewServer(replicas{n}, ops.Events{Served: n.metrics.served, Misled: n.misled}, n.guard(tables)...)
}

// traceRoom is what a node may write above a mail that is as large as it may be (MAILBOX 3): it counts in the store.
const traceRoom = 64 << 10

// mailboxes is how the mailboxes of this node are kept.
func (n *Node) mailboxes() mailbox.Config {
	l := &n.cfg.Limits
	c := mailbox.Defaults()
	c.DuplicateWindow, c.MaxMessage = time.Duration(l.DuplicateWindow), uint64(l.Message)+traceRoom
	c.SoftDeleted, c.QuotaWarn = time.Duration(l.SoftDeleted), l.QuotaWarning
	c.Text, c.Orders = n.storage.text.of(), n.storage.orders
	return c
}

func versionString() string { return version.Get().Release }

// resolve gives a node's address: the map's, which follows a node that moves, else the configuration's, else what the node
// says of itself. That comes last, because which of its addresses a machine takes for its own may be wrong.
func (n *Node) resolve(id cluster.NodeID) (string, bool) {
	if v := n.view; v != nil {
		switch s := v.Map().Node(id); {
		case s == nil:
		case s.Status == placement.Removed:
			return "", false
		case s.Address != "":
			return s.Address, true
		}
	}
	for _, p := range n.peers {
		if p.ID == id {
			return p.Address, true
		}
	}
	for _, o := range n.gossip.Nodes() {
		if o.ID == id && o.Alive {
			return gossipAddress(&o)
		}
	}
	return "", false
}

// clockShift is the machine's clock, which `flotilla dev fault clock=` can set off: the calendar moves, the monotonic
// reading does not.
type clockShift struct {
	origin time.Time
	off    atomic.Int64
}

func newClockShift() *clockShift { return &clockShift{origin: time.Now()} }

func (c *clockShift) set(d time.Duration) { c.off.Store(int64(d)) }

// Now is the calendar.
func (c *clockShift) Now() time.Time { return time.Now().Add(time.Duration(c.off.Load())) }

// Mono implements group.Clock.
func (c *clockShift) Mono() time.Duration { return time.Since(c.origin) }

// Wall implements group.Clock.
func (c *clockShift) Wall() time.Time { return c.Now().Round(0) }

// initDomains makes the configured domains, once, when the directory has none.
func (n *Node) initDomains(ctx context.Context) error {
	have, err := n.people.Domains(ctx)
	if err != nil || len(have) > 0 {
		return err
	}
	for _, d := range n.cfg.Domains {
		if err := (backend{n}).addDomainHere(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// addDomainHere adds a domain on the system group's leader, without waiting for others.
func (b backend) addDomainHere(ctx context.Context, name string) error {
	g := b.n.storage.host.Group(cluster.SystemGroup)
	_, err := g.Replica().Update(ctx, builtin.Space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return nil, builtin.EnsureDomain(w, name)
	})
	return err
}

// placementCounts reads the number of spaces of every group.
func placementCounts(ctx context.Context, s systemReplica) (counts map[cluster.GroupID]int, err error) {
	err = s.View(ctx, store.Space, space.ReadLocal, func(r space.Reader) error {
		counts, err = store.Counts(r)
		return err
	})
	return counts, err
}

// askStop asks the process to end in order.
func (n *Node) askStop() {
	select {
	case n.stopping <- struct{}{}:
	default:
	}
}

// Stopping is signalled when an administrator asked the node to stop.
func (n *Node) Stopping() <-chan struct{} { return n.stopping }
