// Package deploy holds what an administrator installs against the tools that will read it.
package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// exposure is the most that systemd may find open in a unit, of 100.
const exposure = "20"

// TestUnits has systemd read the units: nothing in them may be unknown or contradict itself, and they give away little. The
// program that they start is not installed here, so another stands in for it.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze here")
	}
	units, err := filepath.Glob(filepath.Join(testkit.Root(t), "deploy", "systemd", "*"))
	if err != nil || len(units) == 0 {
		t.Fatalf("no units: %v", err)
	}
	stands, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, unit := range units {
		b, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		const program = "/var/lib/flotilla/program/current"
		text := strings.ReplaceAll(string(b), "="+program+" ", "="+stands+" ")
		if !strings.Contains(string(b), "ExecStart="+program+" serve\n") {
			t.Errorf("%s does not start the program that `flotilla upgrade` sets", unit)
		}
		copied := filepath.Join(dir, filepath.Base(unit))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"verify", copied}, {"security", "--no-pager", "--offline=true", "--threshold=" + exposure, copied}} {
			out, err := exec.CommandContext(t.Context(), analyze, args...).CombinedOutput()
			if err != nil || args[0] == "verify" && len(out) > 0 {
				t.Errorf("%s of %s: %v\n%s", args[0], filepath.Base(unit), err, out)
			}
		}
	}
}
