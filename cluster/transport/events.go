package transport

import (
	"net"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// Events is what the owner is told. Any func may be nil. They are called one at a time, in the order things
// happened, by a goroutine that is only theirs; they may call the Transport but should not wait long.
type Events struct {
	// PeerUp: our control connection to the node stands, and it runs as this incarnation.
	PeerUp func(node cluster.NodeID, incarnation uint64)
	// PeerDown: the control connection was lost, or could not be made. It is called when the state changes: once
	// with refused false, and once with refused true when the node's port was found closed, which is proof that
	// the process there is gone (CLUSTER 6.4).
	PeerDown func(node cluster.NodeID, err error, refused bool)
	// PeerReplaced: a handshake of either direction showed another incarnation than the last: the process that
	// ran as old is gone. All its connections were closed.
	PeerReplaced func(node cluster.NodeID, old, incarnation uint64)
	// Rejected: someone was refused at our listener. node is empty unless the certificate proved it.
	Rejected func(remote net.Addr, node cluster.NodeID, err error)
	// Resumed: this process stood still for about so long. Peers' silence is counted from now.
	Resumed func(pause time.Duration)
}

// PeerState is what is known of a node.
type PeerState struct {
	Node cluster.NodeID
	// Up: our control connection stands.
	Up bool
	// Incarnation is the last one shown in a handshake, 0 before the first.
	Incarnation uint64
	// Version is what frames to the node are written in, 0 while not up.
	Version uint16
	// LastHeard is when bytes of the node last arrived on any identified connection.
	LastHeard time.Time
	// LastAnswered is when it last answered one of our pings; RoundTrip is how long that took.
	LastAnswered time.Time
	RoundTrip    time.Duration
	// Silent is how long it has said nothing, not counting from before this process last stood still or before
	// the peer was first named.
	Silent time.Duration
	// RefusedAt is when a dial was last refused by its port, the zero time if never.
	RefusedAt time.Time
	// Err is why the node is not up.
	Err error
}

// eventQueue calls Events in order on one goroutine that runs only while there is something to call. Its length
// is bounded by the number of connections that come and go while one call runs.
type eventQueue struct {
	events Events
	mu     sync.Mutex
	queue  []func(Events) // guarded by mu
	busy   bool           // guarded by mu
	closed bool           // guarded by mu
	idle   sync.WaitGroup
}

func newEventQueue(e Events) *eventQueue { return &eventQueue{events: e} }

func (q *eventQueue) post(fn func(Events)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.queue = append(q.queue, fn)
	if !q.busy {
		q.busy = true
		q.idle.Go(q.run)
	}
}

func (q *eventQueue) run() {
	for {
		q.mu.Lock()
		if len(q.queue) == 0 {
			q.busy = false
			q.mu.Unlock()
			return
		}
		fns := q.queue
		q.queue = nil
		q.mu.Unlock()
		for _, fn := range fns {
			fn(q.events)
		}
	}
}

// close refuses what is posted from now on and waits for what was posted before.
func (q *eventQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.idle.Wait()
}

func (q *eventQueue) peerUp(node cluster.NodeID, incarnation uint64) {
	q.post(func(e Events) {
		if e.PeerUp != nil {
			e.PeerUp(node, incarnation)
		}
	})
}

func (q *eventQueue) peerDown(node cluster.NodeID, err error, refused bool) {
	q.post(func(e Events) {
		if e.PeerDown != nil {
			e.PeerDown(node, err, refused)
		}
	})
}

func (q *eventQueue) peerReplaced(node cluster.NodeID, old, incarnation uint64) {
	q.post(func(e Events) {
		if e.PeerReplaced != nil {
			e.PeerReplaced(node, old, incarnation)
		}
	})
}

func (q *eventQueue) rejected(remote net.Addr, node cluster.NodeID, err error) {
	q.post(func(e Events) {
		if e.Rejected != nil {
			e.Rejected(remote, node, err)
		}
	})
}

func (q *eventQueue) resumed(pause time.Duration) {
	q.post(func(e Events) {
		if e.Resumed != nil {
			e.Resumed(pause)
		}
	})
}
