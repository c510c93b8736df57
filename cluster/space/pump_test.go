package space

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// courier performs intents at spaces of the same replica: the target is a space id. It may be killed around each
// step: before the target's update, after it, or after it with the answer lost.
type courier struct {
	r  *LocalReplica
	mu sync.Mutex

	kill func(step int) error
	down map[string]bool
}

func (c *courier) stepFails(step int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kill == nil {
		return nil
	}
	return c.kill(step)
}

func (c *courier) Perform(ctx context.Context, source cluster.SpaceID, number uint64, in Intent) error {
	c.mu.Lock()
	down := c.down[in.Target]
	c.mu.Unlock()
	if down {
		return cluster.ErrUnavailable
	}
	if err := c.stepFails(0); err != nil {
		return err
	}
	target, err := cluster.ParseSpaceID(in.Target)
	if err != nil {
		return err
	}
	_, err = c.r.Update(ctx, target, cluster.RequestID{}, func(w Writer) ([]byte, error) {
		if done, err := Once(w, source, number); done || err != nil {
			return nil, err
		}
		b, err := w.Get([]byte("names"))
		w.Set([]byte("names"), append(append(b, ' '), in.Payload...))
		return nil, err
	})
	if err == nil {
		err = c.stepFails(1)
	}
	return err
}

func runPump(t *testing.T, r *Replica, p Performer, c WorkConfig) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewPump(r, p, c).Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func send(t *testing.T, r *Replica, from, to cluster.SpaceID, names ...string) {
	t.Helper()
	update(t, r, from, func(w Writer) ([]byte, error) {
		for _, n := range names {
			w.Intend(Intent{Target: to.String(), Op: 1, Payload: []byte(n)})
		}
		return nil, nil
	})
}

func outboxEmpty(t *testing.T, r *Replica, id cluster.SpaceID) bool {
	first, err := r.Machine().firstKey(id, reservedOutbox)
	check(t, err)
	return first == nil
}

var quick = WorkConfig{Retry: time.Millisecond, RetryMost: 2 * time.Millisecond, Rescan: 20 * time.Millisecond}

// insist sends one intent, by request id, until the answer is known.
func insist(t *testing.T, r *Replica, from, to cluster.SpaceID, id cluster.RequestID, name string) {
	t.Helper()
	for {
		_, err := r.Update(t.Context(), from, id, func(w Writer) ([]byte, error) {
			w.Intend(Intent{Target: to.String(), Op: 1, Payload: []byte(name)})
			return nil, nil
		})
		if err == nil {
			return
		}
		wantKind(t, err, cluster.KindUnknownOutcome)
	}
}

// TestIntentsArriveOnceAndInOrder kills the pump's work before and after each of its steps.
func TestIntentsArriveOnceAndInOrder(t *testing.T) {
	r := openLocal(t, Config{})
	rng := rand.New(rand.NewPCG(3, 3))
	c := &courier{r: r, kill: func(int) error {
		switch rng.IntN(6) {
		case 0, 1:
			return errors.New("killed")
		case 2:
			r.Local.Fail(FaultLostAnswer)
		case 3:
			r.Local.Fail(FaultVoidTerm)
		}
		return nil
	}}
	for i := range 4 {
		create(t, r.Replica, spaceN(i+1))
	}
	const each = 40
	stop := runPump(t, r.Replica, c, quick)
	for i := range 2 * each {
		insist(t, r.Replica, spaceN(i%2+1), spaceN(i/2%2+3), requestN(i+1), fmt.Sprintf("%d-%d", i%2, i))
		if i%20 == 19 { // leadership moves: another pump goes on
			stop()
			stop = runPump(t, r.Replica, c, quick)
		}
	}
	waitFor(t, "empty outboxes", func() bool {
		return outboxEmpty(t, r.Replica, spaceN(1)) && outboxEmpty(t, r.Replica, spaceN(2))
	})
	if n := ordered(t, get(t, r.Replica, spaceN(3), "names")) + ordered(t, get(t, r.Replica, spaceN(4), "names")); n != 2*each {
		t.Fatalf("%d of %d arrived", n, 2*each)
	}
}

// ordered counts names and holds that each sender's ascend.
func ordered(t *testing.T, names string) (n int) {
	t.Helper()
	last := map[string]int{}
	for name := range strings.FieldsSeq(names) {
		from, number, _ := strings.Cut(name, "-")
		k, err := strconv.Atoi(number)
		check(t, err)
		if was, ok := last[from]; ok && k <= was {
			t.Fatalf("%d after %d in %s", k, was, names)
		}
		last[from] = k
		n++
	}
	return n
}

