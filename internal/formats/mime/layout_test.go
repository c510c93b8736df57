package mime

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func encodeWith(l Layout, content []byte) []byte {
	var buf bytes.Buffer
	enc := l.Encoder(&buf)
	_, _ = enc.Write(content)
	_ = enc.Close()
	return buf.Bytes()
}

func TestReencodeIdenticalForms(t *testing.T) {
	line := strings.Repeat("QUJD", 19)
	for _, tc := range []struct {
		name, encoding, raw string
		want                Layout
		ok                  bool
	}{
		{"lines of 76", "base64", line + "\r\n" + line + "\r\nQQ==", Layout{LayoutBase64, 76, 0}, true},
		{"final line end", "base64", line + "\r\nQQ==\r\n", Layout{LayoutBase64, 76, 1}, true},
		{"two final line ends", "Base64", line + "\r\n" + line + "\r\n\r\n", Layout{LayoutBase64, 76, 2}, true},
		{"one line", "base64", "QUJD", Layout{LayoutBase64, 0, 0}, true},
		{"one long line", "base64", strings.Repeat(line, 100), Layout{LayoutBase64, 0, 0}, true},
		{"line length no multiple of 4", "base64", "QUJDQ\r\nUJDQU\r\nJD", Layout{LayoutBase64, 5, 0}, true},
		{"nothing", "base64", "", Layout{LayoutBase64, 0, 0}, true},
		{"only line ends", "base64", "\r\n\r\n", Layout{LayoutBase64, 0, 2}, true},
		{"uneven lines", "base64", line + "\r\nQUJD\r\nQUJD", Layout{}, false},
		{"longer second line", "base64", "QUJD\r\n" + line, Layout{}, false},
		{"bare LF", "base64", line + "\nQUJD", Layout{}, false},
		{"empty line inside", "base64", "QUJD\r\n\r\nQUJD", Layout{}, false},
		{"empty line before", "base64", "\r\nQUJD", Layout{}, false},
		{"no padding", "base64", "QUI", Layout{}, false},
		{"padding inside", "base64", "QQ==QUJD", Layout{}, false},
		{"padding then line", "base64", "QQ==\r\nQUJD", Layout{}, false},
		{"loose bits", "base64", "QR==", Layout{}, false},
		{"white space", "base64", "QUJD ", Layout{}, false},
		{"lone CR at the end", "base64", "QUJD\r", Layout{}, false},
		{"comment after", "base64", "QQ==\r\n-- \r\nbye", Layout{}, false},
		{"no encoding", "7bit", "abc", Layout{}, false},
		{"printable", "quoted-printable", "caf=C3=A9 =3D x\r\n\r\nend=20\r\n", Layout{Form: LayoutQP75}, true},
		{"printable without final line end", "quoted-printable", "abc", Layout{Form: LayoutQP75}, true},
		{"column 76", "quoted-printable", strings.Repeat("a", 76) + "\r\n", Layout{Form: LayoutQP76}, true},
		{"soft break at 76", "quoted-printable", strings.Repeat("a", 75) + "=\r\nbc", Layout{Form: LayoutQP75}, true},
		{"soft break before one at 76", "quoted-printable", strings.Repeat("a", 75) + "=\r\nb", Layout{Form: LayoutQP75}, true},
		{"soft break before token", "quoted-printable", strings.Repeat("a", 73) + "=\r\n=C3=A9", Layout{Form: LayoutQP75}, true},
		{"early soft break", "quoted-printable", "abc=\r\ndef", Layout{}, false},
		{"lower case", "quoted-printable", "=c3", Layout{}, false},
		{"needlessly encoded", "quoted-printable", "=41", Layout{}, false},
		{"8-bit", "quoted-printable", "\xc3\xa9", Layout{}, false},
		{"trailing space", "quoted-printable", "abc \r\n", Layout{}, false},
		{"encoded line end", "quoted-printable", "abc=0D=0Adef", Layout{}, false},
		{"bare LF in text", "quoted-printable", "abc\ndef", Layout{}, false},
		{"soft break at the end", "quoted-printable", strings.Repeat("a", 75) + "=\r\n", Layout{}, false},
		{"soft break before empty line", "quoted-printable", strings.Repeat("a", 75) + "=\r\n\r\n", Layout{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			content, l, ok := ReencodeIdentical(tc.encoding, []byte(tc.raw))
			if ok != tc.ok || l != tc.want {
				t.Fatalf("got %+v, %v", l, ok)
			}
			if ok && string(encodeWith(l, content)) != tc.raw {
				t.Fatalf("gives back %q", encodeWith(l, content))
			}
		})
	}
}

func wrap64(content []byte, lineLen, final int) []byte {
	s := base64.StdEncoding.EncodeToString(content)
	var b strings.Builder
	for lineLen > 0 && len(s) > lineLen {
		b.WriteString(s[:lineLen] + "\r\n")
		s = s[lineLen:]
	}
	b.WriteString(s + strings.Repeat("\r\n", final))
	return []byte(b.String())
}

