package mover

import (
	"context"
	"encoding/binary"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
)

// The ops at a group's door, for ever. They are about spaces that do not live in the group yet, so they are not routed by
// the space but to the group.
const (
	opStatus   ops.ID = 2200
	opArrive   ops.ID = 2201
	opLacks    ops.ID = 2202
	opContent  ops.ID = 2203
	opCopy     ops.ID = 2204
	opReplay   ops.ID = 2205
	opActivate ops.ID = 2206
	opDiscard  ops.ID = 2207
	// opSequences is about all spaces that live in the group: how much has happened to each.
	opSequences ops.ID = 2208
)

// doorName begins the id of a group's door; the group follows. No GUID that is drawn begins so.
const doorName = "movingspaces"

// Door is where a group is asked about spaces on their way. It is an address, not a space.
func Door(g cluster.GroupID) cluster.SpaceID {
	var id cluster.SpaceID
	binary.BigEndian.PutUint32(id[copy(id[:], doorName):], uint32(g))
	return id
}

// GroupOf is the group whose door an id is.
func GroupOf(id cluster.SpaceID) (g cluster.GroupID, ok bool) {
	if string(id[:len(doorName)]) != doorName {
		return 0, false
	}
	return cluster.GroupID(binary.BigEndian.Uint32(id[len(doorName):])), true
}

// stepRequest is what all ops at a door take; which fields are set depends on the op.
type stepRequest struct {
	Space   cluster.SpaceID  `wire:"1"`
	ID      placement.MoveID `wire:"2"`
	Epoch   uint64           `wire:"3"`
	Attempt uint64           `wire:"4"`
	From    cluster.GroupID  `wire:"5"`
	// After is the sequence that a run goes on from.
	After uint64 `wire:"6"`
	// Body is the start of a move, a piece, or a run.
	Body    []byte    `wire:"7"`
	Content []content `wire:"8"`
	// Keep, of opLacks: what the group has is kept as long as an upload, for nothing may refer to it yet.
	Keep bool `wire:"9"`
}

// content is a chunk, or without bytes the name of one.
type content struct {
	Hash   [32]byte `wire:"1"`
	Stored []byte   `wire:"2"`
}

// status is how a space's move stands in the group.
type status struct {
	State    uint8            `wire:"1"`
	Epoch    uint64           `wire:"2"`
	Sequence uint64           `wire:"3"`
	ID       placement.MoveID `wire:"4"`
	Attempt  uint64           `wire:"5"`
	Copying  bool             `wire:"6"`
	Whole    bool             `wire:"7"`
	Step     uint64           `wire:"8"`
	Cursor   []byte           `wire:"9"`
	Copied   uint64           `wire:"10"`
	// Refused is why the step was void, zero if it was done. It is no error of the call: the group has answered.
	Refused cluster.Kind `wire:"11"`
	Why     string       `wire:"12"`
	// Lacks are the places in the request of the contents that the group does not have.
	Lacks []uint32 `wire:"13"`
}

func (s *status) refusal() error {
	if s.Refused == 0 {
		return nil
	}
	return &cluster.Error{Kind: s.Refused, Text: s.Why}
}

// moveStatus is the form in which cluster/space wants it back.
func (s *status) moveStatus() space.MoveStatus {
	return space.MoveStatus{Info: space.Info{State: space.State(s.State), Epoch: s.Epoch, Sequence: s.Sequence, Move: space.MoveID(s.ID)},
		Attempt: s.Attempt, Copying: s.Copying, Whole: s.Whole, Step: s.Step, Cursor: s.Cursor, Copied: s.Copied}
}

// step does to a group what a request asks for.
type step func(ctx context.Context, rep *space.Replica, q *stepRequest, answer *status) error

