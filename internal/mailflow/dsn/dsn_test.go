package dsn

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	stdmime "mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mailflow"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

const header = "From: alice@example.test\r\nSubject: hi\r\nMessage-ID: <1@example.test>\r\n"

func report(to ...Recipient) *Report {
	at := time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)
	return &Report{Host: "mail.example.test", ID: "3-dk3j5x", Sender: "alice@example.test", Arrived: at, Made: at.Add(time.Hour),
		Recipients: to, Header: []byte(header + "\r\nthe body\r\n")}
}

var reports = map[string]*Report{
	"failed":    report(Recipient{Address: "bob@example.test", Action: Failed, Kind: exmdb.KindOverQuota}, Recipient{Address: "you@elsewhere.test", Action: Failed, Kind: mailflow.KindRelay}),
	"delayed":   report(Recipient{Address: "bob@example.test", Action: Delayed, Kind: cluster.KindUnavailable, Until: time.Date(2027, 1, 20, 8, 0, 0, 0, time.UTC)}),
	"delivered": report(Recipient{Address: `"b o b"@example.test`, Action: Delivered}),
	"utf-8":     report(Recipient{Address: "bübchen@example.test", Action: Failed, Kind: cluster.KindUnavailable}, Recipient{Address: "bob@example.test", Action: Failed, Kind: exmdb.KindNoMailbox}),
}

