package oxvcard

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/convert/kept"
	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/formats/vcard"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// of is the contact of a card with these lines.
func of(t testing.TB, version, lines string) *object.Message {
	t.Helper()
	return imported(t, parse(t, "BEGIN:VCARD\nVERSION:"+version+"\nFN:A\n"+lines+"END:VCARD\n"))
}

// TestPicturesOfClients: whatever form a card has its picture in, the contact has it, under its kind, and both versions say it again.
func TestPicturesOfClients(t *testing.T) {
	jpeg := base64.StdEncoding.EncodeToString([]byte("\xFF\xD8\xFF\xE0rest"))
	png := base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x1a\nrest"))
	for _, c := range []struct{ version, line, media string }{
		{"3.0", "PHOTO;ENCODING=b;TYPE=JPEG:" + jpeg, "image/jpeg"},
		{"3.0", "PHOTO;TYPE=PNG;VALUE=BINARY;ENCODING=BASE64:" + png, "image/png"},
		{"3.0", "PHOTO;BASE64:\n  " + jpeg, "image/jpeg"},
		{"3.0", "PHOTO;ENCODING=b:" + png, "image/png"},
		{"3.0", "PHOTO;VALUE=URI:DATA:IMAGE/JPEG;BASE64\\," + jpeg, "image/jpeg"},
		{"4.0", "PHOTO:data:image/png;base64," + png, "image/png"},
		{"4.0", "PHOTO;VALUE=URI:data:image/jpeg\\;base64\\," + jpeg, "image/jpeg"},
		{"4.0", "item1.PHOTO;X-ABCROP-RECTANGLE=ABClipRect_1&0&0&10&10&x==:data:image/jpeg;base64," + jpeg, "image/jpeg"},
		{"2.1", "PHOTO;JPEG;ENCODING=BASE64:\n " + jpeg + "\n", "image/jpeg"},
	} {
		m := of(t, c.version, c.line+"\n")
		if len(m.Attachments) != 1 || m.Attachments[0].Text(mapi.PidTagAttachMimeTag) != c.media {
			t.Errorf("%.60s: %d attachments", c.line, len(m.Attachments))
			continue
		}
		for _, version := range []vcard.Version{vcard.V3, vcard.V4} {
			again := imported(t, parse(t, string(Export(m, version))))
			if len(again.Attachments) != 1 || again.Attachments[0].Text(mapi.PidTagAttachMimeTag) != c.media {
				t.Errorf("%.60s is written in %s as\n%s", c.line, version, Export(m, version))
			}
		}
	}
}

// TestDaysOfClients: a birthday without year has none, and one that an old client left as a midnight is the day of that.
func TestDaysOfClients(t *testing.T) {
	for line, want := range map[string]string{
		"BDAY:1980-05-17": "1980-05-17", "BDAY;VALUE=date:1980-05-17": "1980-05-17", "BDAY:19800517T000000Z": "1980-05-17", "BDAY:--0517": "",
		"BDAY;X-APPLE-OMIT-YEAR=1604:1604-05-17": "", "BDAY;X-APPLE-OMIT-YEAR=1604:1980-05-17": "1980-05-17",
	} {
		m := of(t, "3.0", line+"\n")
		at, known := m.Bag.Get(mapi.PidTagBirthday).(mapi.FileTime)
		if known != (want != "") || known && at.Time().Format(time.DateOnly) != want {
			t.Errorf("%s is %v", line, at.Time())
		}
		if text := string(Export(m, vcard.V3)); !strings.Contains(text, "05-17") && !strings.Contains(text, "0517") {
			t.Errorf("%s became %s", line, text)
		}
	}
	for _, at := range []time.Time{time.Date(1980, 5, 16, 22, 0, 0, 0, time.UTC), time.Date(1980, 5, 17, 5, 0, 0, 0, time.UTC), time.Date(1980, 5, 17, 11, 59, 0, 0, time.UTC)} {
		m := &object.Message{}
		m.SetText(mapi.PidTagMessageClass, classContact)
		m.Bag.Set(mapi.PidTagBirthday, mapi.FileTimeOf(at))
		if text := string(Export(m, vcard.V4)); !strings.Contains(text, "BDAY:19800517\r\n") {
			t.Errorf("%v became %s", at, text)
		}
	}
}

