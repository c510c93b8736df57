package smtp

import (
	"strings"
	"testing"
)

// BenchmarkLMTP is one connection's mails of 4 KiB, pipelined as far as the protocol lets them.
func BenchmarkLMTP(b *testing.B) {
	ts := start(b, nil)
	c := ts.dial(b, LMTP)
	c.reply("220")
	c.send("LHLO a\r\n")
	c.reply("250")
	body := strings.Repeat("0123456789012345678901234567890123456789012345678901234567890\r\n", 65)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		c.send("MAIL FROM:<>\r\nRCPT TO:<anna@example.test>\r\nDATA\r\n")
		c.reply("250")
		c.reply("250")
		c.reply("354")
		c.send("%s.\r\n", body)
		c.reply("250")
	}
}
