package transport

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// Direction says which way bytes are held back.
type Direction uint8

// The directions of a cut, as seen from this node.
const (
	Outgoing Direction = 1 << iota
	Incoming
	Both = Outgoing | Incoming
)

// maxHeld bounds what a delayed or cut connection holds of outgoing bytes; then writes wait, as on a full
// socket. It is above Config.Window, so a delay does not lower throughput below window / delay.
const maxHeld = 48 << 20

// Faults makes the network to chosen peers bad, below TLS, so that frames, streams and calls all feel it: tests
// and `flotilla dev fault` use it. A cut behaves as a cable that was pulled: nothing is closed and nothing is
// refused, not even by a Close; when it heals, what TCP would have sent again arrives in order. Dials to a cut
// peer get no answer. Whoever dials in has to prove who it is before a cut can apply to it; nothing after its
// certificate passes. A nil *Faults does nothing.
type Faults struct {
	mu      sync.Mutex
	peers   map[cluster.NodeID]fault // guarded by mu
	changed chan struct{}            // closed and replaced by each change; guarded by mu
	held    map[*faultConn]struct{}  // closed by their owner, not yet on the network; guarded by mu
	ended   bool                     // guarded by mu
}

type fault struct {
	cut     Direction
	latency time.Duration
}

// NewFaults makes a Faults without any.
func NewFaults() *Faults {
	return &Faults{
		peers:   map[cluster.NodeID]fault{},
		changed: make(chan struct{}),
		held:    map[*faultConn]struct{}{},
	}
}

// Cut holds back all bytes from or to a node, or to every node when node is "".
func (f *Faults) Cut(node cluster.NodeID, d Direction) {
	f.change(func() {
		x := f.peers[node]
		x.cut |= d
		f.peers[node] = x
	})
}

// Latency delays every byte sent to a node, or to every node when node is "", by d.
func (f *Faults) Latency(node cluster.NodeID, d time.Duration) {
	f.change(func() {
		x := f.peers[node]
		x.latency = max(0, d)
		f.peers[node] = x
	})
}

// Clear ends the faults set for a node, or all of them when node is "".
func (f *Faults) Clear(node cluster.NodeID) {
	f.change(func() {
		if node == "" {
			clear(f.peers)
			return
		}
		delete(f.peers, node)
	})
}

func (f *Faults) change(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
	close(f.changed)
	f.changed = make(chan struct{})
}

// of is what holds for a node now, and a channel that is closed when that may have changed.
func (f *Faults) of(node cluster.NodeID) (fault, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if node == "" || f.ended {
		return fault{}, f.changed
	}
	one, all := f.peers[node], f.peers[""]
	return fault{cut: one.cut | all.cut, latency: max(one.latency, all.latency)}, f.changed
}

