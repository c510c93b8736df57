package imap

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flotilla-mail/flotilla/internal/auth"
)

// conn is a client's connection with its deadlines. One goroutine reads; one at a time writes.
type conn struct {
	server *Server

	mu       sync.Mutex
	net      net.Conn // guarded by mu; replaced by STARTTLS
	waiting  bool     // guarded by mu; between two commands, or in IDLE
	draining bool     // guarded by mu
	closed   bool     // guarded by mu

	// user is who has signed in, nil before; over says that he may not go on as he did.
	user atomic.Pointer[auth.Principal]
	over atomic.Bool

	// flush writes out what the session has to say before a read may block; nil while another goroutine owns the
	// output (IDLE).
	flush func() error
	// patience is how long a client may stay silent between commands.
	patience time.Duration
	// until is when the time to sign in ends, the zero time once the client has. The session's goroutine sets it
	// before IDLE lends the connection.
	until time.Time
}

// errDrain ends a session whose server drains.
var errDrain = errors.New("server is shutting down")

func (c *conn) raw() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.net
}

func (c *conn) replace(nc net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.net = nc
}

func (c *conn) secure() bool {
	_, ok := c.raw().(*tls.Conn)
	return ok
}

// Read implements io.Reader for the session's buffer.
func (c *conn) Read(p []byte) (int, error) {
	if c.flush != nil {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	nc, err := c.beforeRead()
	if err != nil {
		return 0, err
	}
	n, err := nc.Read(p)
	if err != nil && c.isDraining() {
		return n, errDrain
	}
	return n, err
}

// beforeRead sets the deadline, unless the server drains and no command has begun: drain sets a deadline in the past
// under the same lock, so none of the two gets lost.
func (c *conn) beforeRead() (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting && c.draining {
		return nil, errDrain
	}
	limit := c.server.config.ReadTimeout
	if c.waiting {
		limit = c.patience
	}
	return c.net, c.net.SetReadDeadline(c.deadline(limit, 0))
}

// farewellTime is how long a client whose time to sign in is over may take to read that.
const farewellTime = time.Second

// deadline is limit from now, but not beyond the time to sign in and grace.
func (c *conn) deadline(limit, grace time.Duration) time.Time {
	at := time.Now().Add(limit)
	if last := c.until.Add(grace); !c.until.IsZero() && last.Before(at) {
		return last
	}
	return at
}

func (c *conn) isDraining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining && c.waiting
}

// setWaiting marks the time in which a drain may end the session.
func (c *conn) setWaiting(waiting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = waiting
}

func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if c.waiting {
		_ = c.net.SetReadDeadline(time.Unix(1, 0)) // the read fails either way
	}
}

// Write implements io.Writer for the session's encoder.
func (c *conn) Write(p []byte) (int, error) {
	nc := c.raw()
	if err := nc.SetWriteDeadline(c.deadline(c.server.config.WriteTimeout, farewellTime)); err != nil {
		return 0, err
	}
	return nc.Write(p)
}

func (c *conn) close() error {
	c.mu.Lock()
	nc, closed := c.net, c.closed
	c.closed = true
	c.mu.Unlock()
	if closed {
		return nil
	}
	return nc.Close()
}

// remote is the client's address without its port.
func (c *conn) remote() string {
	addr := c.raw().RemoteAddr()
	if addr == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return host
}

// isTransient tells the failures of Accept after which listening goes on.
func isTransient(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED) ||
		errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// isGone tells that the client hung up.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}
