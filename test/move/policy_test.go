package move

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/frontends/admin/adminclient"
	"github.com/flotilla-mail/flotilla/internal/dev"
	"github.com/flotilla-mail/flotilla/test/devtest"
	"github.com/flotilla-mail/flotilla/test/fault"
)

// TestThePolicyMovesMailboxes: of one group that is busier than the policy wants a mailbox goes to another that is made for
// it; then a rule for the busy mailbox has that one go where the rule wants it. Mail goes on all the time, the plan tells of
// both, and every acknowledged mail is there once.
func TestThePolicyMovesMailboxes(t *testing.T) {
	t.Parallel()
	c := devtest.StartOptions(t, dev.Options{Nodes: 3, Users: 2, Groups: 1, DCs: "fra"})
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	// Most goes to u1, a little to u2: that one may go, u1 alone is more than a group may have.
	much := &fault.Load{Cluster: c, Mailboxes: 1, Connections: 4, Count: 1, Seed: 5, Think: 20 * time.Millisecond}
	little := &fault.Load{Cluster: c, Mailboxes: 2, Connections: 1, First: 1 << 20, Count: 1, Seed: 6, Think: 500 * time.Millisecond}
	done := make(chan error, 2)
	for _, l := range []*fault.Load{much, little} {
		go func() { done <- l.Run(ctx) }()
	}
	p := &policed{t: t, c: c, home: map[string]uint32{"u1": 1, "u2": 1}}
	p.set(ctx, admin.PolicyChange{Pairs: []string{"max-ops=2"}})
	p.moves(ctx, "u2", "is busier than the policy wants")
	p.set(ctx, admin.PolicyChange{Pairs: []string{"max-ops=0"}})
	p.set(ctx, admin.PolicyChange{Mailbox: "u1@" + dev.Domain, Pairs: []string{"home=fra"}})
	p.moves(ctx, "u1", "its own rule asks for home fra")
	if p.home["u1"] == p.home["u2"] {
		t.Errorf("both are in group %d", p.home["u1"])
	}
	for _, l := range []*fault.Load{much, little} {
		l.Finish()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	v, err := fault.Check(c, append(much.Acked(), little.Acked()...))
	if err != nil || !v.OK() {
		t.Fatalf("%+v, %v", v, err)
	}
	if err := fault.SameHashes(ctx, c); err != nil {
		t.Fatalf("replicas differ: %v", err)
	}
	t.Logf("%d mails, %d sent again", v.Mails, much.Retries()+little.Retries())
}

// policed is a cluster whose policy is changed, and the groups that mailboxes were last seen in.
type policed struct {
	t    *testing.T
	c    *dev.Cluster
	home map[string]uint32
}

func (p *policed) set(ctx context.Context, change admin.PolicyChange) {
	p.t.Helper()
	if err := p.c.Admin("n1").Do(ctx, "PATCH", "/v1/placement/policy", change, nil); err != nil {
		p.t.Fatal(err)
	}
}

// moves waits until a mailbox lives in another group, and the plan has said why.
func (p *policed) moves(ctx context.Context, user, why string) {
	p.t.Helper()
	begin, told := time.Now(), false
	await(ctx, p.t, user+" to be moved, because "+why, func() bool {
		var plan json.RawMessage
		var now admin.Move
		if p.c.Admin("n2").Do(ctx, "GET", "/v1/placement/plan", nil, &plan) == nil {
			told = told || strings.Contains(string(plan), why)
		}
		err := p.c.Admin("n1").Do(ctx, "GET", adminclient.Path("v1", "mailboxes", user+"@"+dev.Domain, "move"), nil, &now)
		if err != nil || now.State != admin.MoveNone || now.Group == p.home[user] {
			return false
		}
		p.home[user] = now.Group
		return true
	})
	if !told {
		p.t.Errorf("no plan says that %s", why)
	}
	p.t.Logf("%s is in group %d after %v", user, p.home[user], time.Since(begin).Round(100*time.Millisecond))
}
