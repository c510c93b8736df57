package node

import (
	"context"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/placement"
)

// A new replica of a group that others have is seeded before it is opened (CLUSTER 5.4). That may take hours, and the
// keeper looks after the other groups meanwhile.

const (
	// seedsAtOnce is how many replicas a node seeds at a time.
	seedsAtOnce = 2
	// seedTries is after how many failures in a row the state is left to raft, which sends it to any replica.
	seedTries = 5
)

// seedRun is the seed of one group's replica. It belongs to the keeper.
type seedRun struct {
	done  chan struct{} // closed when it has ended; nil while it waits for its turn
	ended bool          // the replica may be opened: it was seeded, or need not be; read after done
	err   error         // read after done
	tries int
	again backoff
}

// running reports whether the seed is under way.
func (s *seedRun) running() bool {
	if s == nil || s.done == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// seed sees to it that the data of a new replica is here, as far as raft is not to send it; ready when it is.
func (k *keeper) seed(ctx context.Context, g *placement.Group, want *placement.Replica) (ready bool, err error) {
	from := k.seedSources(g)
	if want.Initial || len(from) == 0 {
		return true, nil // there is nothing to seed from
	}
	run := k.seeds[g.ID]
	if run == nil {
		run = new(seedRun)
		k.seeds[g.ID] = run
	}
	switch {
	case run.running():
		return false, nil
	case run.done != nil && run.ended:
		delete(k.seeds, g.ID)
		return true, nil
	case run.done != nil:
		err, run.done = run.err, nil
		if run.tries++; run.tries >= seedTries {
			delete(k.seeds, g.ID)
			return true, nil
		}
		return false, err
	}
	if k.seedsRunning() < seedsAtOnce && run.again.due() {
		k.startSeed(ctx, g.ID, run, group.ReplicaConfig{Suffrage: group.Suffrage(want.Suffrage)}, from)
	}
	return false, nil
}

func (k *keeper) seedsRunning() (n int) {
	for _, s := range k.seeds {
		if s.running() {
			n++
		}
	}
	return n
}

// startSeed seeds a replica in the background.
func (k *keeper) startSeed(ctx context.Context, id cluster.GroupID, run *seedRun, rc group.ReplicaConfig, from []cluster.NodeID) {
	done := make(chan struct{})
	run.done, run.ended, run.err = done, false, nil
	k.n.wg.Go(func() {
		defer k.n.poke()
		defer close(done)
		begin := time.Now()
		seeded, err := k.n.storage.host.Seed(ctx, id, rc, from)
		run.ended, run.err = err == nil, err
		if seeded {
			k.n.log.Info("new replica seeded", "group", id, "took", time.Since(begin))
		}
	})
}

// seedSources are the nodes with a replica that was made, the leader last: it has enough to do.
func (k *keeper) seedSources(g *placement.Group) []cluster.NodeID {
	leader := k.n.view.Leader(g.ID).Node
	var from []cluster.NodeID
	for _, r := range g.Replicas {
		if node := r.Server.Node(); r.State == placement.Created && node != k.n.self && node != leader {
			from = append(from, node)
		}
	}
	if r := g.Replica(leader); r != nil && leader != k.n.self && r.State == placement.Created {
		from = append(from, leader)
	}
	return from
}

// showSeeds adds the replicas that are being seeded to those that there are.
func showSeeds(open []GroupStatus, seeds []group.SeedProgress) []GroupStatus {
	for _, s := range seeds {
		if !slices.ContainsFunc(open, func(g GroupStatus) bool { return g.Group == s.Group }) {
			open = append(open, GroupStatus{Group: s.Group, State: seedingState, Seeded: uint64(s.Bytes), SeedTotal: uint64(s.Total)})
		}
	}
	return open
}

// seedingState is what is shown of a replica that is being seeded: it takes part in nothing yet.
const seedingState = "seeding"
