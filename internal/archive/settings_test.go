package archive

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/convert/oxcmsg"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// entryOf is the entry id of a folder or message.
func (m *maker) entryOf(id exmdb.ObjectID) mapi.Binary {
	m.t.Helper()
	props := must(m.site, exmdb.OpReadProps, m.box, &exmdb.ReadPropsRequest{Object: id, Tags: []mapi.Tag{mapi.PidTagEntryId}})
	return props.Props.Get(mapi.PidTagEntryId).(mapi.Binary)
}

// colour is a named property that conditions ask for and actions set, and the mailbox's tag of it.
func (m *maker) colour() mapi.Tag {
	m.t.Helper()
	name := mapi.PropertyName{Set: mapi.GUID{9}, Kind: mapi.NameByString, Name: "Only in rules " + m.one("a", "b", "c")}
	ids := must(m.site, exmdb.OpNameProperties, m.box, &exmdb.NamesRequest{Names: []mapi.PropertyName{name}})
	return mapi.NewTag(ids.IDs[0], mapi.TypeString)
}

func (m *maker) condition() mapi.Restriction {
	m.t.Helper()
	colour, subject, parent := m.colour(), mapi.PidTagSubject, mapi.PidTagParentEntryId
	return mapi.AndRestriction{
		&mapi.ContentRestriction{Fuzzy: mapi.FuzzySubstring | mapi.FuzzyIgnoreCase, Tag: subject, Value: mapi.Prop{Tag: subject, Value: mapi.String(m.one("harbour", "größe"))}},
		mapi.OrRestriction{&mapi.ExistRestriction{Tag: colour},
			&mapi.PropertyRestriction{Op: mapi.RelOpEQ, Tag: colour, Value: mapi.Prop{Tag: colour, Value: mapi.String("red")}}},
		&mapi.NotRestriction{Of: &mapi.PropertyRestriction{Op: mapi.RelOpEQ, Tag: parent, Value: mapi.Prop{Tag: parent, Value: m.entryOf(exmdb.ObjectID{Folder: schema.Drafts})}}},
	}
}

// searches makes search folders of every kind, with an associated message in one.
func (m *maker) searches(folders []mapi.FID) {
	m.t.Helper()
	const finder = mapi.FID(uint64(mapi.LocalReplica)<<48 | 0x05)
	for i, flags := range []exmdb.SearchFlags{exmdb.SearchRecursive, exmdb.SearchShallow, exmdb.SearchShallow | exmdb.SearchStatic, 0} {
		f := must(m.site, exmdb.OpCreateFolder, m.box, &exmdb.CreateFolderRequest{Parent: finder, Name: fmt.Sprintf("%s %d", m.one("For follow up", "Größe"), i), Class: "IPF.Note", Search: true})
		if flags == 0 {
			m.create(f.Folder.FID, true)
			continue
		}
		must(m.site, exmdb.OpSetSearchCriteria, m.box, &exmdb.SetSearchCriteriaRequest{Folder: f.Folder.FID, Flags: flags,
			Restriction: oxcdata.AppendRestriction(nil, m.condition()), Folders: folders[m.rand.IntN(len(folders)):]})
	}
}

// settings has the mailbox do all that a mailbox does by itself.
func (m *maker) settings(folders []mapi.FID) {
	m.t.Helper()
	own := folders[3+m.rand.IntN(len(folders)-3)]
	m.rules(own)
	must(m.site, exmdb.OpSetReceiveFolder, m.box, &exmdb.SetReceiveFolderRequest{Class: "IPM.Fax", Folder: own})
	must(m.site, exmdb.OpSetReceiveFolder, m.box, &exmdb.SetReceiveFolderRequest{Class: "", Folder: folders[m.rand.IntN(len(folders))]})
	must(m.site, exmdb.OpSetOOF, m.box, &exmdb.OOFSettings{State: exmdb.OOFScheduled, Audience: exmdb.OOFKnown, Start: m.at, End: m.at.Add(time.Hour),
		Internal: exmdb.ReplyText{Plain: "away", HTML: "<p>away", Language: "en"}, External: exmdb.ReplyText{Plain: m.one("gone", "fort")}})
	must(m.site, exmdb.OpSetJunk, m.box, &exmdb.SetJunkRequest{Settings: &exmdb.JunkSettings{Threshold: uint8(1 + m.rand.IntN(9)), TrustContacts: true},
		Add: []exmdb.JunkEntry{{List: exmdb.JunkSafeSenders, Entry: "anna@example.org"}, {List: exmdb.JunkBlocked, Entry: "@example.net"}}})
	must(m.site, exmdb.OpSetDelegates, m.box, &exmdb.Delegates{Members: []exmdb.Delegate{{User: mapi.NewGUID(), Name: "Carol", SeePrivate: true}, {User: mapi.NewGUID(), SendOnBehalf: true}}})
	must(m.site, exmdb.OpSubscribe, m.box, &exmdb.SubscribeRequest{Folder: own, Subscribed: true})
	must(m.site, exmdb.OpSubscribe, m.box, &exmdb.SubscribeRequest{Folder: schema.Drafts, Subscribed: false})
	must(m.site, exmdb.OpSetReadState, m.box, &exmdb.SetReadStateRequest{PerUser: m.rand.IntN(2) == 0})
	names := &oxcmsg.Names{}
	var bag mapi.PropBag
	m.named(&bag, names)
	bag.Set(mapi.PidTagDefaultPostMessageClass, mapi.String("IPM.Note"))
	bag.Set(mapi.NewTag(0x3FFE, mapi.TypeBinary), m.entryOf(exmdb.ObjectID{Folder: own}))
	bag.Set(mapi.NewTag(0x3FFD, mapi.TypeMultiBinary), mapi.Binaries{m.entryOf(exmdb.ObjectID{Folder: own}), {1, 2, 3}})
	must(m.site, exmdb.OpWriteProps, m.box, &exmdb.WritePropsRequest{Set: bag, Payload: exmdb.Payload{Names: names.List()}})
}

