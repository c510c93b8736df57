package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/placement"
)

// From where on `flotilla check` warns, and from where on it says no.
const (
	diskWarns                = 0.20 // free; where the node hands over what it leads is its own setting (CLUSTER 5.5)
	clockWarns, clockRefuses = time.Second, 30 * time.Second
	certificateWarns         = 14 * 24 * time.Hour
	groupWarns               = time.Second // for a majority's answer
	confirmWait              = 5 * time.Second
)

// health is what a node says of itself beside its status, when it is asked to. Tags are for ever.
type health struct {
	Node         cluster.NodeID   `wire:"1"`
	Wall         int64            `wire:"2"` // UnixNano
	DiskFree     uint64           `wire:"3"`
	DiskTotal    uint64           `wire:"4"`
	Certificates []certificateEnd `wire:"5"`
	Groups       []groupTime      `wire:"6"` // those that it leads
}

type certificateEnd struct {
	Name string `wire:"1"`
	End  int64  `wire:"2"` // Unix
}

// groupTime is how long a majority of a group took to confirm its leader, and the group's level.
type groupTime struct {
	Group cluster.GroupID `wire:"1"`
	Took  time.Duration   `wire:"2"`
	Err   string          `wire:"3"`
	// Level is the one in the group's log.
	Level placement.Level `wire:"4"`
}

func (n *Node) ownHealth(ctx context.Context) *health {
	h := &health{Node: n.self}
	ends := n.certificateEnds()
	for _, name := range slices.Sorted(maps.Keys(ends)) {
		h.Certificates = append(h.Certificates, certificateEnd{name, ends[name].Unix()})
	}
	h.Groups = n.confirmGroups(ctx)
	h.DiskFree, h.DiskTotal = n.room.space()
	h.Wall = n.storage.clock.Now().UnixNano()
	return h
}

// confirmGroups times a majority's answer in every group that is led here.
func (n *Node) confirmGroups(ctx context.Context) []groupTime {
	ctx, cancel := context.WithTimeout(ctx, confirmWait)
	defer cancel()
	var led []*group.Group
	for _, g := range n.storage.host.Groups() {
		if g.State() == group.Leader {
			led = append(led, g)
		}
	}
	times := make([]groupTime, len(led))
	var all errgroup.Group
	all.SetLimit(8)
	for i, g := range led {
		all.Go(func() error {
			begun := time.Now()
			_, err := g.BeginRead(ctx, space.ReadIndex)
			times[i] = groupTime{Group: g.ID(), Took: time.Since(begun), Level: groupLevel(g)}
			if err != nil {
				times[i].Err = err.Error()
			}
			return nil
		})
	}
	_ = all.Wait() // each group has its own error
	return times
}

// setClock is what to do about a clock that is off.
const setClock = "'timedatectl set-ntp true' there keeps it right"

// CheckReport is the answer of `flotilla check`.
type CheckReport struct {
	Without cluster.NodeID `json:"without,omitempty"`
	// Safe: nothing speaks against taking the node away; Problems are what does, Warnings are for somebody to look at.
	Safe     bool          `json:"safe"`
	Problems []string      `json:"problems"`
	Warnings []string      `json:"warnings"`
	Nodes    []checkedNode `json:"nodes"`
	// Slowest is the group whose majority took longest to answer its leader.
	Slowest *slowestGroup `json:"slowest_group,omitempty"`
}

type checkedNode struct {
	Node     cluster.NodeID `json:"node"`
	Ready    bool           `json:"ready"`
	Error    string         `json:"error,omitempty"`
	DiskFree float64        `json:"disk_free"` // share of the whole
	// ClockOffset is how far the node's calendar is ahead of what most nodes say.
	ClockOffset  time.Duration        `json:"clock_offset_ns"`
	Certificates map[string]time.Time `json:"certificates,omitempty"`
}

type slowestGroup struct {
	Group cluster.GroupID `json:"group"`
	Took  time.Duration   `json:"took_ns"`
}

// Check implements admin.FleetBackend.
func (b backend) Check(ctx context.Context, without string) (any, error) {
	var node cluster.NodeID
	if without != "" {
		var err error
		if node, err = b.n.named(without); err != nil {
			return nil, err
		}
	}
	return b.n.check(ctx, node), nil
}

