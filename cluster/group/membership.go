package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/hashicorp/raft"
)

const (
	// changeEnqueue is how long a membership change waits for the one before it.
	changeEnqueue = 5 * time.Second
	// drainBeforeTransfer is how long a hand-over waits for entries in flight, which would else end with an unknown
	// outcome.
	drainBeforeTransfer = time.Second
	// readyBeforeTransfer is how long a hand-over waits for a leader that has just won.
	readyBeforeTransfer = time.Second
	// handOverTimeout bounds the word to the successor.
	handOverTimeout = 500 * time.Millisecond
	transfersAtOnce = 8
	// successorSilence and successorLag are how long a successor may have been silent, and how many entries behind.
	successorSilence = 400 * time.Millisecond
	successorLag     = 4096
	// successorLook is how often a leader that hands over looks how far the successor is, and for who leads now.
	successorLook = 2 * time.Millisecond
	// takeOverTimeout bounds how long the group stands still for a successor: its log, an election and the word of it, at up
	// to 100 ms between nodes.
	takeOverTimeout = time.Second
)

// AddNonvoter makes a server a member that receives the log and has no vote. It runs on the leader.
func (g *Group) AddNonvoter(ctx context.Context, id cluster.ServerID) error {
	if err := checkMembers([]Member{{ID: id, Suffrage: Voter}}); err != nil {
		return cluster.Errorf(cluster.KindBadRequest, "%v", err)
	}
	return g.change(ctx, "add "+string(id), func() raft.IndexFuture {
		return g.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(id), 0, changeEnqueue)
	})
}

// Promote gives a member that has caught up its vote. It runs on the leader.
func (g *Group) Promote(ctx context.Context, id cluster.ServerID) error {
	if suffrageOf(g.Members(), id) == 0 {
		return cluster.Errorf(cluster.KindBadRequest, "promote %s: not a member of group %d", id, g.id)
	}
	return g.change(ctx, "promote "+string(id), func() raft.IndexFuture {
		return g.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(id), 0, changeEnqueue)
	})
}

// Demote takes a voter's vote; it stays a member. It runs on the leader, for others than itself.
func (g *Group) Demote(ctx context.Context, id cluster.ServerID) error {
	if id == g.self {
		return cluster.Errorf(cluster.KindBadRequest, "group %d: the leader is demoted after it has handed over", g.id)
	}
	return g.change(ctx, "demote "+string(id), func() raft.IndexFuture {
		return g.raft.DemoteVoter(raft.ServerID(id), 0, changeEnqueue)
	})
}

// Remove ends a server's membership. It runs on the leader, for others than itself: hand over first.
func (g *Group) Remove(ctx context.Context, id cluster.ServerID) error {
	if id == g.self {
		return cluster.Errorf(cluster.KindBadRequest, "group %d: the leader is removed after it has handed over", g.id)
	}
	return g.change(ctx, "remove "+string(id), func() raft.IndexFuture {
		return g.raft.RemoveServer(raft.ServerID(id), 0, changeEnqueue)
	})
}

// change runs a membership change until it is committed.
func (g *Group) change(ctx context.Context, what string, start func() raft.IndexFuture) error {
	err := g.await(ctx, func() error { return start().Error() })
	if err == nil {
		return nil
	}
	return fmt.Errorf("group %d: %s: %w", g.id, what, g.raftError(err))
}

// raftError gives raft's errors their kinds.
func (g *Group) raftError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return g.notLeader()
	case errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return cluster.Errorf(cluster.KindUnavailable, "%v", err)
	case errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrRaftShutdown):
		return fmt.Errorf("%w: %w", cluster.ErrUnknownOutcome, err)
	}
	return err
}

// Transfer hands the leadership over (CLUSTER 4.2); an empty to means the voter that is furthest. Proposals wait
// meanwhile. When it fails the replica leads on, and reads by read index until its term ends.
func (g *Group) Transfer(ctx context.Context, to cluster.ServerID) error {
	term, leads := g.lead.term()
	if !leads {
		return g.notLeader()
	}
	if to == "" {
		to = g.successor()
	}
	if to == "" {
		return cluster.Errorf(cluster.KindUnavailable, "group %d: no other voter is up", g.id)
	}
	if to == g.self || suffrageOf(g.Members(), to) != Voter {
		return cluster.Errorf(cluster.KindBadRequest, "group %d: cannot hand over to %q", g.id, to)
	}
	if err := g.canTakeOver(to); err != nil {
		return err
	}
	g.awaitReady(ctx)
	g.queue.hold()
	defer g.queue.resume()
	g.queue.settle(ctx, drainBeforeTransfer)
	err := g.promise(ctx, to, term)
	if err == nil {
		err = g.handTo(ctx, to, term)
	}
	if err != nil {
		return fmt.Errorf("group %d: hand over to %s: %w", g.id, to, err)
	}
	return nil
}

// handTo asks the successor to stand once it holds the whole log, and waits until it leads. raft's own transfer does the same,
// and keeps the group from writing for an election timeout when the successor is gone by then; this one leads on.
func (g *Group) handTo(ctx context.Context, to cluster.ServerID, term uint64) error {
	ctx, cancel := context.WithTimeout(ctx, takeOverTimeout)
	defer cancel()
	for g.trans.progress(to) < g.raft.LastIndex() {
		if err := g.unlessSilent(ctx, to); err != nil {
			return err
		}
	}
	if err := g.trans.askToStand(ctx, to); err != nil {
		return cluster.Errorf(cluster.KindUnavailable, "%s was asked to stand: %v", to.Node(), err)
	}
	for !g.succeeded(term) {
		if err := g.unlessSilent(ctx, to); err != nil {
			return err
		}
	}
	return nil
}

