package mails

import (
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/convert/object"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcical"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/convert/oxtnef"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// AsTNEF is a mail about a meeting as Outlook sends it to its own kind: its header, and the message in TNEF alone, after change
// where that is not nil.
func AsTNEF(t testing.TB, octets string, change func(m *object.Message)) string {
	t.Helper()
	root := mime.Scan([]byte(octets))
	cal, err := oxcical.OfMail(oxcical.CalendarIn(root), strings.NewReader(octets))
	if err != nil {
		t.Fatal(err)
	}
	m, err := oxcical.Importer{}.Meeting(cal)
	if err != nil || m == nil {
		t.Fatalf("no meeting: %v", err)
	}
	if change != nil {
		change(m)
	}
	var names oxcmsg.Names
	w := oxtnef.Writer{Names: &names}
	r, _, err := w.Stream(&oxtnef.Message{MessageContent: m.Content(&names)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	header := mime.FilterHeader([]byte(octets[:root.BodyStart]), mime.Except, "Content-Type")
	return strings.TrimSuffix(string(header), "\r\n") + "Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		Lines(base64.StdEncoding.EncodeToString(b)) + "\r\n"
}
