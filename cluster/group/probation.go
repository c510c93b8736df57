package group

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

const (
	// probationGrace is how long a replica that starts waits for voters that cannot be asked, once it has the word of as
	// many as make a quorum with it.
	probationGrace = 5 * time.Second
	compareTimeout = time.Second
	// compareFirst and compareLast bound the pause before a voter is asked again.
	compareFirst = 10 * time.Millisecond
	compareLast  = 500 * time.Millisecond
	// probationHold is how long a request waits for the comparison before it is refused and comes again.
	probationHold = 100 * time.Millisecond
)

// probation is the time in which a replica that has started neither votes nor acknowledges nor stands: until the others
// have said what they heard it promise, and its files hold all of it (CLUSTER 6.3). What it needs for that is told in
// docs/design/group.md.
type probation struct {
	g     *Group
	own   standing
	began time.Time
	// voters are the other voters its files name. With none of them it is a replica that was never told of its group:
	// it compares with each node before it first answers it.
	voters []cluster.ServerID

	mu      sync.Mutex
	heard   map[cluster.NodeID]bool // whose word is no contradiction; guarded by mu
	gone    map[cluster.NodeID]bool // whose replica is no more, and what it heard with it; guarded by mu
	asking  map[cluster.NodeID]bool // only without voters; guarded by mu
	over    bool                    // guarded by mu
	changed chan struct{}           // closed and replaced with each change; guarded by mu
}

// beginProbation is called when raft has read the files and nothing has reached it yet.
func (g *Group) beginProbation() error {
	p := &probation{g: g, began: time.Now(), heard: map[cluster.NodeID]bool{}, gone: map[cluster.NodeID]bool{}, asking: map[cluster.NodeID]bool{},
		changed: make(chan struct{})}
	var err error
	if p.own, err = g.standing(); err != nil {
		return err
	}
	members := g.Members()
	for _, m := range members {
		if m.Suffrage == Voter && m.ID != g.self {
			p.voters = append(p.voters, m.ID)
		}
	}
	g.probation = p
	if said := g.host.pledges.get(g.id, g.self); said != (pledge{}) { // the process has run it before, and knows all it said
		p.over = true
		return p.verdict(g.host.cfg.Node, p.own.forgotten(said))
	}
	p.over = len(members) > 0 && len(p.voters) == 0
	return nil
}

// standing is what the files hold.
func (g *Group) standing() (standing, error) {
	s := standing{index: g.machine.Applied().Index}
	last, err := g.log.LastIndex()
	if err != nil {
		return s, err
	}
	s.index = max(s.index, last)
	s.term, s.vote = g.stable.stored()
	return s, nil
}

// check holds a pledge that another node heard against the files. A replica without voters may have answered others since
// it started, and the node may have heard of that.
func (p *probation) check(witness cluster.NodeID, heard pledge) error {
	own := p.own
	if len(p.voters) == 0 {
		own = own.with(p.g.host.pledges.get(p.g.id, p.g.self))
	}
	return p.verdict(witness, own.forgotten(heard))
}

func (p *probation) verdict(witness cluster.NodeID, what string) error {
	if what == "" {
		return nil
	}
	return cluster.Errorf(cluster.KindDamaged, "an old copy of the data directory came back: by the word of %s %s; "+
		"the replica is made again from the others, and when they have no quorum without it, put the newest directory back, or run 'flotilla groups recover' on the nodes that are left", witness, what)
}

// enough are how many other voters cross every quorum that this replica may have been part of, and how many make a
// quorum with it.
func (p *probation) enough() (all, some int) {
	others := len(p.voters)
	quorum := (others+1)/2 + 1
	return others + 2 - quorum, quorum - 1
}

// run asks the other voters until enough have answered.
func (p *probation) run() {
	if p.ended() || len(p.voters) == 0 {
		return
	}
	ctx, cancel := p.g.untilStopped()
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, v := range p.voters {
		wg.Go(func() { p.ask(ctx, v.Node(), v) })
	}
	grace := time.NewTimer(probationGrace)
	defer grace.Stop()
	late := false
	for {
		done, changed := p.settle(late)
		if done {
			cancel()
			p.g.host.deaths.takesPart()
			return
		}
		select {
		case <-changed:
		case <-grace.C:
			late = true
			p.tellWaiting()
		case <-ctx.Done():
			return
		}
	}
}

