package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/internal/wire"
	"github.com/flotilla-mail/flotilla/placement/controller"
	"github.com/flotilla-mail/flotilla/placement/planner"
)

// leading follows which groups this node leads: their due work is done here, and the leader of the system group makes
// the system's spaces and runs the controller.
func (n *Node) leading(id cluster.GroupID, leads bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if stop := n.leads[id]; stop != nil {
		stop()
		delete(n.leads, id)
	}
	if !leads || n.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(n.ctx)
	n.leads[id] = cancel
	n.wg.Go(func() { n.keepScrubbing(ctx, id) })
	if id == cluster.SystemGroup {
		n.wg.Go(func() { n.control(ctx) })
		n.wg.Go(func() { n.shiftSpaces(ctx) })
		n.wg.Go(func() {
			n.pump(ctx, id, purger{n}, func(_ cluster.SpaceID, err error) {
				n.log.Warn("a mailbox that is to be deleted waits", "code", "FL-1086", "err", err)
			})
		})
		return
	}
	n.wg.Go(func() { n.work(ctx, id) })
	n.wg.Go(func() { n.sendOutgoing(ctx, id) })
	n.wg.Go(func() { n.moveSpaces(ctx, id) })
}

// work does what falls due in a group's mailboxes and in its queue while this node leads it.
func (n *Node) work(ctx context.Context, id cluster.GroupID) {
	for ctx.Err() == nil {
		if g := n.storage.host.Group(id); g != nil {
			space.NewDueRunner(g.Replica(), n.dueWork(g.Replica()), space.WorkConfig{Now: n.storage.clock.Now, Timeout: dueTimeout,
				Failed: func(box cluster.SpaceID, err error) {
					n.log.Warn("due work failed", "code", "FL-1018", "group", id, "mailbox", box, "err", err)
				}}).Run(ctx)
		}
		pause(ctx, 100*time.Millisecond)
	}
}

func (n *Node) control(ctx context.Context) {
	var g *group.Group
	for ctx.Err() == nil {
		if g = n.storage.host.Group(cluster.SystemGroup); g != nil {
			err := n.initSystem(ctx, g)
			if err == nil {
				err = n.recoverSystem(ctx, g)
			}
			if err == nil {
				break
			}
			n.log.Warn("system group not ready", "code", "FL-1011", "err", err)
		}
		pause(ctx, 100*time.Millisecond)
	}
	if ctx.Err() != nil {
		return
	}
	c := controller.New(g.Replica(), clusterControl{n, newObserver()}, controller.Events{
		Step: func(step planner.Step, took time.Duration, err error) {
			n.log.Info("placement", "step", step.String(), "why", step.Why, "took", took, "err", err)
		},
		Look: func(err error) { n.log.Info("placement not looked at", "err", err) },
	}, time.Second)
	n.planning.Store(c)
	defer n.planning.CompareAndSwap(c, nil)
	c.Run(ctx)
}

// clusterControl lets the controller see all nodes and move groups.
type clusterControl struct {
	n    *Node
	seen *observer
}

// memberRequest asks a group's leader to change its membership or to hand over. Tags are for ever.
type memberRequest struct {
	Group  cluster.GroupID  `wire:"1"`
	Verb   memberVerb       `wire:"2"`
	Server cluster.ServerID `wire:"3"`
}

type memberVerb uint8

const (
	memberAdd      memberVerb = 1
	memberPromote  memberVerb = 2
	memberRemove   memberVerb = 3
	memberTransfer memberVerb = 4
	memberDemote   memberVerb = 5
)

func (n *Node) changeMember(ctx context.Context, req []byte) error {
	var q memberRequest
	if err := wire.Unmarshal(req, &q); err != nil {
		return cluster.Errorf(cluster.KindBadRequest, "decode member request: %v", err)
	}
	g := n.storage.host.Group(q.Group)
	if g == nil {
		return &cluster.Error{Kind: cluster.KindNotLeader, Group: q.Group}
	}
	switch q.Verb {
	case memberAdd:
		return g.AddNonvoter(ctx, q.Server)
	case memberPromote:
		return g.Promote(ctx, q.Server)
	case memberDemote:
		return g.Demote(ctx, q.Server)
	case memberRemove:
		return g.Remove(ctx, q.Server)
	case memberTransfer:
		return g.Transfer(ctx, q.Server)
	}
	return cluster.Errorf(cluster.KindNoMethod, "member verb %d", q.Verb)
}

func (c clusterControl) member(ctx context.Context, node cluster.NodeID, q memberRequest) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if node == "" {
		node = c.seen.leaders[q.Group]
	}
	if node == "" {
		return fmt.Errorf("group %d has no leader that is known: %w", q.Group, cluster.ErrUnavailable)
	}
	_, err := c.n.storage.client.Call(ctx, node, methodMember, wire.Marshal(&q))
	return err
}

