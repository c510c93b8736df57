package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/yamux"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// Stream is one end of a conversation: messages of at most MaxMessage in order both ways, with back-pressure (a
// window of 1 MiB and one message at each end). One goroutine may send while one receives. It lives until its
// context ends, Close is called, or the connection is lost.
type Stream struct {
	end    carrier
	cancel context.CancelFunc // of the handler's context; nil at the caller's end
	in     chan []byte        // closed after final is set
	final  error              // what Recv returns at the end
	gone   chan struct{}      // closed by shut
	once   sync.Once
	over   atomic.Bool // the other end takes nothing more
	pumped sync.WaitGroup
	loss   func(error) error // what the end of the connection means at this end
	watch  func() bool       // ends the watch on the caller's context; nil at the handler's end
}

// carrier moves messages: a yamux stream, or a pair of queues within the node.
type carrier interface {
	send(kind uint8, payload []byte) error
	recv() (kind uint8, payload []byte, err error)
	// interrupt makes what waits in send or recv, and all to come, fail.
	interrupt()
	close()
}

var errStreamOver = errors.New("stream has ended")

func newStream(end carrier, cancel context.CancelFunc, loss func(error) error) *Stream {
	s := &Stream{end: end, cancel: cancel, in: make(chan []byte), gone: make(chan struct{}), loss: loss}
	s.pumped.Go(s.pump)
	return s
}

// pump reads ahead one message, so that the other end's last word, or its end, is seen while this one sends.
func (s *Stream) pump() {
	for s.final == nil {
		kind, payload, err := s.end.recv()
		switch {
		case err != nil:
			s.final = s.loss(err)
		case kind == messageDone:
			s.final = io.EOF
		case kind == messageError:
			s.final = transport.DecodeError(payload)
		default:
			select {
			case s.in <- payload:
			case <-s.gone:
				s.final = errStreamOver
			}
		}
	}
	close(s.in)
	if s.cancel == nil { // the handler has returned: nobody reads what is sent
		s.over.Store(true)
		s.end.interrupt()
		return
	}
	if s.final == io.EOF { // the caller sends no more but still listens: wait for its end
		_, _, _ = s.end.recv()
	}
	s.cancel()
}

// Send sends one message; msg may be reused after it. Where it fails because the conversation is over, Recv says
// why.
func (s *Stream) Send(msg []byte) error {
	if len(msg) > MaxMessage {
		return cluster.Errorf(cluster.KindTooLarge, "message of %d bytes, at most %d", len(msg), MaxMessage)
	}
	err := s.end.send(messageData, msg)
	if err != nil && s.over.Load() {
		return errStreamOver
	}
	if err != nil {
		return s.loss(err)
	}
	return nil
}

// Recv returns the next message. The end is io.EOF when the other end meant it (the handler returned nil, or the
// caller closed its sending side), else the handler's error, or one that says how the connection was lost.
func (s *Stream) Recv() ([]byte, error) {
	if msg, ok := <-s.in; ok {
		return msg, nil
	}
	return nil, s.final
}

// CloseSend tells the other end that no more messages come.
func (s *Stream) CloseSend() error {
	if err := s.end.send(messageDone, nil); err != nil {
		return s.loss(err)
	}
	return nil
}

// Close ends the conversation at once, and with it the handler's context if that still runs. The caller's end
// must always be closed.
func (s *Stream) Close() error {
	s.shut()
	return nil
}

func (s *Stream) shut() {
	s.once.Do(func() { close(s.gone) })
	if s.watch != nil {
		s.watch()
	}
	s.end.interrupt()
	s.pumped.Wait()
	s.end.close()
}

// muxEnd is a carrier over the network.
type muxEnd struct {
	st *yamux.Stream
	// drop closes the stream.
	drop func(*yamux.Stream)
	// stopped is set by interrupt: yamux minds a deadline only when it has nothing to hand out.
	stopped *atomic.Bool
}

func newMuxEnd(st *yamux.Stream, drop func(*yamux.Stream)) muxEnd {
	return muxEnd{st, drop, new(atomic.Bool)}
}

// closeStream is the drop of a stream that somebody else counts.
func closeStream(st *yamux.Stream) { st.Close() }

func (e muxEnd) send(kind uint8, payload []byte) error {
	head := appendMessageHead(make([]byte, 0, messageHead+min(len(payload), joinLimit)), kind, len(payload))
	return writeJoined(e.st, head, payload)
}

func (e muxEnd) recv() (uint8, []byte, error) {
	if e.stopped.Load() {
		return 0, nil, errStreamOver
	}
	return readMessage(e.st)
}

func (e muxEnd) interrupt() {
	e.stopped.Store(true)
	_ = e.st.SetDeadline(past())
}

func (e muxEnd) close() { e.drop(e.st) }

