package intents

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/formats/mime"
	"github.com/flotilla-mail/flotilla/internal/mailflow/queue"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

const redirect = mapi.ForwardPreserveSender | mapi.ForwardDoNotMungeMessage

// has fails the test unless a mail has all of these in it.
func has(t *testing.T, octets string, want ...string) {
	t.Helper()
	for _, s := range want {
		if !strings.Contains(octets, s) {
			t.Errorf("%q is not in\n%s", s, octets)
		}
	}
}

// bodyOf is the text of a mail's part.
func bodyOf(t *testing.T, octets string, path ...int) string {
	t.Helper()
	part := mime.Scan([]byte(octets))
	for _, i := range path {
		if i >= len(part.Parts) {
			t.Fatalf("no part %v in\n%s", path, octets)
		}
		part = part.Parts[i]
	}
	return rules.TextOf(part, func(from, n int64) ([]byte, error) { return []byte(octets[from : from+n]), nil })
}

func TestRedirectsAreTheMailItself(t *testing.T) {
	w := newTown(t)
	w.rule("anna", forwardTo(redirect, "bert@example.test", "/o=Flotilla/cn=CARL"))
	w.send("dora@elsewhere.test", "anna", plainMail)
	w.settle()
	for name, octets := range map[string]string{"anna": w.one("anna"), "bert": w.one("bert"), "carl": w.one("carl")} {
		if !strings.HasSuffix(octets, plainMail) {
			t.Errorf("%s has\n%s", name, octets)
		}
	}
	has(t, w.one("bert"), "Return-Path: <anna@example.test>\r\nDelivered-To: bert@example.test\r\nReceived: by mail.example.test id ",
		"\r\n"+rules.LoopField+": anna@example.test\r\nResent-From: <anna@example.test>\r\nResent-To: <bert@example.test>\r\n",
		"\r\nReceived: from elsewhere.test (192.0.2.1)\r\n")
	header := mime.ParseHeader([]byte(w.one("bert")))
	if header.Get("Subject") == "" || strings.Contains(w.one("bert"), "Delivered-To: anna@example.test") {
		t.Error("the header ends too early, or says that the mail was delivered to somebody else")
	}
	rows := do(w, "carl", exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowMeta})
	props := do(w, "carl", exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: rows.Rows[0].MID}}).Props
	if props.Get(mapi.PidTagSubject) != mapi.String("Grüße") || props.Get(mapi.PidTagSenderSmtpAddress) != mapi.String("dora@elsewhere.test") {
		t.Errorf("%+v", props)
	}
}

func TestForwardsAreMailsOfTheUser(t *testing.T) {
	for name, flavor := range map[string]uint32{"as text": 0, "attached": mapi.ForwardAsAttachment} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			w.rule("anna", forwardTo(flavor, "bert@example.test"), deleteIt)
			w.send("dora@elsewhere.test", "anna", plainMail)
			w.settle()
			if n := len(w.inbox("anna")); n != 0 {
				t.Errorf("anna has %d mails", n)
			}
			octets := w.one("bert")
			has(t, octets, "\r\nFrom: \"Anna\" <anna@example.test>\r\n", "\r\nTo: <bert@example.test>\r\n", "\r\nReferences: <1@elsewhere.test>\r\n",
				"\r\nAuto-Submitted: auto-generated\r\n", "\r\n"+rules.LoopField+": anna@example.test\r\n")
			root := mime.Scan([]byte(octets))
			if got := root.Envelope.DecodedSubject(); got != "FW: Grüße" || len(root.Parts) != 2 {
				t.Fatalf("subject %q, %d parts", got, len(root.Parts))
			}
			has(t, bodyOf(t, octets, 0), "-----Original Message-----\r\nFrom: Dora <dora@elsewhere.test>\r\n", "Subject: Grüße\r\n")
			other := root.Parts[1]
			if flavor == 0 && bodyOf(t, octets, 1) != "Hello Anna.\r\n" {
				t.Errorf("%q", bodyOf(t, octets, 1))
			}
			if flavor != 0 && (!other.IsMessage() || other.Parts[0].Envelope.MessageID != "<1@elsewhere.test>" || octets[other.BodyStart:other.BodyEnd] != plainMail) {
				t.Errorf("%q", octets[other.BodyStart:other.BodyEnd])
			}
		})
	}
}

