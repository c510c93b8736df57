package store

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// aboutAnna is what the mail flow says of a delivery to Anna, from somebody elsewhere.
var aboutAnna = exmdb.Circumstances{Own: []string{"anna@example.test", "a.n@example.test"}, Name: "Anna"}

// incomingMail is a delivery to Anna of a mail with more fields than the plain ones.
func (b *box) incomingMail(fields string) *exmdb.DeliverRequest {
	b.t.Helper()
	octets := "From: Bob <bob@elsewhere.test>\r\nTo: anna@example.test\r\nSubject: the offer\r\nMessage-ID: <1@x>\r\n" + fields + "\r\nWords in the text.\r\n"
	return &exmdb.DeliverRequest{Message: mail(b.t, []byte(octets)), Received: b.now, Sender: "bob@elsewhere.test", Recipient: "anna@example.test", About: aboutAnna}
}

func (b *box) comes(fields string) *exmdb.DeliverResponse {
	b.t.Helper()
	return call(b, exmdb.OpDeliver, b.incomingMail(fields))
}

func ruleBag(t testing.TB, condition mapi.Restriction, actions ...mapi.RuleAction) mapi.PropBag {
	t.Helper()
	v, err := oxcdata.RuleActionsValue(actions)
	if err != nil {
		t.Fatal(err)
	}
	var bag mapi.PropBag
	bag.Set(mapi.PidTagRuleState, mapi.Integer32(rules.Enabled))
	bag.Set(mapi.PidTagRuleProvider, mapi.String("RuleOrganizer"))
	bag.Set(mapi.PidTagRuleName, mapi.String("a rule"))
	bag.Set(mapi.PidTagRuleActions, v)
	if condition != nil {
		bag.Set(mapi.PidTagRuleCondition, oxcdata.RestrictionValue(condition))
	}
	return bag
}

// rule adds a rule to a folder.
func (b *box) rule(fid mapi.FID, condition mapi.Restriction, actions ...mapi.RuleAction) uint64 {
	b.t.Helper()
	return b.ruleOf(fid, ruleBag(b.t, condition, actions...))
}

func (b *box) ruleOf(fid mapi.FID, bag mapi.PropBag) uint64 {
	b.t.Helper()
	r := call(b, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: fid, Changes: []exmdb.RuleChange{{Kind: exmdb.RuleAdd, Props: bag}}})
	return r.IDs[0]
}

func moveTo(f mapi.FID) mapi.RuleAction {
	return mapi.RuleAction{Type: mapi.ActionMove, Data: &mapi.MoveAction{InThisStore: true, Folder: oxcdata.ServerIDValue(mapi.ServerID{Ours: true, FID: f})}}
}

func copyTo(f mapi.FID) mapi.RuleAction {
	a := moveTo(f)
	a.Type = mapi.ActionCopy
	return a
}

func forwardTo(addresses ...string) mapi.RuleAction {
	var to mapi.ForwardAction
	for _, a := range addresses {
		to = append(to, []mapi.Prop{{Tag: mapi.PidTagSmtpAddress, Value: mapi.String(a)}})
	}
	return mapi.RuleAction{Type: mapi.ActionForward, Data: to}
}

func tagWith(t mapi.Tag, v mapi.Value) mapi.RuleAction {
	return mapi.RuleAction{Type: mapi.ActionTag, Data: &mapi.TagAction{Prop: mapi.Prop{Tag: t, Value: v}}}
}

var (
	markRead   = mapi.RuleAction{Type: mapi.ActionMarkAsRead}
	deleteIt   = mapi.RuleAction{Type: mapi.ActionDelete}
	bounceIt   = mapi.RuleAction{Type: mapi.ActionBounce, Data: mapi.BounceAction(mapi.BounceDeliveryRejected)}
	deferIt    = mapi.RuleAction{Type: mapi.ActionDefer, Data: mapi.DeferAction("for the client")}
	aboutOffer = hasWord(mapi.PidTagSubject, "OFFER")
)

func hasWord(t mapi.Tag, word string) mapi.Restriction {
	return &mapi.ContentRestriction{Fuzzy: mapi.FuzzySubstring | mapi.FuzzyIgnoreCase, Tag: t, Value: mapi.Prop{Tag: t, Value: mapi.String(word)}}
}

func (b *box) newFolder(name string) mapi.FID {
	b.t.Helper()
	return call(b, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: name}).Folder.FID
}

// outgoing is what goes out and is not sent yet.
func (b *box) outgoing() []exmdb.OutgoingResponse {
	b.t.Helper()
	var out []exmdb.OutgoingResponse
	var numbers []mapi.ObjectNumber
	err := b.rep.View(b.t.Context(), b.id, space.ReadLease, func(r space.Reader) error {
		numbers = nil
		it := r.Iter([]byte{schema.PrefixOutgoing}, []byte{schema.PrefixOutgoing + 1})
		for it.Next() {
			n := mapi.ObjectNumber(0)
			for _, c := range it.Key()[1:] {
				n = n<<8 | mapi.ObjectNumber(c)
			}
			numbers = append(numbers, n)
		}
		return it.Close()
	})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, n := range numbers {
		out = append(out, *call(b, exmdb.OpOutgoing, &exmdb.OutgoingRequest{Number: n}))
	}
	return out
}

