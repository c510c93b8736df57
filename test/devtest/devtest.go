// Package devtest runs a dev cluster of real processes for one test and ends it with the test.
//
// It knows the built binary and where a test's data goes; it never looks inside a node.
package devtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// The shifts of ports that tests use keep away from those of a cluster that somebody tries out, from each other, and
// from the ports that the kernel gives to clients.
const (
	firstShift = 10000
	shiftStep  = 1000
	shifts     = 15
)

// freePorts gives the test a shift that no other test has, whichever process that runs in, and the lock on it. It lasts until the test
// and all processes that have the file have ended: nodes of a test that was killed go on, and keep their ports.
func freePorts(t testing.TB) (int, *os.File) {
	t.Helper()
	for shift := firstShift; shift < firstShift+shifts*shiftStep; shift += shiftStep {
		f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("flotilla-test-ports-%d", shift)), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			_ = f.Close() // another test has them
			continue
		}
		t.Cleanup(func() { _ = f.Close() }) // ends the lock
		return shift, f
	}
	t.Fatalf("all %d sets of ports are in use by other tests", shifts)
	return 0, nil
}

// Start runs three nodes with alice, bob, carol and as many numbered users as asked for, ready when it returns. The
// nodes' logs are shown when the test fails.
func Start(t testing.TB, users int) *dev.Cluster { return StartGroups(t, users, 6) }

// StartGroups is Start with a number of mailbox groups.
func StartGroups(t testing.TB, users, groups int) *dev.Cluster {
	return StartNodes(t, 3, users, groups)
}

// StartNodes is StartGroups with a number of nodes. A group has three copies, however many nodes there are.
func StartNodes(t testing.TB, nodes, users, groups int) *dev.Cluster {
	t.Helper()
	return StartOptions(t, dev.Options{Nodes: nodes, Users: users, Groups: groups})
}

// StartOptions is Start with what the options say of nodes, users, groups and data centres, of the program: without one
// it is that of the tree; and of the folder, where there may be data.
func StartOptions(t testing.TB, o dev.Options) *dev.Cluster {
	t.Helper()
	o.Plaintext = true
	o.PortShift, o.Lock = freePorts(t)
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Program == "" {
		o.Program = testkit.Binary(t)
	}
	c := &dev.Cluster{Options: o}
	if err := c.Setup(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, c) })
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

func stop(t testing.TB, c *dev.Cluster) {
	for _, n := range c.Names() {
		if err := c.Kill(n); err != nil {
			t.Error(err)
		}
		b, err := os.ReadFile(filepath.Join(c.Dir, n, "log"))
		if err == nil && t.Failed() {
			t.Logf("--- log of %s\n%s", n, b[max(0, len(b)-20000):])
		}
	}
	// The ports are the next test's only when the processes are gone.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); c.AnyRuns() && time.Now().Before(deadline); <-tick.C {
	}
}
