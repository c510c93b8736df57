package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// The folders of the tests.
const (
	inbox = mapi.FID(1)<<48 | 0x0D
	fA    = mapi.FID(1)<<48 | 0x100
	fB    = mapi.FID(1)<<48 | 0x101
	fC    = mapi.FID(1)<<48 | 0x102
)

var names = map[mapi.FID]string{inbox: "Inbox", fA: "A", fB: "B", fC: "C"}

const plainHeader = "From: Bob <bob@elsewhere.test>\r\nTo: Anna <anna@example.test>\r\nSubject: Re: the offer\r\nMessage-ID: <1@x>\r\n"

// received is a mail to Anna with more fields than the plain ones.
func received(fields string) *Mail { return receivedAs("bob@elsewhere.test", plainHeader+fields) }

func receivedAs(from, header string) *Mail {
	octets := []byte(header + "\r\nThe text of it.\r\n")
	return &Mail{Props: new(mapi.PropBag), Digest: mime.MarshalDigest(mime.Scan(octets)), Header: []byte(header), From: from, Size: uint64(len(octets)),
		About: exmdb.Circumstances{Own: []string{"anna@example.test", "a.n@example.test"}, Name: "Anna"},
		Body:  func() string { return "The text of it.\r\n" }}
}

func subjectHas(s string) mapi.Restriction {
	return &mapi.ContentRestriction{Fuzzy: mapi.FuzzySubstring | mapi.FuzzyIgnoreCase, Tag: mapi.PidTagSubject,
		Value: mapi.Prop{Tag: mapi.PidTagSubject, Value: mapi.String(s)}}
}

func is(t mapi.Tag, v mapi.Value) mapi.Restriction {
	return &mapi.PropertyRestriction{Op: mapi.RelOpEQ, Tag: t, Value: mapi.Prop{Tag: t, Value: v}}
}

func moveTo(f mapi.FID) mapi.RuleAction {
	return mapi.RuleAction{Type: mapi.ActionMove, Data: &mapi.MoveAction{InThisStore: true, StoreEID: []byte{}, Folder: oxcdata.ServerIDValue(mapi.ServerID{Ours: true, FID: f})}}
}

func copyTo(f mapi.FID) mapi.RuleAction {
	a := moveTo(f)
	a.Type = mapi.ActionCopy
	return a
}

func setTag(t mapi.Tag, v mapi.Value) mapi.RuleAction {
	return mapi.RuleAction{Type: mapi.ActionTag, Data: &mapi.TagAction{Prop: mapi.Prop{Tag: t, Value: v}}}
}

func smtp(address string) []mapi.Prop {
	return []mapi.Prop{{Tag: mapi.PidTagSmtpAddress, Value: mapi.String(address)}}
}

func forwardTo(addresses ...string) mapi.RuleAction {
	var data mapi.ForwardAction
	for _, a := range addresses {
		data = append(data, smtp(a))
	}
	return mapi.RuleAction{Type: mapi.ActionForward, Data: data}
}

var (
	markRead = mapi.RuleAction{Type: mapi.ActionMarkAsRead}
	remove   = mapi.RuleAction{Type: mapi.ActionDelete}
	reply    = mapi.RuleAction{Type: mapi.ActionReply, Data: &mapi.ReplyAction{FID: inbox, MID: 7}}
	oofReply = mapi.RuleAction{Type: mapi.ActionOOFReply, Data: &mapi.ReplyAction{FID: inbox, MID: 8}}
	bounce   = mapi.RuleAction{Type: mapi.ActionBounce, Data: mapi.BounceAction(mapi.BounceDeliveryRejected)}
	deferIt  = mapi.RuleAction{Type: mapi.ActionDefer, Data: mapi.DeferAction{1}}
)

func rule(id uint64, state State, condition mapi.Restriction, actions ...mapi.RuleAction) Rule {
	return Rule{ID: id, Sequence: int32(id), State: state | Enabled, Provider: "P", Condition: condition, Actions: actions}
}

// box is a mailbox of the tests.
type box struct {
	rules    map[mapi.FID][]Rule
	away     bool
	answered map[uint64]bool
	// rights are those of the one author who is not the mailbox.
	rights map[mapi.FID]exmdb.FolderRights
	err    error
}

func (b *box) situation() *Situation {
	return &Situation{Folder: inbox, Away: b.away,
		Rules: func(f mapi.FID) ([]Rule, error) { return Order(b.rules[f]), b.err },
		Target: func(m *mapi.MoveAction) (mapi.FID, bool, error) {
			id, err := oxcdata.ServerIDOf(m.Folder)
			return id.FID, err == nil && names[id.FID] != "", nil
		},
		Answered: func(r RuleRef) (bool, error) { return b.answered[r.ID], nil },
		May: func(_ *exmdb.Identity, f mapi.FID, of exmdb.FolderRights) (bool, error) {
			return b.rights[f]&of != 0, b.err
		},
	}
}

