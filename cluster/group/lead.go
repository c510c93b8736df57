package group

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/hashicorp/raft"
)

// leading is what a replica knows about its own leadership.
type leading struct {
	g  *Group
	mu sync.Mutex
	// now is the election won, with term 0 while it leads in none; guarded by mu.
	now tenure
	// readFloor is the position up to which everything committed before this term is applied: the barrier's index,
	// and the last index below it that the state machine saw. Guarded by mu.
	barrier, applied uint64
	lease            lease         // guarded by mu
	watch            clockWatch    // guarded by mu
	handed           handOver      // guarded by mu
	changed          chan struct{} // closed and replaced when a waiter should look again; guarded by mu
	// touched is when the lease was last asked for (Clock.Mono).
	touched atomic.Int64
}

func (l *leading) init(g *Group) {
	l.g = g
	l.lease.self = g.self
	l.changed = make(chan struct{})
}

func (l *leading) wakeLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// term is the term in which raft leads at this moment (CLUSTER 1.4): the same before and after it said so.
func (l *leading) term() (uint64, bool) {
	r := l.g.raft
	before := r.CurrentTerm()
	if r.State() != raft.Leader {
		return 0, false
	}
	return before, r.CurrentTerm() == before
}

// leadership is what raft says of leadership at a moment.
type leadership struct {
	leader cluster.ServerID
	term   uint64
	leads  bool
}

func (g *Group) leadership() leadership {
	leader, term := g.Leader()
	return leadership{leader, term, g.raft.State() == raft.Leader}
}

// follow watches raft gain and lose leadership.
func (g *Group) follow() {
	var leader cluster.ServerID
	known := make(chan raft.Observation, 1)
	observer := raft.NewObserver(known, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	g.raft.RegisterObserver(observer)
	defer g.raft.DeregisterObserver(observer)
	for {
		now := g.leadership()
		g.seen.Store(&now)
		g.lead.evaluate()
		g.reportLeader(&leader)
		select {
		case <-g.notify:
		case <-known:
		case <-g.look:
		case <-g.stopped:
			g.lead.lost(0)
			return
		}
	}
}

// lookLoop looks whether raft stands otherwise than it was last seen to, since a word of it may be lost: one timer for the
// groups of a node, most of which sleep.
func (h *Host) lookLoop() {
	h.eachEvery(raftLease, func(g *Group) {
		if seen := g.seen.Load(); seen != nil && *seen != g.leadership() {
			select {
			case g.look <- struct{}{}:
			default:
			}
		}
	})
}

func (g *Group) reportLeader(last *cluster.ServerID) {
	leader, term := g.Leader()
	if leader == *last {
		return
	}
	*last = leader
	if emit := g.host.cfg.Events.LeaderKnown; emit != nil {
		emit(g.id, term, leader)
	}
}

// evaluate compares what raft says with what is known.
func (l *leading) evaluate() {
	term, leads := l.term()
	if !leads {
		term = 0
	}
	l.lost(term)
	if leads {
		l.won(term)
	}
}

// lost ends the tenure unless it is that of term.
func (l *leading) lost(term uint64) {
	l.mu.Lock()
	was := l.now.term
	if was == 0 || was == term {
		l.mu.Unlock()
		return
	}
	l.now = tenure{}
	l.lease.end()
	l.wakeLocked()
	l.mu.Unlock()
	l.g.queue.refuse(^uint64(0), l.g.notLeader())
	l.g.replica.LeadershipLost()
	if emit := l.g.host.cfg.Events.LeaderLost; emit != nil {
		emit(l.g.id, was)
	}
}

// won begins a tenure. The moment at which it is noticed is not earlier than the one at which the election was won,
// so the wait that is counted from it is long enough.
func (l *leading) won(term uint64) {
	l.mu.Lock()
	if l.now.term == term {
		l.mu.Unlock()
		return
	}
	now := l.g.host.cfg.Clock.Mono()
	l.now = newTenure(term, now, l.handed)
	planned := l.now.quiet == 0
	l.lease.begin(term, now)
	l.mu.Unlock()
	l.g.trans.watch()
	if emit := l.g.host.cfg.Events.LeaderGained; emit != nil {
		emit(l.g.id, term, planned)
	}
	if l.g.begin() == nil {
		go l.awaitBarrier(term)
	}
}

// awaitBarrier waits until everything committed before term is applied. It ends with the term at the latest.
func (l *leading) awaitBarrier(term uint64) {
	defer l.g.ops.Done()
	f := l.g.raft.Barrier(0)
	if f.Error() != nil {
		return // the term is over, and evaluate will see it
	}
	index := l.g.raft.CommitIndex()
	if i, ok := f.(raft.IndexFuture); ok {
		index = i.Index()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now, leads := l.term(); l.now.term == term && leads && now == term {
		l.now.applied = true
		l.barrier, l.applied = index, l.g.machine.Applied().Index
		l.wakeLocked()
	}
}

// Silence is how long another member of the group has not answered this replica, which leads it; false when it does
// not lead.
func (g *Group) Silence(id cluster.ServerID) (time.Duration, bool) {
	g.lead.mu.Lock()
	known := g.lead.now.term
	g.lead.mu.Unlock()
	if term, leads := g.lead.term(); !leads || term != known {
		return 0, false
	}
	return g.trans.silence(id), true
}

// notLeader names who leads, as far as the replica knows.
func (g *Group) notLeader() error {
	leader, term := g.Leader()
	if leader == g.self {
		leader = ""
	}
	return &cluster.Error{Kind: cluster.KindNotLeader, Group: g.id, Term: term, Leader: leader.Node()}
}

// Lead implements space.Replicator (CLUSTER 1.4, 4.2).
func (g *Group) Lead(ctx context.Context) (uint64, error) {
	for {
		if err := g.fenced(); err != nil {
			return 0, err
		}
		term, leads := g.lead.term()
		if !leads {
			return 0, g.notLeader()
		}
		wait, changed := g.lead.wait(term)
		if wait == 0 {
			return term, nil
		}
		if err := pause(ctx, wait, changed, g.stopped); err != nil {
			return 0, cluster.Errorf(cluster.KindUnavailable, "group %d: leader of term %d is not ready: %v", g.id, term, err)
		}
	}
}

// wait is how long the leader of term still keeps silent, and what is closed when that may have changed.
func (l *leading) wait(term uint64) (time.Duration, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now.term != term || !l.now.applied {
		return raftLease, l.changed
	}
	return l.now.remaining(l.g.host.cfg.Clock.Mono()), l.changed
}

var errStopped = errors.New("replica is stopped")

// pause waits for a time or a change.
func pause(ctx context.Context, d time.Duration, changed, stopped <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-changed:
		return nil
	case <-stopped:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Propose implements space.Replicator.
func (g *Group) Propose(ctx context.Context, term uint64, part []byte) (space.Outcome, error) {
	if err := g.fenced(); err != nil {
		return 0, err
	}
	if now, leads := g.lead.term(); !leads || now != term {
		return 0, g.notLeader()
	}
	return g.queue.propose(ctx, term, part)
}

// proposalError says what raft's refusal of an entry means for its parts.
func (g *Group) proposalError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return g.notLeader() // refused before it was in the log
	case errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
		return cluster.Errorf(cluster.KindUnavailable, "group %d: %v", g.id, err)
	}
	return fmt.Errorf("%w: group %d: %w", cluster.ErrUnknownOutcome, g.id, err)
}
