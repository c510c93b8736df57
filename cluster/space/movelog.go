package space

import (
	"encoding/hex"
	"errors"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// MoveID names one move of a space. It is drawn when the move is decided on and never used again.
type MoveID [16]byte

func (m MoveID) String() string { return hex.EncodeToString(m[:]) }

// phase is how far a move has come in the group that holds the header. The numbers reach disk.
type phase byte

const (
	phaseNone phase = 0
	// phaseCopied, at the source: the space is in use, and what happens to it is kept in a journal as well.
	phaseCopied phase = 1
	// phaseFrozen, at the source: nothing happens to it any more.
	phaseFrozen phase = 2
	// phaseCopying, at the target: pieces come, of different times since the move began.
	phaseCopying phase = 3
	// phaseReplaying, at the target: the effects of the journal come, in order.
	phaseReplaying phase = 4
	// phaseWhole, at the target: all have come of which the source was frozen at the attempt.
	phaseWhole phase = 5
	// phaseLeft is of a tombstone.
	phaseLeft phase = 6
)

// move is what a header says about a move.
type move struct {
	id    MoveID
	phase phase
	// attempt numbers the freezes of a move: the one that is, at the source, or that the copy is whole for.
	attempt uint64
	// step is how many pieces of the copy have come.
	step uint64
}

func appendMove(dst []byte, m move) []byte {
	dst = append(append(dst, m.id[:]...), byte(m.phase))
	return wire.AppendUvarint(wire.AppendUvarint(dst, m.attempt), m.step)
}

func readMove(r *wire.Reader) (m move) {
	copy(m.id[:], r.Take(len(m.id)))
	m.phase = phase(r.Byte())
	m.attempt, m.step = r.Uvarint(), r.Uvarint()
	if r.Err() == nil && (m.phase == phaseNone || m.phase > phaseLeft) {
		r.Fail(errors.New("unknown phase of a move"))
	}
	return m
}

// verb is what a move part asks for. The numbers reach disk.
type verb byte

const (
	verbBegin    verb = 1 // source: keep a journal from here on
	verbFreeze   verb = 2 // source: let nothing happen any more
	verbThaw     verb = 3 // source: the freeze is given up, the move goes on
	verbStay     verb = 4 // source: the move is given up
	verbLeave    verb = 5 // source: the space lives elsewhere now
	verbArrive   verb = 6 // target: be ready for a copy
	verbActivate verb = 7 // target: the space lives here now
	verbDiscard  verb = 8 // target: the move is given up
)

// moveStep is what a move part carries.
type moveStep struct {
	verb    verb
	id      MoveID
	attempt uint64          // of verbFreeze, verbThaw and verbActivate
	start   []byte          // of verbArrive: the header under which the journal began
	from    cluster.GroupID // of verbActivate
}

func appendMoveStep(dst []byte, s moveStep) []byte {
	dst = append(append(dst, byte(s.verb)), s.id[:]...)
	dst = wire.AppendUvarint(dst, s.attempt)
	return wire.AppendUvarint(wire.AppendBytes(dst, s.start), uint64(s.from))
}

func readMoveStep(r *wire.Reader) (s moveStep) {
	s.verb = verb(r.Byte())
	copy(s.id[:], r.Take(len(s.id)))
	s.attempt = r.Uvarint()
	s.start = r.Bytes()
	s.from = cluster.GroupID(r.Uvarint())
	return s
}

// kept is an answer with where it is kept.
type kept struct {
	generation uint64
	answer
}

// copied is a piece of a space. Pieces are of different times, and may overlap nothing: what they have in common is that
// the journal has everything that happened since the earliest.
type copied struct {
	id   MoveID
	step uint64 // which piece this is
	last bool
	// cursor is where the next piece begins, bytes how much has been copied with this one.
	cursor []byte
	bytes  uint64
	refs   []Hash
	unrefs []Hash // held by what was here of the space before
	kept   []kept
	batch  []byte // stored form of sets
}

func appendCopied(dst []byte, c *copied) []byte {
	dst = wire.AppendUvarint(append(dst, c.id[:]...), c.step)
	last := byte(0)
	if c.last {
		last = 1
	}
	dst = wire.AppendBytes(append(dst, last), c.cursor)
	dst = wire.AppendUvarint(dst, c.bytes)
	dst = appendHashes(appendHashes(dst, c.refs), c.unrefs)
	dst = wire.AppendUvarint(dst, uint64(len(c.kept)))
	for _, k := range c.kept {
		dst = append(wire.AppendUvarint(dst, k.generation), k.id[:]...)
		dst = wire.AppendBytes(dst, k.bytes)
	}
	return wire.AppendBytes(dst, c.batch)
}

func readCopied(r *wire.Reader) *copied {
	c := &copied{}
	copy(c.id[:], r.Take(len(c.id)))
	c.step = r.Uvarint()
	c.last = r.Byte() == 1
	c.cursor = r.Bytes()
	c.bytes = r.Uvarint()
	c.refs, c.unrefs = readHashes(r), readHashes(r)
	if n := r.Count(len(requestID{}) + 2); n > 0 {
		c.kept = make([]kept, n)
	}
	for i := range c.kept {
		k := &c.kept[i]
		k.generation = r.Uvarint()
		copy(k.id[:], r.Take(len(k.id)))
		k.bytes = r.Bytes()
	}
	c.batch = r.Bytes()
	return c
}

// happened is an effect as the journal keeps it: content is only named, for the target gets it by name.
type happened struct {
	wall int64
	*effect
}

func appendHappened(dst []byte, h happened) []byte {
	return appendEffect(wire.AppendFixed64(dst, uint64(h.wall)), h.effect)
}

func readHappened(r *wire.Reader) happened {
	wall := int64(r.Fixed64())
	return happened{wall, readEffect(r)}
}

// replayed is a run of the journal.
type replayed struct {
	id MoveID
	// whole is the attempt for which the copy is whole with these, 0 if more come.
	whole   uint64
	effects []happened
}

func appendReplayed(dst []byte, p *replayed) []byte {
	dst = wire.AppendUvarint(append(dst, p.id[:]...), p.whole)
	dst = wire.AppendUvarint(dst, uint64(len(p.effects)))
	for _, h := range p.effects {
		dst = appendHappened(dst, h)
	}
	return dst
}

func readReplayed(r *wire.Reader) *replayed {
	p := &replayed{}
	copy(p.id[:], r.Take(len(p.id)))
	p.whole = r.Uvarint()
	if n := r.Count(8 + 6); n > 0 {
		p.effects = make([]happened, n)
	}
	for i := range p.effects {
		p.effects[i] = readHappened(r)
	}
	return p
}

const (
	journalStart  byte = 1 // header under which the move began
	journalEffect byte = 2
)
