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
