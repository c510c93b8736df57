// Package sim runs simulated clusters, each from a seed, and holds what their clients saw against what mailboxes promise.
//
// It knows the settings of a run and what to show of one that failed; the cluster is internal/testkit/sim's, the verdict
// internal/selftest/history's.
package sim

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flotilla-mail/flotilla/internal/planted"
	"github.com/flotilla-mail/flotilla/internal/selftest/history"
	"github.com/flotilla-mail/flotilla/internal/testkit/sim"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "simulate this seed alone, and print what happened to its nodes")
	fromFlag  = flag.Uint64("from", 1, "the first seed")
	seedsFlag = flag.Uint64("seeds", 0, "how many seeds; 0: as many as there are in -for")
	forFlag   = flag.Duration("for", 12*time.Second, "how long, unless -seeds says how many")
	keepFlag  = flag.String("keep", "", "where histories with a violation are kept; else below the system's temporary folder")
)

// TestSim simulates one seed after the other. Nothing may be wrong with any.
func TestSim(t *testing.T) {
	if planted.Built {
		t.Skip("this build has a planted bug")
	}
	if *seedFlag != 0 {
		out := simulate(t, *seedFlag)
		t.Log(out.String())
		out.report(t)
		return
	}
	total := sums{began: time.Now()}
	var work sync.WaitGroup
	var next atomic.Uint64
	for range 2 { // a run is mostly one goroutine after the other
		work.Go(func() {
			for {
				i := next.Add(1) - 1
				if *seedsFlag != 0 && i >= *seedsFlag || *seedsFlag == 0 && time.Since(total.began) > *forFlag {
					return
				}
				total.add(t, simulate(t, *fromFlag+i))
			}
		})
	}
	work.Wait()
	t.Logf("%+v in %v", total.all, time.Since(total.began).Round(time.Second))
	total.mu.Lock()
	defer total.mu.Unlock()
	total.recordLocked(t)
}

// outcome is what a seed came to.
type outcome struct {
	seed    uint64
	result  *sim.Result
	err     error
	verdict *history.Verdict
}

// simulate runs one seed in a bubble of its own.
func simulate(t *testing.T, seed uint64) *outcome {
	o := &outcome{seed: seed, verdict: &history.Verdict{}}
	dir, err := memoryDir()
	if err != nil {
		o.err = err
		return o
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	synctest.Test(t, func(*testing.T) { o.result, o.err = sim.Run(sim.Options{Seed: seed, Dir: dir}) })
	if o.result != nil {
		o.verdict = history.Check(o.result.Records, time.Minute)
	}
	return o
}

// memoryDir is a folder in memory where there is such a file system: terms and votes are real files, whose syncs would
// otherwise be most of what a run costs.
func memoryDir() (string, error) {
	base := "/dev/shm"
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		base = ""
	}
	return os.MkdirTemp(base, "flotilla-sim")
}

func (o *outcome) ok() bool { return o.err == nil && o.verdict.OK() }

// String is what happened to the nodes.
func (o *outcome) String() string {
	if o.result == nil {
		return fmt.Sprintf("seed %d: %v", o.seed, o.err)
	}
	return fmt.Sprintf("seed %d: %d operations, %d faults, %d moves, %v\n%s", o.seed, o.verdict.Operations, o.result.Faults, o.result.Moves,
		o.result.Virtual.Round(time.Millisecond), strings.Join(o.result.Log, "\n"))
}

// report fails the test with the shortest explanation, and keeps the history.
func (o *outcome) report(t *testing.T) {
	t.Helper()
	if o.ok() {
		return
	}
	text := fmt.Sprintf("seed %d (go test -run TestSim -seed %d)", o.seed, o.seed)
	if o.err != nil {
		text += ": " + o.err.Error()
	}
	for i := range o.verdict.Violations {
		text += "\n" + o.verdict.Violations[i].String()
	}
	if len(o.verdict.Undecided) > 0 {
		text += fmt.Sprintf("\nundecided: %v", o.verdict.Undecided)
	}
	t.Error(text)
	if o.result != nil {
		t.Logf("the history is in %s; what happened:\n%s", o.keep(t), o)
	}
}

func (o *outcome) keep(t *testing.T) string {
	t.Helper()
	dir := *keepFlag
	if dir == "" {
		dir = os.TempDir()
	}
	f, err := os.CreateTemp(dir, fmt.Sprintf("sim-%d-*.history", o.seed))
	if err != nil {
		t.Error(err)
		return "no file"
	}
	if err := errors.Join(history.Write(f, o.result.Records), f.Close()); err != nil {
		t.Error(err)
	}
	return f.Name()
}

// sums adds up what runs came to.
type sums struct {
	began time.Time

	mu  sync.Mutex
	all struct{ Seeds, Operations, Mails, Unknown, Faults, Moves, Violations int } // guarded by mu
	// virtual is the time that passed in the runs; guarded by mu
	virtual time.Duration
}

func (s *sums) add(t *testing.T, o *outcome) {
	t.Helper()
	o.report(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Seeds++
	s.all.Operations += o.verdict.Operations
	s.all.Mails += o.verdict.Mails
	s.all.Unknown += o.verdict.Unknown
	s.all.Violations += len(o.verdict.Violations)
	if o.err != nil {
		s.all.Violations++
	}
	if o.result != nil {
		s.all.Faults += o.result.Faults
		s.all.Moves += o.result.Moves
		s.virtual += o.result.Virtual
	}
	if s.all.Seeds%100 == 0 {
		t.Logf("%+v", s.all)
		s.recordLocked(t)
	}
}

// recordLocked writes what a long run has come to, now and then, so that one that is ended leaves that.
func (s *sums) recordLocked(t *testing.T) {
	t.Helper()
	if *seedsFlag == 0 && *forFlag < time.Minute {
		return
	}
	devtest.Record(t, "simulation", map[string]any{"first seed": *fromFlag, "seeds": s.all.Seeds, "operations": s.all.Operations,
		"mails acknowledged": s.all.Mails, "operations of unknown outcome": s.all.Unknown, "faults": s.all.Faults,
		"mailboxes moved": s.all.Moves, "violations": s.all.Violations, "hours simulated": s.virtual.Hours(), "seconds taken": time.Since(s.began).Seconds()})
}