// unlessSilent pauses for a look, and gives up when the successor is not heard any more or its time is over. What it was asked
// may still make it stand.
func (g *Group) unlessSilent(ctx context.Context, to cluster.ServerID) error {
	if state, ok := g.host.cfg.Net.PeerState(to.Node()); !ok || state.Silent > successorSilence {
		return cluster.Errorf(cluster.KindUnavailable, "%s has fallen silent", to.Node())
	}
	if err := pause(ctx, successorLook, nil, g.stopped); err != nil {
		return cluster.Errorf(cluster.KindUnavailable, "%s does not take over: %v", to.Node(), err)
	}
	return nil
}

// awaitReady waits until this leader may answer itself. One that has just won has no lease to give up, and its successor
// would wait for all of it; callers wait for this one meanwhile as they would for that one.
func (g *Group) awaitReady(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readyBeforeTransfer)
	defer cancel()
	_, _ = g.Lead(ctx) // a leader that is not ready by then hands over all the same
}

// canTakeOver refuses a successor that would not lead at once: while a hand-over waits for it, the group stands still.
func (g *Group) canTakeOver(to cluster.ServerID) error {
	state, ok := g.host.cfg.Net.PeerState(to.Node())
	if !ok || !state.Up || state.Silent > successorSilence {
		return cluster.Errorf(cluster.KindUnavailable, "group %d: %s is not heard", g.id, to.Node())
	}
	if last, has := g.raft.LastIndex(), g.trans.progress(to); last > has+successorLag {
		return cluster.Errorf(cluster.KindUnavailable, "group %d: %s lacks %d entries", g.id, to.Node(), last-has)
	}
	return nil
}

// successor is the voter that is known to have the most of the log.
func (g *Group) successor() cluster.ServerID {
	var best cluster.ServerID
	var at uint64
	for _, m := range g.Members() {
		if m.Suffrage != Voter || m.ID == g.self {
			continue
		}
		state, ok := g.host.cfg.Net.PeerState(m.ID.Node())
		if index := g.trans.progress(m.ID); ok && state.Up && (best == "" || index > at) {
			best, at = m.ID, index
		}
	}
	return best
}

// promise ends the lease for the rest of term and tells the successor so, which then need not wait. A leader that
// still waits itself has nothing to give: its own predecessor's lease may not have ended. A successor that does not answer
// is not waited for any longer.
func (g *Group) promise(ctx context.Context, to cluster.ServerID, term uint64) error {
	l := &g.lead
	l.mu.Lock()
	ready := l.now.term == term && l.now.applied && l.now.remaining(g.host.cfg.Clock.Mono()) == 0
	if l.lease.term == term {
		l.lease.end()
	}
	l.mu.Unlock()
	if !ready {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, handOverTimeout)
	defer cancel()
	call, err := g.host.cfg.Net.Send(ctx, transport.Message{To: to.Node(), Class: transport.Control, Group: g.id,
		Kind: kindHandOver, Payload: [][]byte{encodeHandOver(g.self, to, term)}})
	if err == nil {
		_, _, err = call.Wait(ctx)
	}
	if err != nil {
		return cluster.Errorf(cluster.KindUnavailable, "no answer of %s: %v", to.Node(), err)
	}
	return nil
}

// succeeded reports whether this replica knows that its term is over and who leads now.
func (g *Group) succeeded(term uint64) bool {
	leader, _ := g.Leader()
	now, leads := g.lead.term()
	return !leads && leader != "" && leader != g.self || leads && now != term
}

// HandOver is what became of one leadership.
type HandOver struct {
	Group cluster.GroupID
	Took  time.Duration
	Err   error
}

// Rank puts the voters that a group may be handed to in the order in which they are tried. What it leaves out is not tried.
type Rank func(id cluster.GroupID, voters []cluster.ServerID) []cluster.ServerID

// TransferAll hands over every leadership of the node, a few at a time, as a drain does. Groups without another voter
// keep theirs and are left out; those without one that is up are answered with the reason. With a nil rank the voter that
// is furthest is the successor.
func (h *Host) TransferAll(ctx context.Context, rank Rank) []HandOver {
	var wg sync.WaitGroup
	slots := make(chan struct{}, transfersAtOnce)
	var led []*Group
	for _, g := range h.Groups() {
		if g.State() == Leader && len(g.voters()) > 1 {
			led = append(led, g)
		}
	}
	done := make([]HandOver, len(led))
	for i, g := range led {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			begun := h.cfg.Clock.Mono()
			err := g.transferRanked(ctx, rank)
			done[i] = HandOver{Group: g.id, Took: h.cfg.Clock.Mono() - begun, Err: err}
		})
	}
	wg.Wait()
	return done
}

// transferRanked hands over to the first in the order that can take over.
func (g *Group) transferRanked(ctx context.Context, rank Rank) error {
	if rank == nil {
		return g.Transfer(ctx, "")
	}
	others := slices.DeleteFunc(votersOf(g.Members()), func(id cluster.ServerID) bool { return id == g.self })
	for _, to := range rank(g.id, others) {
		if g.canTakeOver(to) == nil {
			return g.Transfer(ctx, to)
		}
	}
	return g.Transfer(ctx, "") // which says why, if nobody can
}
