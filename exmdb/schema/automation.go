package schema

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// The fixed folders that automation refers to.
const (
	DeferredAction      = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x02)
	Contacts            = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x13)
	Junk                = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x17)
	ConversationActions = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x1D)
)

// Automation is what every delivery needs to know of what the mailbox does by itself; what is long is in other records.
type Automation struct {
	// LastRule is the last PidTagRuleId given to a standard rule.
	LastRule uint64 `wire:"1"`
	// Folders counts the folders that have standard rules, Extended the messages that hold extended ones, JunkEntries what is
	// on the lists of senders.
	Folders     uint32 `wire:"2"`
	Extended    uint32 `wire:"3"`
	JunkEntries uint32 `wire:"4"`
	// OOF are the out-of-office settings without the texts; Since is when they last changed.
	OOF   exmdb.OOFSettings  `wire:"5"`
	Since time.Time          `wire:"6"`
	Junk  exmdb.JunkSettings `wire:"7"`
	// Version is drawn at random whenever a standard rule changes: who knows the rules of a version need not read them.
	Version uint64 `wire:"8"`
	// Conversations counts the messages that hold an action on a conversation.
	Conversations uint32 `wire:"9"`
	Unknown       wire.Unknown
}

// Rules are the standard rules of a folder, in the order in which they were added: the properties of each.
type Rules struct {
	Rules []mapi.PropBag `wire:"1"`
	// Authors are those who set rules without having the mailbox whole. A rule of none of them is the mailbox's own.
	Authors []RuleAuthor `wire:"2"`
	Unknown wire.Unknown
}

// RuleAuthor is somebody who set rules of a folder without having the mailbox whole: what they do is his doing.
type RuleAuthor struct {
	User mapi.GUID `wire:"1"`
	// Groups are those that he was in when he set the last one: a delivery has nobody whom it could ask.
	Groups []mapi.GUID `wire:"2"`
	// Anonymous: he was not signed in.
	Anonymous bool `wire:"3"`
	// Rules are the ids of his standard rules in the folder.
	Rules   []uint64 `wire:"4"`
	Unknown wire.Unknown
}

// Identity is who he was.
func (a *RuleAuthor) Identity() *exmdb.Identity {
	return &exmdb.Identity{User: a.User, Groups: a.Groups}
}

// Author is who set a rule, nil where it is the mailbox's own.
func (l *Rules) Author(rule uint64) *RuleAuthor {
	for i := range l.Authors {
		if slices.Contains(l.Authors[i].Rules, rule) {
			return &l.Authors[i]
		}
	}
	return nil
}

// Sign makes somebody the author of a rule, for nil the mailbox. What is known of him is what he is now.
func (l *Rules) Sign(rule uint64, by *RuleAuthor) {
	if was := l.Author(rule); was != nil {
		was.Rules = slices.DeleteFunc(was.Rules, func(id uint64) bool { return id == rule })
	}
	l.Authors = slices.DeleteFunc(l.Authors, func(a RuleAuthor) bool { return len(a.Rules) == 0 })
	if by == nil {
		return
	}
	at := slices.IndexFunc(l.Authors, func(a RuleAuthor) bool { return a.User == by.User })
	if at < 0 {
		at = len(l.Authors)
		l.Authors = append(l.Authors, *by)
	}
	a := &l.Authors[at]
	a.Groups, a.Rules = by.Groups, append(a.Rules, rule)
}

// OOFTexts are the texts of the out-of-office settings.
type OOFTexts struct {
	Internal exmdb.ReplyText `wire:"1"`
	External exmdb.ReplyText `wire:"2"`
	Unknown  wire.Unknown
}

// Answered is when a sender was answered by something, and how often since then.
type Answered struct {
	At      time.Time `wire:"1"`
	Count   uint32    `wire:"2"`
	Unknown wire.Unknown
}

// Outgoing is something that goes out to others, until it is in their hands.
type Outgoing struct {
	Out exmdb.Outgoing `wire:"1"`
	// Body is the body of the mail that it is about, in which it has a share; Content says that the body has content.
	Body    mapi.ObjectNumber `wire:"2"`
	Content bool              `wire:"3"`
	Unknown wire.Unknown
}

// AutomationKey and OOFTextsKey are records of which there is one.
func AutomationKey() []byte { return []byte{PrefixAutomation} }
func OOFTextsKey() []byte   { return []byte{PrefixOOFTexts} }

// RulesKey is the standard rules of a folder.
func RulesKey(f mapi.FID) []byte { return folderKey(PrefixRules, f) }

// ExtendedRuleKey is present for each message that holds an extended rule: with the RuleAuthor who set it, empty where it is
// the mailbox's own.
func ExtendedRuleKey(o mapi.ObjectNumber) []byte { return objectKey(PrefixExtendedRule, o) }

// ParseExtendedRuleKey reads what ExtendedRuleKey made.
func ParseExtendedRuleKey(k []byte) (mapi.ObjectNumber, error) {
	if err := checkKey(k, PrefixExtendedRule, 9); err != nil {
		return 0, err
	}
	return mapi.ObjectNumber(binary.BigEndian.Uint64(k[1:])), nil
}

// ConversationOfKey is on which conversation a message acts, if it does.
func ConversationOfKey(o mapi.ObjectNumber) []byte { return objectKey(PrefixConversationOf, o) }

// EndOfObjects is above all objects.
const EndOfObjects = mapi.ObjectNumber(1<<64 - 1)

// ConversationActionKey is present for each message that acts on a conversation.
func ConversationActionKey(conversation []byte, o mapi.ObjectNumber) []byte {
	return binary.BigEndian.AppendUint64(append(newKey(PrefixConversationAction), conversation...), uint64(o))
}

// ParseConversationActionKey reads what ConversationActionKey made of 16 bytes.
func ParseConversationActionKey(k []byte) (mapi.ObjectNumber, error) {
	if err := checkKey(k, PrefixConversationAction, 25); err != nil {
		return 0, err
	}
	return mapi.ObjectNumber(binary.BigEndian.Uint64(k[17:])), nil
}

// JunkKey is present for each entry of a list of senders; with an empty entry it is the bound below the list.
func JunkKey(list exmdb.JunkList, entry string) []byte {
	return append(append(newKey(PrefixJunk), byte(list)), strings.ToLower(entry)...)
}

// ParseJunkKey reads what JunkKey made.
func ParseJunkKey(k []byte) (exmdb.JunkList, string, error) {
	if len(k) < 3 || k[0] != PrefixJunk {
		return 0, "", ErrBadKey
	}
	return exmdb.JunkList(k[1]), string(k[2:]), nil
}

// AnswerScope says by what a sender was answered: 0 is the out-of-office settings, others are rules.
type AnswerScope uint64

// Bits of a scope beside the id of a rule.
const (
	// ScopeExtended is of an extended rule, whose id is a MID's counter.
	ScopeExtended AnswerScope = 1 << 63
	// ScopeReply is of a reply that has nothing to do with the user's absence.
	ScopeReply AnswerScope = 1 << 62
)

// AnsweredKey is who was answered by a scope: the hash of the address.
func AnsweredKey(s AnswerScope, sender [16]byte) []byte {
	return append(AnsweredScopeKey(s), sender[:]...)
}

// AnsweredScopeKey begins the keys of a scope.
func AnsweredScopeKey(s AnswerScope) []byte {
	return binary.BigEndian.AppendUint64(newKey(PrefixAnswered), uint64(s))
}

// OutgoingKey is something that goes out, numbered with the objects.
func OutgoingKey(number mapi.ObjectNumber) []byte { return objectKey(PrefixOutgoing, number) }
