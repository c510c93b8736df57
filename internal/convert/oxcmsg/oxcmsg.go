// Package oxcmsg computes properties of a message from others of the same message: the parts of its subject, what it is
// called in a conversation, the lists of its recipients' names (MS-OXCMSG 2.2.1, MS-OXOMSG 2.2.1).
//
// It knows values only: no mailbox, no MIME, no time but what it is given. Whoever stores or converts a message asks
// here, so that a mail means the same whichever way it came.
package oxcmsg

import (
	"crypto/md5"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// longestPrefix is the most characters that a computed prefix has before its colon.
const longestPrefix = 3

// SplitSubject cuts a subject into PidTagSubjectPrefix and PidTagNormalizedSubject, which together are the subject
// again: one to three characters, a colon and the blanks after it are a prefix. Digits, blanks, colons and other
// punctuation are no characters of one (MS-OXCMAIL 2.2.3.2.6.1).
func SplitSubject(subject string) (prefix, normalized string) {
	count := 0
	for at, r := range subject {
		if r == ':' {
			if count == 0 || !strings.HasPrefix(subject[at+1:], " ") {
				break
			}
			rest := strings.TrimLeft(subject[at+1:], " ")
			return subject[:len(subject)-len(rest)], rest
		}
		if count++; count > longestPrefix || unicode.IsDigit(r) || unicode.IsSpace(r) || unicode.IsPunct(r) || r == utf8.RuneError {
			break
		}
	}
	return "", subject
}

const (
	// headerBlock is the length of a conversation index before its child blocks, guidAt where the GUID in it begins.
	headerBlock = 22
	guidAt      = 6
	// indexMark is the first byte of a conversation index.
	indexMark = 0x01
	// topicUnits is how much of a topic counts, in UTF-16.
	topicUnits = 255
)

// ConversationID is PidTagConversationId: the GUID of the index where that is tracked, else a hash of the topic
// (MS-OXOMSG 2.2.1.2); nil where there is neither.
func ConversationID(index []byte, tracked bool, topic string) []byte {
	if tracked && len(index) >= headerBlock && index[0] == indexMark {
		return append([]byte(nil), index[guidAt:headerBlock]...)
	}
	if topic == "" {
		return nil
	}
	var b []byte
	units := 0
	for _, r := range topic {
		if r == 0 {
			break
		}
		wide := utf16.AppendRune(nil, unicode.ToUpper(r))
		if units += len(wide); units > topicUnits {
			break
		}
		for _, u := range wide {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
	}
	sum := md5.Sum(b)
	return sum[:]
}

// ConversationIndex is a conversation index for a message that came without one: a header block of its time and of its
// conversation (MS-OXOMSG 2.2.1.3).
func ConversationIndex(at mapi.FileTime, conversation []byte) []byte {
	if len(conversation) != headerBlock-guidAt {
		return nil
	}
	var time [8]byte
	binary.BigEndian.PutUint64(time[:], uint64(at))
	b := append(make([]byte, 0, headerBlock), indexMark)
	// The time's highest byte is the mark; 56 bits less the lowest 16 are left, which is 6.5 ms.
	b = append(b, time[1:guidAt]...)
	return append(b, conversation...)
}

// RecipientType is PidTagRecipientType without its flags (MS-OXOMSG 2.2.3.1).
type RecipientType uint8

// The types.
const (
	RecipientTo  RecipientType = 1
	RecipientCc  RecipientType = 2
	RecipientBcc RecipientType = 3
)

const recipientTypeMask = 0x0F

// TypeOf is the type of a recipient; one without is a primary one.
func TypeOf(recipient *mapi.PropBag) RecipientType {
	if n, ok := recipient.Get(mapi.PidTagRecipientType).(mapi.Integer32); ok {
		return RecipientType(n & recipientTypeMask)
	}
	return RecipientTo
}

// ReachOf is how a recipient is reached: by an address, or where a client has none by a legacyExchangeDN (MS-OXOABK 2.2.3.13).
func ReachOf(r *mapi.PropBag) (address, dn string) {
	text := func(t mapi.Tag) string {
		s, _ := r.Get(t).(mapi.String)
		return string(s)
	}
	if address = text(mapi.PidTagSmtpAddress); address != "" {
		return address, ""
	}
	if strings.EqualFold(text(mapi.PidTagAddressType), "SMTP") {
		return text(mapi.PidTagEmailAddress), ""
	}
	return "", text(mapi.PidTagEmailAddress)
}

// NameOf is how a recipient is shown in a list: by name, else by address.
func NameOf(recipient *mapi.PropBag) string {
	for _, t := range []mapi.Tag{mapi.PidTagDisplayName, mapi.PidTagRecipientDisplayName, mapi.PidTagSmtpAddress, mapi.PidTagEmailAddress} {
		if s, ok := recipient.Get(t).(mapi.String); ok && s != "" {
			return string(s)
		}
	}
	return ""
}

// displayTags are the lists of names by recipient type.
var displayTags = []struct {
	tag  mapi.Tag
	kind RecipientType
}{
	{mapi.PidTagDisplayTo, RecipientTo}, {mapi.PidTagDisplayCc, RecipientCc}, {mapi.PidTagDisplayBcc, RecipientBcc},
}

// maxList bounds a list of names in bytes, so that it stands in the bag itself.
const maxList = 4 << 10

// Join puts names in a list as PidTagDisplayTo has them: apart by "; ", as many as have room.
func Join(names []string) string {
	var b strings.Builder
	for _, name := range names {
		if b.Len()+len(name)+2 > maxList {
			break
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(name)
	}
	return b.String()
}

// SetDisplayLists sets PidTagDisplayTo, Cc and Bcc of a message by its recipients (MS-OXOMSG 2.2.1.7 to 2.2.1.9). A
// list without names is not there.
func SetDisplayLists(bag *mapi.PropBag, recipients []mapi.PropBag) {
	for _, list := range displayTags {
		var names []string
		for i := range recipients {
			if r := &recipients[i]; TypeOf(r) == list.kind {
				names = append(names, NameOf(r))
			}
		}
		if s := Join(names); s != "" {
			bag.Set(list.tag, mapi.String(s))
		} else {
			bag.Delete(list.tag)
		}
	}
}
