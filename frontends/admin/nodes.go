package admin

import (
	"context"
	"net/http"
	"time"
)

// NodesBackend is what the node does about the nodes of the cluster.
type NodesBackend interface {
	// NodeToken draws a one-time token for a machine that is to become a node.
	NodeToken(ctx context.Context, q TokenRequest) (*Token, error)
	// Nodes lists the nodes of the map with how they are.
	Nodes(ctx context.Context) (any, error)
	// SetNode says what is wanted of a node. A node that is to be removed has what it holds made elsewhere first, on the
	// successor if one is named.
	SetNode(ctx context.Context, name, want, successor string) error
}

// What an administrator may want of a node.
const (
	NodeActive   = "active"
	NodeDraining = "draining"
	NodeRemoving = "removing"
	// NodeRemoved is at once: the node is cut off from the others.
	NodeRemoved = "removed"
)

// TokenRequest is how long a token is to be good; zero is the usual time.
type TokenRequest struct {
	Valid time.Duration `json:"valid,omitempty"`
	// Replace is the node whose place and name the machine takes; empty for a new node.
	Replace string `json:"replace,omitempty"`
}

// Token is a one-time token, which nobody can be told again.
type Token struct {
	Token string    `json:"token"`
	Until time.Time `json:"until"`
	// Addresses are those of the nodes that it leads to.
	Addresses []string `json:"addresses"`
}

// nodeRoutes are the rows of the API about nodes.
var nodeRoutes = []route{
	{"POST /v1/nodes/tokens", false, withBody(func(s *Server, r *http.Request, q *TokenRequest) (any, error) {
		return s.backend.NodeToken(r.Context(), *q)
	})},
	{"GET /v1/nodes", false, func(s *Server, r *http.Request) (any, error) { return s.backend.Nodes(r.Context()) }},
	{"PUT /v1/nodes/{name}/{want}", false, func(s *Server, r *http.Request) (any, error) {
		return okay, s.backend.SetNode(r.Context(), r.PathValue("name"), r.PathValue("want"), r.URL.Query().Get("successor"))
	}},
}
