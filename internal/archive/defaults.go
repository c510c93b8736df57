package archive

import (
	"bytes"
	"slices"

	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// A store shows of each message what it does not have but what follows from the rest. That is not carried: it follows again,
// and what stands for itself would be shown in places where what follows is not, as in fields of a header.

// usualValues are those that a message has of which nothing else is said.
var usualValues = []mapi.Prop{
	{Tag: mapi.PidTagMessageClass, Value: mapi.String("IPM.Note")}, {Tag: mapi.PidTagImportance, Value: mapi.Integer32(1)},
	{Tag: mapi.PidTagPriority, Value: mapi.Integer32(0)}, {Tag: mapi.PidTagSensitivity, Value: mapi.Integer32(0)},
	{Tag: mapi.PidTagTrustSender, Value: mapi.Integer32(1)}, {Tag: mapi.PidTagDisplayTo, Value: mapi.String("")},
	{Tag: mapi.PidTagDisplayCc, Value: mapi.String("")}, {Tag: mapi.PidTagDisplayBcc, Value: mapi.String("")},
}

// persons are the properties that name the author and the sender, in one order: SMTP address, name, address type, address,
// entry id, search key.
var persons = [2][]mapi.Tag{
	{mapi.PidTagSentRepresentingSmtpAddress, mapi.PidTagSentRepresentingName, mapi.PidTagSentRepresentingAddressType,
		mapi.PidTagSentRepresentingEmailAddress, mapi.PidTagSentRepresentingEntryId, mapi.PidTagSentRepresentingSearchKey},
	{mapi.PidTagSenderSmtpAddress, mapi.PidTagSenderName, mapi.PidTagSenderAddressType, mapi.PidTagSenderEmailAddress,
		mapi.PidTagSenderEntryId, mapi.PidTagSenderSearchKey},
}

// withoutDefaults takes out of a message's bag what follows from the rest.
func withoutDefaults(bag *mapi.PropBag) {
	for _, p := range usualValues {
		drop(bag, p.Tag, p.Value)
	}
	id, _ := bag.Get(mapi.PidTagConversationId).(mapi.Binary)
	if at, ok := bag.Get(mapi.PidTagMessageDeliveryTime).(mapi.FileTime); ok {
		drop(bag, mapi.PidTagConversationIndex, mapi.Binary(oxcmsg.ConversationIndex(at, id)))
	}
	drop(bag, mapi.PidTagConversationTopic, bag.Get(mapi.PidTagNormalizedSubject))
	author, sender := persons[0], persons[1]
	// Who is not said to send for somebody sends for himself.
	if !slices.ContainsFunc(author, func(t mapi.Tag) bool { return !same(bag, t, bag.Get(sender[slices.Index(author, t)])) }) {
		for _, t := range sender {
			bag.Delete(t)
		}
	}
	for _, p := range persons {
		withoutMade(bag, p)
	}
}

// withoutMade takes out what is made of a person's name and SMTP address.
func withoutMade(bag *mapi.PropBag, p []mapi.Tag) {
	address, _ := bag.Get(p[0]).(mapi.String)
	name, _ := bag.Get(p[1]).(mapi.String)
	if address == "" {
		return
	}
	drop(bag, p[2], mapi.String("SMTP"))
	drop(bag, p[3], address)
	drop(bag, p[4], mapi.Binary(oxcdata.OneOffOf(string(name), "SMTP", string(address)).Append(nil)))
	drop(bag, p[5], mapi.Binary(oxcdata.SearchKey("SMTP", string(address))))
}

// drop takes a property out that has a value.
func drop(bag *mapi.PropBag, t mapi.Tag, v mapi.Value) {
	if v != nil && same(bag, t, v) {
		bag.Delete(t)
	}
}

// same reports whether a bag has the value under a tag, or nothing where that is nil.
func same(bag *mapi.PropBag, t mapi.Tag, v mapi.Value) bool {
	have := bag.Get(t)
	if have == nil || v == nil {
		return have == nil && v == nil
	}
	return bytes.Equal(mapi.AppendValue(nil, have), mapi.AppendValue(nil, v))
}
