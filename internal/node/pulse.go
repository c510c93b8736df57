package node

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/directory/builtin"
)

const (
	// contactEvery is how often a node asks the system group how far it is.
	contactEvery = time.Second
	// contactWait bounds one question.
	contactWait = 3 * time.Second
	// contactLost is how long a node without an answer counts as serving. It is longer than any change of the system
	// group's leader, which must not take every node out of a balancer at once.
	contactLost = 10 * time.Second
)

// contact remembers when the node's copy of the system group was last known to be the newest. The zero value is for a
// node that has heard nothing yet.
type contact struct{ last atomic.Pointer[time.Time] }

// heard notes an answer to what was asked at a time: the copy has since then all that was committed before.
func (c *contact) heard(asked time.Time) { c.last.Store(&asked) }

// age is how long ago that was.
func (c *contact) age() time.Duration {
	if at := c.last.Load(); at != nil {
		return time.Since(*at)
	}
	return time.Duration(1<<63 - 1)
}

// keepContact asks the system group for a read index, again and again.
func (n *Node) keepContact(ctx context.Context) error {
	tick := time.NewTicker(contactEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		n.touch(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}

func (n *Node) touch(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, contactWait)
	defer cancel()
	asked := time.Now()
	err := systemReplica{n}.View(ctx, builtin.Space, space.ReadIndex, func(space.Reader) error { return nil })
	if err != nil {
		n.log.Debug("no contact with the system group", "err", err)
		if why := n.hindrance(nil); why != "" && n.rejected.isNew(why, time.Now()) {
			n.log.Warn("this node does not come together with others", "code", "FL-1053", "why", why)
		}
		return
	}
	n.contact.heard(asked)
}

// serves is nil when clients may be sent here: the node is up, does not drain, and is not cut off from the others.
func (n *Node) serves() error {
	switch age := n.contact.age(); {
	case !n.ready.Load():
		return cluster.Errorf(cluster.KindUnavailable, "not ready: %s", *n.progress.Load())
	case age > contactLost:
		return cluster.Errorf(cluster.KindUnavailable, "not ready: no word from the system group for %v", age.Round(time.Second))
	}
	return nil
}

// Alive waits until the loops of all groups have answered; it fails when one does not before ctx ends. It does not ask
// whether they lead or have a quorum: starting the node again would not help that.
func (n *Node) Alive(ctx context.Context) error {
	var all errgroup.Group
	for _, g := range n.storage.host.Groups() {
		all.Go(func() error {
			if err := g.Answers(ctx); err != nil {
				return fmt.Errorf("group %d does not answer: %w", g.ID(), err)
			}
			return nil
		})
	}
	return all.Wait()
}
