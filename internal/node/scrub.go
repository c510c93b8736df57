package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// A scrub lets every replica of a group hash its pairs as of one entry of the log, and compares what they found
// (CLUSTER 5.6). The group's leader asks for it, collects the sums and judges; docs/design/scrub.md.

// scrubRequest asks a node about the scrub of a group. Tags are for ever.
type scrubRequest struct {
	Group  cluster.GroupID  `wire:"1"`
	Verb   scrubVerb        `wire:"2"`
	Server cluster.ServerID `wire:"3"` // the replica that is given up
	Reason string           `wire:"4"`
}

type scrubVerb uint8

const (
	scrubStart  scrubVerb = 1 // to the leader: scrub now
	scrubState  scrubVerb = 2 // to the leader: how is it going
	scrubReport scrubVerb = 3 // to a replica: what has it found
	scrubLost   scrubVerb = 4 // to a replica: it differs, and is given up
)

// scrubFound is what a replica has found. Tags are for ever.
type scrubFound struct {
	Server  cluster.ServerID `wire:"1" json:"server"`
	Applied uint64           `wire:"2" json:"-"`
	Index   uint64           `wire:"3" json:"-"` // of the entry it hashes, or has hashed, last
	Done    bool             `wire:"4" json:"done"`
	Bytes   uint64           `wire:"5" json:"bytes"`
	Total   uint64           `wire:"6" json:"total,omitempty"` // about what there is to read; 0 when nobody knows
	Sum     []byte           `wire:"7" json:"-"`
	// Err is why there is no sum; Damaged says that its bytes are not what was written.
	Err     string `wire:"8" json:"error,omitempty"`
	Damaged bool   `wire:"9" json:"damaged,omitempty"`
}

// hashed reports whether the replica has a sum for the entry.
func (f *scrubFound) hashed(index uint64) bool { return f.Index == index && f.Done && f.Err == "" }

// spoilt reports whether it found damage by itself.
func (f *scrubFound) spoilt(index uint64) bool { return f.Index == index && f.Done && f.Damaged }

// settled reports whether nothing more will come from it: it has hashed, or it passed the entry without.
func (f *scrubFound) settled(index uint64) bool {
	return f.Index == index && f.Done || f.Index != index && f.Applied >= index
}

// scrubRun is a scrub as the leader sees it. Tags are for ever.
type scrubRun struct {
	Group    cluster.GroupID `wire:"1" json:"group"`
	Index    uint64          `wire:"2" json:"index"`
	Began    time.Time       `wire:"3" json:"began"`
	State    string          `wire:"4" json:"state"`
	Replicas []scrubFound    `wire:"5" json:"replicas"`
	// Lost are the replicas that were given up.
	Lost []cluster.ServerID `wire:"6" json:"lost,omitempty"`
	Text string             `wire:"7" json:"text,omitempty"`
}

// What has become of a scrub; each is a label of flotilla_scrubs_total.
const (
	scrubRunning    = "running"
	scrubAgree      = "agree"      // all replicas are the same
	scrubRepaired   = "repaired"   // a majority is, and the others were given up
	scrubIncomplete = "incomplete" // those that answered are, but they are not all
	scrubDiffer     = "differ"     // no majority agrees
)

var scrubResults = []string{scrubAgree, scrubRepaired, scrubIncomplete, scrubDiffer}

// judgement is what the sums of a group's replicas say.
type judgement struct {
	state string
	odd   []cluster.ServerID // differ from the majority, or found damage
	text  string
}

// judge compares what the members of a group found at an entry. Only what more than half of the voters agree on tells
// the others damaged: that many are a quorum without them.
func judge(id cluster.GroupID, index uint64, members []group.Member, found map[cluster.ServerID]*scrubFound) judgement {
	votes := map[string]int{}
	voters, best := 0, ""
	for _, m := range members {
		if m.Suffrage != group.Voter {
			continue
		}
		voters++
		if f := found[m.ID]; f != nil && f.hashed(index) {
			sum := string(f.Sum)
			if votes[sum]++; votes[sum] > votes[best] {
				best = sum
			}
		}
	}
	var odd, missing []cluster.ServerID
	for _, m := range members {
		switch f := found[m.ID]; {
		case f != nil && (f.spoilt(index) || f.hashed(index) && string(f.Sum) != best):
			odd = append(odd, m.ID)
		case f == nil || !f.hashed(index):
			missing = append(missing, m.ID)
		}
	}
	agree := votes[best] > voters/2
	switch {
	case len(odd) > 0 && agree:
		return judgement{scrubRepaired, odd, fmt.Sprintf("%v differ from the majority at entry %d", odd, index)}
	case len(odd) > 0:
		return judgement{scrubDiffer, nil, fmt.Sprintf("replicas differ at entry %d and no majority agrees: none is given up. "+
			"When all nodes are up run 'flotilla groups scrub %d --wait' again; to give one up by hand run 'flotilla groups rebuild %d NODE'", index, id, id)}
	case len(missing) > 0:
		return judgement{scrubIncomplete, nil, fmt.Sprintf("no sum of %v", missing)}
	}
	return judgement{state: scrubAgree}
}

