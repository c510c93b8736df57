package ops

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Route is where an op goes: the group, the epoch it is known under, and who to ask.
type Route struct {
	Group cluster.GroupID
	Epoch uint64
	// Leader is asked first; when it is empty or does not answer, the nodes of Replicas are.
	Leader   cluster.NodeID
	Replicas []cluster.NodeID
}

// Router finds routes and learns from answers; placement/view stands behind it.
type Router interface {
	// Route fails with cluster.ErrNoSpace when the space has no place.
	Route(ctx context.Context, id cluster.SpaceID) (Route, error)
	// Learn takes the hint of a NotLeader answer.
	Learn(group cluster.GroupID, term uint64, leader cluster.NodeID)
	// Moved forgets a place that its group denies.
	Moved(id cluster.SpaceID, r Route)
	// Changed is closed when leaders or places change.
	Changed() <-chan struct{}
}

// Conn calls the ops methods of another node: Server.HandleWait for the mode Wait, Server.Handle for the others.
type Conn interface {
	CallOps(ctx context.Context, node cluster.NodeID, mode Mode, frame []byte) ([]byte, error)
}

// Clock measures how old a request id is.
type Clock interface {
	// Mono never jumps; it stands still while the machine sleeps.
	Mono() time.Duration
	// Wall is the calendar.
	Wall() time.Time
}

// Client calls ops wherever their spaces are owned.
type Client struct {
	self   cluster.NodeID
	local  *Server
	conn   Conn
	router Router
	clock  Clock
}

// NewClient makes a client on node self, whose own ops local serves.
func NewClient(self cluster.NodeID, local *Server, conn Conn, router Router, clock Clock) *Client {
	return &Client{self: self, local: local, conn: conn, router: router, clock: clock}
}

// Pauses between attempts; each is drawn from half to the whole of it.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 250 * time.Millisecond
	// attemptLimit bounds one attempt, so that a silent peer costs a retry and not the caller's whole deadline;
	// serveLimit is the same for ops of mode Serve, which may have to wait for room. The mode Wait has none.
	attemptLimit = 10 * time.Second
	serveLimit   = 30 * time.Second
	// noSpaceTries is how often a space that has a place may be denied by its group before it is believed: while
	// it is being created or moved both are true for a moment.
	noSpaceTries = 20
)

// Call performs q.Op until it has an answer, a definite refusal, or ctx ends. For a Write or Create op that has no
// request id one is drawn. When ctx ends after an attempt whose outcome is unknown, the error says so.
func (c *Client) Call(ctx context.Context, q *Request, mode Mode) ([]byte, error) {
	if (mode == Write || mode == Create) && q.ID == [16]byte{} {
		if err := q.drawID(c.clock.Wall()); err != nil {
			return nil, err
		}
	}
	a := attempts{client: c, q: q, mode: mode, pause: firstPause}
	for {
		resp, err := a.once(ctx)
		if err == nil || a.final || !cluster.Retryable(err) {
			return resp, a.settled(err)
		}
		if a.last = err; !a.wait(ctx, err) {
			return nil, a.verdict(ctx)
		}
	}
}

// attempts is the state of one Call.
type attempts struct {
	client  *Client
	q       *Request
	mode    Mode
	pause   time.Duration
	asked   int  // index into the replicas when no leader is known
	denied  int  // NoSpace answers
	unknown bool // an attempt may have happened
	drawn   instant
	final   bool // the error just met is the answer, retryable or not
	skip    cluster.NodeID
	last    error
}

func (a *attempts) once(ctx context.Context) ([]byte, error) {
	route, err := a.client.router.Route(ctx, a.q.Space)
	if err != nil {
		a.final = errors.Is(err, cluster.ErrNoSpace)
		return nil, err
	}
	a.q.Group, a.q.Epoch = route.Group, route.Epoch
	node := a.pick(route)
	if node == "" {
		return nil, cluster.ErrUnavailable
	}
	a.q.Owner = node == route.Leader
	a.age()
	changed := a.client.router.Changed()
	resp, err := a.send(ctx, node, changed)
	switch cluster.KindOf(err) {
	case cluster.KindNotLeader:
		var e *cluster.Error
		errors.As(err, &e)
		a.client.router.Learn(route.Group, e.Term, e.Leader)
		a.skip = node
	case cluster.KindUnknownOutcome:
		a.unknown, a.skip = true, node
	case cluster.KindUnavailable:
		a.skip = node
	case cluster.KindMoving:
		a.client.router.Moved(a.q.Space, route)
	case cluster.KindNoSpace:
		a.client.router.Moved(a.q.Space, route)
		a.denied++
		a.final = a.denied >= noSpaceTries
	}
	return resp, err
}

