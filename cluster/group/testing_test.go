package group

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Most of a test's time is waiting for elections; a flag on the command line wins.
	if err := flag.Set("test.parallel", "5"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(os.Exit))
}

const patience = 20 * time.Second

// kindMarker is noted by whoever receives it: what the same node sent before it has been handled then.
const kindMarker transport.Kind = 200

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("did not come: %s", what)
		}
	}
}

// world is a cluster in one process: real connections, memory or disk below.
type world struct {
	t         testing.TB
	authority *transport.Authority
	disk      string // directory of the nodes' files; empty means memory that can crash
	tune      func(*Config)

	mu    sync.Mutex
	addrs map[cluster.NodeID]string
	nodes []*node
}

// node is one of its machines; it can be stopped, crashed and started again.
type node struct {
	w      *world
	id     cluster.NodeID
	fs     lsm.FS
	stable string
	clock  *testClock
	faults *transport.Faults

	net    *transport.Transport
	host   *Host
	logs   *raftlog.Store
	votes  *raftlog.StableStore
	shared *lsm.Shared
	up     bool

	mu     sync.Mutex
	log    []string                  // events; guarded by mu
	fenced map[cluster.GroupID]error // guarded by mu
	syncs  []raftlog.SyncInfo        // when measured; guarded by mu

	measured bool // guarded by mu

	compared []time.Duration // how long each replica compared; guarded by mu
}

func (nd *node) synced(s raftlog.SyncInfo) {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if nd.measured {
		nd.syncs = append(nd.syncs, s)
	}
}

// testClock is the machine's clock, which a test can set off.
type testClock struct {
	machineClock
	mu   sync.Mutex
	mono time.Duration // added to both clocks; guarded by mu
	wall time.Duration // added to the wall clock; guarded by mu
}

func (c *testClock) Mono() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machineClock.Mono() + c.mono
}

func (c *testClock) Wall() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machineClock.Wall().Add(c.mono + c.wall)
}

// advance lets both clocks jump, as when the process had been stopped.
func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mono += d
}

// step lets only the wall clock jump.
func (c *testClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall += d
}

func newWorld(t testing.TB, n int, tune func(*Config)) *world { return newWorldOn(t, n, "", tune) }

func newWorldOn(t testing.TB, n int, disk string, tune func(*Config)) *world {
	t.Helper()
	id, err := transport.NewClusterID()
	if err != nil {
		t.Fatal(err)
	}
	a, err := transport.NewAuthority(id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, authority: a, disk: disk, tune: tune, addrs: map[cluster.NodeID]string{}}
	for i := range n {
		w.addNode(cluster.NodeID(fmt.Sprintf("n%d", i+1)))
	}
	t.Cleanup(w.close)
	return w
}

func (w *world) addNode(id cluster.NodeID) *node {
	nd := &node{w: w, id: id, stable: w.t.TempDir(), clock: &testClock{machineClock: newMachineClock()},
		faults: transport.NewFaults()}
	if w.disk == "" {
		nd.fs = lsm.CrashableMemFS()
	} else {
		nd.fs = lsm.OSFS()
		nd.stable = filepath.Join(w.disk, string(id), "votes")
	}
	w.nodes = append(w.nodes, nd)
	nd.start()
	return nd
}

func (w *world) close() {
	var wg sync.WaitGroup
	for _, nd := range w.nodes {
		wg.Go(nd.stop)
	}
	wg.Wait()
}

func (w *world) resolve(id cluster.NodeID) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	addr, ok := w.addrs[id]
	return addr, ok
}

func (nd *node) dir(name string) string {
	if nd.w.disk == "" {
		return "/" + name
	}
	return filepath.Join(nd.w.disk, string(nd.id), name)
}

func (nd *node) note(format string, args ...any) {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	nd.log = append(nd.log, fmt.Sprintf(format, args...))
}

func (nd *node) noted(text string) int {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	n := 0
	for _, line := range nd.log {
		if line == text {
			n++
		}
	}
	return n
}

// openStores opens what the groups of the node are kept in.
func (nd *node) openStores() {
	t := nd.w.t
	t.Helper()
	err := nd.fs.MkdirAll(nd.dir("groups"), 0o755)
	nd.shared = lsm.NewShared(lsm.Budget{CacheBytes: 8 << 20})
	fatal := func(err error) { nd.note("fatal: %v", err) }
	var lerr, verr error
	nd.logs, lerr = raftlog.Open(raftlog.Options{Dir: nd.dir("log"), FS: nd.fs, Shared: nd.shared, Fatal: fatal,
		Events: raftlog.Events{SyncDone: nd.synced}})
	nd.votes, verr = raftlog.OpenStable(raftlog.StableOptions{Dir: nd.stable, Fatal: fatal})
	if err := errors.Join(err, lerr, verr); err != nil {
		t.Fatalf("%s: %v", nd.id, err)
	}
}

