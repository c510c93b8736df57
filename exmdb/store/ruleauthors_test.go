package store

import (
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

const ownsFolder = exmdb.RightFolderOwner | exmdb.RightFolderVisible

// folderOwner is a mailbox whose rule files all mail in a folder that somebody else owns, and another folder.
type folderOwner struct {
	*box
	assistant   *box
	work, other mapi.FID
}

func newFolderOwner(t *testing.T) *folderOwner {
	b := newBox(t, 0)
	o := &folderOwner{box: b, assistant: b.asUser(mapi.NewGUID()), work: b.newFolder("work"), other: b.newFolder("other")}
	grantTo(b, o.work, o.assistant.as.User, ownsFolder)
	b.rule(schema.Inbox, nil, moveTo(o.work))
	return o
}

// files reports whether the next mail goes to the other folder; else it has to be in the first.
func (o *folderOwner) files() bool {
	o.t.Helper()
	before := o.count(o.other)
	if r := o.comes(""); r.Folder != o.work && r.Folder != o.other {
		o.t.Fatalf("it is in %#x", uint64(r.Folder))
	}
	return o.count(o.other) != before
}

func addsRule(fid mapi.FID, bag mapi.PropBag) *exmdb.ModifyRulesRequest {
	return &exmdb.ModifyRulesRequest{Folder: fid, Changes: []exmdb.RuleChange{{Kind: exmdb.RuleAdd, Props: bag}}}
}

func changesRule(fid mapi.FID, id uint64, pairs ...any) *exmdb.ModifyRulesRequest {
	return &exmdb.ModifyRulesRequest{Folder: fid, Changes: []exmdb.RuleChange{
		{Kind: exmdb.RuleModify, Props: bagOf(append(pairs, mapi.PidTagRuleId, mapi.Integer64(id))...)}}}
}

// TestFolderOwnersAreToldWhatRulesMayNotDo: what somebody could not do himself he cannot have done; all that he may is set.
func TestFolderOwnersAreToldWhatRulesMayNotDo(t *testing.T) {
	o := newFolderOwner(t)
	template := mapi.RuleAction{Type: mapi.ActionReply, Data: &mapi.ReplyAction{FID: o.work, MID: 7}}
	client := moveTo(o.other)
	client.Data = &mapi.MoveAction{StoreEID: []byte{1}, Folder: []byte{2}}
	for name, a := range map[string]mapi.RuleAction{"moved": moveTo(o.other), "copied": copyTo(o.other), "moved into another store": client,
		"forwarded": forwardTo("x@far.test"), "answered": template, "bounced": bounceIt, "left to a client": deferIt} {
		_, err := try(o.assistant, exmdb.OpModifyRules, addsRule(o.work, ruleBag(t, nil, markRead, a)))
		if cluster.KindOf(err) != exmdb.KindAccessDenied || !strings.Contains(err.Error(), `action 1 of rule "a rule"`) {
			t.Errorf("%s: %v", name, err)
		}
		o.rule(o.other, nil, a)
	}
	grantTo(o.box, o.other, o.assistant.as.User, exmdb.RightCreate)
	for _, a := range []mapi.RuleAction{moveTo(o.other), copyTo(o.other), moveTo(0x999), markRead, deleteIt, tagWith(mapi.PidTagImportance, mapi.Integer32(2))} {
		call(o.assistant, exmdb.OpModifyRules, addsRule(o.work, ruleBag(t, nil, a)))
	}
	id := o.ruleOf(o.work, ruleBag(t, aboutOffer, forwardTo("x@far.test")))
	refused(o.assistant, exmdb.OpModifyRules, changesRule(o.work, id, mapi.PidTagRuleName, mapi.String("mine")), exmdb.KindAccessDenied)
	call(o.assistant, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: o.work, Replace: true})
}

