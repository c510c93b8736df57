package mover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

const (
	// contentBytes is about how much content one request brings, contentsAtOnce how many requests are on their way.
	contentBytes   = 256 << 10
	contentsAtOnce = 2
	// near is how many effects the target may be behind when the source is frozen: one run brings them.
	near = 64
	// chases bounds how long that is waited for: a space that is written to faster than it is copied is frozen all the same.
	chases = 200
	// maxAttempts is how many freezes may lead to nothing before a move is given up.
	maxAttempts = 20
	// askTime bounds one question to another group.
	askTime = 30 * time.Second
)

var (
	// errEnded says that both groups are done with a move.
	errEnded = errors.New("the move has ended")
	// errDied says that Events.Arrow ended the carrier.
	errDied = errors.New("the carrier has died")
)

// carrier carries one move. What it remembers of it is only what it saw last.
type carrier struct {
	*Mover
	move    placement.Move
	trouble error
	since   time.Time // frozen here, as far as this carrier knows
	frozen  time.Duration
	over    bool // it was this carrier that ended the move
}

func (c *carrier) id() space.MoveID { return space.MoveID(c.move.ID) }

// look takes in what is known of the move: from the map of this node, and where that has nothing, from the system group.
// It is errEnded when there is no record any more.
func (c *carrier) look(ctx context.Context) error {
	if c.glance() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	moves, err := list(ctx, c.Ops)
	if err != nil {
		return err
	}
	for i := range moves {
		if c.take(&moves[i]) {
			return nil
		}
	}
	return errEnded
}

// glance takes in what the map of this node has of the move, if it has anything.
func (c *carrier) glance() bool {
	m := c.Map.Map().Move(c.move.Space)
	return m != nil && c.take(m)
}

// take is false if the record is of another move. An older one than is known changes nothing.
func (c *carrier) take(m *placement.Move) bool {
	if m.ID != c.move.ID {
		return false
	}
	if newer(m, &c.move) {
		c.move = *m
	}
	return true
}

// newer reports whether a record was written after another of the same move.
func newer(a, b *placement.Move) bool {
	return a.State > b.State || a.State == b.State && a.Attempt > b.Attempt
}

func (c *carrier) arrow(step string) error {
	if c.Events.Arrow == nil {
		return nil
	}
	if err := c.Events.Arrow(&c.move, step); err != nil {
		return errors.Join(errDied, err)
	}
	return nil
}

// once does what the record asks for next.
func (c *carrier) once(ctx context.Context) error {
	switch c.move.State {
	case placement.MoveCopying:
		return c.forward(ctx)
	case placement.MoveFlipped:
		return c.settle(ctx)
	}
	return c.giveUp(ctx)
}

// decide performs an op on the record and takes in what it is then. A record that is gone has ended.
func (c *carrier) decide(ctx context.Context, op ops.ID, trouble string) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	q := &store.MoveRequest{Space: c.move.Space, ID: c.move.ID, Attempt: c.move.Attempt, Trouble: trouble}
	answer, err := c.Ops.Call(ctx, &ops.Request{Op: op, Space: store.Space, Payload: wire.Marshal(q)}, ops.Write)
	if err != nil {
		return fmt.Errorf("system group: %w", err)
	}
	var m placement.Move
	if err := wire.Unmarshal(answer, &m); err != nil {
		return fmt.Errorf("decode record of a move: %w", err)
	}
	if m.ID != c.move.ID {
		return errEnded
	}
	c.move = m
	return nil
}

// target asks the target group for a step.
func (c *carrier) target(ctx context.Context, op ops.ID, q *stepRequest) (*status, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	q.Space, q.ID, q.Epoch = c.move.Space, c.move.ID, c.move.Epoch+1
	return ask(ctx, c.Ops, c.move.To, op, q)
}

// forward copies, freezes and flips. It returns early, without an error, when the record has changed.
func (c *carrier) forward(ctx context.Context) error {
	here, err := c.begin(ctx)
	if err != nil || c.move.State != placement.MoveCopying {
		return err
	}
	there, err := c.arrive(ctx)
	if err != nil {
		return err
	}
	if here.State != space.Frozen {
		if there, err = c.copy(ctx, there); err != nil || c.move.State != placement.MoveCopying {
			return err
		}
	}
	return c.finish(ctx, there)
}

// begin starts the journal, and ends a freeze that has been given up.
func (c *carrier) begin(ctx context.Context) (space.MoveStatus, error) {
	if err := c.arrow("begin"); err != nil {
		return space.MoveStatus{}, err
	}
	err := c.Replica.BeginMove(ctx, c.move.Space, c.move.Epoch, c.id())
	here, serr := c.Replica.MoveStatus(c.move.Space)
	switch {
	case serr != nil:
		return here, serr
	case cluster.KindOf(err) == cluster.KindNoSpace && (here.State == 0 || here.State == space.Dropped):
		return here, c.decide(ctx, store.OpAbortMove, "the mailbox is not there any more")
	case err != nil:
		return here, err
	case here.State == space.Frozen && here.Attempt < c.move.Attempt:
		err = c.Replica.ThawMove(ctx, c.move.Space, c.id(), here.Attempt)
		here.State = space.Active
	}
	return here, err
}

