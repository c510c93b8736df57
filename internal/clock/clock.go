// Package clock is where a program that may be tested takes its time from. It knows the system's clock and one beside
// it that can be set off by an offset; it knows no schedule and keeps no goroutine.
//
// Invariants: durations are always those of the monotonic clock, so an offset moves what Now says and never when a
// timer fires; timers and tickers behave as package time's of Go 1.23 do (nothing stale in C after Stop or Reset).
// Both clocks are built on package time and so run on the bubble's clock under testing/synctest.
package clock

import (
	"context"
	"sync/atomic"
	"time"
)

// Clock tells time and wakes those who wait for it.
type Clock interface {
	// Now is the present. Sub between two readings of one clock is monotonic.
	Now() time.Time
	// NewTimer sends the present on C once, after d.
	NewTimer(d time.Duration) *Timer
	// NewTicker sends the present on C every d; d must be positive.
	NewTicker(d time.Duration) *Ticker
	// AfterFunc calls f in its own goroutine after d. Who stops the timer does not wait for an f that runs.
	AfterFunc(d time.Duration, f func()) *Timer
	// Sleep returns after d, or with ctx's error when that ends first.
	Sleep(ctx context.Context, d time.Duration) error
}

// Timer is one wake-up. C is nil for those of AfterFunc.
type Timer struct {
	C     <-chan time.Time
	timer *time.Timer
}

// Stop keeps the timer from firing and says whether it was in time.
func (t *Timer) Stop() bool { return t.timer.Stop() }

// Reset sets the timer anew and says whether it was still to fire.
func (t *Timer) Reset(d time.Duration) bool { return t.timer.Reset(d) }

// Ticker is a repeated wake-up. A reader too slow for it misses ticks.
type Ticker struct {
	C      <-chan time.Time
	ticker *time.Ticker
}

// Stop ends the ticks. C is not closed.
func (t *Ticker) Stop() { t.ticker.Stop() }

// Reset ends the ticks and begins them anew every d.
func (t *Ticker) Reset(d time.Duration) { t.ticker.Reset(d) }

// System is the machine's clock.
type System struct{}

// Now is time.Now.
func (System) Now() time.Time { return time.Now() }

// NewTimer is time.NewTimer.
func (System) NewTimer(d time.Duration) *Timer {
	t := time.NewTimer(d)
	return &Timer{C: t.C, timer: t}
}

// NewTicker is time.NewTicker.
func (System) NewTicker(d time.Duration) *Ticker {
	t := time.NewTicker(d)
	return &Ticker{C: t.C, ticker: t}
}

// AfterFunc is time.AfterFunc.
func (System) AfterFunc(d time.Duration, f func()) *Timer {
	return &Timer{timer: time.AfterFunc(d, f)}
}

// Sleep waits for d or for ctx.
func (System) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Offset is the machine's clock with its wall time moved, for nodes whose clock a test sets wrong
// (`flotilla dev fault n1 clock=+1h`). The zero value is the machine's clock; it may be set while in use.
type Offset struct {
	System
	by atomic.Int64
}

// Set moves the clock by d from the machine's.
func (o *Offset) Set(d time.Duration) { o.by.Store(int64(d)) }

// Offset is how far the clock is from the machine's.
func (o *Offset) Offset() time.Duration { return time.Duration(o.by.Load()) }

// Now is the machine's time and the offset. Like a set wall clock, it jumps when Set is called; unlike one, so does the
// difference of two readings taken around the jump.
func (o *Offset) Now() time.Time { return time.Now().Add(o.Offset()) }

var (
	_ Clock = System{}
	_ Clock = (*Offset)(nil)
)
