package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/controller"
	"github.com/flotilla-mail/flotilla/placement/mover"
	"github.com/flotilla-mail/flotilla/placement/planner"
	"github.com/flotilla-mail/flotilla/placement/store"
)

const (
	// askTime bounds the question to a node how it is.
	askTime = time.Second
	// stableFor is how long a replica must have kept up before it is given a vote, or a node must have run one process
	// before it is let in: a fraction of what internal/node takes, for a run has only seconds.
	stableFor = 500 * time.Millisecond
	// heardWithin is how long a member of the system group may have been silent and still count as one that answers.
	heardWithin = 1500 * time.Millisecond
)

// leading follows which groups this process leads: the leader of a mailbox group carries moves, that of the system group
// runs the controller.
func (p *process) leading(id cluster.GroupID, leads bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if stop := p.leads[id]; stop != nil {
		stop()
		delete(p.leads, id)
	}
	if !leads || p.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(p.ctx)
	p.leads[id] = cancel
	if id == cluster.SystemGroup {
		p.wg.Go(func() { p.control(ctx) })
		return
	}
	p.wg.Go(func() { p.carryMoves(ctx, id) })
	p.wg.Go(func() { p.finalize(ctx, id) })
}

// finalize raises a group that is led here to the newest level, when it is time.
func (p *process) finalize(ctx context.Context, id cluster.GroupID) {
	wait(ctx, p.node.w.finalized-time.Since(p.node.w.began))
	for ctx.Err() == nil {
		if g := p.host.Group(id); g != nil && g.Replica().SetGroup(ctx, space.GroupRecord{Level: uint64(placement.NewestLevel)}) == nil {
			return
		}
		wait(ctx, 50*time.Millisecond)
	}
}

// endLeads ends what is done for groups that are led here, and lets nothing more begin: the process is over.
func (p *process) endLeads() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stop := range p.leads {
		stop()
	}
	clear(p.leads)
}

func (p *process) carryMoves(ctx context.Context, id cluster.GroupID) {
	for ctx.Err() == nil {
		if g := p.host.Group(id); g != nil {
			mover.New(mover.Config{Group: id, Replica: g.Replica(), Ops: p.ops, Map: p.view, Frozen: time.Second, Rescan: 5 * time.Second,
				Piece: 2 << 10, Events: mover.Events{
					Arrow: p.arrow,
					Ended: func(m *placement.Move, frozen time.Duration) {
						p.node.w.ended(m)
						p.node.w.note("%s: move of %x from %d to %d ended: %s, attempt %d, frozen %v %s", p.node.id, m.Space[:1], m.From, m.To, m.State, m.Attempt, frozen, m.Trouble)
					},
					Failed: func(m *placement.Move, err error) {
						p.node.w.note("%s: move of %x waits: %v", p.node.id, m.Space[:1], err)
					},
				}}).Run(ctx)
		}
		wait(ctx, 50*time.Millisecond)
	}
}

// control makes the map and then carries out what the planner finds.
func (p *process) control(ctx context.Context) {
	for ctx.Err() == nil {
		if g := p.host.Group(cluster.SystemGroup); g != nil && p.initSystem(ctx, g) == nil {
			c := controller.New(g.Replica(), &control{process: p, kept: map[cluster.ServerID]time.Time{}, runs: map[cluster.NodeID]running{}},
				controller.Events{Step: func(s planner.Step, took time.Duration, err error) {
					p.node.w.note("%s: %s, %v: %v", p.node.id, s, took.Round(time.Millisecond), err)
				}}, keeperPause)
			p.plans.Store(c)
			c.Run(ctx)
			p.plans.CompareAndSwap(c, nil)
		}
		wait(ctx, 50*time.Millisecond)
	}
}

