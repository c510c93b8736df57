package deliver

import (
	"context"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// TestMailBringsItsProperties: what lists show of a mail is made where it is received, of its header however long the
// rest is.
func TestMailBringsItsProperties(t *testing.T) {
	for _, size := range []int{10, inMemory + 1} {
		d := deliverer(t, newStore())
		octets := "From: Anna <anna@example.test>\r\nSubject: RE: Harbour\r\n\r\n" + strings.Repeat("text\r\n", size/6+1)
		m, err := d.Ingest(context.Background(), &auth.Principal{Mailbox: mapi.MailboxID{1}}, strings.NewReader(octets), 0)
		if err != nil {
			t.Fatal(err)
		}
		var bag mapi.PropBag
		if err := bag.UnmarshalWire(m.Props); err != nil {
			t.Fatal(err)
		}
		if bag.Get(mapi.PidTagNormalizedSubject) != mapi.String("Harbour") || bag.Get(mapi.PidTagSentRepresentingName) != mapi.String("Anna") {
			t.Errorf("of %d octets: %v", len(octets), bag.All())
		}
	}
}
