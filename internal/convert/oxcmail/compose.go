package oxcmail

import (
	"encoding/base64"
	stdmime "mime"
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// fold is where a header line is broken if it can be (RFC 5322 2.1.1).
const fold = 76

// headerWriter adds fields to a header.
type headerWriter struct{ b strings.Builder }

// field adds a field of words that may be broken between them; "" adds none.
func (w *headerWriter) field(name, value string) {
	value = oneLine(value)
	if value == "" {
		return
	}
	w.b.WriteString(name)
	w.b.WriteByte(':')
	used := len(name) + 1
	for _, word := range strings.Split(value, " ") {
		if used+1+len(word) > fold && used > len(name)+1 {
			w.b.WriteString("\r\n")
			used = 0
		}
		w.b.WriteByte(' ')
		w.b.WriteString(word)
		used += 1 + len(word)
	}
	w.b.WriteString("\r\n")
}

// text adds a field of text, encoded where it has to be (RFC 2047).
func (w *headerWriter) text(name, value string) {
	w.field(name, stdmime.QEncoding.Encode("utf-8", oneLine(value)))
}

// oneLine keeps what a property holds from breaking out of its field, and from being an empty line in it.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

func stringOf(bag *mapi.PropBag, tags ...mapi.Tag) string {
	for _, t := range tags {
		if s, ok := bag.Get(t).(mapi.String); ok && s != "" {
			return string(s)
		}
	}
	return ""
}

// addressOf writes a name and an address; of an address that is none only the name, as a group without members.
func addressOf(name, address string) string {
	name, address = oneLine(name), oneLine(address)
	if strings.Count(address, "@") == 0 || strings.ContainsAny(address, " <>,;:\"") {
		if name == "" {
			name = address
		}
		if name == "" {
			return ""
		}
		return strings.TrimSuffix((&mail.Address{Name: name, Address: "x@x"}).String(), " <x@x>") + ":;"
	}
	if name == address {
		name = ""
	}
	return (&mail.Address{Name: name, Address: address}).String()
}

// person is an author or sender by his properties; the address types of other systems have no place in a mail.
func person(bag *mapi.PropBag, name, smtpAddress, addressType, address mapi.Tag) string {
	at := stringOf(bag, smtpAddress)
	if at == "" && (stringOf(bag, addressType) == "" || strings.EqualFold(stringOf(bag, addressType), smtp)) {
		at = stringOf(bag, address)
	}
	return addressOf(stringOf(bag, name), at)
}

func authorOf(bag *mapi.PropBag) string {
	return person(bag, mapi.PidTagSentRepresentingName, mapi.PidTagSentRepresentingSmtpAddress, mapi.PidTagSentRepresentingAddressType, mapi.PidTagSentRepresentingEmailAddress)
}

func senderOf(bag *mapi.PropBag) string {
	return person(bag, mapi.PidTagSenderName, mapi.PidTagSenderSmtpAddress, mapi.PidTagSenderAddressType, mapi.PidTagSenderEmailAddress)
}

// addresses are the recipients of a kind.
func addresses(recipients []mapi.PropBag, kind oxcmsg.RecipientType) string {
	var list []string
	for i := range recipients {
		r := &recipients[i]
		if oxcmsg.TypeOf(r) != kind {
			continue
		}
		if a := person(r, mapi.PidTagDisplayName, mapi.PidTagSmtpAddress, mapi.PidTagAddressType, mapi.PidTagEmailAddress); a != "" {
			list = append(list, a)
		}
	}
	return strings.Join(list, ", ")
}

// shownFields are the fields of a header that properties say, and so take the place of (MS-OXCMAIL 2.2.3.2).
var shownFields = map[string]bool{
	"from": true, "sender": true, "to": true, "cc": true, "bcc": true, "reply-to": true, "subject": true, "date": true, "message-id": true,
	"in-reply-to": true, "references": true, "thread-topic": true, "thread-index": true, "importance": true, "priority": true,
	"x-priority": true, "x-msmail-priority": true, "sensitivity": true, "disposition-notification-to": true, "return-receipt-to": true,
}

// fields writes the fields that properties and recipients say.
func (w *headerWriter) fields(bag *mapi.PropBag, recipients []mapi.PropBag) {
	author, sender := authorOf(bag), senderOf(bag)
	if author == "" {
		author, sender = sender, ""
	}
	w.field("From", author)
	if sender != author {
		w.field("Sender", sender)
	}
	w.field("To", addresses(recipients, oxcmsg.RecipientTo))
	w.field("Cc", addresses(recipients, oxcmsg.RecipientCc))
	w.field("Bcc", addresses(recipients, oxcmsg.RecipientBcc))
	w.text("Subject", stringOf(bag, mapi.PidTagSubjectPrefix)+stringOf(bag, mapi.PidTagNormalizedSubject))
	w.field("Date", dateOf(bag))
	w.field("Message-ID", stringOf(bag, mapi.PidTagInternetMessageId))
	w.field("In-Reply-To", stringOf(bag, mapi.PidTagInReplyToId))
	w.field("References", stringOf(bag, mapi.PidTagInternetReferences))
	w.text("Thread-Topic", stringOf(bag, mapi.PidTagConversationTopic))
	if index, ok := bag.Get(mapi.PidTagConversationIndex).(mapi.Binary); ok {
		w.field("Thread-Index", base64.StdEncoding.EncodeToString(index))
	}
	w.field("Importance", wordOf(bag, mapi.PidTagImportance, map[mapi.Integer32]string{0: "low", 2: "high"}))
	w.field("Sensitivity", wordOf(bag, mapi.PidTagSensitivity, map[mapi.Integer32]string{1: "Personal", 2: "Private", 3: "Company-Confidential"}))
	if bag.Get(mapi.PidTagReadReceiptRequested) == mapi.Boolean(true) {
		w.field("Disposition-Notification-To", author)
	}
	if bag.Get(mapi.PidTagOriginatorDeliveryReportRequested) == mapi.Boolean(true) {
		w.field("Return-Receipt-To", author)
	}
}

func wordOf(bag *mapi.PropBag, t mapi.Tag, words map[mapi.Integer32]string) string {
	n, _ := bag.Get(t).(mapi.Integer32)
	if bag.Get(t) == nil {
		return ""
	}
	return words[n]
}

// dateOf is when the message was sent, or made if it was not.
func dateOf(bag *mapi.PropBag) string {
	for _, t := range []mapi.Tag{mapi.PidTagClientSubmitTime, mapi.PidTagCreationTime} {
		if at, ok := bag.Get(t).(mapi.FileTime); ok && at.Time().Year() > 1 && at.Time().Year() < 10_000 {
			return at.Time().Format(time.RFC1123Z)
		}
	}
	return ""
}

// Reheader is a header under which a received mail is shown after an edit of what its header says: every field that
// properties say is theirs, every other stays as it was, in its place.
func Reheader(header []byte, bag *mapi.PropBag, recipients []mapi.PropBag) []byte {
	var w headerWriter
	for _, f := range mime.ParseHeader(header) {
		if f.Name == "" || !shownFields[strings.ToLower(f.Name)] {
			w.b.Write(header[f.Start:f.End])
		}
	}
	if s := w.b.String(); s != "" && !strings.HasSuffix(s, "\n") {
		w.b.WriteString("\r\n")
	}
	w.fields(bag, recipients)
	w.b.WriteString("\r\n")
	return []byte(w.b.String())
}
