package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/mover"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// moveSpaces carries mailboxes that move out of a group, and takes those into use that move in, while this node leads it.
func (n *Node) moveSpaces(ctx context.Context, id cluster.GroupID) {
	for ctx.Err() == nil {
		if g := n.storage.host.Group(id); g != nil {
			mover.New(mover.Config{Group: id, Replica: g.Replica(), Ops: n.ops, Map: n.view, Events: mover.Events{
				Arrow: func(_ *placement.Move, step string) error { return n.deadly.at(step) },
				Ended: func(m *placement.Move, frozen time.Duration) {
					n.log.Info("move of a mailbox ended", "mailbox", m.Space, "from", m.From, "to", m.To, "state", m.State.String(),
						"attempts", m.Attempt, "frozen", frozen, "cause", m.Cause, "trouble", m.Trouble)
				},
				Failed: func(m *placement.Move, err error) {
					n.log.Warn("move of a mailbox waits", "code", "FL-1080", "mailbox", m.Space, "from", m.From, "to", m.To, "err", err)
				},
			}}).Run(ctx)
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// moveTarget is the group that a group's number or a node's name stands for: of those that the node leads, and that are made
// for what the rule for the mailbox asks for, the one with the fewest mailboxes. A group that is made for something else is
// refused: the mailbox would be moved back.
func (b backend) moveTarget(ctx context.Context, address, to string) (cluster.GroupID, error) {
	box, err := b.mailboxOf(ctx, address)
	if err != nil {
		return 0, err
	}
	policy, m, err := b.policy(ctx)
	if err != nil {
		return 0, err
	}
	rule := policy.Rule(cluster.SpaceID(box), domainOf(address))
	want := policy.ClassOf(cluster.SpaceID(box), domainOf(address))
	if n, err := strconv.ParseUint(to, 10, 32); err == nil {
		g := m.Group(cluster.GroupID(n))
		if g != nil && g.ID != cluster.SystemGroup && g.Class() != want {
			return 0, cluster.Errorf(cluster.KindBadRequest, "%s, and group %d is for %s: change the rule with 'flotilla placement policy set', "+
				"and the mailbox moves by itself", ruleWords(rule), n, classWords(g.Class()))
		}
		return cluster.GroupID(n), nil
	}
	if b.n.view.Map().Node(cluster.NodeID(to)) == nil {
		return 0, cluster.Errorf(cluster.KindBadRequest, "%q is neither a group nor a node", to)
	}
	counts, err := b.n.mailboxCounts(ctx)
	if err != nil {
		return 0, err
	}
	best := cluster.SystemGroup
	for g, leader := range b.n.view.Leaders() {
		if of := m.Group(g); g == cluster.SystemGroup || string(leader.Node) != to || of == nil || of.Class() != want || of.Into != 0 {
			continue
		}
		if best == cluster.SystemGroup || counts[g] < counts[best] || counts[g] == counts[best] && g < best {
			best = g
		}
	}
	if best == cluster.SystemGroup {
		return 0, cluster.Errorf(cluster.KindUnavailable, "%s leads no group that is for %s: 'flotilla groups' shows who leads which", to, classWords(want))
	}
	return best, nil
}

// moveOp performs an op on the record of a mailbox's move and says how the move stands then.
func (b backend) moveOp(ctx context.Context, address string, op ops.ID, q store.MoveRequest) (*admin.Move, error) {
	box, err := b.mailboxOf(ctx, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	q.Space = cluster.SpaceID(box)
	answer, err := b.n.ops.Call(ctx, &ops.Request{Op: op, Space: store.Space, Payload: wire.Marshal(&q)}, ops.Write)
	if err != nil {
		return nil, err
	}
	var m placement.Move
	if err := wire.Unmarshal(answer, &m); err != nil {
		return nil, fmt.Errorf("decode record of a move: %w", err)
	}
	return b.showMove(ctx, box, &m)
}

// MoveMailbox implements admin.Backend.
func (b backend) MoveMailbox(ctx context.Context, address, to string) (*admin.Move, error) {
	g, err := b.moveTarget(ctx, address, to)
	if err != nil {
		return nil, err
	}
	q := store.MoveRequest{To: g, Cause: "administrator"}
	if _, err := rand.Read(q.ID[:]); err != nil {
		return nil, fmt.Errorf("draw move id: %w", err)
	}
	return b.moveOp(ctx, address, store.OpStartMove, q)
}

// AbortMove implements admin.Backend.
func (b backend) AbortMove(ctx context.Context, address string) (*admin.Move, error) {
	return b.moveOp(ctx, address, store.OpAbortMove, store.MoveRequest{Trouble: "called off by an administrator"})
}

// MailboxMove implements admin.Backend.
func (b backend) MailboxMove(ctx context.Context, address string) (*admin.Move, error) {
	box, err := b.mailboxOf(ctx, address)
	if err != nil {
		return nil, err
	}
	moves, err := b.allMoves(ctx)
	if err != nil {
		return nil, err
	}
	var found placement.Move
	for i := range moves {
		if moves[i].Space == cluster.SpaceID(box) {
			found = moves[i]
		}
	}
	return b.showMove(ctx, box, &found)
}

// Moves implements admin.Backend.
func (b backend) Moves(ctx context.Context) ([]admin.Move, error) {
	moves, err := b.allMoves(ctx)
	if err != nil {
		return nil, err
	}
	lines := []admin.Move{}
	for i := range moves {
		line, err := b.showMove(ctx, mapi.MailboxID(moves[i].Space), &moves[i])
		if err != nil {
			return nil, err
		}
		lines = append(lines, *line)
	}
	return lines, nil
}

// placeNow is where the map has a space, not older than the call.
func (n *Node) placeNow(ctx context.Context, id cluster.SpaceID) (p placement.Place, err error) {
	err = systemReplica{n}.View(ctx, store.Space, space.ReadIndex, func(r space.Reader) (err error) {
		p, _, err = store.Lookup(r, id)
		return err
	})
	return p, err
}

func (b backend) allMoves(ctx context.Context) ([]placement.Move, error) {
	answer, err := b.n.ops.Call(ctx, &ops.Request{Op: store.OpListMoves, Space: store.Space}, ops.Read)
	if err != nil {
		return nil, err
	}
	var r store.MovesResponse
	err = wire.Unmarshal(answer, &r)
	return r.Moves, err
}

// progressTime bounds the question to the groups how far a move is: one of them may be without a leader.
const progressTime = 2 * time.Second

// showMove adds to a record how far the groups are. A zero record is of a mailbox that does not move.
func (b backend) showMove(ctx context.Context, box mapi.MailboxID, m *placement.Move) (*admin.Move, error) {
	line := &admin.Move{Mailbox: box.String(), State: admin.MoveNone}
	if m.State == 0 {
		place, err := b.n.placeNow(ctx, cluster.SpaceID(box))
		line.Group = uint32(place.Group)
		return line, err
	}
	line.State, line.Group, line.From, line.To = m.State.String(), uint32(m.From), uint32(m.From), uint32(m.To)
	line.Since, line.Cause, line.Attempt, line.Trouble = m.Since, m.Cause, m.Attempt, m.Trouble
	switch m.State {
	case placement.MoveFlipped:
		line.Group, line.Whole = uint32(m.To), true
	case placement.MoveCopying:
		ctx, cancel := context.WithTimeout(ctx, progressTime)
		defer cancel()
		if p, err := mover.ProgressOf(ctx, b.n.ops, m); err == nil { // without an answer it is only not known
			line.Copied, line.Whole, line.Behind = p.Copied, p.Whole, p.Behind
		}
	}
	return line, nil
}
