package fault

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
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

// start runs a cluster for one test, with its data in the test's folder.
func start(t *testing.T, users, shift int) *dev.Cluster {
	t.Helper()
	program, err := filepath.Abs("../../bin/flotilla")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("bin/flotilla is not built: make build")
	}
	c := &dev.Cluster{Options: dev.Options{Dir: t.TempDir(), Nodes: 3, Users: users, Groups: 6, Plaintext: true, PortShift: shift, Program: program}}
	if err := c.Setup(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, n := range c.Names() {
			if err := c.Kill(n); err != nil {
				t.Error(err)
			}
			if b, err := os.ReadFile(filepath.Join(c.Dir, n, "log")); err == nil && t.Failed() {
				t.Logf("--- log of %s\n%s", n, b[max(0, len(b)-20000):])
			}
		}
	})
	for _, n := range c.Names() {
		if err := c.Start(n); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := c.Ready(ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if err := c.AddUsers(ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNothingAcknowledgedIsLost: SMTP and LMTP from 16 connections to 50 mailboxes while the owner of the busiest
// group, and each node in turn, is killed, frozen and cut off.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	mails, faults := setting(t, "FLOTILLA_MAILS", 2000), setting(t, "FLOTILLA_FAULTS", 6)
	const boxes = 50
	c := start(t, boxes, 10000)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(setting(t, "FLOTILLA_MINUTES", 6))*time.Minute)
	defer cancel()
	load := &Load{Cluster: c, Mailboxes: boxes, Connections: 16, Count: mails,
		Seed: uint64(setting(t, "SEED", 1)), Think: 250 * time.Millisecond}
	done := make(chan error, 1)
	go func() { done <- load.Run(ctx) }()
	kinds := []Kind{Kill, Freeze, Cut}
	for i := range faults {
		node := c.Names()[i%c.Nodes]
		if i%2 == 0 {
			var err error
			if node, err = Busiest(ctx, c); err != nil {
				t.Fatal(err)
			}
		}
		kind := kinds[i%len(kinds)]
		t.Logf("fault %d: %s %s, %d mails acknowledged, %d retries", i+1, kind, node, load.Progress(), load.Retries())
		if err := Inflict(ctx, c, node, kind); err != nil {
			t.Fatalf("%s %s: %v", kind, node, err)
		}
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
	if err := SameHashes(ctx, c); err != nil {
		t.Fatalf("replicas differ: %v", err)
	}
}