func TestGolden(t *testing.T) {
	for name, r := range reports {
		if name == "utf-8" {
			r.Header = []byte("Subject: süß\r\n" + header)
		}
		path := "testdata/" + name + ".eml"
		got := r.Octets()
		if *rewrite {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

// read takes a report apart as another program would.
func read(octets []byte) (head mail.Header, types []string, bodies [][]byte, err error) {
	m, err := mail.ReadMessage(bytes.NewReader(octets))
	if err != nil {
		return nil, nil, nil, err
	}
	kind, params, err := stdmime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		return nil, nil, nil, fmt.Errorf("%s %v: %w", kind, params, err)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return m.Header, types, bodies, nil
		}
		if err != nil {
			return nil, nil, nil, err
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return nil, nil, nil, err
		}
		types, bodies = append(types, p.Header.Get("Content-Type")), append(bodies, b)
	}
}

// groups are the groups of fields of a delivery status: of the mail, then of each recipient.
func groups(status []byte) (all []textproto.MIMEHeader, err error) {
	for _, g := range strings.Split(strings.TrimSpace(string(status)), "\r\n\r\n") {
		h := make(textproto.MIMEHeader)
		for _, line := range strings.Split(g, "\r\n") {
			name, value, ok := strings.Cut(line, ": ")
			if !ok {
				return nil, fmt.Errorf("line %q", line)
			}
			h.Add(name, value)
		}
		all = append(all, h)
	}
	return all, nil
}

func TestProgramsReadIt(t *testing.T) {
	for name, r := range reports {
		head, types, bodies, err := read(r.Octets())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := "[text/plain; charset=utf-8 message/delivery-status text/rfc822-headers]"
		if name == "utf-8" {
			want = "[text/plain; charset=utf-8 message/global-delivery-status message/global-headers]"
		}
		if fmt.Sprint(types) != want {
			t.Errorf("%s: %v", name, types)
		}
		if head.Get("To") != "<alice@example.test>" || head.Get("Auto-Submitted") != "auto-replied" {
			t.Errorf("%s: %v", name, head)
		}
		if from, err := head.AddressList("From"); err != nil || from[0].Address != "MAILER-DAEMON@mail.example.test" {
			t.Errorf("%s: %v, %v", name, from, err)
		}
		if d, err := head.Date(); err != nil || !d.Equal(r.Made) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
		if !bytes.Equal(bytes.TrimSpace(bodies[2]), bytes.TrimSpace(cut(r.Header))) || bytes.Contains(bodies[2], []byte("the body")) {
			t.Errorf("%s: header %q", name, bodies[2])
		}
		all, err := groups(bodies[1])
		if err != nil || len(all) != 1+len(r.Recipients) || all[0].Get("Reporting-MTA") != "dns; mail.example.test" {
			t.Fatalf("%s: %v, %v", name, all, err)
		}
		for i, to := range r.Recipients {
			kind, address, _ := strings.Cut(all[i+1].Get("Final-Recipient"), "; ")
			if address != to.Address || all[i+1].Get("Action") != string(to.Action) || (kind == "utf-8") == ascii(to.Address) {
				t.Errorf("%s: %v", name, all[i+1])
			}
			if !bytes.Contains(bodies[0], []byte(to.Address)) {
				t.Errorf("%s: people are not told of %s", name, to.Address)
			}
		}
	}
}

func TestEveryRefusalHasAStatus(t *testing.T) {
	class := map[Action]string{Failed: "5.", Delayed: "4.", Delivered: "2."}
	for k := cluster.Kind(0); k < 2000; k++ {
		final := mailflow.Final(&cluster.Error{Kind: k})
		if r, ok := reasons[k]; final && !ok || ok && (!strings.HasPrefix(r.status, "5.") || r.text == "") {
			t.Errorf("kind %d: %+v", k, r)
		}
		for action, want := range class {
			to := Recipient{Action: action, Kind: k}
			if got := to.status(); !strings.HasPrefix(got, want) && got != tooLate.status {
				t.Errorf("kind %d, %s: %s", k, action, got)
			}
		}
	}
	if to := (Recipient{Action: Failed, Kind: cluster.KindUnavailable}); to.status() != "4.4.7" {
		t.Errorf("what time did not heal: %s", to.status())
	}
}

func TestLongHeadersAreCutBetweenLines(t *testing.T) {
	line := "X-Long: " + strings.Repeat("a", 100) + "\r\n"
	for _, h := range []string{strings.Repeat(line, 1000), strings.Repeat(line, 1000) + "\r\nbody", strings.Repeat("a", maxHeader+1)} {
		got := cut([]byte(h))
		if len(got) > maxHeader || len(got)%len(line) != 0 || strings.Contains(string(got), "body") {
			t.Errorf("%d octets of %d", len(got), len(h))
		}
	}
	if got := cut([]byte(header + "\r\nbody")); string(got) != header {
		t.Errorf("%q", got)
	}
	r := report(Recipient{Address: "bob@example.test", Action: Failed})
	r.Header = bytes.Repeat([]byte(line), 1e5)
	if n := len(r.Octets()); n > maxHeader+4096 {
		t.Errorf("a report of %d octets", n)
	}
}

// FuzzReport: whatever the addresses and the header say, a report has three parts, and a group of fields for each
// recipient.
func FuzzReport(f *testing.F) {
	f.Add("alice@example.test", "bob@example.test", header, "3-1")
	f.Add("a\r\nBcc: x@y", "b\r\n\r\nAction: delivered", "--=_report_3-1\r\n\r\n", "3-1")
	f.Add("", "\n--=_report_\n", "Subject: =_report_\r\n--=_report_--\r\n", "")
	f.Add("ä@ü", "\xff\xfe", "\xff: \r\n", "\x00")
	f.Fuzz(func(t *testing.T, sender, address, header, id string) {
		r := report(Recipient{Address: address, Action: Failed, Kind: exmdb.KindOverQuota})
		r.Sender, r.Header, r.ID = sender, []byte(header), strings.Map(func(c rune) rune {
			if c >= '0' && c <= '9' || c == '-' || c >= 'a' && c <= 'z' {
				return c
			}
			return -1
		}, id[:min(len(id), 41)]) // two numbers of 64 bits: a boundary has 70 characters at most (RFC 2046 5.1.1)
		head, types, bodies, err := read(r.Octets())
		if err != nil || len(types) != 3 || len(head) != 8 {
			t.Fatalf("%v parts, %v, %v", types, head, err)
		}
		all, err := groups(bodies[1])
		if err != nil || len(all) != 2 || len(all[1]) != 3 || all[1].Get("Action") != "failed" {
			t.Fatalf("%v, %v", all, err)
		}
	})
}
