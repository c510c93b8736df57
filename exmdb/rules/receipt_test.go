package rules

import (
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const askedBy = "Disposition-Notification-To: bob@elsewhere.test\r\n"

// asking is a mail whose sender asks for receipts, to go to an address.
func asking(from, to, header string) *Mail {
	m := receivedAs(from, header)
	m.Props = new(mapi.PropBag)
	m.Props.Set(mapi.PidTagReadReceiptRequested, mapi.Boolean(true))
	m.Props.Set(mapi.PidTagSentRepresentingSmtpAddress, mapi.String("bob@elsewhere.test"))
	if to != "" {
		m.Props.Set(mapi.PidTagReadReceiptSmtpAddress, mapi.String(to))
	}
	return m
}

func TestOwed(t *testing.T) {
	both := Receipts{Read: true, Unread: true}
	ask := Receipts{Read: true, Unread: true, Ask: true}
	const from = "bob@elsewhere.test"
	for name, c := range map[string]struct {
		from, to, more string
		want           Receipts
	}{
		"the sender":                   {from, "", "", both},
		"the sender, in capitals":      {"Bob@Elsewhere.test", "", "", both},
		"somebody else":                {from, "third@far.test", "", ask},
		"another address of one man":   {from, "b@elsewhere.test", "", both},
		"handed on by a list's owner":  {"bounce-1@far.test", "", "", Receipts{}},
		"null reverse-path":            {"", "", "", Receipts{}},
		"himself":                      {"anna@example.test", "", "", Receipts{}},
		"a report":                     {from, "", "Content-Type: multipart/report\r\n", Receipts{}},
		"a machine":                    {from, "", "Auto-Submitted: auto-generated\r\n", Receipts{}},
		"a list":                       {from, "", "List-Id: <l>\r\n", Receipts{}},
		"no receipts wanted":           {from, "", "X-Auto-Response-Suppress: RN, NRN\r\n", Receipts{}},
		"no receipt of reading wanted": {from, "", "X-Auto-Response-Suppress: RN\r\n", Receipts{Unread: true}},
		"no other wanted":              {from, "", "X-Auto-Response-Suppress: NRN\r\n", Receipts{Read: true}},
		"no answers wanted":            {from, "", "X-Auto-Response-Suppress: All\r\n", Receipts{}},
		"other answers not wanted":     {from, "", "X-Auto-Response-Suppress: OOF, AutoReply\r\n", both},
	} {
		m := asking(c.from, c.to, plainHeader+askedBy+c.more)
		m.About.Known = []exmdb.KnownAddress{{Address: from, LegacyDN: "/o=bob"}, {Address: "b@elsewhere.test", LegacyDN: "/o=bob"}}
		if got := Owed(m); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestNothingIsOwedUnasked(t *testing.T) {
	m := asking("bob@elsewhere.test", "", plainHeader)
	m.Props.Set(mapi.PidTagReadReceiptRequested, mapi.Boolean(false))
	if got := Owed(m); got != (Receipts{}) {
		t.Errorf("%+v", got)
	}
	m.Props.Set(mapi.PidTagNonReceiptNotificationRequested, mapi.Boolean(true))
	if got := Owed(m); got != (Receipts{Unread: true}) {
		t.Errorf("%+v", got)
	}
	m.Props.Delete(mapi.PidTagSentRepresentingSmtpAddress)
	if got := Owed(m); got != (Receipts{}) {
		t.Errorf("to nobody: %+v", got)
	}
	m.Props = nil
	if got := Owed(m); got != (Receipts{}) {
		t.Errorf("without properties: %+v", got)
	}
}

func TestSettlesReceipts(t *testing.T) {
	for words, want := range map[string]bool{"": false, "Red": false, "Red $mdnsent": true, "$MDNSent": true} {
		if got := SettlesReceipts(strings.Fields(words)); got != want {
			t.Errorf("%s: %v", words, got)
		}
	}
}
