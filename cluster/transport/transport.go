// Package transport carries frames, snapshot streams and call connections between the nodes of one cluster: one
// TLS 1.3 listener a node, mutual authentication, ALPN to tell Raft frames from calls (CLUSTER 6.5).
//
// It knows who a peer is and when it was last heard. It never knows what a frame means, what a group decides or
// who is dead: it reports, the owner judges (CLUSTER 6.4). It imports no Raft.
//
// Invariants: a connection is used for requests only by the node that dialled it, answers come back on it, so no
// end can block the other by waiting for itself; frames of one (group, class) are delivered in the order they
// were sent; what is queued or unanswered on a connection is bounded in bytes; every connection belongs to an
// authenticated node of this cluster and to one incarnation of its process.
package transport

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// Class says which connection of a node pair carries a frame. A class is a promise about order (frames of one
// group and class stay in order) and about what a frame can be stuck behind.
type Class uint8

// The classes a Message may have. They are sent in the handshake, for ever.
const (
	// Control carries heartbeats, votes and small appends; frames are at most Config.MaxControlFrame.
	Control Class = 1
	// Bulk carries appends with entries of some size; frames are at most Config.MaxFrame.
	Bulk Class = 2

	classStream Class = 3
	classCall   Class = 4

	// classJoin is no class of a hello: it marks the connection of a machine that is no node.
	classJoin Class = 255
)

