package mapi

import "testing"

func TestRuleActionData(t *testing.T) {
	data := []ActionData{&MoveAction{}, &ReplyAction{}, DeferAction{}, BounceAction(0), ForwardAction{}, &TagAction{}, nil}
	want := map[ActionType]int{
		ActionMove: 0, ActionCopy: 0, ActionReply: 1, ActionOOFReply: 1, ActionDefer: 2, ActionBounce: 3,
		ActionForward: 4, ActionDelegate: 4, ActionTag: 5, ActionDelete: 6, ActionMarkAsRead: 6, 0: -1, 0x0C: -1,
	}
	for typ, fits := range want {
		for i, d := range data {
			if got := (RuleAction{Type: typ, Data: d}).HasData(); got != (i == fits) {
				t.Errorf("action %#x with %T: %v", typ, d, got)
			}
		}
	}
}

func TestRuleActionFlavor(t *testing.T) {
	for _, tt := range []struct {
		a    RuleAction
		want bool
	}{
		{RuleAction{Type: ActionForward, Flavor: 0xF}, true}, {RuleAction{Type: ActionForward, Flavor: 0x10}, false},
		{RuleAction{Type: ActionReply, Flavor: 3}, true}, {RuleAction{Type: ActionOOFReply, Flavor: 4}, false},
		{RuleAction{Type: ActionMove}, true}, {RuleAction{Type: ActionDelegate, Flavor: 1}, false},
	} {
		if got := tt.a.HasFlavor(); got != tt.want {
			t.Errorf("%+v: %v", tt.a, got)
		}
	}
}

func TestTypeOf(t *testing.T) {
	for _, p := range sampleBag().All() {
		want := p.Tag.Type()
		switch p.Value.(type) {
		case Opaque, Reference:
			want = TypeUnspecified
		}
		if got := TypeOf(p.Value); got != want || !Fits(p.Value, p.Tag.Type()) {
			t.Errorf("%T is of type %#x, want %#x", p.Value, got, want)
		}
	}
	if TypeOf(nil) != TypeUnspecified || Fits(nil, TypeNull) || Fits(String(""), TypeInteger32) {
		t.Error("types of nothing")
	}
}
