package oxcmail

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// TestFilesBesideHTML: a part of multipart/related is hidden where the HTML shows it; all others are files that a reader lists, and
// come back as such.
func TestFilesBesideHTML(t *testing.T) {
	const html = `<img src="CID:A%40b&amp;c"><img src=cid:plain@x><div style="background:url(cid:css@x)">ciCID:second@x c:id cid:"`
	for name, c := range map[string]struct {
		header string
		hidden bool
	}{
		"image":                       {"Content-Type: image/png\r\nContent-ID: <unused@x>", true},
		"image by location":           {"Content-Type: image/png\r\nContent-Location: a.png", true},
		"image without a name":        {"Content-Type: image/png; name=a.png", false},
		"image attached":              {"Content-Type: image/png\r\nContent-ID: <unused@x>\r\nContent-Disposition: attachment", false},
		"image attached and shown":    {"Content-Type: image/png\r\nContent-ID: <plain@x>\r\nContent-Disposition: attachment", true},
		"file":                        {"Content-Type: application/pdf; name=a.pdf", false},
		"file with an id":             {"Content-Type: application/pdf; name=a.pdf\r\nContent-ID: <unused@x>\r\nContent-Disposition: inline", false},
		"file that is shown":          {"Content-Type: image/svg+xml\r\nContent-ID: <css@x>", true},
		"name in other letters":       {"Content-Type: application/octet-stream\r\nContent-ID: <a@B&c>", true},
		"name behind half a name":     {"Content-Type: application/octet-stream\r\nContent-ID: <second@x>", true},
		"name that is none":           {"Content-Type: application/octet-stream\r\nContent-ID: <>", false},
		"file that is elsewhere also": {"Content-Type: application/octet-stream\r\nContent-ID: <unused@x>\r\nContent-Location: https://example.test/a", true},
	} {
		octets := usual + "Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + html +
			"\r\n--b\r\n" + c.header + "\r\n\r\nx\r\n--b--\r\n"
		m, names, b := read(t, []byte(octets))
		again, _, _ := read(t, form(t, &m.MessageContent, &Writer{Names: names, Contents: b}, b))
		for _, m := range []*Message{m, again} {
			if len(m.Attachments) != 1 || visible(&m.Attachments[0]) == c.hidden || (m.Props.Get(mapi.PidTagHasAttachments) == nil) != c.hidden {
				t.Errorf("%s: %+v", name, m.MessageContent)
			}
		}
	}
	broken := errors.New("broken")
	if _, err := contentIDs(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("cid:a")))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("HTML that cannot be read: %v", err)
	}
	if _, err := contentIDs(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("HTML that cannot be read: %v", err)
	}
	long := "cid:" + strings.Repeat("a", 3*maxContentID) + " cid:b"
	if ids, err := contentIDs(strings.NewReader(long)); err != nil || len(ids) != 2 || !ids["b"] {
		t.Errorf("%d names, %v", len(ids), err)
	}
}
