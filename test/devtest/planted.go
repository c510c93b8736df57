package devtest

import (
	"github.com/flotilla-mail/flotilla/internal/planted"
	"github.com/flotilla-mail/flotilla/internal/selftest/history"
)

// Breaks are the promises that a planted bug breaks. What is lost may show as a UID that is used again before it is missed.
func Breaks(bug planted.Bug) []history.Rule {
	switch bug {
	case planted.EarlyAnswer:
		return []history.Rule{history.RuleOnce, history.RuleUID, history.RuleChange, history.RuleOrder}
	case planted.NoSequence:
		return []history.Rule{history.RuleOnce, history.RuleUID, history.RuleChange, history.RuleOrder, history.RuleTold}
	case planted.SameUID:
		return []history.Rule{history.RuleUID}
	case planted.LostNotification:
		return []history.Rule{history.RuleTold}
	}
	return nil
}
