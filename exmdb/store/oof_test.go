package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

func TestOutOfOffice(t *testing.T) {
	b := newBox(t, 0)
	settings := exmdb.OOFSettings{State: exmdb.OOFEnabled, Audience: exmdb.OOFAll, Internal: exmdb.ReplyText{Plain: "in"}, External: exmdb.ReplyText{HTML: "out"}}
	b.comes("")
	call(b, exmdb.OpSetOOF, &settings)
	if got := *call(b, exmdb.OpOOF, &exmdb.Empty{}); got != settings {
		t.Fatalf("%+v", got)
	}
	b.comes("")
	b.comes("")
	b.comes("Auto-Submitted: auto-replied\r\n")
	out := b.outgoing()
	if len(out) != 1 || out[0].Outgoing.Kind != exmdb.OutgoingAway || out[0].Text == nil || out[0].Text.HTML != "out" || b.count(schema.Inbox) != "4" {
		t.Fatalf("%+v", out)
	}
	q := b.incomingMail("")
	q.Sender, q.About.Internal = "carl@example.test", true
	call(b, exmdb.OpDeliver, q)
	if out = b.outgoing(); len(out) != 2 || out[1].Text.Plain != "in" {
		t.Fatalf("%+v", out)
	}
	b.now = b.now.Add(tellAgain)
	if b.comes(""); len(b.outgoing()) != 3 {
		t.Error("the next day the sender is told again")
	}
	settings.State, settings.Start, settings.End = exmdb.OOFScheduled, b.now.Add(time.Hour), b.now.Add(2*time.Hour)
	call(b, exmdb.OpSetOOF, &settings)
	for i, want := range []int{3, 4, 4} {
		if b.comes(""); len(b.outgoing()) != want {
			t.Errorf("after %d hours %d were told, want %d", i, len(b.outgoing()), want)
		}
		b.now = b.now.Add(time.Hour)
	}
	if settings.External = (exmdb.ReplyText{}); call(b, exmdb.OpSetOOF, &settings) == nil || b.outgoing()[0].Text != nil {
		t.Error("a text that is gone is sent")
	}
}

// TestOutOfOfficeIsAProperty: what a client writes into the property of the mailbox is the settings, and it reads what they are.
func TestOutOfOfficeIsAProperty(t *testing.T) {
	b := newBox(t, 0)
	settings := exmdb.OOFSettings{Audience: exmdb.OOFAll, Internal: exmdb.ReplyText{Plain: "in"}, External: exmdb.ReplyText{Plain: "out"}}
	call(b, exmdb.OpSetOOF, &settings)
	write := func(v mapi.Value) []exmdb.PropertyProblem {
		t.Helper()
		var set mapi.PropBag
		set.Set(mapi.PidTagOutOfOfficeState.WithType(mapi.TypeOf(v)), v)
		set.Set(mapi.PidTagComment, mapi.String("beside"))
		return call(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Set: set}).Problems
	}
	is := func(what string, away bool, state exmdb.OOFState) {
		t.Helper()
		got := call(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Tags: []mapi.Tag{mapi.PidTagOutOfOfficeState}}).Props.Get(mapi.PidTagOutOfOfficeState)
		if s := call(b, exmdb.OpOOF, &exmdb.Empty{}); got != mapi.Boolean(away) || s.State != state || s.Internal.Plain != "in" || s.Audience != exmdb.OOFAll {
			t.Errorf("%s: %v, %+v", what, got, s)
		}
	}
	is("before", false, exmdb.OOFDisabled)
	if p := write(mapi.Boolean(true)); len(p) != 0 {
		t.Errorf("%+v", p)
	}
	is("away", true, exmdb.OOFEnabled)
	if b.comes(""); len(b.outgoing()) != 1 {
		t.Error("the sender is not told")
	}
	if p := write(mapi.Integer32(0)); len(p) != 1 || p[0].Code != mapi.ErrorUnexpectedType {
		t.Errorf("%+v", p)
	}
	is("after a number", true, exmdb.OOFEnabled)
	write(mapi.Boolean(false))
	is("back", false, exmdb.OOFDisabled)
	settings.State, settings.Start, settings.End = exmdb.OOFScheduled, time.Now().Add(-time.Hour), b.now.Add(time.Hour)
	if !settings.Start.Before(b.now) { // what is read goes by the clock, what is written by the mailbox's
		t.Fatal("the mailbox's time is before the clock's")
	}
	call(b, exmdb.OpSetOOF, &settings)
	is("in a span", true, exmdb.OOFScheduled)
	write(mapi.Boolean(true))
	is("away, as the span says", true, exmdb.OOFScheduled)
	write(mapi.Boolean(false))
	is("back before its end", false, exmdb.OOFDisabled)
	settings.Start = b.now.Add(time.Minute)
	call(b, exmdb.OpSetOOF, &settings)
	write(mapi.Boolean(false))
	is("not away yet", false, exmdb.OOFScheduled)
	stranger := *b
	stranger.as = exmdb.Identity{User: mapi.NewGUID()}
	if resp, err := try(&stranger, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Tags: []mapi.Tag{mapi.PidTagOutOfOfficeState}}); err == nil && resp.Props.Get(mapi.PidTagOutOfOfficeState) != nil {
		t.Error("a stranger reads whether somebody is away")
	}
}

