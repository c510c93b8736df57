package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
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

// TestFullDiskEndsTheProcess: what cannot be written to a full disk is no reason to go on without a group.
func TestFullDiskEndsTheProcess(t *testing.T) {
	var codes []int
	log := testkit.NewLog(t, "node")
	n := &Node{log: slog.New(slog.NewTextHandler(log, nil)), reconcile: make(chan struct{}, 1), exit: func(code int) { codes = append(codes, code) }}
	n.fenced(4, errors.New("an entry of a newer release"))
	n.fenced(4, fmt.Errorf("flush: %w", os.ErrPermission))
	if len(codes) != 0 {
		t.Fatalf("ended with %v", codes)
	}
	n.fenced(4, fmt.Errorf("flush: %w", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}))
	if !slices.Equal(codes, []int{1}) || !strings.Contains(log.String(), "FL-1037") || n.damages.known(4) != nil {
		t.Errorf("ended with %v: %s", codes, log.String())
	}
}

// TestFencedReplicasAreShown: one that runs no more, one that is about to be given up, and one that does not start.
func TestFencedReplicasAreShown(t *testing.T) {
	var d damages
	d.note(4, errors.New("entry 7 does not read"))
	d.note(6, errors.New("no state"))
	all := d.show([]GroupStatus{
		groupStatus(0, "n1.1", group.Stats{State: group.Leader}, []group.Member{{ID: "n1.1"}, {ID: "n2.1"}}),
		groupStatus(4, "n1.4", group.Stats{State: group.Leader}, nil),
		groupStatus(5, "n1.5", group.Stats{State: group.Fenced, Fenced: errors.New("disk broken")}, nil),
	})
	want := []GroupStatus{
		{Group: 0, Server: "n1.1", State: "leader", Members: []cluster.ServerID{"n1.1", "n2.1"}},
		{Group: 4, Server: "n1.4", State: "fenced", Fenced: "entry 7 does not read"},
		{Group: 5, Server: "n1.5", State: "fenced", Fenced: "disk broken"},
		{Group: 6, State: "fenced", Fenced: "no state"},
	}
	if !reflect.DeepEqual(all, want) {
		t.Errorf("got %+v", all)
	}
	for i := range all {
		if all[i].runs() != (i == 0) {
			t.Errorf("group %d: runs = %v", all[i].Group, all[i].runs())
		}
	}
	if got := strings.Join(troubles(all), "; "); got != "replica of group 4 is fenced: entry 7 does not read; "+
		"replica of group 5 is fenced: disk broken; replica of group 6 is fenced: no state" {
		t.Error(got)
	}
	if troubles(all[:1]) != nil {
		t.Error("trouble where there is none")
	}
}