// scrubs are those of the groups that this node leads, or led. The zero value is ready.
type scrubs struct {
	mu    sync.Mutex
	runs  map[cluster.GroupID]scrubRun      // guarded by mu
	asked map[cluster.GroupID]chan struct{} // of groups led here; guarded by mu
}

// ask is what a leader waits on for somebody who wants a scrub now.
func (s *scrubs) ask(id cluster.GroupID) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil {
		s.asked = map[cluster.GroupID]chan struct{}{}
	}
	if s.asked[id] == nil {
		s.asked[id] = make(chan struct{}, 1)
	}
	return s.asked[id]
}

func (s *scrubs) show(r scrubRun) {
	r.Replicas = slices.Clone(r.Replicas)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs == nil {
		s.runs = map[cluster.GroupID]scrubRun{}
	}
	s.runs[r.Group] = r
}

func (s *scrubs) of(id cluster.GroupID) (scrubRun, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.runs[id]
	return r, ok
}

const (
	// scrubLook is how often the leader looks how far its scrub is.
	scrubLook = 250 * time.Millisecond
	// scrubPatience is how long it waits for the word of a replica that does not answer, or does not come on.
	scrubPatience = 2 * time.Minute
	// scrubCheck is how often a leader looks whether a scrub is due.
	scrubCheck = time.Minute
	// scrubAgain is how long it waits after one that brought no agreement.
	scrubAgain = time.Hour
)

// keepScrubbing scrubs a group now and then while this node leads it.
func (n *Node) keepScrubbing(ctx context.Context, id cluster.GroupID) {
	asked := n.scrubs.ask(id)
	var notBefore time.Time
	tick := time.NewTicker(scrubCheck)
	defer tick.Stop()
	for {
		now := false
		select {
		case <-ctx.Done():
			return
		case <-asked:
			now = true
		case <-tick.C:
		}
		g := n.storage.host.Group(id)
		if g == nil || !now && (time.Now().Before(notBefore) || !n.scrubDue(g)) {
			continue
		}
		if state, err := n.scrub(ctx, g); err != nil && ctx.Err() == nil {
			n.log.Warn("group not scrubbed", "code", "FL-1062", "group", id, "err", err)
			notBefore = time.Now().Add(scrubAgain)
		} else if state == scrubIncomplete || state == scrubDiffer {
			notBefore = time.Now().Add(scrubAgain)
		}
	}
}

// scrubDue reports whether the interval of the group has passed. A new group's begins now.
func (n *Node) scrubDue(g *group.Group) bool {
	every := time.Duration(n.cfg.Scrub.Every)
	if every == 0 {
		return false
	}
	m := g.Replica().Machine()
	last, _, ok, err := m.LastScrub()
	if err == nil && !ok {
		err = m.BeginScrubs(n.storage.clock.Now())
	}
	if err != nil || !ok {
		return false // a replica that cannot keep the record is about to be fenced
	}
	return scrubSlot(g.ID(), n.storage.clock.Now(), every) != scrubSlot(g.ID(), last, every)
}

// scrubSlot numbers the intervals of a group. Those of different groups begin at different times.
func scrubSlot(id cluster.GroupID, at time.Time, every time.Duration) int64 {
	phase := int64(uint64(id) * 0x9E3779B97F4A7C15 % uint64(every))
	return (at.UnixNano() + phase) / int64(every)
}

// scrub scrubs a group that this node leads, and gives up what differs from a majority.
func (n *Node) scrub(ctx context.Context, g *group.Group) (state string, err error) {
	run := scrubRun{Group: g.ID(), Began: time.Now(), State: scrubRunning}
	n.scrubs.show(run)
	defer func() {
		if err != nil {
			run.State, run.Text = scrubIncomplete, err.Error()
			n.scrubs.show(run)
		}
	}()
	if err := g.Replica().Scrub(ctx); err != nil {
		return "", fmt.Errorf("ask the replicas for their hash: %w", err)
	}
	own, ok := g.Replica().Machine().Scrubbed()
	if !ok {
		return "", errors.New("the entry that asks for a hash was not applied here")
	}
	run.Index = own.Index
	found, err := n.collectScrub(ctx, g, &run)
	if err != nil {
		return "", err
	}
	j := judge(g.ID(), run.Index, g.Members(), found)
	n.metrics.scrubs.WithLabelValues(j.state).Inc()
	switch j.state {
	case scrubDiffer:
		n.log.Error("replicas of a group differ", "code", "FL-1061", "group", g.ID(), "err", j.text)
	case scrubRepaired:
		n.giveUp(ctx, g.ID(), j, found)
		run.Lost = j.odd
	}
	run.State, run.Text = j.state, j.text
	n.scrubs.show(run)
	n.log.Info("group scrubbed", "group", g.ID(), "result", j.state, "index", run.Index, "bytes", own.Bytes, "took", time.Since(run.Began))
	return j.state, nil
}

