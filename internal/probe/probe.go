// Package probe is the clients that measure what users notice while a cluster changes under them.
//
// It knows enough of IMAP, SMTP and LMTP to use a mailbox again and again, and what each of them says when a server ends a
// session in order; it knows nothing of the cluster behind. Invariants: an operation is tried until it is answered, and
// its time is that of all tries; what a client has to do beyond one silent retry on a new connection is a failure; a mail
// is counted as stored only when that was acknowledged.
package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/internal/clock"
)

// Protocol is what a client speaks.
type Protocol string

// The protocols.
const (
	IMAP Protocol = "imap"
	SMTP Protocol = "smtp"
	LMTP Protocol = "lmtp"
)

// Client uses one mailbox until its context ends.
type Client struct {
	Protocol Protocol
	// Do, if it is set, is the operation of a protocol that has no connection of its own; Dial and what follows is not used then.
	Do func(ctx context.Context) error
	// Dial connects to whichever node the client would go to next.
	Dial func(ctx context.Context) (net.Conn, error)
	// Address is the mailbox's; Password is for IMAP.
	Address, Password string
	// Name tells the mails of clients apart: no two of one cluster have the same.
	Name string
	// Pause is how long the client rests between two operations.
	Pause time.Duration

	link     *link
	number   int
	finished atomic.Bool

	mu    sync.Mutex
	stats Stats // guarded by mu
}

// Stats is what a client has seen since somebody looked.
type Stats struct {
	// Operations have ended well. Stored are the mails among them; Unsure were sent again because their answer was lost,
	// and may be there twice where the protocol cannot tell.
	Operations, Stored, Unsure int
	// Moves is how often a session was ended in order, or a connection lost, and a new one did.
	Moves int
	// Longest is the longest that an operation took, with all tries: the gap that the client's user saw.
	Longest time.Duration
	// Failures are what a client's user would have been told.
	Failures []string
}

// maxFailures bounds Stats.Failures.
const maxFailures = 20

// Add joins what two clients have seen.
func (s *Stats) Add(o Stats) {
	s.Operations += o.Operations
	s.Stored += o.Stored
	s.Unsure += o.Unsure
	s.Moves += o.Moves
	s.Longest = max(s.Longest, o.Longest)
	s.Failures = append(s.Failures, o.Failures...)
}

// Take returns what was seen since the last Take.
func (c *Client) Take() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	c.stats = Stats{}
	return s
}

// Operations is how many operations have ended well since the last Take.
func (c *Client) Operations() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats.Operations
}

const (
	// answerTime is how long a client waits for one answer.
	answerTime = 15 * time.Second
	// retryPause is how long it waits before a try that is not silent any more.
	retryPause = 20 * time.Millisecond
)

// errGoodbye says that the server ended the session in its protocol's own words.
var errGoodbye = errors.New("the server said goodbye")

// Finish lets Run end after the operation that is under way, so that nothing is left of which nobody knows what became of it.
func (c *Client) Finish() { c.finished.Store(true) }

// Run works until Finish or until ctx ends. What was under way when ctx ended is not counted.
func (c *Client) Run(ctx context.Context) {
	defer c.hangUp()
	stop := context.AfterFunc(ctx, c.interrupt)
	defer stop()
	for ctx.Err() == nil && !c.finished.Load() {
		c.number++
		begun := time.Now()
		for try := 0; ; try++ {
			stored, err := c.try(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				c.note(stored, time.Since(begun))
				break
			}
			c.failed(ctx, try, err)
		}
		rest(ctx, c.Pause)
	}
}

// try performs one operation, on a new connection if there is none.
func (c *Client) try(ctx context.Context) (stored bool, err error) {
	if c.Do != nil {
		ctx, cancel := context.WithTimeout(ctx, answerTime)
		defer cancel()
		return false, c.Do(ctx)
	}
	if c.current() == nil {
		if err := c.connect(ctx); err != nil {
			return false, err
		}
	}
	l := c.current()
	if err := l.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return false, err
	}
	switch {
	case c.Protocol != IMAP:
		return true, l.deliver(c)
	case c.number%4 == 0:
		return true, l.append(c)
	}
	return false, l.status()
}

func (c *Client) note(stored bool, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Operations++
	if stored {
		c.stats.Stored++
	}
	c.stats.Longest = max(c.stats.Longest, took)
}

// failed notes a try that was not answered well. The first try on a connection that goes away is silent.
func (c *Client) failed(ctx context.Context, try int, err error) {
	l := c.current()
	unsure := l != nil && l.sent
	c.hangUp()
	c.mu.Lock()
	silent := try == 0 && moved(err)
	if silent {
		c.stats.Moves++
	} else if len(c.stats.Failures) < maxFailures {
		c.stats.Failures = append(c.stats.Failures, fmt.Sprintf("%s: %s: try %d: %v", c.Protocol, c.Name, try+1, err))
	}
	if unsure {
		c.stats.Unsure++
	}
	c.mu.Unlock()
	if !silent {
		rest(ctx, retryPause)
	}
}

// moved reports whether the connection went away, rather than that something was refused.
func moved(err error) bool {
	var lost net.Error
	return errors.Is(err, errGoodbye) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &lost) && !lost.Timeout()
}

func rest(ctx context.Context, d time.Duration) { _ = clock.System{}.Sleep(ctx, d) }

// link is one connection.
type link struct {
	conn net.Conn
	in   *bufio.Reader
	tag  int
	sent bool // a mail is out whose answer has not come
}

func (c *Client) connect(ctx context.Context) error {
	conn, err := c.Dial(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	l := &link{conn: conn, in: bufio.NewReader(conn)}
	err = conn.SetDeadline(time.Now().Add(answerTime))
	if err == nil {
		err = l.greet(c)
	}
	if err != nil {
		return errors.Join(err, ignoreClosed(conn.Close()))
	}
	c.mu.Lock()
	c.link = l
	c.mu.Unlock()
	if ctx.Err() != nil { // interrupt may have come before there was a link
		c.interrupt()
	}
	return nil
}

func (l *link) greet(c *Client) error {
	if c.Protocol == IMAP {
		return l.signIn(c.Address, c.Password)
	}
	return l.hello(c.Protocol == LMTP)
}

func (c *Client) current() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

// interrupt makes what waits for an answer fail.
func (c *Client) interrupt() {
	if l := c.current(); l != nil {
		_ = l.conn.SetDeadline(time.Unix(1, 0)) // it may be closed already
	}
}

func (c *Client) hangUp() {
	c.mu.Lock()
	l := c.link
	c.link = nil
	c.mu.Unlock()
	if l != nil {
		_ = l.conn.Close() // the server may have
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
