package group

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/hashicorp/raft"
)

// heldEntry is an entry that the test answers.
type heldEntry struct {
	queue string
	data  []byte
	parts int
	done  chan struct{}
	quit  chan struct{} // the test has ended
	err   error
}

func (e *heldEntry) Error() error {
	select {
	case <-e.done:
	case <-e.quit:
	}
	return e.err
}

func (e *heldEntry) Response() interface{} {
	outcomes := make([]space.Outcome, e.parts)
	for i := range outcomes {
		outcomes[i] = space.Done
	}
	return outcomes
}

// proposerRig is a proposer whose entries the test holds.
type proposerRig struct {
	t    *testing.T
	p    *proposer
	sent chan *heldEntry
	quit chan struct{}
	wg   sync.WaitGroup
}

func newRig(t *testing.T, tune func(*Config)) *proposerRig {
	cfg := Config{}
	cfg.Defaults()
	if tune != nil {
		tune(&cfg)
	}
	rig := &proposerRig{t: t, p: newProposer(cfg), sent: make(chan *heldEntry, 1000), quit: make(chan struct{})}
	t.Cleanup(func() { close(rig.quit); rig.wg.Wait(); rig.p.wg.Wait() })
	return rig
}

func (r *proposerRig) queue(name string) *queue {
	return r.p.queue(func(entry []byte) entryFuture {
		e := &heldEntry{queue: name, data: entry, done: make(chan struct{}), quit: r.quit, parts: partsOf(entry)}
		r.sent <- e
		return e
	}, func(err error) error {
		if errors.Is(err, raft.ErrNotLeader) {
			return cluster.ErrNotLeader
		}
		return cluster.ErrUnknownOutcome
	})
}

// partsOf counts an entry's parts: the rig's are of 1 or 100,000 bytes.
func partsOf(entry []byte) int {
	rest, n := len(entry)-space.EntrySize(nil), 0
	for at := space.EntrySize(nil); rest > 0; n++ {
		size := space.PartSize(1)
		if entry[at] != 1 {
			size = space.PartSize(100_000)
		}
		at, rest = at+size, rest-size
	}
	return n
}

// propose starts a proposal and waits until it is admitted.
func (r *proposerRig) propose(ctx context.Context, q *queue, term uint64, size int) <-chan error {
	result := make(chan error, 1)
	entries, _ := q.sent()
	r.p.mu.Lock()
	waiting := len(q.waiting)
	r.p.mu.Unlock()
	r.wg.Go(func() {
		_, err := q.propose(ctx, term, make([]byte, size))
		result <- err
	})
	eventually(r.t, "the part waits or was sent", func() bool {
		now, _ := q.sent()
		r.p.mu.Lock()
		defer r.p.mu.Unlock()
		return now > entries || len(q.waiting) > waiting || len(result) > 0
	})
	return result
}

func (r *proposerRig) next(queue string, parts int) *heldEntry {
	r.t.Helper()
	e := <-r.sent
	if e.queue != queue || e.parts != parts {
		r.t.Fatalf("entry of %s with %d parts, want %s with %d", e.queue, e.parts, queue, parts)
	}
	return e
}

func (r *proposerRig) none() {
	r.t.Helper()
	select {
	case e := <-r.sent:
		r.t.Fatalf("an entry of %s with %d parts was sent", e.queue, e.parts)
	default:
	}
}

func (r *proposerRig) wantKind(result <-chan error, kind cluster.Kind) {
	r.t.Helper()
	if err := <-result; cluster.KindOf(err) != kind || err == nil {
		r.t.Fatalf("got %v, want kind %d", err, kind)
	}
}

func (r *proposerRig) wantDone(results ...<-chan error) {
	r.t.Helper()
	for _, c := range results {
		if err := <-c; err != nil {
			r.t.Fatal(err)
		}
	}
}

func TestProposerPacksWhatWaits(t *testing.T) {
	r := newRig(t, func(c *Config) { c.GroupEntriesInFlight = 1 })
	q := r.queue("a")
	results := []<-chan error{r.propose(within(t), q, 1, 1)}
	first := r.next("a", 1) // at once: a slot is free
	for range 10 {
		results = append(results, r.propose(within(t), q, 1, 1))
	}
	r.none()
	close(first.done)
	close(r.next("a", 10).done)
	r.wantDone(results...)
	if entries, parts := q.sent(); entries != 2 || parts != 11 {
		t.Errorf("%d entries with %d parts, want 2 with 11", entries, parts)
	}
}

func TestProposerKeepsTermsAndSizesApart(t *testing.T) {
	r := newRig(t, func(c *Config) { c.GroupEntriesInFlight = 1 })
	q := r.queue("a")
	results := []<-chan error{r.propose(within(t), q, 1, 1)}
	e := r.next("a", 1)
	for _, term := range []uint64{1, 1, 2} {
		results = append(results, r.propose(within(t), q, term, 1))
	}
	for range 3 { // two fit an entry of 256 KiB, three do not
		results = append(results, r.propose(within(t), q, 2, 100_000))
	}
	for _, parts := range []int{2, 3, 1} {
		close(e.done)
		e = r.next("a", parts)
	}
	close(e.done)
	r.wantDone(results...)
}