// A mail that is longer than what travels in an op goes on from content that the group has.
func TestLongMailsGoOn(t *testing.T) {
	for name, flavor := range map[string]uint32{"redirected": redirect, "as text": 0, "attached": mapi.ForwardAsAttachment} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			body := strings.Repeat("a line of a long text, and more of it\r\n", 20_000)
			long := plainMail[:strings.Index(plainMail, "\r\n\r\n")] + "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + body
			w.rule("anna", forwardTo(flavor, "bert@example.test", "carl@example.test"), deleteIt)
			w.send("dora@elsewhere.test", "anna", long)
			w.settle()
			for _, name := range []string{"bert", "carl"} {
				if octets := w.one(name); strings.Count(octets, body) != 1 {
					t.Errorf("%s has %d octets", name, len(octets))
				}
			}
			for _, prefix := range []byte{schema.PrefixContent, schema.PrefixRecipe, schema.PrefixShare} {
				if n := w.count(cluster.SpaceID(w.boxes["anna"]), prefix, prefix+1); n != 0 {
					t.Errorf("anna's mailbox keeps %d pairs under %#x of a mail that is gone", n, prefix)
				}
			}
		})
	}
}

func TestDelegatesSeeForWhomAMailIs(t *testing.T) {
	w := newTown(t)
	w.rule("anna", mapi.RuleAction{Type: mapi.ActionDelegate, Data: forwardTo(0, "bert@example.test").Data})
	w.send("dora@elsewhere.test", "anna", plainMail)
	w.settle()
	if !strings.HasSuffix(w.one("bert"), plainMail) {
		t.Error("a delegate gets the mail as it is")
	}
	rows := do(w, "bert", exmdb.OpRows, &exmdb.RowsRequest{Folder: schema.Inbox, Fields: exmdb.RowMeta})
	props := do(w, "bert", exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: rows.Rows[0].MID}}).Props
	if props.Get(mapi.PidTagDelegatedByRule) != mapi.Boolean(true) || props.Get(mapi.PidTagReceivedRepresentingEmailAddress) != mapi.String("/o=Flotilla/cn=anna") {
		t.Errorf("%+v", props)
	}
}

// Anna sends to Bert, Bert to Carl and Anna, and Carl to Anna: everybody gets the mail, and it ends.
func TestLoopsEnd(t *testing.T) {
	for name, flavor := range map[string]uint32{"redirected": redirect, "as text": 0, "attached": mapi.ForwardAsAttachment} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			w.rule("anna", forwardTo(flavor, "bert@example.test"))
			w.rule("bert", forwardTo(flavor, "carl@example.test", "anna@example.test"))
			w.rule("carl", forwardTo(flavor, "anna@example.test"))
			w.send("dora@elsewhere.test", "anna", plainMail)
			w.settle()
			got := fmt.Sprint(len(w.inbox("anna")), len(w.inbox("bert")), len(w.inbox("carl")))
			if got != "3 1 1" {
				t.Errorf("anna, bert and carl have %s mails", got)
			}
		})
	}
}

