package contentline

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func all(t testing.TB, s string) ([]Line, *Reader) {
	t.Helper()
	r := NewReader(strings.NewReader(s), Default())
	var lines []Line
	for {
		l, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines, r
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []Line
		skipped  int
	}{
		{"plain", "FN:Anna\r\n", []Line{{Name: "FN", Value: "Anna"}}, 0},
		{"no end", "FN:Anna", []Line{{Name: "FN", Value: "Anna"}}, 0},
		{"bare line feed", "A:1\nB:2\n", []Line{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}, 0},
		{"folded", "NOTE:a\r\n b\r\n\tc\r\nX:1\r\n", []Line{{Name: "NOTE", Value: "abc"}, {Name: "X", Value: "1"}}, 0},
		{"folded in a character", "NOTE:\xc3\r\n \xbc\r\n", []Line{{Name: "NOTE", Value: "ü"}}, 0},
		{"group", "item1.tel;type=home:1\n", []Line{{Group: "ITEM1", Name: "TEL", Params: []Param{{"TYPE", []string{"home"}}}, Value: "1"}}, 0},
		{"lists in parameters", "A;M=\"x:y\",z;N=1:v\n", []Line{{Name: "A", Params: []Param{{"M", []string{"x:y", "z"}}, {"N", []string{"1"}}}, Value: "v"}}, 0},
		{"parameter without name", "TEL;HOME;VOICE:1\n", []Line{{Name: "TEL", Params: []Param{{"", []string{"HOME"}}, {"", []string{"VOICE"}}}, Value: "1"}}, 0},
		{"carets", "A;L=x^ny^^z^'q^':v\n", []Line{{Name: "A", Params: []Param{{"L", []string{"x\ny^z\"q\""}}}, Value: "v"}}, 0},
		{"quote that stays open", "A;L=\"x:v\n", []Line{{Name: "A", Params: []Param{{"L", []string{"\"x"}}}, Value: "v"}}, 0},
		{"colon in the value", "URL:https://x/\n", []Line{{Name: "URL", Value: "https://x/"}}, 0},
		{"no colon", "DTSTART;TZID=Foo\nA:1\n", []Line{{Name: "A", Value: "1"}}, 1},
		{"no name", ":x\n;a:b\nä:1\n\nA:1\n", []Line{{Name: "A", Value: "1"}}, 3},
		{"quoted-printable", "A;ENCODING=QUOTED-PRINTABLE:a=\nb=\n c\nB:1\n",
			[]Line{{Name: "A", Params: []Param{{"ENCODING", []string{"QUOTED-PRINTABLE"}}}, Value: "ab c"}, {Name: "B", Value: "1"}}, 0},
		{"base64 not folded", "P;ENCODING=b:AAAA\nBBBB\n\nB:1\n",
			[]Line{{Name: "P", Params: []Param{{"ENCODING", []string{"b"}}}, Value: "AAAABBBB"}, {Name: "B", Value: "1"}}, 0},
		{"windows-1252", "A:\x80 \xfc\n", []Line{{Name: "A", Value: "€ ü"}}, 0},
		{"controls", "A:x\x00\x07y\n", []Line{{Name: "A", Value: "xy"}}, 0},
		{"mark of UTF-8", "\xEF\xBB\xBFA:1\n", []Line{{Name: "A", Value: "1"}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, r := all(t, c.in)
			if !reflect.DeepEqual(got, c.want) || r.Skipped != c.skipped {
				t.Errorf("got %+v, %d skipped", got, r.Skipped)
			}
		})
	}
}

func TestUTF16(t *testing.T) {
	var b []byte
	for _, u := range utf16.Encode([]rune("\uFEFFFN:Grüße\r\n")) {
		b = append(b, byte(u), byte(u>>8))
	}
	if got, _ := all(t, string(b)); len(got) != 1 || got[0].Value != "Grüße" {
		t.Errorf("got %+v", got)
	}
}

func TestLimits(t *testing.T) {
	for name, in := range map[string]string{
		"line":        "A:" + strings.Repeat("x", 200) + "\n",
		"folded line": "A:x\n" + strings.Repeat(" 123456789\n", 20),
		"total":       strings.Repeat("A:1\n", 500),
	} {
		r := NewReader(strings.NewReader(in), Limits{Line: 100, Total: 1000})
		err := error(nil)
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, ErrTooLong) {
			t.Errorf("%s: %v", name, err)
		}
		if _, again := r.Next(); !errors.Is(again, ErrTooLong) {
			t.Errorf("%s: the error passed: %v", name, again)
		}
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`a\,b\;c\\d\ne\Nf`, "a,b;c\\d\ne\nf"}, {`C:\temp`, `C:\temp`}, {`10\:30 \"x\"`, `10:30 "x"`}, {`end\`, `end\`},
	} {
		if got := Unescape(c.in); got != c.want {
			t.Errorf("%q: %q", c.in, got)
		}
	}
	if got := Texts(`a\,b,c\\,d`, ','); !slices.Equal(got, []string{"a,b", `c\`, "d"}) {
		t.Errorf("%q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
		if got := Unescape(Escape(s)); got != want {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// checkSame wants a line that was written to be read again.
func checkSame(t testing.TB, l Line) {
	t.Helper()
	b := l.Append(nil)
	for i, part := range bytes.Split(bytes.TrimSuffix(b, []byte("\r\n")), []byte("\r\n")) {
		if len(part) > foldAt {
			t.Errorf("line %d is %d octets", i, len(part))
		}
	}
	got, err := NewReader(bytes.NewReader(b), Default()).Next()
	if err != nil || got.String() != l.String() {
		t.Errorf("%q became %q, %v", l.String(), got.String(), err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("BEGIN:VCARD\r\nitem1.TEL;TYPE=\"a,b\",c;X=^n^^:1\r\n 2\r\nA;ENCODING=QUOTED-PRINTABLE:=\r\n=C3\r\n"))
	f.Add([]byte("DTSTART;TZID=Foo\n\xff\xfeA\x00:\x00\n\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		r := NewReader(bytes.NewReader(b), Limits{Line: 1 << 20, Total: 1 << 20})
		total := 0
		for {
			l, err := r.Next()
			if err != nil {
				break
			}
			total += len(l.Value)
			checkSame(t, l)
		}
		if total > 4*len(b)+16 {
			t.Errorf("%d bytes became %d", len(b), total)
		}
	})
}
