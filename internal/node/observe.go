package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/gossip"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/planner"
)

const (
	// observeTimeout bounds how long one node may take to say how it is.
	observeTimeout = 2 * time.Second
	// behindAtMost is how many entries a replica may be behind its leader and count as caught up: the two are asked at
	// slightly different moments.
	behindAtMost = 512
	// stableFor is how long a replica must have been so before it is given a vote or a leadership.
	stableFor = 2 * time.Second
	// steadyFor is how long one that is new on its node has to have been so.
	steadyFor = 10 * time.Second
	// opsOver is over how long the operations of a group are averaged: what is moved for a burst would be moved back.
	opsOver = 2 * time.Minute
	// settledFor is how long a node must have run one process with one replica of the system group, and how long its
	// former replica must have been silent, before the new one is let in (CLUSTER 6.1, 6.4).
	settledFor = 3 * time.Second
	// twinsFor is for how long two machines of a name count when the gossip has heard of them: it says so again with each
	// exchange of theirs, some ten seconds apart.
	twinsFor = 30 * time.Second
)

// observer turns what the nodes say into what the planner sees. What has to last for a while it remembers from look to
// look; it belongs to one controller.
type observer struct {
	leaders map[cluster.GroupID]cluster.NodeID
	keptUp  map[cluster.ServerID]time.Time
	runs    map[cluster.NodeID]process
	barred  map[cluster.NodeID]cluster.ServerID // told of
	// silent is since when nodes have not answered, busy how much groups do.
	silent map[cluster.NodeID]time.Time
	busy   map[cluster.GroupID]busy
}

// busy is how many operations a group's leader had done, and does in a second.
type busy struct {
	leader cluster.ServerID
	ops    uint64
	at     time.Time
	rate   float64
}

// process is what a node has been running, since when.
type process struct {
	incarnation uint64
	system      cluster.ServerID
	since       time.Time
}

// look is what is known of the cluster at one moment.
type look struct {
	at    time.Time
	nodes []Status
	// incarnation is that of each node's process, as the transport knows it; replaced is when it last took the place of
	// another, or the gossip heard two of its name at once: which of them is the node nobody knows then.
	incarnation map[cluster.NodeID]uint64
	replaced    map[cluster.NodeID]time.Time
	// silence is how long each member of the system group has not answered its leader, which looks.
	silence map[cluster.ServerID]time.Duration
	// heard is what the gossip says of nodes.
	heard []gossip.Node
}

// Observe implements controller.Cluster.
func (c clusterControl) Observe(ctx context.Context) (planner.Observed, error) {
	l := look{nodes: c.n.allStatus(ctx), incarnation: map[cluster.NodeID]uint64{}, replaced: latest(c.n.replaced.all(), c.n.twins.all(), twinsFor),
		heard: c.n.gossip.Nodes()}
	var err error
	if l.silence, err = c.n.silences(); err != nil {
		return planner.Observed{}, err
	}
	for _, p := range c.n.everyone() {
		if state, ok := c.n.storage.net.PeerState(p.ID); ok && p.ID != c.n.self {
			l.incarnation[p.ID] = state.Incarnation
		}
	}
	l.at = time.Now()
	seen := c.seen.digest(&l)
	for node, former := range c.seen.twice(c.n.view.Map(), &seen) {
		c.n.log.Warn("a node runs a new copy of the system group while its former one answers: do two machines use its name?",
			"code", "FL-1036", "peer", node, "new", seen.System[node], "former", former, "do", doOfTwo)
	}
	return seen, ctx.Err()
}

// twice finds the nodes that are not let in because the replica that the map has of them still answers, with that
// replica: those that were not found before.
func (o *observer) twice(m *placement.Map, seen *planner.Observed) map[cluster.NodeID]cluster.ServerID {
	found := make(map[cluster.NodeID]cluster.ServerID)
	g := m.Group(cluster.SystemGroup)
	if g == nil {
		return found
	}
	for node, runs := range seen.System {
		former := g.Replica(node)
		if g.Server(runs) == nil && former != nil && seen.Heard[former.Server] && o.barred[node] != runs {
			o.barred[node], found[node] = runs, former.Server
		}
	}
	return found
}