func (n *Node) check(ctx context.Context, without cluster.NodeID) *CheckReport {
	all := n.allStatus(ctx)
	return assess(without, n.view.Map(), all, n.allHealth(ctx, all), n.storage.clock.Now())
}

// seenHealth is what a node said, and by how much its calendar is ahead: of that of the node that was asked, until setRight.
type seenHealth struct {
	health
	ahead time.Duration
}

// allHealth asks the nodes that have answered before.
func (n *Node) allHealth(ctx context.Context, nodes []Status) map[cluster.NodeID]*seenHealth {
	found := make([]*seenHealth, len(nodes))
	var all errgroup.Group
	for i := range nodes {
		if nodes[i].Err != "" {
			continue
		}
		all.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, confirmWait+observeTimeout)
			defer cancel()
			h, err := askNode[health](ctx, n, nodes[i].Node, methodHealth, &nothing{})
			if err != nil {
				nodes[i].Err = err.Error()
				return nil
			}
			// The node read its clock last of all, just before the answer came back.
			found[i] = &seenHealth{health: *h, ahead: time.Unix(0, h.Wall).Sub(n.storage.clock.Now())}
			return nil
		})
	}
	_ = all.Wait() // each node has its own error
	by := make(map[cluster.NodeID]*seenHealth)
	for _, h := range found {
		if h != nil {
			by[h.Node] = h
		}
	}
	return by
}

// assess says what speaks against taking a node away, or against the cluster as it is when none is named.
func assess(without cluster.NodeID, m *placement.Map, all []Status, found map[cluster.NodeID]*seenHealth, now time.Time) *CheckReport {
	r := &CheckReport{Without: without, Problems: outOfReach(without, m, all), Warnings: []string{}, Nodes: []checkedNode{}}
	now = now.Add(setRight(found))
	for i := range all {
		r.node(&all[i], found[all[i].Node], now)
	}
	r.replicas(m, all)
	for _, h := range found {
		for _, g := range h.Groups {
			if r.Slowest == nil || g.Took > r.Slowest.Took || g.Took == r.Slowest.Took && g.Group < r.Slowest.Group {
				r.Slowest = &slowestGroup{g.Group, g.Took}
			}
			if g.Err != "" {
				r.problem("group %d: its majority does not answer: %s", g.Group, g.Err)
			}
		}
	}
	if r.Slowest != nil && r.Slowest.Took > groupWarns {
		r.warn("group %d is slow: its majority took %v to answer", r.Slowest.Group, r.Slowest.Took.Round(time.Millisecond))
	}
	slices.Sort(r.Problems)
	slices.Sort(r.Warnings)
	r.Safe = len(r.Problems) == 0
	return r
}

// setRight measures calendars against what most nodes say, and returns how far that is ahead of the node that was asked: whose
// clock is wrong does not depend on who is asked. Where two halves differ, the one that was asked is believed.
func setRight(found map[cluster.NodeID]*seenHealth) time.Duration {
	var all []time.Duration
	for _, h := range found {
		all = append(all, h.ahead)
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	most := max(all[(len(all)-1)/2], min(all[len(all)/2], 0))
	for _, h := range found {
		h.ahead -= most
	}
	return most
}

func (r *CheckReport) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r *CheckReport) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// node looks at one node. What is wrong with the one that goes away is no reason to keep it.
func (r *CheckReport) node(s *Status, h *seenHealth, now time.Time) {
	line := checkedNode{Node: s.Node, Ready: s.Ready, Error: s.Err}
	defer func() { r.Nodes = append(r.Nodes, line) }()
	goes := s.Node == r.Without
	if s.Err != "" && !goes {
		r.warn("%s does not answer: %s", s.Node, s.Err)
	}
	for _, trouble := range s.Trouble {
		r.warn("%s: %s", s.Node, trouble)
	}
	if h == nil {
		return
	}
	line.ClockOffset = h.ahead
	if h.DiskTotal > 0 {
		line.DiskFree = float64(h.DiskFree) / float64(h.DiskTotal)
		switch {
		case s.Disk.Room != RoomEnough && !goes:
			r.problem("%s has %.0f%% of its disk free: too little to take over more", s.Node, 100*line.DiskFree)
		case line.DiskFree < diskWarns:
			r.warn("%s has %.0f%% of its disk free", s.Node, 100*line.DiskFree)
		}
	}
	switch off := max(h.ahead, -h.ahead); {
	case off > clockRefuses && !goes:
		r.problem("the clock of %s is off by %v: %s", s.Node, h.ahead.Round(time.Second), setClock)
	case off > clockWarns:
		r.warn("the clock of %s is off by %v: %s", s.Node, h.ahead.Round(time.Millisecond), setClock)
	}
	line.Certificates = make(map[string]time.Time)
	for _, c := range h.Certificates {
		end := time.Unix(c.End, 0).UTC()
		line.Certificates[c.Name] = end
		switch left := end.Sub(now); {
		case left <= 0 && !goes:
			r.problem("the %s certificate of %s has ended: %s", c.Name, s.Node, renewal(c.Name))
		case left < certificateWarns:
			r.warn("the %s certificate of %s ends on %s", c.Name, s.Node, end.Format(time.DateOnly))
		}
	}
}

