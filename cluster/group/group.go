package group

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Group is this node's replica of one group. It implements space.Replicator.
type Group struct {
	id    cluster.GroupID
	self  cluster.ServerID
	host  *Host
	ident identity
	dir   replicaDir

	log     *raftlog.Log
	stable  *stableGuard
	machine *space.Machine
	replica *space.Replica
	snaps   *snapshotStore
	trans   *raftTransport
	raft    *raft.Raft
	queue   *queue
	lead    leading
	// probation is over when the replica takes part.
	probation *probation

	notify  chan bool                  // raft's: leadership gained or lost
	seen    atomic.Pointer[leadership] // what raft said when follow looked last
	look    chan struct{}              // it is to look again
	stopped chan struct{}              // closed when raft has ended
	wg      sync.WaitGroup

	failure atomic.Pointer[error] // why the replica is fenced

	mu      sync.Mutex
	started bool           // raft runs, or has run; guarded by mu
	closing bool           // no more calls into raft; guarded by mu
	ops     sync.WaitGroup // calls into raft that wait for an answer
	timing  time.Duration  // raft's heartbeat timeout; guarded by mu
	ended   chan struct{}  // closed when stop has finished; nil before it began; guarded by mu

	caughtUp atomic.Bool // CLUSTER 4.4
}

// State is what a replica is in its group at the moment.
type State uint8

// The states.
const (
	Follower State = iota
	Candidate
	Leader
	Stopped
	Fenced // stopped because of Stats.Fenced
)

func (s State) String() string {
	return [...]string{"follower", "candidate", "leader", "stopped", "fenced"}[s]
}

var _ space.Replicator = (*Group)(nil)

// ErrNoReplica is in the error of an Open that may not make a replica and finds none.
var ErrNoReplica = errors.New("node holds no replica")

