// Package clients lets mail programs that others wrote work against a cluster of real processes.
package clients

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// TestClients shares one cluster among the clients, each with a mailbox of its own.
func TestClients(t *testing.T) {
	c := devtest.Start(t, 8)
	for _, x := range []struct {
		name string
		run  func(*testing.T, *dev.Cluster)
	}{
		{"curl", curl}, {"swaks", swaks}, {"imaplib", imaplib}, {"imapclient", goIMAP}, {"refusals", refusals},
		{"mbsync across a killed owner", mbsync},
	} {
		t.Run(x.name, func(t *testing.T) { x.run(t, c) })
	}
}

func addr(c *dev.Cluster, node string, port int) string {
	return fmt.Sprintf("%s:%d", dev.Host(node), c.Port(port))
}

// output runs a program and returns what it printed; it has to succeed.
func output(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func curl(t *testing.T, c *dev.Cluster) {
	file := filepath.Join(t.TempDir(), "mail")
	mail := "From: me@example.org\r\nSubject: by curl\r\nMessage-ID: <curl@example.org>\r\n\r\nhello\r\n"
	if err := os.WriteFile(file, []byte(mail), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(c.Dir, "ca.pem")
	output(t, "", "curl", "-sS", "--cacert", ca, "--ssl-reqd", "smtp://"+addr(c, "n1", 2525), "--mail-from", "me@example.org", "--mail-rcpt", "u1@example.test", "-T", file)
	for _, node := range c.Names() {
		got := output(t, "", "curl", "-sS", "--cacert", ca, "-u", "u1@example.test:flotilla", "imaps://"+addr(c, node, 2993)+"/INBOX;UID=1")
		if !strings.HasSuffix(got, mail) {
			t.Fatalf("%s shows %q", node, got)
		}
	}
}

func swaks(t *testing.T, c *dev.Cluster) {
	ca := filepath.Join(c.Dir, "ca.pem")
	out := output(t, "", "swaks", "--server", dev.Host("n2"), "--port", fmt.Sprint(c.Port(2587)), "--tls", "--tls-ca-path", ca,
		"--auth", "PLAIN", "--auth-user", "alice@example.test", "--auth-password", "flotilla",
		"--from", "alice@example.test", "--to", "u2@example.test,bob@example.test", "--header", "Subject: by swaks")
	if !strings.Contains(out, "<~  250 2.0.0") {
		t.Fatal(out)
	}
	for _, user := range []string{"u2", "bob"} {
		got := output(t, "", "curl", "-sS", "--cacert", ca, "-u", user+"@example.test:flotilla", "imaps://"+addr(c, "n3", 2993)+"/INBOX;UID=1")
		if !strings.Contains(got, "Subject: by swaks") {
			t.Fatalf("%s got %q", user, got)
		}
	}
}

const imaplibScript = `
import imaplib, sys
host, port = sys.argv[1], int(sys.argv[2])
m = imaplib.IMAP4(host, port)
m.login("u3@example.test", "flotilla")
assert m.create('"Work/2026"')[0] == "OK"
assert m.append('"Work/2026"', r'(\Flagged)', None, b"Subject: a\r\n\r\nbody\r\n")[0] == "OK"
typ, data = m.select('"Work/2026"')
assert typ == "OK" and data == [b"1"], data
typ, data = m.uid("FETCH", "1", "(FLAGS BODY.PEEK[])")
assert data[0][1] == b"Subject: a\r\n\r\nbody\r\n", data
assert b"Flagged" in data[0][0] + data[1], data
assert m.uid("STORE", "1", "+FLAGS", r"(\Deleted $Label1)")[0] == "OK"
assert m.uid("SEARCH", "KEYWORD", "$Label1")[1] == [b"1"]
assert m.uid("COPY", "1", "INBOX")[0] == "OK"
assert m.expunge() == ("OK", [b"1"])
assert m.select("INBOX")[1] == [b"1"]
assert m.rename('"Work/2026"', '"Work/Old"')[0] == "OK"
assert any(b"Work/Old" in x for x in m.list()[1])
assert m.delete('"Work/Old"')[0] == "OK"
m.logout()
`

func imaplib(t *testing.T, c *dev.Cluster) {
	output(t, imaplibScript, "python3", "-", dev.Host("n1"), fmt.Sprint(c.Port(2143)))
}

func signIn(t *testing.T, c *dev.Cluster, node, user string, o *imapclient.Options) *imapclient.Client {
	t.Helper()
	client, err := imapclient.DialInsecure(addr(c, node, 2143), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Login(user+"@example.test", "flotilla").Wait(); err != nil {
		t.Fatal(err)
	}
	return client
}

// goIMAP idles at one node while mail comes in at another and its owner is killed: a pause, not an error.
func goIMAP(t *testing.T, c *dev.Cluster) {
	owner := ownerOf(t, c, "u4")
	reader, killed := c.Names()[0], owner
	if reader == owner {
		reader = c.Names()[1]
	}
	exists := make(chan uint32, 100)
	client := signIn(t, c, reader, "u4", &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				exists <- *d.NumMessages
			}
		}}})
	defer client.Close()
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := client.Idle()
	if err != nil {
		t.Fatal(err)
	}
	send(t, c, reader, "u4", "one")
	await(t, exists, 1)
	if err := c.Kill(killed); err != nil {
		t.Fatal(err)
	}
	send(t, c, reader, "u4", "two")
	await(t, exists, 2)
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := client.Noop().Wait(); err != nil {
		t.Fatalf("the session did not live through the loss of the owner: %v", err)
	}
	revive(t, c, killed)
}

