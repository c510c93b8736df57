package group

import (
	"context"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
)

func TestThreeNodesPutGet(t *testing.T) {
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.holding("1")
	leader.mustGet(1, space.ReadLease, "a", "1")
	leader.mustGet(1, space.ReadIndex, "a", "1")
	leader.mustGet(1, space.ReadLocal, "a", "1")
	for _, f := range w.others(leader) {
		f.mustGet(1, space.ReadIndex, "a", "1")
		if _, err := f.get(within(t), 1, space.ReadLease, "a"); cluster.KindOf(err) != cluster.KindNotLeader {
			t.Errorf("%s: lease read on a follower: %v", f.id, err)
		}
		err := f.put(within(t), 1, "a", "2")
		if e, ok := err.(*cluster.Error); !ok || e.Kind != cluster.KindNotLeader || e.Leader != leader.id {
			t.Errorf("%s: put on a follower: %v", f.id, err)
		}
		if _, err := f.get(within(t), 1, space.ReadLocal, "a"); err != nil {
			t.Errorf("%s: local read: %v", f.id, err)
		}
	}
}

func TestKilledLeaderIsReplaced(t *testing.T) {
	w := newWorld(t, 3, nil)
	defer w.dump()
	leader := w.holding("1")
	began := time.Now()
	leader.stop()
	next := w.leader(1)
	took := time.Since(began)
	next.mustGet(1, space.ReadLease, "a", "1")
	next.mustPut(1, "a", "2")
	t.Logf("a leader that may answer after %v", took)
	stood := 0
	for _, nd := range w.others(leader) {
		stood += nd.noted("stood 1")
	}
	if stood == 0 {
		t.Error("nobody stood: the fail-over was left to raft's timers")
	}
	leader.start()
	leader.open(1)
	eventually(t, "the restarted node has caught up", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		v, err := leader.get(ctx, 1, space.ReadIndex, "a")
		return err == nil && v == "2"
	})
}
