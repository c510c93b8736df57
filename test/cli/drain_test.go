package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/fault"
)

// drainUnderLoad stops a node in order while clients send and read. They may be told to connect again; a mail that has
// begun, and a command that was sent, must not fail.
func drainUnderLoad(t *testing.T, c *site) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	l := &load{site: c, sent: map[string][]*fault.Mail{}}
	for i := range 4 {
		l.wg.Go(func() { l.send(ctx, fmt.Sprintf("u%d", i+1), i) })
		l.wg.Go(func() { l.read(ctx, fmt.Sprintf("u%d", i+1), i) })
	}
	progress := func(n int64) {
		t.Helper()
		testkit.Eventually(t, patience, func(context.Context) error {
			if l.mails.Load() < n || l.reads.Load() < n {
				return fmt.Errorf("%d mails and %d reads: %w", l.mails.Load(), l.reads.Load(), errors.Join(l.failures()...))
			}
			return nil
		})
	}
	progress(40)
	pid := c.Running("n2")
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func(context.Context) error {
		if c.Running("n2") != 0 {
			return errors.New("n2 has not stopped")
		}
		return nil
	})
	progress(l.mails.Load() + 40)
	if err := errors.Join(c.Start("n2"), c.ReadyNode(ctx, "n2", func(string) {})); err != nil {
		t.Fatal(err)
	}
	l.done.Store(true)
	l.wg.Wait()
	for _, err := range l.failures() {
		t.Errorf("a client was failed: %v", err)
	}
	t.Logf("%d mails, %d reads, %d new connections", l.mails.Load(), l.reads.Load(), l.moves.Load())
	if l.moves.Load() == 0 {
		t.Error("no client was on the node that drained")
	}
	var all []*fault.Mail
	for _, mails := range l.sent {
		all = append(all, mails...)
	}
	v, err := fault.Check(c.Cluster, all)
	if err != nil {
		t.Fatal(err)
	}
	if v.Lost+v.Doubled+v.Altered+v.Moved > 0 {
		t.Errorf("%+v", v)
	}
	drained(t, c)
}

// drained looks into the log of the node for the order of things.
func drained(t *testing.T, c *site) {
	b, err := os.ReadFile(filepath.Join(c.Dir, "n2", "log"))
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, step := range []string{"draining: closing the listeners", "draining: handing over leaderships", "draining: ending sessions", "msg=drained"} {
		i := strings.Index(string(b[at:]), step)
		if i < 0 {
			t.Fatalf("the log has no %q behind the step before it", step)
		}
		at += i
	}
	if strings.Contains(string(b), "FL-1014") {
		t.Error("the drain was not complete")
	}
}

// load are clients that go to another node when one says goodbye.
type load struct {
	*site
	wg                           sync.WaitGroup
	done                         atomic.Bool
	mails, reads, moves, numbers atomic.Int64

	mu     sync.Mutex
	failed []error                  // guarded by mu
	sent   map[string][]*fault.Mail // guarded by mu
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, err)
}

func (l *load) failures() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]error(nil), l.failed...)
}

// send sends mail after mail over one connection as long as that lasts.
func (l *load) send(ctx context.Context, user string, turn int) {
	var client *smtp.Client
	for !l.done.Load() && ctx.Err() == nil {
		if client == nil {
			turn++
			var err error
			client, err = dialSMTP(l.site, l.Names()[turn%3], 2525, "127.0.0.1")
			if err != nil && !mayMove(err) {
				l.fail(fmt.Errorf("connect: %w", err))
			}
			continue
		}
		if err := client.Mail("load@example.org", nil); err != nil {
			if !mayMove(err) {
				l.fail(fmt.Errorf("MAIL: %w", err))
			}
			l.moves.Add(1)
			_ = client.Close() // it has gone
			client = nil
			continue
		}
		if err := l.one(client, user); err != nil {
			l.fail(err)
			return
		}
	}
	if client != nil {
		_ = client.Close() // the server may have said goodbye
	}
}

