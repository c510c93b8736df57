package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// Dialer opens call connections; *transport.Transport is one.
type Dialer interface {
	Node() cluster.NodeID
	Incarnation() uint64
	DialCall(ctx context.Context, node cluster.NodeID) (*transport.CallConn, error)
}

// use says what a session is for: calls do not wait behind the bytes of streams.
type use uint8

const (
	forCalls use = iota
	forStreams
	uses
)

// Client calls other nodes, and the own one without a network.
type Client struct {
	dialer Dialer
	local  *Server
	ctx    context.Context // ends with Close; dials run under it, since many callers wait for one
	cancel context.CancelFunc
	wg     sync.WaitGroup
	heads  heads

	mu     sync.Mutex
	nodes  map[cluster.NodeID]*[uses]*dial // guarded by mu
	closed bool                            // guarded by mu
}

// NewClient makes a Client. local answers calls to the own node; it may be nil where nothing is served.
func NewClient(d Dialer, local *Server) *Client {
	c := &Client{dialer: d, local: local, nodes: map[cluster.NodeID]*[uses]*dial{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close ends all sessions and waits for dials. Calls under way fail with KindUnknownOutcome.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	nodes := c.nodes
	c.nodes = map[cluster.NodeID]*[uses]*dial{}
	c.mu.Unlock()
	c.cancel()
	for _, ds := range nodes {
		for _, d := range ds {
			if d == nil {
				continue
			}
			<-d.done
			if d.s != nil {
				d.s.close()
			}
		}
	}
	c.wg.Wait()
}

// Call sends a request and waits for its answer. ctx's deadline travels with it as a duration, its end resets
// the exchange and ends the handler's context. req must not be changed until the handler is done with it; the
// answer is the caller's. An error of the handler comes as a *cluster.Error of the same kind.
func (c *Client) Call(ctx context.Context, node cluster.NodeID, m Method, req []byte) ([]byte, error) {
	if len(req) > MaxMessage {
		return nil, cluster.Errorf(cluster.KindTooLarge, "request %s of %d bytes, at most %d", m.Name, len(req), MaxMessage)
	}
	if err := ctx.Err(); err != nil {
		return nil, notRun(err)
	}
	if node == c.dialer.Node() {
		return c.callLocal(ctx, m, req)
	}
	for attempt := 0; ; attempt++ {
		s, err := c.session(ctx, node, forCalls)
		if err != nil {
			return nil, err
		}
		resp, err := c.exchange(ctx, s, m, req)
		if !errors.Is(err, errNotSent) {
			return resp, err
		}
		if attempt > 0 || ctx.Err() != nil {
			return nil, fmt.Errorf("%w: call %s of %s: %w", cluster.ErrUnavailable, m.Name, node, err)
		}
	}
}

// errNotSent marks a failure before the request could have been complete at the peer.
var errNotSent = errors.New("request was not sent")

func (c *Client) exchange(ctx context.Context, s *session, m Method, req []byte) ([]byte, error) {
	st, err := s.take()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotSent, s.cause(err))
	}
	stop := context.AfterFunc(ctx, func() { _ = st.SetDeadline(past()) })
	resp, answered, err := c.converse(ctx, s, st, m, req)
	if !stop() || !answered {
		s.drop(st)
		if !answered && ctx.Err() != nil && !errors.Is(err, errNotSent) && !errors.Is(err, cluster.ErrDeadline) {
			err = unknown(s.conn.Peer, m, ctx.Err())
		}
		return resp, err
	}
	s.give(st, len(resp))
	return resp, err
}

// converse is the exchange proper. answered tells that the stream is ready for the next.
func (c *Client) converse(ctx context.Context, s *session, st *yamux.Stream, m Method, req []byte) (resp []byte, answered bool, err error) {
	q, err := newRequest(ctx, m, formCall, len(req))
	if err != nil {
		return nil, false, err
	}
	if s.over() {
		return nil, false, fmt.Errorf("%w: %w", errNotSent, s.cause(yamux.ErrSessionShutdown))
	}
	buf := c.heads.get()
	err = writeJoined(st, q.append(*buf), req)
	c.heads.put(buf)
	if err != nil {
		return nil, false, unknown(s.conn.Peer, m, s.cause(err))
	}
	kind, resp, err := readMessage(st)
	switch {
	case err != nil:
		return nil, false, unknown(s.conn.Peer, m, s.cause(err))
	case kind == messageError:
		return nil, true, transport.DecodeError(resp)
	case kind != messageDone:
		return nil, false, unknown(s.conn.Peer, m, fmt.Errorf("answer of type %d", kind))
	}
	return resp, true, nil
}

func newRequest(ctx context.Context, m Method, form uint8, size int) (request, error) {
	q := request{size: size, method: m.ID, form: form}
	if at, ok := ctx.Deadline(); ok {
		q.timeout = min(time.Until(at), maxTimeout)
		if q.timeout < time.Microsecond {
			return q, notRun(context.DeadlineExceeded)
		}
	}
	return q, nil
}

func (c *Client) callLocal(ctx context.Context, m Method, req []byte) ([]byte, error) {
	if c.local == nil {
		return nil, cluster.Errorf(cluster.KindNoMethod, "node %s serves no calls", c.dialer.Node())
	}
	resp, err := c.local.call(ctx, c.self(), m.ID, req)
	if ctx.Err() != nil && err != nil {
		return nil, unknown(c.dialer.Node(), m, ctx.Err())
	}
	if err != nil {
		return nil, asSent(err)
	}
	return resp, nil
}

func (c *Client) self() Peer {
	return Peer{Node: c.dialer.Node(), Incarnation: c.dialer.Incarnation()}
}

// session returns the standing session of a node, or waits for one to be opened. Its error means that nothing
// was sent.
func (c *Client) session(ctx context.Context, node cluster.NodeID, u use) (*session, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, cluster.Errorf(cluster.KindUnavailable, "node %s is closing", c.dialer.Node())
	}
	ds := c.nodes[node]
	if ds == nil {
		ds = new([uses]*dial)
		c.nodes[node] = ds
	}
	if ds[u] == nil || !ds[u].live() {
		ds[u] = c.dialLocked(node)
	}
	d := ds[u]
	c.mu.Unlock()
	return d.wait(ctx)
}

func (c *Client) dialLocked(node cluster.NodeID) *dial {
	d := &dial{done: make(chan struct{})}
	c.wg.Go(func() {
		defer close(d.done)
		conn, err := c.dialer.DialCall(c.ctx, node)
		if err != nil {
			d.err = err
			return
		}
		d.s, d.err = newSession(conn)
	})
	return d
}
