package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

const (
	// maxPending bounds connections that have not proved who they are.
	maxPending = 256
	// greetTimeout is how long they have for it.
	greetTimeout = 5 * time.Second
	// acceptPause is waited after a failed accept (no descriptors left), so as not to spin.
	acceptPause = 50 * time.Millisecond
)

// opened is a connection after a good handshake.
type opened struct {
	conn        *tls.Conn
	wire        *wire
	incarnation uint64
	version     uint16
}

// open dials a peer and goes through TLS and hello. The caller owns the connection; p knows of it.
func (t *Transport) open(ctx context.Context, p *peer, h hello, alpn string) (opened, error) {
	t.stats.dials.Add(1)
	raw, err := t.connect(ctx, p.id)
	if err != nil {
		return opened{}, fmt.Errorf("dial: %w", err)
	}
	w := &wire{Conn: raw, t: t, class: h.class}
	o, err := t.introduce(ctx, p, w, h, alpn)
	if err != nil {
		w.kill(err)
		return opened{}, fmt.Errorf("handshake: %w", err)
	}
	if err := p.adopt(w, o.incarnation); err != nil {
		w.kill(err)
		return opened{}, fmt.Errorf("%s connection to %s: %w", h.class, p.id, err)
	}
	if t.isClosed() {
		p.disown(w)
		w.kill(errClosing)
		return opened{}, errClosing
	}
	return o, nil
}

func (t *Transport) connect(ctx context.Context, node cluster.NodeID) (net.Conn, error) {
	addr, ok := t.cfg.Resolve(node)
	if !ok {
		return nil, errors.New("its address is not known")
	}
	if err := t.cfg.Faults.await(ctx, node); err != nil {
		return nil, err
	}
	raw, err := t.cfg.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return t.cfg.Faults.wrap(t, raw, node), nil
}

// introduce does TLS and the greeting on a connection that this node dialled.
func (t *Transport) introduce(ctx context.Context, p *peer, w *wire, h hello, alpn string) (opened, error) {
	stop := context.AfterFunc(ctx, func() { w.kill(ctx.Err()) })
	defer stop()
	conn := tls.Client(w, t.cfg.Credentials.client(p.id, alpn))
	if err := conn.HandshakeContext(ctx); err != nil {
		return opened{}, w.explain(err)
	}
	h.versions, h.incarnation = t.cfg.Versions, t.cfg.Incarnation
	h.cluster, h.from, h.to = t.cfg.Cluster, t.cfg.Node, p.id
	if _, err := conn.Write(h.encode()); err != nil {
		return opened{}, t.refusedBy(w.explain(err))
	}
	b, err := readGreeting(conn)
	if err != nil {
		return opened{}, t.refusedBy(w.explain(err))
	}
	answer, err := decodeWelcome(b)
	if err != nil {
		return opened{}, err
	}
	if answer.status != welcomeOK {
		return opened{}, fmt.Errorf("refused by %s: %w", p.id, answer.refusal())
	}
	if !stop() {
		return opened{}, ctx.Err()
	}
	return opened{conn: conn, wire: w, incarnation: answer.incarnation, version: answer.version}, nil
}

// refusedBy explains a TLS alert: in TLS 1.3 the listener's verdict on our certificate comes after our handshake
// is through, and without a reason.
func (t *Transport) refusedBy(err error) error {
	if strings.Contains(err.Error(), "remote error: tls") {
		return fmt.Errorf("%w (%w); %s", ErrCertificateRefused, err, t.cfg.Credentials.ownFault(time.Now()))
	}
	return err
}

// accept is the listener's goroutine.
func (t *Transport) accept(l net.Listener) {
	for {
		raw, err := l.Accept()
		switch {
		case t.isClosed():
			if err == nil {
				raw.Close()
			}
			return
		case err != nil:
			select {
			case <-time.After(acceptPause):
			case <-t.ctx.Done():
				return
			}
		case !t.admit(raw):
			t.reject(raw, "", errors.New("too many connections in handshake"))
		}
	}
}

// admit begins the greeting of an accepted connection.
func (t *Transport) admit(raw net.Conn) bool {
	t.stats.accepts.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.pending) >= maxPending {
		return false
	}
	t.pending[raw] = struct{}{}
	t.wg.Go(func() { t.greet(raw) })
	return true
}

func (t *Transport) reject(raw net.Conn, node cluster.NodeID, err error) {
	raw.Close()
	t.stats.rejected.Add(1)
	if !t.isClosed() {
		t.events.rejected(raw.RemoteAddr(), node, err)
	}
}

