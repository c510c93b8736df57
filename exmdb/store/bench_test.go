package store

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// mail is a message as mailflow makes it of octets.
func mail(t testing.TB, octets []byte) exmdb.NewMessage {
	t.Helper()
	root := mime.Scan(octets)
	props, err := oxcmail.HeaderProps(root, bytes.NewReader(octets))
	if err != nil {
		t.Fatal(err)
	}
	return exmdb.NewMessage{Recipe: exmdb.Recipe{Prefix: []byte("Return-Path: <>\r\n"), Segments: []exmdb.Segment{{Raw: octets}}},
		Digest: mime.MarshalDigest(root), Props: props.AppendWire(nil)}
}

// BenchmarkDeliverMail is the delivery of a mail of 4 KiB, without and with the properties that lists show of it.
func BenchmarkDeliverMail(b *testing.B) {
	header := "From: Anna <anna@example.test>\r\nTo: bert@example.test, carl@example.test\r\nSubject: RE: hello there\r\n" +
		"Date: Tue, 03 Mar 2026 10:20:30 +0100\r\nMessage-ID: <1@example.test>\r\n\r\n"
	whole := mail(b, append([]byte(header), make([]byte, 4<<10)...))
	bare := whole
	bare.Props = nil
	for name, m := range map[string]exmdb.NewMessage{"bare": bare, "props": whole} {
		b.Run(fmt.Sprintf("%s-%d", name, len(m.Props)), func(b *testing.B) {
			x := newDiskBox(b)
			b.ReportAllocs()
			for b.Loop() {
				x.deliver(m)
			}
		})
	}
}