// count are the messages of folders.
func (b *box) count(fids ...mapi.FID) string {
	b.t.Helper()
	var n []string
	for _, f := range fids {
		n = append(n, fmt.Sprint(b.folder(f).Messages))
	}
	return strings.Join(n, " ")
}

// pairs counts what the mailbox keeps under prefixes.
func (b *box) pairs(prefixes ...byte) int {
	b.t.Helper()
	n := 0
	err := b.rep.View(b.t.Context(), b.id, space.ReadLease, func(r space.Reader) error {
		n = 0
		for _, p := range prefixes {
			it := r.Iter([]byte{p}, []byte{p + 1})
			for it.Next() {
				n++
			}
			if err := it.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestRulesFileMail(t *testing.T) {
	b := newBox(t, 0)
	first, second := b.newFolder("first"), b.newFolder("second")
	b.rule(schema.Inbox, aboutOffer, moveTo(first), copyTo(second), markRead, tagWith(mapi.PidTagImportance, mapi.Integer32(2)))
	b.rule(schema.Inbox, hasWord(mapi.PidTagBody, "no such words"), deleteIt)
	r := b.comes("")
	if r.Folder != first || r.UID != 1 || b.count(schema.Inbox, first, second) != "0 1 1" {
		t.Fatalf("%+v; %s", r, b.count(schema.Inbox, first, second))
	}
	for _, f := range []mapi.FID{first, second} {
		rows := b.rows(f)
		props := call(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: rows[0].MID}, Tags: []mapi.Tag{mapi.PidTagImportance, mapi.PidTagSubject}})
		if rows[0].Flags.Bits != exmdb.FlagSeen || props.Props.Get(mapi.PidTagImportance) != mapi.Integer32(2) || props.Props.Get(mapi.PidTagSubject) != mapi.String("the offer") {
			t.Errorf("folder %v: %+v, %+v", f, rows[0].Flags, props.Props)
		}
		if data := call(b, exmdb.OpReadBytes, &exmdb.ReadBytesRequest{Folder: f, UID: 1, Length: 1000}).Data; !bytes.Contains(data, []byte("Words in the text.")) {
			t.Errorf("%q", data)
		}
	}
	if b.folder(first).Unseen != 0 || call(b, exmdb.OpMailboxInfo, &exmdb.Empty{}).Messages != 2 {
		t.Error("counts are not those of the rows")
	}
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: first, All: true})
	call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: second, All: true})
	b.letGo()
	if n := b.pairs(schema.PrefixRecipe, schema.PrefixDigest, schema.PrefixShare, schema.PrefixBag); n != 0 {
		t.Errorf("%d pairs of no message", n)
	}
}

func TestADuplicateOfAFiledMailIsKnown(t *testing.T) {
	b := newBox(t, 0)
	f := b.newFolder("f")
	b.rule(schema.Inbox, aboutOffer, moveTo(f))
	q := b.incomingMail("")
	q.Key = [32]byte{1}
	first := call(b, exmdb.OpDeliver, q)
	if again := call(b, exmdb.OpDeliver, q); !again.Duplicate || again.Folder != f || again.UID != first.UID || b.count(f) != "1" {
		t.Errorf("%+v", again)
	}
	q.Key = [32]byte{2}
	b.rule(schema.Inbox, aboutOffer, deleteIt)
	call(b, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: schema.Inbox, Replace: true, Changes: []exmdb.RuleChange{{Kind: exmdb.RuleAdd, Props: ruleBag(t, nil, deleteIt, forwardTo("x@far.test"))}}})
	if r := call(b, exmdb.OpDeliver, q); r.UID != 0 || r.Duplicate {
		t.Errorf("%+v", r)
	}
	if r := call(b, exmdb.OpDeliver, q); !r.Duplicate || len(b.outgoing()) != 1 {
		t.Errorf("%+v, %d go out", r, len(b.outgoing()))
	}
}

