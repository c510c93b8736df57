package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/flotilla-mail/flotilla/cluster"
)

// delegate is what memberlist calls, partly under its own lock: it never calls back and never waits for the owner.
type delegate struct{ g *Gossip }

// NodeMeta is a copy of the coded Meta, which SetMeta has measured.
func (d delegate) NodeMeta(int) []byte { return bytes.Clone(d.g.know.ownMeta()) }

func (d delegate) NotifyMsg(b []byte) { d.merge(b) }

func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	if b := d.g.know.broadcast(limit - overhead); b != nil {
		return [][]byte{b}
	}
	return nil
}

func (d delegate) LocalState(bool) []byte { return d.g.know.state() }

func (d delegate) MergeRemoteState(b []byte, _ bool) { d.merge(b) }

func (d delegate) merge(b []byte) {
	hints, loads, err := decodeMessage(b)
	if err != nil {
		d.g.log("WARN", err.Error())
		return
	}
	d.g.tell.hint(d.g.know.learn(hints))
	if news := d.g.know.learnLoads(loads); len(news) > 0 {
		d.g.tell.load(news)
	}
}

func (d delegate) NotifyJoin(n *memberlist.Node)   { d.node(n, true) }
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.node(n, true) }
func (d delegate) NotifyLeave(n *memberlist.Node)  { d.node(n, false) }

func (d delegate) node(n *memberlist.Node, alive bool) {
	meta, err := decodeMeta(n.Meta)
	if err != nil {
		d.g.log("WARN", fmt.Sprintf("meta of %q: %v", n.Name, err))
	}
	id := cluster.NodeID(n.Name)
	kept := d.g.know.node(Node{ID: id, Addr: n.Address(), Meta: meta, Alive: alive, Since: time.Now()})
	if kept && id != d.g.config.Node {
		d.g.tell.node(id)
	}
}

// NotifyAlive keeps out who cannot be a node: then memberlist never stores it.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	if !cluster.NodeID(n.Name).Valid() {
		return errors.New("gossip: not a node's name")
	}
	if _, err := decodeMeta(n.Meta); err != nil {
		return fmt.Errorf("gossip: meta: %w", err)
	}
	return nil
}

func (d delegate) NotifyConflict(existing, other *memberlist.Node) {
	d.g.tell.conflict(existing.Name, existing.Address(), other.Address())
}
