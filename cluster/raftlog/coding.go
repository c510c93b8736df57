package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/hashicorp/raft"
)

// A coded entry, for ever:
//
//	format (1) · crc (4) · before (8) · term · type (1) · appended · extensions length · extensions · data
//
// Integers without a size are varints. before is the number of coded bytes that the group's log held before the entry
// since it began, so that the size of any part of a log is a subtraction. appended is in Unix nanoseconds, 0 for none.
// The crc (Castagnoli) covers group, index and all that follows it: an entry under another's key does not check.
const (
	formatEntry = 1
	formatFloor = 1
	crcAt       = 1
	beforeAt    = 5
	termAt      = 13
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errCoding = errors.New("entry does not check")

// entryOverhead is the most that a coded entry has besides its extensions and data.
const entryOverhead = termAt + 4*binary.MaxVarintLen64

// appendEntry appends the coded form of l to dst.
func appendEntry(dst []byte, g cluster.GroupID, l *raft.Log, before uint64) []byte {
	start := len(dst)
	b := append(dst, make([]byte, termAt)...)
	b[start] = formatEntry
	binary.LittleEndian.PutUint64(b[start+beforeAt:], before)
	b = binary.AppendUvarint(b, l.Term)
	b = append(b, byte(l.Type))
	var appended int64
	if !l.AppendedAt.IsZero() {
		appended = l.AppendedAt.UnixNano()
	}
	b = binary.AppendVarint(b, appended)
	b = binary.AppendUvarint(b, uint64(len(l.Extensions)))
	b = append(b, l.Extensions...)
	b = append(b, l.Data...)
	binary.LittleEndian.PutUint32(b[start+crcAt:], entrySum(g, l.Index, b[start+beforeAt:]))
	return b
}

func entrySum(g cluster.GroupID, index uint64, b []byte) uint32 {
	var key [12]byte
	binary.BigEndian.PutUint32(key[:], uint32(g))
	binary.BigEndian.PutUint64(key[4:], index)
	return crc32.Update(crc32.Checksum(key[:], castagnoli), castagnoli, b)
}

// decodeEntry fills l with slices of b.
func decodeEntry(g cluster.GroupID, index uint64, b []byte, l *raft.Log) (before uint64, err error) {
	if len(b) < termAt || b[0] != formatEntry {
		return 0, fmt.Errorf("%w: unknown form", errCoding)
	}
	if binary.LittleEndian.Uint32(b[crcAt:]) != entrySum(g, index, b[beforeAt:]) {
		return 0, fmt.Errorf("%w: checksum", errCoding)
	}
	before = binary.LittleEndian.Uint64(b[beforeAt:])
	d := decoder{b: b[termAt:]}
	term := d.uvarint()
	kind := d.take(1)
	appended := d.varint()
	extensions := d.take(d.uvarint())
	if d.bad {
		return 0, fmt.Errorf("%w: too short", errCoding)
	}
	*l = raft.Log{Index: index, Term: term, Type: raft.LogType(kind[0]), Data: d.b}
	if len(extensions) > 0 {
		l.Extensions = extensions
	}
	if len(d.b) == 0 {
		l.Data = nil
	}
	if appended != 0 {
		l.AppendedAt = time.Unix(0, appended)
	}
	return before, nil
}

// decoder reads fields until one is not there; then all are zero and bad is set.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	return v * uint64(d.skip(n))
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	return v * int64(d.skip(n))
}

// skip steps over a varint of n bytes and returns 1, or 0 when there was none.
func (d *decoder) skip(n int) int {
	if n <= 0 || d.bad {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return 1
}

func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	head := d.b[:n:n]
	d.b = d.b[n:]
	return head
}

// Floor says where a group's log begins: after an index that the state holds durably (CLUSTER 5.3). It is written when
// the replica is made, and with every deletion from the front.
type Floor struct {
	Server cluster.ServerID
	// Index is the last index before the log; 0 when nothing was ever deleted.
	Index uint64
	// Term is the term at Index, 0 when it is not known.
	Term uint64
}

// A floor record: format (1) · crc (4) · group (4) · index (8) · term (8) · server id. The crc covers what follows it.
const floorHeader = 25

func encodeFloor(g cluster.GroupID, f Floor) []byte {
	b := make([]byte, floorHeader, floorHeader+len(f.Server))
	b[0] = formatFloor
	binary.BigEndian.PutUint32(b[5:], uint32(g))
	binary.BigEndian.PutUint64(b[9:], f.Index)
	binary.BigEndian.PutUint64(b[17:], f.Term)
	b = append(b, f.Server...)
	binary.LittleEndian.PutUint32(b[crcAt:], crc32.Checksum(b[5:], castagnoli))
	return b
}

func decodeFloor(g cluster.GroupID, b []byte) (Floor, error) {
	if len(b) < floorHeader || b[0] != formatFloor ||
		binary.LittleEndian.Uint32(b[crcAt:]) != crc32.Checksum(b[5:], castagnoli) ||
		binary.BigEndian.Uint32(b[5:]) != uint32(g) {
		return Floor{}, fmt.Errorf("floor record: %w", errCoding)
	}
	return Floor{
		Index:  binary.BigEndian.Uint64(b[9:]),
		Term:   binary.BigEndian.Uint64(b[17:]),
		Server: cluster.ServerID(b[floorHeader:]),
	}, nil
}
