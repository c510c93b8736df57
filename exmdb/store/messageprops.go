package store

import (
	"time"

	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// shownMessage is a message as its properties are read. Its bag is loaded when something asks for it; err is the first
// failure.
type shownMessage struct {
	*view
	fid   mapi.FID
	m     *message
	props *mapi.PropBag
	texts *mapi.PropBag // props with the texts, once they are loaded
	bags  *bagWalk      // where the bag is read, if not by itself
	err   error
}

func (v *view) show(fid mapi.FID, m *message) *shownMessage {
	return &shownMessage{view: v, fid: fid, m: m}
}

// contents is the message's bag without its texts.
func (s *shownMessage) contents() *mapi.PropBag {
	if s.props != nil {
		return s.props
	}
	s.props = new(mapi.PropBag)
	if s.m.row.Props > 0 {
		read := s.listed
		if s.bags != nil {
			read = s.bags.bag
		}
		bag, err := read(s.m.row.Object)
		if s.fail(err); err == nil {
			s.props = bag
		}
	}
	return s.props
}

// value is one property, computed or stored.
func (s *shownMessage) value(t mapi.Tag) (mapi.Prop, bool) {
	if p, is := s.keywordProp(t); is {
		return p, p.Value != nil
	}
	if textProps[t.ID()] {
		return messageTable.value(s, s.whole, t)
	}
	return messageTable.value(s, s.contents, t)
}

// some is the properties asked for, all where nothing is.
func (s *shownMessage) some(tags []mapi.Tag) (*mapi.PropBag, error) {
	if tags != nil {
		return some(tags, s.value), s.err
	}
	out := messageTable.all(s, s.whole())
	if p, is := s.keywordProp(0); is {
		set(out, p.Tag, p.Value)
	}
	return out, s.err
}

// keywordsTag is PidNameKeywords in this mailbox, zero while no client has named it.
func (v *view) keywordsTag() (mapi.Tag, error) {
	id, err := v.propertyID(mapi.PidNameKeywords.PropertyName)
	if err != nil || id == 0 {
		return 0, err
	}
	return mapi.PidNameKeywords.Tag(id), nil
}

// keywordProp is PidNameKeywords, which is in the row (MAILBOX 4), if t is its tag or 0.
func (s *shownMessage) keywordProp(t mapi.Tag) (mapi.Prop, bool) {
	if t != 0 && !t.Named() {
		return mapi.Prop{}, false
	}
	tag, err := s.keywordsTag()
	if err != nil {
		s.fail(err)
		return mapi.Prop{}, false
	}
	if tag == 0 || t != 0 && (t.ID() != tag.ID() || !sameValue(tag.Type(), t.Type())) {
		return mapi.Prop{}, false
	}
	if len(s.m.row.Keywords) == 0 {
		return mapi.Prop{Tag: tag}, true
	}
	names, err := s.keywordNames(s.m.row.Keywords)
	s.fail(err)
	return mapi.Prop{Tag: tag, Value: mapi.Strings(names)}, true
}

func (s *shownMessage) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// gidOf names a number of this mailbox to all others.
func (s *shownMessage) gidOf(c mapi.GlobalCounter) mapi.GID {
	g, err := s.gid(c)
	s.fail(err)
	return g
}

func (v *view) mailbox() mapi.MailboxID { return mapi.MailboxID(v.r.Space()) }

func (s *shownMessage) entryID() mapi.Value {
	return mapi.Binary(oxcdata.MessageOf(s.mailbox(), s.gidOf(s.fid.Counter()), s.gidOf(s.m.row.MID.Counter())).Append(nil))
}

func (s *shownMessage) modified() mapi.FileTime {
	if s.m.row.Modified != 0 {
		return s.m.row.Modified
	}
	return mapi.FileTimeOf(time.Unix(s.m.row.Saved, 0))
}

// text is a string of the bag, "" where there is none.
func (s *shownMessage) text(t mapi.Tag) string { return textOf(s.contents(), t) }

func textOf(bag *mapi.PropBag, t mapi.Tag) string {
	text, _ := bag.Get(t).(mapi.String)
	return string(text)
}

func (s *shownMessage) has(b schema.RowBits) bool { return s.m.row.Bits&b != 0 }

func (s *shownMessage) flag(b exmdb.FlagBits) bool {
	own, err := s.reader(s.fid)
	s.fail(err)
	return own.flags(&s.m.row)&b != 0
}

// rowMessageFlags are the bits of PidTagMessageFlags that are computed; the others are in the bag.
const rowMessageFlags = mapi.MessageFlagRead | mapi.MessageFlagUnsent | mapi.MessageFlagHasAttachment | mapi.MessageFlagAssociated |
	mapi.MessageFlagSubmitted | mapi.MessageFlagNotifyRead | mapi.MessageFlagNotifyUnread

func (s *shownMessage) messageFlags() mapi.Value {
	kept, _ := s.contents().Get(mapi.PidTagMessageFlags).(mapi.Integer32)
	n := kept &^ rowMessageFlags
	waits, err := s.submitted(&s.m.row)
	s.fail(err)
	for _, each := range []struct {
		is  bool
		bit mapi.Integer32
	}{
		{waits != nil, mapi.MessageFlagSubmitted},
		{s.flag(exmdb.FlagSeen), mapi.MessageFlagRead}, {s.flag(exmdb.FlagDraft), mapi.MessageFlagUnsent},
		{s.hasAttachments(), mapi.MessageFlagHasAttachment}, {s.has(schema.RowAssociated), mapi.MessageFlagAssociated},
		{s.owes(schema.ReceiptRead), mapi.MessageFlagNotifyRead}, {s.owes(schema.ReceiptUnread), mapi.MessageFlagNotifyUnread},
	} {
		if each.is {
			n |= each.bit
		}
	}
	return n
}

// hasAttachments: of a received message its conversion says so, of others whoever saves the attachments.
func (s *shownMessage) hasAttachments() bool {
	is, _ := s.contents().Get(mapi.PidTagHasAttachments).(mapi.Boolean)
	return bool(is)
}

// statusBits are the bits of PidTagMessageStatus that the row has; the others are in the bag.
const statusBits = mapi.MessageStatusDeleteMarked | mapi.MessageStatusInConflict

func (s *shownMessage) messageStatus() mapi.Value {
	kept, _ := s.contents().Get(mapi.PidTagMessageStatus).(mapi.Integer32)
	n := kept &^ statusBits
	if s.flag(exmdb.FlagDeleted) {
		n |= mapi.MessageStatusDeleteMarked
	}
	if s.has(schema.RowInConflict) {
		n |= mapi.MessageStatusInConflict
	}
	return n
}

func (s *shownMessage) flagStatus() mapi.Value {
	switch {
	case s.flag(exmdb.FlagFlagged):
		return mapi.Integer32(mapi.FlagStatusFlagged)
	case s.has(schema.RowFlagComplete):
		return mapi.Integer32(mapi.FlagStatusComplete)
	}
	return nil
}

// searchKey of a message that got none when it was made: copies have it in common, because it is made of the body.
func (s *shownMessage) searchKey() mapi.Value {
	body := s.m.row.BodyNumber()
	if s.m.row.Original != 0 {
		body = s.m.row.Original
	}
	sum := space.HashOf(append(s.header.Signature[:], schema.ObjectKey(body)...))
	return mapi.Binary(sum[:16])
}

func number(n uint32) mapi.Value {
	if n == 0 {
		return nil
	}
	return mapi.Integer32(n)
}

func (s *shownMessage) topic() string {
	if topic := s.text(mapi.PidTagConversationTopic); topic != "" {
		return topic
	}
	return s.text(mapi.PidTagNormalizedSubject)
}

func (s *shownMessage) conversation() []byte { return conversationOf(s.contents()) }

func octets(b []byte) mapi.Value {
	if b == nil {
		return nil
	}
	return mapi.Binary(b)
}

func fixed(v mapi.Value) func(*shownMessage) mapi.Value {
	return func(*shownMessage) mapi.Value { return v }
}

// subject is prefix and normalised subject together, nil where there is neither.
func subject(bag *mapi.PropBag) mapi.Value {
	prefix, normalized := bag.Get(mapi.PidTagSubjectPrefix), bag.Get(mapi.PidTagNormalizedSubject)
	if prefix == nil && normalized == nil {
		return nil
	}
	return mapi.String(textOf(bag, mapi.PidTagSubjectPrefix) + textOf(bag, mapi.PidTagNormalizedSubject))
}