// What goes out has the mail's octets as long as it is there, however often the mail is kept, and lets go of them.
func TestWhatGoesOutHoldsTheBody(t *testing.T) {
	for name, c := range map[string]struct {
		actions []mapi.RuleAction
		want    string
	}{
		"kept":              {nil, "1 0"},
		"moved":             {[]mapi.RuleAction{moveTo(0)}, "0 1"},
		"kept twice":        {[]mapi.RuleAction{copyTo(0)}, "1 1"},
		"deleted":           {[]mapi.RuleAction{deleteIt}, "0 0"},
		"bounced, not kept": {[]mapi.RuleAction{bounceIt}, "0 0"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, 0)
			f := b.newFolder("f")
			actions := append([]mapi.RuleAction{forwardTo("x@far.test"), forwardTo("y@far.test", "z@far.test")}, c.actions...)
			for i, a := range actions {
				if a.Type == mapi.ActionMove || a.Type == mapi.ActionCopy {
					actions[i].Data = moveTo(f).Data
				}
			}
			b.rule(schema.Inbox, nil, actions...)
			q := b.incomingMail("")
			long := large(3, 60_000)
			q.Message.Recipe.Segments = append(q.Message.Recipe.Segments, long.Recipe.Segments[1])
			q.Message.Inline = long.Inline
			call(b, exmdb.OpDeliver, q)
			if got := b.count(schema.Inbox, f); got != c.want {
				t.Fatalf("%s messages, want %s", got, c.want)
			}
			for _, folder := range []mapi.FID{schema.Inbox, f} {
				call(b, exmdb.OpExpunge, &exmdb.ExpungeRequest{Folder: folder, All: true})
			}
			out := b.outgoing()
			for _, o := range out {
				if o.Outgoing.Sender != "bob@elsewhere.test" || o.Outgoing.Recipient != "anna@example.test" || o.Outgoing.Own[0] != "anna@example.test" || len(o.Message.Digest) == 0 {
					t.Errorf("%+v", o)
				}
			}
			if len(out) < 2 || out[1].Outgoing.To[1].Address != "z@far.test" {
				t.Fatalf("%d go out", len(out))
			}
			b.finishAll(len(out), q.Message.Recipe.Size())
			b.letGo()
			if n := b.pairs(schema.PrefixRecipe, schema.PrefixDigest, schema.PrefixShare, schema.PrefixContent, schema.PrefixOutgoing); n != 0 {
				t.Errorf("%d pairs are left", n)
			}
		})
	}
}

// finishAll reads everything that goes out, and has it sent.
func (b *box) finishAll(n int, size uint64) {
	b.t.Helper()
	for number := mapi.ObjectNumber(1); n > 0; number++ {
		if number > 1000 {
			b.t.Fatalf("%d of what goes out were not found", n)
		}
		if call(b, exmdb.OpOutgoing, &exmdb.OutgoingRequest{Number: number}).Gone {
			refused(b, exmdb.OpReadOutgoing, &exmdb.ReadOutgoingRequest{Number: number, Length: 1}, exmdb.KindNoOutgoing)
			continue
		}
		if data := call(b, exmdb.OpReadOutgoing, &exmdb.ReadOutgoingRequest{Number: number, Length: 1 << 20}).Data; uint64(len(data)) != size {
			b.t.Fatalf("%d octets, want %d", len(data), size)
		}
		for range 2 {
			call(b, exmdb.OpFinishOutgoing, &exmdb.OutgoingRequest{Number: number})
		}
		n--
	}
}

