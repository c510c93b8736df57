// Package rules says what becomes of a mail that comes into a mailbox: what the rules of its folders do with it, whether
// it is junk, and whether its sender is told that the user is away.
//
// It knows messages, rules and settings as values and computes; it never reads a mailbox, sends, or knows the time but
// what it is told. Others carry a Plan out. Invariants: rules are looked at in ascending order of sequence and id; a rule
// that ends its level has none behind it but those for the time out of office; a folder's rules run once for a message,
// however rules move it about; no message makes more than MaxRecipients copies for others, and none goes on that was here
// before. Spec: MS-OXORULE 2.2.1.3.1, 2.2.4.1, 3.2.5.1; MS-OXCSPAM; MS-OXWOOF; RFC 3834.
package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// State are the flags of a rule (MS-OXORULE 2.2.1.3.1.3). Bits are the specification's.
type State uint32

// The flags.
const (
	Enabled         State = 0x01 // ST_ENABLED
	Error           State = 0x02 // ST_ERROR: set by the store; it does not keep a rule from being tried again
	OnlyWhenOOF     State = 0x04 // ST_ONLY_WHEN_OOF
	KeepOOFHistory  State = 0x08 // ST_KEEP_OOF_HIST
	ExitLevel       State = 0x10 // ST_EXIT_LEVEL
	SkipIfSCLIsSafe State = 0x20 // ST_SKIP_IF_SCL_IS_SAFE
	ParseError      State = 0x40 // ST_RULE_PARSE_ERROR: set by the store
	DisabledOOF     State = 0x80 // turns off a rule of OnlyWhenOOF (MS-OXORULE Appendix A <1>)
)

// On reports whether a rule is looked at at all: one for the time out of office is even without Enabled.
func (s State) On() bool {
	const off = OnlyWhenOOF | DisabledOOF
	return s&(Enabled|OnlyWhenOOF) != 0 && s&ParseError == 0 && s&off != off
}

// Limits of the rules of a folder, of one rule and of what rules do with one message.
const (
	// MaxRules is the most standard rules of a folder, MaxRuleBytes the most they take together.
	MaxRules     = 1000
	MaxRuleBytes = 256 << 10
	// MaxExtended is how many extended rules of a folder are looked at; those with the lowest sequence are.
	MaxExtended = 20
	// MaxExtendedBytes is the most the condition of an extended rule takes (PidTagExtendedRuleSizeLimit).
	MaxExtendedBytes = 96 << 10
	// MaxRecipients is the most recipients of a forward, and of all forwards of one message.
	MaxRecipients = 256
	// MaxActions is the most actions of a rule; maxSends the most things sent for one message.
	MaxActions = 100
	maxSends   = 32
	// maxFolders is how many folders' rules a message passes.
	maxFolders = 16
	// maxText is the longest name of a rule or provider, in bytes.
	maxText = 1024
)

// Rule is one rule of a folder.
type Rule struct {
	// ID is PidTagRuleId; of an extended rule it is the counter of its message's MID.
	ID       uint64
	Sequence int32
	State    State
	Name     string
	Provider string
	// Condition passes the messages that the rule is for; nil passes all.
	Condition mapi.Restriction
	Actions   []mapi.RuleAction
	Extended  bool
	// Author set the rule without having the mailbox whole; nil where it is the mailbox's own.
	Author *exmdb.Identity
}

// ErrBadRule says that properties are no rule; ErrRuleLimit, that a rule is beyond what is allowed.
var (
	ErrBadRule   = errors.New("malformed rule")
	ErrRuleLimit = errors.New("rule beyond the limits")
)

