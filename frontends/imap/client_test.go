package imap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestClient lets another implementation of the protocol read what the server says.
func TestClient(t *testing.T) {
	ts := startServer(t, nil)
	arrived := make(chan uint32, 8)
	c := must(imapclient.DialInsecure(ts.addr, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				arrived <- *d.NumMessages
			}
		}}}))(t)
	defer func() { _ = c.Close() }()
	if err := c.Authenticate(sasl.NewPlainClient("", "alice@example.test", "secret")); err != nil {
		t.Fatal(err)
	}
	if err := c.Create("Été/Reçus", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	boxes := must(c.List("", "*", &goimap.ListOptions{ReturnStatus: &goimap.StatusOptions{NumMessages: true}}).Collect())(t)
	if !slices.ContainsFunc(boxes, func(l *goimap.ListData) bool { return l.Mailbox == "Été/Reçus" && l.Status != nil }) {
		t.Errorf("the new mailbox is not listed: %v", boxes)
	}
	mail := strings.ReplaceAll(simpleMail("client"), "\r\n", "\n") // bare LF becomes CRLF
	w := c.Append("INBOX", int64(len(mail)), &goimap.AppendOptions{Flags: []goimap.Flag{goimap.FlagSeen}})
	if _, err := io.WriteString(w, mail); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := must(w.Wait())(t); got.UID != 1 {
		t.Errorf("APPENDUID %v", got)
	}
	sel := must(c.Select("INBOX", &goimap.SelectOptions{CondStore: true}).Wait())(t)
	if sel.NumMessages != 1 || sel.HighestModSeq == 0 {
		t.Errorf("SELECT says %+v", sel)
	}
	checkFetch(t, c)
	checkChanges(t, ts, c)
	idle := must(c.Idle())(t)
	ts.box.deliver("Inbox", "", simpleMail("idle"))
	select {
	case n := <-arrived:
		if n != 1 {
			t.Errorf("%d messages after a delivery", n)
		}
	case <-time.After(20 * time.Second):
		t.Error("IDLE told nothing")
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
}

func checkFetch(t *testing.T, c *imapclient.Client) {
	t.Helper()
	section := &goimap.FetchItemBodySection{Specifier: goimap.PartSpecifierText, Peek: true}
	got := must(c.Fetch(goimap.SeqSetNum(1), &goimap.FetchOptions{Envelope: true, UID: true, Flags: true, ModSeq: true,
		InternalDate: true, RFC822Size: true, BodyStructure: &goimap.FetchItemBodyStructure{Extended: true},
		BodySection: []*goimap.FetchItemBodySection{section}}).Collect())(t)
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	m := got[0]
	if m.Envelope.Subject != "client" || m.Envelope.From[0].Addr() != "bob@example.test" || m.UID != 1 || m.ModSeq == 0 {
		t.Errorf("fetched %+v, %+v", m, m.Envelope)
	}
	if body := string(m.FindBodySection(section)); body != "Hello client.\r\n" {
		t.Errorf("text is %q", body)
	}
	if m.RFC822Size != int64(len(simpleMail("client"))) || m.BodyStructure.MediaType() != "text/plain" {
		t.Errorf("size %d, type %s", m.RFC822Size, m.BodyStructure.MediaType())
	}
}

func checkChanges(t *testing.T, ts *testServer, c *imapclient.Client) {
	t.Helper()
	stored := must(c.Store(goimap.SeqSetNum(1), &goimap.StoreFlags{Op: goimap.StoreFlagsAdd,
		Flags: []goimap.Flag{goimap.FlagDeleted, "Later"}}, nil).Collect())(t)
	if len(stored) != 1 || !slices.Contains(stored[0].Flags, goimap.Flag("Later")) {
		t.Errorf("STORE says %v", stored)
	}
	found := must(c.UIDSearch(&goimap.SearchCriteria{Body: []string{"hello CLIENT"}, Flag: []goimap.Flag{"later"}}, nil).Wait())(t)
	if uids := found.AllUIDs(); len(uids) != 1 {
		t.Errorf("SEARCH says %v", uids)
	}
	copied := must(c.Copy(goimap.UIDSetNum(1), "Été/Reçus").Wait())(t)
	if copied.DestUIDs.String() != "1" {
		t.Errorf("COPY says %+v", copied)
	}
	gone := must(c.Expunge().Collect())(t)
	if len(gone) != 1 {
		t.Errorf("EXPUNGE says %v", gone)
	}
	if ns := must(c.Namespace().Wait())(t); len(ns.Personal) != 1 {
		t.Errorf("NAMESPACE says %+v", ns)
	}
}

func TestStartTLS(t *testing.T) {
	config := testTLS(t)
	ts := startServer(t, func(c *Config) { c.AllowPlaintext, c.TLS = false, config })
	nc := must(net.Dial("tcp", ts.addr))(t)
	c := must(imapclient.NewStartTLS(nc, &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}}))(t) // a certificate of this test
	defer func() { _ = c.Close() }()
	if err := c.Login("alice@example.test", "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Noop().Wait(); err != nil {
		t.Fatal(err)
	}
	if caps := must(c.Capability().Wait())(t); caps.Has(goimap.CapStartTLS) || !caps.Has(goimap.CapCondStore) {
		t.Errorf("capabilities %v", caps)
	}
}

