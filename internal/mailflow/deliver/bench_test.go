package deliver

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// swallow takes every delivery and keeps none.
type swallow struct{}

func (swallow) Call(context.Context, exmdb.Identity, mapi.MailboxID, exmdb.OpInfo, any, any) error {
	return nil
}

func (swallow) Upload(context.Context, exmdb.Identity, mapi.MailboxID) (exmdb.Upload, error) {
	return swallow{}, nil
}

func (swallow) Put(_ context.Context, chunk []byte) (exmdb.ChunkRef, error) {
	return exmdb.ChunkRef{Size: uint32(len(chunk))}, nil
}

func (swallow) Close(context.Context) error { return nil }

// mailOf is a mail of about so many octets, most of them an attachment.
func mailOf(octets int) []byte {
	var b bytes.Buffer
	b.WriteString("From: bob@elsewhere.test\r\nTo: alice@example.test\r\nSubject: figures\r\nMessage-ID: <1@elsewhere.test>\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\nContent-Type: text/plain\r\n\r\n")
	b.WriteString(strings.Repeat("All work and no play makes Jack a dull boy.\r\n", 20))
	b.WriteString("--q\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	raw := make([]byte, (octets-1500)/78*57)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range raw {
		raw[i] = byte(rng.Uint32())
	}
	for s := base64.StdEncoding.EncodeToString(raw); s != ""; {
		n := min(76, len(s))
		b.WriteString(s[:n] + "\r\n")
		s = s[n:]
	}
	b.WriteString("--q--\r\n")
	return b.Bytes()
}

// BenchmarkDeliver takes mails in and delivers each to so many mailboxes of one group: what deliver itself costs.
func BenchmarkDeliver(b *testing.B) {
	for _, x := range []struct {
		octets, boxes int
		announced     bool
	}{{4 << 10, 1, true}, {75 << 10, 1, true}, {75 << 10, 1, false}, {75 << 10, 10, true}, {1 << 20, 1, true}} {
		b.Run(fmt.Sprintf("octets=%d,boxes=%d,announced=%v", x.octets, x.boxes, x.announced), func(b *testing.B) {
			d := &Deliverer{Caller: swallow{}, Directory: people{}, Spool: b.TempDir(), Limit: 64 << 20, Host: "mail.example.test", Now: time.Now}
			octets := mailOf(x.octets)
			announced := int64(0)
			if x.announced {
				announced = int64(len(octets))
			}
			boxes := make([]mapi.MailboxID, x.boxes)
			for i := range boxes {
				boxes[i] = mapi.MailboxID{byte(i + 1)}
			}
			recipients, env, r := to(boxes...), &mailflow.Envelope{From: "bob@elsewhere.test", With: "LMTP"}, bytes.NewReader(nil)
			b.SetBytes(int64(len(octets)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(octets)
				m, err := d.Receive(context.Background(), r, announced)
				if err != nil {
					b.Fatal(err)
				}
				d.Deliver(context.Background(), env, recipients, m)
				if err := m.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAllocations holds the number of allocations that a mail of usual length costs, whatever its length.
func TestAllocations(t *testing.T) {
	d := &Deliverer{Caller: swallow{}, Directory: people{}, Spool: t.TempDir(), Limit: 64 << 20, Host: "mail.example.test", Now: time.Now}
	env, recipients := &mailflow.Envelope{From: "bob@elsewhere.test", With: "LMTP"}, to(mapi.MailboxID{1})
	for _, size := range []int{20 << 10, 200 << 10} {
		octets := mailOf(size)
		n := testing.AllocsPerRun(20, func() {
			m, err := d.Receive(context.Background(), bytes.NewReader(octets), int64(len(octets)))
			if err != nil {
				t.Fatal(err)
			}
			if r := d.Deliver(context.Background(), env, recipients, m); r[0].Err != nil {
				t.Fatal(r[0].Err)
			}
		})
		if n > 280 { // 212 when this was written
			t.Errorf("%d octets: %v allocations", len(octets), n)
		}
	}
}
