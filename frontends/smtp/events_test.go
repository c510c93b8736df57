package smtp

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// noted keeps what the server reports.
type noted struct {
	mu   sync.Mutex
	all  []string // guarded by mu
	open int      // guarded by mu
}

func (n *noted) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, fmt.Sprintf(format, args...))
}

func (n *noted) events() Events {
	return Events{
		Connected:    func(Service) { n.mu.Lock(); n.open++; n.mu.Unlock() },
		Disconnected: func(Service) { n.mu.Lock(); n.open--; n.mu.Unlock() },
		Answered:     func(s Service, command string, code int) { n.add("%s %s %d", s, command, code) },
		Taken: func(s Service, stored, failed int, octets int64, _ time.Duration) {
			n.add("%s taken for %d, not for %d: %d octets", s, stored, failed, octets)
		},
	}
}

func (n *noted) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.all
	n.all = nil
	return all
}

func TestEveryAnswerIsReported(t *testing.T) {
	var n noted
	ts := startReporting(t, nil, n.events())
	c := ts.dial(t, Submissions)
	c.signIn()
	c.send("MAIL FROM:<eve@example.test>\r\nMAIL FROM:<anna@example.test>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<anna@example.test>\r\nDATA\r\n12345678\r\n.\r\n")
	for _, code := range []string{"553", "250", "550", "250", "354", "250"} {
		c.reply(code)
	}
	want := []string{"submissions AUTH 235", "submissions MAIL 553", "submissions MAIL 250", "submissions RCPT 550",
		"submissions RCPT 250", "submissions taken for 1, not for 0: 10 octets", "submissions DATA 250"}
	if got := n.take(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	l := ts.dial(t, LMTP)
	l.reply("220")
	l.send("LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<anna@example.test>\r\nRCPT TO:<deliver-1008@example.test>\r\nDATA\r\nx\r\n.\r\n")
	for _, code := range []string{"250", "250", "250", "250", "354", "250", "552"} {
		l.reply(code)
	}
	want = []string{"lmtp MAIL 250", "lmtp RCPT 250", "lmtp RCPT 250", "lmtp taken for 1, not for 1: 3 octets", "lmtp DATA 250", "lmtp DATA 552"}
	if got := n.take(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	n.mu.Lock()
	open := n.open
	n.mu.Unlock()
	if open != 2 {
		t.Errorf("%d connections, want 2", open)
	}
	if err := ts.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.mu.Lock(); n.open != 0 {
		t.Errorf("%d connections after the drain", n.open)
	}
	n.mu.Unlock()
	if _, err := net.Dial("tcp", ts.addr[MX]); err == nil {
		t.Error("a drained server accepts")
	}
}
