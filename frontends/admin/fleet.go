package admin

import (
	"context"
	"io"
	"net/http"

	"github.com/flotilla-mail/flotilla/cluster"
)

// FleetBackend is what the node does about nodes: taking them out of service and back, and saying whether that is safe.
// An empty name is the node that is asked.
type FleetBackend interface {
	// Check says what speaks against taking a node away; of an empty name, what is wrong as it is.
	Check(ctx context.Context, without string) (any, error)
	// Drain hands over and ends sessions, and reports what that took. Unless it is forced it is refused as
	// cluster.KindUnsafe where mailboxes would be out of reach without the node.
	Drain(ctx context.Context, node string, force bool) (any, error)
	Undrain(ctx context.Context, node string) error
	// Finalize raises the cluster's level to the newest that all nodes' programs speak. It is refused as
	// cluster.KindUnsafe while one of them does not speak it.
	Finalize(ctx context.Context) (any, error)
	// UpgradeState says which program each node runs, and how it is since.
	UpgradeState(ctx context.Context) (any, error)
	// Stage brings a program to every node; sum is its SHA-256 in hex.
	Stage(ctx context.Context, sum string, program io.Reader) (any, error)
	// SwitchProgram lets a node go over to its staged program, or back to the previous one: it is checked, drained and begins
	// anew. The answer comes before the node stops.
	SwitchProgram(ctx context.Context, node, to string, force bool) error
	// Drill strikes the leader of a group, of any for group 0, and measures what clients of another node notice; Drills is
	// what came of those before.
	Drill(ctx context.Context, kind string, group cluster.GroupID) (any, error)
	Drills(ctx context.Context) (any, error)
	// RotateGossipKey gives all nodes another key for their gossip. It is refused as cluster.KindUnsafe while one of them does
	// not answer.
	RotateGossipKey(ctx context.Context) (any, error)
}

// fleetRoutes are the rows of the API about nodes.
var fleetRoutes = []route{
	{"GET /v1/check", false, func(s *Server, r *http.Request) (any, error) {
		return s.backend.Check(r.Context(), r.URL.Query().Get("without"))
	}},
	{"POST /v1/drain", false, func(s *Server, r *http.Request) (any, error) {
		q := r.URL.Query()
		return s.backend.Drain(r.Context(), q.Get("node"), q.Has("force"))
	}},
	{"POST /v1/undrain", false, func(s *Server, r *http.Request) (any, error) {
		return okay, s.backend.Undrain(r.Context(), r.URL.Query().Get("node"))
	}},
	{"GET /v1/upgrade", false, func(s *Server, r *http.Request) (any, error) { return s.backend.UpgradeState(r.Context()) }},
	{"POST /v1/upgrade/stage", false, func(s *Server, r *http.Request) (any, error) {
		return s.backend.Stage(r.Context(), r.URL.Query().Get("sum"), r.Body)
	}},
	{"POST /v1/upgrade/switch", false, func(s *Server, r *http.Request) (any, error) {
		q := r.URL.Query()
		return okay, s.backend.SwitchProgram(r.Context(), q.Get("node"), q.Get("to"), q.Has("force"))
	}},
	{"GET /v1/drills", false, func(s *Server, r *http.Request) (any, error) { return s.backend.Drills(r.Context()) }},
	{"POST /v1/drills/{kind}/{group}", false, func(s *Server, r *http.Request) (any, error) {
		g, err := groupOf(r)
		if err != nil {
			return nil, err
		}
		return s.backend.Drill(r.Context(), r.PathValue("kind"), g)
	}},
	{"POST /v1/gossip/key", false, func(s *Server, r *http.Request) (any, error) { return s.backend.RotateGossipKey(r.Context()) }},
	{"POST /v1/upgrade/finalize", false, func(s *Server, r *http.Request) (any, error) { return s.backend.Finalize(r.Context()) }},
}
