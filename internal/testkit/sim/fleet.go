package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/controller"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// mostNodes is how many nodes a cluster has at the most.
const mostNodes = 5

// any is some node.
func (w *World) any(rng *rand.Rand) *node {
	all := w.all()
	return all[rng.IntN(len(all))]
}

// ask performs an op on the map through some node, as an administrator does. A refusal, and no answer, are as good as one:
// what the cluster makes of it is what counts.
func (t *trouble) ask(ctx context.Context, what string, do func(ctx context.Context, p *process) error) {
	p := t.w.any(t.rng).process()
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := do(ctx, p); err != nil {
		t.w.note("%s: %v", what, err)
	}
}

// arrows are the steps of a move at which its carrier may die.
var arrows = []string{"begin", "arrive", "copy", "replay", "freeze", "whole", "flip", "thaw", "activate", "leave", "stay", "discard", "end"}

// moveBox begins to move a mailbox to another group; every third time the node that carries it dies on the way.
func (t *trouble) moveBox(ctx context.Context, _ *node) error {
	b := t.load.boxes[t.rng.IntN(len(t.load.boxes))]
	q := &store.MoveRequest{Space: cluster.SpaceID(b.id), To: cluster.GroupID(1 + t.rng.IntN(t.Groups)), Cause: "administrator"}
	binary.BigEndian.PutUint64(q.ID[:], t.rng.Uint64())
	d := &death{step: arrows[t.rng.IntN(len(arrows))], struck: make(chan *node, 1)}
	deadly := t.rng.IntN(3) == 0
	if deadly {
		t.w.doom(q.Space, d)
		defer t.w.doom(q.Space, nil)
	}
	t.ask(ctx, fmt.Sprintf("move of %s to %d", b.name, q.To), func(ctx context.Context, p *process) error {
		_, err := p.mapOp(ctx, store.OpStartMove, q)
		return err
	})
	if !deadly {
		return nil
	}
	select {
	case nd := <-d.struck:
		t.note("%s dies at step %s of the move of %s", nd.id, d.step, b.name)
		return t.restart(ctx, nd, t.rng.IntN(2) == 0)
	case <-ctx.Done():
	case <-time.After(2 * time.Second):
	}
	select {
	case nd := <-d.struck: // in the last moment: a carrier that believes its node dead would carry nothing more
		return t.restart(ctx, nd, false)
	default:
		return nil
	}
}

// doom chooses the step of a space's move at which its carrier dies, or with nil that it lives.
func (w *World) doom(id cluster.SpaceID, d *death) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d == nil {
		delete(w.deadly, id)
		return
	}
	w.deadly[id] = d
}

func (t *trouble) abortMove(ctx context.Context, _ *node) error {
	b := t.load.boxes[t.rng.IntN(len(t.load.boxes))]
	t.ask(ctx, "end of the move of "+b.name, func(ctx context.Context, p *process) error {
		_, err := p.mapOp(ctx, store.OpAbortMove, &store.MoveRequest{Space: cluster.SpaceID(b.id), Trouble: "called off"})
		return err
	})
	return nil
}

// join starts another machine, which finds the others and registers; all else is the controller's.
func (t *trouble) join(context.Context, *node) error {
	if !t.fleet.TryLock() { // who waited for a lock would keep virtual time from passing
		return nil
	}
	defer t.fleet.Unlock()
	if len(t.w.all()) >= mostNodes {
		return nil
	}
	nd := t.w.add()
	t.note("%s joins", nd.id)
	return t.boot(nd)
}

// remove asks for a node to be removed, at times in favour of another: as soon as others have what it holds it goes for good.
// That is asked for one node at a time, and while there are others enough.
func (t *trouble) remove(ctx context.Context, nd *node) error {
	if !t.fleet.TryLock() { // who waited for a lock would keep virtual time from passing
		return nil
	}
	defer t.fleet.Unlock()
	active := 0
	m := t.w.newestMap()
	for i := range m.Nodes {
		switch m.Nodes[i].Status {
		case placement.Active:
			active++
		case placement.Removing:
			return nil
		}
	}
	if active <= firstNodes {
		return nil
	}
	q := &store.NodeStatusRequest{Node: nd.id, Status: placement.Removing}
	if to := t.w.any(t.rng); t.rng.IntN(3) == 0 && to != nd {
		q.Successor = to.id
	}
	t.ask(ctx, fmt.Sprintf("removal of %s", nd.id), func(ctx context.Context, p *process) error {
		_, err := p.mapOp(ctx, store.OpSetNodeStatus, q)
		return err
	})
	return nil
}

// takeBack keeps a node that is being removed, if it is not too late.
func (t *trouble) takeBack(ctx context.Context, _ *node) error {
	m := t.w.newestMap()
	for i := range m.Nodes {
		if n := &m.Nodes[i]; n.Status == placement.Removing {
			t.ask(ctx, fmt.Sprintf("taking back of %s", n.ID), func(ctx context.Context, p *process) error {
				_, err := p.mapOp(ctx, store.OpSetNodeStatus, &store.NodeStatusRequest{Node: n.ID, Status: placement.Active})
				return err
			})
		}
	}
	return nil
}

