package group

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/raftlog"
	"github.com/flotilla-mail/flotilla/cluster/space"
	"github.com/flotilla-mail/flotilla/cluster/transport"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Config is what a Host is made from. The zero values of the tunable part are replaced by Defaults.
type Config struct {
	// Node is this node's name.
	Node cluster.NodeID
	// Dir holds one directory for each replica; FS is where it is, nil the operating system's.
	Dir string
	FS  lsm.FS
	// Net carries frames and snapshots. New registers its handlers, so it must not have been started.
	Net *transport.Transport
	// Log keeps the logs of mailbox groups, SystemLog that of the system group (nil: the same), Stable the terms
	// and votes of all (CLUSTER 5.2). Shared is what the engines of the node have in common.
	Log, SystemLog *raftlog.Store
	Stable         *raftlog.StableStore
	Shared         *lsm.Shared
	// Machine configures the state machine of each replica.
	Machine space.MachineConfig
	// Space configures what is above it.
	Space  space.Config
	Events Events

	// StrictReads answers every leader read by read index instead of lease (CLUSTER 4.2).
	StrictReads bool
	// EntriesInFlight and GroupEntriesInFlight bound the entries handed to raft and not applied yet, of the node and
	// of one group; NodeBytes and GroupBytes the proposals admitted (CLUSTER 1.5).
	EntriesInFlight      int
	GroupEntriesInFlight int
	NodeBytes            int64
	GroupBytes           int64
	// Heartbeat is raft's heartbeat and election timeout; 0 follows the number of groups (CLUSTER 6.4).
	Heartbeat time.Duration
	// DiskFull, when set, reports that the disk is below the lower mark of CLUSTER 5.5: entries and snapshots of other
	// leaders are refused then, while heartbeats and votes pass.
	DiskFull func() bool
	// SnapshotsOut is how many snapshots the node sends at a time.
	SnapshotsOut int
	// SeedBytes is the size from which on a state is seeded, and not left to raft's own snapshot (CLUSTER 5.4).
	SeedBytes uint64
	// CopyRate bounds the bytes a second in which seeds and snapshots are written and read by the node together; 0 does
	// not. CopyShare is the part of its disk's time, in hundredths, that they have while commits are made here or where the
	// copy comes from.
	CopyRate  int64
	CopyShare int
	// LogBytes and LogAge are when a group's log is truncated, LogKeepBytes what is kept of it even so.
	LogBytes     uint64
	LogKeepBytes uint64
	LogAge       time.Duration
	// TruncateEvery is how often that is looked at.
	TruncateEvery time.Duration
	// Clock measures leases; nil is the machine's.
	Clock Clock
}

