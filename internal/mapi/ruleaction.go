package mapi

// ActionType is what a rule does (MS-OXORULE 2.2.5.1.1). Its numbers are the specification's.
type ActionType uint8

// The actions.
const (
	ActionMove       ActionType = 0x01
	ActionCopy       ActionType = 0x02
	ActionReply      ActionType = 0x03
	ActionOOFReply   ActionType = 0x04
	ActionDefer      ActionType = 0x05
	ActionBounce     ActionType = 0x06
	ActionForward    ActionType = 0x07
	ActionDelegate   ActionType = 0x08
	ActionTag        ActionType = 0x09
	ActionDelete     ActionType = 0x0A
	ActionMarkAsRead ActionType = 0x0B
)

// Flavors of ActionForward, any of them (MS-OXORULE 2.2.5.1.1).
const (
	ForwardPreserveSender    = 0x01
	ForwardDoNotMungeMessage = 0x02
	ForwardAsAttachment      = 0x04
	ForwardAsSMSAlert        = 0x08
)

// Flavors of ActionReply and ActionOOFReply, any of them (MS-OXORULE 2.2.5.1.1).
const (
	ReplyDoNotSendToOriginator = 0x01
	ReplyStockTemplate         = 0x02
)

// Codes of ActionBounce (MS-OXORULE 2.2.5.1.2.5).
const (
	BounceMessageTooLarge  = 0x0000_000D
	BounceMessageNotShown  = 0x0000_001F
	BounceDeliveryRejected = 0x0000_0026
)

// RuleAction is one step of a rule. Data is of the type that Type calls for: see ActionData.
type RuleAction struct {
	Type   ActionType
	Flavor uint32
	// Flags are the client's own (MS-OXORULE 2.2.5.1).
	Flags uint32
	Data  ActionData
}

// ActionData is what an action works with: *MoveAction for Move and Copy, *ReplyAction for Reply and OOFReply,
// DeferAction, BounceAction, ForwardAction for Forward and Delegate, *TagAction; nil for Delete and MarkAsRead.
type ActionData interface{ actionData() }

// MoveAction is where a message goes.
type MoveAction struct {
	// InThisStore: Folder is a ServerID of a folder beside the rule's; else it is an entry id in another store. Extended
	// rules always have entry ids.
	InThisStore bool
	StoreEID    []byte
	Folder      []byte
}

// ReplyAction is the template that a reply is made of: by FID and MID in standard rules, by entry id in extended ones.
type ReplyAction struct {
	FID        FID
	MID        MID
	MessageEID []byte
	Template   GUID
}

// DeferAction is for the client that made the rule, which alone knows what it says.
type DeferAction []byte

// BounceAction is why a message is sent back.
type BounceAction uint32

// ForwardAction is whom a message goes on to: each recipient by properties.
type ForwardAction [][]Prop

// TagAction is a property that the message gets.
type TagAction struct{ Prop Prop }

func (*MoveAction) actionData()   {}
func (*ReplyAction) actionData()  {}
func (DeferAction) actionData()   {}
func (BounceAction) actionData()  {}
func (ForwardAction) actionData() {}
func (*TagAction) actionData()    {}

// HasData reports whether the action has the data that its type calls for.
func (a RuleAction) HasData() bool {
	has := false
	switch a.Type {
	case ActionMove, ActionCopy:
		_, has = a.Data.(*MoveAction)
	case ActionReply, ActionOOFReply:
		_, has = a.Data.(*ReplyAction)
	case ActionDefer:
		_, has = a.Data.(DeferAction)
	case ActionBounce:
		_, has = a.Data.(BounceAction)
	case ActionForward, ActionDelegate:
		_, has = a.Data.(ForwardAction)
	case ActionTag:
		_, has = a.Data.(*TagAction)
	case ActionDelete, ActionMarkAsRead:
		has = a.Data == nil
	}
	return has
}

// HasFlavor reports whether the action's type has that flavor.
func (a RuleAction) HasFlavor() bool {
	flavors := uint32(0)
	switch a.Type {
	case ActionForward:
		flavors = ForwardPreserveSender | ForwardDoNotMungeMessage | ForwardAsAttachment | ForwardAsSMSAlert
	case ActionReply, ActionOOFReply:
		flavors = ReplyDoNotSendToOriginator | ReplyStockTemplate
	}
	return a.Flavor&^flavors == 0
}
