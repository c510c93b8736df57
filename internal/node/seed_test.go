package node

import (
	"errors"
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/view"
)

func TestSeedsComeFromFollowersFirst(t *testing.T) {
	replica := func(node string, s placement.ReplicaState) placement.Replica {
		return placement.Replica{Server: cluster.NewServerID(cluster.NodeID(node), 1), State: s}
	}
	n := &Node{self: "n3"}
	n.view = view.New(systemReplica{n})
	k := &keeper{n: n, seeds: map[cluster.GroupID]*seedRun{}, made: map[cluster.GroupID]cluster.ServerID{}}
	g := &placement.Group{ID: 4, Replicas: []placement.Replica{replica("n1", placement.Created), replica("n2", placement.Created),
		replica("n3", placement.Assigned), replica("n4", placement.Lost), replica("n5", placement.Assigned)}}
	n.view.Learn(4, 7, "n1")
	if got := k.seedSources(g); !slices.Equal(got, []cluster.NodeID{"n2", "n1"}) {
		t.Errorf("sources %v", got)
	}
	if ready, err := k.seed(t.Context(), g, &placement.Replica{Initial: true}); !ready || err != nil {
		t.Errorf("the first replica of a group waits for a seed: %v", err)
	}
	alone := &placement.Group{ID: 4, Replicas: []placement.Replica{replica("n3", placement.Assigned)}}
	if ready, err := k.seed(t.Context(), alone, &alone.Replicas[0]); !ready || err != nil {
		t.Errorf("a replica without others waits for a seed: %v", err)
	}
	failed := make(chan struct{})
	close(failed)
	for i := range seedTries {
		run := k.seeds[4]
		if run == nil {
			run = new(seedRun)
			k.seeds[4] = run
		}
		run.done, run.err = failed, cluster.ErrUnavailable
		ready, err := k.seed(t.Context(), g, &g.Replicas[2])
		if last := i == seedTries-1; ready != last || !last && !errors.Is(err, cluster.ErrUnavailable) || last && err != nil {
			t.Errorf("failure %d: %v, %v", i+1, ready, err)
		}
	}
}

func TestSeedsAreShown(t *testing.T) {
	open := []GroupStatus{{Group: 1, State: "fenced"}, {Group: 2, State: "leader"}}
	got := showSeeds(open, []group.SeedProgress{{Group: 1, Bytes: 1}, {Group: 3, From: "n2", Bytes: 5, Total: 9}})
	if len(got) != 3 || got[2].Group != 3 || got[2].Seeded != 5 || got[2].SeedTotal != 9 || got[2].runs() || got[0].State != "fenced" {
		t.Errorf("%+v", got)
	}
}
