package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/mapi/oxcdata"
)

// twentyRules are rules as Outlook's wizard makes them, of which the last but one is met.
func (b *box) twentyRules(f mapi.FID) {
	for i := range 20 {
		subject := fmt.Sprintf("word%d", i)
		if i == 18 {
			subject = "offer"
		}
		condition := mapi.AndRestriction{
			hasWord(mapi.PidTagSubject, subject),
			mapi.OrRestriction{
				&mapi.ContentRestriction{Fuzzy: mapi.FuzzySubstring, Tag: mapi.PidTagSenderSearchKey, Value: mapi.Prop{Tag: mapi.PidTagSenderSearchKey, Value: mapi.Binary(oxcdata.SearchKey("SMTP", "bob@elsewhere.test"))}},
				hasWord(mapi.PidTagSenderName, "carl"),
			},
		}
		b.rule(schema.Inbox, condition, tagWith(mapi.PidTagImportance, mapi.Integer32(2)), copyOrMove(i, f))
	}
}

func copyOrMove(i int, f mapi.FID) mapi.RuleAction {
	if i%2 == 0 {
		return moveTo(f)
	}
	return copyTo(f)
}

// BenchmarkDeliverWithRules holds what 20 rules cost a delivery against one without: both are made in turn, so that whatever
// else the machine does meets both, and their medians are compared.
func BenchmarkDeliverWithRules(b *testing.B) {
	plain, ruled := newBox(b, 0), newBox(b, 0)
	ruled.twentyRules(ruled.newFolder("f"))
	q := plain.incomingMail("X-Filler: " + strings.Repeat("x", 3000) + "\r\n")
	var without, with []time.Duration
	for b.Loop() {
		for x, took := range map[*box]*[]time.Duration{plain: &without, ruled: &with} {
			start := time.Now()
			call(x, exmdb.OpDeliver, q)
			*took = append(*took, time.Since(start))
		}
	}
	median := func(list []time.Duration) float64 {
		slices.Sort(list)
		return float64(list[len(list)/2])
	}
	b.ReportMetric(median(without), "ns/without")
	b.ReportMetric(median(with), "ns/with")
	b.ReportMetric(median(with)/median(without), "times")
}
