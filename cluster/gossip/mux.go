package gossip

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

const maxUnknown = 64 // connections that have not said yet which pool they are for

// mux is the one port of both pools. Whatever arrives begins with memberlist's label; by it a packet or connection is
// handed to the pool of that name, without it, or dropped. A label is no proof: it is part of what each message is
// encrypted and authenticated with, so whoever lies about it is refused by the pool.
type mux struct {
	net     port
	ctx     context.Context // ends with the mux, and with it connections that have not named their pool
	cancel  context.CancelFunc
	refused func(label, from string)
	workers sync.WaitGroup
	slots   chan struct{}
	// cut drops what goes to an address; it is set by tests only.
	cut atomic.Pointer[func(addr string) bool]

	mu       sync.Mutex
	branches map[string]*branch // guarded by mu
}

// newMux takes the port. refused is told of what is for no pool here. The values of ctx are kept.
func newMux(ctx context.Context, net port, refused func(label, from string)) *mux {
	m := &mux{net: net, refused: refused, slots: make(chan struct{}, maxUnknown), branches: map[string]*branch{}}
	m.ctx, m.cancel = context.WithCancel(context.WithoutCancel(ctx))
	m.workers.Go(m.packets)
	m.workers.Go(m.streams)
	return m
}

// close ends the port; the pools have been closed before. The readers go on until the transport has ended, because it
// waits for what it has taken in to be taken off it.
func (m *mux) close() error {
	err := m.net.Shutdown()
	m.cancel()
	m.workers.Wait()
	return err
}

// branch makes the transport of the pool of that label.
func (m *mux) branch(label string) *branch {
	b := &branch{port: m.net, mux: m, label: label,
		incoming: make(chan *memberlist.Packet), connections: make(chan net.Conn)}
	b.ctx, b.cancel = context.WithCancel(m.ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.branches[label] = b
	return b
}

func (m *mux) find(label string) *branch {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.branches[label]
}

func (m *mux) packets() {
	for {
		select {
		case p := <-m.net.PacketCh():
			m.packet(p)
		case <-m.ctx.Done():
			return
		}
	}
}

func (m *mux) packet(p *memberlist.Packet) {
	rest, label, err := memberlist.RemoveLabelHeaderFromPacket(p.Buf)
	b := m.find(label)
	if err != nil || b == nil {
		m.refused(label, p.From.String())
		return
	}
	p.Buf = rest
	select {
	case b.incoming <- p:
	case <-b.ctx.Done():
	}
}

func (m *mux) streams() {
	for {
		select {
		case conn := <-m.net.StreamCh():
			m.take(conn)
		case <-m.ctx.Done():
			return
		}
	}
}

// take waits aside for the connection's label. There is room for so many that wait; a node tries again later.
func (m *mux) take(conn net.Conn) {
	select {
	case m.slots <- struct{}{}:
	default:
		m.refused("", conn.RemoteAddr().String())
		_ = conn.Close() // nothing was read or written
		return
	}
	m.workers.Go(func() {
		defer func() { <-m.slots }()
		m.stream(conn)
	})
}

func (m *mux) stream(conn net.Conn) {
	stop := context.AfterFunc(m.ctx, func() { _ = conn.Close() }) // to end the reading
	defer stop()
	if conn.SetReadDeadline(time.Now().Add(labelWait)) != nil {
		_ = conn.Close() // it is gone
		return
	}
	rest, label, err := memberlist.RemoveLabelHeaderFromStream(conn)
	b := m.find(label)
	if err != nil || b == nil {
		m.refused(label, conn.RemoteAddr().String())
		_ = conn.Close() // whoever called sees that he is not wanted
		return
	}
	select {
	case b.connections <- rest: // memberlist sets its own deadline
	case <-b.ctx.Done():
		_ = rest.Close() // the pool is gone
	}
}

// branch is the transport of one pool: it sends by the common sockets and gets what is labelled for it.
type branch struct {
	port
	mux         *mux
	label       string
	ctx         context.Context // ends with the pool, and with it what it has dialled
	cancel      context.CancelFunc
	incoming    chan *memberlist.Packet
	connections chan net.Conn
}

var _ memberlist.NodeAwareTransport = (*branch)(nil)

// PacketCh implements memberlist.Transport.
func (b *branch) PacketCh() <-chan *memberlist.Packet { return b.incoming }

// StreamCh implements memberlist.Transport.
func (b *branch) StreamCh() <-chan net.Conn { return b.connections }

// WriteTo implements memberlist.Transport.
func (b *branch) WriteTo(p []byte, addr string) (time.Time, error) {
	return b.WriteToAddress(p, memberlist.Address{Addr: addr})
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (b *branch) WriteToAddress(p []byte, a memberlist.Address) (time.Time, error) {
	if cut := b.mux.cut.Load(); cut != nil && (*cut)(a.Addr) {
		return time.Now(), nil
	}
	return b.port.WriteToAddress(p, a)
}

// DialTimeout implements memberlist.Transport.
func (b *branch) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return b.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout implements memberlist.NodeAwareTransport. The connection ends with the pool, so that closing it
// need not wait for a node that does not answer.
func (b *branch) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if cut := b.mux.cut.Load(); cut != nil && (*cut)(a.Addr) {
		return nil, net.ErrClosed
	}
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	defer cancel()
	conn, err := b.dial(ctx, a.Addr)
	if err != nil {
		return nil, err
	}
	return dialled{conn, context.AfterFunc(b.ctx, func() { _ = conn.Close() })}, nil
}

// Shutdown implements memberlist.Transport: the pool ends, the port stays.
func (b *branch) Shutdown() error {
	b.mux.mu.Lock()
	if b.mux.branches[b.label] == b {
		delete(b.mux.branches, b.label)
	}
	b.mux.mu.Unlock()
	b.cancel()
	return nil
}

// dialled is a connection that ends with its pool.
type dialled struct {
	net.Conn
	forget func() bool
}

// Close implements net.Conn.
func (d dialled) Close() error {
	d.forget()
	return d.Conn.Close()
}
