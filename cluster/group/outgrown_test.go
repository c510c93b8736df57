package group

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

func shortLog(c *Config) { tinyLog(c); c.GroupEntriesInFlight = 16 }

// outgrow leads a group to where one node, which is cut off, has a longer log than the state that the leader of the others
// would send it, and what that log lacks is not in the leader's any more. That one is the second since: the first would send
// what it tried to send before it cut its log.
func (w *world) outgrow() (old, next *node) {
	t := w.t
	t.Helper()
	old = w.holding("1")
	old.faults.Cut("", transport.Both)
	g := old.group(1)
	for range 16 { // straight into its own log
		g.raft.Apply(space.AppendEntry(nil, g.Term(), nil), 0)
	}
	eventually(t, "the log of the cut-off leader has grown", func() bool {
		last, err := g.log.LastIndex()
		return err == nil && last > g.machine.Applied().Index+10
	})
	next = w.leaderAmong(1, old)
	if err := next.group(1).Transfer(within(t), ""); err != nil {
		t.Fatal(err)
	}
	next = w.leaderAmong(1, old)
	next.mustPut(1, "a", "2")
	if err := next.group(1).machine.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := next.group(1).log.TruncateTo(next.group(1).machine.Applied().Index - 1); err != nil {
		t.Fatal(err)
	}
	long, err := g.log.LastIndex()
	if err != nil || next.group(1).machine.Applied().Index >= long {
		t.Fatalf("the snapshot is not shorter: %d, %d %v", next.group(1).machine.Applied().Index, long, err)
	}
	return old, next
}

// A snapshot may end before a log that went on alone. raft alone would never accept anything behind it.
func TestSnapshotShorterThanTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, shortLog)
	defer w.dump()
	old, next := w.outgrow()
	old.faults.Clear("")
	old.awaitValue(1, "a", "2")
	next.mustPut(1, "b", "3")
	old.awaitValue(1, "b", "3")
	if old.noted("snapshot 1") == 0 {
		t.Error("no snapshot was installed")
	}
}

// The same when the connection to the sender ends before it is answered: nobody comes back to that snapshot.
func TestSnapshotShorterThanTheLogUnanswered(t *testing.T) {
	t.Parallel()
	var installed atomic.Pointer[func()]
	w := newWorld(t, 3, func(c *Config) {
		shortLog(c)
		noted := c.Events.SnapshotInstalled
		c.Events.SnapshotInstalled = func(g cluster.GroupID, index uint64) {
			noted(g, index)
			if fn := installed.Swap(nil); fn != nil {
				(*fn)()
			}
		}
	})
	defer w.dump()
	old, next := w.outgrow()
	before := old.group(1)
	cut := func() { old.net.Expel(next.id, errors.New("cut")) }
	installed.Store(&cut)
	old.faults.Clear("")
	eventually(t, "the replica is started anew", func() bool { g := old.group(1); return g != nil && g != before })
	next.mustPut(1, "b", "3")
	old.awaitValue(1, "b", "3")
}
