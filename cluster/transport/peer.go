package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

const (
	// retryFloor is the least time between two attempts to reach a peer that refused: hundreds of groups may
	// ask at once.
	retryFloor = 20 * time.Millisecond
	// firstBackoff doubles with each failure up to Config.MaxBackoff.
	firstBackoff = 50 * time.Millisecond
	// bulkPingEvery is how many pings of control go by for one of bulk, staleAfter how many silences a single
	// connection may be stale while the peer speaks on others.
	bulkPingEvery = 10
	staleAfter    = 5
	// maxRetired is how many replaced processes of a peer are remembered.
	maxRetired = 16
	// maxAccepted bounds a peer's stream and call connections, each.
	maxAccepted = 32
)

// peer is all that stands between this node and another.
type peer struct {
	t     *Transport
	id    cluster.NodeID
	heard atomic.Int64 // stamp of the last bytes on any connection
	// answered is the stamp of the last answered ping, roundTrip its duration.
	answered  atomic.Int64
	roundTrip atomic.Int64

	mu          sync.Mutex
	since       int64              // stamp from which silence counts; guarded by mu
	kept        bool               // guarded by mu
	incarnation uint64             // guarded by mu
	retired     []uint64           // incarnations before it, the newest last; guarded by mu
	comes       caller             // guarded by mu
	dialled     [3]*link           // by class, Control and Bulk; guarded by mu
	accepted    [3]*link           // the same; guarded by mu
	attempts    [3]*attempt        // the last of each class; guarded by mu
	wires       map[*wire]struct{} // all connections; guarded by mu
	reported    report             // guarded by mu
	refusedAt   int64              // stamp; guarded by mu
	err         error              // why not up; guarded by mu
	failures    int                // dials of Control in a row; guarded by mu
	nextDial    int64              // stamp; guarded by mu
	ticks       int                // guarded by mu
}

// caller is a process that was replaced and wants to come back, and since when no other such one did.
type caller struct {
	incarnation uint64
	since       int64 // stamp
}

// report is the last state the owner was told.
type report uint8

const (
	reportNone report = iota
	reportUp
	reportDown
	reportRefused
)

// attempt is one dial that any number of senders wait for.
type attempt struct {
	done  chan struct{}
	link  *link // set before done is closed
	err   error // set before done is closed
	ended int64 // stamp; set before done is closed
}

func newPeer(t *Transport, node cluster.NodeID) *peer {
	return &peer{t: t, id: node, since: t.stamp(), wires: map[*wire]struct{}{}}
}

func (p *peer) setKept(kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if kept && !p.kept {
		p.since = p.t.stamp()
		p.kept = true
		p.tendLocked(p.since)
	}
	p.kept = kept
}

// link returns the connection of a class, dialling when there is none. Its error means nothing was sent.
func (p *peer) link(ctx context.Context, class Class) (*link, error) {
	p.mu.Lock()
	if l := p.dialled[class]; l != nil {
		p.mu.Unlock()
		return l, nil
	}
	a := p.attemptLocked(class)
	p.mu.Unlock()
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil, unavailable(p.id, ctx.Err())
	}
	if a.err != nil {
		return nil, unavailable(p.id, a.err)
	}
	return a.link, nil
}

// attemptLocked joins the running dial, or returns one that failed a moment ago, or begins one.
func (p *peer) attemptLocked(class Class) *attempt {
	if a := p.attempts[class]; a != nil {
		select {
		case <-a.done:
			if a.err != nil && p.t.stamp()-a.ended < int64(retryFloor) {
				return a
			}
		default:
			return a
		}
	}
	a := &attempt{done: make(chan struct{})}
	p.attempts[class] = a
	if !p.t.spawn(func() { p.dial(a, class) }) {
		a.err, a.ended = errClosing, p.t.stamp()
		close(a.done)
	}
	return a
}

func (p *peer) dial(a *attempt, class Class) {
	ctx, cancel := context.WithTimeout(p.t.ctx, p.t.cfg.DialTimeout)
	defer cancel()
	o, err := p.t.open(ctx, p, hello{class: class}, alpnRaft)
	if err != nil {
		p.dialFailed(class, err)
		a.err, a.ended = err, p.t.stamp()
		close(a.done)
		return
	}
	l := p.t.newLink(p, o, class, true)
	p.connected(l)
	l.run()
	a.link, a.ended = l, p.t.stamp()
	close(a.done)
}

