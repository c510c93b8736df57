package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// look is how often the workers' memory is read, and how soon a pause begins.
	look = time.Second
	// smaller is how long an input is made smaller. With chance in the code an input that is new today is not new when it
	// is tried again, and go test's own minute for each is then spent on nothing.
	smaller = "5s"
	// patience with a target that was told to stop.
	patience = time.Minute
)

var (
	progress = regexp.MustCompile(`^fuzz: elapsed: (\S+?),.*?(?: execs: (\d+) .*?(?:new interesting: (\d+) \(total: (\d+)\))?)?$`)
	written  = regexp.MustCompile(`^\s*Failing input written to (\S+)$`)
)

// stretch is what a target did from one pause to the next.
type stretch struct {
	elapsed    time.Duration
	executions int
	// fresh inputs reached code that none before did; total is how many of those the cache has.
	fresh, total int
	// cpu is how long processors worked on it, peak what a worker came to hold, in MB.
	cpu  time.Duration
	peak float64
	// held: it ended because of a pause.
	held bool
	// failing input, below the package's folder, if there was one.
	failing string
}

// add takes what a later stretch did.
func (s *stretch) add(o stretch) {
	s.elapsed += o.elapsed
	s.executions += o.executions
	s.fresh += o.fresh
	s.total = max(s.total, o.total)
	s.cpu += o.cpu
	s.peak = max(s.peak, o.peak)
}

// stretch runs go test until time is over, a pause begins or an input fails.
//
// The workers' garbage is collected with GOMEMLIMIT as if there were no more memory than what they may hold: what is
// above that is in use. That has to be more than the scratch of the engine, or nothing but collecting is done.
func (r *runner) stretch(ctx context.Context, t target, long time.Duration) (stretch, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	args := []string{"test", "-tags", r.tags, "-run", "^$", "-fuzz", "^" + t.name + "$", "-fuzztime", long.String(), "-fuzzminimizetime", smaller, "-parallel", strconv.Itoa(r.workers())}
	args = append(args, "-exec", fmt.Sprintf("env GOMEMLIMIT=%dMiB", int(r.memory)))
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+t.dir)...)
	cmd.Dir = r.root
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // one group: go, the coordinator, the workers
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = patience
	out, err := cmd.StdoutPipe()
	if err != nil {
		return stretch{}, err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return stretch{}, err
	}
	watched := make(chan stretch, 1)
	done := make(chan struct{})
	go func() { watched <- r.watch(cmd.Process.Pid, cancel, done) }()
	s, text := read(out)
	err = cmd.Wait()
	close(done)
	w := <-watched
	s.cpu, s.peak, s.held = w.cpu, w.peak, w.held
	if err == nil || s.failing == "" && ctx.Err() != nil {
		return s, nil // told to stop, go test may call that a failure
	}
	return s, errors.New(text + r.again(t, s))
}

// watch looks after a run from beside: what its workers take, and whether it has to pause.
func (r *runner) watch(group int, pause func(), done <-chan struct{}) (s stretch) {
	u := usage{cpu: map[string]time.Duration{}}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		u.read(os.DirFS("/proc"), group)
		if !s.held && r.held() {
			s.held = true
			pause()
		}
		select {
		case <-done:
			s.peak = u.peak
			for _, d := range u.cpu {
				s.cpu += d
			}
			return s
		case <-tick.C:
		}
	}
}

// read takes the figures out of what go test says, and the rest as text.
func read(out io.Reader) (s stretch, text string) {
	var rest strings.Builder
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		line := lines.Text()
		if m := progress.FindStringSubmatch(line); m != nil {
			s.progress(m)
			continue
		}
		if m := written.FindStringSubmatch(line); m != nil {
			s.failing = m[1]
		}
		rest.WriteString(line + "\n")
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(&rest, err)
		_, _ = io.Copy(io.Discard, out) // go test ends when somebody listens; the error is told above
	}
	return s, rest.String()
}

// progress takes a line of progress; one of the time before new inputs has no counts.
func (s *stretch) progress(m []string) {
	if d, err := time.ParseDuration(m[1]); err == nil {
		s.elapsed = d
	}
	for i, n := range []*int{&s.executions, &s.fresh, &s.total} {
		if v, err := strconv.Atoi(m[i+2]); err == nil {
			*n = v
		}
	}
}

// again says how to meet a failing input again.
func (r *runner) again(t target, s stretch) string {
	run := t.name
	if s.failing != "" {
		run = fmt.Sprintf("^%s$/^%s$", t.name, path.Base(s.failing))
	}
	return fmt.Sprintf("again: go test -tags %s -run '%s' ./%s", r.tags, run, t.dir)
}
