package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/internal/auth"
)

// conn is a client's connection as go-smtp sees it, without TLS: where there is some, conn is above it. It keeps what the
// engine does not:
//
//   - replies are gathered and written when the engine is about to wait for input, one packet for a pipelined group;
//   - the engine gets one line at a time, and so has none of a mail's octets when it comes to the mail: dots reads them;
//   - the first failure to read is the last: the engine goes on after a timeout inside a BDAT chunk and would take
//     the rest of the chunk for commands;
//   - io.EOF never comes out of Read: the engine takes it for the proper end of a chunk;
//   - when the engine takes up STARTTLS, its conversation is over, and another begins inside TLS;
//   - deadlines: the engine sets one when it begins to wait for a command; while a mail arrives every read moves it;
//   - drain ends it where no mail is under way.
type conn struct {
	net.Conn
	server  *Server
	service Service
	secure  bool         // Conn is TLS
	silent  bool         // there is no greeting: TLS began in between
	remote  string       // address without port
	prefix  netip.Prefix // what MaxPerRemote counts
	ctx     context.Context
	cancel  context.CancelFunc
	closing sync.Once
	user    atomic.Pointer[auth.Principal] // who has signed in, nil before

	// write is held while the socket is written to; it orders this connection's output and is never taken under mu.
	write sync.Mutex
	out   []byte // guarded by write; replies not yet written
	said  int    // guarded by write; how many replies begin with 220
	over  bool   // guarded by write; the rest of what is said is not for the client

	mu       sync.Mutex
	helo     bool      // guarded by mu; greeted by HELO, not by EHLO
	inMail   bool      // guarded by mu; between MAIL and the answer to the mail's end
	transfer bool      // guarded by mu; octets of a mail are expected
	until    time.Time // guarded by mu; end of the time for the whole mail
	draining bool      // guarded by mu
	spoiled  bool      // guarded by mu; nothing more is read
	ahead    []byte    // guarded by mu; what was read and is not the engine's yet
	lined    bool      // guarded by mu; the engine has nothing behind the last line that it was given

	buf []byte // where lines are read into; only the engine reads lines
}

// farewell bounds the time in which the last replies may be written.
const farewell = 5 * time.Second

// gather is how many octets of replies wait for a read at most.
const gather = 4 << 10

var errGone = fmt.Errorf("connection is at its end: %w", net.ErrClosed) // the engine ends silently at net.ErrClosed

// timeoutError makes the engine say 421.
type timeoutError struct{}

func (timeoutError) Error() string   { return "timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func newConn(s *Server, service Service, raw net.Conn) *conn {
	c := &conn{Conn: raw, server: s, service: service}
	_, c.secure = raw.(*tls.Conn)
	c.remote = raw.RemoteAddr().String()
	if ap, err := netip.ParseAddrPort(c.remote); err == nil {
		addr := ap.Addr().Unmap().WithZone("")
		c.remote = addr.String()
		bits := addr.BitLen()
		if addr.Is6() {
			bits = 64
		}
		c.prefix = netip.PrefixFrom(addr, bits).Masked()
	}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	return c
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if n, err := c.unread(p); n > 0 || err != nil {
		return n, err
	}
	if len(p) > engineBuffer {
		return c.receive(p)
	}
	if c.buf == nil {
		c.buf = make([]byte, engineBuffer)
	}
	n, err := c.receive(c.buf)
	if err != nil {
		return 0, err
	}
	c.readAhead(c.buf[:n])
	return c.unread(p)
}

// engineBuffer is how much the engine asks for when it reads commands. For more it asks only inside a chunk of BDAT.
const engineBuffer = 4 << 10

func (c *conn) readAhead(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = b
}

// unread gives of what was read ahead: a line, or as much as is asked for inside a chunk.
func (c *conn) unread(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ahead) == 0 {
		if c.lined = false; c.spoiled {
			return 0, errGone
		}
		return 0, nil
	}
	b := c.ahead
	if i := bytes.IndexByte(b, '\n'); i >= 0 && len(p) <= engineBuffer {
		b = b[:i+1]
	}
	n := copy(p, b)
	c.lined = len(p) <= engineBuffer && bytes.HasSuffix(p[:n], []byte("\n"))
	c.ahead = c.ahead[n:]
	c.noteGreetingLocked(p[:n])
	return n, nil
}

// putBack makes octets the next to be read.
func (c *conn) putBack(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = append(bytes.Clone(b), c.ahead...)
}

// isLined reports whether the engine has read a line to its end and nothing behind it.
func (c *conn) isLined() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lined
}

// readMail reads octets of a mail, as many as there are.
func (c *conn) readMail(p []byte) (int, error) {
	if n, err := c.unread(p); n > 0 || err != nil {
		return n, err
	}
	return c.receive(p)
}

// receive reads from the network, once all replies are written.
func (c *conn) receive(p []byte) (int, error) {
	if err := c.flush(c.server.config.Idle); err != nil {
		c.spoil()
		return 0, errGone
	}
	if err := c.keepAlive(); err != nil {
		return 0, c.failed(err)
	}
	n, err := c.Conn.Read(p)
	if err != nil {
		return n, c.failed(err)
	}
	return n, nil
}

