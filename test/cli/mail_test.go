package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func signInIMAP(c *site, node, user, password string) error {
	client, err := imapclient.DialInsecure(c.addr(node, 2143), nil)
	if err != nil {
		return err
	}
	err = client.Login(user+"@"+dev.Domain, password).Wait()
	return errors.Join(err, client.Close())
}

// dialSMTP connects from an address of the loopback.
func dialSMTP(c *site, node string, port int, from string) (*smtp.Client, error) {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", c.addr(node, port))
	if err != nil {
		return nil, err
	}
	client := smtp.NewClient(conn)
	client.CommandTimeout, client.SubmissionTimeout = patience, patience
	if err := client.Hello("client.example.org"); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return client, nil
}

// send sends a mail from elsewhere; its Message-ID comes from its text, so that one text is one mail.
func send(c *site, node, text string, to ...string) error { return sendAs(c, node, mail(text), to...) }

// sendAs sends a mail from elsewhere as it is.
func sendAs(c *site, node, octets string, to ...string) error {
	client, err := dialSMTP(c, node, 2525, "127.0.0.1")
	if err != nil {
		return err
	}
	err = client.SendMail("someone@example.org", to, strings.NewReader(octets))
	return errors.Join(err, client.Close())
}

func mail(text string) string {
	return fmt.Sprintf("From: someone@example.org\r\nSubject: %s\r\nMessage-ID: <%x@example.org>\r\n\r\n%s\r\n", text, text, text)
}

// submit signs in to submission and sends a mail, up to the first refusal.
func submit(c *site, node, user, from, to, text string) error {
	client, err := dialSMTP(c, node, 2587, "127.0.0.1")
	if err != nil {
		return err
	}
	err = client.Auth(sasl.NewPlainClient("", user+"@"+dev.Domain, dev.Password))
	if err == nil {
		err = client.SendMail(from, []string{to}, strings.NewReader(mail(text)))
	}
	return errors.Join(err, client.Close())
}

// wants checks the code of a refusal, and its enhanced code.
func wants(t *testing.T, what string, err error, code int, enhanced smtp.EnhancedCode) {
	t.Helper()
	var r *smtp.SMTPError
	if !errors.As(err, &r) || r.Code != code || r.EnhancedCode != enhanced {
		t.Errorf("%s: %v, want %d %v", what, err, code, enhanced)
	}
}

func submission(t *testing.T, c *site) {
	if err := submit(c, "n1", "alice", "alice@example.test", "bob@example.test", "from alice"); err != nil {
		t.Fatal(err)
	}
	c.do(t, "alias", "add", "sales@example.test", "alice@example.test")
	if err := submit(c, "n2", "alice", "sales@example.test", "bob@example.test", "from an alias"); err != nil {
		t.Errorf("under an alias: %v", err)
	}
	wants(t, "a sender that is not hers", submit(c, "n1", "alice", "bob@example.test", "bob@example.test", "x"), 553, smtp.EnhancedCode{5, 7, 1})
	wants(t, "a sender elsewhere", submit(c, "n1", "alice", "alice@example.org", "bob@example.test", "x"), 553, smtp.EnhancedCode{5, 7, 1})
	wants(t, "a recipient elsewhere", submit(c, "n1", "alice", "alice@example.test", "someone@example.org", "x"), 550, smtp.EnhancedCode{5, 7, 1})
	wants(t, "nobody", submit(c, "n1", "alice", "alice@example.test", "nobody@example.test", "x"), 550, smtp.EnhancedCode{5, 1, 1})
	wants(t, "mail from elsewhere to elsewhere", send(c, "n1", "x", "someone@example.org"), 550, smtp.EnhancedCode{5, 7, 1})
	wants(t, "mail from elsewhere to nobody", send(c, "n1", "x", "nobody@example.test"), 550, smtp.EnhancedCode{5, 1, 1})
	client, err := dialSMTP(c, "n1", 2587, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	wants(t, "without signing in", client.Mail("alice@example.test", nil), 530, smtp.EnhancedCode{5, 7, 0})
	wants(t, "a wrong password", client.Auth(sasl.NewPlainClient("", "alice@example.test", "wrong")), 535, smtp.EnhancedCode{5, 7, 8})
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	before := messages(t, c, "bob")
	if err := send(c, "n3", "once", "bob@example.test"); err != nil {
		t.Fatal(err)
	}
	if err := send(c, "n1", "once", "bob@example.test"); err != nil {
		t.Fatal(err)
	}
	if got := messages(t, c, "bob"); got != before+1 {
		t.Errorf("the same mail by two nodes: %d mails more", got-before)
	}
}

func sizes(t *testing.T, c *site) {
	client, err := dialSMTP(c, "n1", 2525, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	wants(t, "a mail that says it is too big", client.Mail("someone@example.org", &smtp.MailOptions{Size: 151 << 20}), 552, smtp.EnhancedCode{5, 3, 4})
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	c.do(t, "user", "quota", "u5@example.test", "20K")
	var full error
	for i := 0; i < 20 && full == nil; i++ { // two fit, and are below what is warned of: the third is refused by the store
		full = send(c, "n1", fmt.Sprintf("%d %s", i, strings.Repeat("x", 7000)), "u5@example.test")
	}
	wants(t, "a mailbox that is full", full, 552, smtp.EnhancedCode{5, 2, 2})
	c.do(t, "user", "quota", "u5@example.test", "0")
	if err := send(c, "n1", "now there is room", "u5@example.test"); err != nil {
		t.Error(err)
	}
}

// throttle guesses from an address of its own, since that is barred too.
func throttle(t *testing.T, c *site) {
	const stranger = "127.0.0.77"
	guess := func(user, password, from string) error {
		client, err := dialSMTP(c, "n3", 2587, from)
		if err != nil {
			return err
		}
		err = client.Auth(sasl.NewPlainClient("", user+"@"+dev.Domain, password))
		return errors.Join(err, client.Close())
	}
	for i := range 10 {
		wants(t, fmt.Sprintf("guess %d", i), guess("carol", "wrong", stranger), 535, smtp.EnhancedCode{5, 7, 8})
	}
	later := smtp.EnhancedCode{4, 7, 0}
	wants(t, "the right password after ten guesses", guess("carol", dev.Password, "127.0.0.1"), 454, later)
	wants(t, "another user from where the guesses came", guess("u3", dev.Password, stranger), 454, later)
	if err := guess("u3", dev.Password, "127.0.0.1"); err != nil {
		t.Errorf("another user from elsewhere: %v", err)
	}
}

// changedUsers: a session ends when its user could not begin it any more.
func changedUsers(t *testing.T, c *site) {
	c.do(t, "user", "add", "eve@example.test", "--password-stdin")
	sessions := func(password string) map[string]<-chan error {
		idle := make(map[string]<-chan error)
		for _, node := range c.Names() {
			idle["imap at "+node] = idleIMAP(t, c, node, "eve", password)
			idle["submission at "+node] = idleSMTP(t, c, node, "eve", password)
		}
		return idle
	}
	open := sessions("a long password")
	c.do(t, "user", "quota", "eve@example.test", "1G") // no reason to end one
	for name, ended := range open {
		select {
		case err := <-ended:
			t.Fatalf("%s ended by a change of quota: %v", name, err)
		default:
		}
	}
	_, stderr, code := c.run(t, "another password\n", "user", "password", "eve@example.test", "--password-stdin", "--dir", c.Dir)
	if code != 0 {
		t.Fatal(stderr)
	}
	allEnd(t, "the password", open)
	open = sessions("another password")
	c.do(t, "user", "disable", "eve@example.test")
	allEnd(t, "disabling", open)
	for _, node := range c.Names() {
		if err := signInIMAP(c, node, "eve", "another password"); err == nil {
			t.Errorf("%s lets a disabled user in", node)
		}
	}
	if err := send(c, "n1", "to a disabled user", "eve@example.test"); err != nil {
		t.Errorf("mail to a disabled user: %v", err)
	}
	c.do(t, "user", "enable", "eve@example.test")
	if err := signInIMAP(c, "n2", "eve", "another password"); err != nil {
		t.Error(err)
	}
	if n := messages(t, c, "eve"); n != 1 {
		t.Errorf("eve has %d mails", n)
	}
}

func allEnd(t *testing.T, why string, open map[string]<-chan error) {
	t.Helper()
	late := time.After(patience)
	for name, ended := range open {
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%s, after %s was changed: %v", name, why, err)
			}
		case <-late:
			t.Fatalf("%s goes on after %s was changed", name, why)
		}
	}
}