// Handlers is the table of the ops at a door.
func Handlers() []ops.Handler {
	return []ops.Handler{
		door(opStatus, "MoveStatus", func(context.Context, *space.Replica, *stepRequest, *status) error { return nil }),
		door(opArrive, "MoveArrive", func(ctx context.Context, rep *space.Replica, q *stepRequest, _ *status) error {
			return rep.Arrive(ctx, q.Space, q.Epoch, space.MoveID(q.ID), q.Body)
		}),
		door(opLacks, "MoveLacks", lacks),
		door(opContent, "MoveContent", putContent),
		door(opCopy, "MoveCopy", func(ctx context.Context, rep *space.Replica, q *stepRequest, _ *status) error {
			return rep.ApplyCopy(ctx, q.Space, q.Epoch, q.Body)
		}),
		door(opReplay, "MoveReplay", func(ctx context.Context, rep *space.Replica, q *stepRequest, _ *status) error {
			return rep.ApplyReplay(ctx, q.Space, q.Epoch, q.After, q.Body)
		}),
		door(opActivate, "MoveActivate", func(ctx context.Context, rep *space.Replica, q *stepRequest, _ *status) error {
			return rep.ActivateMove(ctx, q.Space, space.Decision{Move: space.MoveID(q.ID), Epoch: q.Epoch, Attempt: q.Attempt, From: q.From})
		}),
		door(opDiscard, "MoveDiscard", func(ctx context.Context, rep *space.Replica, q *stepRequest, _ *status) error {
			return rep.DiscardMove(ctx, q.Space, space.MoveID(q.ID))
		}),
		{ID: opSequences, Name: "Sequences", Mode: ops.Serve, Serve: sequences},
	}
}

// door makes a row: the step, on the leader, and how the move stands after it.
func door(id ops.ID, name string, do step) ops.Handler {
	return ops.Handler{ID: id, Name: name, Mode: ops.Serve, Serve: func(ctx context.Context, rep *space.Replica, r *ops.Request) ([]byte, error) {
		var q stepRequest
		if err := wire.UnmarshalShared(r.Payload, &q); err != nil {
			return nil, cluster.Errorf(cluster.KindBadRequest, "decode %s: %v", name, err)
		}
		if err := rep.Leads(ctx); err != nil {
			return nil, err
		}
		var answer status
		err := do(ctx, rep, &q, &answer)
		switch kind := cluster.KindOf(err); kind {
		case cluster.KindNoSpace, cluster.KindMoving, cluster.KindContentMissing, cluster.KindBadRequest:
			answer.Refused, answer.Why, err = kind, err.Error(), nil
		}
		if err == nil {
			err = answer.fill(rep, q.Space)
		}
		if err != nil {
			return nil, err
		}
		return wire.Marshal(&answer), nil
	}}
}

func (s *status) fill(rep *space.Replica, id cluster.SpaceID) error {
	m, err := rep.MoveStatus(id)
	if err != nil {
		return fmt.Errorf("move of space %s: %w", id, err)
	}
	s.State, s.Epoch, s.Sequence, s.ID = uint8(m.State), m.Epoch, m.Sequence, placement.MoveID(m.Move)
	s.Attempt, s.Copying, s.Whole, s.Step, s.Cursor, s.Copied = m.Attempt, m.Copying, m.Whole, m.Step, m.Cursor, m.Copied
	return nil
}

func lacks(ctx context.Context, rep *space.Replica, q *stepRequest, answer *status) error {
	has := make([]bool, len(q.Content))
	err := sideBySide(ctx, len(has), func(ctx context.Context, i int) (err error) {
		if has[i], err = rep.HasContent(q.Content[i].Hash); has[i] && q.Keep {
			has[i], err = rep.KeepStored(ctx, q.Space, q.Content[i].Hash)
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range has {
		if !has[i] {
			answer.Lacks = append(answer.Lacks, uint32(i))
		}
	}
	return nil
}

func putContent(ctx context.Context, rep *space.Replica, q *stepRequest, _ *status) error {
	return sideBySide(ctx, len(q.Content), func(ctx context.Context, i int) error {
		return rep.PutStored(ctx, q.Space, q.Content[i].Hash, q.Content[i].Stored)
	})
}

// putAtOnce is how many contents of one request are proposed side by side: small ones share entries then.
const putAtOnce = 32

func sideBySide(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(putAtOnce)
	for i := range n {
		g.Go(func() error { return do(ctx, i) })
	}
	return g.Wait()
}

// Caller performs coded ops; *ops.Client does.
type Caller interface {
	Call(ctx context.Context, q *ops.Request, mode ops.Mode) ([]byte, error)
}

// ask sends a step to a group's door.
func ask(ctx context.Context, c Caller, g cluster.GroupID, op ops.ID, q *stepRequest) (*status, error) {
	answer, err := c.Call(ctx, &ops.Request{Op: op, Space: Door(g), Payload: wire.Marshal(q)}, ops.Serve)
	if err != nil {
		return nil, fmt.Errorf("group %d: %w", g, err)
	}
	s := new(status)
	if err := wire.Unmarshal(answer, s); err != nil {
		return nil, fmt.Errorf("decode answer of group %d: %w", g, err)
	}
	return s, nil
}
