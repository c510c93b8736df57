package space

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// round runs a space's waiting updates, combined, until their effect is applied (CLUSTER 1.5). No answer leaves it
// before that, refusals included: an update may have been refused for what another wrote in the same effect, or by a
// leader that is none any more and does not know it. When there is no effect, a read check takes its place.
type round struct {
	r     *Replica
	space cluster.SpaceID
	q     *queue
	live  []*waiter // not yet answered, in order; of the round alone
	later []*waiter // left for the next round

	state state // evaluated on
	w     *writer
	part  partHeader
	done  int    // updates that are in w; the rest of live is refused
	check bool   // look for content that is referred to: its absence made a run void
	ops   []byte // scratch
}

func (rd *round) run(ctx context.Context) {
	for len(rd.live) > 0 {
		outcome, err := rd.once(ctx)
		if err == nil && outcome != Done {
			err = rd.again(ctx, outcome)
		}
		switch {
		case err != nil:
			rd.fail(err)
		case outcome == Done:
			rd.succeed()
		}
	}
}

// once evaluates what is live and proposes the effect, or confirms that the evaluation holds without one.
func (rd *round) once(ctx context.Context) (Outcome, error) {
	term, err := rd.r.repl.Lead(ctx)
	if err != nil {
		return 0, rd.began(ctx, err)
	}
	eff, err := rd.evaluated()
	switch {
	case errors.Is(err, errOvertaken):
		return VoidSequence, nil
	case err != nil:
		return 0, err
	case len(rd.live) == 0:
		return Done, nil
	case rd.nothing(eff) && !rd.r.inDoubt(rd.space, term):
		return rd.confirm(ctx)
	}
	return rd.propose(ctx, term, eff)
}

// evaluated runs the live updates and returns their effect.
func (rd *round) evaluated() (*effect, error) {
	db, release, err := rd.r.machine.engine()
	if err != nil {
		return nil, err
	}
	defer release()
	if err := rd.state.open(rd.r.machine, db, rd.space); err != nil {
		return nil, err
	}
	if err := rd.evaluate(&rd.state); err != nil {
		return nil, err
	}
	return rd.effect(&rd.state)
}

// began makes an error that came before anything was proposed definite.
func (rd *round) began(ctx context.Context, err error) error {
	if ctx.Err() != nil && !rd.r.isClosed() {
		return fmt.Errorf("update: %w: %w", cluster.ErrDeadline, err)
	}
	return err
}

// fail ends the round with err. What was refused wrote nothing for certain, but its refusal is not proved.
func (rd *round) fail(err error) {
	for _, w := range rd.live {
		if w.err != nil {
			rd.r.finish(rd.q, w, nil, preparatory(err))
			continue
		}
		rd.r.finish(rd.q, w, nil, err)
	}
	rd.live = nil
}

func (rd *round) succeed() {
	for _, w := range rd.live {
		rd.r.finish(rd.q, w, w.answer, w.err)
	}
	rd.live = nil
}

// again prepares the next run after a void one.
func (rd *round) again(ctx context.Context, why Outcome) error {
	if rd.r.config.Events.RunAgain != nil {
		rd.r.config.Events.RunAgain(rd.space, why)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("update: %w: %w", cluster.ErrDeadline, ctx.Err())
	}
	rd.check = rd.check || why == VoidContent
	return nil
}

func missing(from lsm.Reader, refs []Hash) error {
	for _, h := range refs {
		b, err := from.Get(hashKey(prefixContent, h))
		if err != nil {
			return err
		}
		if b == nil {
			return cluster.Errorf(cluster.KindContentMissing, "content %x is not held by the group", h[:8])
		}
	}
	return nil
}

// evaluate runs the live updates over the applied state. What was answered before is answered again, what does not
// fit goes to later. The error is every live update's.
func (rd *round) evaluate(from *state) error {
	rd.open(from)
	live := rd.live
	rd.live, rd.done = live[:0], 0
	for i, w := range live {
		before := len(rd.live)
		fits := !rd.closedTo(w) && rd.one(from, w)
		if from.err != nil {
			rd.live = append(rd.live[:before], live[i:]...)
			return from.err
		}
		if !fits {
			rd.later = append(append([]*waiter(nil), live[i:]...), rd.later...)
			return nil
		}
	}
	return nil
}

