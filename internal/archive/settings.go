package archive

import (
	"fmt"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// A mailbox is told what to do by rules, search criteria, lists and switches. They stand behind the messages, since they name
// folders and messages; what they name is put into the words of the mailbox they come to (relocate.go).

// nameOf finds the name of a property's id.
type nameOf = func(uint16) (mapi.PropertyName, bool)

// isExtendedRule reports whether a message holds an extended rule (MS-OXORULE 2.2.4).
func isExtendedRule(bag *mapi.PropBag) bool {
	class, _ := bag.Get(mapi.PidTagMessageClass).(mapi.String)
	return strings.EqualFold(string(class), rules.ExtendedClass)
}

// packNames writes the names of the mailbox's named properties and gives them back with their ids.
func (j *job) packNames(p *packer) ([]exmdb.NamedID, error) {
	var list []exmdb.NamedID
	rec := &namesRecord{}
	req := &exmdb.PropertyNamesRequest{}
	for {
		page, err := do(j, exmdb.OpPropertyNames, req)
		if err != nil {
			return nil, fmt.Errorf("read names of properties: %w", err)
		}
		for _, n := range page.Names {
			req.After = n.ID
			rec.Names = append(rec.Names, n.Name)
		}
		list = append(list, page.Names...)
		if !page.More || len(page.Names) == 0 {
			return list, p.record(frameNames, rec)
		}
	}
}

// packAllSettings writes the settings of folders and, of a mailbox that is exported whole, its own.
func (j *job) packAllSettings(p *packer, folders []*exmdb.Folder, known nameOf) error {
	for _, f := range folders {
		if err := j.packSettings(p, f, known); err != nil {
			return fmt.Errorf("read settings of folder %q: %w", f.Name, err)
		}
	}
	if j.Folder != "" {
		return nil
	}
	rec, err := j.mailboxRecord()
	if err != nil {
		return fmt.Errorf("read settings of mailbox: %w", err)
	}
	return p.record(frameMailbox, rec)
}

func (j *job) packSettings(p *packer, f *exmdb.Folder, known nameOf) error {
	names := &oxcmsg.Names{}
	tag := tagsByName(known, names)
	prop := func(p mapi.Prop) mapi.Prop { return mapi.Prop{Tag: tag(p.Tag), Value: p.Value} }
	rec := &settingsRecord{Folder: f.FID}
	list, err := do(j, exmdb.OpGetRules, &exmdb.GetRulesRequest{Folder: f.FID})
	if err != nil {
		return err
	}
	for i := range list.Rules {
		if err := mapRule(&list.Rules[i], prop, func(a mapi.RuleAction) (mapi.RuleAction, error) { return a, nil }); err != nil {
			return err
		}
	}
	rec.Rules = list.Rules
	if f.Search {
		if rec.Criteria, err = j.criteria(f.FID, prop); err != nil {
			return err
		}
	}
	if len(rec.Rules) == 0 && rec.Criteria == nil {
		return nil
	}
	rec.Names = names.List()
	return p.record(frameSettings, rec)
}

// criteria are those of a search folder, nil where it has none.
func (j *job) criteria(fid mapi.FID, prop func(mapi.Prop) mapi.Prop) (*exmdb.SearchCriteria, error) {
	c, err := do(j, exmdb.OpSearchCriteria, &exmdb.FolderRequest{Folder: fid})
	if err != nil {
		if cluster.KindOf(err) == exmdb.KindNoCriteria {
			return nil, nil
		}
		return nil, err
	}
	r, err := oxcdata.ParseRestriction(c.Restriction)
	if err != nil {
		return nil, err
	}
	c.Restriction = oxcdata.AppendRestriction(nil, mapi.MapProps(r, prop))
	return c, nil
}

// mailboxRecord reads what the mailbox as a whole has.
func (j *job) mailboxRecord() (*mailboxRecord, error) {
	rec, names := &mailboxRecord{}, &oxcmsg.Names{}
	info, err := do(j, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		return nil, err
	}
	rec.PerUserRead = info.PerUserRead
	props, err := do(j, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Names: true})
	if err != nil {
		return nil, err
	}
	without(&props.Props, ofTheStore)
	if err := j.inlineBag(exmdb.ObjectID{}, &props.Props); err != nil {
		return nil, err
	}
	rec.Props = byName(&props.Props, nameIn(props.Names), names)
	rec.Names = names.List()
	for _, f := range j.tree.list {
		if f.Subscribed {
			rec.Subscribed = append(rec.Subscribed, f.FID)
		}
	}
	return rec, j.readSwitches(rec)
}