// TestPreferredFirst: of more addresses than there are places the preferred one is the first, in the words of each version.
func TestPreferredFirst(t *testing.T) {
	for version, lines := range map[string]string{
		"3.0": "EMAIL:1@x.test\nEMAIL:2@x.test\nEMAIL:3@x.test\nitem1.EMAIL;type=INTERNET;type=pref:4@x.test\nitem1.X-ABLabel:x\n",
		"4.0": "EMAIL;PREF=50:1@x.test\nEMAIL;PREF=x:2@x.test\nEMAIL;PREF=60:3@x.test\nEMAIL;PREF=1:4@x.test\n",
	} {
		m := of(t, version, lines)
		if got := m.LidText(mapi.PidLidEmail1EmailAddress); got != "4@x.test" {
			t.Errorf("%s: the first is %s", version, got)
		}
		text := string(Export(m, vcard.V4))
		for _, address := range []string{"1@x.test", "2@x.test", "3@x.test", "4@x.test"} {
			if strings.Count(text, address) != 1 {
				t.Errorf("%s: %s in %s", version, address, text)
			}
		}
		kept.Forget(&m.Props)
		if text := string(Export(m, vcard.V4)); strings.Index(text, "4@x.test") > strings.Index(text, "1@x.test") {
			t.Errorf("%s: %s", version, text)
		}
	}
}

// TestLabelsOfApple: what a date or a person is, Apple says in a label of its group. It comes back in Apple's form, and what a client
// changes does not stay beside it.
func TestLabelsOfApple(t *testing.T) {
	const lines = "item1.X-ABDATE;type=pref:2010-05-17\nitem1.X-ABLabel:_$!<Anniversary>!$_\nitem2.X-ABRELATEDNAMES;type=pref:Jo\\, Ann\nitem2.X-ABLabel:_$!<Spouse>!$_\n" +
		"item3.X-ABRELATEDNAMES:Kim\nitem3.X-ABLabel:_$!<Child>!$_\nitem4.X-ABRELATEDNAMES:Boss\nitem4.X-ABLabel:_$!<Manager>!$_\n" +
		"item5.X-ABRELATEDNAMES:Friend\nitem5.X-ABLabel:_$!<Friend>!$_\nitem6.X-ABDATE:2001-02-03\nitem6.X-ABLabel:first met\n"
	m := of(t, "3.0", lines)
	check := func(m *object.Message) {
		t.Helper()
		at, _ := m.LidTime(mapi.PidLidWeddingAnniversaryLocal)
		children, _ := m.Bag.Get(mapi.PidTagChildrensNames).(mapi.Strings)
		if at.Time().Format(time.DateOnly) != "2010-05-17" || m.Text(mapi.PidTagSpouseName) != "Jo, Ann" || m.Text(mapi.PidTagManagerName) != "Boss" || len(children) != 1 || children[0] != "Kim" {
			t.Errorf("%v, %q, %q, %q", at.Time(), m.Text(mapi.PidTagSpouseName), m.Text(mapi.PidTagManagerName), children)
		}
	}
	check(m)
	text := string(Export(m, vcard.V3))
	for _, line := range []string{"ITEM1.X-ABDATE;TYPE=PREF:2010-05-17", "ITEM2.X-ABRELATEDNAMES;TYPE=PREF:Jo\\, Ann", "ITEM3.X-ABRELATEDNAMES:Kim", "ITEM4.X-ABRELATEDNAMES:Boss",
		"ITEM5.X-ABRELATEDNAMES:Friend", "ITEM6.X-ABDATE:2001-02-03", "ITEM6.X-ABLABEL:first met"} {
		if !strings.Contains(text, line+"\r\n") {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	for _, version := range []vcard.Version{vcard.V3, vcard.V4} {
		check(imported(t, parse(t, string(Export(m, version)))))
	}
	m.SetLid(mapi.PidLidWeddingAnniversaryLocal, mapi.FileTimeOf(time.Date(2011, 6, 18, 0, 0, 0, 0, time.UTC)))
	if text := string(Export(m, vcard.V3)); !strings.Contains(text, "2011-06-18") || strings.Contains(text, "2010-05-17") || !strings.Contains(text, "ITEM6.X-ABDATE:2001-02-03\r\n") {
		t.Errorf("changed to\n%s", text)
	}
}
