// Package move moves a mailbox from group to group in a cluster of real processes, under mail, while the node that carries
// the move dies at each of its steps.
package move

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/test/devtest"
	"github.com/flotilla-mail/flotilla/test/fault"
)

const (
	owner  = "u1"
	before = 2000 // mails that are there when the moves begin
)

// steps are those of a move right before which its carrier dies, one in each move: in the middle of the copy, with the space
// frozen, with the copy whole, decided, in use at the target, left at the source.
var steps = []string{"copy", "whole", "flip", "activate", "leave", "end"}

// TestMailboxMoves: a mailbox of 2,000 mails goes to and fro between two groups while more mail comes in. In each move the
// source's leader dies at another step. Every acknowledged mail is there once, under the UID that it had; a session that
// idles at a node that lives hears of all that comes.
func TestMailboxMoves(t *testing.T) {
	t.Parallel()
	c := devtest.StartGroups(t, 1, 3)
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	fill := &fault.Load{Cluster: c, Mailboxes: 1, Connections: 12, Count: before, Seed: 3}
	fill.Finish()
	if err := fill.Run(ctx); err != nil {
		t.Fatal(err)
	}
	first, err := fault.Read(c, "n1", owner)
	if err != nil {
		t.Fatal(err)
	}
	load := &fault.Load{Cluster: c, Mailboxes: 1, Connections: 4, First: fill.Progress(), Count: 1, Seed: 3, Think: 50 * time.Millisecond}
	done := make(chan error, 1)
	go func() { done <- load.Run(ctx) }()
	for i, step := range steps {
		start := time.Now()
		victim := ""
		for tries := 0; victim == ""; tries++ { // another may have come to lead the source, and carry the move
			if tries == 4 {
				t.Fatalf("nobody dies at %s", step)
			}
			w := &watcher{t: t, c: c, mails: func() int { return before + load.Progress() }}
			victim = carry(ctx, t, c, w, step)
		}
		t.Logf("move %d: %s died at %s; done after %v, %d mails, %d retries", i+1, victim, step,
			time.Since(start).Round(time.Millisecond), load.Progress(), load.Retries())
	}
	load.Finish()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	verdict(ctx, t, c, first, append(fill.Acked(), load.Acked()...))
}

// carry moves the mailbox to the other group, with the source's leader dying at a step, and a session that idles elsewhere.
// It returns who died.
func carry(ctx context.Context, t *testing.T, c *dev.Cluster, w *watcher, step string) (victim string) {
	t.Helper()
	at := where(ctx, t, c)
	victim = leader(ctx, t, c, at.Group)
	node := c.Names()[0]
	if node == victim {
		node = c.Names()[1]
	}
	w.open(ctx, node)
	fail(ctx, t, c, victim, admin.Fault{Kind: "die-at", Step: step})
	to := admin.MoveRequest{To: fmt.Sprint(3 - at.Group)}
	if at.Group == 3 {
		to.To = "1"
	}
	if err := c.Admin(node).Do(ctx, "POST", movePath, to, nil); err != nil {
		t.Fatal(err)
	}
	var now admin.Move
	over := func() bool {
		err := c.Admin(node).Do(ctx, "GET", movePath, nil, &now)
		return err == nil && now.State == admin.MoveNone
	}
	await(ctx, t, victim+" to die at "+step, func() bool { return c.Running(victim) == 0 || over() })
	died := c.Running(victim) == 0
	if died {
		if err := c.Start(victim); err != nil {
			t.Fatal(err)
		}
	}
	await(ctx, t, "the mailbox to be in group "+to.To, over)
	if fmt.Sprint(now.Group) != to.To {
		t.Fatalf("after the move to group %s the mailbox is in %d", to.To, now.Group)
	}
	w.hears(ctx)
	if err := c.ReadyNode(ctx, victim, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if !died {
		fail(ctx, t, c, victim, admin.Fault{Kind: "clear"})
		return ""
	}
	return victim
}

func fail(ctx context.Context, t *testing.T, c *dev.Cluster, node string, f admin.Fault) {
	t.Helper()
	if err := c.Admin(node).Do(ctx, "POST", "/v1/fault", f, nil); err != nil {
		t.Fatal(err)
	}
}

var movePath = adminclient.Path("v1", "mailboxes", owner+"@"+dev.Domain, "move")

func where(ctx context.Context, t *testing.T, c *dev.Cluster) (m admin.Move) {
	t.Helper()
	if err := c.Admin("n1").Do(ctx, "GET", movePath, nil, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// leader waits until a group has one, in a cluster that is well.
func leader(ctx context.Context, t *testing.T, c *dev.Cluster, group uint32) (node string) {
	t.Helper()
	await(ctx, t, fmt.Sprintf("a leader of group %d", group), func() bool {
		groups, err := fault.ReadGroups(ctx, c, false)
		for _, g := range groups {
			if g.Group == uint64(group) {
				node = g.Leader
			}
		}
		return err == nil && node != ""
	})
	return node
}

// await waits for a condition, two minutes at most.
func await(ctx context.Context, t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

var ended = regexp.MustCompile(`move of a mailbox ended.*`)

// verdict holds the mailbox, as each node shows it, against what was acknowledged and what the first mails' UIDs were.
func verdict(ctx context.Context, t *testing.T, c *dev.Cluster, first fault.Found, acked []*fault.Mail) {
	t.Helper()
	v, err := fault.Check(c, acked)
	if err != nil {
		t.Fatal(err)
	}
	if !v.OK() {
		t.Errorf("%d mails: %+v", v.Mails, v)
	}
	last, err := fault.Read(c, "n2", owner)
	if err != nil {
		t.Fatal(err)
	}
	for n, copies := range first {
		if len(last[n]) != 1 || last[n][0] != copies[0] {
			t.Fatalf("mail %d was %v and is %v", n, copies, last[n])
		}
	}
	for _, n := range c.Names() {
		log, err := os.ReadFile(filepath.Join(c.Dir, n, "log"))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range ended.FindAll(log, -1) {
			t.Logf("%s: %s", n, line)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := fault.SameHashes(ctx, c); err != nil {
		t.Fatalf("replicas differ: %v", err)
	}
}
