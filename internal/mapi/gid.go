package mapi

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// GID names an object or a change across replicas: a replica and its counter (MS-OXCDATA 2.2.1.3). As PidTagSourceKey
// it is 22 bytes, as a LongTermID two more of padding.
type GID struct {
	Replica GUID          `wire:"1"`
	Counter GlobalCounter `wire:"2"`
}

const (
	gidSize        = 22
	longTermIDSize = 24
)

// ErrBadGID says that bytes are no global identifier.
var ErrBadGID = errors.New("malformed global identifier")

// AppendGlobalCounter adds c in the form every identifier of MAPI has it: six bytes, the highest first.
func AppendGlobalCounter(dst []byte, c GlobalCounter) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(c))
	return append(dst, b[2:]...)
}

// ParseGlobalCounter reads six bytes, the highest first.
func ParseGlobalCounter(b [6]byte) GlobalCounter {
	return GlobalCounter(binary.BigEndian.Uint32(b[2:])) | GlobalCounter(binary.BigEndian.Uint16(b[:2]))<<32
}

// Append adds the 22 bytes of a source key.
func (g GID) Append(dst []byte) []byte {
	return AppendGlobalCounter(append(dst, g.Replica[:]...), g.Counter)
}

// AppendLongTermID adds the 24 bytes of a LongTermID.
func (g GID) AppendLongTermID(dst []byte) []byte { return append(g.Append(dst), 0, 0) }

// ParseGID reads a source key. Foreign clients give objects source keys of other lengths; those are kept as bytes and
// are no GID.
func ParseGID(b []byte) (GID, error) {
	var g GID
	if len(b) != gidSize {
		return g, fmt.Errorf("source key of %d bytes: %w", len(b), ErrBadGID)
	}
	copy(g.Replica[:], b)
	g.Counter = ParseGlobalCounter([6]byte(b[len(g.Replica):]))
	return g, nil
}

// ParseLongTermID reads 24 bytes. What is in the padding does not matter.
func ParseLongTermID(b []byte) (GID, error) {
	if len(b) != longTermIDSize {
		return GID{}, fmt.Errorf("long-term id of %d bytes: %w", len(b), ErrBadGID)
	}
	return ParseGID(b[:gidSize])
}

// ServerID is the value of PtypServerId (MS-OXCDATA 2.11.1.4): an object of this mailbox, or bytes that only the
// client understands.
type ServerID struct {
	// Ours: FID, MID and Instance count. A folder has no MID.
	Ours     bool
	FID      FID
	MID      MID
	Instance uint32
	// Theirs is the client's form.
	Theirs []byte
}
