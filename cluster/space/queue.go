package space

import (
	"context"
	"fmt"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
)

// queue is the work of one space. It exists only while there is some; one goroutine then runs its rounds.
type queue struct {
	waiting []*waiter
	running []*waiter // of the round
	cancel  context.CancelFunc
	byID    map[requestID]*waiter
}

// waiter is one update and those who wait for it: its caller and whoever came again with the same id.
type waiter struct {
	id      cluster.RequestID
	fn      UpdateFunc
	creates bool
	epoch   uint64 // of the space that is created
	drops   bool
	size    int // of the request, as admission counts it

	callers int           // guarded by Replica.mu
	done    chan struct{} // closed when answer and err are final

	// What the newest run of fn came to. It belongs to the round, which gives it out when it stands.
	answer []byte
	err    error
	refs   []Hash // content asked for by Ref
}

func (r *Replica) submit(ctx context.Context, space cluster.SpaceID, w *waiter) ([]byte, error) {
	w.done = make(chan struct{})
	w, err := r.enqueue(ctx, space, w)
	if err != nil {
		if cluster.KindOf(err) == cluster.KindOverloaded && r.config.Events.Overloaded != nil {
			r.config.Events.Overloaded(space)
		}
		return nil, err
	}
	select {
	case <-w.done:
		return w.answer, w.err
	case <-ctx.Done():
		return r.leave(ctx, space, w)
	}
}

// enqueue returns the waiter to wait for: w, or the one with the same id that came before.
func (r *Replica) enqueue(ctx context.Context, space cluster.SpaceID, w *waiter) (*waiter, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errClosed
	}
	q := r.queues[space]
	if q != nil && !w.id.IsZero() {
		if first := q.byID[w.id.ID]; first != nil {
			first.callers++
			return first, nil
		}
	}
	if err := r.admitLocked(w); err != nil {
		return nil, err
	}
	if q == nil {
		q = &queue{}
		r.queues[space] = q
		r.work.Add(1)
		go r.run(context.WithoutCancel(ctx), space, q)
	}
	if !w.id.IsZero() {
		if q.byID == nil {
			q.byID = make(map[requestID]*waiter)
		}
		q.byID[w.id.ID] = w
	}
	w.callers = 1
	q.waiting = append(q.waiting, w)
	return w, nil
}

// admitLocked counts w, whose end finishLocked counts, or refuses it before anything is done (CLUSTER 1.5). What is larger
// than all there is has to come alone.
func (r *Replica) admitLocked(w *waiter) error {
	bytes := r.held + r.bytes
	if r.waiting >= r.config.MaxWaiting || bytes > 0 && bytes+w.size > r.config.MaxBytes {
		return cluster.Errorf(cluster.KindOverloaded, "%d updates with %d bytes wait in the group", r.waiting, bytes)
	}
	if !r.config.Node.take(w.size) {
		return cluster.Errorf(cluster.KindOverloaded, "%d bytes wait in the node", r.config.Node.Used())
	}
	r.waiting++
	r.held += w.size
	return nil
}

// leave ends one caller's wait. An update that has not begun and that nobody else waits for is taken out.
func (r *Replica) leave(ctx context.Context, space cluster.SpaceID, w *waiter) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-w.done:
		return w.answer, w.err
	default:
	}
	w.callers--
	q := r.queues[space]
	if i := slices.Index(q.waiting, w); i >= 0 && w.callers == 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		r.finishLocked(q, w, nil, cluster.ErrDeadline)
		return nil, fmt.Errorf("update: %w: %w", cluster.ErrDeadline, ctx.Err())
	}
	if q.cancel != nil && !wanted(q.running) {
		q.cancel()
	}
	return nil, fmt.Errorf("update: %w: %w", cluster.ErrUnknownOutcome, ctx.Err())
}

// wanted reports whether anybody still waits for one of the round's updates. Replica.mu is held.
func wanted(round []*waiter) bool {
	for _, w := range round {
		if w.callers > 0 {
			return true
		}
	}
	return false
}

// run makes rounds until the space has no work left. They outlive the caller whose context ctx came from: others
// may wait for the same round.
func (r *Replica) run(ctx context.Context, space cluster.SpaceID, q *queue) {
	defer r.work.Done()
	for {
		batch, rctx, release := r.take(ctx, space, q)
		if batch == nil {
			return
		}
		rd := &round{r: r, space: space, q: q, live: slices.Clone(batch)}
		rd.run(rctx)
		release()
		r.settle(q, rd)
		rd.release()
	}
}

// take begins a round with the oldest updates, or removes the queue. The round ends early when nobody waits for it
// any more, or with Close.
func (r *Replica) take(ctx context.Context, space cluster.SpaceID, q *queue) ([]*waiter, context.Context, func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(q.waiting) == 0 {
		delete(r.queues, space)
		return nil, nil, nil
	}
	n := min(len(q.waiting), r.config.CombineUpdates)
	batch := append([]*waiter(nil), q.waiting[:n]...)
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	q.running = batch
	bound, release := r.bindLocked(ctx)
	ctx, q.cancel = context.WithCancel(bound)
	return batch, ctx, release
}

// settle ends a round: updates that it did not come to go back to the front.
func (r *Replica) settle(q *queue, rd *round) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q.cancel()
	q.cancel, q.running = nil, nil
	if len(rd.later) > 0 {
		q.waiting = append(append([]*waiter(nil), rd.later...), q.waiting...)
	}
}

// finish answers an update. It may be called once for each.
func (r *Replica) finish(q *queue, w *waiter, answer []byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finishLocked(q, w, answer, err)
}

func (r *Replica) finishLocked(q *queue, w *waiter, answer []byte, err error) {
	w.answer, w.err, w.callers = answer, err, 0
	if q.byID[w.id.ID] == w {
		delete(q.byID, w.id.ID)
	}
	r.waiting--
	r.held -= w.size
	r.config.Node.give(w.size)
	close(w.done)
}

// charge counts bytes between evaluation and outcome; what is given back lets uploads go on.
func (r *Replica) charge(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += bytes
	if bytes < 0 && r.freed != nil {
		close(r.freed)
		r.freed = nil
	}
}
