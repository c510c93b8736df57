// Package node assembles one node: it builds the parts, starts them in order, drains and stops them.
//
// It knows every part and decides nothing that a part could: what is served where, and in which order things come up
// and go down. Invariants: no listener of clients is open before the node can answer; nothing is torn down that
// something still running leans on.
package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/gossip"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/ops"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/exmdb/client"
	"github.com/flotilla-mail/flotilla/internal/auth"
	"github.com/flotilla-mail/flotilla/internal/clock"
	"github.com/flotilla-mail/flotilla/internal/directory/builtin"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/controller"
	"github.com/flotilla-mail/flotilla/placement/planner"
	"github.com/flotilla-mail/flotilla/placement/store"
	"github.com/flotilla-mail/flotilla/placement/view"
)

// Node is one running node.
type Node struct {
	cfg   Config
	self  cluster.NodeID
	peers []Peer
	log   *slog.Logger
	trust *trust // as it was at the start; certificates are renewed after it
	exit  func(code int)

	credentials *transport.Credentials          // towards nodes
	shown       atomic.Pointer[tls.Certificate] // to clients

	storage   storage
	view      *view.View
	server    *ops.Server
	ops       *ops.Client
	mail      client.Client
	asked     *standings // mail for the front-ends
	people    builtin.Reader
	passwords *auth.Passwords
	services  services
	gossip    *gossip.Gossip

	ctx    context.Context // ends when Stop begins
	cancel context.CancelFunc
	wg     sync.WaitGroup

	contact   contact
	metrics   *metrics
	ready     atomic.Bool
	draining  atomic.Bool
	removed   atomic.Bool // the cluster goes on without this node, for good
	progress  atomic.Pointer[string]
	reconcile chan struct{}
	planning  atomic.Pointer[controller.Controller] // while this node leads the system group
	shifting  atomic.Pointer[[]planner.Shift]       // what goes next, meanwhile
	damages   damages
	disk      slowDisk
	room      *watermarks
	load      loadMeter
	deadly    deadlyStep
	told      told
	scratched scratches
	replaced  replacements
	twins     replacements // names under which the gossip hears a second machine
	scrubs    scrubs
	ages      leaderAges
	attempts  attempts
	rejected  repeats
	stopping  chan struct{}
	program   program
	keys      sync.Mutex // held while the gossip's keys are read and changed
	drilling  sync.Mutex // held while this node leads a drill
	outOf     sync.Mutex // held while the node is taken out of service or back into it

	mu     sync.Mutex
	leads  map[cluster.GroupID]context.CancelFunc // ends what is done as a leader; guarded by mu
	fronts []signedIn                             // guarded by mu
}

// New reads the node's certificates and makes its parts; nothing runs yet. exit ends the process when going on would
// lose data.
func New(cfg Config, log *slog.Logger, exit func(code int)) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := mayUse(&cfg); err != nil {
		return nil, err
	}
	if err := mayOpen(&cfg); err != nil {
		return nil, err
	}
	t, err := readTrust(cfg.path("tls"))
	if err != nil {
		return nil, err
	}
	peers, err := cfg.Peers()
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, self: cluster.NodeID(cfg.Node), peers: peers, trust: t, exit: exit,
		metrics: newMetrics(), reconcile: make(chan struct{}, 1), stopping: make(chan struct{}, 1),
		leads: make(map[cluster.GroupID]context.CancelFunc)}
	n.program.started, n.program.name = time.Now(), sync.OnceValues(ownName)
	n.log = slog.New(countErrors{log.Handler(), &n.program}).With("node", cfg.Node)
	n.deadly.die = func() { exit(1) }
	n.deadly.freeze = func() error { return syscall.Kill(os.Getpid(), syscall.SIGSTOP) }
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.say("starting")
	n.storage.clock = newClockShift()
	n.room = newWatermarks(&n.cfg)
	if err := n.useCertificates(t, n.storage.clock.Now()); err != nil {
		return nil, err
	}
	n.view = view.New(systemReplica{n})
	n.people = builtin.Reader{System: systemReplica{n}, Age: n.contact.age}
	if n.passwords, err = auth.NewPasswords(n.people, auth.Throttle{Failures: cfg.Limits.ThrottleFailures,
		Window: time.Duration(cfg.Limits.ThrottleWindow)}, n.storage.clock.Now); err != nil {
		return nil, err
	}
	if err := n.makeGossip(); err != nil {
		return nil, err
	}
	if err := n.openStorage(); err != nil {
		return nil, errors.Join(err, n.Stop(context.Background()))
	}
	n.makeOps()
	return n, nil
}