// localEnd is a carrier within the node.
type localEnd struct {
	in, out chan localMessage
	stop    chan struct{} // this end's own
	peer    chan struct{} // the other's
	once    *sync.Once
}

type localMessage struct {
	kind    uint8
	payload []byte
}

// localQueue is how many messages wait between two ends of one node.
const localQueue = 4

func localPair() (a, b localEnd) {
	there, back := make(chan localMessage, localQueue), make(chan localMessage, localQueue)
	stopA, stopB := make(chan struct{}), make(chan struct{})
	a = localEnd{in: back, out: there, stop: stopA, peer: stopB, once: new(sync.Once)}
	b = localEnd{in: there, out: back, stop: stopB, peer: stopA, once: new(sync.Once)}
	return a, b
}

func (e localEnd) send(kind uint8, payload []byte) error {
	select {
	case <-e.stop:
		return errStreamOver
	case <-e.peer:
		return errStreamOver
	default:
	}
	select {
	case e.out <- localMessage{kind, append([]byte{}, payload...)}:
		return nil
	case <-e.stop:
		return errStreamOver
	case <-e.peer:
		return errStreamOver
	}
}

func (e localEnd) recv() (uint8, []byte, error) {
	select {
	case m := <-e.in:
		return m.kind, m.payload, nil
	case <-e.stop:
		return 0, nil, errStreamOver
	case <-e.peer:
	}
	select { // what was sent before the other end went away
	case m := <-e.in:
		return m.kind, m.payload, nil
	default:
		return 0, nil, io.EOF
	}
}

func (e localEnd) interrupt() { e.once.Do(func() { close(e.stop) }) }
func (e localEnd) close()     { e.interrupt() }

// OpenStream begins a conversation. It lasts until ctx ends or Close; ctx's deadline travels along.
func (c *Client) OpenStream(ctx context.Context, node cluster.NodeID, m Method) (*Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, notRun(err)
	}
	if node == c.dialer.Node() {
		return c.openLocal(ctx, m)
	}
	ses, err := c.session(ctx, node, forStreams)
	if err != nil {
		return nil, err
	}
	q, err := newRequest(ctx, m, formStream, 0)
	if err != nil {
		return nil, err
	}
	st, err := ses.open()
	if err == nil {
		if _, err = st.Write(q.append(nil)); err != nil {
			ses.drop(st)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: stream %s of %s: %w", cluster.ErrUnavailable, m.Name, node, ses.cause(err))
	}
	end := newMuxEnd(st, ses.drop)
	s := newStream(end, nil, func(err error) error {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return unknown(node, m, ses.cause(err))
	})
	s.watch = context.AfterFunc(ctx, end.interrupt)
	return s, nil
}

func (c *Client) openLocal(ctx context.Context, m Method) (*Stream, error) {
	if c.local == nil {
		return nil, cluster.Errorf(cluster.KindNoMethod, "node %s serves no calls", c.dialer.Node())
	}
	near, far := localPair()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, cluster.Errorf(cluster.KindUnavailable, "node %s is closing", c.dialer.Node())
	}
	c.wg.Go(func() { c.local.hold(ctx, c.self(), m.ID, far) })
	s := newStream(near, nil, func(err error) error {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return unknown(c.dialer.Node(), m, err)
	})
	s.watch = context.AfterFunc(ctx, near.interrupt)
	return s, nil
}

// converse serves a conversation that came over the network.
func (s *Server) converse(ctx context.Context, from Peer, st *yamux.Stream, q request) {
	lim := s.limitsOf(from.Node)
	if !lim.calls.TryAcquire(1) {
		err := cluster.Errorf(cluster.KindOverloaded, "too many calls of one node")
		_ = newMuxEnd(st, closeStream).send(messageError, transport.AppendError(nil, err)) // it is refused either way
		return
	}
	defer lim.calls.Release(1)
	if q.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.timeout)
		defer cancel()
	}
	s.hold(ctx, from, q.method, newMuxEnd(st, closeStream))
}

// hold runs a stream's handler and sends its result as the last message.
func (s *Server) hold(ctx context.Context, from Peer, id uint16, end carrier) {
	r, ok := s.methods[id]
	if !ok || r.stream == nil {
		err := cluster.Errorf(cluster.KindNoMethod, "no stream has number %d here", id)
		_ = end.send(messageError, transport.AppendError(nil, err)) // a caller that is gone needs no answer
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st := newStream(end, cancel, func(err error) error {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("%w: caller %s: %w", cluster.ErrUnavailable, from.Node, err)
	})
	stop := context.AfterFunc(ctx, end.interrupt)
	err := r.stream(ctx, from, st)
	stop()
	kind, payload := messageDone, []byte(nil)
	if err != nil {
		kind, payload = messageError, transport.AppendError(nil, err)
	}
	_ = end.send(kind, payload) // a caller that is gone needs no answer
	st.shut()
}
