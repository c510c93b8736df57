package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/rules"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
	"github.com/flotilla-mail/flotilla/internal/testkit/mailboxes"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// TestRules: what 20 rules, of which one is met, cost a delivery: at most 1.3 times one without. Both are made in turn, so
// that whatever else the machine does meets both, and their medians are compared. Without log and network, which cost both
// the same and would hide it.
func TestRules(t *testing.T) {
	only(t)
	const times = 4000
	plain, ruled := newOwned(t), newOwned(t)
	ruled.twentyRules()
	octets := "From: Bob <bob@elsewhere.test>\r\nTo: anna@example.test\r\nSubject: the offer\r\nMessage-ID: <1@x>\r\n\r\n" + strings.Repeat("x", 3000) + "\r\n"
	req := &exmdb.DeliverRequest{Message: mailboxes.Mail(t, []byte(octets)), Sender: "bob@elsewhere.test", Recipient: "anna@example.test"}
	var without, with []time.Duration
	for range times {
		for _, each := range []struct {
			box  *owned
			took *[]time.Duration
		}{{plain, &without}, {ruled, &with}} {
			begin := time.Now()
			if _, err := exmdb.Do(t.Context(), each.box, exmdb.System, each.box.box, exmdb.OpDeliver, req); err != nil {
				t.Fatal(err)
			}
			*each.took = append(*each.took, time.Since(begin))
		}
	}
	slices.Sort(without)
	slices.Sort(with)
	ratio := float64(with[times/2]) / float64(without[times/2])
	devtest.Record(t, "rules", map[string]any{"deliveries": times, "without rules, µs": without[times/2].Microseconds(),
		"with 20 rules, µs": with[times/2].Microseconds(), "times": ratio})
	if ratio > 1.3 {
		t.Errorf("with 20 rules a delivery takes %.2f times as long", ratio)
	}
}

// twentyRules are rules as Outlook's wizard makes them, of which the last but one is met and moves the mail.
func (o *owned) twentyRules() {
	o.t.Helper()
	folder, err := exmdb.Do(o.t.Context(), o, exmdb.System, o.box, exmdb.OpCreateFolder, &exmdb.CreateFolderRequest{Parent: schema.IPMSubtree, Name: "filed"})
	if err != nil {
		o.t.Fatal(err)
	}
	word := func(tag mapi.Tag, text string) mapi.Restriction {
		return &mapi.ContentRestriction{Fuzzy: mapi.FuzzySubstring | mapi.FuzzyIgnoreCase, Tag: tag, Value: mapi.Prop{Tag: tag, Value: mapi.String(text)}}
	}
	actions, err := oxcdata.RuleActionsValue([]mapi.RuleAction{
		{Type: mapi.ActionTag, Data: &mapi.TagAction{Prop: mapi.Prop{Tag: mapi.PidTagImportance, Value: mapi.Integer32(2)}}},
		{Type: mapi.ActionMove, Data: &mapi.MoveAction{InThisStore: true, Folder: oxcdata.ServerIDValue(mapi.ServerID{Ours: true, FID: folder.Folder.FID})}},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	var changes []exmdb.RuleChange
	for i := range 20 {
		subject := fmt.Sprintf("word%d", i)
		if i == 18 {
			subject = "offer"
		}
		var bag mapi.PropBag
		bag.Set(mapi.PidTagRuleState, mapi.Integer32(rules.Enabled))
		bag.Set(mapi.PidTagRuleProvider, mapi.String("RuleOrganizer"))
		bag.Set(mapi.PidTagRuleSequence, mapi.Integer32(10+i))
		bag.Set(mapi.PidTagRuleActions, actions)
		bag.Set(mapi.PidTagRuleCondition, oxcdata.RestrictionValue(mapi.AndRestriction{word(mapi.PidTagSubject, subject),
			mapi.OrRestriction{word(mapi.PidTagSenderEmailAddress, "bob@elsewhere.test"), word(mapi.PidTagSenderName, "carl")}}))
		changes = append(changes, exmdb.RuleChange{Kind: exmdb.RuleAdd, Props: bag})
	}
	if _, err := exmdb.Do(o.t.Context(), o, exmdb.System, o.box, exmdb.OpModifyRules, &exmdb.ModifyRulesRequest{Folder: schema.Inbox, Changes: changes}); err != nil {
		o.t.Fatal(err)
	}
}
