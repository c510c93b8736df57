// Package mailboxes keeps real mailboxes in memory for tests: the whole way of an op from its caller to the store, coded
// as between nodes, over one replica without Raft.
//
// It knows how the pieces are put together as a node does it; it never looks inside a mailbox.
package mailboxes

import (
	"context"
	"errors"
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
)

// Group holds mailboxes; it is an exmdb.Caller.
type Group struct {
	client.Client
	t testing.TB
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
	t.Cleanup(func() {
		if err := errors.Join(rep.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	served := ops.NewServer(replica{rep.Replica}, ops.Events{}, server.Handlers(config))
	return &Group{t: t, Client: client.Client{Ops: local{served}, Routes: here{}}}
}

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

// local performs ops at once.
type local struct{ server *ops.Server }

// Call implements client.Caller.
func (l local) Call(ctx context.Context, q *ops.Request, _ ops.Mode) ([]byte, error) {
	q.Epoch = epoch
	return l.server.Serve(ctx, q)
}

// here is where every mailbox is.
type here struct{}

// Route implements client.Router.
func (here) Route(context.Context, cluster.SpaceID) (ops.Route, error) {
	return ops.Route{Group: 1, Epoch: epoch}, nil
}
