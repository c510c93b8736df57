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

// keeper brings the replicas of mailbox groups to what the map says. That of the system group is looked after by
// keepSystem: without it there is no map.
type keeper struct {
	n       *Node
	restart map[cluster.GroupID]*backoff // of replicas that stopped
	givenUp map[cluster.ServerID]bool    // or recovered: each is told of once
	seeds   map[cluster.GroupID]*seedRun
	// made is what the map had assigned, of the replicas that this process has made.
	made map[cluster.GroupID]cluster.ServerID
}

// backoff is when a replica that stopped may be started again, and how long is waited after that.
type backoff struct {
	at    time.Time
	pause time.Duration
}

// due reports whether the replica may be started; if so, the next start waits longer. One that has run for as long as was
// waited begins anew.
func (b *backoff) due() bool {
	now := time.Now()
	if now.Before(b.at) {
		return false
	}
	if now.After(b.at.Add(b.pause)) {
		b.pause = 0
	}
	b.pause = min(max(2*b.pause, firstRestart), lastRestart)
	b.at = now.Add(b.pause)
	return true
}

// Pauses between the starts of a replica that stops again and again.
const (
	firstRestart = time.Second
	lastRestart  = 5 * time.Minute
)

// keepReplicas looks whenever the map changes, and now and then.
func (n *Node) keepReplicas(ctx context.Context) error {
	k := &keeper{n: n, restart: map[cluster.GroupID]*backoff{}, givenUp: map[cluster.ServerID]bool{},
		seeds: map[cluster.GroupID]*seedRun{}, made: map[cluster.GroupID]cluster.ServerID{}}
	t := time.NewTicker(2 * time.Second)
	defer t.Stop()
	for {
		m := n.view.Map()
		for i := range m.Groups {
			g := &m.Groups[i]
			if g.ID == cluster.SystemGroup {
				continue
			}
			if err := k.keep(ctx, g); err != nil && ctx.Err() == nil {
				n.log.Warn("replica not as the map wants it", "code", "FL-1009", "group", g.ID, "err", err)
			}
		}
		if err := k.dropSurplus(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("a replica that others have now is not removed yet", "code", "FL-1090", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.reconcile:
		case <-t.C:
		}
	}
}

// keep makes, opens or gives up this node's replica of one group. What the map says may be a moment old.
func (k *keeper) keep(ctx context.Context, g *placement.Group) error {
	want := g.Replica(k.n.self)
	if want == nil {
		return nil
	}
	open := k.n.storage.host.Group(g.ID)
	switch {
	case want.State == placement.Assigned:
		return k.make(ctx, g, want, open)
	case open != nil && open.RecoveryEpoch() > g.RecoveryEpoch:
		return k.recovered(ctx, g, open)
	case want.State == placement.Lost:
		if open != nil && open.Self() == want.Server {
			k.n.closeReplica(ctx, g.ID)
		}
		return nil
	case open == nil:
		return k.open(ctx, g, want)
	case open.Self() != want.Server:
		return nil // made a moment ago, and reported; the map that says so is on its way
	case k.n.damages.known(g.ID) != nil:
		return k.lose(ctx, g, want, k.n.damages.known(g.ID))
	case open.Stats().Fenced != nil:
		return k.reopen(ctx, g, want)
	}
	outlived, err := k.outlived(ctx, g, open)
	switch {
	case err != nil:
		return err
	case outlived:
		return k.lose(ctx, g, want, group.ErrOutlived)
	}
	return k.begin(ctx, g, open)
}

// outlivedAfter is how long a replica waits for others before anybody looks whether there still are such.
const outlivedAfter = 30 * time.Second

// outlived reports whether a replica waits for the word of servers of which too many are out of the group. The map here may be
// older than the replica's files, so what it says is looked up once more.
func (k *keeper) outlived(ctx context.Context, g *placement.Group, open *group.Group) (bool, error) {
	if open.Waiting() < outlivedAfter || !outlives(g, open) {
		return false, nil
	}
	m, err := k.n.mapNow(ctx)
	if err != nil {
		return false, fmt.Errorf("look who may still be asked: %w", err)
	}
	now := m.Group(g.ID)
	return now != nil && outlives(now, open), nil
}

func outlives(g *placement.Group, open *group.Group) bool {
	return open.Outlived(func(s cluster.ServerID) bool { return g.Server(s) != nil })
}

// closeReplica stops a replica that has stopped by itself, or never starts again: how its files are left does not matter.
func (n *Node) closeReplica(ctx context.Context, id cluster.GroupID) {
	if err := n.storage.host.CloseGroup(ctx, id); err != nil {
		n.log.Warn("replica not closed in order", "code", "FL-1032", "group", id, "err", err)
	}
}

// make makes a replica's data and then says so in the map: from there on missing data is damage. What is open may be left of
// an earlier time, when this node had the group: the id of a member never comes back (CLUSTER 6.1), since others may stand in
// the map as having taken its place.
func (k *keeper) make(ctx context.Context, g *placement.Group, want *placement.Replica, open *group.Group) error {
	old := open != nil && !unused(open) && k.made[g.ID] != want.Server
	if old {
		if still, err := k.assigned(ctx, g.ID, want.Server); !still || err != nil {
			return err
		}
	}
	if open == nil || old || lost(g, open.Self()) {
		var err error
		if open, err = k.fresh(ctx, g, want); open == nil || err != nil {
			return err
		}
	}
	return k.n.mapOp(ctx, store.OpSetReplicaState, &store.ReplicaStateRequest{Group: g.ID, Server: want.Server,
		State: placement.Created, Actual: open.Self()})
}

// assigned reports whether a replica is still to be made, by a map that is not older than the call: one that this node has
// made and told of goes by another id there.
func (k *keeper) assigned(ctx context.Context, id cluster.GroupID, server cluster.ServerID) (bool, error) {
	m, err := k.n.mapNow(ctx)
	if err != nil {
		return false, fmt.Errorf("look whether a replica is to be made: %w", err)
	}
	g := m.Group(id)
	return g != nil && g.Server(server) != nil && g.Server(server).State == placement.Assigned, nil
}

// fresh opens a new replica, which is empty or was seeded; nil while it is being seeded. What the node still has of an
// earlier one goes only now: the controller assigns a successor when others lead the group, and until then the files may be
// all that is left of it.
func (k *keeper) fresh(ctx context.Context, g *placement.Group, want *placement.Replica) (*group.Group, error) {
	if k.seeds[g.ID].running() {
		return nil, nil
	}
	host := k.n.storage.host
	open, err := host.Group(g.ID), error(nil)
	if open == nil {
		open, err = host.Open(ctx, g.ID, group.ReplicaConfig{})
		switch {
		case errors.Is(err, group.ErrNoReplica):
			return k.create(ctx, g, want)
		case err != nil && !isDamage(err):
			return nil, err
		case err == nil && unused(open) && !lost(g, open.Self()):
			k.n.damages.forget(g.ID) // that was its predecessor's
			return open, nil         // made before a crash
		case err == nil && want.Initial:
			return nil, fmt.Errorf("the map begins group %d, of which this node has data: put %s aside", g.ID, k.n.cfg.path("groups"))
		}
	}
	if err := host.Destroy(ctx, g.ID); err != nil {
		return nil, err
	}
	return k.create(ctx, g, want)
}

// create makes a replica where the node has none.
func (k *keeper) create(ctx context.Context, g *placement.Group, want *placement.Replica) (*group.Group, error) {
	k.n.damages.forget(g.ID)
	k.made[g.ID] = want.Server
	if ready, err := k.seed(ctx, g, want); !ready || err != nil {
		return nil, err
	}
	return k.n.storage.host.Open(ctx, g.ID, group.ReplicaConfig{Create: true, Suffrage: group.Suffrage(want.Suffrage)})
}

// unused reports whether a replica knows of no membership: it was made, and the map did not learn of it. One that was seeded
// knows that of the others, like one that was a member once.
func unused(open *group.Group) bool { return len(open.Members()) == 0 }

// lost reports whether the map has given a replica up.
func lost(g *placement.Group, id cluster.ServerID) bool {
	r := g.Server(id)
	return r != nil && r.State == placement.Lost
}

// open starts a replica that was made before. One that is damaged, or not there any more, is lost.
func (k *keeper) open(ctx context.Context, g *placement.Group, want *placement.Replica) error {
	if why := k.n.damages.known(g.ID); why != nil {
		return k.lose(ctx, g, want, why)
	}
	open, err := k.n.storage.host.Open(ctx, g.ID, group.ReplicaConfig{})
	switch {
	case err == nil && open.Self() == want.Server:
		return k.begin(ctx, g, open)
	case err == nil && open.RecoveryEpoch() > g.RecoveryEpoch:
		return k.recovered(ctx, g, open)
	case err == nil:
		err = fmt.Errorf("the data here is that of replica %s, the map has %s", open.Self(), want.Server)
	case !isDamage(err) && !errors.Is(err, group.ErrNoReplica):
		return err
	}
	return k.lose(ctx, g, want, err)
}

// lose gives a replica up: it never starts again, and the controller gives it a successor. Its files stay until then.
func (k *keeper) lose(ctx context.Context, g *placement.Group, want *placement.Replica, why error) error {
	if !k.givenUp[want.Server] {
		k.givenUp[want.Server] = true
		k.n.log.Error("replica lost: it is given up and made again from the others; 'flotilla groups' shows when it is back", "code", "FL-1010", "group", g.ID,
			"replica", want.Server, "err", why)
	}
	k.n.damages.note(g.ID, why)
	k.n.handOver(ctx, g.ID)
	k.n.closeReplica(ctx, g.ID)
	return k.n.mapOp(ctx, store.OpSetReplicaState, &store.ReplicaStateRequest{Group: g.ID, Server: want.Server, State: placement.Lost})
}

// handOverTime is how long a replica that is given up tries to hand over what it leads.
const handOverTime = 5 * time.Second

// handOver lets another replica lead, if this node's does and can; else the others notice.
func (n *Node) handOver(ctx context.Context, id cluster.GroupID) {
	g := n.storage.host.Group(id)
	if g == nil || g.State() != group.Leader {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	if err := g.Transfer(ctx, ""); err != nil {
		n.log.Warn("leadership of a damaged replica not handed over", "code", "FL-1031", "group", id, "err", err)
	}
}

// reopen starts a replica that has stopped, for another reason than damage of its bytes: what it met may be over. One that
// stops again waits longer each time.
func (k *keeper) reopen(ctx context.Context, g *placement.Group, want *placement.Replica) error {
	if k.restart[g.ID] == nil {
		k.restart[g.ID] = new(backoff)
	}
	if !k.restart[g.ID].due() {
		return nil
	}
	k.n.closeReplica(ctx, g.ID)
	return k.open(ctx, g, want)
}

// begin bootstraps a new group, once all its first replicas are made; the first of them does it.
func (k *keeper) begin(ctx context.Context, g *placement.Group, open *group.Group) error {
	if len(open.Members()) > 0 {
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
	return k.n.storage.host.Bootstrap(ctx, g.ID, voters)
}

// comparedWithin is how long a node that starts waits for its replicas before it says that it is ready: as long as they wait
// for the word of a node that is down (CLUSTER 6.3), and a little.
const comparedWithin = 6 * time.Second

// awaitReplicas waits until the replicas that were here before take part in their groups: who takes the next node down when
// this one is ready relies on their votes. Those that cannot for now hold it up for comparedWithin.
func (n *Node) awaitReplicas(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, comparedWithin)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		part, want := n.takePart(n.view.Map())
		if part == want {
			return
		}
		n.say("waiting for replicas: %d of %d take part", part, want)
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// takePart counts the replicas that a map has on this node as made, and those of them that vote and acknowledge.
func (n *Node) takePart(m *placement.Map) (part, want int) {
	for i := range m.Groups {
		r := m.Groups[i].Replica(n.self)
		if r == nil || r.State != placement.Created {
			continue
		}
		want++
		if g := n.storage.host.Group(m.Groups[i].ID); g != nil && g.Self() == r.Server && len(g.Stats().Awaits) == 0 {
			part++
		}
	}
	return part, want
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
