package imapwire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func decode(text string) *Decoder {
	d := NewDecoder(bufio.NewReaderSize(strings.NewReader(text), 64), Limits{}, func() error { return nil })
	d.Begin()
	return d
}

func TestStrings(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"abc ", "abc"}, {`"a \"b\" \\c" `, `a "b" \c`}, {"{3}\r\na b ", "a b"}, {"{3+}\r\na)b ", "a)b"},
		{`"" `, ""}, {"a]b ", "a]b"}, {"{0}\r\n ", ""}, {"~x ", "~x"}, {"{2}\nab ", "ab"},
	} {
		d := decode(c.in)
		got := d.AString()
		d.SP()
		if d.Err() != nil || got != c.want {
			t.Errorf("%q: got %q, %v", c.in, got, d.Err())
		}
	}
}

func TestBadInput(t *testing.T) {
	for _, c := range []struct {
		name, in string
		read     func(*Decoder)
	}{
		{"atom", "(", func(d *Decoder) { d.Atom() }},
		{"eight bit", "\xff", func(d *Decoder) { d.AString() }},
		{"control", "a\x01b\r\n", func(d *Decoder) { d.AString(); d.CRLF() }},
		{"quote open", "\"abc\r\n", func(d *Decoder) { d.AString() }},
		{"bad escape", `"a\b"`, func(d *Decoder) { d.AString() }},
		{"literal without line end", "{3}abc", func(d *Decoder) { d.AString() }},
		{"literal sign", "{-3}\r\n", func(d *Decoder) { d.AString() }},
		{"literal size", "{99999999999999999999}\r\n", func(d *Decoder) { d.AString() }},
		{"NUL in literal", "{1}\r\n\x00", func(d *Decoder) { d.AString() }},
		{"number", "4294967296 ", func(d *Decoder) { d.Number() }},
		{"no number", "x", func(d *Decoder) { d.Number() }},
		{"zero", "0", func(d *Decoder) { d.NzNumber() }},
		{"set", "1,,2", func(d *Decoder) { d.NumSet() }},
		{"set end", "1:", func(d *Decoder) { d.NumSet() }},
		{"set zero", "0:*", func(d *Decoder) { d.NumSet() }},
		{"list", "(a b", func(d *Decoder) { d.List(func() { d.Atom() }) }},
		{"list comma", "(a,b)", func(d *Decoder) { d.List(func() { d.Atom() }); d.CRLF() }},
		{"date", "32-Jan-2026 ", func(d *Decoder) { d.Date() }},
		{"date-time", `"1-Jan-2026" `, func(d *Decoder) { d.DateTime() }},
		{"utf7", "&Jjo! ", func(d *Decoder) { d.Mailbox() }},
		{"utf7 plain", "&AEE- ", func(d *Decoder) { d.Mailbox() }},
		{"crlf", "x", func(d *Decoder) { d.CRLF() }},
		{"end", "", func(d *Decoder) { d.Atom() }},
	} {
		d := decode(c.in)
		if c.read(d); d.Err() == nil {
			t.Errorf("%s: no error", c.name)
		}
	}
}

func TestLimits(t *testing.T) {
	long := strings.Repeat("a", 70<<10)
	d := decode(long + "\r\n")
	if d.AString(); !errors.Is(d.Err(), ErrTooLong) {
		t.Errorf("long line: %v", d.Err())
	}
	d = decode("{70000+}\r\n" + long[:70000] + "\r\nnext\r\n")
	if d.AString(); !errors.Is(d.Err(), ErrTooLong) || Fatal(d.Err()) {
		t.Errorf("long literal: %v", d.Err())
	}
	if err := d.Recover(); err != nil {
		t.Fatal(err)
	}
	if d.Begin(); d.Atom() != "next" {
		t.Error("the next command is lost")
	}
	d = decode(strings.Repeat("{60000+}\r\n"+long[:60000]+" ", 6) + "\r\n")
	for range 6 {
		d.AString()
		d.SP()
	}
	if !errors.Is(d.Err(), ErrTooLong) {
		t.Errorf("long command: %v", d.Err())
	}
}

