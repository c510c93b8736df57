package node

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/client"
	"github.com/flotilla-mail/flotilla/internal/mapi"
)

// deadlyStep is a step of what the node does by itself at which it dies or freezes, for tests. The zero value is none. Steps are
// those of a move (mover.Events), of an intent (each op on its way by its name, and "performed" before the outbox lets go of it)
// and of work at a time ("due-N" before work of number N is done).
type deadlyStep struct {
	doom atomic.Pointer[doom]
	// die ends the process, freeze stops it until somebody wakes it.
	die    func()
	freeze func() error
}

type doom struct {
	step string
	left atomic.Int64 // times until it is met
	meet func() error
}

// set takes a step, as "TakeIn" or "due-2/3" for the third time.
func (d *deadlyStep) set(text string, freezes bool) error {
	step, times, counted := strings.Cut(text, "/")
	n := 1
	var err error
	if counted {
		n, err = strconv.Atoi(times)
	}
	if err != nil || n < 1 || step == "" {
		return cluster.Errorf(cluster.KindBadRequest, "%q is no step, nor the N-th time of one", text)
	}
	next := &doom{step: step, meet: func() error {
		d.die()
		return cluster.Errorf(cluster.KindUnavailable, "the node dies at step %s", step)
	}}
	if freezes {
		next.meet = d.freeze
	}
	next.left.Store(int64(n))
	d.doom.Store(next)
	return nil
}

func (d *deadlyStep) clear() { d.doom.Store(nil) }

func (d *deadlyStep) at(step string) error {
	doom := d.doom.Load()
	if doom == nil || doom.step != step || doom.left.Add(-1) != 0 {
		return nil
	}
	return doom.meet()
}

// due is at before work of a number.
func (d *deadlyStep) due(op uint16) error {
	if d.doom.Load() == nil {
		return nil
	}
	return d.at(fmt.Sprintf("due-%d", op))
}

// onTheWay are the ops by which intents are performed.
type onTheWay struct {
	client.Client
	deadly *deadlyStep
}

// Call implements exmdb.Caller.
func (o onTheWay) Call(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	if err := o.deadly.at(op.Name); err != nil {
		return err
	}
	return o.Client.Call(ctx, as, box, op, req, resp)
}

// performed are intents that have been performed, and are in the outbox still.
type performed struct {
	space.Performer
	deadly *deadlyStep
}

// Perform implements space.Performer.
func (p performed) Perform(ctx context.Context, source cluster.SpaceID, number uint64, in space.Intent) error {
	if err := p.Performer.Perform(ctx, source, number, in); err != nil {
		return err
	}
	return p.deadly.at("performed")
}
