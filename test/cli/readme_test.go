package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/testkit"
)

// readme performs the tour of README.md as it is written there. Only what a test cannot have is put in the place of
// the tour's: ports of its own, and a folder outside the tree.
func readme(t *testing.T, c *site) {
	text, err := os.ReadFile(filepath.Join(testkit.Root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, tour, ok := strings.Cut(string(text), "Leave it running")
	tour, _, more := strings.Cut(tour, "## ")
	if !ok || !more {
		t.Fatal("README.md has no tour")
	}
	dir := t.TempDir()
	for path, target := range map[string]string{"data/dev": c.Dir, "bin/flotilla": c.Program} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	wants := []string{"250 2.0.0 Stored", "Subject: hello", "still here", "n3    ready", "n4 has joined"}
	blocks := regexp.MustCompile("(?s)```\n(.*?)```").FindAllStringSubmatch(tour, -1)
	if len(blocks) != len(wants) {
		t.Fatalf("the tour has %d blocks of commands, the test knows %d", len(blocks), len(wants))
	}
	for i, b := range blocks {
		script := regexp.MustCompile(`(127\.0\.0\.\d:)(\d+)`).ReplaceAllStringFunc(b[1], func(at string) string {
			host, port, _ := strings.Cut(at, ":")
			var n int
			if _, err := fmt.Sscan(port, &n); err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("%s:%d", host, c.Port(n))
		})
		if strings.Contains(script, "still here") { // "and do both again on the two that are left"
			script += strings.ReplaceAll(blocks[1][1], "127.0.0.3:2993", c.addr("n3", 2993))
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		cancel()
		if err != nil || !strings.Contains(string(out), wants[i]) {
			t.Fatalf("%v\n%s\n%s", err, script, out)
		}
	}
}
