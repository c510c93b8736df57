package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// keepReplicas brings the replicas of this node to what the map says, whenever the map changes and now and then.
func (n *Node) keepReplicas(ctx context.Context) error {
	t := time.NewTicker(2 * time.Second)
	defer t.Stop()
	for {
		for i := range n.view.Map().Groups {
			g := &n.view.Map().Groups[i]
			if err := n.keepReplica(ctx, g); err != nil && ctx.Err() == nil {
				n.log.Warn("replica not as the map wants it", "code", "FL-1009", "group", g.ID, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.reconcile:
		case <-t.C:
		}
	}
}

// keepReplica makes, opens or gives up this node's replica of one group.
func (n *Node) keepReplica(ctx context.Context, g *placement.Group) error {
	want := g.Replica(n.self)
	if want == nil {
		return nil
	}
	open := n.storage.host.Group(g.ID)
	switch {
	case want.State == placement.Assigned:
		return n.makeReplica(ctx, g, want)
	case want.State == placement.Lost:
		if open != nil && open.Self() == want.Server {
			return n.storage.host.Destroy(ctx, g.ID)
		}
		return nil
	case open == nil:
		return n.openReplica(ctx, g, want)
	}
	return n.begin(ctx, g, open)
}

// makeReplica makes a replica's data and then says so in the map: from there on missing data is damage.
func (n *Node) makeReplica(ctx context.Context, g *placement.Group, want *placement.Replica) error {
	open := n.storage.host.Group(g.ID)
	if open != nil && g.Server(open.Self()) != nil && g.Server(open.Self()).State == placement.Lost {
		if err := n.storage.host.Destroy(ctx, g.ID); err != nil {
			return err
		}
		open = nil
	}
	if open == nil {
		var err error
		open, err = n.storage.host.Open(ctx, g.ID, group.ReplicaConfig{Create: true, Suffrage: group.Suffrage(want.Suffrage)})
		if err != nil {
			return err
		}
	}
	return n.mapOp(ctx, store.OpSetReplicaState, &store.ReplicaStateRequest{Group: g.ID, Server: want.Server,
		State: placement.Created, Actual: open.Self()})
}

// openReplica starts a replica that was made before. One that is damaged, or not there any more, is reported lost: it
// never starts again, and the controller replaces it.
func (n *Node) openReplica(ctx context.Context, g *placement.Group, want *placement.Replica) error {
	open, err := n.storage.host.Open(ctx, g.ID, group.ReplicaConfig{})
	if err == nil && open.Self() == want.Server {
		return n.begin(ctx, g, open)
	}
	if err == nil {
		err = fmt.Errorf("the data here is replica %s, the map has %s: %w", open.Self(), want.Server, cluster.ErrDamaged)
	}
	if !errors.Is(err, cluster.ErrDamaged) && !errors.Is(err, cluster.ErrNoSpace) {
		return err
	}
	n.log.Error("replica lost: it is given up and made again from the others", "code", "FL-1010", "group", g.ID, "err", err)
	if err := n.storage.host.Destroy(ctx, g.ID); err != nil {
		return err
	}
	return n.mapOp(ctx, store.OpSetReplicaState, &store.ReplicaStateRequest{Group: g.ID, Server: want.Server, State: placement.Lost})
}

// begin bootstraps a new group, once all its first replicas are made; the first of them does it.
func (n *Node) begin(ctx context.Context, g *placement.Group, open *group.Group) error {
	if g.ID == cluster.SystemGroup || len(open.Members()) > 0 {
		return nil
	}
	var voters []cluster.ServerID
	for _, r := range g.Replicas {
		if !r.Initial {
			continue
		}
		if r.State != placement.Created {
			return nil
		}
		voters = append(voters, r.Server)
	}
	slices.Sort(voters)
	if len(voters) == 0 || voters[0] != open.Self() {
		return nil
	}
	return n.storage.host.Bootstrap(ctx, g.ID, voters)
}

// awaitGroups waits until every group that has a replica here has a leader that is known.
func (n *Node) awaitGroups(ctx context.Context) error {
	for {
		m := n.view.Map()
		led, want := 0, n.cfg.Groups
		for i := range m.Groups {
			if g := &m.Groups[i]; g.ID != cluster.SystemGroup && n.view.Leader(g.ID).Node != "" {
				led++
			}
		}
		if len(m.Groups) > 1 {
			want = max(want, len(m.Groups)-1)
		}
		if led >= want {
			return nil
		}
		n.say("waiting for mailbox groups: %d of %d have a leader", led, want)
		changed := n.view.Changed()
		t := time.NewTimer(200 * time.Millisecond)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("mailbox groups have no leader: %w", ctx.Err())
		}
		t.Stop()
	}
}
