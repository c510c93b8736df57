package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// keeperPause is how often a process looks whether it has the replicas that the map gives it.
const keeperPause = 200 * time.Millisecond

// keepReplicas brings the replicas of mailbox groups to what the map says, in the order that internal/node has: the data is
// made before the map says so, and removed when the group's leader does not count it any more.
func (p *process) keepReplicas() {
	for p.ctx.Err() == nil {
		m := p.view.Map()
		for i := range m.Groups {
			if g := &m.Groups[i]; g.ID != cluster.SystemGroup {
				p.at("keeps group %d", g.ID)
				p.kept(g.ID, p.keep(g))
			}
		}
		for _, g := range p.host.Groups() {
			p.at("looks whether group %d is surplus", g.ID())
			p.kept(g.ID(), p.dropSurplus(g.ID(), m))
		}
		p.at("waits")
		wait(p.ctx, keeperPause)
	}
}

// at notes what the keeper does, for a cluster that does not come to rest.
func (p *process) at(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.doing.Store(&text)
}

// kept notes what kept a replica from being as the map has it. It is tried again; but nothing here takes from a disk what
// was synced, so damage must not be.
func (p *process) kept(g cluster.GroupID, err error) {
	switch {
	case err == nil || p.ctx.Err() != nil:
	case damaged(err):
		p.node.w.broken("%s: group %d: %v", p.node.id, g, err)
	default:
		p.node.w.note("%s: group %d: %v", p.node.id, g, err)
	}
}

func damaged(err error) bool {
	return errors.Is(err, cluster.ErrDamaged) || errors.Is(err, lsm.ErrCorrupt)
}

func (p *process) keep(g *placement.Group) error {
	want, open := g.Replica(p.node.id), p.host.Group(g.ID)
	switch {
	case want == nil:
		return nil
	case want.State == placement.Assigned:
		return p.make(g, want, open)
	case open == nil:
		_, err := p.host.Open(p.ctx, g.ID, group.ReplicaConfig{})
		return err
	case open.Self() != want.Server:
		return nil
	case errors.Is(open.Stats().Fenced, group.ErrOutlived):
		return p.lose(g.ID, want.Server)
	case len(open.Members()) > 0:
		return nil
	}
	return p.begin(g, open)
}

// fenced is told of a replica that has stopped. One that its group outlived is made again; nothing else must stop one.
func (nd *node) fenced(g cluster.GroupID, err error) {
	if errors.Is(err, group.ErrOutlived) {
		nd.w.note("%s: group %d is fenced: %v", nd.id, g, err)
		return
	}
	nd.w.broken("%s: group %d is fenced: %v", nd.id, g, err)
}

// lose gives a replica up: the map lets another take its place.
func (p *process) lose(g cluster.GroupID, which cluster.ServerID) error {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	_, err := p.mapOp(ctx, store.OpSetReplicaState, &store.ReplicaStateRequest{Group: g, Server: which, State: placement.Lost})
	return err
}

// make makes a replica's data and says so in the map. One that knows a membership and was not made for this assignment was a
// member before, or was seeded before a crash, and goes: the id of a member never comes back.
func (p *process) make(g *placement.Group, want *placement.Replica, open *group.Group) (err error) {
	if open == nil {
		open, err = p.host.Open(p.ctx, g.ID, group.ReplicaConfig{})
		if damaged(err) { // it was destroyed, and the power was cut before the disk knew of all of that
			err = p.host.Destroy(p.ctx, g.ID)
		}
		if err != nil && !errors.Is(err, group.ErrNoReplica) {
			return err
		}
	}
	if open != nil && len(open.Members()) > 0 && p.made[g.ID] != want.Server {
		m, err := p.mapNow()
		if err != nil {
			return err
		}
		if r := m.Group(g.ID).Server(want.Server); r == nil || r.State != placement.Assigned {
			return nil // it is this one, and the map that says so is on its way
		}
		p.node.w.note("%s: replica %s of group %d is of an earlier time, and goes", p.node.id, open.Self(), g.ID)
		if err := p.host.Destroy(p.ctx, g.ID); err != nil {
			return err
		}
		open = nil
	}
	if open == nil {
		p.made[g.ID] = want.Server
		if open, err = p.create(g, want); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	_, err = p.mapOp(ctx, store.OpSetReplicaState, &store.ReplicaStateRequest{Group: g.ID, Server: want.Server,
		State: placement.Created, Actual: open.Self()})
	return err
}

// mapNow is the map behind a read index.
func (p *process) mapNow() (m *placement.Map, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Second)
	defer cancel()
	err = systemReplica{p}.View(ctx, store.Space, space.ReadIndex, func(r space.Reader) (err error) {
		m, err = store.Load(r)
		return err
	})
	return m, err
}

