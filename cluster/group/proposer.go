package group

import (
	"context"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
)

// proposer packs the waiting parts of the groups of a node into entries, and keeps few entries in flight, so that
// load makes entries larger and not more numerous (CLUSTER 1.5). There is no timer: a part goes out at once while
// a slot is free.
type proposer struct {
	maxInFlight int   // entries of the node handed to raft and not applied yet
	maxPerGroup int   // of those, of one group
	nodeBytes   int64 // admitted parts of the node
	groupBytes  int64 // and of one group

	mu    sync.Mutex
	free  int      // slots; guarded by mu
	bytes int64    // admitted; guarded by mu
	ring  []*queue // queues with parts to send and a slot of their own left, in turn; guarded by mu

	wg sync.WaitGroup // one for each entry in flight
}

// maxEntryParts is the most parts that cluster/space reads from one entry.
const maxEntryParts = 4096

// entryFuture is an entry on its way; raft.ApplyFuture is one.
type entryFuture interface {
	Error() error
	Response() interface{}
}

// queue holds one group's parts in the order they were proposed.
type queue struct {
	p *proposer
	// submit hands an entry to raft. It must not wait.
	submit func(entry []byte) entryFuture
	// outcome turns raft's refusal of an entry into an error with a kind.
	outcome func(err error) error

	// cutting is held from the choice of an entry's parts until raft has the entry, so entries keep the order of
	// proposals.
	cutting sync.Mutex

	waiting  []*proposal // guarded by p.mu
	bytes    int64       // admitted, waiting or in flight; guarded by p.mu
	inFlight int         // guarded by p.mu
	inRing   bool        // guarded by p.mu
	closed   error       // why nothing is accepted; guarded by p.mu
	held     int         // hand-overs under way: nothing is sent; guarded by p.mu
	idle     chan struct{}

	entries, parts uint64 // sent since the start; guarded by p.mu
}

type proposal struct {
	term uint64
	part []byte
	sent bool // no longer in waiting; guarded by the proposer's mu
	done chan proposalResult
}

type proposalResult struct {
	outcome space.Outcome
	err     error
}

func newProposer(cfg Config) *proposer {
	return &proposer{
		maxInFlight: cfg.EntriesInFlight,
		maxPerGroup: cfg.GroupEntriesInFlight,
		nodeBytes:   cfg.NodeBytes,
		groupBytes:  cfg.GroupBytes,
		free:        cfg.EntriesInFlight,
	}
}

func (p *proposer) queue(submit func([]byte) entryFuture, outcome func(error) error) *queue {
	return &queue{p: p, submit: submit, outcome: outcome}
}

// propose replicates one part evaluated in term and waits for what applying it did.
func (q *queue) propose(ctx context.Context, term uint64, part []byte) (space.Outcome, error) {
	pr := &proposal{term: term, part: part, done: make(chan proposalResult, 1)}
	if err := q.admit(pr); err != nil {
		return 0, err
	}
	q.p.pump()
	select {
	case r := <-pr.done:
		return r.outcome, r.err
	case <-ctx.Done():
		return q.abandon(pr)
	}
}

func (q *queue) admit(pr *proposal) error {
	p, n := q.p, int64(len(pr.part))
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case q.closed != nil:
		return q.closed
	case space.EntrySize([][]byte{pr.part}) > space.MaxEntry:
		return cluster.Errorf(cluster.KindTooLarge, "part of %d bytes does not fit an entry", n)
	case q.bytes+n > p.groupBytes && q.bytes > 0:
		return cluster.Errorf(cluster.KindOverloaded, "group has %d bytes of proposals waiting", q.bytes)
	case p.bytes+n > p.nodeBytes && p.bytes > 0:
		return cluster.Errorf(cluster.KindOverloaded, "node has %d bytes of proposals waiting", p.bytes)
	}
	p.bytes += n
	q.bytes += n
	q.waiting = append(q.waiting, pr)
	p.enlistLocked(q)
	return nil
}

// abandon gives up waiting. What is not sent yet never will be; what is may still be applied.
func (q *queue) abandon(pr *proposal) (space.Outcome, error) {
	q.p.mu.Lock()
	defer q.p.mu.Unlock()
	select {
	case r := <-pr.done: // the answer came first
		return r.outcome, r.err
	default:
	}
	if pr.sent {
		return 0, cluster.Errorf(cluster.KindUnknownOutcome, "no answer within the caller's deadline")
	}
	for i, w := range q.waiting {
		if w == pr {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			break
		}
	}
	q.releaseLocked(pr)
	return 0, cluster.Errorf(cluster.KindDeadline, "not sent within the caller's deadline")
}

func (q *queue) releaseLocked(pr *proposal) {
	n := int64(len(pr.part))
	q.bytes -= n
	q.p.bytes -= n
}

// enlistLocked puts q into the ring if it has something to send and may.
func (p *proposer) enlistLocked(q *queue) {
	if !q.inRing && q.held == 0 && len(q.waiting) > 0 && q.inFlight < p.maxPerGroup {
		q.inRing = true
		p.ring = append(p.ring, q)
	}
}

