package smtp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secret stands in the text of every error of the fakes: no client may ever see it.
const secret = "raft: leadership lost at /var/lib/flotilla"

// fakeMail is a Receiver whose recipients say what happens to them: "accept-1012@example.test" is refused with that
// kind, "deliver-1008@…" cannot be delivered to, "hang@…" takes until the context ends, "wait@…" until release.
type fakeMail struct {
	release chan struct{}
	waiting chan struct{} // gets one for each Deliver that waits

	mu    sync.Mutex
	taken []taken // guarded by mu
	ended error   // guarded by mu; why the context of a hanging Deliver ended
}

type taken struct {
	env  mailflow.Envelope
	to   []string
	mail string
}

type fakeReceived struct{ data []byte }

func (m *fakeReceived) Size() int64  { return int64(len(m.data)) }
func (m *fakeReceived) Close() error { return nil }

func kindIn(address, prefix string) error {
	rest, ok := strings.CutPrefix(address, prefix)
	if !ok {
		return nil
	}
	number, _, _ := strings.Cut(rest, "@")
	kind, err := strconv.Atoi(number)
	if err != nil {
		return errors.New(secret) // not a *cluster.Error at all
	}
	return fmt.Errorf("in a fake: %w", cluster.Errorf(cluster.Kind(kind), secret))
}

func (f *fakeMail) Accept(_ context.Context, _ *mailflow.Envelope, address string) (mailflow.Recipient, error) {
	r := mailflow.Recipient{Address: address}
	switch {
	case strings.HasPrefix(address, "nobody@"):
		return r, cluster.Errorf(exmdb.KindNoSuchUser, secret)
	case !strings.HasSuffix(strings.ToLower(address), "@example.test"):
		return r, mailflow.ErrRelay
	}
	return r, kindIn(address, "accept-")
}

func (f *fakeMail) Receive(_ context.Context, r io.Reader, _ int64) (mailflow.Mail, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, errors.Join(err)
	}
	if _, rest, ok := bytes.Cut(data, []byte("X-Fail: ")); ok {
		return nil, kindIn(strings.TrimSpace(string(rest[:4])), "")
	}
	return &fakeReceived{data}, nil
}

func (f *fakeMail) Deliver(ctx context.Context, env *mailflow.Envelope, to []mailflow.Recipient, m mailflow.Mail) []mailflow.Result {
	results := make([]mailflow.Result, len(to))
	t := taken{env: *env, mail: string(m.(*fakeReceived).data)}
	for i := range to {
		results[i] = mailflow.Result{Recipient: to[i].Address, Err: kindIn(to[i].Address, "deliver-")}
		switch {
		case strings.HasPrefix(to[i].Address, "list@"):
			results[i].Err = errors.Join(cluster.Errorf(exmdb.KindOverQuota, secret), cluster.Errorf(cluster.KindUnavailable, secret))
		case strings.HasPrefix(to[i].Address, "hang@"):
			f.waiting <- struct{}{}
			<-ctx.Done()
			results[i].Err = ctx.Err()
			f.mu.Lock()
			f.ended = ctx.Err()
			f.mu.Unlock()
		case strings.HasPrefix(to[i].Address, "wait@"):
			f.waiting <- struct{}{}
			<-f.release
		case strings.HasPrefix(to[i].Address, "panic@"):
			panic(secret)
		}
		if results[i].Err == nil {
			t.to = append(t.to, to[i].Address)
		}
	}
	if len(t.to) > 0 {
		f.mu.Lock()
		f.taken = append(f.taken, t)
		f.mu.Unlock()
	}
	return results
}

func (f *fakeMail) all() []taken {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]taken(nil), f.taken...)
}

// fakeUsers knows anna; other names are kinds as with fakeMail.
type fakeUsers struct{}

func (fakeUsers) Authenticate(_ context.Context, a auth.Attempt) (*auth.Principal, error) {
	if err := kindIn(a.User, "kind-"); err != nil {
		return nil, err
	}
	if a.User != "anna@example.test" || a.Password != "flotilla" || a.Protocol != auth.Submission || strings.Contains(a.Remote, ":") {
		return nil, cluster.Errorf(exmdb.KindBadPassword, secret)
	}
	return &auth.Principal{Address: "anna@example.test", Addresses: []string{"anna@example.test", "a.alias@example.test"}}, nil
}

