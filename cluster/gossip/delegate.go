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
type delegate struct{ p *pool }

// NodeMeta is a copy of the coded Meta, which SetMeta has measured. In the WAN pool only the data centre is of use, and
// does not change; the rest is in the record.
func (d delegate) NodeMeta(int) []byte {
	if d.p.scope == wan {
		b, err := encodeMeta(Meta{DC: d.p.g.config.Meta.DC})
		if err != nil {
			return nil // New has measured more
		}
		return b
	}
	return bytes.Clone(d.p.g.know.ownMeta())
}

func (d delegate) NotifyMsg(b []byte) { d.merge(b) }

func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	if b := d.p.g.know.broadcast(d.p.scope, limit-overhead); b != nil {
		return [][]byte{b}
	}
	return nil
}

func (d delegate) LocalState(bool) []byte { return d.p.g.know.state() }

func (d delegate) MergeRemoteState(b []byte, _ bool) { d.merge(b) }

func (d delegate) merge(b []byte) {
	g := d.p.g
	hints, records, err := decodeMessage(b)
	if err != nil {
		g.log("WARN", err.Error())
		return
	}
	g.tell.hint(g.know.learn(hints))
	news, faces := g.know.learnRecords(records, time.Now())
	g.tell.records(news, faces, g.config.Meta.DC)
	if len(faces) > 0 {
		g.lookAgain() // whom a gateway hears may have changed
	}
}

func (d delegate) NotifyJoin(n *memberlist.Node)   { d.node(n, true) }
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.node(n, true) }
func (d delegate) NotifyLeave(n *memberlist.Node)  { d.node(n, false) }

func (d delegate) node(n *memberlist.Node, alive bool) {
	g := d.p.g
	meta, err := decodeMeta(n.Meta)
	if err != nil {
		g.log("WARN", fmt.Sprintf("meta of %q: %v", n.Name, err))
	}
	id := cluster.NodeID(n.Name)
	d.p.note(Peer{ID: id, DC: meta.DC, Addr: n.Address()}, alive)
	defer g.lookAgain()
	if d.p.scope == wan {
		return // all else is in the records
	}
	kept := g.know.member(Node{ID: id, Addr: n.Address(), Meta: meta, Alive: alive, Since: time.Now()})
	if kept && id != g.config.Node {
		g.tell.node(id)
	}
}

// lookAgain lets who is a gateway be looked at soon.
func (g *Gossip) lookAgain() {
	select {
	case g.look <- struct{}{}:
	default:
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
	d.p.g.tell.conflict(existing.Name, existing.Address(), other.Address())
}
