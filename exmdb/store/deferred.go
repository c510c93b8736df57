package store

import (
	"encoding/binary"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// Classes of the messages by which the store tells a client of a rule (MS-OXORULE 2.2.6, 2.2.7).
const (
	deferredActionClass = "IPC.Microsoft Exchange 4.0.Deferred Action"
	deferredErrorClass  = "IPC.Microsoft Exchange 4.0.Deferred Error"
)

// maxDeferred bounds the messages in the folder of deferred actions: a client that never comes must not fill the mailbox.
const maxDeferred = 128

// report tells the clients of the rules what is left to them, and what went wrong.
func (in *incoming) report() error {
	if in.row == nil {
		return in.noteErrors() // there is nothing left that a client could do something with
	}
	for _, list := range byProvider(in.plan.Deferred) {
		if err := in.deferActions(list); err != nil {
			return err
		}
	}
	return in.noteErrors()
}

// byProvider groups actions: one message tells of all that are of one folder and one provider (MS-OXORULE 3.2.5.1.2).
func byProvider(list []rules.Deferral) (groups [][]rules.Deferral) {
	type owner struct {
		folder   mapi.FID
		provider string
	}
	at := make(map[owner]int)
	for _, d := range list {
		o := owner{d.Rule.Folder, d.Rule.Provider}
		n, seen := at[o]
		if !seen {
			n = len(groups)
			at[o], groups = n, append(groups, nil)
		}
		groups[n] = append(groups[n], d)
	}
	return groups
}

func (in *incoming) deferActions(list []rules.Deferral) error {
	var actions []mapi.RuleAction
	var ids []byte
	for _, d := range list {
		actions = append(actions, d.Action)
		ids = binary.LittleEndian.AppendUint64(ids, d.Rule.ID)
	}
	v, err := oxcdata.RuleActionsValue(actions)
	if err != nil {
		return nil // more than such a message can say; the rules' own client sees the message anyway
	}
	var set mapi.PropBag
	set.Set(mapi.PidTagMessageClass, mapi.String(deferredActionClass))
	set.Set(mapi.PidTagClientActions, mapi.Binary(v))
	set.Set(mapi.PidTagRuleIds, mapi.Binary(ids))
	set.Set(mapi.PidTagDamBackPatched, mapi.Boolean(false))
	return in.tellClient(list[0].Rule, set)
}

// noteErrors marks the rules that failed, and tells their clients the first time (MS-OXORULE 2.2.7).
func (in *incoming) noteErrors() error {
	for _, f := range in.plan.Failures {
		if f.Rule.ID == 0 {
			continue
		}
		fresh, err := in.markFailed(f.Rule)
		if err != nil {
			return err
		}
		if !fresh || in.row == nil {
			continue
		}
		var set mapi.PropBag
		set.Set(mapi.PidTagMessageClass, mapi.String(deferredErrorClass))
		set.Set(mapi.PidTagRuleError, mapi.Integer32(f.Code))
		set.Set(mapi.PidTagRuleActionType, mapi.Integer32(f.Type))
		set.Set(mapi.PidTagRuleActionNumber, mapi.Integer32(f.Number))
		set.Set(mapi.PidTagRuleId, mapi.Integer64(f.Rule.ID))
		if err := in.tellClient(f.Rule, set); err != nil {
			return err
		}
	}
	return nil
}

// markFailed sets ST_ERROR of a standard rule, and reports whether it was not set before.
func (in *incoming) markFailed(r rules.RuleRef) (fresh bool, err error) {
	if r.Extended {
		return false, nil // its message is the client's; it meets the error itself
	}
	list, err := in.standardRules(r.Folder)
	if err != nil {
		return false, err
	}
	for i := range list.Rules {
		bag := &list.Rules[i]
		state := asInt(bag.Get(mapi.PidTagRuleState))
		if bag.Get(mapi.PidTagRuleId) != mapi.Integer64(r.ID) || state&mapi.Integer32(rules.Error) != 0 {
			continue
		}
		bag.Set(mapi.PidTagRuleState, state|mapi.Integer32(rules.Error))
		in.set(schema.RulesKey(r.Folder), list)
		// What is remembered of the rule differs in this flag only, which does not keep it from being tried again.
		return true, nil
	}
	return false, nil
}

// tellClient puts a message into the folder of deferred actions. There is always room: the mail itself had it, and is not refused
// for what is said about it.
func (in *incoming) tellClient(r rules.RuleRef, set mapi.PropBag) error {
	d, err := in.newDraft(schema.DeferredAction, &exmdb.Payload{})
	if err != nil || d.counts.Messages >= maxDeferred {
		return err
	}
	rule, err := in.entryIDOf(r.Folder)
	if err != nil {
		return err
	}
	folder, err := in.gid(in.plan.Places[0].Counter())
	if err != nil {
		return err
	}
	m, err := in.gid(in.row.MID.Counter())
	if err != nil {
		return err
	}
	d.fresh = true
	d.after.row = schema.Row{Object: in.object(), Received: mapi.FileTimeOf(in.now), Bits: schema.RowBorn | schema.RowUnrendered,
		MID: in.drawMID(d.fid, d.counts)}
	set.Set(mapi.PidTagRuleFolderEntryId, rule)
	set.Set(mapi.PidTagRuleProvider, mapi.String(r.Provider))
	set.Set(mapi.PidTagDamOriginalEntryId, mapi.Binary(oxcdata.MessageOf(in.mailbox(), folder, m).Append(nil)))
	set.Set(mapi.PidTagDeferredActionMessageOriginalEntryId, oxcdata.ServerIDValue(mapi.ServerID{Ours: true, FID: schema.DeferredAction, MID: d.after.row.MID}))
	if err := d.apply(&exmdb.MessageEdit{Set: set}); err != nil {
		return err
	}
	return in.beyond(d.arrive)
}

// updateDeferred is OpDeferred (MS-OXORULE 3.2.5.5): what names a message by the server's id names it by the client's.
func updateDeferred(t *tx, req *exmdb.DeferredActionsRequest) (*exmdb.Empty, error) {
	found, _, err := t.collect(schema.DeferredAction, nil, collectLimit{messages: maxDeferred})
	if err != nil {
		return nil, err
	}
	for i := range found {
		bag, err := t.bag(&found[i].row)
		if err != nil {
			return nil, err
		}
		if id, _ := bag.Get(mapi.PidTagDamOriginalEntryId).(mapi.Binary); string(id) != string(req.Server) {
			continue
		}
		d, err := t.reopen(found[i].row.MID, &exmdb.Payload{})
		if err != nil {
			return nil, err
		}
		var set mapi.PropBag
		set.Set(mapi.PidTagDamOriginalEntryId, mapi.Binary(req.Client))
		set.Set(mapi.PidTagDamBackPatched, mapi.Boolean(true))
		if err := d.apply(&exmdb.MessageEdit{Set: set}); err != nil {
			return nil, err
		}
		if err := d.commit(); err != nil {
			return nil, err
		}
	}
	return &exmdb.Empty{}, nil
}