// readSwitches reads what the mailbox does by itself, beside rules.
func (j *job) readSwitches(rec *mailboxRecord) error {
	receive, err := do(j, exmdb.OpReceiveFolders, &exmdb.Empty{})
	if err != nil {
		return err
	}
	away, err := do(j, exmdb.OpOOF, &exmdb.Empty{})
	if err != nil {
		return err
	}
	junk, err := do(j, exmdb.OpJunk, &exmdb.Empty{})
	if err != nil {
		return err
	}
	delegates, err := do(j, exmdb.OpDelegates, &exmdb.Empty{})
	if err != nil {
		return err
	}
	rec.Receive, rec.Away, rec.Junk, rec.Delegates = receive.Rows, *away, *junk, delegates.Members
	return nil
}

// maxInlined bounds the long values of a folder or a mailbox, which stand in a record as they are.
const maxInlined = 8 << 20

// inlineBag puts the long values of a folder's or the mailbox's bag into it.
func (j *job) inlineBag(id exmdb.ObjectID, bag *mapi.PropBag) error {
	total := uint64(0)
	for _, p := range bag.All() {
		ref, is := p.Value.(mapi.Reference)
		if !is {
			continue
		}
		if total += ref.Size(); total > maxInlined {
			return cluster.Errorf(exmdb.KindTooBig, "its properties have more than %d bytes", maxInlined)
		}
		if err := j.inlineValue(id, bag, p.Tag, 0); err != nil {
			return err
		}
	}
	return nil
}

// tagsByName puts tags under ids of names. One without a name leads to a property that nothing has.
func tagsByName(known nameOf, names *oxcmsg.Names) func(mapi.Tag) mapi.Tag {
	return func(t mapi.Tag) mapi.Tag {
		if !t.Named() {
			return t
		}
		name, ok := known(t.ID())
		if !ok {
			return mapi.NewTag(0, t.Type())
		}
		id, _ := names.ID(name)
		return mapi.NewTag(id, t.Type())
	}
}

// mapRule maps what a standard rule says of properties, and each of its actions.
func mapRule(bag *mapi.PropBag, prop func(mapi.Prop) mapi.Prop, action func(mapi.RuleAction) (mapi.RuleAction, error)) error {
	if v, ok := bag.Get(mapi.PidTagRuleCondition).(mapi.Opaque); ok {
		r, err := oxcdata.RestrictionOf(v)
		if err != nil {
			return fmt.Errorf("condition of a rule: %w", err)
		}
		bag.Set(mapi.PidTagRuleCondition, oxcdata.RestrictionValue(mapi.MapProps(r, prop)))
	}
	v, ok := bag.Get(mapi.PidTagRuleActions).(mapi.Opaque)
	if !ok {
		return nil
	}
	list, err := oxcdata.RuleActionsOf(v)
	if err != nil {
		return fmt.Errorf("actions of a rule: %w", err)
	}
	if err := mapActions(list, prop, action); err != nil {
		return err
	}
	mapped, err := oxcdata.RuleActionsValue(list)
	if err == nil {
		bag.Set(mapi.PidTagRuleActions, mapped)
	}
	return err
}

// mapActions maps actions in their place.
func mapActions(list []mapi.RuleAction, prop func(mapi.Prop) mapi.Prop, action func(mapi.RuleAction) (mapi.RuleAction, error)) (err error) {
	for i := range list {
		if set, is := list[i].Data.(*mapi.TagAction); is {
			list[i].Data = &mapi.TagAction{Prop: prop(set.Prop)}
		}
		if list[i], err = action(list[i]); err != nil {
			return err
		}
	}
	return nil
}