// openGroup makes or finds the replica's files, checks that they belong together, and starts raft.
func (h *Host) openGroup(id cluster.GroupID, rc ReplicaConfig) (*Group, error) {
	dir := h.dir(id)
	if err := unfinished(dir, id); err != nil {
		return nil, err
	}
	ident, err := dir.readIdentity()
	if err != nil {
		return nil, err
	}
	if ident == nil {
		if !rc.Create {
			return nil, fmt.Errorf("%w: %w", cluster.ErrUnavailable, ErrNoReplica)
		}
		if ident, err = h.createReplica(dir, id, rc); err != nil {
			return nil, fmt.Errorf("make replica: %w", err)
		}
	}
	if ident.group != id {
		return nil, cluster.Errorf(cluster.KindDamaged, "%s is the directory of group %d", dir.path, ident.group)
	}
	g := &Group{
		id: id, host: h, ident: *ident, dir: dir, self: cluster.NewServerID(h.cfg.Node, ident.incarnation),
		notify: make(chan bool, 16), look: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	g.lead.init(g)
	if err := g.openState(); err != nil {
		if errors.Is(err, lsm.ErrCorrupt) {
			err = fmt.Errorf("%w: %w", cluster.ErrDamaged, err)
		}
		return nil, errors.Join(err, g.closeState())
	}
	if err := g.start(); err != nil {
		return nil, errors.Join(err, g.closeState())
	}
	return g, nil
}

// createReplica makes an empty replica under a new server id. The identity is written last: without it there is no
// replica, and what was made before is made again.
func (h *Host) createReplica(dir replicaDir, id cluster.GroupID, rc ReplicaConfig) (*identity, error) {
	if err := dir.fs.RemoveAll(dir.path); err != nil {
		return nil, err
	}
	if err := dir.create(); err != nil {
		return nil, err
	}
	return h.makeReplica(dir, id, rc, adopted{name: stateName(1)})
}

// makeReplica gives a directory's state, which is empty or was adopted, log, term and a new server id.
func (h *Host) makeReplica(dir replicaDir, id cluster.GroupID, rc ReplicaConfig, a adopted) (*identity, error) {
	if rc.Suffrage == 0 {
		rc.Suffrage = Voter
	}
	incarnation, err := a.incarnation, error(nil)
	if incarnation == 0 {
		incarnation, err = drawIncarnation()
	}
	if err != nil {
		return nil, err
	}
	log, err := h.logStore(id).Group(id)
	if err != nil {
		return nil, err
	}
	stable := h.cfg.Stable.Group(id)
	if err := stable.Begin(a.term); err != nil {
		return nil, err
	}
	if err := log.Init(cluster.NewServerID(h.cfg.Node, incarnation), a.index, a.term); err != nil {
		return nil, err
	}
	if err := dir.activate(activeState{name: a.name, origin: a.index}); err != nil {
		return nil, err
	}
	i := &identity{group: id, incarnation: incarnation, suffrage: rc.Suffrage, recovery: a.recovery,
		logStore: log.Identity(), stableStore: stable.Identity()}
	return i, dir.writeIdentity(*i)
}

// openState opens state, log, term and vote, and compares them (CLUSTER 5.3).
func (g *Group) openState() error {
	active, err := g.dir.active()
	if err != nil {
		return err
	}
	if active.name == "" {
		return cluster.Errorf(cluster.KindDamaged, "%s names no state", g.dir.path)
	}
	highest, err := g.dir.clean(active.name)
	if err != nil {
		return err
	}
	db, err := g.openEngine(g.dir.join(active.name))
	if err != nil {
		return err
	}
	g.snaps = &snapshotStore{
		dir: g.dir, open: g.openEngine, sending: g.host.sending, switched: g.snapshotInstalled,
		next: highest + 1, active: active.name, origin: active.origin, db: db,
		received: map[string]*raft.SnapshotMeta{}, held: map[uint64]int{},
	}
	if g.machine, err = space.OpenMachine(db, g.host.cfg.Machine); err != nil {
		return err
	}
	g.snaps.machine = g.machine
	if g.log, err = g.host.logStore(g.id).Group(g.id); err != nil {
		return err
	}
	g.snaps.lastIndex = g.log.LastIndex
	return g.check(active.origin)
}

func (g *Group) check(origin uint64) error {
	stable := g.host.cfg.Stable.Group(g.id)
	a := g.machine.Applied()
	err := raftlog.Check(g.log, stable, raftlog.State{
		Server: g.self, Log: g.ident.logStore, Stable: g.ident.stableStore,
		Index: a.Index, Term: a.Term, Snapshot: origin,
	})
	if err != nil {
		return err
	}
	if a.Index > 0 {
		if _, err := membersApplied(a); err != nil {
			return err
		}
	}
	g.stable, err = newStableGuard(stable)
	return err
}

// openPlain opens the engine of a state that no replica runs on.
func (h *Host) openPlain(path string) (*lsm.DB, error) {
	o := lsm.StateOptions(path)
	o.FS, o.Shared = h.cfg.FS, h.cfg.Shared
	return lsm.Open(o)
}

func (g *Group) openEngine(path string) (*lsm.DB, error) {
	o := lsm.StateOptions(path)
	o.FS, o.Shared = g.host.cfg.FS, g.host.cfg.Shared
	o.Events.Failed, o.Events.Corrupt = g.fence, g.fence
	return lsm.Open(o)
}

// start starts raft and what looks after it.
func (g *Group) start() error {
	g.trans = newRaftTransport(g.host.ctx, g.self, g.id, g.host.cfg.Net)
	g.trans.inTerm = func(term uint64) bool {
		return g.raft.State() == raft.Follower && g.raft.CurrentTerm() == term
	}
	g.trans.pledge = func(server cluster.ServerID, p pledge) { g.host.pledges.note(g.id, server, p) }
	g.trans.may = func(ctx context.Context, node cluster.NodeID) error { return g.probation.await(ctx, node) }
	g.trans.beyond = func(term uint64) bool { return g.stable.term() > term }
	g.trans.campaigns = func() bool { return g.raft.State() == raft.Candidate }
	g.queue = g.host.proposer.queue(
		func(entry []byte) entryFuture { return g.raft.Apply(entry, 0) }, g.proposalError)
	g.timing = g.host.heartbeat()
	logger := newRaftLogger(hclog.Warn, func(level hclog.Level, text string) {
		if emit := g.host.cfg.Events.RaftLog; emit != nil {
			emit(g.id, level.String(), text)
		}
	})
	r, err := raft.NewRaft(raftConfig(g.self, g.timing, g.notify, logger), fsm{g}, g.log, g.stable, g.snaps, g.trans)
	if err != nil {
		g.trans.abort()
		return errors.Join(err, g.trans.Close())
	}
	g.raft = r
	g.replica = space.New(g.machine, g, g.host.cfg.Space)
	if err := g.beginProbation(); err != nil {
		g.fence(err)
	}
	g.wg.Go(g.probation.run)
	g.wg.Go(g.follow)
	g.wg.Go(g.catchUp)
	g.mu.Lock()
	g.started = true
	g.mu.Unlock()
	if err := g.fenced(); err != nil { // before anyone could stop it
		g.stop(g.host.ctx)
		return err
	}
	return nil
}

// closeState closes what openState opened.
func (g *Group) closeState() error {
	var err error
	if g.machine != nil {
		err = g.machine.Close()
	}
	if g.snaps != nil {
		g.snaps.mu.Lock()
		defer g.snaps.mu.Unlock()
		err = errors.Join(err, g.snaps.db.Close())
	}
	return err
}

// ID is the group's number.
func (g *Group) ID() cluster.GroupID { return g.id }

// Self is the replica's server id.
func (g *Group) Self() cluster.ServerID { return g.self }

// Replica is what is above the group sees of it.
func (g *Group) Replica() *space.Replica { return g.replica }

// Term is the highest term the replica has seen.
func (g *Group) Term() uint64 { return g.stable.term() }

// State is what the replica is at the moment.
func (g *Group) State() State {
	if g.failure.Load() != nil {
		return Fenced
	}
	switch g.raft.State() {
	case raft.Follower:
		return Follower
	case raft.Candidate:
		return Candidate
	case raft.Leader:
		return Leader
	}
	return Stopped
}

// Leader is the server the replica follows, or is itself, empty when it knows none; and the term it is in.
func (g *Group) Leader() (cluster.ServerID, uint64) {
	term := g.raft.CurrentTerm()
	_, id := g.raft.LeaderWithID()
	return cluster.ServerID(id), term
}

// Size is what the replica's state takes on disk, in bytes.
func (g *Group) Size() uint64 { return g.snaps.db.Size() }

// Members is the latest membership in the replica's log.
func (g *Group) Members() []Member { return membersOf(g.raft.GetConfiguration().Configuration()) }

// logEnd is the position of the last entry the replica holds, in its log or its state.
func (g *Group) logEnd() (term, index uint64, err error) {
	a := g.machine.Applied()
	last, err := g.log.LastIndex()
	if err != nil || last <= a.Index {
		return a.Term, a.Index, err
	}
	var entry raft.Log
	if err := g.log.GetLog(last, &entry); err != nil {
		return 0, 0, err
	}
	return entry.Term, last, nil
}

// Stats are figures of a replica.
type Stats struct {
	State            State
	Term             uint64
	Leader           cluster.ServerID
	Commit           uint64 // highest index known to be committed
	Applied, Durable uint64
	LogBytes         uint64
	// Entries and Parts were proposed here since the start.
	Entries, Parts uint64
	// QueueBytes are of proposals on their way.
	QueueBytes int64
	CaughtUp   bool
	Fenced     error // why, in the state of that name
	// Awaits are nodes to compare with before the replica takes part; empty once it does.
	Awaits []cluster.NodeID
}

// Stats reads the replica's figures.
func (g *Group) Stats() Stats {
	s := Stats{
		State: g.State(), Commit: g.raft.CommitIndex(), Applied: g.machine.Applied().Index,
		Durable: g.machine.DurableApplied(), LogBytes: g.log.Bytes(), CaughtUp: g.caughtUp.Load(),
	}
	if why := g.failure.Load(); why != nil {
		s.State, s.Fenced = Fenced, *why
	}
	s.Leader, s.Term = g.Leader()
	s.Entries, s.Parts = g.queue.sent()
	s.QueueBytes = g.queue.pending()
	s.Awaits = g.probation.awaits()
	return s
}

// fence stops the replica for ever in this process: its state engine failed, or met what it cannot apply.
func (g *Group) fence(err error) {
	if !g.failure.CompareAndSwap(nil, &err) {
		return
	}
	if g.host.cfg.Events.Fenced != nil {
		g.host.cfg.Events.Fenced(g.id, err)
	}
	g.mu.Lock()
	started := g.started
	g.mu.Unlock()
	if started {
		go g.stop(g.host.ctx) // close waits for it
	}
}

// fenced is why the replica is stopped, nil when it is not.
func (g *Group) fenced() error {
	if p := g.failure.Load(); p != nil {
		return cluster.Errorf(cluster.KindUnavailable, "group %d: replica is fenced: %v", g.id, *p)
	}
	return nil
}

// begin announces a call into raft that waits for an answer; the caller then calls ops.Done.
func (g *Group) begin() error {
	if err := g.fenced(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return notHere(g.id)
	}
	g.ops.Add(1)
	return nil
}

// await runs a call into raft and waits for it as long as ctx lasts. raft's calls end by themselves: when they are
// committed, or when the replica leads no more.
func (g *Group) await(ctx context.Context, call func() error) error {
	if err := g.begin(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer g.ops.Done()
		done <- call()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", cluster.ErrUnknownOutcome, ctx.Err())
	}
}

// stopGrace is how long stop waits for what is in flight: raft steps down within its lease without a quorum.
const stopGrace = 3 * raftLease

// stop ends raft. What is in flight is answered first: raft forgets the calls that still wait when it is shut down.
func (g *Group) stop(ctx context.Context) {
	g.mu.Lock()
	if ended := g.ended; ended != nil {
		g.mu.Unlock()
		<-ended
		return
	}
	g.closing, g.ended = true, make(chan struct{})
	ended := g.ended
	g.mu.Unlock()
	defer close(ended)
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	g.replica.Close()
	g.drain(ctx)
	future := g.raft.Shutdown()
	g.trans.abort()
	if err := future.Error(); err != nil {
		g.fence(err)
	}
	if err := g.trans.Close(); err != nil {
		g.fence(err)
	}
	close(g.stopped)
	g.wg.Wait()
}

// drain waits, as long as ctx lasts, for everything that raft still has to answer.
func (g *Group) drain(ctx context.Context) {
	done := make(chan struct{})
	go func() { // ends with the last answer; when ctx ends first, raft has forgotten it and so do we
		defer close(done)
		g.ops.Wait()
	}()
	if g.queue.close(ctx, notHere(g.id)) != nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// close stops the replica and closes its files.
func (g *Group) close(ctx context.Context) error {
	g.stop(ctx)
	return g.closeState()
}

// bootstrap writes the first membership and stands for election at once.
func (g *Group) bootstrap(ctx context.Context, members []Member) error {
	if suffrageOf(members, g.self) != Voter {
		return cluster.Errorf(cluster.KindBadRequest, "bootstrap group %d: %s is not among the voters", g.id, g.self)
	}
	err := g.await(ctx, func() error { return g.raft.BootstrapCluster(configurationOf(members)).Error() })
	if errors.Is(err, raft.ErrCantBootstrap) {
		return fmt.Errorf("bootstrap group %d: %w", g.id, cluster.ErrExists)
	}
	if err != nil {
		return fmt.Errorf("bootstrap group %d: %w", g.id, err)
	}
	g.trans.stand()
	return nil
}

// retime gives raft another heartbeat and election timeout.
func (g *Group) retime(want time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timing == want || g.closing {
		return
	}
	rc := g.raft.ReloadableConfig()
	rc.HeartbeatTimeout, rc.ElectionTimeout = want, want
	if err := g.raft.ReloadConfig(rc); err != nil {
		g.fence(err)
		return
	}
	g.timing = want
}

// configurationApplied is called by the state machine's goroutine.
func (g *Group) configurationApplied() {
	if emit := g.host.cfg.Events.MembersChanged; emit != nil {
		if members, err := decodeMembers(g.machine.Applied().Configuration); err == nil {
			emit(g.id, members)
		}
	}
}

// snapshotInstalled is called by the state machine's goroutine.
func (g *Group) snapshotInstalled(index uint64) {
	if emit := g.host.cfg.Events.SnapshotInstalled; emit != nil {
		emit(g.id, index)
	}
	g.configurationApplied()
}
