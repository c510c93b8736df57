package testkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Measured is a file of docs/measurements: what was measured, with commit, machine and load.
type Measured struct {
	Name    string         `json:"name"`
	Commit  string         `json:"commit"`
	Machine string         `json:"machine"`
	Load    string         `json:"load"`
	Date    string         `json:"date"`
	Results map[string]any `json:"results"`
}

// Measure is a measurement without results, of the tree at root. What it cannot find out is left empty and told.
func Measure(root, name string) (Measured, error) {
	commit, unknown := exec.Command("git", "-C", root, "rev-parse", "--short", "HEAD").Output()
	if unknown != nil {
		unknown = fmt.Errorf("commit not known: %w", unknown)
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		unknown = errors.Join(unknown, fmt.Errorf("load not known: %w", err))
	}
	return Measured{Name: name, Commit: strings.TrimSpace(string(commit)), Load: strings.TrimSpace(string(load)), Results: map[string]any{},
		Machine: fmt.Sprintf("%d cores, %s %s/%s", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH),
		Date:    time.Now().UTC().Format(time.RFC3339)}, unknown
}

// Write writes it to docs/measurements/<name>.json below root, and returns what it wrote.
func (m Measured) Write(root string) ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	return b, os.WriteFile(filepath.Join(root, "docs", "measurements", m.Name+".json"), append(b, '\n'), 0o644)
}

// Record writes what a test measured to docs/measurements/<name>.json, with commit, machine and load.
func Record(t testing.TB, name string, results map[string]any) {
	t.Helper()
	m, err := Measure(Root(t), name)
	if err != nil {
		t.Log(err)
	}
	m.Results = results
	b, err := m.Write(Root(t))
	t.Logf("%s", b)
	if err != nil {
		t.Fatal(err)
	}
}
