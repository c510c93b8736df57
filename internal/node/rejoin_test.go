package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

const patience = 2 * time.Minute

// startThree runs three nodes in this process, with two mailbox groups, until they are ready.
func startThree(t *testing.T) (all map[cluster.NodeID]*Node, logs map[cluster.NodeID]*testkit.Log) {
	t.Helper()
	return startThreeWith(t, func(*Config) {})
}

// startThreeWith does so with nodes set up in another way.
func startThreeWith(t *testing.T, tune func(*Config)) (all map[cluster.NodeID]*Node, logs map[cluster.NodeID]*testkit.Log) {
	t.Helper()
	secret, err := NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	hosts := map[string]string{"n1": "127.0.0.1", "n2": "127.0.0.2", "n3": "127.0.0.3"}
	address := map[string]string{}
	for _, name := range []string{"n1", "n2", "n3"} {
		address[name] = fmt.Sprintf("%s:%d", hosts[name], testkit.FreePort(t, hosts[name]))
		names = append(names, name+"="+address[name])
	}
	all, logs = map[cluster.NodeID]*Node{}, map[cluster.NodeID]*testkit.Log{}
	started := make(chan error, len(names))
	for name, host := range hosts {
		cfg := Defaults()
		cfg.Node, cfg.External, cfg.Dir, cfg.Zone = name, host, t.TempDir(), name
		cfg.Nodes, cfg.Groups, cfg.Domains = names, 2, []string{"example.test"}
		cfg.Disk = Disk{Low: 2, Full: 1, Ballast: 1 << 20} // how full this machine's disk is says nothing here
		cfg.Listen = Listen{Node: address[name], Gossip: fmt.Sprintf("%s:%d", host, testkit.FreePort(t, host))}
		tune(&cfg)
		if err := Setup(cfg, secret, cfg.path("flotilla.toml")); err != nil {
			t.Fatal(err)
		}
		log := testkit.NewLog(t, name)
		n, err := New(cfg, slog.New(slog.NewTextHandler(log, nil)), func(code int) { t.Errorf("%s exits with %d", name, code) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := all[n.self].Stop(ctx); err != nil {
				t.Errorf("stop %s: %v", name, err)
			}
		})
		all[n.self], logs[n.self] = n, log
		go func() { started <- n.Start(t.Context()) }()
	}
	for range names {
		if err := <-started; err != nil {
			t.Fatal(err)
		}
	}
	return all, logs
}

// pair is a node that leads a group, and one that does not.
func pair(t *testing.T, all map[cluster.NodeID]*Node, id cluster.GroupID) (leader, follower *Node) {
	t.Helper()
	testkit.Eventually(t, patience, func(context.Context) error {
		leader = all[all["n1"].view.Leader(id).Node]
		if leader == nil {
			return fmt.Errorf("nobody leads group %d", id)
		}
		return nil
	})
	for _, n := range all {
		if n != leader {
			follower = n
		}
	}
	return leader, follower
}

// whole waits until a group has three voters that run, of which the one on a node has another id than before, or the
// same.
func whole(t *testing.T, all map[cluster.NodeID]*Node, id cluster.GroupID, n *Node, before cluster.ServerID, fresh bool) {
	t.Helper()
	testkit.Eventually(t, patience, func(context.Context) error {
		for _, at := range all {
			g := at.view.Map().Group(id)
			if g == nil || len(g.Replicas) != 3 {
				return fmt.Errorf("%s sees %+v", at.self, g)
			}
			for _, r := range g.Replicas {
				if r.Suffrage != placement.Voter || r.State != placement.Created {
					return fmt.Errorf("%s sees %+v", at.self, g)
				}
			}
			open := at.storage.host.Group(id)
			if open == nil {
				return fmt.Errorf("%s does not run group %d", at.self, id)
			}
			if open.Self() != g.Replica(at.self).Server || len(open.Members()) != 3 || !open.Stats().CaughtUp {
				return fmt.Errorf("%s runs %s with %v, caught up %v", at.self, open.Self(), open.Members(), open.Stats().CaughtUp)
			}
			if !at.ready.Load() {
				return fmt.Errorf("%s is not ready", at.self)
			}
		}
		if now := all["n1"].view.Map().Group(id).Replica(n.self).Server; fresh == (now == before) {
			return fmt.Errorf("%s had %s and has %s", n.self, before, now)
		}
		return nil
	})
}

