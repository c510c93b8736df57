package group

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
)

// closing begins to close nd's host and returns where its end is told, once nothing can be claimed any more.
func (nd *node) closing(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() { done <- nd.host.Close(ctx) }()
	eventually(nd.w.t, "the host is closing", func() bool {
		nd.host.mu.RLock()
		defer nd.host.mu.RUnlock()
		return nd.host.closed
	})
	return done
}

func mustClaim(t *testing.T, h *Host, id cluster.GroupID) {
	t.Helper()
	if err := h.claim(id); err != nil {
		t.Fatal(err)
	}
}

func pending(t *testing.T, done <-chan error, what string) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatalf("closed while %s: %v", what, err)
	default:
	}
}

// A replica that is being opened when Close begins is not left running behind it: its logs are about to be closed.
func TestCloseWaitsForAnOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	nd := w.form(1)
	mustClaim(t, nd.host, 2) // as Open does, and then takes its time
	done := nd.closing(within(t))
	pending(t, done, "a group is being opened")
	if g, err := nd.host.openClaimed(within(t), 2, ReplicaConfig{Create: true}); cluster.KindOf(err) != cluster.KindUnavailable || g != nil {
		t.Errorf("opened under a Close: %v, %v", g, err)
	}
	pending(t, done, "a group is being opened")
	nd.host.unclaim(2)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if all := nd.host.Groups(); len(all) != 0 {
		t.Errorf("%d groups are open", len(all))
	}
	if _, err := nd.host.Open(within(t), 3, ReplicaConfig{Create: true}); cluster.KindOf(err) != cluster.KindUnavailable {
		t.Errorf("opened after Close: %v", err)
	}
}

// A replica that is being closed, or closed and opened again, is closed once.
func TestCloseBesideCloseGroupAndReopen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	for id := range cluster.GroupID(4) {
		w.form(id)
	}
	nd := w.nodes[0]
	nd.host.reopen(nd.group(3))
	mustClaim(t, nd.host, 1)
	closed := make(chan error, 1)
	go func() { closed <- nd.host.CloseGroup(within(t), 2) }()
	done := []<-chan error{nd.closing(within(t)), nd.closing(within(t))}
	pending(t, done[0], "group 1 is claimed")
	if err := nd.host.closeGroup(within(t), 1); err != nil {
		t.Error(err)
	}
	nd.host.unclaim(1)
	for _, d := range done {
		if err := <-d; err != nil {
			t.Error(err)
		}
	}
	if err := <-closed; err != nil && cluster.KindOf(err) != cluster.KindUnavailable {
		t.Errorf("CloseGroup: %v", err)
	}
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if len(nd.host.Groups()) != 0 || len(nd.fenced) != 0 {
		t.Errorf("open: %v, fenced: %v", nd.host.Groups(), nd.fenced)
	}
}

// Close ends with its context, whatever does not.
func TestCloseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	nd := w.form(1)
	nd.host.proposer.wg.Add(1) // an entry that raft has forgotten
	ctx, cancel := context.WithCancel(context.Background())
	done := nd.closing(ctx)
	eventually(t, "the groups are closed", func() bool { return len(nd.host.Groups()) == 0 })
	pending(t, done, "an entry is in flight")
	cancel()
	if err := <-done; cluster.KindOf(err) != cluster.KindDeadline {
		t.Errorf("closed with an entry in flight: %v", err)
	}
	nd.host.proposer.wg.Done()
	nd.host.mu.Lock()
	nd.host.busy[7] = true
	nd.host.mu.Unlock()
	if err := nd.host.Close(ctx); cluster.KindOf(err) != cluster.KindDeadline {
		t.Errorf("closed with a group being opened: %v", err)
	}
	nd.host.unclaim(7)
}

// TestDestroyedStaysDestroyed: a power cut right after a replica was destroyed brings nothing of it back.
func TestDestroyedStaysDestroyed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	defer w.dump()
	nd := w.nodes[0]
	for seed := range uint64(8) {
		self := nd.open(1).Self()
		if err := nd.host.Bootstrap(within(t), 1, []cluster.ServerID{self}); err != nil {
			t.Fatal(err)
		}
		w.leader(1)
		if err := nd.host.Destroy(within(t), 1); err != nil {
			t.Fatal(err)
		}
		nd.crash(rand.New(rand.NewPCG(seed, 0)))
		nd.start()
		if _, err := nd.host.Open(within(t), 1, ReplicaConfig{}); !errors.Is(err, ErrNoReplica) {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
