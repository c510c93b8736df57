package fault

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/selftest"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// The long form is `make chaos`: it sets these.
func setting(t *testing.T, name string, def int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s=%s: %v", name, v, err)
	}
	return n
}

// TestNothingAcknowledgedIsLost: SMTP and LMTP from 16 connections to 50 mailboxes while the owner of the busiest
// group, and each node in turn, is killed, frozen and cut off, also one way, from the first mail to the last; the long form has
// every kind of fault.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	mails, faults := setting(t, "FLOTILLA_MAILS", 2000), setting(t, "FLOTILLA_FAULTS", 6)
	const boxes, connections = 50, 16
	const each = 2 * time.Second // half of what a fault takes until all is well again
	c := devtest.Start(t, boxes)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(setting(t, "FLOTILLA_MINUTES", 6))*time.Minute)
	defer cancel()
	load := &Load{Cluster: c, Mailboxes: boxes, Connections: connections, Count: mails, Seed: uint64(setting(t, "SEED", 1)),
		Think: connections * each * time.Duration(faults) / time.Duration(mails)} // no faster than faults do
	done := make(chan error, 1)
	go func() { done <- load.Run(ctx) }()
	kinds := selftest.Kinds()
	if faults < 2*len(kinds) { // make test has no time for each
		kinds = []selftest.Kind{selftest.Kill, selftest.Freeze, selftest.Cut, selftest.CutOut}
	}
	for i := range faults {
		for load.Progress() < i*mails/faults && ctx.Err() == nil {
			rest(ctx, 10*time.Millisecond)
		}
		node, err := selftest.Victim(ctx, c, i)
		if err != nil {
			t.Fatal(err)
		}
		kind := kinds[i%len(kinds)]
		t.Logf("fault %d: %s %s, %d mails acknowledged, %d retries", i+1, kind, node, load.Progress(), load.Retries())
		if err := selftest.Inflict(ctx, c, node, kind); err != nil {
			t.Fatal(err)
		}
		devtest.NoLateAnswers(ctx, t, c)
	}
	load.Finish()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	report(t, c, load)
}

func report(t *testing.T, c *dev.Cluster, load *Load) {
	t.Helper()
	v, err := Check(c, load.Acked())
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %d retries", line, load.Retries())
	if !v.OK() || v.Mails < load.Count {
		t.Fatalf("%d of %d mails acknowledged; %s", v.Mails, load.Count, line)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := selftest.SameHashes(ctx, c); err != nil {
		t.Fatalf("replicas differ: %v", err)
	}
	if os.Getenv("FLOTILLA_RECORD") != "" {
		devtest.Record(t, "chaos", map[string]any{"seed": load.Seed, "faults": setting(t, "FLOTILLA_FAULTS", 6), "mails acknowledged": v.Mails,
			"lost": v.Lost, "doubled": v.Doubled, "altered": v.Altered, "under another UID elsewhere": v.Moved,
			"never acknowledged": v.Foreign, "sent again": load.Retries(), "replicas": "equal"})
	}
}