// create makes a replica where the node has none; from a copy of another's state if there is one.
func (p *process) create(g *placement.Group, want *placement.Replica) (*group.Group, error) {
	rc := group.ReplicaConfig{Suffrage: group.Suffrage(want.Suffrage)}
	var from []cluster.NodeID
	for _, r := range g.Replicas {
		if r.State == placement.Created && r.Server.Node() != p.node.id {
			from = append(from, r.Server.Node())
		}
	}
	if !want.Initial && len(from) > 0 {
		ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
		defer cancel()
		seeded, err := p.host.Seed(ctx, g.ID, rc, from)
		if err != nil {
			return nil, err
		}
		p.node.w.note("%s: group %d is made, seeded: %v", p.node.id, g.ID, seeded)
	}
	rc.Create = true
	return p.host.Open(p.ctx, g.ID, rc)
}

// begin bootstraps a new group, once all its first replicas are made; the first of them does it.
func (p *process) begin(g *placement.Group, open *group.Group) error {
	var voters []cluster.ServerID
	for _, r := range g.Replicas {
		if r.Initial && r.State != placement.Created {
			return nil
		}
		if r.Initial {
			voters = append(voters, r.Server)
		}
	}
	slices.Sort(voters)
	if len(voters) == 0 || voters[0] != open.Self() {
		return nil
	}
	return p.host.Bootstrap(p.ctx, g.ID, voters)
}

// dropSurplus destroys a replica that the map has elsewhere now: by a map that is read again, behind a read index, and only
// when the group's leader does not count it among its members and more than half of its voters are there without it.
func (p *process) dropSurplus(id cluster.GroupID, m *placement.Map) error {
	if !p.surplus(id, m) {
		return nil
	}
	m, err := p.mapNow()
	if err != nil || !p.surplus(id, m) {
		return err
	}
	if !p.mayDrop(m.Group(id), p.askAll(p.ctx)) {
		return nil
	}
	p.node.w.note("%s: replica of group %d removed: others have it", p.node.id, id)
	return p.host.Destroy(p.ctx, id)
}

func (p *process) surplus(id cluster.GroupID, m *placement.Map) bool {
	g := m.Group(id)
	return id != cluster.SystemGroup && g != nil && g.Replica(p.node.id) == nil
}

func (p *process) mayDrop(g *placement.Group, all []nodeStatus) bool {
	var leader *replicaStatus
	up := map[cluster.ServerID]bool{}
	for _, s := range all {
		for i := range s.replicas {
			r := &s.replicas[i]
			if r.group != g.ID {
				continue
			}
			up[r.server] = r.CaughtUp
			if r.Leader == r.server && (leader == nil || r.Term > leader.Term) {
				leader = r
			}
		}
	}
	if leader == nil || slices.ContainsFunc(leader.members, func(m group.Member) bool { return m.ID.Node() == p.node.id }) {
		return false
	}
	voters, rest := 0, 0
	for _, r := range g.Replicas {
		if r.Suffrage != placement.Voter {
			continue
		}
		voters++
		if r.Server.Node() != p.node.id && up[r.Server] {
			rest++
		}
	}
	return rest > voters/2
}