// instant is a moment on both of a node's clocks.
type instant struct {
	mono time.Duration
	wall time.Time
}

// age tells the owner how old the request id is. It counts from the start of the first attempt that may have happened:
// until then no space knows the id. The larger of the two clocks' answers is taken, so that a machine that slept in
// between does not come back with an id whose answer has been forgotten.
func (a *attempts) age() {
	now := instant{a.client.clock.Mono(), a.client.clock.Wall()}
	if !a.unknown {
		a.drawn = now
	}
	a.q.Age = max(now.mono-a.drawn.mono, now.wall.Sub(a.drawn.wall))
}

// pick is the node to ask: the leader, unless it just refused; else the replicas in turn.
func (a *attempts) pick(r Route) cluster.NodeID {
	if r.Leader != "" && r.Leader != a.skip {
		return r.Leader
	}
	a.skip = ""
	if len(r.Replicas) == 0 {
		return r.Leader
	}
	if a.asked == 0 && slices.Contains(r.Replicas, a.client.self) && r.Leader != a.client.self {
		a.asked = rand.IntN(len(r.Replicas)) + 1
		return a.client.self
	}
	a.asked++
	return r.Replicas[a.asked%len(r.Replicas)]
}

// send performs one attempt. A read or a write that waits at a node while another is heard to lead is given up: the
// request id makes the write safe to send there.
func (a *attempts) send(ctx context.Context, node cluster.NodeID, changed <-chan struct{}) ([]byte, error) {
	if node == a.client.self {
		return a.client.local.Serve(ctx, a.q)
	}
	if a.mode != Wait {
		limit := attemptLimit
		if a.mode == Serve {
			limit = serveLimit
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, cluster.ErrUnknownOutcome)
		defer cancel()
	}
	call, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		a.client.watchLeader(call, a.q, node, changed, done, cancel)
	}()
	resp, err := a.client.conn.CallOps(call, node, a.mode, wire.Marshal(a.q))
	close(done)
	<-watching
	if err != nil && call.Err() != nil && errors.Is(context.Cause(call), cluster.ErrUnknownOutcome) {
		return nil, cluster.ErrUnknownOutcome
	}
	return resp, err
}

// watchLeader cancels a call to node once another node is known to lead the group.
func (c *Client) watchLeader(ctx context.Context, q *Request, node cluster.NodeID, changed, done <-chan struct{},
	cancel context.CancelCauseFunc) {
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-changed:
		}
		changed = c.router.Changed()
		r, err := c.router.Route(ctx, q.Space)
		if err == nil && r.Leader != "" && r.Leader != node {
			cancel(cluster.ErrUnknownOutcome)
			return
		}
	}
}

// wait pauses before the next attempt; it reports false when ctx ended. A hint at another leader, or any change of
// the map, ends the pause.
func (a *attempts) wait(ctx context.Context, err error) bool {
	var e *cluster.Error
	if errors.As(err, &e) && e.Kind == cluster.KindNotLeader && e.Leader != "" && e.Leader != a.skip && a.pause == firstPause {
		a.pause *= 2
		return ctx.Err() == nil
	}
	d := a.pause/2 + rand.N(a.pause/2)
	a.pause = min(a.pause*2, lastPause)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.client.router.Changed():
		a.pause = firstPause * 2
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// inDoubt says that an attempt of a write may have happened.
func (a *attempts) inDoubt() bool { return a.unknown && (a.mode == Write || a.mode == Create) }

// settled is the error that ends a call. One that says only that the last attempt did nothing leaves open what an earlier
// one did; any other is a refusal that the owner gave knowing the outcome of those.
func (a *attempts) settled(err error) error {
	switch cluster.KindOf(err) {
	case cluster.KindDeadline, cluster.KindDiskFull, cluster.KindNoMethod:
		if a.inDoubt() {
			return fmt.Errorf("%w: an earlier attempt may have happened; the last: %w", cluster.ErrUnknownOutcome, err)
		}
	}
	return err
}

// verdict is the error of a call whose ctx ended.
func (a *attempts) verdict(ctx context.Context) error {
	switch {
	case a.inDoubt():
		return cluster.ErrUnknownOutcome
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &cluster.Error{Kind: cluster.KindUnavailable, Text: "gave up: " + a.last.Error()}
	}
	return ctx.Err()
}
