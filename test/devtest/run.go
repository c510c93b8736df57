package devtest

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
)

// Said is what a command line has said, and its exit code.
type Said struct {
	Out, Err string
	Code     int
}

// Run performs a command line of the cluster's program, as an administrator does.
func Run(t testing.TB, c *dev.Cluster, stdin string, args ...string) Said {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Program, args...)
	var out, errs strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatalf("flotilla %s: %v", strings.Join(args, " "), err)
	}
	return Said{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// Do is Run on the cluster for a command that has to succeed; it returns what that said.
func Do(t testing.TB, c *dev.Cluster, args ...string) string {
	t.Helper()
	said := Run(t, c, "", append(args, "--dir", c.Dir)...)
	if said.Code != 0 {
		t.Fatalf("flotilla %s: exit code %d: %s%s", strings.Join(args, " "), said.Code, said.Out, said.Err)
	}
	return said.Out
}

// Refused is Run on the cluster for a command that has to end with an exit code and say something.
func Refused(t testing.TB, c *dev.Cluster, code int, text string, args ...string) {
	t.Helper()
	said := Run(t, c, "", append(args, "--dir", c.Dir)...)
	if said.Code != code || !strings.Contains(said.Out+said.Err, text) {
		t.Errorf("flotilla %s: exit code %d: %s%s; want %d and %q", strings.Join(args, " "), said.Code, said.Out, said.Err, code, text)
	}
}

// Answer is Do with --json, decoded.
func Answer[T any](t testing.TB, c *dev.Cluster, args ...string) T {
	t.Helper()
	var v T
	out := Do(t, c, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("flotilla %s: %v in %s", strings.Join(args, " "), err, out)
	}
	return v
}
