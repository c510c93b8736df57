package inspect_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/inspect"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/testkit/mailboxes"
)

var rewrite = flag.Bool("rewrite", false, "write what is said into testdata")

// at is when everything happens.
var at = time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)

type fixture struct {
	t *testing.T
	*inspect.Mailbox
	item, fai mapi.MID
	since     mapi.Stamp
}

func call[Q, R any](f *fixture, op exmdb.Op[Q, R], q *Q) *R {
	f.t.Helper()
	r, err := exmdb.Do(f.t.Context(), f.Caller, exmdb.System, f.ID, op, q)
	if err != nil {
		f.t.Fatalf("%s: %v", op.Name, err)
	}
	return r
}

func (f *fixture) show(part string, q inspect.Query) any {
	f.t.Helper()
	v, err := f.Show(f.t.Context(), part, q)
	if err != nil {
		f.t.Fatalf("%s %+v: %v", part, q, err)
	}
	return v
}

func (f *fixture) deliver(subject string) *exmdb.DeliverResponse {
	text := "From: Dora <dora@example.org>\r\nSubject: " + subject + "\r\nMessage-ID: <" + subject + "@example.org>\r\n\r\nA secret.\r\n"
	return call(f, exmdb.OpDeliver, &exmdb.DeliverRequest{Received: at, Key: [32]byte{byte(len(subject))}, Message: mailboxes.Mail(f.t, []byte(text))})
}

// newFixture is a mailbox with some of everything.
func newFixture(t *testing.T) *fixture {
	g := mailboxes.New(t, store.Defaults())
	f := &fixture{t: t, Mailbox: &inspect.Mailbox{Caller: g, ID: g.Create(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Owner: mapi.GUID{1}, Language: "de", Quota: 1 << 30})}}
	work := call(f, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.Inbox, Name: "Work"}).Folder.FID
	f.since = call(f, exmdb.OpMailboxInfo, &exmdb.Empty{}).Stamp
	f.item = f.born(work, false)
	f.deliver("one")
	f.deliver("three")
	gone := f.deliver("seventeen")
	call(f, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{gone.MID}})
	call(f, exmdb.OpSetFlags, &exmdb.SetFlagsRequest{Folder: schema.Inbox, UIDs: []exmdb.UIDRange{{First: 1, Last: 1}}, Mode: exmdb.FlagsAdd,
		Flags: exmdb.Flags{Bits: exmdb.FlagSeen | exmdb.FlagFlagged, Keywords: []string{"Red"}}})
	call(f, exmdb.OpModifyPermissions, &exmdb.ModifyPermissionsRequest{Folder: work, FreeBusy: true, Changes: []exmdb.PermissionChange{
		{Kind: exmdb.PermissionAdd, Member: exmdb.Member{User: mapi.GUID{2}, Name: "Bob", Rights: exmdb.RightReadAny | exmdb.RightFolderVisible}},
		{Kind: exmdb.PermissionModify, Member: exmdb.Member{ID: exmdb.MemberDefault, Rights: exmdb.RightFreeBusySimple}}}})
	call(f, exmdb.OpSetOOF, &exmdb.OOFSettings{State: exmdb.OOFScheduled, Audience: exmdb.OOFKnown, Start: at, End: at.Add(24 * time.Hour),
		Internal: exmdb.ReplyText{Plain: "I am away.", Language: "en"}})
	call(f, exmdb.OpSetJunk, &exmdb.SetJunkRequest{Add: []exmdb.JunkEntry{{List: exmdb.JunkBlocked, Entry: "spam.example"}}})
	call(f, exmdb.OpSetDelegates, &exmdb.Delegates{Members: []exmdb.Delegate{{User: mapi.GUID{3}, Name: "Carol", SendOnBehalf: true}}})
	old := call(f, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "Old"}).Folder.FID
	call(f, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: old})
	f.addRules(work)
	f.fai = f.born(schema.Inbox, true)
	return f
}

