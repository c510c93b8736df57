package storescript

import (
	"errors"
	"fmt"
	"strings"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/inspect"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

var ruleCommands = []command{
	{"rule", -2, "rule PATH NAME [if=(R)] [then=move:PATH,copy:PATH,delete,read,tag:PROP=VALUE,forward:ADDRESS,delegate:ADDRESS,reply:MESSAGE,oofreply:MESSAGE,bounce,defer] [last=yes] [sequence=N] [extended=yes]", false, (*run).addRule},
	{"rules", 1, "rules PATH: in words", false, (*run).rules},
	{"norules", 1, "norules PATH", false, (*run).noRules},
	{"oof", 1, "oof on|off [inside=TEXT] [outside=TEXT]", false, (*run).oof},
	{"junk", 1, "junk block:ENTRY|safe:ENTRY", false, (*run).junk},
}

func (r *run) addRule() error {
	fid, err := r.folder(r.cmd.words[0])
	if err != nil {
		return err
	}
	condition, err := parseRestriction(r.cmd.text("if", ""))
	sequence, err2 := r.number("sequence", 10)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	var actions []mapi.RuleAction
	for _, text := range r.cmd.list("then") {
		a, err := r.ruleAction(text)
		if err != nil {
			return err
		}
		actions = append(actions, a)
	}
	state := rules.Enabled
	if r.cmd.is("last") {
		state |= rules.ExitLevel
	}
	if r.cmd.is("extended") {
		return r.addExtended(fid, condition, actions, state, sequence)
	}
	value, err := oxcdata.RuleActionsValue(actions)
	if err != nil {
		return mistakeError{err}
	}
	var bag mapi.PropBag
	bag.Set(mapi.PidTagRuleName, mapi.String(r.cmd.words[1]))
	bag.Set(mapi.PidTagRuleProvider, mapi.String("RuleOrganizer"))
	bag.Set(mapi.PidTagRuleSequence, mapi.Integer32(sequence))
	bag.Set(mapi.PidTagRuleState, mapi.Integer32(state))
	bag.Set(mapi.PidTagRuleActions, value)
	if condition != nil {
		bag.Set(mapi.PidTagRuleCondition, oxcdata.RestrictionValue(condition))
	}
	_, err = do(r, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: fid, Changes: []exmdb.RuleChange{{Kind: exmdb.RuleAdd, Props: bag}}})
	return err
}

// addExtended adds a rule that is a message (MS-OXORULE 2.2.4).
func (r *run) addExtended(fid mapi.FID, condition mapi.Restriction, actions []mapi.RuleAction, state rules.State, sequence int) error {
	what, err := oxcdata.ExtendedCondition{Restriction: condition}.Append(nil)
	then, err2 := oxcdata.ExtendedActions{Actions: actions}.Append(nil)
	if err := errors.Join(err, err2); err != nil {
		return mistakeError{err}
	}
	var bag mapi.PropBag
	bag.Set(mapi.PidTagMessageClass, mapi.String(rules.ExtendedClass))
	bag.Set(mapi.PidTagRuleMessageName, mapi.String(r.cmd.words[1]))
	bag.Set(mapi.PidTagRuleMessageProvider, mapi.String("RuleOrganizer"))
	bag.Set(mapi.PidTagRuleMessageState, mapi.Integer32(state))
	bag.Set(mapi.PidTagRuleMessageSequence, mapi.Integer32(sequence))
	bag.Set(mapi.PidTagExtendedRuleMessageCondition, mapi.Binary(what))
	bag.Set(mapi.PidTagExtendedRuleMessageActions, mapi.Binary(then))
	_, err = do(r, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: fid, Associated: true, Message: exmdb.MessageEdit{Set: bag}})
	return err
}

