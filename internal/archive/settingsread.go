package archive

import (
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// Settings come into a mailbox as folders do: what it has stays, what it lacks it gets. Into a folder of the job come no others
// than the criteria of search folders.

// names makes the names of the archive's named properties known, in their order. Where there are too many, those that
// something has are still brought with it.
func (r *restore) names(rec *namesRecord) error {
	if r.Folder != "" {
		return nil
	}
	_, err := r.register(rec.Names)
	if err != nil {
		return r.each("names of properties", err)
	}
	return nil
}

// settings gives a folder its rules and its criteria.
func (r *restore) settings(rec *settingsRecord) error {
	f, read := r.folders[rec.Folder]
	switch {
	case !read:
		return r.u.damage("settings of a folder that there is none of", nil)
	case f == nil:
		return nil
	}
	r.done.Folder = r.tree.path(f.FID)
	tag, err := r.idsOf(rec.Names)
	if err == nil && rec.Criteria != nil && f.Search {
		err = r.search(f.FID, rec.Criteria, tag)
	}
	if err == nil && r.Folder == "" {
		err = r.rules(f.FID, rec.Rules, tag)
	}
	if err != nil {
		return r.each("settings of folder "+r.done.Folder, err)
	}
	return nil
}

// search gives a search folder criteria, if it has none.
func (r *restore) search(fid mapi.FID, c *exmdb.SearchCriteria, tag func(mapi.Tag) mapi.Tag) error {
	_, err := do(r.job, exmdb.OpSearchCriteria, &exmdb.FolderRequest{Folder: fid})
	if cluster.KindOf(err) != exmdb.KindNoCriteria || err == nil {
		return err
	}
	req := &exmdb.SetSearchCriteriaRequest{Folder: fid, Flags: exmdb.SearchShallow}
	if c.State&exmdb.SearchStateRecursive != 0 {
		req.Flags = exmdb.SearchRecursive
	}
	if c.State&exmdb.SearchStateStatic != 0 {
		req.Flags |= exmdb.SearchStatic
	}
	for _, old := range c.Folders {
		if to, there := r.moved(old); there {
			req.Folders = append(req.Folders, to)
		}
	}
	if len(req.Folders) == 0 {
		return fmt.Errorf("%w: it searches folders that are not in the archive", ErrInput)
	}
	restriction, err := oxcdata.ParseRestriction(c.Restriction)
	if err != nil {
		return r.u.damage("criteria cannot be read", err)
	}
	prop, failed := r.props(tag)
	req.Restriction = oxcdata.AppendRestriction(nil, mapi.MapProps(restriction, prop))
	if *failed != nil {
		return *failed
	}
	_, err = do(r.job, exmdb.OpSetSearchCriteria, req)
	return err
}

// props puts properties into words of this mailbox; the first failure is kept beside.
func (r *restore) props(tag func(mapi.Tag) mapi.Tag) (prop func(mapi.Prop) mapi.Prop, failed *error) {
	failed = new(error)
	return func(p mapi.Prop) mapi.Prop {
		v, err := r.relocated(p)
		if err != nil && *failed == nil {
			*failed = err
		}
		return mapi.Prop{Tag: tag(p.Tag), Value: v}
	}, failed
}

// rules gives a folder the standard rules that it does not have.
func (r *restore) rules(fid mapi.FID, list []mapi.PropBag, tag func(mapi.Tag) mapi.Tag) error {
	if len(list) == 0 {
		return nil
	}
	have, err := do(r.job, exmdb.OpGetRules, &exmdb.GetRulesRequest{Folder: fid})
	if err != nil {
		return err
	}
	prop, failed := r.props(tag)
	req := &exmdb.ModifyRulesRequest{Folder: fid}
	for i := range list {
		bag := &list[i]
		if err := mapRule(bag, prop, r.action); err != nil {
			return err
		}
		if *failed != nil {
			return *failed
		}
		bag.Delete(mapi.PidTagRuleId)
		if !slices.ContainsFunc(have.Rules, func(b mapi.PropBag) bool { return ruleText(&b) == ruleText(bag) }) {
			req.Changes = append(req.Changes, exmdb.RuleChange{Kind: exmdb.RuleAdd, Props: *bag})
		}
	}
	if len(req.Changes) == 0 {
		return nil
	}
	_, err = do(r.job, exmdb.OpModifyRules, req)
	return err
}

// ruleText is what a rule says, without its number and without what the store has found wrong with it.
func ruleText(bag *mapi.PropBag) string {
	plain := cloneBag(bag)
	plain.Delete(mapi.PidTagRuleId)
	if state, ok := plain.Get(mapi.PidTagRuleState).(mapi.Integer32); ok {
		plain.Set(mapi.PidTagRuleState, state&^mapi.Integer32(rules.Error|rules.ParseError))
	}
	return string(plain.AppendWire(nil))
}

// mailbox gives the mailbox what that of the archive had as a whole.
func (r *restore) mailbox(rec *mailboxRecord) error {
	if r.Folder != "" {
		return nil
	}
	info, err := do(r.job, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		return err
	}
	if rec.PerUserRead && !info.PerUserRead {
		if _, err := do(r.job, exmdb.OpSetReadState, &exmdb.SetReadStateRequest{PerUser: true}); err != nil {
			return err
		}
	}
	for _, step := range []func(*mailboxRecord, *exmdb.MailboxInfo) error{r.storeProps, r.receive, r.away, r.junk, r.delegates, r.subscriptions} {
		if err := step(rec, info); err != nil {
			if err := r.each("settings of the mailbox", err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *restore) storeProps(rec *mailboxRecord, _ *exmdb.MailboxInfo) error {
	if err := r.relocate(&rec.Props); err != nil {
		return err
	}
	return r.giveProps("the mailbox", exmdb.ObjectID{}, &rec.Props, rec.Names)
}

// giveProps gives a folder or the mailbox the properties that it does not have.
func (r *restore) giveProps(what string, id exmdb.ObjectID, want *mapi.PropBag, names []mapi.PropertyName) error {
	have, err := do(r.job, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: id, Names: true})
	if err != nil {
		return err
	}
	if err := r.inlineBag(id, &have.Props); err != nil {
		return err
	}
	c := exmdb.MessageContent{Props: r.lacking(want, names, have)}
	if c.Props.Len() == 0 {
		return nil
	}
	if err := r.uploadLong(&c); err != nil {
		return err
	}
	resp, err := do(r.job, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: id, Set: c.Props, Payload: exmdb.Payload{Names: names}})
	if err == nil {
		r.problems(what, resp.Problems)
	}
	return err
}

// receive says where mail of classes comes in, unless the mailbox says it otherwise.
func (r *restore) receive(rec *mailboxRecord, info *exmdb.MailboxInfo) error {
	have, err := do(r.job, exmdb.OpReceiveFolders, &exmdb.Empty{})
	if err != nil {
		return err
	}
	for _, want := range rec.Receive {
		to, there := r.moved(want.Folder)
		at := slices.IndexFunc(have.Rows, func(row exmdb.ReceiveFolder) bool { return mapi.CompareFold(row.Class, want.Class) == 0 })
		// A row of the time of the mailbox's creation is nobody's choice.
		said := at >= 0 && (have.Rows[at].Folder == to || !have.Rows[at].Modified.Equal(info.Created))
		if !there || said {
			continue
		}
		if _, err := do(r.job, exmdb.OpSetReceiveFolder, &exmdb.SetReceiveFolderRequest{Class: want.Class, Folder: to}); err != nil {
			return err
		}
	}
	return nil
}

// away sets what is said while the user is out of office, unless something is.
func (r *restore) away(rec *mailboxRecord, _ *exmdb.MailboxInfo) error {
	have, err := do(r.job, exmdb.OpOOF, &exmdb.Empty{})
	if err != nil || !nothingSaid(have) || nothingSaid(&rec.Away) {
		return err
	}
	_, err = do(r.job, exmdb.OpSetOOF, &rec.Away)
	return err
}

func nothingSaid(s *exmdb.OOFSettings) bool {
	return s.State == exmdb.OOFDisabled && s.Audience == exmdb.OOFNone && s.Start.IsZero() && s.End.IsZero() &&
		s.Internal == exmdb.ReplyText{} && s.External == exmdb.ReplyText{}
}

func (r *restore) junk(rec *mailboxRecord, _ *exmdb.MailboxInfo) error {
	have, err := do(r.job, exmdb.OpJunk, &exmdb.Empty{})
	if err != nil {
		return err
	}
	req := &exmdb.SetJunkRequest{}
	if have.Settings == (exmdb.JunkSettings{}) && rec.Junk.Settings != have.Settings {
		req.Settings = &rec.Junk.Settings
	}
	for _, e := range rec.Junk.Entries {
		if !slices.Contains(have.Entries, e) {
			req.Add = append(req.Add, e)
		}
	}
	if req.Settings == nil && len(req.Add) == 0 {
		return nil
	}
	_, err = do(r.job, exmdb.OpSetJunk, req)
	return err
}

func (r *restore) delegates(rec *mailboxRecord, _ *exmdb.MailboxInfo) error {
	have, err := do(r.job, exmdb.OpDelegates, &exmdb.Empty{})
	if err != nil {
		return err
	}
	all := have.Members
	for _, d := range rec.Delegates {
		if !slices.ContainsFunc(all, func(has exmdb.Delegate) bool { return has.User == d.User }) {
			all = append(all, d)
		}
	}
	if len(all) == len(have.Members) {
		return nil
	}
	_, err = do(r.job, exmdb.OpSetDelegates, &exmdb.Delegates{Members: all})
	return err
}

// subscriptions are the owner's. Of a folder that was there, other than a fixed one, none is ended.
func (r *restore) subscriptions(rec *mailboxRecord, _ *exmdb.MailboxInfo) error {
	for old, f := range r.folders {
		if f == nil {
			continue
		}
		want := slices.Contains(rec.Subscribed, old)
		if want == f.Subscribed || !want && !f.Fixed && !r.made[f.FID] {
			continue
		}
		if _, err := do(r.job, exmdb.OpSubscribe, &exmdb.SubscribeRequest{Folder: f.FID, Subscribed: want}); err != nil {
			return err
		}
	}
	return nil
}
