// Package space is the transactional key-value database that one mailbox, the directory or a shard of the queue
// lives in: Update, View and Watch for those above, and the one state machine that applies effects below.
//
// It knows keys, sequence numbers, content by hash, request ids, outboxes and due times. It never knows what a key
// means, how an entry reaches the other replicas (Replicator does), or which node holds what.
//
// Invariants: an effect is applied exactly when the space still is at the sequence it was computed at; one Apply is
// one engine batch, with the log position in it; the replicated pairs are a function of the log alone, however it
// was split (CLUSTER 1.3). A function given to Update has no side effect and may run again. Keys and the coding of
// entries reach disk and wire for ever: docs/design/space.md. Spec: CLUSTER 1, 2, 3, 4.5, 5.1, 5.6.
package space

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// Sizes that reach the log (CLUSTER 1.5, 1.6, 3.1), in bytes.
const (
	// MaxEntry is the most one Raft entry holds; a larger effect is staged in pieces.
	MaxEntry = 256 << 10
	// MaxEffect is the most one update may write in all.
	MaxEffect = 16 << 20
	// MaxInline is the most content one update carries itself; larger content is uploaded ahead in chunks.
	MaxInline = 160 << 10
	// MaxChunk is the most one content chunk holds before compression, so that a chunk that does not compress
	// still fits an entry with its frame.
	MaxChunk = 240 << 10
	// MaxAnswer is the most the space remembers of an update's answer.
	MaxAnswer = 1 << 10
)

// Hash names content: the SHA-256 of its uncompressed bytes.
type Hash [sha256.Size]byte

// HashOf is the name of b as content.
func HashOf(b []byte) Hash { return sha256.Sum256(b) }

// Reader is what a function given to View or Update reads a space through. Keys are the space's own: the first
// byte is below ReservedPrefix. A Reader must not outlive the function it was given to.
type Reader interface {
	// Get returns the value of key, nil when it is absent; a present empty value is not nil. The caller owns it.
	Get(key []byte) ([]byte, error)
	// Iter walks the keys of [lo, hi) in ascending order; nil hi means the end of the space.
	Iter(lo, hi []byte) Iterator
	// Content returns the bytes named h, or ErrContentMissing. The caller owns them.
	Content(h Hash) ([]byte, error)
	// Sequence is the number of effects applied to the space before what is read here.
	Sequence() uint64
	// Space is which space is read.
	Space() cluster.SpaceID
	// Epoch is the placement epoch under which the space is here; it rises with every move (CLUSTER 6.7).
	Epoch() uint64
}

// Iterator walks pairs; it starts before the first. Key and Value are valid until the next move.
//
//	for it.Next() { use(it.Key(), it.Value()) }
//	if err := it.Close(); err != nil { … }
type Iterator interface {
	Next() bool
	// SeekGE moves to the first key at or after key; like Next it reports whether there is one.
	SeekGE(key []byte) bool
	// Last moves to the last pair, Prev to the one before.
	Last() bool
	Prev() bool
	Key() []byte
	Value() []byte
	// Close releases the iterator and returns the first error it met.
	Close() error
}

// ReservedPrefix is the lowest first key byte that belongs to this package (outbox, marks, due index).
const ReservedPrefix = 0xF0

// Writer is what a function given to Update changes a space through. Nothing is visible to others before the
// effect has been applied on the owner (CLUSTER 1.1).
type Writer interface {
	Reader
	Set(key, value []byte)
	Delete(key []byte)
	// DeleteRange removes every key of [lo, hi).
	DeleteRange(lo, hi []byte)
	// Now is the wall time of the effect. It is the same on every replica and for one run of the function.
	Now() time.Time
	// Level is the cluster level up to which the effect may use formats (CLUSTER 7.2): that of the group's log as far as it
	// is applied here, from 1 on.
	Level() uint64
	// PutContent makes the space hold b, sent inside the effect, and returns its name. All inline content of
	// one update together stays below MaxInline.
	PutContent(b []byte) Hash
	// Ref makes the space hold content that the group already has (an upload, or another space's): if it is
	// absent when the effect is applied, the effect is void and the caller gets ErrContentMissing.
	Ref(h Hash)
	// Unref ends what PutContent or Ref began. Repeats inside one space are the caller's to count (CLUSTER 3.2).
	Unref(h Hash)
	// Intend writes work for another space into the outbox, in the same effect (CLUSTER 2.1).
	Intend(in Intent)
	// Schedule writes work at a time into the due index; Unschedule takes it out again (CLUSTER 2.2).
	Schedule(d Due)
	Unschedule(d Due)
}