func (p *process) initSystem(ctx context.Context, g *group.Group) error {
	_, err := g.Replica().Create(ctx, store.Space, 1, cluster.RequestID{}, func(space.Writer) ([]byte, error) { return nil, nil })
	if err != nil && !errors.Is(err, cluster.ErrExists) {
		return err
	}
	system := placement.Group{ID: cluster.SystemGroup}
	for _, m := range g.Members() {
		system.Replicas = append(system.Replicas, placement.Replica{Server: m.ID, Suffrage: placement.Suffrage(m.Suffrage),
			State: placement.Created, Initial: true})
	}
	policy := placement.DefaultPolicy()
	policy.Groups = p.node.w.mailboxGroups
	_, err = g.Replica().Update(ctx, store.Space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return nil, errors.Join(store.Init(w, placement.FirstLevel), store.AdoptGroup(w, system), store.InitPolicy(w, policy))
	})
	return err
}

// register says in the map that this node is there.
func (p *process) register() {
	state := placement.NodeState{ID: p.node.id, Roles: placement.RoleStore | placement.RoleFrontend, Address: string(p.node.id),
		MinLevel: uint32(placement.FirstLevel), MaxLevel: uint32(placement.NewestLevel)}
	for p.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
		_, err := p.mapOp(ctx, store.OpPutNode, &state)
		cancel()
		if err == nil {
			return
		}
		wait(p.ctx, 100*time.Millisecond)
	}
}

// nodeStatus is what a node says of itself.
type nodeStatus struct {
	node     cluster.NodeID
	process  *process
	replicas []replicaStatus
}

type replicaStatus struct {
	group   cluster.GroupID
	server  cluster.ServerID
	members []group.Member
	bytes   uint64
	group.Stats
}

// runs reports whether the replica takes part in its group.
func (r *replicaStatus) runs() bool { return r.State != group.Stopped && r.State != group.Fenced }

func (p *process) status() nodeStatus {
	s := nodeStatus{node: p.node.id, process: p}
	for _, g := range p.host.Groups() {
		s.replicas = append(s.replicas, replicaStatus{g.ID(), g.Self(), g.Members(), g.Size(), g.Stats()})
	}
	return s
}

// askAll asks every node how it is; those that do not answer in time are left out.
func (p *process) askAll(ctx context.Context) []nodeStatus {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var mu sync.Mutex // guards all
	var all []nodeStatus
	var work sync.WaitGroup
	for _, id := range p.node.w.names() {
		work.Go(func() {
			var s nodeStatus
			_, err := p.visit(ctx, id, func(_ context.Context, q *process) ([]byte, error) {
				s = q.status()
				return nil, nil
			})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				all = append(all, s)
			}
		})
	}
	work.Wait()
	return all
}

// control lets the controller see all nodes and change groups. What has to last for a while it remembers from look to look.
type control struct {
	*process
	kept    map[cluster.ServerID]time.Time
	runs    map[cluster.NodeID]running
	leaders map[cluster.GroupID]cluster.NodeID
}

// running is since when a node has had one process.
type running struct {
	process *process
	since   time.Time
}

// Observe implements controller.Cluster.
func (c *control) Observe(ctx context.Context) (planner.Observed, error) {
	seen := planner.Observed{Alive: map[cluster.NodeID]bool{}, Leaders: map[cluster.GroupID]cluster.NodeID{},
		Members: map[cluster.ServerID]bool{}, Voting: map[cluster.ServerID]bool{}, CaughtUp: map[cluster.ServerID]bool{},
		Steady: map[cluster.ServerID]bool{}, System: map[cluster.NodeID]cluster.ServerID{}, Heard: map[cluster.ServerID]bool{},
		Holds: map[cluster.NodeID]int{}, Load: map[cluster.GroupID]planner.Load{}}
	system := c.host.Group(cluster.SystemGroup)
	if system == nil {
		return seen, errNoSystem
	}
	for _, m := range system.Members() {
		silent, leads := system.Silence(m.ID)
		if !leads {
			return seen, fmt.Errorf("observe: %w", cluster.ErrUnavailable)
		}
		seen.Heard[m.ID] = m.ID == system.Self() || silent < heardWithin
	}
	all := c.askAll(ctx)
	commits := c.lead(&seen, all)
	c.keepUp(&seen, all, commits)
	c.leaders = seen.Leaders
	return seen, ctx.Err()
}

