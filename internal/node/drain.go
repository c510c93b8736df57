package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/gossip"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/placement"
)

const (
	// DrainTime is how long a drain may take.
	DrainTime = 30 * time.Second
	// handOverTries is how often a drain tries to get rid of what the node leads; what an election brings back meanwhile
	// counts too.
	handOverTries = 10
	// handOverPause is how long it waits in between.
	handOverPause = 200 * time.Millisecond
)

type drainRequest struct {
	Force bool `wire:"1"`
}

// DrainReport says what a drain did and how long each of its parts took. Tags are for ever.
type DrainReport struct {
	Node cluster.NodeID `wire:"1" json:"node"`
	// HandedOver is how many groups have another leader now; Kept lists those that do not.
	HandedOver uint32            `wire:"2" json:"handed_over"`
	Kept       []cluster.GroupID `wire:"3" json:"kept"`
	// Listeners, Leaders and Sessions are the times of the three steps, Slowest that of the longest single hand-over, in
	// which the group's callers waited.
	Listeners time.Duration `wire:"4" json:"listeners_ns"`
	Leaders   time.Duration `wire:"5" json:"leaders_ns"`
	Sessions  time.Duration `wire:"6" json:"sessions_ns"`
	Slowest   time.Duration `wire:"7" json:"slowest_hand_over_ns"`
	// Trouble is what did not go as it should: sessions that had to be cut, groups that nobody could take.
	Trouble string `wire:"8" json:"trouble,omitempty"`
}

// Drain takes the node out of service in the order that lets nobody notice (DESIGN 4): it is not ready any more, so
// that balancers look elsewhere; its listeners stop; what it leads is handed over while the sessions go on, their
// calls following the new owners; then every session gets its protocol's own word. All that is left when ctx ends is
// cut. The error is what the report calls trouble.
func (n *Node) Drain(ctx context.Context) (*DrainReport, error) {
	n.outOf.Lock()
	defer n.outOf.Unlock()
	r := &DrainReport{Node: n.self}
	n.draining.Store(true)
	n.ready.Store(false)
	n.tellState()
	n.say("draining: closing the listeners")
	step := stopwatch()
	n.services.stopListening()
	r.Listeners = step()
	n.say("draining: handing over leaderships")
	err := n.handOverAll(ctx, r)
	r.Leaders = step()
	n.say("draining: ending sessions")
	err = errors.Join(err, n.services.drain(ctx))
	r.Sessions = step()
	if err != nil {
		r.Trouble = err.Error()
	}
	n.say("drained")
	return r, err
}

// stopwatch returns the time since the last call.
func stopwatch() func() time.Duration {
	last := time.Now()
	return func() time.Duration {
		now := time.Now()
		took := now.Sub(last)
		last = now
		return took
	}
}

// handOverAll hands over until nothing is led here that another could lead.
func (n *Node) handOverAll(ctx context.Context, r *DrainReport) error {
	var failed []group.HandOver
	for try := 0; ; try++ {
		failed = nil
		all := n.storage.host.TransferAll(ctx, n.successors())
		for _, h := range all {
			if h.Err != nil {
				failed = append(failed, h)
				continue
			}
			r.HandedOver++
			r.Slowest = max(r.Slowest, h.Took)
		}
		if len(all) == 0 || len(failed) == 0 || try == handOverTries || ctx.Err() != nil {
			break
		}
		pause(ctx, handOverPause)
	}
	for _, h := range failed {
		r.Kept = append(r.Kept, h.Group)
	}
	return handOverErrors(failed)
}

func handOverErrors(all []group.HandOver) error {
	var errs []error
	for _, h := range all {
		if h.Err != nil {
			errs = append(errs, h.Err)
		}
	}
	return errors.Join(errs...)
}

// successors ranks the nodes that leaderships are handed to: those that serve before those that are about to go or have a
// slow or full disk, of these those that did not come back a moment ago, and then the one that leads least, what it was just
// given included. The hand-overs run side by side.
func (n *Node) successors() group.Rank {
	return rank(n.gossip.Nodes(), n.room.short, time.Now())
}

