package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/controller"
	"github.com/flotilla-mail/flotilla/placement/mover"
	"github.com/flotilla-mail/flotilla/placement/planner"
	"github.com/flotilla-mail/flotilla/placement/store"
)

const (
	// shiftEvery is how often it is looked for groups that are to give mailboxes away, beside every change of the map, and
	// shiftPause how long a change waits for the next.
	shiftEvery = 5 * time.Second
	shiftPause = 200 * time.Millisecond
	// shiftSample is how many mailboxes of such a group are looked at to choose one for its size.
	shiftSample = 16
	// shiftRest is for how long a group that was too large gives nothing more: until what has left shows in its size.
	shiftRest = 10 * time.Minute
	// calmRest is for how long a group that was too busy gives nothing more, and one that was given something for that takes
	// nothing: until it shows in what each does, which is averaged.
	calmRest = 2 * opsOver
	// busyOver is over how long it is watched at the least which mailboxes of a group are busy.
	busyOver = 10 * time.Second
)

// shifter has mailboxes moved to other groups while this node leads the system group. It belongs to one goroutine.
type shifter struct {
	n *Node
	// rests is until when groups give nothing, or take nothing, for their size or for how busy they are.
	rests  map[cluster.GroupID]time.Time
	strays strays
	// busy is how far the spaces of groups were that are too busy, when that was looked at.
	busy map[cluster.GroupID]sequencesAt
}

// sequencesAt is how many effects the spaces of a group had had at a moment.
type sequencesAt struct {
	at     time.Time
	spaces map[cluster.SpaceID]uint64
}

// shiftSpaces has mailboxes moved that the policy wants elsewhere, and out of groups that are merged, or larger or busier than
// the policy wants, while this node leads the system group.
func (n *Node) shiftSpaces(ctx context.Context) {
	s := &shifter{n: n, rests: make(map[cluster.GroupID]time.Time), busy: make(map[cluster.GroupID]sequencesAt), strays: strays{n: n}}
	defer n.shifting.Store(nil)
	t := time.NewTicker(shiftEvery)
	defer t.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-n.view.Changed():
			pause(ctx, shiftPause)
		}
		shifts, err := s.plan(ctx)
		n.shifting.Store(&shifts)
		for i := 0; err == nil && i < len(shifts); i++ {
			err = s.shift(ctx, &shifts[i])
		}
		if err != nil && ctx.Err() == nil {
			n.log.Warn("mailboxes are not moved to other groups", "code", "FL-1081", "err", err)
		}
	}
}

// plan is made on what the controller saw last, and only while there is nothing else for it to do.
func (s *shifter) plan(ctx context.Context) ([]planner.Shift, error) {
	c := s.n.planning.Load()
	if c == nil {
		return nil, nil
	}
	look := c.Last()
	if look == nil || len(look.Plan) > 0 {
		return nil, nil
	}
	w := planner.Weights{Bytes: make(map[cluster.GroupID]uint64), Ops: make(map[cluster.GroupID]float64), Resting: make(map[cluster.GroupID]bool)}
	for g, load := range look.Seen.Load {
		w.Bytes[g], w.Ops[g] = load.Bytes, load.Ops
	}
	for g, until := range s.rests {
		w.Resting[g] = time.Now().Before(until)
	}
	var m *placement.Map // with the moves that have begun since
	var policy placement.Policy
	err := systemReplica{s.n}.View(ctx, store.Space, space.ReadIndex, func(r space.Reader) (err error) {
		if m, err = store.Load(r); err == nil {
			policy, err = store.LoadPolicy(r)
		}
		if err == nil {
			w.Spaces, err = store.Counts(r)
		}
		return err
	})
	if err == nil {
		w.Strays, err = s.strays.find(ctx, m, &policy)
	}
	if err != nil {
		return nil, err
	}
	return planner.Shifts(m, policy, w), nil
}

// shift begins to move one mailbox, if one is found.
func (s *shifter) shift(ctx context.Context, p *planner.Shift) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	box, err := s.choose(ctx, p)
	if err != nil || box.IsZero() {
		return err
	}
	q := store.MoveRequest{Space: cluster.SpaceID(box), To: p.To, Cause: p.Why}
	if _, err := rand.Read(q.ID[:]); err != nil {
		return fmt.Errorf("draw move id: %w", err)
	}
	if _, err = s.n.ops.Call(ctx, &ops.Request{Op: store.OpStartMove, Space: store.Space, Payload: wire.Marshal(&q)}, ops.Write); err != nil {
		return err
	}
	switch now := time.Now(); {
	case p.Ops > 0:
		s.rests[p.From], s.rests[p.To] = now.Add(calmRest), now.Add(calmRest)
	case p.Bytes > 0:
		s.rests[p.From] = now.Add(shiftRest)
	}
	s.n.log.Info("a mailbox is moved", "mailbox", box, "from", p.From, "to", p.To, "why", p.Why)
	return nil
}

// choose is the mailbox that goes; zero when none is found.
func (s *shifter) choose(ctx context.Context, p *planner.Shift) (mapi.MailboxID, error) {
	switch {
	case p.Space != (cluster.SpaceID{}):
		return mapi.MailboxID(p.Space), nil
	case p.Ops > 0:
		return s.chooseBusy(ctx, p)
	}
	return s.n.chooseShifted(ctx, p)
}

