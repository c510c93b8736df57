package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// scripted is a connection whose client sends pieces, and then nothing more.
type scripted struct {
	net.Conn
	pieces [][]byte
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

func (s *scripted) SetReadDeadline(time.Time) error { return nil }
func (s *scripted) RemoteAddr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }

// dotsOf reads what comes in pieces of random lengths.
func dotsOf(t testing.TB, octets []byte, rng *rand.Rand, change func(*Config)) *dotReader {
	t.Helper()
	config := Config{Host: "h", AllowPlaintext: true}
	if change != nil {
		change(&config)
	}
	s, err := New(config, Services{})
	if err != nil {
		t.Fatal(err)
	}
	raw := &scripted{}
	for octets = bytes.Clone(octets); len(octets) > 0; {
		n := min(len(octets), 1+rng.IntN(1+rng.IntN(10000)))
		raw.pieces, octets = append(raw.pieces, octets[:n:n]), octets[n:]
	}
	c := newConn(s, MX, raw)
	t.Cleanup(func() { c.cancel() })
	if rng.IntN(2) == 0 && len(raw.pieces) > 0 {
		c.ahead, raw.pieces = raw.pieces[0], raw.pieces[1:] // came with the command
	}
	return newDotReader(c)
}

// split says by the words of RFC 5321 4.5.2 and 4.1.1.4 what is the mail, and what is left from the dot on.
func split(octets []byte) (mail, rest []byte, ends bool) {
	all := append([]byte("\r\n"), octets...)
	if i := bytes.Index(all, []byte("\r\n.\r\n")); i >= 0 {
		all, rest, ends = all[:i+2], all[i+2:], true
	}
	return bytes.ReplaceAll(all, []byte("\r\n."), []byte("\r\n"))[2:], rest, ends
}

// readSome reads with buffers of random lengths.
func readSome(r io.Reader, rng *rand.Rand) (all []byte, err error) {
	for {
		p := make([]byte, rng.IntN(1+rng.IntN(3*leastRead)))
		n, err := r.Read(p)
		all = append(all, p[:n]...)
		if err != nil {
			return all, err
		}
	}
}

// checkDots compares the reader with split, however the octets are cut.
func checkDots(t *testing.T, octets []byte, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	d := dotsOf(t, octets, rng, nil)
	mail, rest, ends := split(octets)
	got, err := readSome(d, rng)
	if !ends {
		if err == io.EOF || len(got) > len(mail) || !bytes.HasPrefix(append(mail, '\r', '\n'), got) {
			t.Fatalf("seed %d, %q: a mail without end gave %q, %v", seed, octets, got, err)
		}
		return
	}
	if err != io.EOF || !bytes.Equal(got, mail) {
		t.Fatalf("seed %d, %q: got %q, %v, want %q", seed, octets, got, err, mail)
	}
	left, err := io.ReadAll(onlyReader{d.conn})
	if !bytes.Equal(left, rest) || !errors.Is(err, error(refusals.cutOff)) && !errors.Is(err, net.ErrClosed) {
		t.Fatalf("seed %d, %q: left %q, %v, want %q", seed, octets, left, err, rest)
	}
}

type onlyReader struct{ io.Reader }

var dots = []string{"", ".\r\n", "..\r\n.\r\n", "x\r\n.\r\n", "x\r\n.\r\nNOOP\r\n", "x\n.\n.\r\n.\r\n", "x\r.\r.\r\n\r\n.\r\n", ".\r\r\n.\r\n", ".\n\r\n.\r\n",
	"x\r\r\n.\r\nQUIT\r\n", "...\r\n..x\r\n.\r\n", "\r\n.", "\r\n.\r", "x", "\n.\r\n.\r\n", ".x\r\n.\r\n.\r\n.\r\n"}

func TestOnlyADotAloneEndsAMail(t *testing.T) {
	for _, octets := range dots {
		for seed := range uint64(50) {
			checkDots(t, []byte(octets), seed)
		}
	}
}

// TestDots draws mails in which what matters is frequent, some longer than every buffer.
func TestDots(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 2))
	for range 2000 {
		var b bytes.Buffer
		for range rng.IntN(40) {
			b.WriteString([]string{"\r\n", "\r", "\n", ".", "..", "\r\n.", "\r\n..", "x", strings.Repeat("y", rng.IntN(3000)), "\r\n.\r\n"}[rng.IntN(9+rng.IntN(2))])
		}
		checkDots(t, b.Bytes(), rng.Uint64())
	}
	t.Log("seed", seed)
}

