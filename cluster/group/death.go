package group

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// What follows makes fail-over quick (CLUSTER 6.4). Nothing depends on it: a replica that stands by mistake costs an
// election, one that does not stand is replaced by raft's own timers.

const (
	// silenceLook is how often peers are looked at, silenceLimit how long a leader's node may say nothing.
	silenceLook  = 100 * time.Millisecond
	silenceLimit = time.Second
	// positionWait is how long a survivor that was not heard yet is waited for before the first stands.
	positionWait = 60 * time.Millisecond
	// standStep is between two survivors' attempts, and standEach more for each group that has lost its leader with them: all
	// their candidates write down terms and votes at once, and who stands before the first one's request is there splits
	// the vote, after which only raft's timers help.
	standStep = 200 * time.Millisecond
	standEach = 15 * time.Millisecond
	// standTries is how often a survivor stands again that was refused, or overtaken by one that was.
	standTries     = 3
	suspectTimeout = 500 * time.Millisecond
	// caseLasts is how long the case of a node that is back is kept.
	caseLasts    = 2 * time.Second
	maxPositions = 4096
)

// evidence is why a node is taken for gone. Numbers reach the wire, for ever.
type evidence uint8

const (
	noEvidence evidence = 0
	silent     evidence = 1 // it has said nothing for silenceLimit
	refused    evidence = 2 // its port is closed
	replaced   evidence = 3 // another process answers in its name
)

func (e evidence) String() string {
	switch e {
	case silent:
		return "silent"
	case refused:
		return "refused"
	case replaced:
		return "replaced"
	}
	return "none"
}

// position is how far a survivor's log of a group goes, and in which replica.
type position struct {
	group       cluster.GroupID
	incarnation uint64
	term, index uint64
}

// suspicion is one survivor's word about a node: sent to the others, and their answer.
type suspicion struct {
	node      cluster.NodeID
	evidence  evidence
	positions []position // of the groups that the node leads, as far as the survivor knows
}

// encode is node (u8 length) | evidence u8 | count u16 | { group u32 | incarnation u64 | term u64 | index u64 }.
func (s suspicion) encode() []byte {
	b := append([]byte{byte(len(s.node))}, s.node...)
	b = append(b, byte(s.evidence))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s.positions)))
	for _, p := range s.positions {
		b = binary.LittleEndian.AppendUint32(b, uint32(p.group))
		b = binary.LittleEndian.AppendUint64(b, p.incarnation)
		b = binary.LittleEndian.AppendUint64(b, p.term)
		b = binary.LittleEndian.AppendUint64(b, p.index)
	}
	return b
}

func decodeSuspicion(b []byte) (suspicion, error) {
	r := &reader{b: b}
	s := suspicion{node: cluster.NodeID(r.take(int(r.u8()))), evidence: evidence(r.u8())}
	n := int(r.u16())
	if n > maxPositions {
		return s, fmt.Errorf("suspicion with %d positions, at most %d", n, maxPositions)
	}
	for range n {
		p := position{group: cluster.GroupID(r.u32()), incarnation: r.u64(), term: r.u64(), index: r.u64()}
		if r.err != nil {
			break
		}
		s.positions = append(s.positions, p)
	}
	if err := r.done(); err != nil {
		return s, fmt.Errorf("suspicion: %w", err)
	}
	if !s.node.Valid() || s.evidence > replaced {
		return s, fmt.Errorf("suspicion of %q, evidence %d", s.node, s.evidence)
	}
	return s, nil
}

// undertaker judges nodes.
type undertaker struct {
	h     *Host
	mu    sync.Mutex
	cases map[cluster.NodeID]*deathCase // guarded by mu
}

// deathCase is what is known of one node that may be gone.
type deathCase struct {
	opened  time.Time
	own     evidence
	reports map[cluster.NodeID]suspicion // of other survivors
	// agreed is when a second survivor, or proof, confirmed it; zero before.
	agreed time.Time
	stood  map[cluster.GroupID]uint64 // terms for whose leader this node has stood, or will
	again  bool                       // it is to be told again, for replicas that have begun to take part
}

func newUndertaker(h *Host) *undertaker {
	u := &undertaker{h: h, cases: map[cluster.NodeID]*deathCase{}}
	h.wg.Go(u.watch)
	return u
}