// renewal is how a certificate that has ended is made anew.
func renewal(certificate string) string {
	const setup = "'flotilla setup' there with the cluster's secret makes it anew"
	if certificate == "client" {
		return "replace the files that [tls] names there; where it names none, " + setup
	}
	return setup
}

// replicas looks for groups without a leader and for replicas that lag behind.
func (r *CheckReport) replicas(m *placement.Map, all []Status) {
	lead := leadersOf(all)
	for i := range m.Groups {
		if lead[m.Groups[i].ID] == nil {
			r.problem("group %d has no leader", m.Groups[i].ID)
		}
	}
	for i := range all {
		for j := range all[i].Groups {
			g := &all[i].Groups[j]
			if l := lead[g.Group]; l != nil && g.runs() && lags(g, l) {
				r.warn("the replica of group %d on %s is %d entries behind", g.Group, all[i].Node, l.Commit-g.Applied)
			}
		}
	}
}

func lags(g, leader *GroupStatus) bool {
	return !g.CaughtUp && g.Server != leader.Server || g.Applied+behindAtMost < leader.Commit
}

// leadersOf is the replica that leads each group: of several that say so, the one in the highest term.
func leadersOf(all []Status) map[cluster.GroupID]*GroupStatus {
	lead := make(map[cluster.GroupID]*GroupStatus)
	for i := range all {
		for j := range all[i].Groups {
			g := &all[i].Groups[j]
			if best := lead[g.Group]; g.Leader == g.Server && g.Server != "" && g.runs() && (best == nil || g.Term > best.Term) {
				lead[g.Group] = g
			}
		}
	}
	return lead
}

// outOfReach says for whom mailboxes would be out of reach: no other node serves clients, or a group has no majority of
// replicas that are up and have caught up. An empty name takes no node away.
func outOfReach(without cluster.NodeID, m *placement.Map, all []Status) []string {
	problems := []string{}
	up := make(map[cluster.ServerID]bool)
	others := 0
	lead := leadersOf(all)
	for i := range all {
		s := &all[i]
		if s.Node == without || s.Err != "" {
			continue
		}
		if o := m.Node(s.Node); s.Ready && (o == nil || o.Roles == 0 || o.Roles&placement.RoleFrontend != 0) {
			others++
		}
		for j := range s.Groups {
			g := &s.Groups[j]
			l := lead[g.Group]
			up[g.Server] = g.CaughtUp && g.runs() && (l == nil || !lags(g, l))
		}
	}
	lacking := ""
	switch {
	case without != "":
		lacking = fmt.Sprintf(" without %s", without)
		if others == 0 {
			problems = append(problems, fmt.Sprintf("no other node is ready: draining %s would leave clients without one", without))
		}
	case others == 0:
		problems = append(problems, "no node is ready for clients")
	}
	for i := range m.Groups {
		g := &m.Groups[i]
		if voters, left := votesLeft(g, without, up); left < voters/2+1 && (without == "" || g.Replica(without) != nil) {
			problems = append(problems, fmt.Sprintf("group %d has %d of %d voters%s, which is no majority", g.ID, left, voters, lacking))
		}
	}
	return problems
}

// votesLeft counts the voters of a group, and those of them that are up on other nodes.
func votesLeft(g *placement.Group, without cluster.NodeID, up map[cluster.ServerID]bool) (voters, left int) {
	for _, r := range g.Replicas {
		if r.Suffrage != placement.Voter || r.State != placement.Created {
			continue
		}
		voters++
		if r.Server.Node() != without && up[r.Server] {
			left++
		}
	}
	return voters, left
}