func (c Class) String() string {
	switch c {
	case Control:
		return "control"
	case Bulk:
		return "bulk"
	case classStream:
		return "stream"
	case classCall:
		return "call"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Kind says which handler a frame is for. Numbers below FirstKind belong to the transport.
type Kind uint8

// FirstKind is the lowest kind a user of the transport may register.
const FirstKind Kind = 16

// Message is one request.
type Message struct {
	To    cluster.NodeID
	Class Class
	Group cluster.GroupID
	Kind  Kind
	// Payload is written as one run of bytes. The slices must stay unchanged until the call is done: they are
	// encrypted in place, not copied.
	Payload [][]byte
	// NoWait refuses with KindOverloaded when the connection's byte window is full; else Send waits for room.
	NoWait bool
	// Later lets the request wait for others, until the node's next beat at the most: what leaves together shares a write, and so
	// do its answers, and both nodes wake once for all of it.
	Later bool
}

// BeatEvery is how often requests leave that may wait.
const BeatEvery = 100 * time.Millisecond

// Handler receives requests of one kind.
type Handler func(Inbound)

// Config is what a Transport is made from. Zero values of the tunable part are replaced by Defaults.
type Config struct {
	// Cluster and Node are this node's identity; they must be those of the certificate.
	Cluster ClusterID
	Node    cluster.NodeID
	// Incarnation tells this start of the process from all others; 0 draws one.
	Incarnation uint64
	// Listener is what Start accepts from. When nil, Start listens on Listen (host:port).
	Listener net.Listener
	Listen   string
	// Credentials hold the node's certificate and the cluster's roots; they may be reloaded at any time.
	Credentials *Credentials
	// Resolve gives a node's address. It is asked at each dial.
	Resolve func(cluster.NodeID) (addr string, ok bool)
	// Barred, if set, is asked at each hello and says why a node is let in no more, although its certificate is good; nil
	// when it is.
	Barred func(cluster.NodeID) error
	// Dial connects to an address that Resolve gave; nil is TCP. Simulated clusters have a network of their own. Where
	// nobody listens the error is syscall.ECONNREFUSED: that is taken as proof that the peer's process is gone.
	Dial   func(ctx context.Context, addr string) (net.Conn, error)
	Events Events
	// Faults, when set, lets tests and `flotilla dev fault` cut and delay connections.
	Faults *Faults

	// Versions this build speaks.
	Versions VersionRange
	// Window bounds the bytes of requests that are queued or unanswered on one connection.
	Window int64
	// MaxFrame and MaxControlFrame bound one frame's payload on bulk and control connections.
	MaxFrame        int
	MaxControlFrame int
	// Ping is how often a control connection carries a ping, Silence how long a peer may say nothing at all
	// before its connections are closed.
	Ping    time.Duration
	Silence time.Duration
	// Vacant is how long a process that took the place of another of its node must have been silent, while that other one alone
	// has come, before that is told that it may start anew.
	Vacant time.Duration
	// DialTimeout covers TCP, TLS and the handshake of one attempt.
	DialTimeout time.Duration
	// MaxBackoff bounds the pause between attempts to reach a peer named in SetPeers.
	MaxBackoff time.Duration
}

// VersionRange is the span of frame versions one build speaks.
type VersionRange struct{ Min, Max uint16 }

func (v VersionRange) String() string { return fmt.Sprintf("%d to %d", v.Min, v.Max) }

// common is the highest version both speak.
func (v VersionRange) common(o VersionRange) (uint16, bool) {
	high := min(v.Max, o.Max)
	return high, high >= max(v.Min, o.Min)
}

// Defaults fills what was left zero.
func (c *Config) Defaults() {
	if c.Versions == (VersionRange{}) {
		c.Versions = VersionRange{Min: 1, Max: 1}
	}
	setDefault(&c.Window, 32<<20)
	setDefault(&c.MaxFrame, 24<<20)
	setDefault(&c.MaxControlFrame, 256<<10)
	setDefault(&c.Ping, 100*time.Millisecond)
	setDefault(&c.Silence, 3*time.Second)
	setDefault(&c.Vacant, staleAfter*c.Silence)
	setDefault(&c.DialTimeout, 3*time.Second)
	setDefault(&c.MaxBackoff, time.Second)
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports what cannot work.
func (c *Config) Validate() error {
	switch {
	case !c.Node.Valid():
		return fmt.Errorf("node name %q is not valid", c.Node)
	case c.Cluster == "":
		return errors.New("cluster id is empty")
	case c.Credentials == nil:
		return errors.New("no credentials")
	case c.Resolve == nil:
		return errors.New("no address resolver")
	case c.Versions.Min > c.Versions.Max:
		return fmt.Errorf("version range %s is empty", c.Versions)
	case int64(c.MaxFrame) > c.Window || int64(c.MaxControlFrame) > c.Window:
		return fmt.Errorf("window of %d bytes is smaller than a frame", c.Window)
	}
	return c.Credentials.check(c.Cluster, c.Node)
}

// Transport is a node's end of all connections to its peers.
type Transport struct {
	cfg      Config
	listener net.Listener
	began    time.Time // monotonic origin of all stamps
	handlers [256]registered
	streams  StreamHandler
	calls    CallHandler
	joins    JoinHandler
	joining  chan struct{} // has room for the machines that joins serves
	stats    stats
	events   *eventQueue

	ctx    context.Context // ends when Close begins; the parent of dials and of nothing that outlives them
	cancel context.CancelFunc
	wg     sync.WaitGroup
	// resumed is the stamp of the last time this process was found to have stood still.
	resumed atomic.Int64

	mu      sync.Mutex
	peers   map[cluster.NodeID]*peer // guarded by mu
	pending map[net.Conn]struct{}    // accepted, not yet identified; guarded by mu
	closed  bool                     // guarded by mu
	started bool                     // guarded by mu
}

type registered struct {
	fn   Handler
	fast bool
}

// New makes a Transport. It opens nothing; register handlers, then Start.
func New(cfg Config) (*Transport, error) {
	cfg.Defaults()
	if cfg.Incarnation == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, fmt.Errorf("draw incarnation: %w", err)
		}
		cfg.Incarnation = binary.LittleEndian.Uint64(b[:]) | 1
	}
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	t := &Transport{
		cfg:     cfg,
		began:   time.Now(),
		peers:   map[cluster.NodeID]*peer{},
		pending: map[net.Conn]struct{}{},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.events = newEventQueue(cfg.Events)
	return t, nil
}

// Handle registers the handler of a kind, before Start. It is called for one frame of a (peer, group, class) at a
// time, in order, on a goroutine that may wait; other groups go on. The payload belongs to the handler. Its bytes
// count against the connection's window until the handler returns.
func (t *Transport) Handle(kind Kind, fn Handler) { t.register(kind, registered{fn: fn}) }

// HandleFast registers a handler that is called by the connection's reader itself, before Start: it must not
// wait, and the payload is valid only until it returns. It is meant for heartbeats.
func (t *Transport) HandleFast(kind Kind, fn Handler) {
	t.register(kind, registered{fn: fn, fast: true})
}

func (t *Transport) register(kind Kind, r registered) {
	t.mustNotHaveStarted("a handler is registered")
	if kind < FirstKind || t.handlers[kind].fn != nil {
		panic(fmt.Sprintf("transport: kind %d is reserved or registered twice", kind))
	}
	t.handlers[kind] = r
}

func (t *Transport) mustNotHaveStarted(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started {
		panic("transport: " + what + " after Start")
	}
}

// Start opens the listener and begins to accept, ping and dial.
func (t *Transport) Start() error {
	t.mustNotHaveStarted("started")
	l := t.cfg.Listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", t.cfg.Listen); err != nil {
			return fmt.Errorf("transport: %w", err)
		}
	}
	t.mu.Lock()
	t.listener, t.started = l, true
	t.mu.Unlock()
	t.spawn(func() { t.accept(l) })
	t.spawn(t.pulse)
	return nil
}

