package group

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

const (
	// renewEvery is how often the leases of groups with traffic are renewed (CLUSTER 4.1).
	renewEvery = 150 * time.Millisecond
	// trafficLasts is how long a lease read makes a group one with traffic.
	trafficLasts = time.Second
	// confirmTimeout bounds one request; a later one starts anew.
	confirmTimeout = LeaseLength
	maxConfirms    = 4096
)

// confirmer asks peers whether terms are over: one request for all groups, and one at a time to each node.
type confirmer struct {
	h     *Host
	mu    sync.Mutex
	peers map[cluster.NodeID]*confirmPeer // guarded by mu
}

type confirmPeer struct {
	want map[cluster.GroupID]uint64 // the terms to ask about next; guarded by the confirmer's mu
	busy bool                       // a goroutine is asking; guarded by the confirmer's mu
}

func newConfirmer(h *Host) *confirmer {
	return &confirmer{h: h, peers: map[cluster.NodeID]*confirmPeer{}}
}

// ask has the group's other voters asked whether term is over. Answers renew the lease and wake who waits.
func (c *confirmer) ask(g *Group, term uint64) {
	voters := g.voters()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range voters {
		if v == g.self {
			continue
		}
		p := c.peers[v.Node()]
		if p == nil {
			p = &confirmPeer{}
			c.peers[v.Node()] = p
		}
		if p.want == nil {
			p.want = map[cluster.GroupID]uint64{}
		}
		p.want[g.id] = term
		if !p.busy && c.h.ctx.Err() == nil {
			p.busy = true
			c.h.wg.Go(func() { c.run(v.Node(), p) })
		}
	}
}

// run asks one peer until nothing is wanted of it.
func (c *confirmer) run(node cluster.NodeID, p *confirmPeer) {
	for {
		c.mu.Lock()
		want := p.want
		p.want = nil
		if len(want) == 0 || c.h.ctx.Err() != nil {
			p.busy = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		c.askNode(node, want)
	}
}

// A ConfirmTerms is count u16 | { group u32 | term u64 }; its answer is count u16 | { group u32 | term u64 |
// incarnation u64 } of those that are confirmed.
func encodeConfirm(want map[cluster.GroupID]uint64) []byte {
	b := binary.LittleEndian.AppendUint16(make([]byte, 0, 2+12*len(want)), uint16(len(want)))
	for group, term := range want {
		b = binary.LittleEndian.AppendUint32(b, uint32(group))
		b = binary.LittleEndian.AppendUint64(b, term)
	}
	return b
}

type confirmation struct {
	group       cluster.GroupID
	term        uint64
	incarnation uint64 // of the answering replica; absent in a request
}

func decodeConfirms(b []byte, answer bool) ([]confirmation, error) {
	r := &reader{b: b}
	n := int(r.u16())
	if n > maxConfirms {
		return nil, fmt.Errorf("confirmation of %d terms, at most %d", n, maxConfirms)
	}
	all := make([]confirmation, 0, min(n, len(b)/12))
	for range n {
		k := confirmation{group: cluster.GroupID(r.u32()), term: r.u64()}
		if answer {
			k.incarnation = r.u64()
		}
		if r.err != nil {
			break
		}
		all = append(all, k)
	}
	if err := r.done(); err != nil {
		return nil, fmt.Errorf("confirmation: %w", err)
	}
	return all, nil
}

// question is a request for confirmation on its way.
type question struct {
	node cluster.NodeID
	call *transport.Call
	sent time.Duration // Clock.Mono before it was sent: what it confirms counts from here, whenever the answer is read
}

// askNode sends one request and waits for what it confirms.
func (c *confirmer) askNode(node cluster.NodeID, want map[cluster.GroupID]uint64) {
	ctx, cancel := context.WithTimeout(c.h.ctx, confirmTimeout)
	defer cancel()
	q, err := c.send(ctx, node, want)
	if err != nil {
		<-c.pace(ctx) // whoever waits asks again; not faster than answers would come
		return
	}
	c.settle(ctx, q)
}

func (c *confirmer) send(ctx context.Context, node cluster.NodeID, want map[cluster.GroupID]uint64) (question, error) {
	q := question{node: node, sent: c.h.cfg.Clock.Mono()}
	var err error
	q.call, err = c.h.cfg.Net.Send(ctx, transport.Message{To: node, Class: transport.Control, Kind: kindConfirm,
		Payload: [][]byte{encodeConfirm(want)}})
	return q, err
}

// settle waits for the answer to q and notes what it confirms.
func (c *confirmer) settle(ctx context.Context, q question) {
	b, _, err := q.call.Wait(ctx)
	if err != nil {
		return
	}
	confirms, err := decodeConfirms(b, true)
	if err != nil {
		return
	}
	for _, k := range confirms {
		if g := c.h.Group(k.group); g != nil {
			g.lead.confirmed(k.term, cluster.NewServerID(q.node, k.incarnation), q.sent)
		}
	}
}

// pace is closed after a moment, or when ctx ends.
func (c *confirmer) pace(ctx context.Context) <-chan struct{} {
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	context.AfterFunc(short, cancel)
	return short.Done()
}

// receiveConfirm answers from memory: a replica confirms a term while it has neither seen nor voted in a later one.
func (h *Host) receiveConfirm(in transport.Inbound) {
	asked, err := decodeConfirms(in.Payload, false)
	if err != nil {
		in.Refuse(cluster.Errorf(cluster.KindBadRequest, "%v", err))
		return
	}
	b := make([]byte, 2, 2+20*len(asked))
	n := 0
	for _, k := range asked {
		g := h.Group(k.group)
		if g == nil || g.stable.term() != k.term || g.raft.CurrentTerm() != k.term || !g.probation.confirms(in.From) {
			continue
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(k.group))
		b = binary.LittleEndian.AppendUint64(b, k.term)
		b = binary.LittleEndian.AppendUint64(b, g.ident.incarnation)
		n++
	}
	binary.LittleEndian.PutUint16(b, uint16(n))
	in.Respond(b)
}

// renew asks for the terms of the groups with traffic, again and again.
func (c *confirmer) renew() {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.renewAll()
		case <-c.h.ctx.Done():
			return
		}
	}
}

func (c *confirmer) renewAll() {
	now := c.h.cfg.Clock.Mono()
	for _, g := range c.h.Groups() {
		touched := time.Duration(g.lead.touched.Load())
		if touched == 0 || now-touched > trafficLasts {
			continue
		}
		if term, leads := g.lead.term(); leads {
			c.ask(g, term)
		}
	}
}
