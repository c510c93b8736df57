package node

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/planner"
)

// watched is a cluster of n1, n2 and n3 with a system group and group 4, seen by an observer second by second.
type watched struct {
	o *observer
	l look
}

func newWatched() *watched {
	w := &watched{o: newObserver(), l: look{at: time.Unix(1000, 0), incarnation: map[cluster.NodeID]uint64{"n2": 12, "n3": 13},
		replaced: map[cluster.NodeID]time.Time{}, silence: map[cluster.ServerID]time.Duration{"n2.1": 0, "n3.1": 0}}}
	for _, n := range []cluster.NodeID{"n1", "n2", "n3"} {
		s := Status{Node: n, Ready: true}
		for _, g := range []cluster.GroupID{cluster.SystemGroup, 4} {
			s.Groups = append(s.Groups, GroupStatus{Group: g, Server: cluster.ServerID(n + ".1"), State: "follower", Term: 7,
				Leader: "n1.1", Commit: 5000, Applied: 5000, CaughtUp: true, Members: []cluster.ServerID{"n1.1", "n2.1", "n3.1"}})
		}
		w.l.nodes = append(w.l.nodes, s)
	}
	return w
}

func (w *watched) replica(node int, g int) *GroupStatus { return &w.l.nodes[node].Groups[g] }

// pass lets seconds go by, with a look at the beginning of each and at the end.
func (w *watched) pass(seconds int) (seen planner.Observed) {
	for i := range seconds + 1 {
		if i > 0 {
			w.l.at = w.l.at.Add(time.Second)
		}
		seen = w.o.digest(&w.l)
	}
	return seen
}

func TestLeadersAreThoseOfTheHighestTerm(t *testing.T) {
	w := newWatched()
	// n2 was elected in group 4 and n1 has not noticed yet; n3 leads nothing, it has stopped.
	*w.replica(1, 1) = GroupStatus{Group: 4, Server: "n2.1", State: "leader", Term: 8, Leader: "n2.1", Commit: 6000, Applied: 6000,
		CaughtUp: true, Members: []cluster.ServerID{"n1.1", "n2.1"}}
	*w.replica(2, 1) = GroupStatus{Group: 4, Server: "n3.1", State: "stopped", Term: 9, Leader: "n3.1", Commit: 6000, Applied: 6000, CaughtUp: true}
	w.l.nodes[2].Draining, w.l.nodes[2].Ready = true, false
	seen := w.pass(5)
	if want := map[cluster.GroupID]cluster.NodeID{0: "n1", 4: "n2"}; !maps.Equal(seen.Leaders, want) || !maps.Equal(w.o.leaders, want) {
		t.Errorf("leaders %v", seen.Leaders)
	}
	if !seen.Alive["n1"] || !seen.Alive["n2"] || seen.Alive["n3"] {
		t.Errorf("alive %v", seen.Alive)
	}
	w.l.nodes[0].SlowDisk = true
	if seen = w.pass(0); seen.Alive["n1"] || seen.Leaders[0] != "n1" {
		t.Errorf("with a slow disk n1 is given leaderships, or leads nothing: %v, %v", seen.Alive, seen.Leaders)
	}
	w.l.nodes[1] = Status{Node: "n2", Err: "no answer", Groups: w.l.nodes[1].Groups}
	if seen = w.pass(0); seen.Leaders[4] != "n1" || seen.Alive["n2"] {
		t.Errorf("without n2: leaders %v, alive %v", seen.Leaders, seen.Alive)
	}
}

// TestFullDisksAreGivenNothing, by what each node says of its own marks; where all are full none is worse
// than another, but for one that is slow too.
func TestFullDisksAreGivenNothing(t *testing.T) {
	w := newWatched()
	w.l.nodes[0].Disk.Room, w.l.nodes[1].Disk.Room = RoomLow, RoomFull
	seen := w.pass(0)
	if seen.Unfit["n1"] == "" || seen.Unfit["n2"] == "" || seen.Unfit["n3"] != "" || seen.Alive["n1"] || seen.Alive["n2"] || !seen.Alive["n3"] {
		t.Errorf("two full disks: unfit %v, alive %v", seen.Unfit, seen.Alive)
	}
	w.l.nodes[2].Disk.Room = RoomLow
	if seen = w.pass(0); len(seen.Unfit) != 0 || !seen.Alive["n1"] || !seen.Alive["n2"] || !seen.Alive["n3"] {
		t.Errorf("all disks full: unfit %v, alive %v", seen.Unfit, seen.Alive)
	}
	w.l.nodes[1].SlowDisk = true
	if seen = w.pass(0); len(seen.Unfit) != 1 || seen.Alive["n2"] || !seen.Alive["n3"] {
		t.Errorf("all disks full, one slow: unfit %v, alive %v", seen.Unfit, seen.Alive)
	}
}

