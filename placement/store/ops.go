package store

import (
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
)

// The ops on the map, for ever. Only nodes can send them: the port between nodes admits no one else.
const (
	OpPutNode         ops.ID = 1500
	OpSetReplicaState ops.ID = 1501
	OpPlaceSpace      ops.ID = 1502
	OpReadMap         ops.ID = 1503
	OpRemoveSpace     ops.ID = 1504
)

// ReplicaStateRequest raises a replica's state.
type ReplicaStateRequest struct {
	Group  cluster.GroupID        `wire:"1"`
	Server cluster.ServerID       `wire:"2"`
	State  placement.ReplicaState `wire:"3"`
	// Actual is, with placement.Created, the id that the replica's data was made under; it takes the place of the
	// one that the map assigned.
	Actual cluster.ServerID `wire:"4"`
}

// MapResponse is the map as the leader has it.
type MapResponse struct {
	Sequence uint64                `wire:"1"`
	Level    placement.Level       `wire:"2"`
	Groups   []placement.Group     `wire:"3"`
	Nodes    []placement.NodeState `wire:"4"`
}

// PlaceSpaceRequest asks for a place for a new space; the answer is a placement.Place.
type PlaceSpaceRequest struct {
	Space cluster.SpaceID `wire:"1"`
	// Domain is that of the mailbox's address, for which there may be a rule.
	Domain string `wire:"2"`
}

// RemoveSpaceRequest ends the place of a space that is about to be dropped, where it lives under an epoch. One that has moved
// on since is ended where it is now.
type RemoveSpaceRequest struct {
	Space cluster.SpaceID `wire:"1"`
	Epoch uint64          `wire:"2"`
}

// Handlers is the table of ops on the placement space.
func Handlers() []ops.Handler {
	return slices.Concat(mapHandlers(), policyHandlers(), tokenHandlers(), moveHandlers(), levelHandlers(), recoveryHandlers())
}

func mapHandlers() []ops.Handler {
	return []ops.Handler{
		{ID: OpPutNode, Name: "PutNode", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var n placement.NodeState
			if err := decode(q, &n); err != nil {
				return nil, err
			}
			return nil, PutNode(w, n)
		}},
		{ID: OpSetReplicaState, Name: "SetReplicaState", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r ReplicaStateRequest
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			return nil, SetReplicaState(w, &r)
		}},
		{ID: OpReadMap, Name: "ReadMap", Mode: ops.Read, View: func(r space.Reader, _ *ops.Request) ([]byte, error) {
			m, err := Load(r)
			if err != nil {
				return nil, err
			}
			return wire.Marshal(&MapResponse{Sequence: m.Sequence, Level: m.Level, Groups: m.Groups, Nodes: m.Nodes}), nil
		}},
		{ID: OpRemoveSpace, Name: "RemoveSpace", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r RemoveSpaceRequest
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			return nil, RemoveSpace(w, &r)
		}},
		{ID: OpPlaceSpace, Name: "PlaceSpace", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r PlaceSpaceRequest
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			p, err := PlaceSpace(w, &r)
			if err != nil {
				return nil, err
			}
			return wire.Marshal(&p), nil
		}},
	}
}

func decode(q *ops.Request, v any) error {
	if err := wire.Unmarshal(q.Payload, v); err != nil {
		return cluster.Errorf(cluster.KindBadRequest, "decode %T: %v", v, err)
	}
	return nil
}
