package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/selftest"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// TestLatency: what it costs that nodes are far from each other, by how long a byte takes from any one to any other: each
// operation of a client at a node that need not own the mailbox, deliveries by many, and the gap when the owner is killed.
func TestLatency(t *testing.T) {
	only(t)
	const users = 50
	c := devtest.Start(t, users)
	deliverAll(t, c, 20) // what is read
	var columns []string
	var all []map[string]any
	results := map[string]any{}
	for _, away := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond} {
		apart(t, c, away)
		of := map[string]any{}
		for kind, took := range beside(t, c, func() error { return wait(t.Context(), 5*time.Second+50*away) }) {
			slices.Sort(took)
			of[kind+" p50 ms"], of[kind+" p99 ms"] = ms(took[len(took)/2]), ms(took[len(took)*99/100])
		}
		perSecond, p50, p99 := deliver(t, c, users, 4<<10, 64, 8*time.Second)
		of["64 connections, deliveries per second"], of["64 connections, p50 ms"], of["64 connections, p99 ms"] = perSecond, ms(p50), ms(p99)
		var deliveries, reads []time.Duration
		for range count("FLOTILLA_LATENCY_KILLS", 5) {
			d, r := gap(t, c, selftest.Kill)
			deliveries, reads = append(deliveries, d), append(reads, r)
			apart(t, c, away) // the node that was killed has begun without
		}
		slices.Sort(deliveries)
		slices.Sort(reads)
		of["owner killed, LMTP delivery p50 ms"], of["owner killed, LMTP delivery longest ms"] = ms(deliveries[len(deliveries)/2]), ms(deliveries[len(deliveries)-1])
		of["owner killed, IMAP session p50 ms"], of["owner killed, IMAP session longest ms"] = ms(reads[len(reads)/2]), ms(reads[len(reads)-1])
		name := fmt.Sprintf("%d ms", away.Milliseconds())
		results[name], columns, all = of, append(columns, name), append(all, of)
	}
	devtest.Record(t, "latency", results)
	page(t, "latency", []byte("# What distance between nodes costs\n\n"+
		"Made by `make bench BENCH=TestLatency`; latency.json beside this page says on which machine and when. Three nodes, and each byte\n"+
		"from one to another takes as long as the column says, one way, by what the transport's faults inject: a round trip is twice\n"+
		"that. One client of each kind, each at a node of its own, marks, reads twenty rows and delivers, one request after the\n"+
		"other; then 64 connections deliver to 50 mailboxes; then owners are killed, and the longest request is the gap.\n\n"+
		table(columns, all)+
		"\nReading at a node that does not own the mailbox asks the owner twice, so it takes two round trips; a change takes one more, from\n"+
		"the owner to the nearer of the others.\n"))
}

// apart has each byte between nodes take so long.
func apart(t *testing.T, c *dev.Cluster, away time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, n := range c.Names() {
		if err := c.Fault(ctx, n, admin.Fault{Kind: "latency", Value: away}); err != nil {
			t.Fatal(err)
		}
	}
}