// PeerUp is transport.Events.PeerUp: the node is there.
func (h *Host) PeerUp(node cluster.NodeID, _ uint64) {
	h.wakeForPeers()
	h.deaths.mu.Lock()
	defer h.deaths.mu.Unlock()
	if c := h.deaths.cases[node]; c != nil && c.own != replaced {
		delete(h.deaths.cases, node)
	}
}

// PeerDown is transport.Events.PeerDown: with refused, the node's process is gone as far as this node can see.
func (h *Host) PeerDown(node cluster.NodeID, _ error, isRefused bool) {
	if isRefused {
		h.deaths.suspect(node, refused)
	}
}

// PeerReplaced is transport.Events.PeerReplaced: the node's former process is gone for certain.
func (h *Host) PeerReplaced(node cluster.NodeID, _, _ uint64) {
	h.deaths.mu.Lock()
	delete(h.deaths.cases, node) // what was known was of the former process
	h.deaths.mu.Unlock()
	h.deaths.suspect(node, replaced)
}

// watch looks for silence of the nodes that lead groups here, and forgets what was settled.
func (u *undertaker) watch() {
	tick := time.NewTicker(silenceLook)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-u.h.ctx.Done():
			return
		}
		for node := range u.leaders() {
			if state, ok := u.h.cfg.Net.PeerState(node); ok && state.Silent >= silenceLimit {
				u.suspect(node, silent)
			}
		}
		u.forget()
	}
}

// forget ends the cases of nodes that have been there for a while.
func (u *undertaker) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for node, c := range u.cases {
		state, ok := u.h.cfg.Net.PeerState(node)
		if ok && state.Up && state.Silent < silenceLimit && time.Since(c.opened) > caseLasts {
			delete(u.cases, node)
		}
	}
}

// leaders are the other nodes that lead groups which have a replica here, or might: of a group that has no leader they are
// all its voters.
func (u *undertaker) leaders() map[cluster.NodeID]bool {
	nodes := map[cluster.NodeID]bool{}
	for _, g := range u.h.Groups() {
		leader, _ := g.Leader()
		switch {
		case leader == g.self:
		case leader != "":
			nodes[leader.Node()] = true
		default:
			for _, v := range g.voters() {
				nodes[v.Node()] = true
			}
		}
	}
	delete(nodes, u.h.cfg.Node)
	return nodes
}

// ledBy are the groups whose replica here is a follower of one on the node, and may stand.
func (u *undertaker) ledBy(node cluster.NodeID) []*Group {
	var led []*Group
	for _, g := range u.h.Groups() {
		if leader, _ := g.Leader(); g.bereft(leader, node) && g.State() == Follower &&
			suffrageOf(g.Members(), g.self) == Voter {
			led = append(led, g)
		}
	}
	return led
}

// bereft reports whether a replica with that leader has none without the node. A voter on the node that has just been elected,
// or handed the group, may not have said so to anybody: with it goes what a replica without a leader waits for.
func (g *Group) bereft(leader cluster.ServerID, node cluster.NodeID) bool {
	if leader != "" {
		return leader.Node() == node
	}
	return slices.ContainsFunc(g.voters(), func(v cluster.ServerID) bool { return v.Node() == node })
}

// word is this node's own suspicion.
func (u *undertaker) word(node cluster.NodeID, e evidence) suspicion {
	s := suspicion{node: node, evidence: e}
	for _, g := range u.ledBy(node) {
		p, err := g.position()
		if err == nil && len(s.positions) < maxPositions {
			s.positions = append(s.positions, p)
		}
	}
	return s
}

// position is where the replica's log ends, as raft would tell a voter.
func (g *Group) position() (position, error) {
	term, index, err := g.logEnd()
	return position{group: g.id, incarnation: g.ident.incarnation, term: term, index: index}, err
}

// suspect notes this node's own evidence. When it is new the other survivors are told and asked.
func (u *undertaker) suspect(node cluster.NodeID, e evidence) {
	u.mu.Lock()
	c := u.caseLocked(node)
	if c.own >= e {
		u.mu.Unlock()
		return
	}
	c.own = e
	u.mu.Unlock()
	u.ask(node, e)
}

// ask tells the other survivors, who answer what they think themselves, and decides.
func (u *undertaker) ask(node cluster.NodeID, e evidence) {
	own := u.word(node, e)
	for peer := range u.survivors(node) {
		u.h.spawn(func() { u.tell(peer, own) })
	}
	u.decide(node)
}

