package testkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a test that may fail without failing this one.
type recorder struct {
	testing.TB
	ctx      context.Context
	failed   bool
	log      string
	cleanups []func()
}

type stop struct{}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Failed() bool             { return r.failed }
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Logf(format string, args ...any) { r.log += fmt.Sprintf(format, args...) }

func (r *recorder) Errorf(format string, args ...any) {
	r.Logf(format, args...)
	r.failed = true
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Logf(format, args...)
	r.failed = true
	panic(stop{})
}

func (r *recorder) run(f func()) {
	defer func() {
		if v := recover(); v != nil && v != (stop{}) {
			panic(v)
		}
		for _, f := range r.cleanups {
			f()
		}
	}()
	f()
}

func TestEventually(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, tries := time.Now(), 0
		Eventually(t, time.Minute, func(context.Context) error {
			if tries++; tries < 4 {
				return errors.New("not yet")
			}
			return nil
		})
		if d := time.Since(start); tries != 4 || d != 3*poll {
			t.Errorf("%d tries in %v", tries, d)
		}
		r := &recorder{ctx: t.Context()}
		r.run(func() {
			Eventually(r, time.Second, func(context.Context) error { return errors.New("no leader") })
		})
		if !r.failed || !strings.Contains(r.log, "after 1s: no leader") {
			t.Errorf("failed %v: %q", r.failed, r.log)
		}
	})
}

func TestLogShowsOnFailure(t *testing.T) {
	for _, fails := range []bool{true, false} {
		r := &recorder{ctx: t.Context()}
		r.run(func() {
			l := NewLog(r, "n1")
			_, _ = fmt.Fprint(l, "ready")
			l.WaitFor(r, time.Minute, "ready")
			if fails {
				r.Fatalf("broken ")
			}
		})
		if shown := strings.Contains(r.log, "--- n1\nready"); shown != fails {
			t.Errorf("fails %v: log %q", fails, r.log)
		}
	}
}

func TestFreePort(t *testing.T) {
	port := FreePort(t, "127.0.0.2")
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestRootAndBinary(t *testing.T) {
	if _, err := os.Stat(filepath.Join(Root(t), "cluster", "cluster.go")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "flotilla")
	t.Setenv("FLOTILLA_BIN", path)
	r := &recorder{ctx: t.Context()}
	r.run(func() { Binary(r) })
	if !r.failed || !strings.Contains(r.log, "make build") {
		t.Errorf("a program that is not there: %q", r.log)
	}
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := Binary(t); got != path {
		t.Errorf("%q", got)
	}
}

// TestBounded: all that is allocated for an input counts, kept or not.
func TestBounded(t *testing.T) {
	for _, pieces := range []int{Bound>>20 - 8, Bound>>20 + 8} {
		r := &recorder{ctx: t.Context()}
		check := Bounded(r)
		for range pieces {
			piece = make([]byte, 1<<20)
		}
		check()
		if over := pieces > Bound>>20; r.failed != over {
			t.Errorf("%d MB: %q", pieces, r.log)
		}
	}
}

// piece is where the compiler cannot see that nobody reads what is allocated.
var piece []byte
