package mime

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func decodeAll(t testing.TB, encoding, raw string) string {
	t.Helper()
	out, err := io.ReadAll(NewDecoder(encoding, strings.NewReader(raw)))
	if err != nil {
		t.Fatalf("%s of %q: %v", encoding, raw, err)
	}
	slow, err := io.ReadAll(NewDecoder(encoding, iotest.OneByteReader(strings.NewReader(raw))))
	if err != nil || !bytes.Equal(out, slow) {
		t.Fatalf("%s of %q by bytes: %q, %v, at once %q", encoding, raw, slow, err, out)
	}
	return string(out)
}

func TestDecoderIsLenient(t *testing.T) {
	for _, tc := range []struct{ encoding, raw, want string }{
		{"base64", "QUJD", "ABC"},
		{"base64", "QU JD\r\nRA==", "ABCD"},
		{"base64", "Q*U_JD", "ABC"},
		{"base64", "QQ==QkM=", "ABC"},
		{"base64", "QUI", "AB"},
		{"base64", "QUJDR", "ABC"},
		{"base64", "=QQ==", "A"},
		{"base64", "", ""},
		{"BASE64", "QUJD", "ABC"},
		{"quoted-printable", "a=C3=a9b", "aéb"},
		{"quoted-printable", "soft=\r\nbreak=  \nmore", "softbreakmore"},
		{"quoted-printable", "trailing  \t\r\nspace \nend  ", "trailing\r\nspace\nend"},
		{"quoted-printable", "bad=XX =1 =", "bad=XX =1 "},
		{"quoted-printable", "x =", "x "},
		{"quoted-printable", "x \r", "x \r"},
		{"quoted-printable", "=\r\n=\r\n", ""},
		{"x-uuencode", "text\nbegin 644 a\n#0V%T\n`\nend\nafter", "Cat"},
		{"x-uuencode", "begin 644 a\r\n#0V%T\r\n \r\nend\r\n", "Cat"},
		{"7bit", "as =41 is", "as =41 is"},
		{"strange", "QUJD", "QUJD"},
	} {
		if got := decodeAll(t, tc.encoding, tc.raw); got != tc.want {
			t.Errorf("%s of %q is %q, want %q", tc.encoding, tc.raw, got, tc.want)
		}
	}
	long := strings.Repeat(" ", 5000)
	if got := decodeAll(t, "quoted-printable", "a"+long+"b"); got != "a"+long+"b" {
		t.Error("a long run of spaces is not kept")
	}
}

func TestCharsets(t *testing.T) {
	for _, tc := range []struct{ charset, raw, want string }{
		{"utf-8", "\xc3\xa9", "é"},
		{"utf-8", "\xc3\xa9\xe9\x80", "éé€"},
		{"us-ascii", "caf\xe9", "café"},
		{"", "caf\xe9", "café"},
		{"no-such-charset", "caf\xc3\xa9", "café"},
		{"ISO-8859-1", "\x93x\x94", "“x”"},
		{"iso-8859-15", "\xa4", "€"},
		{"windows-1251", "\xcf\xf0\xe8", "При"},
		{"cp1251", "\xcf", "П"},
		{"koi8-r", "\xf0", "П"},
		{"iso-2022-jp", "\x1b$B$\"\x1b(B", "あ"},
		{"shift_jis", "\x82\xa0", "あ"},
		{"cp932", "\x82\xa0", "あ"},
		{"euc-jp", "\xa4\xa2", "あ"},
		{"gb2312", "\xc4\xe3", "你"},
		{"gb18030", "\xc4\xe3", "你"},
		{"big5", "\xa7\x41", "你"},
		{"ks_c_5601-1987", "\xb0\xa1", "가"},
		{"hz-gb-2312", "~{Dc~}", "你"},
		{"ibm850", "\x82", "é"},
		{"cp850", "\x82", "é"},
		{"utf-16le", "a\x00", "a"},
		{"utf-7", "Hi Mom -+Jjo--!+AC0-+-", "Hi Mom -☺-!-+"},
		{"utf-7", "+2D3eAA", "😀"},
		{"utf-7", "a+", "a"},
	} {
		if got := DecodeCharset(tc.charset, []byte(tc.raw)); got != tc.want {
			t.Errorf("%s %q is %q, want %q", tc.charset, tc.raw, got, tc.want)
		}
		got, err := io.ReadAll(NewCharsetReader(tc.charset, iotest.OneByteReader(strings.NewReader(tc.raw))))
		if err != nil || string(got) != tc.want {
			t.Errorf("%s %q by bytes is %q, %v, want %q", tc.charset, tc.raw, got, err, tc.want)
		}
	}
	if KnownCharset("no-such-charset") || !KnownCharset("UTF-8") || !KnownCharset("cp1252") {
		t.Error("KnownCharset")
	}
}

