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
	header, _ := headerWithout(octets)
	return header + meetingInTNEF(t, octets, change)
}

// WithTNEF is a mail about a meeting with all that it has, and the same in TNEF beside it, after change where that is not nil.
func WithTNEF(t testing.TB, octets string, change func(m *object.Message)) string {
	t.Helper()
	header, rest := headerWithout(octets)
	return header + "Content-Type: multipart/mixed; boundary=beside\r\n\r\n--beside\r\n" + rest + "\r\n--beside\r\n" +
		meetingInTNEF(t, octets, change) + "--beside--\r\n"
}

// headerWithout is the header of a mail without its Content-Type, and that with the body.
func headerWithout(octets string) (header, rest string) {
	root := mime.Scan([]byte(octets))
	of := func(which mime.Selection) string {
		return string(mime.FilterHeader([]byte(octets[:root.BodyStart]), which, "Content-Type"))
	}
	return strings.TrimSuffix(of(mime.Except), "\r\n"), of(mime.Only) + octets[root.BodyStart:]
}

// meetingInTNEF is a part with the message about the meeting of a mail.
func meetingInTNEF(t testing.TB, octets string, change func(m *object.Message)) string {
	t.Helper()
	cal, err := oxcical.OfMail(oxcical.CalendarIn(mime.Scan([]byte(octets))), strings.NewReader(octets))
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
	return "Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		Lines(base64.StdEncoding.EncodeToString(b)) + "\r\n"
}
