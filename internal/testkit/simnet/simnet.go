// Package simnet is a network between nodes in one process, in the virtual time of testing/synctest.
//
// It knows what may happen to bytes on their way: delays, loss, cuts, processes and hosts that end. It never reads them.
package simnet

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// Network carries bytes between nodes. A connection keeps its order, two connections overtake each other.
type Network struct {
	mu         sync.Mutex
	rng        *rand.Rand                   // guarded by mu
	listeners  map[cluster.NodeID]*Listener // guarded by mu
	takers     map[cluster.NodeID]taker     // of packets; guarded by mu
	dark       map[cluster.NodeID]bool      // hosts that answer nothing, not even that nobody listens; guarded by mu
	conns      map[*conn]struct{}           // guarded by mu
	changed    chan struct{}                // closed and replaced when a condition changes; guarded by mu
	conditions Conditions                   // guarded by mu
}

// Conditions are what the network is like. Change alters them.
type Conditions struct {
	// Cut are the ways on which nothing comes through. What is written to a connection meanwhile waits; packets are lost.
	Cut map[Direction]bool
	// Latency is of one way, at most doubled by jitter.
	Latency time.Duration
	// Lossy is how many packets, and writes to a connection, in a thousand are lost on their way. What belongs to a connection is
	// sent again.
	Lossy int
}

// Direction is one way between two nodes.
type Direction struct{ From, To cluster.NodeID }

func healthy() Conditions {
	return Conditions{Cut: map[Direction]bool{}, Latency: 300 * time.Microsecond}
}

// New is a network without loss or cuts. rng is the network's alone from here on.
func New(rng *rand.Rand) *Network {
	return &Network{rng: rng, listeners: map[cluster.NodeID]*Listener{}, takers: map[cluster.NodeID]taker{}, dark: map[cluster.NodeID]bool{},
		conns: map[*conn]struct{}{}, changed: make(chan struct{}), conditions: healthy()}
}

// Change alters the conditions and wakes all who wait.
func (n *Network) Change(fn func(*Conditions)) { n.change(func() { fn(&n.conditions) }) }

// Heal ends cuts, delays and losses.
func (n *Network) Heal() {
	n.Change(func(c *Conditions) { *c = healthy() })
}

func (n *Network) change(fn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fn()
	close(n.changed)
	n.changed = make(chan struct{})
}

// isCut says whether nothing comes through one way, and what is closed when that may change.
func (n *Network) isCut(d Direction) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conditions.Cut[d], n.changed
}

// How long TCP waits, at first, before it sends lost bytes again: on a connection, and while there is none yet, when it has not
// measured the way.
const (
	resend    = 200 * time.Millisecond
	resendSYN = time.Second
)

// delay draws how long bytes are on their way.
func (n *Network) delay(resend time.Duration) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.onceLocked()
	for n.lostLocked() {
		d += resend
	}
	return d
}

// onceLocked is how long what is not lost is on its way.
func (n *Network) onceLocked() time.Duration {
	return n.conditions.Latency + time.Duration(n.rng.Int64N(int64(n.conditions.Latency)+1))
}

func (n *Network) lostLocked() bool { return n.rng.IntN(1000) < n.conditions.Lossy }

// Travel lets a message of a node pass to another: it waits out the delay and a cut. An error means that ctx ended first.
func (n *Network) Travel(ctx context.Context, d Direction) error { return n.travel(ctx, d, resend) }