func TestDeadTargetHoldsUpNobodyElse(t *testing.T) {
	r := openLocal(t, Config{})
	for i := range 3 {
		create(t, r.Replica, spaceN(i+1))
	}
	c := &courier{r: r, down: map[string]bool{spaceN(2).String(): true}}
	for range 50 {
		send(t, r.Replica, spaceN(1), spaceN(2), "late")
	}
	send(t, r.Replica, spaceN(1), spaceN(3), "a", "b")
	runPump(t, r.Replica, c, quick) // finds what was there before it
	waitFor(t, "the live target", func() bool { return get(t, r.Replica, spaceN(3), "names") == " a b" })
	c.mu.Lock()
	c.down = nil
	c.mu.Unlock()
	waitFor(t, "the other", func() bool { return outboxEmpty(t, r.Replica, spaceN(1)) })
	if n := len(strings.Fields(get(t, r.Replica, spaceN(2), "names"))); n != 50 {
		t.Fatalf("%d of 50 arrived", n)
	}
}

// TestWhatComesBeforeTheFirstReadIsFound: a new leader's pump begins while entries of the leader before it are still being
// applied, and nothing tells it of them.
func TestWhatComesBeforeTheFirstReadIsFound(t *testing.T) {
	r := openLocal(t, Config{})
	create(t, r.Replica, spaceN(1))
	create(t, r.Replica, spaceN(2))
	o := &overtaking{Local: r.Local, before: func() { send(t, r.Replica, spaceN(1), spaceN(2), "last") }}
	next := New(r.Machine(), o, Config{})
	t.Cleanup(next.Close)
	stop := runPump(t, next, &courier{r: r}, WorkConfig{Rescan: time.Hour})
	waitFor(t, "what the leader before intended", func() bool { return get(t, r.Replica, spaceN(2), "names") == " last" })
	stop()
}

func TestDiscardEmptiesTheOutbox(t *testing.T) {
	r := openLocal(t, Config{})
	create(t, r.Replica, spaceN(1))
	send(t, r.Replica, spaceN(1), spaceN(2), "a", "b")
	update(t, r.Replica, spaceN(1), func(w Writer) ([]byte, error) { return nil, Discard(w) })
	if !outboxEmpty(t, r.Replica, spaceN(1)) {
		t.Fatal("the outbox holds intents")
	}
}

func TestIntentNeedsATarget(t *testing.T) {
	r := openLocal(t, Config{})
	create(t, r.Replica, spaceN(1))
	for _, target := range []string{"", strings.Repeat("x", MaxTarget+1)} {
		_, err := r.Update(t.Context(), spaceN(1), cluster.RequestID{}, func(w Writer) ([]byte, error) {
			w.Intend(Intent{Target: target})
			return nil, nil
		})
		wantKind(t, err, cluster.KindInternal)
	}
}

// alarm does due work by appending its key to the space's names.
type alarm struct {
	r    *LocalReplica
	mu   sync.Mutex
	fail map[string]int // failures to come
}

func (a *alarm) PerformDue(ctx context.Context, id cluster.SpaceID, d Due) error {
	a.mu.Lock()
	failing := a.fail[string(d.Key)] > 0
	a.fail[string(d.Key)]--
	a.mu.Unlock()
	if failing {
		return errors.New("not now")
	}
	_, err := a.r.Update(ctx, id, cluster.RequestID{}, func(w Writer) ([]byte, error) {
		if ok, err := Take(w, d); !ok || err != nil {
			return nil, err
		}
		b, err := w.Get([]byte("names"))
		w.Set([]byte("names"), append(append(b, ' '), d.Key...))
		return nil, err
	})
	return err
}

// handClock is moved by the test.
type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func newHandClock() *handClock { return &handClock{now: time.Unix(1_700_000_000, 0)} }

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// advance moves the clock and makes workers look at a space.
func (c *handClock) advance(d time.Duration, r *LocalReplica, id cluster.SpaceID) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
	r.announceWork(id)
}

func TestDueWorkRunsOnceAtItsTime(t *testing.T) {
	clock := newHandClock()
	r := openLocal(t, Config{Now: clock.Now})
	id := spaceN(1)
	create(t, r.Replica, id)
	schedule := func(key string, after time.Duration) {
		update(t, r.Replica, id, func(w Writer) ([]byte, error) {
			w.Schedule(Due{At: w.Now().Add(after), Op: 1, Key: []byte(key)})
			return nil, nil
		})
	}
	schedule("second", 2*time.Minute)
	schedule("first", time.Minute)
	schedule("never", time.Hour)
	schedule("later", 90*time.Minute)
	update(t, r.Replica, id, func(w Writer) ([]byte, error) {
		w.Unschedule(Due{At: w.Now().Add(time.Hour), Op: 1, Key: []byte("never")})
		return nil, nil
	})
	a := &alarm{r: r, fail: map[string]int{"first": 2}}
	c := quick
	c.Now = clock.Now
	runDue(t, r.Replica, a, c)
	advance := func(d time.Duration) { clock.advance(d, r, id) }
	advance(time.Minute)
	r.Local.Fail(FaultLostAnswer)
	waitFor(t, "the first", func() bool { advance(10 * time.Millisecond); return get(t, r.Replica, id, "names") == " first" })
	advance(time.Minute)
	waitFor(t, "the second", func() bool { advance(10 * time.Millisecond); return get(t, r.Replica, id, "names") == " first second" })
	first, err := r.Machine().firstKey(id, reservedDue)
	check(t, err)
	if d, err := parseDue(first); err != nil || string(d.Key) != "later" {
		t.Fatalf("scheduled next: %+v, %v", d, err)
	}
}