// TestRightsOfAuthorsCountOnDelivery: a rule of somebody who owns the folder does what he may do when mail comes, whatever he
// might when he set it.
func TestRightsOfAuthorsCountOnDelivery(t *testing.T) {
	o := newFolderOwner(t)
	who, group := o.assistant.as.User, mapi.NewGUID()
	grantTo(o.box, o.other, who, exmdb.RightCreate)
	id := call(o.assistant, exmdb.OpModifyRules, addsRule(o.work, ruleBag(t, nil, moveTo(o.other)))).IDs[0]
	is := func(what string, want bool) {
		t.Helper()
		if got := o.files(); got != want {
			t.Errorf("%s: it is filed: %t", what, got)
		}
	}
	is("while he may", true)
	grantTo(o.box, o.other, who, exmdb.AllRights&^exmdb.RightCreate)
	is("he may create no more", false)
	state := func() mapi.Value {
		return call(o.box, exmdb.OpGetRules, &exmdb.GetRulesRequest{Folder: o.work}).Rules[0].Get(mapi.PidTagRuleState)
	}
	if told := o.deferred(); state() != mapi.Integer32(rules.Enabled|rules.Error) || len(told) != 1 || told[0].Get(mapi.PidTagRuleError) != mapi.Integer32(rules.FailureNoRights) {
		t.Errorf("state %v, %d messages", state(), len(told))
	}
	grantTo(o.box, o.other, who, exmdb.RightCreate)
	is("he may again", true)
	grantTo(o.box, o.work, who, exmdb.AllRights&^exmdb.RightFolderOwner)
	is("he owns the folder no more", false)
	grantTo(o.box, o.other, who, 0)
	call(o.box, exmdb.OpModifyRules, changesRule(o.work, id, mapi.PidTagRuleName, mapi.String("renamed")))
	is("who has the mailbox has renamed it", false)
	wanted := ruleBag(t, nil, moveTo(o.other))
	call(o.box, exmdb.OpModifyRules, changesRule(o.work, id, mapi.PidTagRuleActions, wanted.Get(mapi.PidTagRuleActions)))
	is("who has the mailbox wants it so", true)

	o.assistant.as.Groups = []mapi.GUID{group}
	for _, fid := range []mapi.FID{o.work, o.other} {
		remove := exmdb.PermissionChange{Kind: exmdb.PermissionRemove, Member: exmdb.Member{ID: o.members(fid)[who].ID}}
		call(o.box, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: fid, Changes: []exmdb.PermissionChange{remove}})
		grantTo(o.box, fid, group, ownsFolder|exmdb.RightCreate)
	}
	call(o.assistant, exmdb.OpModifyRules, changesRule(o.work, id, mapi.PidTagRuleName, mapi.String("his again")))
	is("by his group", true)
	grantTo(o.box, o.other, group, ownsFolder)
	is("his group may no more", false)
	call(o.assistant, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: o.work, Replace: true})
	call(o.box, exmdb.OpModifyRules, addsRule(o.work, ruleBag(t, nil, moveTo(o.other))))
	is("a rule of the mailbox in its place", true)
	o.view(func(v *view) error {
		list, err := v.standardRules(o.work)
		if err == nil && len(list.Authors) > 0 {
			t.Errorf("%+v are authors of rules that are gone", list.Authors)
		}
		return err
	})
}

// TestAuthorsTakeRoomOfRules: what is kept of authors counts with the rules.
func TestAuthorsTakeRoomOfRules(t *testing.T) {
	o := newFolderOwner(t)
	o.assistant.as.Groups = make([]mapi.GUID, rules.MaxRuleBytes/16)
	refused(o.assistant, exmdb.OpModifyRules, addsRule(o.work, ruleBag(t, nil, markRead)), exmdb.KindRuleLimit)
}

// TestExtendedRulesHaveAuthors: an extended rule is of who wrote it last, or brought it where it is.
func TestExtendedRulesHaveAuthors(t *testing.T) {
	o := newFolderOwner(t)
	aside := o.newFolder("aside")
	for _, fid := range []mapi.FID{o.work, aside} {
		grantTo(o.box, fid, o.assistant.as.User, exmdb.AllRights)
	}
	id, _ := o.prop(exmdb.ObjectID{Folder: o.other}, mapi.PidTagEntryId).(mapi.Binary)
	actions, err := oxcdata.ExtendedActions{Actions: []mapi.RuleAction{{Type: mapi.ActionMove, Data: &mapi.MoveAction{Folder: id}}}}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func(who *box, mid mapi.MID, pairs ...any) {
		t.Helper()
		call(who, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Message: mid}, Set: bagOf(pairs...)})
	}
	is := func(what string, want bool) {
		t.Helper()
		if got := o.files(); got != want {
			t.Errorf("%s: it is filed: %t", what, got)
		}
	}
	mid := o.assistant.extendedRule(o.work, nil, actions)
	is("somebody's", false)
	grantTo(o.box, o.other, o.assistant.as.User, exmdb.RightCreate)
	is("who may create where it moves to", true)
	grantTo(o.box, o.other, o.assistant.as.User, 0)
	write(o.box, mid, mapi.PidTagRuleMessageName, mapi.String("renamed"))
	is("renamed by who has the mailbox", false)
	write(o.box, mid, mapi.PidTagExtendedRuleMessageActions, mapi.Binary(append(actions, 0)))
	write(o.box, mid, mapi.PidTagExtendedRuleMessageActions, mapi.Binary(actions))
	is("who has the mailbox wants it so", true)
	write(o.assistant, mid, mapi.PidTagRuleMessageName, mapi.String("renamed again"))
	is("changed by somebody", false)

	carry := func(who *box, op exmdb.Op[exmdb.CarryMessagesRequest, exmdb.CarryMessagesResponse], from, to mapi.FID, m mapi.MID) mapi.MID {
		t.Helper()
		return call(who, op, &exmdb.CarryMessagesRequest{Folder: from, Messages: []mapi.MID{m}, Target: to}).To[0]
	}
	o.deleteRules(o.work, 0)
	own := o.extendedRule(aside, nil, actions)
	is("in another folder", false)
	copied := carry(o.assistant, exmdb.OpCopyMessages, aside, o.work, own)
	is("copied by somebody", false)
	call(o.box, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: o.work, Messages: []mapi.MID{copied}})
	carry(o.box, exmdb.OpCopyMessages, aside, o.work, own)
	is("copied by who has the mailbox", true)
	o.deleteRules(o.work, 0)
	carry(o.assistant, exmdb.OpMoveMessages, aside, o.work, own)
	is("moved by somebody", false)
	if n := o.pairs(schema.PrefixExtendedRule); int(o.automation().Extended) != n {
		t.Errorf("%d rules are known of %d", n, o.automation().Extended)
	}
}

