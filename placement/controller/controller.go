// Package controller carries out the planner's steps, one at a time, on the system group's leader.
//
// It knows the order in which a step's halves happen so that a crash between them is harmless: the map says what is
// to be before Raft does it, and Raft has done it before the map says that it is done. Every step is planned from
// what is observed, so a half-done one is simply planned again.
package controller

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/planner"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// System is the system group's replica, on the node that leads it.
type System interface {
	Update(ctx context.Context, id cluster.SpaceID, req cluster.RequestID, fn space.UpdateFunc) ([]byte, error)
	View(ctx context.Context, id cluster.SpaceID, mode space.ReadMode, fn space.ViewFunc) error
}

// Cluster is what the controller sees and moves; internal/node implements it with calls to the groups' leaders.
type Cluster interface {
	// Observe gathers what all nodes that answer say of their groups.
	Observe(ctx context.Context) (planner.Observed, error)
	Transfer(ctx context.Context, group cluster.GroupID, from, to cluster.NodeID) error
	AddLearner(ctx context.Context, group cluster.GroupID, server cluster.ServerID) error
	Promote(ctx context.Context, group cluster.GroupID, server cluster.ServerID) error
	Demote(ctx context.Context, group cluster.GroupID, server cluster.ServerID) error
	Remove(ctx context.Context, group cluster.GroupID, server cluster.ServerID) error
	// Drain takes a node out of service; its clients go elsewhere.
	Drain(ctx context.Context, node cluster.NodeID) error
}

// Events are told of steps, of those that are taken now and of looks that failed; nil funcs are left out.
type Events struct {
	Step func(step planner.Step, took time.Duration, err error)
	Look func(err error)
}

// Look is what the controller saw when it last planned, and what came of it.
type Look struct {
	Map    *placement.Map
	Policy placement.Policy
	Seen   planner.Observed
	Plan   []planner.Step
	// Failed counts how often in a row a step that is still planned has failed.
	Failed map[string]int
}

// Controller plans and acts while this node leads the system group.
type Controller struct {
	System  System
	Cluster Cluster
	Events  Events
	// Every is the pause between looks when nothing is to be done.
	Every time.Duration

	failed map[string]int       // as in Look
	last   atomic.Pointer[Look] // nil before the first
	wake   chan struct{}
}

// New makes a controller; see Run.
func New(s System, c Cluster, e Events, every time.Duration) *Controller {
	return &Controller{System: s, Cluster: c, Events: e, Every: every, wake: make(chan struct{}, 1)}
}

// Last is what the controller saw at its last look, nil before the first. Nobody changes it.
func (c *Controller) Last() *Look { return c.last.Load() }

// Wake has the controller look now instead of after its pause.
func (c *Controller) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run acts until ctx ends, which is when the leadership does.
func (c *Controller) Run(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-c.wake:
		}
		again, err := c.Once(ctx)
		if err != nil && ctx.Err() == nil && !again && c.Events.Look != nil {
			c.Events.Look(err)
		}
		pause := c.Every
		if again && err == nil {
			pause = 0
		}
		t.Reset(pause)
	}
}

