package rules

import (
	"errors"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func textOf(octets string) string {
	octets = strings.ReplaceAll(octets, "\n", "\r\n")
	return TextOf(mime.Scan([]byte(octets)), func(from, n int64) ([]byte, error) { return []byte(octets[from : from+n]), nil })
}

func TestTextOf(t *testing.T) {
	for name, c := range map[string]struct{ octets, want string }{
		"plain":                         {"Subject: x\n\nthe text\n", "the text\r\n"},
		"charset":                       {"Content-Type: text/plain; charset=iso-8859-1\n\n\xfcber\n", "über\r\n"},
		"base64":                        {"Content-Transfer-Encoding: base64\n\naGVsbG8=\n", "hello"},
		"quoted-printable":              {"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n=C3=BCber\n", "über\r\n"},
		"plain before HTML":             {"Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<b>html</b>\n--b\n\nplain\n--b--\n", "plain"},
		"HTML":                          {"Content-Type: text/html\n\n<html><head><title>t</title></head><style>x{}</style><p>one<br>t<b>w</b>o &amp; three</p><script>no()</script>four\n", "    one two & three  four\r\n"},
		"HTML that says its charset":    {"Content-Type: text/html\n\n<meta charset=koi8-r><p>\xe4\xc1\n", "  Да\r\n"},
		"HTML that breaks off":          {"Content-Type: text/html\n\none <script>two\n", "one  "},
		"a tag that breaks off":         {"Content-Type: text/html\n\none <two\n", "one "},
		"no text":                       {"Content-Type: application/pdf\n\nabc\n", ""},
		"an attachment is not the text": {"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment\n\nno\n--b\nContent-Type: text/plain\n\nyes\n--b--\n", "yes"},
		"nor is what is inside a mail":  {"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: x\n\nno\n--b--\n", ""},
	} {
		if got := textOf(c.octets); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTextIsBounded(t *testing.T) {
	if n := len(textOf("\n" + strings.Repeat("0123456789", 20_000))); n != maxBody {
		t.Errorf("%d bytes of text", n)
	}
	root := mime.Scan([]byte("Subject: x\r\n\r\nthe text\r\n"))
	if got := TextOf(root, func(int64, int64) ([]byte, error) { return nil, errors.New("broken") }); got != "" {
		t.Errorf("%q", got)
	}
}

func FuzzTextOf(f *testing.F) {
	f.Add("Content-Type: text/html\n\n<p>one<script>two</script>&lt;\n")
	f.Add("Content-Transfer-Encoding: base64\n\naGVsbG8\n")
	f.Fuzz(func(t *testing.T, octets string) {
		defer testkit.Bounded(t)()
		if got := textOf(octets); len(got) > 4*maxBody || strings.ToValidUTF8(got, "") != got {
			t.Errorf("%d bytes, %.50q", len(got), got)
		}
	})
}
