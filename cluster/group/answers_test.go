package group

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// asks reports whether the loop answers soon.
func asks(nd *node) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	return nd.group(1).Answers(ctx) == nil
}

func TestAnswersInEveryState(t *testing.T) {
	w := newWorld(t, 3, nil)
	leader := w.form(1)
	follower := w.others(leader)[0]
	for _, nd := range []*node{leader, follower} {
		if err := nd.group(1).Answers(within(t)); err != nil {
			t.Fatalf("%s: %v", nd.id, err)
		}
	}
	stopped := follower.group(1)
	for _, nd := range w.others(leader) {
		nd.stop()
	}
	// Without a quorum the leader answers too, when it steps down at the latest.
	if err := leader.group(1).Answers(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := stopped.Answers(within(t)); err != nil {
		t.Fatalf("stopped: %v", err)
	}
}

func TestStuckLoopDoesNotAnswer(t *testing.T) {
	w := newWorld(t, 3, nil)
	leader := w.form(1)
	leader.create(1)
	leader.mu.Lock() // the log reports its syncs under it, so the next one does not end
	release := sync.OnceFunc(leader.mu.Unlock)
	defer release()
	written := make(chan error, 1)
	ctx := within(t)
	go func() { written <- leader.put(ctx, 1, "k", "v") }()
	eventually(t, "the loop waits for the log", func() bool { return !asks(leader) })
	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := leader.group(1).Answers(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	release()
	eventually(t, "the loop goes on", func() bool { return asks(leader) })
	<-written // whether it came to a change of leader does not matter here
}

func TestPendingBytesAreThoseNotAnswered(t *testing.T) {
	r := newRig(t, func(c *Config) { c.GroupEntriesInFlight = 1 })
	q := r.queue("a")
	sent := r.propose(within(t), q, 1, 1)
	first := r.next("a", 1)
	waiting := r.propose(within(t), q, 1, 100_000)
	if n := q.pending(); n != 100_001 {
		t.Errorf("%d bytes are pending, one part is sent and one waits", n)
	}
	close(first.done)
	r.wantDone(sent)
	close(r.next("a", 1).done)
	r.wantDone(waiting)
	eventually(t, "nothing is pending", func() bool { return q.pending() == 0 })
}
