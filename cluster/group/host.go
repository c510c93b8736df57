package group

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
)

// Host runs the replicas of a node.
type Host struct {
	cfg      Config
	proposer *proposer
	confirms *confirmer
	deaths   *undertaker
	sending  chan struct{} // one token for each snapshot being sent
	pledges  pledges
	pace     *pace

	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.RWMutex
	groups map[cluster.GroupID]*Group   // guarded by mu
	busy   map[cluster.GroupID]bool     // being opened or closed; guarded by mu
	free   chan struct{}                // closed and replaced when a group is busy no more; guarded by mu
	closed bool                         // guarded by mu
	up     chan struct{}                // closed and replaced when a node connects; guarded by mu
	seeds  map[cluster.GroupID]*seeding // guarded by mu
}

// ReplicaConfig says how a replica is opened.
type ReplicaConfig struct {
	// Create makes a new, empty replica under a new server id when the node holds none of the group.
	Create bool
	// Suffrage of a new replica's data; a member's say in the group is the membership's. Zero is Voter.
	Suffrage Suffrage
}

// New makes a Host and registers it with the transport. It opens no group.
func New(cfg Config) (*Host, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("groups: %w", err)
	}
	h := &Host{
		cfg:      cfg,
		proposer: newProposer(cfg),
		sending:  make(chan struct{}, cfg.SnapshotsOut),
		groups:   map[cluster.GroupID]*Group{},
		busy:     map[cluster.GroupID]bool{},
		free:     make(chan struct{}),
		up:       make(chan struct{}),
	}
	if err := h.pledges.load(cfg.FS, cfg.FS.PathJoin(cfg.Dir, pledgesFile)); err != nil && cfg.Events.PledgesLost != nil {
		cfg.Events.PledgesLost(err)
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.pace = newPace(&h.cfg, h.ctx.Done())
	h.confirms = newConfirmer(h)
	h.deaths = newUndertaker(h)
	h.register()
	h.wg.Go(h.confirms.renew)
	h.wg.Go(h.truncateLoop)
	h.wg.Go(h.lookLoop)
	h.wg.Go(h.declareLoop)
	return h, nil
}

// Open starts the node's replica of a group. One whose files do not fit together is not started; the error is of
// kind Damaged and says why (CLUSTER 5.3).
func (h *Host) Open(ctx context.Context, id cluster.GroupID, rc ReplicaConfig) (*Group, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open group %d: %w: %w", id, cluster.ErrDeadline, err)
	}
	if err := h.claim(id); err != nil {
		return nil, err
	}
	defer h.unclaim(id)
	if g := h.Group(id); g != nil {
		return nil, fmt.Errorf("group %d is open: %w", id, cluster.ErrExists)
	}
	g, err := h.openClaimed(ctx, id, rc)
	if err != nil {
		return nil, fmt.Errorf("open group %d: %w", id, err)
	}
	return g, nil
}

// openClaimed opens a replica that the caller has claimed. When Close has begun meanwhile, it is closed again.
func (h *Host) openClaimed(ctx context.Context, id cluster.GroupID, rc ReplicaConfig) (*Group, error) {
	g, err := h.openGroup(id, rc)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	closed := h.closed
	if !closed {
		h.groups[id] = g
	}
	h.mu.Unlock()
	if closed {
		return nil, errors.Join(errClosing, g.close(ctx))
	}
	h.retime()
	return g, nil
}

var errClosing = cluster.Errorf(cluster.KindUnavailable, "node is closing")

// claim makes the caller the only one that opens, closes or destroys the group's replica.
func (h *Host) claim(id cluster.GroupID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.closed:
		return errClosing
	case h.busy[id]:
		return cluster.Errorf(cluster.KindUnavailable, "group %d is being opened or closed", id)
	}
	h.busy[id] = true
	return nil
}

func (h *Host) unclaim(id cluster.GroupID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.busy, id)
	close(h.free)
	h.free = make(chan struct{})
}

// claimAll claims all open replicas for Close, as soon as nobody opens or closes one. When ctx ends first, it claims
// those that nobody has.
func (h *Host) claimAll(ctx context.Context) ([]*Group, error) {
	for {
		h.mu.Lock()
		var err error
		if len(h.busy) > 0 {
			err = ctx.Err()
		}
		if len(h.busy) == 0 || err != nil {
			defer h.mu.Unlock()
			return h.claimFreeLocked(), err
		}
		free := h.free
		h.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
		}
	}
}

func (h *Host) claimFreeLocked() []*Group {
	var mine []*Group
	for id, g := range h.groups {
		if !h.busy[id] {
			h.busy[id] = true
			mine = append(mine, g)
		}
	}
	return mine
}

// Group is the open replica of a group, nil when there is none.
func (h *Host) Group(id cluster.GroupID) *Group {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.groups[id]
}

// Groups lists the open replicas, by group.
func (h *Host) Groups() []*Group {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := make([]*Group, 0, len(h.groups))
	for _, g := range h.groups {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *Group) int { return int(a.id) - int(b.id) })
	return all
}