// Parse reads a standard rule from its properties (MS-OXORULE 2.2.1.3.1).
func Parse(props *mapi.PropBag) (Rule, error) {
	r := Rule{
		ID: uint64(number[mapi.Integer64](props, mapi.PidTagRuleId)), Sequence: int32(number[mapi.Integer32](props, mapi.PidTagRuleSequence)),
		State: State(number[mapi.Integer32](props, mapi.PidTagRuleState)),
		Name:  text(props, mapi.PidTagRuleName), Provider: text(props, mapi.PidTagRuleProvider),
	}
	var err error
	if v, ok := props.Get(mapi.PidTagRuleCondition).(mapi.Opaque); ok {
		if r.Condition, err = oxcdata.RestrictionOf(v); err != nil {
			return r, fmt.Errorf("condition: %w", errors.Join(ErrBadRule, err))
		}
	}
	if v, ok := props.Get(mapi.PidTagRuleActions).(mapi.Opaque); ok {
		if r.Actions, err = oxcdata.RuleActionsOf(v); err != nil {
			return r, fmt.Errorf("actions: %w", errors.Join(ErrBadRule, err))
		}
	}
	return r, r.check()
}

// ParseExtended reads an extended rule from the message that holds it (MS-OXORULE 2.2.4.1). id is the counter of its MID,
// propertyID the mailbox's id for a name, zero for one that it does not know.
func ParseExtended(id uint64, props *mapi.PropBag, propertyID func(mapi.PropertyName) (uint16, error)) (Rule, error) {
	r := Rule{
		ID: id, Sequence: int32(number[mapi.Integer32](props, mapi.PidTagRuleMessageSequence)), Extended: true,
		State: State(number[mapi.Integer32](props, mapi.PidTagRuleMessageState)),
		Name:  text(props, mapi.PidTagRuleMessageName), Provider: text(props, mapi.PidTagRuleMessageProvider),
	}
	if b, ok := props.Get(mapi.PidTagExtendedRuleMessageCondition).(mapi.Binary); ok && len(b) > 0 {
		c, err := oxcdata.ParseExtendedCondition(b)
		if err != nil {
			return r, fmt.Errorf("condition: %w", errors.Join(ErrBadRule, err))
		}
		tag, err := namedTags(c.Named, propertyID)
		if err != nil {
			return r, err
		}
		r.Condition = mapi.MapTags(c.Restriction, tag)
	}
	b, _ := props.Get(mapi.PidTagExtendedRuleMessageActions).(mapi.Binary)
	a, err := oxcdata.ParseExtendedActions(b)
	if err != nil {
		return r, fmt.Errorf("actions: %w", errors.Join(ErrBadRule, err))
	}
	tag, err := namedTags(a.Named, propertyID)
	if err != nil {
		return r, err
	}
	r.Actions = withTags(a.Actions, tag)
	return r, r.check()
}

// ExtendedClass is the message class of what holds an extended rule.
const ExtendedClass = "IPM.ExtendedRule.Message"

// namedTags leads from the ids of named properties in an extended rule to those of the mailbox. An id that has no name
// there, or a name that no message of the mailbox has, leads to a property that nothing has.
func namedTags(named oxcdata.NamedProperties, propertyID func(mapi.PropertyName) (uint16, error)) (func(mapi.Tag) mapi.Tag, error) {
	ids := make(map[uint16]uint16, len(named.IDs))
	for i, name := range named.Names {
		id, err := propertyID(name)
		if err != nil {
			return nil, err
		}
		ids[named.IDs[i]] = id
	}
	return func(t mapi.Tag) mapi.Tag {
		if !t.Named() {
			return t
		}
		return mapi.NewTag(ids[t.ID()], t.Type())
	}, nil
}

// withTags maps the properties that actions set. A property without a name in the mailbox cannot be set: its action goes.
func withTags(actions []mapi.RuleAction, tag func(mapi.Tag) mapi.Tag) []mapi.RuleAction {
	out := make([]mapi.RuleAction, 0, len(actions))
	for _, a := range actions {
		if set, is := a.Data.(*mapi.TagAction); is {
			t := tag(set.Prop.Tag)
			if t.ID() == 0 {
				continue
			}
			a.Data = &mapi.TagAction{Prop: mapi.Prop{Tag: t, Value: set.Prop.Value}}
		}
		out = append(out, a)
	}
	return out
}

