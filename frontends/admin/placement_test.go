package admin

import (
	"context"

	"github.com/flotilla-mail/flotilla/cluster"
)

func (b *straw) Policy(context.Context) (any, error) { return "policy", b.note("policy") }

func (b *straw) SetPolicy(_ context.Context, c PolicyChange) (any, error) {
	return "policy", b.note("set policy %+v", c)
}

func (b *straw) Plan(context.Context) (any, error) { return "plan", b.note("plan") }

func (b *straw) ExplainGroup(_ context.Context, g cluster.GroupID) (any, error) {
	return "why", b.note("explain group %d", g)
}

func (b *straw) ExplainMailbox(_ context.Context, a string) (any, error) {
	return "why", b.note("explain %s", a)
}

func (b *straw) Rebalance(context.Context) error { return b.note("rebalance") }

// placementRows are the requests of the routes about placement.
var placementRows = []asking{
	{"GET /v1/placement/policy", "/v1/placement/policy", "", "policy", `"policy"`},
	{"PATCH /v1/placement/policy", "/v1/placement/policy", `{"pairs":["home=a"],"domain":"d"}`,
		"set policy {Pairs:[home=a] Domain:d Mailbox: Remove:false}", `"policy"`},
	{"GET /v1/placement/plan", "/v1/placement/plan", "", "plan", `"plan"`},
	{"GET /v1/placement/groups/{group}", "/v1/placement/groups/7", "", "explain group 7", `"why"`},
	{"GET /v1/placement/mailboxes/{address}", "/v1/placement/mailboxes/a@b", "", "explain a@b", `"why"`},
	{"POST /v1/placement/rebalance", "/v1/placement/rebalance", "", "rebalance", `{"ok":true}`},
}