// Bootstrap gives a group its first membership, on a node that holds an open and empty replica of it and is one of
// the voters. One node is enough; the others learn it from the log.
func (h *Host) Bootstrap(ctx context.Context, id cluster.GroupID, voters []cluster.ServerID) error {
	g := h.Group(id)
	if g == nil {
		return notHere(id)
	}
	members := make([]Member, 0, len(voters))
	for _, v := range voters {
		members = append(members, Member{ID: v, Suffrage: Voter})
	}
	if err := checkMembers(members); err != nil {
		return cluster.Errorf(cluster.KindBadRequest, "bootstrap group %d: %v", id, err)
	}
	return g.bootstrap(ctx, members)
}

// CloseGroup stops the node's replica of a group.
func (h *Host) CloseGroup(ctx context.Context, id cluster.GroupID) error {
	if err := h.claim(id); err != nil {
		return err
	}
	defer h.unclaim(id)
	return h.closeGroup(ctx, id)
}

func (h *Host) closeGroup(ctx context.Context, id cluster.GroupID) error {
	g := h.Group(id)
	if g == nil {
		return nil
	}
	err := g.close(ctx)
	h.mu.Lock()
	delete(h.groups, id)
	h.mu.Unlock()
	h.retime()
	if err != nil {
		return fmt.Errorf("close group %d: %w", id, err)
	}
	return nil
}

// reopen stops a replica and starts it again. Whoever holds the Group finds it stopped, and asks Host.Group again.
func (h *Host) reopen(g *Group) {
	h.spawn(func() {
		if h.claim(g.id) != nil {
			return // its owner is about to do something with it
		}
		defer h.unclaim(g.id)
		if h.Group(g.id) != g {
			return
		}
		err := h.closeGroup(h.ctx, g.id)
		if err == nil {
			_, err = h.openClaimed(h.ctx, g.id, ReplicaConfig{})
		}
		if err != nil && !errors.Is(err, errClosing) && h.cfg.Events.Fenced != nil {
			h.cfg.Events.Fenced(g.id, fmt.Errorf("start again: %w", err))
		}
	})
}

// peersUp is closed when the next node connects.
func (h *Host) peersUp() <-chan struct{} {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.up
}

func (h *Host) wakeForPeers() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.up)
	h.up = make(chan struct{})
}

// spawn runs fn as a goroutine that Close waits for, unless Close has begun.
func (h *Host) spawn(fn func()) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.closed {
		h.wg.Go(fn)
	}
}

// Destroy stops the node's replica of a group and removes everything it has: state, log, term and vote. A later
// Open with Create makes another replica, with another server id (CLUSTER 6.1).
func (h *Host) Destroy(ctx context.Context, id cluster.GroupID) error {
	if err := h.claim(id); err != nil {
		return err
	}
	defer h.unclaim(id)
	if err := h.closeGroup(ctx, id); err != nil {
		return err
	}
	return h.wipe(id)
}

// wipe removes a replica: first what says that it exists, and that for good. If it came back after a power cut, when log and
// vote are gone, it would be a damaged replica that nobody asked for.
func (h *Host) wipe(id cluster.GroupID) error {
	dir := h.dir(id)
	err := removeIfThere(dir.fs, dir.join(identityFile))
	if err == nil {
		if err = syncDir(dir.fs, dir.path); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		err = dir.fs.RemoveAll(dir.path)
	}
	if err == nil {
		err = h.logStore(id).Remove(id)
	}
	if err == nil {
		err = h.cfg.Stable.Group(id).Reset()
	}
	if err != nil {
		return fmt.Errorf("destroy group %d: %w", id, err)
	}
	return nil
}

func (h *Host) dir(id cluster.GroupID) replicaDir {
	return replicaDir{fs: h.cfg.FS, path: h.cfg.FS.PathJoin(h.cfg.Dir, fmt.Sprintf("g%d", id)), pace: h.pace}
}

func (h *Host) logStore(id cluster.GroupID) *raftlog.Store {
	if id == cluster.SystemGroup {
		return h.cfg.SystemLog
	}
	return h.cfg.Log
}

// Close stops every replica, once no other call opens or closes one. It does not hand leaderships over; TransferAll
// does. When ctx ends first, something of the host may still run.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	groups, waited := h.claimAll(ctx)
	var wg sync.WaitGroup
	errs := make([]error, len(groups))
	for i, g := range groups {
		wg.Go(func() {
			defer h.unclaim(g.id)
			errs[i] = h.closeGroup(ctx, g.id)
		})
	}
	wg.Wait()
	h.storePledges()
	h.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.wg.Wait()
		h.proposer.wg.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		waited = ctx.Err()
	}
	if waited != nil {
		errs = append(errs, fmt.Errorf("close groups: %w: %w", cluster.ErrDeadline, waited))
	}
	return errors.Join(errs...)
}

// eachEvery calls fn with each replica again and again, until the host closes: one timer for all of them.
func (h *Host) eachEvery(d time.Duration, fn func(*Group)) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-h.ctx.Done():
			return
		}
		for _, g := range h.Groups() {
			fn(g)
		}
	}
}

// heartbeat is raft's heartbeat and election timeout for the number of groups there is.
func (h *Host) heartbeat() time.Duration {
	if h.cfg.Heartbeat != 0 {
		return h.cfg.Heartbeat
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.groups) > manyGroups {
		return heartbeatMany
	}
	return heartbeatFew
}

// retime gives the groups the timeouts that their number asks for.
func (h *Host) retime() {
	want := h.heartbeat()
	for _, g := range h.Groups() {
		g.retime(want)
	}
}
