package vcard

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/formats/contentline"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func read(t testing.TB, s string) *Card {
	t.Helper()
	card, err := NewDecoder(strings.NewReader(s), contentline.Default()).Next()
	if err != nil {
		t.Fatalf("%v in %q", err, s)
	}
	return card
}

func linesOf(c *Card) []string {
	var list []string
	for i := range c.Lines {
		list = append(list, c.Lines[i].String())
	}
	return list
}

// Lines of each version, as they are in hand, and as 3.0 has them.
func TestForms(t *testing.T) {
	for _, c := range []struct{ version, in, hand, v3 string }{
		{"2.1", "TEL;HOME;PREF:1", "TEL;TYPE=home;PREF=1:1", "TEL;TYPE=HOME,PREF:1"},
		{"2.1", "NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=ISO-8859-1:a=FCb,c=0D=0Ad", `NOTE:aüb\,c\nd`, `NOTE:aüb\,c\nd`},
		{"2.1", "ADR;WORK:;;a, b;c;;;", `ADR;TYPE=work:;;a\, b;c;;;`, `ADR;TYPE=WORK:;;a\, b;c;;;`},
		{"3.0", "EMAIL;TYPE=INTERNET,PREF:a@x.test", "EMAIL;PREF=1:a@x.test", "EMAIL;TYPE=INTERNET,PREF:a@x.test"},
		{"3.0", "PHOTO;ENCODING=b;TYPE=PNG:QUJD", "PHOTO:data:image/png;base64,QUJD", "PHOTO;ENCODING=b;TYPE=PNG:QUJD"},
		{"3.0", "PHOTO;VALUE=uri:http://x.test/", "PHOTO:http://x.test/", "PHOTO;VALUE=uri:http://x.test/"},
		{"3.0", "SOUND;ENCODING=b;TYPE=WAVE:QUJD", "SOUND:data:audio/wave;base64,QUJD", "SOUND;ENCODING=b;TYPE=WAVE:QUJD"},
		{"3.0", "BDAY:1990-05-17", "BDAY:19900517", "BDAY:1990-05-17"},
		{"3.0", "X-ANNIVERSARY:2015-08-08", "ANNIVERSARY:20150808", "X-MS-ANNIVERSARY:2015-08-08"},
		{"3.0", "X-MS-INTERESTS:Chess", "HOBBY:Chess", "X-MS-INTERESTS:Chess"},
		{"3.0", "X-MS-CARDPICTURE;ENCODING=b;TYPE=JPEG:QUJD", "X-MS-CARDPICTURE:data:image/jpeg;base64,QUJD", "X-MS-CARDPICTURE;ENCODING=b;TYPE=JPEG:QUJD"},
		{"3.0", "X-MS-SPOUSE:Emil", "RELATED;TYPE=spouse;VALUE=text:Emil", "X-MS-SPOUSE:Emil"},
		{"3.0", "X-ADDRESSBOOKSERVER-KIND:group", "KIND:group", "X-ADDRESSBOOKSERVER-KIND:group"},
		{"4.0", "PHOTO;TYPE=work:data:image/png;base64,QUJD", "PHOTO;TYPE=work:data:image/png;base64,QUJD", "PHOTO;ENCODING=b;TYPE=WORK;MEDIATYPE=image/png:QUJD"},
		{"4.0", `TEL;TYPE="cell,text":1`, "TEL;TYPE=cell,text:1", "TEL;TYPE=CELL,TEXT:1"},
		{"4.0", "RELATED;TYPE=friend:urn:uuid:1", "RELATED;TYPE=friend:urn:uuid:1", "RELATED;TYPE=FRIEND:urn:uuid:1"},
	} {
		card := read(t, "BEGIN:VCARD\nVERSION:"+c.version+"\nFN:x\nN:x;;;;\n"+c.in+"\nEND:VCARD\n")
		if got := card.Lines[2].String(); got != c.hand {
			t.Errorf("%s is %s in hand, want %s", c.in, got, c.hand)
		}
		v3 := card.Append(nil, V3)
		if !strings.Contains(string(v3), "\r\n"+c.v3+"\r\n") {
			t.Errorf("%s is written\n%s", c.in, v3)
		}
		if back := read(t, string(v3)); !slices.Equal(linesOf(back), linesOf(card)) {
			t.Errorf("%s came back as %q, want %q", c.in, linesOf(back), linesOf(card))
		}
	}
}

// Every card that is written has what its version wants.
func TestNeeded(t *testing.T) {
	empty := Card{}
	for version, want := range map[Version]string{
		V4: "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:?\r\nEND:VCARD\r\n", V3: "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:?\r\nN:;;;;\r\nEND:VCARD\r\n",
	} {
		if got := string(empty.Append(nil, version)); got != want {
			t.Errorf("got %q", got)
		}
	}
	d := NewDecoder(strings.NewReader("junk\nBEGIN:VCARD\nFN:a\nEND:VCARD\nBEGIN:VCARD\nFN:b"), contentline.Default())
	for _, want := range []string{"a", "b"} {
		if card, err := d.Next(); err != nil || card.Get("FN").Value != want {
			t.Errorf("got %+v, %v", card, err)
		}
	}
	if _, err := d.Next(); !errors.Is(err, io.EOF) || d.Skipped() != 1 {
		t.Errorf("got %v, %d lines passed over", err, d.Skipped())
	}
}

// FuzzDecode wants each version of what was read to be read the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("BEGIN:VCARD\nVERSION:2.1\nN:a;b\nPHOTO;BASE64;GIF:\n QUJD\n\nAGENT:\nBEGIN:VCARD\nN:c\nEND:VCARD\nEND:VCARD"))
	f.Add([]byte("BEGIN:VCARD\nVERSION:4.0\nRELATED;TYPE=spouse;VALUE=text:a\nKEY;MEDIATYPE=a/b:data:,x\nEND:VCARD"))
	f.Add([]byte("BEGIN:VCARD\nVERSION:3.0\ni.X-ABDATE;TYPE=pref:2010-05-17\ni.X-ABLabel:_$!<Anniversary>!$_\ni.X-ABDATE:20100517\nj.X-ABRELATEDNAMES;TYPE=a:b;c\\,\nj.X-ABLabel:_$!<Spouse>!$_\nEND:VCARD"))
	f.Add([]byte("BEGIN:VCARD\nVERSION:4.0\nj.RELATED;VALUE=text;TYPE=spouse:b\nj.X-ABLabel:_$!<SPOUSE>!$_\nPHOTO:DATA:IMAGE/JPEG\\;BASE64\\,/9j/\nPHOTO:data:application/octet-stream;base64,/9j/\nEND:VCARD"))
	f.Fuzz(func(t *testing.T, b []byte) {
		defer testkit.Bounded(t)()
		d := NewDecoder(bytes.NewReader(b), contentline.Limits{Line: 1 << 18, Total: 1 << 18})
		for {
			card, err := d.Next()
			if err != nil {
				return
			}
			for _, version := range []Version{V3, V4} {
				once := read(t, string(card.Append(nil, version))).Append(nil, V4)
				twice := read(t, string(read(t, string(once)).Append(nil, version))).Append(nil, V4)
				if !bytes.Equal(once, twice) {
					t.Errorf("as %s %q became %q", version, once, twice)
				}
			}
		}
	})
}
