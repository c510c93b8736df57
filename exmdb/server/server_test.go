package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// host serves one mailbox, of owner, over a state machine without Raft.
type host struct {
	*ops.Server
	t     testing.TB
	rep   *space.LocalReplica
	box   mapi.MailboxID
	epoch uint64 // of the requests to it
	owner exmdb.Identity
}

func (h *host) Replica(cluster.GroupID) *space.Replica { return h.rep.Replica }

func newHost(t testing.TB) *host {
	t.Helper()
	return configured(t, store.Defaults())
}

func configured(t testing.TB, config store.Config) *host {
	t.Helper()
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, box: mapi.NewMailboxID(), epoch: 1, owner: exmdb.Identity{User: mapi.NewGUID(), Privileges: exmdb.PrivilegeOwner}}
	if h.rep, err = space.NewLocalReplica(db, space.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(h.rep.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	h.Server = ops.NewServer(h, ops.Events{}, Handlers(config))
	call(h, exmdb.System, exmdb.OpCreateMailbox, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Owner: h.owner.User})
	return h
}

func (h *host) request(op ops.ID, as, payload []byte) *ops.Request {
	return &ops.Request{Op: op, Space: cluster.SpaceID(h.box), Epoch: h.epoch, As: as, Payload: payload}
}

func try[Q, R any](ctx context.Context, h *host, as exmdb.Identity, op exmdb.Op[Q, R], req *Q) (*R, error) {
	raw, err := h.Serve(ctx, h.request(ops.ID(op.ID), wire.Marshal(&as), wire.Marshal(req)))
	if err != nil {
		return nil, err
	}
	resp := new(R)
	return resp, wire.Unmarshal(raw, resp)
}

func call[Q, R any](h *host, as exmdb.Identity, op exmdb.Op[Q, R], req *Q) *R {
	h.t.Helper()
	resp, err := try(h.t.Context(), h, as, op, req)
	if err != nil {
		h.t.Fatalf("%s: %v", op.Name, err)
	}
	return resp
}

// TestOpsBesideTheTableAskWhoCalls: watching and uploading are the owner's and the system's too.
func TestOpsBesideTheTableAskWhoCalls(t *testing.T) {
	h := newHost(t)
	chunk := &exmdb.UploadChunkRequest{Data: []byte("content")}
	strangers := []exmdb.Identity{{}, {User: h.owner.User}, {User: mapi.NewGUID(), Privileges: exmdb.PrivilegeOwner}, {Privileges: exmdb.PrivilegeOwner}}
	for _, as := range strangers {
		if _, err := try(t.Context(), h, as, exmdb.OpWatch, &exmdb.WatchRequest{}); cluster.KindOf(err) != exmdb.KindAccessDenied {
			t.Errorf("%+v watches: %v", as, err)
		}
		if _, err := try(t.Context(), h, as, exmdb.OpUploadChunk, chunk); cluster.KindOf(err) != exmdb.KindAccessDenied {
			t.Errorf("%+v uploads: %v", as, err)
		}
	}
	for _, as := range []exmdb.Identity{h.owner, exmdb.System} {
		if r := call(h, as, exmdb.OpWatch, &exmdb.WatchRequest{}); r.Sequence == 0 {
			t.Errorf("%+v sees sequence %d", as, r.Sequence)
		}
		call(h, as, exmdb.OpUploadChunk, chunk)
	}
	nowhere := *h
	nowhere.box = mapi.NewMailboxID()
	if _, err := try(t.Context(), &nowhere, exmdb.System, exmdb.OpUploadChunk, chunk); err == nil {
		t.Error("content was uploaded for a mailbox that is not there")
	}
	moved := *h
	moved.epoch = 0
	if _, err := try(t.Context(), &moved, h.owner, exmdb.OpWatch, &exmdb.WatchRequest{}); !errors.Is(err, cluster.ErrNoSpace) {
		t.Errorf("watched where the mailbox was once: %v", err)
	}
	if _, err := try(t.Context(), &moved, exmdb.System, exmdb.OpUploadChunk, chunk); !errors.Is(err, cluster.ErrNoSpace) {
		t.Errorf("content was uploaded where the mailbox was once: %v", err)
	}
}