func rank(nodes []gossip.Node, short func(*gossip.Node) bool, now time.Time) group.Rank {
	var mu sync.Mutex
	leads, well := make(map[cluster.NodeID]uint32), make(map[cluster.NodeID]int) // leads is guarded by mu
	for i := range nodes {
		o := &nodes[i]
		leads[o.ID] = o.Load.Leaders
		switch {
		case !o.Alive || o.Meta.State != gossip.StateServing || o.Load.SlowDisk || short(o):
		case now.Sub(o.Since) < steadyFor:
			well[o.ID] = 1
		default:
			well[o.ID] = 2
		}
	}
	return func(_ cluster.GroupID, voters []cluster.ServerID) []cluster.ServerID {
		mu.Lock()
		defer mu.Unlock()
		slices.SortFunc(voters, func(a, b cluster.ServerID) int {
			x, y := a.Node(), b.Node()
			return cmp.Or(cmp.Compare(well[y], well[x]), cmp.Compare(leads[x], leads[y]), cmp.Compare(x, y))
		})
		if len(voters) > 0 {
			leads[voters[0].Node()]++
		}
		return voters
	}
}

// Undrain takes a drained node back into service. What it led comes back by the planner, a group at a time.
func (n *Node) Undrain(ctx context.Context) error {
	n.outOf.Lock()
	defer n.outOf.Unlock()
	if err := n.member(); err != nil {
		return err
	}
	if !n.draining.Load() {
		return nil
	}
	if n.ctx.Err() != nil {
		return cluster.Errorf(cluster.KindUnavailable, "%s is stopping", n.self)
	}
	err := n.services.forget(ctx)
	if err != nil {
		n.log.Debug("what was left of the services ended with", "err", err)
	}
	n.mu.Lock()
	n.fronts = nil
	n.mu.Unlock()
	if err := n.startServices(ctx); err != nil {
		return errors.Join(err, n.services.forget(ctx))
	}
	n.draining.Store(false)
	n.ready.Store(true)
	n.tellState()
	n.say("ready")
	return nil
}

// drainHere is Drain as an administrator asks for it: refused where nobody would serve instead.
func (n *Node) drainHere(ctx context.Context, force bool) (*DrainReport, error) {
	if !n.ready.Load() && !n.draining.Load() {
		return nil, cluster.Errorf(cluster.KindUnavailable, "%s is not in service: %s", n.self, *n.progress.Load())
	}
	if !force {
		if err := mayDrain(n.self, n.view.Map(), n.allStatus(ctx)); err != nil {
			return nil, err
		}
	}
	ctx, cancel := detached(ctx, DrainTime)
	defer cancel()
	r, err := n.Drain(ctx)
	if err != nil {
		n.log.Warn("drain not complete", "code", "FL-1014", "err", err)
	}
	return r, nil
}

// Drain implements admin.FleetBackend.
func (b backend) Drain(ctx context.Context, name string, force bool) (any, error) {
	node, err := b.n.named(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := detached(ctx, DrainTime+observeTimeout)
	defer cancel()
	r, err := askNode[DrainReport](ctx, b.n, node, methodDrain, &drainRequest{Force: force})
	if err != nil {
		return nil, fmt.Errorf("drain %s: %w", node, err)
	}
	return r, nil
}

// Undrain implements admin.FleetBackend.
func (b backend) Undrain(ctx context.Context, name string) error {
	node, err := b.n.named(name)
	if err != nil {
		return err
	}
	ctx, cancel := detached(ctx, DrainTime)
	defer cancel()
	if _, err := askNode[nothing](ctx, b.n, node, methodUndrain, &nothing{}); err != nil {
		return fmt.Errorf("undrain %s: %w", node, err)
	}
	return nil
}

// mayDrain refuses a drain that would leave mailboxes out of reach: no other node serves clients, or a group has no
// majority without the replicas of the node.
func mayDrain(without cluster.NodeID, m *placement.Map, all []Status) error {
	if problems := outOfReach(without, m, all); len(problems) > 0 {
		return cluster.Errorf(cluster.KindUnsafe, "%s", problems[0])
	}
	return nil
}