// Transfer implements controller.Cluster.
func (c clusterControl) Transfer(ctx context.Context, id cluster.GroupID, from, to cluster.NodeID) error {
	g := c.n.view.Map().Group(id)
	if g == nil || g.Replica(to) == nil {
		return fmt.Errorf("group %d has no replica on %s", id, to)
	}
	return c.member(ctx, from, memberRequest{Group: id, Verb: memberTransfer, Server: g.Replica(to).Server})
}

// AddLearner implements controller.Cluster.
func (c clusterControl) AddLearner(ctx context.Context, id cluster.GroupID, s cluster.ServerID) error {
	return c.member(ctx, "", memberRequest{Group: id, Verb: memberAdd, Server: s})
}

// Promote implements controller.Cluster.
func (c clusterControl) Promote(ctx context.Context, id cluster.GroupID, s cluster.ServerID) error {
	return c.member(ctx, "", memberRequest{Group: id, Verb: memberPromote, Server: s})
}

// Demote implements controller.Cluster.
func (c clusterControl) Demote(ctx context.Context, id cluster.GroupID, s cluster.ServerID) error {
	return c.member(ctx, "", memberRequest{Group: id, Verb: memberDemote, Server: s})
}

// Remove implements controller.Cluster.
func (c clusterControl) Remove(ctx context.Context, id cluster.GroupID, s cluster.ServerID) error {
	return c.member(ctx, "", memberRequest{Group: id, Verb: memberRemove, Server: s})
}

// Drain implements controller.Cluster.
func (c clusterControl) Drain(ctx context.Context, node cluster.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, DrainTime+observeTimeout)
	defer cancel()
	_, err := askNode[DrainReport](ctx, c.n, node, methodDrain, &drainRequest{Force: true})
	return err
}

// Status is what a node says of itself. Tags are for ever.
type Status struct {
	Node     cluster.NodeID `wire:"1" json:"node"`
	Version  string         `wire:"2" json:"version"`
	Ready    bool           `wire:"3" json:"ready"`
	Draining bool           `wire:"4" json:"draining"`
	Progress string         `wire:"5" json:"progress"`
	Groups   []GroupStatus  `wire:"6" json:"groups,omitempty"`
	// Directory is how far the node's copy of the directory has come.
	Directory uint64 `wire:"7" json:"directory"`
	// Trouble names the replicas that do not take part, and why.
	Trouble []string `wire:"8" json:"trouble,omitempty"`
	// SlowDisk: syncs have taken so long that what the node led was moved away; nothing is moved back.
	SlowDisk bool `wire:"9" json:"slow_disk,omitempty"`
	// Disk is how much room the node's data has.
	Disk DiskStatus `wire:"20" json:"disk"`
	// Gossip is what was heard of the node, whether it answers or not; it never crosses a wire.
	Gossip *heard `wire:"-" json:"gossip,omitempty"`
	// Err says why the node did not answer; it never crosses a wire.
	Err string `wire:"-" json:"error,omitempty"`
}

// answers reports whether the node answers from its copy of the system group: not while it is let in again.
func (s *Status) answers() bool {
	return slices.ContainsFunc(s.Groups, func(g GroupStatus) bool { return g.Group == cluster.SystemGroup && g.CaughtUp })
}

// GroupStatus is one replica as its node sees it.
type GroupStatus struct {
	Group    cluster.GroupID    `wire:"1" json:"group"`
	Server   cluster.ServerID   `wire:"2" json:"server"`
	State    string             `wire:"3" json:"state"`
	Term     uint64             `wire:"4" json:"term"`
	Leader   cluster.ServerID   `wire:"5" json:"leader"`
	Commit   uint64             `wire:"6" json:"commit"`
	Applied  uint64             `wire:"7" json:"applied"`
	CaughtUp bool               `wire:"8" json:"caught_up"`
	Members  []cluster.ServerID `wire:"9" json:"members"`
	LogBytes uint64             `wire:"10" json:"log_bytes"`
	Entries  uint64             `wire:"11" json:"entries"`
	Parts    uint64             `wire:"12" json:"operations"`
	// Fenced is why the replica has stopped, or does not start.
	Fenced string `wire:"13" json:"fenced,omitempty"`
	// Seeded of SeedTotal bytes are here, of a replica that is being seeded.
	Seeded    uint64 `wire:"20" json:"seeded,omitempty"`
	SeedTotal uint64 `wire:"21" json:"seed_total,omitempty"`
	// Awaits are nodes that the replica has to compare with before it votes and acknowledges.
	Awaits []cluster.NodeID `wire:"14" json:"awaits,omitempty"`
	// Bytes is the size of the replica's state on disk.
	Bytes uint64 `wire:"15" json:"bytes"`
	// Voters are the members that vote.
	Voters []cluster.ServerID `wire:"16" json:"voters"`
}

// runs reports whether the replica takes part in its group.
func (g *GroupStatus) runs() bool {
	return g.State != group.Stopped.String() && g.State != group.Fenced.String() && g.State != seedingState
}

