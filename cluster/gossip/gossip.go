package gossip

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/flotilla-mail/flotilla/cluster"
)

const (
	keySize     = 32
	leaveWait   = 2 * time.Second        // for the word that this node leaves
	metaWait    = 500 * time.Millisecond // for a new Meta to be sent once
	resolveWait = 5 * time.Second        // for a seed's name
	reclaimWait = 10 * time.Second       // before the name of a dead node may come back at another address
	tcpWait     = 3 * time.Second        // for a connection and each exchange on it
	firstRetry  = time.Second            // between tries while alone
)

// Gossip is one node's part in the pool of its data centre.
type Gossip struct {
	config Config
	label  string
	bind   netip.AddrPort
	know   *knowledge
	tell   *teller
	update chan struct{} // own Meta changed

	mu      sync.Mutex
	meta    Meta                   // guarded by mu
	list    *memberlist.Memberlist // guarded by mu; nil before Start
	stop    context.CancelFunc     // guarded by mu
	closed  bool                   // guarded by mu
	workers sync.WaitGroup
}

// New checks the configuration; nothing runs before Start.
func New(c Config) (*Gossip, error) {
	if !c.Node.Valid() {
		return nil, fmt.Errorf("gossip: node name %q: %w", c.Node, cluster.ErrBadRequest)
	}
	for _, key := range append([][]byte{c.Key}, c.OldKeys...) {
		if len(key) != keySize {
			return nil, fmt.Errorf("gossip: key of %d bytes, want %d: %w", len(key), keySize, cluster.ErrBadRequest)
		}
	}
	bind, err := netip.ParseAddrPort(c.Bind)
	if err != nil {
		return nil, fmt.Errorf("gossip: bind address, want ip:port: %w", err)
	}
	label := "lan-" + c.Cluster + "-" + c.Meta.DC
	if c.Cluster == "" || len(label) > memberlist.LabelMaxSize {
		return nil, fmt.Errorf("gossip: label %q: %w", label, cluster.ErrBadRequest)
	}
	meta, err := encodeMeta(c.Meta)
	if err != nil {
		return nil, err
	}
	c.Tuning = c.Tuning.orLAN()
	g := &Gossip{config: c, label: label, bind: bind, meta: c.Meta, update: make(chan struct{}, 1)}
	g.know = newKnowledge(c.Node, c.Tuning.Retransmit)
	g.know.setMeta(meta)
	g.tell = newTeller(c.Events, g.know)
	return g, nil
}

func (t Tuning) orLAN() Tuning {
	or := func(d *time.Duration, lan time.Duration) {
		if *d <= 0 {
			*d = lan
		}
	}
	or(&t.PushPull, 10*time.Second)
	or(&t.Gossip, 100*time.Millisecond)
	or(&t.Probe, time.Second)
	or(&t.ProbeWait, 500*time.Millisecond)
	or(&t.Rejoin, 15*time.Second)
	if t.Retransmit <= 0 {
		t.Retransmit = 4
	}
	return t
}

// Start binds the sockets and goes on in the background: it joins seeds, again and again while there are some that are
// no members. ctx bounds the start only. What Start began ends with Close.
func (g *Gossip) Start(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.list != nil {
		return fmt.Errorf("gossip: started before: %w", cluster.ErrUnavailable)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("gossip: start: %w", err)
	}
	config, err := g.memberlistConfig()
	if err != nil {
		return err
	}
	list, err := memberlist.Create(config)
	if err != nil {
		return fmt.Errorf("gossip: bind %v: %w", g.bind, err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.list, g.stop = list, stop
	g.workers.Go(func() { g.tell.run(running) })
	g.workers.Go(func() { g.join(running, list) })
	g.workers.Go(func() { g.sendMeta(running, list) })
	return nil
}

func (g *Gossip) memberlistConfig() (*memberlist.Config, error) {
	ring, err := memberlist.NewKeyring(g.config.OldKeys, g.config.Key)
	if err != nil {
		return nil, fmt.Errorf("gossip: keyring: %w", err)
	}
	c, d, tuning := memberlist.DefaultLANConfig(), delegate{g}, g.config.Tuning
	c.Name, c.Label, c.Keyring = string(g.config.Node), g.label, ring
	c.BindAddr, c.BindPort, c.AdvertisePort = g.bind.Addr().String(), int(g.bind.Port()), int(g.bind.Port())
	c.PushPullInterval, c.GossipInterval = tuning.PushPull, tuning.Gossip
	c.ProbeInterval, c.ProbeTimeout, c.RetransmitMult = tuning.Probe, tuning.ProbeWait, tuning.Retransmit
	c.TCPTimeout, c.DeadNodeReclaimTime = tcpWait, reclaimWait
	c.Delegate, c.Events, c.Alive, c.Conflict = d, d, d, d
	c.DelegateProtocolMin, c.DelegateProtocolMax, c.DelegateProtocolVersion = form1, form1, form1
	c.Logger = log.New(lines{g}, "", 0)
	return c, nil
}

// Close leaves, so that the others need not find out, and waits for all that Start began. It waits at most about three
// seconds for the leaving, less if ctx ends. Called again, it waits again.
func (g *Gossip) Close(ctx context.Context) error {
	g.mu.Lock()
	list, stop, first := g.list, g.stop, !g.closed
	g.closed = true
	g.mu.Unlock()
	if list == nil {
		return nil
	}
	var err error
	if first {
		err = g.leave(ctx, list, stop)
	}
	done := make(chan struct{})
	go func() {
		g.workers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("gossip: close: %w", ctx.Err()))
	}
}

// leave tells the others why this node goes quiet. That they were not told is no error: they find out.
func (g *Gossip) leave(ctx context.Context, list *memberlist.Memberlist, stop context.CancelFunc) error {
	stop()
	g.mu.Lock()
	g.meta.State = StateLeaving
	meta, err := encodeMeta(g.meta)
	g.mu.Unlock()
	if err == nil {
		g.know.setMeta(meta)
		g.logError("tell that it leaves", list.UpdateNode(bounded(ctx, metaWait)))
	}
	g.logError("leave", list.Leave(bounded(ctx, leaveWait)))
	if err := list.Shutdown(); err != nil {
		return fmt.Errorf("gossip: close: %w", err)
	}
	return nil
}

// bounded is how long to wait, at least a millisecond because memberlist takes zero for ever.
func bounded(ctx context.Context, wait time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	if ctx.Err() != nil {
		wait = 0
	}
	return max(wait, time.Millisecond)
}

// Addr is the address the others are told, empty before Start.
func (g *Gossip) Addr() string {
	if list := g.running(); list != nil {
		return list.LocalNode().Address()
	}
	return ""
}

func (g *Gossip) running() *memberlist.Memberlist {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.list
}

// SetMeta changes what this node says of itself. The data centre cannot change.
func (g *Gossip) SetMeta(meta Meta) error {
	if meta.DC != g.config.Meta.DC {
		return fmt.Errorf("gossip: data centre %q to %q: %w", g.config.Meta.DC, meta.DC, cluster.ErrBadRequest)
	}
	b, err := encodeMeta(meta)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return fmt.Errorf("gossip: closed: %w", cluster.ErrUnavailable)
	}
	g.meta = meta
	g.know.setMeta(b)
	select {
	case g.update <- struct{}{}:
	default:
	}
	return nil
}