// rules makes standard and extended rules that name a folder, a template and a named property.
func (m *maker) rules(own mapi.FID) {
	m.t.Helper()
	template := must(m.site, exmdb.OpCreateMessage, m.box, &exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true, Message: exmdb.MessageEdit{Set: bagOf(
		mapi.Prop{Tag: mapi.PidTagMessageClass, Value: mapi.String("IPM.Note.Rules.ReplyTemplate.Microsoft")}, mapi.Prop{Tag: mapi.PidTagSubject, Value: mapi.String("a template " + m.one("1", "2"))})}}).State.MID
	colour := m.colour()
	tag := mapi.RuleAction{Type: mapi.ActionTag, Data: &mapi.TagAction{Prop: mapi.Prop{Tag: colour, Value: mapi.String("blue")}}}
	forward := mapi.RuleAction{Type: mapi.ActionForward, Flavor: mapi.ForwardAsAttachment, Data: mapi.ForwardAction{{
		{Tag: mapi.PidTagDisplayName, Value: mapi.String("Bert")}, {Tag: mapi.PidTagSmtpAddress, Value: mapi.String("bert@example.org")}}}}
	toOwn := &mapi.MoveAction{InThisStore: true, Folder: oxcdata.ServerIDValue(mapi.ServerID{Ours: true, FID: own})}
	req := &exmdb.ModifyRulesRequest{Folder: schema.Inbox}
	for i, a := range []mapi.RuleAction{{Type: mapi.ActionMove, Data: toOwn}, {Type: mapi.ActionCopy, Data: toOwn}, tag, forward,
		{Type: mapi.ActionReply, Data: &mapi.ReplyAction{FID: schema.Inbox, MID: template, Template: mapi.GUID{7}}}} {
		actions, err := oxcdata.RuleActionsValue([]mapi.RuleAction{a, {Type: mapi.ActionMarkAsRead}})
		if err != nil {
			m.t.Fatal(err)
		}
		req.Changes = append(req.Changes, exmdb.RuleChange{Kind: exmdb.RuleAdd, Props: bagOf(
			mapi.Prop{Tag: mapi.PidTagRuleSequence, Value: mapi.Integer32(int32(10 - i))}, mapi.Prop{Tag: mapi.PidTagRuleState, Value: mapi.Integer32(rules.Enabled)},
			mapi.Prop{Tag: mapi.PidTagRuleName, Value: mapi.String(fmt.Sprintf("rule %d", i))}, mapi.Prop{Tag: mapi.PidTagRuleProvider, Value: mapi.String("RuleOrganizer")},
			mapi.Prop{Tag: mapi.PidTagRuleCondition, Value: oxcdata.RestrictionValue(m.condition())}, mapi.Prop{Tag: mapi.PidTagRuleActions, Value: actions})})
	}
	must(m.site, exmdb.OpModifyRules, m.box, req)
	m.extended(own, template)
}

func (m *maker) extended(own mapi.FID, template mapi.MID) {
	m.t.Helper()
	list := []mapi.RuleAction{{Type: mapi.ActionMove, Data: &mapi.MoveAction{StoreEID: []byte{1, 2}, Folder: m.entryOf(exmdb.ObjectID{Folder: own})}},
		{Type: mapi.ActionReply, Data: &mapi.ReplyAction{MessageEID: m.entryOf(exmdb.ObjectID{Message: template})}}}
	actions, err := oxcdata.ExtendedActions{Actions: list}.Append(nil)
	if err != nil {
		m.t.Fatal(err)
	}
	subject := mapi.PidTagSubject
	condition, err := oxcdata.ExtendedCondition{Restriction: &mapi.ExistRestriction{Tag: subject}}.Append(nil)
	if err != nil {
		m.t.Fatal(err)
	}
	must(m.site, exmdb.OpCreateMessage, m.box, &exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true, Message: exmdb.MessageEdit{Set: bagOf(
		mapi.Prop{Tag: mapi.PidTagMessageClass, Value: mapi.String(rules.ExtendedClass)}, mapi.Prop{Tag: mapi.PidTagRuleMessageState, Value: mapi.Integer32(rules.Enabled)},
		mapi.Prop{Tag: mapi.PidTagRuleMessageName, Value: mapi.String("Junk E-mail rule")}, mapi.Prop{Tag: mapi.PidTagRuleMessageProvider, Value: mapi.String("JunkEmailRule")},
		mapi.Prop{Tag: mapi.PidTagExtendedRuleMessageCondition, Value: mapi.Binary(condition)}, mapi.Prop{Tag: mapi.PidTagExtendedRuleMessageActions, Value: mapi.Binary(actions)})}})
}