func FuzzDots(f *testing.F) {
	for i, s := range dots {
		f.Add([]byte(s), uint64(i))
	}
	f.Fuzz(func(t *testing.T, octets []byte, seed uint64) {
		defer testkit.Bounded(t)()
		checkDots(t, octets, seed)
	})
}

// TestLimitsOfDots: a mail that breaks a limit is refused, and its octets are still not taken for commands.
func TestLimitsOfDots(t *testing.T) {
	const size, line = 100 << 10, 5 << 10
	long := func(n int) string { return strings.Repeat("z", n-2) + "\r\n" }
	for _, c := range []struct {
		name, mail string
		want       error
	}{
		{"as long as may be", strings.Repeat(long(1<<10), 100), io.EOF},
		{"an octet too long", strings.Repeat(long(1<<10), 99) + long(1025), smtp.ErrDataTooLarge},
		{"much too long", strings.Repeat(long(1<<10), 1000), smtp.ErrDataTooLarge},
		{"lines as long as may be", strings.Repeat(long(line), 20), io.EOF},
		{"a line too long", long(line) + long(line+1) + "x\r\n", smtp.ErrTooLongLine},
		{"a line too long at the end", long(100) + strings.Repeat("y", line+1) + "\r\n", smtp.ErrTooLongLine},
		{"a line too long after many", strings.Repeat(long(100), 90) + long(2*line), smtp.ErrTooLongLine},
		{"a bare LF ends a line", strings.Repeat(strings.Repeat("z", 4<<10)+"\n", 20) + "\r\n", io.EOF},
	} {
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 3))
			d := dotsOf(t, []byte(c.mail+".\r\nNOOP\r\n"), rng, func(c *Config) { c.MaxMessage, c.MaxLine = size, line })
			got, err := readSome(d, rng)
			if !errors.Is(err, c.want) || c.want == io.EOF && string(got) != c.mail {
				t.Fatalf("%s: %d octets, %v", c.name, len(got), err)
			}
			d.drain()
			if left, _ := io.ReadAll(onlyReader{d.conn}); string(left) != ".\r\nNOOP\r\n" {
				t.Fatalf("%s: left %q", c.name, left)
			}
		}
	}
}

// TestLinesForTheEngine: whatever comes together, the engine gets a line at a time, and all of a chunk.
func TestLinesForTheEngine(t *testing.T) {
	s, err := New(Config{Host: "h", AllowPlaintext: true}, Services{})
	if err != nil {
		t.Fatal(err)
	}
	chunk := strings.Repeat("a line of a chunk\r\n", 1000)
	c := newConn(s, MX, &scripted{pieces: [][]byte{[]byte("EHLO a\r\nMAIL FR"), []byte("OM:<>\r\nBDAT 19000\r\n" + chunk[:3000]), []byte(chunk[3000:]), []byte("NOOP\n")}})
	defer c.cancel()
	var got []string
	for _, room := range []int{engineBuffer, engineBuffer, engineBuffer, engineBuffer, 32 << 10, 32 << 10, engineBuffer} {
		p := make([]byte, room)
		n, err := c.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%.9q %d %v", p[:n], n, c.isLined()))
	}
	want := []string{`"EHLO a\r\n" 8 true`, `"MAIL FR" 7 false`, `"OM:<>\r\n" 7 true`, `"BDAT 1900" 12 true`, `"a line of" 3000 false`, `"\r\na line " 16000 false`, `"NOOP\n" 5 true`}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestPipelinedMails: the whole of a conversation in one packet, mails too.
func TestPipelinedMails(t *testing.T) {
	ts := start(t, nil)
	c := ts.dial(t, MX)
	c.reply("220")
	const begin = "MAIL FROM:<a@elsewhere.test>\r\nRCPT TO:<anna@example.test>\r\n"
	c.send("EHLO a\r\n" + begin + "DATA\r\none\r\n..dot\r\n.\r\n" + begin + "BDAT 5 LAST\r\ntwo\r\n" + begin + "DATA\r\nthree\r\n.\r\nQUIT\r\n")
	for _, code := range []string{"250", "250", "250", "354", "250 2.0.0 Stored", "250", "250", "250 2.0.0 Stored", "250", "250", "354", "250 2.0.0 Stored", "221"} {
		c.reply(code)
	}
	c.end()
	var mails []string
	for _, m := range ts.mail.all() {
		mails = append(mails, m.mail)
	}
	if want := []string{"one\r\n.dot\r\n", "two\r\n", "three\r\n"}; !slices.Equal(mails, want) {
		t.Errorf("%q", mails)
	}
}
