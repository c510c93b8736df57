package rules

import (
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Receipts are what a mailbox owes the sender of a mail (MS-OXOMSG 2.2.1.20, 2.2.1.31).
type Receipts struct {
	// Read is a report that the mail was read, Unread one that it was deleted before.
	Read, Unread bool
	// Ask: they would go to somebody else than the mail came from, so that the user has to say so (RFC 8098 2.1).
	Ask bool
}

// Owed says which receipts a mail asks for and may get. A receipt is made by a machine, so what no machine answers gets none;
// reports are of that kind, so receipts are not answered by receipts.
func Owed(m *Mail) Receipts {
	if m.Props == nil {
		return Receipts{}
	}
	asked := func(t mapi.Tag) bool { return m.Props.Get(t) == mapi.Boolean(true) }
	r := Receipts{Read: asked(mapi.PidTagReadReceiptRequested)}
	r.Unread = r.Read || asked(mapi.PidTagNonReceiptNotificationRequested)
	to := ReceiptTo(m.Props)
	if !r.Unread || to.Address == "" {
		return Receipts{}
	}
	r.Read = r.Read && m.mayAnswer(SuppressRead) == ""
	r.Unread = r.Unread && m.mayAnswer(SuppressUnread) == ""
	r.Ask = (r.Read || r.Unread) && !m.samePerson(to.Address, m.From)
	return r
}

// ReceiptTo is whom a receipt of a message is for: who is named for it, else who the message is from (MS-OXOMSG 2.2.1.22).
func ReceiptTo(bag *mapi.PropBag) Recipient {
	if r := (Recipient{Name: text(bag, mapi.PidTagReadReceiptName), Address: text(bag, mapi.PidTagReadReceiptSmtpAddress)}); r.Address != "" {
		return r
	}
	return Recipient{Name: text(bag, mapi.PidTagSentRepresentingName), Address: text(bag, mapi.PidTagSentRepresentingSmtpAddress)}
}

// samePerson reports whether two addresses are one, or of one person of ours.
func (m *Mail) samePerson(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	dn := func(address string) string {
		for _, k := range m.About.Known {
			if strings.EqualFold(k.Address, address) {
				return k.LegacyDN
			}
		}
		return ""
	}
	mine := dn(a)
	return mine != "" && mine == dn(b)
}

// SettlesReceipts reports whether keywords say that a client has dealt with a message's receipt by itself (RFC 3503 3.1).
func SettlesReceipts(keywords []string) bool {
	return slices.ContainsFunc(keywords, func(k string) bool { return strings.EqualFold(k, "$MDNSent") })
}