func TestRulesTable(t *testing.T) {
	b := newBox(t, 0)
	one := b.rule(schema.Inbox, aboutOffer, markRead)
	two := b.rule(schema.Inbox, nil, deleteIt)
	if one == two || one == 0 {
		t.Fatalf("ids %d, %d", one, two)
	}
	id := func(n uint64) (bag mapi.PropBag) { bag.Set(mapi.PidTagRuleId, mapi.Integer64(n)); return bag }
	change := id(two)
	change.Set(mapi.PidTagRuleState, mapi.Integer32(rules.Error|rules.ParseError))
	change.Set(mapi.PidTagRuleName, mapi.String("another"))
	modify := func(changes ...exmdb.RuleChange) *exmdb.ModifyRulesRequest {
		return &exmdb.ModifyRulesRequest{Folder: schema.Inbox, Changes: changes}
	}
	call(b, exmdb.OpModifyRules, modify(exmdb.RuleChange{Kind: exmdb.RuleModify, Props: change}, exmdb.RuleChange{Kind: exmdb.RuleRemove, Props: id(one)}))
	list := call(b, exmdb.OpGetRules, &exmdb.GetRulesRequest{Folder: schema.Inbox}).Rules
	if len(list) != 1 || list[0].Get(mapi.PidTagRuleName) != mapi.String("another") || list[0].Get(mapi.PidTagRuleState) != mapi.Integer32(0) ||
		list[0].Get(mapi.PidTagRuleProvider) != mapi.String("RuleOrganizer") {
		t.Fatalf("%+v", list)
	}
	hasRules := func() mapi.Value {
		return call(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Folder: schema.Inbox}, Tags: []mapi.Tag{mapi.PidTagHasRules}}).Props.Get(mapi.PidTagHasRules)
	}
	if hasRules() != mapi.Boolean(true) {
		t.Error("the folder has rules and does not say so")
	}
	bad := ruleBag(t, nil, markRead)
	bad.Set(mapi.PidTagRuleCondition, mapi.Opaque{0xFF})
	stranger := ruleBag(t, nil, markRead)
	stranger.Set(mapi.PidTagSubject, mapi.String("x"))
	nobodys := ruleBag(t, nil, markRead)
	nobodys.Delete(mapi.PidTagRuleProvider)
	idle := ruleBag(t, nil, markRead)
	idle.Delete(mapi.PidTagRuleActions)
	numbered := ruleBag(t, nil, markRead)
	numbered.Set(mapi.PidTagRuleId, mapi.Integer64(two))
	good := exmdb.RuleChange{Kind: exmdb.RuleAdd, Props: ruleBag(t, nil, markRead)}
	for name, c := range map[string]struct {
		req  *exmdb.ModifyRulesRequest
		kind cluster.Kind
	}{
		"a malformed condition":       {modify(good, exmdb.RuleChange{Kind: exmdb.RuleAdd, Props: bad}), cluster.KindBadRequest},
		"a property of no rule":       {modify(good, exmdb.RuleChange{Kind: exmdb.RuleAdd, Props: stranger}), cluster.KindBadRequest},
		"no provider":                 {modify(good, exmdb.RuleChange{Kind: exmdb.RuleAdd, Props: nobodys}), cluster.KindBadRequest},
		"no actions":                  {modify(good, exmdb.RuleChange{Kind: exmdb.RuleAdd, Props: idle}), cluster.KindBadRequest},
		"a new rule with an id":       {modify(good, exmdb.RuleChange{Kind: exmdb.RuleAdd, Props: numbered}), cluster.KindBadRequest},
		"no kind of change":           {modify(good, exmdb.RuleChange{Kind: 9, Props: numbered}), cluster.KindBadRequest},
		"a rule that is not there":    {modify(good, exmdb.RuleChange{Kind: exmdb.RuleModify, Props: id(99)}), exmdb.KindNoRule},
		"no rule":                     {modify(good, exmdb.RuleChange{Kind: exmdb.RuleRemove}), exmdb.KindNoRule},
		"replacing by a change":       {&exmdb.ModifyRulesRequest{Folder: schema.Inbox, Replace: true, Changes: []exmdb.RuleChange{{Kind: exmdb.RuleRemove, Props: id(two)}}}, cluster.KindBadRequest},
		"a folder that is not there":  {&exmdb.ModifyRulesRequest{Folder: 999}, exmdb.KindNoFolder},
		"more recipients than one is": {modify(exmdb.RuleChange{Kind: exmdb.RuleAdd, Props: ruleBag(t, nil, forwardTo(make([]string, rules.MaxRecipients+1)...))}), exmdb.KindRuleLimit},
	} {
		if _, err := try(b, exmdb.OpModifyRules, c.req); cluster.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(call(b, exmdb.OpGetRules, &exmdb.GetRulesRequest{Folder: schema.Inbox}).Rules); n != 1 {
		t.Errorf("%d rules: a refused request has left some", n)
	}
	call(b, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: schema.Inbox, Replace: true})
	if hasRules() != mapi.Boolean(false) || b.pairs(schema.PrefixRules) != 0 || b.automation().Folders != 0 {
		t.Error("rules are gone and still counted")
	}
	if again := b.rule(schema.Inbox, nil, markRead); again <= two {
		t.Errorf("id %d is given twice", again)
	}
}

func (b *box) automation() schema.Automation {
	b.t.Helper()
	var a schema.Automation
	err := b.rep.View(b.t.Context(), b.id, space.ReadLease, func(r space.Reader) error {
		_, err := load(r, schema.AutomationKey(), &a)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

func TestRulesHaveALimit(t *testing.T) {
	b := newBox(t, 0)
	var changes []exmdb.RuleChange
	for range rules.MaxRules + 1 {
		changes = append(changes, exmdb.RuleChange{Kind: exmdb.RuleAdd, Props: ruleBag(t, nil, markRead)})
	}
	refused(b, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: schema.Inbox, Changes: changes}, exmdb.KindRuleLimit)
	call(b, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: schema.Inbox, Changes: changes[1:]})
	refused(b, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: schema.Inbox, Changes: changes[:1]}, exmdb.KindRuleLimit)
	if b.comes(""); b.folder(schema.Inbox).Unseen != 0 {
		t.Error("no rule was met")
	}
}

func TestRulesGoWithTheirFolder(t *testing.T) {
	b := newBox(t, 0)
	f := b.newFolder("f")
	b.rule(f, nil, markRead)
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: f, Hard: true})
	if a := b.automation(); a.Folders != 0 || b.pairs(schema.PrefixRules) != 0 {
		t.Errorf("%+v", a)
	}
}

