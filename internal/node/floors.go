package node

import (
	"strings"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/group"
)

// compareEvents adds what is told of replicas that compare what they hold with what the others heard of them before they
// take part (CLUSTER 6.3). One whose directory is an old copy is fenced as damaged, and rejoins as any damaged one does.
func (n *Node) compareEvents(e group.Events) group.Events {
	e.Compared = func(g cluster.GroupID, took time.Duration, missing []cluster.NodeID, enough bool) {
		if enough {
			n.log.Info("replica takes part", "group", g, "compared", took)
			return
		}
		n.log.Warn("replica takes part without the word of a node that is down, or that lost what it had heard: it has compared with as many as make a quorum with it",
			"code", "FL-1070", "group", g, "compared", took, "without", nodeNames(missing))
	}
	e.AwaitsComparison = func(g cluster.GroupID, missing []cluster.NodeID) {
		n.log.Warn("replica neither votes nor acknowledges before it has compared with more nodes: start 'systemctl start flotilla' there",
			"code", "FL-1071", "group", g, "waits_for", nodeNames(missing))
	}
	e.PledgesLost = func(err error) {
		n.log.Warn("what the other nodes acknowledged is not written down or not readable: an old data directory of theirs may not be noticed",
			"code", "FL-1072", "err", err)
	}
	return e
}

func nodeNames(ids []cluster.NodeID) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	return strings.Join(names, ", ")
}