// talk signs in with the lines given, waits for the answer to each, and then for the server's last word.
func talk(t *testing.T, addr string, lines []string, last string) <-chan error {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // mostly closed
	if err := conn.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	var heard bytes.Buffer
	until := func(text string) error {
		for b := make([]byte, 4096); !bytes.Contains(heard.Bytes(), []byte(text)); {
			n, err := conn.Read(b)
			heard.Write(b[:n])
			if err != nil {
				return fmt.Errorf("heard %q: %w", heard.Bytes(), err)
			}
		}
		heard.Reset()
		return nil
	}
	for i := 0; i < len(lines); i += 2 {
		if _, err := conn.Write([]byte(lines[i])); err != nil {
			t.Fatal(err)
		}
		if err := until(lines[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- until(last) }()
	return ended
}

func idleIMAP(t *testing.T, c *site, node, user, password string) <-chan error {
	return talk(t, c.addr(node, 2143), []string{"", "* OK", "a LOGIN " + user + "@" + dev.Domain + " {" + fmt.Sprint(len(password)) + "+}\r\n" + password + "\r\n", "a OK",
		"b SELECT INBOX\r\n", "b OK", "c IDLE\r\n", "+ "}, "* BYE The account has changed")
}

func idleSMTP(t *testing.T, c *site, node, user, password string) <-chan error {
	_, ir, err := sasl.NewPlainClient("", user+"@"+dev.Domain, password).Start()
	if err != nil {
		t.Fatal(err)
	}
	return talk(t, c.addr(node, 2587), []string{"", "220 ", "EHLO a\r\n", "250 ", "AUTH PLAIN " + base64.StdEncoding.EncodeToString(ir) + "\r\n", "235 "}, "421 ")
}

// cutOff: a node without the others is not ready, and is again when it finds them.
func cutOff(t *testing.T, c *site) {
	ready := func(want int) func(context.Context) error {
		return func(context.Context) error {
			if code, text := get(t, "http://"+c.addr("n2", 2808)+"/healthz/ready"); code != want {
				return fmt.Errorf("/healthz/ready: %d %s", code, text)
			}
			return nil
		}
	}
	c.do(t, "dev", "fault", "n2", "cut")
	testkit.Eventually(t, patience, ready(503))
	if err := signInIMAP(c, "n2", "u1", dev.Password); err == nil {
		t.Error("a node that is cut off lets users in by its old copy of the directory")
	}
	if code, _ := get(t, "http://"+c.addr("n2", 2808)+"/healthz/live"); code != 200 {
		t.Errorf("/healthz/live: %d", code)
	}
	c.do(t, "dev", "fault", "n2", "clear")
	testkit.Eventually(t, patience, ready(200))
}
