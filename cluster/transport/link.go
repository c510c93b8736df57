package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/flotilla-mail/flotilla/cluster"
)

// recordSize is the most one TLS record holds; frames are gathered into whole records.
const recordSize = 16 << 10

// link is one frame connection: requests go from the end that dialled, answers come back. A writer goroutine
// drains the queue and flushes when it is empty, so frames of all groups that wait together leave together; a
// reader goroutine hands out what comes.
type link struct {
	t           *Transport
	peer        *peer
	class       Class
	dialled     bool
	incarnation uint64 // the peer's
	version     uint16
	conn        *tls.Conn
	wire        *wire
	limit       int                 // of a payload
	window      *semaphore.Weighted // bytes of requests queued or unanswered; of the dialling end
	wake        chan struct{}
	done        chan struct{} // closed by fail
	pinging     atomic.Bool   // a ping is queued
	beating     atomic.Bool   // the writer will be woken at the next beat

	mu      sync.Mutex
	queue   []outgoing       // guarded by mu
	answers int64            // bytes of answers in queue; guarded by mu
	calls   map[uint64]*Call // guarded by mu
	lastID  uint64           // guarded by mu
	err     error            // why the link ended; guarded by mu

	inbox inbox // of the accepting end
}

type outgoing struct {
	head    frameHead
	payload [][]byte
	call    *Call // nil for answers and pings
}

func (t *Transport) newLink(p *peer, o opened, class Class, dialled bool) *link {
	l := &link{
		t: t, peer: p, class: class, dialled: dialled,
		incarnation: o.incarnation, version: o.version,
		conn: o.conn, wire: o.wire,
		limit:  t.cfg.MaxFrame,
		window: semaphore.NewWeighted(t.cfg.Window),
		wake:   make(chan struct{}, 1),
		done:   make(chan struct{}),
		calls:  map[uint64]*Call{},
	}
	if class == Control {
		l.limit = t.cfg.MaxControlFrame
	}
	l.inbox.init(t.cfg.Window)
	return l
}

// run starts reader and writer. When the transport is closing the link fails instead.
func (l *link) run() {
	l.wire.startGathering()
	if !l.t.spawn(l.write) || !l.t.spawn(l.read) {
		l.fail(errClosing)
	}
}

// send queues a request once the window has room.
func (l *link) send(ctx context.Context, m Message) (*Call, error) {
	n := payloadSize(m.Payload)
	size := min(int64(n)+frameHeader, l.t.cfg.Window)
	if m.NoWait {
		if !l.window.TryAcquire(size) {
			return nil, fmt.Errorf("%w: window of the %s connection to %s is full", cluster.ErrOverloaded, l.class, m.To)
		}
	} else if err := l.window.Acquire(ctx, size); err != nil {
		return nil, fmt.Errorf("%w: wait for the window of the %s connection to %s: %w",
			cluster.ErrOverloaded, l.class, m.To, err)
	}
	c := &Call{link: l, size: size, done: make(chan struct{})}
	c.holds.Store(2)
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		l.window.Release(size)
		return nil, unavailable(m.To, errLinkClosed)
	}
	l.lastID++
	c.id = l.lastID
	l.calls[c.id] = c
	head := frameHead{size: n, kind: m.Kind, group: m.Group, id: c.id}
	l.queue = append(l.queue, outgoing{head: head, payload: m.Payload, call: c})
	l.mu.Unlock()
	if m.Later {
		l.wakeLater()
	} else {
		l.wakeWriter()
	}
	return c, nil
}

// ping queues a ping unless one is still waiting. Its id is the stamp, which the answer brings back.
func (l *link) ping(now int64) {
	if l.pinging.Swap(true) {
		return
	}
	l.post(outgoing{head: frameHead{kind: kindPing, id: uint64(now)}})
}

// post queues an answer or a ping. A peer that asks but does not read what it is answered loses the connection.
func (l *link) post(o outgoing) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.answers += int64(o.head.size + frameHeader)
	over := l.answers > l.t.cfg.Window+int64(l.limit)
	l.queue = append(l.queue, o)
	l.mu.Unlock()
	if over {
		l.fail(errors.New("peer does not read its answers"))
		return
	}
	l.wakeWriter()
}

func (l *link) wakeWriter() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// wakeLater wakes the writer at the next beat, if nothing else does before.
func (l *link) wakeLater() {
	if l.beating.Swap(true) {
		return
	}
	time.AfterFunc(BeatEvery-time.Duration(time.Now().UnixNano())%BeatEvery, func() {
		l.beating.Store(false)
		l.wakeWriter()
	})
}

func (l *link) forget(id uint64) {
	l.mu.Lock()
	delete(l.calls, id)
	l.mu.Unlock()
}

