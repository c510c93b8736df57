package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/exmdb/client"
	"github.com/flotilla-mail/flotilla/exmdb/server"
	"github.com/flotilla-mail/flotilla/exmdb/store"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/testkit/simnet"
	"github.com/flotilla-mail/flotilla/placement/controller"
	"github.com/flotilla-mail/flotilla/placement/mover"
	mapstore "github.com/flotilla-mail/flotilla/placement/store"
	"github.com/flotilla-mail/flotilla/placement/view"
)

// node is one machine: its disk and clock last, the process on it comes and goes.
type node struct {
	w     *World
	id    cluster.NodeID
	fs    *lsm.CrashFS
	votes string // directory of the terms and votes, whose files are always whole
	clock *nodeClock

	mu   sync.Mutex
	proc *process // nil while none runs; guarded by mu
	gone bool     // the machine was removed from the cluster, and is never started again; guarded by mu
}

// process is what runs on a node from a start to its end.
type process struct {
	node   *node
	net    *transport.Transport
	host   *group.Host
	logs   *raftlog.Store
	votes  *raftlog.StableStore
	shared *lsm.Shared
	server *ops.Server
	ops    *ops.Client
	caller client.Client
	view   *view.View
	plans  atomic.Pointer[controller.Controller] // nil while this process does not lead the system group
	stop   context.CancelFunc
	ctx    context.Context // ends when the process does
	wg     sync.WaitGroup
	made   map[cluster.GroupID]cluster.ServerID // what the map assigned, of replicas made here; belongs to keepReplicas
	doing  atomic.Pointer[string]               // what keepReplicas is at

	mu    sync.Mutex
	leads map[cluster.GroupID]context.CancelFunc // ends what is done for a group that is led here; guarded by mu
}

// nodeClock is the machine's clock, whose calendar can be set off.
type nodeClock struct {
	origin time.Time
	mu     sync.Mutex
	off    time.Duration // guarded by mu
}

// Mono implements group.Clock.
func (c *nodeClock) Mono() time.Duration { return time.Since(c.origin) }

// Wall implements group.Clock.
func (c *nodeClock) Wall() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off).Round(0)
}

func (c *nodeClock) set(off time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = off
}

func newNode(w *World, id cluster.NodeID) *node {
	return &node{w: w, id: id, fs: lsm.CrashableMemFS(), votes: filepath.Join(w.dir, string(id)), clock: &nodeClock{origin: time.Now()}}
}

// process is the one that runs, or nil.
func (nd *node) process() *process {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	return nd.proc
}

// setProcess says which process runs on the machine, nil for none; false when the machine was removed from the cluster meanwhile.
func (nd *node) setProcess(p *process) bool {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if !nd.gone || p == nil {
		nd.proc = p
	}
	return !nd.gone
}

// start runs a process and opens the replicas it finds, or makes them.
func (nd *node) start() error {
	p := &process{node: nd, shared: lsm.NewShared(lsm.Budget{CacheBytes: 4 << 20, Compactions: 1}),
		leads: map[cluster.GroupID]context.CancelFunc{}, made: map[cluster.GroupID]cluster.ServerID{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.view = view.New(systemReplica{p})
	steps := []func() error{p.openStores, p.openNetwork, p.openSystem}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("start %s: %w", nd.id, err)
		}
	}
	if !nd.setProcess(p) {
		return p.close()
	}
	return nil
}

func (p *process) openStores() (err error) {
	nd := p.node
	fatal := func(err error) { nd.w.note("%s: fatal: %v", nd.id, err) }
	if err := nd.fs.MkdirAll("/groups", 0o755); err != nil {
		return err
	}
	if p.logs, err = raftlog.Open(raftlog.Options{Dir: "/log", FS: nd.fs, Shared: p.shared, Fatal: fatal}); err != nil {
		return err
	}
	p.votes, err = raftlog.OpenStable(raftlog.StableOptions{Dir: nd.votes, Fatal: fatal})
	return err
}

func (p *process) openNetwork() error {
	nd := p.node
	pair, err := nd.w.authority.IssueNode(nd.id, transport.Names{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}, 24*time.Hour)
	if err != nil {
		return err
	}
	creds, err := transport.NewCredentials(nd.w.authority.CertPEM(), pair)
	if err != nil {
		return err
	}
	p.net, err = transport.New(transport.Config{
		Cluster: nd.w.authority.Cluster, Node: nd.id, Credentials: creds, Listener: nd.w.network.Listen(nd.id),
		Resolve: func(n cluster.NodeID) (string, bool) { return string(n), true },
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return nd.w.network.Dial(ctx, simnet.Direction{From: nd.id, To: cluster.NodeID(addr)})
		},
		Events: transport.Events{
			PeerUp:       func(n cluster.NodeID, i uint64) { p.host.PeerUp(n, i) },
			PeerDown:     func(n cluster.NodeID, err error, refused bool) { p.host.PeerDown(n, err, refused) },
			PeerReplaced: func(n cluster.NodeID, a, b uint64) { p.host.PeerReplaced(n, a, b) },
		},
	})
	if err != nil {
		return err
	}
	p.host, err = group.New(group.Config{Node: nd.id, Dir: "/groups", FS: nd.fs, Net: p.net, Log: p.logs, Stable: p.votes,
		Shared: p.shared, Clock: nd.clock, Heartbeat: time.Second, Events: p.events(), GroupEntriesInFlight: 1,
		Space: space.Config{Now: nd.clock.Wall}, LogBytes: 64 << 10, LogKeepBytes: 16 << 10, TruncateEvery: 2 * time.Second, SeedBytes: nd.w.seedBytes})
	if err != nil {
		return err
	}
	if err := p.net.Start(); err != nil {
		return err
	}
	p.net.SetPeers(nd.w.names())
	return nil
}

