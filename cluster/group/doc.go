// Package group hosts the Raft replicas of a node: it opens and closes them, replicates the parts that
// cluster/space hands it, says who may evaluate and read when, and carries snapshots, membership and hand-overs.
//
// It knows terms, quorums, leases and log positions. It never knows what an effect means, what a space holds, or
// where a node lives: cluster/space applies, cluster/transport resolves. hashicorp/raft is visible here and in
// cluster/raftlog only.
//
// Invariants (CLUSTER 1.4, 4.1, 4.2): a part is sent only in the term it was evaluated in; no answer leaves a
// leader before its predecessor's lease has ended; a lease counts from the send time of what a quorum confirmed;
// the log is truncated only below what the state has flushed; a replica whose files do not fit together is not
// started. Nothing in the judgement of silence and death (CLUSTER 6.4) is needed for correctness.
package group