// Addr is the address the listener is bound to, once started.
func (t *Transport) Addr() net.Addr { return t.listener.Addr() }

// Node is this node's name.
func (t *Transport) Node() cluster.NodeID { return t.cfg.Node }

// Incarnation is this process's own.
func (t *Transport) Incarnation() uint64 { return t.cfg.Incarnation }

// Close closes every connection and waits, until ctx ends, for all goroutines and handlers. Calls still open end
// with KindUnknownOutcome.
func (t *Transport) Close(ctx context.Context) error {
	t.mu.Lock()
	t.closed = true
	peers, pending := t.peersLocked(), t.pending
	t.pending = map[net.Conn]struct{}{}
	l := t.listener
	t.mu.Unlock()
	t.cancel()
	var err error
	if l != nil {
		if err = l.Close(); errors.Is(err, net.ErrClosed) {
			err = nil
		}
	}
	for c := range pending {
		c.Close()
	}
	for _, p := range peers {
		p.killAll(errClosing)
	}
	if t.cfg.Faults != nil {
		t.cfg.Faults.release()
	}
	done := make(chan struct{})
	go func() { // ends with the last goroutine; if ctx ends first the process is going down
		t.wg.Wait()
		t.events.close()
		close(done)
	}()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("transport: close: %w", ctx.Err())
	}
}

// spawn runs fn as a goroutine that Close waits for; after Close began it does not.
func (t *Transport) spawn(fn func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Go(fn)
	return true
}

func (t *Transport) isClosed() bool { return t.ctx.Err() != nil }

// stamp is the monotonic time since the transport was made, never 0.
func (t *Transport) stamp() int64 { return int64(time.Since(t.began)) + 1 }

// at turns a stamp back into a time; the zero stamp is the zero time.
func (t *Transport) at(stamp int64) time.Time {
	if stamp == 0 {
		return time.Time{}
	}
	return t.began.Add(time.Duration(stamp - 1))
}

func (t *Transport) peersLocked() []*peer {
	peers := make([]*peer, 0, len(t.peers))
	for _, p := range t.peers {
		peers = append(peers, p)
	}
	return peers
}

func (t *Transport) allPeers() []*peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peersLocked()
}

func (t *Transport) peer(node cluster.NodeID) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[node]
	if p == nil {
		p = newPeer(t, node)
		t.peers[node] = p
	}
	return p
}

// SetPeers names the nodes to which a control connection is kept, and dialled again when lost, so that their
// silence can be judged. Others are dialled when there is something to send and forgotten when lost.
func (t *Transport) SetPeers(nodes []cluster.NodeID) {
	keep := map[cluster.NodeID]bool{}
	for _, n := range nodes {
		if n != t.cfg.Node {
			keep[n] = true
			t.peer(n)
		}
	}
	for _, p := range t.allPeers() {
		p.setKept(keep[p.id])
	}
}

// Expel closes every connection with a node. That it does not come back is Barred's matter, and Resolve's.
func (t *Transport) Expel(node cluster.NodeID, why error) {
	t.mu.Lock()
	p := t.peers[node]
	t.mu.Unlock()
	if p != nil {
		p.killAll(why)
	}
}

// Send queues one request and returns its Call. It dials when there is no connection and waits for room in the
// window. An error means that nothing was sent.
func (t *Transport) Send(ctx context.Context, m Message) (*Call, error) {
	if err := t.checkMessage(m); err != nil {
		return nil, err
	}
	p := t.peer(m.To)
	for attempt := 0; ; attempt++ {
		l, err := p.link(ctx, m.Class)
		if err != nil {
			return nil, err
		}
		call, err := l.send(ctx, m)
		if err == nil {
			return call, nil
		}
		if attempt > 0 || !errors.Is(err, errLinkClosed) {
			return nil, err
		}
	}
}

func (t *Transport) checkMessage(m Message) error {
	limit := t.cfg.MaxFrame
	switch {
	case m.Class == Control:
		limit = t.cfg.MaxControlFrame
	case m.Class != Bulk:
		return cluster.Errorf(cluster.KindBadRequest, "frame of %s", m.Class)
	}
	if m.To == t.cfg.Node {
		return cluster.Errorf(cluster.KindBadRequest, "frame to the own node %s", m.To)
	}
	if m.Kind < FirstKind {
		return cluster.Errorf(cluster.KindBadRequest, "frame of reserved kind %d", m.Kind)
	}
	if n := payloadSize(m.Payload); n > limit {
		return cluster.Errorf(cluster.KindTooLarge, "%s frame of %d bytes, at most %d", m.Class, n, limit)
	}
	return nil
}

func payloadSize(payload [][]byte) int {
	n := 0
	for _, p := range payload {
		n += len(p)
	}
	return n
}