// pump sends entries while there are slots and parts.
func (p *proposer) pump() {
	for {
		p.mu.Lock()
		if p.free == 0 || len(p.ring) == 0 {
			p.mu.Unlock()
			return
		}
		q := p.ring[0]
		p.ring[0] = nil
		p.ring = p.ring[1:]
		q.inRing = false
		p.free--
		q.inFlight++
		p.mu.Unlock()
		q.sendOne()
	}
}

// sendOne uses the slot its caller took for one entry.
func (q *queue) sendOne() {
	q.cutting.Lock()
	batch := q.cut()
	if len(batch) == 0 {
		q.cutting.Unlock()
		q.freeSlot()
		return
	}
	parts := make([][]byte, len(batch))
	for i, pr := range batch {
		parts[i] = pr.part
	}
	f := q.submit(space.AppendEntry(make([]byte, 0, space.EntrySize(parts)), batch[0].term, parts))
	q.cutting.Unlock()
	go q.await(f, batch) // p.wg counts it
}

// cut takes the parts of the next entry: all that wait in a row for the same term, up to the size of an entry.
func (q *queue) cut() []*proposal {
	p := q.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if q.held > 0 {
		return nil
	}
	n, size := 0, space.EntrySize(nil)
	for _, pr := range q.waiting {
		size += space.PartSize(len(pr.part))
		if pr.term != q.waiting[0].term || n > 0 && size > space.MaxEntry || n == maxEntryParts {
			break
		}
		pr.sent = true
		n++
	}
	batch := append([]*proposal(nil), q.waiting[:n]...)
	clear(q.waiting[:n])
	if q.waiting = q.waiting[n:]; len(q.waiting) == 0 {
		q.waiting = nil
	}
	if n > 0 {
		q.entries++
		q.parts += uint64(n)
		p.wg.Add(1)
	}
	p.enlistLocked(q)
	return batch
}

// await waits for an entry and answers its parts.
func (q *queue) await(f entryFuture, batch []*proposal) {
	defer q.p.wg.Done()
	err := f.Error()
	if err != nil {
		err = q.outcome(err)
	}
	var outcomes []space.Outcome
	if err == nil {
		outcomes, err = outcomesOf(f.Response(), len(batch))
	}
	q.p.mu.Lock()
	for i, pr := range batch {
		r := proposalResult{err: err}
		if err == nil {
			r.outcome = outcomes[i]
		}
		q.releaseLocked(pr)
		pr.done <- r
	}
	q.p.mu.Unlock()
	q.freeSlot()
	q.p.pump()
}

// outcomesOf reads what the state machine answered for an entry of n parts.
func outcomesOf(response interface{}, n int) ([]space.Outcome, error) {
	switch r := response.(type) {
	case []space.Outcome:
		if len(r) == n {
			return r, nil
		}
		return nil, cluster.Errorf(cluster.KindInternal, "%d outcomes for %d parts", len(r), n)
	case error:
		// The entry is in the log, and another replica may apply it yet.
		return nil, &cluster.Error{Kind: cluster.KindUnknownOutcome, Text: "apply: " + r.Error()}
	}
	return nil, cluster.Errorf(cluster.KindInternal, "entry answered with %T", response)
}

func (q *queue) freeSlot() {
	p := q.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free++
	q.inFlight--
	p.enlistLocked(q)
	if q.inFlight == 0 && q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
}

// refuse fails every part that was not sent yet and was evaluated before term; it certainly has not happened.
func (q *queue) refuse(before uint64, err error) {
	q.p.mu.Lock()
	defer q.p.mu.Unlock()
	kept := q.waiting[:0]
	for _, pr := range q.waiting {
		if pr.term >= before {
			kept = append(kept, pr)
			continue
		}
		pr.sent = true
		q.releaseLocked(pr)
		pr.done <- proposalResult{err: err}
	}
	clear(q.waiting[len(kept):])
	q.waiting = kept
}

// close refuses what waits and what comes, and waits until nothing is in flight. Entries in flight end when raft
// commits them or steps down, which it does within its own lease time without a quorum.
func (q *queue) close(ctx context.Context, why error) error {
	q.p.mu.Lock()
	q.closed = why
	q.p.mu.Unlock()
	q.refuse(^uint64(0), why)
	return q.awaitIdle(ctx)
}

func (q *queue) awaitIdle(ctx context.Context) error {
	q.p.mu.Lock()
	if q.inFlight == 0 {
		q.p.mu.Unlock()
		return nil
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.p.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hold keeps parts waiting until resume.
func (q *queue) hold() {
	q.p.mu.Lock()
	defer q.p.mu.Unlock()
	q.held++
}

// resume ends one hold.
func (q *queue) resume() {
	q.p.mu.Lock()
	q.held--
	q.p.enlistLocked(q)
	q.p.mu.Unlock()
	q.p.pump()
}

// settle waits for what is in flight, for a while.
func (q *queue) settle(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_ = q.awaitIdle(ctx) // what is left will end with an unknown outcome
}

// pending is the bytes of the proposals that are not answered.
func (q *queue) pending() int64 {
	q.p.mu.Lock()
	defer q.p.mu.Unlock()
	return q.bytes
}

// sent is the number of entries and parts sent since the start.
func (q *queue) sent() (entries, parts uint64) {
	q.p.mu.Lock()
	defer q.p.mu.Unlock()
	return q.entries, q.parts
}
