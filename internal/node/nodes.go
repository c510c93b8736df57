package node

import (
	"context"
	"slices"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/frontends/admin"
	"github.com/flotilla-mail/flotilla/placement"
	"github.com/flotilla-mail/flotilla/placement/store"
)

// nodeLine is a node in the answer of `flotilla node list`.
type nodeLine struct {
	Node cluster.NodeID `json:"node"`
	// Status is what is wanted of it: joining until it has registered, active, draining, removing, removed.
	Status string `json:"status"`
	// Roles is what it does: store, frontend, or both with a comma between; empty until it has registered.
	Roles   string `json:"roles"`
	Address string `json:"address"`
	DC      string `json:"dc,omitempty"`
	Zone    string `json:"zone,omitempty"`
	// Successor takes over what the node holds, while it is removing.
	Successor cluster.NodeID `json:"successor,omitempty"`
	Version   string         `json:"version,omitempty"`
	// MinLevel and MaxLevel are the cluster levels that it speaks.
	MinLevel uint32 `json:"min_level"`
	MaxLevel uint32 `json:"max_level"`
	// Replicas is how many copies of groups it has, Votes how many of them vote, Leads how many groups it leads.
	Replicas int `json:"replicas"`
	Votes    int `json:"votes"`
	Leads    int `json:"leads"`
	// Ready: it serves clients. Err is why it does not answer, Seen when it was last heard; now while it answers.
	Ready bool      `json:"ready"`
	Err   string    `json:"error,omitempty"`
	Seen  time.Time `json:"seen,omitzero"`
}

// Nodes implements admin.Backend.
func (b backend) Nodes(ctx context.Context) (any, error) {
	m := b.n.view.Map()
	if m.Level == 0 {
		return nil, errNoSystem
	}
	lines := nodeLines(m, b.n.allStatus(ctx), time.Now())
	for i := range lines {
		l := &lines[i]
		if state, ok := b.n.storage.net.PeerState(l.Node); ok && l.Err != "" && state.LastHeard.After(l.Seen) {
			l.Seen = state.LastHeard
		}
	}
	return lines, nil
}

// nodeLines puts together what the map wants and what the nodes say.
func nodeLines(m *placement.Map, all []Status, now time.Time) []nodeLine {
	lines := []nodeLine{}
	for i := range m.Nodes {
		o := &m.Nodes[i]
		l := nodeLine{Node: o.ID, Status: o.Status.String(), Roles: o.Roles.String(), Address: o.Address, DC: o.DC, Zone: o.Zone, Successor: o.Successor, Version: o.Version,
			MinLevel: o.MinLevel, MaxLevel: o.MaxLevel}
		if o.Version == "" && o.Status == placement.Active {
			l.Status = "joining"
		}
		l.count(m)
		if at := slices.IndexFunc(all, func(s Status) bool { return s.Node == o.ID }); at >= 0 {
			l.look(&all[at], now)
		}
		lines = append(lines, l)
	}
	return lines
}

// count adds up the replicas that the map has on the node.
func (l *nodeLine) count(m *placement.Map) {
	for i := range m.Groups {
		r := m.Groups[i].Replica(l.Node)
		if r == nil {
			continue
		}
		l.Replicas++
		if r.Suffrage == placement.Voter {
			l.Votes++
		}
	}
}

// look adds what the node says of itself.
func (l *nodeLine) look(s *Status, now time.Time) {
	l.Ready, l.Err = s.Ready, s.Err
	if s.Err != "" {
		return
	}
	l.Seen = now
	for i := range s.Groups {
		if g := &s.Groups[i]; g.Leader == g.Server && g.runs() {
			l.Leads++
		}
	}
}

// SetNode implements admin.Backend.
func (b backend) SetNode(ctx context.Context, name, want, successor string) error {
	status, ok := map[string]placement.NodeStatus{admin.NodeActive: placement.Active, admin.NodeDraining: placement.Draining,
		admin.NodeRemoving: placement.Removing, admin.NodeRemoved: placement.Removed}[want]
	if !ok {
		return cluster.Errorf(cluster.KindBadRequest, "%q: want active, draining, removing or removed", want)
	}
	node := cluster.NodeID(name)
	if status == placement.Removed {
		if err := mayCutOff(node, b.n.self, b.n.view.Map(), b.n.allStatus(ctx)); err != nil {
			return err
		}
	}
	return b.n.mapOp(ctx, store.OpSetNodeStatus, &store.NodeStatusRequest{Node: node, Status: status,
		Force: status == placement.Removed, Successor: cluster.NodeID(successor)})
}

// mayCutOff refuses to take out at once the node that is asked, and one that others still count on.
func mayCutOff(node, self cluster.NodeID, m *placement.Map, all []Status) error {
	if node == self {
		return cluster.Errorf(cluster.KindBadRequest, "%s cannot cut itself off: ask another node, with --server or on its machine", node)
	}
	if m.Node(node) == nil || m.Node(node).Status == placement.Removed {
		return nil // the map's own answer says it better
	}
	return mayDrain(node, m, all)
}
