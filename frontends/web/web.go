// Package web is the HTTPS host: it carries requests to the services that node mounts on it, signs people in for them,
// and sends plain HTTP to HTTPS.
//
// It knows HTTP, Basic authentication (RFC 7617) and limits; it never knows what a service answers, nor a mailbox.
// Invariants: a handler mounted as SignedIn never runs without a principal; no body beyond the limit reaches a
// handler; passwords are taken only over TLS, unless Config.AllowPlaintext says otherwise.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/flotilla-mail/flotilla/internal/auth"
)

// Access says who may call a route.
type Access uint8

// The kinds of access.
const (
	// SignedIn routes are called with the principal of the request's credentials. It is the zero value: a route that
	// says nothing is closed.
	SignedIn Access = iota
	// Open routes are called by anyone, with a nil principal.
	Open
)

// Handler answers a request. The principal is nil on Open routes and never on SignedIn ones.
type Handler func(w http.ResponseWriter, r *http.Request, p *auth.Principal)

// Config is how the host serves. Zero values take the defaults that the fields name.
type Config struct {
	// TLS is the server's side of TLS. Without it Serve works only with AllowPlaintext.
	TLS *tls.Config
	// AllowPlaintext admits service, and so sign-in, without TLS: for tests and loopback addresses.
	AllowPlaintext bool
	// HTTPSPort is where ServeRedirect sends clients: 443.
	HTTPSPort int
	// Realm is shown by clients that ask for a password: "Flotilla".
	Realm string
	// MaxBody is the largest request body in bytes: 1 MiB.
	MaxBody int64
	// MaxHeader is the largest request header in bytes: 64 KiB.
	MaxHeader int
	// MaxConns bounds the connections of each listener, further ones wait to be accepted: 10000.
	MaxConns int
	// ReadHeader, Read, Write and Idle bound a connection's phases: 10 s, 1 min, 5 min, 2 min. A handler that needs
	// longer moves its own deadlines with http.ResponseController.
	ReadHeader, Read, Write, Idle time.Duration
	Events                        Events
}

// Events are called as things happen; every func may be nil.
type Events struct {
	// Connected and Disconnected count connections.
	Connected, Disconnected func()
	// Answered reports a request: the pattern of its route, "none" where there is none, the status, and how long it took.
	Answered func(route string, status int, took time.Duration)
}

func (e *Events) connection(_ net.Conn, state http.ConnState) {
	switch {
	case state == http.StateNew && e.Connected != nil:
		e.Connected()
	case (state == http.StateClosed || state == http.StateHijacked) && e.Disconnected != nil:
		e.Disconnected()
	}
}

// Defaults fills in what is zero.
func (c *Config) Defaults() {
	orDefault(&c.HTTPSPort, 443)
	orDefault(&c.Realm, "Flotilla")
	orDefault(&c.MaxBody, 1<<20)
	orDefault(&c.MaxHeader, 64<<10)
	orDefault(&c.MaxConns, 10000)
	orDefault(&c.ReadHeader, 10*time.Second)
	orDefault(&c.Read, time.Minute)
	orDefault(&c.Write, 5*time.Minute)
	orDefault(&c.Idle, 2*time.Minute)
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Host serves the routes mounted on it. Mount all of them before Serve.
type Host struct {
	cfg      Config
	users    auth.Authenticator
	log      *slog.Logger
	mux      *http.ServeMux
	secure   *http.Server
	redirect *http.Server
}

// New makes a host without routes.
func New(cfg Config, users auth.Authenticator, log *slog.Logger) *Host {
	cfg.Defaults()
	h := &Host{cfg: cfg, users: users, log: log, mux: http.NewServeMux()}
	h.secure = h.server(h)
	if cfg.TLS != nil {
		h.secure.TLSConfig = cfg.TLS.Clone()
	}
	h.redirect = h.server(http.HandlerFunc(h.serveRedirect))
	return h
}

func (h *Host) server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: h.cfg.ReadHeader,
		ReadTimeout:       h.cfg.Read,
		WriteTimeout:      h.cfg.Write,
		IdleTimeout:       h.cfg.Idle,
		MaxHeaderBytes:    h.cfg.MaxHeader,
		ConnState:         h.cfg.Events.connection,
		// What net/http says are failed handshakes and broken clients: nothing to act on.
		ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
	}
}

// Handle mounts a handler under an http.ServeMux pattern, whatever the virtual host. Patterns are in lower case where
// clients write the path as they like: a path that matches nothing is tried again in lower case.
func (h *Host) Handle(pattern string, access Access, handle func(http.ResponseWriter, *http.Request, *auth.Principal)) {
	h.mux.Handle(pattern, &route{host: h, access: access, handle: handle})
}

// Serve answers on l, over TLS if there is any, until Close; it closes l.
func (h *Host) Serve(l net.Listener) error {
	l = netutil.LimitListener(l, h.cfg.MaxConns)
	var err error
	switch {
	case h.secure.TLSConfig != nil:
		err = h.secure.ServeTLS(l, "", "")
	case h.cfg.AllowPlaintext:
		err = h.secure.Serve(l)
	default:
		err = errors.Join(errors.New("no TLS, and plaintext is not admitted"), l.Close())
	}
	return served("serve https", err)
}

// ServeRedirect sends who comes to l, the plain port, to HTTPS, until Close; it closes l.
func (h *Host) ServeRedirect(l net.Listener) error {
	return served("serve http", h.redirect.Serve(netutil.LimitListener(l, h.cfg.MaxConns)))
}

func served(what string, err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Close stops listening and waits for the requests under way; those left when ctx ends are cut off. That a listener is closed already
// is what is wanted.
func (h *Host) Close(ctx context.Context) error {
	var errs []error
	for _, s := range []*http.Server{h.redirect, h.secure} {
		if err := s.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("requests cut off: %w", err), s.Close())
		}
	}
	return errors.Join(errs...)
}
