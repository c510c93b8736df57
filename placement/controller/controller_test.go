package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/planner"
	"github.com/flotilla-mail/flotilla/placement/store"
	"pgregory.net/rapid"
)

// system makes the placement space on a replica without Raft, with nodes n1 to n<nodes> registered and the system group
// adopted.
func system(t testing.TB, nodes int) (rep *space.LocalReplica, end func()) {
	t.Helper()
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	if rep, err = space.NewLocalReplica(db, space.Config{}); err != nil {
		t.Fatal(err)
	}
	_, err = rep.Create(context.Background(), store.Space, 1, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		g := placement.Group{ID: cluster.SystemGroup}
		policy := placement.DefaultPolicy()
		policy.Groups = 3
		err := errors.Join(store.Init(w, placement.FirstLevel), store.InitPolicy(w, policy))
		for i := range nodes {
			id := cluster.NodeID(fmt.Sprintf("n%d", i+1))
			err = errors.Join(err, store.PutNode(w, placement.NodeState{ID: id, Roles: placement.RoleStore}))
			g.Replicas = append(g.Replicas, placement.Replica{Server: cluster.NewServerID(id, 1), Suffrage: placement.Voter,
				State: placement.Created, Initial: true})
		}
		return nil, errors.Join(err, store.AdoptGroup(w, g))
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep, func() {
		if err := errors.Join(rep.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

// fleet is a cluster that does what it is told, or fails to: group memberships as Raft would have them, and nodes that
// make the data the map asks for.
type fleet struct {
	t   testing.TB
	rep *space.LocalReplica
	// votes are the members of each group; true is a voter.
	votes   map[cluster.GroupID]map[cluster.ServerID]bool
	leaders map[cluster.GroupID]cluster.NodeID
	// system is the replica of the system group each node runs; the others are silent.
	system      map[cluster.NodeID]cluster.ServerID
	incarnation uint64
	// drained are the nodes that serve no clients.
	drained map[cluster.NodeID]bool
	// fails decides what becomes of a call; nil lets all through.
	fails func(call string) fate
	calls []string
}

// fate is what happens to a call.
type fate int

const (
	done       fate = iota
	refused         // nothing is done
	unanswered      // it is done, and its answer is lost
)

func newFleet(t testing.TB, nodes int) (*fleet, func()) {
	rep, end := system(t, nodes)
	f := &fleet{t: t, rep: rep, votes: map[cluster.GroupID]map[cluster.ServerID]bool{},
		leaders: map[cluster.GroupID]cluster.NodeID{}, system: map[cluster.NodeID]cluster.ServerID{}, drained: map[cluster.NodeID]bool{}, incarnation: 1000}
	for _, r := range f.load().Group(cluster.SystemGroup).Replicas {
		f.member(cluster.SystemGroup, r.Server, true)
		f.system[r.Server.Node()] = r.Server
	}
	f.leaders[cluster.SystemGroup] = "n1"
	return f, end
}

func (f *fleet) load() (m *placement.Map) {
	f.t.Helper()
	err := f.rep.View(context.Background(), store.Space, space.ReadLocal, func(r space.Reader) (err error) {
		m, err = store.Load(r)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

func (f *fleet) update(fn func(w space.Writer) error) {
	f.t.Helper()
	_, err := f.rep.Update(context.Background(), store.Space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return nil, fn(w)
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) member(g cluster.GroupID, s cluster.ServerID, votes bool) {
	if f.votes[g] == nil {
		f.votes[g] = map[cluster.ServerID]bool{}
	}
	f.votes[g][s] = votes
}

// nodes lets the nodes make what is assigned to them, and new groups begin.
func (f *fleet) nodes() {
	m := f.load()
	for i := range m.Groups {
		g := &m.Groups[i]
		for _, r := range g.Replicas {
			if r.State != placement.Assigned {
				continue
			}
			f.incarnation++
			actual := cluster.NewServerID(r.Server.Node(), f.incarnation)
			f.update(func(w space.Writer) error {
				return store.SetReplicaState(w, &store.ReplicaStateRequest{Group: g.ID, Server: r.Server,
					State: placement.Created, Actual: actual})
			})
			if r.Initial {
				f.member(g.ID, actual, true)
				f.leaders[g.ID] = actual.Node()
			}
		}
	}
}

// lose damages the replica of a group on a node, which is not its leader's.
func (f *fleet) lose(g *placement.Group, node cluster.NodeID) {
	if g.ID == cluster.SystemGroup {
		f.incarnation++
		f.system[node] = cluster.NewServerID(node, f.incarnation)
		return
	}
	f.update(func(w space.Writer) error {
		return store.SetReplicaState(w, &store.ReplicaStateRequest{Group: g.ID, Server: g.Replica(node).Server, State: placement.Lost})
	})
}

// Observe implements Cluster.
func (f *fleet) Observe(context.Context) (planner.Observed, error) {
	seen := planner.Observed{Alive: map[cluster.NodeID]bool{}, Leaders: map[cluster.GroupID]cluster.NodeID{},
		Members: map[cluster.ServerID]bool{}, Voting: map[cluster.ServerID]bool{}, CaughtUp: map[cluster.ServerID]bool{},
		System: map[cluster.NodeID]cluster.ServerID{}, Heard: map[cluster.ServerID]bool{}, Serves: map[cluster.NodeID]bool{}, Holds: map[cluster.NodeID]int{}}
	m := f.load()
	for i := range m.Nodes {
		seen.Alive[m.Nodes[i].ID], seen.Serves[m.Nodes[i].ID] = true, !f.drained[m.Nodes[i].ID]
	}
	for node, s := range f.system {
		seen.System[node], seen.Heard[s] = s, true
	}
	for id, leader := range f.leaders {
		seen.Leaders[id] = leader
		for s, votes := range f.votes[id] {
			r := m.Group(id).Server(s)
			seen.Members[s], seen.Voting[s] = true, votes
			seen.CaughtUp[s] = r != nil && r.State == placement.Created &&
				(id != cluster.SystemGroup || f.system[s.Node()] == s)
		}
	}
	if f.call("observe", func() {}) != nil {
		return seen, errors.New("nobody answers")
	}
	return seen, nil
}

// call does something, or not.
func (f *fleet) call(what string, do func()) error {
	f.calls = append(f.calls, what)
	fate := done
	if f.fails != nil {
		fate = f.fails(what)
	}
	if fate != refused {
		do()
	}
	if fate != done {
		return fmt.Errorf("%s: %w", what, cluster.ErrUnknownOutcome)
	}
	return nil
}

// Transfer implements Cluster.
func (f *fleet) Transfer(_ context.Context, g cluster.GroupID, from, to cluster.NodeID) error {
	return f.call(fmt.Sprintf("transfer %d", g), func() {
		if f.leaders[g] == from {
			f.leaders[g] = to
		}
	})
}

// AddLearner implements Cluster.
func (f *fleet) AddLearner(_ context.Context, g cluster.GroupID, s cluster.ServerID) error {
	if r := f.load().Group(g).Server(s); r == nil || r.State != placement.Created {
		f.t.Errorf("group %d: %s joins before the map says that it is made: %v", g, s, r)
	}
	return f.call(fmt.Sprintf("add %d", g), func() {
		if _, there := f.votes[g][s]; !there {
			f.member(g, s, false)
		}
	})
}

// Promote implements Cluster.
func (f *fleet) Promote(_ context.Context, g cluster.GroupID, s cluster.ServerID) error {
	return f.call(fmt.Sprintf("promote %d", g), func() { f.member(g, s, true) })
}

// Demote implements Cluster.
func (f *fleet) Demote(_ context.Context, g cluster.GroupID, s cluster.ServerID) error {
	return f.call(fmt.Sprintf("demote %d", g), func() { f.member(g, s, false) })
}

// Remove implements Cluster.
func (f *fleet) Remove(_ context.Context, g cluster.GroupID, s cluster.ServerID) error {
	if f.leaders[g] == s.Node() {
		f.t.Errorf("group %d: its leader's replica %s is removed", g, s)
	}
	if r := f.load().Group(g).Server(s); r == nil {
		f.t.Errorf("group %d: %s is removed, which the map does not know", g, s)
	}
	return f.call(fmt.Sprintf("remove %d", g), func() { delete(f.votes[g], s) })
}

// Drain implements Cluster.
func (f *fleet) Drain(_ context.Context, node cluster.NodeID) error {
	return f.call(fmt.Sprintf("drain %s", node), func() { f.drained[node] = true })
}

// quorums checks that every group can still commit: more than half of its voters are not lost.
func (f *fleet) quorums() error {
	m := f.load()
	for id, members := range f.votes {
		live, all := 0, 0
		for s, votes := range members {
			if !votes {
				continue
			}
			all++
			if r := m.Group(id).Server(s); r != nil && r.State == placement.Created && (id != cluster.SystemGroup || f.system[s.Node()] == s) {
				live++
			}
		}
		if live*2 <= all || all > 3 {
			return fmt.Errorf("group %d: %d of %d voters live", id, live, all)
		}
	}
	return nil
}

// sound checks that map and memberships say the same, with three voters everywhere and no lost replica.
func (f *fleet) sound() error {
	m := f.load()
	for i := range m.Groups {
		g := &m.Groups[i]
		if len(g.Replicas) != 3 || len(f.votes[g.ID]) != 3 {
			return fmt.Errorf("group %d: map %v, members %v", g.ID, g.Replicas, f.votes[g.ID])
		}
		for _, r := range g.Replicas {
			runs := g.ID != cluster.SystemGroup || f.system[r.Server.Node()] == r.Server
			if !runs || r.State != placement.Created || r.Suffrage != placement.Voter || !f.votes[g.ID][r.Server] {
				return fmt.Errorf("group %d: replica %v, members %v", g.ID, r, f.votes[g.ID])
			}
		}
	}
	return f.quorums()
}

// flaky is the map, as the controller changes it: its updates can fail as calls can.
type flaky struct{ f *fleet }

// Update implements System.
func (s flaky) Update(ctx context.Context, id cluster.SpaceID, req cluster.RequestID, fn space.UpdateFunc) (answer []byte, err error) {
	var own error
	err = s.f.call("map", func() { answer, own = s.f.rep.Update(ctx, id, req, fn) })
	if own != nil {
		err = own
	}
	return answer, err
}

// View implements System.
func (s flaky) View(ctx context.Context, id cluster.SpaceID, mode space.ReadMode, fn space.ViewFunc) error {
	return s.f.rep.View(ctx, id, mode, fn)
}

func (f *fleet) controller() *Controller {
	return New(flaky{f}, f, Events{}, time.Hour)
}

// run lets controller and nodes work until neither has anything to do. Now and then another controller takes over.
func (f *fleet) run() error {
	c := f.controller()
	for n := 0; n < 2000; n++ {
		again, _ := c.Once(context.Background()) // what failed is planned again
		f.nodes()
		if err := f.quorums(); err != nil {
			return err
		}
		if !again && f.sound() == nil {
			return nil
		}
		if n%7 == 6 {
			c = f.controller()
		}
	}
	return fmt.Errorf("no end: %w", f.sound())
}

// TestItHealsThroughFailures: whatever call fails, is done without an answer, or is the last of a controller, the map and
// the groups end sound and never lose their quorum on the way.
func TestItHealsThroughFailures(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f, end := newFleet(t, 3)
		defer end()
		if err := f.run(); err != nil {
			rt.Fatal(err)
		}
		f.fails = func(call string) fate { return fate(max(0, rapid.IntRange(-3, 2).Draw(rt, call))) }
		for range rapid.IntRange(1, 3).Draw(rt, "rounds") {
			m := f.load()
			for i := range m.Groups {
				g := &m.Groups[i]
				nodes := slices.DeleteFunc([]cluster.NodeID{"n1", "n2", "n3"}, func(n cluster.NodeID) bool { return n == f.leaders[g.ID] })
				if rapid.Bool().Draw(rt, "lose") {
					f.lose(g, rapid.SampledFrom(nodes).Draw(rt, "node"))
				}
			}
			if err := f.run(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

// TestAStepThatFailsDoesNotHoldUpOthers: group 1 takes no new member; the others are healed meanwhile, and it is when it
// does.
func TestAStepThatFailsDoesNotHoldUpOthers(t *testing.T) {
	f, end := newFleet(t, 3)
	defer end()
	if err := f.run(); err != nil {
		t.Fatal(err)
	}
	m := f.load()
	for i := range m.Groups {
		g := &m.Groups[i]
		for _, n := range []cluster.NodeID{"n1", "n2", "n3"} {
			if n != f.leaders[g.ID] {
				f.lose(g, n)
				break
			}
		}
	}
	f.fails = func(call string) fate {
		if call == "add 1" {
			return refused
		}
		return done
	}
	c := f.controller()
	for range 100 {
		if _, err := c.Once(t.Context()); err != nil && !strings.Contains(err.Error(), "add 1") {
			t.Fatal(err)
		}
		f.nodes()
	}
	for _, g := range f.load().Groups {
		if lost := slices.ContainsFunc(g.Replicas, func(r placement.Replica) bool { return r.State == placement.Lost }); lost != (g.ID == 1) {
			t.Errorf("group %d: %v", g.ID, g.Replicas)
		}
	}
	f.fails = nil
	if err := f.run(); err != nil {
		t.Fatal(err)
	}
}

// TestARemovedNodeIsDrainedFirst: its clients are sent away before it loses the system group. A node that cannot be drained is
// removed all the same.
func TestARemovedNodeIsDrainedFirst(t *testing.T) {
	for _, drains := range []fate{done, refused} {
		f, end := newFleet(t, 4)
		f.update(func(w space.Writer) error {
			return store.SetNodeStatus(w, &store.NodeStatusRequest{Node: "n4", Status: placement.Removing})
		})
		f.fails = func(call string) fate {
			if call == "drain n4" {
				return drains
			}
			return done
		}
		c := f.controller()
		for n := 0; f.load().Node("n4").Status != placement.Removed; n++ {
			if n == 100 {
				t.Fatalf("n4 is not removed: %q", f.calls)
			}
			_, _ = c.Once(t.Context()) // the drain may fail
		}
		drained, removed := slices.Index(f.calls, "drain n4"), slices.Index(f.calls, "remove 0")
		if drained < 0 || removed < drained || f.drained["n4"] != (drains == done) {
			t.Errorf("%v: %q", drains, f.calls)
		}
		end()
	}
}

// TestAChangedMapIsPlannedAnew: another writer came first; that is no failure.
func TestAChangedMapIsPlannedAnew(t *testing.T) {
	f, end := newFleet(t, 3)
	defer end()
	raced := false
	f.fails = func(call string) fate {
		if call == "map" && !raced {
			raced = true
			f.update(func(w space.Writer) error {
				return store.CreateGroup(w, placement.Group{ID: 1}, []cluster.ServerID{"n1.5"})
			})
		}
		return done
	}
	var steps []string
	c := f.controller()
	c.Events.Step = func(step planner.Step, _ time.Duration, err error) {
		steps = append(steps, fmt.Sprintf("%s: %v", step, err))
	}
	again, err := c.Once(t.Context())
	if !again || err != nil || len(steps) != 1 || !strings.Contains(steps[0], store.ErrConflict.Error()) {
		t.Fatalf("%v, %v, %q", again, err, steps)
	}
	if again, err = c.Once(t.Context()); !again || err != nil || !strings.HasPrefix(steps[1], "create group 2 ") {
		t.Fatalf("%v, %v, %q", again, err, steps)
	}
}

// TestRunGoesOnUntilItsTermEnds: it works while there is something to do, looks again after a pause, and outlives a
// cluster that does not answer.
func TestRunGoesOnUntilItsTermEnds(t *testing.T) {
	f, end := newFleet(t, 3)
	defer end()
	var silent atomic.Bool
	silent.Store(true)
	f.fails = func(call string) fate {
		if call == "observe" && silent.Load() {
			return refused
		}
		return done
	}
	told := make(chan string, 100)
	c := f.controller()
	c.Every = time.Millisecond
	c.Events.Step = func(step planner.Step, _ time.Duration, err error) { told <- fmt.Sprintf("%s: %v", step, err) }
	c.Events.Look = func(err error) { told <- fmt.Sprint(err) }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Run(ctx)
	}()
	want := func(prefix string) {
		t.Helper()
		late := time.NewTimer(30 * time.Second)
		defer late.Stop()
		for {
			select {
			case got := <-told:
				if strings.HasPrefix(got, prefix) {
					return
				}
			case <-late.C:
				t.Fatalf("not told: %s", prefix)
			}
		}
	}
	want("observe: nobody answers")
	silent.Store(false)
	for id := 1; id <= 3; id++ {
		want(fmt.Sprintf("create group %d on [n1 n2 n3]: <nil>", id))
	}
	cancel()
	<-ended
}