func TestAwayIsSaidOnce(t *testing.T) {
	w := newTown(t)
	do(w, "anna", exmdb.OpSetOOF, &exmdb.OOFSettings{State: exmdb.OOFEnabled, Audience: exmdb.OOFAll, Internal: exmdb.ReplyText{Plain: "I am on Föhr.\nAnna", HTML: "<p>I am on Föhr</p>", Language: "de"},
		External: exmdb.ReplyText{HTML: "<p>away</p>"}})
	do(w, "bert", exmdb.OpSetOOF, &exmdb.OOFSettings{State: exmdb.OOFEnabled, Internal: exmdb.ReplyText{Plain: "so am I"}})
	mail := strings.Replace(plainMail, "Dora <dora@elsewhere.test>", "bert@example.test", 1)
	for i := range 3 {
		w.send("bert@example.test", "anna", strings.Replace(mail, "<1@", fmt.Sprintf("<%d@", i), 1))
		w.settle()
	}
	octets := w.one("bert")
	has(t, octets, "Return-Path: <>\r\n", "\r\nFrom: \"Anna\" <anna@example.test>\r\n", "\r\nTo: <bert@example.test>\r\n", "\r\nIn-Reply-To: <0@elsewhere.test>\r\n",
		"\r\nAuto-Submitted: auto-replied\r\n", "\r\nX-Auto-Response-Suppress: All\r\n", "\r\nContent-Language: de\r\n")
	root := mime.Scan([]byte(octets))
	if root.Envelope.DecodedSubject() != "Automatic reply: Grüße" || bodyOf(t, octets, 0) != "I am on Föhr.\r\nAnna\r\n" || bodyOf(t, octets, 1) != " I am on Föhr \r\n" {
		t.Errorf("%s", octets)
	}
	if n := len(w.inbox("anna")); n != 3 {
		t.Errorf("anna has %d mails", n)
	}
	w.send("dora@elsewhere.test", "anna", plainMail)
	w.settle()
	l, err := w.queue.List(t.Context())
	if err != nil || len(l.Entries) != 1 || l.Entries[0].Failed != 1 || l.Entries[0].From != "" {
		t.Errorf("an answer for elsewhere waits for who carries it: %+v, %v", l.Entries, err)
	}
}

// inKOI8 is a mail whose header has octets in the charset of its text; clients see its subject as Привет.
const inKOI8 = "From: \xe2\xc5\xd2\xd4 <bert@example.test>\r\nTo: anna@example.test\r\nSubject: \xf0\xd2\xc9\xd7\xc5\xd4\r\nMessage-ID: <8@example.test>\r\n" +
	"Disposition-Notification-To: bert@example.test\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n\xe4\xc1.\r\n"

// What is said about a mail names it as clients show it.
func TestAnswersNameTheSubjectThatIsShown(t *testing.T) {
	w := newTown(t)
	do(w, "anna", exmdb.OpSetOOF, &exmdb.OOFSettings{State: exmdb.OOFEnabled, Internal: exmdb.ReplyText{Plain: "away"}})
	template := do(w, "anna", exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true}).State.MID
	w.rule("anna", mapi.RuleAction{Type: mapi.ActionReply, Data: &mapi.ReplyAction{FID: schema.Inbox, MID: template}})
	w.rule("anna", forwardTo(0, "carl@example.test"))
	w.send("bert@example.test", "anna", inKOI8)
	w.read("anna", 0)
	w.settle()
	got := map[string]bool{}
	for _, octets := range w.inbox("bert") {
		root := mime.Scan([]byte(octets))
		got[root.Envelope.DecodedSubject()] = true
		if root.IsMultipart() {
			has(t, bodyOf(t, octets, 0), "Subject: Привет\r\n")
		}
	}
	if len(got) != 3 || !got["Automatic reply: Привет"] || !got["RE: Привет"] || !got["Read: Привет"] {
		t.Errorf("bert has %v", got)
	}
	octets := w.one("carl")
	if subject := mime.Scan([]byte(octets)).Envelope.DecodedSubject(); subject != "FW: Привет" {
		t.Errorf("carl has %q", subject)
	}
	has(t, bodyOf(t, octets, 0), "From: Берт <bert@example.test>\r\n", "Subject: Привет\r\n")
}

