// Package smtp takes mail in: from the world (MX), from users (submission), and by LMTP.
//
// It knows the protocol, who may send under which address, and how a refusal reads; it never knows where a mailbox
// lives or how mail is stored: internal/mailflow does. Invariant: 250 is said only for recipients whose mail is on a
// majority's disks (DESIGN 1.10); no text of an internal error reaches a client.
// RFC 5321, RFC 2033, RFC 6409, RFC 4954.
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

// Service is what a listener is for.
type Service int

// The services.
const (
	MX          Service = iota // mail from elsewhere, for our addresses only
	Submission                 // mail of signed-in users; STARTTLS
	Submissions                // the same with TLS from the start
	LMTP                       // mail from an MTA of ours, an answer a recipient
)

// Config is what an administrator may set.
type Config struct {
	// Host is the name in the greeting.
	Host string
	// TLS enables STARTTLS, and Submissions.
	TLS *tls.Config
	// AllowPlaintext lets users sign in without TLS.
	AllowPlaintext bool
	// MaxMessage is in octets.
	MaxMessage     int64
	MaxRecipients  int
	MaxConnections int
	// Idle ends a connection that says nothing; it is also the longest pause inside a mail.
	Idle time.Duration
	// Store bounds the time from the end of a mail to its answer.
	Store time.Duration
}

// Defaults fills what is zero.
func (c Config) Defaults() Config {
	if c.MaxMessage == 0 {
		c.MaxMessage = exmdb.MaxMessage
	}
	if c.MaxRecipients == 0 {
		c.MaxRecipients = 1000
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 10_000
	}
	if c.Idle == 0 {
		c.Idle = 5 * time.Minute
	}
	if c.Store == 0 {
		c.Store = time.Minute
	}
	return c
}

// Validate reports what cannot work.
func (c Config) Validate() error {
	switch {
	case c.Host == "":
		return errors.New("smtp: the greeting needs a host name")
	case c.TLS == nil && !c.AllowPlaintext:
		return errors.New("smtp: nobody could sign in: neither TLS nor plain text is allowed")
	}
	return nil
}

// Events are called as things happen; every func may be nil.
type Events struct {
	// Done reports a mail that was answered: its recipients and the error of the answer.
	Done func(service Service, recipients int, octets int64, took time.Duration, err error)
}

// Services are what the server works with.
type Services struct {
	Mail   mailflow.Receiver
	Users  auth.Authenticator
	Log    *slog.Logger
	Events Events
}

// Server serves any number of listeners.
type Server struct {
	config   Config
	services Services

	mu       sync.Mutex
	engines  []*smtp.Server        // guarded by mu
	sessions map[*session]struct{} // guarded by mu
	draining bool                  // guarded by mu
	busy     sync.WaitGroup        // transactions whose answer is owed
}

// New makes a server.
func New(config Config, services Services) (*Server, error) {
	config = config.Defaults()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Server{config: config, services: services, sessions: make(map[*session]struct{})}, nil
}

// maxLine bounds a line of a command or a mail: mails with longer lines than RFC 5321 allows are common.
const maxLine = 1 << 20

// Serve answers on l until Close or Drain.
func (s *Server) Serve(l net.Listener, service Service) error {
	e := smtp.NewServer(backend{s, service})
	e.Domain, e.LMTP = s.config.Host, service == LMTP
	e.MaxMessageBytes, e.MaxRecipients, e.MaxLineLength = s.config.MaxMessage, s.config.MaxRecipients, maxLine
	e.ReadTimeout, e.WriteTimeout = s.config.Idle, s.config.Idle
	e.EnableSMTPUTF8, e.EnableDSN = true, true
	e.AllowInsecureAuth = s.config.AllowPlaintext
	e.TLSConfig = s.config.TLS
	e.ErrorLog = engineLog{s.services.Log}
	s.mu.Lock()
	s.engines = append(s.engines, e)
	s.mu.Unlock()
	if service == Submissions {
		l = tls.NewListener(l, s.config.TLS)
	}
	if err := e.Serve(l); err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve smtp: %w", err)
	}
	return nil
}

