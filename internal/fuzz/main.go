// Command fuzz runs the fuzz tests of the tree, one after the other or several at a time, and keeps in docs/measurements
// what each did: fuzz.json, and fuzz.md to be read. It knows what go test says and what Linux says about processes, and
// nothing of what is fuzzed. It ends with 1 at the first input that fails and at the first worker that takes more memory
// than it may, and says how to meet the failure again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// runner is how targets are run.
type runner struct {
	root string
	// tags of go test, comma-separated.
	tags string
	// time is how long each target runs.
	time time.Duration
	// parallel targets share the processors: each has so many workers as its part of them, one at least.
	parallel int
	// memory is how many MB of its own a worker may come to hold, the engine's 100 of scratch among them.
	memory float64
	// hold is a file: while there is one, targets pause. No pause where it has no name.
	hold string
	// out is told what each target did.
	out io.Writer

	mu sync.Mutex // serialises what is printed and recorded
}

func main() {
	r := &runner{out: os.Stdout}
	only := flag.String("only", "", "regular expression: targets, as \"folder FuzzX\"")
	flag.StringVar(&r.root, "root", ".", "top of the tree")
	flag.StringVar(&r.tags, "tags", "", "build tags")
	flag.DurationVar(&r.time, "time", 30*time.Second, "for each target")
	flag.IntVar(&r.parallel, "parallel", 1, "targets at a time, which share the processors")
	flag.Float64Var(&r.memory, "memory", 164, "MB that a worker may hold, 100 of scratch among them")
	flag.StringVar(&r.hold, "hold", "", "file: while there is one, nothing runs, and what ran takes up the rest of its time afterwards")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := r.run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// run begins with the targets whose last run is the longest ago, so that a round that was broken off goes on where it was.
func (r *runner) run(ctx context.Context, only string) error {
	expr, err := regexp.Compile(only)
	if err != nil || r.parallel < 1 {
		return errors.Join(fmt.Errorf("%d targets at a time", r.parallel), err)
	}
	list, err := targets(r.root)
	if err != nil {
		return err
	}
	kept, err := load(r.root)
	if err != nil {
		return err
	}
	if err := r.write(kept); err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(t target) bool { return !expr.MatchString(t.String()) })
	slices.SortStableFunc(list, func(a, b target) int { return strings.Compare(kept[a.String()].Date, kept[b.String()].Date) })
	return r.all(ctx, list)
}

// all gives each target to the next of parallel hands; the first failure stops the others.
func (r *runner) all(ctx context.Context, list []target) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan target, len(list))
	for _, t := range list {
		queue <- t
	}
	close(queue)
	var hands sync.WaitGroup
	for range r.parallel {
		hands.Go(func() {
			for t := range queue {
				if err := r.one(ctx, t); err != nil {
					cancel(err)
				}
			}
		})
	}
	hands.Wait()
	return context.Cause(ctx)
}

// one runs a target for its time, in as many stretches as there are pauses, and keeps what it did. A target that is
// broken off for good leaves its last run's figures as they are.
func (r *runner) one(ctx context.Context, t target) error {
	var all stretch
	for rest := r.time; rest > 0; rest = r.time - all.elapsed {
		if !r.pause(ctx) {
			return nil
		}
		s, err := r.stretch(ctx, t, rest)
		all.add(s)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		if !s.held {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "%s: %s\n", t, all.figures())
	if err := r.record(t, all.figures()); err != nil {
		return err
	}
	if all.peak > r.memory {
		return fmt.Errorf("%s: a worker held %.1f MB, may hold %g", t, all.peak, r.memory)
	}
	return nil
}

// pause waits while the file of holding is there, and is false when there is no going on.
func (r *runner) pause(ctx context.Context) bool {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for r.held() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return ctx.Err() == nil
}

func (r *runner) held() bool {
	if r.hold == "" {
		return false
	}
	_, err := os.Stat(r.hold)
	return err == nil
}

// workers of a target: its part of the processors.
func (r *runner) workers() int { return max(1, runtime.NumCPU()/r.parallel) }