// told is a plan in words.
func told(p *Plan) string {
	var s []string
	for _, f := range p.Places {
		s = append(s, names[f])
	}
	if p.Read {
		s = append(s, "read")
	}
	for _, t := range p.Tags {
		s = append(s, fmt.Sprintf("%04X=%v", t.Tag.ID(), t.Value))
	}
	for _, x := range p.Sends {
		verb := map[mapi.ActionType]string{mapi.ActionForward: "forward", mapi.ActionDelegate: "delegate", mapi.ActionReply: "reply",
			mapi.ActionOOFReply: "away", mapi.ActionBounce: "bounce"}[x.Action.Type]
		for _, to := range x.To {
			verb += ":" + to.Address + to.DN
		}
		s = append(s, verb)
	}
	for _, d := range p.Deferred {
		s = append(s, fmt.Sprintf("defer(%d)", d.Rule.ID))
	}
	for _, f := range p.Failures {
		s = append(s, fmt.Sprintf("failed(%d.%d,%d)", f.Rule.ID, f.Number, f.Code))
	}
	for _, h := range p.Held {
		s = append(s, fmt.Sprintf("held(%s)", h.Why))
	}
	return strings.Join(s, " ")
}

func TestEvaluate(t *testing.T) {
	offer := subjectHas("OFFER")
	far := forwardTo("x@far.test", "y@far.test")
	elsewhere := mapi.RuleAction{Type: mapi.ActionMove, Data: &mapi.MoveAction{StoreEID: []byte{1}, Folder: []byte{2}}}
	for name, c := range map[string]struct {
		rules  map[mapi.FID][]Rule
		away   bool
		fields string
		want   string
	}{
		"no rules":                      {nil, false, "", "Inbox"},
		"a condition that is not met":   {map[mapi.FID][]Rule{inbox: {rule(1, 0, subjectHas("bill"), moveTo(fA))}}, false, "", "Inbox"},
		"moved":                         {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, moveTo(fA))}}, false, "", "A"},
		"without a condition":           {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, moveTo(fA))}}, false, "", "A"},
		"copied":                        {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, copyTo(fA))}}, false, "", "A Inbox"},
		"several copies":                {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, moveTo(fA), moveTo(fB)), rule(2, 0, nil, copyTo(fC), copyTo(fA))}}, false, "", "A B C"},
		"deleted":                       {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, remove)}}, false, "", ""},
		"copied and deleted":            {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, remove, copyTo(fB))}}, false, "", "B"},
		"read":                          {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, markRead)}}, false, "", "Inbox read"},
		"tagged, the last value counts": {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, setTag(mapi.PidTagImportance, mapi.Integer32(2))), rule(2, 0, offer, setTag(mapi.PidTagImportance, mapi.Integer32(0)))}}, false, "", "Inbox 0017=0"},
		"a rule sees what an earlier one tagged": {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, setTag(mapi.PidTagImportance, mapi.Integer32(2))),
			rule(2, 0, is(mapi.PidTagImportance, mapi.Integer32(2)), moveTo(fB))}}, false, "", "B 0017=2"},
		"disabled": {map[mapi.FID][]Rule{inbox: {{ID: 1, Actions: []mapi.RuleAction{remove}}}}, false, "", "Inbox"},
		"for the time out of office, enabled by that": {map[mapi.FID][]Rule{inbox: {{ID: 1, State: OnlyWhenOOF, Actions: []mapi.RuleAction{remove}}}}, true, "", ""},
		"for the time out of office, turned off":      {map[mapi.FID][]Rule{inbox: {rule(1, OnlyWhenOOF|DisabledOOF, nil, remove)}}, true, "", "Inbox"},
		"with a parse error":                          {map[mapi.FID][]Rule{inbox: {rule(1, ParseError, nil, remove)}}, false, "", "Inbox"},
		"with an error before":                        {map[mapi.FID][]Rule{inbox: {rule(1, Error, nil, moveTo(fA))}}, false, "", "A"},
		"exit":                                        {map[mapi.FID][]Rule{inbox: {rule(1, ExitLevel, offer, copyTo(fA)), rule(2, 0, nil, remove)}}, false, "", "A Inbox"},
		"exit of a rule that is not met":              {map[mapi.FID][]Rule{inbox: {rule(1, ExitLevel, subjectHas("bill"), copyTo(fA)), rule(2, 0, nil, copyTo(fB))}}, false, "", "B Inbox"},
		"behind an exit, out of office":               {map[mapi.FID][]Rule{inbox: {rule(1, ExitLevel, offer, copyTo(fA)), rule(2, OnlyWhenOOF, nil, copyTo(fB)), rule(3, 0, nil, copyTo(fC))}}, true, "", "A B Inbox"},
		"out of office, when he is not":               {map[mapi.FID][]Rule{inbox: {rule(1, OnlyWhenOOF, nil, copyTo(fB))}}, false, "", "Inbox"},
		"a target that is not there":                  {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, moveTo(999), copyTo(fB))}}, false, "", "B Inbox failed(1.0,6)"},
		"into another store":                          {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, elsewhere)}}, false, "", "Inbox defer(1)"},
		"for the client":                              {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, deferIt, markRead)}}, false, "", "Inbox read defer(1)"},
		"moved on":                                    {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, moveTo(fA))}, fA: {rule(1, 0, nil, moveTo(fB))}}, false, "", "B"},
		"a copy is not moved on":                      {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, copyTo(fA))}, fA: {rule(1, 0, nil, moveTo(fB))}}, false, "", "A Inbox"},
		"moved in a circle":                           {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, moveTo(fA))}, fA: {rule(1, 0, nil, moveTo(fB))}, fB: {rule(1, 0, nil, moveTo(inbox))}}, false, "", "Inbox"},
		"moved to where it is":                        {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, moveTo(inbox), markRead)}}, false, "", "Inbox read"},
		"the exit of a folder is its own":             {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, moveTo(fA)), rule(2, 0, nil, copyTo(fC))}, fA: {rule(1, ExitLevel, nil, markRead), rule(2, 0, nil, moveTo(fB))}}, false, "", "A C read"},
		"forwarded":                                   {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, far)}}, false, "", "Inbox forward:x@far.test:y@far.test"},
		"forwarded and deleted":                       {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, far, remove)}}, false, "", "forward:x@far.test:y@far.test"},
		"each recipient once, not himself":            {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, forwardTo("x@far.test", "X@FAR.test", "A.N@example.test"))}}, false, "", "Inbox forward:x@far.test"},
		"only to himself":                             {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, forwardTo("anna@example.test"))}}, false, "", "Inbox"},
		"delegated":                                   {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, mapi.RuleAction{Type: mapi.ActionDelegate, Data: far.Data}, remove)}}, false, "", "delegate:x@far.test:y@far.test"},
		"forwarded before":                            {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, far, markRead)}}, false, LoopField + ": Anna@Example.test\r\n", "Inbox read held(" + string(ReasonLoop) + ")"},
		"forwarded by another before":                 {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, forwardTo("x@far.test"))}}, false, LoopField + ": carl@example.test\r\n", "Inbox forward:x@far.test"},
		"forwarded by three before":                   {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, far)}}, false, strings.Repeat(LoopField+": o@example.test\r\n", 3), "Inbox held(" + string(ReasonLoop) + ")"},
		"many hops":                                   {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, far)}}, false, strings.Repeat("Received: from a\r\n\tby b; now\r\n", maxHops+1), "Inbox held(" + string(ReasonHops) + ")"},
		"a forward that names nobody":                 {map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, mapi.RuleAction{Type: mapi.ActionForward, Data: mapi.ForwardAction{{}, smtp("x@far.test")}})}}, false, "", "Inbox forward:x@far.test failed(1.0,13)"},
		"answered":                                    {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, reply)}}, false, "", "Inbox reply"},
		"a machine is not answered":                   {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, reply)}}, false, "Auto-Submitted: auto-replied\r\n", "Inbox held(" + string(ReasonAutomatic) + ")"},
		"told once":                                   {map[mapi.FID][]Rule{inbox: {rule(1, OnlyWhenOOF, nil, oofReply), rule(2, OnlyWhenOOF, nil, oofReply)}}, true, "", "Inbox away held(" + string(ReasonAnswered) + ")"},
		"bounced":                                     {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, copyTo(fA), bounce, markRead), rule(2, 0, nil, far)}}, false, "", "bounce"},
		"bounced where it was moved":                  {map[mapi.FID][]Rule{inbox: {rule(1, 0, offer, moveTo(fA)), rule(2, 0, nil, far)}, fA: {rule(1, 0, nil, bounce)}}, false, "", "bounce"},
	} {
		b := &box{rules: c.rules, away: c.away}
		p, err := Evaluate(received(c.fields), b.situation())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := told(p); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestWhatCameFromNobodyDoesNotGoBack(t *testing.T) {
	b := &box{rules: map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, bounce), rule(2, 0, nil, forwardTo("x@far.test"), reply)}}}
	p, err := Evaluate(receivedAs("", plainHeader), b.situation())
	if err != nil {
		t.Fatal(err)
	}
	want := "Inbox forward:x@far.test held(null reverse-path) held(null reverse-path)"
	if got := told(p); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAMailThatCannotBeLookedAtMakesNothing(t *testing.T) {
	b := &box{rules: map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, forwardTo("x@far.test"), reply, moveTo(fA))}}}
	m := received("")
	m.Header = nil
	p, err := Evaluate(m, b.situation())
	if err != nil || told(p) != "A held("+string(ReasonUnreadable)+") held("+string(ReasonUnreadable)+")" {
		t.Errorf("%s, %v", told(p), err)
	}
	m = received("")
	m.About.Own = nil
	if p, err = Evaluate(m, b.situation()); err != nil || len(p.Sends) != 0 || p.Held[0].Why != ReasonUnknown {
		t.Errorf("%s, %v", told(p), err)
	}
}