// Defaults fills what was left zero.
func (c *Config) Defaults() {
	if c.FS == nil {
		c.FS = lsm.OSFS()
	}
	if c.SystemLog == nil {
		c.SystemLog = c.Log
	}
	setDefault(&c.EntriesInFlight, 16)
	setDefault(&c.GroupEntriesInFlight, 2)
	setDefault(&c.NodeBytes, 256<<20)
	setDefault(&c.GroupBytes, 8<<20)
	if c.Space.Node == nil {
		c.Space.Node = space.NewBudget(c.NodeBytes) // the one of all groups here
	}
	setDefault(&c.SnapshotsOut, 2)
	setDefault(&c.SeedBytes, 64<<20)
	setDefault(&c.CopyShare, 50)
	setDefault(&c.LogBytes, 64<<20)
	setDefault(&c.LogKeepBytes, 32<<20)
	setDefault(&c.LogAge, 10*time.Minute)
	setDefault(&c.TruncateEvery, 10*time.Second)
	if c.DiskFull == nil {
		c.DiskFull = func() bool { return false }
	}
	if c.Clock == nil {
		c.Clock = newMachineClock()
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports what cannot work.
func (c *Config) Validate() error {
	switch {
	case !c.Node.Valid():
		return fmt.Errorf("node name %q is not valid", c.Node)
	case c.Dir == "":
		return errors.New("no directory")
	case c.Net == nil || c.Log == nil || c.Stable == nil:
		return errors.New("transport, log store or stable store is missing")
	case c.EntriesInFlight < 1 || c.EntriesInFlight > raftAppends:
		return fmt.Errorf("%d entries in flight, want 1 to %d", c.EntriesInFlight, raftAppends)
	case c.CopyRate < 0 || c.CopyShare < 1 || c.CopyShare > 100:
		return fmt.Errorf("copies at %d bytes a second in %d hundredths of the time", c.CopyRate, c.CopyShare)
	case c.Heartbeat != 0 && c.Heartbeat < raftLease:
		return fmt.Errorf("heartbeat timeout of %v is below raft's lease of %v", c.Heartbeat, raftLease)
	}
	return nil
}

// Events is what the owner of a Host is told. Every func may be nil; they must not wait, and must not call the Host.
type Events struct {
	// LeaderGained: this node's replica leads the group in term; it may answer after the wait of CLUSTER 4.2.
	// planned says that there was none.
	LeaderGained func(group cluster.GroupID, term uint64, planned bool)
	// LeaderLost: it leads no more.
	LeaderLost func(group cluster.GroupID, term uint64)
	// LeaderKnown: the replica follows another leader now; empty when it knows none.
	LeaderKnown func(group cluster.GroupID, term uint64, leader cluster.ServerID)
	// MembersChanged: a membership has been applied.
	MembersChanged func(group cluster.GroupID, members []Member)
	// Fenced: the replica has stopped for ever in this process, because of err (CLUSTER 5.5).
	Fenced func(group cluster.GroupID, err error)
	// SnapshotInstalled: the replica's state was replaced by a snapshot of index.
	SnapshotInstalled func(group cluster.GroupID, index uint64)
	// Truncated: the log begins behind index now.
	Truncated func(group cluster.GroupID, index uint64)
	// PeerDead: the process of a node is judged gone, or silent, with the agreement of another survivor; the local
	// replica of each of the groups led there stands if it ranks first (CLUSTER 6.4).
	PeerDead func(node cluster.NodeID, evidence string, groups int)
	// Stood: the local replica of group was made a candidate because its leader is gone.
	Stood func(group cluster.GroupID, leader cluster.ServerID)
	// ClockJumped: wall and monotonic clock moved apart; the leases were dropped.
	ClockJumped func()
	// Compared: the others have confirmed that the replica holds all it promised; it takes part now, that long after it
	// started. Missing are voters whose word it did not wait for: when enough is false, too few for all that it may have
	// promised were there, and it goes on by the word of a quorum with itself (CLUSTER 6.3).
	Compared func(group cluster.GroupID, took time.Duration, missing []cluster.NodeID, enough bool)
	// AwaitsComparison: the replica still waits for these nodes before it takes part.
	AwaitsComparison func(group cluster.GroupID, missing []cluster.NodeID)
	// PledgesLost: what was heard of others could not be read or written.
	PledgesLost func(err error)
	// RaftLog is what hashicorp/raft found worth a line of warning or error.
	RaftLog func(group cluster.GroupID, level, text string)
}

// The settings of raft that are not the administrator's (reference: hashicorp/raft 1.8.0).
const (
	raftAppends       = maxAppend
	raftLease         = time.Second
	raftCommitTimeout = 500 * time.Millisecond
	heartbeatFew      = 2 * time.Second
	heartbeatMany     = 5 * time.Second
	manyGroups        = 64
	raftNever         = 10000 * time.Hour // of raft's own snapshots
)

func raftConfig(self cluster.ServerID, heartbeat time.Duration, notify chan<- bool, logger hclog.Logger) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(self)
	c.HeartbeatTimeout, c.ElectionTimeout = heartbeat, heartbeat
	c.LeaderLeaseTimeout = raftLease
	c.CommitTimeout = raftCommitTimeout
	c.MaxAppendEntries = raftAppends
	c.BatchApplyCh = true
	// A leader that loses its vote follows on: it may be a learner from there on, or be let in again.
	c.ShutdownOnRemove = false
	// The log is truncated by us, by bytes and age (CLUSTER 5.4).
	c.TrailingLogs = math.MaxUint64
	c.SnapshotThreshold = math.MaxUint64
	c.SnapshotInterval = raftNever
	c.NoSnapshotRestoreOnStart = true
	c.NoLegacyTelemetry = true
	c.NotifyCh = notify
	c.Logger = logger
	return c
}

// machineClock reads the machine's clocks.
type machineClock struct{ origin time.Time }

func newMachineClock() machineClock { return machineClock{time.Now()} }

// Mono implements Clock.
func (c machineClock) Mono() time.Duration { return time.Since(c.origin) }

// Wall implements Clock: without the monotonic reading, which Mono gives.
func (c machineClock) Wall() time.Time { return time.Now().Round(0) }
