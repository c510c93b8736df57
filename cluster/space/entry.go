package space

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// The form of entries that this release writes and the newest it can apply (CLUSTER 1.2).
const (
	entryFormat  byte   = 1
	entryVersion uint16 = 1
	entryHead           = 1 + 2 + 8
)

// maxParts bounds the parts of one entry.
const maxParts = 4096

// partKind says what a part does. The numbers reach disk: add, never change or reuse.
type partKind byte

const (
	partUpdate  partKind = 1  // an effect on a space
	partCreate  partKind = 2  // the first effect of a new space
	partPiece   partKind = 3  // a piece of an effect that does not fit an entry
	partCommit  partKind = 4  // closes the pieces of an update
	partContent partKind = 5  // a chunk of content ahead of who refers to it; without bytes: keep what is there
	partCollect partKind = 6  // content and stages that may be dropped
	partLevel   partKind = 7  // the group's level and recovery epoch
	partHash    partKind = 8  // every replica hashes its pairs as of this entry
	partDrop    partKind = 9  // the space ends; its id stays taken
	partMove    partKind = 10 // a step of a space's move (CLUSTER 7.1)
	partCopy    partKind = 11 // a piece of a space that arrives, as its old group had it at some time since the move began
	partReplay  partKind = 12 // effects that a space that arrives has seen in its old group since the move began
)

// ErrUnknownEntry is what Machine.Apply returns for an entry of a format or version that this program does not
// know. The group stops on this node; the entry is never skipped (CLUSTER 1.3).
var ErrUnknownEntry = errors.New("entry of an unknown form: this program is too old for the group's log")

// AppendEntry appends the entry that carries parts, all evaluated in term.
func AppendEntry(dst []byte, term uint64, parts [][]byte) []byte {
	dst = binary.LittleEndian.AppendUint16(append(dst, entryFormat), entryVersion)
	dst = binary.LittleEndian.AppendUint64(dst, term)
	for _, p := range parts {
		dst = wire.AppendBytes(dst, p)
	}
	return dst
}

// EntrySize is the length of what AppendEntry appends. One part of at most MaxPart bytes always fits MaxEntry.
func EntrySize(parts [][]byte) int {
	n := entryHead
	for _, p := range parts {
		n += PartSize(len(p))
	}
	return n
}

// PartSize is what a part of n bytes adds to an entry.
func PartSize(n int) int {
	size := n + 1
	for v := n; v >= 0x80; v >>= 7 {
		size++
	}
	return size
}

// EntryTerm is the term an entry was evaluated in.
func EntryTerm(entry []byte) (uint64, error) {
	r := wire.NewReader(entry)
	term := openEntry(r)
	return term, r.Err()
}

func openEntry(r *wire.Reader) (term uint64) {
	format := r.Byte()
	head := r.Take(2)
	if r.Err() != nil {
		return 0
	}
	if v := binary.LittleEndian.Uint16(head); format != entryFormat || v > entryVersion {
		r.Fail(fmt.Errorf("%w (format %d, version %d)", ErrUnknownEntry, format, v))
	}
	return r.Fixed64()
}

// decodeEntry splits an entry; the parts are slices of it.
func decodeEntry(entry []byte) (term uint64, parts [][]byte, err error) {
	r := wire.NewReader(entry)
	term = openEntry(r)
	for r.Len() > 0 {
		if len(parts) == maxParts {
			return 0, nil, errors.New("too many parts")
		}
		parts = append(parts, r.Bytes())
	}
	return term, parts, r.Close()
}

// partHeader opens every part.
type partHeader struct {
	kind  partKind
	space cluster.SpaceID
	epoch uint64 // placement epoch
	base  uint64 // the space's sequence the part was computed at
	wall  int64  // Unix nanoseconds
}

// partHeaderMax is the most bytes appendPartHeader appends.
const partHeaderMax = 1 + 16 + 2*binary.MaxVarintLen64 + 8

func appendPartHeader(dst []byte, h partHeader) []byte {
	dst = append(append(dst, byte(h.kind)), h.space[:]...)
	dst = wire.AppendUvarint(dst, h.epoch)
	dst = wire.AppendUvarint(dst, h.base)
	return wire.AppendFixed64(dst, uint64(h.wall))
}

func readPartHeader(r *wire.Reader) (h partHeader) {
	h.kind = partKind(r.Byte())
	copy(h.space[:], r.Take(len(h.space)))
	h.epoch, h.base = r.Uvarint(), r.Uvarint()
	h.wall = int64(r.Fixed64())
	return h
}

// answer is what a space remembers under a request id.
type answer struct {
	id    requestID
	bytes []byte
}

// inline is content that travels in its effect, in stored form.
type inline struct {
	hash   Hash
	stored []byte
}

// effect is what an update part and a create part carry, and what staged pieces join to.
type effect struct {
	answers  []answer
	needs    []Hash
	unrefs   []Hash
	contents []inline
	batch    []byte // stored form of the ops
	hints    []byte // for watchers; opaque here, empty in this release
}

func appendEffect(dst []byte, e *effect) []byte {
	dst = wire.AppendUvarint(dst, uint64(len(e.answers)))
	for _, a := range e.answers {
		dst = wire.AppendBytes(append(dst, a.id[:]...), a.bytes)
	}
	dst = appendHashes(dst, e.needs)
	dst = appendHashes(dst, e.unrefs)
	dst = wire.AppendUvarint(dst, uint64(len(e.contents)))
	for _, c := range e.contents {
		dst = wire.AppendBytes(append(dst, c.hash[:]...), c.stored)
	}
	return wire.AppendBytes(wire.AppendBytes(dst, e.batch), e.hints)
}