// check refuses what no rule is, whoever made it.
func (r *Rule) check() error {
	if len(r.Name) > maxText || len(r.Provider) > maxText {
		return fmt.Errorf("name of %d bytes, provider of %d: %w", len(r.Name), len(r.Provider), ErrRuleLimit)
	}
	if len(r.Actions) > MaxActions {
		return fmt.Errorf("%d actions: %w", len(r.Actions), ErrRuleLimit)
	}
	if r.Condition != nil {
		if err := mapi.CheckRestriction(r.Condition); err != nil {
			return fmt.Errorf("condition: %w", errors.Join(ErrBadRule, err))
		}
	}
	for i, a := range r.Actions {
		if err := checkAction(a); err != nil {
			return fmt.Errorf("action %d: %w", i, err)
		}
	}
	return nil
}

// Why a message may be sent back: the codes of ActionBounce.
var bounceCodes = []mapi.BounceAction{mapi.BounceMessageTooLarge, mapi.BounceMessageNotShown, mapi.BounceDeliveryRejected}

func checkAction(a mapi.RuleAction) error {
	if !a.HasData() || !a.HasFlavor() {
		return fmt.Errorf("type %#x with flavor %#x: %w", uint8(a.Type), a.Flavor, ErrBadRule)
	}
	switch data := a.Data.(type) {
	case mapi.ForwardAction:
		if len(data) == 0 {
			return fmt.Errorf("for nobody: %w", ErrBadRule)
		}
		if len(data) > MaxRecipients {
			return fmt.Errorf("%d recipients: %w", len(data), ErrRuleLimit)
		}
	case mapi.BounceAction:
		if !slices.Contains(bounceCodes, data) {
			return fmt.Errorf("bounce code %#x: %w", uint32(data), ErrBadRule)
		}
	}
	return nil
}

// Ready is rules in their order and in the form in which they are looked at many times: what their conditions search for is
// folded once. Nothing changes when they are.
func Ready(list []Rule) []Rule {
	ordered := Order(list)
	for i := range ordered {
		if c := ordered[i].Condition; c != nil {
			ordered[i].Condition = mapi.ForOneWalk(withoutCounts(c))
		}
	}
	return ordered
}

// withoutCounts is a condition without the nodes that pass the first few of many: a rule looks at one message.
func withoutCounts(r mapi.Restriction) mapi.Restriction {
	all := func(list []mapi.Restriction) []mapi.Restriction {
		out := make([]mapi.Restriction, len(list))
		for i, o := range list {
			out[i] = withoutCounts(o)
		}
		return out
	}
	switch r := r.(type) {
	case mapi.AndRestriction:
		return mapi.AndRestriction(all(r))
	case mapi.OrRestriction:
		return mapi.OrRestriction(all(r))
	case *mapi.NotRestriction:
		return &mapi.NotRestriction{Of: withoutCounts(r.Of)}
	case *mapi.SubObjectRestriction:
		return &mapi.SubObjectRestriction{Tag: r.Tag, Of: withoutCounts(r.Of)}
	case *mapi.CommentRestriction:
		if r.Of == nil {
			return mapi.AndRestriction{}
		}
		return withoutCounts(r.Of)
	case *mapi.CountRestriction:
		if r.Count == 0 {
			return mapi.OrRestriction{} // passes nothing
		}
		return withoutCounts(r.Of)
	}
	return r
}

// Order puts rules in the order in which they are looked at: by sequence, standard ones before extended ones, by id.
// Of the extended ones more than MaxExtended are left out.
func Order(list []Rule) []Rule {
	ordered := slices.Clone(list)
	slices.SortFunc(ordered, func(a, b Rule) int {
		if c := cmp.Compare(a.Sequence, b.Sequence); c != 0 {
			return c
		}
		if a.Extended != b.Extended {
			if a.Extended {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.ID, b.ID)
	})
	extended := 0
	return slices.DeleteFunc(ordered, func(r Rule) bool {
		if r.Extended {
			extended++
		}
		return r.Extended && extended > MaxExtended
	})
}

func number[N mapi.Integer32 | mapi.Integer64](props *mapi.PropBag, t mapi.Tag) N {
	n, _ := props.Get(t).(N)
	return n
}

// text is a string property, in whichever coding it is there; "" where there is none.
func text(props *mapi.PropBag, t mapi.Tag) string {
	switch s := props.Get(t).(type) {
	case mapi.String:
		return string(s)
	case nil:
		s8, _ := props.Get(t.WithType(mapi.TypeString8)).(mapi.String8)
		return string(s8)
	}
	return ""
}