// maySendAs lets anna send as sales; of other names kinds are told as with fakeMail.
func maySendAs(_ context.Context, p *auth.Principal, from string) (bool, error) {
	return p.Address == "anna@example.test" && from == "sales@example.test", kindIn(from, "send-")
}

type testServer struct {
	*Server
	mail *fakeMail
	addr map[Service]string
	pool *x509.CertPool
}

// start serves all four services on the loopback.
func start(t testing.TB, change func(*Config)) *testServer {
	t.Helper()
	return startReporting(t, change, Events{})
}

func startReporting(t testing.TB, change func(*Config), events Events) *testServer {
	t.Helper()
	cert, pool := certificate(t)
	config := Config{Host: "mx.example.test", TLS: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}}
	if change != nil {
		change(&config)
	}
	mail := &fakeMail{release: make(chan struct{}), waiting: make(chan struct{}, 100)}
	log := slog.New(slog.NewTextHandler(testkit.NewLog(t, "server"), &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := New(config, Services{Mail: mail, Users: fakeUsers{}, MaySendAs: maySendAs, Log: log, Events: events})
	if err != nil {
		t.Fatal(err)
	}
	ts := &testServer{Server: s, mail: mail, addr: make(map[Service]string), pool: pool}
	var serving sync.WaitGroup
	for _, service := range []Service{MX, Submission, Submissions, LMTP} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ts.addr[service] = l.Addr().String()
		serving.Go(func() {
			if err := s.Serve(l, service); err != nil {
				t.Errorf("serve %v: %v", service, err)
			}
		})
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
		if n := s.Connections(); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
	return ts
}

func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func (ts *testServer) clientTLS() *tls.Config {
	return &tls.Config{RootCAs: ts.pool, ServerName: "mx.example.test"}
}

// client is a client of few words.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *lineReader
	tcp  *net.TCPConn
}

// lineReader reads lines and nothing ahead, so that TLS can begin behind any of them.
type lineReader struct{ r io.Reader }

func (l *lineReader) line() (string, error) {
	var b []byte
	for one := make([]byte, 1); ; {
		if _, err := io.ReadFull(l.r, one); err != nil {
			return string(b), err
		}
		if one[0] == '\n' {
			return strings.TrimSuffix(string(b), "\r"), nil
		}
		b = append(b, one[0])
	}
}

func (ts *testServer) dial(t testing.TB, service Service) *client {
	t.Helper()
	nc, err := net.Dial("tcp", ts.addr[service])
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, conn: nc, in: &lineReader{nc}, tcp: nc.(*net.TCPConn)}
	t.Cleanup(func() { _ = nc.Close() })
	if service == Submissions {
		c.startTLS(ts.clientTLS())
	}
	return c
}

func (c *client) startTLS(config *tls.Config) {
	c.t.Helper()
	tc := tls.Client(c.conn, config)
	if err := tc.Handshake(); err != nil {
		c.t.Fatalf("handshake: %v", err)
	}
	c.conn, c.in = tc, &lineReader{tc}
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, format, args...); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// reply reads a whole reply and wants its last line to begin with code.
func (c *client) reply(code string) string {
	c.t.Helper()
	for {
		text, err := c.in.line()
		if err != nil {
			c.t.Fatalf("want reply %s: %q, %v", code, text, err)
		}
		if strings.Contains(text, secret) {
			c.t.Errorf("the client was shown an internal error: %s", text)
		}
		if len(text) > 3 && text[3] == '-' {
			continue
		}
		if !strings.HasPrefix(text, code) {
			c.t.Fatalf("want reply %s, got %q", code, text)
		}
		return text
	}
}

// end wants the server to end the connection.
func (c *client) end() {
	c.t.Helper()
	text, err := c.in.line()
	if err == nil || text != "" {
		c.t.Fatalf("want the end of the connection, got %q", text)
	}
}

// upTo says everything before the mail itself: hello, MAIL and RCPT.
func (c *client) upTo(recipients ...string) {
	c.t.Helper()
	c.reply("220")
	c.send("EHLO client.test\r\n")
	c.reply("250")
	c.send("MAIL FROM:<bob@elsewhere.test>\r\n")
	c.reply("250")
	for _, r := range recipients {
		c.send("RCPT TO:<%s>\r\n", r)
		c.reply("250")
	}
}