func (n *Network) travel(ctx context.Context, d Direction, resend time.Duration) error {
	timer := time.NewTimer(n.delay(resend))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		cut, changed := n.isCut(d)
		if !cut {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Listen opens a node's port; a name is an address.
func (n *Network) Listen(node cluster.NodeID) *Listener {
	l := &Listener{network: n, node: node, queue: make(chan net.Conn, 256), gone: make(chan struct{})}
	n.change(func() { n.listeners[node] = l })
	return l
}

// Dial connects from one node to another.
func (n *Network) Dial(ctx context.Context, d Direction) (net.Conn, error) {
	if err := n.travel(ctx, d, resendSYN); err != nil {
		return nil, err
	}
	n.mu.Lock()
	l, dark := n.listeners[d.To], n.dark[d.To]
	n.mu.Unlock()
	if dark {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := n.travel(ctx, Direction{d.To, d.From}, resendSYN); err != nil {
		return nil, err
	}
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "sim", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	here, there := n.pair(d)
	select {
	case l.queue <- there:
		return here, nil
	case <-l.gone:
		return nil, &net.OpError{Op: "dial", Net: "sim", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
}

func (n *Network) pair(d Direction) (here, there *conn) {
	out, back := newPipe(n, d), newPipe(n, Direction{d.To, d.From})
	here = &conn{in: back, out: out, local: d.From, remote: d.To}
	there = &conn{in: out, out: back, local: d.To, remote: d.From}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[here], n.conns[there] = struct{}{}, struct{}{}
	return here, there
}

// Vanish ends a node's process. What it had sent is still on its way. When its host is gone too nobody is told, and who
// dials it hears nothing.
func (n *Network) Vanish(node cluster.NodeID, hostToo bool) {
	n.mu.Lock()
	var mine []*conn
	for c := range n.conns {
		if c.local == node {
			mine = append(mine, c)
			delete(n.conns, c)
		}
	}
	l := n.listeners[node]
	delete(n.listeners, node)
	delete(n.takers, node)
	n.dark[node] = hostToo
	n.mu.Unlock()
	if l != nil {
		l.end()
	}
	for _, c := range mine {
		c.abort(hostToo)
	}
}

// Appear makes a node's host answer again. Its old connections are not known there.
func (n *Network) Appear(node cluster.NodeID) {
	n.mu.Lock()
	var theirs []*conn
	for c := range n.conns {
		if c.remote == node {
			theirs = append(theirs, c)
		}
	}
	n.dark[node] = false
	n.mu.Unlock()
	for _, c := range theirs {
		c.in.end(syscall.ECONNRESET)
	}
}

// Listener is a node's port.
type Listener struct {
	network *Network
	node    cluster.NodeID
	queue   chan net.Conn
	once    sync.Once
	gone    chan struct{}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}

func (l *Listener) end() { l.once.Do(func() { close(l.gone) }) }

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.network.change(func() {
		if l.network.listeners[l.node] == l {
			delete(l.network.listeners, l.node)
		}
	})
	l.end()
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return address(l.node) }

// address is a node's name as a net.Addr.
type address cluster.NodeID

// Network implements net.Addr.
func (address) Network() string { return "sim" }

// String implements net.Addr.
func (a address) String() string { return string(a) }

// conn is one end of a connection.
type conn struct {
	in, out       *pipe
	local, remote cluster.NodeID
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write implements net.Conn. It never waits: what a real socket would hold back is bounded by the transport's window.
func (c *conn) Write(b []byte) (int, error) { return c.out.write(b) }

// Close implements net.Conn.
func (c *conn) Close() error {
	n := c.in.network
	n.mu.Lock()
	delete(n.conns, c)
	n.mu.Unlock()
	c.abort(false)
	return nil
}

// abort ends this end at once, and unless silently the other end after what is on its way.
func (c *conn) abort(silently bool) {
	c.in.discard()
	if silently {
		c.out.mute()
		return
	}
	c.out.end(io.EOF)
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return address(c.local) }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return address(c.remote) }

// SetDeadline implements net.Conn; writes do not wait.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// pipe is one way of a connection.
type pipe struct {
	network *Network
	way     Direction

	mu       sync.Mutex
	queue    []parcel      // guarded by mu
	last     time.Time     // when the last parcel is due; guarded by mu
	ended    error         // what comes behind the queue; guarded by mu
	muted    bool          // nothing is taken any more and nothing said; guarded by mu
	closed   bool          // by the reader; guarded by mu
	deadline time.Time     // guarded by mu
	changed  chan struct{} // closed and replaced; guarded by mu
}

type parcel struct {
	due time.Time
	b   []byte
}

func newPipe(n *Network, way Direction) *pipe {
	return &pipe{network: n, way: way, changed: make(chan struct{})}
}

func (p *pipe) change(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pipe) write(b []byte) (n int, err error) {
	delay := p.network.delay(resend)
	p.change(func() {
		switch {
		case p.ended != nil:
			err = net.ErrClosed
		case p.closed:
			err = syscall.EPIPE
		case !p.muted:
			due := time.Now().Add(delay)
			if due.Before(p.last) {
				due = p.last
			}
			p.last = due
			p.queue = append(p.queue, parcel{due, append([]byte(nil), b...)})
		}
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (p *pipe) end(err error) {
	p.change(func() {
		if p.ended == nil {
			p.ended = err
		}
	})
}

func (p *pipe) mute()                   { p.change(func() { p.muted = true }) }
func (p *pipe) discard()                { p.change(func() { p.closed, p.queue = true, nil }) }
func (p *pipe) setDeadline(t time.Time) { p.change(func() { p.deadline = t }) }

func (p *pipe) read(b []byte) (int, error) {
	for {
		cut, healed := p.network.isCut(p.way)
		n, wait, changed, err := p.take(b, cut)
		if n > 0 || err != nil {
			return n, err
		}
		p.pause(wait, changed, healed)
	}
}

// pause waits for a time, zero for ever, or for either channel.
func (p *pipe) pause(wait time.Duration, changed, healed <-chan struct{}) {
	var due <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-changed:
	case <-healed:
	}
}

// take reads what has arrived. With nothing, it says how long to wait and for what.
func (p *pipe) take(b []byte, cut bool) (n int, wait time.Duration, changed <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case p.closed:
		return 0, 0, nil, net.ErrClosed
	case !p.deadline.IsZero() && !p.deadline.After(now):
		return 0, 0, nil, os.ErrDeadlineExceeded
	case len(p.queue) > 0 && !cut && !p.queue[0].due.After(now):
		n = copy(b, p.queue[0].b)
		if p.queue[0].b = p.queue[0].b[n:]; len(p.queue[0].b) == 0 {
			p.queue = p.queue[1:]
		}
		return n, 0, nil, nil
	case len(p.queue) == 0 && !cut && p.ended != nil:
		return 0, 0, nil, p.ended
	}
	if len(p.queue) > 0 && !cut {
		wait = p.queue[0].due.Sub(now)
	}
	if !p.deadline.IsZero() && (wait == 0 || p.deadline.Sub(now) < wait) {
		wait = p.deadline.Sub(now)
	}
	return 0, wait, p.changed, nil
}
