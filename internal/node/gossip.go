package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/gossip"
	"github.com/flotilla-mail/flotilla/placement"
)

// gossipEvery is how often what the others are told of this node is brought up to date.
const gossipEvery = 2 * time.Second

// told is what the others were last told of this node.
type told struct {
	mu   sync.Mutex
	meta gossip.Meta // guarded by mu
}

// noGatewayRole is none that a node can have.
const noGatewayRole = gossip.GatewayRole(255)

func (c *Config) gatewayRole() gossip.GatewayRole {
	switch c.Gateway {
	case "auto", "":
		return gossip.GatewayAuto
	case "always":
		return gossip.GatewayAlways
	case "never":
		return gossip.GatewayNever
	}
	return noGatewayRole
}

// doOfTwo is what to do about two machines of one name.
const doOfTwo = "'systemctl disable --now flotilla' on the one that is wrong; to be a node of its own it joins under another name " +
	"('flotilla node token', 'flotilla join --name'), to take a lost machine's place by 'flotilla node token --replace'"

// makeGossip makes the part that spreads who is there and who leads. What it says are hints (CLUSTER 6.6).
func (n *Node) makeGossip() (err error) {
	bind := n.cfg.Listen.Gossip
	if strings.HasPrefix(bind, ":") {
		bind = "0.0.0.0" + bind
	}
	_, port, err := net.SplitHostPort(bind)
	if err != nil {
		return fmt.Errorf("listen.gossip: %w", err)
	}
	n.told.meta = gossip.Meta{NodeAddress: n.cfg.Listen.Node, External: n.cfg.ExternalName(), DC: n.cfg.DC, Zone: n.cfg.Zone,
		Version: versionString(), MinLevel: uint32(levels().Oldest), MaxLevel: uint32(levels().Newest),
		Gateway: n.cfg.gatewayRole()}
	n.gossip, err = gossip.New(gossip.Config{Node: n.self, Bind: bind, Advertise: n.ownAddress(bind), Cluster: string(n.trust.cluster),
		Key: n.trust.gossip.used, OldKeys: n.trust.gossip.accepted, Meta: n.told.meta, Events: n.gossipEvents(),
		Remote: func() []gossip.Peer { return n.gossipRemote(n.otherNodes()) },
		Seeds:  func() []string { return n.gossipSeeds(port, n.otherNodes()) }})
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	return nil
}

// ownAddress is what the others are told to send gossip to: the address that the configuration has of this node; when it
// has a name, or none, and the node listens on all of its addresses, the one that leads to the others. Not valid is the
// address that the node listens on.
func (n *Node) ownAddress(bind string) netip.Addr {
	listen, err := netip.ParseAddrPort(bind)
	if err != nil {
		return netip.Addr{} // gossip.New says so
	}
	for _, p := range n.peers {
		if at, err := netip.ParseAddrPort(p.Address); err == nil && p.ID == n.self && at.Addr().Is4() == listen.Addr().Is4() {
			return at.Addr()
		}
	}
	if listen.Addr() != netip.IPv4Unspecified() {
		return netip.Addr{}
	}
	for _, p := range n.peers {
		if p.ID == n.self {
			continue
		}
		if addr, ok := n.routeTo(p.Address); ok {
			return addr
		}
	}
	return netip.Addr{}
}

// routeTo is the address of this machine from which packets to another go out; none is sent.
func (n *Node) routeTo(other string) (netip.Addr, bool) {
	d := net.Dialer{Timeout: gossipEvery}
	conn, err := d.DialContext(n.ctx, "udp4", other)
	if err != nil {
		return netip.Addr{}, false // its name is not known, or there is no way to it
	}
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	ok := err == nil && conn.Close() == nil && !local.Addr().IsLoopback()
	return local.Addr(), ok
}

func (n *Node) gossipEvents() gossip.Events {
	return gossip.Events{
		Hint: func(g cluster.GroupID, term uint64, leader cluster.NodeID) { n.view.Learn(g, term, leader) },
		NodeUp: func(o gossip.Node) {
			n.log.Info("node is there", "peer", o.ID, "dc", o.Meta.DC, "state", o.Meta.State.String(), "address", o.Addr)
		},
		NodeDown: func(o gossip.Node) {
			n.log.Info("node is gone", "peer", o.ID, "dc", o.Meta.DC, "said", o.Meta.State.String(), "address", o.Addr)
		},
		Site: func(s gossip.Site) {
			if s.Heard {
				n.log.Info("data centre is heard", "dc", s.DC, "gateways", s.Gateways)
				return
			}
			n.log.Warn("data centre is not heard any more", "code", "FL-1045", "dc", s.DC, "gateways", s.Gateways)
		},
		Conflict: func(name string, addrs []string) {
			n.twins.note(cluster.NodeID(name))
			if !n.rejected.isNew("two of "+name, time.Now()) {
				return // memberlist says so whenever it hears of the second one
			}
			n.log.Error("two machines run under one name: stop one of them", "code", "FL-1017", "name", name, "addresses", addrs, "do", doOfTwo)
		},
		Log: func(level, text string) { n.log.Debug("gossip", "level", level, "text", text) },
	}
}

// gossipSeeds are the other nodes of this data centre: those of the map, and those of the configuration of which the
// map says nothing yet, at the port that this node listens on.
func (n *Node) gossipSeeds(port string, others []placement.NodeState) []string {
	var seeds []string
	known := map[cluster.NodeID]bool{n.self: true}
	for _, o := range others {
		addr, ok := gossipListener(&o)
		if known[o.ID] = ok; ok && o.DC == n.cfg.DC {
			seeds = append(seeds, addr)
		}
	}
	for _, p := range n.peers {
		if host, _, err := net.SplitHostPort(p.Address); err == nil && !known[p.ID] {
			seeds = append(seeds, net.JoinHostPort(host, port))
		}
	}
	return seeds
}