// runDue starts a DueRunner.
func runDue(t *testing.T, r *Replica, p DuePerformer, c WorkConfig) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewDueRunner(r, p, c).Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// TestFailingDueWorkHoldsUpNothing schedules more work that fails than is read at once, before work that does not. Each
// is tried once and again after its pause; the rest is done.
func TestFailingDueWorkHoldsUpNothing(t *testing.T) {
	clock := newHandClock()
	r := openLocal(t, Config{Now: clock.Now})
	id := spaceN(1)
	create(t, r.Replica, id)
	const poisoned = 3*dueAtOnce/2 + 1
	update(t, r.Replica, id, func(w Writer) ([]byte, error) {
		for i := range poisoned {
			w.Schedule(Due{At: w.Now().Add(-time.Hour), Op: 1, Key: fmt.Append(nil, "bad", i)})
		}
		w.Schedule(Due{At: w.Now().Add(-time.Minute), Op: 1, Key: []byte("good")})
		return nil, nil
	})
	a := &alarm{r: r, fail: map[string]int{}}
	for i := range poisoned {
		a.fail[fmt.Sprint("bad", i)] = 3
	}
	var failures atomic.Int64
	const pause = 10 * time.Millisecond
	c := WorkConfig{Now: clock.Now, Retry: pause, RetryMost: time.Minute, Rescan: time.Hour,
		Failed: func(cluster.SpaceID, error) { failures.Add(1) }}
	tried := func(n int64) func() bool { return func() bool { return failures.Load() == n } }
	advance := func(d time.Duration) { clock.advance(d, r, id) }
	runDue(t, r.Replica, a, c)
	waitFor(t, "the good one", func() bool { return get(t, r.Replica, id, "names") == " good" })
	waitFor(t, "each to be tried", tried(poisoned))
	advance(pause / 2)
	update(t, r.Replica, id, func(w Writer) ([]byte, error) {
		w.Schedule(Due{At: w.Now(), Op: 1, Key: []byte("another")})
		return nil, nil
	})
	waitFor(t, "another", func() bool { return get(t, r.Replica, id, "names") == " good another" })
	if !tried(poisoned)() {
		t.Error("a pause was cut short")
	}
	advance(pause / 2)
	waitFor(t, "each to be tried again", tried(2*poisoned))
	advance(2 * pause)
	waitFor(t, "the third round", tried(3*poisoned))
	advance(4 * pause)
	waitFor(t, "all to be done", func() bool {
		return len(strings.Fields(get(t, r.Replica, id, "names"))) == poisoned+2
	})
}

// TestUnscheduledWorkIsForgotten fails a work that is then taken out by somebody else.
func TestUnscheduledWorkIsForgotten(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	r := openLocal(t, Config{Now: func() time.Time { return now }})
	id := spaceN(1)
	create(t, r.Replica, id)
	works := []Due{{now, 1, []byte("a")}, {now, 1, []byte("b")}}
	update(t, r.Replica, id, func(w Writer) ([]byte, error) {
		for _, d := range works {
			w.Schedule(d)
		}
		return nil, nil
	})
	d := NewDueRunner(r.Replica, &alarm{r: r, fail: map[string]int{"a": 9, "b": 9}},
		WorkConfig{Now: func() time.Time { return now }, Retry: time.Minute, RetryMost: time.Hour})
	look := func(want int) {
		t.Helper()
		next, err := d.runSpace(t.Context(), id)
		check(t, err)
		if n := len(d.aside[id]); n != want || (n > 0) != next.Equal(now.Add(time.Minute)) {
			t.Fatalf("%d works are set aside, want %d; next at %v", n, want, next)
		}
	}
	look(2)
	look(2)
	for i, left := range []int{1, 0} {
		update(t, r.Replica, id, func(w Writer) ([]byte, error) { w.Unschedule(works[i]); return nil, nil })
		look(left)
	}
	if len(d.aside) != 0 {
		t.Fatal("a space without failures is remembered")
	}
}