// failed is what the engine is told of a failed read, once; after that the connection is at its end.
func (c *conn) failed(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoiled = true
	var ne net.Error
	switch {
	case c.transfer:
		return refusals.cutOff // the engine shows plain errors to the client
	case errors.As(err, &ne) && ne.Timeout():
		return timeoutError{}
	}
	return errGone
}

// noteGreetingLocked looks for HELO: the engine does not tell it from EHLO, and a Received field does (RFC 3848).
func (c *conn) noteGreetingLocked(line []byte) {
	if len(line) < 4 || c.transfer || line[1] != 'e' && line[1] != 'E' && line[1] != 'h' && line[1] != 'H' {
		return
	}
	switch verb := strings.ToUpper(string(line[:4])); {
	case verb == "HELO":
		c.helo = true
	case verb == "EHLO":
		c.helo = false
	}
}

// Write implements net.Conn: it keeps p for the next flush. The first 220 is the greeting, the second takes up STARTTLS
// (RFC 3207 4), inside which there is no greeting.
func (c *conn) Write(p []byte) (int, error) {
	c.write.Lock()
	ready := bytes.HasPrefix(p, []byte("220 "))
	if ready {
		c.said++
	}
	if !c.over && !(ready && c.silent) {
		c.out = append(c.out, p...)
	}
	if ready && c.said > 1 {
		c.over = true
		c.spoil()
	}
	full := len(c.out) > gather
	c.write.Unlock()
	if full {
		if err := c.flush(c.server.config.Idle); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// flush writes what is kept.
func (c *conn) flush(limit time.Duration) error {
	c.write.Lock()
	defer c.write.Unlock()
	if len(c.out) == 0 {
		return nil
	}
	if err := c.Conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := c.Conn.Write(c.out)
	if c.out = c.out[:0]; cap(c.out) > gather {
		c.out = nil
	}
	return err
}

// SetReadDeadline implements net.Conn. The engine calls it when it begins to wait for a command.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining && !c.inMail {
		t = time.Unix(1, 0)
	}
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn. Writes are bounded by flush.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// Close implements net.Conn: the last replies are written first. After STARTTLS the connection goes on without the engine.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		c.cancel()
		_ = c.flush(farewell) // the client may have gone first
		if c.isOver() {
			err = c.server.goOn(c)
			return
		}
		err = c.Conn.Close()
		c.server.forget(c)
	})
	return err
}

func (c *conn) isOver() bool {
	c.write.Lock()
	defer c.write.Unlock()
	return c.over
}

// cut ends the connection without a word; the engine then closes it.
func (c *conn) cut() {
	c.cancel()
	nc := c.Conn
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn() // TLS would wait to say so
	}
	_ = nc.Close() // the client may have gone first
}

// drain ends the connection as soon as no mail is under way.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if !c.inMail {
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // fails when it is closed
	}
}

// spoil lets the replies that are due go out, and nothing more come in: not what was sent with it either.
func (c *conn) spoil() {
	c.mu.Lock()
	c.spoiled, c.ahead = true, nil
	c.mu.Unlock()
}

func (c *conn) isSpoiled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spoiled
}

func (c *conn) greetedByHELO() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.helo
}

// setMail says whether a mail is under way.
func (c *conn) setMail(inMail bool) {
	c.mu.Lock()
	c.inMail, c.transfer = inMail, false
	c.mu.Unlock()
}

// beginTransfer starts the clock of a mail's octets.
func (c *conn) beginTransfer() {
	c.mu.Lock()
	c.transfer, c.until = true, time.Now().Add(c.server.config.Transfer)
	c.mu.Unlock()
}

// keepAlive gives the client another Idle to go on with its mail, if one is arriving.
func (c *conn) keepAlive() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.transfer {
		return nil
	}
	t := time.Now().Add(c.server.config.Idle)
	if t.After(c.until) {
		t = c.until
	}
	return c.Conn.SetReadDeadline(t)
}

// watch looks out for the client's death until stop is called; then the context it returns ends. Nobody may read
// meanwhile. A client that has only finished sending (a pipe into nc) is not dead.
func (c *conn) watch(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	if c.flush(c.server.config.Idle) != nil {
		cancel()
		return ctx, cancel
	}
	_ = c.Conn.SetReadDeadline(time.Time{}) // if it fails, so does the read
	done := make(chan struct{})
	go func() {
		defer close(done)
		one := make([]byte, 1)
		n, err := c.Conn.Read(one)
		var ne net.Error
		switch {
		case n > 0:
			c.mu.Lock()
			c.ahead = append(slices.Clip(c.ahead), one...)
			c.mu.Unlock()
		case err != nil && !errors.Is(err, io.EOF) && !(errors.As(err, &ne) && ne.Timeout()):
			cancel()
		}
	}()
	return ctx, func() {
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // wakes the goroutine; a closed connection has
		<-done
		cancel()
	}
}

// connOf is the conn that the engine has.
func connOf(ec *smtp.Conn) *conn {
	c, _ := ec.Conn().(*conn)
	return c
}
