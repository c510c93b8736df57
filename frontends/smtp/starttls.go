package smtp

import (
	"crypto/tls"
	"net"
	"sync"

	"github.com/emersion/go-smtp"
)

// secured is a listener whose connections come from STARTTLS. Nothing that was said before counts inside TLS (RFC 3207
// 4.2), so an engine that knows of no other begins a conversation there.
type secured struct {
	conns chan *conn
	ended chan struct{}
	once  sync.Once
}

// Accept implements net.Listener.
func (l *secured) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *secured) Close() error {
	l.once.Do(func() { close(l.ended) })
	return nil
}

// Addr implements net.Listener; nobody dials it.
func (l *secured) Addr() net.Addr { return &net.TCPAddr{} }

// insideTLS is an engine for connections that are TLS already: it offers no other, and lets users sign in.
func (s *Server) insideTLS(service Service) *smtp.Server {
	e := s.engine(service)
	e.TLSConfig, e.AllowInsecureAuth = nil, true
	return e
}

// goOn begins TLS on a connection whose engine has taken up STARTTLS and is gone. It is the same connection to all who
// count.
func (s *Server) goOn(old *conn) error {
	c := newConn(s, old.service, tls.Server(old.Conn, s.config.TLS))
	c.silent = true
	l := s.replace(old, c)
	select {
	case l.conns <- c:
		return nil
	case <-s.ctx.Done():
		return c.Close()
	}
}

// replace puts a connection in the place of another, and returns where it goes on.
func (s *Server) replace(old, c *conn) *secured {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.draining = s.draining
	delete(s.conns, old)
	s.conns[c] = struct{}{}
	l := s.secured[c.service]
	if l == nil {
		l = &secured{conns: make(chan *conn), ended: make(chan struct{})}
		s.secured[c.service] = l
		engine := s.insideTLS(c.service)
		s.engines.Go(func() { _ = engine.Serve(l) }) // it ends with l
	}
	return l
}

// endSecured ends what serves connections inside TLS. There are none left.
func (s *Server) endSecured() {
	s.mu.Lock()
	for _, l := range s.secured {
		_ = l.Close() // never fails
	}
	s.mu.Unlock()
	s.engines.Wait()
}