func TestBase64GivesBackWhatMailersWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOf(rapid.Byte()).Draw(t, "content")
		lineLen := rapid.SampledFrom([]int{0, 1, 3, 4, 60, 72, 76}).Draw(t, "line length")
		final := rapid.IntRange(0, 5).Draw(t, "final")
		raw := wrap64(content, lineLen, final)
		var got bytes.Buffer
		u := NewUnencoder("base64", &got)
		for chunk := range chunks(raw, rapid.IntRange(1, 50).Draw(t, "chunk")) {
			_, _ = u.Write(chunk)
		}
		l, ok, err := u.Finish()
		if !ok || err != nil || !bytes.Equal(got.Bytes(), content) {
			t.Fatalf("%+v %v %v, content %x of %q", l, ok, err, got.Bytes(), raw)
		}
		if back := encodeWith(l, content); !bytes.Equal(back, raw) {
			t.Fatalf("gives back %q of %q", back, raw)
		}
		if n, ok := l.EncodedSize(int64(len(content))); !ok || n != int64(len(raw)) {
			t.Fatalf("size %d, want %d", n, len(raw))
		}
		stored, rest, err := ParseLayout(append(l.Append(nil), 7))
		if err != nil || stored != l || len(rest) != 1 {
			t.Fatalf("stored %+v as %+v: %v", l, stored, err)
		}
		off := rapid.IntRange(0, len(raw)).Draw(t, "offset")
		var piece bytes.Buffer
		enc, from, skip := l.EncoderAt(&piece, int64(off), int64(len(content)))
		_, _ = enc.Write(content[from:])
		_ = enc.Close()
		if skip < 0 || skip > 12+2*int64(final) || !bytes.Equal(piece.Bytes()[skip:], raw[off:]) {
			t.Fatalf("from %d (skip %d): %q, want %q", off, skip, piece.Bytes(), raw[off:])
		}
	})
}

func TestQuotedPrintableGivesBackItsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.SampledFrom([]string{
			"a", " ", "\t", "=", "é", "\r\n", strings.Repeat("x", 37), "word", ".", "\x00", strings.Repeat("y", 70),
		})).Draw(t, "words")
		content := []byte(strings.Join(words, ""))
		l := Layout{Form: rapid.SampledFrom([]LayoutForm{LayoutQP75, LayoutQP76}).Draw(t, "form")}
		var raw bytes.Buffer
		enc := l.Encoder(&raw)
		for chunk := range chunks(content, rapid.IntRange(1, 9).Draw(t, "chunk")) {
			_, _ = enc.Write(chunk)
		}
		_ = enc.Close()
		got, back, ok := ReencodeIdentical("quoted-printable", raw.Bytes())
		if !ok || !bytes.Equal(got, content) || !bytes.Equal(encodeWith(back, got), raw.Bytes()) {
			t.Fatalf("%+v as %+v %v: %q of %q", l, back, ok, got, raw.Bytes())
		}
		std, err := io.ReadAll(quotedprintable.NewReader(&raw))
		if err != nil || !bytes.Equal(std, content) {
			t.Fatalf("another reader gets %q of %q: %v", std, content, err)
		}
	})
}

func TestQuotedPrintableOfTheStandardLibraryIsExact(t *testing.T) {
	var raw bytes.Buffer
	w := quotedprintable.NewWriter(&raw)
	content := strings.Repeat("Ein längerer Satz, der über die Zeile hinausgeht, weil er viele Wörter hat. ", 20) + "\r\nEnde\r\n"
	_, _ = io.WriteString(w, content)
	_ = w.Close()
	got, _, ok := ReencodeIdentical("quoted-printable", raw.Bytes())
	if !ok || string(got) != content {
		t.Fatalf("not exact: %q", raw.Bytes())
	}
}

func FuzzReencode(f *testing.F) {
	f.Add("base64", []byte("QUJD\r\nQQ=="), uint8(3))
	f.Add("quoted-printable", []byte("a=C3=A9 =\r\nb"), uint8(3))
	f.Add("quoted-printable", []byte(strings.Repeat("a", 76)+"\r\nb"), uint8(1))
	f.Fuzz(func(t *testing.T, encoding string, raw []byte, size uint8) {
		defer testkit.Bounded(t)()
		content, l, ok := ReencodeIdentical(encoding, raw)
		if ok && !bytes.Equal(encodeWith(l, content), raw) {
			t.Fatalf("%+v gives back %q of %q", l, encodeWith(l, content), raw)
		}
		var got bytes.Buffer
		u := NewUnencoder(encoding, &got)
		for chunk := range chunks(raw, int(size)+1) {
			_, _ = u.Write(chunk)
		}
		l2, ok2, _ := u.Finish()
		if ok2 != ok || l2 != l || ok && !bytes.Equal(got.Bytes(), content) {
			t.Fatalf("chunked %+v %v, whole %+v %v", l2, ok2, l, ok)
		}
		if ok {
			lenient, _ := io.ReadAll(NewDecoder(encoding, bytes.NewReader(raw)))
			if !bytes.Equal(lenient, content) {
				t.Fatalf("lenient %q, strict %q", lenient, content)
			}
		}
	})
}

func FuzzParseLayout(f *testing.F) {
	f.Add(Layout{LayoutBase64, 76, 1}.Append(nil))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		l, rest, err := ParseLayout(b)
		if err == nil && !bytes.HasPrefix(b, l.Append(nil)[:1]) {
			t.Fatalf("%+v of %x, rest %x", l, b, rest)
		}
	})
}
