package group

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

const (
	// confirmRetry is how often a wait for confirmation asks again.
	confirmRetry = 200 * time.Millisecond
	// readIndexWait is how long a read waits for somebody to lead: longer than a fail-over takes.
	readIndexWait = 8 * time.Second
	// readIndexRetry is the pause between two questions.
	readIndexRetry = 20 * time.Millisecond
	// catchUpEvery is how often a starting replica asks for a read index.
	catchUpEvery = 500 * time.Millisecond
	// catchUpWait bounds one attempt.
	catchUpWait = 5 * time.Second
)

// voters are the servers whose majority elects, by the latest membership in the log.
func (g *Group) voters() []cluster.ServerID {
	servers := g.raft.GetConfiguration().Configuration().Servers
	voters := make([]cluster.ServerID, 0, len(servers))
	for _, s := range servers {
		if s.Suffrage == 0 { // raft.Voter
			voters = append(voters, cluster.ServerID(s.ID))
		}
	}
	return voters
}

// BeginRead implements space.Replicator (CLUSTER 4.1 to 4.4).
func (g *Group) BeginRead(ctx context.Context, mode space.ReadMode) (func() error, error) {
	if mode == space.ReadLease && g.host.cfg.StrictReads {
		if _, leads := g.lead.term(); !leads {
			return nil, g.notLeader()
		}
		mode = space.ReadIndex
	}
	switch mode {
	case space.ReadLease:
		return g.beginLeaseRead(ctx)
	case space.ReadIndex:
		return noCheck, g.awaitReadIndex(ctx)
	case space.ReadLocal:
		return noCheck, g.awaitCaughtUp(ctx)
	}
	return nil, cluster.Errorf(cluster.KindBadRequest, "read mode %d", mode)
}

func noCheck() error { return nil }

// beginLeaseRead reads under the lease; without one it pays a round trip. When the lease has ended by the end of the
// read, a confirmation asked for after it proves the same: until then nobody else was elected.
func (g *Group) beginLeaseRead(ctx context.Context) (func() error, error) {
	term, err := g.Lead(ctx)
	if err != nil {
		return nil, err
	}
	g.lead.touched.Store(int64(g.host.cfg.Clock.Mono()))
	check := func() error {
		if g.lead.holds(term) {
			return nil
		}
		return g.confirm(ctx, term)
	}
	if err := check(); err != nil {
		return nil, err
	}
	return check, nil
}

// holds reports whether the leader of term may answer a read at this moment.
func (l *leading) holds(term uint64) bool {
	voters := l.g.voters()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.look()
	if at, leads := l.term(); !leads || at != term || l.lease.term != term || l.now.term != term {
		return false
	}
	return l.now.remaining(now) == 0 && l.lease.holds(voters, now)
}

// look reads the clock, and drops the lease when the clocks have moved apart. It is called with mu held.
func (l *leading) look() time.Duration {
	clock := l.g.host.cfg.Clock
	now := clock.Mono()
	if l.watch.jumped(now, clock.Wall()) {
		l.lease.drop(now)
		if emit := l.g.host.cfg.Events.ClockJumped; emit != nil {
			emit()
		}
	}
	return now
}

// confirm waits until a quorum of voters, asked after this call, has confirmed that term is not over.
func (g *Group) confirm(ctx context.Context, term uint64) error {
	from := g.host.cfg.Clock.Mono()
	for {
		if now, leads := g.lead.term(); !leads || now != term {
			return g.notLeader()
		}
		ok, changed := g.lead.confirmedSince(term, from)
		if ok {
			return nil
		}
		g.host.confirms.ask(g, term)
		if err := pause(ctx, confirmRetry, changed, g.stopped); err != nil {
			return cluster.Errorf(cluster.KindUnavailable, "group %d: no quorum confirms term %d: %v", g.id, term, err)
		}
	}
}

func (l *leading) confirmedSince(term uint64, from time.Duration) (bool, <-chan struct{}) {
	voters := l.g.voters()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease.term != term {
		return false, l.changed
	}
	since, ok := l.lease.quorumSince(voters, l.look())
	return ok && since >= from, l.changed
}

// confirmed notes a voter's confirmation of a request sent at a time.
func (l *leading) confirmed(term uint64, server cluster.ServerID, sent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease.confirm(term, server, sent) {
		l.wakeLocked()
	}
}

