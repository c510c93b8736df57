package inspect

import (
	"context"
	"fmt"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// Rules is what a mailbox does by itself with mail: the rules of one folder, out-of-office replies, what is junk.
type Rules struct {
	Folder ID     `json:"folder"`
	Path   string `json:"path"`
	Rules  []Rule `json:"rules"`
	Away   Away   `json:"away"`
	Junk   Junk   `json:"junk"`
}

// Rule is a rule in words.
type Rule struct {
	ID        uint64   `json:"id"`
	Sequence  int32    `json:"sequence"`
	Name      string   `json:"name"`
	Provider  string   `json:"provider"`
	State     []string `json:"state"`
	Extended  bool     `json:"extended"`
	Condition string   `json:"condition"`
	Actions   []string `json:"actions"`
	// Bad says why it is no rule that could run.
	Bad string `json:"bad,omitempty"`
}

// Away are the out-of-office settings. The replies are shown where texts are asked for.
type Away struct {
	State    string `json:"state"`
	Internal *Reply `json:"internal,omitempty"`
	External *Reply `json:"external,omitempty"`
}

// Reply is what a reply says.
type Reply struct {
	Plain    string `json:"plain,omitempty"`
	HTML     string `json:"html,omitempty"`
	Language string `json:"language,omitempty"`
}

// Junk is what is filed as junk.
type Junk struct {
	On             bool     `json:"on"`
	Threshold      uint8    `json:"threshold"`
	TrustContacts  bool     `json:"trust_contacts"`
	OnlySafe       bool     `json:"only_safe"`
	SafeSenders    []string `json:"safe_senders"`
	SafeRecipients []string `json:"safe_recipients"`
	Blocked        []string `json:"blocked"`
}

func (m *Mailbox) rules(ctx context.Context, q *Query) (*Rules, error) {
	t, fid, err := m.folder(ctx, q.Folder, schema.Inbox)
	if err != nil {
		return nil, err
	}
	out := &Rules{Folder: ID(fid), Path: t.path(fid), Rules: []Rule{}}
	w, err := m.allNames(ctx, t, q)
	if err != nil {
		return nil, err
	}
	standard, err := do(ctx, m, exmdb.OpGetRules, &exmdb.GetRulesRequest{Folder: fid})
	if err != nil {
		return nil, err
	}
	for i := range standard.Rules {
		r, err := rules.Parse(&standard.Rules[i])
		out.Rules = append(out.Rules, w.rule(r, err))
	}
	if err := m.extendedRules(ctx, w, fid, out); err != nil {
		return nil, err
	}
	if err := m.away(ctx, q, out); err != nil {
		return nil, err
	}
	return out, m.junk(ctx, out)
}

// allNames are words that know every named property of the mailbox.
func (m *Mailbox) allNames(ctx context.Context, t *tree, q *Query) (*words, error) {
	w := &words{names: make(map[uint16]mapi.PropertyName), tree: t, bodies: q.Bodies}
	req := &exmdb.PropertyNamesRequest{}
	for {
		page, err := do(ctx, m, exmdb.OpPropertyNames, req)
		if err != nil {
			return nil, err
		}
		for _, n := range page.Names {
			w.names[n.ID], req.After = n.Name, n.ID
		}
		if !page.More || len(page.Names) == 0 {
			return w, nil
		}
	}
}

var stateWords = []struct {
	bit  rules.State
	name string
}{{rules.Enabled, "enabled"}, {rules.Error, "error"}, {rules.OnlyWhenOOF, "only when away"}, {rules.KeepOOFHistory, "keeps history"},
	{rules.ExitLevel, "last one"}, {rules.SkipIfSCLIsSafe, "not for what is safe"}, {rules.ParseError, "parse error"}, {rules.DisabledOOF, "off when away"}}

func (w *words) rule(r rules.Rule, err error) Rule {
	out := Rule{ID: r.ID, Sequence: r.Sequence, Name: r.Name, Provider: r.Provider, State: []string{}, Extended: r.Extended,
		Condition: w.restriction(r.Condition), Actions: w.actions(r.Actions)}
	for _, s := range stateWords {
		if r.State&s.bit != 0 {
			out.State = append(out.State, s.name)
		}
	}
	if err != nil {
		out.Bad = err.Error()
	}
	return out
}

// extendedRules adds the rules that stand in associated messages of a folder (MS-OXORULE 2.2.4).
func (m *Mailbox) extendedRules(ctx context.Context, w *words, fid mapi.FID, out *Rules) error {
	class := mapi.PidTagMessageClass
	only := &mapi.PropertyRestriction{Op: mapi.RelOpEQ, Tag: class, Value: mapi.Prop{Tag: class, Value: mapi.String(rules.ExtendedClass)}}
	table := &exmdb.Table{Caller: m.Caller, As: exmdb.System, Box: m.ID}
	page, err := table.Rows(ctx, exmdb.TableRowsRequest{From: exmdb.TablePosition{Origin: exmdb.TableBeginning}, Count: MaxLimit,
		Table: exmdb.TableRequest{Spec: exmdb.TableSpec{Kind: exmdb.TableAssociated, Object: exmdb.ObjectID{Folder: fid},
			Restriction: oxcdata.AppendRestriction(nil, only)}}})
	if err != nil {
		return err
	}
	ids := make(map[mapi.PropertyName]uint16)
	for id, name := range w.names {
		ids[name] = id
	}
	for _, row := range page.Rows {
		mid := mapi.MID(row.ID.ID)
		resp, err := do(ctx, m, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: mid}})
		if err != nil {
			return fmt.Errorf("rule %v: %w", ID(mid), err)
		}
		r, err := rules.ParseExtended(uint64(mid.Counter()), &resp.Props, func(n mapi.PropertyName) (uint16, error) { return ids[n.Canonical()], nil })
		out.Rules = append(out.Rules, w.rule(r, err))
	}
	return nil
}

func (m *Mailbox) away(ctx context.Context, q *Query, out *Rules) error {
	s, err := do(ctx, m, exmdb.OpOOF, &exmdb.Empty{})
	if err != nil {
		return err
	}
	out.Away.State = awayWords(s)
	if q.Bodies {
		internal, external := Reply(s.Internal), Reply(s.External)
		out.Away.Internal, out.Away.External = &internal, &external
	}
	return nil
}

func (m *Mailbox) junk(ctx context.Context, out *Rules) error {
	j, err := do(ctx, m, exmdb.OpJunk, &exmdb.Empty{})
	if err != nil {
		return err
	}
	s := &j.Settings
	out.Junk = Junk{On: !s.Off, Threshold: s.Threshold, TrustContacts: s.TrustContacts, OnlySafe: s.OnlySafe,
		SafeSenders: []string{}, SafeRecipients: []string{}, Blocked: []string{}}
	if out.Junk.Threshold == 0 {
		out.Junk.Threshold = exmdb.DefaultJunkThreshold
	}
	lists := map[exmdb.JunkList]*[]string{exmdb.JunkSafeSenders: &out.Junk.SafeSenders, exmdb.JunkSafeRecipients: &out.Junk.SafeRecipients,
		exmdb.JunkBlocked: &out.Junk.Blocked}
	for _, e := range j.Entries {
		if list := lists[e.List]; list != nil {
			*list = append(*list, e.Entry)
		}
	}
	return nil
}
