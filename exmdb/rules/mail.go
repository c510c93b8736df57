package rules

import (
	"iter"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmail"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// Mail is a message on its way into a folder, as rules see it. What they ask of it is computed when they ask.
type Mail struct {
	// Props are the properties that conversion has made of it; nil is none.
	Props *mapi.PropBag
	// Digest is its structure with its envelope, as formats/mime writes them; nil where it did not come as MIME.
	Digest []byte
	// Header is its header as received. It is nil where there is none to look at; then the message makes nothing for
	// others, since it could not be seen whether it did so before.
	Header []byte
	// From is the reverse-path, empty for the null one.
	From string
	// Size is PidTagMessageSize, Received PidTagMessageDeliveryTime.
	Size     uint64
	Received mapi.FileTime
	About    exmdb.Circumstances
	// Body gives the beginning of the text; nil where there is none.
	Body func() string

	facts *Facts
	keys  map[mime.Address]mapi.Binaries
	body  *mapi.String
	part  *mime.Part
	shown *mime.Envelope
}

// Facts are those of the header.
func (m *Mail) Facts() *Facts {
	if m.facts == nil {
		f := FactsOf(m.Header)
		m.facts = &f
	}
	return m.facts
}

// root is the structure, nil where there is none: a digest that does not read is as good as that.
func (m *Mail) root() *mime.Part {
	if m.part == nil && m.Digest != nil {
		m.part, _ = mime.UnmarshalDigest(m.Digest)
		m.Digest = nil
	}
	return m.part
}

// envelope is as clients see it, wherever there is a header to say in which charset it is.
func (m *Mail) envelope() *mime.Envelope {
	if m.shown == nil {
		m.shown = new(mime.Envelope)
		if root := m.root(); root != nil && root.Envelope != nil {
			_, m.shown = root.LegibleEnvelope(m.Header)
		}
	}
	return m.shown
}

// made is a property that conversion made.
func (m *Mail) made(t mapi.Tag) mapi.Value {
	if m.Props == nil {
		return nil
	}
	return m.Props.Get(t)
}

func (m *Mail) hasAttachments() bool {
	root := m.root()
	return root != nil && root.HasAttachments()
}

// computed are the properties that are not conversion's to make, or that a rule may ask for where it made none.
var computed = map[mapi.Tag]func(*Mail) mapi.Value{
	mapi.PidTagSenderSearchKey:                  func(m *Mail) mapi.Value { return m.searchKeys(m.sender()) },
	mapi.PidTagSentRepresentingSearchKey:        func(m *Mail) mapi.Value { return m.searchKeys(m.author()) },
	mapi.PidTagSenderEntryId:                    func(m *Mail) mapi.Value { return m.entryID(m.sender()) },
	mapi.PidTagSentRepresentingEntryId:          func(m *Mail) mapi.Value { return m.entryID(m.author()) },
	mapi.PidTagSenderEmailAddress:               func(m *Mail) mapi.Value { return address(m.sender()) },
	mapi.PidTagSenderSmtpAddress:                func(m *Mail) mapi.Value { return address(m.sender()) },
	mapi.PidTagSenderAddressType:                func(m *Mail) mapi.Value { return addressType(m.sender()) },
	mapi.PidTagSenderName:                       func(m *Mail) mapi.Value { return shownName(m.sender()) },
	mapi.PidTagSentRepresentingEmailAddress:     func(m *Mail) mapi.Value { return address(m.author()) },
	mapi.PidTagSentRepresentingSmtpAddress:      func(m *Mail) mapi.Value { return address(m.author()) },
	mapi.PidTagSentRepresentingAddressType:      func(m *Mail) mapi.Value { return addressType(m.author()) },
	mapi.PidTagSentRepresentingName:             func(m *Mail) mapi.Value { return shownName(m.author()) },
	mapi.PidTagMessageToMe:                      func(m *Mail) mapi.Value { return mapi.Boolean(m.names(m.envelope().To)) },
	mapi.PidTagMessageCcMe:                      func(m *Mail) mapi.Value { return mapi.Boolean(m.names(m.envelope().Cc)) },
	mapi.PidTagMessageRecipientMe:               func(m *Mail) mapi.Value { return mapi.Boolean(m.namesMe()) },
	mapi.PidTagTransportMessageHeaders:          (*Mail).headerText,
	mapi.PidTagBody:                             (*Mail).bodyText,
	mapi.PidTagMessageSize:                      func(m *Mail) mapi.Value { return mapi.Integer32(min(m.Size, 1<<31-1)) },
	mapi.PidTagMessageDeliveryTime:              func(m *Mail) mapi.Value { return m.Received },
	mapi.PidTagHasAttachments:                   func(m *Mail) mapi.Value { return mapi.Boolean(m.hasAttachments()) },
	mapi.PidTagMessageFlags:                     (*Mail).flags,
	mapi.PidTagContentFilterSpamConfidenceLevel: (*Mail).spamLevel,
	mapi.PidTagAutoResponseSuppress: func(m *Mail) mapi.Value {
		return mapi.Integer32(int32(m.Facts().Suppress))
	},
}

// usual are the properties that conversion makes, for a message that came without them.
var usual = map[mapi.Tag]func(*Mail) mapi.Value{
	mapi.PidTagSubject: func(m *Mail) mapi.Value { return mapi.String(m.subject()) },
	mapi.PidTagSubjectPrefix: func(m *Mail) mapi.Value {
		prefix, _ := oxcmsg.SplitSubject(m.subject())
		return mapi.String(prefix)
	},
	mapi.PidTagNormalizedSubject: func(m *Mail) mapi.Value {
		_, normalized := oxcmsg.SplitSubject(m.subject())
		return mapi.String(normalized)
	},
	mapi.PidTagInternetMessageId: func(m *Mail) mapi.Value { return stated(m.envelope().MessageID) },
	mapi.PidTagInReplyToId:       func(m *Mail) mapi.Value { return stated(m.envelope().InReplyTo) },
	mapi.PidTagDisplayTo:         func(m *Mail) mapi.Value { return nameList(m.envelope().To) },
	mapi.PidTagDisplayCc:         func(m *Mail) mapi.Value { return nameList(m.envelope().Cc) },
	mapi.PidTagImportance:        func(*Mail) mapi.Value { return mapi.Integer32(1) },
	mapi.PidTagSensitivity:       func(*Mail) mapi.Value { return mapi.Integer32(0) },
	mapi.PidTagMessageClass:      func(*Mail) mapi.Value { return mapi.String("IPM.Note") },
}

// Get implements mapi.Getter.
func (m *Mail) Get(t mapi.Tag) mapi.Value {
	if fn := computed[t]; fn != nil {
		if v := fn(m); v != nil {
			return v
		}
	}
	if v := m.made(t); v != nil {
		return v
	}
	if t == mapi.PidTagSubject && m.made(mapi.PidTagNormalizedSubject) != nil {
		return mapi.String(text(m.Props, mapi.PidTagSubjectPrefix) + text(m.Props, mapi.PidTagNormalizedSubject))
	}
	if fn := usual[t]; fn != nil && m.root() != nil {
		return fn(m)
	}
	return nil
}

// SubObjects implements mapi.SubObjects: recipients are those of the envelope, attachments the parts that a reader would
// list as such.
func (m *Mail) SubObjects(t mapi.Tag) iter.Seq[mapi.Getter] {
	return func(yield func(mapi.Getter) bool) {
		switch t {
		case mapi.PidTagMessageRecipients:
			m.recipients(yield)
		case mapi.PidTagMessageAttachments:
			m.attachments(yield)
		}
	}
}

func (m *Mail) recipients(yield func(mapi.Getter) bool) {
	e := m.envelope()
	for i, list := range [][]mime.Address{e.To, e.Cc, e.Bcc} {
		for _, a := range list {
			if a.Local != "" && !yield(&recipient{m, a, oxcmsg.RecipientTo + oxcmsg.RecipientType(i)}) {
				return
			}
		}
	}
}

// recipient is a recipient as rules see it.
type recipient struct {
	mail *Mail
	mime.Address
	kind oxcmsg.RecipientType
}

// Get implements mapi.Getter.
func (r *recipient) Get(t mapi.Tag) mapi.Value {
	switch t {
	case mapi.PidTagSearchKey:
		return r.mail.searchKeys(r.Address)
	case mapi.PidTagEntryId:
		return r.mail.entryID(r.Address)
	case mapi.PidTagEmailAddress, mapi.PidTagSmtpAddress:
		return address(r.Address)
	case mapi.PidTagAddressType:
		return addressType(r.Address)
	case mapi.PidTagDisplayName, mapi.PidTagRecipientDisplayName:
		return shownName(r.Address)
	case mapi.PidTagRecipientType:
		return mapi.Integer32(r.kind)
	}
	return nil
}

func (m *Mail) attachments(yield func(mapi.Getter) bool) {
	root := m.root()
	if root == nil {
		return
	}
	charset := root.TextCharset()
	for part := range root.All() {
		if part.Envelope == nil && part.IsAttachment() && !yield(&attachment{part, charset}) {
			return
		}
	}
}

// attachment is an attachment as rules see it, of a mail whose text is in a charset.
type attachment struct {
	*mime.Part
	charset string
}

// Get implements mapi.Getter.
func (a *attachment) Get(t mapi.Tag) mapi.Value {
	switch t {
	case mapi.PidTagAttachLongFilename, mapi.PidTagAttachFilename, mapi.PidTagDisplayName:
		return stated(a.FilenameIn(a.charset))
	case mapi.PidTagAttachMimeTag:
		return mapi.String(a.Type + "/" + a.Subtype)
	case mapi.PidTagAttachSize:
		return mapi.Integer32(min(a.Size(), 1<<31-1))
	}
	return nil
}

// author is who wrote the mail; sender is who sent it.
func (m *Mail) author() mime.Address { return first(m.envelope().From) }
func (m *Mail) sender() mime.Address { return first(m.envelope().Sender) }

func first(list []mime.Address) mime.Address {
	for _, a := range list {
		if a.Local != "" {
			return a
		}
	}
	return mime.Address{}
}

// AddressOf is an address in the form in which addresses are compared; "" of none.
func AddressOf(a mime.Address) string {
	if a.Local == "" || a.Host == "" {
		return ""
	}
	return strings.ToLower(a.Local + "@" + a.Host)
}

func address(a mime.Address) mapi.Value {
	if a.Local == "" || a.Host == "" {
		return nil
	}
	return mapi.String(a.Local + "@" + a.Host)
}

func addressType(a mime.Address) mapi.Value {
	if AddressOf(a) == "" {
		return nil
	}
	return mapi.String("SMTP")
}

func shownName(a mime.Address) mapi.Value {
	if name := mime.DecodeText(a.Name); name != "" {
		return mapi.String(name)
	}
	return address(a)
}

func nameList(list []mime.Address) mapi.Value {
	var names []string
	for _, a := range list {
		if name, ok := shownName(a).(mapi.String); ok {
			names = append(names, string(name))
		}
	}
	return stated(oxcmsg.Join(names))
}

func stated(s string) mapi.Value {
	if s == "" {
		return nil
	}
	return mapi.String(s)
}

// searchKeys are both search keys of a person of ours: a client that took him from the address book looks for the one of
// his legacyExchangeDN, one that took him from a mail for the one of his address.
func (m *Mail) searchKeys(a mime.Address) mapi.Value {
	s := AddressOf(a)
	if s == "" {
		return nil
	}
	if keys, made := m.keys[a]; made {
		return keys
	}
	keys := mapi.Binaries{oxcdata.SearchKey("SMTP", s)}
	for i := range m.About.Known {
		if k := &m.About.Known[i]; strings.EqualFold(k.Address, s) {
			keys = append(keys, oxcdata.SearchKey("EX", k.LegacyDN))
		}
	}
	if m.keys == nil {
		m.keys = make(map[mime.Address]mapi.Binaries)
	}
	m.keys[a] = keys
	return keys
}

// names reports whether a list names the user.
func (m *Mail) names(list []mime.Address) bool {
	for _, a := range list {
		if m.isOwn(AddressOf(a)) {
			return true
		}
	}
	return false
}

// namesMe reports whether the mail names the user as a recipient.
func (m *Mail) namesMe() bool { return m.names(m.envelope().To) || m.names(m.envelope().Cc) }

// isOwn reports whether an address is the user's.
func (m *Mail) isOwn(address string) bool {
	for _, own := range m.About.Own {
		if address != "" && strings.EqualFold(own, address) {
			return true
		}
	}
	return false
}

func (m *Mail) subject() string { return m.envelope().DecodedSubject() }

func (m *Mail) headerText() mapi.Value {
	if m.Header == nil {
		return nil
	}
	charset := ""
	if root := m.root(); root != nil {
		charset = root.TextCharset()
	}
	return mapi.String(oxcmail.TransportHeaders(m.Header, charset))
}

func (m *Mail) bodyText() mapi.Value {
	if m.Body == nil {
		return nil
	}
	if m.body == nil {
		s := mapi.String(m.Body())
		m.body = &s
	}
	return *m.body
}

func (m *Mail) flags() mapi.Value {
	kept, _ := m.made(mapi.PidTagMessageFlags).(mapi.Integer32)
	if m.hasAttachments() {
		kept |= mapi.MessageFlagHasAttachment
	}
	return kept
}

// spamLevel is what a filter said; what conversion knows better stands.
func (m *Mail) spamLevel() mapi.Value {
	if n := m.Facts().Spam; n != 0 && m.made(mapi.PidTagContentFilterSpamConfidenceLevel) == nil {
		return mapi.Integer32(n)
	}
	return nil
}