// born makes a message as MAPI clients do, with a recipient, an attachment and a named property.
func (f *fixture) born(folder mapi.FID, associated bool) mapi.MID {
	var bag, to, file mapi.PropBag
	bag.Set(mapi.PidTagSubject, mapi.String("Plan"))
	bag.Set(mapi.PidTagMessageClass, mapi.String("IPM.Note"))
	bag.Set(mapi.PidTagBody, mapi.String("A secret."))
	bag.Set(mapi.PidLidReminderSet.Tag(0x8000), mapi.Boolean(true))
	bag.Set(mapi.NewTag(0x8001, mapi.TypeMultiString), mapi.Strings{"a", "b"})
	bag.Set(mapi.PidTagInternetReferences, mapi.String(strings.Repeat("r", 20_000)))
	to.Set(mapi.PidTagDisplayName, mapi.String("Bob"))
	to.Set(mapi.PidTagRecipientType, mapi.Integer32(1))
	file.Set(mapi.PidTagAttachLongFilename, mapi.String("plan.txt"))
	file.Set(mapi.PidTagAttachDataBinary, mapi.Binary("data"))
	edit := exmdb.MessageEdit{Set: bag}
	if !associated {
		edit.ReplaceRecipients, edit.Recipients = true, []mapi.PropBag{to}
		edit.Attachments = []exmdb.AttachmentEdit{{Number: 0, Set: file}}
	}
	return call(f, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: folder, Associated: associated, Message: edit,
		Payload: exmdb.Payload{Names: []mapi.PropertyName{mapi.PidLidReminderSet.PropertyName, {Set: mapi.PSPublicStrings, Kind: mapi.NameByString, Name: "Colours"}}}}).State.MID
}

func has(fuzzy mapi.FuzzyLevel, tag mapi.Tag, text string) mapi.Restriction {
	return &mapi.ContentRestriction{Fuzzy: fuzzy, Tag: tag, Value: mapi.Prop{Tag: tag, Value: mapi.String(text)}}
}

func is(op mapi.RelOp, tag mapi.Tag, v mapi.Value) mapi.Restriction {
	return &mapi.PropertyRestriction{Op: op, Tag: tag, Value: mapi.Prop{Tag: tag, Value: v}}
}

// addRules makes a rule with every kind of condition and action that a standard rule can have.
func (f *fixture) addRules(work mapi.FID) {
	condition := mapi.AndRestriction{
		mapi.OrRestriction{has(mapi.FuzzySubstring|mapi.FuzzyIgnoreCase, mapi.PidTagSubject, "bill"), has(mapi.FuzzyPrefix, mapi.PidTagSubject, "Re")},
		&mapi.NotRestriction{Of: is(mapi.RelOpGE, mapi.PidTagMessageSize, mapi.Integer32(1000))},
		&mapi.BitMaskRestriction{Op: mapi.BitMaskEqualZero, Tag: mapi.PidTagMessageFlags, Mask: 1},
		&mapi.SizeRestriction{Op: mapi.RelOpLT, Tag: mapi.PidTagSubject, Size: 100},
		&mapi.ExistRestriction{Tag: mapi.PidTagSenderName},
		&mapi.ComparePropertiesRestriction{Op: mapi.RelOpEQ, Left: mapi.PidTagSenderName, Right: mapi.PidTagSentRepresentingName},
		&mapi.SubObjectRestriction{Tag: mapi.PidTagMessageRecipients, Of: has(mapi.FuzzyFullString|mapi.FuzzyLoose, mapi.PidTagDisplayName, "alice")},
		&mapi.CommentRestriction{Of: &mapi.CountRestriction{Count: 3, Of: is(mapi.RelOpNE, mapi.PidTagImportance, mapi.Integer32(2))}},
	}
	actions, err := oxcdata.RuleActionsValue([]mapi.RuleAction{
		{Type: mapi.ActionMove, Data: &mapi.MoveAction{InThisStore: true, Folder: oxcdata.ServerIDValue(mapi.ServerID{Ours: true, FID: work})}},
		{Type: mapi.ActionForward, Flavor: mapi.ForwardAsAttachment, Data: mapi.ForwardAction{{{Tag: mapi.PidTagDisplayName, Value: mapi.String("Bob")},
			{Tag: mapi.PidTagEmailAddress, Value: mapi.String("bob@example.test")}, {Tag: mapi.PidTagRecipientType, Value: mapi.Integer32(1)}}}},
		{Type: mapi.ActionTag, Data: &mapi.TagAction{Prop: mapi.Prop{Tag: mapi.PidTagImportance, Value: mapi.Integer32(2)}}},
		{Type: mapi.ActionBounce, Data: mapi.BounceAction(mapi.BounceDeliveryRejected)},
		{Type: mapi.ActionReply, Data: &mapi.ReplyAction{FID: schema.Inbox, MID: f.item}},
		{Type: mapi.ActionDefer, Data: mapi.DeferAction("x")}, {Type: mapi.ActionMarkAsRead}, {Type: mapi.ActionDelete},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	var bag mapi.PropBag
	bag.Set(mapi.PidTagRuleName, mapi.String("Bills"))
	bag.Set(mapi.PidTagRuleProvider, mapi.String("RuleOrganizer"))
	bag.Set(mapi.PidTagRuleSequence, mapi.Integer32(10))
	bag.Set(mapi.PidTagRuleState, mapi.Integer32(rules.Enabled|rules.ExitLevel))
	bag.Set(mapi.PidTagRuleCondition, oxcdata.RestrictionValue(condition))
	bag.Set(mapi.PidTagRuleActions, actions)
	call(f, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: schema.Inbox, Changes: []exmdb.RuleChange{{Kind: exmdb.RuleAdd, Props: bag}}})
}

// drawn are values that are new with every mailbox or moment.
var drawn = regexp.MustCompile(`"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"|"20[0-9]{2}-[0-9T:.-]*Z"|"[0-9a-f]{32,}"`)

// plain is an answer as JSON, without what differs from run to run.
func (f *fixture) plain(v any) string {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		f.t.Fatal(err)
	}
	return drawn.ReplaceAllStringFunc(string(b), func(s string) string {
		if strings.HasPrefix(s, `"2027-01-1`) {
			return s
		}
		return `"drawn"`
	})
}

