package store

import "github.com/flotilla-mail/flotilla/internal/mapi"

// mimeShows is the one table of properties that the MIME form of a message shows (MAILBOX 3): an edit inside it makes
// the form another, with a new UID; one outside leaves the octets as they are. Recipients and attachments are shown
// too, whatever changes of them. Flags, categories, reminders and every named property are outside.
var mimeShows = idsOf(
	mapi.PidTagSubjectPrefix, mapi.PidTagNormalizedSubject,
	mapi.PidTagBody, mapi.PidTagHtml, mapi.PidTagRtfCompressed, mapi.PidTagNativeBody,
	mapi.PidTagSenderName, mapi.PidTagSenderEmailAddress, mapi.PidTagSenderAddressType, mapi.PidTagSenderSmtpAddress, mapi.PidTagSenderEntryId,
	mapi.PidTagSentRepresentingName, mapi.PidTagSentRepresentingEmailAddress, mapi.PidTagSentRepresentingAddressType,
	mapi.PidTagSentRepresentingSmtpAddress, mapi.PidTagSentRepresentingEntryId,
	mapi.PidTagReplyRecipientEntries, mapi.PidTagReplyRecipientNames,
	mapi.PidTagInternetMessageId, mapi.PidTagInReplyToId, mapi.PidTagInternetReferences, mapi.PidTagClientSubmitTime,
	mapi.PidTagImportance, mapi.PidTagPriority, mapi.PidTagSensitivity, mapi.PidTagMessageClass, mapi.PidTagInternetCodepage,
	mapi.PidTagConversationTopic, mapi.PidTagConversationIndex,
	mapi.PidTagReadReceiptRequested, mapi.PidTagOriginatorDeliveryReportRequested, mapi.PidTagAutoResponseSuppress,
	mapi.PidTagListHelp, mapi.PidTagListSubscribe, mapi.PidTagListUnsubscribe, mapi.PidTagTransportMessageHeaders,
	mapi.PidTagExpiryTime, mapi.PidTagReplyTime,
)

func idsOf(tags ...mapi.Tag) map[uint16]bool {
	ids := make(map[uint16]bool, len(tags))
	for _, t := range tags {
		ids[t.ID()] = true
	}
	return ids
}

// differs reports whether two bags differ in properties of some ids.
func differs(ids map[uint16]bool, a, b *mapi.PropBag) bool {
	return hasBeyond(ids, a, b) || hasBeyond(ids, b, a)
}

// hasBeyond reports whether a has such a property that b has not, or with another value.
func hasBeyond(ids map[uint16]bool, a, b *mapi.PropBag) bool {
	for _, p := range a.All() {
		if ids[p.Tag.ID()] && !sameStored(p, b) {
			return true
		}
	}
	return false
}

func sameStored(p mapi.Prop, in *mapi.PropBag) bool {
	v := in.Get(p.Tag)
	if v == nil {
		return false
	}
	var x, y mapi.PropBag
	x.Set(p.Tag, p.Value)
	y.Set(p.Tag, v)
	return string(x.AppendWire(nil)) == string(y.AppendWire(nil))
}
