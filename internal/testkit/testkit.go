// Package testkit is what tests of whole processes share: free ports, waiting for a condition, a program's output shown
// when the test fails, and the program itself. It knows how to wait and where the tree is, and no protocol; nothing
// but tests imports it.
package testkit

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// poll is how often a condition is tried: short against what is waited for, long against what trying costs.
const poll = 20 * time.Millisecond

// FreePort is a TCP port that was free on addr ("127.0.0.1") a moment ago. Two calls give two ports as long as nobody
// else on the machine takes many; start what uses it soon.
func FreePort(t testing.TB, addr string) int {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		t.Fatalf("look for a free port: %v", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// Eventually waits until cond returns nil and fails the test, with cond's last error, when that takes longer than
// deadline or the test's own time is over. cond is tried at once, again and again, and never at the same time twice.
func Eventually(t testing.TB, deadline time.Duration, cond func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	start := time.Now()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		err := cond(ctx)
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("after %v: %v", time.Since(start).Round(time.Millisecond), err)
		}
	}
}

// Log keeps what a process or logger writes and prints it when the test fails.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// NewLog returns a Log whose name stands above what it prints.
func NewLog(t testing.TB, name string) *Log {
	l := &Log{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("--- %s\n%s", name, l.String())
		}
	})
	return l
}

// Write adds to the log; it never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is all that was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// WaitFor waits until the log holds text.
func (l *Log) WaitFor(t testing.TB, deadline time.Duration, text string) {
	t.Helper()
	Eventually(t, deadline, func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !bytes.Contains(l.buf.Bytes(), []byte(text)) {
			return fmt.Errorf("not yet in the log: %q", text)
		}
		return nil
	})
}

// Root is the top of the source tree.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("find the tree: %v", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("find the tree: no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}

// Binary is the path of the program: what FLOTILLA_BIN names (make sets it to the one it built), else bin/flotilla of
// the tree, built from its present source.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("FLOTILLA_BIN"); path != "" {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("FLOTILLA_BIN: %v; run make build", err)
		}
		return path
	}
	root := Root(t)
	path := filepath.Join(root, "bin", "flotilla")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "hashicorpmetrics", "-o", path, "./cmd/flotilla")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build bin/flotilla: %v\n%s", err, out)
	}
	return path
}
