package admin

import (
	"context"
	"net/http"

	"github.com/flotilla-mail/flotilla/cluster"
)

// PlacementBackend says where groups and mailboxes are to live, and why they are where they are.
type PlacementBackend interface {
	// Policy is what the administrator has asked for.
	Policy(ctx context.Context) (any, error)
	// SetPolicy changes it, and shows it as it is then.
	SetPolicy(ctx context.Context, c PolicyChange) (any, error)
	// Plan is what would be done next; nothing is done by asking.
	Plan(ctx context.Context) (any, error)
	ExplainGroup(ctx context.Context, group cluster.GroupID) (any, error)
	ExplainMailbox(ctx context.Context, address string) (any, error)
	// Rebalance has the planner look now instead of a moment later.
	Rebalance(ctx context.Context) error
}

// PolicyChange changes the policy by key=value pairs: that of the cluster, or the rule for a domain or a mailbox.
type PolicyChange struct {
	Pairs   []string `json:"pairs,omitempty"`
	Domain  string   `json:"domain,omitempty"`
	Mailbox string   `json:"mailbox,omitempty"`
	// Remove ends a rule.
	Remove bool `json:"remove,omitempty"`
}

// placementRoutes are the rows of the API about placement.
var placementRoutes = []route{
	{"GET /v1/placement/policy", false, func(s *Server, r *http.Request) (any, error) { return s.backend.Policy(r.Context()) }},
	{"PATCH /v1/placement/policy", false, withBody(func(s *Server, r *http.Request, c *PolicyChange) (any, error) {
		return s.backend.SetPolicy(r.Context(), *c)
	})},
	{"GET /v1/placement/plan", false, func(s *Server, r *http.Request) (any, error) { return s.backend.Plan(r.Context()) }},
	{"GET /v1/placement/groups/{group}", false, func(s *Server, r *http.Request) (any, error) {
		g, err := groupOf(r)
		if err != nil {
			return nil, err
		}
		return s.backend.ExplainGroup(r.Context(), g)
	}},
	{"GET /v1/placement/mailboxes/{address}", false, func(s *Server, r *http.Request) (any, error) {
		return s.backend.ExplainMailbox(r.Context(), r.PathValue("address"))
	}},
	{"POST /v1/placement/rebalance", false, func(s *Server, r *http.Request) (any, error) { return okay, s.backend.Rebalance(r.Context()) }},
}
