package store

import (
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
)

// ReplicaStateRequest raises a replica's state.
type ReplicaStateRequest struct {
	Group  cluster.GroupID        `wire:"1"`
	Server cluster.ServerID       `wire:"2"`
	State  placement.ReplicaState `wire:"3"`
}

// PlaceSpaceRequest asks for a place for a new space; the answer is a placement.Place.
type PlaceSpaceRequest struct {
	Space cluster.SpaceID `wire:"1"`
}

// Handlers is the table of ops on the placement space.
func Handlers() []ops.Handler {
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
			return nil, SetReplicaState(w, r.Group, r.Server, r.State)
		}},
		{ID: OpPlaceSpace, Name: "PlaceSpace", Mode: ops.Write, Update: func(w space.Writer, q *ops.Request) ([]byte, error) {
			var r PlaceSpaceRequest
			if err := decode(q, &r); err != nil {
				return nil, err
			}
			p, err := PlaceSpace(w, r.Space)
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
