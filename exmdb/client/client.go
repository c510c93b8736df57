// Package client is what front-ends hold as an exmdb.Caller: it codes ops and sends them to the owner of the mailbox,
// in this process or another, following it wherever it goes.
//
// It knows routes only through cluster/ops and keeps nothing of a mailbox. Invariant: a write is sent under one
// request id however often it is tried, so a fail-over is a pause and not an error.
package client

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// Caller performs coded ops; *ops.Client does.
type Caller interface {
	Call(ctx context.Context, q *ops.Request, mode ops.Mode) ([]byte, error)
}

// Router says where a mailbox is.
type Router interface {
	Route(ctx context.Context, id cluster.SpaceID) (ops.Route, error)
}

// Client implements exmdb.Caller and exmdb.Locator.
type Client struct {
	Ops    Caller
	Routes Router
}

var (
	_ exmdb.Caller  = Client{}
	_ exmdb.Locator = Client{}
)

// Locality implements exmdb.Locator: mailboxes of one group share content.
func (c Client) Locality(ctx context.Context, box mapi.MailboxID) (uint64, error) {
	r, err := c.Routes.Route(ctx, cluster.SpaceID(box))
	return uint64(r.Group), err
}

// defaultDeadline bounds a call whose context has no deadline: longer than any fail-over, shorter than the time for
// which a request id may be retried.
const defaultDeadline = 2 * time.Minute

// bounded gives a call that does not wait an end: a context may be that of a transfer of hours, but no call is tried for
// longer than its request id is good for (CLUSTER 1.7).
func bounded(ctx context.Context, mode ops.Mode) (context.Context, context.CancelFunc) {
	_, chosen := ctx.Deadline()
	switch {
	case mode == ops.Wait:
		return ctx, func() {}
	case chosen:
		return context.WithTimeout(ctx, cluster.RequestWindow)
	}
	return context.WithTimeout(ctx, defaultDeadline)
}

// Call implements exmdb.Caller.
func (c Client) Call(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	mode := ModeOf(op)
	ctx, cancel := bounded(ctx, mode)
	defer cancel()
	answer, err := c.Ops.Call(ctx, &ops.Request{Op: ops.ID(op.ID), Space: cluster.SpaceID(box),
		As: wire.Marshal(&as), Payload: wire.Marshal(req)}, mode)
	if err != nil {
		return translate(err)
	}
	if err := wire.UnmarshalShared(answer, resp); err != nil {
		return fmt.Errorf("decode answer of %s: %w", op.Name, err)
	}
	return nil
}

// ModeOf is the way in which an op is carried.
func ModeOf(op exmdb.OpInfo) ops.Mode {
	switch {
	case op.ID == exmdb.OpCreateMailbox.ID:
		return ops.Create
	case op.ID == exmdb.OpWatch.ID || op.ID == exmdb.OpEvents.ID:
		return ops.Wait
	case op.ID == exmdb.OpUploadChunk.ID:
		return ops.Serve
	case op.Write:
		return ops.Write
	}
	return ops.Read
}

// translate gives the cluster's words for spaces the meaning they have for mailboxes.
func translate(err error) error {
	switch cluster.KindOf(err) {
	case cluster.KindNoSpace:
		return cluster.Errorf(exmdb.KindNoMailbox, "no such mailbox: %v", err)
	case cluster.KindExists:
		return cluster.Errorf(exmdb.KindMailboxExists, "the mailbox exists")
	}
	return err
}

// CreateMailbox gives a mailbox a place and makes it there. Repeating it for one id does no harm.
func (c Client) CreateMailbox(ctx context.Context, box mapi.MailboxID, req *exmdb.CreateMailboxRequest) (*exmdb.MailboxInfo, error) {
	placing, cancel := bounded(ctx, ops.Write)
	defer cancel()
	_, err := c.Ops.Call(placing, &ops.Request{Op: store.OpPlaceSpace, Space: store.Space,
		Payload: wire.Marshal(&store.PlaceSpaceRequest{Space: cluster.SpaceID(box)})}, ops.Write)
	if err != nil {
		return nil, fmt.Errorf("place mailbox: %w", err)
	}
	return exmdb.Do(ctx, c, exmdb.System, box, exmdb.OpCreateMailbox, req)
}

// uploadWindow is how many chunks of one upload are under way at a time (CLUSTER 3.1).
const uploadWindow = 4

// Upload implements exmdb.Caller.
func (c Client) Upload(ctx context.Context, as exmdb.Identity, box mapi.MailboxID) (exmdb.Upload, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	g, ctx := errgroup.WithContext(ctx)
	return &upload{client: c, as: as, box: box, group: g, ctx: ctx, cancel: cancel, window: make(chan struct{}, uploadWindow)}, nil
}

// upload sends chunks side by side: each is content by its hash, so their order does not matter, and Close waits for
// all before the op that refers to them is sent.
type upload struct {
	client Client
	as     exmdb.Identity
	box    mapi.MailboxID
	group  *errgroup.Group
	ctx    context.Context // of the upload; ends with its first error
	cancel context.CancelCauseFunc
	window chan struct{}
}

// Put implements exmdb.Upload.
func (u *upload) Put(ctx context.Context, chunk []byte) (exmdb.ChunkRef, error) {
	ref := exmdb.ChunkRef{Hash: sha256.Sum256(chunk), Size: uint32(len(chunk))}
	if len(chunk) == 0 || len(chunk) > exmdb.MaxChunk {
		return ref, cluster.Errorf(cluster.KindTooLarge, "chunk of %d bytes", len(chunk))
	}
	if err := u.ctx.Err(); err != nil {
		return ref, context.Cause(u.ctx)
	}
	select {
	case u.window <- struct{}{}:
	case <-u.ctx.Done():
		return ref, context.Cause(u.ctx)
	case <-ctx.Done():
		return ref, ctx.Err()
	}
	data := append([]byte(nil), chunk...)
	u.group.Go(func() error {
		defer func() { <-u.window }()
		_, err := exmdb.Do(u.ctx, u.client, u.as, u.box, exmdb.OpUploadChunk, &exmdb.UploadChunkRequest{Data: data})
		return err
	})
	return ref, nil
}

// Close implements exmdb.Upload. The end of ctx ends what is under way.
func (u *upload) Close(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { u.cancel(ctx.Err()) })
	defer u.cancel(nil)
	defer stop()
	return u.group.Wait()
}
