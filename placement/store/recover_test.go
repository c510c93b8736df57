package store

import (
	"slices"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
)

func TestRecoveredGroupHasOneVoter(t *testing.T) {
	b, end := newBoard(t)
	defer end()
	b.do(func(w space.Writer) error {
		return CreateGroup(w, placement.Group{ID: 3}, []cluster.ServerID{"n1.1", "n2.1", "n3.1"})
	})
	recover := func(server cluster.ServerID, epoch uint32) error {
		return b.try(func(w space.Writer) error {
			return RecoverGroup(w, &Recovery{Group: 3, Server: server, Epoch: epoch, Index: 7})
		})
	}
	for range 2 { // the second is the answer that was lost
		if err := recover("n3.5", 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := recover("n2.5", 1); cluster.KindOf(err) != cluster.KindUnsafe {
		t.Errorf("another survivor in the same epoch: %v", err)
	}
	b.refused(func(w space.Writer) error { return RecoverGroup(w, &Recovery{Group: 9, Server: "n3.5", Epoch: 1}) })
	b.view(func(r space.Reader) error {
		g, err := getGroup(r, 3)
		if err != nil {
			return err
		}
		if g.RecoveryEpoch != 1 || len(g.Replicas) != 3 || g.Server("n3.1") != nil || g.Replica("n3").State != placement.Created ||
			g.Replica("n3").Suffrage != placement.Voter {
			t.Errorf("%+v", g)
		}
		for _, old := range []cluster.ServerID{"n1.1", "n2.1"} {
			if r := g.Server(old); r == nil || r.State != placement.Lost || r.Suffrage != placement.Nonvoter {
				t.Errorf("%s: %+v", old, r)
			}
		}
		all, err := Recoveries(r)
		if len(all) != 1 || all[0].Server != "n3.5" || all[0].At.IsZero() || !slices.Equal(all[0].Dropped, []cluster.ServerID{"n1.1", "n2.1", "n3.1"}) {
			t.Errorf("audit: %+v", all)
		}
		return err
	})
}
