package node

import (
	"context"
	"fmt"
	"net"
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
		Version: versionString(), MinLevel: uint32(placement.FirstLevel), MaxLevel: uint32(placement.FirstLevel)}
	n.gossip, err = gossip.New(gossip.Config{Node: n.self, Bind: bind, Cluster: string(n.trust.cluster), Key: n.trust.gossip,
		Meta: n.told.meta, Events: n.gossipEvents(), Seeds: func() []string { return n.gossipSeeds(port) }})
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	return nil
}

func (n *Node) gossipEvents() gossip.Events {
	return gossip.Events{
		Hint: func(g cluster.GroupID, term uint64, leader cluster.NodeID) { n.view.Learn(g, term, leader) },
		NodeUp: func(o gossip.Node) {
			n.log.Info("node is there", "peer", o.ID, "state", o.Meta.State.String(), "address", o.Addr)
		},
		NodeDown: func(o gossip.Node) {
			n.log.Info("node is gone", "peer", o.ID, "said", o.Meta.State.String(), "address", o.Addr)
		},
		Conflict: func(name string, addrs []string) {
			n.log.Error("two machines run under one name: stop one of them", "code", "FL-1017", "name", name, "addresses", addrs)
		},
		Log: func(level, text string) { n.log.Debug("gossip", "level", level, "text", text) },
	}
}

func (n *Node) gossipSeeds(port string) []string {
	var seeds []string
	for _, p := range n.peers {
		if host, _, err := net.SplitHostPort(p.Address); err == nil && p.ID != n.self {
			seeds = append(seeds, net.JoinHostPort(host, port))
		}
	}
	return seeds
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
func gossipAddress(o *gossip.Node) (string, bool) {
	host, port, err := net.SplitHostPort(o.Meta.NodeAddress)
	if err != nil {
		return "", false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host, _, err = net.SplitHostPort(o.Addr); err != nil {
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
	h := &heard{Alive: o.Alive, State: o.Meta.State.String(), Since: o.Since, Version: o.Meta.Version,
		Leads: o.Load.Leaders, Mailboxes: o.Load.Mailboxes, Entries: o.Load.Entries, Bytes: o.Load.Bytes, CPU: o.Load.CPU,
		DiskFree: o.Load.DiskFree, DiskTotal: o.Load.DiskTotal}
	h.Address, _ = gossipAddress(o)
	if !o.Alive && o.Meta.State != gossip.StateLeaving {
		h.State = "silent"
	}
	return h
}

// addHeard adds what the gossip says to the status of each node, those that do not answer above all.
func addHeard(all []Status, nodes []gossip.Node) {
	for i := range nodes {
		for j := range all {
			if all[j].Node == nodes[i].ID {
				all[j].Gossip = heardOf(&nodes[i])
			}
		}
	}
}

// elsewhereSlow reports whether the disk of every other node is known to be slow as well: then nothing is gained by
// moving away from this one.
func elsewhereSlow(self cluster.NodeID, nodes []gossip.Node) bool {
	others := 0
	for i := range nodes {
		o := &nodes[i]
		if o.ID == self || !o.Alive {
			continue
		}
		if !o.Load.SlowDisk {
			return false
		}
		others++
	}
	return others > 0
}