// silences asks the own replica of the system group, which leads, for the silence of the others.
func (n *Node) silences() (map[cluster.ServerID]time.Duration, error) {
	g := n.storage.host.Group(cluster.SystemGroup)
	if g == nil {
		return nil, errNoSystem
	}
	silence := make(map[cluster.ServerID]time.Duration)
	for _, m := range g.Members() {
		if m.ID == g.Self() {
			continue
		}
		d, leads := g.Silence(m.ID)
		if !leads {
			return nil, fmt.Errorf("this node does not lead the system group any more: %w", cluster.ErrUnavailable)
		}
		silence[m.ID] = d
	}
	return silence, nil
}

func newObserver() *observer {
	return &observer{keptUp: map[cluster.ServerID]time.Time{}, runs: map[cluster.NodeID]process{},
		barred: map[cluster.NodeID]cluster.ServerID{}, silent: map[cluster.NodeID]time.Time{}, busy: map[cluster.GroupID]busy{}}
}

func (o *observer) digest(l *look) planner.Observed {
	seen := planner.Observed{Alive: map[cluster.NodeID]bool{}, Leaders: map[cluster.GroupID]cluster.NodeID{},
		Members: map[cluster.ServerID]bool{}, Voting: map[cluster.ServerID]bool{}, CaughtUp: map[cluster.ServerID]bool{},
		Steady: map[cluster.ServerID]bool{}, System: map[cluster.NodeID]cluster.ServerID{}, Heard: map[cluster.ServerID]bool{},
		Silent: map[cluster.NodeID]time.Duration{}, Unfit: unfit(l), Holds: map[cluster.NodeID]int{},
		Load: map[cluster.GroupID]planner.Load{}, Serves: map[cluster.NodeID]bool{}}
	for i := range l.nodes {
		if s := &l.nodes[i]; s.Err == "" {
			seen.Serves[s.Node] = s.Ready && !s.Draining
			seen.Alive[s.Node] = (s.Ready || !s.Draining) && seen.Unfit[s.Node] == ""
		}
	}
	commits := o.lead(l, &seen)
	o.keepUp(l, &seen, commits)
	o.settle(l, &seen)
	o.hush(l, &seen)
	for server, silent := range l.silence {
		seen.Heard[server] = silent < settledFor
	}
	return seen
}

// each calls fn with every replica that runs.
func (l *look) each(fn func(node cluster.NodeID, g *GroupStatus)) {
	for i := range l.nodes {
		s := &l.nodes[i]
		for j := range s.Groups {
			if g := &s.Groups[j]; s.Err == "" && g.runs() {
				fn(s.Node, g)
			}
		}
	}
}

// lead notes who leads which group: of several that say so, the one in the highest term; and the members it counts. It
// returns how far the leaders have committed.
func (o *observer) lead(l *look, seen *planner.Observed) map[cluster.GroupID]uint64 {
	leaders := make(map[cluster.GroupID]*GroupStatus)
	l.each(func(node cluster.NodeID, g *GroupStatus) {
		if best := leaders[g.Group]; g.Leader == g.Server && (best == nil || g.Term > best.Term) {
			leaders[g.Group], seen.Leaders[g.Group] = g, node
		}
	})
	commits := make(map[cluster.GroupID]uint64)
	for id, g := range leaders {
		commits[id] = g.Commit
		for _, m := range g.Members {
			seen.Members[m] = true
		}
		for _, m := range g.Voters {
			seen.Voting[m] = true
		}
		seen.Load[id] = planner.Load{Bytes: g.Bytes, Ops: o.rate(l.at, g)}
	}
	o.leaders = seen.Leaders
	return commits
}

// keepUp notes which replicas have been close to their leader for long enough; a leader is always.
func (o *observer) keepUp(l *look, seen *planner.Observed, commits map[cluster.GroupID]uint64) {
	now := make(map[cluster.ServerID]time.Time)
	l.each(func(node cluster.NodeID, g *GroupStatus) {
		commit, led := commits[g.Group]
		if !led || !g.CaughtUp || g.Applied+behindAtMost < commit {
			return
		}
		since, known := o.keptUp[g.Server]
		if !known {
			since = l.at
		}
		now[g.Server] = since
		leads := seen.Leaders[g.Group] == node && g.Leader == g.Server
		seen.CaughtUp[g.Server] = leads || l.at.Sub(since) >= stableFor
		seen.Steady[g.Server] = leads || l.at.Sub(since) >= steadyFor
	})
	o.keptUp = now
}