func (rd *round) open(from *state) {
	now := rd.r.config.Now().UnixNano()
	rd.part = partHeader{kind: partUpdate, space: rd.space, wall: now}
	if hdr := from.hdr; hdr != nil {
		rd.part.epoch, rd.part.base, rd.part.wall = hdr.epoch, hdr.sequence, max(now, hdr.wall)
	}
	if rd.w == nil {
		rd.w = &writer{}
		rd.w.over = rd.r.overlays.Get().(*overlay)
	}
	over := rd.w.over
	over.reset()
	*rd.w = writer{reader: newReader(rd.r.machine, from, rd.space, from.hdr), limit: MaxEffect}
	rd.w.over, rd.w.whole = over, from
	rd.w.wall = time.Unix(0, rd.part.wall).UTC()
}

// closedTo reports whether w has to wait for the next round: the effect is as large as combining makes it, or one
// of the two creates or drops the space.
func (rd *round) closedTo(w *waiter) bool {
	n := rd.done
	if n == 0 {
		return false
	}
	size := rd.w.size()
	return rd.part.kind != partUpdate || w.drops || (w.creates && rd.state.hdr == nil) ||
		size+size/n > rd.r.config.CombineBytes
}

// one runs or refuses one update. It is false when the update makes the effect too large to combine, or finds no room in
// it that it may have alone.
func (rd *round) one(from *state, w *waiter) bool {
	answer, known, err := rd.early(from, from.hdr, w)
	switch {
	case known: // by an effect that was applied, which nothing takes back
		rd.r.finish(rd.q, w, answer, nil)
		return true
	case err != nil:
		rd.refuse(w, err)
		return true
	case w.drops:
		rd.part.kind = partDrop
		rd.add(w, nil)
		return true
	case w.creates:
		rd.part.kind, rd.part.epoch, rd.w.epoch = partCreate, w.epoch, w.epoch
	}
	start := rd.w.begin()
	answer, err = w.fn(rd.w)
	err = rd.ended(w, start, answer, err)
	if err == nil && rd.check {
		err = missing(from, w.refs)
	}
	if rd.done > 0 && (rd.w.full() || err == nil && rd.w.size() > rd.r.config.CombineBytes) {
		rd.w.takeBack(start)
		return false
	}
	if err != nil {
		rd.w.takeBack(start)
		rd.part.kind = partUpdate
		rd.refuse(w, err)
		return true
	}
	rd.add(w, answer)
	return true
}

func (rd *round) add(w *waiter, answer []byte) {
	w.answer, w.err = answer, nil
	rd.done++
	rd.w.bytes += len(answer)
	rd.live = append(rd.live, w)
}

func (rd *round) refuse(w *waiter, err error) {
	w.answer, w.err = nil, err
	rd.live = append(rd.live, w)
}

// ended is the error of a function that has run: what its writes met, its own, or an answer that is too long.
func (rd *round) ended(w *waiter, start point, answer []byte, err error) error {
	closing := rd.w.end()
	w.refs = w.refs[:0]
	for _, u := range rd.w.journal[start.journal:] {
		if rd.w.held[u.hash] == refHold {
			w.refs = append(w.refs, u.hash)
		}
	}
	switch {
	case rd.w.err != nil:
		return rd.w.err
	case err != nil:
		return err
	case !w.id.IsZero() && len(answer) > MaxLongAnswer:
		return cluster.Errorf(cluster.KindTooLarge, "answer of %d bytes", len(answer))
	}
	return closing
}

// early answers what need not or must not run (CLUSTER 1.7).
func (rd *round) early(from lsm.Reader, hdr *header, w *waiter) (answer []byte, known bool, err error) {
	if hdr != nil && w.creates && (w.id.IsZero() || hdr.state == Dropped) {
		return nil, false, cluster.Errorf(cluster.KindExists, "space %s exists", rd.space)
	}
	if w.drops && hdr != nil && hdr.state == Dropped {
		return nil, true, nil
	}
	if hdr != nil || !w.creates {
		if err := hdr.use(rd.space); err != nil {
			return nil, false, err
		}
	}
	if w.id.IsZero() {
		return nil, false, nil
	}
	if time.Since(w.id.Drawn) > cluster.RequestWindow {
		return nil, false, cluster.Errorf(cluster.KindStaleRequest, "request id is older than %v", cluster.RequestWindow)
	}
	if hdr == nil {
		return nil, false, nil
	}
	answer, err = rd.remembered(from, hdr.generation(), w.id.ID)
	if err == nil && answer == nil && w.creates {
		err = cluster.Errorf(cluster.KindExists, "space %s exists", rd.space)
	}
	return answer, answer != nil, err
}

// remembered is what was answered under id, nil when nothing was.
func (rd *round) remembered(from lsm.Reader, generation uint64, id requestID) ([]byte, error) {
	answer, err := from.Get(requestKey(rd.space, generation, id))
	if err != nil || answer != nil || generation == 0 {
		return answer, err
	}
	return from.Get(requestKey(rd.space, generation-1, id))
}
