package space

import (
	"encoding/binary"
	"fmt"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// gone reports whether only a tombstone is left here.
func (s State) gone() bool { return s == Dropped || s == Moved }

// moveVerbs do a move's steps to the header; nil is of a space that was never here. They are void where the step does not
// fit, and harmless where it was done before: whoever carries a move on does not know how far the one before him came.
var moveVerbs = map[verb]func(*applier, partHeader, *header, moveStep) (Outcome, error){
	verbBegin: (*applier).begin, verbFreeze: (*applier).freeze, verbThaw: (*applier).thaw, verbStay: (*applier).stay,
	verbLeave: (*applier).leave, verbArrive: (*applier).arrive, verbActivate: (*applier).activate, verbDiscard: (*applier).discard,
}

func (a *applier) move(h partHeader, r *wire.Reader) (Outcome, error) {
	step := readMoveStep(r)
	if err := r.Close(); err != nil {
		return 0, err
	}
	do := moveVerbs[step.verb]
	if do == nil {
		return 0, fmt.Errorf("%w: step %d of a move", ErrUnknownEntry, step.verb)
	}
	hdr, err := a.header(h.space)
	if err != nil {
		return 0, err
	}
	if hdr == nil && step.verb != verbArrive {
		return VoidSpace, nil
	}
	return do(a, h, hdr, step)
}

// set is the end of a step that is done.
func (a *applier) set(h partHeader, hdr *header, state State, m move) (Outcome, error) {
	hdr.state, hdr.move = state, m
	a.touch(h.space, hdr)
	return Done, nil
}

// begin starts the journal, in place of that of an earlier move, if there is one.
func (a *applier) begin(h partHeader, hdr *header, s moveStep) (Outcome, error) {
	switch {
	case hdr.epoch != h.epoch || hdr.state != Active && hdr.state != Frozen:
		return VoidSpace, nil
	case hdr.move.id == s.id:
		return Done, nil
	case hdr.state == Frozen:
		return VoidSpace, nil
	}
	if err := a.clear(h.space, prefixJournal, prefixLate); err != nil {
		return 0, err
	}
	was := *hdr
	was.move = move{}
	record := appendHeader([]byte{journalStart}, &was)
	if err := a.batch.Set(journalKey(h.space, hdr.sequence), record); err != nil {
		return 0, err
	}
	return a.set(h, hdr, Active, move{id: s.id, phase: phaseCopied})
}

// journal keeps an effect that made the space's sequence what it is. Content that came with it is the space's by then.
func (a *applier) journal(h partHeader, sequence uint64, e *effect) error {
	kept := *e
	kept.contents = nil
	kept.needs = append([]Hash(nil), e.needs...)
	for i := range e.contents {
		kept.needs = append(kept.needs, e.contents[i].hash)
	}
	return a.batch.Set(journalKey(h.space, sequence), appendHappened([]byte{journalEffect}, happened{h.wall, &kept}))
}

func (a *applier) freeze(h partHeader, hdr *header, s moveStep) (Outcome, error) {
	switch {
	case hdr.move.id != s.id:
		return VoidSpace, nil
	case hdr.state == Frozen && hdr.move.attempt == s.attempt:
		return Done, nil
	case hdr.state != Active || s.attempt <= hdr.move.attempt:
		return VoidSpace, nil
	}
	return a.set(h, hdr, Frozen, move{id: s.id, phase: phaseFrozen, attempt: s.attempt})
}

// thaw keeps the number of the attempt, so that an order to freeze that comes late does nothing.
func (a *applier) thaw(h partHeader, hdr *header, s moveStep) (Outcome, error) {
	switch {
	case hdr.move.id != s.id || hdr.state != Frozen && hdr.state != Active:
		return VoidSpace, nil
	case hdr.move.attempt > s.attempt || hdr.state == Active && hdr.move.attempt == s.attempt:
		return Done, nil
	}
	return a.set(h, hdr, Active, move{id: s.id, phase: phaseCopied, attempt: s.attempt})
}

func (a *applier) stay(h partHeader, hdr *header, s moveStep) (Outcome, error) {
	if hdr.move.id != s.id || hdr.state != Frozen && hdr.state != Active {
		return VoidSpace, nil
	}
	if err := a.clear(h.space, prefixJournal, prefixLate); err != nil {
		return 0, err
	}
	return a.set(h, hdr, Active, move{})
}

// leave lets go of everything but content, which collections that name the space let go of.
func (a *applier) leave(h partHeader, hdr *header, s moveStep) (Outcome, error) {
	switch {
	case hdr.move.id != s.id || hdr.state != Frozen && hdr.state != Moved:
		return VoidSpace, nil
	case hdr.state == Moved:
		return Done, nil
	}
	if err := a.clear(h.space, prefixData, prefixRequest, prefixJournal, prefixLate); err != nil {
		return 0, err
	}
	return a.set(h, hdr, Moved, move{id: s.id, phase: phaseLeft})
}

func (a *applier) arrive(h partHeader, hdr *header, s moveStep) (Outcome, error) {
	switch {
	case hdr != nil && hdr.state == Arriving && hdr.move.id == s.id:
		return Done, nil
	case hdr != nil && (hdr.state != Moved || hdr.epoch >= h.epoch):
		return VoidSpace, nil
	}
	start, err := decodeHeader(s.start)
	if err != nil {
		return 0, fmt.Errorf("header of a move: %w", err)
	}
	if err := a.clear(h.space, prefixData, prefixRequest, prefixCursor); err != nil {
		return 0, err
	}
	start.epoch = h.epoch
	return a.set(h, start, Arriving, move{id: s.id, phase: phaseCopying})
}

// activate also notes where the intents that the space brought along were performed until now.
func (a *applier) activate(h partHeader, hdr *header, s moveStep) (Outcome, error) {
	switch {
	case hdr.epoch != h.epoch:
		return VoidSpace, nil
	case hdr.state == Active:
		return Done, nil
	case hdr.state != Arriving || hdr.move.id != s.id || hdr.move.phase != phaseWhole || hdr.move.attempt != s.attempt:
		return VoidSpace, nil
	}
	if err := a.clear(h.space, prefixCursor); err != nil {
		return 0, err
	}
	origin := binary.BigEndian.AppendUint32(nil, uint32(s.from))
	if err := a.batch.Set(dataKey(h.space, originKey(hdr.sequence)), origin); err != nil {
		return 0, err
	}
	return a.set(h, hdr, Active, move{})
}

// discard leaves a tombstone under the epoch before, so that the next move may come under the same as this one.
func (a *applier) discard(h partHeader, hdr *header, s moveStep) (Outcome, error) {
	if hdr.state != Arriving || hdr.move.id != s.id {
		return VoidSpace, nil
	}
	if err := a.clear(h.space, prefixData, prefixRequest, prefixCursor); err != nil {
		return 0, err
	}
	hdr.epoch--
	return a.set(h, hdr, Moved, move{id: s.id, phase: phaseLeft})
}

// arriving applies what is copied to a space that arrives.
func (a *applier) arriving(h partHeader, r *wire.Reader) (Outcome, error) {
	var c *copied
	var p *replayed
	if h.kind == partCopy {
		c = readCopied(r)
	} else {
		p = readReplayed(r)
	}
	if err := r.Close(); err != nil {
		return 0, err
	}
	hdr, err := a.header(h.space)
	if err != nil {
		return 0, err
	}
	if hdr == nil || hdr.state != Arriving || hdr.epoch != h.epoch {
		return VoidSpace, nil
	}
	if c != nil {
		return a.copied(h, hdr, c)
	}
	return a.replayed(h, hdr, p)
}

func (a *applier) copied(h partHeader, hdr *header, c *copied) (Outcome, error) {
	switch {
	case hdr.move.id != c.id:
		return VoidSpace, nil
	case hdr.move.phase != phaseCopying || hdr.move.step != c.step:
		return VoidSequence, nil
	}
	if o, err := a.hasAll(c.refs); err != nil || o != Done {
		return o, err
	}
	if err := a.effect(h, &effect{needs: c.refs, unrefs: c.unrefs, batch: c.batch}); err != nil {
		return 0, err
	}
	for i := range c.kept {
		k := &c.kept[i]
		if err := a.batch.Set(requestKey(h.space, k.generation, k.id), k.bytes); err != nil {
			return 0, err
		}
	}
	cursor := wire.AppendBytes(wire.AppendUvarint(nil, c.bytes), c.cursor)
	if err := a.batch.Set(appendSpaceKey(nil, prefixCursor, h.space), cursor); err != nil {
		return 0, err
	}
	m := hdr.move
	m.step++
	if c.last {
		m.phase = phaseReplaying
	}
	return a.set(h, hdr, Arriving, m)
}

// replayed does again what happened at the source: the same writes in the same order. Done over pieces that saw some of
// them already they leave what the source has.
func (a *applier) replayed(h partHeader, hdr *header, p *replayed) (Outcome, error) {
	switch {
	case hdr.move.id != p.id:
		return VoidSpace, nil
	case hdr.move.phase != phaseReplaying && hdr.move.phase != phaseWhole || hdr.sequence != h.base:
		return VoidSequence, nil
	}
	for _, e := range p.effects {
		if o, err := a.hasAll(e.needs); err != nil || o != Done {
			return o, err
		}
	}
	for _, e := range p.effects {
		if err := a.happen(partHeader{space: h.space, wall: e.wall}, hdr, e.effect); err != nil {
			return 0, err
		}
	}
	m := hdr.move
	if len(p.effects) > 0 {
		m.phase = phaseReplaying
	}
	if p.whole > 0 && p.whole >= m.attempt {
		m.phase, m.attempt = phaseWhole, p.whole
	}
	return a.set(h, hdr, Arriving, m)
}

func journalKey(id cluster.SpaceID, sequence uint64) []byte {
	k := appendSpaceKey(make([]byte, 0, dataStart+8), prefixJournal, id)
	return binary.BigEndian.AppendUint64(k, sequence)
}

func lateUploadKey(id cluster.SpaceID, h Hash) []byte {
	return append(appendSpaceKey(make([]byte, 0, dataStart+hashLen), prefixLate, id), h[:]...)
}

func originKey(sequence uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{reservedOrigin}, sequence)
}
