package smtp

import (
	"bufio"
	"io"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// TestReceivedFields compares the count, however the octets are cut, with that of net/textproto.
func TestReceivedFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOf(rapid.SampledFrom([]string{"Received", "RECEIVED", "received", "Received-SPF", "X-Received", "To", "A"})).Draw(t, "names")
		mail := "Subject: x\r\n"
		for _, n := range names {
			mail += n + ": from a\r\n\treceived: by b\r\n"
		}
		mail += "\r\nReceived: in the body\r\n"
		header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(mail))).ReadMIMEHeader()
		if err != nil {
			t.Fatal(err)
		}
		o := &octetReader{r: iotest.OneByteReader(strings.NewReader(mail))}
		if rapid.Bool().Draw(t, "at once") {
			o.r = strings.NewReader(mail)
		}
		got, err := io.ReadAll(o)
		if err != nil || string(got) != mail {
			t.Fatalf("read %q, %v", got, err)
		}
		if want := len(header["Received"]); o.received != want {
			t.Fatalf("%d Received fields, want %d", o.received, want)
		}
	})
}

// FuzzExchange: whatever a client sends in a sign-in, the check sees a user name or is not called.
func FuzzExchange(f *testing.F) {
	for _, seed := range []string{"\x00anna\x00flotilla", "a\x00b\x00c", "", "\x00\x00", "anna", "\x00anna\x00p\x00q", "\xff\x00\xff\x00\xff"} {
		f.Add([]byte(seed), []byte("secret"))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		defer testkit.Bounded(t)()
		check := func(_, user, _ string) error {
			if user == "" {
				t.Error("no user")
			}
			return nil
		}
		if _, done, _ := (&plainExchange{check: check}).Next(first); !done && first != nil {
			t.Error("PLAIN goes on")
		}
		login := &loginExchange{check: check}
		if _, done, err := login.Next(first); done && err == nil {
			t.Error("LOGIN without a password")
		} else if _, done, _ := login.Next(second); !done && first != nil && second != nil && len(first) > 0 {
			t.Error("LOGIN goes on")
		}
	})
}

// FuzzAddress: what is let through has no octet that could end a header line or a path.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"anna@example.test", "two words@example.test", `a"b\c@example.test`, "@", "a@", "a@b@c", "a\r\nb@c", "a>b@c", "a@b>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		defer testkit.Bounded(t)()
		a := quoted(address)
		if !plausible(a) {
			return
		}
		if strings.ContainsAny(a, "\r\n\x00") {
			t.Errorf("%q", a)
		}
		if strings.Contains(a, ">") && !strings.HasPrefix(a, `"`) {
			t.Errorf("%q ends its path", a)
		}
	})
}