// untilStopped is a context that ends with the replica.
func (g *Group) untilStopped() (context.Context, context.CancelFunc) {
	return context.WithCancel(g.trans.ctx)
}

// settle ends the probation if enough was heard.
func (p *probation) settle(late bool) (done bool, changed <-chan struct{}) {
	all, some := p.enough()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return true, nil
	}
	if len(p.heard) < all && (!late || len(p.heard) < some) {
		return false, p.changed
	}
	p.over = true
	p.wakeLocked()
	if emit := p.g.host.cfg.Events.Compared; emit != nil {
		emit(p.g.id, time.Since(p.began), p.missingLocked(), len(p.heard) >= all)
	}
	return true, nil
}

func (p *probation) wakeLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *probation) missingLocked() []cluster.NodeID {
	var missing []cluster.NodeID
	for _, v := range p.voters {
		if !p.heard[v.Node()] {
			missing = append(missing, v.Node())
		}
	}
	slices.Sort(missing)
	return missing
}

func (p *probation) tellWaiting() {
	p.mu.Lock()
	missing := p.missingLocked()
	p.mu.Unlock()
	if emit := p.g.host.cfg.Events.AwaitsComparison; emit != nil {
		emit(p.g.id, missing)
	}
}

// ask asks one node, again and again, until it answers.
func (p *probation) ask(ctx context.Context, node cluster.NodeID, voter cluster.ServerID) {
	for wait := compareFirst; ; wait = min(2*wait, compareLast) {
		up := p.g.host.peersUp()
		heard, err := p.g.askPledge(ctx, node, voter)
		if err == nil || cluster.KindOf(err) == cluster.KindNoMethod { // a release that listens to no one heard nothing
			p.answered(node, heard)
			return
		}
		if cluster.KindOf(err) == cluster.KindGone {
			p.lost(node)
			return
		}
		if pause(ctx, wait, up, p.g.stopped) != nil {
			return
		}
	}
}

// answered notes a node's word.
func (p *probation) answered(node cluster.NodeID, heard pledge) {
	if err := p.check(node, heard); err != nil {
		p.g.fence(err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard[node] = true
	p.wakeLocked()
}

// ErrOutlived is why a replica is given up whose group has moved to other nodes meanwhile. It counts as damaged.
var ErrOutlived = fmt.Errorf("too few are left of those who heard what the replica promised, since the group has moved to other nodes; "+
	"it is made again from them, and when they have no quorum without it, run 'flotilla groups recover' on the nodes that are left: %w", cluster.ErrDamaged)

// lost notes that a voter's replica is no more: the group went on without it, and without this one. Where too few are left
// that could say what this one promised, nobody ever will, and it is worth as much as an old copy.
func (p *probation) lost(node cluster.NodeID) {
	p.mu.Lock()
	p.gone[node] = true
	p.mu.Unlock()
	if p.outlived(func(cluster.ServerID) bool { return true }) {
		p.g.fence(ErrOutlived)
	}
}

// outlived reports whether too few voters have answered, or are there to answer.
func (p *probation) outlived(there func(cluster.ServerID) bool) bool {
	_, some := p.enough()
	p.mu.Lock()
	defer p.mu.Unlock()
	left := 0
	for _, v := range p.voters {
		if node := v.Node(); p.heard[node] || !p.gone[node] && there(v) {
			left++
		}
	}
	return !p.over && left < some
}

// Waiting is for how long the replica has waited for the word of others before it takes part; zero once it does, and for one
// that has nobody to wait for.
func (g *Group) Waiting() time.Duration {
	if p := g.probation; len(p.voters) > 0 && !p.ended() {
		return time.Since(p.began)
	}
	return 0
}

// Outlived reports whether the replica waits in vain for the word of others, given which servers of the group are still there
// (ErrOutlived). Nodes that left the cluster cannot say so themselves.
func (g *Group) Outlived(there func(cluster.ServerID) bool) bool { return g.probation.outlived(there) }

func (p *probation) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// admits reports whether the replica may answer a node.
func (p *probation) admits(node cluster.NodeID) (bool, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || len(p.voters) == 0 && p.heard[node] {
		return true, nil
	}
	if len(p.voters) == 0 && !p.asking[node] && p.g.begin() == nil {
		p.asking[node] = true
		go func() {
			defer p.g.ops.Done()
			ctx, cancel := p.g.untilStopped()
			defer cancel()
			p.ask(ctx, node, "")
		}()
	}
	return false, p.changed
}

// confirms reports whether the replica may tell a node that a term is not over: a vote it does not know of might have
// ended it.
func (p *probation) confirms(node cluster.NodeID) bool {
	ok, _ := p.admits(node)
	return ok
}

// await waits a moment for the replica to be allowed to answer a node.
func (p *probation) await(ctx context.Context, node cluster.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, probationHold)
	defer cancel()
	for {
		ok, changed := p.admits(node)
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return p.refusal()
		}
	}
}

