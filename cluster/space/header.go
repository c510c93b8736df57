package space

import (
	"errors"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// State says what may be done with a space. The numbers reach disk: add, never change or reuse.
type State byte

const (
	// Active: the space is read and written here.
	Active State = 1
	// Frozen: the space is moving away; nothing is evaluated (CLUSTER 7.1).
	Frozen State = 2
	// Dropped: a tombstone. Its id is never used again.
	Dropped State = 3
	// Moved: a tombstone too, of a space that lives in another group. It may come back under a higher placement epoch.
	Moved State = 4
	// Arriving: the space is being copied to here from another group; nothing is evaluated (CLUSTER 7.1).
	Arriving State = 5
)

const headerFormat = 1

// header is the record of a space.
type header struct {
	state    State
	epoch    uint64 // placement epoch; rises with every move
	sequence uint64 // effects applied
	wall     int64  // of the newest effect; never goes back
	// clock is what ages answers: the time that passed between effects, as advance counts it.
	clock int64
	// move is the space's move that is under way here, or that a Moved space left with.
	move move
}

// advance takes the wall time of an effect, which is its leader's (CLUSTER 1.7). The calendar of a leader may be an
// hour ahead of the one before, and a space's wall time an hour ahead of its leader's for ever after; no answer may go
// for that before its time, nor stay for good. So an effect ages them by at most maxStep, and by minStep while the wall
// time stands: a space's effects come one after the other and each costs a majority a sync.
func (h *header) advance(wall int64) {
	h.clock += min(max(wall-h.wall, minStep), maxStep)
	h.wall = max(h.wall, wall)
}

// generation is where the next answer is kept. Answers are looked for in this one and the one before.
func (h *header) generation() uint64 { return uint64(h.clock / answersKept) }

func appendHeader(dst []byte, h *header) []byte {
	dst = append(dst, headerFormat, byte(h.state))
	dst = wire.AppendUvarint(dst, h.epoch)
	dst = wire.AppendUvarint(dst, h.sequence)
	dst = wire.AppendFixed64(dst, uint64(h.wall))
	dst = wire.AppendFixed64(dst, uint64(h.clock))
	if h.move == (move{}) {
		return dst
	}
	return appendMove(dst, h.move)
}

func decodeHeader(b []byte) (*header, error) {
	r := wire.NewReader(b)
	if f := r.Byte(); r.Err() == nil && f != headerFormat {
		return nil, fmt.Errorf("%w: header %d", ErrUnknownEntry, f)
	}
	h := &header{state: State(r.Byte())}
	h.epoch, h.sequence = r.Uvarint(), r.Uvarint()
	h.wall, h.clock = int64(r.Fixed64()), int64(r.Fixed64())
	if r.Len() > 0 {
		h.move = readMove(r)
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	if h.state < Active || h.state > Arriving {
		return nil, errors.New("unknown state")
	}
	return h, nil
}

// readHeader returns nil when the space was never here.
func readHeader(from lsm.Reader, id cluster.SpaceID) (*header, error) {
	key := headerKey(id)
	b, err := from.Get(key)
	if err != nil || b == nil {
		return nil, err
	}
	h, err := decodeHeader(b)
	if err != nil {
		return nil, damaged("header", key, err)
	}
	return h, nil
}

// equal compares what a space was with what it is; nil is a space that was never here.
func (h *header) equal(other *header) bool {
	if h == nil || other == nil {
		return h == other
	}
	return *h == *other
}

// use returns why a space with this header, which may be nil, cannot be read or written.
func (h *header) use(id cluster.SpaceID) error {
	switch {
	case h == nil:
		return cluster.Errorf(cluster.KindNoSpace, "space %s is not in this group", id)
	case h.state == Dropped:
		return cluster.Errorf(cluster.KindNoSpace, "space %s was dropped", id)
	case h.state == Moved:
		return cluster.Errorf(cluster.KindNoSpace, "space %s has moved away", id)
	case h.state == Frozen, h.state == Arriving:
		return cluster.Errorf(cluster.KindMoving, "space %s is moving", id)
	}
	return nil
}

const appliedFormat = 1

var (
	positionKey   = [...]byte{prefixApplied}
	membershipKey = [...]byte{prefixApplied, 1}
)

func appendPosition(dst []byte, a *Applied) []byte {
	return wire.AppendUvarint(wire.AppendUvarint(append(dst, appliedFormat), a.Index), a.Term)
}

func appendMembership(dst []byte, a *Applied) []byte {
	return wire.AppendBytes(wire.AppendUvarint(append(dst, appliedFormat), a.ConfigurationIndex), a.Configuration)
}

func readApplied(from lsm.Reader) (a Applied, err error) {
	err = readRecord(from, positionKey[:], appliedFormat, func(r *wire.Reader) {
		a.Index, a.Term = r.Uvarint(), r.Uvarint()
	})
	if err != nil {
		return Applied{}, err
	}
	err = readRecord(from, membershipKey[:], appliedFormat, func(r *wire.Reader) {
		a.ConfigurationIndex, a.Configuration = r.Uvarint(), r.Bytes()
	})
	return a, err
}

// readRecord decodes the record at key, if there is one; read gets what follows its format byte.
func readRecord(from lsm.Reader, key []byte, format byte, read func(*wire.Reader)) error {
	b, err := from.Get(key)
	if err != nil || b == nil {
		return err
	}
	r := wire.NewReader(b)
	if f := r.Byte(); r.Err() == nil && f != format {
		return fmt.Errorf("%w: record %x of format %d", ErrUnknownEntry, key, f)
	}
	read(r)
	if err := r.Close(); err != nil {
		return damaged("record", key, err)
	}
	return nil
}

// GroupRecord is what a group knows about itself, from its log (CLUSTER 7.2, 7.3).
type GroupRecord struct {
	// Level is the highest format level that may be used; zero before the first SetLevel.
	Level uint64
	// RecoveryEpoch rises when a group is recovered without its quorum.
	RecoveryEpoch uint64
}

const groupFormat = 1

func appendGroup(dst []byte, g GroupRecord) []byte {
	return wire.AppendUvarint(wire.AppendUvarint(append(dst, groupFormat), g.Level), g.RecoveryEpoch)
}

func readGroup(from lsm.Reader) (g GroupRecord, err error) {
	err = readRecord(from, []byte{prefixGroup}, groupFormat, func(r *wire.Reader) {
		g.Level, g.RecoveryEpoch = r.Uvarint(), r.Uvarint()
	})
	return g, err
}