// readIndex is the position that a read must wait for, on the leader of term: everything committed now. Entries that
// carry nothing for the state machine do not count; after the barrier there are none.
func (g *Group) readIndex(ctx context.Context) (uint64, error) {
	term, err := g.Lead(ctx)
	if err != nil {
		return 0, err
	}
	index := g.lead.visible(g.raft.CommitIndex())
	return index, g.confirm(ctx, term)
}

// visible turns a commit index into the last position below it that the state machine sees.
func (l *leading) visible(commit uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if commit <= l.barrier {
		return l.applied
	}
	return commit
}

// awaitReadIndex waits until the state holds everything that was committed when it was called (CLUSTER 4.3). A change
// of leader is a pause: the question is put again, to whoever leads then, for as long as readIndexWait.
func (g *Group) awaitReadIndex(ctx context.Context) error {
	asking, done := context.WithTimeout(ctx, readIndexWait)
	defer done()
	for {
		if err := g.fenced(); err != nil {
			return err
		}
		index, err := g.commonReadIndex(asking)
		if err == nil {
			return g.machine.WaitApplied(ctx, index)
		}
		if !cluster.Retryable(err) || pause(asking, readIndexRetry, nil, g.stopped) != nil {
			return err
		}
	}
}

// commonReadIndex takes the read index here, or asks the leader for it.
func (g *Group) commonReadIndex(ctx context.Context) (uint64, error) {
	if _, leads := g.lead.term(); leads {
		return g.readIndex(ctx)
	}
	return g.askReadIndex(ctx)
}

// askReadIndex asks the leader.
func (g *Group) askReadIndex(ctx context.Context) (uint64, error) {
	leader, _ := g.Leader()
	if leader == "" || leader == g.self {
		return 0, cluster.Errorf(cluster.KindUnavailable, "group %d has no leader that this replica knows", g.id)
	}
	m := transport.Message{To: leader.Node(), Class: transport.Control, Group: g.id, Kind: kindReadIndex}
	c, err := g.host.cfg.Net.Send(ctx, m)
	if err != nil {
		return 0, err
	}
	b, _, err := c.Wait(ctx)
	if err != nil {
		return 0, unavailableFrom(err)
	}
	r := &reader{b: b}
	index := r.u64()
	if err := r.done(); err != nil {
		return 0, fmt.Errorf("read index: %w", err)
	}
	return index, nil
}

// unavailableFrom turns an unknown outcome into unavailable: a question has none.
func unavailableFrom(err error) error {
	if cluster.KindOf(err) == cluster.KindUnknownOutcome {
		return fmt.Errorf("%w: %w", cluster.ErrUnavailable, err)
	}
	return err
}

// receiveReadIndex answers a follower.
func (h *Host) receiveReadIndex(in transport.Inbound) {
	g := h.Group(in.Group)
	if g == nil {
		in.Refuse(notHere(in.Group))
		return
	}
	if g.begin() != nil {
		in.Refuse(notHere(in.Group))
		return
	}
	go func() { // waits for a quorum; frames behind it must not
		defer g.ops.Done()
		ctx, cancel := context.WithTimeout(h.ctx, catchUpWait)
		defer cancel()
		index, err := g.readIndex(ctx)
		if err != nil {
			in.Refuse(err)
			return
		}
		in.Respond(binary.LittleEndian.AppendUint64(nil, index))
	}()
}

// catchUp reaches a read index taken after the start; before that nothing local is read (CLUSTER 4.4).
func (g *Group) catchUp() {
	ctx := g.trans.ctx
	for {
		once, done := context.WithTimeout(ctx, catchUpWait)
		err := g.awaitReadIndex(once)
		done()
		if err == nil {
			g.caughtUp.Store(true)
			g.lead.mu.Lock()
			g.lead.wakeLocked()
			g.lead.mu.Unlock()
			return
		}
		if errors.Is(pause(ctx, catchUpEvery, nil, g.stopped), errStopped) || ctx.Err() != nil {
			return
		}
	}
}

// awaitCaughtUp waits for that.
func (g *Group) awaitCaughtUp(ctx context.Context) error {
	for !g.caughtUp.Load() {
		if err := g.fenced(); err != nil {
			return err
		}
		g.lead.mu.Lock()
		changed := g.lead.changed
		g.lead.mu.Unlock()
		if g.caughtUp.Load() {
			break
		}
		if err := pause(ctx, catchUpEvery, changed, g.stopped); err != nil {
			return cluster.Errorf(cluster.KindUnavailable, "group %d: replica has not caught up since its start: %v", g.id, err)
		}
	}
	return g.fenced()
}