// TestParts holds what is said of a mailbox with some of everything against testdata.
func TestParts(t *testing.T) {
	f := newFixture(t)
	item := inspect.ID(f.item).String()
	var got bytes.Buffer
	for _, ask := range []struct {
		part string
		q    inspect.Query
	}{{"inspect", inspect.Query{}}, {"items", inspect.Query{}}, {"items", inspect.Query{Folder: "posteingang/work"}},
		{"items", inspect.Query{Associated: true}}, {"items", inspect.Query{Deleted: true}}, {"folders", inspect.Query{Deleted: true}},
		{"changes", inspect.Query{Since: uint64(f.since)}}, {"rules", inspect.Query{}}, {"rights", inspect.Query{Folder: "Posteingang/Work"}}} {
		fmt.Fprintf(&got, "-- %s %+v\n%s\n", ask.part, ask.q, f.plain(f.show(ask.part, ask.q)))
	}
	compare(t, "testdata/parts.txt", got.String())
	if all := f.show("folders", inspect.Query{}).(*inspect.Folders); len(all.Folders) != int(f.show("inspect", inspect.Query{}).(*inspect.Header).Folders)-1 {
		t.Errorf("%d folders", len(all.Folders)) // the root is not listed
	}
	if all := f.show("rights", inspect.Query{}).(*inspect.Rights); len(all.Folders) < 20 || all.Folders[0].Members[0].Name != "default" {
		t.Errorf("rights of all folders: %+v", all)
	}
	if props := f.show("props", inspect.Query{Item: item}).(*inspect.Props); props.CN == 0 || len(props.Recipients) != 1 || len(props.Attachments) != 1 {
		t.Errorf("item: %+v", props)
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs; -rewrite shows how:\n%s", file, got)
	}
}

func prop(props []inspect.Prop, name string) inspect.Prop {
	for _, p := range props {
		if p.Name == name {
			return p
		}
	}
	return inspect.Prop{}
}

