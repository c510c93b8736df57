package oxcmail

import (
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// TestHeaderInTheCharsetOfTheText: fields without encoded-words are in the charset of the mail's own text, where they are text in
// it; a mail that is written of the message says the same.
func TestHeaderInTheCharsetOfTheText(t *testing.T) {
	const chinese = "Subject: \xc4\xe3\xba\xc3\r\nFrom: \xcd\xf5 <a@example.test>\r\nTo: \xc0\xee <b@example.test>\r\nX-Other: \xc4\xe3\r\n"
	for name, c := range map[string]struct{ header, kind, subject, author, to string }{
		"GBK":           {chinese, "text/plain; charset=gbk", "你好", "王", "李"},
		"GB 18030":      {chinese, "text/html; charset=\"GB18030\"", "你好", "王", "李"},
		"KOI8-R":        {"Subject: \xf0\xd2\xc9\xd7\xc5\xd4\r\n", "text/plain; charset=koi8-r", "Привет", "", ""},
		"Shift JIS":     {"From: \x95\x5c <a@example.test>\r\n", "text/plain; charset=shift_jis", "", "表", ""}, // a backslash is half of it
		"UTF-8 too":     {"Subject: \xd0\x90\r\nFrom: \xf0\xd2 <a@example.test>\r\n", "text/plain; charset=koi8-r", "А", "Пр", ""},
		"encoded words": {"Subject: =?utf-8?q?=C3=A4?= \xf0\xd2\r\n", "text/plain; charset=koi8-r", "ä Пр", "", ""},
		"no charset":    {chinese, "text/plain", "ÄãºÃ", "Íõ", "Àî"},
		"many parts":    {chinese, "multipart/mixed; boundary=b", "ÄãºÃ", "Íõ", "Àî"},
		"of the text": {chinese, "multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nx\r\n--b\r\n" +
			"Content-Type: text/html; charset=gbk\r\n\r\n<p>\xc4\xe3\r\n--b--", "你好", "王", "李"},
		"of files only": {chinese, "multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=koi8-r\r\nContent-Disposition: attachment\r\n\r\nx\r\n" +
			"--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: text/plain; charset=gbk\r\n\r\nx\r\n--b--", "ÄãºÃ", "Íõ", "Àî"},
		"ISO-2022-JP": {"Subject: \x1b$BF|K\\8l\x1b(B\r\nFrom: \x1b$B;3ED\x1b(B <a@example.test>\r\n", "text/plain; charset=iso-2022-jp", "日本語", "山田", ""},
		"an escape":   {"Subject: a\x1b$Bb\r\n", "text/plain; charset=koi8-r", "a\x1b$Bb", "", ""},
		"unknown":     {chinese, "text/plain; charset=x-none", "ÄãºÃ", "Íõ", "Àî"},
		"not in it":   {"Subject: Gr\xfc\xdfe \xff\r\n", "text/plain; charset=gbk", "Grüße ÿ", "", ""},
		"UTF-8":       {"Subject: Gr\xfc\xdfe\r\n", "text/plain; charset=utf-8", "Grüße", "", ""},
		"UTF-16":      {"Subject: Gr\xfc\xdfe\r\n", "text/plain; charset=utf-16le", "Grüße", "", ""},
		"Latin-1":     {"Subject: Gr\xfc\xdfe\r\n", "text/plain; charset=iso-8859-1", "Grüße", "", ""},
	} {
		octets := []byte(c.header + "Content-Type: " + c.kind + "\r\n\r\nx\r\n")
		m, names, b := read(t, octets)
		says := func(m *Message) []string {
			said := []string{stringOf(&m.Props, mapi.PidTagNormalizedSubject), stringOf(&m.Props, mapi.PidTagSentRepresentingName), stringOf(&m.Props, mapi.PidTagDisplayTo)}
			for i := range m.Recipients {
				said = append(said, stringOf(&m.Recipients[i], mapi.PidTagDisplayName))
			}
			return said
		}
		want := []string{c.subject, c.author, c.to}
		if c.to != "" {
			want = append(want, c.to)
		}
		if got := says(m); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		again, _, _ := read(t, form(t, &m.MessageContent, &Writer{Names: names, Contents: b}, b))
		if got := says(again); !slices.Equal(got, want) {
			t.Errorf("%s: written and read %q, want %q", name, got, want)
		}
		header := strings.TrimSuffix(string(octets[:mime.Scan(octets).HeaderSize()]), "\r\n")
		if got := Reheader([]byte(header), &m.Props, m.Recipients); string(got) != header+"\r\n" {
			t.Errorf("%s: the header of what was not changed is %q", name, got)
		}
	}
}
