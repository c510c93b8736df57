package drain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/node"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// flotilla performs a command line on a cluster and returns its output and exit code.
func flotilla(ctx context.Context, t *testing.T, c *dev.Cluster, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(ctx, c.Program, append(args, "--dir", c.Dir)...)
	var said, erred strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &erred
	err := cmd.Run()
	if ended := new(exec.ExitError); err != nil && !errors.As(err, &ended) {
		t.Fatalf("flotilla %v: %v", args, err)
	}
	return said.String() + erred.String(), cmd.ProcessState.ExitCode()
}

// TestDrills does each drill once by the command line, the longest only in the long form. What clients waited is shown and not asserted, as on a busy machine
// it means nothing: exit code 1 only says that it was longer than it ought to be.
func TestDrills(t *testing.T) {
	c := devtest.StartGroups(t, 0, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	kinds := []string{"drain", "kill-leader"}
	if _, long := drains(t); long {
		kinds = append(kinds, "partition")
	}
	for _, kind := range kinds {
		var r node.DrillReport
		testkit.Eventually(t, patience, func(ctx context.Context) error {
			out, code := flotilla(ctx, t, c, "drill", kind, "--yes", "--json")
			if code > 1 { // not safe yet, after the one before
				return fmt.Errorf("exit code %d: %s", code, out)
			}
			line, _, _ := strings.Cut(out, "\n")
			return json.Unmarshal([]byte(line), &r)
		})
		if r.Kind != kind || r.Node == r.By || r.Node == "" || len(r.Gaps) != 4 || r.Back <= 0 || r.Group == 0 {
			t.Errorf("%+v", r)
		}
		for _, g := range r.Gaps {
			if g.Operations == 0 || g.Longest <= 0 || len(g.Failures) > 0 && kind == "drain" {
				t.Errorf("%s: %+v", kind, g)
			}
			t.Logf("%s of %s seen from %s: %s waited %v", kind, r.Node, r.By, g.Protocol, g.Longest.Round(time.Millisecond))
		}
	}
	out, code := flotilla(ctx, t, c, "drill", "history", "--json")
	var all []node.DrillReport
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 || len(all) != len(kinds) {
		t.Fatalf("history: exit code %d, %v: %s", code, err, out)
	}
	if out, code := flotilla(ctx, t, c, "user", "list"); code != 0 || strings.Contains(out, "flotilla-drill") {
		t.Errorf("a mailbox of a drill is left: exit code %d: %s", code, out)
	}
	if out, code := flotilla(ctx, t, c, "drill", "drain"); code != 2 || !strings.Contains(out, "say --yes") {
		t.Errorf("without --yes: exit code %d: %s", code, out)
	}
	if err := c.Stop(ctx, "n3"); err != nil {
		t.Fatal(err)
	}
	if out, code := flotilla(ctx, t, c, "drill", "kill-leader", "--yes"); code != 4 || !strings.Contains(out, "cannot be spared") {
		t.Errorf("with a node down: exit code %d: %s", code, out)
	}
}