// await waits while a node is cut off in any direction: a dial needs both.
func (f *Faults) await(ctx context.Context, node cluster.NodeID) error {
	for f != nil {
		x, changed := f.of(node)
		if x.cut == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// release ends all faults for good and closes what was held back.
func (f *Faults) release() {
	f.change(func() { f.ended = true })
	f.mu.Lock()
	held := f.held
	f.held = map[*faultConn]struct{}{}
	f.mu.Unlock()
	for c := range held {
		c.Conn.Close()
	}
}

// wrap puts a connection under the faults of a node; "" is one that is identified later.
func (f *Faults) wrap(t *Transport, raw net.Conn, node cluster.NodeID) net.Conn {
	if f == nil {
		return raw
	}
	c := &faultConn{Conn: raw, t: t, faults: f, node: node, gone: make(chan struct{})}
	c.room.L = &c.mu
	return c
}

// faultConn is a connection under Faults. Without a fault it passes everything straight on; with one, writes go
// through a queue that a goroutine empties when their time has come.
type faultConn struct {
	net.Conn
	t      *Transport
	faults *Faults
	gone   chan struct{} // closed by Close

	mu      sync.Mutex
	room    sync.Cond      // held fell, or closed
	node    cluster.NodeID // guarded by mu
	queue   []heldBytes    // guarded by mu
	held    int            // bytes in queue; guarded by mu
	pumping bool           // guarded by mu
	closed  bool           // guarded by mu
	err     error          // of the pump; guarded by mu
}

type heldBytes struct {
	due time.Time
	b   []byte
}

func (c *faultConn) identify(node cluster.NodeID) {
	c.mu.Lock()
	c.node = node
	c.mu.Unlock()
}

func (c *faultConn) fault() (fault, <-chan struct{}) {
	c.mu.Lock()
	node := c.node
	c.mu.Unlock()
	return c.faults.of(node)
}

// Read hands on nothing, not even an end, while incoming bytes are cut.
func (c *faultConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	for {
		x, changed := c.fault()
		if x.cut&Incoming == 0 {
			return n, err
		}
		select {
		case <-changed:
		case <-c.gone:
			return 0, net.ErrClosed
		}
	}
}

func (c *faultConn) Write(b []byte) (int, error) {
	x, _ := c.fault()
	c.mu.Lock()
	if !c.pumping && !c.closed && x.cut&Outgoing == 0 && x.latency == 0 {
		c.mu.Unlock()
		return c.Conn.Write(b)
	}
	defer c.mu.Unlock()
	for c.held > 0 && c.held+len(b) > maxHeld && !c.closed && c.err == nil {
		c.room.Wait()
	}
	if c.closed {
		return 0, net.ErrClosed
	}
	if c.err != nil {
		return 0, c.err
	}
	c.queue = append(c.queue, heldBytes{due: time.Now().Add(x.latency), b: append([]byte(nil), b...)})
	c.held += len(b)
	if !c.pumping {
		c.pumping = c.t.spawn(c.pump)
	}
	return len(b), nil
}

// pump writes what is held when it is due and not cut, in order, until nothing is left.
func (c *faultConn) pump() {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 || c.err != nil {
			c.pumping = false
			closed := c.closed
			c.mu.Unlock()
			if closed {
				c.closeForGood()
			}
			return
		}
		next := c.queue[0]
		c.mu.Unlock()
		c.waitDue(next.due)
		_, err := c.Conn.Write(next.b)
		c.mu.Lock()
		c.queue = c.queue[1:]
		c.held -= len(next.b)
		c.err = err
		c.room.Signal()
		c.mu.Unlock()
	}
}

// waitDue waits for a time and for the end of an outgoing cut; the end of all faults ends it too.
func (c *faultConn) waitDue(due time.Time) {
	for {
		x, changed := c.fault()
		wait := time.Until(due)
		if x.cut&Outgoing == 0 && (wait <= 0 || x == fault{}) {
			return
		}
		if x.cut&Outgoing != 0 {
			<-changed
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		}
		timer.Stop()
	}
}

// Close ends the connection for its owner. The network learns of it when it may: not during a cut, and after
// what is still delayed.
func (c *faultConn) Close() error {
	holding := c.faults.hold(c)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	close(c.gone)
	c.room.Broadcast()
	pumping := c.pumping
	c.mu.Unlock()
	x, _ := c.fault()
	if !holding || !pumping && x.cut&Outgoing == 0 {
		return c.closeForGood()
	}
	if err := c.Conn.SetReadDeadline(time.Unix(1, 0)); err != nil { // lets a waiting Read go
		return c.closeForGood()
	}
	if !pumping && !c.t.spawn(func() { c.waitDue(time.Time{}); c.closeForGood() }) {
		return c.closeForGood()
	}
	return nil
}

func (c *faultConn) closeForGood() error {
	c.faults.unhold(c)
	return c.Conn.Close()
}

func (f *Faults) hold(c *faultConn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false
	}
	f.held[c] = struct{}{}
	return true
}

func (f *Faults) unhold(c *faultConn) {
	f.mu.Lock()
	delete(f.held, c)
	f.mu.Unlock()
}

// SetWriteDeadline does not reach the connection: the pump outlives the write it was meant for.
func (c *faultConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline sets the read deadline alone.
func (c *faultConn) SetDeadline(at time.Time) error { return c.Conn.SetReadDeadline(at) }