// TestInjectedCommandsEndTheSession: octets that came with STARTTLS are not taken for the client's.
func TestInjectedCommandsEndTheSession(t *testing.T) {
	config := testTLS(t)
	ts := startServer(t, func(c *Config) { c.TLS = config })
	c := ts.dial()
	c.line()
	c.send("a STARTTLS\r\nb LOGIN alice@example.test secret\r\n")
	if line, err := c.tryLine(); err == nil {
		t.Errorf("the server went on: %q", line)
	}
}

func TestImplicitTLS(t *testing.T) {
	ts := startServer(t, nil)
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	ts.config.TLS = testTLS(t)
	served := make(chan error, 1)
	go func() { served <- ts.Serve(context.Background(), l, ImplicitTLS) }()
	c := must(imapclient.DialTLS(l.Addr().String(), &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}}))(t) // a certificate of this test
	if err := c.Login("alice@example.test", "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if err := ts.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; !errors.Is(err, ErrServerClosed) {
		t.Error(err)
	}
}

// TestOwnerChangeIsAPause: while the owner changes, an idle client sees nothing, and then what happened.
func TestOwnerChangeIsAPause(t *testing.T) {
	ts := startServer(t, nil)
	c := ts.login()
	c.ok("a SELECT INBOX")
	c.send("b IDLE\r\n")
	c.until("+")
	asked := make(chan struct{}, 1000)
	ts.box.mu.Lock()
	ts.box.fail = func(op exmdb.OpInfo) error {
		if op.Name == "Watch" || op.Name == "Changes" {
			asked <- struct{}{}
			return cluster.ErrUnavailable
		}
		return nil
	}
	ts.box.mu.Unlock()
	ts.box.deliver("Inbox", "", simpleMail("meanwhile"))
	for range 3 { // the watcher has failed and come again
		<-asked
	}
	ts.box.mu.Lock()
	ts.box.fail = nil
	ts.box.mu.Unlock()
	if got := c.line(); got != "* 1 EXISTS" {
		t.Errorf("after the pause: %q", got)
	}
	c.send("DONE\r\n")
	c.until("b OK")
}

func TestWatchTimeoutSaysStillHere(t *testing.T) {
	ts := startServer(t, func(c *Config) { c.WatchTimeout = 20 * time.Millisecond })
	c := ts.login()
	c.ok("a SELECT INBOX")
	c.send("b IDLE\r\n")
	c.until("* OK Still here")
	c.send("DONE\r\n")
	c.until("b OK")
}

func TestDrain(t *testing.T) {
	ts := startServer(t, nil)
	waiting, idle, busy := ts.login(), ts.login(), ts.login()
	idle.ok("a SELECT INBOX")
	idle.send("b IDLE\r\n")
	idle.until("+")
	busy.send("a APPEND INBOX {10}\r\n")
	busy.until("+")
	drained := make(chan error, 1)
	go func() { drained <- ts.Drain(t.Context()) }()
	for _, c := range []*client{waiting, idle} {
		if got := c.line(); !strings.HasPrefix(got, "* BYE [UNAVAILABLE]") {
			t.Errorf("got %q", got)
		}
		if _, err := c.tryLine(); !errors.Is(err, io.EOF) {
			t.Errorf("after BYE: %v", err)
		}
	}
	busy.send("Subject: x\r\n") // a command under way is finished
	busy.until("a OK [APPENDUID")
	busy.until("* BYE")
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", ts.addr); err == nil {
		t.Error("a drained server accepts")
	}
}