// lead notes who leads what, in the highest term, and returns how far each leader has committed.
func (c *control) lead(seen *planner.Observed, all []nodeStatus) map[cluster.GroupID]uint64 {
	leaders := map[cluster.GroupID]*replicaStatus{}
	for _, s := range all {
		seen.Alive[s.node] = true
		for i := range s.replicas {
			r := &s.replicas[i]
			if r.group != cluster.SystemGroup {
				seen.Holds[s.node]++
			}
			if best := leaders[r.group]; r.Leader == r.server && (best == nil || r.Term > best.Term) {
				leaders[r.group], seen.Leaders[r.group] = r, s.node
			}
		}
	}
	commits := map[cluster.GroupID]uint64{}
	for id, r := range leaders {
		commits[id] = r.Commit
		seen.Load[id] = planner.Load{Bytes: r.bytes}
		for _, m := range r.members {
			seen.Members[m.ID] = true
			seen.Voting[m.ID] = m.Suffrage == group.Voter
		}
	}
	return commits
}

// keepUp notes which replicas have been close to their leader, and which nodes have run one process, for long enough.
func (c *control) keepUp(seen *planner.Observed, all []nodeStatus, commits map[cluster.GroupID]uint64) {
	now, kept, runs := time.Now(), map[cluster.ServerID]time.Time{}, map[cluster.NodeID]running{}
	for _, s := range all {
		for i := range s.replicas {
			r := &s.replicas[i]
			if r.group == cluster.SystemGroup {
				run := c.runs[s.node]
				if run.process != s.process {
					run = running{s.process, now}
				}
				if runs[s.node] = run; now.Sub(run.since) >= stableFor {
					seen.System[s.node] = r.server
				}
			}
			if commit, led := commits[r.group]; !led || !r.runs() || !r.CaughtUp || r.Applied+64 < commit {
				continue
			}
			kept[r.server] = now
			if since, was := c.kept[r.server]; was {
				kept[r.server] = since
			}
			steady := now.Sub(kept[r.server]) >= stableFor || r.Leader == r.server
			seen.CaughtUp[r.server], seen.Steady[r.server] = steady, steady
		}
	}
	c.kept, c.runs = kept, runs
}

// member asks a group's leader for a change of its membership.
func (c *control) member(ctx context.Context, id cluster.GroupID, change func(context.Context, *group.Group) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := c.visit(ctx, c.leaders[id], func(ctx context.Context, q *process) ([]byte, error) {
		g := q.host.Group(id)
		if g == nil {
			return nil, &cluster.Error{Kind: cluster.KindNotLeader, Group: id}
		}
		return nil, change(ctx, g)
	})
	return err
}

// Transfer implements controller.Cluster.
func (c *control) Transfer(ctx context.Context, id cluster.GroupID, _, to cluster.NodeID) error {
	g := c.view.Map().Group(id)
	if g == nil || g.Replica(to) == nil {
		return fmt.Errorf("group %d has no replica on %s", id, to)
	}
	s := g.Replica(to).Server
	return c.member(ctx, id, func(ctx context.Context, g *group.Group) error { return g.Transfer(ctx, s) })
}

// AddLearner implements controller.Cluster.
func (c *control) AddLearner(ctx context.Context, id cluster.GroupID, s cluster.ServerID) error {
	return c.member(ctx, id, func(ctx context.Context, g *group.Group) error { return g.AddNonvoter(ctx, s) })
}

// Promote implements controller.Cluster.
func (c *control) Promote(ctx context.Context, id cluster.GroupID, s cluster.ServerID) error {
	return c.member(ctx, id, func(ctx context.Context, g *group.Group) error { return g.Promote(ctx, s) })
}

// Demote implements controller.Cluster.
func (c *control) Demote(ctx context.Context, id cluster.GroupID, s cluster.ServerID) error {
	return c.member(ctx, id, func(ctx context.Context, g *group.Group) error { return g.Demote(ctx, s) })
}

// Remove implements controller.Cluster.
func (c *control) Remove(ctx context.Context, id cluster.GroupID, s cluster.ServerID) error {
	return c.member(ctx, id, func(ctx context.Context, g *group.Group) error { return g.Remove(ctx, s) })
}

// Drain implements controller.Cluster: nobody serves clients here.
func (c *control) Drain(context.Context, cluster.NodeID) error { return nil }
