package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/exmdb"
	"github.com/flotilla-mail/flotilla/exmdb/server"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/mapi"
	"github.com/flotilla-mail/flotilla/internal/wire"

	placing "github.com/flotilla-mail/flotilla/placement/store"
)

// fleet is three nodes without Raft: they share one state, which the leader alone serves. A Client runs on n1.
type fleet struct {
	Client
	t     *testing.T
	rep   *space.LocalReplica
	owner exmdb.Identity
	box   mapi.MailboxID

	mu      sync.Mutex
	leader  cluster.NodeID // guarded by mu
	believe cluster.NodeID // guarded by mu: where n1 thinks the leader is
	changed chan struct{}  // guarded by mu
	asked   []asked        // guarded by mu
	hooks   []hook         // guarded by mu; each takes one call between nodes
	placed  int            // guarded by mu
}

// asked is a call that crossed the network.
type asked struct {
	node cluster.NodeID
	op   ops.ID
	id   [16]byte
	mode ops.Mode
}

// hook does to a call what a network, or a node on a bad day, may do; serve is what a good one does.
type hook func(ctx context.Context, node cluster.NodeID, serve func() ([]byte, error)) ([]byte, error)

// member is one node's view of the groups it has replicas of.
type member struct {
	f  *fleet
	id cluster.NodeID
}

func (m member) Replica(cluster.GroupID) *space.Replica {
	if m.f.leads() == m.id {
		return m.f.rep.Replica
	}
	return nil
}

// machine is the machine's clocks.
type machine struct{ origin time.Time }

func (m machine) Wall() time.Time     { return time.Now() }
func (m machine) Mono() time.Duration { return time.Since(m.origin) }

// newFleet makes the nodes, led by n2, and a mailbox.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	db, err := lsm.Open(lsm.Options{Dir: "/state", FS: lsm.MemFS(), DisableWAL: true})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, leader: "n2", believe: "n2", changed: make(chan struct{}), box: mapi.NewMailboxID(),
		owner: exmdb.Identity{User: mapi.NewGUID(), Privileges: exmdb.PrivilegeOwner}}
	if f.rep, err = space.NewLocalReplica(db, space.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.rep.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	f.Client = Client{Ops: ops.NewClient("n1", f.server("n1"), f, f, machine{time.Now()}), Routes: f}
	if _, err := f.CreateMailbox(t.Context(), f.box, &exmdb.CreateMailboxRequest{Kind: exmdb.MailboxUser, Owner: f.owner.User}); err != nil {
		t.Fatal(err)
	}
	f.asked = nil
	return f
}

// server serves mailboxes, and the placing of them, on a node.
func (f *fleet) server(id cluster.NodeID) *ops.Server {
	place := ops.Handler{ID: placing.OpPlaceSpace, Name: "PlaceSpace", Mode: ops.Serve,
		Serve: func(_ context.Context, _ *space.Replica, q *ops.Request) ([]byte, error) {
			var req placing.PlaceSpaceRequest
			if err := wire.Unmarshal(q.Payload, &req); err != nil || req.Space != cluster.SpaceID(f.box) {
				return nil, cluster.Errorf(cluster.KindBadRequest, "placing %x: %v", req.Space, err)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			f.placed++
			return nil, nil
		}}
	return ops.NewServer(member{f, id}, ops.Events{}, server.Handlers(store.Defaults()), []ops.Handler{place})
}

func (f *fleet) leads() cluster.NodeID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leader
}

// elect makes another node lead; n1 hears of it at once.
func (f *fleet) elect(id cluster.NodeID) {
	f.rep.Local.Depose()
	f.rep.LeadershipLost()
	f.rep.Local.Elect()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leader = id
	f.learnLocked(id)
}

func (f *fleet) learnLocked(leader cluster.NodeID) {
	f.believe = leader
	close(f.changed)
	f.changed = make(chan struct{})
}

// next makes hooks take the coming calls, one each.
func (f *fleet) next(hooks ...hook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hooks = append(f.hooks, hooks...)
}

// CallOps implements ops.Conn.
func (f *fleet) CallOps(ctx context.Context, node cluster.NodeID, mode ops.Mode, frame []byte) ([]byte, error) {
	var q ops.Request
	if err := wire.Unmarshal(frame, &q); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.asked = append(f.asked, asked{node, q.Op, q.ID, mode})
	var h hook
	if len(f.hooks) > 0 {
		h, f.hooks = f.hooks[0], f.hooks[1:]
	}
	f.mu.Unlock()
	s := f.server(node)
	handle := s.Handle
	if mode == ops.Wait {
		handle = s.HandleWait
	}
	serve := func() ([]byte, error) { return handle(ctx, frame) }
	if h != nil {
		return h(ctx, node, serve)
	}
	return serve()
}

// Route implements ops.Router and Router.
func (f *fleet) Route(context.Context, cluster.SpaceID) (ops.Route, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return ops.Route{Group: 3, Epoch: 1, Leader: f.believe, Replicas: []cluster.NodeID{"n1", "n2", "n3"}}, nil
}

// Learn implements ops.Router.
func (f *fleet) Learn(_ cluster.GroupID, _ uint64, leader cluster.NodeID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if leader != "" && leader != f.believe {
		f.learnLocked(leader)
	}
}

// Moved implements ops.Router.
func (f *fleet) Moved(cluster.SpaceID, ops.Route) {}

// Changed implements ops.Router.
func (f *fleet) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// calls is what crossed the network so far.
func (f *fleet) calls() []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func (f *fleet) within() context.Context {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	f.t.Cleanup(cancel)
	return ctx
}
