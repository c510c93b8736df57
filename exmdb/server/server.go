// Package server serves the ops of the mailboxes owned here: it joins the op table of exmdb, the functions of
// exmdb/store, and the cluster's way of carrying ops.
//
// It knows how requests and identities are coded and which ops wait instead of reading or writing; what an op does is
// the store's.
package server

import (
	"context"
	"errors"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// maxWatch bounds one wait of OpWatch, whatever the caller's deadline: the answer is then the sequence it had.
const maxWatch = 30 * time.Minute

// mailboxes serves what is no op of the table.
type mailboxes struct{ *store.Store }

// watch waits until the mailbox's space moves (CLUSTER 4.5). When the wait ends without a change the sequence comes
// back as it was.
func (m mailboxes) watch(ctx context.Context, rep *space.Replica, q *ops.Request) ([]byte, error) {
	var req exmdb.WatchRequest
	if err := decode(q.Payload, &req); err != nil {
		return nil, err
	}
	if err := permitted(ctx, rep, q, m.MayRead); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, maxWatch)
	defer cancel()
	seq, err := rep.WaitSequence(limited, q.Space, req.After)
	if errors.Is(err, cluster.ErrDeadline) && ctx.Err() == nil {
		seq, err = req.After, nil
	}
	if err != nil {
		return nil, err
	}
	return wire.Marshal(&exmdb.WatchResponse{Sequence: seq}), nil
}

// uploadChunk puts one chunk into the group's log, ahead of the op that will refer to it. A chunk that the group has
// costs nothing.
func (m mailboxes) uploadChunk(ctx context.Context, rep *space.Replica, q *ops.Request) ([]byte, error) {
	var req exmdb.UploadChunkRequest
	if err := decodeShared(q.Payload, &req); err != nil { // the upload ends before the request does
		return nil, err
	}
	if err := permitted(ctx, rep, q, m.mayUpload); err != nil {
		return nil, err
	}
	if len(req.Data) == 0 || len(req.Data) > exmdb.MaxChunk {
		return nil, cluster.Errorf(cluster.KindTooLarge, "chunk of %d bytes", len(req.Data))
	}
	up, err := rep.UploadFor(ctx, q.Space)
	if err != nil {
		return nil, err
	}
	_, err = up.Put(ctx, req.Data)
	return nil, errors.Join(err, up.Close())
}

// mayUpload refuses whoever may not change the mailbox. Content belongs to the group, so the system may bring some for
// any space in it: those of the mail queue are no mailboxes.
func (m mailboxes) mayUpload(r space.Reader, as *exmdb.Identity) error {
	if as.Privileges&exmdb.PrivilegeSystem != 0 {
		return nil
	}
	return m.MayWrite(r, as)
}

// permitted asks the store whether the caller may use the mailbox at all; ops of the table are asked by the store
// itself.
func permitted(ctx context.Context, rep *space.Replica, q *ops.Request, may func(space.Reader, *exmdb.Identity) error) error {
	as, err := identity(q)
	if err != nil {
		return err
	}
	return rep.View(ctx, q.Space, space.ReadLease, func(r space.Reader) error {
		if err := q.Placed(r); err != nil {
			return err
		}
		return may(r, as)
	})
}

func decode(b []byte, v any) error {
	if err := wire.Unmarshal(b, v); err != nil {
		return cluster.Errorf(cluster.KindBadRequest, "decode %T: %v", v, err)
	}
	return nil
}

// decodeShared is decode into slices of b.
func decodeShared(b []byte, v any) error {
	if err := wire.UnmarshalShared(b, v); err != nil {
		return cluster.Errorf(cluster.KindBadRequest, "decode %T: %v", v, err)
	}
	return nil
}

// Handlers is the table of ops on mailboxes under a configuration.
func Handlers(config store.Config) []ops.Handler {
	m := mailboxes{store.New(config)}
	table := []ops.Handler{
		{ID: ops.ID(exmdb.OpWatch.ID), Name: exmdb.OpWatch.Name, Mode: ops.Wait, Serve: m.watch},
		{ID: ops.ID(exmdb.OpUploadChunk.ID), Name: exmdb.OpUploadChunk.Name, Mode: ops.Serve, Serve: m.uploadChunk,
			Grows: exmdb.OpUploadChunk.Grows()},
	}
	for _, h := range m.Handlers() {
		row := join(h)
		if h.ID == exmdb.OpEvents.ID { // it may wait
			row = ops.Handler{ID: row.ID, Name: row.Name, Mode: ops.Wait, Serve: m.events}
		}
		table = append(table, row)
	}
	return table
}

// join gives a function of the store the form in which ops are served.
func join(h store.Handler) ops.Handler {
	row := ops.Handler{ID: ops.ID(h.ID), Name: h.Name, Grows: exmdb.OpInfo{ID: h.ID}.Grows()}
	switch {
	case h.View != nil:
		row.View = func(r space.Reader, q *ops.Request) ([]byte, error) {
			as, err := identity(q)
			if err != nil {
				return nil, err
			}
			return h.View(r, as, q.Payload)
		}
		return row
	case h.ID == exmdb.OpCreateMailbox.ID:
		row.Mode = ops.Create
	default:
		row.Mode = ops.Write
	}
	row.Update = func(w space.Writer, q *ops.Request) ([]byte, error) {
		as, err := identity(q)
		if err != nil {
			return nil, err
		}
		return h.Run(w, as, q.Payload)
	}
	return row
}

// identity decodes who asks, once for a request however often its function runs.
func identity(q *ops.Request) (*exmdb.Identity, error) {
	if as, ok := q.Identity.(*exmdb.Identity); ok {
		return as, nil
	}
	as := new(exmdb.Identity)
	if err := decode(q.As, as); err != nil {
		return nil, err
	}
	q.Identity = as
	return as, nil
}

// Due does what falls due in the mailboxes of one group (CLUSTER 2.2), under the configuration of their ops; a
// space.DueRunner of the group's leader calls it.
type Due struct {
	Replica *space.Replica
	Config  store.Config
	// Unplace takes a space that lives here under an epoch out of the map. Nil: there is none.
	Unplace func(ctx context.Context, id cluster.SpaceID, epoch uint64) error
}

// PerformDue implements space.DuePerformer.
func (d Due) PerformDue(ctx context.Context, id cluster.SpaceID, work space.Due) error {
	if work.Op == store.DueDropMailbox {
		return d.drop(ctx, id)
	}
	m := mailboxes{store.New(d.Config)}
	defer exmdb.Rest(ctx, time.Now())
	_, err := d.Replica.Update(ctx, id, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		mine, err := space.Take(w, work)
		if err != nil || !mine {
			return nil, err
		}
		return nil, m.PerformDue(w, work)
	})
	return err
}

// drop ends the space of a deleted mailbox. The map comes first: the work that drops the space is in it, and is found again by
// whoever leads the group next, or has the space by then.
func (d Due) drop(ctx context.Context, id cluster.SpaceID) error {
	var deleted bool
	var epoch uint64
	err := d.Replica.View(ctx, id, space.ReadLease, func(r space.Reader) (err error) {
		epoch = r.Epoch()
		deleted, err = store.Deleted(r)
		return err
	})
	switch {
	case err != nil && cluster.KindOf(err) == cluster.KindNoSpace:
		return nil
	case err != nil:
		return err
	case !deleted:
		return cluster.Errorf(cluster.KindInternal, "space %s is to be dropped with a mailbox in it", id)
	}
	if d.Unplace != nil {
		if err := d.Unplace(ctx, id, epoch); err != nil {
			return err
		}
	}
	return d.Replica.Drop(ctx, id)
}