func TestErrorsOfRulesAreToldOnce(t *testing.T) {
	b := newBox(t, 0)
	f := b.newFolder("f")
	id := b.rule(schema.Inbox, nil, markRead, moveTo(f))
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: f})
	for range 3 {
		if r := b.comes(""); r.Folder != schema.Inbox {
			t.Fatalf("%+v", r)
		}
	}
	list := call(b, exmdb.OpGetRules, &exmdb.GetRulesRequest{Folder: schema.Inbox}).Rules
	if list[0].Get(mapi.PidTagRuleState) != mapi.Integer32(rules.Enabled|rules.Error) || len(b.deferred()) != 1 {
		t.Fatalf("%+v; %d messages for the client", list, len(b.deferred()))
	}
	got := b.deferred()[0]
	want := map[mapi.Tag]mapi.Value{mapi.PidTagMessageClass: mapi.String(deferredErrorClass), mapi.PidTagRuleError: mapi.Integer32(rules.FailureNoFolder),
		mapi.PidTagRuleActionType: mapi.Integer32(mapi.ActionMove), mapi.PidTagRuleActionNumber: mapi.Integer32(1), mapi.PidTagRuleId: mapi.Integer64(id),
		mapi.PidTagRuleProvider: mapi.String("RuleOrganizer")}
	for tag, v := range want {
		if got.Get(tag) != v {
			t.Errorf("%v: %v, want %v", tag, got.Get(tag), v)
		}
	}
}

// deferred are the messages for clients of rules.
func (b *box) deferred() []mapi.PropBag {
	b.t.Helper()
	var bags []mapi.PropBag
	b.update(func(tx *tx) error {
		found, _, err := tx.collect(schema.DeferredAction, nil, collectLimit{messages: 1000})
		for i := range found {
			bag, berr := tx.bag(&found[i].row)
			if berr != nil {
				return berr
			}
			bags = append(bags, *bag)
		}
		return err
	})
	return bags
}

// TestFullMailboxesDefer: a mail that fits is not refused because what is said of it to the rule's client does not.
func TestFullMailboxesDefer(t *testing.T) {
	b := newBox(t, 0)
	b.rule(schema.Inbox, nil, deferIt)
	b.comes("")
	one := b.info().Used
	b.view(func(v *view) error {
		c, err := v.folderCounts(schema.DeferredAction)
		one -= c.Used
		return err
	})
	call(b, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Quota: b.info().Used + one})
	if b.comes(""); len(b.deferred()) != 2 || b.folder(schema.Inbox).Messages != 2 {
		t.Errorf("%d mails, of which clients are told %d times", b.folder(schema.Inbox).Messages, len(b.deferred()))
	}
	refused(b, exmdb.OpDeliver, b.incomingMail(""), exmdb.KindOverQuota)
}

func TestActionsForTheClientAreDeferred(t *testing.T) {
	b := newBox(t, 0)
	elsewhere := mapi.RuleAction{Type: mapi.ActionMove, Data: &mapi.MoveAction{StoreEID: []byte{1}, Folder: []byte{2}}}
	one := b.rule(schema.Inbox, nil, deferIt)
	two := b.rule(schema.Inbox, nil, elsewhere)
	bag := ruleBag(t, nil, deferIt)
	bag.Set(mapi.PidTagRuleProvider, mapi.String("another"))
	b.ruleOf(schema.Inbox, bag)
	r := b.comes("")
	all := b.deferred()
	if len(all) != 2 {
		t.Fatalf("%d messages for clients", len(all))
	}
	first := all[0]
	if first.Get(mapi.PidTagRuleProvider) == mapi.String("another") {
		first = all[1]
	}
	ids, _ := first.Get(mapi.PidTagRuleIds).(mapi.Binary)
	if len(ids) != 16 || ids[0] != byte(one) || ids[8] != byte(two) || first.Get(mapi.PidTagMessageClass) != mapi.String(deferredActionClass) {
		t.Errorf("%+v", first)
	}
	actions, _ := first.Get(mapi.PidTagClientActions).(mapi.Binary)
	if list, err := oxcdata.RuleActionsOf(mapi.Opaque(actions)); err != nil || len(list) != 2 || list[1].Type != mapi.ActionMove {
		t.Errorf("%+v, %v", list, err)
	}
	asked := []mapi.Tag{mapi.PidTagHasDeferredActionMessages, mapi.PidTagEntryId}
	props := call(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: r.MID}, Tags: asked}).Props
	id, _ := props.Get(mapi.PidTagEntryId).(mapi.Binary)
	if original, _ := first.Get(mapi.PidTagDamOriginalEntryId).(mapi.Binary); props.Get(mapi.PidTagHasDeferredActionMessages) != mapi.Boolean(true) || !bytes.Equal(original, id) {
		t.Errorf("%+v names %x", props, original)
	}
	call(b, exmdb.OpDeferred, &exmdb.DeferredActionsRequest{Server: id, Client: []byte("mine")})
	for _, d := range b.deferred() {
		if mine, _ := d.Get(mapi.PidTagDamOriginalEntryId).(mapi.Binary); string(mine) != "mine" || d.Get(mapi.PidTagDamBackPatched) != mapi.Boolean(true) {
			t.Errorf("%+v", d)
		}
	}
	for range maxDeferred {
		b.comes("")
	}
	if n := len(b.deferred()); n != maxDeferred {
		t.Errorf("%d messages for a client that never comes", n)
	}
}

