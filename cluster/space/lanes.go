package space

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// lane is work that is done in order: of a space, or of a space for one target.
type lane struct {
	space  cluster.SpaceID
	target string
}

// lanes runs lanes at their times, several at once, never one twice at once. A lane that fails is run again after
// a pause that doubles.
type lanes struct {
	now     func() time.Time
	workers int
	pause   func(fails int) time.Duration
	// run does what the lane has to do now and returns when there will be more, zero if that is not known yet.
	run func(ctx context.Context, l lane) (next time.Time, err error)
	// failed is told of each failure; it may be nil.
	failed func(l lane, err error)

	mu      sync.Mutex
	queue   laneQueue          // guarded by mu; may hold entries that at has overtaken
	at      map[lane]time.Time // guarded by mu: when a lane is to run next
	running map[lane]bool      // guarded by mu
	fails   map[lane]int       // guarded by mu: failures in a row
	wake    chan struct{}
}

type laneTime struct {
	lane
	at time.Time
}

type laneQueue []laneTime

func (q laneQueue) Len() int           { return len(q) }
func (q laneQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q laneQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *laneQueue) Push(x any)        { *q = append(*q, x.(laneTime)) }
func (q *laneQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

func (l *lanes) init() {
	l.at, l.fails = make(map[lane]time.Time), make(map[lane]int)
	l.running = make(map[lane]bool)
	l.wake = make(chan struct{}, 1)
}

// due makes a lane run at a time, or earlier if it was to. The pause after a failure is not cut short.
func (l *lanes) due(which lane, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, ok := l.at[which]
	if ok && (l.fails[which] > 0 || !at.Before(was)) {
		return
	}
	l.setLocked(which, at)
}

func (l *lanes) setLocked(which lane, at time.Time) {
	l.at[which] = at
	heap.Push(&l.queue, laneTime{which, at})
	l.poke()
}

func (l *lanes) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// loop runs lanes until ctx ends and those that run have returned.
func (l *lanes) loop(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(l.begin(func(which lane) {
			work.Go(func() { l.runOne(ctx, which) })
		}))
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-timer.C:
		}
	}
}

// idle is how long the loop waits when no lane has a time.
const idle = time.Hour

// begin starts what is due and has a worker, and returns how long to wait for the next.
func (l *lanes) begin(start func(lane)) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	var held []laneTime // due, but running already
	wait := idle
	for len(l.queue) > 0 && len(l.running) < l.workers {
		next := l.queue[0]
		if at, ok := l.at[next.lane]; !ok || !at.Equal(next.at) {
			heap.Pop(&l.queue)
			continue
		}
		if wait = next.at.Sub(now); wait > 0 {
			break
		}
		wait = idle
		heap.Pop(&l.queue)
		if l.running[next.lane] {
			held = append(held, next)
			continue
		}
		delete(l.at, next.lane)
		l.running[next.lane] = true
		start(next.lane)
	}
	for _, h := range held { // runOne wakes the loop when it ends
		heap.Push(&l.queue, h)
	}
	return wait
}

func (l *lanes) runOne(ctx context.Context, which lane) {
	next, err := l.run(ctx, which)
	if err != nil && l.failed != nil && ctx.Err() == nil {
		l.failed(which, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, which)
	l.poke()
	if err != nil {
		l.fails[which]++
		l.setLocked(which, l.now().Add(l.pause(l.fails[which])))
		return
	}
	delete(l.fails, which)
	if was, ok := l.at[which]; !next.IsZero() && (!ok || next.Before(was)) {
		l.setLocked(which, next)
	}
}
