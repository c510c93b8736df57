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
	Remove(ctx context.Context, group cluster.GroupID, server cluster.ServerID) error
}

// Events are told of steps; nil funcs are left out.
type Events struct {
	Step func(step string, took time.Duration, err error)
}

// Controller plans and acts while this node leads the system group.
type Controller struct {
	System  System
	Cluster Cluster
	Policy  placement.Policy
	Events  Events
	// Every is the pause between looks when nothing is to be done.
	Every time.Duration

	// failed counts how often in a row a step that is still planned has failed.
	failed map[string]int
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
		}
		again, err := c.Once(ctx)
		if err != nil && ctx.Err() == nil && c.Events.Step != nil {
			c.Events.Step("plan", 0, err)
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
	var m *placement.Map
	err := c.System.View(ctx, store.Space, space.ReadLease, func(r space.Reader) (err error) {
		m, err = store.Load(r)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read map: %w", err)
	}
	seen, err := c.Cluster.Observe(ctx)
	if err != nil {
		return false, fmt.Errorf("observe: %w", err)
	}
	plan := planner.Plan(m, seen, c.Policy)
	if len(plan) == 0 {
		return false, nil
	}
	step := c.next(plan)
	start := time.Now()
	err = c.do(ctx, step)
	if ctx.Err() != nil {
		return false, ctx.Err() // the term has ended, perhaps by this very step
	}
	if c.Events.Step != nil {
		c.Events.Step(step.String(), time.Since(start), err)
	}
	if errors.Is(err, store.ErrConflict) {
		return true, nil
	}
	if err != nil {
		c.failed[step.String()]++
	}
	return true, err
}

// next is the step that failed least, the most urgent of these. What is not planned any more is forgotten.
func (c *Controller) next(plan []planner.Step) planner.Step {
	still := make(map[string]int)
	best := plan[0]
	for _, s := range plan {
		still[s.String()] = c.failed[s.String()]
		if c.failed[s.String()] < c.failed[best.String()] {
			best = s
		}
	}
	c.failed = still
	return best
}

func (c *Controller) do(ctx context.Context, s planner.Step) error {
	switch {
	case s.Admit != nil:
		return c.update(ctx, func(w space.Writer) error { return store.AdmitReplica(w, s.Admit.Group, s.Admit.Server) })
	case s.Create != nil:
		return c.create(ctx, s.Create)
	case s.Replace != nil:
		server, err := newServer(s.Replace.Lost.Node())
		if err != nil {
			return err
		}
		return c.update(ctx, func(w space.Writer) error { return store.AddReplica(w, s.Replace.Group, server) })
	case s.Join != nil:
		return c.Cluster.AddLearner(ctx, s.Join.Group, s.Join.Server)
	case s.Promote != nil:
		if err := c.Cluster.Promote(ctx, s.Promote.Group, s.Promote.Server); err != nil {
			return err
		}
		return c.update(ctx, func(w space.Writer) error {
			return store.SetSuffrage(w, s.Promote.Group, s.Promote.Server, placement.Voter)
		})
	case s.Remove != nil:
		if err := c.Cluster.Remove(ctx, s.Remove.Group, s.Remove.Server); err != nil {
			return err
		}
		return c.update(ctx, func(w space.Writer) error {
			return store.RemoveReplica(w, s.Remove.Group, s.Remove.Server)
		})
	case s.Transfer != nil:
		return c.Cluster.Transfer(ctx, s.Transfer.Group, s.Transfer.From, s.Transfer.To)
	}
	return fmt.Errorf("a step without content")
}

func (c *Controller) create(ctx context.Context, s *planner.CreateGroup) error {
	servers := make([]cluster.ServerID, len(s.Nodes))
	for i, n := range s.Nodes {
		var err error
		if servers[i], err = newServer(n); err != nil {
			return err
		}
	}
	return c.update(ctx, func(w space.Writer) error { return store.CreateGroup(w, placement.Group{ID: s.Group}, servers) })
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
