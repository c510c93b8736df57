package node

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/mailflow/queue"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// TestMailboxesThatNothingLeadsToAreDeleted: of two who make a user of one address at a time one is refused, and of his mailbox
// nothing is left; nor of one whose user is removed with it.
func TestMailboxesThatNothingLeadsToAreDeleted(t *testing.T) {
	if testing.Short() {
		t.Skip("runs three nodes")
	}
	t.Parallel()
	all, _ := startThree(t)
	person(t, all["n1"], "first") // until there is one, groups may not be ready
	for round := range 3 {
		address := fmt.Sprintf("race%d@example.test", round)
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i, name := range []cluster.NodeID{"n1", "n2", "n3"} {
			wg.Go(func() {
				_, errs[i] = backend{all[name]}.AddObject(t.Context(), admin.NewObject{Kind: "user", Address: address})
			})
		}
		wg.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			} else if cluster.KindOf(err) != exmdb.KindExists {
				t.Errorf("%s: %v", address, err)
			}
		}
		if made != 1 {
			t.Errorf("%s was made %d times: %v", address, made, errs)
		}
	}
	gone := person(t, all["n1"], "gone")
	if err := (backend{all["n2"]}).RemoveObject(t.Context(), gone.Address, true); err != nil {
		t.Fatal(err)
	}
	living := map[mapi.MailboxID]bool{}
	people, err := all["n1"].people.Objects(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range people {
		living[o.Mailbox] = true
	}
	if len(living) != 4 || living[gone.Mailbox] {
		t.Errorf("%d people have mailboxes", len(living))
	}
	// With its last step the mailbox has no place any more, and its group has dropped it, though another leads by then.
	for id := range cluster.GroupID(2) {
		handOver(t, all, id+1)
	}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		return all["n3"].storage.host.Group(cluster.SystemGroup).Replica().View(ctx, store.Space, space.ReadIndex, func(r space.Reader) error {
			p, placed, err := store.Lookup(r, cluster.SpaceID(gone.Mailbox))
			if err == nil && placed {
				err = fmt.Errorf("mailbox %v is in %+v", gone.Mailbox, p)
			}
			return err
		})
	})
	for _, box := range placedBoxes(t, all["n1"]) {
		_, err := exmdb.Do(t.Context(), all["n1"].mail, exmdb.System, box, exmdb.OpMailboxInfo, &exmdb.Empty{})
		if alive := err == nil; alive != living[box] || err != nil && cluster.KindOf(err) != exmdb.KindNoMailbox {
			t.Errorf("mailbox %v, which somebody has: %v; %v", box, living[box], err)
		}
	}
}

// placedBoxes are the mailboxes that any group has.
func placedBoxes(t *testing.T, n *Node) (boxes []mapi.MailboxID) {
	t.Helper()
	for _, g := range n.storage.host.Groups() {
		if g.ID() == cluster.SystemGroup {
			continue
		}
		spaces, err := g.Replica().Spaces()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range spaces {
			if _, ofQueue := queue.GroupOf(s.ID); !ofQueue {
				boxes = append(boxes, mapi.MailboxID(s.ID))
			}
		}
	}
	return boxes
}