// rate averages how many operations a group does in a second. Another leader counts from nought.
func (o *observer) rate(at time.Time, g *GroupStatus) float64 {
	b := o.busy[g.Group]
	seconds := at.Sub(b.at).Seconds()
	if b.leader == g.Server && g.Parts >= b.ops && seconds > 0 {
		part := min(1, seconds/opsOver.Seconds())
		b.rate += part * (float64(g.Parts-b.ops)/seconds - b.rate)
	}
	b.leader, b.ops, b.at = g.Server, g.Parts, at
	o.busy[g.Group] = b
	return b.rate
}

// hush notes for how long nodes have been silent. Of one that does not answer here but is heard by others, the gossip says
// so; it also says since when, which outlives a controller.
func (o *observer) hush(l *look, seen *planner.Observed) {
	now := make(map[cluster.NodeID]time.Time)
	for i := range l.nodes {
		s := &l.nodes[i]
		if s.Err == "" {
			for j := range s.Groups {
				if s.Groups[j].Group != cluster.SystemGroup {
					seen.Holds[s.Node]++
				}
			}
			continue
		}
		since, known := o.silent[s.Node]
		if !known {
			since = l.at
		}
		heard := slices.IndexFunc(l.heard, func(h gossip.Node) bool { return h.ID == s.Node })
		if heard >= 0 && l.heard[heard].Alive {
			continue
		}
		if heard >= 0 && l.heard[heard].Since.Before(since) {
			since = l.heard[heard].Since
		}
		now[s.Node] = since
		seen.Silent[s.Node] = l.at.Sub(since)
	}
	o.silent = now
}

// unfit are the nodes that are to be given nothing, and why. Where all disks are full none is worse than another.
func unfit(l *look) map[cluster.NodeID]string {
	bad, alive := make(map[cluster.NodeID]string), 0
	for i := range l.nodes {
		s := &l.nodes[i]
		if s.Err != "" {
			continue
		}
		alive++
		if s.Disk.Room != RoomEnough {
			bad[s.Node] = "its disk is nearly full"
		}
	}
	if len(bad) == alive {
		clear(bad)
	}
	for i := range l.nodes {
		if s := &l.nodes[i]; s.SlowDisk {
			bad[s.Node] = "its disk is slow"
		}
	}
	return bad
}

// settle notes which replica of the system group each other node runs, once that has been so for long enough.
func (o *observer) settle(l *look, seen *planner.Observed) {
	now := make(map[cluster.NodeID]process)
	l.each(func(node cluster.NodeID, g *GroupStatus) {
		incarnation := l.incarnation[node]
		if g.Group != cluster.SystemGroup || incarnation == 0 {
			return
		}
		p := o.runs[node]
		if p.incarnation != incarnation || p.system != g.Server {
			p = process{incarnation: incarnation, system: g.Server, since: l.at}
		}
		if at := l.replaced[node]; at.After(p.since) {
			p.since = at
		}
		now[node] = p
		if l.at.Sub(p.since) >= settledFor {
			seen.System[node] = p.system
		}
	})
	o.runs = now
}

// replacements remembers when a process of a node last took the place of another. The zero value is ready.
type replacements struct {
	mu sync.Mutex
	at map[cluster.NodeID]time.Time // guarded by mu
}

func (r *replacements) note(node cluster.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = make(map[cluster.NodeID]time.Time)
	}
	r.at[node] = time.Now()
}

func (r *replacements) all() map[cluster.NodeID]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[cluster.NodeID]time.Time, len(r.at))
	maps.Copy(all, r.at)
	return all
}

// latest has the later of two times, of which the second counts for a while.
func latest(a, b map[cluster.NodeID]time.Time, longer time.Duration) map[cluster.NodeID]time.Time {
	for node, at := range b {
		if at = at.Add(longer); at.After(a[node]) {
			a[node] = at
		}
	}
	return a
}
