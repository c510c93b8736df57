package oxcmail

import (
	"encoding/base64"
	"maps"
	stdmime "mime"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
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
func (w *headerWriter) text(name, value string) { w.field(name, encoded(value)) }

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

// fields are the fields of a header that properties and recipients say, in the order in which they are written
// (MS-OXCMAIL 2.1.3.1 and 2.1.3.2).
var fields = []struct {
	name string
	// value is what stands behind the colon, encoded; "" is no field.
	value func(*said) string
	// as are other fields that say the same.
	as []string
	// byName says that a named property is needed, so where the names are not known nothing can be said.
	byName bool
}{
	{name: "From", value: func(s *said) string { return s.author }},
	{name: "Sender", value: func(s *said) string { return s.sender }},
	{name: "Reply-To", value: func(s *said) string { return replyTo(s.bag) }},
	{name: "To", value: func(s *said) string { return addresses(s.recipients, oxcmsg.RecipientTo) }},
	{name: "Cc", value: func(s *said) string { return addresses(s.recipients, oxcmsg.RecipientCc) }},
	{name: "Bcc", value: func(s *said) string { return addresses(s.recipients, oxcmsg.RecipientBcc) }},
	{name: "Subject", value: func(s *said) string { return encoded(subjectOf(s.bag)) }},
	{name: "Date", value: func(s *said) string { return dateOf(s.bag) }},
	{name: "Message-ID", value: func(s *said) string { return stringOf(s.bag, mapi.PidTagInternetMessageId) }},
	{name: "In-Reply-To", value: func(s *said) string { return stringOf(s.bag, mapi.PidTagInReplyToId) }},
	{name: "References", value: func(s *said) string { return stringOf(s.bag, mapi.PidTagInternetReferences) }},
	{name: "Thread-Topic", value: func(s *said) string { return encoded(stringOf(s.bag, mapi.PidTagConversationTopic)) }},
	{name: "Thread-Index", value: threadIndex},
	{name: "Importance", value: func(s *said) string {
		return wordOf(s.bag, mapi.PidTagImportance, map[mapi.Integer32]string{0: "low", 2: "high"})
	}, as: []string{"Priority", "X-Priority", "X-MSMail-Priority"}},
	{name: "Sensitivity", value: func(s *said) string {
		return wordOf(s.bag, mapi.PidTagSensitivity, map[mapi.Integer32]string{1: "Personal", 2: "Private", 3: "Company-Confidential"})
	}},
	{name: "X-Message-Flag", value: func(s *said) string {
		what, _ := s.named(mapi.PidLidFlagRequest).(mapi.String)
		return encoded(string(what))
	}, byName: true},
	{name: "X-Message-Completed", value: func(s *said) string { return timeOf(s.bag, mapi.PidTagFlagCompleteTime) }, byName: true},
	{name: "Disposition-Notification-To", value: receiptTo},
	{name: "Return-Receipt-To", value: func(s *said) string { return s.ifAsked(mapi.PidTagOriginatorDeliveryReportRequested) }},
	{name: "Reply-By", value: func(s *said) string { return timeOf(s.bag, mapi.PidTagReplyTime) }},
	{name: "Expires", value: func(s *said) string { return timeOf(s.bag, mapi.PidTagExpiryTime) }, as: []string{"Expiry-Date"}},
	{name: "X-Auto-Response-Suppress", value: func(s *said) string { return suppression(s.bag) }},
	{name: "List-Help", value: func(s *said) string { return stringOf(s.bag, mapi.PidTagListHelp) }},
	{name: "List-Subscribe", value: func(s *said) string { return stringOf(s.bag, mapi.PidTagListSubscribe) }},
	{name: "List-Unsubscribe", value: func(s *said) string { return stringOf(s.bag, mapi.PidTagListUnsubscribe) }},
	{name: "Keywords", value: func(s *said) string {
		words, _ := s.named(mapi.PidNameKeywords).(mapi.Strings)
		return encoded(strings.Join(words, ", "))
	}, byName: true},
}

// said is what a header is made of.
type said struct {
	bag        *mapi.PropBag
	recipients []mapi.PropBag
	// names are those of the named properties in the bag; nil if nobody knows them.
	names          *oxcmsg.Names
	author, sender string
}

func sayingOf(bag *mapi.PropBag, recipients []mapi.PropBag, names *oxcmsg.Names) *said {
	s := &said{bag: bag, recipients: recipients, names: names, author: authorOf(bag), sender: senderOf(bag)}
	if s.author == "" {
		s.author, s.sender = s.sender, ""
	}
	if s.sender == s.author {
		s.sender = ""
	}
	return s
}

func (s *said) named(p mapi.NamedProperty) mapi.Value {
	if s.names == nil {
		return nil
	}
	return s.names.Get(s.bag, p)
}

func (s *said) ifAsked(t mapi.Tag) string {
	if s.bag.Get(t) == mapi.Boolean(true) {
		return s.author
	}
	return ""
}

// receiptTo is whom a reader's client is to tell: the author, or somebody he named.
func receiptTo(s *said) string {
	if other := addressOf(stringOf(s.bag, mapi.PidTagReadReceiptName), stringOf(s.bag, mapi.PidTagReadReceiptSmtpAddress)); other != "" && s.bag.Get(mapi.PidTagReadReceiptRequested) == mapi.Boolean(true) {
		return other
	}
	return s.ifAsked(mapi.PidTagReadReceiptRequested)
}

func encoded(s string) string { return stdmime.QEncoding.Encode("utf-8", oneLine(s)) }

func subjectOf(bag *mapi.PropBag) string {
	if s := stringOf(bag, mapi.PidTagSubjectPrefix) + stringOf(bag, mapi.PidTagNormalizedSubject); s != "" {
		return s
	}
	return stringOf(bag, mapi.PidTagSubject)
}

func threadIndex(s *said) string {
	index, _ := s.bag.Get(mapi.PidTagConversationIndex).(mapi.Binary)
	return base64.StdEncoding.EncodeToString(index)
}

// replyTo is the addresses that answers go to.
func replyTo(bag *mapi.PropBag) string {
	entries, _ := bag.Get(mapi.PidTagReplyRecipientEntries).(mapi.Binary)
	ids, err := oxcdata.FlatEntryList(entries)
	if err != nil {
		return ""
	}
	var list []string
	for _, b := range ids {
		id, err := oxcdata.ParseEntryID(b)
		if err != nil {
			continue
		}
		one, ok := id.(*oxcdata.OneOffEntryID)
		if !ok || !strings.EqualFold(one.AddressType, smtp) {
			continue
		}
		if a := addressOf(one.DisplayName, one.EmailAddress); a != "" {
			list = append(list, a)
		}
	}
	return strings.Join(list, ", ")
}

// headers are the named properties that are fields of their own, by their names in lower case.
func (s *said) headers() map[string]mapi.Prop {
	if s.names == nil {
		return nil
	}
	list := map[string]mapi.Prop{}
	for _, p := range s.bag.All() {
		if !p.Tag.Named() {
			continue
		}
		name, known := s.names.Name(p.Tag.ID())
		if known && name.Set == mapi.PSInternetHeaders && isFieldName(name.Name) && !written(name.Name) {
			list[strings.ToLower(name.Name)] = mapi.Prop{Tag: p.Tag, Value: p.Value}
		}
	}
	return list
}

func isFieldName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
}

