package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Crew runs clients side by side, and those who watch what comes of it.
type Crew struct {
	Clients  []*Client
	Watchers []*Watcher

	cancel context.CancelFunc
	wg     sync.WaitGroup // of the clients
	told   sync.WaitGroup // of the watchers
}

// Start lets the clients work until Finish or Stop, and the watchers until Stop.
func (w *Crew) Start(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(ctx)
	for _, c := range w.Clients {
		w.wg.Go(func() { c.Run(ctx) })
	}
	for _, o := range w.Watchers {
		w.told.Go(func() { o.Run(ctx) })
	}
}

// Finish waits until every client has ended what it was doing, and does nothing more.
func (w *Crew) Finish() {
	for _, c := range w.Clients {
		c.Finish()
	}
	w.wg.Wait()
}

// Stop ends the clients' work and the watchers', and waits for them.
func (w *Crew) Stop() {
	w.cancel()
	w.wg.Wait()
	w.told.Wait()
}

// Await waits until every client has done n more operations: what was under way at the call has ended then.
func (w *Crew) Await(ctx context.Context, n int) error {
	from := make([]int, len(w.Clients))
	for i, c := range w.Clients {
		from[i] = c.Operations()
	}
	for i, c := range w.Clients {
		for c.Operations() < from[i]+n {
			if rest(ctx, retryPause); ctx.Err() != nil {
				return fmt.Errorf("%s %s does not get on: %w", c.Protocol, c.Name, ctx.Err())
			}
		}
	}
	return nil
}

// Take returns what the clients of each protocol have seen since the last Take.
func (w *Crew) Take() map[Protocol]Stats {
	all := make(map[Protocol]Stats)
	for _, c := range w.Clients {
		s := all[c.Protocol]
		s.Add(c.Take())
		all[c.Protocol] = s
	}
	return all
}

// Exactly says what is wrong with what a watcher was shown of a mailbox that so many mails were acknowledged for, each with
// another subject; nil when it was shown each once.
func Exactly(seen []Seen, mails int) error {
	var errs []error
	uids, subjects := map[uint32]bool{}, map[string]bool{}
	for _, m := range seen {
		if uids[m.UID] || subjects[m.Subject] {
			errs = append(errs, fmt.Errorf("UID %d, %q, was shown before", m.UID, m.Subject))
		}
		uids[m.UID], subjects[m.Subject] = true, true
	}
	if len(subjects) != mails {
		errs = append(errs, fmt.Errorf("%d of %d mails were shown", len(subjects), mails))
	}
	return errors.Join(errs...)
}

// InTurn dials the addresses one after the other, from the first on, and the next one for each connection: a client that
// is told to connect again goes to the next, and one where nobody listens is passed over, as a mail program does with the
// addresses of a name.
func InTurn(dial func(ctx context.Context, addr string) (net.Conn, error), addrs ...string) func(context.Context) (net.Conn, error) {
	var next atomic.Int64
	return func(ctx context.Context) (net.Conn, error) {
		var errs []error
		for range addrs {
			addr := addrs[int(next.Add(1)-1)%len(addrs)]
			conn, err := dial(ctx, addr)
			if err == nil {
				return conn, nil
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}
}

// Plain dials without TLS.
func Plain(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: answerTime}
	return d.DialContext(ctx, "tcp", addr)
}

// Count signs in to a mailbox by IMAP and returns how many messages INBOX holds.
func Count(ctx context.Context, dial func(context.Context) (net.Conn, error), address, password string) (int, error) {
	conn, err := dial(ctx)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }() // only read from
	l := &link{conn: conn, in: bufio.NewReader(conn)}
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return 0, err
	}
	if err := l.signIn(address, password); err != nil {
		return 0, err
	}
	return l.messages()
}
