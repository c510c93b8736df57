package oxcdata

import (
	"github.com/flotilla-mail/flotilla/internal/invariant"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// RuleActions reads a RuleAction structure (MS-OXORULE 2.2.5): the standard form in ROP, the extended one in Extended.
func (d *Decoder) RuleActions() []mapi.RuleAction {
	n := d.Number(d.form.operands)
	list := make([]mapi.RuleAction, 0, d.room(n, minAction))
	for range n {
		if list = append(list, d.action()); d.r.Err() != nil {
			return nil
		}
	}
	return list
}

// minAction is the shortest action on the wire: length in 16 bits, type, flavor, flags.
const minAction = 11

// action reads an ActionBlock. Its data ends where its length says.
func (d *Decoder) action() mapi.RuleAction {
	length := d.Number(d.form.operands)
	block := d.Inner(length)
	a := mapi.RuleAction{Type: mapi.ActionType(block.Uint8()), Flavor: block.Uint32(), Flags: block.Uint32()}
	a.Data = block.actionData(a.Type)
	if err := block.Close(); err != nil {
		d.Fail(err)
	}
	return a
}

// Inner is a decoder of the next n bytes, which stands as deep as something below d.
func (d *Decoder) Inner(n int) *Decoder {
	b := d.r.Take(n)
	in := NewDecoder(b, ROP)
	in.form, in.depth = d.form, d.depth+1
	return in
}

func (d *Decoder) actionData(t mapi.ActionType) mapi.ActionData {
	switch t {
	case mapi.ActionMove, mapi.ActionCopy:
		return d.moveAction()
	case mapi.ActionReply, mapi.ActionOOFReply:
		return d.replyAction()
	case mapi.ActionDefer:
		return mapi.DeferAction(d.Bytes(d.Len()))
	case mapi.ActionBounce:
		return mapi.BounceAction(d.Uint32())
	case mapi.ActionForward, mapi.ActionDelegate:
		return d.forwardAction()
	case mapi.ActionTag:
		return &mapi.TagAction{Prop: d.Prop()}
	case mapi.ActionDelete, mapi.ActionMarkAsRead:
		return nil
	}
	d.Failf("rule action of type %#x", uint8(t))
	return nil
}

func (d *Decoder) extended() bool { return d.form.operands == 4 }

func (d *Decoder) moveAction() mapi.ActionData {
	m := &mapi.MoveAction{}
	if !d.extended() {
		m.InThisStore = d.Bool()
	}
	m.StoreEID, m.Folder = d.counted(), d.counted()
	return m
}

func (d *Decoder) replyAction() mapi.ActionData {
	if d.extended() {
		return &mapi.ReplyAction{MessageEID: d.counted(), Template: d.GUID()}
	}
	return &mapi.ReplyAction{FID: d.FID(), MID: d.MID(), Template: d.GUID()}
}

// recipientReserved stands in front of each recipient of ActionForward.
const recipientReserved = 0x01

func (d *Decoder) forwardAction() mapi.ActionData {
	n := d.Number(d.form.operands)
	list := make(mapi.ForwardAction, 0, d.room(n, 3))
	for range n {
		if b := d.Uint8(); b != recipientReserved {
			d.Failf("%#x in front of a recipient", b)
		}
		if list = append(list, d.Props(d.Number(d.form.operands))); d.r.Err() != nil {
			return nil
		}
	}
	return list
}

// RuleActions writes a RuleAction structure. An action whose data does not fit its type is a mistake of the program.
func (e *Encoder) RuleActions(list []mapi.RuleAction) {
	e.Number(len(list), e.form.operands)
	for _, a := range list {
		e.Sized(e.form.operands, func() { e.action(a) })
	}
}

func (e *Encoder) action(a mapi.RuleAction) {
	e.Uint8(uint8(a.Type))
	e.Uint32(a.Flavor)
	e.Uint32(a.Flags)
	if !a.HasData() {
		invariant.Failf("oxcdata: action %#x with %T", uint8(a.Type), a.Data)
	}
	switch data := a.Data.(type) {
	case *mapi.MoveAction:
		e.moveAction(data)
	case *mapi.ReplyAction:
		e.replyAction(data)
	case mapi.DeferAction:
		e.Raw(data)
	case mapi.BounceAction:
		e.Uint32(uint32(data))
	case mapi.ForwardAction:
		e.forwardAction(data)
	case *mapi.TagAction:
		e.Prop(data.Prop)
	}
}

func (e *Encoder) extended() bool { return e.form.operands == 4 }

func (e *Encoder) moveAction(m *mapi.MoveAction) {
	if !e.extended() {
		e.Bool(m.InThisStore)
	}
	e.counted(m.StoreEID)
	e.counted(m.Folder)
}

func (e *Encoder) replyAction(r *mapi.ReplyAction) {
	if e.extended() {
		e.counted(r.MessageEID)
	} else {
		e.FID(r.FID)
		e.MID(r.MID)
	}
	e.GUID(r.Template)
}

func (e *Encoder) forwardAction(list mapi.ForwardAction) {
	e.Number(len(list), e.form.operands)
	for _, props := range list {
		e.Uint8(recipientReserved)
		e.Number(len(props), e.form.operands)
		for _, p := range props {
			e.Prop(p)
		}
	}
}

// RuleActionsValue is the actions as the value of a PtypRuleAction property, PidTagRuleActions. They are those of a
// standard rule; what is too long for one has no such value.
func RuleActionsValue(list []mapi.RuleAction) (mapi.Opaque, error) {
	e := NewEncoder(nil, ROP)
	e.RuleActions(list)
	return e.Bytes()
}

// RuleActionsOf takes a value of PtypRuleAction apart.
func RuleActionsOf(v mapi.Opaque) ([]mapi.RuleAction, error) {
	d := NewDecoder(v, ROP)
	list := d.RuleActions()
	if err := d.Close(); err != nil {
		return nil, err
	}
	return list, nil
}

// ruleActionsValue keeps the bytes: whatever is around them, they are those of a standard rule.
func (d *Decoder) ruleActionsValue() mapi.Opaque {
	start, form := d.rest(), d.form
	d.form = ROP.widths()
	d.RuleActions()
	d.form = form
	return append(mapi.Opaque{}, start[:len(start)-d.Len()]...)
}

func (e *Encoder) ruleActionsValue(v mapi.Opaque) { e.Raw(v) }

// NamedProperties says what the property ids from 0x8000 on, in the condition or the actions of an extended rule, are
// called (MS-OXORULE 2.2.4.2): Names[i] is the name of IDs[i].
type NamedProperties struct {
	IDs   []uint16
	Names []mapi.PropertyName
}

func (d *Decoder) namedProperties() NamedProperties {
	count := int(d.Uint16())
	if count == 0 {
		return NamedProperties{}
	}
	n := NamedProperties{IDs: make([]uint16, 0, d.room(count, 2))}
	for range count {
		if n.IDs = append(n.IDs, d.Uint16()); d.r.Err() != nil {
			return NamedProperties{}
		}
	}
	in := d.Inner(int(d.Uint32()))
	n.Names = in.propertyNames(count)
	if err := in.Close(); err != nil {
		d.Fail(err)
	}
	return n
}

func (e *Encoder) namedProperties(n NamedProperties) {
	if len(n.IDs) != len(n.Names) {
		invariant.Failf("oxcdata: %d names for %d property ids", len(n.Names), len(n.IDs))
	}
	e.Number(len(n.IDs), 2)
	if len(n.IDs) == 0 {
		return
	}
	for _, id := range n.IDs {
		e.Uint16(id)
	}
	e.Sized(4, func() {
		for _, name := range n.Names {
			e.PropertyName(name)
		}
	})
}

// ExtendedCondition is what PidTagExtendedRuleMessageCondition holds (MS-OXORULE 2.2.4.1.10). A rule without condition
// has none of these bytes.
type ExtendedCondition struct {
	Named       NamedProperties
	Restriction mapi.Restriction
}

// ParseExtendedCondition reads the property, all of b.
func ParseExtendedCondition(b []byte) (ExtendedCondition, error) {
	d := NewDecoder(b, Extended)
	c := ExtendedCondition{d.namedProperties(), d.Restriction()}
	return c, d.Close()
}

// Append adds the property's bytes.
func (c ExtendedCondition) Append(dst []byte) ([]byte, error) {
	e := NewEncoder(dst, Extended)
	e.namedProperties(c.Named)
	e.Restriction(c.Restriction)
	return e.Bytes()
}

// extendedVersion is the one RuleVersion there is.
const extendedVersion = 1

// ExtendedActions is what PidTagExtendedRuleMessageActions holds (MS-OXORULE 2.2.4.1.9).
type ExtendedActions struct {
	Named   NamedProperties
	Actions []mapi.RuleAction
}

// ParseExtendedActions reads the property, all of b.
func ParseExtendedActions(b []byte) (ExtendedActions, error) {
	d := NewDecoder(b, Extended)
	a := ExtendedActions{Named: d.namedProperties()}
	if v := d.Uint32(); v != extendedVersion {
		d.Failf("extended rule of version %d", v)
	}
	a.Actions = d.RuleActions()
	return a, d.Close()
}

// Append adds the property's bytes.
func (a ExtendedActions) Append(dst []byte) ([]byte, error) {
	e := NewEncoder(dst, Extended)
	e.namedProperties(a.Named)
	e.Uint32(extendedVersion)
	e.RuleActions(a.Actions)
	return e.Bytes()
}