func (n *Node) makeOps() {
	router := router{n}
	n.ops = ops.NewClient(n.self, n.server, opsConn{n}, router, n.storage.clock)
	n.mail = client.Client{Ops: n.ops, Routes: router}
	n.asked = newStandings(n.mail, n.people, n.contact.age)
}

// fatal ends the process.
func (n *Node) fatal(code, text string, err error) {
	n.log.Error(text, "code", code, "err", err)
	n.exit(1)
}

// say sets the progress line.
func (n *Node) say(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if old := n.progress.Swap(&s); old == nil || *old != s {
		n.log.Info(s)
	}
}

// Start brings the node up: it forms or joins the system group, follows the map, opens its replicas and then its
// listeners. It returns when the node is ready, its replicas with it, or with the first error.
func (n *Node) Start(ctx context.Context) error {
	if err := n.storage.net.Start(); err != nil {
		return fmt.Errorf("listen for nodes on %s: %w", n.cfg.Listen.Node, err)
	}
	n.meet(n.view.Map())
	if err := n.startAdmin(); err != nil {
		return err
	}
	if err := n.gossip.Start(ctx); err != nil {
		return fmt.Errorf("gossip on %s: %w", n.cfg.Listen.Gossip, err)
	}
	n.run("gossip", n.keepGossip)
	n.run("own address", n.tellPlace)
	n.run("own name", n.keepName)
	n.run("room on the disk", n.keepRoom)
	if err := n.form(ctx); err != nil {
		return err
	}
	n.run("contact with the system group", n.keepContact)
	n.view.OnMap = func(m *placement.Map) { n.poke(); n.meet(m) }
	n.meet(n.view.Map())
	n.run("follow the map", n.followMap)
	n.run("level", n.keepLevel)
	n.run("replicas", n.keepReplicas)
	n.run("system replica", n.keepSystem)
	n.run("recoveries of the system group", n.watchRecovery)
	n.run("collect content", n.collectContent)
	n.run("certificates", n.keepCertificates)
	n.run("key of the gossip", n.adoptGossipKey)
	n.run("sessions of changed users", n.watchPeople)
	if err := n.register(ctx); err != nil {
		return err
	}
	if err := n.awaitGroups(ctx); err != nil {
		return err
	}
	if err := n.startServices(ctx); err != nil {
		return err
	}
	n.awaitReplicas(ctx)
	n.ready.Store(true)
	n.tellState()
	n.say("ready")
	return nil
}

// run starts a goroutine that lives until Stop.
func (n *Node) run(what string, fn func(context.Context) error) {
	n.wg.Go(func() {
		if err := fn(n.ctx); err != nil && n.ctx.Err() == nil {
			n.log.Error("stopped early", "code", "FL-1008", "what", what, "err", err)
		}
	})
}

// collectEvery is how often the groups led here look for content that nothing refers to.
const collectEvery = 2 * time.Minute

// collectContent lets content go that no space of a group holds any more (CLUSTER 3.2).
func (n *Node) collectContent(ctx context.Context) error {
	t := time.NewTicker(collectEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		for _, g := range n.storage.host.Groups() {
			if g.State() != group.Leader {
				continue
			}
			if _, err := g.Replica().Collect(ctx); err != nil && ctx.Err() == nil {
				n.log.Warn("content not collected", "code", "FL-1016", "group", g.ID(), "err", err)
			}
		}
	}
}