// TestCaughtUpTakesAWhile: a replica is trusted when it has been close to its leader for stableFor, and no more after one
// look at which it was not.
func TestCaughtUpTakesAWhile(t *testing.T) {
	w := newWatched()
	for _, r := range []*GroupStatus{w.replica(0, 0), w.replica(1, 0), w.replica(2, 0)} {
		r.Server = cluster.ServerID(r.Server.Node() + ".9") // group 4 keeps the others' ids
		r.Leader = "n1.9"
	}
	only := func(seen planner.Observed) (up []cluster.ServerID) {
		for s, is := range seen.CaughtUp {
			if is {
				up = append(up, s)
			}
		}
		slices.Sort(up)
		return up
	}
	if got := only(w.pass(1)); !slices.Equal(got, []cluster.ServerID{"n1.1", "n1.9"}) {
		t.Fatalf("after a second: %v", got)
	}
	all := []cluster.ServerID{"n1.1", "n1.9", "n2.1", "n2.9", "n3.1", "n3.9"}
	if got := only(w.pass(1)); !slices.Equal(got, all) {
		t.Fatalf("after two: %v", got)
	}
	for name, change := range map[string]func(r *GroupStatus){
		"far behind":         func(r *GroupStatus) { r.Applied = 5000 - behindAtMost - 1 },
		"not read since":     func(r *GroupStatus) { r.CaughtUp = false },
		"stopped":            func(r *GroupStatus) { r.State = "stopped" },
		"fenced":             func(r *GroupStatus) { r.State = "fenced" },
		"group without head": func(r *GroupStatus) { r.Group = 5 },
	} {
		was := *w.replica(2, 1)
		change(w.replica(2, 1))
		if got := only(w.pass(0)); slices.Contains(got, "n3.1") || len(got) != 5 {
			t.Errorf("%s: %v", name, got)
		}
		*w.replica(2, 1) = was
		w.replica(2, 1).Applied = 5000 - behindAtMost
		if got := only(w.pass(1)); slices.Contains(got, "n3.1") {
			t.Errorf("%s, a second ago: %v", name, got)
		}
		if got := only(w.pass(1)); !slices.Equal(got, all) {
			t.Errorf("%s, two seconds ago: %v", name, got)
		}
	}
}

// TestANodeIsSettled when it has run one process with one replica of the system group for a while.
func TestANodeIsSettled(t *testing.T) {
	w := newWatched()
	if seen := w.pass(2); len(seen.System) != 0 {
		t.Fatalf("after two seconds: %v", seen.System)
	}
	seen := w.pass(1)
	if want := map[cluster.NodeID]cluster.ServerID{"n2": "n2.1", "n3": "n3.1"}; !maps.Equal(seen.System, want) {
		t.Fatalf("after three: %v", seen.System)
	}
	for name, change := range map[string]func(){
		"another replica": func() { w.replica(2, 0).Server += "0" },
		"another process": func() { w.l.incarnation["n3"]++ },
		// Both processes of a name are heard again and again; at each look it may be the same one.
		"two processes": func() { w.l.replaced["n3"] = w.l.at.Add(-time.Millisecond) },
		"no answer": func() {
			w.l.nodes[2].Err = "no answer"
			w.pass(0)
			w.l.nodes[2].Err = ""
		},
		"never heard": func() {
			delete(w.l.incarnation, "n3")
			w.pass(0)
			w.l.incarnation["n3"] = 99
		},
	} {
		change()
		if seen = w.pass(2); seen.System["n3"] != "" || seen.System["n2"] == "" {
			t.Errorf("%s: %v", name, seen.System)
		}
		if seen = w.pass(1); seen.System["n3"] != w.replica(2, 0).Server {
			t.Errorf("%s, three seconds ago: %v", name, seen.System)
		}
	}
	w.l.silence = map[cluster.ServerID]time.Duration{"n2.1": settledFor - 1, "n3.1": settledFor}
	if seen = w.pass(0); !seen.Heard["n2.1"] || seen.Heard["n3.1"] {
		t.Errorf("heard: %v", seen.Heard)
	}
}

// TestTwoOfAName: a node that is not let in because its former replica answers is told of once.
func TestTwoOfAName(t *testing.T) {
	w := newWatched()
	m := &placement.Map{Groups: []placement.Group{{ID: cluster.SystemGroup}}}
	for _, s := range []cluster.ServerID{"n1.1", "n2.1", "n3.1"} {
		m.Groups[0].Replicas = append(m.Groups[0].Replicas, placement.Replica{Server: s, State: placement.Created})
	}
	found := func() map[cluster.NodeID]cluster.ServerID {
		seen := w.pass(3)
		return w.o.twice(m, &seen)
	}
	if got := found(); len(got) != 0 {
		t.Fatalf("all is well: %v", got)
	}
	w.replica(2, 0).Server = "n3.2"
	if got := found(); !maps.Equal(got, map[cluster.NodeID]cluster.ServerID{"n3": "n3.1"}) {
		t.Fatalf("n3 twice: %v", got)
	}
	if got := found(); len(got) != 0 {
		t.Fatalf("told again: %v", got)
	}
	w.replica(1, 0).Server = "n2.2"
	w.l.silence["n2.1"] = settledFor
	if got := found(); len(got) != 0 {
		t.Fatalf("n2 lost its replica: %v", got)
	}
	seen := planner.Observed{System: map[cluster.NodeID]cluster.ServerID{"n4": "n4.1"}}
	if got := w.o.twice(&placement.Map{}, &seen); len(got) != 0 {
		t.Fatalf("no system group: %v", got)
	}
	if got := w.o.twice(m, &seen); len(got) != 0 {
		t.Fatalf("a node that has none: %v", got)
	}
}

func TestReplacementsAreRemembered(t *testing.T) {
	var r replacements
	if len(r.all()) != 0 {
		t.Fatal("something was replaced")
	}
	before := time.Now()
	r.note("n2")
	all := r.all()
	r.note("n3")
	if len(all) != 1 || all["n2"].Before(before) || len(r.all()) != 2 {
		t.Errorf("%v, %v", all, r.all())
	}
	var twins replacements
	twins.note("n2")
	both := latest(r.all(), twins.all(), time.Minute)
	if len(both) != 2 || !both["n2"].Equal(twins.all()["n2"].Add(time.Minute)) || !both["n3"].Equal(r.all()["n3"]) {
		t.Errorf("%v", both)
	}
}