// chooseBusy is the mailbox of a group that does most, of those that do no more than the other group has room for. It is zero
// until they have been watched for a while.
func (s *shifter) chooseBusy(ctx context.Context, p *planner.Shift) (mapi.MailboxID, error) {
	now, err := mover.Sequences(ctx, s.n.ops, p.From)
	if err != nil {
		return mapi.MailboxID{}, err
	}
	was := s.busy[p.From]
	over := time.Since(was.at)
	if was.spaces == nil || over > calmRest {
		s.busy[p.From] = sequencesAt{time.Now(), now}
	}
	if was.spaces == nil || over < busyOver || over > calmRest {
		return mapi.MailboxID{}, nil
	}
	delete(s.busy, p.From)
	return mapi.MailboxID(busiest(was.spaces, now, p.Ops*over.Seconds())), nil
}

// busiest is the space to which most happened between two moments, of those to which something did and no more than so much.
func busiest(was, now map[cluster.SpaceID]uint64, most float64) (best cluster.SpaceID) {
	var did uint64
	for id, sequence := range now {
		before, known := was[id]
		does := sequence - min(before, sequence)
		if !known || does == 0 || float64(does) > most {
			continue
		}
		if does > did || does == did && cmp.Compare(string(id[:]), string(best[:])) < 0 {
			best, did = id, does
		}
	}
	return best
}

// chooseShifted chooses among some mailboxes of a group the largest that is small enough, else the smallest. It is zero when
// none of them is there: they are being made, or deleted.
func (n *Node) chooseShifted(ctx context.Context, s *planner.Shift) (best mapi.MailboxID, err error) {
	var from cluster.SpaceID
	if _, err := rand.Read(from[:]); err != nil {
		return best, fmt.Errorf("draw a mailbox: %w", err)
	}
	var sample []cluster.SpaceID
	err = systemReplica{n}.View(ctx, store.Space, space.ReadLocal, func(r space.Reader) (err error) {
		sample, err = store.Sample(r, s.From, from, shiftSample)
		return err
	})
	if err != nil {
		return best, err
	}
	var size uint64
	fits := func(used uint64) bool { return s.Bytes == 0 || used <= s.Bytes }
	for _, id := range sample {
		box := mapi.MailboxID(id)
		info, err := exmdb.Do(ctx, n.mail, exmdb.System, box, exmdb.OpMailboxInfo, &exmdb.Empty{})
		switch {
		case err != nil && cluster.KindOf(err) == exmdb.KindNoMailbox:
			continue
		case err != nil:
			return best, err
		}
		if best.IsZero() || fits(info.Used) && (!fits(size) || info.Used > size) || !fits(info.Used) && !fits(size) && info.Used < size {
			best, size = box, info.Used
		}
	}
	return best, nil
}

// stepsShown are the steps of a look, the mailboxes that are on their way, and those that are to go next.
func (n *Node) stepsShown(l *controller.Look) []stepShown {
	steps := []stepShown{}
	for _, s := range l.Plan {
		steps = append(steps, stepShown{Step: s.String(), Why: s.Why, Failed: l.Failed[s.String()]})
	}
	n.eachShift(func(s planner.Shift, underWay string) {
		steps = append(steps, stepShown{Step: s.String() + underWay, Why: s.Why})
	})
	return steps
}

// shiftsShown says which mailboxes go, or come to a group.
func (n *Node) shiftsShown(g cluster.GroupID) (lines []string) {
	n.eachShift(func(s planner.Shift, underWay string) {
		if s.From == g || s.To == g {
			lines = append(lines, fmt.Sprintf("%s%s, because %s", s, underWay, s.Why))
		}
	})
	return lines
}

// eachShift calls fn with the moves that are under way, and how they are, and those that are planned.
func (n *Node) eachShift(fn func(s planner.Shift, underWay string)) {
	moves := n.view.Map().Moves
	for i := range moves {
		m := &moves[i]
		fn(planner.Shift{From: m.From, To: m.To, Space: m.Space, Why: cmp.Or(m.Cause, "it was asked for")}, fmt.Sprintf(" (%s)", m.State))
	}
	if next := n.shifting.Load(); next != nil {
		for _, s := range *next {
			begun := func(m placement.Move) bool { return m.From == s.From && m.To == s.To }
			if !slices.ContainsFunc(moves, begun) {
				fn(s, "")
			}
		}
	}
}

// MergeGroup implements admin.Backend.
func (b backend) MergeGroup(ctx context.Context, g, into cluster.GroupID) error {
	return b.n.mapOp(ctx, store.OpMergeGroup, &store.MergeRequest{Group: g, Into: into})
}

// GrowGroups implements admin.Backend.
func (b backend) GrowGroups(ctx context.Context, q admin.GrowRequest) (*admin.Grown, error) {
	r := store.GrowRequest{Domain: strings.ToLower(q.Domain)}
	if q.Mailbox != "" {
		box, err := b.mailboxOf(ctx, q.Mailbox)
		if err != nil {
			return nil, err
		}
		r.Mailbox = cluster.SpaceID(box)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	raw, err := b.n.ops.Call(ctx, &ops.Request{Op: store.OpGrowGroups, Space: store.Space, Payload: wire.Marshal(&r)}, ops.Write)
	if err != nil {
		return nil, err
	}
	var answer store.GrowResponse
	if err := wire.Unmarshal(raw, &answer); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	return &admin.Grown{Reopened: uint32(answer.Reopened)}, nil
}

var _ admin.MovesBackend = backend{}