func TestAKeptHistoryKeepsARuleFromBeingLookedAt(t *testing.T) {
	b := &box{away: true, answered: map[uint64]bool{1: true},
		rules: map[mapi.FID][]Rule{inbox: {rule(1, OnlyWhenOOF|KeepOOFHistory|ExitLevel, nil, oofReply), rule(2, OnlyWhenOOF|KeepOOFHistory, nil, oofReply), rule(3, 0, nil, markRead)}}}
	p, err := Evaluate(received(""), b.situation())
	if err != nil || told(p) != "Inbox read away" || p.Sends[0].Rule.ID != 2 {
		t.Errorf("%s, %v", told(p), err)
	}
}

func TestSafeMailSkipsRulesThatSayso(t *testing.T) {
	b := &box{rules: map[mapi.FID][]Rule{inbox: {rule(1, SkipIfSCLIsSafe, nil, moveTo(fA))}}}
	m := received("X-MS-Exchange-Organization-SCL: -1\r\n")
	if p, err := Evaluate(m, b.situation()); err != nil || told(p) != "A" {
		t.Errorf("a header is believed: %s, %v", told(p), err)
	}
	m = received("")
	m.Props.Set(mapi.PidTagContentFilterSpamConfidenceLevel, mapi.Integer32(-1))
	if p, err := Evaluate(m, b.situation()); err != nil || told(p) != "Inbox" {
		t.Errorf("%s, %v", told(p), err)
	}
}

