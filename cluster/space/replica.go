package space

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// Config is what a Replica may be told. The zero value of each field means its default.
type Config struct {
	// Now is the clock; time.Now when nil. Effects of one space never go back in time even if it does.
	Now func() time.Time
	// MaxWaiting is the most updates that wait or run in the group at once; more are refused as overloaded.
	// Default 4096.
	MaxWaiting int
	// MaxBytes is the most bytes of requests that wait or run, and of effects on their way through Raft, in the group
	// (CLUSTER 1.5). Default 8 MiB.
	MaxBytes int
	// Node is what the groups of a node share for their requests. Nil: one of the group's own, of 256 MiB.
	Node *Budget
	// CombineUpdates and CombineBytes bound what is combined into one part. Defaults 64 and 96 KiB.
	CombineUpdates, CombineBytes int
	// Window is how many chunks of one upload, or pieces of one staged effect, are on their way at once
	// (CLUSTER 3.1). Default 4.
	Window int
	Events Events
}

// Defaults fills in what is zero.
func (c Config) Defaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Node == nil {
		c.Node = NewBudget(256 << 20)
	}
	defaults := []struct {
		field *int
		value int
	}{{&c.MaxWaiting, 4096}, {&c.MaxBytes, 8 << 20}, {&c.CombineUpdates, 64}, {&c.CombineBytes, 96 << 10}, {&c.Window, 4}}
	for _, d := range defaults {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return c
}

// Events tells the owner what a Replica does. Every func may be nil; they are called without locks.
type Events struct {
	// Committed reports a round: so many updates in one part of so many bytes.
	Committed func(space cluster.SpaceID, updates, bytes int)
	// RunAgain reports a round whose effect came out void.
	RunAgain func(space cluster.SpaceID, why Outcome)
	// Overloaded reports an update refused by admission.
	Overloaded func(space cluster.SpaceID)
}

// Replica is what is above the group sees of it: updates, views and watches on its spaces. Updates succeed on the
// leader only; everywhere else they are refused with the leader's name (CLUSTER 1.1).
type Replica struct {
	machine *Machine
	repl    Replicator
	config  Config

	work sync.WaitGroup // rounds
	stop chan struct{}  // closed by Close

	mu      sync.Mutex
	closed  bool                       // guarded by mu
	ends    map[int]context.CancelFunc // guarded by mu: of rounds and proposals under way
	nextEnd int                        // guarded by mu
	queues  map[cluster.SpaceID]*queue // guarded by mu; only spaces with work
	waiting int                        // guarded by mu
	held    int                        // guarded by mu: bytes of the requests that wait
	bytes   int                        // guarded by mu: effects between evaluation and outcome
	freed   chan struct{}              // guarded by mu; closed when bytes falls, nil when nobody waits for that
	deposed chan struct{}              // guarded by mu; closed and renewed when leadership is lost
	doubts  map[cluster.SpaceID]uint64 // guarded by mu: terms of parts whose outcome is unknown
	workers []*func(cluster.SpaceID)   // guarded by mu: who wants to know of new outbox and due entries

	overlays sync.Pool // of *overlay
}

// New makes a Replica of machine over repl. Close it before the machine.
func New(machine *Machine, repl Replicator, config Config) *Replica {
	return &Replica{
		stop: make(chan struct{}), ends: make(map[int]context.CancelFunc),
		machine: machine, repl: repl, config: config.Defaults(),
		queues: make(map[cluster.SpaceID]*queue), deposed: make(chan struct{}),
		doubts:   make(map[cluster.SpaceID]uint64),
		overlays: sync.Pool{New: func() any { return newOverlay() }},
	}
}

// Close refuses new updates, ends those that wait or run and returns when none is left. What was on its way
// through Raft is reported as of unknown outcome.
func (r *Replica) Close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.deposed)
		close(r.stop)
	}
	for _, end := range r.ends {
		end()
	}
	r.mu.Unlock()
	r.work.Wait()
}

// bindLocked returns a context that Close ends too, and what lets go of it.
func (r *Replica) bindLocked(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	if r.closed {
		cancel()
	}
	n := r.nextEnd
	r.nextEnd++
	r.ends[n] = cancel
	return ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.ends, n)
		cancel()
	}
}

func (r *Replica) bind(ctx context.Context) (context.Context, func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bindLocked(ctx)
}

func (r *Replica) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// LeadershipLost ends every watch with NotLeader. The group calls it when this node stops leading.
func (r *Replica) LeadershipLost() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		close(r.deposed)
		r.deposed = make(chan struct{})
	}
	clear(r.doubts)
}

// Machine is the state machine below.
func (r *Replica) Machine() *Machine { return r.machine }

// Spaces lists the spaces of the group in order of id.
func (r *Replica) Spaces() ([]Info, error) { return r.machine.Spaces() }

// Update is an update and what its server knows about it.
type Update struct {
	Space cluster.SpaceID
	ID    cluster.RequestID
	// Creates makes the space, under Epoch, with what Func writes.
	Creates bool
	Epoch   uint64
	// Size is how many bytes the request keeps in memory until it is answered; admission counts them (CLUSTER 1.5).
	Size int
	Func UpdateFunc
}

// Do runs u.Func on its space and returns its answer when the effect has been applied here, hence committed
// (CLUSTER 1.1). A retry with the same id, here or at another leader, returns the first answer without running it.
// Errors of Func are returned as they are, and mean that nothing was written. The answer must not be changed.
//
// To create is refused with KindExists when the space is there, or was once, unless the id is the one that made it.
func (r *Replica) Do(ctx context.Context, u Update) ([]byte, error) {
	return r.submit(ctx, u.Space, &waiter{id: u.ID, fn: u.Func, creates: u.Creates, epoch: u.Epoch, size: u.Size})
}

