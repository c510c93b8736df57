package rejoin

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/probe"
	"github.com/flotilla-mail/flotilla/test/devtest"
	"github.com/flotilla-mail/flotilla/test/fault"
)

// groups is how many mailbox groups the cluster has; boxes how many mailboxes take mail, and used how many others are used while
// disks rot.
const (
	groups = 4
	boxes  = 12
	used   = 4
)

// damages are done one after the other, each to the next node.
var damages = []Damage{
	// A state that is gone, or was never flushed, is built again from a log that is whole, under the same id.
	{"the state of three mailbox groups", both(remove("groups/g1"), garble("groups/g2/state-*/MANIFEST-*"), remove("groups/g3/state-*")),
		only(1, 2), only(3)},
	{"the shared log", remove("raft/log"), mailboxes, never},
	{"bytes of the shared log", garble("raft/log/pebble/MANIFEST-*"), mailboxes, never},
	{"the votes", remove("raft/votes"), always, never},
	{"the system replica", remove("groups/g0"), system, never},
	{"everything", everything, always, never},
}

// TestNodesComeBack damages one node after the other while mail comes in. Each comes back with no command: replicas that
// lost something under new ids, the others as they were; all vote again, leaders are spread, and no mail is lost.
func TestNodesComeBack(t *testing.T) {
	c := devtest.StartGroups(t, boxes+used, groups)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	load := &fault.Load{Cluster: c, Mailboxes: boxes, Connections: 4, Count: 300, Seed: 7, Think: 200 * time.Millisecond}
	done := make(chan error, 1)
	go func() { done <- load.Run(ctx) }()
	await(ctx, t, c, "n1", "before any damage", whole)
	yesterday(ctx, t, c, "n3", load)
	var restore func(string) error
	for i, d := range damages {
		node := c.Names()[(i+1)%c.Nodes]
		if i == len(damages)-1 {
			halt(ctx, t, c, node, true)
			var err error
			if restore, err = save(filepath.Join(c.Dir, node), t.TempDir()); err != nil {
				t.Fatal(err)
			}
		}
		suffer(ctx, t, c, node, d)
		t.Logf("%d mails acknowledged, %d retries", load.Progress(), load.Retries())
		if restore != nil { // what the node had before comes back: all of it was given up meanwhile
			suffer(ctx, t, c, node, Damage{"what it has for that of yesterday", restore, always, never})
		}
	}
	rot(ctx, t, c, "n3")
	await(ctx, t, c, "n1", "after all damage", wholeAndSpread)
	load.Finish()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	withoutTwo(ctx, t, c)
	check(ctx, t, c, load)
}

// yesterday gives a node the data that it had some mails ago, as a snapshot of its machine would, while nobody has replaced
// anything: it has forgotten what it acknowledged since, and every copy it has comes back under another id.
func yesterday(ctx context.Context, t *testing.T, c *dev.Cluster, node string, load *fault.Load) {
	t.Helper()
	halt(ctx, t, c, node, true)
	restore, err := save(filepath.Join(c.Dir, node), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(node); err != nil {
		t.Fatal(err)
	}
	if err := c.ReadyNode(ctx, node, func(string) {}); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, c, node, node+" before it is put back", whole)
	for since := load.Progress(); load.Progress() < since+8*boxes && ctx.Err() == nil; {
		rest(ctx, 50*time.Millisecond)
	}
	suffer(ctx, t, c, node, Damage{"today for yesterday", restore, mailboxes, system})
}

// halt stops a node, in order or at once.
func halt(ctx context.Context, t *testing.T, c *dev.Cluster, node string, orderly bool) {
	t.Helper()
	end := c.Kill
	if orderly {
		end = func(node string) error { return c.Stop(ctx, node) }
	}
	if err := end(node); err != nil {
		t.Fatal(err)
	}
	for c.Running(node) != 0 && ctx.Err() == nil {
		rest(ctx, 10*time.Millisecond)
	}
}

// rot flips bytes in what a running node has on disk of its mailbox groups, where nobody reads, and has them scrubbed: what
// was spoilt is found, given up and made again. Clients at every node, that one too, read, write, send and idle meanwhile: none
// loses its connection or is told of an error.
func rot(ctx context.Context, t *testing.T, c *dev.Cluster, node string) {
	t.Helper()
	before, err := ReadGroups(ctx, c, node)
	if err != nil {
		t.Fatal(err)
	}
	users := devtest.Crew(devtest.Stay(c, c.Names()...), boxes+1, used)
	users.Start(ctx)
	defer users.Stop()
	if err := users.Await(ctx, 8); err != nil {
		t.Fatal(err)
	}
	spoilt := Spoil(filepath.Join(c.Dir, node))
	if len(spoilt) == 0 {
		t.Fatalf("%s has no table of a mailbox group", node)
	}
	start := time.Now()
	await(ctx, t, c, node, fmt.Sprintf("%s after bytes of groups %v were flipped", node, spoilt), func(map[int]Group) error {
		// A leadership that moves, as that of a damaged replica does, leaves its scrub without a verdict.
		out, err := exec.CommandContext(ctx, c.Program, "groups", "scrub", "--all", "--wait", "--dir", c.Dir).CombinedOutput()
		if err != nil {
			return fmt.Errorf("scrub: %w: %s", err, out)
		}
		now, err := ReadGroups(ctx, c, node)
		if err != nil {
			return err
		}
		for _, id := range spoilt {
			was, is := before[id], now[id]
			if was.Server(node) == is.Server(node) {
				return fmt.Errorf("group %d: %s still has %s: %s", id, node, is.Server(node), out)
			}
		}
		return whole(now)
	})
	t.Logf("%s had bytes of groups %v flipped: whole after %v", node, spoilt, time.Since(start).Round(time.Millisecond))
	unharmed(ctx, t, c, users)
}