// TestTheSystemBringsContentToAnySpace: a space of the mail queue is no mailbox, and nobody's.
func TestTheSystemBringsContentToAnySpace(t *testing.T) {
	h := newHost(t)
	queue := *h
	queue.box = mapi.NewMailboxID()
	_, err := h.rep.Create(t.Context(), cluster.SpaceID(queue.box), 1, cluster.RequestID{}, func(space.Writer) ([]byte, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("content of a mail that waits")
	call(&queue, exmdb.System, exmdb.OpUploadChunk, &exmdb.UploadChunkRequest{Data: data})
	if held, err := h.rep.HasContent(space.HashOf(data)); err != nil || !held {
		t.Errorf("held %v, %v", held, err)
	}
	if _, err := try(t.Context(), &queue, h.owner, exmdb.OpUploadChunk, &exmdb.UploadChunkRequest{Data: []byte("x")}); err == nil {
		t.Error("a person brought content to what is not his mailbox")
	}
}

// TestWatch waits for a change, and comes back without one when the caller's time is over.
func TestWatch(t *testing.T) {
	h := newHost(t)
	was := call(h, h.owner, exmdb.OpWatch, &exmdb.WatchRequest{}).Sequence
	moved := make(chan uint64, 1)
	go func() {
		r, err := try(t.Context(), h, h.owner, exmdb.OpWatch, &exmdb.WatchRequest{After: was})
		if err != nil {
			t.Error(err)
			r = &exmdb.WatchResponse{}
		}
		moved <- r.Sequence
	}()
	call(h, exmdb.System, exmdb.OpSetQuota, &exmdb.SetQuotaRequest{Quota: 1})
	if is := <-moved; is <= was {
		t.Errorf("sequence %d after %d", is, was)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := try(ctx, h, h.owner, exmdb.OpWatch, &exmdb.WatchRequest{After: was + 1000}); err == nil || ctx.Err() == nil {
		t.Errorf("a wait without a change: %v, %v", err, ctx.Err())
	}
}

// TestUploadedContentIsThere: what was uploaded is referred to by the op behind it; what was not is refused.
func TestUploadedContentIsThere(t *testing.T) {
	h := newHost(t)
	body := make([]byte, exmdb.MaxChunk)
	m := exmdb.NewMessage{Recipe: exmdb.Recipe{Segments: []exmdb.Segment{{Raw: []byte("Subject: x\r\n\r\n")},
		{Chunks: []exmdb.ChunkRef{{Hash: sha256.Sum256(body), Size: uint32(len(body))}}, Octets: uint64(len(body))}}}}
	req := &exmdb.DeliverRequest{Message: m, Received: time.Unix(1.8e9, 0)}
	if _, err := try(t.Context(), h, exmdb.System, exmdb.OpDeliver, req); cluster.KindOf(err) != cluster.KindContentMissing {
		t.Errorf("a message without its content: %v", err)
	}
	call(h, h.owner, exmdb.OpUploadChunk, &exmdb.UploadChunkRequest{Data: body})
	call(h, exmdb.System, exmdb.OpDeliver, req)
	for _, data := range [][]byte{nil, make([]byte, exmdb.MaxChunk+1)} {
		if _, err := try(t.Context(), h, h.owner, exmdb.OpUploadChunk, &exmdb.UploadChunkRequest{Data: data}); cluster.KindOf(err) != cluster.KindTooLarge {
			t.Errorf("a chunk of %d bytes: %v", len(data), err)
		}
	}
}

// TestBadRequests: what does not decode is refused as such, whatever the op.
func TestBadRequests(t *testing.T) {
	h := newHost(t)
	junk := []byte{0xff, 0xff, 0xff}
	for _, row := range Handlers(store.Defaults()) {
		for _, q := range []*ops.Request{
			h.request(row.ID, junk, nil),
			h.request(row.ID, wire.Marshal(&exmdb.System), junk),
		} {
			_, err := h.Serve(t.Context(), q)
			known := new(cluster.Error)
			if !errors.As(err, &known) || known.Kind != cluster.KindBadRequest && known.Kind != cluster.KindExists {
				t.Errorf("%s: %v", row.Name, err)
			}
		}
	}
}