func TestDates(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tc := range []struct{ in, want string }{
		{"Mon, 23 Nov 2026 10:00:00 +0100", "2026-11-23T10:00:00+01:00"},
		{"23 Nov 2026 10:00 GMT", "2026-11-23T10:00:00Z"},
		{"Mon,23 Nov 26 10:00:00 EST (eastern)", "2026-11-23T10:00:00-05:00"},
		{"Mon Nov 23 10:00:00 2026", "2026-11-23T10:00:00Z"},
		{"Mon, 23 November 2026 10:00:00 -0230", "2026-11-23T10:00:00-02:30"},
		{"23-Nov-2026 10:00:00 +0000", "2026-11-23T10:00:00Z"},
		{"2026-11-23T10:00:00+01:00", "2026-11-23T10:00:00+01:00"},
		{"2026-11-23 10:00:00", "2026-11-23T10:00:00Z"},
		{"Mon, 23 Nov 126 10:00:00 +0000", "2026-11-23T10:00:00Z"},
		{"Mon, 23 Nov 99 10:00:00 XYZ", "1999-11-23T10:00:00Z"},
		{"Nov 23 2026", "2026-11-23T00:00:00Z"},
		{"Mon, 23 Nov 2026 10:00:00+0100", "2026-11-23T10:00:00+01:00"},
		{"", ""}, {"yesterday", ""}, {"32 Nov 2026", ""}, {"23 Nov", ""}, {"23 Nov 2026 10:99", ""}, {"((((", ""},
	} {
		got, ok := ParseDate(tc.in)
		if ok != (tc.want != "") || ok && !got.Equal(at(tc.want)) {
			t.Errorf("%q is %v, %v, want %s", tc.in, got, ok, tc.want)
		}
	}
}

func TestMessageIDs(t *testing.T) {
	for in, want := range map[string][]string{
		"<a@b> <c@d>":        {"<a@b>", "<c@d>"},
		"<a@b><c@ d>,<e@f":   {"<a@b>", "<c@d>"},
		"your mail of today": nil,
		"a@b, c@d":           {"<a@b>", "<c@d>"},
		"<x<a@b>":            {"<a@b>"},
		"<>":                 nil,
		"":                   nil,
	} {
		if got := ParseMessageIDs(in); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestNormalize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := []byte(strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"a", "\r", "\n", "\r\n", "xy"})).Draw(t, "pieces"), ""))
		var want bytes.Buffer
		for i, c := range in {
			if c == '\n' && (i == 0 || in[i-1] != '\r') {
				want.WriteByte('\r')
			}
			want.WriteByte(c)
		}
		if got := Normalize(in); !bytes.Equal(got, want.Bytes()) || NormalizedSize(in) != int64(want.Len()) {
			t.Fatalf("%q, size %d, want %q", got, NormalizedSize(in), want.Bytes())
		}
		var got bytes.Buffer
		n := NewNormalizer(&got)
		for chunk := range chunks(in, rapid.IntRange(1, 4).Draw(t, "chunk")) {
			_, _ = n.Write(chunk)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) || n.Written() != int64(want.Len()) {
			t.Fatalf("in chunks %q, want %q", got.Bytes(), want.Bytes())
		}
	})
}

func TestMatcherFindsWhatContainsFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SampledFrom([]string{"a", "B", "b", "é", "É", "ß", " ", "あ", "😀"})
		text := strings.Join(rapid.SliceOf(letters).Draw(t, "text"), "")
		needle := strings.Join(rapid.SliceOfN(letters, 0, 4).Draw(t, "needle"), "")
		m := NewMatcher(needle)
		for chunk := range chunks([]byte(text), rapid.IntRange(1, 5).Draw(t, "chunk")) {
			_, _ = m.Write(chunk)
		}
		plain := func(s string) string {
			for strings.Contains(s, "  ") {
				s = strings.ReplaceAll(s, "  ", " ")
			}
			return strings.ToLower(strings.ToUpper(s))
		}
		want := strings.Contains(plain(text), plain(needle))
		if strings.ContainsRune(text+needle, 'ß') { // ToUpper of a string may change lengths; compare only finds
			want = want || m.Found()
		}
		if m.Found() != want {
			t.Fatalf("%q in %q: %v", needle, text, m.Found())
		}
	})
}

const searchMail = "From: =?utf-8?q?J=C3=B6rg?= <j@example.test>\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\npreamble\r\n" +
	"--B\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe aus\r\nK=\r\n=F6ln\r\n" +
	"--B\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+aGVsbG8gd29ybGQ8L3A+\r\n" +
	"--B\r\nContent-Type: application/x; name=secret.bin\r\n\r\nbinary text\r\n" +
	"--B\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner subject\r\n\r\ninner text\r\n--B--\r\n"