// start opens stores, transport and host, and every group that the node holds a replica of.
func (nd *node) start() {
	t := nd.w.t
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", nd.id, err)
		}
	}
	var err error
	nd.openStores()
	nd.net, err = transport.New(nd.transportConfig())
	must(err)
	cfg := Config{Node: nd.id, Dir: nd.dir("groups"), FS: nd.fs, Net: nd.net, Log: nd.logs, Stable: nd.votes,
		Shared: nd.shared, Clock: nd.clock, Heartbeat: time.Second, Events: nd.events()}
	if nd.w.tune != nil {
		nd.w.tune(&cfg)
	}
	nd.host, err = New(cfg)
	must(err)
	nd.net.HandleFast(kindMarker, func(in transport.Inbound) {
		nd.note("marker")
		in.Respond(nil)
	})
	must(nd.net.Start())
	nd.w.mu.Lock()
	nd.w.addrs[nd.id] = nd.net.Addr().String()
	var ids []cluster.NodeID
	for _, o := range nd.w.nodes {
		ids = append(ids, o.id)
	}
	nd.w.mu.Unlock()
	for _, o := range nd.w.nodes {
		if o.net != nil {
			o.net.SetPeers(ids)
		}
	}
	nd.up = true
}

func (nd *node) transportConfig() transport.Config {
	pair, err := nd.w.authority.IssueNode(nd.id, transport.Names{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}, time.Hour)
	if err != nil {
		nd.w.t.Fatal(err)
	}
	creds, err := transport.NewCredentials(nd.w.authority.CertPEM(), pair)
	if err != nil {
		nd.w.t.Fatal(err)
	}
	return transport.Config{
		Cluster: nd.w.authority.Cluster, Node: nd.id, Listen: "127.0.0.1:0", Credentials: creds,
		Resolve: nd.w.resolve, Faults: nd.faults, Events: transport.Events{
			PeerUp:       func(n cluster.NodeID, i uint64) { nd.host.PeerUp(n, i) },
			PeerDown:     func(n cluster.NodeID, err error, refused bool) { nd.host.PeerDown(n, err, refused) },
			PeerReplaced: func(n cluster.NodeID, a, b uint64) { nd.host.PeerReplaced(n, a, b) },
		},
	}
}

func (nd *node) events() Events {
	nd.fenced = map[cluster.GroupID]error{}
	return Events{
		LeaderGained: func(g cluster.GroupID, term uint64, planned bool) {
			nd.note("leader of %d planned=%v", g, planned)
		},
		LeaderLost: func(g cluster.GroupID, term uint64) { nd.note("lost %d", g) },
		Fenced: func(g cluster.GroupID, err error) {
			nd.note("fenced %d: %v", g, err)
			nd.mu.Lock()
			nd.fenced[g] = err
			nd.mu.Unlock()
		},
		SnapshotInstalled: func(g cluster.GroupID, index uint64) { nd.note("snapshot %d", g) },
		PeerDead:          func(n cluster.NodeID, why string, groups int) { nd.note("dead %s %s", n, why) },
		Stood:             func(g cluster.GroupID, leader cluster.ServerID) { nd.note("stood %d", g) },
		Compared: func(g cluster.GroupID, took time.Duration, missing []cluster.NodeID, enough bool) {
			nd.mu.Lock()
			nd.compared = append(nd.compared, took)
			nd.mu.Unlock()
			if enough {
				nd.note("compared %d with all", g)
				return
			}
			for _, m := range missing {
				nd.note("compared %d without %s", g, m)
			}
		},
		PledgesLost: func(err error) { nd.note("pledges lost: %v", err) },
		ClockJumped: func() { nd.note("clock jumped") },
		RaftLog:     func(g cluster.GroupID, level, text string) { nd.note("raft %d %s: %s", g, level, text) },
	}
}

// stop closes everything in order.
func (nd *node) stop() {
	if !nd.up {
		return
	}
	nd.up = false
	nd.shut(nil)
}

// crash takes the network away, keeps of the files what a power cut would, and stops.
func (nd *node) crash(rng *rand.Rand) {
	nd.up = false
	nd.shut(func() { nd.fs = nd.fs.(*lsm.CrashFS).CrashClone(rng, 50) })
}

