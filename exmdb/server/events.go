package server

import (
	"context"
	"errors"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// events serves OpEvents: while nothing has happened it waits for the mailbox's space to move, as a watch does. What one
// that waits costs is its request.
func (m mailboxes) events(ctx context.Context, rep *space.Replica, q *ops.Request) ([]byte, error) {
	var req exmdb.EventsRequest
	if err := decode(q.Payload, &req); err != nil {
		return nil, err
	}
	as, err := identity(q)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, min(time.Duration(req.Wait)*time.Millisecond, maxWatch))
	defer cancel()
	for {
		var resp *exmdb.EventsResponse
		err := rep.View(ctx, q.Space, space.ReadLease, func(r space.Reader) (err error) {
			if err := q.Placed(r); err != nil {
				return err
			}
			resp, err = m.EventsSince(r, as, &req)
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(resp.Events) > 0 || resp.Overflow || resp.More || req.Wait == 0 {
			return wire.Marshal(resp), nil
		}
		_, err = rep.WaitSequence(limited, q.Space, resp.Sequence)
		switch {
		case errors.Is(err, cluster.ErrDeadline) && ctx.Err() == nil:
			return wire.Marshal(resp), nil
		case err != nil:
			return nil, err
		}
		req.Since = resp.Stamp
	}
}
