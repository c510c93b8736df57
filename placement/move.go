package placement

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// MoveState is how far a space's move has come as the map has it. Numbers reach disk.
type MoveState uint8

const (
	// MoveCopying: the space lives where it did. It may be frozen there, for the move's attempt.
	MoveCopying MoveState = 1
	// MoveFlipped: it was decided that the space lives in the target group; the source is to let go of it.
	MoveFlipped MoveState = 2
	// MoveAborted: the space stays; both groups are to forget the move.
	MoveAborted MoveState = 3
)

func (s MoveState) String() string {
	return [...]string{"", "copying", "moved", "aborted"}[s%4]
}

// MoveID names a move; it is random and never used again.
type MoveID [16]byte

func (m MoveID) String() string { return hex.EncodeToString(m[:]) }

// Move is a space on its way between two groups (CLUSTER 7.1). The record ends when both groups are done with it.
type Move struct {
	Space cluster.SpaceID `wire:"1"`
	ID    MoveID          `wire:"2"`
	From  cluster.GroupID `wire:"3"`
	To    cluster.GroupID `wire:"4"`
	// Epoch is the placement epoch under which the space lives in From; in To it is one higher.
	Epoch uint64    `wire:"5"`
	State MoveState `wire:"6"`
	// Attempt numbers the freezes, from 1: only the one that the source was frozen for as this has it can be flipped.
	Attempt uint64 `wire:"7"`
	// Since is when the move was asked for, Cause by whom or why.
	Since time.Time `wire:"8"`
	Cause string    `wire:"9"`
	// Trouble is why the move was aborted.
	Trouble string `wire:"10"`
	Unknown wire.Unknown
}

// Move is a space's move that is under way, nil when there is none.
func (m *Map) Move(id cluster.SpaceID) *Move {
	i := slices.IndexFunc(m.Moves, func(v Move) bool { return v.Space == id })
	if i < 0 {
		return nil
	}
	return &m.Moves[i]
}
