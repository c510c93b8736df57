package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/internal/auth"
)

// Server serves any number of listeners. Every goroutine it starts has ended when Drain or Close has returned.
type Server struct {
	config   Config
	services Services
	// ctx ends with Close; the connections' contexts stem from it.
	ctx    context.Context
	cancel context.CancelFunc
	// open counts connections, and mails that are still being handled when their connection is gone.
	open sync.WaitGroup

	mu        sync.Mutex
	conns     map[*conn]struct{}    // guarded by mu
	remotes   map[netip.Prefix]int  // guarded by mu
	listeners map[net.Listener]bool // guarded by mu
	draining  bool                  // guarded by mu
	secured   map[Service]*secured  // guarded by mu; where connections go on inside TLS
	// engines are those of secured.
	engines sync.WaitGroup
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
	s := &Server{config: config, services: services, conns: make(map[*conn]struct{}),
		remotes: make(map[netip.Prefix]int), listeners: make(map[net.Listener]bool), secured: make(map[Service]*secured)}
	s.ctx, s.cancel = context.WithCancel(context.Background()) // Serve has no caller's context: Drain and Close end it
	return s, nil
}

// Serve answers on l until it is closed, by the caller or by Drain or Close, which is no error. It closes l and does
// not wait for connections: Drain and Close do.
func (s *Server) Serve(l net.Listener, service Service) error {
	if service == Submissions && s.config.TLS == nil {
		return errors.Join(errors.New("smtp: TLS from the start needs a TLS configuration"), l.Close())
	}
	if !s.addListener(l) {
		return l.Close()
	}
	defer s.removeListener(l)
	engine := s.engine(service)
	if service == Submissions {
		engine = s.insideTLS(service)
	}
	err := engine.Serve(&listener{Listener: l, server: s, service: service})
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve smtp: %w", err)
	}
	return nil
}

// engine is go-smtp set up for one service.
func (s *Server) engine(service Service) *smtp.Server {
	e := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return s.newSession(c) }))
	e.Domain, e.LMTP = s.config.Host, service == LMTP
	e.MaxMessageBytes, e.MaxRecipients, e.MaxLineLength = s.config.MaxMessage, s.config.MaxRecipients, s.config.MaxLine
	e.ReadTimeout, e.WriteTimeout = s.config.Idle, s.config.Idle
	e.EnableSMTPUTF8 = true // MT-PRIORITY and BY stay off: the library takes them on RCPT, not on MAIL
	e.AllowInsecureAuth = s.config.AllowPlaintext
	e.TLSConfig = s.config.TLS
	e.ErrorLog = engineLog{s.services.Log}
	return e
}

// engineLog gives the library's complaints a level: clients that go away are none of an operator's business.
type engineLog struct{ log *slog.Logger }

// Printf implements smtp.Logger.
func (l engineLog) Printf(format string, v ...any) {
	if strings.HasPrefix(format, "panic") {
		l.log.Error("session panicked", "code", "SM-1003", "text", fmt.Sprintf(format, v...))
		return
	}
	l.log.Debug("engine", "text", fmt.Sprintf(format, v...))
}

// Println implements smtp.Logger.
func (l engineLog) Println(v ...any) { l.log.Debug("engine", "text", fmt.Sprint(v...)) }

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.listeners[l] = true
	return true
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	_ = l.Close() // closed before in most cases
}

// Connections is the number of connections served now.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Drain closes the listeners, tells clients between two mails 421, lets the mails under way be answered, and waits
// for the connections. When ctx ends first, what is left is cut and ctx's error returned.
func (s *Server) Drain(ctx context.Context) error {
	for _, c := range s.stopAccepting() {
		c.drain()
	}
	done := make(chan struct{})
	go func() {
		s.open.Wait()
		s.endSecured()
		close(done)
	}()
	select {
	case <-done:
		s.cancel()
		return nil
	case <-ctx.Done():
		s.cut()
		<-done
		return ctx.Err()
	}
}

// EndSessions ends the sessions of whom over names, when no mail of theirs is under way, and returns how many.
func (s *Server) EndSessions(over func(*auth.Principal) bool) int {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	ended := 0
	for _, c := range conns {
		if p := c.user.Load(); p != nil && over(p) {
			c.drain()
			ended++
		}
	}
	return ended
}

// Close cuts all connections and waits for what they had under way to end.
func (s *Server) Close() error {
	s.stopAccepting()
	s.cut()
	s.open.Wait()
	s.endSecured()
	return nil
}

func (s *Server) stopAccepting() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for l := range s.listeners {
		_ = l.Close() // Serve sees it
	}
	return slices.Collect(maps.Keys(s.conns))
}

func (s *Server) cut() {
	s.cancel()
	for _, c := range s.stopAccepting() {
		c.cut()
	}
}

// listener hands go-smtp the connections that are within the limits.
type listener struct {
	net.Listener
	server  *Server
	service Service
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		nc := raw
		if l.service == Submissions {
			nc = tls.Server(raw, l.server.config.TLS)
		}
		c := newConn(l.server, l.service, nc)
		refusal := l.server.admit(c)
		if refusal == nil {
			return c, nil
		}
		l.refuse(raw, refusal)
	}
}

// refuse says in one line why a client is not served; one that expects TLS would see noise.
func (l *listener) refuse(raw net.Conn, r *smtp.SMTPError) {
	l.server.services.Events.answered(l.service, "CONNECT", r.Code)
	if l.service != Submissions {
		_ = raw.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = raw.Write(line(r)) // best effort
	}
	_ = raw.Close()
}

func line(r *smtp.SMTPError) []byte {
	return fmt.Appendf(nil, "%d %d.%d.%d %s\r\n", r.Code, r.EnhancedCode[0], r.EnhancedCode[1], r.EnhancedCode[2], r.Message)
}

// admit counts c in, unless that passes a limit.
func (s *Server) admit(c *conn) *smtp.SMTPError {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining:
		return refusals.closing
	case len(s.conns) >= s.config.MaxConnections:
		return refusals.nodeFull
	case c.service != LMTP && s.remotes[c.prefix] >= s.config.MaxPerRemote:
		return refusals.remoteFull
	}
	s.conns[c] = struct{}{}
	if c.service != LMTP {
		s.remotes[c.prefix]++
	}
	s.open.Add(1)
	if f := s.services.Events.Connected; f != nil {
		f(c.service)
	}
	return nil
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if c.service != LMTP {
		if s.remotes[c.prefix]--; s.remotes[c.prefix] <= 0 {
			delete(s.remotes, c.prefix)
		}
	}
	s.mu.Unlock()
	if f := s.services.Events.Disconnected; f != nil {
		f(c.service)
	}
	s.open.Done()
}
