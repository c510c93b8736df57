// Package linear judges what several clients saw of one register that they read and write at the same time: whether
// there is an order of all of it, each in the time it took, in which every read finds the last write (linearizability).
//
// It knows times, values and what is known of a write that failed; never what keeps the register.
package linear

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// Op is one read or write of the register, which begins empty.
type Op struct {
	Write bool
	Value string // that is written
}

// Outcome is what a client knows of an op.
type Outcome uint8

// The outcomes.
const (
	Done    Outcome = iota // it has happened
	Never                  // it has certainly not happened, or was a read that found nothing out
	Unknown                // a write that may have happened, or may yet
)

// History collects ops from many goroutines.
type History struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation // guarded by mu
}

// NewHistory begins one.
func NewHistory() *History { return &History{began: time.Now()} }

// Run does one op of a client, which does one at a time, and notes it. do returns what a read found.
func (h *History) Run(client int, op Op, do func() (found string, o Outcome)) {
	call := time.Since(h.began).Nanoseconds()
	found, outcome := do()
	back := time.Since(h.began).Nanoseconds()
	switch {
	case outcome == Never, outcome == Unknown && !op.Write:
		return
	case outcome == Unknown:
		back = math.MaxInt64 // it stays open to the end
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: op, Call: call, Output: found, Return: back})
}

var register = porcupine.Model{
	Init: func() interface{} { return "" },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		op := input.(Op)
		if op.Write {
			return true, op.Value
		}
		return output.(string) == state.(string), state
	},
}

// Check fails the test unless the history is in order. It gives up after a time, which fails the test as well.
func (h *History) Check(t testing.TB, limit time.Duration) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	result, _ := porcupine.CheckOperationsVerbose(register, h.ops, limit)
	if t.Logf("%d reads and writes", len(h.ops)); result != porcupine.Ok {
		t.Errorf("%d reads and writes: %s", len(h.ops), result)
	}
}