func TestProposerSharesSlotsInTurn(t *testing.T) {
	r := newRig(t, func(c *Config) { c.EntriesInFlight, c.GroupEntriesInFlight = 1, 1 })
	a, b, c := r.queue("a"), r.queue("b"), r.queue("c")
	results := []<-chan error{r.propose(within(t), a, 1, 1)}
	e := r.next("a", 1)
	for range 3 { // a has much to do, and waits for the others all the same
		results = append(results, r.propose(within(t), a, 1, 100_000))
	}
	results = append(results, r.propose(within(t), b, 1, 1), r.propose(within(t), c, 1, 1))
	for _, want := range []struct {
		queue string
		parts int
	}{{"b", 1}, {"c", 1}, {"a", 2}, {"a", 1}} {
		close(e.done)
		e = r.next(want.queue, want.parts)
	}
	close(e.done)
	r.wantDone(results...)
}

func TestProposerRefusesBeforeRaft(t *testing.T) {
	r := newRig(t, func(c *Config) { c.GroupEntriesInFlight, c.GroupBytes, c.NodeBytes = 1, 150_000, 220_000 })
	a, b := r.queue("a"), r.queue("b")
	first := r.propose(within(t), a, 1, 100_000)
	r.wantKind(r.propose(within(t), a, 1, 100_000), cluster.KindOverloaded) // the group's bytes
	second := r.propose(within(t), b, 1, 100_000)
	r.wantKind(r.propose(within(t), r.queue("c"), 1, 100_000), cluster.KindOverloaded) // the node's
	r.wantKind(r.propose(within(t), b, 1, space.MaxEntry), cluster.KindTooLarge)
	close(r.next("a", 1).done)
	r.wantDone(first)
	third := r.propose(within(t), a, 1, 100_000) // what was done is given back
	close(r.next("b", 1).done)
	close(r.next("a", 1).done)
	r.wantDone(second, third)
	r.p.wg.Wait()
	if r.p.bytes != 0 || a.bytes != 0 || b.bytes != 0 || r.p.free != r.p.maxInFlight {
		t.Errorf("left over: %d bytes, %d slots", r.p.bytes, r.p.free)
	}
}

func TestProposerDeadlines(t *testing.T) {
	r := newRig(t, func(c *Config) { c.GroupEntriesInFlight = 1 })
	q := r.queue("a")
	ctx, cancel := context.WithCancel(within(t))
	sent := r.propose(ctx, q, 1, 1)
	e := r.next("a", 1)
	waiting := r.propose(ctx, q, 1, 1)
	kept := r.propose(within(t), q, 1, 1)
	cancel()
	r.wantKind(sent, cluster.KindUnknownOutcome)
	r.wantKind(waiting, cluster.KindDeadline)
	close(e.done)
	close(r.next("a", 1).done)
	r.wantDone(kept)
}

func TestProposerRefusals(t *testing.T) {
	r := newRig(t, func(c *Config) { c.GroupEntriesInFlight = 1 })
	q := r.queue("a")
	for _, c := range []struct {
		err  error
		kind cluster.Kind
	}{
		{raft.ErrNotLeader, cluster.KindNotLeader},
		{raft.ErrLeadershipLost, cluster.KindUnknownOutcome},
		{raft.ErrRaftShutdown, cluster.KindUnknownOutcome},
	} {
		result := r.propose(within(t), q, 1, 1)
		e := r.next("a", 1)
		e.err = c.err
		close(e.done)
		r.wantKind(result, c.kind)
	}
	// Losing the leadership ends what was not sent, for certain; what was sent is answered by raft.
	sent := r.propose(within(t), q, 1, 1)
	e := r.next("a", 1)
	waiting := r.propose(within(t), q, 1, 1)
	newer := r.propose(within(t), q, 2, 1)
	q.refuse(2, cluster.ErrNotLeader)
	r.wantKind(waiting, cluster.KindNotLeader)
	close(e.done)
	close(r.next("a", 1).done)
	r.wantDone(sent, newer)
}

func TestProposerHoldsAndCloses(t *testing.T) {
	r := newRig(t, nil)
	q := r.queue("a")
	q.hold()
	held := r.propose(within(t), q, 1, 1)
	r.none()
	q.resume()
	e := r.next("a", 1)
	closed := make(chan error, 1)
	r.wg.Go(func() { closed <- q.close(within(t), fmt.Errorf("%w: closing", cluster.ErrUnavailable)) })
	eventually(t, "the queue is closed", func() bool {
		r.p.mu.Lock()
		defer r.p.mu.Unlock()
		return q.closed != nil && q.idle != nil
	})
	r.wantKind(r.propose(within(t), q, 1, 1), cluster.KindUnavailable)
	close(e.done)
	r.wantDone(held, closed)
}