// TestRecover finds the command behind one that was given up anywhere.
// TestLiteralsTogether: a bound on all literals of a connection outlives commands and a change of input, until it is
// lifted.
func TestLiteralsTogether(t *testing.T) {
	read := func(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }
	d := NewDecoder(read("{3+}\r\nabc\r\n{3+}\r\n"), Limits{Literals: 8}, nil)
	for range 2 {
		d.Begin()
		_ = d.String()
		d.CRLF()
	}
	d.Reset(read("{3+}\r\nabc\r\n{2+}\r\nab\r\n{1+}\r\na\r\n{9+}\r\nabcdefghi"))
	for _, want := range []error{ErrTooLong, nil, ErrTooLong} {
		d.Begin()
		_ = d.String()
		d.CRLF()
		if err := d.Err(); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if err := d.Recover(); err != nil {
			t.Fatal(err)
		}
	}
	d.SetLimits(Limits{})
	d.Begin()
	if got := d.String(); got != "abcdefghi" {
		t.Errorf("%q, %v", got, d.Err())
	}
}

func TestRecover(t *testing.T) {
	const command = "x {3+}\r\na\r\n \"q\" {4+}\r\n{9+} (z)\r\n"
	for n := range len("x") + 2 {
		d := decode(command + "next\r\n")
		for range n {
			d.Take(func(c byte) bool { return c != ' ' })
			d.TrySP()
		}
		if err := d.Recover(); err != nil {
			t.Fatal(err)
		}
		if d.Begin(); d.Atom() != "next" {
			t.Errorf("after %d words: the next command is lost", n)
		}
	}
	d := decode("x {2000000+}\r\n")
	if err := d.Recover(); !errors.Is(err, ErrDrain) {
		t.Errorf("huge literal: %v", err)
	}
	d = decode(strings.Repeat("y", 3<<20))
	if err := d.Recover(); !errors.Is(err, ErrDrain) {
		t.Errorf("endless line: %v", err)
	}
}

func TestSynchronisingLiteralIsAskedFor(t *testing.T) {
	asked := 0
	d := NewDecoder(bufio.NewReader(strings.NewReader("{3}\r\nabc\r\n{999999}\r\nnext\r\n")), Limits{},
		func() error { asked++; return nil })
	d.Begin()
	if got := d.AString(); got != "abc" || asked != 1 {
		t.Fatalf("got %q after %d requests: %v", got, asked, d.Err())
	}
	d.CRLF()
	d.Begin()
	if d.AString(); !errors.Is(d.Err(), ErrTooLong) || asked != 1 {
		t.Fatalf("too long literal: %v after %d requests", d.Err(), asked)
	}
	if err := d.Recover(); err != nil { // the client does not send what it was not asked for
		t.Fatal(err)
	}
	if d.Begin(); d.Atom() != "next" {
		t.Error("the next command is lost")
	}
}

func TestStreamedLiteral(t *testing.T) {
	d := decode("~{10+}\r\n0123456789 x\r\n")
	l := d.OpenLiteral()
	l.Accept()
	head := make([]byte, 4)
	if _, err := io.ReadFull(l, head); err != nil || string(head) != "0123" {
		t.Fatalf("%q, %v", head, err)
	}
	l.Drain()
	d.SP()
	if got := d.Atom(); got != "x" || d.Err() != nil {
		t.Errorf("behind the literal: %q, %v", got, d.Err())
	}
	d = decode("{10+}\r\n0123")
	l = d.OpenLiteral()
	l.Accept()
	if _, err := io.ReadAll(l); !errors.Is(err, io.ErrUnexpectedEOF) || !Fatal(d.Err()) {
		t.Errorf("cut literal: %v, %v", err, d.Err())
	}
}

func TestNumSet(t *testing.T) {
	for _, c := range []struct {
		in      string
		highest uint32
		want    string
	}{
		{"1:5,3,9", 10, "1:5,9"}, {"*", 7, "7"}, {"*:3", 7, "3:7"}, {"9:*", 7, "7:9"}, {"1:*", 0, ""}, {"5,4,3", 9, "3:5"},
		{"1:4294967295", 9, "1:4294967295"}, {"4294967295,1", 9, "1,4294967295"},
	} {
		d := decode(c.in + " ")
		got := string(AppendRanges(nil, d.NumSet().Resolve(c.highest)))
		if d.Err() != nil || got != c.want {
			t.Errorf("%s of %d: got %s, want %s (%v)", c.in, c.highest, got, c.want, d.Err())
		}
	}
}

func TestLongSequence(t *testing.T) {
	var text strings.Builder
	for i := 10000; i > 0; i-- {
		text.Write(AppendRanges(nil, []Range{{uint32(2 * i), uint32(2 * i)}}))
		text.WriteByte(",x"[min(1, 1/i)])
	}
	d := decode(text.String())
	if got := d.NumSet().Resolve(30000); len(got) != 10000 || d.Err() != nil {
		t.Errorf("%d ranges, %v", len(got), d.Err())
	}
}

