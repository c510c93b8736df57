package gossip

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/flotilla-mail/flotilla/cluster"
)

const (
	leaveWait   = 2 * time.Second        // for the word that this node leaves
	metaWait    = 500 * time.Millisecond // for a new Meta to be sent once
	resolveWait = 5 * time.Second        // for a seed's name
	reclaimWait = 10 * time.Second       // before the name of a dead node may come back at another address
	labelWait   = 3 * time.Second        // for a connection to say which pool it is for
)

// profiles are the times of the two pools. Between data centres messages are slower and paid for, and nothing waits
// for them: the intervals follow memberlist's WAN profile. In the LAN a word is sent three times as often as there: with memberlist's
// own four some member misses that another has refuted its death, where many packets are lost (docs/design/gossip.md, Loss).
var profiles = [scopes]Tuning{
	lan: {PushPull: 10 * time.Second, Gossip: 100 * time.Millisecond, Probe: time.Second, ProbeWait: 500 * time.Millisecond,
		Rejoin: 15 * time.Second, Retransmit: 12},
	wan: {PushPull: 30 * time.Second, Gossip: 500 * time.Millisecond, Probe: 5 * time.Second, ProbeWait: 3 * time.Second,
		Rejoin: 30 * time.Second, Retransmit: 4},
}

func or[T int | time.Duration](value *T, profile T) {
	if *value <= 0 {
		*value = profile
	}
}

func (t Tuning) or(profile Tuning) Tuning {
	or(&t.PushPull, profile.PushPull)
	or(&t.Gossip, profile.Gossip)
	or(&t.Probe, profile.Probe)
	or(&t.ProbeWait, profile.ProbeWait)
	or(&t.Rejoin, profile.Rejoin)
	or(&t.Retransmit, profile.Retransmit)
	return t
}

func (w Gateways) orDefault() Gateways {
	or(&w.Count, 2)
	or(&w.Review, time.Second)
	or(&w.Settle, 5*time.Second)
	return w
}

// pool is this node's membership in one of the pools.
type pool struct {
	g       *Gossip
	scope   scope
	tuning  Tuning
	alone   time.Duration // between tries while nobody else is in it
	seeds   func(*pool) []string
	list    *memberlist.Memberlist
	update  chan struct{} // own Meta changed
	stop    context.CancelFunc
	workers sync.WaitGroup

	mu  sync.Mutex
	met map[cluster.NodeID]Peer // guarded by mu; who is alive in it, with this node: memberlist's own list is not safe to read
}

// open makes this node a member of a pool, alone at first; run lets it meet others.
func (g *Gossip) open(s scope, seeds func(*pool) []string) (*pool, error) {
	g.mu.Lock()
	m := g.mux
	g.mu.Unlock()
	return g.openOn(m, s, seeds)
}

func (g *Gossip) openOn(m *mux, s scope, seeds func(*pool) []string) (*pool, error) {
	p := &pool{g: g, scope: s, tuning: g.config.LAN, alone: time.Second, seeds: seeds, update: make(chan struct{}, 1),
		met: map[cluster.NodeID]Peer{}}
	if s == wan {
		p.tuning, p.alone = g.config.WAN, 5*time.Second
	}
	branch := m.branch(g.config.label(s))
	config := p.memberlistConfig(m)
	config.Keyring, config.Transport = g.ring, branch
	g.know.openBox(s, true)
	var err error
	if p.list, err = memberlist.Create(config); err != nil {
		g.know.openBox(s, false)
		return nil, errors.Join(fmt.Errorf("gossip: open the pool %s: %w", branch.label, err), branch.Shutdown())
	}
	return p, nil
}

func (p *pool) memberlistConfig(m *mux) *memberlist.Config {
	c, d, g := memberlist.DefaultLANConfig(), delegate{p}, p.g
	c.TCPTimeout = 3 * time.Second
	if p.scope == wan {
		c = memberlist.DefaultWANConfig()
		c.TCPTimeout = 10 * time.Second
	}
	c.Name, c.Label, c.SkipInboundLabelCheck = string(g.config.Node), g.config.label(p.scope), true // mux has looked at it
	port := m.net.GetAutoBindPort()
	c.BindAddr, c.BindPort, c.AdvertisePort = g.bind.Addr().String(), port, port
	if g.config.Advertise.IsValid() {
		c.AdvertiseAddr = g.config.Advertise.String()
	}
	c.PushPullInterval, c.GossipInterval = p.tuning.PushPull, p.tuning.Gossip
	c.ProbeInterval, c.ProbeTimeout, c.RetransmitMult = p.tuning.Probe, p.tuning.ProbeWait, p.tuning.Retransmit
	c.DeadNodeReclaimTime = reclaimWait
	c.Delegate, c.Events, c.Alive, c.Conflict = d, d, d, d
	c.DelegateProtocolMin, c.DelegateProtocolMax, c.DelegateProtocolVersion = form1, form1, form1
	c.Logger = g.logger()
	return c
}

// run meets others until ctx ends or the pool is closed.
func (p *pool) run(ctx context.Context) {
	ctx, p.stop = context.WithCancel(ctx)
	p.workers.Go(func() { p.join(ctx) })
	p.workers.Go(func() { p.keepMeta(ctx) })
}

// close leaves the pool and waits for what run began.
func (p *pool) close(ctx context.Context) error {
	p.stop()
	p.g.logError("leave", p.list.Leave(bounded(ctx, leaveWait)))
	err := p.list.Shutdown()
	p.workers.Wait()
	p.g.know.openBox(p.scope, false)
	if err != nil {
		return fmt.Errorf("gossip: close: %w", err)
	}
	return nil
}

// note takes in who came or went.
func (p *pool) note(n Peer, alive bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if delete(p.met, n.ID); alive {
		p.met[n.ID] = n
	}
}

// members are the nodes alive in the pool.
func (p *pool) members() map[cluster.NodeID]Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.met)
}

// sites are the data centres, but the own, that have a gateway in the pool.
func (p *pool) sites() []string {
	var sites []string
	for _, n := range p.members() {
		if n.DC != p.g.config.Meta.DC && !slices.Contains(sites, n.DC) {
			sites = append(sites, n.DC)
		}
	}
	slices.Sort(sites)
	return sites
}

// sendMeta lets memberlist broadcast a change of Meta.
func (p *pool) sendMeta() {
	select {
	case p.update <- struct{}{}:
	default:
	}
}

func (p *pool) keepMeta(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.update:
			p.g.logError("send meta", p.list.UpdateNode(metaWait))
		}
	}
}

// join contacts seeds that are no members. Going on after the first success heals a pool that was cut in two for longer
// than memberlist looks after the dead.
func (p *pool) join(ctx context.Context) {
	for {
		for _, seed := range p.seeds(p) {
			if ctx.Err() != nil {
				return
			}
			p.g.logError("join "+seed, p.joinOne(ctx, seed))
		}
		wait := p.tuning.Rejoin
		if len(p.members()) < 2 {
			wait = min(wait, p.alone)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (p *pool) joinOne(ctx context.Context, seed string) error {
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
	for _, n := range p.members() {
		members[n.Addr] = true
	}
	for _, h := range hosts {
		if addr := net.JoinHostPort(h, port); !members[addr] && ctx.Err() == nil {
			_, joinErr := p.list.Join([]string{addr})
			err = errors.Join(err, joinErr)
		}
	}
	return err
}
