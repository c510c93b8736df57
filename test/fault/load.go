// Package fault sends mail into a cluster while its nodes are killed, frozen and cut off, and then counts: every
// acknowledged mail has to be in its mailbox exactly once, byte for byte, under the same UID on every node.
//
// It knows SMTP, LMTP and IMAP as a client does, and the processes of a dev cluster; it never looks inside a node.
package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/internal/dev"

	"github.com/flotilla-mail/flotilla/internal/clock"
)

// Mail is one mail that was sent.
type Mail struct {
	Number  int
	Mailbox string // user name
	Body    []byte // the octets as sent, CRLF line ends
}

// Load sends mails from many connections until at least Count are acknowledged and Finish was called.
type Load struct {
	Cluster     *dev.Cluster
	Mailboxes   int
	Connections int
	Count       int
	// First is how many mails were sent before, by another load: the numbers go on from there.
	First int
	Seed  uint64
	// Think is how long a client pauses after a mail until Finish, so that the load lasts as long as the faults do.
	Think time.Duration

	next     atomic.Int64
	finished atomic.Bool
	retries  atomic.Int64

	mu    sync.Mutex
	acked []*Mail // guarded by mu
}

// answerTime is how long a client waits for an answer before it tries the mail again elsewhere: less than a fault
// lasts, so that mails are sent again while the first try is still under way behind a frozen or cut-off node.
const answerTime = 3 * time.Second

// Run sends until all mails are acknowledged or ctx ends.
func (l *Load) Run(ctx context.Context) error {
	errs := make(chan error, l.Connections)
	for i := range l.Connections {
		go func() { errs <- (&worker{load: l, rng: rand.New(rand.NewPCG(l.Seed, uint64(i)))}).run(ctx) }()
	}
	var all []error
	for range l.Connections {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// Finish lets the load end once Count mails are acknowledged.
func (l *Load) Finish() { l.finished.Store(true) }

// Acked lists what was acknowledged.
func (l *Load) Acked() []*Mail {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Mail(nil), l.acked...)
}

// Progress is the number of acknowledged mails.
func (l *Load) Progress() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// Retries is how often a mail was sent again because its answer did not come or was a temporary refusal.
func (l *Load) Retries() int64 { return l.retries.Load() }

// mailsPerConnection is after how many mails a client goes on at the next node.
const mailsPerConnection = 8

// worker is one client: it keeps a connection as long as it works.
type worker struct {
	load   *Load
	rng    *rand.Rand
	client *smtp.Client
	lmtp   bool
	node   int
	sent   int
}

func (w *worker) run(ctx context.Context) error {
	defer w.hangUp()
	for {
		n := int(w.load.next.Add(1))
		if n > w.load.Count && w.load.finished.Load() {
			return nil
		}
		m := w.compose(w.load.First + n)
		for {
			err := w.send(ctx, m)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("mail %d was never acknowledged: %w", n, err)
			}
			var refused *smtp.SMTPError
			if errors.As(err, &refused) && refused.Code >= 500 {
				return fmt.Errorf("mail %d refused for good: %w", n, err)
			}
			w.load.retries.Add(1)
			w.hangUp()
			rest(ctx, 20*time.Millisecond)
		}
		w.load.mu.Lock()
		w.load.acked = append(w.load.acked, m)
		w.load.mu.Unlock()
		// Clients that stayed would all end up at the node that was hit last, and wait there.
		if w.sent++; w.sent%mailsPerConnection == 0 {
			w.hangUp()
		}
		if !w.load.finished.Load() {
			rest(ctx, w.load.Think)
		}
	}
}

func rest(ctx context.Context, d time.Duration) { _ = clock.System{}.Sleep(ctx, d) }

// compose makes a mail of 0.3 to 8 KiB, now and then one of up to 300 KiB.
func (w *worker) compose(n int) *Mail {
	var b bytes.Buffer
	user := fmt.Sprintf("u%d", w.rng.IntN(w.load.Mailboxes)+1)
	fmt.Fprintf(&b, "From: load@example.org\r\nTo: %s@%s\r\nSubject: mail %d\r\nMessage-ID: <%d.%x@load.example.org>\r\n\r\n",
		user, dev.Domain, n, n, w.load.Seed)
	size := 300 + w.rng.IntN(8<<10)
	if w.rng.IntN(100) == 0 {
		size = w.rng.IntN(300 << 10)
	}
	for b.Len() < size {
		fmt.Fprintf(&b, "%016x %016x %016x %016x\r\n", w.rng.Uint64(), w.rng.Uint64(), w.rng.Uint64(), w.rng.Uint64())
	}
	return &Mail{Number: n, Mailbox: user, Body: b.Bytes()}
}

func (w *worker) send(ctx context.Context, m *Mail) error {
	if w.client == nil {
		if err := w.dial(ctx); err != nil {
			return err
		}
	}
	if err := w.client.Mail("load@example.org", nil); err != nil {
		return err
	}
	if err := w.client.Rcpt(m.Mailbox+"@"+dev.Domain, nil); err != nil {
		return err
	}
	d, err := w.client.Data()
	if err != nil {
		return err
	}
	return finish(d, m.Body)
}

func finish(d io.WriteCloser, body []byte) error {
	if _, err := d.Write(body); err != nil {
		return errors.Join(err, d.Close())
	}
	return d.Close()
}

// dial connects to the next node, by SMTP or LMTP in turn.
func (w *worker) dial(ctx context.Context) error {
	names := w.load.Cluster.Names()
	if w.node == 0 {
		w.node = w.rng.IntN(len(names))
	}
	w.node++
	host := dev.Host(names[w.node%len(names)])
	port := w.load.Cluster.Port(2525)
	if w.lmtp = w.rng.IntN(2) == 0; w.lmtp {
		port = w.load.Cluster.Port(2424)
	}
	conn, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", host, port))
	if err != nil {
		return err
	}
	if w.lmtp {
		w.client = smtp.NewClientLMTP(conn)
	} else {
		w.client = smtp.NewClient(conn)
	}
	w.client.CommandTimeout, w.client.SubmissionTimeout = answerTime, answerTime
	return w.client.Hello("load.example.org")
}

func (w *worker) hangUp() {
	if w.client != nil {
		_ = w.client.Close() // it may be gone already
		w.client = nil
	}
}

// Stripped takes the trace header that the delivery put in front off a fetched message.
func Stripped(octets []byte) ([]byte, error) {
	const last = "\tby "
	i := bytes.Index(octets, []byte("\r\n"+last))
	if !bytes.HasPrefix(octets, []byte("Return-Path: ")) || i < 0 {
		return nil, fmt.Errorf("no trace header in front: %.80q", octets)
	}
	rest := octets[i+2:]
	for len(rest) > 0 && strings.ContainsRune(" \t", rune(rest[0])) {
		_, after, ok := bytes.Cut(rest, []byte("\r\n"))
		if !ok {
			return nil, fmt.Errorf("trace header does not end: %.80q", octets)
		}
		rest = after
	}
	return rest, nil
}