// TestTextsAreShownWhenAskedFor: names of properties, and what is shown of long values and texts.
func TestTextsAreShownWhenAskedFor(t *testing.T) {
	f := newFixture(t)
	item := inspect.ID(f.item).String()
	shy, open := f.show("props", inspect.Query{Item: item}).(*inspect.Props), f.show("props", inspect.Query{Item: item, Bodies: true}).(*inspect.Props)
	for _, x := range []struct {
		name       string
		shy, open  any
		size       uint64
		shyIsWhole bool
	}{{"PidTagSubject", mapi.String("Plan"), "Plan", 10, true}, {"PidTagBody", nil, "A secret.", 20, false},
		{"PidLidReminderSet", mapi.Boolean(true), mapi.Boolean(true), 1, true},
		{"PidTagInternetReferences", nil, strings.Repeat("r", 20_000), 20_000, false}} {
		a, b := prop(shy.Props, x.name), prop(open.Props, x.name)
		if fmt.Sprint(a.Value) != fmt.Sprint(x.shy) || (a.Hidden == "") != x.shyIsWhole || fmt.Sprint(b.Value) != fmt.Sprint(x.open) || b.Hidden != "" {
			t.Errorf("%s: %+v and %+v", x.name, a, b)
		}
	}
	if p := prop(shy.Props, mapi.PSPublicStrings.String()+"/Colours"); fmt.Sprint(p.Value) != "[a b]" {
		t.Errorf("a property named by a string: %+v", p)
	}
	attachment := inspect.Query{Item: item, Attachments: []uint32{0}}
	if p := prop(f.show("props", attachment).(*inspect.Props).Props, "PidTagAttachDataBinary"); p.Value != nil || p.Hidden == "" {
		t.Errorf("data that was not asked for: %+v", p)
	}
	attachment.Bodies = true
	if p := prop(f.show("props", attachment).(*inspect.Props).Props, "PidTagAttachDataBinary"); p.Value != "64617461" {
		t.Errorf("data: %+v", p)
	}
	if strings.Contains(f.plain(f.show("rules", inspect.Query{})), "I am away") || !strings.Contains(f.plain(f.show("rules", inspect.Query{Bodies: true})), "I am away") {
		t.Error("the reply is not shown when it is asked for, and only then")
	}
}

// TestRulesIntoWhatIsGone: a folder that was deleted is named by its id, and not as the root.
func TestRulesIntoWhatIsGone(t *testing.T) {
	f := newFixture(t)
	work, err := f.Find(t.Context(), "Posteingang/Work")
	if err != nil {
		t.Fatal(err)
	}
	call(f, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: work})
	want := "move to " + inspect.ID(work).String() + ", which is gone"
	if r := f.show("rules", inspect.Query{}).(*inspect.Rules); len(r.Rules) == 0 || r.Rules[0].Actions[0] != want {
		t.Errorf("%+v, want %q", r.Rules, want)
	}
}

// TestPages reads a folder, and what was deleted from it, a message at a time.
func TestPages(t *testing.T) {
	f := newFixture(t)
	for _, q := range []inspect.Query{{Limit: 1}, {Limit: 1, Deleted: true}} {
		if q.Deleted {
			all := f.show("items", inspect.Query{}).(*inspect.Items)
			for _, x := range all.Items {
				call(f, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: schema.Inbox, Messages: []mapi.MID{mapi.MID(x.ID)}})
			}
		}
		whole := f.show("items", inspect.Query{Deleted: q.Deleted}).(*inspect.Items)
		var read []inspect.Item
		for {
			page := f.show("items", q).(*inspect.Items)
			if read = append(read, page.Items...); page.After == "" {
				break
			}
			if q.After = page.After; len(page.Items) != 1 || int(page.Total) != len(whole.Items) {
				t.Fatalf("page %+v", page)
			}
		}
		if f.plain(read) != f.plain(whole.Items) || len(read) < 2 {
			t.Errorf("by pages %s\nat once %s", f.plain(read), f.plain(whole.Items))
		}
	}
}

