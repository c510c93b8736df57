package smtp

import (
	"encoding/base64"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/auth"
)

// signIn greets as anna.
func (c *client) signIn() {
	c.t.Helper()
	c.reply("220")
	c.send("EHLO client.test\r\n")
	c.reply("250")
	c.send("AUTH PLAIN %s\r\n", base64.StdEncoding.EncodeToString([]byte("\x00anna@example.test\x00flotilla")))
	c.reply("235")
}

func TestEndSessions(t *testing.T) {
	ts := start(t, nil)
	stranger, idle, busy := ts.dial(t, MX), ts.dial(t, Submissions), ts.dial(t, Submissions)
	stranger.reply("220")
	idle.signIn()
	busy.signIn()
	busy.send("MAIL FROM:<anna@example.test>\r\nRCPT TO:<anna@example.test>\r\n")
	busy.reply("250")
	busy.reply("250")
	if n := ts.EndSessions(func(p *auth.Principal) bool { return p.Address == "bob@example.test" }); n != 0 {
		t.Fatalf("%d sessions of others ended", n)
	}
	idle.send("NOOP\r\n")
	idle.reply("250")
	if n := ts.EndSessions(func(p *auth.Principal) bool { return p.Address == "anna@example.test" }); n != 2 {
		t.Fatalf("%d sessions ended, want 2", n)
	}
	idle.reply("421")
	idle.end()
	busy.send("DATA\r\nx\r\n.\r\n") // the mail under way is taken
	busy.reply("354")
	busy.reply("250")
	busy.reply("421")
	busy.end()
	stranger.send("NOOP\r\n")
	stranger.reply("250")
	again := ts.dial(t, Submissions)
	again.signIn()
	if n := len(ts.mail.all()); n != 1 {
		t.Errorf("%d mails", n)
	}
}
