package space

import (
	"bytes"
	"context"
	"errors"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// A space moves to another group while it is used (CLUSTER 7.1, docs/design/move.md). The methods here are the steps
// that each of the two groups takes in its own log; who decides, and carries from one to the other, is the caller. Each
// step may be asked for again and does no harm then, also when it comes late: a step of a move that is over is refused.

// MoveStatus is what a group knows of a space's move.
type MoveStatus struct {
	Info
	// Attempt numbers the freezes: the last one, at the source, or the one that the copy is whole for.
	Attempt uint64
	// Copying, at the target: pieces come. Whole: all has come of which the source was frozen at Attempt.
	Copying, Whole bool
	// Step is how many pieces have come, Cursor where the next begins, Copied how many bytes they had.
	Step   uint64
	Cursor []byte
	Copied uint64
}

// MoveStatus is the space's move as this replica has applied it; State is zero for a space that was never here. Only the
// leader's has to be new, and may be old where another leads by now: every step is checked again when it is applied.
func (r *Replica) MoveStatus(id cluster.SpaceID) (MoveStatus, error) {
	db, release, err := r.machine.engine()
	if err != nil {
		return MoveStatus{}, err
	}
	defer release()
	snap := db.Snapshot()
	s, err := moveStatus(snap, id)
	return s, errors.Join(err, snap.Close())
}

func moveStatus(from lsm.Reader, id cluster.SpaceID) (s MoveStatus, err error) {
	hdr, err := readHeader(from, id)
	if err != nil || hdr == nil {
		return MoveStatus{Info: Info{ID: id}}, err
	}
	s = MoveStatus{Info: infoOf(id, hdr), Attempt: hdr.move.attempt, Step: hdr.move.step,
		Copying: hdr.move.phase == phaseCopying, Whole: hdr.move.phase == phaseWhole}
	b, err := from.Get(appendSpaceKey(nil, prefixCursor, id))
	if err != nil || b == nil {
		return s, err
	}
	rd := wire.NewReader(b)
	s.Copied, s.Cursor = rd.Uvarint(), bytes.Clone(rd.Bytes())
	return s, rd.Close()
}

func infoOf(id cluster.SpaceID, h *header) Info {
	return Info{ID: id, State: h.state, Epoch: h.epoch, Sequence: h.sequence, Move: h.move.id}
}

// errStep is the refusal of a step that does not fit: the move is over, or another is under way.
func errStep(id cluster.SpaceID, o Outcome) error {
	switch o {
	case Done:
		return nil
	case VoidContent:
		return cluster.Errorf(cluster.KindContentMissing, "space %s: content is not here yet", id)
	case VoidSequence:
		return cluster.Errorf(cluster.KindMoving, "space %s: the move has got further", id)
	}
	return cluster.Errorf(cluster.KindNoSpace, "space %s: no such move is under way here", id)
}

func (r *Replica) moveStep(ctx context.Context, id cluster.SpaceID, epoch uint64, s moveStep) error {
	outcome, err := r.proposeGroup(ctx, func(head partHeader) []byte {
		head.kind, head.space, head.epoch = partMove, id, epoch
		return appendMoveStep(appendPartHeader(nil, head), s)
	})
	if err != nil {
		return err
	}
	return errStep(id, outcome)
}

// BeginMove begins to keep a journal of what happens to the space, which goes on being used.
func (r *Replica) BeginMove(ctx context.Context, id cluster.SpaceID, epoch uint64, m MoveID) error {
	return r.moveStep(ctx, id, epoch, moveStep{verb: verbBegin, id: m})
}

// FreezeMove ends all use of the space here, until ThawMove or for good. An attempt that was given up once is refused.
func (r *Replica) FreezeMove(ctx context.Context, id cluster.SpaceID, m MoveID, attempt uint64) error {
	return r.moveStep(ctx, id, 0, moveStep{verb: verbFreeze, id: m, attempt: attempt})
}

// ThawMove takes a freeze back. It is safe once nobody can decide any more that the space lives elsewhere on the strength
// of it.
func (r *Replica) ThawMove(ctx context.Context, id cluster.SpaceID, m MoveID, attempt uint64) error {
	return r.moveStep(ctx, id, 0, moveStep{verb: verbThaw, id: m, attempt: attempt})
}

// StayMove gives the move up at the source; it is safe under the same condition, for all attempts.
func (r *Replica) StayMove(ctx context.Context, id cluster.SpaceID, m MoveID) error {
	err := r.moveStep(ctx, id, 0, moveStep{verb: verbStay, id: m})
	if err == nil {
		r.announceWork(id)
	}
	return err
}

// LeaveMove leaves a tombstone where the space was, after it was decided that it lives elsewhere.
func (r *Replica) LeaveMove(ctx context.Context, id cluster.SpaceID, m MoveID) error {
	return r.moveStep(ctx, id, 0, moveStep{verb: verbLeave, id: m})
}

// Arrive makes this group ready for a copy of the space, to live here under epoch; start is what MoveStart gave. What
// was here of the space before, and went, is let go of first.
func (r *Replica) Arrive(ctx context.Context, id cluster.SpaceID, epoch uint64, m MoveID, start []byte) error {
	if hdr, err := decodeHeader(start); err != nil || hdr.move != (move{}) {
		return errors.Join(cluster.Errorf(cluster.KindBadRequest, "start of a move"), err)
	}
	if err := r.moveStep(ctx, id, epoch, moveStep{verb: verbArrive, id: m, start: start}); err != nil {
		return err
	}
	for {
		s, err := r.MoveStatus(id)
		if err != nil || s.Move != m || !s.Copying || s.Copied > 0 {
			return err
		}
		old, err := r.listed(listKeys(appendSpaceKey(nil, prefixHeld, id)), nil)
		if err != nil || len(old) == 0 {
			return err
		}
		c := &copied{id: m, step: s.Step, unrefs: old, batch: emptyBatch[:]}
		if err := r.ApplyCopy(ctx, id, epoch, appendCopied(nil, c)); err != nil {
			return err
		}
	}
}

// emptyBatch is the stored form of no ops.
var emptyBatch = [...]byte{codingRaw, 0}

// ApplyCopy takes in what NextPiece gave.
func (r *Replica) ApplyCopy(ctx context.Context, id cluster.SpaceID, epoch uint64, piece []byte) error {
	return r.arriving(ctx, staged{partHeader{kind: partCopy, space: id, epoch: epoch}, joinedCopy, piece})
}

// ApplyReplay takes in what NextEffects gave, for a space that has seen everything up to sequence after.
func (r *Replica) ApplyReplay(ctx context.Context, id cluster.SpaceID, epoch, after uint64, run []byte) error {
	return r.arriving(ctx, staged{partHeader{kind: partReplay, space: id, epoch: epoch, base: after}, joinedReplay, run})
}

// arriving replicates what a space that arrives is made of. It counts among the bytes of uploads, which leave room for
// updates.
func (r *Replica) arriving(ctx context.Context, s staged) error {
	if len(s.body) > maxDecoded {
		return cluster.Errorf(cluster.KindTooLarge, "%d bytes of a space that arrives", len(s.body))
	}
	if err := r.acquire(ctx, len(s.body)); err != nil {
		return err
	}
	defer r.charge(-len(s.body))
	ctx, release := r.bind(ctx)
	defer release()
	for {
		term, err := r.repl.Lead(ctx)
		if err != nil {
			return err
		}
		s.part.wall = r.config.Now().UnixNano()
		var outcome Outcome
		if part := append(appendPartHeader(make([]byte, 0, partHeaderMax+len(s.body)), s.part), s.body...); len(part) <= MaxPart {
			outcome, err = r.repl.Propose(ctx, term, part)
		} else {
			outcome, err = r.stage(ctx, term, s)
		}
		if err != nil || outcome != VoidTerm {
			return errors.Join(err, outcomeOf(s.part.space, outcome, err))
		}
		if ctx.Err() != nil {
			return errors.Join(cluster.ErrDeadline, ctx.Err())
		}
	}
}

func outcomeOf(id cluster.SpaceID, o Outcome, err error) error {
	if err != nil {
		return nil
	}
	return errStep(id, o)
}

// Decision is what was decided of a move: that the space lives in the target under Epoch, on the strength of the freeze of
// Attempt, and came from a group.
type Decision struct {
	Move           MoveID
	Epoch, Attempt uint64
	From           cluster.GroupID
}

// ActivateMove makes the copy, whole for the attempt, the space. The caller knows that it was decided so.
func (r *Replica) ActivateMove(ctx context.Context, id cluster.SpaceID, d Decision) error {
	err := r.moveStep(ctx, id, d.Epoch, moveStep{verb: verbActivate, id: d.Move, attempt: d.Attempt, from: d.From})
	if err == nil {
		r.announceWork(id)
	}
	return err
}

// DiscardMove gives the move up at the target. The caller knows that it can never be decided that the space lives here.
func (r *Replica) DiscardMove(ctx context.Context, id cluster.SpaceID, m MoveID) error {
	return r.moveStep(ctx, id, 0, moveStep{verb: verbDiscard, id: m})
}

// Stored is content in the form in which groups keep it and give it to each other, nil when it is not here.
func (r *Replica) Stored(h Hash) ([]byte, error) {
	db, release, err := r.machine.engine()
	if err != nil {
		return nil, err
	}
	defer release()
	return db.Get(hashKey(prefixBody, h))
}

// PutStored makes the group hold content for a space that arrives, for as long as an upload is kept.
func (r *Replica) PutStored(ctx context.Context, space cluster.SpaceID, h Hash, stored []byte) error {
	b, err := r.machine.coders.unseal(stored)
	if err != nil {
		return cluster.Errorf(cluster.KindBadRequest, "content %x: %v", h[:8], err)
	}
	if HashOf(b) != h || len(b) > MaxChunk {
		return cluster.Errorf(cluster.KindBadRequest, "content %x: other bytes, or too many", h[:8])
	}
	if err := r.acquire(ctx, len(stored)); err != nil {
		return err
	}
	defer r.charge(-len(stored))
	return r.proposeContent(ctx, space, inline{h, stored})
}

// KeepStored makes the group keep content that it has for a space that arrives, for as long as an upload; false when it is
// not there any more.
func (r *Replica) KeepStored(ctx context.Context, space cluster.SpaceID, h Hash) (bool, error) {
	err := r.proposeContent(ctx, space, inline{hash: h})
	if cluster.KindOf(err) == cluster.KindContentMissing {
		return false, nil
	}
	return err == nil, err
}

// Leads is nil on the replica that may take steps of moves, which is the leader's.
func (r *Replica) Leads(ctx context.Context) error {
	_, err := r.repl.Lead(ctx)
	return err
}
