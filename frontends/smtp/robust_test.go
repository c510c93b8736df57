package smtp

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

const patience = 15 * time.Second

// settled waits until no connection is left, so that what a client left behind has been dealt with.
func (ts *testServer) settled(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, patience, func(context.Context) error {
		if n := ts.Connections(); n != 0 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
}

func (ts *testServer) nothingTaken(t *testing.T) {
	t.Helper()
	ts.settled(t)
	if err := ts.Close(); err != nil { // waits for what is still being handled
		t.Error(err)
	}
	if all := ts.mail.all(); len(all) != 0 {
		t.Errorf("taken: %+v", all)
	}
}

// TestEveryKindHasItsReply walks the table: at RCPT, after the mail, and after the mail for one recipient of LMTP.
func TestEveryKindHasItsReply(t *testing.T) {
	ts := start(t, func(c *Config) { c.MaxRefused = 1000 })
	kinds := map[cluster.Kind]*smtp.SMTPError{cluster.KindInternal: internal, cluster.KindBadRequest: internal, 9999: internal}
	for kind, r := range statuses {
		kinds[kind] = r
	}
	mx, lmtp := ts.dial(t, MX), ts.dial(t, LMTP)
	mx.reply("220")
	mx.send("EHLO a.test\r\n")
	mx.reply("250")
	lmtp.reply("220")
	lmtp.send("LHLO a.test\r\n")
	lmtp.reply("250")
	for kind, r := range kinds {
		if r.Code/100 != r.EnhancedCode[0] || r.Message == "" {
			t.Errorf("kind %d: %v", kind, r)
		}
		want := strings.TrimSpace(string(line(r)))
		mx.send("MAIL FROM:<>\r\n")
		mx.reply("250")
		mx.send("RCPT TO:<accept-%d@example.test>\r\n", kind)
		if got := mx.reply(""); got != want {
			t.Errorf("kind %d at RCPT: %q, want %q", kind, got, want)
		}
		mx.send("RCPT TO:<deliver-%d@example.test>\r\nDATA\r\nx\r\n.\r\n", kind)
		mx.reply("250")
		mx.reply("354")
		if got := mx.reply(""); got != want {
			t.Errorf("kind %d after the mail: %q, want %q", kind, got, want)
		}
		lmtp.send("MAIL FROM:<>\r\nRCPT TO:<deliver-%d@example.test>\r\nDATA\r\nx\r\n.\r\n", kind)
		lmtp.reply("250")
		lmtp.reply("250")
		lmtp.reply("354")
		if got := lmtp.reply(""); !strings.HasPrefix(got, want[:9]) || !strings.HasSuffix(got, r.Message) {
			t.Errorf("kind %d in LMTP: %q, want %q", kind, got, want)
		}
	}
}

// TestCutShort ends connections inside a mail in every way; nothing may be stored of it.
func TestCutShort(t *testing.T) {
	ways := map[string]func(*client){
		"close":        func(c *client) { _ = c.conn.Close() },
		"half close":   func(c *client) { _ = c.tcp.CloseWrite() },
		"reset":        func(c *client) { _ = c.tcp.SetLinger(0); _ = c.tcp.Close() },
		"close notify": func(c *client) { _ = c.conn.(*tls.Conn).CloseWrite() },
	}
	for way, end := range ways {
		for _, begin := range []string{"DATA\r\nSubject: x\r\n\r\nhalf a", "BDAT 100 LAST\r\nhalf a", "BDAT 100\r\nhalf a", "BDAT 6\r\nhalf a", "BDAT 6 LAST\r\n"} {
			t.Run(way+" in "+strings.Fields(begin)[0]+" "+fmt.Sprint(len(begin)), func(t *testing.T) {
				ts := start(t, nil)
				c := ts.dial(t, MX)
				if way == "close notify" {
					c.reply("220")
					c.send("STARTTLS\r\n")
					c.reply("220")
					c.startTLS(ts.clientTLS())
					c.send("NOOP\r\n") // upTo wants a greeting
					c.in = &lineReader{c.conn}
					c.t = t
					c.noGreeting("anna@example.test")
				} else {
					c.upTo("anna@example.test")
				}
				c.send("%s", begin)
				end(c)
				if way == "half close" || way == "close notify" {
					for _, err := c.in.line(); err == nil; _, err = c.in.line() {
					}
					_ = c.tcp.Close()
				}
				ts.nothingTaken(t)
			})
		}
	}
}

// noGreeting is upTo after STARTTLS and a NOOP.
func (c *client) noGreeting(recipient string) {
	c.t.Helper()
	c.reply("250")
	c.send("EHLO client.test\r\n")
	c.reply("250")
	c.send("MAIL FROM:<bob@elsewhere.test>\r\nRCPT TO:<%s>\r\n", recipient)
	c.reply("250")
	c.reply("250")
}

// TestHalfClosed: a client that has said everything and closed its side still gets its mail through.
func TestHalfClosed(t *testing.T) {
	ts := start(t, nil)
	c := ts.dial(t, MX)
	c.send("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<anna@example.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
	if err := c.tcp.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"220", "250", "250", "250", "354", "250", "221"} {
		c.reply(code)
	}
	c.end()
}

// TestNoBodyBecomesCommands: a client falls silent inside a chunk and then goes on as if nothing had happened.
func TestNoBodyBecomesCommands(t *testing.T) {
	for _, begin := range []string{"BDAT 1000\r\nhalf\r\n", "BDAT 1000 LAST\r\nhalf\r\n", "DATA\r\nhalf\r\n"} {
		ts := start(t, func(c *Config) { c.Idle = 200 * time.Millisecond })
		c := ts.dial(t, MX)
		c.upTo("anna@example.test")
		c.send("%s", begin)
		if strings.HasPrefix(begin, "DATA") {
			c.reply("354")
		}
		c.reply("451 4.4.2")
		_, _ = fmt.Fprintf(c.conn, "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<anna@example.test>\r\nBDAT 1 LAST\r\nx") // may be too late
		c.end()
		ts.nothingTaken(t)
	}
}

func TestIdle(t *testing.T) {
	ts := start(t, func(c *Config) { c.Idle = 100 * time.Millisecond })
	c := ts.dial(t, MX)
	c.reply("220")
	c.reply("421")
	c.end()
}

// TestSlowMail takes more than Idle in all, and nothing like Idle at once.
func TestSlowMail(t *testing.T) {
	const idle, pieces = 3 * time.Second, 40
	for _, begin := range []string{"DATA\r\n", "BDAT 80 LAST\r\n"} {
		t.Run(strings.Fields(begin)[0], func(t *testing.T) {
			t.Parallel()
			ts := start(t, func(c *Config) { c.Idle = idle })
			c := ts.dial(t, MX)
			c.upTo("anna@example.test")
			c.send("%s", begin)
			if begin == "DATA\r\n" {
				c.reply("354")
			}
			tick := time.NewTicker(idle * 5 / 4 / pieces)
			defer tick.Stop()
			for range pieces {
				<-tick.C
				c.send("x\n")
			}
			if begin == "DATA\r\n" {
				c.send("\r\n.\r\n")
			}
			c.reply("250 2.0.0 Stored")
		})
	}
}

// TestTransferEnds: no pause is too long, but the whole is.
func TestTransferEnds(t *testing.T) {
	ts := start(t, func(c *Config) { c.Idle, c.Transfer = time.Minute, 100*time.Millisecond })
	c := ts.dial(t, MX)
	c.upTo("anna@example.test")
	c.send("DATA\r\nx\r\n")
	c.reply("354")
	c.reply("451 4.4.2")
	c.end()
	ts.nothingTaken(t)
}

func TestTooBig(t *testing.T) {
	ts := start(t, func(c *Config) { c.MaxMessage, c.MaxLine = 64<<10, 8<<10 })
	c := ts.dial(t, MX)
	c.upTo("anna@example.test")
	c.send("DATA\r\n%s.\r\n", strings.Repeat(strings.Repeat("x", 998)+"\r\n", 100))
	c.reply("354")
	c.reply("552 5.3.4")
	c.send("MAIL FROM:<> SIZE=65537\r\n")
	c.reply("552 5.3.4")
	c.send("MAIL FROM:<>\r\nRCPT TO:<anna@example.test>\r\nBDAT 40000\r\n%s", strings.Repeat("x", 40000))
	c.reply("250")
	c.reply("250")
	c.reply("250")
	c.send("BDAT 40000 LAST\r\n%s", strings.Repeat("xxxxxx\r\n", 5000)) // the engine skips it by lines
	c.reply("552 5.3.4")
	c.send("MAIL FROM:<>\r\nRCPT TO:<anna@example.test>\r\nDATA\r\n%s\r\n.\r\n", strings.Repeat("y", 7000))
	c.reply("250")
	c.reply("250")
	c.reply("354")
	c.reply("250")
	if all := ts.mail.all(); len(all) != 1 || len(all[0].mail) != 7002 {
		t.Errorf("taken: %d mails", len(all))
	}
	c.send("MAIL FROM:<>\r\nRCPT TO:<anna@example.test>\r\nDATA\r\n")
	c.reply("250")
	c.reply("250")
	c.reply("354")
	c.send("%s\r\nx\r\n.\r\nNOOP\r\n", strings.Repeat("y", 9000))
	c.reply("554 5.6.0")
	c.reply("250")
}

// TestInsideTLS: the octets of a mail are read there as elsewhere.
func TestInsideTLS(t *testing.T) {
	ts := start(t, func(c *Config) { c.MaxLine = 8 << 10 })
	for _, service := range []Service{MX, Submission, LMTP} {
		c := ts.dial(t, service)
		c.reply("220")
		c.send("STARTTLS\r\n")
		c.reply("220")
		c.startTLS(ts.clientTLS())
		c.send("%s a\r\nSTARTTLS\r\n", map[Service]string{MX: "EHLO", Submission: "EHLO", LMTP: "LHLO"}[service])
		c.reply("250")
		c.reply("502")
		if service == Submission {
			c.send("AUTH PLAIN %s\r\n", base64.StdEncoding.EncodeToString([]byte("\x00anna@example.test\x00flotilla")))
			c.reply("235")
		}
		const begin = "MAIL FROM:<anna@example.test>\r\nRCPT TO:<anna@example.test>\r\nDATA\r\n"
		c.send(begin+"%s\r\n.\r\n"+begin+"..x\r\r\n.\r\nQUIT\r\n", strings.Repeat("y", 9000))
		for _, code := range []string{"250", "250", "354", "554 5.6.0", "250", "250", "354", "250 2.0.0", "221"} {
			c.reply(code)
		}
		c.end()
	}
	for _, m := range ts.mail.all() {
		if m.mail != ".x\r\r\n" || !strings.Contains(m.env.With, "MTPS") {
			t.Errorf("%+v", m)
		}
	}
	if n := len(ts.mail.all()); n != 3 {
		t.Errorf("%d mails", n)
	}
}

// TestSTARTTLSThatFails: what is no TLS ends the connection; it does not go on in the clear.
func TestSTARTTLSThatFails(t *testing.T) {
	ts := start(t, nil)
	c := ts.dial(t, MX)
	c.reply("220")
	c.send("STARTTLS\r\n")
	c.reply("220")
	c.send("MAIL FROM:<a@elsewhere.test>\r\nRCPT TO:<anna@example.test>\r\nDATA\r\nx\r\n.\r\n")
	for text, err := c.in.line(); err == nil; text, err = c.in.line() {
		if len(text) > 3 && text[0] == '2' {
			t.Errorf("answered %q in the clear", text)
		}
	}
	ts.nothingTaken(t)
}

// TestSTARTTLSIsCountedOnce: the connection inside TLS is the one before.
func TestSTARTTLSIsCountedOnce(t *testing.T) {
	var came, went atomic.Int32
	ts := startReporting(t, func(c *Config) { c.MaxConnections, c.MaxPerRemote = 1, 1 },
		Events{Connected: func(Service) { came.Add(1) }, Disconnected: func(Service) { went.Add(1) }})
	for range 3 {
		c := ts.dial(t, MX)
		c.reply("220")
		c.send("STARTTLS\r\n")
		c.reply("220")
		c.startTLS(ts.clientTLS())
		c.send("EHLO a\r\nQUIT\r\n")
		c.reply("250")
		c.reply("221")
		c.end()
		ts.settled(t)
	}
	if came.Load() != 3 || went.Load() != 3 {
		t.Errorf("%d came, %d went", came.Load(), went.Load())
	}
}

func TestTooManyRecipients(t *testing.T) {
	ts := start(t, func(c *Config) { c.MaxRecipients = 100 })
	c := ts.dial(t, MX)
	c.upTo()
	c.send("%s", strings.Repeat("RCPT TO:<anna@example.test>\r\n", 101))
	for range 100 {
		c.reply("250")
	}
	c.reply("452 4.5.3")
	c.send("DATA\r\nx\r\n.\r\n")
	c.reply("354")
	c.reply("250")
}

func TestHarvesting(t *testing.T) {
	ts := start(t, func(c *Config) { c.MaxRefused = 3 })
	c := ts.dial(t, MX)
	c.upTo()
	for range 4 { // a list with many full mailboxes is no guessing
		c.send("RCPT TO:<accept-%d@example.test>\r\n", exmdb.KindOverQuota)
		c.reply("552 5.2.2")
	}
	for range 2 {
		c.send("RCPT TO:<nobody@example.test>\r\n")
		c.reply("550 5.1.1")
	}
	c.send("RCPT TO:<nobody@example.test>\r\n")
	c.reply("421 4.7.0")
	c.end()
}

func TestConnectionLimits(t *testing.T) {
	ts := start(t, func(c *Config) { c.MaxConnections, c.MaxPerRemote = 3, 2 })
	first, second := ts.dial(t, MX), ts.dial(t, Submission)
	first.reply("220")
	second.reply("220")
	third := ts.dial(t, MX)
	third.reply("421 4.7.0")
	third.end()
	mta := ts.dial(t, LMTP) // not counted by address
	mta.reply("220")
	full := ts.dial(t, LMTP)
	full.reply("421 4.3.2")
	full.end()
	first.send("QUIT\r\n")
	first.reply("221")
	first.end()
	testkit.Eventually(t, patience, func(context.Context) error {
		if n := ts.Connections(); n != 2 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
	again := ts.dial(t, MX)
	again.reply("220")
}

func TestDrain(t *testing.T) {
	ts := start(t, nil)
	idle, silent, busy, storing, inside := ts.dial(t, MX), ts.dial(t, Submissions), ts.dial(t, MX), ts.dial(t, LMTP), ts.dial(t, MX)
	inside.reply("220")
	inside.send("STARTTLS\r\n")
	inside.reply("220")
	inside.startTLS(ts.clientTLS())
	inside.send("EHLO a\r\n") // TLS 1.3 is through for the client before it is for the server
	inside.reply("250")
	idle.reply("220")
	silent.reply("220")
	busy.upTo("anna@example.test")
	storing.reply("220")
	storing.send("LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<wait@example.test>\r\nDATA\r\nx\r\n.\r\n")
	for _, code := range []string{"250", "250", "250", "354"} {
		storing.reply(code)
	}
	<-ts.mail.waiting
	drained := make(chan error, 1)
	go func() { drained <- ts.Drain(t.Context()) }()
	idle.reply("421")
	idle.end()
	silent.reply("421")
	silent.end()
	inside.reply("421")
	inside.end()
	if nc, err := net.Dial("tcp", ts.addr[MX]); err == nil {
		if _, err := (&lineReader{nc}).line(); err == nil {
			t.Error("still greets")
		}
		_ = nc.Close()
	}
	busy.send("RCPT TO:<bob@example.test>\r\nDATA\r\nx\r\n.\r\n")
	busy.reply("250")
	busy.reply("354")
	busy.reply("250")
	busy.reply("421")
	select {
	case err := <-drained:
		t.Fatalf("drained before the last mail was answered: %v", err)
	default:
	}
	close(ts.mail.release)
	storing.reply("250")
	storing.reply("421")
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := ts.Drain(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
	if n := len(ts.mail.all()); n != 2 {
		t.Errorf("%d mails", n)
	}
}

func TestDrainRunsOutOfTime(t *testing.T) {
	ts := start(t, nil)
	c := ts.dial(t, MX)
	c.upTo("hang@example.test")
	c.send("DATA\r\nx\r\n.\r\n")
	<-ts.mail.waiting
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := ts.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drain: %v", err)
	}
	if ts.Connections() != 0 {
		t.Error("connections left")
	}
}

// TestClientDies: whoever stores the mail learns that nobody waits for the answer any more.
func TestClientDies(t *testing.T) {
	ts := start(t, nil)
	c := ts.dial(t, MX)
	c.upTo("hang@example.test")
	c.send("DATA\r\nx\r\n.\r\n")
	<-ts.mail.waiting
	if err := errors.Join(c.tcp.SetLinger(0), c.tcp.Close()); err != nil {
		t.Fatal(err)
	}
	ts.settled(t)
	ts.mail.mu.Lock()
	defer ts.mail.mu.Unlock()
	if !errors.Is(ts.mail.ended, context.Canceled) {
		t.Errorf("context ended with %v", ts.mail.ended)
	}
}

func TestStoreIsBounded(t *testing.T) {
	ts := start(t, func(c *Config) { c.Store = 50 * time.Millisecond })
	c := ts.dial(t, MX)
	c.upTo("hang@example.test")
	c.send("DATA\r\nx\r\n.\r\nNOOP\r\n") // what comes meanwhile is not lost
	c.reply("354")
	c.reply("451 4.3.0")
	c.reply("250")
}

// TestPanic: a bug below costs one connection its mail and shows nothing.
func TestPanic(t *testing.T) {
	for service, hello := range map[Service]string{MX: "EHLO", LMTP: "LHLO"} {
		for _, begin := range []string{"DATA\r\nx\r\n.\r\n", "BDAT 1 LAST\r\nx"} {
			ts := start(t, nil)
			c := ts.dial(t, service)
			c.reply("220")
			c.send("%s a\r\nMAIL FROM:<>\r\nRCPT TO:<panic@example.test>\r\n%s", hello, begin)
			for range 3 {
				c.reply("250")
			}
			if strings.HasPrefix(begin, "DATA") {
				c.reply("354")
			}
			c.reply("421")
			c.end()
			ts.nothingTaken(t)
		}
	}
}

// TestChunksOverTLS: pipelined behind the last chunk, in one record with it.
func TestChunksOverTLS(t *testing.T) {
	ts := start(t, nil)
	c := ts.dial(t, Submissions)
	c.reply("220")
	c.send("EHLO a\r\nAUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AGZsb3RpbGxh\r\nMAIL FROM:<anna@example.test>\r\nRCPT TO:<anna@example.test>\r\n")
	for _, code := range []string{"250", "235", "250", "250"} {
		c.reply(code)
	}
	c.send("BDAT 10000\r\n%sBDAT 10000 LAST\r\n%s", strings.Repeat("x", 10000), strings.Repeat("y", 10000))
	c.reply("250")
	c.reply("250 2.0.0 Stored")
	c.send("MAIL FROM:<anna@example.test>\r\nRCPT TO:<anna@example.test>\r\nBDAT 3 LAST\r\nabc")
	c.reply("250")
	c.reply("250")
	c.reply("250 2.0.0 Stored")
	if all := ts.mail.all(); len(all) != 2 || len(all[0].mail) != 20000 || all[1].mail != "abc" {
		t.Errorf("taken: %d mails", len(all))
	}
}

// TestLibraryClients sends with go-smtp's own client.
func TestLibraryClients(t *testing.T) {
	ts := start(t, nil)
	body := "Subject: x\r\n\r\n" + strings.Repeat("line\r\n.dot\r\n", 20000)
	for _, mech := range []sasl.Client{sasl.NewPlainClient("", "anna@example.test", "flotilla"), sasl.NewLoginClient("anna@example.test", "flotilla")} {
		c, err := smtp.DialTLS(ts.addr[Submissions], ts.clientTLS())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Auth(mech); err != nil {
			t.Fatal(err)
		}
		if err := c.SendMail("anna@example.test", []string{"bob@example.test"}, strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		if err := c.Quit(); err != nil {
			t.Fatal(err)
		}
	}
	nc, err := net.Dial("tcp", ts.addr[LMTP])
	if err != nil {
		t.Fatal(err)
	}
	c := smtp.NewClientLMTP(nc)
	err = errors.Join(c.Mail("", nil), c.Rcpt("anna@example.test", nil), c.Rcpt("deliver-1008@example.test", nil))
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	var refused smtp.LMTPDataError
	if err := w.Close(); !errors.As(err, &refused) || len(refused) != 1 || refused["deliver-1008@example.test"] == nil {
		t.Errorf("LMTP: %v", err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	all := ts.mail.all()
	if len(all) != 3 {
		t.Fatalf("%d mails", len(all))
	}
	for _, m := range all {
		if m.mail != body {
			t.Errorf("octets differ: %d of %d", len(m.mail), len(body))
		}
	}
}

func TestConfig(t *testing.T) {
	good := Config{Host: "a", AllowPlaintext: true}.Defaults()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for i, change := range []func(*Config){
		func(c *Config) { c.Host = "" }, func(c *Config) { c.AllowPlaintext = false }, func(c *Config) { c.MaxMessage = 1 },
		func(c *Config) { c.MaxRecipients = 99 }, func(c *Config) { c.MaxLine = 1 }, func(c *Config) { c.MaxHops = -1 },
		func(c *Config) { c.Idle = -1 },
	} {
		c := good
		change(&c)
		if c.Validate() == nil {
			t.Errorf("change %d is valid", i)
		}
	}
}
