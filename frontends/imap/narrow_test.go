package imap

import (
	"bufio"
	"fmt"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/imap/imapwire"
)

// inWords writes a query down.
func inWords(q *exmdb.TextQuery) string {
	if q == nil {
		return "anything"
	}
	for name, parts := range map[string][]exmdb.TextQuery{"all": q.All, "any": q.Any} {
		var words []string
		for i := range parts {
			words = append(words, inWords(&parts[i]))
		}
		if words != nil {
			return name + "(" + strings.Join(words, " ") + ")"
		}
	}
	return fmt.Sprintf("%d:%s", q.Fields, q.Text)
}

// TestNarrowed: what each key asks the store's index for.
func TestNarrowed(t *testing.T) {
	for _, c := range []struct{ keys, want string }{
		{"ALL", "anything"}, {"SEEN LARGER 5", "anything"}, {"NOT TEXT x", "anything"}, {`BODY ""`, "anything"},
		{"BODY x", "all(40:x)"}, {"TEXT x", "all(63:x)"}, {"SUBJECT x", "all(1:x)"}, {"FROM x", "all(2:x)"}, {"CC x", "all(4:x)"},
		{"HEADER X-Note x", "all(16:x)"}, {"HEADER subject x", "all(1:x)"},
		{"SEEN SUBJECT x UID 1:5 FROM y", "all(1:x 2:y)"}, {"OR SUBJECT x FROM y", "all(any(1:x 2:y))"},
		{"OR SUBJECT x SEEN", "anything"}, {"OR (SEEN SUBJECT x) FROM y", "all(any(all(1:x) 2:y))"},
		{strings.Repeat("(", 20) + "SUBJECT x" + strings.Repeat(")", 20), "anything"},
	} {
		d := imapwire.NewDecoder(bufio.NewReader(strings.NewReader(" "+c.keys+"\r\n")), imapwire.Limits{}, nil)
		d.Begin()
		args := parseSearch(d)
		if d.Err() != nil {
			t.Fatal(c.keys, d.Err())
		}
		if got := inWords(args.key.narrowed(maxNarrowDepth)); got != c.want {
			t.Errorf("%s asks for %s, want %s", c.keys, got, c.want)
		}
	}
}

// TestSearchReadsWhatMayPass: only messages that the store names are read, and all of them by an owner that names none.
func TestSearchReadsWhatMayPass(t *testing.T) {
	ts := startServer(t, nil)
	for i := range 50 {
		ts.box.deliver("Inbox", "", simpleMail(fmt.Sprint("mail-", i)))
	}
	c := ts.login()
	c.ok("s SELECT INBOX")
	each := len(ts.box.named("Inbox").messages[0].octets)
	reads := func(keys string) int {
		t.Helper()
		before := ts.box.bytesRead.Load()
		c.send("f SEARCH " + keys + "\r\n")
		if got := c.until("f "); got[0] != "* SEARCH 8" || !strings.HasPrefix(got[1], "f OK") {
			t.Fatalf("%s: %q", keys, got)
		}
		return int(ts.box.bytesRead.Load()-before) / each
	}
	for steps, most := range map[int]int{0: 1, maxNarrowSteps - 1: 1, maxNarrowSteps: 1000} {
		ts.box.mu.Lock()
		ts.box.narrowSteps = steps
		ts.box.mu.Unlock()
		if n := reads("TEXT mail-7"); n > most || most > 1 && n < 50 {
			t.Errorf("%d messages were read to find one, of a store that needs %d steps more", n, steps)
		}
	}
	ts.box.mu.Lock()
	ts.box.fail = func(op exmdb.OpInfo) error {
		if op.ID == exmdb.OpNarrow.ID {
			return cluster.Errorf(cluster.KindNoMethod, "op is not known to this version")
		}
		return nil
	}
	ts.box.mu.Unlock()
	if n := reads("TEXT mail-7"); n < 50 {
		t.Errorf("%d messages were read without an index", n)
	}
}