// SetLoad changes the load the others are told.
func (g *Gossip) SetLoad(load Load) { g.know.setLoad(load, time.Now()) }

// Announce tells what this node knows of its own leadership. leader is this node when it begins to lead in the term;
// when it ends, leader is empty, or the node that follows if that is known, in that one's term. Of groups this node did
// not lead, only a leader's name is taken in. It may be called before Start.
func (g *Gossip) Announce(group cluster.GroupID, term uint64, leader cluster.NodeID) {
	if leader != "" && !leader.Valid() {
		g.log("ERR", fmt.Sprintf("announced leader %q of group %v is no node's name", leader, group))
		return
	}
	g.tell.hint(g.know.announce(group, term, leader))
}

// Leader is the newest hint on a group; ok is false if there is none. An empty leader has stepped down.
func (g *Gossip) Leader(group cluster.GroupID) (leader cluster.NodeID, term uint64, ok bool) {
	h, ok := g.know.hint(group)
	if h.Lost {
		h.Leader = ""
	}
	return h.Leader, h.Term, ok
}

// Nodes lists the nodes that were heard of, this one included, by name.
func (g *Gossip) Nodes() []Node { return g.know.list() }

// sendMeta lets memberlist broadcast changes of Meta.
func (g *Gossip) sendMeta(ctx context.Context, list *memberlist.Memberlist) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.update:
			g.logError("send meta", list.UpdateNode(metaWait))
		}
	}
}

// join contacts seeds that are no members. Going on after the first success heals a pool that was cut in two for longer
// than memberlist looks after the dead.
func (g *Gossip) join(ctx context.Context, list *memberlist.Memberlist) {
	if g.config.Seeds == nil {
		return
	}
	for {
		for _, seed := range g.config.Seeds() {
			if ctx.Err() != nil {
				return
			}
			g.logError("join "+seed, g.joinOne(ctx, list, seed))
		}
		wait := g.config.Tuning.Rejoin
		if list.NumMembers() < 2 {
			wait = min(wait, firstRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (g *Gossip) joinOne(ctx context.Context, list *memberlist.Memberlist, seed string) error {
	host, port, err := net.SplitHostPort(seed)
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, resolveWait)
	defer cancel()
	hosts, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	members := map[string]bool{}
	for _, n := range list.Members() {
		members[n.Address()] = true
	}
	for _, h := range hosts {
		if addr := net.JoinHostPort(h, port); !members[addr] && ctx.Err() == nil {
			_, joinErr := list.Join([]string{addr})
			err = errors.Join(err, joinErr)
		}
	}
	return err
}

func (g *Gossip) log(level, text string) {
	if g.config.Events.Log != nil {
		g.config.Events.Log(level, text)
	}
}

func (g *Gossip) logError(what string, err error) {
	if err != nil {
		g.log("DEBUG", what+": "+err.Error())
	}
}

// lines turns memberlist's log lines, "[WARN] memberlist: text", into calls of Events.Log.
type lines struct{ g *Gossip }

func (l lines) Write(b []byte) (int, error) {
	text, level := strings.TrimSpace(string(b)), "INFO"
	if rest, ok := strings.CutPrefix(text, "["); ok {
		if name, after, found := strings.Cut(rest, "] "); found {
			level, text = name, after
		}
	}
	l.g.log(level, strings.TrimPrefix(text, "memberlist: "))
	return len(b), nil
}
