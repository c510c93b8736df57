package clock

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestClocks is the contract, on every clock, in a bubble where time passes only when all wait.
func TestClocks(t *testing.T) {
	ahead := &Offset{}
	ahead.Set(time.Hour)
	for name, c := range map[string]Clock{"system": System{}, "offset": &Offset{}, "an hour ahead": ahead} {
		t.Run(name, func(t *testing.T) {
			t.Run("timer", inBubble(c, testTimer))
			t.Run("ticker", inBubble(c, testTicker))
			t.Run("func", inBubble(c, testAfterFunc))
			t.Run("sleep", inBubble(c, testSleep))
		})
	}
}

func inBubble(c Clock, fn func(*testing.T, Clock)) func(*testing.T) {
	return func(t *testing.T) { synctest.Test(t, func(t *testing.T) { fn(t, c) }) }
}

func testTimer(t *testing.T, c Clock) {
	start := c.Now()
	timer := c.NewTimer(time.Minute)
	<-timer.C
	if d := c.Now().Sub(start); d != time.Minute {
		t.Errorf("fired after %v", d)
	}
	if timer.Reset(time.Minute) {
		t.Error("a fired timer was still to fire")
	}
	if !timer.Stop() {
		t.Error("stopped too late")
	}
	select {
	case <-timer.C:
		t.Error("a stopped timer fired")
	case <-c.NewTimer(time.Hour).C:
	}
}

func testTicker(t *testing.T, c Clock) {
	start := c.Now()
	ticker := c.NewTicker(time.Second)
	for range 3 {
		<-ticker.C
	}
	ticker.Reset(time.Minute)
	<-ticker.C
	if d := c.Now().Sub(start); d != time.Minute+3*time.Second {
		t.Errorf("four ticks took %v", d)
	}
	ticker.Stop()
	select {
	case <-ticker.C:
		t.Error("a stopped ticker ticked")
	case <-c.NewTimer(time.Hour).C:
	}
}

func testAfterFunc(t *testing.T, c Clock) {
	start, fired := c.Now(), make(chan time.Time, 1)
	c.AfterFunc(time.Minute, func() { fired <- c.Now() })
	if d := (<-fired).Sub(start); d != time.Minute {
		t.Errorf("called after %v", d)
	}
	if !c.AfterFunc(time.Minute, func() { t.Error("called after Stop") }).Stop() {
		t.Error("stopped too late")
	}
}

func testSleep(t *testing.T, c Clock) {
	start := c.Now()
	if err := c.Sleep(t.Context(), time.Minute); err != nil || c.Now().Sub(start) != time.Minute {
		t.Errorf("%v after %v", err, c.Now().Sub(start))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := c.Sleep(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	if err := c.Sleep(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if d := c.Now().Sub(start); d != time.Minute+time.Second {
		t.Errorf("slept %v in all", d)
	}
}

func TestOffsetMovesTheWallClockOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Offset
		machine := time.Now()
		c.Set(time.Hour)
		if d := c.Now().Sub(machine); d != time.Hour || c.Offset() != time.Hour {
			t.Errorf("%v ahead, offset %v", d, c.Offset())
		}
		c.Set(-time.Minute)
		if d := c.Now().Sub(machine); d != -time.Minute {
			t.Errorf("%v ahead", d)
		}
		<-c.NewTimer(time.Second).C
		if d := time.Since(machine); d != time.Second {
			t.Errorf("a timer of a second took %v", d)
		}
	})
}
