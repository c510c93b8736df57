package group

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

const (
	// declareEvery is how often a node tells the other members what its replicas are bound to. The leader hears each
	// acknowledgement itself; the others hear of it here, so that any one of them knows an old directory for what it is.
	declareEvery = time.Second
	// storeEvery is how often what was heard is written out (CLUSTER 6.3).
	storeEvery     = 10 * time.Second
	declareTimeout = time.Second
	maxDeclared    = 1024
)

// declaration is a replica's own word about what it is bound to.
type declaration struct {
	group       cluster.GroupID
	incarnation uint64
	pledge
}

// encodeDeclarations is count u16 | { group u32 | incarnation u64 | term u64 | index u64 | vote u64 }.
func encodeDeclarations(all []declaration) []byte {
	b := binary.LittleEndian.AppendUint16(make([]byte, 0, 2+36*len(all)), uint16(len(all)))
	for _, d := range all {
		b = binary.LittleEndian.AppendUint32(b, uint32(d.group))
		for _, v := range []uint64{d.incarnation, d.term, d.index, d.vote} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
	}
	return b
}

func decodeDeclarations(b []byte) ([]declaration, error) {
	r := &reader{b: b}
	n := int(r.u16())
	if n > maxDeclared {
		return nil, fmt.Errorf("%d declarations, at most %d", n, maxDeclared)
	}
	all := make([]declaration, 0, min(n, len(b)/36))
	for range n {
		d := declaration{group: cluster.GroupID(r.u32()), incarnation: r.u64(),
			pledge: pledge{term: r.u64(), index: r.u64(), vote: r.u64()}}
		if r.err != nil {
			break
		}
		all = append(all, d)
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("declarations: %w", err)
	}
	return all, nil
}

// declareLoop tells the others what changed, and writes down what they said.
func (h *Host) declareLoop() {
	told := map[cluster.NodeID]map[cluster.GroupID]pledge{}
	tick, write := time.NewTicker(declareEvery), time.NewTicker(storeEvery)
	defer tick.Stop()
	defer write.Stop()
	for {
		select {
		case <-tick.C:
			h.declare(told)
		case <-write.C:
			h.prunePledges()
			h.storePledges()
		case <-h.ctx.Done():
			return
		}
	}
}

// declare sends each connected node what it was not told yet.
func (h *Host) declare(told map[cluster.NodeID]map[cluster.GroupID]pledge) {
	news := map[cluster.NodeID][]declaration{}
	for _, g := range h.Groups() {
		own := h.pledges.get(g.id, g.self)
		if own == (pledge{}) {
			continue
		}
		for _, m := range g.Members() {
			node := m.ID.Node()
			if m.ID != g.self && told[node][g.id] != own && len(news[node]) < maxDeclared {
				news[node] = append(news[node], declaration{g.id, g.ident.incarnation, own})
			}
		}
	}
	for node, all := range news {
		if state, ok := h.cfg.Net.PeerState(node); !ok || !state.Up || h.sendDeclarations(node, all) != nil {
			continue // it is told again when it is there
		}
		if told[node] == nil {
			told[node] = map[cluster.GroupID]pledge{}
		}
		for _, d := range all {
			told[node][d.group] = d.pledge
		}
	}
}

func (h *Host) sendDeclarations(node cluster.NodeID, all []declaration) error {
	ctx, cancel := context.WithTimeout(h.ctx, declareTimeout)
	defer cancel()
	call, err := h.cfg.Net.Send(ctx, transport.Message{To: node, Class: transport.Control, Kind: kindDeclare,
		Payload: [][]byte{encodeDeclarations(all)}})
	if err != nil {
		return err
	}
	_, _, err = call.Wait(ctx)
	return err
}

func (h *Host) receiveDeclare(in transport.Inbound) {
	all, err := decodeDeclarations(in.Payload)
	if err != nil {
		in.Refuse(cluster.Errorf(cluster.KindBadRequest, "%v", err))
		return
	}
	for _, d := range all {
		if h.Group(d.group) != nil {
			h.pledges.note(d.group, cluster.NewServerID(in.From, d.incarnation), d.pledge)
		}
	}
	in.Respond()
}

// prunePledges forgets servers that left their groups, and groups that left the node.
func (h *Host) prunePledges() {
	for _, id := range h.pledges.groups() {
		if g := h.Group(id); g != nil {
			if members := g.Members(); len(members) > 0 {
				h.pledges.prune(id, members)
			}
			continue
		}
		if ident, err := h.dir(id).readIdentity(); err == nil && ident == nil {
			h.pledges.forget(id)
		}
	}
}

func (h *Host) storePledges() {
	err := h.pledges.store(h.cfg.FS, h.cfg.FS.PathJoin(h.cfg.Dir, pledgesFile), h.cfg.Node)
	if err != nil && h.cfg.Events.PledgesLost != nil {
		h.cfg.Events.PledgesLost(err)
	}
}