// one sends the mail that was begun: from here on nothing may go wrong.
func (l *load) one(client *smtp.Client, user string) error {
	m := &fault.Mail{Number: int(l.numbers.Add(1)), Mailbox: user}
	m.Body = fmt.Appendf(nil, "Subject: mail %d\r\nMessage-ID: <drain.%d@load.example.org>\r\n\r\nhello\r\n", m.Number, m.Number)
	if err := client.Rcpt(user+"@"+dev.Domain, nil); err != nil {
		return fmt.Errorf("RCPT: %w", err)
	}
	w, err := client.Data()
	if err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	if _, err := w.Write(m.Body); err != nil {
		return fmt.Errorf("mail %d: %w", m.Number, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("mail %d: %w", m.Number, err)
	}
	l.mu.Lock()
	l.sent[user] = append(l.sent[user], m)
	l.mu.Unlock()
	l.mails.Add(1)
	return nil
}

// mayMove tells a goodbye at rest, or a node that is not there, from a failure.
func mayMove(err error) bool {
	var r *smtp.SMTPError
	return errors.As(err, &r) && r.Code == 421 || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || strings.HasSuffix(err.Error(), "EOF")
}

// read signs in and looks into the mailbox again and again. A command may go unanswered only if BYE came instead.
func (l *load) read(ctx context.Context, user string, turn int) {
	for !l.done.Load() && ctx.Err() == nil {
		turn++
		client, err := imapclient.DialInsecure(l.addr(l.Names()[turn%3], 2143), nil)
		if err != nil {
			if !mayMove(err) {
				l.fail(fmt.Errorf("connect: %w", err))
			}
			continue
		}
		if err := l.session(ctx, client, user); err != nil {
			if !isGoodbye(client, err) {
				l.fail(fmt.Errorf("session of %s: %w", user, err))
			}
			l.moves.Add(1)
		}
		_ = client.Close() // the server may have
	}
}

func (l *load) session(ctx context.Context, client *imapclient.Client, user string) error {
	if err := client.WaitGreeting(); err != nil {
		return err
	}
	if err := client.Login(user+"@"+dev.Domain, dev.Password).Wait(); err != nil {
		return fmt.Errorf("LOGIN: %w", err)
	}
	for !l.done.Load() && ctx.Err() == nil {
		if _, err := client.Select("INBOX", nil).Wait(); err != nil {
			return fmt.Errorf("SELECT: %w", err)
		}
		l.reads.Add(1)
	}
	return client.Logout().Wait()
}

// isGoodbye reports whether the server ended the connection in order: the client library drops BYE and says that the
// connection is closed. A command that was answered NO or BAD is no goodbye.
func isGoodbye(client *imapclient.Client, err error) bool {
	select {
	case <-client.Closed():
	case <-time.After(patience):
		return false
	}
	text := err.Error()
	return !strings.Contains(text, "NO ") && !strings.Contains(text, "BAD ")
}

// unsafe: what endangers the cluster is refused, and faults are for nodes that were made for them.
func unsafe(t *testing.T, c *site) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if err := c.Stop(ctx, "n3"); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := c.run(t, "", "drain", "--dir", filepath.Join(c.Dir, "n1"))
	if code != 4 || !strings.Contains(stderr, "no majority") {
		t.Errorf("drain with one node down: exit code %d: %s", code, stderr)
	}
	path := filepath.Join(c.Dir, "n3", "flotilla.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), "staging = true", "staging = false", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Start("n3"), c.ReadyNode(ctx, "n3", func(string) {})); err != nil {
		t.Fatal(err)
	}
	c.refused(t, 1, "it takes no faults", "dev", "fault", "n3", "clock=+1h")
	var refused *adminclient.Refused
	if err := c.Admin("n3").Do(t.Context(), "POST", "/v1/ops", admin.SpaceOp{Space: make([]byte, 16), Op: 1}, nil); !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Errorf("an op on a node that was not started for tests: %v", err)
	}
	c.do(t, "dev", "fault", "n1", "clock=+1h")
	c.do(t, "dev", "fault", "n1", "clear")
	// All three are up: draining is safe once the replicas of those that were down have caught up. The node is not ready
	// then, and says so.
	testkit.Eventually(t, patience, func(context.Context) error {
		if _, stderr, code := c.run(t, "", "drain", "--dir", filepath.Join(c.Dir, "n3")); code != 0 {
			return fmt.Errorf("drain: exit code %d: %s", code, stderr)
		}
		return nil
	})
	if code, text := get(t, "http://"+c.addr("n3", 2808)+"/healthz/ready"); code != 503 || !strings.Contains(text, "drained") {
		t.Errorf("after a drain: %d %s", code, text)
	}
	if nc, err := net.Dial("tcp", c.addr("n3", 2143)); err == nil {
		_ = nc.Close() // nothing was said
		t.Error("a drained node takes clients")
	}
	for _, g := range answer[[]group](t, c, "groups") {
		if g.Leader == "n3" {
			t.Errorf("group %d is led by the drained node", g.Group)
		}
	}
}
