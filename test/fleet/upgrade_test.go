package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flotilla-mail/flotilla/internal/node"
	"github.com/flotilla-mail/flotilla/internal/rollout"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// broken writes a program that says what it is as the cluster's own does, and does something else when it is to serve.
func (s *site) broken(t *testing.T, serve string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "broken")
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = version ] && exec %s \"$@\"\n%s\n", s.Program, serve)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// brokenPrograms: an upgrade stops at the first node with a program that does not serve, says which, why and how to go back,
// and the others go on.
func brokenPrograms(t *testing.T, s *site) {
	for _, serve := range []string{"exit 1", "while :; do sleep 1; done"} {
		said := devtest.Run(t, s.Cluster, "", "upgrade", "--all", "--binary", s.broken(t, serve), "--patience", "4s", "--dir", s.Dir)
		for _, part := range []string{"stopped: n2 since it runs the other program: after 4s it does not answer", "flotilla upgrade --revert --here", "systemctl restart"} {
			if said.Code != 1 || !strings.Contains(said.Err, part) {
				t.Fatalf("%s: exit code %d: %s%s; want %q", serve, said.Code, said.Out, said.Err, part)
			}
		}
		if strings.Contains(said.Out, "n4 ") || strings.Contains(said.Out, "n1 ") {
			t.Errorf("it went on behind n2: %s", said.Out)
		}
		s.mail(t, "n1", "n4")
		devtest.Refused(t, s.Cluster, 1, "n2 does not answer", "upgrade", "--all", "--revert")
		here := []string{"upgrade", "--revert", "--here", "--dir", s.folder("n2")}
		if said := devtest.Run(t, s.Cluster, "", here...); said.Code != 0 || !strings.Contains(said.Out, "systemctl restart flotilla") {
			t.Fatalf("exit code %d: %s%s", said.Code, said.Out, said.Err)
		}
		if said := devtest.Run(t, s.Cluster, "", here...); said.Code != 1 || !strings.Contains(said.Err, "names no earlier program") {
			t.Errorf("again: exit code %d: %s%s", said.Code, said.Out, said.Err)
		}
		s.again(t, "n2")
		s.mail(t, "n2", "n1")
	}
}

// again does what `systemctl restart` does, to a process that does not know SIGTERM as well.
func (s *site) again(t *testing.T, node string) {
	t.Helper()
	if pid := s.Running(node); pid != 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, patience, func(context.Context) error {
		if s.Running(node) != 0 {
			return fmt.Errorf("%s runs", node)
		}
		return nil
	})
	s.start(t, node)
}

// upgrades goes over to another program, back, and gives the way back up.
func upgrades(t *testing.T, s *site) {
	octets, err := os.ReadFile(s.Program)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other") // the same with another checksum
	if err := os.WriteFile(other, append(octets, '\n'), 0o755); err != nil {
		t.Fatal(err)
	}
	answer := devtest.Answer[struct {
		Program string
		Nodes   int
	}](t, s.Cluster, "upgrade", "stage", other)
	if answer.Nodes != 3 {
		t.Errorf("staged on %d nodes", answer.Nodes)
	}
	staged := answer.Program
	before := s.programs(t)
	type rolled struct {
		Steps []rollout.Step
		Done  bool
	}
	if r := devtest.Answer[rolled](t, s.Cluster, "upgrade", "--all", "--settle", "500ms"); !r.Done || len(r.Steps) != 3 || r.Steps[2].Node != "n1" {
		t.Errorf("%+v", r)
	}
	for name, runs := range s.programs(t) {
		if runs != staged {
			t.Errorf("%s runs %s and not %s", name, runs, staged)
		}
	}
	s.mail(t, "n1", "n2")
	if text := devtest.Do(t, s.Cluster, "upgrade", "--all"); strings.Count(text, "runs it already") != 3 {
		t.Errorf("again: %s", text)
	}
	devtest.Do(t, s.Cluster, "upgrade", "--all", "--revert", "--settle", "500ms")
	for name, runs := range s.programs(t) {
		if runs != before[name] {
			t.Errorf("%s runs %s and ran %s", name, runs, before[name])
		}
	}
	s.mail(t, "n4", "n1")
	if text := devtest.Do(t, s.Cluster, "upgrade", "--finalize"); !strings.Contains(text, fmt.Sprintf("The cluster stays at level %d", placement.NewestLevel)) {
		t.Errorf("finalize: %s", text)
	}
	devtest.Refused(t, s.Cluster, 1, "no node has an earlier program to go back to", "upgrade", "--revert")
	devtest.Refused(t, s.Cluster, 1, "no flotilla that runs on this machine", "upgrade", "stage", filepath.Join(s.Dir, "ca.pem"))
	devtest.Refused(t, s.Cluster, 2, "stands alone", "upgrade", "--finalize", "--all")
	devtest.Refused(t, s.Cluster, 2, "goes with --revert alone", "upgrade", "--all", "--here")
	s.mail(t, "n2", "n4")
}

// programs are those that the nodes run.
func (s *site) programs(t *testing.T) map[string]string {
	t.Helper()
	runs := map[string]string{}
	for _, n := range devtest.Answer[node.UpgradeState](t, s.Cluster, "upgrade", "status").Nodes {
		runs[string(n.Node)] = n.Running
	}
	return runs
}
