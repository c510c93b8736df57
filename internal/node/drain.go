package node

import (
	"context"
	"errors"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// DrainTime is how long a drain may take.
const DrainTime = 30 * time.Second

// Drain takes the node out of service in the order that lets nobody notice (DESIGN 4): it is not ready any more, so
// that balancers look elsewhere; its listeners stop; what it leads is handed over while the sessions go on, their
// calls following the new owners; then every session gets its protocol's own word. All that is left when ctx ends is
// cut.
func (n *Node) Drain(ctx context.Context) error {
	n.draining.Store(true)
	n.ready.Store(false)
	n.tellState()
	n.say("draining: closing the listeners")
	n.services.stopListening()
	n.say("draining: handing over leaderships")
	err := n.storage.host.TransferAll(ctx)
	n.say("draining: ending sessions")
	err = errors.Join(err, n.services.drain(ctx))
	n.say("drained")
	return err
}

// mayDrain refuses a drain that would leave mailboxes out of reach: no other node serves clients, or a group has no
// majority without the replica here.
func mayDrain(self cluster.NodeID, m *placement.Map, all []Status) error {
	up := make(map[cluster.ServerID]bool)
	others := 0
	for i := range all {
		s := &all[i]
		if s.Node == self || s.Err != "" {
			continue
		}
		if s.Ready {
			others++
		}
		for _, g := range s.Groups {
			up[g.Server] = g.CaughtUp && g.runs()
		}
	}
	if others == 0 {
		return cluster.Errorf(cluster.KindUnsafe, "no other node is ready: draining %s would leave clients without one", self)
	}
	for i := range m.Groups {
		g := &m.Groups[i]
		voters, left := 0, 0
		for _, r := range g.Replicas {
			if r.Suffrage != placement.Voter || r.State != placement.Created {
				continue
			}
			voters++
			if r.Server.Node() != self && up[r.Server] {
				left++
			}
		}
		if g.Replica(self) != nil && left < voters/2+1 {
			return cluster.Errorf(cluster.KindUnsafe, "group %d has %d of %d voters without %s, which is no majority", g.ID, left, voters, self)
		}
	}
	return nil
}