// place is the group that a mailbox lives in; the cluster is at rest.
func (r *run) place(b *mailbox) (g cluster.GroupID) {
	err := systemReplica{r.w.leader()}.View(context.Background(), store.Space, space.ReadLocal, func(rd space.Reader) error {
		p, _, err := store.Lookup(rd, cluster.SpaceID(b.id))
		g = p.Group
		return err
	})
	if err != nil {
		r.w.broken("place of %s: %v", b.name, err)
	}
	return g
}

// leader is the process that leads the system group by its own word, nil when there is none.
func (w *World) leader() *process {
	for _, nd := range w.all() {
		if p := nd.process(); p != nil && p.plans.Load() != nil {
			return p
		}
	}
	return nil
}

// restWithin is how long a cluster without faults may take until nothing is left to be done.
const restWithin = 2 * time.Minute

// rest waits until the controller has nothing to do, no mailbox moves, and every group is whole: a plan that never ends, or
// that waits for something that never comes, would be found here.
func (r *run) rest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, restWithin)
	defer cancel()
	var before *controller.Look
	for {
		if err := r.w.bury(r.source(1)); err != nil {
			return err
		}
		look, unrest := r.w.unrest()
		if unrest == nil && before != nil && before != look {
			return nil
		}
		if unrest == nil {
			before = look
		} else {
			before = nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the cluster does not come to rest: %w", errors.Join(unrest, r.w.plan()))
		}
		wait(ctx, keeperPause/2)
	}
}

// unrest is what there is to be done, by the controller's last look; nil when there is nothing.
func (w *World) unrest() (*controller.Look, error) {
	p := w.leader()
	if p == nil {
		return nil, errors.New("the system group has no leader")
	}
	look := p.plans.Load().Last()
	if look == nil || len(look.Plan) > 0 || len(look.Map.Moves) > 0 {
		return look, errors.New("the controller has something to do, or a mailbox moves")
	}
	if len(look.Seen.Alive) != len(w.all()) || look.Map.Sequence != w.newestMap().Sequence {
		return look, errors.New("the controller does not see all nodes, or not all of the map")
	}
	if groups := len(look.Map.Groups) - 1; groups != w.mailboxGroups {
		return look, fmt.Errorf("there are %d groups", groups)
	}
	for i := range look.Map.Groups {
		if err := w.incomplete(look, &look.Map.Groups[i]); err != nil {
			return look, err
		}
	}
	return look, nil
}

// incomplete is what a group lacks, nil when it is as it ought to be.
func (w *World) incomplete(look *controller.Look, g *placement.Group) error {
	if look.Seen.Leaders[g.ID] == "" {
		return fmt.Errorf("group %d has no leader", g.ID)
	}
	want, voters := look.Policy.Replicas, 0
	for _, r := range g.Replicas {
		if r.State != placement.Created || !look.Seen.CaughtUp[r.Server] {
			return fmt.Errorf("replica %s of group %d is not ready: %s", r.Server, g.ID, w.standing(g.ID))
		}
		if r.Suffrage == placement.Voter {
			voters++
		}
	}
	if g.ID != cluster.SystemGroup && (voters != want || len(g.Replicas) != want) {
		return fmt.Errorf("group %d has %d replicas, of which %d vote", g.ID, len(g.Replicas), voters)
	}
	if g.ID == cluster.SystemGroup && (voters%2 == 0 || len(g.Replicas) != len(w.all())) {
		return fmt.Errorf("the system group has %d replicas for %d nodes, of which %d vote", len(g.Replicas), len(w.all()), voters)
	}
	for _, nd := range w.all() {
		if p := nd.process(); p != nil && p.host.Group(g.ID) != nil && g.Replica(nd.id) == nil {
			return fmt.Errorf("%s still has a replica of group %d", nd.id, g.ID)
		}
	}
	return nil
}

// plan is the last plan, as an error.
func (w *World) plan() error {
	p := w.leader()
	if p == nil || p.plans.Load().Last() == nil {
		return nil
	}
	var all []error
	for _, s := range p.plans.Load().Last().Plan {
		all = append(all, fmt.Errorf("%s: %s", s, s.Why))
	}
	for _, m := range w.newestMap().Moves {
		all = append(all, fmt.Errorf("move of %x from %d to %d: %s, attempt %d", m.Space[:1], m.From, m.To, m.State, m.Attempt))
	}
	return errors.Join(all...)
}

// standing is how far each replica of a group is, in words, and of the processes without one what their keeper is at.
func (w *World) standing(id cluster.GroupID) string {
	var all []string
	for _, nd := range w.all() {
		p := nd.process()
		switch {
		case p == nil:
			all = append(all, fmt.Sprintf("%s does not run", nd.id))
		case p.host.Group(id) == nil:
			if doing := p.doing.Load(); doing != nil {
				all = append(all, fmt.Sprintf("%s has none by its map %d, and %s", nd.id, p.view.Map().Sequence, *doing))
			}
		default:
			s := p.host.Group(id).Stats()
			all = append(all, fmt.Sprintf("%s %s in term %d behind %s, applied %d of %d, awaits %v", nd.id, s.State, s.Term, s.Leader, s.Applied, s.Commit, s.Awaits))
		}
	}
	return strings.Join(all, "; ")
}
