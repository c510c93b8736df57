package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/planted"
	"github.com/flotilla-mail/flotilla/internal/selftest"
	"github.com/flotilla-mail/flotilla/internal/selftest/history"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// plantedRounds is how many self-tests a bug has to be found in.
const plantedRounds = 12

// plants are what brings each bug out in a cluster of processes.
var plants = []struct {
	bug    planted.Bug
	faults []selftest.Kind
	before func(ctx context.Context, t *testing.T, c *dev.Cluster) // each round
}{
	{planted.SameUID, nil, nil},
	{planted.LostNotification, nil, nil},
	// An owner that is cut off learns that it is none while it waits for a majority.
	{planted.EarlyAnswer, []selftest.Kind{selftest.Cut}, nil},
	// What a node asked for that was killed is given up while it is on its way, which lasts with slow disks; the next update of the mailbox
	// is evaluated meanwhile.
	{planted.NoSequence, []selftest.Kind{selftest.Kill}, slowDisks},
}

func slowDisks(ctx context.Context, t *testing.T, c *dev.Cluster) {
	t.Helper()
	for _, n := range c.Names() {
		if err := c.Fault(ctx, n, admin.Fault{Kind: "disk-slow", Value: 150 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPlanted lets clusters of a program with each bug be judged as TestPromises does with the one without: that finds nothing,
// which means something only if it finds these. `make chaos PLANTED=1` runs it: the program is built once more, and a cluster
// started for each bug.
func TestPlanted(t *testing.T) {
	if os.Getenv("FLOTILLA_PLANT") == "" {
		t.Skip("make chaos PLANTED=1 runs this")
	}
	program := filepath.Join(t.TempDir(), "flotilla")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "-tags", "hashicorpmetrics planted", "./cmd/flotilla")
	build.Dir, build.Env = testkit.Root(t), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with planted bugs: %v\n%s", err, out)
	}
	for _, p := range plants {
		t.Run(string(p.bug), func(t *testing.T) {
			t.Setenv("FLOTILLA_PLANTED", string(p.bug)) // the nodes' processes have it from here
			began := time.Now()
			c := devtest.StartOptions(t, dev.Options{Nodes: 3, Groups: 3, Program: program})
			target, err := selftest.DevTarget(c)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
			defer cancel()
			for round := range plantedRounds {
				revive(ctx, t, c)
				if p.before != nil {
					p.before(ctx, t, c)
				}
				if v := found(ctx, t, p.bug, selftest.Config{Target: target, Duration: 6 * time.Second, Mailboxes: 6, Clients: 12, Seed: uint64(round + 1),
					Trouble: p.faults != nil, Faults: p.faults, Lateness: 20 * time.Second}); v != nil {
					t.Logf("found in round %d, after %v: %s", round+1, time.Since(began).Round(time.Second), v)
					return
				}
			}
			t.Errorf("not found in %d rounds", plantedRounds)
		})
	}
	if len(plants) != len(planted.Bugs()) {
		t.Errorf("%d of the bugs %v were looked for", len(plants), planted.Bugs())
	}
}

// revive starts what a bug has ended.
func revive(ctx context.Context, t *testing.T, c *dev.Cluster) {
	t.Helper()
	for _, n := range c.Names() {
		if err := c.Start(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Ready(ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
}

// found runs one self-test and returns what it shows of the bug. A run that did not come to its end has a history all the same.
func found(ctx context.Context, t *testing.T, bug planted.Bug, config selftest.Config) *history.Violation {
	t.Helper()
	config.History = filepath.Join(t.TempDir(), fmt.Sprintf("%d.history", config.Seed))
	if _, err := selftest.Run(ctx, config); err != nil {
		t.Logf("round %d: %v", config.Seed, err)
	}
	f, err := os.Open(config.History)
	if err != nil {
		t.Fatal(err)
	}
	records, err := history.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	verdict := history.Check(records, time.Minute)
	for i := range verdict.Violations {
		v := &verdict.Violations[i]
		if slices.Contains(devtest.Breaks(bug), v.Rule) {
			return v
		}
		t.Logf("round %d shows %s", config.Seed, v)
	}
	return nil
}
