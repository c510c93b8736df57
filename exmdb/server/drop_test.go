package server

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/schema"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// places is a map with one space in it, which refuses to change as often as it is told to.
type places struct {
	mu      sync.Mutex // guards what follows
	failing int
	asked   int
	placed  bool
}

func (p *places) unplace(_ context.Context, _ cluster.SpaceID, epoch uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked++; p.asked <= p.failing || epoch != 1 {
		return cluster.ErrUnavailable
	}
	p.placed = false
	return nil
}

// TestDeletedMailboxIsDropped: with the last step of a deletion the space has no place any more and is dropped, however often
// the map cannot be reached, and whoever leads the group when that ends.
func TestDeletedMailboxIsDropped(t *testing.T) {
	h := newHost(t)
	for range 5 {
		call(h, h.owner, exmdb.OpAppend, &exmdb.AppendRequest{Folder: schema.Inbox, Message: mail(100).Message, Received: time.Unix(1.8e9, 0)})
	}
	m := &places{failing: 3, placed: true}
	due := Due{Replica: h.rep.Replica, Config: store.Defaults(), Unplace: m.unplace}
	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			space.NewDueRunner(h.rep.Replica, due, space.WorkConfig{Retry: time.Millisecond, RetryMost: time.Millisecond}).Run(ctx)
		})
		return func() { cancel(); wg.Wait() }
	}
	stop := run()
	if r := call(h, exmdb.System, exmdb.OpDeleteMailbox, &exmdb.Empty{}); !r.Done {
		t.Fatal("it took more than a step")
	}
	testkit.Eventually(t, time.Minute, func(context.Context) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.asked == 0 {
			return cluster.ErrUnavailable
		}
		return nil
	})
	stop() // of the leader
	stop = run()
	defer stop()
	testkit.Eventually(t, time.Minute, func(ctx context.Context) error {
		list, err := h.rep.Spaces()
		if err == nil && (len(list) != 1 || list[0].State != space.Dropped) {
			err = cluster.Errorf(cluster.KindExists, "the group has %+v", list)
		}
		return err
	})
	if m.placed || m.asked != 4 {
		t.Errorf("asked %d times, the space has a place: %v", m.asked, m.placed)
	}
	if _, err := try(t.Context(), h, exmdb.System, exmdb.OpMailboxInfo, &exmdb.Empty{}); cluster.KindOf(err) != cluster.KindNoSpace {
		t.Errorf("asked for something: %v", err)
	}
	if err := due.PerformDue(t.Context(), cluster.SpaceID(h.box), space.Due{Op: store.DueDropMailbox}); err != nil {
		t.Errorf("what was dropped is dropped again: %v", err)
	}
}

// TestLivingMailboxIsNotDropped: the work without the deletion is refused.
func TestLivingMailboxIsNotDropped(t *testing.T) {
	h := newHost(t)
	due := Due{Replica: h.rep.Replica, Config: store.Defaults()}
	if err := due.PerformDue(t.Context(), cluster.SpaceID(h.box), space.Due{Op: store.DueDropMailbox}); cluster.KindOf(err) != cluster.KindInternal {
		t.Errorf("%v", err)
	}
	call(h, exmdb.System, exmdb.OpMailboxInfo, &exmdb.Empty{})
}