func TestUTF7(t *testing.T) {
	for _, c := range []struct{ name, coded string }{
		{"INBOX", "INBOX"}, {"Résumés", "R&AOk-sum&AOk-s"}, {"a&b", "a&-b"}, {"台北", "&U,BTFw-"}, {"☃/😀", "&JgM-/&2D3eAA-"},
	} {
		if got := EncodeUTF7(c.name); got != c.coded {
			t.Errorf("%s: coded as %s, want %s", c.name, got, c.coded)
		}
		if got, err := DecodeUTF7(c.coded); got != c.name || err != nil {
			t.Errorf("%s: decoded as %q, %v", c.coded, got, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[ -~é台😀&\n]{0,30}`).Draw(t, "name")
		if got, err := DecodeUTF7(EncodeUTF7(name)); got != name || err != nil {
			t.Fatalf("%q comes back as %q, %v", name, got, err)
		}
	})
}

// TestStringsComeBack encodes strings and reads them as a client would.
func TestStringsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ReplaceAll(rapid.String().Draw(t, "text"), "\x00", "")
		utf := rapid.Bool().Draw(t, "utf8")
		if !utf8.ValidString(text) {
			return
		}
		var out bytes.Buffer
		e := NewEncoder(&out, &Buffers{})
		e.UTF8 = utf
		e.String(text)
		e.CRLF()
		if err := e.Flush(); err != nil {
			t.Fatal(err)
		}
		d := decode(out.String())
		if len(text) > 60000 {
			return
		}
		if got := d.String(); got != text || d.Err() != nil {
			t.Fatalf("%q comes back as %q, %v", text, got, d.Err())
		}
	})
}

func TestEncoderKeepsFirstError(t *testing.T) {
	broken := errors.New("broken")
	e := NewEncoder(writerFunc(func([]byte) (int, error) { return 0, broken }), &Buffers{})
	for range 10000 {
		e.Raw("* 1 FETCH (FLAGS ())")
		e.CRLF()
	}
	if err := e.Flush(); !errors.Is(err, broken) || e.Buffered() != 0 {
		t.Errorf("%v, %d octets kept", err, e.Buffered())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestDateTime(t *testing.T) {
	want := time.Date(2026, 2, 7, 2, 44, 25, 0, time.FixedZone("", -7*3600))
	text := string(AppendDateTime(nil, want))
	if text != `" 7-Feb-2026 02:44:25 -0700"` {
		t.Errorf("written as %s", text)
	}
	d := decode(text)
	if got := d.DateTime(); !got.Equal(want) || d.Err() != nil {
		t.Errorf("%v, %v", got, d.Err())
	}
}

// FuzzDecoder reads anything by every reader of the grammar: nothing panics, memory is bounded, and after an error
// Recover ends.
func FuzzDecoder(f *testing.F) {
	for _, seed := range []string{
		"a1 LOGIN {5}\r\nalice {6+}\r\nsecret\r\n", "a FETCH 1:*,3 (FLAGS BODY[1.2]<0.5>)\r\n", "\"a\\\"b\" NIL (a (b)) *",
		"{99999999}\r\n", "{3+}\r\nabc{4+}\r\n", "&AOk-&- \"1-Jan-2026 00:00:00 +0000\"", "\r\n\r\n", "+ {", "~{1}\r\n\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		defer testkit.Bounded(t)()
		for _, read := range readers() {
			d := NewDecoder(bufio.NewReaderSize(bytes.NewReader(data), 32), Limits{Line: 200, Literal: 100, Command: 400, Drain: 1000},
				func() error { return nil })
			for range 20 {
				d.Begin()
				for range 8 {
					read(d)
					d.TrySP()
				}
				if Fatal(d.Err()) || d.Recover() != nil {
					break
				}
			}
		}
	})
}

func readers() []func(*Decoder) {
	return []func(*Decoder){
		func(d *Decoder) { d.Tag() }, func(d *Decoder) { d.AString() }, func(d *Decoder) { d.Mailbox() },
		func(d *Decoder) { d.Pattern() }, func(d *Decoder) { d.NString() }, func(d *Decoder) { d.NumSet().Resolve(7) },
		func(d *Decoder) { d.List(func() { d.AString() }) }, func(d *Decoder) { d.Date() }, func(d *Decoder) { d.DateTime() },
		func(d *Decoder) { d.Number64() }, func(d *Decoder) { l := d.OpenLiteral(); l.Accept(); l.Drain() }, func(d *Decoder) { d.CRLF() },
	}
}

func BenchmarkNumSet(b *testing.B) {
	text := strings.Repeat("123456,", 5000) + "1 "
	for b.Loop() {
		d := decode(text)
		d.NumSet().Resolve(200000)
	}
}