func (p *peer) connected(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialled[l.class] = l
	if l.class != Control {
		return
	}
	p.failures, p.nextDial, p.err, p.refusedAt = 0, 0, nil, 0
	p.reported = reportUp
	p.t.events.peerUp(p.id, l.incarnation)
}

func (p *peer) dialFailed(class Class, err error) {
	if p.t.isClosed() {
		return
	}
	now := p.t.stamp()
	refused := errors.Is(err, syscall.ECONNREFUSED)
	p.mu.Lock()
	defer p.mu.Unlock()
	if refused {
		p.refusedAt = now
	}
	if class != Control {
		return
	}
	p.failures++
	p.nextDial = now + int64(p.t.backoff(p.failures))
	p.downLocked(err, refused)
}

// backoff grows with failures and is spread over its upper half.
func (t *Transport) backoff(failures int) time.Duration {
	d := t.cfg.MaxBackoff
	if failures < 8 {
		d = min(d, firstBackoff<<(failures-1))
	}
	return d/2 + rand.N(d/2+1)
}

func (p *peer) downLocked(err error, refused bool) {
	p.err = err
	next := reportDown
	if refused {
		next = reportRefused
	}
	if p.reported == next || p.reported == reportRefused {
		return
	}
	p.reported = next
	p.t.events.peerDown(p.id, err, refused)
}

// adopt ties a connection to the peer's process that the handshake named. What belonged to the process before it is
// closed, and a process that was replaced does not come back: were both alive, each would otherwise undo the other for
// ever. All of it is one step: connections of a new process come in on several goroutines at once, and none may close
// another's. It refuses with errReplaced, errVacant or cluster.ErrOverloaded.
func (p *peer) adopt(w *wire, incarnation uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.retired, incarnation) {
		return p.turnedAwayLocked(incarnation)
	}
	for _, old := range p.observeLocked(incarnation) {
		old.kill(errReplaced)
	}
	n := 0
	for o := range p.wires {
		if o.class == w.class {
			n++
		}
	}
	if n >= 2*maxAccepted {
		return fmt.Errorf("%w: too many connections of this class", cluster.ErrOverloaded)
	}
	p.wires[w] = struct{}{}
	w.identify(p)
	return nil
}

// turnedAwayLocked is what a process hears that was replaced: errVacant once the one that took its place has been silent, and
// it alone has come, for Config.Vacant. It is not taken back as it is: what the two have acknowledged and voted for under one
// name is compared when a process starts (CLUSTER 6.3), and only then.
func (p *peer) turnedAwayLocked(incarnation uint64) error {
	now := p.t.stamp()
	if p.comes.incarnation != incarnation {
		p.comes = caller{incarnation, now}
	}
	if alone := time.Duration(now - p.comes.since); min(alone, p.silentLocked(now)) < p.t.cfg.Vacant {
		return errReplaced
	}
	return errVacant
}

// observeLocked notes the incarnation of a handshake and takes out the connections of the process before it.
func (p *peer) observeLocked(incarnation uint64) []*wire {
	old := p.incarnation
	p.incarnation = incarnation
	if old == 0 || old == incarnation {
		return nil
	}
	p.retired = append(p.retired[max(0, len(p.retired)-maxRetired+1):], old)
	p.t.events.peerReplaced(p.id, old, incarnation)
	p.nextDial = 0
	return p.takeLocked()
}

// takeLocked empties the set of connections.
func (p *peer) takeLocked() []*wire {
	wires := make([]*wire, 0, len(p.wires))
	for w := range p.wires {
		wires = append(wires, w)
	}
	clear(p.wires)
	return wires
}

func (p *peer) disown(w *wire) {
	p.mu.Lock()
	delete(p.wires, w)
	p.mu.Unlock()
}

// accept makes l the peer's connection of its class towards us, in place of an older one.
func (p *peer) accept(l *link) {
	p.mu.Lock()
	old := p.accepted[l.class]
	p.accepted[l.class] = l
	p.nextDial = 0 // it lives: dial back at once
	p.mu.Unlock()
	if old != nil {
		old.fail(errSuperseded)
	}
}