// TestWhoIsReadyTakesPart: a node that says it is ready may be what the next one to go down leaves its groups to.
func TestWhoIsReadyTakesPart(t *testing.T) {
	all, logs := startThree(t)
	before := all["n2"]
	for _, id := range []cluster.GroupID{1, 2} {
		whole(t, all, id, before, before.storage.host.Group(id).Self(), false)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := before.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	again, err := New(before.cfg, slog.New(slog.NewTextHandler(logs["n2"], nil)), func(code int) { t.Errorf("n2 exits with %d", code) })
	if err != nil {
		t.Fatal(err)
	}
	all["n2"] = again
	again.storage.faults.Cut("n3", transport.Both) // so that it waits for the word of n3
	if err := again.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if part, want := again.takePart(again.view.Map()); want != 3 || part != want {
		t.Errorf("n2 is ready, and %d of its %d replicas take part; it has 3", part, want)
	}
}

// TestReplicasComeBackWhileNodesRun: damage that is met at work, and a replica that stops, of a mailbox group and of the system
// group, where it leads and where it follows.
func TestReplicasComeBackWhileNodesRun(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for half a minute")
	}
	t.Parallel()
	all, logs := startThree(t)
	for _, tt := range []struct {
		name   string
		leader bool
		fresh  bool
		harm   func(t *testing.T, n *Node, id cluster.GroupID)
	}{
		{"it stops", false, false, func(t *testing.T, n *Node, id cluster.GroupID) {
			if err := n.storage.host.CloseGroup(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}},
		{"its data is gone", false, true, func(t *testing.T, n *Node, id cluster.GroupID) {
			err := n.storage.host.CloseGroup(t.Context(), id)
			if err = errors.Join(err, os.RemoveAll(n.cfg.path("groups", fmt.Sprintf("g%d", id)))); err != nil {
				t.Fatal(err)
			}
		}},
		{"its state is damaged", false, true, func(_ *testing.T, n *Node, id cluster.GroupID) {
			n.fenced(id, fmt.Errorf("apply: %w", lsm.ErrCorrupt))
		}},
		{"it leads, and its log is damaged", true, true, func(_ *testing.T, n *Node, id cluster.GroupID) {
			n.damages.note(id, cluster.ErrDamaged)
			n.poke()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, id := range []cluster.GroupID{1, cluster.SystemGroup} {
				t.Run(fmt.Sprintf("group %d", id), func(t *testing.T) {
					t.Parallel()
					leader, n := pair(t, all, id)
					if tt.leader {
						n = leader
					}
					before := n.storage.host.Group(id).Self()
					read := len(logs[n.self].String())
					tt.harm(t, n, id)
					whole(t, all, id, n, before, tt.fresh)
					told := strings.Count(logs[n.self].String()[read:], "code=FL-1010 group=1 ")
					if tt.fresh && id == 1 && told != 1 {
						t.Errorf("%d replicas were given up, of which one was harmed", told)
					}
				})
			}
		})
	}
}

// TestReplicasThatOthersRemovedComeBack: of the system group, and of a mailbox group that gives the place away again at once.
func TestReplicasThatOthersRemovedComeBack(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for half a minute")
	}
	t.Parallel()
	all, _ := startThree(t)
	t.Run("the others go on without it", func(t *testing.T) {
		leader, n := pair(t, all, cluster.SystemGroup)
		before := n.storage.host.Group(cluster.SystemGroup).Self()
		if err := leader.storage.host.Group(cluster.SystemGroup).Remove(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		whole(t, all, cluster.SystemGroup, n, before, true)
	})
	t.Run("it is taken away and given back at once", func(t *testing.T) {
		leader, n := pair(t, all, 1)
		before := n.storage.host.Group(1).Self()
		if err := leader.storage.host.Group(1).Remove(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		system, _ := pair(t, all, cluster.SystemGroup)
		_, err := system.storage.host.Group(cluster.SystemGroup).Replica().Update(t.Context(), store.Space, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
			next := placement.Replica{Server: cluster.NewServerID(n.self, 7), Cause: placement.CauseShort}
			return nil, errors.Join(store.RemoveReplica(w, 1, before), store.AddReplica(w, 1, next))
		})
		if err != nil && !errors.Is(err, store.ErrConflict) { // the controller may have been first
			t.Fatal(err)
		}
		whole(t, all, 1, n, before, true)
	})
}
