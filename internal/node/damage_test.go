package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/testkit"
)

func TestWhatIsDamage(t *testing.T) {
	for _, err := range []error{cluster.ErrDamaged, fmt.Errorf("open: %w", lsm.ErrCorrupt),
		&raftlog.DamagedError{Group: 1, Cause: raftlog.CauseGap}} {
		if !isDamage(err) {
			t.Errorf("not damage: %v", err)
		}
	}
	for _, err := range []error{nil, os.ErrPermission, cluster.ErrUnavailable, cluster.ErrDiskFull, group.ErrNoReplica,
		errors.New("entry of a newer release")} {
		if isDamage(err) {
			t.Errorf("damage: %v", err)
		}
	}
}

func TestDamagesAreKeptUntilForgotten(t *testing.T) {
	n := &Node{log: slog.New(slog.DiscardHandler), reconcile: make(chan struct{}, 1)}
	n.fenced(1, errors.New("disk full"))
	n.fenced(2, fmt.Errorf("apply: %w", lsm.ErrCorrupt))
	n.logDamaged(&raftlog.DamagedError{Group: 2, Cause: raftlog.CauseBadEntry})
	n.logDamaged(&raftlog.DamagedError{Group: 3, Cause: raftlog.CauseBadEntry})
	if n.damages.known(1) != nil || !errors.Is(n.damages.known(2), lsm.ErrCorrupt) || n.damages.known(3) == nil {
		t.Errorf("%v", n.damages.of)
	}
	if len(n.reconcile) != 1 {
		t.Error("nobody looks after the replicas")
	}
	n.damages.forget(2)
	if n.damages.known(2) != nil || n.damages.known(3) == nil {
		t.Errorf("%v", n.damages.of)
	}
}

// TestDamagedStoresArePutAside: the node starts with an empty store, and what was there is kept for whoever wants it.
func TestDamagedStoresArePutAside(t *testing.T) {
	log := testkit.NewLog(t, "node")
	exits := 0
	n := &Node{log: slog.New(slog.NewTextHandler(log, nil)), exit: func(int) { exits++ }}
	dir := filepath.Join(t.TempDir(), "votes")
	open := func() (*raftlog.StableStore, error) { return raftlog.OpenStable(raftlog.StableOptions{Dir: dir}) }
	start := func(want int) raftlog.Identity {
		t.Helper()
		s, err := openStore(n, dir, open)
		if err != nil {
			t.Fatal(err)
		}
		id := s.Group(1).Identity()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if aside, err := filepath.Glob(dir + ".damaged-*"); err != nil || len(aside) != want {
			t.Fatalf("put aside: %v, %v; want %d", aside, err, want)
		}
		return id
	}
	first := start(0)
	if start(0) != first {
		t.Fatal("a sound store was exchanged")
	}
	if err := os.WriteFile(filepath.Join(dir, "stable-3.bolt"), []byte(strings.Repeat("garbage ", 1<<12)), 0o600); err != nil {
		t.Fatal(err)
	}
	second := start(1)
	if second == first || !strings.Contains(log.String(), "FL-1030") {
		t.Fatalf("%x after %x: %s", second, first, log.String())
	}
	// Damage met at work ends the process, and the next start does not use the store; other failures leave it as it is.
	n.storeFailed(dir, fmt.Errorf("sync: %w", os.ErrClosed))
	if start(1) != second {
		t.Fatal("a store was put aside because of its disk")
	}
	n.storeFailed(dir, fmt.Errorf("compaction: %w", lsm.ErrCorrupt))
	if start(2) == second || exits != 2 || start(2) == second {
		t.Fatalf("a damaged store was opened again; %d exits", exits)
	}
	if _, err := openStore(n, dir, func() (int, error) { return 0, os.ErrPermission }); !errors.Is(err, os.ErrPermission) {
		t.Errorf("%v", err)
	}
	start(2)
}
