package mapi

import "fmt"

// Type is a property's data type (MS-OXCDATA 2.11.1). Its numbers are the specification's and reach disk and wire.
type Type uint16

// The property types.
const (
	TypeUnspecified Type = 0x0000
	TypeNull        Type = 0x0001
	TypeInteger16   Type = 0x0002
	TypeInteger32   Type = 0x0003
	TypeFloating32  Type = 0x0004
	TypeFloating64  Type = 0x0005
	TypeCurrency    Type = 0x0006
	TypeAppTime     Type = 0x0007
	TypeErrorCode   Type = 0x000A
	TypeBoolean     Type = 0x000B
	TypeObject      Type = 0x000D
	TypeInteger64   Type = 0x0014
	TypeString8     Type = 0x001E
	TypeString      Type = 0x001F
	TypeTime        Type = 0x0040
	TypeGUID        Type = 0x0048
	TypeServerID    Type = 0x00FB
	TypeRestriction Type = 0x00FD
	TypeRuleAction  Type = 0x00FE
	TypeBinary      Type = 0x0102

	// MultiValue turns a type into the list of it.
	MultiValue Type = 0x1000
	// MultiInstance is set beside MultiValue in a column that makes a row of each value of the list (MS-OXCTABL 2.2.2.2).
	MultiInstance Type = 0x2000

	TypeMultiInteger16  = MultiValue | TypeInteger16
	TypeMultiInteger32  = MultiValue | TypeInteger32
	TypeMultiFloating32 = MultiValue | TypeFloating32
	TypeMultiFloating64 = MultiValue | TypeFloating64
	TypeMultiCurrency   = MultiValue | TypeCurrency
	TypeMultiAppTime    = MultiValue | TypeAppTime
	TypeMultiInteger64  = MultiValue | TypeInteger64
	TypeMultiString8    = MultiValue | TypeString8
	TypeMultiString     = MultiValue | TypeString
	TypeMultiTime       = MultiValue | TypeTime
	TypeMultiGUID       = MultiValue | TypeGUID
	TypeMultiBinary     = MultiValue | TypeBinary
)

// Multi reports whether t is a list.
func (t Type) Multi() bool { return t&MultiValue != 0 }

// Element is the type of a list's elements, and of one value of a column that makes a row of each; else t itself.
func (t Type) Element() Type { return t &^ (MultiValue | MultiInstance) }

// Column is the type of what stands in a table's row under t: the element where the list is spread over rows.
func (t Type) Column() Type {
	if t&MultiInstance != 0 {
		return t.Element()
	}
	return t
}

// Tag names a property: its id in the upper 16 bits, its type in the lower.
type Tag uint32

// NewTag joins an id and a type.
func NewTag(id uint16, t Type) Tag { return Tag(uint32(id)<<16 | uint32(t)) }

// ID is the property id; from 0x8000 on it is a named property of one mailbox.
func (t Tag) ID() uint16 { return uint16(t >> 16) }

// Type is the property's type.
func (t Tag) Type() Type { return Type(t) }

// WithType is the same property id under another type.
func (t Tag) WithType(to Type) Tag { return NewTag(t.ID(), to) }

// Named reports whether the id is given out per mailbox (MAILBOX 5).
func (t Tag) Named() bool { return t >= 0x8000_0000 }

func (t Tag) String() string { return fmt.Sprintf("0x%08X", uint32(t)) }

// PidTagTransportHeaders is the short name of PidTagTransportMessageHeaders.
const PidTagTransportHeaders = PidTagTransportMessageHeaders

// Values of PidTagMessageFlags (MS-OXCMSG 2.2.1.6).
const (
	MessageFlagRead          = 0x0000_0001
	MessageFlagUnmodified    = 0x0000_0002
	MessageFlagSubmitted     = 0x0000_0004
	MessageFlagUnsent        = 0x0000_0008
	MessageFlagHasAttachment = 0x0000_0010
	MessageFlagFromMe        = 0x0000_0020
)

// Values that stand behind IMAP's flags (MAILBOX 4).
const (
	// FlagStatusComplete and FlagStatusFlagged are values of PidTagFlagStatus (MS-OXOFLAG 2.2.1.1).
	FlagStatusComplete = 1
	FlagStatusFlagged  = 2
	// MessageStatusDeleteMarked is msDelMarked of PidTagMessageStatus (MS-OXCMSG 2.2.1.8).
	MessageStatusDeleteMarked = 0x0000_0008
	// VerbReply, VerbReplyAll and VerbForward are values of PidTagLastVerbExecuted (MS-OXOMSG 2.2.1.4).
	VerbReply    = 102
	VerbReplyAll = 103
	VerbForward  = 104
	// IconReplied and IconForwarded are values of PidTagIconIndex (MS-OXOMSG 2.2.1.10).
	IconReplied   = 0x105
	IconForwarded = 0x106
)