func (p *probation) refusal() error {
	return cluster.Errorf(cluster.KindUnavailable, "group %d: %s has started and does not vote before it has compared what it holds with the others",
		p.g.id, p.g.self)
}

// awaits names the nodes whose word the replica still waits for before it takes part.
func (p *probation) awaits() []cluster.NodeID {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return nil
	}
	return p.missingLocked()
}

// A comparison asks for what a node heard one of the asking node's servers promise: about | voter, the server that is to
// answer, empty for whatever the node holds. The answer is term u64 | index u64 | vote u64, zeros when it heard nothing.
func encodeCompare(about, voter cluster.ServerID) []byte {
	return appendID(appendID(make([]byte, 0, 2+len(about)+len(voter)), about), voter)
}

func (p pledge) encode() []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 24), p.term)
	b = binary.LittleEndian.AppendUint64(b, p.index)
	return binary.LittleEndian.AppendUint64(b, p.vote)
}

func decodePledge(b []byte) (pledge, error) {
	r := &reader{b: b}
	p := pledge{term: r.u64(), index: r.u64(), vote: r.u64()}
	if err := r.done(); err != nil {
		return pledge{}, fmt.Errorf("answer to comparison: %w", err)
	}
	return p, nil
}

func (g *Group) askPledge(ctx context.Context, node cluster.NodeID, voter cluster.ServerID) (pledge, error) {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	call, err := g.host.cfg.Net.Send(ctx, transport.Message{To: node, Class: transport.Control, Group: g.id,
		Kind: kindCompare, Payload: [][]byte{encodeCompare(g.self, voter)}})
	if err != nil {
		return pledge{}, err
	}
	b, _, err := call.Wait(ctx)
	if err != nil {
		return pledge{}, err
	}
	return decodePledge(b)
}

// receiveCompare answers whatever the state of the replica here: also from the file, before it has started, and while it
// is on probation itself. So all nodes of a cluster that start at once can compare with each other.
func (h *Host) receiveCompare(in transport.Inbound) {
	about, voter, rest := decodePair(in.Payload)
	if err := rest.done(); err != nil || about.Node() != in.From {
		in.Refuse(cluster.Errorf(cluster.KindBadRequest, "node %s asks about %q: %v", in.From, about, err))
		return
	}
	g := h.Group(in.Group)
	if g != nil || voter == "" {
		h.answerCompare(in, g, about, voter)
		return
	}
	h.spawn(func() { // not open, or not yet: its directory says who it is
		ident, err := h.dir(in.Group).readIdentity()
		if err != nil {
			in.Refuse(notHere(in.Group))
			return
		}
		if ident == nil || cluster.NewServerID(h.cfg.Node, ident.incarnation) != voter {
			in.Refuse(goneFrom(in.Group, voter))
			return
		}
		in.Respond(h.pledges.get(in.Group, about).encode())
	})
}

// goneFrom says that a server of a group is no more, and that what it heard went with it: its node has another, or none.
func goneFrom(g cluster.GroupID, server cluster.ServerID) error {
	return cluster.Errorf(cluster.KindGone, "group %d: replica %s is no more", g, server)
}

func (h *Host) answerCompare(in transport.Inbound, g *Group, about, voter cluster.ServerID) {
	if voter != "" && g.self != voter {
		in.Refuse(goneFrom(in.Group, voter))
		return
	}
	in.Respond(h.pledges.get(in.Group, about).encode())
}
