package node

import (
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
)

// TestASecondProcess: it is refused, and what shows the first stays.
func TestASecondProcess(t *testing.T) {
	cfg := valid()
	cfg.Dir = t.TempDir()
	l, err := net.Listen("unix", cfg.path("admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := New(cfg, slog.New(slog.DiscardHandler), os.Exit); cluster.KindOf(err) != cluster.KindUnsafe || !strings.Contains(err.Error(), "the node runs") {
		t.Errorf("a second one: %v", err)
	}
	n := &Node{cfg: cfg}
	for _, pid := range []string{"1\n", ""} {
		if err := os.WriteFile(cfg.path("pid"), []byte(pid), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(cfg.path("pid")); n.removePID() != nil || err != nil || string(got) != pid {
			t.Errorf("of another process %q is left: %v", got, err)
		}
	}
	if err := n.WritePID(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := n.removePID(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(cfg.path("pid")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("its own is there: %v", err)
		}
	}
}

// TestRootKeepsOut: a node that root had started, or a recovery by root, would leave files that the service cannot open.
func TestRootKeepsOut(t *testing.T) {
	const root, other = 0, 65534
	cfg := &Config{Dir: t.TempDir()}
	if err := ownData(cfg, root); err != nil {
		t.Errorf("without data: %v", err)
	}
	if err := os.Mkdir(cfg.path("tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	owner := os.Geteuid()
	if owner == root {
		if err := ownData(cfg, root); err != nil {
			t.Errorf("root's own: %v", err)
		}
		owner = other
		if err := os.Chown(cfg.path("tls"), owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := ownData(cfg, owner); err != nil {
		t.Errorf("the owner: %v", err)
	}
	err := ownData(cfg, root)
	if cluster.KindOf(err) != cluster.KindUnsafe || !strings.Contains(err.Error(), "put 'runuser -u ") {
		t.Errorf("root: %v", err)
	}
}
