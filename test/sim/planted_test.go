package sim

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/planted"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// plantedSeeds is how many seeds a bug has to be found in. The rarest shows in one of two dozen.
const plantedSeeds = 300

// TestPlanted builds these tests with bugs in the layers below, and has each found: what finds nothing in the program would
// mean nothing if it found nothing in these either.
func TestPlanted(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program again")
	}
	program := filepath.Join(t.TempDir(), "planted.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, "-tags", "hashicorpmetrics planted", ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with planted bugs: %v\n%s", err, out)
	}
	for _, bug := range planted.Bugs() {
		t.Run(string(bug), func(t *testing.T) {
			run := exec.CommandContext(t.Context(), program, "-test.run", "^TestFound$", "-test.v")
			run.Env = append(os.Environ(), "FLOTILLA_PLANTED="+string(bug))
			out, err := run.CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte("found in seed")) {
				t.Errorf("%v\n%s", err, out)
			}
			t.Log(firstLines(string(out), 6))
		})
	}
}

func firstLines(text string, n int) string {
	lines := strings.SplitN(text, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n")
}

// TestFound is the other side of TestPlanted: in a build with a bug, seeds are simulated until it is found.
func TestFound(t *testing.T) {
	bug := planted.Bug(os.Getenv("FLOTILLA_PLANTED"))
	if !planted.Built || !planted.Is(bug) {
		t.Skip("TestPlanted runs this with a planted bug")
	}
	for seed := uint64(1); seed <= plantedSeeds; seed++ {
		o := simulate(t, seed)
		if o.ok() {
			continue
		}
		if o.err != nil {
			t.Logf("seed %d: %v", seed, o.err)
		}
		for i := range o.verdict.Violations {
			v := &o.verdict.Violations[i]
			for _, rule := range devtest.Breaks(bug) {
				if v.Rule == rule {
					t.Logf("%s: found in seed %d\n%s", bug, seed, v)
					return
				}
			}
			t.Logf("seed %d shows %s", seed, v)
		}
	}
	t.Errorf("not found in %d seeds", plantedSeeds)
}