func TestTemplatesAnswer(t *testing.T) {
	w := newTown(t)
	var set, carl mapi.PropBag
	set.Set(mapi.PidTagMessageClass, mapi.String("IPM.Note.rules.ReplyTemplate.x"))
	set.Set(mapi.PidTagSubject, mapi.String("Thank you"))
	set.Set(mapi.PidTagHtml, mapi.Binary("<b>We</b> will answer"))
	carl.Set(mapi.PidTagAddressType, mapi.String("EX"))
	carl.Set(mapi.PidTagEmailAddress, mapi.String("/o=Flotilla/cn=carl"))
	template := do(w, "anna", exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true,
		Message: exmdb.MessageEdit{Set: set, ReplaceRecipients: true, Recipients: []mapi.PropBag{carl}}}).State.MID
	reply := mapi.RuleAction{Type: mapi.ActionReply, Data: &mapi.ReplyAction{FID: schema.Inbox, MID: template}}
	w.rule("anna", reply)
	mail := strings.Replace(plainMail, "Dora <dora@elsewhere.test>", "bert@example.test", 1)
	w.send("bert@example.test", "anna", mail)
	w.settle()
	for _, name := range []string{"bert", "carl"} {
		octets := w.one(name)
		has(t, octets, "\r\nSubject: Thank you\r\n", "\r\nAuto-Submitted: auto-replied\r\n", "\r\nContent-Type: text/html; charset=utf-8\r\n")
		if bodyOf(t, octets) != "We will answer\r\n" {
			t.Errorf("%q", bodyOf(t, octets))
		}
	}
	reply.Flavor = mapi.ReplyDoNotSendToOriginator
	w.rule("anna", reply)
	w.send("bert@example.test", "anna", strings.Replace(mail, "<1@", "<2@", 1))
	w.settle()
	if b, c := len(w.inbox("bert")), len(w.inbox("carl")); b != 2 || c != 3 {
		t.Errorf("bert has %d mails, carl %d", b, c)
	}
}

func TestBouncesAreReports(t *testing.T) {
	w := newTown(t)
	w.rule("anna", mapi.RuleAction{Type: mapi.ActionBounce, Data: mapi.BounceAction(mapi.BounceMessageTooLarge)})
	w.send("bert@example.test", "anna", plainMail)
	w.settle()
	octets := w.one("bert")
	has(t, octets, "Return-Path: <>\r\n", "\r\nFinal-Recipient: rfc822; anna@example.test\r\nAction: failed\r\nStatus: 5.3.4\r\n", "Message-ID: <1@elsewhere.test>")
	if mime.Scan([]byte(octets)).Params.Get("report-type") != "delivery-status" || len(w.inbox("anna")) != 0 {
		t.Errorf("%s", octets)
	}
}

// Who wanted a forward hears that it cannot be delivered, once, and that is not forwarded for ever.
func TestForwardsThatLeadNowhere(t *testing.T) {
	w := newTown(t)
	w.rule("anna", forwardTo(redirect, "x@far.test", "nobody@example.test", "all@example.test", "bert@example.test", "/o=Flotilla/cn=gone"))
	w.send("dora@elsewhere.test", "anna", plainMail)
	w.settle()
	w.one("bert")
	w.one("carl")
	mails := w.inbox("anna")
	if len(mails) != 2 {
		t.Fatalf("anna has %d mails", len(mails))
	}
	has(t, mails[1], "report-type=delivery-status", "x@far.test", "nobody@example.test")
	l, err := w.queue.List(t.Context())
	if err != nil || len(l.Entries) == 0 {
		t.Fatalf("%+v, %v", l, err)
	}
	for _, e := range l.Entries {
		if e.Waiting != 0 || e.Failed == 0 {
			t.Errorf("%+v", e)
		}
	}
}

// Whatever is killed between two steps, each recipient has the mail once and the mailbox keeps nothing of it.
func TestNothingIsLostOrDoubledWhenCallsFail(t *testing.T) {
	steps := map[string]ops.ID{"read": ops.ID(exmdb.OpOutgoing.ID), "octets": ops.ID(exmdb.OpReadOutgoing.ID), "open": queue.OpOpen, "keep": queue.OpKeep,
		"finish": ops.ID(exmdb.OpFinishOutgoing.ID), "deliver": ops.ID(exmdb.OpDeliver.ID)}
	for name, op := range steps {
		for kind, fault := range map[string]error{"lost": cluster.ErrUnavailable, "unheard": errUnheard} {
			t.Run(name+" "+kind, func(t *testing.T) {
				w := newTown(t)
				w.rule("anna", forwardTo(0, "bert@example.test", "carl@example.test"), forwardTo(redirect, "bert@example.test"), deleteIt)
				w.send("dora@elsewhere.test", "anna", plainMail)
				for n := range 4 {
					list := make([]error, n+1)
					list[n] = fault
					w.faults[op] = list
					w.settle()
				}
				w.exactly(2, 1)
			})
		}
	}
}

