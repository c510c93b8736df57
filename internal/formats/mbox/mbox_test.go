package mbox

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func readAll(t require, r *Reader) (froms []From, mails []string) {
	for {
		from, err := r.Next()
		if err == io.EOF {
			return froms, mails
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		froms, mails = append(froms, *from), append(mails, string(b))
	}
}

// require is a test of either kind.
type require interface{ Fatal(args ...any) }

// TestRoundTrip: mails of lines that look like separators, with CRs and long lines among them, come back octet for octet once
// line ends are CRLF again, but that each ends in a line end.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{"From ", "From", ">", ">>From ", "a", "\r\n", "\r\n\r\n", "\r", "\x00", "F", strings.Repeat("x", 70_000), "From a@b"})
		at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
		var want []string
		var file bytes.Buffer
		w := NewWriter(&file)
		for range rapid.IntRange(0, 5).Draw(t, "mails") {
			mail := string(mime.Normalize([]byte(strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "mail"), ""))))
			if err := w.Begin(From{"me@example.org", at}); err != nil {
				t.Fatal(err)
			}
			n := rapid.IntRange(0, len(mail)).Draw(t, "cut") // in two pieces that say nothing
			_, _ = w.Write([]byte(mail[:n]))                 // End tells
			_, _ = w.Write([]byte(mail[n:]))                 // End tells
			if err := w.End(); err != nil {
				t.Fatal(err)
			}
			if mail != "" && !strings.HasSuffix(mail, "\r\n") {
				mail += "\r\n"
			}
			want = append(want, mail)
		}
		froms, got := readAll(t, NewReader(&file))
		if len(got) != len(want) {
			t.Fatalf("%d mails, want %d", len(got), len(want))
		}
		for i := range want {
			if back := string(mime.Normalize([]byte(got[i]))); back != want[i] || froms[i].Sender != "me@example.org" || !froms[i].Received.Equal(at) {
				t.Fatalf("%+v %q, want %q", froms[i], back, want[i])
			}
		}
	})
}

// TestForeign: what other programs write.
func TestForeign(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"From a@b Mon Jan  1 00:00:00 2024\nSubject: x\n\nFrom here it is no mail\n>From quoted\n\nFrom MAILER-DAEMON Mon Jan  1 00:00:00 2024 +0100\n\nlast without end",
			"Subject: x\n\nFrom here it is no mail\nFrom quoted\n|\nlast without end"},
		{"\r\nFrom a\r\nS: x\r\n\r\nbody\r\n\r\nFrom b 1:1\r\n\r\n", "S: x\r\n\r\nbody\r\n|"},
		{"From a\nS: x\n\nnot quoted\nFrom a friend\n", "S: x\n\nnot quoted\nFrom a friend\n"},
		{"", ""}, {"\n\n", ""},
	} {
		_, mails := readAll(t, NewReader(strings.NewReader(c.file)))
		if got := strings.Join(mails, "|"); got != c.want {
			t.Errorf("%q: got %q", c.file, got)
		}
	}
	if _, err := NewReader(strings.NewReader("Subject: x\n\n")).Next(); !errors.Is(err, ErrNoMbox) {
		t.Errorf("got %v", err)
	}
	r := NewReader(strings.NewReader("From a\nx\ny\n\nFrom b 10:00\nz\n"))
	for _, want := range []string{"a", "b"} { // without reading them
		if from, err := r.Next(); err != nil || from.Sender != want {
			t.Fatalf("%+v, %v", from, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("From a@b Mon Jan  1 00:00:00 2024\nSubject: x\n\nbody\n\nFrom c\n>From \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		total := 0
		r := NewReader(bytes.NewReader(b))
		for {
			if _, err := r.Next(); err != nil {
				break
			}
			n, err := io.Copy(io.Discard, readOnly{r})
			if err != nil {
				t.Fatal(err)
			}
			total += int(n)
		}
		if total > len(b) {
			t.Fatalf("%d octets of %d", total, len(b))
		}
	})
}