// TestWhatIsNotUnderstoodIsRefused walks queries that mean nothing.
func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	f := newFixture(t)
	for _, x := range []struct {
		part string
		q    inspect.Query
		kind cluster.Kind
	}{
		{"nothing", inspect.Query{}, cluster.KindBadRequest}, {"inspect", inspect.Query{Folder: "Inbox"}, cluster.KindBadRequest},
		{"folders", inspect.Query{Bodies: true}, cluster.KindBadRequest}, {"items", inspect.Query{Since: 1}, cluster.KindBadRequest},
		{"items", inspect.Query{Associated: true, Deleted: true}, cluster.KindBadRequest}, {"items", inspect.Query{Folder: "Nowhere"}, exmdb.KindNoFolder},
		{"items", inspect.Query{Folder: "1-ffff"}, exmdb.KindNoFolder}, {"items", inspect.Query{After: "x"}, cluster.KindBadRequest},
		{"items", inspect.Query{After: "x", Deleted: true}, cluster.KindBadRequest}, {"props", inspect.Query{Item: "x"}, cluster.KindBadRequest},
		{"props", inspect.Query{Item: "1-ffff"}, exmdb.KindNoMessage}, {"props", inspect.Query{Attachments: []uint32{0}}, cluster.KindBadRequest},
		{"props", inspect.Query{Item: inspect.ID(f.item).String(), Attachments: []uint32{7}}, exmdb.KindNoMessage},
		{"changes", inspect.Query{Folder: "/"}, cluster.KindBadRequest},
	} {
		if v, err := f.Show(t.Context(), x.part, x.q); cluster.KindOf(err) != x.kind {
			t.Errorf("%s %+v: %v, %v", x.part, x.q, v, err)
		}
	}
}

// TestRefusalsSayWhatToDo: in the ids that are shown, and with what to ask for instead.
func TestRefusalsSayWhatToDo(t *testing.T) {
	f := newFixture(t)
	item := inspect.ID(f.item).String()
	for _, x := range []struct {
		part string
		q    inspect.Query
		says string
	}{
		{"items", inspect.Query{After: "00ff"}, `after "00ff": want what the answer before said`},
		{"items", inspect.Query{After: "zz"}, `after "zz": want what the answer before said`},
		{"changes", inspect.Query{Since: 1 << 40}, "stamp 1099511627776 is none of this mailbox, which is at "},
		{"props", inspect.Query{Item: "1-ffff"}, "no item 1-ffff: 'items' lists those of a folder"},
		{"props", inspect.Query{Item: item, Folder: "Inbox"}, "by its id alone"},
		{"props", inspect.Query{Attachments: []uint32{0}}, "with the id of its item"},
		{"props", inspect.Query{Embedded: true}, "with the id of its item"},
		{"props", inspect.Query{Item: item, Embedded: true}, "which attachment the message is in"},
	} {
		if _, err := f.Show(t.Context(), x.part, x.q); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s %+v: %v", x.part, x.q, err)
		}
	}
}

// TestAMailboxWithoutInbox: what is about the Inbox where no folder is named says that there is none.
func TestAMailboxWithoutInbox(t *testing.T) {
	g := mailboxes.New(t, store.Defaults())
	m := &inspect.Mailbox{Caller: g, ID: g.Create(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxPublic})}
	for _, part := range []string{"items", "rules"} {
		if _, err := m.Show(t.Context(), part, inspect.Query{}); cluster.KindOf(err) != exmdb.KindNoFolder || !strings.Contains(err.Error(), "no Inbox") {
			t.Errorf("%s: %v", part, err)
		}
	}
	for _, part := range []string{"inspect", "folders", "props", "changes", "rights"} {
		if _, err := m.Show(t.Context(), part, inspect.Query{}); err != nil {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// TestIDs: ids are read as they are written.
func TestIDs(t *testing.T) {
	for _, id := range []inspect.ID{inspect.ID(mapi.NewMID(1, 0xd)), inspect.ID(mapi.NewMID(0xffff, mapi.MaxGlobalCounter)), 0} {
		if got, ok := inspect.ParseID(id.String()); !ok || got != id {
			t.Errorf("%v is read as %v", id, got)
		}
	}
	for _, text := range []string{"", "1", "1-", "-1", "10000-1", "1-1000000000000", "x-1", "1-x"} {
		if id, ok := inspect.ParseID(text); ok || new(inspect.ID).UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is %v", text, id)
		}
	}
}
