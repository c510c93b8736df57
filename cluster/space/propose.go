package space

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/planted"
)

// effect makes what is replicated of what the round wrote. Content that the group has already is only named.
func (rd *round) effect(from lsm.Reader) (*effect, error) {
	e := &effect{}
	for _, d := range rd.live {
		if d.err == nil && !d.id.IsZero() {
			e.answers = append(e.answers, answer{d.id.ID, d.answer})
		}
	}
	for i := range rd.w.journal {
		h := rd.w.journal[i].hash
		how := rd.w.held[h]
		if how == refNone {
			continue
		}
		delete(rd.w.held, h) // the journal may name it again
		if err := rd.change(from, e, h, how); err != nil {
			return nil, err
		}
	}
	var err error
	rd.ops = rd.w.over.appendOps(rd.ops[:0])
	e.batch, err = rd.r.machine.coders.seal(nil, rd.ops, compressBatch)
	return e, err
}

func (rd *round) change(from lsm.Reader, e *effect, h Hash, how refChange) error {
	switch how {
	case refHold:
		e.needs = append(e.needs, h)
	case refEnd:
		e.unrefs = append(e.unrefs, h)
	case refPut:
		b, err := from.Get(hashKey(prefixContent, h))
		if err != nil {
			return err
		}
		if b != nil {
			e.needs = append(e.needs, h)
			return nil
		}
		stored, err := rd.r.machine.coders.seal(nil, rd.w.contents[h], compressContent)
		if err != nil {
			return err
		}
		e.contents = append(e.contents, inline{h, stored})
	}
	return nil
}

// nothing reports whether the round neither wrote nor has to remember anything.
func (rd *round) nothing(e *effect) bool {
	return rd.part.kind == partUpdate && len(e.answers) == 0 && rd.w.empty()
}

func (rd *round) propose(ctx context.Context, term uint64, e *effect) (Outcome, error) {
	part := appendPartHeader(make([]byte, 0, partHeaderMax+len(e.batch)+64), rd.part)
	body := len(part)
	if rd.part.kind != partDrop {
		part = appendEffect(part, e)
	}
	rd.r.charge(len(part))
	defer rd.r.charge(-len(part))
	if rd.w.intents > 0 || rd.w.scheduled {
		defer rd.r.announceWork(rd.space) // whatever is heard of the outcome
	}
	var outcome Outcome
	var err error
	if len(part) <= MaxPart {
		outcome, err = rd.r.repl.Propose(ctx, term, part)
	} else {
		outcome, err = rd.stage(ctx, term, part[body:])
	}
	if planted.Is(planted.EarlyAnswer) && cluster.KindOf(err) == cluster.KindUnknownOutcome {
		outcome, err = Done, nil
	}
	rd.r.settleDoubt(rd.space, term, err)
	if err == nil && outcome == Done && rd.r.config.Events.Committed != nil {
		rd.r.config.Events.Committed(rd.space, rd.done, len(part))
	}
	return outcome, err
}

// settleDoubt notes what proposing a part of the space in term came to. While the outcome of one is unknown, nobody may be
// told of a reason why the same update cannot happen: by request id it may be asked for again, and the part that is on
// its way is nowhere to be seen. A later part tells, since it is behind it in the log; so does the barrier of a later term.
func (r *Replica) settleDoubt(space cluster.SpaceID, term uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		delete(r.doubts, space)
	case cluster.KindOf(err) == cluster.KindUnknownOutcome:
		r.doubts[space] = term
	}
}

func (r *Replica) inDoubt(space cluster.SpaceID, term uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.doubts[space] == term // no term is 0
}

// confirm ends a round that replicates nothing: what it answers, refusals too, was only read, and this node must
// have been allowed to read it (CLUSTER 4.1, 4.2).
func (rd *round) confirm(ctx context.Context) (Outcome, error) {
	end, err := rd.r.repl.BeginRead(ctx, ReadLease)
	if err != nil {
		return 0, err
	}
	// The evaluation was before; it stands if nothing has been applied to the space since.
	db, release, err := rd.r.machine.engine()
	if err != nil {
		return 0, err
	}
	hdr, err := readHeader(db, rd.space)
	release() // end may wait for a quorum
	if err != nil {
		return 0, err
	}
	if err := end(); err != nil {
		return 0, err
	}
	if !hdr.equal(rd.state.hdr) {
		return VoidSequence, nil
	}
	return Done, nil
}

// stageBytes is the size of a piece.
const stageBytes = MaxPart - 256

// stage is for an effect that does not fit an entry.
func (rd *round) stage(ctx context.Context, term uint64, body []byte) (Outcome, error) {
	as := joinedUpdate
	if rd.part.kind == partCreate {
		as = joinedCreate
	}
	return rd.r.stage(ctx, term, staged{rd.part, as, body})
}

// staged is a part whose body does not fit an entry.
type staged struct {
	part partHeader
	as   joined
	body []byte
}

// stage cuts a body into pieces, replicates them, a window at a time, and closes them with a commit (CLUSTER 1.6).
func (r *Replica) stage(ctx context.Context, term uint64, s staged) (Outcome, error) {
	body := s.body
	c := commit{joined: s.as, sum: HashOf(body)}
	if _, err := rand.Read(c.stage[:]); err != nil {
		return 0, err
	}
	parts := make([][]byte, 0, len(body)/stageBytes+1)
	for len(body) > 0 {
		n := min(len(body), stageBytes)
		head := s.part
		head.kind = partPiece
		part := appendPartHeader(make([]byte, 0, n+partHeaderMax+64), head)
		parts = append(parts, appendPiece(part, piece{c.stage, c.pieces, body[:n]}))
		body = body[n:]
		c.pieces++
	}
	outcome, err := r.proposeAll(ctx, term, parts)
	if err != nil || outcome != Done {
		return outcome, err
	}
	head := s.part
	head.kind = partCommit
	return r.repl.Propose(ctx, term, appendCommit(appendPartHeader(nil, head), c))
}

// proposeAll replicates parts in any order, a window at a time, until one is not applied: that one's outcome, or
// error, is returned.
func (r *Replica) proposeAll(ctx context.Context, term uint64, parts [][]byte) (Outcome, error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	outcome, failure := Done, error(nil)
	window := make(chan struct{}, r.config.Window)
	going := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return outcome == Done && failure == nil
	}
	for i := range parts {
		window <- struct{}{}
		if !going() {
			break
		}
		wg.Go(func() {
			defer func() { <-window }()
			o, err := r.repl.Propose(ctx, term, parts[i])
			mu.Lock()
			defer mu.Unlock()
			if failure == nil && outcome == Done {
				outcome, failure = o, err
			}
		})
	}
	wg.Wait()
	if failure != nil {
		return 0, preparatory(failure)
	}
	return outcome, nil
}

// preparatory turns an unknown outcome of something that is not visible yet into a definite one.
func preparatory(err error) error {
	if cluster.KindOf(err) == cluster.KindUnknownOutcome {
		return errors.Join(cluster.ErrUnavailable, err)
	}
	return err
}

// announceWork tells the pumps that a space may have new outbox or due entries.
func (r *Replica) announceWork(space cluster.SpaceID) {
	r.mu.Lock()
	workers := r.workers
	r.mu.Unlock()
	for _, w := range workers {
		(*w)(space)
	}
}

func (rd *round) release() {
	if rd.w != nil {
		rd.w.over.reset()
		rd.r.overlays.Put(rd.w.over)
	}
}