func (r *run) ruleAction(text string) (mapi.RuleAction, error) {
	what, arg, _ := strings.Cut(text, ":")
	switch what {
	case "move", "copy":
		fid, err := r.folder(arg)
		kind := map[string]mapi.ActionType{"move": mapi.ActionMove, "copy": mapi.ActionCopy}[what]
		return mapi.RuleAction{Type: kind, Data: &mapi.MoveAction{InThisStore: true, Folder: oxcdata.ServerIDValue(mapi.ServerID{Ours: true, FID: fid})}}, err
	case "tag":
		bag, err := parseBag([]string{arg})
		if err != nil {
			return mapi.RuleAction{}, err
		}
		return mapi.RuleAction{Type: mapi.ActionTag, Data: &mapi.TagAction{Prop: bag.All()[0]}}, nil
	case "forward", "delegate":
		kind := map[string]mapi.ActionType{"forward": mapi.ActionForward, "delegate": mapi.ActionDelegate}[what]
		return mapi.RuleAction{Type: kind, Data: forwardTo(strings.Split(arg, "+"))}, nil
	case "reply", "oofreply":
		mid, err := r.message(arg)
		kind := map[string]mapi.ActionType{"reply": mapi.ActionReply, "oofreply": mapi.ActionOOFReply}[what]
		return mapi.RuleAction{Type: kind, Data: &mapi.ReplyAction{MID: mid}}, err
	case "bounce":
		return mapi.RuleAction{Type: mapi.ActionBounce, Data: mapi.BounceAction(mapi.BounceDeliveryRejected)}, nil
	case "defer":
		return mapi.RuleAction{Type: mapi.ActionDefer, Data: mapi.DeferAction("the client's")}, nil
	case "delete":
		return mapi.RuleAction{Type: mapi.ActionDelete}, nil
	case "read":
		return mapi.RuleAction{Type: mapi.ActionMarkAsRead}, nil
	}
	return mapi.RuleAction{}, mistake("no action %q", text)
}

// forwardTo are recipients of a rule's action; N*ADDRESS is so many numbered ones.
func forwardTo(addresses []string) mapi.ForwardAction {
	var to mapi.ForwardAction
	for _, a := range addresses {
		n := 1
		if _, err := fmt.Sscanf(a, "%d*", &n); err == nil {
			_, a, _ = strings.Cut(a, "*")
		}
		for i := range n {
			address := a
			if n > 1 {
				address = fmt.Sprintf("%d.%s", i, a)
			}
			to = append(to, []mapi.Prop{{Tag: mapi.PidTagDisplayName, Value: mapi.String(address)}, {Tag: mapi.PidTagAddressType, Value: mapi.String("SMTP")},
				{Tag: mapi.PidTagEmailAddress, Value: mapi.String(address)}, {Tag: mapi.PidTagRecipientType, Value: mapi.Integer32(1)}})
		}
	}
	return to
}

func (r *run) rules() error {
	v, err := r.look().Show(r.cmd.ctx, "rules", inspect.Query{Folder: r.cmd.words[0]})
	if err != nil {
		return err
	}
	for _, x := range v.(*inspect.Rules).Rules {
		r.say("%s (%s): if %s then %s", x.Name, strings.Join(x.State, ", "), x.Condition, strings.Join(x.Actions, "; "))
	}
	return nil
}

func (r *run) noRules() error {
	fid, err := r.folder(r.cmd.words[0])
	if err != nil {
		return err
	}
	_, err = do(r, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: fid, Replace: true})
	return err
}

func (r *run) oof() error {
	s := &exmdb.OOFSettings{Audience: exmdb.OOFAll, Internal: exmdb.ReplyText{Plain: r.cmd.text("inside", "")}, External: exmdb.ReplyText{Plain: r.cmd.text("outside", "")}}
	if r.cmd.words[0] == "on" {
		s.State = exmdb.OOFEnabled
	}
	_, err := do(r, exmdb.OpSetOOF, s)
	return err
}

func (r *run) junk() error {
	what, entry, _ := strings.Cut(r.cmd.words[0], ":")
	list, ok := map[string]exmdb.JunkList{"block": exmdb.JunkBlocked, "safe": exmdb.JunkSafeSenders}[what]
	if !ok {
		return mistake("no list %q", what)
	}
	_, err := do(r, exmdb.OpSetJunk, &exmdb.SetJunkRequest{Add: []exmdb.JunkEntry{{List: list, Entry: entry}}})
	return err
}
