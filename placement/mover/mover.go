// Package mover carries spaces from one group to another while they are used (CLUSTER 7.1, docs/design/move.md).
//
// It runs where a group is led: the leader of the source carries a move on from whatever the two groups and the map say of
// it; the leader of the target takes the space into use once the map says so. What it knows it reads each time: a carrier
// may die at any point, and two of them around a change of leader do no harm. Invariants: only the flip in the system group
// decides; the source thaws only after an update there has made the flip of its freeze impossible.
package mover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/clock"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// Map is the placement map as this node has it; placement/view's View is one. It may lag.
type Map interface {
	Map() *placement.Map
	// Changed is closed at the next change.
	Changed() <-chan struct{}
}

// Config is what a Mover needs. Zero durations mean their defaults.
type Config struct {
	Group   cluster.GroupID
	Replica *space.Replica
	Ops     Caller
	Map     Map
	// Frozen is the longest that an attempt leaves a space frozen before it is given up. Default 2 s.
	Frozen time.Duration
	// Retry is the pause after a failure; it doubles up to RetryMost. Defaults 100 ms and 5 s.
	Retry, RetryMost time.Duration
	// Rescan is how often what was left behind is looked for. Default 1 min.
	Rescan time.Duration
	// Piece is about how many bytes a piece and a run have. Default 192 KiB, so that one fits an entry (CLUSTER 1.5).
	Piece  int
	Events Events
}

// Events are told of moves; nil funcs are left out.
type Events struct {
	// Arrow is called before each step of a move, by its name; an error ends the carrier there, as if its node had died.
	Arrow func(m *placement.Move, step string) error
	// Ended is told of a move that both groups are done with, and for how long the space was frozen here.
	Ended func(m *placement.Move, frozen time.Duration)
	// Failed is told of a failure; what failed is tried again.
	Failed func(m *placement.Move, err error)
}

func (c Config) defaults() Config {
	if c.Piece <= 0 {
		c.Piece = 192 << 10
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.Frozen, 2 * time.Second}, {&c.Retry, 100 * time.Millisecond}, {&c.RetryMost, 5 * time.Second}, {&c.Rescan, time.Minute}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return c
}

// Mover carries the moves of one group while this node leads it.
type Mover struct {
	Config
	copying chan struct{} // one token a move that copies: others wait, so that the group's mailboxes do not suffer

	mu    sync.Mutex
	taken map[placement.MoveID]bool // guarded by mu; true while something is done for it
	wg    sync.WaitGroup
}

// copiesAtOnce bounds the moves out of one group that copy side by side.
const copiesAtOnce = 2

// New makes a mover; Run starts it.
func New(c Config) *Mover {
	return &Mover{Config: c.defaults(), copying: make(chan struct{}, copiesAtOnce), taken: make(map[placement.MoveID]bool)}
}

// Run carries moves until ctx ends, which is when the leadership does, and returns when nothing is carried any more.
func (m *Mover) Run(ctx context.Context) {
	defer m.wg.Wait()
	rescan := time.NewTicker(m.Rescan)
	defer rescan.Stop()
	sweep := true
	for ctx.Err() == nil {
		changed := m.Map.Changed()
		moves := m.Map.Map().Moves
		m.forget(moves)
		for i := range moves {
			m.take(ctx, moves[i])
		}
		if sweep {
			m.sweep(ctx)
		}
		sweep = false
		select {
		case <-ctx.Done():
		case <-changed:
		case <-rescan.C:
			sweep = true
		}
	}
}

// forget lets go of what was done for moves that have ended. Until then it is remembered, for the map may lag.
func (m *Mover) forget(moves []placement.Move) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, busy := range m.taken {
		if !busy && !slices.ContainsFunc(moves, func(v placement.Move) bool { return v.ID == id }) {
			delete(m.taken, id)
		}
	}
}

