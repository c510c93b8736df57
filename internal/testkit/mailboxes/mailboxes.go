// Package mailboxes keeps real mailboxes in memory for tests: the whole way of an op from its caller to the store, coded
// as between nodes, over one replica without Raft.
//
// It knows how the pieces are put together as a node does it; it never looks inside a mailbox.
package mailboxes

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/client"
	"github.com/flotilla-mail/flotilla/exmdb/server"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/placement"
)

// Group holds mailboxes; it is an exmdb.Caller.
type Group struct {
	client.Client
	t   testing.TB
	rep *space.LocalReplica
}

// New makes a group, which ends with the test.
func New(t testing.TB, config store.Config) *Group {
	t.Helper()
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := space.NewLocalReplica(db, space.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := rep.SetGroup(t.Context(), space.GroupRecord{Level: uint64(placement.NewestLevel)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(rep.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	served := ops.NewServer(replica{rep.Replica}, ops.Events{}, server.Handlers(config))
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		space.NewDueRunner(rep.Replica, server.Due{Replica: rep.Replica, Config: config}, space.WorkConfig{}).Run(ctx)
	})
	t.Cleanup(func() { stop(); work.Wait() })
	return &Group{t: t, rep: rep, Client: client.Client{Ops: local{served}, Routes: here{}}}
}

// Break does to the next effects what a change of owner may do: one is void and runs again, of one the answer is lost.
func (g *Group) Break() { g.rep.Local.Fail(space.FaultVoidTerm, space.FaultLostAnswer) }

// Entries is how many entries have been applied.
func (g *Group) Entries() uint64 { return g.rep.Machine().Applied().Index }

// Create makes a mailbox.
func (g *Group) Create(req *exmdb.CreateMailboxRequest) mapi.MailboxID {
	g.t.Helper()
	box := mapi.NewMailboxID()
	if _, err := exmdb.Do(g.t.Context(), g, exmdb.System, box, exmdb.OpCreateMailbox, req); err != nil {
		g.t.Fatal(err)
	}
	return box
}

// replica is the one there is.
type replica struct{ only *space.Replica }

// Replica implements ops.Replicas.
func (r replica) Replica(cluster.GroupID) *space.Replica { return r.only }

// epoch is that of every space's place.
const epoch = 1

// local performs ops, a write under one request id until its outcome is known, as ops.Client does.
type local struct{ server *ops.Server }

// Call implements client.Caller.
func (l local) Call(ctx context.Context, q *ops.Request, _ ops.Mode) ([]byte, error) {
	q.Epoch, q.ID = epoch, [16]byte(mapi.NewGUID())
	for {
		raw, err := l.server.Serve(ctx, q)
		if err == nil || !cluster.Retryable(err) || ctx.Err() != nil {
			return raw, err
		}
	}
}

// here is where every mailbox is.
type here struct{}

// Route implements client.Router.
func (here) Route(context.Context, cluster.SpaceID) (ops.Route, error) {
	return ops.Route{Group: 1, Epoch: epoch}, nil
}