func TestJunk(t *testing.T) {
	b := newBox(t, 0)
	b.rule(schema.Inbox, nil, forwardTo("x@far.test"))
	call(b, exmdb.OpSetOOF, &exmdb.OOFSettings{State: exmdb.OOFEnabled, Audience: exmdb.OOFAll, External: exmdb.ReplyText{Plain: "out"}})
	if r := b.comes("X-Spam-Flag: YES\r\n"); r.Folder != schema.Junk || len(b.outgoing()) != 0 {
		t.Fatalf("%+v, %d go out", r, len(b.outgoing()))
	}
	set := func(q *exmdb.SetJunkRequest) { t.Helper(); call(b, exmdb.OpSetJunk, q) }
	set(&exmdb.SetJunkRequest{Add: []exmdb.JunkEntry{{List: exmdb.JunkSafeSenders, Entry: "Bob@Elsewhere.test"}, {List: exmdb.JunkBlocked, Entry: "elsewhere.test"},
		{List: exmdb.JunkBlocked, Entry: "@elsewhere.TEST"}}})
	got := call(b, exmdb.OpJunk, &exmdb.Empty{})
	want := []exmdb.JunkEntry{{List: exmdb.JunkSafeSenders, Entry: "bob@elsewhere.test"}, {List: exmdb.JunkBlocked, Entry: "@elsewhere.test"}}
	if fmt.Sprint(got.Entries) != fmt.Sprint(want) || b.automation().JunkEntries != 2 {
		t.Fatalf("%+v", got)
	}
	if r := b.comes("X-Spam-Flag: YES\r\n"); r.Folder != schema.Inbox {
		t.Error("a safe sender's mail is junk")
	}
	set(&exmdb.SetJunkRequest{Remove: want[:1], Settings: &exmdb.JunkSettings{Threshold: 9}})
	if r := b.comes(""); r.Folder != schema.Junk {
		t.Error("a blocked sender's mail is not junk")
	}
	set(&exmdb.SetJunkRequest{Clear: []exmdb.JunkList{exmdb.JunkBlocked}})
	if r := b.comes("X-MS-Exchange-Organization-SCL: 8\r\n"); r.Folder != schema.Inbox || b.automation().JunkEntries != 0 {
		t.Error("below the threshold nothing is junk")
	}
	set(&exmdb.SetJunkRequest{Settings: &exmdb.JunkSettings{TrustContacts: true}})
	b.addContact("bob@elsewhere.test")
	if r := b.comes("X-Spam-Flag: YES\r\n"); r.Folder != schema.Inbox {
		t.Error("a contact's mail is junk")
	}
	for _, e := range []exmdb.JunkEntry{{List: 0, Entry: "a@b.test"}, {List: 4, Entry: "a@b.test"}, {List: exmdb.JunkBlocked, Entry: "no address"}} {
		refused(b, exmdb.OpSetJunk, &exmdb.SetJunkRequest{Add: []exmdb.JunkEntry{e}}, cluster.KindBadRequest)
	}
	var many []exmdb.JunkEntry
	for i := range maxJunkEntries + 1 {
		many = append(many, exmdb.JunkEntry{List: exmdb.JunkBlocked, Entry: fmt.Sprintf("u%d@far.test", i)})
	}
	refused(b, exmdb.OpSetJunk, &exmdb.SetJunkRequest{Add: many}, exmdb.KindTooBig)
	set(&exmdb.SetJunkRequest{Add: many[1:]})
	if n := len(call(b, exmdb.OpJunk, &exmdb.Empty{}).Entries); n != maxJunkEntries {
		t.Errorf("%d entries", n)
	}
}

// extendedRule writes an extended rule into a folder as a client does.
func (b *box) extendedRule(fid mapi.FID, condition, actions []byte) mapi.MID {
	b.t.Helper()
	var set mapi.PropBag
	set.Set(mapi.PidTagMessageClass, mapi.String(rules.ExtendedClass))
	set.Set(mapi.PidTagRuleMessageState, mapi.Integer32(rules.Enabled|rules.ExitLevel))
	set.Set(mapi.PidTagRuleMessageProvider, mapi.String("JunkEmailRule"))
	set.Set(mapi.PidTagExtendedRuleMessageCondition, mapi.Binary(condition))
	set.Set(mapi.PidTagExtendedRuleMessageActions, mapi.Binary(actions))
	return call(b, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: fid, Associated: true, Message: exmdb.MessageEdit{Set: set}}).State.MID
}

