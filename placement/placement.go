// Package placement says which group holds a mailbox and which nodes hold a group.
//
// It never opens either: it computes, others act. The map it describes is truth and lives in the system group;
// gossip and leader hints only save a hop (DESIGN 1.8). Its root holds the nouns; tags reach disk and are never
// reused.
package placement

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Suffrage says whether a replica votes. Numbers reach disk. Witness is reserved (CLUSTER 7.5).
type Suffrage uint8

// The kinds of replica.
const (
	Voter    Suffrage = 1
	Nonvoter Suffrage = 2
	Witness  Suffrage = 3
)

// ReplicaState is how far a replica has come. Numbers reach disk.
type ReplicaState uint8

const (
	// Assigned: the node is to make the replica's data; nothing may exist of it yet.
	Assigned ReplicaState = 1
	// Created: the data was made durable before Raft started on it. From here on a missing directory is damage.
	Created ReplicaState = 2
	// Lost: its node reports that the data is damaged or gone; the replica must never start again under this id.
	Lost ReplicaState = 3
)

// Replica is one copy of a group.
type Replica struct {
	Server   cluster.ServerID `wire:"1"`
	Suffrage Suffrage         `wire:"2"`
	State    ReplicaState     `wire:"3"`
	// Initial marks a member of the configuration that the group was bootstrapped with.
	Initial bool `wire:"4"`
	// Replaces is the replica whose place this one takes; that one goes when this one can do its work. Empty for one
	// that takes nobody's place.
	Replaces cluster.ServerID `wire:"5"`
	// Cause is why the replica is made.
	Cause   Cause `wire:"6"`
	Unknown wire.Unknown
}

// Cause is why a replica was made beside those that the group began with. Numbers reach disk.
type Cause uint8

// The causes.
const (
	// CauseLost: the data of the one before it was lost.
	CauseLost Cause = 1
	// CauseDead: the node of the one before it has not answered for the grace period.
	CauseDead Cause = 2
	// CauseLeaving: the node of the one before it is being removed.
	CauseLeaving Cause = 3
	// CauseShort: the group had fewer copies than the policy asks for.
	CauseShort Cause = 4
	// CausePolicy: where the one before it is, the policy would not have it.
	CausePolicy Cause = 5
	// CauseBalance: the node of the one before it holds more than its share.
	CauseBalance Cause = 6
)

// Group is a Raft group as the map has it.
type Group struct {
	ID       cluster.GroupID `wire:"1"`
	Replicas []Replica       `wire:"2"`
	// Home is the site whose nodes should lead the group; empty for what the policy says.
	Home string `wire:"3"`
	// RecoveryEpoch counts forced recoveries (CLUSTER 7.3).
	RecoveryEpoch uint32 `wire:"4"`
	// Sites are those that the group's copies may be in, in order; empty for what the policy says.
	Sites []string `wire:"5"`
	// Into is the group that this one's mailboxes go to, one after the other; zero while it keeps them.
	Into    cluster.GroupID `wire:"6"`
	Unknown wire.Unknown
}

// Replica returns the group's copy on a node, nil when there is none. A node being rebuilt may have two; the one
// that is not lost is returned.
func (g *Group) Replica(node cluster.NodeID) *Replica {
	var found *Replica
	for i := range g.Replicas {
		if r := &g.Replicas[i]; r.Server.Node() == node && (found == nil || found.State == Lost) {
			found = r
		}
	}
	return found
}

// Server returns the replica with an id, nil when there is none.
func (g *Group) Server(id cluster.ServerID) *Replica {
	i := slices.IndexFunc(g.Replicas, func(r Replica) bool { return r.Server == id })
	if i < 0 {
		return nil
	}
	return &g.Replicas[i]
}

// NodeStatus is what the administrator wants of a node. Numbers reach disk.
type NodeStatus uint8

// The states of a node.
const (
	Active NodeStatus = 1
	// Draining is for maintenance: it leads nothing and is given nothing, and what it holds stays.
	Draining NodeStatus = 2
	// Removed is for ever: the name never comes back.
	Removed NodeStatus = 3
	// Removing: what it holds is made elsewhere; when it holds nothing any more it is Removed.
	Removing NodeStatus = 4
)

