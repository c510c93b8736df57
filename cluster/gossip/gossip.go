package gossip

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/flotilla-mail/flotilla/cluster"
)

const keySize = 32

// Gossip is one node's part in the pool of its data centre, and in that of the gateways while it is one.
type Gossip struct {
	config Config
	bind   netip.AddrPort
	ring   *memberlist.Keyring // of all pools; locks itself
	know   *knowledge
	tell   *teller
	look   chan struct{} // somebody came or went: who is a gateway may have changed

	mu      sync.Mutex
	meta    Meta               // guarded by mu
	mux     *mux               // guarded by mu; nil before Start
	pools   [scopes]*pool      // guarded by mu
	stop    context.CancelFunc // guarded by mu
	closed  bool               // guarded by mu
	workers sync.WaitGroup     // but those of the pools

	done chan struct{} // closed when nothing of it runs any more
	left error         // what went wrong with that; not changed after done
}

// New checks the configuration; nothing runs before Start.
func New(c Config) (*Gossip, error) {
	if !c.Node.Valid() {
		return nil, fmt.Errorf("gossip: node name %q: %w", c.Node, cluster.ErrBadRequest)
	}
	if err := checkKeys(c.Key, c.OldKeys); err != nil {
		return nil, err
	}
	bind, err := netip.ParseAddrPort(c.Bind)
	if err != nil {
		return nil, fmt.Errorf("gossip: bind address, want ip:port: %w", err)
	}
	if label := c.label(lan); c.Cluster == "" || len(label) > memberlist.LabelMaxSize {
		return nil, fmt.Errorf("gossip: label %q: %w", label, cluster.ErrBadRequest)
	}
	meta, err := encodeMeta(c.Meta)
	if err != nil {
		return nil, err
	}
	ring, err := memberlist.NewKeyring(c.OldKeys, c.Key)
	if err != nil {
		return nil, fmt.Errorf("gossip: keyring: %w", err)
	}
	if c.open == nil {
		c.open = openPort
	}
	c.LAN, c.WAN, c.Gateways = c.LAN.or(profiles[lan]), c.WAN.or(profiles[wan]), c.Gateways.orDefault()
	g := &Gossip{config: c, bind: bind, ring: ring, meta: c.Meta, look: make(chan struct{}, 1), done: make(chan struct{})}
	g.know = newKnowledge(c.Node, c.Meta.DC, c.LAN.Retransmit, c.WAN.Retransmit)
	g.know.setMeta(c.Meta, meta, time.Now())
	g.tell = newTeller(c.Events, g.know)
	return g, nil
}

// label names a pool. Data centres and clusters that can reach each other are kept apart by it.
func (c *Config) label(s scope) string {
	if s == wan {
		return "wan-" + c.Cluster
	}
	return "lan-" + c.Cluster + "-" + c.Meta.DC
}

// Start binds the port and goes on in the background: it joins seeds, again and again while there are some that are no
// members. ctx bounds the start only. What Start began ends with Close.
func (g *Gossip) Start(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.mux != nil {
		return fmt.Errorf("gossip: started before: %w", cluster.ErrUnavailable)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("gossip: start: %w", err)
	}
	net, err := g.config.open(g.bind, g.logger())
	if err != nil {
		return fmt.Errorf("gossip: bind %v: %w", g.bind, err)
	}
	m := newMux(ctx, net, func(label, from string) {
		g.log("DEBUG", fmt.Sprintf("message for the pool %q from %s: this node is not in it", label, from))
	})
	pool, err := g.openOn(m, lan, func(*pool) []string { return g.lanSeeds() })
	if err != nil {
		return errors.Join(err, m.close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.mux, g.pools[lan], g.stop = m, pool, stop
	g.know.change(time.Now(), func(own *record) { own.Addr = pool.members()[g.config.Node].Addr })
	pool.run(running)
	g.workers.Go(func() { g.tell.run(running) })
	s := &steering{g: g}
	g.workers.Go(func() { s.run(running) })
	return nil
}

// lanSeeds are the owner's, and nodes of this data centre that were heard of in a roundabout way: its pool was cut in
// two, and the other half is known by the gateways.
func (g *Gossip) lanSeeds() []string {
	var seeds []string
	if g.config.Seeds != nil {
		seeds = g.config.Seeds()
	}
	return append(seeds, g.know.lastResort(g.config.Meta.DC, time.Now())...)
}

func (g *Gossip) remote() []Peer {
	if g.config.Remote == nil {
		return nil
	}
	return g.config.Remote()
}

// Close leaves, so that the others need not find out, and waits for all that Start began. It waits at most about three
// seconds for the leaving, less if ctx ends. Called again, it waits again.
func (g *Gossip) Close(ctx context.Context) error {
	g.mu.Lock()
	started, first := g.mux != nil, !g.closed
	g.closed = true
	g.mu.Unlock()
	if !started {
		return nil
	}
	if first {
		go func() {
			g.left = g.leave(ctx)
			close(g.done)
		}()
	}
	select {
	case <-g.done:
		return g.left
	case <-ctx.Done():
		return fmt.Errorf("gossip: close: %w", ctx.Err())
	}
}

// leave tells the others why this node goes quiet. That they were not told is no error: they find out.
func (g *Gossip) leave(ctx context.Context) error {
	g.mu.Lock()
	g.stop()
	g.meta.State = StateLeaving
	meta, err := encodeMeta(g.meta)
	if err == nil {
		g.know.setMeta(g.meta, meta, time.Now())
	}
	g.mu.Unlock()
	g.know.change(time.Now(), func(own *record) { own.Gone = goneLeft })
	g.workers.Wait() // so that no pool is opened any more
	if err == nil {
		g.logError("tell that it leaves", g.pool(lan).list.UpdateNode(bounded(ctx, metaWait)))
	}
	closing := make(chan error, scopes)
	for s := range scopes {
		go func() {
			var err error
			if p := g.pool(s); p != nil {
				err = p.close(ctx)
			}
			closing <- err
		}()
	}
	err = errors.Join(<-closing, <-closing)
	return errors.Join(err, g.mux.close())
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
	if p := g.pool(lan); p != nil {
		return p.members()[g.config.Node].Addr
	}
	return ""
}

func (g *Gossip) pool(s scope) *pool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pools[s]
}

func (g *Gossip) setPool(s scope, p *pool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pools[s] = p
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
	g.know.setMeta(meta, b, time.Now())
	if p := g.pools[lan]; p != nil {
		p.sendMeta()
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

// Nodes lists the nodes that were heard of, in all data centres, this one included, by name.
func (g *Gossip) Nodes() []Node { return g.know.list() }

// Sites lists the other data centres by name.
func (g *Gossip) Sites() []Site { return g.know.otherSites() }

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

func (g *Gossip) logger() *log.Logger { return log.New(lines{g}, "", 0) }

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