// TestSearchReadsManyAtOnce: short messages are read a page in one op, those that the flags decide not at all; long ones, and
// all of an owner of the release before, one by one. What is found is the same.
func TestSearchReadsManyAtOnce(t *testing.T) {
	ts := startServer(t, nil)
	const long = exmdb.MaxRowOctets / 16
	for i := range 100 {
		body := "needle\r\n"
		if i%10 == 3 {
			body = strings.Repeat("0123456789abcd\r\n", long) + body
		}
		if i%2 == 1 {
			body += "thread\r\n"
		}
		ts.box.deliver("Inbox", "", simpleMail("hay")+body)
	}
	c := ts.login()
	c.ok("s SELECT INBOX")
	c.ok("t STORE 1:40 +FLAGS.SILENT (\\Seen)")
	for _, before := range []bool{false, true} {
		for keys, want := range map[string]struct{ found, read, long int }{
			"TEXT needle": {100, 100, 10}, "BODY thread": {50, 50, 10}, "HEADER X-Hay a": {0, 100, 10}, "SEEN BODY thread": {20, 20, 4},
			"OR SEEN BODY thread": {70, 60, 6}, "NOT BODY thread": {50, 100, 10}, "UNSEEN NOT BODY thread": {30, 60, 6}, "5:14 TEXT needle": {10, 10, 1},
		} {
			ts.box.mu.Lock()
			ts.box.before = before
			calls := ts.box.calls[exmdb.OpReadBytes.Name]
			ts.box.mu.Unlock()
			c.send("f SEARCH RETURN (COUNT) " + keys + "\r\n")
			if got := c.until("f "); got[0] != fmt.Sprintf(`* ESEARCH (TAG "f") COUNT %d`, want.found) || !strings.HasPrefix(got[1], "f OK") {
				t.Errorf("%s: %q, want %d", keys, got, want.found)
			}
			ts.box.mu.Lock()
			calls = ts.box.calls[exmdb.OpReadBytes.Name] - calls
			ts.box.mu.Unlock()
			if most := 3 * want.long; !before && calls > most || before && calls < want.read {
				t.Errorf("%s: %d single reads, of %d messages of which %d are long", keys, calls, want.read, want.long)
			}
		}
	}
}

// TestSearchReadsHeadersInTheCharsetOfTheText: fields without encoded-words are found by what they are in the charset of the mail's
// own text, as the conversion reads them, in a mail within a mail too,
// and not by what windows-1252 makes of them.
func TestSearchReadsHeadersInTheCharsetOfTheText(t *testing.T) {
	ts := startServer(t, nil)
	for _, mail := range []string{
		"From: \xe1\xce\xce\xc1 <a@example.test>\r\nTo: \xe2\xcf\xd2\xc9\xd3 <b@example.test>\r\nX-Note: \xf7\xc5\xd3\xce\xc1\r\nSubject: \xf0\xd2\xc9\xd7\xc5\xd4\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\nx\r\n",
		"From: \x95\x5c <a@example.test>\r\nTo: \x93\xfa\x96\x7b <b@example.test>\r\nX-Note: \x8c\xea\r\nSubject: \x95\x5c\x8e\xa6\r\nContent-Type: text/plain; charset=shift_jis\r\n\r\nx\r\n",
		"From: Gr\xfcn <a@example.test>\r\nSubject: Gr\xfc\xdfe\r\n\r\nx\r\n",
		"Subject: fwd\r\nContent-Type: message/rfc822\r\n\r\nSubject: \xf0\xd2\xc9\xd7\xc5\xd4\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\nx\r\n",
		"X-Note: \xef\xd3\xc5\xce\xd8\r\nSubject: \xef\xd3\xc5\xce\xd8\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\nx\r\n--b\r\nContent-Type: application/pdf; name=\xc9\xc0\xcc\xd8.pdf\r\n\r\n--b--\r\n",
		"X-Note: \x1b$B=)\x1b(B\r\nSubject: \x1b$B=)\x1b(B\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\nx\r\n",
	} {
		ts.box.deliver("Inbox", "", mail)
	}
	c := ts.login()
	c.ok("s SELECT INBOX")
	for _, q := range []struct{ keys, text, want string }{
		{"SUBJECT", "привет", " 1"}, {"FROM", "Анна", " 1"}, {"TO", "Борис", " 1"}, {"HEADER X-Note", "Весна", " 1"},
		{"TEXT", "Привет", " 1 4"}, {"TEXT", "Весна", " 1"}, {"BODY", "Привет", " 4"}, {"NOT SUBJECT", "Привет", " 2 3 4 5 6"},
		{"SUBJECT", "Осень", " 5"}, {"HEADER X-Note", "осень", " 5"}, {"TEXT", "Осень", " 5"}, {"TEXT", "июль.pdf", " 5"}, {"SUBJECT", "秋", " 6"}, {"HEADER X-Note", "秋", " 6"}, {"TEXT", "秋", " 6"},
		{"SUBJECT", "表示", " 2"}, {"FROM", "表", " 2"}, {"TO", "日本", " 2"}, {"HEADER X-Note", "語", " 2"}, {"TEXT", "表示", " 2"},
		{"SUBJECT", "Grüße", " 3"}, {"FROM", "Grün", " 3"}, {"SUBJECT", "ðÒÉ×ÅÔ", ""}, {"TEXT", "ðÒÉ×ÅÔ", ""},
	} {
		c.send(fmt.Sprintf("f SEARCH CHARSET UTF-8 %s {%d+}\r\n%s\r\n", q.keys, len(q.text), q.text))
		if got := c.until("f "); got[0] != "* SEARCH"+q.want || !strings.HasPrefix(got[1], "f OK") {
			t.Errorf("%s %s: %q, want%s", q.keys, q.text, got, q.want)
		}
	}
}
