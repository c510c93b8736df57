package node

import (
	"context"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
)

// ScrubGroup implements admin.Backend: it asks the group's leader for a scrub.
func (b backend) ScrubGroup(ctx context.Context, id cluster.GroupID) error {
	_, err := b.n.askLeader(ctx, &scrubRequest{Group: id, Verb: scrubStart})
	return err
}

// ScrubState implements admin.Backend: it is how the latest scrub that the group's leader began is going.
func (b backend) ScrubState(ctx context.Context, id cluster.GroupID) (any, error) {
	raw, err := b.n.askLeader(ctx, &scrubRequest{Group: id, Verb: scrubState})
	if err != nil {
		return nil, err
	}
	run := new(scrubRun)
	if err := wire.Unmarshal(raw, run); err != nil {
		return nil, fmt.Errorf("decode scrub: %w", err)
	}
	return run, nil
}

func (n *Node) askLeader(ctx context.Context, q *scrubRequest) ([]byte, error) {
	if n.view.Map().Group(q.Group) == nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "there is no group %d", q.Group)
	}
	leader := n.view.Leader(q.Group).Node
	if leader == "" {
		return nil, cluster.Errorf(cluster.KindUnavailable, "group %d has no leader that is known", q.Group)
	}
	return n.askScrub(ctx, leader, q)
}

// RebuildReplica implements admin.Backend: a replica is given up and made again from the others, which must be able to go
// on without it.
func (b backend) RebuildReplica(ctx context.Context, id cluster.GroupID, node cluster.NodeID) error {
	g := b.n.view.Map().Group(id)
	if g == nil {
		return cluster.Errorf(cluster.KindBadRequest, "there is no group %d", id)
	}
	r := g.Replica(node)
	if r == nil {
		return cluster.Errorf(cluster.KindBadRequest, "group %d has no replica on %s", id, node)
	}
	if err := mayRebuild(g, node, b.n.allStatus(ctx)); err != nil {
		return err
	}
	b.n.log.Warn("a replica is given up by an administrator", "code", "FL-1064", "group", id, "replica", r.Server)
	_, err := b.n.askScrub(ctx, node, &scrubRequest{Group: id, Verb: scrubLost, Server: r.Server, Reason: "an administrator gave it up"})
	return err
}

// mayRebuild refuses to give up a replica without which the group has no majority.
func mayRebuild(g *placement.Group, node cluster.NodeID, nodes []Status) error {
	up := map[cluster.ServerID]bool{}
	for i := range nodes {
		for j := range nodes[i].Groups {
			if r := &nodes[i].Groups[j]; nodes[i].Err == "" && r.Group == g.ID && r.runs() && r.CaughtUp {
				up[r.Server] = true
			}
		}
	}
	voters, rest := 0, 0
	for _, r := range g.Replicas {
		if r.Suffrage != placement.Voter || r.State == placement.Lost {
			continue
		}
		voters++
		if r.Server.Node() != node && up[r.Server] {
			rest++
		}
	}
	if rest <= voters/2 {
		return cluster.Errorf(cluster.KindUnsafe, "group %d: without %s only %d of %d voters would be there", g.ID, node, rest, voters)
	}
	return nil
}
