package transport

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// StreamHandler receives a stream, which is closed when it returns. ctx ends when the transport closes.
type StreamHandler func(ctx context.Context, s *Stream)

// CallHandler receives a call connection, which is closed when it returns. ctx ends when the transport closes.
type CallHandler func(ctx context.Context, c *CallConn)

// HandleStreams registers who receives streams, before Start.
func (t *Transport) HandleStreams(fn StreamHandler) {
	t.mustNotHaveStarted("a stream handler is registered")
	t.streams = fn
}

// HandleCalls registers who receives call connections, before Start.
func (t *Transport) HandleCalls(fn CallHandler) {
	t.mustNotHaveStarted("a call handler is registered")
	t.calls = fn
}

// Stream is a snapshot's own connection: bytes both ways. The sender writes, calls CloseWrite and reads the
// answer up to io.EOF; the receiver reads up to io.EOF, which only a CloseWrite of the sender gives (anything
// else is io.ErrUnexpectedEOF, wrapped, or worse), then answers in the same way. One goroutine may read while one writes.
type Stream struct {
	// Peer is the node at the other end, Incarnation its process.
	Peer        cluster.NodeID
	Incarnation uint64
	// Group and Header are what OpenStream was given.
	Group  cluster.GroupID
	Header []byte

	conn  *tls.Conn
	wire  *wire
	peer  *peer
	close sync.Once
}

// OpenStream dials a stream. ctx covers the dial and handshake only. Header, at most 64 KiB, comes with it.
func (t *Transport) OpenStream(ctx context.Context, node cluster.NodeID, group cluster.GroupID, header []byte) (*Stream, error) {
	if len(header) > maxHeader {
		return nil, cluster.Errorf(cluster.KindTooLarge, "stream header of %d bytes, at most %d", len(header), maxHeader)
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.DialTimeout)
	defer cancel()
	p := t.peer(node)
	o, err := t.open(ctx, p, hello{class: classStream, group: group, header: header}, alpnRaft)
	if err != nil {
		return nil, unavailable(node, err)
	}
	s := t.newStream(p, o)
	s.Group, s.Header = group, header
	return s, nil
}

func (t *Transport) newStream(p *peer, o opened) *Stream {
	return &Stream{Peer: p.id, Incarnation: o.incarnation, conn: o.conn, wire: o.wire, peer: p}
}

// Read reads what the other end wrote.
func (s *Stream) Read(b []byte) (int, error) {
	n, err := s.conn.Read(b)
	if err != io.EOF {
		err = s.explain(err)
	}
	return n, err
}

// Write writes to the other end.
func (s *Stream) Write(b []byte) (int, error) {
	n, err := s.conn.Write(b)
	return n, s.explain(err)
}

func (s *Stream) explain(err error) error {
	if err == nil {
		return nil
	}
	return s.wire.explain(err)
}

// CloseWrite says that nothing more will be written, and that all was meant.
func (s *Stream) CloseWrite() error { return s.explain(s.conn.CloseWrite()) }

// SetDeadline bounds reads and writes to come.
func (s *Stream) SetDeadline(at time.Time) error { return s.conn.SetDeadline(at) }

// Close ends the stream at once. Without CloseWrite before it the other end sees an error.
func (s *Stream) Close() error {
	s.close.Do(func() {
		s.peer.disown(s.wire)
		s.wire.kill(net.ErrClosed)
	})
	return nil
}

// CallConn is a connection for calls between two nodes; cluster/rpc gives it meaning. It is closed by the
// transport when the peer falls silent or is replaced by another process.
type CallConn struct {
	net.Conn
	// Peer is the node at the other end, Incarnation its process.
	Peer        cluster.NodeID
	Incarnation uint64

	wire  *wire
	peer  *peer
	close sync.Once
}

// DialCall opens a call connection.
func (t *Transport) DialCall(ctx context.Context, node cluster.NodeID) (*CallConn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.DialTimeout)
	defer cancel()
	p := t.peer(node)
	o, err := t.open(ctx, p, hello{class: classCall}, alpnCall)
	if err != nil {
		return nil, unavailable(node, err)
	}
	return t.newCallConn(p, o), nil
}

func (t *Transport) newCallConn(p *peer, o opened) *CallConn {
	return &CallConn{Conn: o.conn, Peer: p.id, Incarnation: o.incarnation, wire: o.wire, peer: p}
}

// Close closes the connection at once.
func (c *CallConn) Close() error {
	c.close.Do(func() {
		c.peer.disown(c.wire)
		c.wire.kill(net.ErrClosed)
	})
	return nil
}

// Cause is why the transport closed the connection, nil if it did not.
func (c *CallConn) Cause() error { return c.wire.explain(nil) }
