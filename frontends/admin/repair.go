package admin

import (
	"context"
	"net/http"

	"github.com/flotilla-mail/flotilla/cluster"
)

// RepairBackend compares replicas, and gives up what is damaged.
type RepairBackend interface {
	// ScrubGroup asks for a scrub of a group; ScrubState is how the latest is going.
	ScrubGroup(ctx context.Context, group cluster.GroupID) error
	ScrubState(ctx context.Context, group cluster.GroupID) (any, error)
	// RebuildReplica gives up a group's replica on a node, which is made again from the others. It is refused as
	// cluster.KindUnsafe where they are no majority.
	RebuildReplica(ctx context.Context, group cluster.GroupID, node cluster.NodeID) error
}

var repairRoutes = []route{
	{"POST /v1/groups/{group}/scrub", false, withGroup(func(s *Server, r *http.Request, g cluster.GroupID) (any, error) {
		return okay, s.backend.ScrubGroup(r.Context(), g)
	})},
	{"GET /v1/groups/{group}/scrub", false, withGroup(func(s *Server, r *http.Request, g cluster.GroupID) (any, error) {
		return s.backend.ScrubState(r.Context(), g)
	})},
	{"DELETE /v1/groups/{group}/replicas/{node}", false, withGroup(func(s *Server, r *http.Request, g cluster.GroupID) (any, error) {
		return okay, s.backend.RebuildReplica(r.Context(), g, cluster.NodeID(r.PathValue("node")))
	})},
}

// withGroup reads the group that the path names.
func withGroup(fn func(*Server, *http.Request, cluster.GroupID) (any, error)) func(*Server, *http.Request) (any, error) {
	return func(s *Server, r *http.Request) (any, error) {
		g, err := groupOf(r)
		if err != nil {
			return nil, err
		}
		return fn(s, r, g)
	}
}
