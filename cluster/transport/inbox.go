package transport

import (
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
)

// Inbound is a request as its handler sees it.
type Inbound struct {
	From cluster.NodeID
	// Incarnation is the asking process's.
	Incarnation uint64
	Class       Class
	Group       cluster.GroupID
	Kind        Kind
	Payload     []byte

	link *link
	id   uint64
}

// Respond answers, from any goroutine, at any time; the slices must not change any more. Of several answers to
// one request the first counts.
func (in Inbound) Respond(payload ...[]byte) {
	n := payloadSize(payload)
	if n > in.link.limit {
		in.Refuse(cluster.Errorf(cluster.KindTooLarge, "answer of %d bytes, at most %d", n, in.link.limit))
		return
	}
	in.link.post(outgoing{
		head:    frameHead{size: n, kind: in.Kind, flags: flagAnswer, group: in.Group, id: in.id},
		payload: payload,
	})
}

// Refuse answers with an error, which reaches the caller as a *cluster.Error.
func (in Inbound) Refuse(err error) {
	b := AppendError(nil, err)
	in.link.post(outgoing{
		head:    frameHead{size: len(b), kind: in.Kind, flags: flagAnswer | flagRefused, group: in.Group, id: in.id},
		payload: [][]byte{b},
	})
}

// Gone is closed when the connection the request came on has ended, so that nobody waits for the answer.
func (in Inbound) Gone() <-chan struct{} { return in.link.done }

// inbox hands the requests of one connection to their handlers: those of one group in order, groups beside each
// other, one goroutine for each group that has something waiting. What waits or runs is bounded in bytes; beyond
// that the reader stops, and with it, through TCP, the peer.
type inbox struct {
	mu     sync.Mutex
	room   sync.Cond // bytes fell, or closed
	limit  int64
	bytes  int64                       // guarded by mu
	lanes  map[cluster.GroupID]*[]task // running lanes and what waits in them; guarded by mu
	closed bool                        // guarded by mu
}

type task struct {
	fn Handler
	in Inbound
}

func (b *inbox) init(limit int64) {
	b.limit = limit
	b.room.L = &b.mu
	b.lanes = map[cluster.GroupID]*[]task{}
}

// put queues a request, waiting for room.
func (b *inbox) put(t *Transport, fn Handler, in Inbound) {
	size := int64(len(in.Payload)) + frameHeader
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.bytes > 0 && b.bytes+size > b.limit && !b.closed {
		b.room.Wait()
	}
	if b.closed {
		return
	}
	b.bytes += size
	if waiting := b.lanes[in.Group]; waiting != nil {
		*waiting = append(*waiting, task{fn, in})
		return
	}
	lane := &[]task{{fn, in}}
	b.lanes[in.Group] = lane
	if !t.spawn(func() { b.drain(in.Group, lane) }) {
		delete(b.lanes, in.Group)
		b.bytes -= size
	}
}

// drain runs a lane until nothing waits in it.
func (b *inbox) drain(group cluster.GroupID, lane *[]task) {
	for {
		b.mu.Lock()
		if len(*lane) == 0 || b.closed {
			delete(b.lanes, group)
			b.mu.Unlock()
			return
		}
		tasks := *lane
		*lane = nil
		b.mu.Unlock()
		for i := range tasks {
			b.handle(&tasks[i])
		}
	}
}

func (b *inbox) handle(k *task) {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if !closed {
		k.fn(k.in)
	}
	b.mu.Lock()
	b.bytes -= int64(len(k.in.Payload)) + frameHeader
	b.room.Signal()
	b.mu.Unlock()
	*k = task{}
}

// close drops what waits: its caller was told that the outcome is unknown.
func (b *inbox) close() {
	b.mu.Lock()
	b.closed = true
	b.room.Broadcast()
	b.mu.Unlock()
}