func (n *Node) poke() {
	select {
	case n.reconcile <- struct{}{}:
	default:
	}
}

// followMap keeps the view on the local replica, which may be replaced by another one under it.
func (n *Node) followMap(ctx context.Context) error {
	for ctx.Err() == nil {
		err := n.view.Run(ctx)
		n.log.Debug("map not readable", "err", err)
		pause(ctx, 200*time.Millisecond)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) { _ = clock.System{}.Sleep(ctx, d) }

// register tells the map what this node is.
func (n *Node) register(ctx context.Context) error {
	n.say("registering with the system group")
	var roles placement.Roles
	for _, r := range n.cfg.Roles {
		roles |= map[string]placement.Roles{RoleStore: placement.RoleStore, RoleFrontend: placement.RoleFrontend}[r]
	}
	return n.mapOp(ctx, store.OpPutNode, &placement.NodeState{ID: n.self, Roles: roles, Address: n.ownPlace(),
		Gossip: n.cfg.Listen.Gossip, External: n.cfg.ExternalName(), DC: n.cfg.DC, Zone: n.cfg.Zone,
		MinLevel: uint32(levels().Oldest), MaxLevel: uint32(levels().Newest), Version: versionString()})
}

// ownPlace is where the configuration says that the others reach this node.
func (n *Node) ownPlace() string {
	for _, p := range n.peers {
		if p.ID == n.self {
			return p.Address
		}
	}
	return n.cfg.Listen.Node
}

// placeEvery is how often a node looks whether the map has it where it is.
const placeEvery = 5 * time.Second

// tellPlace says where this node is now to whoever leads the system group, before it has a map that it could register in:
// what would bring its copy of the map up to date is sent to where the others look for it. It is said again when the map has
// another address than was told: a second machine of the name may have come, and must not keep what it has taken.
func (n *Node) tellPlace(ctx context.Context) error {
	look := time.NewTicker(placeEvery)
	defer look.Stop()
	for {
		err := n.mapOp(ctx, store.OpNodeAddress, &store.NodeAddressRequest{Node: n.self, Address: n.ownPlace(), Gossip: n.cfg.Listen.Gossip})
		if err != nil && ctx.Err() == nil {
			n.log.Debug("own address not told", "err", err)
		}
		for is := n.ownPlace(); is == n.ownPlace(); is = n.placed() {
			select {
			case <-ctx.Done():
				return nil
			case <-look.C:
			}
		}
		if err == nil {
			n.log.Warn("the map has another address of this node than it told: do two machines use its name?", "code", "FL-1093",
				"told", n.ownPlace(), "has", n.placed(), "do", doOfTwo)
		}
	}
}

// placed is where the map has this node; where it is as long as the map has nothing of it.
func (n *Node) placed() string {
	if o := n.view.Map().Node(n.self); o != nil && o.Address != "" {
		return o.Address
	}
	return n.ownPlace()
}

// Stop ends everything. Without Drain before it, peers find out by themselves.
func (n *Node) Stop(ctx context.Context) error {
	n.ready.Store(false)
	err := n.services.close(ctx)
	n.cancel()
	err = errors.Join(err, n.gossip.Close(ctx), n.storage.close(ctx))
	n.wg.Wait()
	if n.program.restart.Load() {
		return err // the process goes on under its number
	}
	return errors.Join(err, n.removePID())
}

// removePID takes back what WritePID left, and not what another process of the same data has.
func (n *Node) removePID() error {
	b, err := os.ReadFile(n.cfg.path("pid"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && string(b) != ownPID() {
		return nil
	}
	return errors.Join(err, removeIfThere(n.cfg.path("pid")))
}

func ownPID() string { return fmt.Sprintf("%d\n", os.Getpid()) }

// WritePID leaves the process id where `flotilla dev` and administrators look for it.
func (n *Node) WritePID() error {
	return writeFile(n.cfg.path("pid"), []byte(ownPID()), 0o644)
}