// hashes is what a node answers about its replicas' content: the hash of the logical pairs of each, at an index.
type hashes struct {
	Groups []groupHash `wire:"1"`
}

type groupHash struct {
	Group cluster.GroupID `wire:"1"`
	Index uint64          `wire:"2"`
	Sum   []byte          `wire:"3"`
}

func (n *Node) ownHashes(ctx context.Context) (*hashes, error) {
	h := new(hashes)
	for _, g := range n.storage.host.Groups() {
		index, sum, err := g.Replica().Machine().Hash(ctx)
		if err != nil {
			return nil, err
		}
		h.Groups = append(h.Groups, groupHash{g.ID(), index, sum[:]})
	}
	return h, nil
}

// allHashes asks every node for the hashes of its replicas.
func (n *Node) allHashes(ctx context.Context) (map[cluster.NodeID]map[cluster.GroupID]groupHash, error) {
	all := make(map[cluster.NodeID]map[cluster.GroupID]groupHash)
	for _, p := range n.everyone() {
		b, err := n.storage.client.Call(ctx, p.ID, methodHashes, nil)
		if err != nil {
			return nil, fmt.Errorf("hashes of %s: %w", p.ID, err)
		}
		var h hashes
		if err := wire.Unmarshal(b, &h); err != nil {
			return nil, fmt.Errorf("hashes of %s: %w", p.ID, err)
		}
		all[p.ID] = make(map[cluster.GroupID]groupHash)
		for _, g := range h.Groups {
			all[p.ID][g.Group] = g
		}
	}
	return all, nil
}

func (n *Node) ownStatus(ctx context.Context) *Status {
	s := &Status{Node: n.self, Version: versionString(), Ready: n.ready.Load(), Draining: n.draining.Load(), Progress: *n.progress.Load()}
	s.Groups = n.ownReplicas()
	s.Trouble = troubles(s.Groups)
	if s.SlowDisk = n.disk.slow(time.Now()); s.SlowDisk {
		s.Trouble = append(s.Trouble, "the disk is slow")
	}
	var trouble string
	if s.Disk, trouble = n.room.status(n.cfg.Dir); trouble != "" {
		s.Trouble = append(s.Trouble, trouble)
	}
	// A replica that has not caught up would make the question wait.
	if g := n.storage.host.Group(cluster.SystemGroup); g != nil && g.Stats().CaughtUp {
		if seq, err := n.people.Sequence(ctx); err == nil {
			s.Directory = seq
		}
	}
	return s
}

// ownReplicas are the replicas that the node has, those that do not start included.
func (n *Node) ownReplicas() []GroupStatus {
	var all []GroupStatus
	for _, g := range n.storage.host.Groups() {
		s := groupStatus(g.ID(), g.Self(), g.Stats(), g.Members())
		s.Bytes = g.Size()
		all = append(all, s)
	}
	return showSeeds(n.damages.show(all), n.storage.host.Seeds())
}

func groupStatus(id cluster.GroupID, self cluster.ServerID, st group.Stats, members []group.Member) GroupStatus {
	g := GroupStatus{Group: id, Server: self, State: st.State.String(), Term: st.Term, Leader: st.Leader,
		Commit: st.Commit, Applied: st.Applied, CaughtUp: st.CaughtUp, LogBytes: st.LogBytes, Entries: st.Entries, Parts: st.Parts}
	if st.Fenced != nil {
		g.Fenced = st.Fenced.Error()
	}
	g.Awaits = st.Awaits
	for _, m := range members {
		g.Members = append(g.Members, m.ID)
		if m.Suffrage == group.Voter {
			g.Voters = append(g.Voters, m.ID)
		}
	}
	return g
}

func troubles(groups []GroupStatus) []string {
	var all []string
	for i := range groups {
		if g := &groups[i]; g.Fenced != "" {
			all = append(all, fmt.Sprintf("replica of group %d is fenced: %s", g.Group, g.Fenced))
		} else if len(g.Awaits) > 0 {
			all = append(all, fmt.Sprintf("replica of group %d does not vote before it has compared with %s", g.Group, nodeNames(g.Awaits)))
		}
	}
	return all
}

// allStatus asks every node; one that does not answer has Err.
func (n *Node) allStatus(ctx context.Context) []Status {
	nodes := n.everyone()
	all := make([]Status, len(nodes))
	var g errgroup.Group
	for i, p := range nodes {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, observeTimeout)
			defer cancel()
			all[i] = Status{Node: p.ID}
			b, err := n.storage.client.Call(ctx, p.ID, methodStatus, nil)
			if err == nil {
				err = wire.Unmarshal(b, &all[i])
			}
			if err != nil {
				all[i] = Status{Node: p.ID, Err: advised(err)}
			}
			return nil
		})
	}
	_ = g.Wait() // each node has its own error
	return all
}