// gossipRemote are the nodes of other data centres.
func (n *Node) gossipRemote(others []placement.NodeState) []gossip.Peer {
	var peers []gossip.Peer
	for _, o := range others {
		if o.DC != n.cfg.DC {
			addr, _ := gossipListener(&o)
			peers = append(peers, gossip.Peer{ID: o.ID, DC: o.DC, Addr: addr})
		}
	}
	return peers
}

// otherNodes are those that the map has, none before it was read.
func (n *Node) otherNodes() []placement.NodeState {
	if n.view == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.view.Map().Nodes), func(o placement.NodeState) bool {
		return o.ID == n.self || o.Status == placement.Removed
	})
}

// gossipListener is where a node of the map listens for gossip: at the host of its address, when it names none.
func gossipListener(o *placement.NodeState) (string, bool) {
	return hostOr(o.Gossip, o.Address)
}

// keepGossip tells the others what this node is doing and how busy it is.
func (n *Node) keepGossip(ctx context.Context) error {
	t := time.NewTicker(gossipEvery)
	defer t.Stop()
	for {
		n.tellState()
		n.gossip.SetLoad(n.ownLoad(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// tellState tells the others what this node is doing, if they do not know. That it leaves is told by the gossip's Close.
func (n *Node) tellState() {
	state := gossip.StateStarting
	switch {
	case n.draining.Load():
		state = gossip.StateDraining
	case n.ready.Load():
		state = gossip.StateServing
	}
	n.told.mu.Lock()
	defer n.told.mu.Unlock()
	if n.told.meta.State == state {
		return
	}
	meta := n.told.meta
	meta.State = state
	if err := n.gossip.SetMeta(meta); err != nil {
		n.log.Debug("state not told", "state", state.String(), "err", err)
		return
	}
	n.told.meta = meta
}

// gossipAddress is where a node says that it listens for the others: its own host, when it names none.
func gossipAddress(o *gossip.Node) (string, bool) { return hostOr(o.Meta.NodeAddress, o.Addr) }

// hostOr is a listener's address, with the host of another address of its machine if it listens on all.
func hostOr(listener, other string) (string, bool) {
	host, port, err := net.SplitHostPort(listener)
	if err != nil {
		return "", false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host, _, err = net.SplitHostPort(other); err != nil || host == "" {
			return "", false
		}
	}
	return net.JoinHostPort(host, port), true
}

// heard is what the gossip says of a node, in the answer of `flotilla status`.
type heard struct {
	Alive   bool      `json:"alive"`
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Address string    `json:"address"`
	Version string    `json:"version"`
	DC      string    `json:"dc,omitempty"`
	// Gateway: it carries what is heard here between data centres.
	Gateway bool `json:"gateway,omitempty"`
	// What follows is zero when nothing was heard, as of a node that is gone.
	Leads     uint32  `json:"leads"`
	Mailboxes uint32  `json:"mailboxes"`
	Entries   float64 `json:"entries_per_second"`
	Bytes     float64 `json:"bytes_per_second"`
	CPU       float64 `json:"cpu"`
	DiskFree  uint64  `json:"disk_free"`
	DiskTotal uint64  `json:"disk_total"`
}

func heardOf(o *gossip.Node) *heard {
	h := &heard{Alive: o.Alive, State: o.Meta.State.String(), Since: o.Since, Version: o.Meta.Version, DC: o.Meta.DC, Gateway: o.Gateway,
		Leads: o.Load.Leaders, Mailboxes: o.Load.Mailboxes, Entries: o.Load.Entries, Bytes: o.Load.Bytes, CPU: o.Load.CPU,
		DiskFree: o.Load.DiskFree, DiskTotal: o.Load.DiskTotal}
	h.Address, _ = gossipAddress(o)
	if !o.Alive && o.Meta.State != gossip.StateLeaving {
		h.State = "silent"
	}
	return h
}

// siteLine is another data centre in the answer of `flotilla status`, as the asked node hears it.
type siteLine struct {
	DC       string           `json:"dc"`
	Heard    bool             `json:"heard"`
	Since    time.Time        `json:"since"`
	Gateways []cluster.NodeID `json:"gateways"`
}

// addHeard adds what the gossip says: to the status of each node, those that do not answer above all, and of the other
// data centres. Of the nodes of one that is not heard nothing is known.
func addHeard(s *clusterStatus, nodes []gossip.Node, sites []gossip.Site) {
	for i := range nodes {
		at := slices.IndexFunc(s.Nodes, func(x Status) bool { return x.Node == nodes[i].ID })
		if at < 0 {
			continue
		}
		h := heardOf(&nodes[i])
		if slices.ContainsFunc(sites, func(x gossip.Site) bool { return x.DC == h.DC && !x.Heard }) {
			h.State = "unheard"
		}
		s.Nodes[at].Gossip = h
	}
	for _, x := range sites {
		s.Sites = append(s.Sites, siteLine(x))
	}
}

// slowDiskOf reports whether a node said that its disk is slow.
func slowDiskOf(o *gossip.Node) bool { return o.Load.SlowDisk }

// elsewhere reports whether every other node is known to be so: then nothing is gained by moving away from this one.
func elsewhere(self cluster.NodeID, nodes []gossip.Node, is func(*gossip.Node) bool) bool {
	others := 0
	for i := range nodes {
		o := &nodes[i]
		if o.ID == self || !o.Alive {
			continue
		}
		if !is(o) {
			return false
		}
		others++
	}
	return others > 0
}