// TestDeletedExtendedRulesComeBackAsWhoseTheyAre: who recovers a rule of the mailbox has set it himself.
func TestDeletedExtendedRulesComeBackAsWhoseTheyAre(t *testing.T) {
	o := newFolderOwner(t)
	id, _ := o.prop(exmdb.ObjectID{Folder: o.other}, mapi.PidTagEntryId).(mapi.Binary)
	actions, err := oxcdata.ExtendedActions{Actions: []mapi.RuleAction{{Type: mapi.ActionMove, Data: &mapi.MoveAction{Folder: id}}}}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	grantTo(o.box, o.work, o.assistant.as.User, exmdb.AllRights)
	for who, want := range map[*box]bool{o.assistant: false, o.box: true} {
		mid := o.extendedRule(o.work, nil, actions)
		o.deleteRules(o.work, 0)
		call(who, exmdb.OpRecoverMessages, &exmdb.CarryMessagesRequest{Folder: o.work, Messages: []mapi.MID{mid}, Target: o.work})
		if got := o.files(); got != want {
			t.Errorf("recovered by %v: it is filed: %t", who.as.User, got)
		}
		o.deleteRules(o.work, 0)
	}
}

// TestTemplatesOfOthersAreNotSent: a reply bears the user's name, so what somebody else has written, changed or brought into the
// folder of a rule is none, even of a rule of the mailbox; nor is what he writes before the reply is made.
func TestTemplatesOfOthersAreNotSent(t *testing.T) {
	b := newBox(t, 0)
	someone, aside := b.asUser(mapi.NewGUID()), b.newFolder("aside")
	for _, fid := range []mapi.FID{schema.Inbox, aside} {
		grantTo(b, fid, someone.as.User, exmdb.AllRights)
	}
	template := func(who *box, fid mapi.FID) mapi.MID {
		return who.create(&exmdb.CreateMessageRequest{Folder: fid, Associated: true, Message: exmdb.MessageEdit{Set: bagOf(
			mapi.PidTagMessageClass, mapi.String("IPM.Note.rules.ReplyTemplate.x"), mapi.PidTagBody, mapi.String("away"))}}).MID
	}
	carry := func(who *box, op exmdb.Op[exmdb.CarryMessagesRequest, exmdb.CarryMessagesResponse], mid mapi.MID) mapi.MID {
		return call(who, op, &exmdb.CarryMessagesRequest{Folder: aside, Messages: []mapi.MID{mid}, Target: schema.Inbox}).To[0]
	}
	write := func(who *box, mid mapi.MID, pairs ...any) {
		call(who, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Message: mid}, Set: bagOf(pairs...)})
	}
	answers := func(what string, mid mapi.MID, want int, meanwhile ...func()) {
		t.Helper()
		b.now = b.now.Add(2 * replyWindow)
		reply := ruleBag(t, nil, mapi.RuleAction{Type: mapi.ActionReply, Data: &mapi.ReplyAction{FID: schema.Inbox, MID: mid}})
		call(b, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: schema.Inbox, Replace: true, Changes: addsRule(schema.Inbox, reply).Changes})
		before := len(b.outgoing())
		b.comes("")
		for _, do := range meanwhile {
			do()
		}
		out, sent := b.outgoing(), 0
		for _, o := range out[before:] {
			if o.Template != nil {
				sent++
			}
		}
		if sent != want || len(meanwhile) == 0 && len(out)-before != want { // a rule that fails says so
			t.Errorf("%s: %d are answered with %d, want %d", what, len(out)-before, sent, want)
		}
	}
	mid := template(b, schema.Inbox)
	answers("the mailbox's own", mid, 1)
	answers("changed before the reply is made", mid, 0, func() { write(someone, mid, mapi.PidTagBody, mapi.String("his")) })
	answers("changed by somebody", mid, 0)
	write(b, mid, mapi.PidTagBody, mapi.String("away again"))
	answers("written by who has the mailbox", mid, 1)
	write(someone, mid, mapi.PidTagBody, mapi.String("his"), mapi.PidTagMessageClass, mapi.String(rules.ExtendedClass),
		mapi.PidTagRuleMessageState, mapi.Integer32(rules.Enabled), mapi.PidTagExtendedRuleMessageActions, mapi.Binary{1, 2, 3})
	answers("a rule that does not read", mid, 0)
	answers("a rule that is marked so", mid, 0)
	answers("somebody's", template(someone, schema.Inbox), 0)
	answers("copied by somebody", carry(someone, exmdb.OpCopyMessages, template(b, aside)), 0)
	answers("moved by somebody", carry(someone, exmdb.OpMoveMessages, template(b, aside)), 0)
	answers("moved by who has the mailbox", carry(b, exmdb.OpMoveMessages, template(b, aside)), 1)
}
