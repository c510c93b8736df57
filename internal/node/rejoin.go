package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/placement"
)

// openSystem opens the replica of the system group, or makes one. A damaged one is made anew once another node leads the
// group.
func (n *Node) openSystem(ctx context.Context) error {
	for {
		err := n.damages.known(cluster.SystemGroup)
		if err == nil {
			_, err = n.storage.host.Open(ctx, cluster.SystemGroup, group.ReplicaConfig{Create: true})
		}
		if !isDamage(err) {
			return err
		}
		if err := n.dropSystem(ctx, err); err != nil {
			return err
		}
	}
}

// dropSystem destroys the replica of the system group, for another to be let in under a new id (CLUSTER 6.1). It waits
// until another node leads the group: until then the files may be all that is left of it.
func (n *Node) dropSystem(ctx context.Context, why error) error {
	n.log.Error("copy of the system group lost: it is made again from the others; 'flotilla status' shows when it is back", "code", "FL-1033", "err", why)
	for leadingNode(n.self, n.askAll(ctx)) == "" {
		n.say("this node's copy of the system group cannot be used (%v): waiting for another node to lead the group", why)
		if pause(ctx, 300*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("system group: %w", errors.Join(why, ctx.Err()))
		}
	}
	n.closeReplica(ctx, cluster.SystemGroup)
	if err := n.storage.host.Destroy(ctx, cluster.SystemGroup); err != nil {
		return err
	}
	n.damages.forget(cluster.SystemGroup)
	return nil
}

// leadingNode is another node that leads the system group by its own word, empty when there is none.
func leadingNode(self cluster.NodeID, all map[cluster.NodeID]*hello) cluster.NodeID {
	for id, h := range all {
		if id != self && h.Leads {
			return id
		}
	}
	return ""
}

// replacedBy is the node that leads the system group and does not count this node's replica among its members, although
// that has been one: its id was given up while it was away, and never comes back. Empty when it is not so.
func (n *Node) replacedBy(ctx context.Context) cluster.NodeID {
	return replacer(n.self, n.askAll(ctx))
}

func replacer(self cluster.NodeID, all map[cluster.NodeID]*hello) cluster.NodeID {
	own, leader := all[self], leadingNode(self, all)
	if own == nil || !own.Formed || leader == "" || slices.Contains(all[leader].Members, own.Server) {
		return ""
	}
	return leader
}

// keepSystem looks after the replica of the system group while the node runs: one that has stopped is started again, one
// that is damaged or was replaced is made anew. Meanwhile the node is not ready.
func (n *Node) keepSystem(ctx context.Context) error {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	var again backoff
	var before error
	wasReady := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if n.isBarred() {
			return n.leave(ctx)
		}
		why, sure := n.systemFault(ctx)
		passing := before == nil && !sure
		before = why
		if why == nil || passing || !again.due() {
			continue
		}
		if n.wasRemoved(ctx) {
			return n.leave(ctx)
		}
		n.log.Error("the copy of the system group has stopped", "code", "FL-1034", "err", why)
		wasReady = n.ready.Swap(false) || wasReady
		if err := n.restoreSystem(ctx); err != nil {
			n.log.Error("the copy of the system group is not back", "code", "FL-1035", "err", err)
			continue
		}
		if wasReady && !n.draining.Load() {
			wasReady = false
			n.ready.Store(true)
			n.say("ready")
		}
	}
}

// wasRemoved reports whether the administrator has removed this node: by its own map, and the group goes on without it.
func (n *Node) wasRemoved(ctx context.Context) bool {
	s := n.view.Map().Node(n.self)
	return s != nil && (s.Status == placement.Removing || s.Status == placement.Removed) && n.replacedBy(ctx) != ""
}

// isBarred reports whether another node has said that this one was removed. That is for good, so one who knows is enough.
func (n *Node) isBarred() bool {
	return slices.ContainsFunc(n.everyone(), func(p Peer) bool {
		state, ok := n.storage.net.PeerState(p.ID)
		return ok && errors.Is(state.Err, transport.ErrBarred)
	})
}

// leave takes a node that was removed out of service: balancers and clients are to look elsewhere, and administrators are told so.
func (n *Node) leave(ctx context.Context) error {
	n.removed.Store(true)
	ctx, cancel := context.WithTimeout(ctx, DrainTime)
	defer cancel()
	if _, err := n.Drain(ctx); err != nil {
		n.log.Warn("drain not complete", "code", "FL-1014", "err", err)
	}
	n.say("%v", n.member())
	return nil
}

// member is why the node is none of the cluster any more, nil while it is.
func (n *Node) member() error {
	if !n.removed.Load() {
		return nil
	}
	return n.removedError()
}

func (n *Node) removedError() error {
	return cluster.Errorf(cluster.KindGone, "%s was removed from the cluster: ask another node; stop this one for good "+
		"('systemctl disable --now flotilla') and erase its data", n.self)
}

func (n *Node) restoreSystem(ctx context.Context) error {
	n.handOver(ctx, cluster.SystemGroup)
	n.closeReplica(ctx, cluster.SystemGroup)
	return n.form(ctx)
}

// systemFault is why the system replica has to be opened again, nil when it has not. What is not sure has to show twice:
// the host may be about to start the replica anew, and a leader that was deposed a moment ago may not know all members.
func (n *Node) systemFault(ctx context.Context) (why error, sure bool) {
	if why := n.damages.known(cluster.SystemGroup); why != nil {
		return why, true
	}
	g := n.storage.host.Group(cluster.SystemGroup)
	if g == nil {
		return errNoSystem, false
	}
	if err := g.Stats().Fenced; err != nil {
		return err, true
	}
	leader, _ := g.Leader()
	if leader != "" && g.State() != group.Stopped {
		return nil, true
	}
	if by := n.replacedBy(ctx); by != "" {
		return fmt.Errorf("%s leads the group and does not count it among its members", by), false
	}
	return nil, true
}
