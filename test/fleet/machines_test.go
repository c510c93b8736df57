package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
)

// TestMachines shares one cluster, whose n4 only serves clients, among what must be the same there and machines that must not
// come in: each is told why and what to do, and the cluster goes on.
func TestMachines(t *testing.T) {
	t.Parallel()
	s := &site{Cluster: devtest.StartOptions(t, dev.Options{Nodes: 4, Frontends: 1, Groups: 2})}
	for _, x := range []struct {
		name string
		run  func(*testing.T, *site)
	}{
		{"front-end alone", playsScripts}, {"clock", clockIsOff}, {"other secret", otherSecret}, {"certificate has ended", certificateEnded},
		{"two of one name", twoOfOneName},
	} {
		if !t.Run(x.name, func(t *testing.T) { x.run(t, s) }) {
			return // what follows would fail for reasons of its own
		}
	}
}

// awaitLog waits until a line of a node's log, behind an offset, holds all parts.
func awaitLog(t *testing.T, c *dev.Cluster, node string, from int, parts ...string) {
	t.Helper()
	testkit.Eventually(t, patience, func(context.Context) error {
		log := logOf(t, c, node)
		for line := range strings.Lines(string(log[min(from, len(log)):])) {
			missing := 0
			for _, part := range parts {
				if !strings.Contains(line, part) {
					missing++
				}
			}
			if missing == 0 {
				return nil
			}
		}
		return fmt.Errorf("%s has not logged %q", node, parts)
	})
}

func logOf(t *testing.T, c *dev.Cluster, node string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(c.Dir, node, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// clockIsOff sets a node's clock an hour ahead: it is found, and what to do about it is said.
func clockIsOff(t *testing.T, s *site) {
	devtest.Do(t, s.Cluster, "dev", "fault", "n3", "clock=+1h")
	for _, part := range []string{"the clock of n3 is off by 1h0m0s", "timedatectl"} {
		devtest.Refused(t, s.Cluster, 4, part, "check", "--without", "n2")
	}
	devtest.Do(t, s.Cluster, "dev", "fault", "n3", "clear")
	testkit.Eventually(t, patience, func(context.Context) error {
		if said := devtest.Run(t, s.Cluster, "", "check", "--dir", s.Dir); said.Code != 0 {
			return fmt.Errorf("exit code %d: %s", said.Code, said.Out)
		}
		return nil
	})
	s.mail(t, "n3", "n4")
}

// otherSecret lets a machine come in the place of n3 that was set up with another secret: it belongs to another cluster.
func otherSecret(t *testing.T, s *site) {
	s.halt(t, "n3")
	other := s.beside(t)
	if err := other.Setup(); err != nil {
		t.Fatal(err)
	}
	was := len(logOf(t, s.Cluster, "n1"))
	if err := other.Start("n3"); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, s.Cluster, "n1", was, "code=FL-1007", "refused this node's certificate", "see the other node's log", "flotilla setup")
	awaitLog(t, other, "n3", 0, "different secrets", "flotilla setup", "flotilla join")
	if text := devtest.Do(t, s.Cluster, "status"); !strings.Contains(text, "n3    does not answer") {
		t.Errorf("status:\n%s", text)
	}
	s.mail(t, "n1", "n4")
	ends(t, other, "n3")
	s.start(t, "n3")
	s.mail(t, "n3", "n2")
}

// beside is a folder for other machines at the same addresses, which end with the test.
func (s *site) beside(t *testing.T) *dev.Cluster {
	t.Helper()
	c := *s.Cluster
	c.Dir, c.Lock = t.TempDir(), s.Lock
	t.Cleanup(func() {
		for _, n := range c.Names() {
			ends(t, &c, n)
		}
	})
	return &c
}

// ends ends a machine's process and waits until it is gone.
func ends(t *testing.T, c *dev.Cluster, node string) {
	t.Helper()
	if err := c.Kill(node); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); c.Running(node) != 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s runs", node)
		}
	}
}