func (nd *node) shut(afterNet func()) {
	t := nd.w.t
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if afterNet != nil {
		if err := nd.net.Close(ctx); err != nil {
			t.Errorf("%s: %v", nd.id, err)
		}
		afterNet()
	}
	err := nd.host.Close(ctx)
	if afterNet == nil {
		err = errors.Join(err, nd.net.Close(ctx))
	}
	err = errors.Join(err, nd.logs.Close(), nd.votes.Close())
	nd.shared.Close()
	if err != nil {
		t.Errorf("%s: close: %v", nd.id, err)
	}
}

// open opens a group on a node.
func (nd *node) open(id cluster.GroupID) *Group {
	nd.w.t.Helper()
	g, err := nd.host.Open(within(nd.w.t), id, ReplicaConfig{Create: true})
	if err != nil {
		nd.w.t.Fatalf("%s: %v", nd.id, err)
	}
	return g
}

func (nd *node) group(id cluster.GroupID) *Group { return nd.host.Group(id) }

// form opens a group on all nodes, gives it its membership and waits for a leader that may answer.
func (w *world) form(id cluster.GroupID) *node {
	w.t.Helper()
	var voters []cluster.ServerID
	for _, nd := range w.nodes {
		voters = append(voters, nd.open(id).Self())
	}
	first := w.nodes[int(id)%len(w.nodes)]
	if err := first.host.Bootstrap(within(w.t), id, voters); err != nil {
		w.t.Fatal(err)
	}
	return w.leader(id)
}

// holding forms group 1, in whose space the key "a" has a value, and returns its leader.
func (w *world) holding(value string) *node {
	w.t.Helper()
	leader := w.form(1)
	leader.create(1)
	leader.mustPut(1, "a", value)
	return leader
}

// leader waits for a node that leads the group and may answer.
func (w *world) leader(id cluster.GroupID) *node {
	w.t.Helper()
	return w.leaderAmong(id, nil)
}

// leaderAmong does so among all nodes but one, which may believe to lead still.
func (w *world) leaderAmong(id cluster.GroupID, not *node) *node {
	w.t.Helper()
	var found *node
	eventually(w.t, fmt.Sprintf("leader of group %d", id), func() bool {
		for _, nd := range w.nodes {
			if nd == not || !nd.up || nd.group(id) == nil || nd.group(id).State() != Leader {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			_, err := nd.group(id).Lead(ctx)
			cancel()
			if err == nil {
				found = nd
				return true
			}
		}
		return false
	})
	return found
}

// others are the nodes but one.
func (w *world) others(not *node) []*node {
	var rest []*node
	for _, nd := range w.nodes {
		if nd != not {
			rest = append(rest, nd)
		}
	}
	return rest
}

func spaceOf(id cluster.GroupID) cluster.SpaceID { return cluster.SpaceID{1, byte(id)} }

func (nd *node) create(id cluster.GroupID) {
	nd.w.t.Helper()
	_, err := nd.group(id).Replica().Create(within(nd.w.t), spaceOf(id), 1, cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		return nil, nil
	})
	if err != nil {
		nd.w.t.Fatalf("%s: create: %v", nd.id, err)
	}
}

func (nd *node) put(ctx context.Context, id cluster.GroupID, key, value string) error {
	_, err := nd.group(id).Replica().Update(ctx, spaceOf(id), cluster.RequestID{}, func(w space.Writer) ([]byte, error) {
		w.Set([]byte(key), []byte(value))
		return nil, nil
	})
	return err
}

func (nd *node) get(ctx context.Context, id cluster.GroupID, mode space.ReadMode, key string) (string, error) {
	var value string
	err := nd.group(id).Replica().View(ctx, spaceOf(id), mode, func(r space.Reader) error {
		b, err := r.Get([]byte(key))
		value = string(b)
		return err
	})
	return value, err
}

func (nd *node) mustPut(id cluster.GroupID, key, value string) {
	nd.w.t.Helper()
	if err := nd.put(within(nd.w.t), id, key, value); err != nil {
		nd.w.t.Fatalf("%s: put %s: %v", nd.id, key, err)
	}
}

func (nd *node) mustGet(id cluster.GroupID, mode space.ReadMode, key, want string) {
	nd.w.t.Helper()
	got, err := nd.get(within(nd.w.t), id, mode, key)
	if err != nil || got != want {
		nd.w.t.Fatalf("%s: get %s = %q %v, want %q", nd.id, key, got, err, want)
	}
}

// dump prints what the nodes have noted, when the test failed.
func (w *world) dump() {
	if !w.t.Failed() {
		return
	}
	for _, nd := range w.nodes {
		nd.mu.Lock()
		for _, line := range nd.log {
			w.t.Logf("%s: %s", nd.id, line)
		}
		nd.mu.Unlock()
	}
}