// readEffect reads what appendEffect wrote; its slices are the input's.
func readEffect(r *wire.Reader) *effect {
	e := &effect{}
	if n := r.Count(len(requestID{}) + 1); n > 0 {
		e.answers = make([]answer, n)
	}
	for i := range e.answers {
		a := &e.answers[i]
		copy(a.id[:], r.Take(len(a.id)))
		a.bytes = r.Bytes()
	}
	e.needs, e.unrefs = readHashes(r), readHashes(r)
	if n := r.Count(hashLen + 1); n > 0 {
		e.contents = make([]inline, n)
	}
	for i := range e.contents {
		copy(e.contents[i].hash[:], r.Take(hashLen))
		e.contents[i].stored = r.Bytes()
	}
	e.batch, e.hints = r.Bytes(), r.Bytes()
	return e
}

func appendHashes(dst []byte, hashes []Hash) []byte {
	dst = wire.AppendUvarint(dst, uint64(len(hashes)))
	for i := range hashes {
		dst = append(dst, hashes[i][:]...)
	}
	return dst
}

func readHashes(r *wire.Reader) []Hash {
	n := r.Count(hashLen)
	if n == 0 {
		return nil
	}
	hashes := make([]Hash, n)
	for i := range hashes {
		copy(hashes[i][:], r.Take(hashLen))
	}
	return hashes
}

// piece is one of the cuts of a staged effect.
type piece struct {
	stage  stageID
	number uint32
	bytes  []byte
}

func appendPiece(dst []byte, p piece) []byte {
	dst = append(dst, p.stage[:]...)
	return wire.AppendBytes(wire.AppendUvarint(dst, uint64(p.number)), p.bytes)
}

func readPiece(r *wire.Reader) (p piece) {
	copy(p.stage[:], r.Take(len(p.stage)))
	p.number, p.bytes = readNumber(r), r.Bytes()
	return p
}

func readNumber(r *wire.Reader) uint32 {
	n := r.Uvarint()
	if n > 1<<20 {
		r.Fail(wire.ErrOverflow)
	}
	return uint32(n)
}

// commit closes a stage: so many pieces, which join to bytes of this hash.
type commit struct {
	joined joined
	stage  stageID
	pieces uint32
	sum    Hash
}

// joined says what staged pieces join to. The numbers reach disk.
type joined byte

const (
	joinedUpdate joined = 0
	joinedCreate joined = 1
	joinedCopy   joined = 2
	joinedReplay joined = 3
)

func appendCommit(dst []byte, c commit) []byte {
	dst = append(append(dst, byte(c.joined)), c.stage[:]...)
	return append(wire.AppendUvarint(dst, uint64(c.pieces)), c.sum[:]...)
}

func readCommit(r *wire.Reader) (c commit) {
	c.joined = joined(r.Byte())
	copy(c.stage[:], r.Take(len(c.stage)))
	c.pieces = readNumber(r)
	copy(c.sum[:], r.Take(hashLen))
	return c
}

// collection lists what may go, if nothing holds it when the entry is applied (CLUSTER 3.2).
type collection struct {
	hashes []Hash
	stages []stageID
}

func appendCollection(dst []byte, c collection) []byte {
	dst = appendHashes(dst, c.hashes)
	dst = wire.AppendUvarint(dst, uint64(len(c.stages)))
	for i := range c.stages {
		dst = append(dst, c.stages[i][:]...)
	}
	return dst
}

func readCollection(r *wire.Reader) (c collection) {
	c.hashes = readHashes(r)
	if n := r.Count(stageLen); n > 0 {
		c.stages = make([]stageID, n)
	}
	for i := range c.stages {
		copy(c.stages[i][:], r.Take(stageLen))
	}
	return c
}

func appendLevel(dst []byte, g GroupRecord) []byte {
	return wire.AppendUvarint(wire.AppendUvarint(dst, g.Level), g.RecoveryEpoch)
}

// The ops of a batch. They reach disk.
const (
	opSet         byte = 1 // key, value
	opDelete      byte = 2 // key
	opDeleteRange byte = 3 // lo, hi
)

// sink is what a batch's ops are replayed into; keys are the space's.
type sink interface {
	set(key, value []byte) error
	delete(key []byte) error
	deleteRange(lo, hi []byte) error
}

// replay reads ops until they end or the sink fails.
func replay(ops []byte, to sink) error {
	r := wire.NewReader(ops)
	for r.Len() > 0 {
		op, key := r.Byte(), r.Bytes()
		var arg []byte
		if op != opDelete {
			arg = r.Bytes()
		}
		if r.Err() != nil {
			return r.Err()
		}
		if err := replayOne(to, op, key, arg); err != nil {
			return err
		}
	}
	return r.Close()
}

func replayOne(to sink, op byte, key, arg []byte) error {
	if len(key) == 0 {
		return errors.New("empty key")
	}
	switch op {
	case opSet:
		return to.set(key, arg)
	case opDelete:
		return to.delete(key)
	case opDeleteRange:
		if len(arg) == 0 {
			return errors.New("range without end")
		}
		return to.deleteRange(key, arg)
	}
	return fmt.Errorf("unknown op %d", op)
}