// certificateEnded gives n3 a certificate of yesterday, on a machine that does not keep the authority's key and so cannot renew
// it. What the log names brings it back.
func certificateEnded(t *testing.T, s *site) {
	s.halt(t, "n3")
	tls := filepath.Join(s.folder("n3"), "tls")
	cert, err := os.ReadFile(filepath.Join(tls, "ca.pem"))
	key, kerr := os.ReadFile(filepath.Join(tls, "authority.key"))
	if err := errors.Join(err, kerr); err != nil {
		t.Fatal(err)
	}
	authority, err := transport.LoadAuthority(transport.KeyPair{CertPEM: cert, KeyPEM: key})
	if err != nil {
		t.Fatal(err)
	}
	ended, err := authority.IssueNode("n3", transport.Names{}, -time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(tls, "node.pem"), ended.CertPEM, 0o644), os.WriteFile(filepath.Join(tls, "node.key"), ended.KeyPEM, 0o600),
		os.Remove(filepath.Join(tls, "authority.key"))); err != nil {
		t.Fatal(err)
	}
	was, own := len(logOf(t, s.Cluster, "n1")), len(logOf(t, s.Cluster, "n3"))
	if err := s.Start("n3"); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, s.Cluster, "n1", was, "code=FL-1007", "timedatectl", "flotilla setup")
	awaitLog(t, s.Cluster, "n3", own, "code=FL-1052", "flotilla setup")
	s.mail(t, "n1", "n2")
	ends(t, s.Cluster, "n3")
	s.setUpAgain(t, "n3")
	s.start(t, "n3")
	s.mail(t, "n3", "n1")
}

// setUpAgain runs `flotilla setup` with the cluster's secret on a node's machine.
func (s *site) setUpAgain(t *testing.T, node string) {
	t.Helper()
	var nodes []string
	for _, n := range s.Names() {
		nodes = append(nodes, fmt.Sprintf("%s=%s:%d", n, dev.Host(n), s.Port(7400)))
	}
	said := devtest.Run(t, s.Cluster, "", "setup", "--node", node, "--nodes", strings.Join(nodes, ","), "--secret-file", filepath.Join(s.Dir, "secret"),
		"--data", s.folder(node), "--config", filepath.Join(s.folder(node), "flotilla.toml"))
	if said.Code != 0 {
		t.Fatalf("setup: exit code %d: %s", said.Code, said.Err)
	}
}

// twoOfOneName starts a second n2, with its certificates, without its data, at another address. The others say so, and so does
// n2, which they hear no more; the second one is not let in. When it has gone n2 begins anew by itself, and all is as it was.
func twoOfOneName(t *testing.T, s *site) {
	twin := s.beside(t)
	if err := os.CopyFS(filepath.Join(twin.Dir, "n2", "tls"), os.DirFS(filepath.Join(s.folder("n2"), "tls"))); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(s.folder("n2"), "flotilla.toml"))
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.ReplaceAll(bytes.ReplaceAll(b, []byte(s.folder("n2")), []byte(filepath.Join(twin.Dir, "n2"))), []byte(dev.Host("n2")+":"), []byte("127.0.0.22:"))
	if err := os.WriteFile(filepath.Join(twin.Dir, "n2", "flotilla.toml"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	was := len(logOf(t, s.Cluster, "n1"))
	if err := twin.Start("n2"); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, s.Cluster, "n1", was, "code=FL-1017", "name=n2", "flotilla node token")
	s.mail(t, "n1", "n4")
	if twin.Admin("n2").Do(t.Context(), "GET", "/healthz/ready", nil, nil) == nil {
		t.Error("the second n2 serves")
	}
	awaitLog(t, s.Cluster, "n2", 0, "code=FL-1053", "another process under this node's name", "flotilla node token", "systemctl restart")
	pid := s.Running("n2")
	ends(t, twin, "n2")
	awaitLog(t, s.Cluster, "n2", 0, "code=FL-1094", "begins anew")
	s.ready(t, "n2")
	if s.Running("n2") != pid {
		t.Errorf("n2 ran as %d and runs as %d", pid, s.Running("n2"))
	}
	s.mail(t, "n2", "n3")
	testkit.Eventually(t, patience, func(context.Context) error {
		if said := devtest.Run(t, s.Cluster, "", "check", "--dir", s.Dir); said.Code != 0 {
			return fmt.Errorf("exit code %d: %s", said.Code, said.Out)
		}
		return nil
	})
}
