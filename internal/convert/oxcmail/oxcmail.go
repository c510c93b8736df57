// Package oxcmail turns mail into the properties of a message (MS-OXCMAIL 2.2): of its header what lists, rules and
// conversations need, and its recipients.
//
// It knows MIME's syntax tree and MAPI's values; it never knows a mailbox, and has no state. Invariants: the same mail
// gives the same properties wherever it is converted; strings are cut so that a bag of them stays small.
package oxcmail

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

const (
	// maxText bounds one string that comes of a header, in bytes.
	maxText = 2 << 10
	// maxHeader bounds how much of a header is read for what the envelope does not have.
	maxHeader = 128 << 10
	// maxStatus bounds how much of a delivery status is read for its class.
	maxStatus = 64 << 10
)

// smtp is the address type of every address that comes of a mail.
const smtp = "SMTP"

// text is a string as a property may hold it: UTF-8, without NUL, cut at a character.
func text(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// builder sets properties that have a value.
type builder struct{ bag mapi.PropBag }

func (b *builder) string(t mapi.Tag, s string) {
	if s = text(s); s != "" {
		b.bag.Set(t, mapi.String(s))
	}
}

func (b *builder) is(t mapi.Tag, yes bool) {
	if yes {
		b.bag.Set(t, mapi.Boolean(true))
	}
}

// HeaderProps is the bag of a received mail before anyone has read more than its header: what the lists of a folder
// show. What stands for itself is left out, and so is what a store computes of the rest: sizes, times of delivery, the
// sender where it is the author. r gives the mail's octets.
func HeaderProps(root *mime.Part, r io.ReaderAt) (mapi.PropBag, error) {
	var b builder
	octets, err := readAt(r, root.HeaderStart, min(root.HeaderSize(), maxHeader))
	if err != nil {
		return b.bag, fmt.Errorf("read header: %w", err)
	}
	octets, env := root.LegibleEnvelope(octets)
	if env != nil {
		b.envelope(env)
	}
	header := mime.ParseHeader(octets)
	b.header(header)
	b.is(mapi.PidTagHasAttachments, root.HasAttachments())
	class, err := classOf(root, r, header)
	if err != nil {
		return b.bag, err
	}
	b.string(mapi.PidTagMessageClass, class)
	return b.bag, nil
}

func readAt(r io.ReaderAt, from, n int64) ([]byte, error) {
	b := make([]byte, n)
	got, err := r.ReadAt(b, from)
	if int64(got) == n || err == io.EOF {
		err = nil
	}
	return b[:got], err
}

func (b *builder) envelope(env *mime.Envelope) {
	if env.Has&mime.HasSubject != 0 {
		prefix, normalized := oxcmsg.SplitSubject(text(env.DecodedSubject()))
		b.string(mapi.PidTagSubjectPrefix, prefix)
		b.bag.Set(mapi.PidTagNormalizedSubject, mapi.String(normalized))
	}
	b.string(mapi.PidTagInternetMessageId, env.MessageID)
	b.string(mapi.PidTagInReplyToId, env.InReplyTo)
	if at, ok := env.SentDate(); ok {
		b.bag.Set(mapi.PidTagClientSubmitTime, mapi.FileTimeOf(at))
	}
	from, sender := firstMailbox(env.From), firstMailbox(env.Sender)
	if from == nil {
		from = sender
	}
	b.person(from, mapi.PidTagSentRepresentingName, mapi.PidTagSentRepresentingSmtpAddress)
	if sender != nil && *sender != *from {
		b.person(sender, mapi.PidTagSenderName, mapi.PidTagSenderSmtpAddress)
	}
	b.string(mapi.PidTagDisplayTo, oxcmsg.Join(namesOf(env.To)))
	b.string(mapi.PidTagDisplayCc, oxcmsg.Join(namesOf(env.Cc)))
	b.string(mapi.PidTagDisplayBcc, oxcmsg.Join(namesOf(env.Bcc)))
	b.replyTo(env)
}

// firstMailbox is the first address of a list that is no mark of a group.
func firstMailbox(list []mime.Address) *mime.Address {
	for i := range list {
		if list[i].Kind == mime.Mailbox {
			return &list[i]
		}
	}
	return nil
}

// nameOf is how an address is shown.
func nameOf(a *mime.Address) string {
	if name := text(a.DisplayName()); name != "" {
		return name
	}
	return text(a.String())
}

func namesOf(list []mime.Address) []string {
	var names []string
	for i := range list {
		if list[i].Kind == mime.Mailbox {
			names = append(names, nameOf(&list[i]))
		}
	}
	return names
}

// person sets a name and an address; what else names a person is computed of them.
func (b *builder) person(a *mime.Address, name, address mapi.Tag) {
	if a == nil {
		return
	}
	b.string(name, nameOf(a))
	b.string(address, a.String())
}

// replyTo says where answers go, if that is not to the author (MS-OXCMAIL 2.2.3.1.4).
func (b *builder) replyTo(env *mime.Envelope) {
	var ids [][]byte
	if len(env.ReplyTo) == len(env.From) && len(env.From) > 0 && env.ReplyTo[0] == env.From[0] {
		return
	}
	for i := range env.ReplyTo {
		if a := &env.ReplyTo[i]; a.Kind == mime.Mailbox && len(ids) < maxReplyTo {
			ids = append(ids, oxcdata.OneOffOf(nameOf(a), smtp, text(a.String())).Append(nil))
		}
	}
	if len(ids) == 0 {
		return
	}
	b.bag.Set(mapi.PidTagReplyRecipientEntries, mapi.Binary(oxcdata.AppendFlatEntryList(nil, ids)))
	b.string(mapi.PidTagReplyRecipientNames, oxcmsg.Join(namesOf(env.ReplyTo)))
}

// maxReplyTo bounds the addresses that answers go to.
const maxReplyTo = 10

// header sets what the envelope does not have.
func (b *builder) header(h mime.Header) {
	b.string(mapi.PidTagInternetReferences, references(h.Get("References")))
	b.string(mapi.PidTagConversationTopic, h.Text("Thread-Topic"))
	if index, err := base64.StdEncoding.DecodeString(h.Get("Thread-Index")); err == nil && len(index) >= minIndex && len(index) <= maxText {
		b.bag.Set(mapi.PidTagConversationIndex, mapi.Binary(index))
	}
	if n := importance(h); n != 1 {
		b.bag.Set(mapi.PidTagImportance, mapi.Integer32(n))
		b.bag.Set(mapi.PidTagPriority, mapi.Integer32(n-1))
	}
	if n := sensitivities[strings.ToLower(h.Get("Sensitivity"))]; n != 0 {
		b.bag.Set(mapi.PidTagSensitivity, mapi.Integer32(n))
	}
	b.is(mapi.PidTagReadReceiptRequested, h.Has("Disposition-Notification-To"))
	whom := firstMailbox(mime.ParseAddresses(h.Get("Disposition-Notification-To")))
	if whom != nil && !strings.EqualFold(text(whom.String()), stringOf(&b.bag, mapi.PidTagSentRepresentingSmtpAddress)) {
		b.person(whom, mapi.PidTagReadReceiptName, mapi.PidTagReadReceiptSmtpAddress)
	}
	b.is(mapi.PidTagOriginatorDeliveryReportRequested, h.Has("Return-Receipt-To"))
	b.time(mapi.PidTagReplyTime, h.Get("Reply-By"))
	b.time(mapi.PidTagExpiryTime, first(h, "Expires", "Expiry-Date"))
	if bits := suppress(h.Get("X-Auto-Response-Suppress")); bits != 0 {
		b.bag.Set(mapi.PidTagAutoResponseSuppress, mapi.Integer32(bits))
	}
	b.string(mapi.PidTagListHelp, h.Get("List-Help"))
	b.string(mapi.PidTagListSubscribe, h.Get("List-Subscribe"))
	b.string(mapi.PidTagListUnsubscribe, h.Get("List-Unsubscribe"))
}

// first is the value of the first of the fields that is there.
func first(h mime.Header, names ...string) string {
	for _, name := range names {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}

func (b *builder) time(t mapi.Tag, s string) {
	if at, ok := mime.ParseDate(s); ok && s != "" {
		b.bag.Set(t, mapi.FileTimeOf(at))
	}
}

// suppress reads the names of automatic answers that are not wanted.
func suppress(s string) int32 {
	bits := int32(0)
	for word := range strings.SplitSeq(s, ",") {
		word = strings.TrimSpace(word)
		if strings.EqualFold(word, "All") {
			return -1
		}
		for i, name := range suppressions {
			if strings.EqualFold(word, name) {
				bits |= 1 << i
			}
		}
	}
	return bits
}

// minIndex is the length of a conversation index without answers in it.
const minIndex = 22

// references keeps the message ids at the end of a list that is too long, which are the nearest.
func references(s string) string {
	if len(s) <= maxText {
		return s
	}
	s = s[len(s)-maxText:]
	if at := strings.IndexByte(s, '<'); at >= 0 {
		return s[at:]
	}
	return s
}

// sensitivities are the words of the Sensitivity field (MS-OXCMAIL 2.2.3.2.6).
var sensitivities = map[string]int32{"personal": 1, "private": 2, "company-confidential": 3}

// importances are the words of the fields that say how important a mail is, the first that is there counts
// (MS-OXCMAIL 2.2.3.2.5).
var importances = []struct {
	field string
	words map[string]int32
}{
	{"Importance", map[string]int32{"low": 0, "normal": 1, "high": 2}},
	{"X-Priority", map[string]int32{"5": 0, "4": 0, "3": 1, "2": 2, "1": 2}},
	{"X-MSMail-Priority", map[string]int32{"low": 0, "normal": 1, "high": 2}},
	{"Priority", map[string]int32{"non-urgent": 0, "normal": 1, "urgent": 2}},
}

func importance(h mime.Header) int32 {
	for _, each := range importances {
		word, _, _ := strings.Cut(strings.ToLower(h.Get(each.field)), " ") // "1 (Highest)"
		if n, known := each.words[word]; known {
			return n
		}
	}
	return 1
}