func TestExtendedRules(t *testing.T) {
	b := newBox(t, 0)
	f := b.newFolder("f")
	entry := call(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Folder: f}, Tags: []mapi.Tag{mapi.PidTagEntryId}}).Props.Get(mapi.PidTagEntryId)
	id, _ := entry.(mapi.Binary)
	var long mapi.OrRestriction
	for i := range 400 {
		long = append(long, hasWord(mapi.PidTagSenderSmtpAddress, fmt.Sprintf("blocked-%d@spam.test", i)))
	}
	condition, err := oxcdata.ExtendedCondition{Restriction: append(long, aboutOffer)}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	actions, err := oxcdata.ExtendedActions{Actions: []mapi.RuleAction{{Type: mapi.ActionMove, Data: &mapi.MoveAction{Folder: id}}, markRead}}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.extendedRule(f, condition, actions) // of another folder
	mid := b.extendedRule(schema.Inbox, condition, actions)
	b.rule(schema.Inbox, nil, copyTo(schema.Drafts))
	if len(condition) < mapi.MaxStoredValue || b.automation().Extended != 2 {
		t.Fatalf("condition of %d bytes, %+v", len(condition), b.automation())
	}
	if r := b.comes(""); r.Folder != schema.Drafts || b.count(schema.Inbox, f, schema.Drafts) != "0 1 1" {
		t.Fatalf("%+v; %s", r, b.count(schema.Inbox, f, schema.Drafts))
	}
	var broken mapi.PropBag
	broken.Set(mapi.PidTagExtendedRuleMessageActions, mapi.Binary{1, 2, 3})
	call(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Message: mid}, Set: broken})
	if r := b.comes(""); r.Folder != schema.Drafts && r.Folder != schema.Inbox {
		t.Fatalf("%+v", r)
	}
	state := call(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: mid}, Tags: []mapi.Tag{mapi.PidTagRuleMessageState}}).Props.Get(mapi.PidTagRuleMessageState)
	if state != mapi.Integer32(rules.Enabled|rules.ExitLevel|rules.ParseError) || b.count(f) != "1" {
		t.Errorf("state %v of a rule that does not read, %s messages", state, b.count(f))
	}
	b.extendedRule(schema.Inbox, condition, actions)
	if r := b.comes(""); r.Folder == schema.Inbox || b.count(f) != "2" {
		t.Fatalf("%+v: a new rule is not met", r)
	}
	third := b.automation().Extended
	b.deleteRules(schema.Inbox, mid)
	if r := b.comes(""); r.Folder == f || b.count(f) != "2" || third != 3 {
		t.Errorf("%+v: a rule that is deleted, and can be recovered, is met", r)
	}
	var plain mapi.PropBag
	plain.Set(mapi.PidTagMessageClass, mapi.String("IPM.Configuration.x"))
	call(b, exmdb.OpWriteProps, &exmdb.WritePropsRequest{Object: exmdb.ObjectID{Message: mid}, Set: plain})
	call(b, exmdb.OpDeleteFolder, &exmdb.DeleteFolderRequest{Folder: f, Hard: true})
	if n := b.pairs(schema.PrefixExtendedRule); int(b.automation().Extended) != n || n > 2 {
		t.Errorf("%d rules are known of %d, of which two can be recovered", n, b.automation().Extended)
	}
	b.now = b.now.Add(2 * steady().SoftDeleted)
	b.work()
	if n := b.pairs(schema.PrefixExtendedRule); n != 0 || b.automation().Extended != 0 {
		t.Errorf("%d rules are known of %d, of which none is left", n, b.automation().Extended)
	}
	b.comes("")
	var set mapi.PropBag
	set.Set(mapi.PidTagMessageClass, mapi.String(rules.ExtendedClass))
	set.Set(mapi.PidTagExtendedRuleMessageCondition, mapi.Binary(make([]byte, rules.MaxExtendedBytes+1)))
	refused(b, exmdb.OpCreateMessage, &exmdb.CreateMessageRequest{Folder: schema.Inbox, Associated: true, Message: exmdb.MessageEdit{Set: set}}, exmdb.KindTooBig)
}

// deleteRules deletes the associated messages of a folder but one.
func (b *box) deleteRules(fid mapi.FID, but mapi.MID) {
	b.t.Helper()
	var mids []mapi.MID
	b.update(func(tx *tx) error {
		found, _, err := tx.collectRows(schema.AssociatedKey, fid, nil, collectLimit{messages: 100})
		for i := range found {
			if found[i].row.MID != but {
				mids = append(mids, found[i].row.MID)
			}
		}
		return err
	})
	call(b, exmdb.OpDeleteMessages, &exmdb.DeleteMessagesRequest{Folder: fid, Messages: mids})
}