func TestOutOfOfficeRefuses(t *testing.T) {
	b := newBox(t, 0)
	at := b.now
	for _, s := range []exmdb.OOFSettings{{State: 3}, {Audience: 3}, {State: exmdb.OOFScheduled}, {State: exmdb.OOFScheduled, Start: at, End: at}} {
		refused(b, exmdb.OpSetOOF, &s, cluster.KindBadRequest)
	}
	refused(b, exmdb.OpSetOOF, &exmdb.OOFSettings{Internal: exmdb.ReplyText{Plain: strings.Repeat("x", maxReplyText+1)}}, exmdb.KindTooBig)
	if got := *call(b, exmdb.OpOOF, &exmdb.Empty{}); got != (exmdb.OOFSettings{}) {
		t.Errorf("%+v", got)
	}
}

// addContact puts a contact with an address into the mailbox.
func (b *box) addContact(address string) {
	b.t.Helper()
	var set mapi.PropBag
	set.Set(mapi.NewTag(0x8000, mapi.TypeString), mapi.String(address))
	call(b, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Contacts, Message: exmdb.MessageEdit{Set: set},
		Payload: exmdb.Payload{Names: []mapi.PropertyName{mapi.PidLidEmail2EmailAddress.PropertyName}}})
}

func TestContactsAreTold(t *testing.T) {
	b := newBox(t, 0)
	call(b, exmdb.OpSetOOF, &exmdb.OOFSettings{State: exmdb.OOFEnabled, Audience: exmdb.OOFKnown, External: exmdb.ReplyText{Plain: "out"}})
	if b.comes(""); len(b.outgoing()) != 0 {
		t.Fatal("a stranger was told")
	}
	b.addContact("eve@elsewhere.test")
	b.addContact("Bob@Elsewhere.test")
	if b.comes(""); len(b.outgoing()) != 1 {
		t.Fatal("a contact was not told")
	}
}

func TestTheHistoryOfAnswersForgets(t *testing.T) {
	b := newBox(t, 0)
	call(b, exmdb.OpSetOOF, &exmdb.OOFSettings{State: exmdb.OOFEnabled, Audience: exmdb.OOFAll, External: exmdb.ReplyText{Plain: "out"}})
	for i := range 400 {
		q := b.incomingMail("")
		q.Sender = fmt.Sprintf("u%d@elsewhere.test", i)
		call(b, exmdb.OpDeliver, q)
		b.now = b.now.Add(tellAgain / 100)
	}
	if n := b.pairs(schema.PrefixAnswered); n < 100 || n > 200 {
		t.Errorf("%d senders are remembered, of whom 100 matter", n)
	}
	call(b, exmdb.OpSetOOF, &exmdb.OOFSettings{})
	if n := b.pairs(schema.PrefixAnswered); n != 0 {
		t.Errorf("%d senders are remembered of an absence that is over", n)
	}
}

// template makes a message that replies are made of.
func (b *box) template(class, text string) mapi.MID {
	b.t.Helper()
	var set mapi.PropBag
	set.Set(mapi.PidTagMessageClass, mapi.String(class))
	set.Set(mapi.PidTagSubject, mapi.String("thank you"))
	set.Set(mapi.PidTagBody, mapi.String(text))
	return call(b, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true, Message: exmdb.MessageEdit{Set: set}}).State.MID
}

