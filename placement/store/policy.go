package store

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
)

// The keys of the policy, for ever: that of the whole cluster, those of domains, those of mailboxes.
const (
	prefixPolicy  = 'p' // → placement.Policy
	policyDomain  = 'd' // p d, domain → placement.Rule
	policyMailbox = 'm' // p m, space id → placement.Rule
)

// OpSetPolicy changes what the administrator asks of placement; its number is for ever.
const OpSetPolicy ops.ID = 1510

// SetPolicyRequest changes the policy by key=value pairs: that of the cluster, or the rule for a domain or a mailbox.
type SetPolicyRequest struct {
	Pairs   []string        `wire:"1"`
	Domain  string          `wire:"2"`
	Mailbox cluster.SpaceID `wire:"3"`
	// Remove ends a rule.
	Remove bool `wire:"4"`
}

func ruleKey(r *placement.Rule) []byte {
	if r.Domain != "" {
		return append([]byte{prefixPolicy, policyDomain}, r.Domain...)
	}
	return append([]byte{prefixPolicy, policyMailbox}, r.Mailbox[:]...)
}

// InitPolicy writes the policy of a new cluster; it does nothing when there is one.
func InitPolicy(w space.Writer, p placement.Policy) error {
	old, err := w.Get([]byte{prefixPolicy})
	if err != nil || old != nil {
		return err
	}
	w.Set([]byte{prefixPolicy}, wire.Marshal(&p))
	return nil
}

// LoadPolicy reads the policy with all rules; that of a map without one is placement.DefaultPolicy.
func LoadPolicy(r space.Reader) (placement.Policy, error) {
	p := placement.DefaultPolicy()
	err := each(r, prefixPolicy, func(k, v []byte) error {
		if len(k) == 1 {
			p = placement.Policy{}
			return wire.Unmarshal(v, &p)
		}
		var rule placement.Rule
		if err := wire.Unmarshal(v, &rule); err != nil {
			return err
		}
		p.Rules = append(p.Rules, rule)
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("read policy: %w", err)
	}
	return p, nil
}

// SetPolicy changes the policy, or a rule, as far as the cluster can follow. What it cannot is a placement.SettingError.
func SetPolicy(w space.Writer, q *SetPolicyRequest) error {
	m, err := Load(w)
	if err != nil {
		return err
	}
	if q.Domain != "" || q.Mailbox != (cluster.SpaceID{}) {
		return setRule(w, m, q)
	}
	p, err := LoadPolicy(w)
	if err != nil {
		return err
	}
	var pairs []string
	groups := p.Groups
	for _, pair := range q.Pairs {
		node, weight, ok := strings.Cut(strings.TrimPrefix(pair, weightSetting), "=")
		if !ok || !strings.HasPrefix(pair, weightSetting) {
			pairs = append(pairs, pair)
		} else if err := setWeight(w, m, cluster.NodeID(node), weight); err != nil {
			return err
		}
	}
	if err := errors.Join(p.Set(pairs), p.Check(m, groups)); err != nil {
		return err
	}
	w.Set([]byte{prefixPolicy}, wire.Marshal(&p))
	return nil
}

// weightSetting is followed by a node's name: its share against others, of which most have 100.
const weightSetting = "weight."

// maxWeight keeps one node from having all, and a slip of the hand from moving everything.
const maxWeight = 10000

func setWeight(w space.Writer, m *placement.Map, node cluster.NodeID, value string) error {
	n := m.Node(node)
	if n == nil {
		return &placement.SettingError{Name: weightSetting + string(node), Value: value, Text: "there is no such node"}
	}
	weight, err := strconv.ParseUint(value, 10, 32)
	if err != nil || weight < 1 || weight > maxWeight {
		return &placement.SettingError{Name: weightSetting + string(node), Value: value,
			Text: fmt.Sprintf("want 1 to %d; a node like the others has 100", maxWeight)}
	}
	n.Weight = uint32(weight)
	w.Set(nodeKey(node), wire.Marshal(n))
	return nil
}

func setRule(w space.Writer, m *placement.Map, q *SetPolicyRequest) error {
	rule := placement.Rule{Domain: q.Domain, Mailbox: q.Mailbox}
	key := ruleKey(&rule)
	if q.Remove {
		w.Delete(key)
		return nil
	}
	old, err := w.Get(key)
	if err == nil && old != nil {
		err = wire.Unmarshal(old, &rule)
	}
	if err != nil {
		return fmt.Errorf("policy rule: %w", err)
	}
	if err := errors.Join(rule.Set(q.Pairs), rule.Check(m)); err != nil {
		return err
	}
	w.Set(key, wire.Marshal(&rule))
	return nil
}

// policyHandlers are the rows of Handlers for this file's ops.
func policyHandlers() []ops.Handler {
	return []ops.Handler{
		{ID: OpSetPolicy, Name: "SetPolicy", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r SetPolicyRequest
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			return nil, settingRefused(SetPolicy(w, &r))
		}},
	}
}

// settingRefused makes what is wrong with a setting a refusal that crosses the wire.
func settingRefused(err error) error {
	if wrong := new(placement.SettingError); errors.As(err, &wrong) {
		return cluster.Errorf(cluster.KindBadRequest, "%v", wrong)
	}
	return err
}