// Once carries out the most urgent step of a fresh plan; it reports whether there was one. Steps that failed come after
// the others, so that a group that cannot be helped does not keep the rest from it. Once is for one goroutine.
func (c *Controller) Once(ctx context.Context) (bool, error) {
	var look Look
	err := c.System.View(ctx, store.Space, space.ReadLease, func(r space.Reader) (err error) {
		if look.Map, err = store.Load(r); err == nil {
			look.Policy, err = store.LoadPolicy(r)
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read map: %w", err)
	}
	if look.Seen, err = c.Cluster.Observe(ctx); err != nil {
		return false, fmt.Errorf("observe: %w", err)
	}
	look.Plan = planner.Plan(look.Map, look.Seen, look.Policy)
	c.forget(look.Plan)
	look.Failed = maps.Clone(c.failed)
	c.last.Store(&look)
	if len(look.Plan) == 0 {
		return false, nil
	}
	step := c.next(look.Plan)
	start := time.Now()
	err = c.do(ctx, step)
	if ctx.Err() != nil {
		return false, ctx.Err() // the term has ended, perhaps by this very step
	}
	if c.Events.Step != nil {
		c.Events.Step(step, time.Since(start), err)
	}
	if errors.Is(err, store.ErrConflict) {
		return true, nil
	}
	if err != nil {
		c.failed[step.String()]++
	}
	return true, err
}

// next is the step that failed least, the most urgent of these.
func (c *Controller) next(plan []planner.Step) planner.Step {
	best := plan[0]
	for _, s := range plan {
		if c.failed[s.String()] < c.failed[best.String()] {
			best = s
		}
	}
	return best
}

// forget drops the failures of what is not planned any more.
func (c *Controller) forget(plan []planner.Step) {
	still := make(map[string]int)
	for _, s := range plan {
		if n := c.failed[s.String()]; n > 0 {
			still[s.String()] = n
		}
	}
	c.failed = still
}

func (c *Controller) do(ctx context.Context, s planner.Step) error {
	switch {
	case s.Admit != nil:
		return c.update(ctx, func(w space.Writer) error { return store.AdmitReplica(w, s.Admit.Group, s.Admit.Server) })
	case s.Create != nil:
		return c.create(ctx, s.Create)
	case s.Add != nil:
		server, err := newServer(s.Add.Node)
		if err != nil {
			return err
		}
		r := placement.Replica{Server: server, Replaces: s.Add.Replaces, Cause: s.Add.Cause}
		return c.update(ctx, func(w space.Writer) error { return store.AddReplica(w, s.Add.Group, r) })
	case s.Join != nil:
		return c.Cluster.AddLearner(ctx, s.Join.Group, s.Join.Server)
	case s.Promote != nil:
		return c.vote(ctx, s.Promote, c.Cluster.Promote, placement.Voter)
	case s.Demote != nil:
		return c.vote(ctx, s.Demote, c.Cluster.Demote, placement.Nonvoter)
	case s.Remove != nil:
		if err := c.Cluster.Remove(ctx, s.Remove.Group, s.Remove.Server); err != nil {
			return err
		}
		return c.update(ctx, func(w space.Writer) error {
			return store.RemoveReplica(w, s.Remove.Group, s.Remove.Server)
		})
	case s.Transfer != nil:
		return c.Cluster.Transfer(ctx, s.Transfer.Group, s.Transfer.From, s.Transfer.To)
	case s.Drain != nil:
		return c.Cluster.Drain(ctx, s.Drain.Node)
	case s.Retire != nil:
		return c.update(ctx, func(w space.Writer) error {
			return store.SetNodeStatus(w, &store.NodeStatusRequest{Node: s.Retire.Node, Status: placement.Removed})
		})
	}
	return fmt.Errorf("a step without content")
}

// vote gives a replica its vote or takes it, first in Raft and then in the map.
func (c *Controller) vote(ctx context.Context, r *planner.ChangeReplica,
	change func(context.Context, cluster.GroupID, cluster.ServerID) error, as placement.Suffrage) error {
	if err := change(ctx, r.Group, r.Server); err != nil {
		return err
	}
	return c.update(ctx, func(w space.Writer) error { return store.SetSuffrage(w, r.Group, r.Server, as) })
}

func (c *Controller) create(ctx context.Context, s *planner.CreateGroup) error {
	servers := make([]cluster.ServerID, len(s.Nodes))
	for i, n := range s.Nodes {
		var err error
		if servers[i], err = newServer(n); err != nil {
			return err
		}
	}
	return c.update(ctx, func(w space.Writer) error {
		return store.CreateGroup(w, placement.Group{ID: s.Group, Home: s.Class.Home, Sites: s.Class.SiteList()}, servers)
	})
}

func (c *Controller) update(ctx context.Context, fn func(space.Writer) error) error {
	_, err := c.System.Update(ctx, store.Space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return nil, fn(w)
	})
	return err
}

// newServer draws the identity of a new replica: its incarnation is random, so that data of an earlier one is never
// taken for it (CLUSTER 6.1).
func newServer(node cluster.NodeID) (cluster.ServerID, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("draw incarnation: %w", err)
	}
	return cluster.NewServerID(node, binary.BigEndian.Uint64(b[:])), nil
}