func TestNoMoreRecipientsThanAllowed(t *testing.T) {
	many := func(n, from int) mapi.RuleAction {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("u%d@far.test", from+i))
		}
		return forwardTo(list...)
	}
	b := &box{rules: map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, many(200, 0)), rule(2, 0, nil, many(100, 200)), rule(3, 0, nil, many(1, 300))}}}
	p, err := Evaluate(received(""), b.situation())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Sends) != 2 || len(p.Sends[0].To) != 200 || len(p.Sends[1].To) != 56 || len(p.Failures) != 2 {
		t.Errorf("%d sends, %d failures", len(p.Sends), len(p.Failures))
	}
	var lots []Rule
	for i := range maxSends + 5 {
		lots = append(lots, rule(uint64(i+1), 0, nil, many(1, i)))
	}
	b.rules[inbox] = lots
	if p, err = Evaluate(received(""), b.situation()); err != nil || len(p.Sends) != maxSends || len(p.Held) != 5 {
		t.Errorf("%d sends, %d held, %v", len(p.Sends), len(p.Held), err)
	}
}

func TestErrorsOfTheMailboxEndAnEvaluation(t *testing.T) {
	broken := errors.New("broken")
	b := &box{err: broken}
	if _, err := Evaluate(received(""), b.situation()); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	b = &box{away: true, rules: map[mapi.FID][]Rule{inbox: {rule(1, OnlyWhenOOF|KeepOOFHistory, nil, oofReply)}}}
	s := b.situation()
	s.Answered = func(RuleRef) (bool, error) { return false, broken }
	if _, err := Evaluate(received(""), s); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	b = &box{rules: map[mapi.FID][]Rule{inbox: {rule(1, 0, nil, moveTo(fA))}}}
	s = b.situation()
	s.Target = func(*mapi.MoveAction) (mapi.FID, bool, error) { return 0, false, broken }
	if _, err := Evaluate(received(""), s); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

func TestOrder(t *testing.T) {
	var list []Rule
	for i := range MaxExtended + 5 {
		list = append(list, Rule{ID: uint64(100 + i), Sequence: 5, Extended: true})
	}
	list = append(list, Rule{ID: 9, Sequence: 5}, Rule{ID: 8, Sequence: 5}, Rule{ID: 1, Sequence: 7}, Rule{ID: 500, Sequence: -1, Extended: true})
	got := Order(list)
	if len(got) != MaxExtended+3 || got[0].ID != 500 || got[1].ID != 8 || got[2].ID != 9 || got[len(got)-1].ID != 1 {
		t.Errorf("%d rules: %v", len(got), got)
	}
	if !slices.IsSortedFunc(got[3:len(got)-1], func(a, b Rule) int { return int(a.ID) - int(b.ID) }) {
		t.Errorf("%v", got)
	}
	if list[0].ID != 100 {
		t.Error("the list that was given has changed")
	}
}
