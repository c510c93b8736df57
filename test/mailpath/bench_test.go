package mailpath

import (
	"fmt"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/testkit/mails"
)

// kinds are mails as people get them, by what most of their bytes are.
func kinds() map[string]func(n int) []byte {
	head := func(n int) string {
		return fmt.Sprintf("From: Anna Berg <anna@example.test>\r\nTo: Bert Olsen <bert@example.test>, carl@example.test\r\nDate: Tue, 03 Mar 2026 10:20:30 +0100\r\n"+
			"Message-ID: <%d@example.test>\r\nSubject: Re: figures\r\nIn-Reply-To: <0@example.test>\r\nReferences: <0@example.test>\r\n"+
			"Received: from a.example.test by b.example.test; Tue, 3 Mar 2026 10:20:31 +0100\r\nMIME-Version: 1.0\r\n", n)
	}
	html := strings.Repeat("<p class=3DMsoNormal>Some text of a mail that goes on.</p>\r\n", 700)
	picture := mails.Lines(strings.Repeat("iVBORw0KGgoA", 2500))
	return map[string]func(n int) []byte{
		"text4KiB": func(n int) []byte {
			return []byte(head(n) + "Content-Type: text/plain; charset=utf-8\r\n\r\n" + strings.Repeat("A line of a mail as people write them, and so on.\r\n", 80))
		},
		"html75KiB": func(n int) []byte {
			return []byte(head(n) + "Content-Type: multipart/related; boundary=r\r\n\r\n--r\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\n" +
				"Content-Type: text/plain; charset=utf-8\r\n\r\nSome text.\r\n--a\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + html +
				"--a--\r\n--r\r\nContent-Type: image/png; name=i.png\r\nContent-ID: <i@x>\r\nContent-Transfer-Encoding: base64\r\n\r\n" + picture + "\r\n--r--\r\n")
		},
	}
}

// BenchmarkDelivery delivers mails into a mailbox: all that a node computes for them, without Raft and the network.
func BenchmarkDelivery(b *testing.B) {
	for name, make := range kinds() {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b)
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				h.deliver(make(n))
			}
		})
	}
}
