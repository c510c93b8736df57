package group

import (
	"fmt"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// A leader that stood still finds its lease ended, whatever lies in its buffers (CLUSTER 8): a confirmation from before,
// read only now, renews nothing, and the leader of a later term has written meanwhile.
func TestFrozenLeaderHasNoLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, func(c *Config) { c.Heartbeat = 5 * time.Second })
	defer w.dump()
	w.form(1).create(1)
	tries := 0
	eventually(t, "a leader that woke while raft still took it for one", func() bool {
		tries++
		return frozenLeader(t, w, fmt.Sprint(tries))
	})
	t.Logf("%d tries", tries)
}

// frozenLeader freezes the leader, lets another one write value, and wakes the first. It is false when that had lost its
// leadership, by raft's own timers, or its connection, before the confirmation was read: then nothing was tried.
func frozenLeader(t *testing.T, w *world, value string) bool {
	old := w.leader(1)
	old.mustPut(1, "a", "before "+value)
	rest := w.others(old)
	witness, next := rest[0], rest[1]
	next.awaitValue(1, "a", "before "+value)
	old.mustGet(1, space.ReadLease, "a", "before "+value)
	g := old.group(1)
	term, _ := g.lead.term()
	defer old.faults.Clear("")
	q := confirmBeforeFreezing(t, old, witness, term)
	next.takeOver(value)
	old.clock.advance(5 * time.Second)
	woken := old.clock.Mono()
	if g.lead.holds(term) {
		t.Error("the lease survived 5 s")
	}
	old.faults.Clear(witness.id) // the answer is read; nothing new is asked, for nothing leaves the node
	g.host.confirms.settle(within(t), q)
	held := g.lead.holds(term)
	ctx, cancel := brief(20 * time.Millisecond)
	defer cancel()
	if v, err := old.get(ctx, 1, space.ReadLease, "a"); err == nil {
		t.Errorf("the leader of term %d woke and answered %q", term, v)
	}
	if held {
		t.Error("a confirmation that lay in a buffer renewed the lease")
	}
	at, leads := g.lead.term()
	g.lead.mu.Lock()
	noted := g.lead.lease.contacts[witness.group(1).Self()]
	g.lead.mu.Unlock()
	if !leads || at != term || noted < q.sent {
		return false
	}
	if noted >= woken {
		t.Errorf("the confirmation asked for at %v, before waking at %v, counts from %v", q.sent, woken, noted)
	}
	old.faults.Clear("")
	old.awaitValue(1, "a", value)
	return true
}

// confirmBeforeFreezing has witness confirm old's term, and then lets nothing in to old and nothing out.
func confirmBeforeFreezing(t *testing.T, old, witness *node, term uint64) question {
	t.Helper()
	for _, nd := range old.w.others(old) {
		old.faults.Cut(nd.id, transport.Incoming)
	}
	q, err := old.host.confirms.send(within(t), witness.id, map[cluster.GroupID]uint64{1: term})
	if err != nil {
		t.Fatal(err)
	}
	before := witness.noted("marker")
	marker, err := old.net.Send(within(t), transport.Message{To: witness.id, Class: transport.Control, Kind: kindMarker})
	if err != nil {
		t.Fatal(err)
	}
	defer marker.Cancel()
	eventually(t, "the question was answered", func() bool { return witness.noted("marker") > before })
	old.faults.Cut("", transport.Outgoing)
	return q
}

// takeOver makes nd the leader, although there is one, and writes value to "a" as soon as it may.
func (nd *node) takeOver(value string) {
	nd.w.t.Helper()
	g := nd.group(1)
	eventually(nd.w.t, fmt.Sprintf("%s leads", nd.id), func() bool {
		g.standForTest()
		g.lead.mu.Lock()
		defer g.lead.mu.Unlock()
		return g.lead.now.term != 0
	})
	nd.clock.advance(electionWait)
	nd.mustPut(1, "a", value)
}

// A read that outlasts the lease is not given out before a quorum has confirmed the term after it (CLUSTER 4.1).
func TestLeaseIsCheckedAfterTheRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, func(c *Config) { c.Heartbeat = 5 * time.Second })
	defer w.dump()
	leader := w.holding("1")
	ran := 0
	view := func(wait time.Duration, during func()) error {
		ctx, cancel := brief(wait)
		defer cancel()
		return leader.group(1).Replica().View(ctx, spaceOf(1), space.ReadLease, func(r space.Reader) error {
			ran++
			during()
			leader.clock.advance(LeaseLength)
			b, err := r.Get([]byte("a"))
			if err == nil && string(b) != "1" {
				err = fmt.Errorf("read %q", b)
			}
			return err
		})
	}
	if err := view(patience, func() {}); err != nil || ran != 1 {
		t.Fatalf("a long read in the reach of the others: run %d times, %v", ran, err)
	}
	err := view(patience/4, func() { leader.faults.Cut("", transport.Both) })
	if kind := cluster.KindOf(err); kind != cluster.KindUnavailable && kind != cluster.KindNotLeader || ran != 2 {
		t.Errorf("a read whose lease ended while it ran, and that nobody confirms: run %d times, %v", ran, err)
	}
}
