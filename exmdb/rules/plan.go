package rules

import (
	"slices"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// Plan is what becomes of one message.
type Plan struct {
	// Places are the folders that get it, each once, in the order in which rules name them. Without any it is not kept.
	Places []mapi.FID
	// Read marks it as read; Tags are properties that it gets. Both count for all places, whichever rule was first.
	Read bool
	Tags []mapi.Prop
	// Sends go out to others, in this order.
	Sends []Send
	// Deferred is left to the clients that made the rules (MS-OXORULE 3.2.5.1.2).
	Deferred []Deferral
	// Failures are actions that cannot be done (MS-OXORULE 2.2.7).
	Failures []Failure
	// Held are actions that are not done on purpose: they would make a loop, or answer what is not answered.
	Held []Held
	// Fired are the rules whose condition the message passed, in order.
	Fired []RuleRef
}

// RuleRef names a rule.
type RuleRef struct {
	Folder   mapi.FID
	ID       uint64
	Provider string
	Extended bool
}

// Send is one thing that goes out: Action is a forward, delegation, reply, out-of-office reply or bounce.
type Send struct {
	Rule   RuleRef
	Action mapi.RuleAction
	// To are those whom a forward or a delegation is for.
	To []Recipient
}

// Deferral is an action for the client.
type Deferral struct {
	Rule   RuleRef
	Action mapi.RuleAction
}

// Failure is an action that failed: the Number-th of its rule.
type Failure struct {
	Rule   RuleRef
	Number int
	Type   mapi.ActionType
	Code   FailureCode
}

// FailureCode is why an action failed (MS-OXORULE 2.2.7.2). Numbers are the specification's.
type FailureCode uint32

// The codes that are given here.
const (
	FailureParsing    FailureCode = 0x04
	FailureProcessing FailureCode = 0x05
	FailureNoFolder   FailureCode = 0x06
	FailureNoRights   FailureCode = 0x07
	FailureDeferral   FailureCode = 0x08
	FailureSender     FailureCode = 0x09
	FailureNoTemplate FailureCode = 0x0A
	FailureGeneric    FailureCode = 0x0B
	FailureRecipients FailureCode = 0x0D
	FailureQuota      FailureCode = 0x0E
)

// Held is an action that was not done, and why.
type Held struct {
	Rule RuleRef
	Type mapi.ActionType
	Why  Reason
}

// place puts the message into a folder, once.
func (p *Plan) place(f mapi.FID) {
	if !slices.Contains(p.Places, f) {
		p.Places = append(p.Places, f)
	}
}

// tag sets a property; a later rule's value takes the place of an earlier one's.
func (p *Plan) tag(prop mapi.Prop) {
	for i := range p.Tags {
		if p.Tags[i].Tag.ID() == prop.Tag.ID() {
			p.Tags[i] = prop
			return
		}
	}
	p.Tags = append(p.Tags, prop)
}