// arrive makes the target ready. What an earlier move left there, which the map has forgotten, goes first.
func (c *carrier) arrive(ctx context.Context) (*status, error) {
	if err := c.arrow("arrive"); err != nil {
		return nil, err
	}
	start, err := c.Replica.MoveStart(c.move.Space, c.id())
	if err != nil {
		return nil, err
	}
	there, err := c.target(ctx, opArrive, &stepRequest{Body: start})
	if err != nil || there.Refused == 0 {
		return there, err
	}
	if space.State(there.State) == space.Arriving && there.ID != c.move.ID {
		stale := &stepRequest{Space: c.move.Space, ID: there.ID}
		if _, err := ask(ctx, c.Ops, c.move.To, opDiscard, stale); err != nil {
			return nil, err
		}
	}
	return nil, there.refusal()
}

// copy brings pieces, and then what has happened since, until the target is near.
func (c *carrier) copy(ctx context.Context, there *status) (*status, error) {
	select {
	case c.copying <- struct{}{}:
		defer func() { <-c.copying }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for there.Copying {
		if c.glance(); c.move.State != placement.MoveCopying {
			return there, nil
		}
		if err := c.arrow("copy"); err != nil {
			return nil, err
		}
		start := time.Now()
		piece, err := c.Replica.NextPiece(c.move.Space, c.id(), there.moveStatus(), c.Piece)
		if err != nil {
			return nil, err
		}
		if there, err = c.bring(ctx, piece, opCopy, &stepRequest{Body: piece.Body}); err != nil {
			return nil, err
		}
		wait(ctx, time.Since(start)) // the other half of the time is the other mailboxes'
	}
	if err := c.bringUploads(ctx, false); err != nil {
		return nil, err
	}
	for range chases {
		if c.glance(); c.move.State != placement.MoveCopying {
			return there, nil
		}
		if err := c.arrow("replay"); err != nil {
			return nil, err
		}
		next, behind, err := c.replay(ctx, there, 0)
		if err != nil || behind <= near {
			return next, err
		}
		there = next
	}
	return there, nil
}

// replay brings a run of effects and reports how many are behind it.
func (c *carrier) replay(ctx context.Context, there *status, whole uint64) (*status, uint64, error) {
	piece, err := c.Replica.NextEffects(c.move.Space, c.id(), there.Sequence, whole, c.Piece)
	if err != nil {
		return nil, 0, err
	}
	after := there.Sequence
	there, err = c.bring(ctx, piece, opReplay, &stepRequest{After: after, Body: piece.Body})
	return there, piece.Behind, err
}

// bring gives the target the content of a piece or a run, and then that.
func (c *carrier) bring(ctx context.Context, p *space.Piece, op ops.ID, q *stepRequest) (*status, error) {
	if err := c.bringAll(ctx, p.Needs, &stepRequest{}); err != nil {
		return nil, err
	}
	there, err := c.target(ctx, op, q)
	if err != nil {
		return nil, err
	}
	return there, there.refusal()
}

// runOfNames is how many contents are asked for at once.
const runOfNames = 4096

// bringAll gives the target content; how it is asked for what it lacks, lacks says.
func (c *carrier) bringAll(ctx context.Context, needs []space.Hash, lacks *stepRequest) error {
	for len(needs) > 0 {
		n := min(len(needs), runOfNames)
		if err := c.bringContent(ctx, needs[:n], *lacks); err != nil {
			return err
		}
		needs = needs[n:]
	}
	return nil
}

// bringUploads gives the target what clients have uploaded and not referred to yet; with late, what came since the copy
// began. What the target has already it may be about to let go of: there is no effect yet that would be void without it,
// and so be made again.
func (c *carrier) bringUploads(ctx context.Context, late bool) error {
	uploads, err := c.Replica.MoveUploads(c.move.Space, c.id(), late)
	if err != nil {
		return err
	}
	return c.bringAll(ctx, uploads, &stepRequest{Keep: true})
}

func (c *carrier) bringContent(ctx context.Context, needs []space.Hash, q stepRequest) error {
	q.Content = make([]content, len(needs))
	for i := range needs {
		q.Content[i].Hash = needs[i]
	}
	there, err := c.target(ctx, opLacks, &q)
	if err == nil {
		err = there.refusal()
	}
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(contentsAtOnce)
	send := func(list []content) {
		g.Go(func() error {
			there, err := c.target(gctx, opContent, &stepRequest{Content: list})
			if err != nil {
				return err
			}
			return there.refusal()
		})
	}
	var list []content
	size := 0
	for _, i := range there.Lacks {
		if int(i) >= len(needs) {
			continue
		}
		stored, err := c.Replica.Stored(needs[i])
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		if stored == nil { // let go of since: if anything needs it, that is void and made again
			continue
		}
		list, size = append(list, content{needs[i], stored}), size+len(stored)
		if size >= contentBytes {
			send(list)
			list, size = nil, 0
		}
	}
	if len(list) > 0 {
		send(list)
	}
	return g.Wait()
}

// finish freezes the space, brings the rest and flips. What does not come to that in time is given up for this attempt.
func (c *carrier) finish(ctx context.Context, there *status) error {
	limited, cancel := context.WithTimeout(ctx, c.Frozen)
	defer cancel()
	c.since = time.Now()
	err := c.freezeAndFlip(limited, there)
	if err == nil || ctx.Err() != nil || errors.Is(err, errDied) || errors.Is(err, errEnded) {
		return err
	}
	attempt := c.move.Attempt
	if derr := c.thaw(ctx, attempt); derr != nil {
		return errors.Join(err, derr)
	}
	return fmt.Errorf("attempt %d: %w", attempt, err)
}

func (c *carrier) freezeAndFlip(ctx context.Context, there *status) error {
	if err := c.arrow("freeze"); err != nil {
		return err
	}
	if err := c.Replica.FreezeMove(ctx, c.move.Space, c.id(), c.move.Attempt); err != nil {
		return err
	}
	if err := c.arrow("whole"); err != nil {
		return err
	}
	for !there.Whole || there.Attempt != c.move.Attempt {
		next, _, err := c.replay(ctx, there, c.move.Attempt)
		if err != nil {
			return err
		}
		there = next
	}
	if err := c.bringUploads(ctx, true); err != nil {
		return err
	}
	if err := c.arrow("flip"); err != nil {
		return err
	}
	return c.decide(ctx, store.OpFlipMove, "")
}

// thaw makes the flip of an attempt impossible and then lets the space go on, unless the flip was first.
func (c *carrier) thaw(ctx context.Context, attempt uint64) error {
	if err := c.arrow("thaw"); err != nil {
		return err
	}
	op, trouble := store.OpThawMove, ""
	if attempt >= maxAttempts {
		op, trouble = store.OpAbortMove, fmt.Sprintf("%d attempts came to nothing; the last but one: %v", attempt, c.trouble)
	}
	if err := c.decide(ctx, op, trouble); err != nil {
		return err
	}
	if c.move.State != placement.MoveCopying || c.move.Attempt == attempt {
		return nil
	}
	return c.Replica.ThawMove(ctx, c.move.Space, c.id(), attempt)
}

// settle is for a space that lives in the target: it is taken into use there, and a tombstone is left here.
func (c *carrier) settle(ctx context.Context) error {
	if err := c.arrow("activate"); err != nil {
		return err
	}
	there, err := c.target(ctx, opActivate, &stepRequest{Attempt: c.move.Attempt, From: c.move.From})
	if err != nil {
		return err
	}
	if s := space.State(there.State); there.Refused != 0 && (s == space.Arriving || s == 0) {
		return there.refusal()
	}
	if !c.since.IsZero() {
		c.frozen, c.since = time.Since(c.since), time.Time{}
	}
	if err := c.arrow("leave"); err != nil {
		return err
	}
	err = c.Replica.LeaveMove(ctx, c.move.Space, c.id())
	if err != nil && !c.left(err) {
		return err
	}
	return c.end(ctx)
}

// giveUp lets both groups forget the move.
func (c *carrier) giveUp(ctx context.Context) error {
	if err := c.arrow("stay"); err != nil {
		return err
	}
	err := c.Replica.StayMove(ctx, c.move.Space, c.id())
	if err != nil && !c.left(err) {
		return err
	}
	if err := c.arrow("discard"); err != nil {
		return err
	}
	there, err := c.target(ctx, opDiscard, &stepRequest{})
	if err != nil {
		return err
	}
	if there.ID == c.move.ID && space.State(there.State) == space.Arriving {
		return there.refusal()
	}
	return c.end(ctx)
}

// left reports whether a step was refused because this group is done with the move.
func (c *carrier) left(err error) bool {
	if cluster.KindOf(err) != cluster.KindNoSpace {
		return false
	}
	here, serr := c.Replica.MoveStatus(c.move.Space)
	return serr == nil && (here.Move != c.id() || here.State == space.Moved)
}

func (c *carrier) end(ctx context.Context) error {
	if err := c.arrow("end"); err != nil {
		return err
	}
	err := c.decide(ctx, store.OpEndMove, "")
	c.over = errors.Is(err, errEnded)
	if err == nil {
		err = fmt.Errorf("move %s of space %s does not end", c.move.ID, c.move.Space)
	}
	return err
}
