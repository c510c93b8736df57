package oxcmail

import (
	"bufio"
	"errors"
	"html"
	"io"
	"net/url"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

const (
	// maxContentIDs bounds the parts that HTML may refer to, maxContentID the name of one.
	maxContentIDs = maxFiles
	maxContentID  = 512
	// cid begins a reference to a part (RFC 2392).
	cid = "cid:"
)

// shows tells whether a part beside HTML is in it: what has no name that HTML could use is a file that was put there for want of
// another place. An image is taken at its word; of other files, and of what says that it is attached, the HTML is asked.
func (im *importer) shows(p *mime.Part) (bool, error) {
	id := contentID(p.ID)
	if id == "" || p.Location != "" || p.Type == "image" && p.Disposition != "attachment" {
		return id != "" || p.Location != "", nil
	}
	if im.shown == nil {
		var err error
		if im.shown, err = contentIDs(im.sorted.html.Text(im.octets)); err != nil {
			return false, err
		}
	}
	return im.shown[id], nil
}

// contentID is an id as it is compared: readers are lenient about its case.
func contentID(s string) string { return strings.ToLower(strings.Trim(s, "<> ")) }

// contentIDs are the parts that HTML refers to.
func contentIDs(r io.Reader) (map[string]bool, error) {
	ids := map[string]bool{}
	b := bufio.NewReader(r)
	for met := 0; len(ids) < maxContentIDs; {
		c, err := b.ReadByte()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch c |= 0x20; { // a letter in small; the colon has that bit
		case c == cid[met]:
			met++
		case c == cid[0]:
			met = 1
		default:
			met = 0
		}
		if met < len(cid) {
			continue
		}
		met = 0
		id, err := untilDelimiter(b)
		if err != nil {
			return nil, err
		}
		ids[contentID(id)] = true
	}
	return ids, nil
}

// untilDelimiter is the rest of a reference.
func untilDelimiter(b *bufio.Reader) (string, error) {
	var id []byte
	for len(id) < maxContentID {
		c, err := b.ReadByte()
		if errors.Is(err, io.EOF) || strings.IndexByte("\"'<> )\t\r\n", c) >= 0 {
			break
		}
		if err != nil {
			return "", err
		}
		id = append(id, c)
	}
	s := html.UnescapeString(string(id))
	if plain, err := url.PathUnescape(s); err == nil {
		s = plain
	}
	return s, nil
}