// lost takes a failed link out. A kept peer is dialled again at once: a refusal is proof of its death.
func (p *peer) lost(l *link, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.wires, l.wire)
	if p.accepted[l.class] == l {
		p.accepted[l.class] = nil
	}
	if p.dialled[l.class] != l {
		return
	}
	p.dialled[l.class] = nil
	if l.class != Control || p.t.isClosed() {
		return
	}
	p.downLocked(err, false)
	p.nextDial = 0
	p.tendLocked(p.t.stamp())
}

func (p *peer) killAll(cause error) {
	p.mu.Lock()
	wires := p.takeLocked()
	p.mu.Unlock()
	for _, w := range wires {
		w.kill(cause)
	}
}

func (p *peer) pong(sent int64) {
	now := p.t.stamp()
	if sent <= 0 || sent > now {
		return
	}
	p.answered.Store(now)
	p.roundTrip.Store(now - sent)
}

// pulse is called every Config.Ping.
func (p *peer) pulse(now int64) {
	p.mu.Lock()
	p.ticks++
	silent := p.silentLocked(now)
	speechless := len(p.wires) > 0 && silent > p.t.cfg.Silence
	links := [...]*link{p.dialled[Control], p.dialled[Bulk], p.accepted[Control], p.accepted[Bulk]}
	bulk := p.ticks%bulkPingEvery == 0
	p.tendLocked(now)
	p.mu.Unlock()
	if speechless {
		p.killAll(errSilent{silent.Seconds()})
		return
	}
	stale := now - staleAfter*int64(p.t.cfg.Silence)
	for _, l := range links {
		switch {
		case l == nil:
		case max(l.wire.heard.Load(), p.t.resumed.Load()) < stale:
			l.fail(errors.New("connection is stale"))
		case l.dialled && (l.class == Control || bulk):
			l.ping(now)
		}
	}
}

// tendLocked begins a dial of the control connection when one is wanted and none runs.
func (p *peer) tendLocked(now int64) {
	if p.dialled[Control] != nil || now < p.nextDial || !p.kept && len(p.wires) == 0 {
		return
	}
	if a := p.attempts[Control]; a != nil {
		select {
		case <-a.done:
		default:
			return
		}
	}
	p.attemptLocked(Control)
}

func (p *peer) silentLocked(now int64) time.Duration {
	return time.Duration(now - max(p.heard.Load(), p.since, p.t.resumed.Load()))
}

func (p *peer) state() PeerState {
	now := p.t.stamp()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PeerState{
		Node:         p.id,
		Incarnation:  p.incarnation,
		LastHeard:    p.t.at(p.heard.Load()),
		LastAnswered: p.t.at(p.answered.Load()),
		RoundTrip:    time.Duration(p.roundTrip.Load()),
		Silent:       max(0, p.silentLocked(now)),
		RefusedAt:    p.t.at(p.refusedAt),
		Err:          p.err,
	}
	if l := p.dialled[Control]; l != nil {
		s.Up, s.Version = true, l.version
	}
	return s
}

// PeerState is what is known of a node; ok is false for one never named and never met.
func (t *Transport) PeerState(node cluster.NodeID) (state PeerState, ok bool) {
	t.mu.Lock()
	p := t.peers[node]
	t.mu.Unlock()
	if p == nil {
		return PeerState{Node: node}, false
	}
	return p.state(), true
}

// PeerStates is PeerState of every node named or met.
func (t *Transport) PeerStates() []PeerState {
	var states []PeerState
	for _, p := range t.allPeers() {
		states = append(states, p.state())
	}
	return states
}

// pulse drives pings and silence for all peers, and notices when this process itself stood still: then nobody
// was silent, we were deaf.
func (t *Transport) pulse() {
	tick := time.NewTicker(t.cfg.Ping)
	defer tick.Stop()
	last := t.stamp()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
		}
		now := t.stamp()
		if late := time.Duration(now - last); late > t.cfg.Ping+t.cfg.Silence/6 {
			t.resumed.Store(now)
			t.events.resumed(late)
		}
		last = now
		for _, p := range t.allPeers() {
			p.pulse(now)
		}
	}
}
