package rtf

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// TestCompressionOfTheSpecification holds the examples of MS-OXRTFCP 3.1 and 3.2.
func TestCompressionOfTheSpecification(t *testing.T) {
	for _, tt := range []struct{ rtf, compressed string }{
		{"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n",
			"2d0000002b0000004c5a4675f1c5c7a703000a0072637067313235423 20af32068656c090020627705b06c647d0a800fa0"},
		{"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}", "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0"},
	} {
		want, err := hex.DecodeString(strings.ReplaceAll(tt.compressed, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decompress(want, 1<<20)
		if err != nil || string(got) != tt.rtf {
			t.Errorf("%q, %v", got, err)
		}
		if c := Compress([]byte(tt.rtf)); !bytes.Equal(c, want) {
			t.Errorf("%q is compressed to\n%x, want\n%x", tt.rtf, c, want)
		}
	}
}

func TestPlainForm(t *testing.T) {
	b, err := hex.DecodeString("1200000006000000" + "4d454c4100000000" + "7b5c72746631" + "ffff")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Decompress(b, 100); err != nil || string(got) != `{\rtf1` {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDamage(t *testing.T) {
	good := Compress([]byte(`{\rtf1 some text, some text, some text}`))
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "short header": good[:15], "cut": good[:len(good)-3], "kind": change(8, 0), "checksum": change(12, good[12]+1), "body": change(20, good[20]+1),
	} {
		if _, err := Decompress(b, 1<<20); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Decompress(good, 10); !errors.Is(err, ErrTooLarge) {
		t.Errorf("limit: %v", err)
	}
	if got, err := Decompress(change(5, 0x7f), 1<<20); err != nil || len(got) != 39 {
		t.Errorf("a size that is not true: %d bytes, %v", len(got), err)
	}
}

func TestCompressRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, size := range []int{0, 1, 2, 17, 4095, 4096, 4097, 9000, 100_000} {
		b := make([]byte, size)
		for i := range b {
			b[i] = "abcd \\{}"[rng.IntN(1+size%8)] // few letters make long runs
		}
		if got, err := Decompress(Compress(b), size); err != nil || !bytes.Equal(got, b) {
			t.Errorf("seed %d: %d bytes come back as %d, %v", seed, size, len(got), err)
		}
	}
}

func TestCompressed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.ByteRange('a', 'e')).Draw(t, "b")
		if got, err := Decompress(Compress(b), len(b)); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%q comes back as %q, %v", b, got, err)
		}
	})
}

