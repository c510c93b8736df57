package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// personTags are the properties that name one person of a message, in an order that is the same for all persons: those
// of personMade. Of a received mail name and SMTP address are in the bag, the others are made of them.
type personTags []mapi.Tag

var (
	author = personTags{mapi.PidTagSentRepresentingSmtpAddress, mapi.PidTagSentRepresentingName, mapi.PidTagSentRepresentingAddressType,
		mapi.PidTagSentRepresentingEmailAddress, mapi.PidTagSentRepresentingEntryId, mapi.PidTagSentRepresentingSearchKey}
	sender = personTags{mapi.PidTagSenderSmtpAddress, mapi.PidTagSenderName, mapi.PidTagSenderAddressType,
		mapi.PidTagSenderEmailAddress, mapi.PidTagSenderEntryId, mapi.PidTagSenderSearchKey}
)

const smtp = "SMTP"

// personMade is how each property of a person is made of SMTP address and name.
var personMade = []func(address, name string) mapi.Value{
	func(address, _ string) mapi.Value { return mapi.String(address) },
	func(address, _ string) mapi.Value { return mapi.String(address) },
	func(string, string) mapi.Value { return mapi.String(smtp) },
	func(address, _ string) mapi.Value { return mapi.String(address) },
	func(address, name string) mapi.Value {
		return mapi.Binary(oxcdata.OneOffOf(name, smtp, address).Append(nil))
	},
	func(address, _ string) mapi.Value { return mapi.Binary(oxcdata.SearchKey(smtp, address)) },
}

// value is the property of one place in the order, as it is in the bag or made.
func (p personTags) value(bag *mapi.PropBag, i int) mapi.Value {
	if v := bag.Get(p[i]); v != nil {
		return v
	}
	address := textOf(bag, p[0])
	if address == "" {
		return nil
	}
	return personMade[i](address, textOf(bag, p[1]))
}

// known reports whether a bag says anything of the person.
func (p personTags) known(bag *mapi.PropBag) bool {
	return slices.ContainsFunc(p, func(t mapi.Tag) bool { return bag.Get(t) != nil })
}

// defaults are the person's properties that a bag does not have. Where it has none of them they are another's: who is
// not said to send for someone sends for himself.
func (p personTags) defaults(other personTags) []computed[*shownMessage] {
	rows := make([]computed[*shownMessage], len(p))
	for i, t := range p {
		rows[i] = computed[*shownMessage]{t, func(s *shownMessage) mapi.Value {
			if bag := s.contents(); !p.known(bag) {
				return other.value(bag, i)
			}
			return p.value(s.contents(), i)
		}}
	}
	return rows
}