// unharmed wants the clients to have seen nothing, and to get on.
func unharmed(ctx context.Context, t *testing.T, c *dev.Cluster, users *probe.Crew) {
	t.Helper()
	if err := users.Await(ctx, 2); err != nil {
		t.Fatal(err)
	}
	var ledger devtest.Ledger
	for protocol, s := range ledger.Take(users) {
		t.Logf("%s: %d operations, longest wait %v", protocol, s.Operations, s.Longest.Round(time.Millisecond))
		if s.Moves > 0 || len(s.Failures) > 0 {
			t.Errorf("%s: %d connections lost, %v", protocol, s.Moves, s.Failures)
		}
	}
	ledger.Settle(ctx, t, users, false, devtest.Stay(c, c.Names()...)(0, 2143))
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// next is the node after another.
func next(c *dev.Cluster, node string) string {
	for i, n := range c.Names() {
		if n == node {
			return c.Names()[(i+1)%c.Nodes]
		}
	}
	return node
}

// suffer damages a stopped node, starts it and waits until it is whole again.
func suffer(ctx context.Context, t *testing.T, c *dev.Cluster, node string, d Damage) {
	t.Helper()
	before, err := ReadGroups(ctx, c, next(c, node))
	if err != nil {
		t.Fatal(err)
	}
	halt(ctx, t, c, node, false)
	if err := d.Do(filepath.Join(c.Dir, node)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := c.Start(node); err != nil {
		t.Fatal(err)
	}
	if err := c.ReadyNode(ctx, node, func(string) {}); err != nil {
		t.Fatalf("%s without %s: %v", node, d.Name, err)
	}
	ready := time.Since(start)
	await(ctx, t, c, node, fmt.Sprintf("%s after it lost %s", node, d.Name), func(now map[int]Group) error {
		for id, g := range now {
			was := before[id]
			old, fresh := was.Server(node), g.Server(node)
			if !d.Either(id) && d.Lost(id) != (old != fresh) {
				return fmt.Errorf("group %d: %s was %s and is %s", id, node, old, fresh)
			}
		}
		return whole(now)
	})
	t.Logf("%s lost %s: ready after %v, whole after %v", node, d.Name, ready.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
}

// await asks a node for the groups until they are as they should be.
func await(ctx context.Context, t *testing.T, c *dev.Cluster, node, what string, cond func(map[int]Group) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		now, err := ReadGroups(ctx, c, node)
		if err == nil {
			err = cond(now)
		}
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: %v", what, err)
		}
		rest(ctx, 100*time.Millisecond)
	}
}

func whole(now map[int]Group) error {
	if len(now) != groups+1 {
		return fmt.Errorf("%d groups", len(now))
	}
	for _, g := range now {
		if err := g.Whole(); err != nil {
			return err
		}
	}
	return nil
}

// wholeAndSpread is how a cluster of three ought to be: every group whole, and no node leads two more than another.
func wholeAndSpread(now map[int]Group) error {
	leads := map[string]int{"n1": 0, "n2": 0, "n3": 0}
	for _, g := range now {
		leads[g.Leader]++
	}
	for _, n := range leads {
		if n < (groups+1)/3 {
			return fmt.Errorf("leaders %v", leads)
		}
	}
	return whole(now)
}

// withoutTwo stops two nodes, one after the other: the rest, whatever it went through, is a quorum of every group.
func withoutTwo(ctx context.Context, t *testing.T, c *dev.Cluster) {
	t.Helper()
	for _, node := range c.Names()[:2] {
		halt(ctx, t, c, node, false)
		await(ctx, t, c, next(c, node), "without "+node, func(now map[int]Group) error {
			for _, g := range now {
				if g.Leader == "" || g.Leader == node {
					return fmt.Errorf("group %d is led by %q", g.Group, g.Leader)
				}
			}
			return nil
		})
		if err := c.Start(node); err != nil {
			t.Fatal(err)
		}
		if err := c.ReadyNode(ctx, node, func(string) {}); err != nil {
			t.Fatal(err)
		}
		await(ctx, t, c, node, node+" is back", whole)
	}
}

// check reads every mailbox at every node, and compares the replicas.
func check(ctx context.Context, t *testing.T, c *dev.Cluster, load *fault.Load) {
	t.Helper()
	v, err := fault.Check(c, load.Acked())
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if t.Logf("%s", line); !v.OK() || v.Mails < load.Count {
		t.Fatalf("%d of %d mails acknowledged; %s", v.Mails, load.Count, line)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := fault.SameHashes(ctx, c); err != nil {
		t.Fatalf("replicas differ: %v", err)
	}
}
