package imap

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/auth"
)

func TestEndSessions(t *testing.T) {
	ts := startServer(t, nil)
	stranger, waiting, idle, busy := ts.dial(), ts.login(), ts.login(), ts.login()
	stranger.line()
	idle.ok("a SELECT INBOX")
	idle.send("b IDLE\r\n")
	idle.until("+")
	busy.send("a APPEND INBOX {10}\r\n")
	busy.until("+")
	if n := ts.EndSessions(func(p *auth.Principal) bool { return p.Address != "alice@example.test" }); n != 0 {
		t.Fatalf("%d sessions of others ended", n)
	}
	waiting.ok("b NOOP")
	if n := ts.EndSessions(func(p *auth.Principal) bool { return p.Address == "alice@example.test" }); n != 3 {
		t.Fatalf("%d sessions ended, want 3", n)
	}
	busy.send("Subject: x\r\n") // a command under way is finished
	busy.until("a OK [APPENDUID")
	for _, c := range []*client{waiting, idle, busy} {
		got := c.line()
		for c == idle && strings.HasSuffix(got, " EXISTS") {
			got = c.line() // the command under way may be told first
		}
		if !strings.HasPrefix(got, "* BYE The account has changed") {
			t.Errorf("got %q", got)
		}
		if _, err := c.tryLine(); !errors.Is(err, io.EOF) {
			t.Errorf("after BYE: %v", err)
		}
	}
	stranger.ok("a LOGIN alice@example.test secret") // whoever signs in anew is served
	stranger.ok("b NOOP")
}