func revive(t *testing.T, c *dev.Cluster, node string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for c.Running(node) != 0 && ctx.Err() == nil {
		if err := c.Kill(node); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Start(node); err != nil {
		t.Fatal(err)
	}
	if err := c.ReadyNode(ctx, node, func(string) {}); err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, exists <-chan uint32, want uint32) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case n := <-exists:
			if n == want {
				return
			}
		case <-deadline:
			t.Fatalf("EXISTS %d did not come", want)
		}
	}
}

func ownerOf(t *testing.T, c *dev.Cluster, user string) string {
	t.Helper()
	var box struct{ Owner string }
	if err := c.Admin("n1").Do(context.Background(), "GET", "/v1/objects/"+user+"@example.test/mailbox", nil, &box); err != nil {
		t.Fatal(err)
	}
	return box.Owner
}

// send delivers by SMTP, again at the same node until it is taken, as an MTA would.
func send(t *testing.T, c *dev.Cluster, node, user, subject string) {
	t.Helper()
	mail := fmt.Sprintf("Subject: %s\r\nMessage-ID: <%s.%s@example.org>\r\n\r\nhi\r\n", subject, subject, user)
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := submit(addr(c, node, 2525), []string{user + "@example.test"}, strings.NewReader(mail))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// submit sends one mail over a connection of its own.
func submit(address string, to []string, r io.Reader) error {
	client, err := smtp.Dial(address)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.SendMail("me@example.org", to, r); err != nil {
		return err
	}
	return client.Quit()
}

// refusals: bad input gets the protocol's own error and leaves nothing behind.
func refusals(t *testing.T, c *dev.Cluster) {
	if err := c.Admin("n1").Do(context.Background(), "PATCH", "/v1/objects/u5@example.test", admin.Change{Quota: ptr(uint64(1))}, nil); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		port       int
		say, reply string
	}{
		{2525, "RCPT TO:<nobody@example.test>", "550 5.1.1"},
		{2525, "RCPT TO:<you@elsewhere.example>", "550 5.7.1"},
		{2525, "RCPT TO:<u5@example.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.", "552 5.2.2"},
		{2424, "RCPT TO:<u5@example.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.", "552 5.2.2"},
		{2525, "NONSENSE", "501"},
		{2587, "RCPT TO:<u6@example.test>", "502"},
	} {
		if got := talk(t, addr(c, "n1", x.port), x.port == 2424, x.say); !strings.HasPrefix(got, x.reply) {
			t.Errorf("port %d, %q: got %q, want %s", x.port, x.say, got, x.reply)
		}
	}
	client := signIn(t, c, "n2", "u5", nil)
	defer client.Close()
	if d, err := client.Select("INBOX", nil).Wait(); err != nil || d.NumMessages != 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	app := client.Append("INBOX", 5, nil)
	_, _ = app.Write([]byte("x\r\n\r\n"))
	_ = app.Close()
	if _, err := app.Wait(); err == nil || !strings.Contains(err.Error(), "OVERQUOTA") {
		t.Errorf("APPEND over quota: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }

// talk begins a mail, says some lines and returns the answer to the last.
func talk(t *testing.T, address string, lmtp bool, lines string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	hello := "EHLO"
	if lmtp {
		hello = "LHLO"
	}
	text := textproto.NewConn(conn)
	last := ""
	read := func() {
		// The code is checked by whoever called: here every answer is welcome.
		code, message, err := text.ReadResponse(0)
		if _, refused := err.(*textproto.Error); err != nil && !refused {
			t.Fatalf("%s: %v after %q", address, err, last)
		}
		last = fmt.Sprintf("%d %s", code, message)
	}
	read()
	head, body, hasBody := strings.Cut(lines, "DATA\r\n")
	for _, line := range append([]string{hello + " me", "MAIL FROM:<me@example.org>"}, strings.Split(strings.TrimSuffix(head, "\r\n"), "\r\n")...) {
		fmt.Fprintf(conn, "%s\r\n", line)
		read()
	}
	if hasBody {
		fmt.Fprint(conn, "DATA\r\n")
		read()
		fmt.Fprint(conn, body+"\r\n")
		read()
	}
	return last
}

// mbsync fetches 2,000 messages while the owner of the mailbox is killed.
func mbsync(t *testing.T, c *dev.Cluster) {
	const messages = 2000
	client := signIn(t, c, "n1", "u7", nil)
	var all []*imapclient.AppendCommand
	for i := range messages {
		mail := fmt.Sprintf("Subject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\n%s\r\n", i, i, strings.Repeat("x", i%900))
		app := client.Append("INBOX", int64(len(mail)), nil)
		if _, err := app.Write([]byte(mail)); err != nil {
			t.Fatal(err)
		}
		if err := app.Close(); err != nil {
			t.Fatal(err)
		}
		all = append(all, app)
	}
	for _, app := range all {
		if _, err := app.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
	owner := ownerOf(t, c, "u7")
	node := c.Names()[0]
	if node == owner {
		node = c.Names()[1]
	}
	dir := t.TempDir()
	config := fmt.Sprintf(`IMAPAccount a
Host %s
Port %d
User u7@example.test
Pass flotilla
SSLType None
AuthMechs LOGIN
Timeout 60

IMAPStore far
Account a

MaildirStore near
Path %s/
Inbox %s/INBOX

Channel all
SyncState *
Far :far:
Near :near:
Sync Pull
Create Near
`, dev.Host(node), c.Port(2143), dir, dir)
	file := filepath.Join(dir, "mbsyncrc")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command("mbsync", "-c", file, "all")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for countFiles(t, dir) < messages/10 && time.Now().Before(deadline) {
	}
	if err := c.Kill(owner); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("mbsync: %v\n%s", err, out.Bytes())
	}
	if n := countFiles(t, dir); n != messages {
		t.Fatalf("mbsync fetched %d of %d\n%s", n, messages, out.Bytes())
	}
	revive(t, c, owner)
}

func countFiles(t *testing.T, dir string) int {
	n := 0
	for _, sub := range []string{"cur", "new"} {
		err := filepath.WalkDir(filepath.Join(dir, "INBOX", sub), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				n++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestOneMailToManyTakesItsSpaceOnce: one 10 MB mail to 100 users of one group takes less than 11 MB in the group's
// state on each node, and every user reads all of it.
func TestOneMailToManyTakesItsSpaceOnce(t *testing.T) {
	c := devtest.StartGroups(t, 100, 1)
	boxes := make([]string, 100)
	for i := range boxes {
		boxes[i] = fmt.Sprintf("u%d@example.test", i+1)
	}
	raw := make([]byte, 7<<20+600<<10)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("Subject: ten megabytes\r\nMessage-ID: <ten@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for line := range slices76(base64.StdEncoding.EncodeToString(raw)) {
		b.WriteString(line + "\r\n")
	}
	if b.Len() < 10_000_000 {
		t.Fatalf("the mail has %d octets", b.Len())
	}
	before := diskUse(t, c.Dir)
	if err := submit(addr(c, "n1", 2525), boxes, bytes.NewReader(b.Bytes())); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Names() {
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		if err := c.Stop(ctx, n); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	for node, was := range before {
		grown := diskUse(t, c.Dir)[node] - was
		t.Logf("%s: the state grew by %d bytes for a mail of %d octets to %d mailboxes", node, grown, b.Len(), len(boxes))
		if grown > 11_000_000 {
			t.Errorf("%s: the state grew by %d bytes", node, grown)
		}
	}
	for _, n := range c.Names() {
		if err := c.Start(n); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Ready(ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	for _, box := range []string{boxes[0], boxes[57], boxes[99]} {
		user, _, _ := strings.Cut(box, "@")
		client := signIn(t, c, "n2", user, nil)
		if _, err := client.Select("INBOX", nil).Wait(); err != nil {
			t.Fatal(err)
		}
		sec := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierText}
		got, err := client.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{sec}}).Collect()
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %d messages, %v", user, len(got), err)
		}
		_, want, _ := bytes.Cut(b.Bytes(), []byte("\r\n\r\n"))
		if !bytes.Equal(got[0].FindBodySection(sec), want) {
			t.Fatalf("%s reads other octets", user)
		}
		_ = client.Close() // read to the end
	}
}

func slices76(s string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for ; len(s) > 76; s = s[76:] {
			if !yield(s[:76]) {
				return
			}
		}
		yield(s)
	}
}

// diskUse is what the state of all groups takes on each node, without the logs.
func diskUse(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	use := make(map[string]int64)
	for _, node := range []string{"n1", "n2", "n3"} {
		err := filepath.WalkDir(filepath.Join(dir, node, "groups"), func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // files come and go while the engines work
			}
			if info, err := d.Info(); err == nil {
				use[node] += info.Size()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return use
}