// take starts what this group has to do for a move, unless it is being done, or was.
func (m *Mover) take(ctx context.Context, mv placement.Move) {
	do := m.carry
	switch {
	case mv.From == m.Group:
	case mv.To == m.Group && mv.State == placement.MoveFlipped:
		do = m.receive
	default:
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.taken[mv.ID]; taken {
		return
	}
	m.taken[mv.ID] = true
	m.wg.Go(func() {
		do(ctx, mv)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.taken[mv.ID] = false
	})
}

// receive takes a space into use that the map gives to this group. Its source asks for that too; but the source's nodes may
// be gone.
func (m *Mover) receive(ctx context.Context, mv placement.Move) {
	m.insist(ctx, &mv, func() error {
		err := m.Replica.ActivateMove(ctx, mv.Space, space.Decision{Move: space.MoveID(mv.ID), Epoch: mv.Epoch + 1, Attempt: mv.Attempt, From: mv.From})
		if err == nil || cluster.KindOf(err) == cluster.KindNoSpace { // it may have gone on from here by now
			return errEnded
		}
		return err
	})
}

// carry brings a move on until both groups are done with it.
func (m *Mover) carry(ctx context.Context, mv placement.Move) {
	c := &carrier{Mover: m, move: mv}
	m.insist(ctx, &c.move, func() error {
		err := c.once(ctx)
		if err == nil || errors.Is(err, errEnded) || errors.Is(err, errDied) {
			return err
		}
		c.trouble = err
		return errors.Join(err, c.look(ctx))
	})
	if c.over && m.Events.Ended != nil {
		m.Events.Ended(&c.move, c.frozen)
	}
}

// insist calls do until it says that there is nothing left to be done, with pauses after failures.
func (m *Mover) insist(ctx context.Context, mv *placement.Move, do func() error) {
	for pause := m.Retry; ctx.Err() == nil; {
		err := do()
		if errors.Is(err, errEnded) || errors.Is(err, errDied) {
			return
		}
		if err == nil {
			pause = m.Retry
			continue
		}
		m.failed(ctx, mv, err)
		wait(ctx, pause)
		pause = min(pause*2, m.RetryMost)
	}
}

func (m *Mover) failed(ctx context.Context, mv *placement.Move, err error) {
	if m.Events.Failed != nil && ctx.Err() == nil {
		m.Events.Failed(mv, err)
	}
}

func wait(ctx context.Context, d time.Duration) { _ = clock.System{}.Sleep(ctx, d) }

// sweep forgets moves of which the map has no record any more: a step of theirs came late. A record begins before the first
// step and ends after the last, and ids are never used again, so what has none now is over.
func (m *Mover) sweep(ctx context.Context) {
	infos, err := m.Replica.Spaces()
	if err != nil {
		return // the replica is being closed, or has reported why it cannot be read
	}
	var left []space.Info
	for _, s := range infos {
		if s.Move != (space.MoveID{}) && s.State != space.Moved && !known(m.Map.Map().Moves, s) {
			left = append(left, s)
		}
	}
	if len(left) == 0 {
		return
	}
	moves, err := list(ctx, m.Ops)
	if err != nil {
		m.failed(ctx, &placement.Move{From: m.Group}, fmt.Errorf("look for what moves left behind: %w", err))
		return
	}
	for _, s := range left {
		if known(moves, s) {
			continue
		}
		end := m.Replica.StayMove
		if s.State == space.Arriving {
			end = m.Replica.DiscardMove
		}
		if err := end(ctx, s.ID, s.Move); err != nil && cluster.KindOf(err) != cluster.KindNoSpace {
			m.failed(ctx, &placement.Move{Space: s.ID, ID: placement.MoveID(s.Move), From: m.Group}, err)
		}
	}
}

func known(moves []placement.Move, s space.Info) bool {
	return slices.ContainsFunc(moves, func(v placement.Move) bool { return v.ID == placement.MoveID(s.Move) })
}

// list asks the leader of the system group for the moves that are under way.
func list(ctx context.Context, c Caller) ([]placement.Move, error) {
	answer, err := c.Call(ctx, &ops.Request{Op: store.OpListMoves, Space: store.Space}, ops.Read)
	if err != nil {
		return nil, err
	}
	var r store.MovesResponse
	err = wire.Unmarshal(answer, &r)
	return r.Moves, err
}