// write is the writer goroutine.
func (l *link) write() {
	out := bufio.NewWriterSize(l.conn, recordSize)
	var batch []outgoing
	for {
		batch = l.take(batch)
		if len(batch) > 0 {
			if err := l.writeBatch(out, batch); err != nil {
				l.fail(fmt.Errorf("write: %w", err))
				return
			}
			continue
		}
		if err := l.flush(out); err != nil {
			l.fail(fmt.Errorf("write: %w", err))
			return
		}
		select {
		case <-l.wake:
		case <-l.done:
			return
		}
	}
}

// take swaps the queue for the emptied batch.
func (l *link) take(batch []outgoing) []outgoing {
	clear(batch)
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.queue
	l.queue, l.answers = batch[:0], 0
	return taken
}

func (l *link) flush(out *bufio.Writer) error {
	if err := out.Flush(); err != nil {
		return err
	}
	return l.wire.flush()
}

// writeBatch writes what is still wanted. One stamp serves the batch: it lies before all its bytes.
func (l *link) writeBatch(out *bufio.Writer, batch []outgoing) error {
	stamp := l.t.stamp()
	frames := uint64(0)
	var err error
	for i := range batch {
		o := &batch[i]
		wanted := o.call == nil || o.call.begin(stamp)
		if wanted && err == nil {
			frames++
			err = writeFrame(out, o)
		}
		if o.call != nil {
			o.call.release()
		}
		if o.head.kind == kindPing && l.dialled {
			l.pinging.Store(false)
		}
		o.payload = nil
	}
	l.t.stats.framesOut.Add(frames)
	l.t.stats.flushes.Add(1)
	return err
}

func writeFrame(out *bufio.Writer, o *outgoing) error {
	if out.Available() < frameHeader {
		if err := out.Flush(); err != nil {
			return err
		}
	}
	if _, err := out.Write(o.head.append(out.AvailableBuffer())); err != nil {
		return err
	}
	for _, p := range o.payload {
		if _, err := out.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// read is the reader goroutine.
func (l *link) read() {
	in := bufio.NewReaderSize(l.conn, recordSize)
	next := l.readRequest
	if l.dialled {
		next = l.readAnswer
	}
	var scratch []byte
	for {
		if cap(scratch) < frameHeader {
			scratch = make([]byte, recordSize)
		}
		head, err := readHead(in, scratch, l.limit)
		if err == nil {
			l.t.stats.framesIn.Add(1)
			err = next(in, head, scratch)
		}
		if err != nil {
			l.fail(fmt.Errorf("read: %w", err))
			return
		}
	}
}

// readAnswer takes one frame at the end that dialled.
func (l *link) readAnswer(in *bufio.Reader, head frameHead, _ []byte) error {
	if head.flags&flagAnswer == 0 {
		return errors.New("request on a connection that this node dialled")
	}
	if head.kind == kindPing {
		l.peer.pong(int64(head.id))
		_, err := in.Discard(head.size)
		return err
	}
	l.mu.Lock()
	c := l.calls[head.id]
	delete(l.calls, head.id)
	l.mu.Unlock()
	if c == nil {
		_, err := in.Discard(head.size)
		return err
	}
	payload := make([]byte, head.size)
	if _, err := io.ReadFull(in, payload); err != nil {
		c.fail(l.wire.explain(err))
		return err
	}
	if head.flags&flagRefused != 0 {
		c.answer(nil, DecodeError(payload))
		return nil
	}
	c.answer(payload, nil)
	return nil
}

// readRequest takes one frame at the end that accepted.
func (l *link) readRequest(in *bufio.Reader, head frameHead, scratch []byte) error {
	if head.flags&flagAnswer != 0 {
		return errors.New("answer on a connection that the peer dialled")
	}
	m := Inbound{
		From: l.peer.id, Incarnation: l.incarnation, Class: l.class,
		Group: head.group, Kind: head.kind, link: l, id: head.id,
	}
	if head.kind == kindPing {
		_, err := in.Discard(head.size)
		m.Respond()
		return err
	}
	h := l.t.handlers[head.kind]
	if h.fn == nil {
		_, err := in.Discard(head.size)
		m.Refuse(cluster.Errorf(cluster.KindNoMethod, "node %s knows no frame of kind %d", l.t.cfg.Node, head.kind))
		return err
	}
	if h.fast && head.size <= len(scratch) {
		m.Payload = scratch[:head.size]
	} else {
		m.Payload = make([]byte, head.size)
	}
	if _, err := io.ReadFull(in, m.Payload); err != nil {
		return err
	}
	if h.fast {
		h.fn(m)
		return nil
	}
	l.inbox.put(l.t, h.fn, m)
	return nil
}

// fail ends the link: every call is told, the connection is closed, the peer takes note. Only the first counts.
func (l *link) fail(err error) {
	err = l.wire.explain(err)
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	calls, queue := l.calls, l.queue
	l.calls, l.queue = map[uint64]*Call{}, nil
	l.mu.Unlock()
	l.wire.kill(err)
	close(l.done)
	for _, c := range calls {
		c.fail(err)
	}
	for _, o := range queue {
		if o.call != nil {
			o.call.release()
		}
	}
	l.inbox.close()
	l.peer.lost(l, err)
}
