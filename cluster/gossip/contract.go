// Package gossip tells the nodes of a data centre about each other: who is alive and at which address, labels,
// versions, load, and who leads a group (CLUSTER 6.6). It knows no Raft and decides nothing: membership and placement
// are the system group's, and whoever follows a hint must be ready for a NotLeader answer.
//
// Invariants: nothing is sent or taken in unencrypted; of a group the hint of the highest term is kept, whatever the
// order of arrival; what others send is bounded before it is stored; memberlist is seen by nobody else.
package gossip

import (
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// State is what a node says it is doing. It informs; what a node may do is in the system group.
type State uint8

// The states. Numbers are for ever.
const (
	StateStarting State = 0
	StateServing  State = 1
	StateDraining State = 2
	StateLeaving  State = 3 // set by Close: the node goes on purpose
)

func (s State) String() string {
	names := [...]string{"starting", "ready", "draining", "leaving"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown" // what a newer release says
}

// Meta is what a node says of itself to all. Coded it has at most 512 bytes.
type Meta struct {
	// NodeAddress is host:port of cluster/transport.
	NodeAddress string `wire:"1"`
	// External is the host clients are sent to.
	External string `wire:"2"`
	// DC and Zone say where the machine stands. DC is fixed while the node runs.
	DC   string `wire:"3"`
	Zone string `wire:"4"`
	// Version is the program's.
	Version string `wire:"5"`
	// MinLevel and MaxLevel are the cluster levels it can run at (CLUSTER 7.2).
	MinLevel uint32 `wire:"6"`
	MaxLevel uint32 `wire:"7"`
	State    State  `wire:"8"`
	// Unknown is what a newer release added.
	Unknown wire.Unknown
}

// Load is how busy a node is. It reaches the others with push/pull, within some tens of seconds.
type Load struct {
	Groups    uint32  `wire:"1"` // replicas held
	Leaders   uint32  `wire:"2"` // groups led
	Mailboxes uint32  `wire:"3"` // mailboxes in groups led
	DiskFree  uint64  `wire:"4"` // bytes
	DiskTotal uint64  `wire:"5"` // bytes
	CPU       float64 `wire:"6"` // share of all cores in use, 0 to 1
	Entries   float64 `wire:"7"` // log entries written in a second
	Bytes     float64 `wire:"8"` // and their bytes
	SlowDisk  bool    `wire:"9"` // syncs have taken so long that leaderships were moved away
	Unknown   wire.Unknown
}

// Node is a node as it was last heard of.
type Node struct {
	ID cluster.NodeID
	// Addr is host:port of its gossip.
	Addr string
	Meta Meta
	// Alive is false from when it was found silent or left; then Meta.State tells which, if the word got here.
	Alive bool
	// Since is when Alive last changed, by this node's clock.
	Since time.Time
	// Load is the last heard, zero if none was.
	Load Load
}

// Events is what the owner is told. Any func may be nil. All but Log are called one at a time by one goroutine, and
// may call the Gossip, except Close. What happens faster than they return is summed up: the newest state of a node or
// group is told, and steps between may be left out.
type Events struct {
	// Hint: the group has this leader in this term, as far as is known; leader is empty when that one stepped down.
	Hint func(group cluster.GroupID, term uint64, leader cluster.NodeID)
	// NodeUp: another node is alive, or changed its Meta.
	NodeUp func(node Node)
	// NodeDown: another node was found silent, or left.
	NodeDown func(node Node)
	// Conflict: two processes run under one name, at these addresses.
	Conflict func(name string, addrs []string)
	// Load: another node's load.
	Load func(node cluster.NodeID, load Load)
	// Log: a line of memberlist's or a refused message, level DEBUG, INFO, WARN or ERR. It is called from where it
	// happened, from several goroutines, and may not call the Gossip.
	Log func(level, text string)
}

// Config is what a Gossip is made of.
type Config struct {
	Node cluster.NodeID
	// Bind is the address, ip:port, for UDP and TCP; port 0 takes a free one.
	Bind string
	// Cluster is the cluster's name. With Meta.DC it separates pools that can reach each other.
	Cluster string
	// Key is the AES key of 32 bytes that all nodes share. It is required.
	Key []byte
	// OldKeys are accepted from others as well while the key is being changed.
	OldKeys [][]byte
	Meta    Meta
	Events  Events
	// Seeds gives host:port of nodes to join, asked at every try. May be nil.
	Seeds func() []string
	// Tuning shortens the times of the LAN profile; the zero value keeps them.
	Tuning Tuning
}

// Tuning holds the times that tests and slow networks change. Zero keeps the LAN profile's.
type Tuning struct {
	PushPull   time.Duration // exchange of full state; 10 s
	Gossip     time.Duration // broadcasts; 100 ms
	Probe      time.Duration // one node is probed; 1 s
	ProbeWait  time.Duration // for a probe's answer; 500 ms
	Rejoin     time.Duration // seeds that are no members are tried again; 15 s
	Retransmit int           // sendings of a broadcast per decade of nodes; 4
}
