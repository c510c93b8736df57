package space

import (
	"encoding/binary"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
)

// The first byte of every key of a group's engine. They reach disk: add, never change or reuse. Below localFrom a
// key is replicated, part of every snapshot and of the hash that replicas compare; from there on it belongs to the
// replica alone. docs/design/space.md describes each record.
const (
	prefixData      byte = 0x01 // space | key → value
	prefixHeader    byte = 0x02 // space → header
	prefixRequest   byte = 0x03 // space | generation | id → answer
	prefixContent   byte = 0x04 // hash → size; says that the body is there, without reading it
	prefixRef       byte = 0x05 // hash | space → empty
	prefixHeld      byte = 0x06 // space | hash → empty, the mirror of prefixRef
	prefixUpload    byte = 0x07 // hash → wall time of the upload, and the space that it is for
	prefixCandidate byte = 0x08 // hash → empty: a reference ended, collection may look
	prefixPiece     byte = 0x09 // stage | number → wall time and bytes
	prefixGroup     byte = 0x0A // → level and recovery epoch of the group
	prefixBody      byte = 0x0B // hash → stored content
	prefixJournal   byte = 0x0C // space | sequence → header or effect: what happened to a space since its move began
	prefixLate      byte = 0x0E // space | hash → empty: uploaded for the space since its move began
	prefixCursor    byte = 0x0D // space → how far a space that arrives has been copied

	localFrom     byte = 0x80
	prefixApplied byte = 0xF0 // → log position; with a byte 1 behind → membership
	prefixLocal   byte = 0xF1 // name → record of this replica alone
)

// The first byte of the keys inside a space that belong to this package; they move with the space.
const (
	reservedOutbox byte = 0xF0 // length of target | target | number → intent
	reservedMark   byte = 0xF1 // source space → highest number performed here
	reservedDue    byte = 0xF2 // time | op | key → empty
	reservedOrigin byte = 0xF3 // sequence → group that the space left then
)

const (
	spaceLen  = len(cluster.SpaceID{})
	hashLen   = len(Hash{})
	stageLen  = len(stageID{})
	dataStart = 1 + spaceLen
)

// stageID names the pieces of one effect that did not fit an entry.
type stageID [16]byte

// requestID is the part of a cluster.RequestID that is stored.
type requestID = [16]byte

func appendSpaceKey(dst []byte, prefix byte, id cluster.SpaceID) []byte {
	return append(append(dst, prefix), id[:]...)
}

func dataKey(id cluster.SpaceID, key []byte) []byte {
	return append(appendSpaceKey(make([]byte, 0, dataStart+len(key)), prefixData, id), key...)
}

func headerKey(id cluster.SpaceID) []byte {
	return appendSpaceKey(make([]byte, 0, dataStart), prefixHeader, id)
}

// requestKey sorts by generation, so that what has expired is one range.
func requestKey(id cluster.SpaceID, generation uint64, r requestID) []byte {
	return append(generationKey(id, generation), r[:]...)
}

// generationKey is where a generation of answers begins.
func generationKey(id cluster.SpaceID, generation uint64) []byte {
	k := appendSpaceKey(make([]byte, 0, dataStart+8+len(requestID{})), prefixRequest, id)
	return binary.BigEndian.AppendUint64(k, generation)
}

// appendTime writes a signed number so that byte order is number order.
func appendTime(dst []byte, t int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(t)^1<<63)
}

func parseTime(b []byte) int64 { return int64(binary.BigEndian.Uint64(b) ^ 1<<63) }

func hashKey(prefix byte, h Hash) []byte {
	return append(append(make([]byte, 0, 1+hashLen), prefix), h[:]...)
}

func refKey(h Hash, id cluster.SpaceID) []byte {
	k := append(append(make([]byte, 0, 1+hashLen+spaceLen), prefixRef), h[:]...)
	return append(k, id[:]...)
}

func heldKey(id cluster.SpaceID, h Hash) []byte {
	return append(appendSpaceKey(make([]byte, 0, dataStart+hashLen), prefixHeld, id), h[:]...)
}

func pieceKey(s stageID, number uint32) []byte {
	k := append(append(make([]byte, 0, 1+stageLen+4), prefixPiece), s[:]...)
	return binary.BigEndian.AppendUint32(k, number)
}

func localKey(name string) []byte { return append([]byte{prefixLocal}, name...) }

// prefixEnd is the lowest key above all that begin with k.
func prefixEnd(k []byte) []byte {
	end := append([]byte(nil), k...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// checkKey refuses keys that are not the space's own to use.
func checkKey(key []byte) error {
	if len(key) == 0 || key[0] >= ReservedPrefix {
		return cluster.Errorf(cluster.KindInternal, "key %x is reserved", key[:min(len(key), 16)])
	}
	if len(key) > MaxKey {
		return cluster.Errorf(cluster.KindTooLarge, "key of %d bytes", len(key))
	}
	return nil
}

// damaged reports a record that does not decode.
func damaged(what string, key []byte, err error) error {
	return fmt.Errorf("%w: %s at %x: %w", cluster.ErrDamaged, what, key, err)
}
