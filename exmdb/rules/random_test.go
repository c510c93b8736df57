package rules

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// drawRule draws a rule of any state, condition and actions.
func drawRule(t *rapid.T, id uint64) Rule {
	folder := rapid.SampledFrom([]mapi.FID{inbox, fA, fB, fC, 999})
	condition := rapid.SampledFrom([]mapi.Restriction{nil, subjectHas("offer"), subjectHas("bill"), is(mapi.PidTagImportance, mapi.Integer32(2))})
	action := rapid.Custom(func(t *rapid.T) mapi.RuleAction {
		switch rapid.IntRange(0, 9).Draw(t, "action") {
		case 0:
			return moveTo(folder.Draw(t, "folder"))
		case 1:
			return copyTo(folder.Draw(t, "folder"))
		case 2:
			var to []string
			for i := range rapid.IntRange(1, MaxRecipients).Draw(t, "recipients") {
				to = append(to, fmt.Sprintf("u%d.%d@far.test", id, i))
			}
			return forwardTo(to...)
		case 3:
			return setTag(mapi.PidTagImportance, mapi.Integer32(rapid.IntRange(0, 2).Draw(t, "importance")))
		}
		return rapid.SampledFrom([]mapi.RuleAction{markRead, remove, reply, oofReply, bounce, deferIt}).Draw(t, "simple")
	})
	return Rule{ID: id, Sequence: int32(rapid.IntRange(-2, 5).Draw(t, "sequence")), Provider: "P",
		State:     State(rapid.Uint32Range(0, 0xFF).Draw(t, "state")),
		Condition: condition.Draw(t, "condition"), Actions: rapid.SliceOfN(action, 0, 4).Draw(t, "actions")}
}

func drawBox(t *rapid.T) *box {
	b := &box{away: rapid.Bool().Draw(t, "away"), rules: map[mapi.FID][]Rule{}, answered: map[uint64]bool{}}
	id := uint64(0)
	for _, f := range []mapi.FID{inbox, fA, fB} {
		for range rapid.IntRange(0, 6).Draw(t, "rules") {
			id++
			b.rules[f] = append(b.rules[f], drawRule(t, id))
			b.answered[id] = rapid.Bool().Draw(t, "answered")
		}
	}
	return b
}

// TestEvaluationHoldsTheInvariants: order, exits, nothing of a rule that is not for now, caps, each place once.
func TestEvaluationHoldsTheInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBox(t)
		p, err := Evaluate(received(""), b.situation())
		if err != nil {
			t.Fatal(err)
		}
		byID := map[uint64]Rule{}
		for _, list := range b.rules {
			for _, r := range list {
				byID[r.ID] = r
			}
		}
		checkFired(t, b, p, byID)
		recipients := 0
		for _, s := range p.Sends {
			recipients += len(s.To)
			if !fired(p, s.Rule) {
				t.Fatalf("rule %d sends and was not met", s.Rule.ID)
			}
		}
		if recipients > MaxRecipients || len(p.Sends) > maxSends+1 { // a bounce is always sent
			t.Fatalf("%d things for %d recipients", len(p.Sends), recipients)
		}
		for i, f := range p.Places {
			if names[f] == "" || slices.Contains(p.Places[:i], f) {
				t.Fatalf("places %v", p.Places)
			}
		}
		again, err := Evaluate(received(""), b.situation())
		if err != nil || told(again) != told(p) {
			t.Fatalf("once %s, once %s, %v", told(p), told(again), err)
		}
	})
}

// checkFired holds, folder by folder, that the rules which were met come in order, none of them behind the end of its
// level, and none that is not for now.
func checkFired(t *rapid.T, b *box, p *Plan, byID map[uint64]Rule) {
	type level struct {
		last  Rule
		ended bool
	}
	levels := map[mapi.FID]*level{}
	for _, ref := range p.Fired {
		r := byID[ref.ID]
		l := levels[ref.Folder]
		if l == nil {
			l = &level{last: Rule{Sequence: -100}}
			levels[ref.Folder] = l
		}
		switch {
		case r.State&(Enabled|OnlyWhenOOF) == 0, r.State&ParseError != 0, r.State&OnlyWhenOOF != 0 && (!b.away || r.State&DisabledOOF != 0):
			t.Fatalf("rule %d of state %#x was met", r.ID, r.State)
		case r.State&KeepOOFHistory != 0 && answersOOF(&r) && b.answered[r.ID]:
			t.Fatalf("rule %d has answered before", r.ID)
		case l.ended && r.State&OnlyWhenOOF == 0:
			t.Fatalf("rule %d is behind the end of its level", r.ID)
		case r.Sequence < l.last.Sequence, r.Sequence == l.last.Sequence && r.ID <= l.last.ID:
			t.Fatalf("rule %d came behind %d", r.ID, l.last.ID)
		}
		bounces := slices.ContainsFunc(r.Actions, func(a mapi.RuleAction) bool { return a.Type == mapi.ActionBounce })
		if last := len(p.Sends) - 1; bounces && (len(p.Places) > 0 || last < 0 || p.Sends[last].Action.Type != mapi.ActionBounce) {
			t.Fatalf("something behind the bounce of rule %d, or places %v", r.ID, p.Places)
		}
		l.last, l.ended = r, l.ended || r.State&ExitLevel != 0
	}
}

func fired(p *Plan, ref RuleRef) bool { return slices.Contains(p.Fired, ref) }
