package exmdb

import (
	"time"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Circumstances are what the mail flow knows of a delivery and a mailbox cannot know by itself: the directory's part,
// read before the op (CLUSTER 1.8). Where they are missing a mailbox answers nobody by itself.
type Circumstances struct {
	// Own are the addresses of the mailbox's object, the primary one first; Name is what it is called.
	Own  []string `wire:"1"`
	Name string   `wire:"2"`
	// Internal says that the sender's domain is one of ours.
	Internal bool `wire:"3"`
	// Known are the people of ours whom the mail's header names: clients write rules by their legacyExchangeDN.
	Known []KnownAddress `wire:"4"`
	// Delegator is set on a mail that a rule handed on to a delegate: on whose behalf he gets it (MS-OXORULE 2.2.5.1.2.4).
	Delegator *KnownAddress `wire:"5"`
	// Memberships are the lists that those people are in, directly or by other lists.
	Memberships []Membership `wire:"6"`
	// Meetings is what becomes of mail about meetings.
	Meetings MeetingHandling `wire:"7"`
	// Zone is the time zone of the mailbox's object, by its name in the tz database: times in a calendar that name none are in it
	// (RFC 5545 3.3.5). Empty is UTC.
	Zone string `wire:"8"`
}

// MeetingHandling is what a mailbox does by itself with mail about meetings: Exchange's AutomateProcessing. Numbers reach disk.
type MeetingHandling uint8

// The ways.
const (
	MeetingsLeft    MeetingHandling = 0 // it is mail, until a client looks at it
	MeetingsEntered MeetingHandling = 1 // the calendar follows; requests are tentative
	MeetingsDecided MeetingHandling = 2 // and whoever organizes a meeting is answered: a room is free, or not
)

// MeetingDecision is how a request was answered, and why. Numbers reach disk.
type MeetingDecision uint8

// The decisions.
const (
	MeetingAccepted MeetingDecision = 1
	MeetingConflict MeetingDecision = 2 // declined: others have the time
	MeetingTooFar   MeetingDecision = 3 // declined: it ends beyond the time that can be booked
	MeetingPast     MeetingDecision = 4 // declined: it is over
	MeetingUnclear  MeetingDecision = 5 // declined: when it is cannot be told
)

// Membership is somebody of ours with the lists that he is in, by their identities.
type Membership struct {
	LegacyDN string      `wire:"1"`
	Lists    []mapi.GUID `wire:"2"`
}

// KnownAddress is an address of ours with the object that it leads to.
type KnownAddress struct {
	Address  string `wire:"1"`
	LegacyDN string `wire:"2"`
	Name     string `wire:"3"`
}

// OOFState says whether a user is out of office (MS-OXWOOF 2.2.5.2). Numbers reach disk.
type OOFState uint8

// The states.
const (
	OOFDisabled  OOFState = 0
	OOFEnabled   OOFState = 1
	OOFScheduled OOFState = 2 // from Start to End
)

// OOFAudience is who outside gets an out-of-office reply (MS-OXWOOF 2.2.5.3). Numbers reach disk.
type OOFAudience uint8

// The audiences.
const (
	OOFNone  OOFAudience = 0
	OOFKnown OOFAudience = 1 // the user's contacts
	OOFAll   OOFAudience = 2
)

// ReplyText is what a user says in a reply, in one form or both. Language is an RFC 5646 tag.
type ReplyText struct {
	Plain    string `wire:"1"`
	HTML     string `wire:"2"`
	Language string `wire:"3"`
}

// OOFSettings are a user's out-of-office settings.
type OOFSettings struct {
	State    OOFState    `wire:"1"`
	Audience OOFAudience `wire:"2"`
	Start    time.Time   `wire:"3"`
	End      time.Time   `wire:"4"`
	Internal ReplyText   `wire:"5"`
	External ReplyText   `wire:"6"`
}

// Away reports whether the user is out of office at a time.
func (s *OOFSettings) Away(at time.Time) bool {
	switch s.State {
	case OOFEnabled:
		return true
	case OOFScheduled:
		return !at.Before(s.Start) && at.Before(s.End)
	}
	return false
}

// JunkList is one of a user's lists of addresses and domains (MS-OXCSPAM 2.2.4). Numbers reach disk.
type JunkList uint8

// The lists.
const (
	JunkSafeSenders    JunkList = 1
	JunkSafeRecipients JunkList = 2
	JunkBlocked        JunkList = 3
)

// JunkSettings say what is filed as junk.
type JunkSettings struct {
	// Off turns filing off.
	Off bool `wire:"1"`
	// Threshold is the spam confidence level from which on mail is junk; zero is DefaultJunkThreshold.
	Threshold uint8 `wire:"2"`
	// TrustContacts takes the user's contacts for safe senders; OnlySafe takes everybody else for junk.
	TrustContacts bool `wire:"3"`
	OnlySafe      bool `wire:"4"`
}

// DefaultJunkThreshold is the spam confidence level from which on mail is junk.
const DefaultJunkThreshold = 5

// RuleChangeKind is what becomes of one rule (MS-OXORULE 2.2.1.3). Numbers are the specification's.
type RuleChangeKind uint8

// The kinds.
const (
	RuleAdd    RuleChangeKind = 0x01
	RuleModify RuleChangeKind = 0x02
	RuleRemove RuleChangeKind = 0x04
)

// RuleChange is one rule on its way into a folder: its properties (MS-OXORULE 2.2.1.3.1), of which PidTagRuleId names
// one that is there.
type RuleChange struct {
	Kind  RuleChangeKind `wire:"1"`
	Props mapi.PropBag   `wire:"2"`
}

// GetRulesRequest asks for the standard rules of a folder.
type GetRulesRequest struct {
	Folder mapi.FID `wire:"1"`
}

// GetRulesResponse is the rules table of a folder (MS-OXORULE 2.2.2): the properties of each rule, in the order in which
// they were added.
type GetRulesResponse struct {
	Rules    []mapi.PropBag `wire:"1"`
	Sequence uint64         `wire:"2"`
}

// ModifyRulesRequest changes the standard rules of a folder (MS-OXORULE 2.2.1). Replace drops those that there are.
type ModifyRulesRequest struct {
	Folder  mapi.FID     `wire:"1"`
	Replace bool         `wire:"2"`
	Changes []RuleChange `wire:"3"`
}

// ModifyRulesResponse holds the id of the rule of each change.
type ModifyRulesResponse struct {
	IDs []uint64 `wire:"1"`
}

// DeferredActionsRequest says that a client has a copy of a message, under an entry id of its own: the messages that ask
// for actions on it name it by that from now on (MS-OXORULE 2.2.3).
type DeferredActionsRequest struct {
	Server []byte `wire:"1"`
	Client []byte `wire:"2"`
}

// JunkEntry is an entry of a list: an address or a domain.
type JunkEntry struct {
	List  JunkList `wire:"1"`
	Entry string   `wire:"2"`
}

// JunkResponse is what the mailbox files as junk, the entries in order.
type JunkResponse struct {
	Settings JunkSettings `wire:"1"`
	Entries  []JunkEntry  `wire:"2"`
}

// SetJunkRequest changes it: Settings, where there are any, and lists, of which Clear empties some first.
type SetJunkRequest struct {
	Settings *JunkSettings `wire:"1"`
	Clear    []JunkList    `wire:"2"`
	Remove   []JunkEntry   `wire:"3"`
	Add      []JunkEntry   `wire:"4"`
}

// OutgoingKind says what goes out. Numbers reach disk.
type OutgoingKind uint8

// The kinds.
const (
	OutgoingForward  OutgoingKind = 1
	OutgoingDelegate OutgoingKind = 2
	OutgoingReply    OutgoingKind = 3 // by a template
	OutgoingOOFReply OutgoingKind = 4 // by a template
	OutgoingAway     OutgoingKind = 5 // by the out-of-office settings
	OutgoingBounce   OutgoingKind = 6
	// OutgoingSubmitted is a message of the user's own.
	OutgoingSubmitted OutgoingKind = 7
	// OutgoingMeeting is the answer to a request, to its organizer.
	OutgoingMeeting OutgoingKind = 8
	// OutgoingRead and OutgoingUnread are receipts: that a mail was read, or deleted before.
	OutgoingRead   OutgoingKind = 9
	OutgoingUnread OutgoingKind = 10
)

func (k OutgoingKind) String() string {
	names := [...]string{"", "forward", "delegate", "reply", "oof reply", "away", "bounce", "submitted", "meeting", "read receipt", "nonread receipt"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Outgoing is something that a mailbox sends by itself, about a mail that came in. It is in the mailbox until the mail flow
// has it.
type Outgoing struct {
	Kind OutgoingKind `wire:"1"`
	// Flavor is that of the rule's action (MS-OXORULE 2.2.5.1.1).
	Flavor uint32 `wire:"2"`
	// Sender and Recipient are reverse-path and forward-path of the mail, Received is when it came.
	Sender    string    `wire:"3"`
	Recipient string    `wire:"4"`
	Received  time.Time `wire:"5"`
	// Own are the addresses of the mailbox, Name is what it is called: as in Circumstances.
	Own      []string `wire:"6"`
	Name     string   `wire:"7"`
	Internal bool     `wire:"8"`
	// To are those whom a forward or a delegation is for.
	To []OutgoingRecipient `wire:"9"`
	// Template is the message that a reply is made of.
	Template mapi.MID `wire:"10"`
	// Bounce is why a mail is sent back (MS-OXORULE 2.2.5.1.2.5).
	Bounce uint32 `wire:"11"`
	// Rule names the rule that wanted it; zero for the out-of-office settings.
	Rule uint64 `wire:"12"`
	// Decision is the answer to a request.
	Decision MeetingDecision `wire:"13"`
	// At is when a receipt says that it was; Asked, that the user wanted it to be sent.
	At    time.Time `wire:"14"`
	Asked bool      `wire:"15"`
}

// OutgoingRecipient is whom something is for: an address, or a legacyExchangeDN alone.
type OutgoingRecipient struct {
	Name    string `wire:"1"`
	Address string `wire:"2"`
	DN      string `wire:"3"`
}

// OutgoingRequest names something that goes out. It is also what an intent of op IntentOutgoing carries.
type OutgoingRequest struct {
	Number mapi.ObjectNumber `wire:"1"`
}

// IntentOutgoing asks the mail flow to send something that goes out; TargetMail is the target of such an intent: the mail
// queue of the mailbox's own group.
const (
	IntentOutgoing uint16 = 1
	TargetMail            = "mail"
)

// OutgoingResponse is something that goes out, with what it is made of.
type OutgoingResponse struct {
	// Gone says that there is no such thing any more: it was sent.
	Gone     bool     `wire:"1"`
	Outgoing Outgoing `wire:"2"`
	// Message is the mail that it is about; its content is in the group. OpReadOutgoing reads its octets.
	Message NewMessage `wire:"3"`
	// Text is what the out-of-office settings say, Template the template: nil where there is none any more.
	Text     *ReplyText      `wire:"4"`
	Template *MessageContent `wire:"5"`
	// Owner is whose the mailbox is: the directory knows his addresses where Outgoing does not.
	Owner mapi.GUID `wire:"6"`
}

// ReadOutgoingRequest asks for octets of the mail that something is about, MaxReadBytes at most.
type ReadOutgoingRequest struct {
	Number mapi.ObjectNumber `wire:"1"`
	Offset uint64            `wire:"2"`
	Length uint32            `wire:"3"`
}
