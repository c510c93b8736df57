package testkit

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// measured is a file of docs/measurements.
type measured struct {
	Name    string         `json:"name"`
	Commit  string         `json:"commit"`
	Machine string         `json:"machine"`
	Load    string         `json:"load"`
	Date    string         `json:"date"`
	Results map[string]any `json:"results"`
}

// Record writes what was measured to docs/measurements/<name>.json, with commit, machine and load.
func Record(t testing.TB, name string, results map[string]any) {
	t.Helper()
	root := Root(t)
	commit, err := exec.Command("git", "-C", root, "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		t.Logf("commit not known: %v", err)
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Logf("load not known: %v", err)
	}
	m := measured{Name: name, Commit: strings.TrimSpace(string(commit)), Load: strings.TrimSpace(string(load)), Results: results,
		Machine: fmt.Sprintf("%d cores, %s %s/%s", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH),
		Date:    time.Now().UTC().Format(time.RFC3339)}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", b)
	if err := os.WriteFile(filepath.Join(root, "docs", "measurements", name+".json"), append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