// written tells the fields that come of other properties, or of the structure.
func written(name string) bool {
	name = strings.ToLower(name)
	return shownFields[name] || structural[name]
}

// structural are the fields that a structure has, which is made anew.
var structural = map[string]bool{
	"content-type": true, "content-transfer-encoding": true, "mime-version": true, "content-disposition": true, "content-id": true,
	"content-description": true, "content-location": true, "content-md5": true, "content-length": true,
}

// shownFields are the fields that properties say, and so take the place of, in lower case.
var shownFields = func() map[string]bool {
	shown := map[string]bool{}
	for _, f := range fields {
		shown[strings.ToLower(f.name)] = true
		for _, other := range f.as {
			shown[strings.ToLower(other)] = true
		}
	}
	return shown
}()

// all writes every field that properties and recipients say.
func (w *headerWriter) all(s *said) {
	for _, f := range fields {
		w.field(f.name, f.value(s))
	}
	w.headers(s, nil)
}

// headers writes the fields that are named properties, but those that stand already.
func (w *headerWriter) headers(s *said, stand map[string]bool) {
	list := s.headers()
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if text, ok := list[name].Value.(mapi.String); ok && !stand[name] {
			known, _ := s.names.Name(list[name].Tag.ID())
			w.text(known.Name, string(text))
		}
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
	if s := timeOf(bag, mapi.PidTagClientSubmitTime); s != "" {
		return s
	}
	return timeOf(bag, mapi.PidTagCreationTime)
}

