package node

import (
	"context"
	"fmt"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/directory"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/placement/planner"
)

// TestGroupsAreMerged: all mailboxes of one group go to another by themselves, and are what they were; a single one is moved
// back by hand, and the move of one that is there already is refused.
func TestGroupsAreMerged(t *testing.T) {
	if testing.Short() {
		t.Skip("three nodes")
	}
	t.Parallel()
	all, _ := startThree(t)
	b := backend{all["n2"]}
	var people []*directory.Object
	before := map[string]uint64{}
	for i := range 6 {
		o := person(t, all["n1"], fmt.Sprint("p", i))
		people = append(people, o)
		before[o.Address] = sequenceOf(t, all["n3"], o)
	}
	if err := b.MergeGroup(t.Context(), 1, 2); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		counts, err := all["n3"].mailboxCounts(ctx)
		if err == nil && (counts[1] > 0 || counts[2] != len(people)) {
			err = fmt.Errorf("groups have %v mailboxes", counts)
		}
		return err
	})
	for _, o := range people {
		if now := sequenceOf(t, all["n3"], o); now != before[o.Address] {
			t.Errorf("%s had sequence %d, and has %d", o.Address, before[o.Address], now)
		}
		if m, err := b.MailboxMove(t.Context(), o.Address); err != nil || m.Group != 2 {
			t.Errorf("%s is at %+v, %v", o.Address, m, err)
		}
	}
	one := people[0].Address
	if _, err := b.MoveMailbox(t.Context(), one, "1"); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("moved into a group that is merged: %v", err)
	}
	if err := b.MergeGroup(t.Context(), 1, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := b.MoveMailbox(t.Context(), one, "2"); cluster.KindOf(err) != cluster.KindExists {
		t.Errorf("moved to where it is: %v", err)
	}
	if m, err := b.MoveMailbox(t.Context(), one, "1"); err != nil || m.To != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		m, err := b.MailboxMove(ctx, one)
		if err == nil && (m.State != admin.MoveNone || m.Group != 1) {
			err = fmt.Errorf("the move is %+v", m)
		}
		return err
	})
	if now := sequenceOf(t, all["n1"], people[0]); now != before[one] {
		t.Errorf("after it came back it has sequence %d", now)
	}
	if moves, err := b.Moves(t.Context()); err != nil || len(moves) > 0 {
		t.Errorf("moves %+v, %v", moves, err)
	}
	if box, err := all["n1"].chooseShifted(t.Context(), &planner.Shift{From: 1, To: 2, Bytes: 1}); err != nil || box != people[0].Mailbox {
		t.Errorf("of group 1 goes %v, %v", box, err)
	}
}

func sequenceOf(t *testing.T, n *Node, o *directory.Object) uint64 {
	t.Helper()
	info, err := exmdb.Do(t.Context(), n.mail, exmdb.System, o.Mailbox, exmdb.OpMailboxInfo, &exmdb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	return info.Sequence
}
