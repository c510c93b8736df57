package mime

import "testing"

func TestCodePages(t *testing.T) {
	first := map[int]string{}
	for _, c := range codePages {
		if !KnownCharset(c.charset) {
			t.Errorf("%s is not decoded", c.charset)
		}
		if first[c.number] == "" {
			first[c.number] = c.charset
		}
		if n, ok := CodePage(c.charset); !ok || n != c.number {
			t.Errorf("%s has the code page %d", c.charset, n)
		}
		if s, ok := CodePageCharset(c.number); !ok || s != first[c.number] {
			t.Errorf("code page %d is %s", c.number, s)
		}
	}
	if n, ok := CodePage(` "UTF-8"`); !ok || n != 65001 {
		t.Errorf("UTF-8 has the code page %d", n)
	}
	if _, ok := CodePage("klingon"); ok {
		t.Error("a charset that is not known has a code page")
	}
	if _, ok := CodePageCharset(1); ok {
		t.Error("a code page that is not known has a charset")
	}
}

func TestUTF32(t *testing.T) {
	for charset, text := range map[string]string{
		"utf-32be": "\x00\x00\x00a\x00\x01\xf6\x00", "utf-32le": "a\x00\x00\x00\x00\xf6\x01\x00", "utf-32": "\xff\xfe\x00\x00a\x00\x00\x00\x00\xf6\x01\x00",
	} {
		if got := DecodeCharset(charset, []byte(text)); got != "a😀" {
			t.Errorf("%s: %q", charset, got)
		}
	}
}

func TestEncodeCharset(t *testing.T) {
	for _, tt := range []struct{ charset, text, want string }{
		{"utf-8", "Grüße", "Grüße"}, {"klingon", "Grüße", "Grüße"}, {"iso-8859-1", "Grüße", "Gr\xfc\xdfe"}, {"windows-1252", "5 € 日", "5 \x80 ?"},
		{"shift_jis", "日本é", "\x93\xfa\x96{?"}, {"iso-2022-jp", "日", "\x1b$BF|\x1b(B"}, {"us-ascii", "ü", "ü"},
		{"cp858", "5 €", "5 \xd5"}, {"ibm1140", "5 €", "\xf5@\x9f"}, {"utf-32le", "a", "\xff\xfe\x00\x00a\x00\x00\x00"},
	} {
		if got := string(EncodeCharset(tt.charset, tt.text)); got != tt.want {
			t.Errorf("%s in %s is %q, want %q", tt.text, tt.charset, got, tt.want)
		}
	}
}
