package drain

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
	"github.com/flotilla-mail/flotilla/test/fault"
)

// TestSessionsOutliveTheStores: n4 only serves clients. Each of the others is stopped in order, as for an upgrade, and
// started again, while sessions at n4 go on: none is ended, none is told of an error, each mail is there and shown once.
func TestSessionsOutliveTheStores(t *testing.T) {
	const groups = 3
	c := devtest.StartOptions(t, dev.Options{Nodes: 4, Frontends: 1, Users: groups, Groups: groups})
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	w := devtest.Crew(devtest.Stay(c, "n4"), 1, groups)
	w.Start(ctx)
	defer w.Stop()
	if err := w.Await(ctx, 4); err != nil {
		t.Fatal(err)
	}
	var ledger devtest.Ledger
	for _, node := range []string{"n1", "n2", "n3"} {
		testkit.Eventually(t, patience, func(ctx context.Context) error {
			var r struct {
				Safe     bool
				Problems []string
			}
			err := c.Admin("n4").Do(ctx, "GET", "/v1/check?without="+node, nil, &r)
			if err == nil && !r.Safe {
				err = fmt.Errorf("%v", r.Problems)
			}
			return err
		})
		if err := c.Stop(ctx, node); err != nil {
			t.Fatal(err)
		}
		if err := w.Await(ctx, 4); err != nil {
			t.Fatalf("without %s: %v", node, err)
		}
		if err := c.Start(node); err != nil {
			t.Fatal(err)
		}
		if err := c.ReadyNode(ctx, node, func(string) {}); err != nil {
			t.Fatal(err)
		}
		t.Logf("without %s: %d answers of wrong owners, none a second after the change", node, devtest.NoLateAnswers(ctx, t, c))
		for protocol, s := range ledger.Take(w) {
			t.Logf("%s: %s: %d operations, longest wait %v", node, protocol, s.Operations, s.Longest.Round(time.Millisecond))
			if s.Moves > 0 || len(s.Failures) > 0 {
				t.Errorf("%s: %s: %d sessions lost, %v", node, protocol, s.Moves, s.Failures)
			}
		}
	}
	ledger.Settle(ctx, t, w, false, devtest.Stay(c, "n4")(0, 2143))
	holdsNothing(ctx, t, c, "n4")
}

// holdsNothing looks for a mailbox group on a node, and for the copy of the system group that it needs.
func holdsNothing(ctx context.Context, t *testing.T, c *dev.Cluster, node string) {
	t.Helper()
	all, err := fault.ReadGroups(ctx, c, false)
	if err != nil {
		t.Fatal(err)
	}
	system := false
	for _, g := range all {
		for _, r := range g.Replicas {
			if r.Node == node && g.Group != 0 {
				t.Errorf("%s holds a replica of group %d", node, g.Group)
			}
			system = system || r.Node == node && g.Group == 0
		}
	}
	if !system {
		t.Errorf("%s has no copy of the system group", node)
	}
}