// giveUp tells nodes that their replicas are damaged.
func (n *Node) giveUp(ctx context.Context, id cluster.GroupID, j judgement, found map[cluster.ServerID]*scrubFound) {
	for _, server := range j.odd {
		reason := j.text
		if f := found[server]; f != nil && f.Err != "" {
			reason += ": " + f.Err
		}
		n.log.Error("a replica is damaged: it is given up and made again from the others", "code", "FL-1060", "group", id,
			"replica", server, "err", reason)
		if _, err := n.askScrub(ctx, server.Node(), &scrubRequest{Group: id, Verb: scrubLost, Server: server, Reason: reason}); err != nil {
			n.log.Warn("a damaged replica was not told: the next scrub will", "code", "FL-1063", "group", id, "replica", server, "err", err)
		}
	}
}

// collectScrub asks the members for what they found until all have it, or those that have not are no longer waited for.
func (n *Node) collectScrub(ctx context.Context, g *group.Group, run *scrubRun) (map[cluster.ServerID]*scrubFound, error) {
	found := map[cluster.ServerID]*scrubFound{}
	moved := map[cluster.ServerID]time.Time{} // when a replica was last seen to come on
	for {
		wait := false
		run.Replicas = run.Replicas[:0]
		for _, m := range g.Members() {
			f := n.askFound(ctx, g.ID(), m.ID)
			if before := found[m.ID]; before == nil || f != nil && *before.progress() != *f.progress() {
				moved[m.ID] = time.Now()
			}
			if f != nil {
				found[m.ID] = f
				run.Replicas = append(run.Replicas, *f)
			} else if found[m.ID] == nil {
				found[m.ID] = &scrubFound{Server: m.ID, Err: "does not answer"}
			}
			wait = wait || !found[m.ID].settled(run.Index) && time.Since(moved[m.ID]) < scrubPatience
		}
		n.scrubs.show(*run)
		if !wait {
			return found, nil
		}
		if pause(ctx, scrubLook); ctx.Err() != nil {
			return nil, fmt.Errorf("the scrub was left: %w", ctx.Err())
		}
	}
}

// progress is what changes while a replica comes on.
func (f *scrubFound) progress() *[4]uint64 {
	done := uint64(0)
	if f.Done {
		done = 1
	}
	return &[4]uint64{f.Applied, f.Index, f.Bytes, done}
}

// askFound is what a replica has found, nil when its node does not answer for it.
func (n *Node) askFound(ctx context.Context, id cluster.GroupID, server cluster.ServerID) *scrubFound {
	b, err := n.askScrub(ctx, server.Node(), &scrubRequest{Group: id, Verb: scrubReport})
	f := new(scrubFound)
	if err != nil || wire.Unmarshal(b, f) != nil || f.Server != server {
		return nil
	}
	return f
}

func (n *Node) askScrub(ctx context.Context, node cluster.NodeID, q *scrubRequest) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	return n.storage.client.Call(ctx, node, methodScrub, wire.Marshal(q))
}

// answerScrub is methodScrub.
func (n *Node) answerScrub(req []byte) ([]byte, error) {
	var q scrubRequest
	if err := wire.Unmarshal(req, &q); err != nil {
		return nil, cluster.Errorf(cluster.KindBadRequest, "decode scrub request: %v", err)
	}
	g := n.storage.host.Group(q.Group)
	switch {
	case q.Verb == scrubLost && (g == nil || g.Self() != q.Server):
		return nil, nil // it has been given up already
	case g == nil:
		return nil, &cluster.Error{Kind: cluster.KindNotLeader, Group: q.Group}
	}
	switch q.Verb {
	case scrubStart:
		if g.State() != group.Leader {
			return nil, &cluster.Error{Kind: cluster.KindNotLeader, Group: q.Group}
		}
		select {
		case n.scrubs.ask(q.Group) <- struct{}{}:
		default: // one has asked already
		}
		return nil, nil
	case scrubState:
		run, _ := n.scrubs.of(q.Group)
		run.Group = q.Group
		return wire.Marshal(&run), nil
	case scrubReport:
		return wire.Marshal(scrubOf(g)), nil
	case scrubLost:
		n.damages.note(q.Group, cluster.Errorf(cluster.KindDamaged, "%s", q.Reason))
		n.poke()
		return nil, nil
	}
	return nil, cluster.Errorf(cluster.KindNoMethod, "scrub verb %d", q.Verb)
}

// scrubOf is what this node's replica of a group has found.
func scrubOf(g *group.Group) *scrubFound {
	m := g.Replica().Machine()
	f := &scrubFound{Server: g.Self(), Applied: m.Applied().Index}
	if _, total, ok, err := m.LastScrub(); err == nil && ok {
		f.Total = total
	}
	s, ok := m.Scrubbed()
	if !ok {
		return f
	}
	f.Index, f.Done, f.Bytes = s.Index, s.Done, s.Bytes
	if s.Done && s.Err == nil {
		f.Sum = s.Sum[:]
	}
	if s.Err != nil {
		f.Err, f.Damaged = s.Err.Error(), isDamage(s.Err)
	}
	return f
}