// engineLog gives the library's complaints a level.
type engineLog struct{ log *slog.Logger }

func (l engineLog) Printf(format string, v ...any) {
	l.log.Debug("smtp", "text", fmt.Sprintf(format, v...))
}
func (l engineLog) Println(v ...any) { l.log.Debug("smtp", "text", fmt.Sprint(v...)) }

// Drain lets the mails under way be answered and then ends all connections; clients between two mails get 421.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	for x := range s.sessions {
		x.interrupt()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.busy.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(err, s.Close())
}

// Close ends all connections at once.
func (s *Server) Close() error {
	s.mu.Lock()
	engines := s.engines
	s.engines = nil
	s.mu.Unlock()
	var errs []error
	for _, e := range engines {
		if err := e.Close(); err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

type backend struct {
	server  *Server
	service Service
}

// NewSession implements smtp.Backend.
func (b backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	remote, _, err := net.SplitHostPort(c.Conn().RemoteAddr().String())
	if err != nil {
		remote = c.Conn().RemoteAddr().String()
	}
	ctx, cancel := context.WithCancel(context.Background())
	x := &session{server: b.server, service: b.service, conn: c, remote: remote, ctx: ctx, cancel: cancel,
		log: b.server.services.Log.With("remote", remote)}
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	if b.server.draining {
		cancel()
		return nil, replies.closing
	}
	if len(b.server.sessions) >= b.server.config.MaxConnections {
		cancel()
		return nil, replies.tooManyConnections
	}
	b.server.sessions[x] = struct{}{}
	if b.service == LMTP {
		return lmtpSession{x}, nil
	}
	return x, nil
}

// session is one connection.
type session struct {
	server  *Server
	service Service
	conn    *smtp.Conn
	remote  string
	log     *slog.Logger
	ctx     context.Context // of the connection
	cancel  context.CancelFunc
	user    *auth.Principal

	env        mailflow.Envelope
	recipients []mailflow.Recipient
}

// interrupt makes an idle session notice that the server drains: its next read fails and the library says 421.
func (x *session) interrupt() { _ = x.conn.Conn().SetReadDeadline(time.Now()) }

// Reset implements smtp.Session.
func (x *session) Reset() { x.env, x.recipients = mailflow.Envelope{}, nil }

// Logout implements smtp.Session.
func (x *session) Logout() error {
	x.cancel()
	x.server.mu.Lock()
	delete(x.server.sessions, x)
	x.server.mu.Unlock()
	return nil
}

// AuthMechanisms implements smtp.AuthSession.
func (x *session) AuthMechanisms() []string {
	if x.service != Submission && x.service != Submissions {
		return nil
	}
	return []string{sasl.Plain, sasl.Login}
}

// Auth implements smtp.AuthSession.
func (x *session) Auth(mech string) (sasl.Server, error) {
	if x.AuthMechanisms() == nil {
		return nil, replies.noAuth
	}
	switch strings.ToUpper(mech) {
	case sasl.Plain:
		return sasl.NewPlainServer(x.signIn), nil
	case sasl.Login:
		return &loginServer{check: func(user, password string) error { return x.signIn("", user, password) }}, nil
	}
	return nil, replies.noMechanism
}

func (x *session) signIn(authorize, user, password string) error {
	ctx, cancel := context.WithTimeout(x.ctx, x.server.config.Store)
	defer cancel()
	p, err := x.server.services.Users.Authenticate(ctx, auth.Attempt{Protocol: auth.Submission, User: user,
		Password: password, Authorize: authorize, Remote: x.remote})
	if err != nil {
		x.log.Info("sign-in refused", "user", user, "err", err)
		return x.reply(err)
	}
	x.user = p
	return nil
}

// Mail implements smtp.Session.
func (x *session) Mail(from string, _ *smtp.MailOptions) error {
	if x.service == Submission || x.service == Submissions {
		if x.user == nil {
			return replies.authRequired
		}
		if !mayUse(x.user, from) {
			return replies.notYourAddress
		}
	}
	x.env = mailflow.Envelope{From: from, Helo: x.conn.Hostname(), Remote: x.remote, With: x.with()}
	if x.user != nil {
		x.env.User = x.user.Address
	}
	return nil
}

// mayUse reports whether an address is one of the user's own.
func mayUse(p *auth.Principal, from string) bool {
	for _, a := range p.Addresses {
		if strings.EqualFold(a, from) {
			return true
		}
	}
	return false
}

// with is the protocol as RFC 3848 names it.
func (x *session) with() string {
	name := "ESMTP"
	if x.service == LMTP {
		name = "LMTP"
	}
	if _, ok := x.conn.TLSConnectionState(); ok {
		name += "S"
	}
	if x.user != nil {
		name += "A"
	}
	return name
}

// Rcpt implements smtp.Session.
func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	ctx, cancel := context.WithTimeout(x.ctx, x.server.config.Store)
	defer cancel()
	r, err := x.server.services.Mail.Accept(ctx, &x.env, to)
	if err != nil {
		return x.reply(err)
	}
	x.recipients = append(x.recipients, r)
	return nil
}

// Data implements smtp.Session. One answer stands for all recipients: the mail is taken when it was stored for any of
// them and none is left that could be stored later.
func (x *session) Data(r io.Reader) error {
	results, err := x.take(r)
	if err != nil {
		return x.reply(err)
	}
	stored, first := 0, error(nil)
	for _, res := range results {
		switch {
		case res.Err == nil:
			stored++
		case first == nil || temporary(res.Err):
			first = res.Err
		}
		if res.Err != nil {
			x.log.Warn("recipient not served", "code", "SM-1001", "recipient", res.Recipient, "err", res.Err)
		}
	}
	if stored == 0 || first != nil && temporary(first) {
		if first != nil {
			return x.reply(first)
		}
	}
	return nil
}

// take reads the mail and stores it.
func (x *session) take(r io.Reader) ([]mailflow.Result, error) {
	x.server.busy.Add(1)
	defer x.server.busy.Done()
	start := time.Now()
	m, err := x.server.services.Mail.Receive(x.ctx, &pacedReader{r: r, conn: x.conn.Conn(), idle: x.server.config.Idle})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(x.ctx, x.server.config.Store)
	defer cancel()
	results := x.server.services.Mail.Deliver(ctx, &x.env, x.recipients, m)
	if done := x.server.services.Events.Done; done != nil {
		done(x.service, len(results), m.Size(), time.Since(start), nil)
	}
	return results, m.Close()
}

// pacedReader gives every read of a mail its own deadline: the library sets one for the whole of it.
type pacedReader struct {
	r    io.Reader
	conn net.Conn
	idle time.Duration
}

func (p *pacedReader) Read(b []byte) (int, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(p.idle)); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}

// lmtpSession answers for each recipient.
type lmtpSession struct{ *session }

// LMTPData implements smtp.LMTPSession.
func (x lmtpSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	results, err := x.take(r)
	if err != nil {
		return x.reply(err)
	}
	for _, res := range results {
		if res.Err == nil {
			status.SetStatus(res.Recipient, nil)
			continue
		}
		x.log.Warn("recipient not served", "code", "SM-1001", "recipient", res.Recipient, "err", res.Err)
		status.SetStatus(res.Recipient, x.reply(res.Err))
	}
	return nil
}

// loginServer is the LOGIN mechanism, which is older than any RFC: user name and password, each to a prompt.
type loginServer struct {
	check func(user, password string) error
	user  string
	step  int
}

// Next implements sasl.Server.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch l.step++; {
	case l.step == 1 && response == nil:
		return []byte("Username:"), false, nil
	case l.user == "":
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}
