package devtest

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/probe"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// Ledger is what a cluster owes the clients that use it while nodes are drained, stopped and upgraded: each operation answered
// well, with one silent retry on a new connection at the most; each mail that was acknowledged there once, no other, and shown
// once to whoever idles in its mailbox.
type Ledger struct {
	Stored map[string]int // mails acknowledged, by mailbox
	unsure []string
}

// Take adds what the clients have stored since, and returns what they have seen.
func (l *Ledger) Take(w *probe.Crew) map[probe.Protocol]probe.Stats {
	if l.Stored == nil {
		l.Stored = map[string]int{}
	}
	seen := map[probe.Protocol]probe.Stats{}
	for _, c := range w.Clients {
		s := c.Take()
		l.Stored[c.Address] += s.Stored
		if c.Protocol == probe.IMAP && s.Unsure > 0 {
			l.unsure = append(l.unsure, c.Name) // a mailbox cannot tell an APPEND that is sent again from another one
		}
		all := seen[c.Protocol]
		all.Add(s)
		seen[c.Protocol] = all
	}
	return seen
}

// Settle ends the clients, each after the operation that it is about, and holds the cluster to what it owes. moved says whether
// the watchers may have been told to connect again.
func (l *Ledger) Settle(ctx context.Context, t *testing.T, w *probe.Crew, moved bool, dial func(context.Context) (net.Conn, error)) {
	t.Helper()
	w.Finish()
	for protocol, s := range l.Take(w) {
		if len(s.Failures) > 0 {
			t.Errorf("%s: %v", protocol, s.Failures)
		}
	}
	if len(l.unsure) > 0 {
		t.Errorf("the answers to what %v appended were lost", l.unsure)
	}
	for _, o := range w.Watchers {
		mails := l.Stored[o.Address]
		testkit.Eventually(t, time.Minute, func(context.Context) error {
			if n := len(o.Seen()); n < mails {
				moves, failures := o.Moves()
				return fmt.Errorf("the watcher of %s was shown %d of %d mails; %d moves, %v", o.Address, n, mails, moves, failures)
			}
			return nil
		})
		n, err := probe.Count(ctx, dial, o.Address, o.Password)
		if err != nil {
			t.Fatal(err)
		}
		if n != mails {
			t.Errorf("%s holds %d messages, %d were acknowledged", o.Address, n, mails)
		}
	}
	w.Stop()
	for _, o := range w.Watchers {
		if err := probe.Exactly(o.Seen(), l.Stored[o.Address]); err != nil {
			t.Errorf("the watcher of %s: %v", o.Address, err)
		}
		moves, failures := o.Moves()
		if len(failures) > 0 || moves > 0 && !moved {
			t.Errorf("the watcher of %s: %d moves, %v", o.Address, moves, failures)
		}
	}
}