func (u *undertaker) caseLocked(node cluster.NodeID) *deathCase {
	c := u.cases[node]
	if c == nil {
		c = &deathCase{opened: time.Now(), reports: map[cluster.NodeID]suspicion{}, stood: map[cluster.GroupID]uint64{}}
		u.cases[node] = c
	}
	return c
}

// survivors are the nodes of the other voters of the groups that the node led.
func (u *undertaker) survivors(node cluster.NodeID) map[cluster.NodeID]bool {
	nodes := map[cluster.NodeID]bool{}
	for _, g := range u.ledBy(node) {
		for _, v := range g.voters() {
			if n := v.Node(); n != node && n != u.h.cfg.Node {
				nodes[n] = true
			}
		}
	}
	return nodes
}

// tell sends a suspicion; the answer is the other's.
func (u *undertaker) tell(peer cluster.NodeID, own suspicion) {
	ctx, cancel := context.WithTimeout(u.h.ctx, suspectTimeout)
	defer cancel()
	call, err := u.h.cfg.Net.Send(ctx, transport.Message{To: peer, Class: transport.Control, Kind: kindSuspect,
		Payload: [][]byte{own.encode()}})
	if err != nil {
		return
	}
	b, _, err := call.Wait(ctx)
	if err != nil {
		return
	}
	if s, err := decodeSuspicion(b); err == nil && s.node == own.node {
		u.report(peer, s)
	}
}

// receive answers another survivor with what this node thinks itself.
func (u *undertaker) receive(in transport.Inbound) {
	s, err := decodeSuspicion(in.Payload)
	if err != nil {
		in.Refuse(cluster.Errorf(cluster.KindBadRequest, "%v", err))
		return
	}
	if s.node == u.h.cfg.Node {
		in.Refuse(cluster.Errorf(cluster.KindBadRequest, "node %s is alive", s.node))
		return
	}
	u.mu.Lock()
	own := noEvidence
	if c := u.cases[s.node]; c != nil {
		own = c.own
	}
	u.mu.Unlock()
	in.Respond(u.word(s.node, own).encode())
	u.report(in.From, s)
}

// report notes another survivor's word.
func (u *undertaker) report(from cluster.NodeID, s suspicion) {
	u.mu.Lock()
	c := u.cases[s.node]
	if c == nil && s.evidence == noEvidence {
		u.mu.Unlock()
		return
	}
	u.caseLocked(s.node).reports[from] = s
	u.mu.Unlock()
	u.decide(s.node)
}

// agreedLocked reports whether the node is to be treated as gone: by proof, or by the word of two.
func (c *deathCase) agreedLocked() bool {
	if c.own == noEvidence {
		return false
	}
	if c.own == replaced {
		return true
	}
	for _, r := range c.reports {
		if r.evidence != noEvidence {
			return true
		}
	}
	return false
}

// decide lets the local replicas stand that rank first, and the others later.
func (u *undertaker) decide(node cluster.NodeID) {
	u.mu.Lock()
	c := u.cases[node]
	if c == nil || !c.agreedLocked() {
		u.mu.Unlock()
		return
	}
	first := c.agreed.IsZero()
	if first {
		c.agreed = time.Now()
	}
	late := time.Since(c.agreed) >= positionWait
	own := c.own
	reports := make(map[cluster.NodeID]suspicion, len(c.reports))
	for n, s := range c.reports {
		reports[n] = s
	}
	u.mu.Unlock()
	led := u.ledBy(node)
	if first {
		u.h.spawn(func() { u.decideLater(node) })
		if emit := u.h.cfg.Events.PeerDead; emit != nil && len(led) > 0 {
			emit(node, own.String(), len(led))
		}
	}
	for _, g := range led {
		rank, all := g.rank(node, reports)
		if all || late {
			u.stand(node, c, g, rank, len(led))
		}
	}
}

// decideLater decides again when no other survivor is waited for any more.
func (u *undertaker) decideLater(node cluster.NodeID) {
	if pause(u.h.ctx, positionWait, nil, nil) == nil {
		u.decide(node)
	}
}