func bagOf(list ...mapi.Prop) (bag mapi.PropBag) {
	for _, p := range list {
		bag.Set(p.Tag, p.Value)
	}
	return bag
}

// discard deletes some messages of a folder, which can be recovered; of associated ones none that a rule needs.
func (m *maker) discard(folder mapi.FID) {
	m.t.Helper()
	j := &job{Job: m.job(m.box, "", ""), ctx: m.t.Context()}
	var list []mapi.MID
	for _, associated := range []bool{false, true} {
		err := j.rows(place{folder: folder, associated: associated}, []mapi.Tag{mapi.PidTagRuleMessageName, mapi.PidTagSubject}, func(row *exmdb.TableRow) error {
			subject, _ := row.Props.Get(mapi.PidTagSubject).(mapi.String)
			needed := row.Props.Get(mapi.PidTagRuleMessageName) != nil || len(subject) > 10 && subject[:10] == "a template"
			if m.rand.IntN(3) == 0 && !needed {
				list = append(list, mapi.MID(row.ID.ID))
			}
			return nil
		})
		if err != nil {
			m.t.Fatal(err)
		}
	}
	must(m.site, exmdb.OpDeleteMessages, m.box, &exmdb.DeleteMessagesRequest{Folder: folder, Messages: list})
}

// TestFirstArchive: an archive of before there were names, settings and deleted messages in it is read as it was.
func TestFirstArchive(t *testing.T) {
	s := newSite(t)
	box := s.mailbox(0)
	if p := s.in(s.job(box, "", "testdata/first.flotilla")); p.Messages != 4 {
		t.Fatalf("%+v", p)
	}
	for _, m := range s.mails(box) {
		if m.folder == "Inbox/Größe" && (m.flags&exmdb.FlagSeen == 0 || m.keywords != "One" || m.received.Year() != 2025) {
			t.Errorf("%+v", m)
		}
	}
	text := s.dump(box)
	for _, want := range []string{"Follow up", "Subject: one\\r\\n", "Subject: two\\r\\n", "message associated true deleted false"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if p := s.in(s.job(box, "", "testdata/first.flotilla")); p.Known != 4 {
		t.Errorf("again: %+v", p)
	}
}

// TestRecovered: who recovers a message and imports the archive again has it as he left it; who empties the soft-deleted set has it
// there again.
func TestRecovered(t *testing.T) {
	s := newSite(t)
	box := s.mailbox(0)
	for i := range 3 {
		s.append(box, schema.Inbox, fmt.Sprintf("Subject: %d\r\n\r\ntext\r\n", i), exmdb.Flags{Bits: exmdb.FlagDeleted}, time.Unix(1.7e9, 0).UTC())
	}
	must(s, exmdb.OpExpunge, box, &exmdb.ExpungeRequest{Folder: schema.Inbox})
	path := filepath.Join(t.TempDir(), "a.flotilla")
	s.out(s.job(box, "", path))
	back := s.mailbox(0)
	deleted := func() []exmdb.DeletedMessage {
		return must(s, exmdb.OpDeleted, back, &exmdb.DeletedRequest{Folder: schema.Inbox}).Messages
	}
	if p := s.in(s.job(back, "", path)); p.Messages != 3 || len(s.mails(back)) != 0 || len(deleted()) != 3 {
		t.Fatalf("%+v, %d mails, %d deleted ones", p, len(s.mails(back)), len(deleted()))
	}
	must(s, exmdb.OpRecoverMessages, back, &exmdb.CarryMessagesRequest{Folder: schema.Inbox, Target: schema.Inbox, Messages: []mapi.MID{deleted()[1].State.MID}})
	if p := s.in(s.job(back, "", path)); p.Messages != 0 || p.Known != 3 || len(s.mails(back)) != 1 || len(deleted()) != 2 {
		t.Errorf("%+v, %d mails, %d deleted ones", p, len(s.mails(back)), len(deleted()))
	}
	must(s, exmdb.OpPurgeDeleted, back, &exmdb.PurgeDeletedRequest{Folder: schema.Inbox})
	if p := s.in(s.job(back, "", path)); p.Messages != 2 || p.Known != 1 || len(deleted()) != 2 {
		t.Errorf("%+v, %d deleted ones", p, len(deleted()))
	}
}