// timeOf is a time as fields have it.
func timeOf(bag *mapi.PropBag, t mapi.Tag) string {
	if at, ok := bag.Get(t).(mapi.FileTime); ok && at.Time().Year() > 1 && at.Time().Year() < 10_000 {
		return at.Time().Format(time.RFC1123Z)
	}
	return ""
}

// suppressions are the bits of PidTagAutoResponseSuppress by their names (MS-OXCMAIL 2.2.3.2.14).
var suppressions = []string{"DR", "NDR", "RN", "NRN", "OOF", "AutoReply"}

func suppression(bag *mapi.PropBag) string {
	bits, _ := bag.Get(mapi.PidTagAutoResponseSuppress).(mapi.Integer32)
	if bits == -1 {
		return "All"
	}
	var list []string
	for i, name := range suppressions {
		if bits>>i&1 != 0 {
			list = append(list, name)
		}
	}
	return strings.Join(list, ", ")
}

// Reheader is a header under which a received mail is shown after an edit of what its header says: a field whose
// meaning an edit changed is made anew, every other stays as it was, in its place.
func Reheader(header []byte, bag *mapi.PropBag, recipients []mapi.PropBag) []byte {
	var w headerWriter
	w.kept(header, sayingOf(bag, recipients, nil), func(string) bool { return true })
	w.b.WriteString("\r\n")
	return []byte(w.b.String())
}

// kept writes the fields of a header that was received, and those that properties say otherwise now.
func (w *headerWriter) kept(header []byte, now *said, keep func(name string) bool) {
	parsed := mime.ParseHeader(header)
	before := receivedAs(mime.Legible(header, textCharset(now.bag)))
	stale := map[string]bool{}
	for _, f := range fields {
		if f.byName && now.names == nil {
			continue
		}
		if f.value(before) != f.value(now) {
			for _, name := range append([]string{f.name}, f.as...) {
				stale[strings.ToLower(name)] = true
			}
		}
	}
	stand := map[string]bool{}
	is := now.headers()
	for name, was := range before.headers() {
		if now, known := is[name]; known { // a field without a property may never have had one
			stand[name] = now.Value == was.Value
			stale[name] = !stand[name]
		}
	}
	for _, f := range parsed {
		if name := strings.ToLower(f.Name); name != "" && !stale[name] && keep(name) {
			w.b.Write(header[f.Start:f.End])
		}
	}
	if s := w.b.String(); s != "" && !strings.HasSuffix(s, "\n") {
		w.b.WriteString("\r\n")
	}
	for _, f := range fields {
		if stale[strings.ToLower(f.name)] {
			w.field(f.name, f.value(now))
		}
	}
	w.headers(now, stand)
}

// textCharset is the charset of a message's text, as the mail had it that it came as.
func textCharset(bag *mapi.PropBag) string {
	page, _ := bag.Get(mapi.PidTagInternetCodepage).(mapi.Integer32)
	charset, _ := mime.CodePageCharset(int(page))
	return charset
}

// receivedAs is what a header says before anyone edits it.
func receivedAs(header []byte) *said {
	parsed := mime.ParseHeader(header)
	var b builder
	var names oxcmsg.Names
	env := mime.ParseEnvelope(header)
	b.envelope(env)
	b.header(parsed)
	b.named(parsed, &names, func(string) bool { return true })
	return sayingOf(&b.bag, Recipients(env), &names)
}
