package mailboxes

import (
	"bytes"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
)

// Mail is a short mail in the form in which the mail flow hands it to a mailbox.
func Mail(t testing.TB, octets []byte) exmdb.NewMessage {
	t.Helper()
	root := mime.Scan(octets)
	props, err := oxcmail.HeaderProps(root, bytes.NewReader(octets))
	if err != nil {
		t.Fatal(err)
	}
	return exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: octets}}}, Digest: mime.MarshalDigest(root), Props: props.AppendWire(nil)}
}
