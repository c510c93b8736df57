package mime

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestCharsetOf: a header's charset is what counts; without one that is known HTML says its own.
func TestCharsetOf(t *testing.T) {
	for _, c := range []struct{ header, start, want string }{
		{"text/html; charset=koi8-r", "<meta charset=gbk>", "koi8-r"},
		{"text/html; charset=us-ascii", "<meta charset=gbk>", "us-ascii"},
		{"text/html; charset=x-none", "<meta charset=gbk>", "gbk"},
		{"text/html", "<html><head><META HTTP-EQUIV=Content-Type CONTENT=\"text/html; charset=Windows-1251\"></head>", "windows-1251"},
		{"text/html", "<meta name=x content=charset><meta\ncharset = 'gb2312'/>", "gb2312"},
		{"text/html", "<meta content=\"charset charset=big5;x\">", "big5"},
		{"text/html", "<!-- <meta charset=gbk> --><meta charset=koi8-r", "koi8-r"},
		{"text/html", "<metal charset=gbk><meta charset=none><p charset=gbk>", ""},
		{"text/html", "<meta charset=utf-8>", ""},
		{"text/html", "<meta charset=utf-16le>", ""},
		{"text/html", "<meta charset=>", ""},
		{"text/html", "<!-- <meta charset=gbk>", ""},
		{"text/html", strings.Repeat(" ", MetaWithin) + "<meta charset=gbk>", ""},
		{"text/plain", "<meta charset=gbk>", ""},
		{"text/plain; charset=x-none", "", ""},
	} {
		octets := "Content-Type: " + c.header + "\r\n\r\n"
		if got := Scan([]byte(octets)).CharsetOf([]byte(c.start)); got != c.want {
			t.Errorf("%s, %q: %q, want %q", c.header, c.start, got, c.want)
		}
	}
}

// TestTextOfHTML: HTML is text in the charset that it says, all of it, and what cannot be read is an error.
func TestTextOfHTML(t *testing.T) {
	body := "<meta charset=koi8-r>" + strings.Repeat("\xf0\xd2", 2*MetaWithin)
	octets := "Content-Type: text/html\r\n\r\n" + body
	p := Scan([]byte(octets))
	if text, err := io.ReadAll(p.Text(strings.NewReader(octets))); err != nil || string(text) != "<meta charset=koi8-r>"+strings.Repeat("Пр", 2*MetaWithin) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if found, err := p.SearchMessage(strings.NewReader(octets), "прпрпр", InBody); err != nil || !found {
		t.Errorf("searched for: %v, %v", found, err)
	}
	if _, err := io.ReadAll(p.Text(readerAt{iotest.ErrReader(io.ErrNoProgress)})); err != io.ErrNoProgress {
		t.Errorf("no octets: %v", err)
	}
}
