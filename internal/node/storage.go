package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
	"github.com/flotilla-mail/flotilla/cluster/rpc"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/exmdb/orders"
	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// storage is the part of a node that agrees with others about bytes: engines, logs, transport and the groups.
type storage struct {
	shared *lsm.Shared
	log    *raftlog.Store
	system *raftlog.Store
	stable *raftlog.StableStore
	net    *transport.Transport
	host   *group.Host
	calls  *rpc.Server
	client *rpc.Client
	faults *transport.Faults
	disk   *lsm.Faults
	clock  *clockShift
	text   *textIndex
	orders *orders.Dir // nil where there can be none
}

// openStorage opens the logs and makes transport and host; nothing is listening yet.
func (n *Node) openStorage() (err error) {
	s := &n.storage
	s.shared = lsm.NewShared(lsm.Budget{CacheBytes: n.cfg.BlockCache})
	s.disk, s.faults = &lsm.Faults{}, transport.NewFaults()
	if err := os.MkdirAll(n.cfg.path("raft"), 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	n.lookAtRoom()
	n.openTextIndex()
	kind := raftlog.Pebble
	if n.cfg.LogStore == "bolt" {
		kind = raftlog.Bolt
	}
	if s.log, err = n.openLog(n.cfg.path("raft", "log"), kind); err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	if s.system, err = n.openLog(n.cfg.path("raft", "system"), raftlog.Bolt); err != nil {
		return fmt.Errorf("open system log: %w", err)
	}
	votes := n.cfg.path("raft", "votes")
	s.stable, err = openStore(n, votes, func() (*raftlog.StableStore, error) {
		return raftlog.OpenStable(raftlog.StableOptions{Dir: votes, Faults: s.disk, SyncSlow: n.syncSlow,
			Fatal: func(err error) { n.storeFailed(votes, err) }})
	})
	if err != nil {
		return fmt.Errorf("open votes: %w", err)
	}
	return n.openTransport()
}

func (n *Node) openLog(dir string, kind raftlog.Kind) (*raftlog.Store, error) {
	return openStore(n, dir, func() (*raftlog.Store, error) {
		return raftlog.Open(raftlog.Options{Dir: dir, Kind: kind, Shared: n.storage.shared, Faults: n.storage.disk,
			Fatal:  func(err error) { n.storeFailed(dir, err) },
			Events: raftlog.Events{SyncSlow: n.syncSlow, SyncDone: n.synced, Damaged: n.logDamaged}})
	})
}

func (n *Node) synced(s raftlog.SyncInfo) {
	n.metrics.synced(s)
	n.load.wrote(s)
}

func (n *Node) openTransport() error {
	s := &n.storage
	s.calls = rpc.NewServer(rpc.ServerConfig{MaxWaits: 2 * int64(n.cfg.Limits.Connections)})
	cfg := transport.Config{Cluster: n.trust.cluster, Node: n.self, Listen: n.cfg.Listen.Node, Credentials: n.credentials,
		Resolve: n.resolve, Barred: n.barred, Faults: s.faults, Events: transport.Events{
			PeerUp: func(p cluster.NodeID, i uint64) { s.host.PeerUp(p, i); n.peerChanged(p, true, nil) },
			PeerDown: func(p cluster.NodeID, err error, refused bool) {
				s.host.PeerDown(p, err, refused)
				n.peerChanged(p, false, err)
			},
			PeerReplaced: func(p cluster.NodeID, a, b uint64) {
				n.replaced.note(p)
				s.host.PeerReplaced(p, a, b)
			},
			Rejected: n.peerRejected,
		}}
	var err error
	if s.net, err = transport.New(cfg); err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	s.host, err = group.New(group.Config{Node: n.self, Dir: n.cfg.path("groups"), Net: s.net, Log: s.log, SystemLog: s.system,
		Stable: s.stable, Shared: s.shared, SeedBytes: n.cfg.seedBytes, Machine: space.MachineConfig{ScrubRate: int64(n.cfg.Scrub.Rate) << 20, Events: s.text.events()},
		CopyRate: int64(n.cfg.Copy.Rate) << 20, CopyShare: n.cfg.Copy.Share,
		StrictReads: n.cfg.Reads == "strict", DiskFull: n.room.full, Events: n.compareEvents(n.groupEvents()),
		// One entry of a group under way at a time: what arrives meanwhile shares the next entry and its syncs. Measured
		// on two cores, 6 groups: a quarter more deliveries at 16 connections and half more at 64 than with two.
		GroupEntriesInFlight: 1,
		Space:                space.Config{Now: s.clock.Now}, Clock: s.clock})
	if err != nil {
		return err
	}
	move := func(ctx context.Context) error { return handOverErrors(s.host.TransferAll(ctx, n.successors())) }
	n.disk.move.Store(&move)
	s.client = rpc.NewClient(s.net, s.calls)
	n.registerCalls()
	s.net.HandleCalls(s.calls.Serve)
	s.net.HandleJoins(n.letIn)
	return nil
}

// close stops everything in the reverse order of opening.
func (s *storage) close(ctx context.Context) error {
	var errs []error
	if s.client != nil {
		s.client.Close()
	}
	if s.host != nil {
		errs = append(errs, s.host.Close(ctx))
	}
	errs = append(errs, s.text.close()) // nobody reads any more
	if s.net != nil {
		errs = append(errs, s.net.Close(ctx))
	}
	for _, l := range []*raftlog.Store{s.log, s.system} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	if s.stable != nil {
		errs = append(errs, s.stable.Close())
	}
	if s.shared != nil {
		s.shared.Close()
	}
	return errors.Join(errs...)
}

func (n *Node) groupEvents() group.Events {
	return group.Events{
		LeaderGained: func(g cluster.GroupID, term uint64, planned bool) {
			n.view.Learn(g, term, n.self)
			n.leading(g, true)
			n.metrics.leaderChanged(g)
			n.gossip.Announce(g, term, n.self)
			n.log.Info("leads group", "group", g, "term", term, "planned", planned)
		},
		LeaderLost: func(g cluster.GroupID, term uint64) {
			n.leading(g, false)
			n.gossip.Announce(g, term, "")
			n.log.Info("leads group no more", "group", g, "term", term)
		},
		LeaderKnown: func(g cluster.GroupID, term uint64, leader cluster.ServerID) {
			n.view.Learn(g, term, leader.Node())
			n.ages.changed(g, leader.Node(), time.Now())
			if leader != "" {
				n.metrics.leaderChanged(g)
			}
		},
		Fenced: n.fenced,
		PeerDead: func(p cluster.NodeID, evidence string, groups int) {
			n.log.Warn("node judged gone", "code", "FL-1003", "peer", p, "evidence", evidence, "groups", groups)
		},
		SnapshotInstalled: func(g cluster.GroupID, index uint64) {
			n.log.Info("state replaced by a snapshot", "group", g, "index", index)
		},
		ClockJumped: func() { n.log.Warn("the clock jumped: leases dropped", "code", "FL-1004") },
		RaftLog: func(g cluster.GroupID, level, text string) {
			n.log.Debug("raft", "group", g, "level", level, "text", text)
		},
	}
}

func (n *Node) peerChanged(p cluster.NodeID, up bool, err error) {
	if up {
		n.log.Info("node connected", "peer", p)
		return
	}
	if do := advice(err); do != "" {
		n.log.Warn("node does not come together with this one", "code", "FL-1052", "peer", p, "err", err, "do", do)
		return
	}
	n.log.Info("node disconnected", "peer", p, "err", err)
}

func (n *Node) peerRejected(remote net.Addr, p cluster.NodeID, err error) {
	level := slog.LevelDebug // a node that is refused comes again every second
	if host, _, serr := net.SplitHostPort(remote.String()); serr != nil || n.rejected.isNew(host+" "+string(p)+" "+advice(err), time.Now()) {
		level = slog.LevelWarn
	}
	n.log.LogAttrs(n.ctx, level, "connection of a node refused", slog.String("code", "FL-1007"),
		slog.Any("remote", remote), slog.String("peer", string(p)), slog.Any("err", err), slog.String("do", cmp.Or(advice(err), unknownRefusal)))
}
