package space

import (
	"context"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// round runs a space's waiting updates, combined, until their effect is applied or they are refused (CLUSTER 1.5).
type round struct {
	r     *Replica
	space cluster.SpaceID
	q     *queue
	live  []*waiter // not yet answered
	later []*waiter // left for the next round

	w    *writer
	part partHeader
	done []answered // updates that are in w, in order
	ops  []byte     // scratch
}

type answered struct {
	*waiter
	answer []byte
}

func (rd *round) run(ctx context.Context) {
	for len(rd.live) > 0 {
		outcome, err := rd.once(ctx)
		switch {
		case err != nil:
			rd.refuse(err)
		case outcome == Done:
			rd.succeed()
		default:
			if rd.r.config.Events.RunAgain != nil {
				rd.r.config.Events.RunAgain(rd.space, outcome)
			}
			if err := rd.again(ctx, outcome); err != nil {
				rd.refuse(err)
			}
		}
	}
}

// once evaluates what is live and proposes the effect. Updates refused on the way are answered.
func (rd *round) once(ctx context.Context) (Outcome, error) {
	term, err := rd.r.repl.Lead(ctx)
	if err != nil {
		return 0, rd.began(ctx, err)
	}
	db, release, err := rd.r.machine.engine()
	if err != nil {
		return 0, err
	}
	err = rd.evaluate(db)
	var eff *effect
	if err == nil && len(rd.done) > 0 {
		eff, err = rd.effect(db)
	}
	release()
	if err != nil || len(rd.done) == 0 {
		return 0, err
	}
	return rd.propose(ctx, term, eff)
}

// began makes an error that came before anything was proposed definite.
func (rd *round) began(ctx context.Context, err error) error {
	if ctx.Err() != nil && !rd.r.isClosed() {
		return fmt.Errorf("update: %w: %w", cluster.ErrDeadline, err)
	}
	return err
}

func (rd *round) refuse(err error) {
	for _, w := range rd.live {
		rd.r.finish(rd.q, w, nil, err)
	}
	rd.live = nil
}

func (rd *round) succeed() {
	for _, d := range rd.done {
		rd.r.finish(rd.q, d.waiter, d.answer, nil)
	}
	rd.live = nil
}

// again prepares the next run after a void one. An update whose own content is missing is answered.
func (rd *round) again(ctx context.Context, why Outcome) error {
	if ctx.Err() != nil {
		return fmt.Errorf("update: %w: %w", cluster.ErrDeadline, ctx.Err())
	}
	if why != VoidContent {
		return nil
	}
	db, release, err := rd.r.machine.engine()
	if err != nil {
		return err
	}
	defer release()
	kept := rd.live[:0]
	for _, w := range rd.live {
		err := missing(db, w.refs)
		if err == nil {
			kept = append(kept, w)
			continue
		}
		rd.r.finish(rd.q, w, nil, err)
	}
	rd.live = kept
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

// evaluate runs the live updates over the applied state. What it refuses is answered, what does not fit goes to
// later; live and done are what the effect holds. The error is every live update's.
func (rd *round) evaluate(from lsm.Reader) error {
	hdr, err := readHeader(from, rd.space)
	if err != nil {
		return err
	}
	rd.open(from, hdr)
	live := rd.live
	rd.live, rd.done = nil, rd.done[:0]
	for i, w := range live {
		if rd.closedTo(hdr, w) || !rd.one(from, hdr, w) {
			rd.later = append(append([]*waiter(nil), live[i:]...), rd.later...)
			return nil
		}
	}
	return nil
}

func (rd *round) open(from lsm.Reader, hdr *header) {
	now := rd.r.config.Now().UnixNano()
	rd.part = partHeader{kind: partUpdate, space: rd.space, wall: now}
	if hdr != nil {
		rd.part.epoch, rd.part.base, rd.part.wall = hdr.epoch, hdr.sequence, max(now, hdr.wall)
	}
	if rd.w == nil {
		rd.w = &writer{}
		rd.w.over = rd.r.overlays.Get().(*overlay)
	}
	over := rd.w.over
	over.reset()
	*rd.w = writer{reader: newReader(rd.r.machine, from, rd.space, rd.part.base), limit: MaxEffect}
	rd.w.over = over
	rd.w.wall = time.Unix(0, rd.part.wall).UTC()
}

// closedTo reports whether w has to wait for the next round: the effect is as large as combining makes it, or one
// of the two creates or drops the space.
func (rd *round) closedTo(hdr *header, w *waiter) bool {
	n := len(rd.done)
	if n == 0 {
		return false
	}
	size := rd.w.size()
	return rd.part.kind != partUpdate || w.drops || (w.creates && hdr == nil) ||
		size+size/n > rd.r.config.CombineBytes
}

// one runs or refuses one update. It is false when the update made the effect too large to combine.
func (rd *round) one(from lsm.Reader, hdr *header, w *waiter) bool {
	answer, known, err := rd.early(from, hdr, w)
	if known || err != nil {
		rd.r.finish(rd.q, w, answer, err)
		return true
	}
	switch {
	case w.drops:
		rd.part.kind = partDrop
		rd.add(w, nil)
		return true
	case w.creates:
		rd.part.kind = partCreate
	}
	start := rd.w.begin()
	answer, err = w.fn(rd.w)
	err = rd.ended(w, start, answer, err)
	if err != nil {
		rd.w.takeBack(start)
		rd.part.kind = partUpdate
		rd.r.finish(rd.q, w, nil, err)
		return true
	}
	if len(rd.done) > 0 && rd.w.size() > rd.r.config.CombineBytes {
		rd.w.takeBack(start)
		return false
	}
	rd.add(w, answer)
	return true
}

func (rd *round) add(w *waiter, answer []byte) {
	rd.done = append(rd.done, answered{w, answer})
	rd.w.bytes += len(answer)
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