// takesPart is called when a replica may stand that might not before. What was known of its leader's node may have been found out
// when it was not open, or told when it was not there; so it is told again. Who has stood meanwhile is about to ask the
// replica for its vote, and that is waited for as the second survivor does.
func (u *undertaker) takesPart() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for node, c := range u.cases {
		if c.again || c.own == noEvidence {
			continue
		}
		c.again = true
		u.h.spawn(func() {
			if pause(u.h.ctx, standStep, nil, nil) != nil {
				return
			}
			u.mu.Lock()
			c.again = false
			own := c.own
			u.mu.Unlock()
			u.ask(node, own)
		})
	}
}

// rank is how many survivors have more of the log than this replica, and whether all of them were heard.
func (g *Group) rank(gone cluster.NodeID, reports map[cluster.NodeID]suspicion) (rank int, all bool) {
	own, err := g.position()
	if err != nil {
		return len(reports), true
	}
	all = true
	for _, v := range g.voters() {
		if v == g.self || v.Node() == gone {
			continue
		}
		other, ok := reports[v.Node()].of(g.id)
		switch {
		case !ok || cluster.NewServerID(v.Node(), other.incarnation) != v:
			all = false
		case other.before(own, v, g.self):
			rank++
		}
	}
	return rank, all
}

// of is the position of a group in a report.
func (s suspicion) of(id cluster.GroupID) (position, bool) {
	i := slices.IndexFunc(s.positions, func(p position) bool { return p.group == id })
	if i < 0 {
		return position{}, false
	}
	return s.positions[i], true
}

// before reports whether a survivor at p stands before one at o.
func (p position) before(o position, id, other cluster.ServerID) bool {
	if c := cmp.Or(cmp.Compare(p.term, o.term), cmp.Compare(p.index, o.index)); c != 0 {
		return c > 0
	}
	return id < other
}

// standAfter is how long a survivor of a rank waits, when so many groups have lost their leader at once.
func standAfter(rank, groups int) time.Duration {
	return time.Duration(rank) * (standStep + time.Duration(groups)*standEach)
}

// stand makes the local replica a candidate, after those that rank before it had their chance: once for each leader. One
// that does not take part yet has nothing to ask for.
func (u *undertaker) stand(node cluster.NodeID, c *deathCase, g *Group, rank, groups int) {
	leader, term := g.Leader()
	if !g.bereft(leader, node) || len(g.probation.awaits()) > 0 {
		return
	}
	u.mu.Lock()
	again := c.stood[g.id] >= term
	c.stood[g.id] = max(c.stood[g.id], term)
	u.mu.Unlock()
	if again {
		return
	}
	u.h.spawn(func() {
		if pause(u.h.ctx, standAfter(rank, groups), nil, g.stopped) == nil {
			g.campaign(leader, term, standAfter(1, groups))
		}
	})
}

// standFor stands if the replica is still a follower of that leader in that term, and a voter: in any other state it
// would depose itself.
func (g *Group) standFor(leader cluster.ServerID, term uint64) bool {
	now, at := g.Leader()
	if now != leader || at != term || g.State() != Follower || suffrageOf(g.Members(), g.self) != Voter || !g.trans.stand() {
		return false
	}
	if emit := g.host.cfg.Events.Stood; emit != nil {
		emit(g.id, leader)
	}
	return true
}

// campaign stands for that leader, and then looks, after every step and a half or a little more, whether the group has one by
// now: where raft would only wait for its own timers the replica stands again, a few times at most.
func (g *Group) campaign(leader cluster.ServerID, term uint64, step time.Duration) {
	g.standFor(leader, term)
	until := time.Now().Add(appendPatience)
	for tries := 0; tries < standTries && time.Now().Before(until); {
		if pause(g.host.ctx, step*3/2+rand.N(step), nil, g.stopped) != nil {
			return
		}
		if now, _ := g.Leader(); now != "" {
			return
		}
		if g.standAgain() {
			tries++
		}
	}
}

// standAgain makes a candidate of a replica that knows no leader: one whose votes were split or went to another, or one
// that was asked for its vote before it stood itself, and refused. One whose requests are not answered yet still waits.
func (g *Group) standAgain() bool {
	leader, term := g.Leader()
	if g.State() == Candidate {
		if !g.trans.refusedIn(term) || !g.trans.resign(term) {
			return false
		}
		term++
	}
	return leader == "" && g.standFor("", term)
}