func (s NodeStatus) String() string {
	return [...]string{"", "active", "draining", "removed", "removing"}[min(s, Removing)]
}

// Roles says what a node does.
type Roles uint8

const (
	// RoleStore hosts mailbox groups; RoleFrontend serves clients. A node has both by default.
	RoleStore Roles = 1 << iota
	RoleFrontend
)

// String names the roles as the configuration does, with commas between.
func (r Roles) String() string {
	var names []string
	for _, x := range []struct {
		role Roles
		name string
	}{{RoleStore, "store"}, {RoleFrontend, "frontend"}} {
		if r&x.role != 0 {
			names = append(names, x.name)
		}
	}
	return strings.Join(names, ",")
}

// NodeState is a node as it registered itself.
type NodeState struct {
	ID      cluster.NodeID `wire:"1"`
	Status  NodeStatus     `wire:"2"`
	Roles   Roles          `wire:"3"`
	Address string         `wire:"4"` // node to node, host:port
	Gossip  string         `wire:"5"`
	// External is the host name clients reach this node under.
	External string `wire:"6"`
	DC       string `wire:"7"`
	Zone     string `wire:"8"`
	// Weight is the node's share of load against others, as the administrator says; zero counts as 100.
	Weight uint32 `wire:"9"`
	// MinLevel and MaxLevel are the cluster levels its binary speaks (CLUSTER 7.2).
	MinLevel uint32 `wire:"10"`
	MaxLevel uint32 `wire:"11"`
	Version  string `wire:"12"`
	// Successor is the node that takes over what this one holds, while it is Removing; empty for whichever has room.
	Successor cluster.NodeID `wire:"13"`
	Unknown   wire.Unknown
}

// Site is the failure domain policy speaks of.
func (n *NodeState) Site() string { return n.DC }

// Level is the version of formats that may be written (CLUSTER 7.2).
type Level uint32

const (
	// FirstLevel is the level of the first format.
	FirstLevel Level = 1
	// NewestLevel is the newest whose formats this program knows.
	NewestLevel Level = 2
)

// Levels are those that a program speaks.
type Levels struct {
	Oldest Level `json:"oldest"`
	Newest Level `json:"newest"`
}

// Has reports whether a level is among them.
func (l Levels) Has(v Level) bool { return l.Oldest <= v && v <= l.Newest }

func (l Levels) String() string {
	if l.Oldest == l.Newest {
		return fmt.Sprintf("level %d", l.Oldest)
	}
	return fmt.Sprintf("levels %d to %d", l.Oldest, l.Newest)
}

// Remedy is what to do about a program of these levels in a cluster at another.
func (l Levels) Remedy(at Level) string {
	if l.Oldest > at {
		return "it is too new: install the release that the others run ('flotilla node list' names it), and go on by one release at a time, " +
			"with 'flotilla upgrade --all' and 'flotilla upgrade --finalize'"
	}
	return "it is too old: install the release that the others run ('flotilla node list' names it)"
}

// Speaks is what the node's program speaks, as it registered.
func (n *NodeState) Speaks() Levels { return Levels{Level(n.MinLevel), Level(n.MaxLevel)} }

// Map is the whole placement at one sequence of the placement space, without the mailboxes. It is immutable.
type Map struct {
	Sequence uint64
	Level    Level
	Groups   []Group
	Nodes    []NodeState
	Moves    []Move
}

// Group returns a group of the map, nil when it is not there.
func (m *Map) Group(id cluster.GroupID) *Group {
	i := slices.IndexFunc(m.Groups, func(g Group) bool { return g.ID == id })
	if i < 0 {
		return nil
	}
	return &m.Groups[i]
}

// Node returns a node of the map, nil when it is not there.
func (m *Map) Node(id cluster.NodeID) *NodeState {
	i := slices.IndexFunc(m.Nodes, func(n NodeState) bool { return n.ID == id })
	if i < 0 {
		return nil
	}
	return &m.Nodes[i]
}

// Place is where a space lives. Epoch rises with every move, so that an older answer is known as one (CLUSTER 6.7).
type Place struct {
	Group   cluster.GroupID `wire:"1"`
	Epoch   uint64          `wire:"2"`
	Unknown wire.Unknown
}
