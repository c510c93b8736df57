package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
)

func TestLevelWaitsForEveryNode(t *testing.T) {
	b, end := newBoard(t)
	defer end()
	put := func(id cluster.NodeID, newest uint32) error {
		return b.try(func(w space.Writer) error {
			return PutNode(w, placement.NodeState{ID: id, MinLevel: 1, MaxLevel: newest, Version: "v" + string(id)})
		})
	}
	refused := func(err error, text string) {
		t.Helper()
		if cluster.KindOf(err) != cluster.KindUnsafe || !strings.Contains(err.Error(), text) {
			t.Fatalf("%v, want %q", err, text)
		}
	}
	raise := func(level placement.Level) error {
		return b.try(func(w space.Writer) error {
			a, err := SetLevel(w, level)
			if err == nil && (a.Level != max(level, a.Before) || level == 0) {
				t.Errorf("asked for level %d, %+v", level, a)
			}
			return err
		})
	}
	for id, newest := range map[cluster.NodeID]uint32{"n1": 2, "n2": 2, "n3": 1} {
		if err := put(id, newest); err != nil {
			t.Fatal(err)
		}
	}
	refused(raise(0), "n3 runs vn3, which speaks level 1 and not 2")
	refused(raise(2), "n3 runs vn3, which speaks level 1 and not 2")
	if err := raise(1); err != nil { // what it is
		t.Fatal(err)
	}
	if err := put("n3", 3); err != nil {
		t.Fatal(err)
	}
	refused(raise(3), "speaks levels 1 to 2 and not 3")
	if err := raise(2); err != nil {
		t.Fatal(err)
	}
	refused(put("n2", 1), "the cluster is at level 2, and the program of n2, vn2, speaks level 1")
	refused(b.try(func(w space.Writer) error {
		return PutNode(w, placement.NodeState{ID: "n2", MinLevel: 4, MaxLevel: 5, Version: "vn2"})
	}), "speaks levels 4 to 5: it is too new: install the release that the others run ('flotilla node list'")
	refused(raise(1), "a level never falls")
	if err := b.try(func(w space.Writer) error { return PutNode(w, placement.NodeState{ID: "n5"}) }); err != nil {
		t.Fatalf("one that was let in and has not started: %v", err)
	}
	refused(raise(2), "n5 runs")
	if err := put("n5", 2); err != nil {
		t.Fatal(err)
	}
	if m := b.load(); m.Level != 2 || m.Node("n2").MaxLevel != 2 {
		t.Fatalf("level %d, %+v", m.Level, m.Node("n2"))
	}
	// A node that was removed does not hold the others back.
	if err := b.try(func(w space.Writer) error {
		for _, n := range []placement.NodeState{{ID: "n1", MinLevel: 1, MaxLevel: 3}, {ID: "n3", MinLevel: 2, MaxLevel: 3}, {ID: "n4", MinLevel: 1, MaxLevel: 2, Status: placement.Removed}} {
			if err := PutNode(w, n); err != nil {
				return err
			}
		}
		return errors.Join(PutNode(w, placement.NodeState{ID: "n2", MinLevel: 1, MaxLevel: 4}),
			PutNode(w, placement.NodeState{ID: "n5", MinLevel: 1, MaxLevel: 4}))
	}); err != nil {
		t.Fatal(err)
	}
	if err := raise(3); err != nil {
		t.Fatal(err)
	}
}
