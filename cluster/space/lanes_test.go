package space

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLanePausesAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		which := lane{space: spaceN(1), target: "down"}
		began := time.Now()
		var at []time.Duration
		c := WorkConfig{Retry: time.Second, RetryMost: 4 * time.Second}.Defaults()
		l := c.lanes(func(context.Context, lane) (time.Time, error) {
			at = append(at, time.Since(began))
			if len(at) == 6 {
				return time.Time{}, nil
			}
			return time.Time{}, errors.New("down")
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.loop(ctx)
		}()
		l.due(which, time.Now())
		for range 40 { // new work does not cut the pause short
			<-time.After(500 * time.Millisecond)
			synctest.Wait()
			if len(at) < 6 {
				l.due(which, time.Now())
			}
		}
		cancel()
		<-done
		want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 11 * time.Second, 15 * time.Second}
		if len(at) != len(want) {
			t.Fatalf("ran at %v", at)
		}
		for i := range want {
			if at[i] != want[i] {
				t.Fatalf("ran at %v, want %v", at, want)
			}
		}
	})
}

func TestLanesRunNoLaneTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running, most, runs := map[lane]int{}, 0, 0
		gate := make(chan struct{})
		var l *lanes
		l = WorkConfig{Workers: 2}.Defaults().lanes(func(_ context.Context, which lane) (time.Time, error) {
			l.mu.Lock()
			running[which]++
			most = max(most, running[which])
			runs++
			l.mu.Unlock()
			<-gate
			l.mu.Lock()
			running[which]--
			l.mu.Unlock()
			return time.Time{}, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.loop(ctx)
		}()
		for round := range 3 {
			for i := range 3 {
				l.due(lane{space: spaceN(i)}, time.Now())
			}
			synctest.Wait()
			if round == 0 && runs != 2 {
				t.Errorf("%d lanes run with two workers", runs)
			}
		}
		close(gate)
		synctest.Wait()
		cancel()
		<-done
		if most != 1 || runs < 3 {
			t.Fatalf("%d runs, %d of one lane at once", runs, most)
		}
	})
}
