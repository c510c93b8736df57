package node

import (
	"sync"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// lateAnswer is after what time nobody may take a node for an owner any more that is none.
const lateAnswer = time.Second

// leaderAges are the leaders of the groups that have a replica here, and since when each is known. The zero value knows none.
type leaderAges struct {
	mu  sync.Mutex
	all map[cluster.GroupID]owner // guarded by mu
}

type owner struct {
	node  cluster.NodeID
	since time.Time
}

// changed notes what the node's own replica has found out.
func (o *leaderAges) changed(g cluster.GroupID, leader cluster.NodeID, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = make(map[cluster.GroupID]owner)
	}
	o.all[g] = owner{leader, now}
}

// late reports whether a node has been known to lead the group for so long that everybody should know.
func (o *leaderAges) late(g cluster.GroupID, leader cluster.NodeID, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	known, ok := o.all[g]
	return ok && known.node == leader && now.Sub(known.since) > lateAnswer
}

// misled is ops.Events.Misled.
func (n *Node) misled(g cluster.GroupID, leader cluster.NodeID) {
	late := "no"
	if n.ages.late(g, leader, time.Now()) {
		late = "yes"
	}
	n.metrics.misled.WithLabelValues(late).Inc()
}
