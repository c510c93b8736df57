package node

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

// everyone is every node that is known, in order of name: those of the map that were not removed, and those of the
// configuration that the map says nothing of. Before there is a map, those that gossip has heard of are added: a node
// that joined later may lead what this one waits for.
func (n *Node) everyone() []Peer {
	all := map[cluster.NodeID]Peer{n.self: {ID: n.self, Address: n.cfg.Listen.Node}}
	for _, p := range n.peers {
		all[p.ID] = p
	}
	var m placement.Map
	if n.view != nil {
		m = *n.view.Map()
	}
	if m.Level == 0 && n.gossip != nil {
		for _, o := range n.gossip.Nodes() {
			if _, known := all[o.ID]; !known && o.Alive {
				addr, _ := gossipAddress(&o)
				all[o.ID] = Peer{ID: o.ID, Address: addr}
			}
		}
	}
	for i := range m.Nodes {
		o := &m.Nodes[i]
		if o.Status == placement.Removed && o.ID != n.self {
			delete(all, o.ID)
		} else if o.Address != "" {
			all[o.ID] = Peer{ID: o.ID, Address: o.Address}
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
}

// meet keeps up connections to the nodes of a new map, and none to those that were removed.
func (n *Node) meet(m *placement.Map) {
	var ids []cluster.NodeID
	for _, p := range n.everyone() {
		ids = append(ids, p.ID)
	}
	n.storage.net.SetPeers(ids)
	for i := range m.Nodes {
		if why := n.barred(m.Nodes[i].ID); why != nil {
			n.storage.net.Expel(m.Nodes[i].ID, why)
		}
	}
}

// barred is why a node is let in no more.
func (n *Node) barred(id cluster.NodeID) error {
	s := n.view.Map().Node(id)
	if s == nil || s.Status != placement.Removed || id == n.self {
		return nil
	}
	return fmt.Errorf("%s was removed from the cluster", id)
}

// strange reports whether a node is none of those that the map knows. Without a map nobody is.
func (n *Node) strange(id cluster.NodeID) bool {
	m := n.view.Map()
	g := m.Group(cluster.SystemGroup)
	return m.Level != 0 && g != nil && m.Node(id) == nil && g.Replica(id) == nil
}