func TestRulesLookAtTextThatIsContent(t *testing.T) {
	b := newBox(t, 0)
	f := b.newFolder("f")
	b.rule(schema.Inbox, hasWord(mapi.PidTagBody, "needle"), moveTo(f))
	q := b.incomingMail("")
	octets := []byte("From: b@elsewhere.test\r\nSubject: x\r\n\r\n" + strings.Repeat("hay ", 5000) + "needle\r\n")
	q.Message = mail(t, octets)
	at := bytes.Index(octets, []byte("hay"))
	body := octets[at:]
	q.Message.Recipe.Segments = []exmdb.Segment{{Raw: octets[:at]}, {Chunks: []exmdb.ChunkRef{{Hash: space.HashOf(body), Size: uint32(len(body))}}, Octets: uint64(len(body))}}
	q.Message.Inline = [][]byte{body}
	if r := call(b, exmdb.OpDeliver, q); r.Folder != f {
		t.Errorf("%+v", r)
	}
}

// The header of a mail counts wherever it is kept, and nothing behind it.
func TestHeadersThatAreContent(t *testing.T) {
	b := newBox(t, 0)
	b.rule(schema.Inbox, hasWord(mapi.PidTagTransportMessageHeaders, "X-Mark"), markRead)
	b.rule(schema.Inbox, nil, forwardTo("x@far.test"))
	header := "From: b@elsewhere.test\r\nSubject: x\r\n"
	for i, c := range []struct {
		octets string
		sends  int
		marked bool
	}{
		{header + "\r\nX-Mark: no\r\n", 1, false},
		{header + "X-Mark: yes\r\n\r\ntext\r\n", 1, true},
		{header + "X-Mark: without a body\r\n", 1, true},
		{header + "X-Mark: yes\r\n\r\n" + strings.Repeat("x", maxHeader), 1, true},
		{header + "X-Filler: " + strings.Repeat("x", maxHeader) + "\r\n\r\ntext\r\n", 0, false},
	} {
		for _, asContent := range []bool{false, true} {
			q := b.incomingMail("")
			q.Message = mail(t, []byte(c.octets))
			if asContent {
				q.Message.Recipe.Segments = []exmdb.Segment{{Chunks: []exmdb.ChunkRef{{Hash: space.HashOf([]byte(c.octets)), Size: uint32(len(c.octets))}}, Octets: uint64(len(c.octets))}}
				q.Message.Inline = [][]byte{[]byte(c.octets)}
			}
			before, unseen := len(b.outgoing()), b.folder(schema.Inbox).Unseen
			call(b, exmdb.OpDeliver, q)
			marked := b.folder(schema.Inbox).Unseen == unseen
			if sent := len(b.outgoing()) - before; asContent && sent != c.sends || !asContent && sent != 1 || marked != c.marked && len(c.octets) < maxHeader {
				t.Errorf("mail %d, as content %v: %d go out, marked %v", i, asContent, sent, marked)
			}
		}
	}
}

func TestADelegateSeesForWhomAMailWas(t *testing.T) {
	b := newBox(t, 0)
	q := b.incomingMail("")
	q.About.Delegator = &exmdb.KnownAddress{Address: "boss@example.test", LegacyDN: "/o=boss", Name: "Boss"}
	r := call(b, exmdb.OpDeliver, q)
	got := call(b, exmdb.OpReadProps, &exmdb.ReadPropsRequest{Object: exmdb.ObjectID{Message: r.MID}}).Props
	for tag, want := range map[mapi.Tag]mapi.Value{mapi.PidTagDelegatedByRule: mapi.Boolean(true), mapi.PidTagReceivedRepresentingName: mapi.String("Boss"),
		mapi.PidTagReceivedRepresentingSmtpAddress: mapi.String("boss@example.test"), mapi.PidTagReceivedRepresentingAddressType: mapi.String("EX"),
		mapi.PidTagReceivedRepresentingEmailAddress: mapi.String("/o=boss")} {
		if got.Get(tag) != want {
			t.Errorf("%v: %v, want %v", tag, got.Get(tag), want)
		}
	}
}

// A copy for which there is no room is not made, and the mail is there all the same.
func TestCopiesNeedRoom(t *testing.T) {
	b := newBox(t, 0)
	f := b.newFolder("f")
	b.rule(schema.Inbox, nil, copyTo(f))
	size := func() uint64 { return call(b, exmdb.OpMailboxInfo, &exmdb.Empty{}).Used }
	b.comes("")
	one := size() / 2
	call(b, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Quota: size() + one})
	b.comes("")
	if got := b.count(schema.Inbox, f); got != "1 2" && got != "2 1" {
		t.Errorf("%s messages", got)
	}
	refused(b, exmdb.OpDeliver, b.incomingMail(""), exmdb.KindOverQuota)
}

func TestPublicMailboxesDoNothingByThemselves(t *testing.T) {
	b := newBox(t, 0)
	archive := b.again(&exmdb.CreateMailboxRequest{Kind: exmdb.MailboxArchive})
	if _, err := try(archive, exmdb.OpDeliver, archive.incomingMail("X-Spam-Flag: YES\r\n")); cluster.KindOf(err) != exmdb.KindNoFolder {
		t.Errorf("an archive receives mail: %v", err)
	}
}