// openSystem opens the replica of the system group, or makes one; the replicas of mailbox groups follow as the map has them.
func (p *process) openSystem() error {
	p.server = ops.NewServer(p, ops.Events{}, server.Handlers(store.Defaults()), mapstore.Handlers(), mover.Handlers())
	p.ops = ops.NewClient(p.node.id, p.server, p, router{p}, p.node.clock)
	p.caller = client.Client{Ops: p.ops, Routes: router{p}}
	if _, err := p.host.Open(p.ctx, cluster.SystemGroup, group.ReplicaConfig{Create: true}); err != nil {
		return err
	}
	p.wg.Go(p.followMap)
	p.wg.Go(p.register)
	p.wg.Go(p.keepReplicas)
	return nil
}

// followMap keeps the view of the map. A replica that cannot be read yet is asked again.
func (p *process) followMap() {
	for p.ctx.Err() == nil {
		if err := p.view.Run(p.ctx); p.ctx.Err() == nil {
			p.node.w.note("%s: the map is not followed: %v", p.node.id, err)
		}
		wait(p.ctx, 50*time.Millisecond)
	}
}

func (p *process) events() group.Events {
	nd := p.node
	return group.Events{
		LeaderGained: func(g cluster.GroupID, term uint64, planned bool) {
			nd.w.note("%s leads %d in term %d", nd.id, g, term)
			p.view.Learn(g, term, nd.id)
			p.leading(g, true)
		},
		LeaderLost: func(g cluster.GroupID, term uint64) {
			nd.w.note("%s leads %d no more", nd.id, g)
			p.leading(g, false)
		},
		LeaderKnown: func(g cluster.GroupID, term uint64, leader cluster.ServerID) {
			if leader != "" {
				p.view.Learn(g, term, leader.Node())
			}
		},
		Fenced:            nd.fenced,
		SnapshotInstalled: func(g cluster.GroupID, index uint64) { nd.w.note("%s: snapshot of %d at %d", nd.id, g, index) },
		PeerDead:          func(n cluster.NodeID, why string, groups int) { nd.w.note("%s: %s is dead: %s", nd.id, n, why) },
		Stood:             func(g cluster.GroupID, l cluster.ServerID) { nd.w.note("%s stands for %d", nd.id, g) },
	}
}

// Replica implements ops.Replicas.
func (p *process) Replica(id cluster.GroupID) *space.Replica {
	if g := p.host.Group(id); g != nil {
		return g.Replica()
	}
	return nil
}

// CallOps implements ops.Conn.
func (p *process) CallOps(ctx context.Context, to cluster.NodeID, mode ops.Mode, frame []byte) ([]byte, error) {
	return p.visit(ctx, to, func(ctx context.Context, q *process) ([]byte, error) {
		if mode == ops.Wait {
			return q.server.HandleWait(ctx, frame)
		}
		return q.server.Handle(ctx, frame)
	})
}

// visit has another node's process serve a call over the simulated network: what it meets on its way is what the bytes of a
// connection would.
func (p *process) visit(ctx context.Context, to cluster.NodeID, serve func(context.Context, *process) ([]byte, error)) ([]byte, error) {
	w := p.node.w
	there := w.node(to)
	if there == nil || w.network.Travel(ctx, simnet.Direction{From: p.node.id, To: to}) != nil {
		return nil, cluster.ErrUnavailable
	}
	q := there.process()
	if q == nil {
		return nil, cluster.ErrUnavailable
	}
	type answer struct {
		resp []byte
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		resp, err := serve(ctx, q)
		done <- answer{resp, err}
	}()
	select {
	case a := <-done:
		if w.network.Travel(ctx, simnet.Direction{From: to, To: p.node.id}) != nil {
			return nil, cluster.ErrUnknownOutcome
		}
		return a.resp, a.err
	case <-q.ctx.Done():
	case <-ctx.Done():
	}
	return nil, cluster.ErrUnknownOutcome
}

// crash ends the process as a kill, or with power as a power cut does: of what was not synced each block stays or goes.
// It says whether a process ran.
func (nd *node) crash(rng *rand.Rand, power bool) (was bool, err error) {
	nd.mu.Lock()
	p := nd.proc
	nd.proc = nil
	nd.mu.Unlock()
	if p == nil {
		return false, nil
	}
	nd.w.network.Vanish(nd.id, power)
	p.stop()
	if power {
		nd.fs = nd.fs.CrashClone(rng, 50)
	}
	return true, p.close()
}

// close lets go of what the process had. Its network is gone already, so nobody hears of what it still does.
func (p *process) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p.stop()
	err := errors.Join(p.net.Close(ctx), p.host.Close(ctx))
	p.endLeads()
	p.wg.Wait()
	err = errors.Join(err, p.logs.Close(), p.votes.Close())
	p.shared.Close()
	return err
}
