package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/planner"
	"github.com/flotilla-mail/flotilla/placement/store"
)

const (
	// shiftEvery is how often it is looked for groups that are to give mailboxes away, beside every change of the map, and
	// shiftPause how long a change waits for the next.
	shiftEvery = 5 * time.Second
	shiftPause = 200 * time.Millisecond
	// shiftSample is how many mailboxes of such a group are looked at to choose one.
	shiftSample = 16
	// shiftRest is for how long a group that was too large gives nothing more: until what has left shows in its size.
	shiftRest = 10 * time.Minute
)

// shiftSpaces has mailboxes moved out of groups that are merged, or larger than the policy wants, while this node leads the
// system group.
func (n *Node) shiftSpaces(ctx context.Context) {
	gave := make(map[cluster.GroupID]time.Time)
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
		shifts, err := n.shifts(ctx, gave)
		for i := 0; err == nil && i < len(shifts); i++ {
			err = n.shift(ctx, &shifts[i], gave)
		}
		if err != nil && ctx.Err() == nil {
			n.log.Warn("mailboxes are not moved to other groups", "code", "FL-1081", "err", err)
		}
	}
}

// shifts are planned on what the controller saw last, and only while there is nothing else for it to do.
func (n *Node) shifts(ctx context.Context, gave map[cluster.GroupID]time.Time) ([]planner.Shift, error) {
	c := n.planning.Load()
	if c == nil {
		return nil, nil
	}
	look := c.Last()
	if look == nil || len(look.Plan) > 0 {
		return nil, nil
	}
	w := planner.Weights{Bytes: make(map[cluster.GroupID]uint64), Resting: make(map[cluster.GroupID]bool)}
	for g, load := range look.Seen.Load {
		w.Bytes[g] = load.Bytes
	}
	for g, at := range gave {
		w.Resting[g] = time.Since(at) < shiftRest
	}
	var m *placement.Map // with the moves that have begun since
	err := systemReplica{n}.View(ctx, store.Space, space.ReadIndex, func(r space.Reader) (err error) {
		if m, err = store.Load(r); err == nil {
			w.Spaces, err = store.Counts(r)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return planner.Shifts(m, look.Policy, w), nil
}

// shift begins to move one mailbox, if one is found.
func (n *Node) shift(ctx context.Context, s *planner.Shift, gave map[cluster.GroupID]time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	box, err := n.chooseShifted(ctx, s)
	if err != nil || box.IsZero() {
		return err
	}
	q := store.MoveRequest{Space: cluster.SpaceID(box), To: s.To, Cause: s.Why}
	if _, err := rand.Read(q.ID[:]); err != nil {
		return fmt.Errorf("draw move id: %w", err)
	}
	if _, err = n.ops.Call(ctx, &ops.Request{Op: store.OpStartMove, Space: store.Space, Payload: wire.Marshal(&q)}, ops.Write); err != nil {
		return err
	}
	gave[s.From] = time.Now()
	n.log.Info("a mailbox is moved", "mailbox", box, "from", s.From, "to", s.To, "why", s.Why)
	return nil
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

// MergeGroup implements admin.Backend.
func (b backend) MergeGroup(ctx context.Context, g, into cluster.GroupID) error {
	return b.n.mapOp(ctx, store.OpMergeGroup, &store.MergeRequest{Group: g, Into: into})
}

var _ admin.MovesBackend = backend{}
