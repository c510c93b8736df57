package mime

import (
	"bytes"
	"testing"
)

// TestLegibleEnvelope: only fields that are no UTF-8, of a mail whose Content-Type has a charset that they are text in, become
// other octets; all others are the header's own.
func TestLegibleEnvelope(t *testing.T) {
	for name, c := range map[string]struct {
		header, subject, from string
		utf8, read            bool
	}{
		"KOI8-R":    {"Subject: \xf0\xd2\xc9\xd7\xc5\xd4\r\nFrom: \xe1 <a@b>\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n", "Привет", "А", false, true},
		"Shift JIS": {"From: \x95\x5c <a@b>\r\nSubject: x\r\nContent-Type: text/plain; charset=shift_jis\r\n\r\n", "x", "表", false, true},
		"UTF-8":     {"Subject: ä\r\nFrom: Ö <a@b>\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n", "ä", "Ö", true, false},
		"none":      {"Subject: \xe4\r\nFrom: o <a@b>\r\n\r\n", "ä", "o", false, false},
		"elsewhere": {"Subject: x\r\nFrom: o <a@b>\r\nX-Note: \xe1\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n", "x", "o", true, true},
	} {
		root := Scan([]byte(c.header))
		if got := root.Envelope.IsUTF8(); got != c.utf8 {
			t.Errorf("%s: the envelope is UTF-8: %v", name, got)
		}
		text, e := root.LegibleEnvelope([]byte(c.header))
		if e.DecodedSubject() != c.subject || e.From[0].DisplayName() != c.from || bytes.Equal(text, []byte(c.header)) == c.read {
			t.Errorf("%s: %q, %q of %q", name, e.DecodedSubject(), e.From[0].DisplayName(), text)
		}
	}
}