func TestDrainCutsWhatDoesNotEnd(t *testing.T) {
	ts := startServer(t, nil)
	c := ts.login()
	c.send("a APPEND INBOX {10}\r\n")
	c.until("+")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ts.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if f := ts.box.named("Inbox"); len(f.messages) != 0 {
		t.Error("half a message was stored")
	}
}

func TestConnectionLimits(t *testing.T) {
	ts := startServer(t, func(c *Config) { c.MaxConnections, c.MaxPerUser = 3, 2 })
	first := ts.login()
	ts.login()
	third := ts.dial()
	third.line()
	third.want("a LOGIN alice@example.test secret", "NO [LIMIT]")
	if got := ts.dial().line(); !strings.HasPrefix(got, "* BYE [UNAVAILABLE]") {
		t.Errorf("fourth connection: %q", got)
	}
	first.do("b LOGOUT")
	if _, err := first.tryLine(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return ts.Connections() == 2 })
	third.ok("c LOGIN alice@example.test secret")
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !ok() {
		pause(ctx, time.Millisecond)
		if ctx.Err() != nil {
			t.Fatal("condition did not come true")
		}
	}
}

func TestTimeouts(t *testing.T) {
	ts := startServer(t, func(c *Config) {
		c.LoginTimeout, c.IdleTimeout, c.ReadTimeout = 30*time.Millisecond, 30*time.Millisecond, 30*time.Millisecond
	})
	c := ts.dial()
	c.line()
	if got := c.line(); !strings.HasPrefix(got, "* BYE [UNAVAILABLE] Nothing heard") {
		t.Errorf("before sign-in: %q", got)
	}
	c = ts.dial()
	c.line()
	c.send("a LOGIN alice@exam")
	if got := c.line(); !strings.HasPrefix(got, "* BYE") {
		t.Errorf("inside a command: %q", got)
	}
}

