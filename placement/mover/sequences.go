package mover

import (
	"context"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// sequencesRequest asks for spaces from behind one on.
type sequencesRequest struct {
	After cluster.SpaceID `wire:"1"`
}

type sequencesResponse struct {
	Spaces []sequenceOf `wire:"1"`
	// More says that there are others behind these.
	More bool `wire:"2"`
}

type sequenceOf struct {
	Space    cluster.SpaceID `wire:"1"`
	Sequence uint64          `wire:"2"`
}

// sequencesAtOnce bounds one answer.
const sequencesAtOnce = 4096

func sequences(ctx context.Context, rep *space.Replica, r *ops.Request) ([]byte, error) {
	var q sequencesRequest
	if err := wire.Unmarshal(r.Payload, &q); err != nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "decode Sequences: %v", err)
	}
	if err := rep.Leads(ctx); err != nil {
		return nil, err
	}
	all, err := rep.Spaces() // in order of id
	if err != nil {
		return nil, fmt.Errorf("list spaces: %w", err)
	}
	var answer sequencesResponse
	for _, s := range all {
		if s.State != space.Active || string(s.ID[:]) <= string(q.After[:]) {
			continue
		}
		if answer.More = len(answer.Spaces) == sequencesAtOnce; answer.More {
			break
		}
		answer.Spaces = append(answer.Spaces, sequenceOf{s.ID, s.Sequence})
	}
	return wire.Marshal(&answer), nil
}

// Sequences says of all spaces in use in a group how many effects they have had.
func Sequences(ctx context.Context, c Caller, g cluster.GroupID) (map[cluster.SpaceID]uint64, error) {
	all := make(map[cluster.SpaceID]uint64)
	for q := (sequencesRequest{}); ; {
		b, err := c.Call(ctx, &ops.Request{Op: opSequences, Space: Door(g), Payload: wire.Marshal(&q)}, ops.Serve)
		if err != nil {
			return nil, fmt.Errorf("group %d: %w", g, err)
		}
		var answer sequencesResponse
		if err := wire.Unmarshal(b, &answer); err != nil {
			return nil, fmt.Errorf("decode answer of group %d: %w", g, err)
		}
		for _, s := range answer.Spaces {
			all[s.Space], q.After = s.Sequence, s.Space
		}
		if !answer.More {
			return all, nil
		}
	}
}
