package object

import (
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// TestBodyHTML: the bytes of HTML are in the charset whose code page the message names, which is seldom one of Windows' own.
func TestBodyHTML(t *testing.T) {
	const none = mapi.Integer32(-1)
	for _, tt := range []struct {
		name string
		page mapi.Integer32
		html string
		want string
	}{
		{"windows-1252", 1252, "5 \x80 f\xfcr Gr\xfc\xdfe", "5 € für Grüße"},
		{"ISO 8859-15", 28605, "5 \xa4", "5 €"},
		{"Japanese, Shift JIS", 932, "\x93\xfa\x96\x7b", "日本"},
		{"Japanese, ISO-2022-JP", 50220, "\x1b$BF|K\\\x1b(B", "日本"},
		{"Japanese, EUC", 51932, "\xc6\xfc\xcb\xdc", "日本"},
		{"Cyrillic, KOI8-R", 20866, "\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"},
		{"Cyrillic, windows-1251", 1251, "\xcf\xf0\xe8\xe2\xe5\xf2", "Привет"},
		{"Cyrillic, ISO 8859-5", 28595, "\xbf\xe0\xd8\xd2\xd5\xe2", "Привет"},
		{"Chinese, GB18030", 54936, "\xc4\xe3\xba\xc3", "你好"},
		{"ASCII that is UTF-8", 20127, "Gr\xc3\xbc\xc3\x9fe", "Grüße"},
		{"UTF-8", 65001, "Grüße", "Grüße"},
		{"unknown, and UTF-8", 4711, "Grüße 日", "Grüße 日"},
		{"unknown, and no UTF-8", 4711, "Gr\xfc\xdfe", "Grüße"},
		{"not said", none, "Gr\xfc\xdfe", "Grüße"},
		{"without NUL", 1252, "a\x00b", "ab"},
	} {
		var p Props
		p.Bag.Set(mapi.PidTagHtml, mapi.Binary(tt.html))
		if tt.page != none {
			p.Bag.Set(mapi.PidTagInternetCodepage, tt.page)
		}
		if got := p.BodyHTML(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	var p Props
	p.Bag.Set(mapi.PidTagBodyHtml, mapi.String("<b>Grüße</b>"))
	if got := p.BodyHTML(); got != "<b>Grüße</b>" {
		t.Errorf("as a string: %q", got)
	}
}
