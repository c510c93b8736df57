// Package drain measures what clients of the other nodes notice while a node is drained under load.
package drain

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/probe"
	"github.com/flotilla-mail/flotilla/test/devtest"
	"github.com/flotilla-mail/flotilla/test/fault"
)

// patience is for what has to come, on a slow machine too.
const patience = 2 * time.Minute

// gapLimit is what the long form asserts (`make chaos`); the short one only shows the gap.
const gapLimit = 300 * time.Millisecond

// report is what `flotilla drain` answers.
type report struct {
	HandedOver int `json:"handed_over"`
	Kept       []uint64
	Leaders    time.Duration `json:"leaders_ns"`
	Sessions   time.Duration `json:"sessions_ns"`
	Slowest    time.Duration `json:"slowest_hand_over_ns"`
	Trouble    string
}

// drains is how often the owner is drained: FLOTILLA_DRAINS, set by `make chaos`, asserts times as well.
func drains(t *testing.T) (n int, long bool) {
	t.Helper()
	v := os.Getenv("FLOTILLA_DRAINS")
	if v == "" {
		return 2, false
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("FLOTILLA_DRAINS=%s: %v", v, err)
	}
	return n, true
}

// TestDrainedOwner drains n1 again and again while clients of n2 and n3 read, write, send and idle: none is told of an error or
// loses its connection, each mail is there and shown once, nobody is answered by a wrong owner a second after, and the longest
// that any of them waits is shown.
func TestDrainedOwner(t *testing.T) {
	const groups = 6
	times, long := drains(t)
	c := devtest.StartGroups(t, groups, groups)
	ctx, cancel := context.WithTimeout(t.Context(), patience+time.Duration(times)*20*time.Second)
	defer cancel()
	w := devtest.Crew(devtest.Stay(c, "n2", "n3"), 1, groups)
	w.Start(ctx)
	defer w.Stop()
	if err := w.Await(ctx, 4); err != nil {
		t.Fatal(err)
	}
	var ledger devtest.Ledger
	seen := map[probe.Protocol]*gaps{probe.IMAP: {}, probe.SMTP: {}, probe.LMTP: {}}
	var handOvers gaps
	for i := range times {
		leads(ctx, t, c, "n1")
		ledger.Take(w) // the gaps before this drain are not this drain's
		var r report
		if err := c.Admin("n2").Do(ctx, "POST", "/v1/drain?node=n1", nil, &r); err != nil {
			t.Fatal(err)
		}
		if err := w.Await(ctx, 2); err != nil {
			t.Fatal(err)
		}
		if r.HandedOver == 0 || len(r.Kept) > 0 || r.Trouble != "" {
			t.Errorf("drain %d: %+v", i+1, r)
		}
		handOvers = append(handOvers, r.Slowest)
		for protocol, s := range ledger.Take(w) {
			*seen[protocol] = append(*seen[protocol], s.Longest)
			if s.Moves > 0 || len(s.Failures) > 0 {
				t.Errorf("drain %d: %s: %d connections lost, %v", i+1, protocol, s.Moves, s.Failures)
			}
		}
		if err := c.Admin("n1").Do(ctx, "POST", "/v1/undrain", nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.ReadyNode(ctx, "n1", func(string) {}); err != nil {
			t.Fatal(err)
		}
	}
	ledger.Settle(ctx, t, w, false, devtest.Stay(c, "n3")(0, 2143))
	early := devtest.NoLateAnswers(ctx, t, c)
	results := map[string]any{"drains": times, "clients": len(w.Clients), "longest hand-over of a group": handOvers.show(),
		"answers of wrong owners": early, "of these a second after the change": 0}
	for protocol, g := range seen {
		results["longest wait of a client, "+string(protocol)] = g.show()
		if long && slices.Max(*g) > gapLimit {
			t.Errorf("%s: a client waited %v", protocol, slices.Max(*g))
		}
	}
	t.Logf("%v", results)
	if os.Getenv("FLOTILLA_RECORD") != "" {
		devtest.Record(t, "drain", results)
	}
}

// gaps is one time for each drain.
type gaps []time.Duration

func (g gaps) show() map[string]string {
	sorted := slices.Sorted(slices.Values(g))
	at := func(share float64) string {
		return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))].Round(100 * time.Microsecond).String()
	}
	return map[string]string{"p50": at(0.5), "p99": at(0.99), "longest": at(1)}
}

// leads waits until a node leads a mailbox group, and every group has a leader.
func leads(ctx context.Context, t *testing.T, c *dev.Cluster, node string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		groups, err := fault.ReadGroups(ctx, c, false)
		led, all := 0, len(groups) > 0
		for _, g := range groups {
			all = all && g.Leader != ""
			if g.Group != 0 && g.Leader == node {
				led++
			}
		}
		if err == nil && all && led > 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s leads nothing: %v", node, err)
		}
	}
}
