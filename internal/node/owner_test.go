package node

import (
	"os"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
)

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