// TestSignInTimeIsAbsolute: commands that need no sign-in, and a command that comes drop by drop, do not prolong it.
func TestSignInTimeIsAbsolute(t *testing.T) {
	ts := startServer(t, func(c *Config) { c.LoginTimeout, c.ReadTimeout = 100*time.Millisecond, time.Minute })
	for _, text := range []string{"a NOOP\r\n", "x"} {
		c := ts.dial()
		c.line()
		begun, bye := time.Now(), make(chan string, 1)
		go func() {
			line, err := c.tryLine()
			for err == nil && !strings.HasPrefix(line, "* BYE") {
				line, err = c.tryLine()
			}
			bye <- line
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		for gone := false; !gone && ctx.Err() == nil; {
			_, err := io.WriteString(c.conn, text)
			gone = err != nil
			pause(ctx, time.Millisecond)
		}
		cancel()
		if took := time.Since(begun); took > 9*time.Second {
			t.Errorf("%q kept the session for %v", text, took)
		}
		_ = c.conn.Close()
		<-bye
	}
	c, later := ts.login(), ts.dial()
	later.until("* BYE")
	c.ok("b NOOP") // the limit ends with the sign-in
}

// TestLiteralsBeforeSignIn: what a stranger may have kept in memory is little, over all his commands, TLS or not.
func TestLiteralsBeforeSignIn(t *testing.T) {
	ts := startServer(t, nil)
	c := ts.dial()
	c.line()
	literal := "{4000+}\r\n" + strings.Repeat("x", 4000)
	for _, want := range []string{"NO [AUTH", "NO [AUTH", "BAD [LIMIT]"} {
		c.want("a LOGIN "+literal+" x", want)
	}
	c.want("b LOGIN {200}", "BAD [LIMIT]")
	c.ok("c LOGIN alice@example.test secret")
	c.want("d STATUS "+literal+" (MESSAGES)", "NO")
	c.want("e STATUS "+literal+" (MESSAGES)", "NO")
	c.want("f STATUS "+literal+" (MESSAGES)", "NO")
	c = ts.dial()
	c.line()
	c.want("a LOGIN "+strings.Repeat("x", 20_000)+" x", "BAD [LIMIT]")
	c.send("b LOGIN {1000000+}\r\n")
	c.until("* BYE [TOOBIG]")
}

func TestTooManyFailures(t *testing.T) {
	ts := startServer(t, func(c *Config) { c.MaxFailures = 2 })
	c := ts.dial()
	c.line()
	for range 3 {
		c.want("a LOGIN alice@example.test wrong", "NO [AUTHENTICATIONFAILED]")
	}
	if got := c.line(); !strings.HasPrefix(got, "* BYE [LIMIT]") {
		t.Errorf("got %q", got)
	}
	http := ts.dial()
	http.line()
	http.send("GET / HTTP/1.1\r\nHost: x\r\nAccept: y\r\nZ: z\r\n\r\n")
	http.until("* BYE")
}

// TestLargeMessage streams a message that does not fit into any buffer, both ways.
func TestLargeMessage(t *testing.T) {
	ts := startServer(t, nil)
	c := ts.login()
	mail := simpleMail("large") + strings.Repeat("0123456789abcde\r\n", 200_000)
	c.send(fmt.Sprintf("a APPEND INBOX {%d+}\r\n%s\r\n", len(mail), mail))
	c.until("a OK")
	c.ok("b SELECT INBOX")
	c.send("c FETCH 1 (BODY.PEEK[] BODY.PEEK[TEXT]<1000000.7>)\r\n")
	if got, want := c.line(), fmt.Sprintf("* 1 FETCH (BODY[] {%d}", len(mail)); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	got := make([]byte, len(mail))
	if _, err := io.ReadFull(c.r, got); err != nil || string(got) != mail {
		t.Fatalf("octets differ (%v)", err)
	}
	c.until("c OK")
	before := ts.box.bytesRead.Load()
	c.ok("d FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
	if n := ts.box.bytesRead.Load() - before; n > 1000 {
		t.Errorf("%d octets were read for a header", n)
	}
}

// TestMessageFailsInTheMiddle: a literal that cannot be completed ends the session, as nothing else is true.
func TestMessageFailsInTheMiddle(t *testing.T) {
	ts := startServer(t, nil)
	ts.box.deliver("Inbox", "", simpleMail("large")+strings.Repeat("0123456789abcde\r\n", 200_000))
	c := ts.login()
	c.ok("b SELECT INBOX")
	reads := 0
	ts.box.mu.Lock()
	ts.box.fail = func(op exmdb.OpInfo) error {
		if op.Name != "ReadBytes" {
			return nil
		}
		if reads++; reads > 2 {
			return cluster.ErrDamaged
		}
		return nil
	}
	ts.box.mu.Unlock()
	c.send("c FETCH 1 BODY.PEEK[]\r\n")
	if _, err := io.Copy(io.Discard, c.r); err != nil {
		t.Fatal(err)
	}
}

// TestRefusedAppendLeavesNothing covers literals that are too large, cut off or refused by the ingester.
func TestRefusedAppendLeavesNothing(t *testing.T) {
	ts := startServer(t, func(c *Config) { c.MaxMessage = 1000 })
	c := ts.login()
	c.want("a APPEND INBOX {1001}", "NO [TOOBIG]")
	c.send("b APPEND INBOX {1001+}\r\n" + strings.Repeat("x", 1001) + "\r\n")
	c.until("b NO [TOOBIG]")
	ts.ingest.fail = &cluster.Error{Kind: exmdb.KindOverQuota, Text: "full"}
	c.send("c APPEND INBOX {5+}\r\nhello\r\nd NOOP\r\n")
	c.until("c NO [OVERQUOTA]")
	c.until("d OK")
	ts.ingest.fail = nil
	c.send("e APPEND INBOX {500+}\r\nhello")
	_ = c.conn.Close()
	waitFor(t, func() bool { return ts.Connections() == 0 })
	c = ts.login()
	c.send("f APPEND INBOX {9000000+}\r\n")
	c.until("* BYE [TOOBIG]")
	if f := ts.box.named("Inbox"); len(f.messages) != 0 {
		t.Errorf("%d messages were stored", len(f.messages))
	}
}

// TestAppendIsInTheUsersZone: what times of a calendar that name no zone are read in.
func TestAppendIsInTheUsersZone(t *testing.T) {
	ts := startServer(t, nil)
	ts.login().want("a APPEND INBOX {5+}\r\nhello", "OK [APPENDUID")
	if ts.ingest.zone != "Europe/Berlin" {
		t.Errorf("the ingester was told zone %q", ts.ingest.zone)
	}
}

// TestHalfAnAppendIsTakenBack also when the client hangs up in the second message; only what cannot be taken back stays.
func TestHalfAnAppendIsTakenBack(t *testing.T) {
	ts := startServer(t, nil)
	messages := func() int {
		ts.box.mu.Lock()
		defer ts.box.mu.Unlock()
		return len(ts.box.named("Drafts").messages)
	}
	const first = "a APPEND Drafts {5+}\r\nhello {5+}\r\n"
	c := ts.login()
	c.send(first + "wo")
	waitFor(t, func() bool { return messages() == 1 })
	_ = c.conn.Close()
	waitFor(t, func() bool { return messages() == 0 })
	c = ts.login()
	ts.box.mu.Lock()
	ts.box.fail = func(op exmdb.OpInfo) error {
		if op.Name == "Expunge" || op.Name == "Append" && messages() == 1 {
			return cluster.ErrUnavailable
		}
		return nil
	}
	ts.box.mu.Unlock()
	c.send(first + "world\r\n")
	c.until("a NO [UNAVAILABLE]")
	if n := messages(); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestPipelining(t *testing.T) {
	ts := startServer(t, nil)
	for i := range 50 {
		ts.box.deliver("Inbox", "", simpleMail(fmt.Sprint(i)))
	}
	c := ts.dial()
	var all strings.Builder
	all.WriteString("l LOGIN alice@example.test secret\r\ns SELECT INBOX\r\n")
	for i := range 50 {
		fmt.Fprintf(&all, "f%d FETCH %d (UID BODY[])\r\ng%d UID STORE %d +FLAGS.SILENT (k)\r\n", i, i+1, i, i+1)
	}
	c.send(all.String() + "z NOOP\r\n")
	lines := c.until("z OK")
	for i := range 50 {
		for _, want := range []string{fmt.Sprintf("f%d OK Completed", i), fmt.Sprintf("g%d OK Completed", i)} {
			if !slices.Contains(lines, want) {
				t.Fatalf("%s is missing", want)
			}
		}
	}
}

func TestLongSequences(t *testing.T) {
	ts := startServer(t, nil)
	for range 30 {
		ts.box.deliver("Inbox", "", simpleMail("x"))
	}
	c := ts.login()
	c.ok("a SELECT INBOX")
	set := strings.TrimSuffix(strings.Repeat("1,3,5,", 5000), ",")
	if got := c.ok("b UID FETCH " + set + " UID"); len(got) != 3 {
		t.Errorf("%d responses", len(got))
	}
	c.want("c UID FETCH "+strings.Repeat("1,", 40000)+"1 UID", "BAD [LIMIT]")
	if got := c.ok("d FETCH 30:1 UID"); len(got) != 30 {
		t.Errorf("%d responses", len(got))
	}
}

// TestSeenIsOneOp: however many messages a FETCH reads, one op sets \Seen for a page of them.
func TestSeenIsOneOp(t *testing.T) {
	ts := startServer(t, nil)
	for range 40 {
		ts.box.deliver("Inbox", "", simpleMail("x"))
	}
	c := ts.login()
	c.ok("a SELECT INBOX")
	c.ok("b FETCH 1:* BODY[TEXT]")
	c.ok("c FETCH 1:* BODY[TEXT]")
	ts.box.mu.Lock()
	defer ts.box.mu.Unlock()
	if n := ts.box.calls["SetFlags"]; n != 1 {
		t.Errorf("%d ops", n)
	}
}