// Intent is work for another space: performed there exactly once, under (source space, number).
type Intent struct {
	// Target says who performs it: a mailbox GUID, or a well-known name such as "queue".
	Target string
	// Op numbers what to do; Payload is coded by whoever owns Op.
	Op      uint16
	Payload []byte
	// Origin is, for a Performer, the group in which the intent was written, zero if the space has not left it since:
	// a target of which each group has one of its own is that group's, where it is remembered what was performed.
	Origin cluster.GroupID
}

// Due is work at a time, performed by the owner through Update.
type Due struct {
	At time.Time
	// Op numbers what to do; Key tells two works of one Op at one time apart.
	Op  uint16
	Key []byte
}

// UpdateFunc computes an effect. It may be run several times, must do no I/O and keep no state outside the
// Writer; its answer is what the caller of Update gets, and up to MaxAnswer bytes of it are remembered under the
// request id. An error means a definite refusal: nothing is replicated and nothing is remembered. The caller of Update
// gets it when it is certain that it rests on nothing that did not happen, or was over when Update was called.
type UpdateFunc func(w Writer) (answer []byte, err error)

// ViewFunc reads; it may be run again when the lease ended while it ran.
type ViewFunc func(r Reader) error

// ReadMode says how fresh a View is.
type ReadMode uint8

const (
	// ReadLease reads on the leader under its lease (CLUSTER 4.1): the default, never stale.
	ReadLease ReadMode = iota
	// ReadIndex asks the leader for a commit index confirmed by a quorum and waits for it here, on any replica
	// (CLUSTER 4.3).
	ReadIndex
	// ReadLocal reads what this replica has applied, once it has caught up after its start (CLUSTER 4.4).
	ReadLocal
)

// Outcome says what applying a part did. Numbers reach no wire and no disk.
type Outcome uint8

const (
	// Done: the effect was written.
	Done Outcome = iota + 1
	// VoidSequence: the space had moved on; run the function again.
	VoidSequence
	// VoidTerm: the entry was committed in another term than it was evaluated in; run it again.
	VoidTerm
	// VoidContent: content it needs is absent.
	VoidContent
	// VoidSpace: the space is not there, is frozen, or has another placement epoch.
	VoidSpace
)

// Replicator is what a space's engine needs of the Raft group below it; cluster/group implements it.
type Replicator interface {
	// Lead returns the term in which this node may evaluate now: it leads, its barrier of that term is applied,
	// and CLUSTER 4.2's wait is over. Otherwise it returns a NotLeader or Unavailable error; while the wait
	// lasts it waits, up to ctx.
	Lead(ctx context.Context) (term uint64, err error)
	// Propose replicates one encoded part, packed with others of the same term into entries in the order of
	// calls, and waits until its entry is applied here. An error of kind UnknownOutcome means the entry may
	// still commit. Part must not be changed until Propose returns.
	Propose(ctx context.Context, term uint64, part []byte) (Outcome, error)
	// BeginRead checks that a read in the mode may start; what it returns checks, after the read, that it
	// was allowed to the end.
	BeginRead(ctx context.Context, mode ReadMode) (end func() error, err error)
}

// Applied is the position of a replica in its group's log, kept in the same engine batch as the effects
// (CLUSTER 1.3).
type Applied struct {
	Index, Term uint64
	// Configuration is Raft's membership, encoded by cluster/group, as of ConfigurationIndex.
	Configuration      []byte
	ConfigurationIndex uint64
}

// LogEntry is a committed entry on its way into Machine.Apply.
type LogEntry struct {
	Index, Term uint64
	// Data is nil for entries that carry no effect (no-op, barrier).
	Data []byte
	// Configuration is set for membership entries.
	Configuration []byte
}

// MaxKey is the longest key of a space, in bytes.
const MaxKey = 4 << 10

// MaxPart is the most one part holds, so that it fits an entry of MaxEntry on its own.
const MaxPart = MaxEntry - 64

// MaxLongAnswer is the most an answer that is remembered may take at all: answers above MaxAnswer are for the few
// ops whose result cannot be computed again.
const MaxLongAnswer = 64 << 10
