// Package gossip tells the nodes about each other: who is alive and at which address, labels, versions, load, and who
// leads a group (CLUSTER 6.6). Each data centre has a pool of its own; a few nodes of each, its gateways, are in a second
// pool as well and re-tell in either what they hear in the other. It knows no Raft and decides nothing: membership and
// placement are the system group's, and whoever follows a hint must be ready for a NotLeader answer.
//
// Invariants: nothing is sent or taken in unencrypted; of a group the hint of the highest term is kept, and of a node
// the record with the highest number of its own, whatever the order and the way of arrival; only what was news is told
// again; what others send is bounded before it is stored; a node of another data centre is never found dead here;
// memberlist is seen by nobody else.
package gossip

import (
	"net/netip"
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

// GatewayRole is whether a node may be a gateway between data centres. Numbers are for ever.
type GatewayRole uint8

// The roles.
const (
	GatewayAuto   GatewayRole = 0 // if its name is among the lowest
	GatewayAlways GatewayRole = 1
	GatewayNever  GatewayRole = 2
)

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
	// Gateway is fixed while the node runs.
	Gateway GatewayRole `wire:"9"`
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
	// Alive is false from when it was found silent or left; then Meta.State tells which, if the word got here. Of a
	// node of another data centre it is what that one says, and false while that one is not heard.
	Alive bool
	// Gateway: it is alive and one of its data centre's gateways.
	Gateway bool
	// Since is when Alive last changed, by this node's clock.
	Since time.Time
	// Load is the last heard, zero if none was.
	Load Load
}

// Site is another data centre, as it is heard of.
type Site struct {
	DC string
	// Heard: a gateway of this node's data centre hears a gateway of that one. That it is not heard says nothing about
	// its nodes.
	Heard bool
	// Since is when Heard last changed, by this node's clock.
	Since time.Time
	// Gateways are its gateways as it last said.
	Gateways []cluster.NodeID
}

// Peer is a node of another data centre that the owner knows of.
type Peer struct {
	ID cluster.NodeID
	DC string
	// Addr is host:port of its gossip, empty if that is not known.
	Addr string
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
	// Site: another data centre is heard, or is not any more.
	Site func(site Site)
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
	// Advertise is the address that the others are told; if it is not valid, Bind's or the machine's own is.
	Advertise netip.Addr
	// Cluster is the cluster's name. With Meta.DC it separates pools that can reach each other.
	Cluster string
	// Key is the AES key of 32 bytes that all nodes share. It is required.
	Key []byte
	// OldKeys are accepted from others as well while the key is being changed; SetKeys changes both.
	OldKeys [][]byte
	Meta    Meta
	Events  Events
	// Seeds gives host:port of nodes of the own data centre to join, asked at every try. May be nil.
	Seeds func() []string
	// Remote gives the nodes of other data centres. As long as there are none, and none is heard of, nobody is a
	// gateway. May be nil.
	Remote func() []Peer
	// LAN and WAN shorten the times of the two pools; the zero value keeps them.
	LAN, WAN Tuning
	Gateways Gateways
	// open binds the port; nil is openPort. It is set by tests only.
	open opener
}

// Tuning holds the times that tests and slow networks change. Zero keeps the profile's: LAN, and WAN behind it.
type Tuning struct {
	PushPull   time.Duration // exchange of full state; 10 s, 30 s
	Gossip     time.Duration // broadcasts; 100 ms, 500 ms
	Probe      time.Duration // one node is probed; 1 s, 5 s
	ProbeWait  time.Duration // for a probe's answer; 500 ms, 3 s
	Rejoin     time.Duration // seeds that are no members are tried again; 15 s, 30 s
	Retransmit int           // sendings of a broadcast per decade of nodes; 12, 4
}

// Gateways says how gateways are chosen. Zero keeps what stands behind.
type Gateways struct {
	Count  int           // gateways of a data centre, if not more are wanted always; 2
	Review time.Duration // how often a node looks whether it is one; 1 s
	Settle time.Duration // how long it must have been chosen, or not, before it acts on it; 5 s
}