// greet finds out who an accepted connection is from and serves it.
func (t *Transport) greet(raw net.Conn) {
	w := &wire{Conn: t.cfg.Faults.wrap(t, raw, ""), t: t}
	p, h, o, err := t.receive(w)
	t.mu.Lock()
	delete(t.pending, raw)
	t.mu.Unlock()
	if err != nil {
		var node cluster.NodeID
		if p != nil {
			node = p.id
		}
		t.reject(w.Conn, node, err)
		return
	}
	switch {
	case t.isClosed():
		p.release(w)
		w.kill(errClosing)
	case h.class == classJoin:
		t.serveJoin(w, o.conn)
	default:
		t.dispatch(p, h, o)
	}
}

// receive does TLS and the greeting on an accepted connection.
func (t *Transport) receive(w *wire) (*peer, hello, opened, error) {
	ctx, cancel := context.WithTimeout(t.ctx, greetTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { w.kill(ctx.Err()) })
	defer stop()
	conn := tls.Server(w, t.cfg.Credentials.server())
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, hello{}, opened{}, fmt.Errorf("handshake: %w", t.refusedBy(w.explain(err)))
	}
	if conn.ConnectionState().NegotiatedProtocol == alpnJoin {
		return nil, hello{class: classJoin}, opened{conn: conn}, nil
	}
	_, node, err := identity(conn.ConnectionState().PeerCertificates[0])
	if err != nil {
		return nil, hello{}, opened{}, err
	}
	if f, ok := w.Conn.(*faultConn); ok {
		f.identify(node)
	}
	b, err := readGreeting(conn)
	if err != nil {
		return nil, hello{}, opened{}, fmt.Errorf("hello of %s: %w", node, w.explain(err))
	}
	h, err := decodeHello(b)
	if err != nil {
		return nil, hello{}, opened{}, err
	}
	answer := t.judge(h, node)
	var p *peer
	if answer.status == welcomeOK {
		p, answer = t.enrol(w, h, answer, conn.ConnectionState().NegotiatedProtocol)
	}
	if _, err := conn.Write(answer.encode()); err != nil {
		p.release(w)
		return nil, hello{}, opened{}, fmt.Errorf("welcome to %s: %w", node, w.explain(err))
	}
	if answer.status != welcomeOK {
		return nil, hello{}, opened{}, fmt.Errorf("%s: %w", node, answer.refusal())
	}
	if !stop() {
		p.release(w)
		return nil, hello{}, opened{}, ctx.Err()
	}
	return p, h, opened{conn: conn, wire: w, incarnation: h.incarnation, version: answer.version}, nil
}

// enrol ties a good hello's connection to its peer, or turns the welcome into a refusal.
func (t *Transport) enrol(w *wire, h hello, answer welcome, alpn string) (*peer, welcome) {
	if !t.serves(h.class, alpn) {
		answer.status = welcomeClass
		answer.text = fmt.Sprintf("%s takes no %s connection over %s", t.cfg.Node, h.class, alpn)
		return nil, answer
	}
	p := t.peer(h.from)
	w.class = h.class
	if err := p.adopt(w, h.incarnation); err != nil {
		switch answer.status = welcomeBusy; {
		case errors.Is(err, errVacant):
			answer.status = welcomeVacant
		case errors.Is(err, errReplaced):
			answer.status = welcomeGone
		}
		answer.text = fmt.Sprintf("%s connection from %s to %s: %v", h.class, h.from, t.cfg.Node, err)
		return nil, answer
	}
	return p, answer
}

func (t *Transport) serves(class Class, alpn string) bool {
	switch class {
	case Control, Bulk:
		return alpn == alpnRaft
	case classStream:
		return alpn == alpnRaft && t.streams != nil
	case classCall:
		return alpn == alpnCall && t.calls != nil
	}
	return false
}

func (p *peer) release(w *wire) {
	if p != nil {
		p.disown(w)
	}
}

// dispatch serves a connection by its class. It is the greeting goroutine's last act.
func (t *Transport) dispatch(p *peer, h hello, o opened) {
	switch h.class {
	case Control, Bulk:
		l := t.newLink(p, o, h.class, false)
		p.accept(l)
		l.run()
	case classStream:
		s := t.newStream(p, o)
		s.Group, s.Header = h.group, h.header
		t.streams(t.ctx, s)
		s.Close()
	case classCall:
		c := t.newCallConn(p, o)
		t.calls(t.ctx, c)
		c.Close()
	}
}
