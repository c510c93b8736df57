package store

import (
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// automation is what the mailbox does by itself; of a new mailbox it is the zero record.
func (v *view) automation() (*schema.Automation, error) {
	a := new(schema.Automation)
	if v.counters.Plain {
		return a, nil
	}
	_, err := load(v.r, schema.AutomationKey(), a)
	return a, err
}

func (t *tx) setAutomation(a *schema.Automation) {
	t.counters.Plain = false
	t.set(schema.AutomationKey(), a)
}

// standardRules are the standard rules of a folder.
func (v *view) standardRules(fid mapi.FID) (*schema.Rules, error) {
	list := new(schema.Rules)
	_, err := load(v.r, schema.RulesKey(fid), list)
	return list, err
}

// getRules is OpGetRules: the rules table of a folder (MS-OXORULE 3.2.5.3).
func getRules(v *view, req *exmdb.GetRulesRequest) (*exmdb.GetRulesResponse, error) {
	if _, err := v.folderCounts(req.Folder); err != nil {
		return nil, err
	}
	list, err := v.standardRules(req.Folder)
	return &exmdb.GetRulesResponse{Rules: list.Rules, Sequence: v.r.Sequence()}, err
}

// modifyRules is OpModifyRules (MS-OXORULE 3.2.5.2): all of the changes or none.
func modifyRules(t *tx, req *exmdb.ModifyRulesRequest) (*exmdb.ModifyRulesResponse, error) {
	if _, err := t.folderCounts(req.Folder); err != nil {
		return nil, err
	}
	list, err := t.standardRules(req.Folder)
	if err != nil {
		return nil, err
	}
	a, err := t.automation()
	if err != nil {
		return nil, err
	}
	had := len(list.Rules) > 0
	if req.Replace {
		list.Rules, list.Authors = nil, nil
	}
	resp := &exmdb.ModifyRulesResponse{}
	for i := range req.Changes {
		c := &req.Changes[i]
		if req.Replace && c.Kind != exmdb.RuleAdd {
			return nil, cluster.Errorf(cluster.KindBadRequest, "change %d of kind %d replaces nothing", i, c.Kind)
		}
		r, err := changeRule(list, a, c)
		if err != nil {
			return nil, err
		}
		if err := t.sign(list, c, &r); err != nil {
			return nil, err
		}
		resp.IDs = append(resp.IDs, r.ID)
	}
	return resp, t.setRules(req.Folder, list, a, had)
}

// changeRule makes one change of a folder's rules and returns its rule; of one that is removed, the id.
func changeRule(list *schema.Rules, a *schema.Automation, c *exmdb.RuleChange) (r rules.Rule, err error) {
	if err := checkRuleProps(&c.Props); err != nil {
		return r, err
	}
	id, given := c.Props.Get(mapi.PidTagRuleId).(mapi.Integer64)
	at := slices.IndexFunc(list.Rules, func(b mapi.PropBag) bool { return b.Get(mapi.PidTagRuleId) == id })
	switch {
	case c.Kind == exmdb.RuleAdd && given:
		return r, cluster.Errorf(cluster.KindBadRequest, "a new rule has no id yet")
	case c.Kind == exmdb.RuleAdd:
		a.LastRule++
		bag := mapi.PropBag{}
		bag.Set(mapi.PidTagRuleId, mapi.Integer64(a.LastRule))
		list.Rules = append(list.Rules, bag)
		at = len(list.Rules) - 1
	case c.Kind != exmdb.RuleModify && c.Kind != exmdb.RuleRemove:
		return r, cluster.Errorf(cluster.KindBadRequest, "rule change of kind %d", c.Kind)
	case !given || at < 0:
		return r, cluster.Errorf(exmdb.KindNoRule, "no rule %d in the folder", id)
	case c.Kind == exmdb.RuleRemove:
		list.Rules = slices.Delete(list.Rules, at, at+1)
		return rules.Rule{ID: uint64(id)}, nil
	}
	return writeRule(&list.Rules[at], &c.Props)
}

// writeRule gives a rule properties. What the store alone may say of it is not a client's to set (MS-OXORULE
// 2.2.1.3.1.3), and a rule that was changed has shown no error yet.
func writeRule(bag, values *mapi.PropBag) (r rules.Rule, err error) {
	for _, p := range values.All() {
		deleteID(bag, p.Tag)
		bag.Set(p.Tag, p.Value)
	}
	if state, ok := bag.Get(mapi.PidTagRuleState).(mapi.Integer32); ok {
		bag.Set(mapi.PidTagRuleState, state&^mapi.Integer32(rules.Error|rules.ParseError))
	}
	if _, ok := bag.Get(mapi.PidTagRuleActions).(mapi.Opaque); !ok {
		return r, cluster.Errorf(cluster.KindBadRequest, "a rule without actions")
	}
	r, err = rules.Parse(bag)
	switch {
	case errors.Is(err, rules.ErrRuleLimit):
		return r, cluster.Errorf(exmdb.KindRuleLimit, "rule %q: %v", r.Name, err)
	case err != nil:
		return r, cluster.Errorf(cluster.KindBadRequest, "rule %q: %v", r.Name, err)
	case r.Provider == "":
		return r, cluster.Errorf(cluster.KindBadRequest, "rule %q has no provider", r.Name)
	}
	return r, nil
}

// ruleProps are the properties that a standard rule may have (MS-OXORULE 2.2.1.3.1).
var ruleProps = []mapi.Tag{mapi.PidTagRuleId, mapi.PidTagRuleSequence, mapi.PidTagRuleState, mapi.PidTagRuleUserFlags, mapi.PidTagRuleLevel,
	mapi.PidTagRuleName, mapi.PidTagRuleProvider, mapi.PidTagRuleProviderData, mapi.PidTagRuleCondition, mapi.PidTagRuleActions}

func checkRuleProps(props *mapi.PropBag) error {
	for _, p := range props.All() {
		known := slices.ContainsFunc(ruleProps, func(t mapi.Tag) bool { return t.ID() == p.Tag.ID() && sameValue(t.Type(), p.Tag.Type()) })
		if _, long := p.Value.(mapi.Reference); !known || long {
			return cluster.Errorf(cluster.KindBadRequest, "property %v is none of a rule", p.Tag)
		}
	}
	return nil
}

// setRules writes a folder's rules, and whether it has any.
func (t *tx) setRules(fid mapi.FID, list *schema.Rules, a *schema.Automation, had bool) error {
	has := len(list.Rules) > 0
	size := 0
	for i := range list.Rules {
		size += len(list.Rules[i].AppendWire(nil))
	}
	for i := range list.Authors {
		size += len(wire.Marshal(&list.Authors[i]))
	}
	if len(list.Rules) > rules.MaxRules || size > rules.MaxRuleBytes {
		return cluster.Errorf(exmdb.KindRuleLimit, "%d rules of %d bytes; %d of %d at most", len(list.Rules), size, rules.MaxRules, rules.MaxRuleBytes)
	}
	a.Version = rand.Uint64()
	switch {
	case has && !had:
		a.Folders++
	case had && !has:
		a.Folders--
	}
	t.setAutomation(a)
	if !has {
		t.w.Delete(schema.RulesKey(fid))
		return nil
	}
	t.set(schema.RulesKey(fid), list)
	return nil
}

// dropRules removes the rules of a folder that is deleted.
func (t *tx) dropRules(fid mapi.FID) error {
	list, err := t.standardRules(fid)
	if err != nil || len(list.Rules) == 0 {
		return err
	}
	a, err := t.automation()
	if err != nil {
		return err
	}
	return t.setRules(fid, new(schema.Rules), a, true)
}
