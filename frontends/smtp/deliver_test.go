package smtp

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// oneUser is a directory in which alice, who is a.alias too, is all there is.
type oneUser struct{ directory.Directory }

func (oneUser) Local(_ context.Context, domain string) (bool, error) {
	return domain == "example.test", nil
}

func (oneUser) Resolve(_ context.Context, address string) (directory.Resolution, error) {
	if address != "alice@example.test" && address != "a.alias@example.test" {
		return directory.Resolution{}, cluster.Errorf(exmdb.KindNoSuchUser, secret)
	}
	return directory.Resolution{Mailboxes: []directory.Recipient{{Mailbox: mapi.MailboxID{1}, Address: address}}}, nil
}

// oneBox takes deliveries, and nothing else.
type oneBox struct {
	exmdb.Caller
	mu   sync.Mutex
	got  []*exmdb.DeliverRequest // guarded by mu
	fail error                   // guarded by mu
}

func (b *oneBox) Call(_ context.Context, _ exmdb.Identity, _ mapi.MailboxID, _ exmdb.OpInfo, req, _ any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == nil {
		b.got = append(b.got, req.(*exmdb.DeliverRequest))
	}
	return b.fail
}

// TestThroughDeliver runs the mail flow's own receiver behind the protocol.
func TestThroughDeliver(t *testing.T) {
	box := &oneBox{}
	ts := start(t, nil)
	ts.services.Mail = &deliver.Deliverer{Caller: box, Directory: oneUser{}, Spool: t.TempDir(), Limit: 100 << 10, Host: "mx.example.test", Now: time.Now}
	c := ts.dial(t, MX)
	c.upTo("Alice+tag@EXAMPLE.test")
	c.send("RCPT TO:<bob@example.test>\r\n")
	c.reply("550 5.1.1")
	c.send("RCPT TO:<alice@elsewhere.test>\r\n")
	c.reply("550 5.7.1")
	c.send("DATA\r\nSubject: hi\r\nMessage-ID: <1@b>\r\n\r\nhello\r\n.\r\n")
	c.reply("354")
	c.reply("250 2.0.0")
	c.send("MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n%s\r\n.\r\n", strings.Repeat("line\r\n", 20000))
	for _, code := range []string{"250", "250", "354", "552 5.3.4"} {
		c.reply(code)
	}
	box.mu.Lock()
	box.fail = cluster.Errorf(exmdb.KindOverQuota, secret)
	box.mu.Unlock()
	c.send("MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nx\r\n.\r\n")
	for _, code := range []string{"250", "250", "354", "552 5.2.2"} {
		c.reply(code)
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	if len(box.got) != 1 {
		t.Fatalf("%d deliveries", len(box.got))
	}
	d := box.got[0]
	if d.Sender != "bob@elsewhere.test" || d.Recipient != "Alice+tag@EXAMPLE.test" || !strings.Contains(string(d.Message.Recipe.Prefix), "with ESMTP;") {
		t.Errorf("delivered %+v with %s", d, d.Message.Recipe.Prefix)
	}
}

// TestAFullMailboxIsNoOnesSuccess: who is reached under two addresses has no mail under either.
func TestAFullMailboxIsNoOnesSuccess(t *testing.T) {
	ts := start(t, nil)
	ts.services.Mail = &deliver.Deliverer{Caller: &oneBox{fail: cluster.Errorf(exmdb.KindOverQuota, secret)}, Directory: oneUser{},
		Spool: t.TempDir(), Limit: 100 << 10, Host: "mx.example.test", Now: time.Now}
	for service, codes := range map[Service][]string{MX: {"552 5.2.2"}, LMTP: {"552 5.2.2", "552 5.2.2"}} {
		c := ts.dial(t, service)
		c.reply("220")
		c.send("%s a.test\r\n", map[Service]string{MX: "EHLO", LMTP: "LHLO"}[service])
		c.reply("250")
		c.send("MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<a.alias@example.test>\r\nDATA\r\nx\r\n.\r\n")
		for _, code := range append([]string{"250", "250", "250", "354"}, codes...) {
			c.reply(code)
		}
	}
}
