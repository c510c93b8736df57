package node

import (
	"fmt"
	"net"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/gossip"
	"github.com/flotilla-mail/flotilla/placement"
)

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
	n.gossip, err = gossip.New(gossip.Config{Node: n.self, Bind: bind, Cluster: string(n.trust.cluster), Key: n.trust.gossip,
		Meta: gossip.Meta{NodeAddress: n.cfg.Listen.Node, External: n.cfg.ExternalName(), DC: n.cfg.DC, Zone: n.cfg.Zone,
			Version: versionString(), MinLevel: uint32(placement.FirstLevel), MaxLevel: uint32(placement.FirstLevel)},
		Events: gossip.Events{
			Hint: func(g cluster.GroupID, term uint64, leader cluster.NodeID) { n.view.Learn(g, term, leader) },
			Conflict: func(name string, addrs []string) {
				n.log.Error("two machines run under one name: stop one of them", "code", "FL-1017", "name", name, "addresses", addrs)
			},
			Log: func(level, text string) { n.log.Debug("gossip", "level", level, "text", text) },
		},
		Seeds: func() []string {
			var seeds []string
			for _, p := range n.peers {
				if host, _, err := net.SplitHostPort(p.Address); err == nil && p.ID != n.self {
					seeds = append(seeds, net.JoinHostPort(host, port))
				}
			}
			return seeds
		}})
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	return nil
}
