package smtp

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mailflow/deliver"
)

// BenchmarkLMTP is one connection's mails of 4 KiB, pipelined as far as the protocol lets them.
func BenchmarkLMTP(b *testing.B) {
	ts := start(b, nil)
	body := strings.Repeat("0123456789012345678901234567890123456789012345678901234567890\r\n", 65)
	transfer(b, ts, LMTP, false, []byte(body))
}

// mail75K is a mail of 75 KiB, most of it an attachment.
func mail75K() []byte {
	var b bytes.Buffer
	b.WriteString("From: bob@elsewhere.test\r\nTo: alice@example.test\r\nSubject: figures\r\nMessage-ID: <1@elsewhere.test>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\nContent-Type: text/plain\r\n\r\n")
	b.WriteString(strings.Repeat("All work and no play makes Jack a dull boy.\r\n", 60))
	b.WriteString("--q\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	content := make([]byte, 52_600)
	for i := range content {
		content[i] = byte(i * i >> 3)
	}
	for s := base64.StdEncoding.EncodeToString(content); s != ""; {
		n := min(76, len(s))
		b.WriteString(s[:n] + "\r\n")
		s = s[n:]
	}
	b.WriteString("--q--\r\n")
	return b.Bytes()
}

// sink takes mails in and keeps nothing.
type sink struct{ mailflow.Receiver }

type sunk int64

func (s sunk) Size() int64  { return int64(s) }
func (s sunk) Close() error { return nil }

func (sink) Accept(_ context.Context, _ *mailflow.Envelope, address string) (mailflow.Recipient, error) {
	return mailflow.Recipient{Address: address}, nil
}

func (sink) Receive(_ context.Context, r io.Reader, _ int64) (mailflow.Mail, error) {
	n, err := io.Copy(io.Discard, r)
	return sunk(n), err
}

func (sink) Deliver(_ context.Context, _ *mailflow.Envelope, to []mailflow.Recipient, _ mailflow.Mail) []mailflow.Result {
	return make([]mailflow.Result, len(to))
}

// BenchmarkData75K is one connection's mails of 75 KiB: what the protocol costs alone, and with the receiver of the mail
// flow behind it.
func BenchmarkData75K(b *testing.B) {
	flow := &deliver.Deliverer{Caller: &oneBox{}, Directory: oneUser{}, Spool: b.TempDir(), Limit: 1 << 20, Host: "mx.example.test", Now: time.Now}
	for _, x := range []struct {
		name   string
		mail   mailflow.Receiver
		secure bool
	}{{"protocol", sink{}, false}, {"protocol,TLS", sink{}, true}, {"deliver", flow, false}} {
		b.Run(x.name, func(b *testing.B) {
			ts := start(b, nil)
			ts.services.Mail = x.mail
			transfer(b, ts, LMTP, x.secure, mail75K())
		})
	}
}

func transfer(b *testing.B, ts *testServer, service Service, secure bool, octets []byte) {
	b.Helper()
	c := ts.dial(b, service)
	c.reply("220")
	if secure {
		c.send("LHLO a\r\nSTARTTLS\r\n")
		c.reply("250")
		c.reply("220")
		c.startTLS(ts.clientTLS())
	}
	c.send("LHLO a\r\n")
	c.reply("250")
	all := append(bytes.Clone(octets), ".\r\n"...)
	b.SetBytes(int64(len(octets)))
	b.ReportAllocs()
	for b.Loop() {
		c.send("MAIL FROM:<>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n")
		c.reply("250")
		c.reply("250")
		c.reply("354")
		if _, err := c.conn.Write(all); err != nil {
			b.Fatal(err)
		}
		c.reply("250")
	}
}
