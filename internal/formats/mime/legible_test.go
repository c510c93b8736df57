package mime

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
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
		"its text":  {"Subject: \xf0\xd2\r\nFrom: o <a@b>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=koi8-r\r\n\r\nx", "Пр", "o", false, true},
		"ISO 2022":  {"Subject: \x1b$B=)\x1b(B\r\nFrom: o <a@b>\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n", "秋", "o", false, true},
		"none":      {"Subject: \xe4\r\nFrom: o <a@b>\r\n\r\n", "ä", "o", false, false},
		"elsewhere": {"Subject: x\r\nFrom: o <a@b>\r\nX-Note: \xe1\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n", "x", "o", true, true},
	} {
		root := Scan([]byte(c.header))
		if got := root.Envelope.IsLegible(); got != c.utf8 {
			t.Errorf("%s: the envelope is UTF-8: %v", name, got)
		}
		text, e := root.LegibleEnvelope([]byte(c.header))
		if e.DecodedSubject() != c.subject || e.From[0].DisplayName() != c.from || bytes.Equal(text, []byte(c.header)) == c.read {
			t.Errorf("%s: %q, %q of %q", name, e.DecodedSubject(), e.From[0].DisplayName(), text)
		}
	}
}

// TestFilenameIn: a file's name is in its own charset, else in that of the mail's text, where it is text in it; a backslash in it is
// perhaps half a letter.
func TestFilenameIn(t *testing.T) {
	for _, c := range []struct{ header, charset, want string }{
		{"Content-Type: application/pdf; name=\"\x95\x5c.pdf\"", "shift_jis", "表.pdf"},
		{"Content-Disposition: attachment; filename=\xf0\xd2.txt; size=2", "koi8-r", "Пр.txt"},
		{"Content-Type: text/plain; charset=koi8-r; name=\xf0\xd2.txt", "shift_jis", "Пр.txt"},
		{"Content-Type: text/plain; charset=utf-8; name=\x95\x5c", "shift_jis", "表"},
		{"Content-Type: application/pdf; name=\"表.pdf\"", "koi8-r", "表.pdf"},
		{"Content-Type: application/pdf; name=\xe4\xff", "gbk", "äÿ"},
		{"Content-Type: application/pdf; name=\xe4", "", "ä"},
		{"Content-Disposition: attachment; filename*=utf-8''%C3%A4; filename=\xf0", "koi8-r", "ä"},
		{"Content-Type: application/pdf", "koi8-r", ""},
	} {
		p := Scan([]byte(c.header + "\r\n\r\n"))
		before := p.Filename()
		if got := p.FilenameIn(c.charset); got != c.want || p.Filename() != before {
			t.Errorf("%q in %s: %q, want %q", c.header, c.charset, got, c.want)
		}
	}
}

// TestReadEnvelope: what is UTF-8 is not read, what is not is read in its charset, and what cannot be read is an error.
func TestReadEnvelope(t *testing.T) {
	broken := readerAt{iotest.ErrReader(io.ErrNoProgress)}
	plain := Scan([]byte("Subject: \xc3\xa4\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n"))
	if e, err := plain.ReadEnvelope(broken); err != nil || e != plain.Envelope {
		t.Errorf("UTF-8: %v, %v", e, err)
	}
	octets := "Subject: \xf0\xd2\xc9\xd7\xc5\xd4\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\nSubject: \xff\r\n"
	root := Scan([]byte(octets))
	if e, err := root.ReadEnvelope(strings.NewReader(octets)); err != nil || e.DecodedSubject() != "Привет" {
		t.Errorf("KOI8-R: %v, %v", e, err)
	}
	if _, err := root.ReadEnvelope(broken); err != io.ErrNoProgress {
		t.Errorf("no octets: %v", err)
	}
}

type readerAt struct{ io.Reader }

func (r readerAt) ReadAt(b []byte, _ int64) (int, error) { return r.Read(b) }
