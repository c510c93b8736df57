// Package cluster holds the nouns and error kinds that the packages below it share: who a node, a group,
// a replica and a space are, and how a refusal crosses a wire.
//
// It knows no mail and does no I/O. Its numbers (error kinds) reach the wire and are never reused.
package cluster

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// NodeID names a machine of the cluster, for example "n1". It is chosen by the administrator, is at most 63
// bytes of [a-z0-9-], and is what a node's certificate is issued for.
type NodeID string

// Valid reports whether n is a well-formed node name.
func (n NodeID) Valid() bool {
	if n == "" || len(n) > 63 {
		return false
	}
	for _, c := range []byte(n) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// GroupID numbers a Raft group. SystemGroup holds directory, placement map and cluster level; mailbox groups
// count from 1.
type GroupID uint32

func (g GroupID) String() string { return strconv.FormatUint(uint64(g), 10) }

// SystemGroup is the group every node holds a replica of (CLUSTER 6.6).
const SystemGroup GroupID = 0

// ServerID is a replica's identity in Raft: node name, a dot, and the random incarnation of the replica's data
// in hexadecimal (CLUSTER 6.1). A replica whose data was lost comes back under another ServerID.
type ServerID string

// NewServerID joins a node's name and an incarnation.
func NewServerID(node NodeID, incarnation uint64) ServerID {
	return ServerID(fmt.Sprintf("%s.%016x", node, incarnation))
}

// Node is the node part of the id.
func (s ServerID) Node() NodeID {
	node, _, _ := strings.Cut(string(s), ".")
	return NodeID(node)
}

// SpaceID is a space's random 128-bit identity. Ids are never reused (CLUSTER 7.1).
type SpaceID [16]byte

func (s SpaceID) String() string { return hex.EncodeToString(s[:]) }

// ParseSpaceID reads the 32 hexadecimal digits of String.
func ParseSpaceID(text string) (SpaceID, error) {
	var s SpaceID
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(s) {
		return s, fmt.Errorf("space id %q: want 32 hexadecimal digits", text)
	}
	copy(s[:], b)
	return s, nil
}

// RequestID makes a retried update safe: the space answers a second arrival of one id with the first result
// (CLUSTER 1.7). The zero RequestID means the update is not remembered.
type RequestID struct {
	// ID is random, drawn by the first server that saw the request.
	ID [16]byte
	// Drawn is when that was, on the monotonic clock of this process: between nodes travels an id's age, since no
	// two calendars agree. An id older than RequestWindow is refused.
	Drawn time.Time
}

// IsZero reports whether the update asks not to be remembered.
func (r RequestID) IsZero() bool { return r.ID == [16]byte{} }

const (
	// RequestKept is how long a space remembers an answer at least, by the times of its entries.
	RequestKept = 15 * time.Minute
	// RequestWindow is how long a caller may retry one id.
	RequestWindow = 5 * time.Minute
)

// Kind says what an error means to the caller's retry logic. Kinds cross wires as numbers, for ever.
type Kind uint16

// The kinds. Add at the end; never renumber. Numbers from 1000 belong to packages above the cluster.
const (
	KindInternal       Kind = 1  // a bug or broken data; do not retry
	KindNotLeader      Kind = 2  // ask the leader named in the error, or look it up again
	KindUnknownOutcome Kind = 3  // may or may not have happened: ask the next leader by request id
	KindOverloaded     Kind = 4  // refused before anything was done; retry later
	KindUnavailable    Kind = 5  // no quorum, node unreachable, or not started; nothing was done
	KindNoSpace        Kind = 6  // the group does not hold this space (never did, or it moved away)
	KindTooLarge       Kind = 7  // effect or content beyond the limit
	KindStaleRequest   Kind = 8  // request id older than RequestWindow: outcome unknown, never run
	KindDeadline       Kind = 9  // the caller's deadline passed before anything was done
	KindNoMethod       Kind = 10 // the peer's version lacks the method
	KindBadRequest     Kind = 11 // the request does not decode
	KindDiskFull       Kind = 12 // below the write watermark (CLUSTER 5.5)
	KindDamaged        Kind = 13 // the replica's data fails its checks (CLUSTER 5.3)
	KindMoving         Kind = 14 // the space is frozen for a move; retry after a look-up
	KindExists         Kind = 15 // the space to be created is there already
	KindContentMissing Kind = 16 // a referenced content is not held by the group: upload it again
	KindUnsafe         Kind = 17 // what was asked would endanger the cluster as it is now; nothing was done
	KindGone           Kind = 18 // who was asked is no more, and never will be again
)

// Error is a refusal with a kind. Leader and Term are set for KindNotLeader when the answering node knows them.
type Error struct {
	Kind   Kind
	Text   string
	Group  GroupID
	Term   uint64
	Leader NodeID
}

func (e *Error) Error() string {
	if e.Kind == KindNotLeader {
		return fmt.Sprintf("group %d: not leader (term %d, leader %q)", e.Group, e.Term, e.Leader)
	}
	return e.Text
}

// Is makes errors.Is match on the kind alone.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Kind == e.Kind
}

// The sentinels, for errors.Is and for returning when there is nothing to add.
var (
	ErrNotLeader      = &Error{Kind: KindNotLeader, Text: "not leader"}
	ErrUnknownOutcome = &Error{Kind: KindUnknownOutcome, Text: "outcome unknown"}
	ErrOverloaded     = &Error{Kind: KindOverloaded, Text: "overloaded"}
	ErrUnavailable    = &Error{Kind: KindUnavailable, Text: "unavailable"}
	ErrNoSpace        = &Error{Kind: KindNoSpace, Text: "no such space"}
	ErrTooLarge       = &Error{Kind: KindTooLarge, Text: "too large"}
	ErrStaleRequest   = &Error{Kind: KindStaleRequest, Text: "request id too old"}
	ErrDeadline       = &Error{Kind: KindDeadline, Text: "deadline passed"}
	ErrNoMethod       = &Error{Kind: KindNoMethod, Text: "no such method"}
	ErrBadRequest     = &Error{Kind: KindBadRequest, Text: "malformed request"}
	ErrDiskFull       = &Error{Kind: KindDiskFull, Text: "disk nearly full"}
	ErrDamaged        = &Error{Kind: KindDamaged, Text: "replica damaged"}
	ErrMoving         = &Error{Kind: KindMoving, Text: "space is moving"}
	ErrExists         = &Error{Kind: KindExists, Text: "space exists"}
	ErrContentMissing = &Error{Kind: KindContentMissing, Text: "content is not held by the group"}
)

// Errorf makes an Error of a kind.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// KindOf is the kind of the first Error in err's chain, or KindInternal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}

// Retryable reports whether the same request, with the same request id, may be sent again (CLUSTER 1.7).
func Retryable(err error) bool {
	switch KindOf(err) {
	case KindNotLeader, KindUnknownOutcome, KindOverloaded, KindUnavailable, KindNoSpace, KindMoving:
		return true
	}
	return false
}
