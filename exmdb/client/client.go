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

// Call implements exmdb.Caller.
func (c Client) Call(ctx context.Context, as exmdb.Identity, box mapi.MailboxID, op exmdb.OpInfo, req, resp any) error {
	mode := modeOf(op)
	if _, ok := ctx.Deadline(); !ok && mode != ops.Wait {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultDeadline)
		defer cancel()
	}
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

func modeOf(op exmdb.OpInfo) ops.Mode {
	switch {
	case op.ID == exmdb.OpCreateMailbox.ID:
		return ops.Create
	case op.ID == exmdb.OpWatch.ID:
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
	_, err := c.Ops.Call(ctx, &ops.Request{Op: store.OpPlaceSpace, Space: store.Space,
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
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(uploadWindow)
	return &upload{client: c, as: as, box: box, group: g, ctx: ctx}, nil
}

// upload sends chunks side by side: each is content by its hash, so their order does not matter, and Close waits for
// all before the op that refers to them is sent.
type upload struct {
	client Client
	as     exmdb.Identity
	box    mapi.MailboxID
	group  *errgroup.Group
	ctx    context.Context // of the upload; ends with its first error
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
	data := append([]byte(nil), chunk...)
	u.group.Go(func() error {
		_, err := exmdb.Do(u.ctx, u.client, u.as, u.box, exmdb.OpUploadChunk, &exmdb.UploadChunkRequest{Data: data})
		return err
	})
	return ref, ctx.Err()
}

// Close implements exmdb.Upload.
func (u *upload) Close(context.Context) error { return u.group.Wait() }
