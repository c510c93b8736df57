package simnet

import (
	"bytes"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// taker is given the packets for a node, at times several at once. It does not wait.
type taker func(from cluster.NodeID, b []byte)

// TakePackets opens a node's port for packets, until Vanish or, with nil, until it is closed.
func (n *Network) TakePackets(node cluster.NodeID, take func(from cluster.NodeID, b []byte)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if delete(n.takers, node); take != nil {
		n.takers[node] = take
	}
}

// Send sends a packet; nobody is told whether it arrives. Packets overtake each other. Who has no port sends none.
func (n *Network) Send(d Direction, b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.takers[d.From] == nil || n.lostLocked() {
		return
	}
	b = bytes.Clone(b)
	time.AfterFunc(n.onceLocked(), func() { n.arrive(d, b) })
}

func (n *Network) arrive(d Direction, b []byte) {
	n.mu.Lock()
	take, cut := n.takers[d.To], n.conditions.Cut[d]
	n.mu.Unlock()
	if take != nil && !cut {
		take(d.From, b)
	}
}