func TestRepliesAreMadeOfTemplates(t *testing.T) {
	b := newBox(t, 0)
	text := strings.Repeat("long text ", 2000)
	mid := b.template("IPM.Note.rules.ReplyTemplate.x", text)
	b.rule(schema.Inbox, aboutOffer, mapi.RuleAction{Type: mapi.ActionReply, Data: &mapi.ReplyAction{FID: schema.Inbox, MID: mid}})
	for range repliesInWindow + 3 {
		b.comes("")
	}
	out := b.outgoing()
	if len(out) != repliesInWindow {
		t.Fatalf("%d replies", len(out))
	}
	if c := out[0].Template; c == nil || c.Props.Get(mapi.PidTagBody) != mapi.String(text) || c.Props.Get(mapi.PidTagSubject) != mapi.String("thank you") {
		t.Errorf("%+v", out[0])
	}
	b.now = b.now.Add(replyWindow)
	if b.comes(""); len(b.outgoing()) != repliesInWindow+1 {
		t.Error("a sender is not answered an hour later")
	}
	b.update(func(tx *tx) error {
		fid, m, err := tx.find(mid)
		if err != nil {
			return err
		}
		c, err := tx.edit(fid)
		if err != nil {
			return err
		}
		tx.take(fid, c, m)
		tx.leave(&m.row)
		return tx.destroy(&m.row)
	})
	b.comes("")
	if n := len(b.outgoing()); n != repliesInWindow+1 || len(b.deferred()) != 1 || b.outgoing()[0].Template != nil {
		t.Errorf("%d replies of a template that is gone, %d messages for the client", n, len(b.deferred()))
	}
}

// TestTemplatesAreOfTheRulesFolder: who owns one folder has no message of another sent by a rule, nor one that is no template.
func TestTemplatesAreOfTheRulesFolder(t *testing.T) {
	b := newBox(t, 0)
	reply := func(fid mapi.FID, associated bool) {
		mid := b.create(&exmdb.CreateMessageRequest{Folder: fid, Associated: associated, Message: subjectEdit("a secret")}).MID
		b.rule(schema.Inbox, aboutOffer, mapi.RuleAction{Type: mapi.ActionReply, Data: &mapi.ReplyAction{FID: fid, MID: mid}})
	}
	reply(schema.Drafts, false)
	reply(schema.Drafts, true)
	reply(schema.Inbox, false)
	b.comes("")
	if out := b.outgoing(); len(out) > 0 || len(b.deferred()) != 3 {
		t.Errorf("%+v goes out, %d failures are told", out, len(b.deferred()))
	}
	reply(schema.Inbox, true)
	if b.comes(""); len(b.outgoing()) != 1 {
		t.Error("a template of the folder answers nobody")
	}
}

func TestOOFRules(t *testing.T) {
	b := newBox(t, 0)
	mid := b.template("IPM.Note.rules.OOFTemplate.x", "away")
	bag := ruleBag(t, nil, mapi.RuleAction{Type: mapi.ActionOOFReply, Data: &mapi.ReplyAction{FID: schema.Inbox, MID: mid}}, markRead)
	bag.Set(mapi.PidTagRuleState, mapi.Integer32(rules.Enabled|rules.OnlyWhenOOF|rules.KeepOOFHistory))
	b.ruleOf(schema.Inbox, bag)
	b.comes("")
	away := exmdb.OOFSettings{State: exmdb.OOFEnabled, Audience: exmdb.OOFAll, External: exmdb.ReplyText{Plain: "out"}}
	call(b, exmdb.OpSetOOF, &away)
	b.comes("")
	b.comes("")
	out := b.outgoing()
	if len(out) != 1 || out[0].Outgoing.Kind != exmdb.OutgoingOOFReply || b.folder(schema.Inbox).Unseen != 2 {
		t.Fatalf("%+v, %d unseen", out, b.folder(schema.Inbox).Unseen)
	}
	b.now = b.now.Add(10 * tellAgain)
	if b.comes(""); len(b.outgoing()) != 2 || b.outgoing()[1].Outgoing.Kind != exmdb.OutgoingAway {
		t.Error("the rule keeps its history, the settings tell again")
	}
	call(b, exmdb.OpSetOOF, &exmdb.OOFSettings{})
	call(b, exmdb.OpSetOOF, &away)
	if b.comes(""); len(b.outgoing()) != 3 || b.outgoing()[2].Outgoing.Kind != exmdb.OutgoingOOFReply {
		t.Error("in another absence the rule tells again")
	}
}
