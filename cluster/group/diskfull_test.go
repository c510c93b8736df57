package group

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
)

// fullDisks is which nodes of a world have no room.
type fullDisks map[cluster.NodeID]*atomic.Bool

func newFullDisks(c *Config, disks fullDisks) {
	if disks[c.Node] == nil {
		disks[c.Node] = new(atomic.Bool)
	}
	c.DiskFull = disks[c.Node].Load
}

// A replica whose disk is full takes no entries, and goes on to answer its leader and to vote; what the others committed
// meanwhile it gets when there is room.
func TestFullDiskTakesNoEntries(t *testing.T) {
	t.Parallel()
	disks := fullDisks{}
	w := newWorld(t, 3, func(c *Config) { newFullDisks(c, disks) })
	defer w.dump()
	leader := w.form(1)
	leader.create(1)
	full, other := w.others(leader)[0], w.others(leader)[1]
	leader.mustPut(1, "a", "1")
	full.awaitValue(1, "a", "1")
	disks[full.id].Store(true)
	before := full.group(1).raft.LastIndex()
	leader.mustPut(1, "a", "2")
	other.awaitValue(1, "a", "2")
	if after := full.group(1).raft.LastIndex(); after != before {
		t.Errorf("the log went from %d to %d", before, after)
	}
	term := leader.group(1).Term()
	eventually(t, "heartbeats of a full follower", func() bool {
		silent, leads := leader.group(1).Silence(full.group(1).Self())
		return leads && silent < raftLease
	})
	if err := leader.group(1).Transfer(within(t), other.group(1).Self()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the word of the full follower on the election", func() bool { return full.group(1).Term() > term })
	w.leader(1).mustGet(1, space.ReadIndex, "a", "2")
	if after := full.group(1).raft.LastIndex(); after != before {
		t.Errorf("the log went from %d to %d", before, after)
	}
	disks[full.id].Store(false)
	full.awaitValue(1, "a", "2")
}

// Nor does it take a snapshot.
func TestFullDiskTakesNoSnapshot(t *testing.T) {
	t.Parallel()
	disks := fullDisks{}
	w := newWorld(t, 3, func(c *Config) { tinyLog(c); newFullDisks(c, disks) })
	defer w.dump()
	leader := w.form(1)
	leader.create(1)
	full := w.others(leader)[0]
	leader.mustPut(1, "a", "1")
	full.awaitValue(1, "a", "1")
	full.stop()
	leader.mustPut(1, "a", "2")
	leader.mustPut(1, "a", "3")
	leader.truncate(1)
	disks[full.id].Store(true)
	full.start()
	if ok, err := full.host.Seed(within(t), 2, ReplicaConfig{}, []cluster.NodeID{leader.id}); ok || cluster.KindOf(err) != cluster.KindDiskFull {
		t.Errorf("seeded on a full disk: %v, %v", ok, err)
	}
	full.open(1)
	refused := func() bool {
		leader.mu.Lock()
		defer leader.mu.Unlock()
		for _, line := range leader.log {
			if strings.Contains(line, "failed to install snapshot") {
				return true
			}
		}
		return false
	}
	eventually(t, "the snapshot is refused", refused)
	if full.noted("snapshot 1") != 0 {
		t.Error("it was installed")
	}
	disks[full.id].Store(false)
	full.awaitValue(1, "a", "3")
}
