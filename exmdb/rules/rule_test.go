package rules

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func mapiInt(n int32) mapi.Value { return mapi.Integer32(n) }

// properties are those of a standard rule.
func properties(t testing.TB, condition mapi.Restriction, actions ...mapi.RuleAction) *mapi.PropBag {
	t.Helper()
	v, err := oxcdata.RuleActionsValue(actions)
	if err != nil {
		t.Fatal(err)
	}
	bag := new(mapi.PropBag)
	bag.Set(mapi.PidTagRuleId, mapi.Integer64(7))
	bag.Set(mapi.PidTagRuleSequence, mapi.Integer32(10))
	bag.Set(mapi.PidTagRuleState, mapi.Integer32(Enabled|ExitLevel))
	bag.Set(mapi.PidTagRuleName, mapi.String("offers"))
	bag.Set(mapi.PidTagRuleProvider, mapi.String("RuleOrganizer"))
	bag.Set(mapi.PidTagRuleActions, v)
	if condition != nil {
		bag.Set(mapi.PidTagRuleCondition, oxcdata.RestrictionValue(condition))
	}
	return bag
}

func TestParse(t *testing.T) {
	want := Rule{ID: 7, Sequence: 10, State: Enabled | ExitLevel, Name: "offers", Provider: "RuleOrganizer", Condition: subjectHas("offer"),
		Actions: []mapi.RuleAction{moveTo(fA), forwardTo("x@far.test"), remove, markRead, setTag(mapi.PidTagImportance, mapi.Integer32(2)), bounce, reply, deferIt}}
	r, err := Parse(properties(t, want.Condition, want.Actions...))
	if err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = Parse(properties(t, nil, remove)); err != nil || r.Condition != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = Parse(new(mapi.PropBag)); err != nil || r.State != 0 || r.Actions != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestParseRefuses(t *testing.T) {
	with := func(tag mapi.Tag, v mapi.Value) *mapi.PropBag {
		bag := properties(t, subjectHas("x"), remove)
		bag.Set(tag, v)
		return bag
	}
	var many []mapi.RuleAction
	for range MaxActions + 1 {
		many = append(many, markRead)
	}
	var all []string
	for i := range MaxRecipients + 1 {
		all = append(all, fmt.Sprintf("u%d@far.test", i))
	}
	for name, c := range map[string]struct {
		props *mapi.PropBag
		want  error
	}{
		"condition of no form":     {with(mapi.PidTagRuleCondition, mapi.Opaque{0xFF}), ErrBadRule},
		"condition cut":            {with(mapi.PidTagRuleCondition, oxcdata.RestrictionValue(subjectHas("x"))[:6]), ErrBadRule},
		"condition not evaluated":  {properties(t, &mapi.SubObjectRestriction{Tag: mapi.PidTagSubject, Of: mapi.AndRestriction{}}, remove), ErrBadRule},
		"actions of no form":       {with(mapi.PidTagRuleActions, mapi.Opaque{9, 9, 9}), ErrBadRule},
		"flavor of another action": {properties(t, nil, mapi.RuleAction{Type: mapi.ActionMarkAsRead, Flavor: 1}), ErrBadRule},
		"bounce for no reason":     {properties(t, nil, mapi.RuleAction{Type: mapi.ActionBounce, Data: mapi.BounceAction(1)}), ErrBadRule},
		"forward to nobody":        {properties(t, nil, mapi.RuleAction{Type: mapi.ActionForward, Data: mapi.ForwardAction{}}), ErrBadRule},
		"forward to too many":      {properties(t, nil, forwardTo(all...)), ErrRuleLimit},
		"too many actions":         {properties(t, nil, many...), ErrRuleLimit},
		"long name":                {with(mapi.PidTagRuleName, mapi.String(strings.Repeat("n", maxText+1))), ErrRuleLimit},
		"long provider":            {with(mapi.PidTagRuleProvider, mapi.String(strings.Repeat("n", maxText+1))), ErrRuleLimit},
	} {
		if _, err := Parse(c.props); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var (
	stamp     = mapi.PropertyName{Set: mapi.GUID{1}, Kind: mapi.NameByString, Name: "stamp"}
	forgotten = mapi.PropertyName{Set: mapi.GUID{1}, Kind: mapi.NameByString, Name: "forgotten"}
)

// ids knows one of the names.
func ids(n mapi.PropertyName) (uint16, error) {
	if n == stamp {
		return 0x8123, nil
	}
	return 0, nil
}

func extendedProps(t testing.TB, condition mapi.Restriction, actions ...mapi.RuleAction) *mapi.PropBag {
	t.Helper()
	named := oxcdata.NamedProperties{IDs: []uint16{0x8001, 0x8002}, Names: []mapi.PropertyName{stamp, forgotten}}
	c, err := oxcdata.ExtendedCondition{Named: named, Restriction: condition}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := oxcdata.ExtendedActions{Named: named, Actions: actions}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	bag := new(mapi.PropBag)
	bag.Set(mapi.PidTagRuleMessageSequence, mapi.Integer32(0))
	bag.Set(mapi.PidTagRuleMessageState, mapi.Integer32(Enabled|ExitLevel|SkipIfSCLIsSafe))
	bag.Set(mapi.PidTagRuleMessageName, mapi.String("Junk E-mail rule"))
	bag.Set(mapi.PidTagRuleMessageProvider, mapi.String("JunkEmailRule"))
	bag.Set(mapi.PidTagExtendedRuleMessageCondition, mapi.Binary(c))
	bag.Set(mapi.PidTagExtendedRuleMessageActions, mapi.Binary(a))
	return bag
}

func extendedMove(f mapi.FID) mapi.RuleAction {
	return mapi.RuleAction{Type: mapi.ActionMove, Data: &mapi.MoveAction{Folder: oxcdata.FolderOf(mapi.MailboxID{1}, mapi.GID{Counter: f.Counter()}).Append(nil)}}
}

func TestParseExtended(t *testing.T) {
	text := func(id uint16) mapi.Tag { return mapi.NewTag(id, mapi.TypeString) }
	r, err := ParseExtended(0x55, extendedProps(t, is(text(0x8001), mapi.String("x")), extendedMove(fA), setTag(text(0x8001), mapi.String("y")), setTag(text(0x8002), mapi.String("y"))), ids)
	if err != nil {
		t.Fatal(err)
	}
	want := Rule{ID: 0x55, State: Enabled | ExitLevel | SkipIfSCLIsSafe, Name: "Junk E-mail rule", Provider: "JunkEmailRule", Extended: true,
		Condition: is(text(0x8123), mapi.String("x")), Actions: []mapi.RuleAction{extendedMove(fA), setTag(text(0x8123), mapi.String("y"))}}
	want.Actions[0].Data.(*mapi.MoveAction).StoreEID = r.Actions[0].Data.(*mapi.MoveAction).StoreEID
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v\n%+v", r, want)
	}
	bag := extendedProps(t, is(mapi.PidTagSubject, mapi.String("x")), markRead)
	bag.Delete(mapi.PidTagExtendedRuleMessageCondition)
	if r, err = ParseExtended(1, bag, ids); err != nil || r.Condition != nil {
		t.Errorf("%+v, %v", r, err)
	}
	bag.Delete(mapi.PidTagExtendedRuleMessageActions)
	if _, err = ParseExtended(1, bag, ids); !errors.Is(err, ErrBadRule) {
		t.Errorf("without actions: %v", err)
	}
	bag.Set(mapi.PidTagExtendedRuleMessageCondition, mapi.Binary{1, 2, 3})
	if _, err = ParseExtended(1, bag, ids); !errors.Is(err, ErrBadRule) {
		t.Errorf("broken condition: %v", err)
	}
	broken := errors.New("broken")
	fails := func(mapi.PropertyName) (uint16, error) { return 0, broken }
	if _, err = ParseExtended(1, extendedProps(t, is(mapi.PidTagSubject, mapi.String("x")), markRead), fails); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// FuzzParseExtended holds that whatever a client leaves in a folder is a rule or an error, and that what is a rule can be
// evaluated.
func FuzzParseExtended(f *testing.F) {
	bag := extendedProps(f, is(mapi.NewTag(0x8001, mapi.TypeString), mapi.String("x")), extendedMove(fA), forwardTo("x@far.test"), reply, bounce)
	seed := func(t mapi.Tag) []byte { b, _ := bag.Get(t).(mapi.Binary); return b }
	f.Add(seed(mapi.PidTagExtendedRuleMessageCondition), seed(mapi.PidTagExtendedRuleMessageActions))
	f.Add([]byte{}, []byte{0, 0, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, condition, actions []byte) {
		defer testkit.Bounded(t)()
		props := new(mapi.PropBag)
		props.Set(mapi.PidTagRuleMessageState, mapi.Integer32(Enabled))
		props.Set(mapi.PidTagExtendedRuleMessageCondition, mapi.Binary(condition))
		props.Set(mapi.PidTagExtendedRuleMessageActions, mapi.Binary(actions))
		r, err := ParseExtended(1, props, ids)
		if err != nil {
			if !errors.Is(err, ErrBadRule) && !errors.Is(err, ErrRuleLimit) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		b := &box{rules: map[mapi.FID][]Rule{inbox: {r}}}
		if _, err := Evaluate(received(""), b.situation()); err != nil {
			t.Error(err)
		}
	})
}

// FuzzParse is the same for the properties of RopModifyRules.
func FuzzParse(f *testing.F) {
	bag := properties(f, subjectHas("offer"), moveTo(fA), forwardTo("x@far.test"), reply)
	condition, _ := bag.Get(mapi.PidTagRuleCondition).(mapi.Opaque)
	actions, _ := bag.Get(mapi.PidTagRuleActions).(mapi.Opaque)
	f.Add([]byte(condition), []byte(actions))
	f.Fuzz(func(t *testing.T, condition, actions []byte) {
		defer testkit.Bounded(t)()
		props := properties(t, nil)
		props.Set(mapi.PidTagRuleCondition, mapi.Opaque(condition))
		props.Set(mapi.PidTagRuleActions, mapi.Opaque(actions))
		r, err := Parse(props)
		if err != nil {
			return
		}
		b := &box{rules: map[mapi.FID][]Rule{inbox: {r}}}
		if _, err := Evaluate(received(""), b.situation()); err != nil {
			t.Error(err)
		}
	})
}