// texts are what RTF of real writers says.
var texts = []struct {
	name, rtf string
	origin    Origin
	html      string
	text      string
}{
	{"HTML by Outlook", `{\rtf1\ansi\ansicpg1252\fromhtml1 \fbidis \deff0{\fonttbl{\f0\fswiss\fcharset0 Arial;}{\f1\fmodern Courier New;}}
{\colortbl\red0\green0\blue0;\red0\green0\blue255;}
\uc1\pard\plain\deftab360 \f0\fs24 
{\*\htmltag19 <html>}{\*\htmltag34 <head>}{\*\htmltag1 \par }{\*\htmltag41 </head>}{\*\htmltag50 <body>}{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 Gr\'fc\'dfe\htmlrtf\par}\htmlrtf0
{\*\htmltag84 &nbsp;}\htmlrtf \'a0\htmlrtf0 {\*\mhtmltag84 ignored}{\*\htmltag72 </p>}{\*\htmltag58 </body>}{\*\htmltag27 </html>}}`, OriginHTML,
		"<html><head>\r\n</head><body><p>Grüße&nbsp;</p></body></html>", "<html><head>\r\n</head><body><p>Grüße&nbsp;</p></body></html>"},
	{"symbols in HTML", `{\rtf1\ansi\fromhtml1{\*\htmltag <a href="x">}a\tab b\line c\lquote d\rquote\~e\_f\{g\}\bullet\endash\emdash}`, OriginHTML,
		`<a href="x">` + "a\tb\r\nc&lsquo;d&rsquo;&nbsp;e&shy;f{g}&bull;&ndash;&mdash;", ""},
	{"code pages by font", `{\rtf1\ansi\ansicpg1251\fromhtml1\deff0{\fonttbl{\f0\fcharset204 A;}{\f5\fcharset161 B;}{\f6\fcharset128 C;}}\f0 \'cf\'f0{\f5 \'c1}\f6\'93\'fa\plain \'e8}`, OriginHTML, "ПрΑ日и", "ПрΑ日и"},
	{"text", "{\\rtf1\\ansi\\fromtext\\fonttbl{\\f0 x;}}", OriginText, "", ""},
	{"text of lines", `{\rtf1\ansi\ansicpg1252\fromtext \deff0{\fonttbl{\f0\fmodern Courier New;}}\f0 one\par two\tab three\par}`, OriginText, "", "one\r\ntwo\tthree\r\n"},
	{"neither", `{\rtf1\ansi{\info{\title not shown}}{\stylesheet x}{\b bold} and {\i i}{\pict\wmetafile8 00ff}\par\u8364?\u-10179?\u-8704?{\*\generator x;}!}`, OriginRTF, "", "bold and i\r\n€😀!"},
	{"half of a pair", `{\rtf1 a\u-10179?b\u-10179?\u-10179?}`, OriginRTF, "", "a\uFFFDb\uFFFD\uFFFD"},
	{"fallbacks are passed over", `{\rtf1 {\uc2 \u228 ab\u246\'e4\'e4}\u252x.{\uc0\u223}}`, OriginRTF, "", "äöü.ß"},
	{"binary is passed over", "{\\rtf1 a\\bin3 }}}b}", OriginRTF, "", "ab"},
	{"braces without partners", `}}{\rtf1 a}}{{b`, OriginRTF, "", "ab"},
	{"cut control", `{\rtf1 a\`, OriginRTF, "", "a"},
	{"cut byte", `{\rtf1 a\'4`, OriginRTF, "", "a4"},
	{"huge number", `{\rtf1\uc99999999999999999999 a\u65 b}`, OriginRTF, "", "aA"},
	{"nothing", ``, OriginRTF, "", ""},
}

func TestText(t *testing.T) {
	for _, tt := range texts {
		b := []byte(tt.rtf)
		if got := OriginOf(b); got != tt.origin {
			t.Errorf("%s: origin %d", tt.name, got)
		}
		html, hidden := HTML(b)
		if html != tt.html || hidden != (tt.origin == OriginHTML) {
			t.Errorf("%s: HTML %q, want %q", tt.name, html, tt.html)
		}
		if got := Text(b); tt.text != "" && got != tt.text {
			t.Errorf("%s: text %q, want %q", tt.name, got, tt.text)
		}
	}
}

func TestHiddenComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"<p>", "</p>", "<br>", "\r\n", "\n", "&amp;", "& ", "{", "\\", "}", "ü", "😀", "<!-- > -->", "<style>p{}</style>", "\t", "\x00", "<", "\\u8364?"}))
		s := strings.Join(rapid.SliceOf(piece).Draw(t, "pieces"), "")
		rtf := FromHTML(s)
		if got, ok := HTML(rtf); !ok || got != s {
			t.Fatalf("%q comes back as %q of\n%s", s, got, rtf)
		}
		if OriginOf(FromText(s)) != OriginText {
			t.Fatalf("%q is hidden as something else", s)
		}
		if got := Text(FromText(s)); got != s {
			t.Fatalf("%q comes back as %q", s, got)
		}
	})
}

func TestReadersOfRTFSeeText(t *testing.T) {
	rtf := bytes.Replace(FromHTML("<html><title>x</title><p>one &amp; two</p><p>three\r\nfour</p>"), []byte(`\fromhtml1`), nil, 1)
	rtf = bytes.ReplaceAll(rtf, []byte(`\htmlrtf `), nil)
	rtf = bytes.ReplaceAll(rtf, []byte(`\htmlrtf0 `), nil)
	rtf = bytes.ReplaceAll(rtf, []byte(`\*\htmltag`), []byte(`\*\other`))
	if got := Text(rtf); got != "one & two\r\nthree four\r\n" {
		t.Errorf("%q", got)
	}
}

func FuzzDecompress(f *testing.F) {
	f.Add(Compress([]byte(`{\rtf1 a a a a a a}`)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		out, err := Decompress(b, 1<<20)
		if err != nil {
			return
		}
		if len(out) > 1<<20 || cap(out) > 40*len(b)+64 {
			t.Fatalf("%d bytes of %d", cap(out), len(b))
		}
		again, err := Decompress(Compress(out), 1<<20)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%q comes back as %q, %v", out, again, err)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, tt := range texts {
		f.Add([]byte(tt.rtf))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		html, _ := HTML(b)
		text := Text(b)
		if !utf8.ValidString(html) || !utf8.ValidString(text) {
			t.Fatal("not UTF-8")
		}
		if len(html) > 8*len(b) || len(text) > 8*len(b) {
			t.Fatalf("%d and %d bytes of %d", len(html), len(text), len(b))
		}
	})
}

func BenchmarkDecompress(b *testing.B) {
	rtf := FromHTML(strings.Repeat("<p class=MsoNormal>Some words of a mail that goes on and on.</p>\r\n", 1000))
	c := Compress(rtf)
	b.SetBytes(int64(len(rtf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decompress(c, len(rtf)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompress(b *testing.B) {
	rtf := FromHTML(strings.Repeat("<p class=MsoNormal>Some words of a mail that goes on and on.</p>\r\n", 1000))
	b.SetBytes(int64(len(rtf)))
	b.ReportAllocs()
	for b.Loop() {
		Compress(rtf)
	}
}