func TestSearchMessage(t *testing.T) {
	tree := Scan([]byte(searchMail))
	for _, tc := range []struct {
		text       string
		body, full bool
	}{
		{"GRÜSSE", false, false}, {"GRÜße aus köln", true, true}, {"Hello World", true, true}, {"jörg", false, true},
		{"binary", false, false}, {"secret.bin", true, true}, {"inner subject", true, true}, {"inner text", true, true},
		{"preamble", false, false}, {"", true, true}, {"from: jörg", false, true},
	} {
		body, err := tree.SearchMessage(strings.NewReader(searchMail), tc.text, InBody)
		full, err2 := tree.SearchMessage(strings.NewReader(searchMail), tc.text, InHeaderOrBody)
		if err != nil || err2 != nil || body != tc.body || full != tc.full {
			t.Errorf("%q: body %v, text %v, %v %v", tc.text, body, full, err, err2)
		}
	}
}

func TestFilterHeader(t *testing.T) {
	header := []byte("From x Mon\r\nSubject: a\r\n b\r\nbroken\r\nTO: c@d\r\nX: 1\r\n\r\n")
	if got := string(FilterHeader(header, Only, "to", "subject")); got != "Subject: a\r\n b\r\nTO: c@d\r\n\r\n" {
		t.Errorf("only: %q", got)
	}
	if got := string(FilterHeader(header, Except, "to", "subject")); got != "X: 1\r\n\r\n" {
		t.Errorf("except: %q", got)
	}
	if got := string(FilterHeader([]byte("A: b"), Only, "a")); got != "A: b\r\n\r\n" {
		t.Errorf("cut off: %q", got)
	}
	h := ParseHeader(header)
	if h.Get("SUBJECT") != "a b" || !h.Has("x") || h.Has("broken") || h.Text("to") != "c@d" {
		t.Errorf("fields %+v", h)
	}
}

func FuzzDecodeText(f *testing.F) {
	f.Add("=?utf-8?q?caf=C3=A9?= =?utf-8?b?w6Q?= x")
	f.Add("=?a?b?=?=?b?q?=")
	f.Add("=?utf-7?q?+2D3eAA?=")
	f.Fuzz(func(t *testing.T, s string) {
		defer testkit.Bounded(t)()
		got := DecodeText(s)
		if !strings.Contains(s, "=?") && strings.ToValidUTF8(got, "") != got {
			t.Fatalf("%q of %q is no UTF-8", got, s)
		}
		for _, f := range ParseHeader([]byte(s)) {
			_ = f.Text()
		}
		_, params := ParseParams(s)
		_ = params.Get("name")
		ParseDate(s)
		ParseMessageIDs(s)
	})
}

// FuzzCharset: bytes in whatever charset are UTF-8 afterwards, read at once or in pieces.
func FuzzCharset(f *testing.F) {
	for _, c := range codePages {
		f.Add(c.charset, []byte("Gr\xfc\xdfe \x93\xfa\x1b$B+AD0-"))
	}
	f.Add("utf-16", []byte("\xfe\xff\xd8\x00a"))
	f.Fuzz(func(t *testing.T, charset string, b []byte) {
		defer testkit.Bounded(t)()
		if got := DecodeCharset(charset, b); !utf8.ValidString(got) {
			t.Fatalf("%q in %s is %q", b, charset, got)
		}
		got, err := io.ReadAll(NewCharsetReader(charset, iotest.OneByteReader(bytes.NewReader(b))))
		if err == nil && !utf8.Valid(got) {
			t.Fatalf("%q in %s is read as %q", b, charset, got)
		}
		_ = EncodeCharset(charset, string(got))
	})
}

func FuzzParseAddresses(f *testing.F) {
	for _, o := range oddities(f) {
		if len(o.mail) < 1000 {
			f.Add(ParseHeader(o.mail).Get("To"))
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		defer testkit.Bounded(t)()
		open := false
		for _, a := range ParseAddresses(s) {
			switch {
			case a.Kind == GroupStart && open, a.Kind == GroupEnd && !open:
				t.Fatalf("marks of groups in %q", s)
			case a.Kind != Mailbox:
				open = !open
			}
			_ = a.DisplayName()
		}
		if open {
			t.Fatalf("open group in %q", s)
		}
	})
}

func FuzzDigest(f *testing.F) {
	for _, o := range oddities(f) {
		if len(o.mail) < 3000 {
			f.Add(MarshalDigest(Scan(o.mail)))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		_, _ = DigestEnvelope(b)
		_, _ = DigestSummary(b)
		p, err := UnmarshalDigest(b)
		if err != nil {
			return
		}
		again, err := UnmarshalDigest(MarshalDigest(p))
		if err != nil {
			t.Fatalf("not stable: %v", err)
		}
		if dump(again) != dump(p) {
			t.Fatalf("%s\nthen\n%s", dump(p), dump(again))
		}
	})
}