// Update is Do for a request that keeps nothing worth counting.
func (r *Replica) Update(ctx context.Context, space cluster.SpaceID, id cluster.RequestID, fn UpdateFunc) ([]byte, error) {
	return r.Do(ctx, Update{Space: space, ID: id, Func: fn})
}

// Create is the same for a space that is to be made under a placement epoch.
func (r *Replica) Create(ctx context.Context, space cluster.SpaceID, epoch uint64, id cluster.RequestID, fn UpdateFunc) ([]byte, error) {
	return r.Do(ctx, Update{Space: space, ID: id, Creates: true, Epoch: epoch, Func: fn})
}

// Drop ends a space: its data and answers are gone, its id stays taken. Content that it held is left to Collect.
func (r *Replica) Drop(ctx context.Context, space cluster.SpaceID) error {
	_, err := r.submit(ctx, space, &waiter{drops: true})
	return err
}

// View runs fn on a consistent state of the space, as fresh as mode says. fn may run again, and must not call the
// Replica.
func (r *Replica) View(ctx context.Context, space cluster.SpaceID, mode ReadMode, fn ViewFunc) error {
	for attempt := 0; ; attempt++ {
		end, err := r.repl.BeginRead(ctx, mode)
		if err != nil {
			return err
		}
		err = r.machine.View(space, fn)
		if late := end(); late == nil {
			return err
		} else if attempt == maxReadRuns {
			return late
		}
		if ctx.Err() != nil {
			return fmt.Errorf("view: %w: %w", cluster.ErrDeadline, ctx.Err())
		}
	}
}

// maxReadRuns is how often a view is run again because the right to read ended meanwhile.
const maxReadRuns = 2

// View runs fn on what is applied here, whoever leads and however far behind that is.
func (m *Machine) View(space cluster.SpaceID, fn ViewFunc) error {
	db, release, err := m.engine()
	if err != nil {
		return err
	}
	defer release()
	snap := db.Snapshot()
	err = m.viewAt(snap, space, fn)
	if cerr := snap.Close(); err == nil {
		err = cerr
	}
	return err
}

func (m *Machine) viewAt(from lsm.Reader, space cluster.SpaceID, fn ViewFunc) error {
	hdr, err := readHeader(from, space)
	if err != nil {
		return err
	}
	if err := hdr.use(space); err != nil {
		return err
	}
	rd := newReader(m, from, space, hdr)
	err = fn(&rd)
	if cerr := rd.end(); err == nil {
		err = cerr
	}
	return err
}

// WaitSequence waits until the space's sequence is above after and returns it (CLUSTER 4.5). It ends with
// KindNotLeader when leadership is lost and with KindNoSpace or KindMoving when the space leaves, even if it has come
// back since.
func (r *Replica) WaitSequence(ctx context.Context, space cluster.SpaceID, after uint64) (uint64, error) {
	var was Info
	for {
		now, err := r.infoOrChange(ctx, space, after)
		switch {
		case err != nil:
			return now.Sequence, err
		case was.Sequence != 0 && now.Epoch != was.Epoch:
			return now.Sequence, cluster.Errorf(cluster.KindMoving, "space %s has moved", space)
		case now.Sequence > after:
			return now.Sequence, nil
		}
		was = now
	}
}

// infoOrChange returns what the leader knows of the space; unless its sequence is above after, it waits before that
// until it may have changed.
func (r *Replica) infoOrChange(ctx context.Context, space cluster.SpaceID, after uint64) (Info, error) {
	deposed := r.deposedSoon()
	changed, forget := r.machine.Changed(space)
	defer forget()
	info := Info{ID: space, State: Active}
	err := r.View(ctx, space, ReadLease, func(v Reader) error {
		info.Sequence, info.Epoch = v.Sequence(), v.Epoch()
		return nil
	})
	if err != nil || info.Sequence > after {
		return info, err
	}
	select {
	case <-changed:
		return info, nil
	case <-deposed:
		_, err := r.repl.Lead(ctx)
		return info, err
	case <-r.stop:
		return info, errClosed
	case <-ctx.Done():
		return info, fmt.Errorf("watch: %w: %w", cluster.ErrDeadline, ctx.Err())
	}
}

// WaitApplied waits until what is applied here of the space is above after, and returns its sequence, whoever leads. A
// space that is not there yet is waited for. It ends with an error when the replica no longer serves local reads.
func (r *Replica) WaitApplied(ctx context.Context, space cluster.SpaceID, after uint64) (uint64, error) {
	for {
		seq, err := r.appliedOrChange(ctx, space, after)
		if err != nil || seq > after {
			return seq, err
		}
	}
}

// appliedOrChange returns the sequence that is applied here, 0 while the space is not there; unless it is above after, it
// waits before that until it may have changed. A machine that is closed tells so.
func (r *Replica) appliedOrChange(ctx context.Context, space cluster.SpaceID, after uint64) (seq uint64, err error) {
	changed, forget := r.machine.Changed(space)
	defer forget()
	err = r.View(ctx, space, ReadLocal, func(v Reader) error {
		seq = v.Sequence()
		return nil
	})
	if errors.Is(err, cluster.ErrNoSpace) {
		err = nil
	}
	if err != nil || seq > after {
		return seq, err
	}
	select {
	case <-changed:
		return seq, nil
	case <-ctx.Done():
		return seq, ctx.Err()
	}
}

func (r *Replica) deposedSoon() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deposed
}
