package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
	"github.com/flotilla-mail/flotilla/internal/clock"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Mode says how a listener's connections begin.
type Mode int

const (
	// StartTLS connections begin in plain text.
	StartTLS Mode = iota
	// ImplicitTLS connections begin with the TLS handshake (RFC 8314).
	ImplicitTLS
)

// Server serves IMAP. Every goroutine it starts has ended when Close has returned.
type Server struct {
	config   Config
	services Services
	buffers  imapwire.Buffers
	commands map[string]*command
	sessions sync.WaitGroup

	mu        sync.Mutex
	conns     map[*conn]struct{}   // guarded by mu
	listeners map[net.Listener]int // guarded by mu
	perUser   map[mapi.GUID]int    // guarded by mu
	draining  bool                 // guarded by mu
}

// New makes a server; config's zero fields take their defaults.
func New(config Config, services Services) (*Server, error) {
	config = config.Defaults()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if services.Log == nil {
		services.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		config: config, services: services, commands: commandTable(),
		conns: map[*conn]struct{}{}, listeners: map[net.Listener]int{}, perUser: map[mapi.GUID]int{},
	}, nil
}

// ErrServerClosed is what Serve returns after Drain or Close.
var ErrServerClosed = errors.New("imap: server closed")

// Serve accepts connections until l fails or the server drains, and closes l. When ctx ends, all sessions it
// accepted end at once. It does not wait for sessions: Drain and Close do.
func (s *Server) Serve(ctx context.Context, l net.Listener, mode Mode) error {
	if mode == ImplicitTLS && s.config.TLS == nil {
		return errors.New("imap: implicit TLS without a TLS configuration")
	}
	if !s.addListener(l) {
		return errors.Join(ErrServerClosed, l.Close())
	}
	defer s.removeListener(l)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // Accept reports it
	defer stop()
	for {
		nc, err := l.Accept()
		if err == nil {
			s.start(ctx, nc, mode)
			continue
		}
		if s.isDraining() || ctx.Err() != nil {
			return ErrServerClosed
		}
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() && !isTransient(err) {
			return fmt.Errorf("accept: %w", err)
		}
		pause(ctx, 100*time.Millisecond)
	}
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.listeners[l]++
	return true
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	_ = l.Close() // closed before in most cases
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// start runs the session of one connection on its own goroutine.
func (s *Server) start(ctx context.Context, nc net.Conn, mode Mode) {
	c := &conn{net: nc, server: s, until: time.Now().Add(s.config.LoginTimeout)}
	s.mu.Lock()
	full := len(s.conns) >= s.config.MaxConnections
	refused := full || s.draining
	if !refused {
		s.conns[c] = struct{}{}
		s.sessions.Add(1)
	}
	s.mu.Unlock()
	if refused {
		refuse(nc, mode)
		return
	}
	go func() {
		defer s.sessions.Done()
		defer s.forget(c)
		s.run(ctx, c, mode)
	}()
}

// refuse tells a client in plain text why it is not served; a TLS client would only see noise.
func refuse(nc net.Conn, mode Mode) {
	if mode == StartTLS {
		_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = nc.Write([]byte("* BYE [UNAVAILABLE] Too many connections, try again later\r\n")) // best effort
	}
	_ = nc.Close()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.close() // the peer may have gone first
}

func (s *Server) run(ctx context.Context, c *conn, mode Mode) {
	call(s.services.Events.Connected)
	defer call(s.services.Events.Disconnected)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.close() })
	defer stop()
	if mode == ImplicitTLS {
		if err := c.handshake(ctx, s.config.TLS); err != nil {
			return
		}
	}
	newSession(s, c).serve(ctx)
}

func call(f func()) {
	if f != nil {
		f()
	}
}

// signIn counts a session of user, unless he has too many.
func (s *Server) signIn(user mapi.GUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.perUser[user] >= s.config.MaxPerUser {
		return false
	}
	s.perUser[user]++
	return true
}

func (s *Server) signOut(user mapi.GUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.perUser[user]--; s.perUser[user] <= 0 {
		delete(s.perUser, user)
	}
}

// Connections is the number of connections served now.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Drain closes the listeners, says BYE to every session that is between two commands or in IDLE, lets running
// commands finish, and waits for the sessions. When ctx ends first, what is left is cut and ctx's error returned.
func (s *Server) Drain(ctx context.Context) error {
	for _, c := range s.stopAccepting() {
		c.drain()
	}
	done := make(chan struct{})
	go func() {
		s.sessions.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.cut()
		<-done
		return ctx.Err()
	}
}

// Close cuts all sessions and waits for them.
func (s *Server) Close() {
	s.stopAccepting()
	s.cut()
	s.sessions.Wait()
}

func (s *Server) stopAccepting() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for l := range s.listeners {
		_ = l.Close() // Serve sees it
	}
	return s.connsLocked()
}

func (s *Server) connsLocked() []*conn {
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

func (s *Server) cut() {
	s.mu.Lock()
	conns := s.connsLocked()
	s.mu.Unlock()
	for _, c := range conns {
		_ = c.close()
	}
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) { _ = clock.System{}.Sleep(ctx, d) }

// handshake puts TLS on the connection.
func (c *conn) handshake(ctx context.Context, config *tls.Config) error {
	ctx, cancel := context.WithDeadline(ctx, c.until)
	defer cancel()
	t := tls.Server(c.raw(), config)
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("tls handshake: %w", err)
	}
	c.replace(t)
	return nil
}
