package planner

import (
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// TestExplain has a row for what an administrator may wonder about.
func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *world, seen *Observed)
		want   []string
	}{
		{"all is well", func(*world, *Observed) {}, []string{"3 copies vote, of 3", "no two copies share a zone", " leads"}},
		{"a node is away for a moment", func(_ *world, seen *Observed) { seen.Silent["n2"] = time.Second },
			[]string{"n2 has been silent for 1s: after 1m0s its copy is made elsewhere"}},
		{"a node is away for good, and there is a place", func(w *world, seen *Observed) {
			away(w, seen, "n2")
		}, []string{"make a replica of group 1 on n4 in place of n2.", "because n2 has been silent for the grace period"}},
		{"a node is away for good, and there is none", func(w *world, seen *Observed) {
			away(w, seen, "n2")
			seen.Unfit["n4"] = "its disk is slow"
		}, []string{"no node can take its place", "not n4: its disk is slow"}},
		{"a drained node is away", func(w *world, seen *Observed) {
			away(w, seen, "n2")
			w.m.Node("n2").Status = placement.Draining
		}, []string{"n2 is drained: its copy is not made elsewhere"}},
		{"a node that is to go, and there is no place", func(w *world, seen *Observed) {
			w.m.Node("n2").Status = placement.Removing
			seen.Unfit["n4"] = "its disk is slow"
		}, []string{"n2 is removing, and no other node can take its copies of the groups [1]: 'flotilla placement explain 1' says why", "not n4: its disk is slow"}},
		{"a merged group", func(w *world, _ *Observed) { w.m.Group(1).Into = 5 }, []string{"those that it has go to group 5"}},
		{"nobody leads", func(_ *world, seen *Observed) { delete(seen.Leaders, 1) }, []string{"it has no leader"}},
		{"a home", func(w *world, _ *Observed) { w.policy.Home, w.policy.Sites = "a", []string{"a"} },
			[]string{"a node of a should lead it", "copies may be in a only"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(1, 4, placement.Policy{Replicas: 3, Groups: 1, Survive: placement.SurviveZone, Grace: time.Minute})
			if err := w.settle(); err != nil {
				t.Fatal(err)
			}
			if w.m.Group(1).Replica("n2") == nil || w.m.Group(1).Replica("n4") != nil {
				t.Fatalf("placed %v", w.m.Group(1).Replicas)
			}
			seen := w.observe()
			tt.change(w, &seen)
			e := Explain(&w.m, seen, w.policy, 1)
			var all []string
			for _, part := range [][]string{e.Copies, e.Rules, e.Waits, e.Next, Notes(&w.m, seen, w.policy)} {
				all = append(all, part...)
			}
			for _, want := range tt.want {
				if !strings.Contains(strings.Join(all, "\n"), want) {
					t.Errorf("not said: %s\n%s", want, strings.Join(all, "\n"))
				}
			}
		})
	}
	if e := Explain(&placement.Map{}, Observed{}, placement.Policy{}, 7); e != nil {
		t.Errorf("a group that is none: %+v", e)
	}
}

// away makes a node silent for the grace period.
func away(w *world, seen *Observed, node cluster.NodeID) {
	delete(w.up, node)
	w.grace[node] = true
	w.elect()
	*seen = w.observe()
}
