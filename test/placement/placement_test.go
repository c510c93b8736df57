// Package placement_test has real nodes die, drain and leave while mail comes in, and holds that what they held is made
// elsewhere and that nothing is lost.
package placement_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/internal/testkit"
	"github.com/flotilla-mail/flotilla/test/devtest"
	"github.com/flotilla-mail/flotilla/test/fault"
)

const (
	groups = 4
	boxes  = 8
	// patience is for a machine that does much else.
	patience = 3 * time.Minute
)

// group is one in the answer of `flotilla groups --json`.
type group struct {
	Group  int
	Leader string
	Placed []struct {
		Server, State string
		Votes         bool
	}
}

// on reports whether a node has anything of the group.
func (g *group) on(node string) bool {
	for _, p := range g.Placed {
		if strings.HasPrefix(p.Server, node+".") {
			return true
		}
	}
	return false
}

// site is a cluster under test, and what is asked of it at n1.
type site struct {
	*dev.Cluster
	t *testing.T
}

// until waits until all groups of mailboxes are as a condition wants them; what the planner says is shown if it is in vain.
func (s *site) until(what string, cond func(g *group) error) {
	s.t.Helper()
	begin := time.Now()
	var plan json.RawMessage
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%s: %s", what, plan)
		}
	}()
	testkit.Eventually(s.t, patience, func(ctx context.Context) error {
		var all []group
		if err := s.Admin("n1").Do(ctx, "GET", "/v1/groups", nil, &all); err != nil {
			return err
		}
		if err := s.Admin("n1").Do(ctx, "GET", "/v1/placement/plan", nil, &plan); err != nil {
			return err
		}
		if len(all) != groups+1 {
			return fmt.Errorf("%s: %d groups", what, len(all))
		}
		for i := range all {
			if all[i].Group == 0 {
				continue
			}
			if err := cond(&all[i]); err != nil {
				return fmt.Errorf("%s: group %d: %w: %+v", what, all[i].Group, err, all[i])
			}
		}
		return nil
	})
	s.t.Logf("%s after %v", what, time.Since(begin).Round(100*time.Millisecond))
}

// without holds when a group has three voters, none on the nodes named, and is led.
func without(nodes ...string) func(g *group) error {
	return func(g *group) error {
		if len(g.Placed) != 3 || g.Leader == "" {
			return fmt.Errorf("%d replicas, led by %q", len(g.Placed), g.Leader)
		}
		for _, p := range g.Placed {
			if !p.Votes || p.State != "created" {
				return fmt.Errorf("%s votes %v, %s", p.Server, p.Votes, p.State)
			}
		}
		for _, n := range nodes {
			if g.on(n) {
				return fmt.Errorf("it is on %s", n)
			}
		}
		return nil
	}
}

// TestNodesDieDrainAndLeave: of five nodes one dies for good, one drains and is taken back, one is removed. Mail goes on.
func TestNodesDieDrainAndLeave(t *testing.T) {
	c := devtest.StartNodes(t, 5, boxes, groups)
	s := &site{Cluster: c, t: t}
	s.until("all groups whole", without())
	// Clients know the three nodes that stay.
	rest := *c
	rest.Nodes = 3
	load := &fault.Load{Cluster: &rest, Mailboxes: boxes, Connections: 4, Count: 100, Seed: 11, Think: 200 * time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- load.Run(ctx) }()

	if text := devtest.Do(t, c, "placement", "policy", "set", "grace=5s"); !strings.Contains(text, "grace") {
		t.Errorf("policy: %s", text)
	}
	if err := c.Kill("n5"); err != nil {
		t.Fatal(err)
	}
	s.until("what the dead n5 had is elsewhere", without("n5"))

	devtest.Do(t, c, "node", "drain", "n3")
	s.until("n3 leads nothing", func(g *group) error {
		if g.Leader == "" || g.Leader == "n3" {
			return fmt.Errorf("led by %q", g.Leader)
		}
		return nil
	})
	devtest.Do(t, c, "node", "undrain", "n3")

	devtest.Do(t, c, "node", "remove", "n4")
	s.until("n4 holds nothing", without("n4", "n5"))
	s.removed("n4")
	s.explained()

	load.Finish()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.nothingLost(&rest, load)
}

// removed waits until a node is no node any more, and has nothing of any group on its disk.
func (s *site) removed(node string) {
	s.t.Helper()
	testkit.Eventually(s.t, patience, func(ctx context.Context) error {
		var nodes []struct{ Node, Status string }
		if err := s.Admin("n1").Do(ctx, "GET", "/v1/nodes", nil, &nodes); err != nil {
			return err
		}
		for _, n := range nodes {
			if n.Node == node && n.Status != "removed" {
				return fmt.Errorf("%s is %s", node, n.Status)
			}
		}
		left, err := filepath.Glob(filepath.Join(s.Dir, node, "groups", "g[1-9]*"))
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%s has %v", node, left)
		}
		return err
	})
	if _, err := os.Stat(filepath.Join(s.Dir, node)); err != nil {
		s.t.Fatal(err)
	}
}

// explained asks why a mailbox and a group are where they are.
func (s *site) explained() {
	s.t.Helper()
	box := devtest.Answer[struct {
		Group int
		Why   string
		Where struct{ Copies, Rules []string }
	}](s.t, s.Cluster, "placement", "explain", "alice@"+dev.Domain)
	if box.Group == 0 || box.Why == "" || len(box.Where.Copies) != 3 || !strings.Contains(strings.Join(box.Where.Rules, "\n"), "no two copies share a zone") {
		s.t.Errorf("alice's mailbox is explained so: %+v", box)
	}
}

// nothingLost reads every mailbox at every node that stays. Replicas cannot be compared: the dead n5 still has one of the system
// group.
func (s *site) nothingLost(rest *dev.Cluster, load *fault.Load) {
	s.t.Helper()
	v, err := fault.Check(rest, load.Acked())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("%d mails acknowledged, %d sent again", v.Mails, load.Retries())
	if !v.OK() || v.Mails < load.Count {
		s.t.Fatalf("%+v", v)
	}
}