// exactly fails the test unless bert and carl have so many mails, and anna's mailbox keeps nothing of what it sent.
func (w *town) exactly(bert, carl int) {
	w.t.Helper()
	if b, c := len(w.inbox("bert")), len(w.inbox("carl")); b != bert || c != carl {
		w.t.Errorf("bert has %d mails, carl %d; want %d and %d", b, c, bert, carl)
	}
	for _, prefix := range []byte{schema.PrefixOutgoing, schema.PrefixRecipe, schema.PrefixDigest, schema.PrefixShare} {
		if n := w.count(cluster.SpaceID(w.boxes["anna"]), prefix, prefix+1); n != 0 {
			w.t.Errorf("%d pairs under %#x are left", n, prefix)
		}
	}
	if n := w.outbox(cluster.SpaceID(w.boxes["anna"])); n != 0 {
		w.t.Errorf("%d intents are left", n)
	}
}

// The same for every effect that the group's log may lose, or commit unheard.
func TestNothingIsLostOrDoubledWhenEffectsFail(t *testing.T) {
	faults := map[string]space.LocalFault{"lost": space.FaultLostEntry, "unheard": space.FaultLostAnswer, "refused": space.FaultRefused,
		"void": space.FaultVoidTerm, "late": space.FaultLate}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			for n := range 9 {
				w := newTown(t)
				w.rule("anna", forwardTo(0, "bert@example.test", "carl@example.test"), forwardTo(redirect, "bert@example.test"), deleteIt)
				w.send("dora@elsewhere.test", "anna", plainMail)
				w.Replicas[1].Local.Fail(append(make([]space.LocalFault, n), fault)...)
				w.settle()
				w.exactly(2, 1)
			}
		})
	}
}

// A group that is down holds up its own people's mail, not the others'.
func TestOneRecipientDoesNotWaitForAnother(t *testing.T) {
	w := newTown(t)
	w.rule("anna", forwardTo(redirect, "carl@example.test", "bert@example.test"))
	var down []error
	for range 30 {
		down = append(down, nil, cluster.ErrUnavailable)
	}
	w.send("dora@elsewhere.test", "anna", plainMail)
	w.faults[ops.ID(exmdb.OpDeliver.ID)] = down
	w.settle()
	w.one("bert")
	w.one("carl")
}

// A directory that cannot tell now holds the intent up until it can.
func TestADirectoryThatDoesNotKnowIsAskedAgain(t *testing.T) {
	w := newTown(t)
	w.rule("anna", forwardTo(redirect, "down@example.test"))
	w.rule("anna", forwardTo(redirect, "bert@example.test"))
	w.send("dora@elsewhere.test", "anna", plainMail)
	if n := w.outbox(cluster.SpaceID(w.boxes["anna"])); n != 2 {
		t.Fatalf("%d intents", n)
	}
	w.pump()
	if w.onTheirWay() == 0 || len(w.inbox("bert")) != 0 {
		t.Error("what is behind an intent that cannot be carried out yet waits for it")
	}
}

func TestWhatCannotBeSentIsDropped(t *testing.T) {
	w := newTown(t)
	do(w, "anna", exmdb.OpSetOOF, &exmdb.OOFSettings{State: exmdb.OOFEnabled, Internal: exmdb.ReplyText{Plain: "away"}})
	w.send("bert@example.test", "anna", plainMail)
	do(w, "anna", exmdb.OpSetOOF, &exmdb.OOFSettings{})
	w.settle()
	if len(w.told) != 1 || !strings.HasPrefix(w.told[0], "dropped kind 5") || len(w.inbox("bert")) != 0 {
		t.Errorf("%q", w.told)
	}
	p := w.performer(1)
	source := cluster.SpaceID(w.boxes["anna"])
	if err := p.Perform(t.Context(), source, 1, space.Intent{Op: 99}); cluster.KindOf(err) != cluster.KindInternal {
		t.Errorf("an intent of a later release: %v", err)
	}
	if err := p.Perform(t.Context(), source, 1, space.Intent{Op: exmdb.IntentOutgoing, Payload: []byte{0xFF}}); err == nil {
		t.Error("an intent that does not read")
	}
	if err := p.Perform(t.Context(), source, 1, space.Intent{Op: exmdb.IntentOutgoing}); err != nil {
		t.Errorf("what was sent before: %v", err)
	}
	w.Pass(time.Hour)
}
