package node

import (
	"context"
	"fmt"
	"maps"
	"strings"
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

// TestRulesMoveMailboxes: a rule for a domain has its mailboxes moved, live and one after the other, to a group that is made for
// it; the plan and the explanations tell of it. Into another group they cannot be moved by hand. Without the rule they go back.
func TestRulesMoveMailboxes(t *testing.T) {
	if testing.Short() {
		t.Skip("three nodes")
	}
	t.Parallel()
	all, _ := startThreeWith(t, func(c *Config) { c.DC = "fra" })
	b := backend{all["n2"]}
	var people []*directory.Object
	for i := range 3 {
		people = append(people, person(t, all["n1"], fmt.Sprint("r", i)))
	}
	lives := func(what string, want map[cluster.GroupID]int) {
		t.Helper()
		testkit.Eventually(t, patience, func(ctx context.Context) error {
			counts, err := all["n3"].mailboxCounts(ctx)
			if err == nil && !maps.Equal(nonzero(counts), want) {
				err = fmt.Errorf("%s: groups have %v mailboxes", what, counts)
			}
			return err
		})
	}
	lives("at first", map[cluster.GroupID]int{1: 2, 2: 1})
	if _, err := b.SetPolicy(t.Context(), admin.PolicyChange{Domain: "example.test", Pairs: []string{"home=fra"}}); err != nil {
		t.Fatal(err)
	}
	saw := map[string]bool{}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		plan, err := b.Plan(ctx)
		if err != nil {
			return err
		}
		for _, step := range []string{"create group 3", "move mailbox ", "the rule for example.test asks for home fra"} {
			saw[step] = saw[step] || strings.Contains(fmt.Sprintf("%s", plan), step)
		}
		counts, err := all["n3"].mailboxCounts(ctx)
		if err == nil && counts[3] < 1 {
			err = fmt.Errorf("groups have %v mailboxes", counts)
		}
		return err
	})
	lives("with the rule", map[cluster.GroupID]int{3: 3})
	for _, step := range []string{"move mailbox ", "the rule for example.test asks for home fra"} {
		if !saw[step] {
			t.Errorf("no plan says %q", step)
		}
	}
	if _, err := b.MoveMailbox(t.Context(), people[0].Address, "1"); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("moved by hand to where the rule would not have it: %v", err)
	}
	if err := b.MergeGroup(t.Context(), 3, 1); cluster.KindOf(err) != cluster.KindBadRequest {
		t.Errorf("merged into a group for something else: %v", err)
	}
	testkit.Eventually(t, patience, func(ctx context.Context) error { // who leads the system group now has looked at the cluster
		a, err := b.ExplainMailbox(ctx, people[0].Address)
		if err == nil && !strings.Contains(a.(*mailboxShown).Why, "asks for home fra, and it went") {
			err = fmt.Errorf("explained as %+v", a)
		}
		return err
	})
	if _, err := b.SetPolicy(t.Context(), admin.PolicyChange{Domain: "example.test", Remove: true}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func(ctx context.Context) error {
		counts, err := all["n3"].mailboxCounts(ctx)
		if err == nil && (counts[3] > 0 || counts[1]+counts[2] != len(people)) {
			err = fmt.Errorf("without the rule groups have %v mailboxes", counts)
		}
		return err
	})
	for _, o := range people {
		sequenceOf(t, all["n3"], o)
	}
}

func nonzero(counts map[cluster.GroupID]int) map[cluster.GroupID]int {
	maps.DeleteFunc(counts, func(_ cluster.GroupID, n int) bool { return n == 0 })
	return counts
}

// TestBusiest chooses what does most and not too much.
func TestBusiest(t *testing.T) {
	id := func(n byte) cluster.SpaceID { return cluster.SpaceID{n} }
	was := map[cluster.SpaceID]uint64{id(1): 10, id(2): 10, id(3): 10, id(4): 10, id(6): 10}
	now := map[cluster.SpaceID]uint64{id(1): 10, id(2): 30, id(3): 40, id(4): 90, id(5): 35, id(6): 5}
	for most, want := range map[float64]cluster.SpaceID{100: id(4), 50: id(3), 29: id(2), 19: {}} {
		if got := busiest(was, now, most); got != want {
			t.Errorf("of those that do %v at most: %v, want %v", most, got, want)
		}
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
