package space

import (
	"fmt"
	"maps"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/planted"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// How long things are kept, in entry wall time. Replicas compute with them: a change is a new part kind.
const (
	// answersKept is the length of a generation of answers, on the space's clock. Two are kept, so each answer stays
	// for one to two of it; a caller asks again for RequestWindow, which leaves room for five jumps of calendars.
	answersKept = int64(cluster.RequestKept)
	// maxStep and minStep bound what one effect adds to the space's clock.
	maxStep = int64(2 * time.Minute)
	minStep = int64(time.Millisecond)
	// uploadKept is how long an upload waits for who refers to it.
	uploadKept = int64(time.Hour)
	// stageKept is how long pieces wait for their commit.
	stageKept = int64(time.Hour)
)

// Apply applies committed entries in one engine batch, with the position of the last in it, and returns the
// outcome of each part of each entry; those of entries that were applied before are nil. Only an entry that asks
// for a hash ends a batch early, so that what is hashed is the state at that entry.
func (m *Machine) Apply(entries []LogEntry) ([][]Outcome, error) {
	m.applyMu.Lock()
	defer m.applyMu.Unlock()
	if m.failed != nil {
		return nil, m.failed
	}
	outcomes := make([][]Outcome, len(entries))
	for done := 0; done < len(entries); {
		n, err := m.applySome(entries[done:], outcomes[done:])
		if err != nil {
			m.failed = fmt.Errorf("apply: %w", err)
			return nil, m.failed
		}
		done += n
	}
	return outcomes, nil
}

func (m *Machine) applySome(entries []LogEntry, outcomes [][]Outcome) (n int, err error) {
	db, release, err := m.engine()
	if err != nil {
		return 0, err
	}
	defer release()
	a := &applier{m: m, db: db, batch: m.batch, at: m.Applied(), membership: -1}
	before := a.at.Index
	for n < len(entries) && !a.hash {
		if e := &entries[n]; e.Index > a.at.Index {
			if outcomes[n], err = a.entry(e); err != nil {
				m.batch.Reset()
				return 0, fmt.Errorf("entry %d: %w", e.Index, err)
			}
		}
		n++
	}
	if a.at.Index == before {
		return n, nil
	}
	if err := a.commit(); err != nil {
		return 0, err
	}
	m.applied.Store(&a.at)
	if a.group != nil {
		m.level.Store(a.group.Level)
	}
	m.wake(a.touched)
	if len(a.touched) > 0 && m.config.Events.Touched != nil {
		m.config.Events.Touched(m, a.touched)
	}
	if a.hash {
		m.startScrub(db, a.at.Index, a.hashWall)
	}
	return n, nil
}

// headersKept bounds the headers that Apply remembers so as not to read them again.
const headersKept = 4096

// batchKept is the size up to which a batch's memory is used again.
const batchKept = 1 << 20

// applier turns the entries of one batch into writes. What it reads are headers, presence of content, references
// and pieces; those that the batch itself has changed are in its maps.
type applier struct {
	m     *Machine
	db    *lsm.DB
	batch *lsm.Batch
	at    Applied

	spaces     map[cluster.SpaceID]*header
	touched    []cluster.SpaceID
	content    map[Hash]bool
	refs       map[ref]bool
	uploads    map[Hash]int64
	pieces     map[pieceName][]byte
	gone       map[stageID]bool // stages whose pieces in the engine do not count any more
	group      *GroupRecord
	membership int  // bytes of a new membership, -1 when it did not change
	hash       bool // the last entry asks for one
	hashWall   int64

	key []byte // scratch; begins with the data prefix of the part's space while ops are replayed
	val []byte // scratch
}

type ref struct {
	hash  Hash
	space cluster.SpaceID
}

type pieceName struct {
	stage  stageID
	number uint32
}

func (a *applier) entry(e *LogEntry) ([]Outcome, error) {
	var outcomes []Outcome
	if e.Data != nil {
		term, parts, err := decodeEntry(e.Data)
		if err != nil {
			return nil, err
		}
		outcomes = make([]Outcome, len(parts))
		for i, p := range parts {
			outcomes[i] = VoidTerm
			if term == e.Term {
				if outcomes[i], err = a.part(p); err != nil {
					return nil, fmt.Errorf("part %d: %w", i, err)
				}
			}
			a.reportVoid(p, outcomes[i])
		}
	}
	if e.Configuration != nil {
		a.at.Configuration = append([]byte(nil), e.Configuration...)
		a.at.ConfigurationIndex = e.Index
		a.membership = len(e.Configuration)
	}
	a.at.Index, a.at.Term = e.Index, e.Term
	return outcomes, nil
}

func (a *applier) reportVoid(part []byte, o Outcome) {
	if o != Done && a.m.config.Events.Void != nil {
		a.m.config.Events.Void(readPartHeader(wire.NewReader(part)).space, o)
	}
}

// part applies one part. Errors are for what no replica can apply; everything else is an outcome.
func (a *applier) part(b []byte) (Outcome, error) {
	r := wire.NewReader(b)
	h := readPartHeader(r)
	var o Outcome
	var err error
	switch h.kind {
	case partUpdate, partCreate:
		e := readEffect(r)
		if err = r.Close(); err == nil {
			o, err = a.update(h, e)
		}
	case partPiece:
		o, err = a.stage(h, r)
	case partCommit:
		o, err = a.commitStage(h, r)
	case partContent:
		o, err = a.upload(h, r)
	case partCollect:
		o, err = a.collect(h, r)
	case partLevel:
		o, err = a.level(r)
	case partHash:
		a.hash, a.hashWall, o, err = true, h.wall, Done, r.Close()
	case partDrop:
		if err = r.Close(); err == nil {
			o, err = a.drop(h)
		}
	case partMove:
		o, err = a.move(h, r)
	case partCopy, partReplay:
		o, err = a.arriving(h, r)
	default:
		if err = r.Err(); err == nil {
			err = fmt.Errorf("%w: part kind %d", ErrUnknownEntry, h.kind)
		}
	}
	if err != nil {
		return 0, err
	}
	return o, nil
}

// header returns the space's header as it is after the parts so far, nil when the space was never here.
func (a *applier) header(id cluster.SpaceID) (*header, error) {
	if h, ok := a.spaces[id]; ok {
		return h, nil
	}
	if h, ok := a.m.headers[id]; ok {
		return h, nil
	}
	return readHeader(a.db, id)
}

// touch makes h the space's header.
func (a *applier) touch(id cluster.SpaceID, h *header) {
	if a.spaces == nil {
		a.spaces = make(map[cluster.SpaceID]*header)
	}
	if a.spaces[id] == nil {
		a.touched = append(a.touched, id)
	}
	a.spaces[id] = h
}

// admit finds the header a part applies to, or why it is void (CLUSTER 1.3).
func (a *applier) admit(h partHeader) (*header, Outcome, error) {
	hdr, err := a.header(h.space)
	if err != nil {
		return nil, 0, err
	}
	if h.kind == partCreate {
		if hdr != nil || h.base != 0 {
			return nil, VoidSpace, nil
		}
		return &header{state: Active, epoch: h.epoch}, Done, nil
	}
	switch {
	case hdr == nil || hdr.state != Active || hdr.epoch != h.epoch:
		return nil, VoidSpace, nil
	case hdr.sequence != h.base && !planted.Is(planted.NoSequence):
		return nil, VoidSequence, nil
	}
	return hdr, Done, nil
}

func (a *applier) update(h partHeader, e *effect) (Outcome, error) {
	hdr, o, err := a.admit(h)
	if err != nil || o != Done {
		return o, err
	}
	if o, err := a.hasAll(e.needs); err != nil || o != Done {
		return o, err
	}
	if err := a.happen(h, hdr, e); err != nil {
		return 0, err
	}
	if hdr.move.phase == phaseCopied {
		return Done, a.journal(h, hdr.sequence, e)
	}
	return Done, nil
}

// happen does an effect to the space with this header.
func (a *applier) happen(h partHeader, hdr *header, e *effect) error {
	if err := a.effect(h, e); err != nil {
		return err
	}
	old := hdr.generation()
	hdr.sequence++
	hdr.advance(h.wall)
	a.touch(h.space, hdr)
	return a.answers(h.space, old, hdr.generation(), e.answers)
}

func (a *applier) effect(h partHeader, e *effect) error {
	for i := range e.unrefs {
		if err := a.unref(e.unrefs[i], h.space); err != nil {
			return err
		}
	}
	for i := range e.needs {
		if err := a.ref(e.needs[i], h.space); err != nil {
			return err
		}
	}
	for i := range e.contents {
		if err := a.putContent(e.contents[i]); err != nil {
			return err
		}
		if err := a.ref(e.contents[i].hash, h.space); err != nil {
			return err
		}
	}
	ops, err := a.m.coders.unseal(e.batch)
	if err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	a.key = appendSpaceKey(a.key[:0], prefixData, h.space)
	return replay(ops, (*spaceSink)(a))
}

// spaceSink writes a space's ops under its prefix, which is in key.
type spaceSink applier

func (s *spaceSink) set(key, value []byte) error {
	s.key = append(s.key[:dataStart], key...)
	return s.batch.Set(s.key, value)
}

func (s *spaceSink) delete(key []byte) error {
	s.key = append(s.key[:dataStart], key...)
	return s.batch.Delete(s.key)
}

func (s *spaceSink) deleteRange(lo, hi []byte) error {
	s.key = append(s.key[:dataStart], lo...)
	end := len(s.key)
	s.key = append(append(s.key, s.key[:dataStart]...), hi...)
	return s.batch.DeleteRange(s.key[:end], s.key[end:])
}

// answers remembers what was answered and, when a generation begins, forgets what is older than the one before
// (CLUSTER 1.7).
func (a *applier) answers(id cluster.SpaceID, old, generation uint64, list []answer) error {
	if generation > old {
		if err := a.batch.DeleteRange(appendSpaceKey(nil, prefixRequest, id), generationKey(id, old)); err != nil {
			return err
		}
	}
	for i := range list {
		if err := a.batch.Set(requestKey(id, generation, list[i].id), list[i].bytes); err != nil {
			return err
		}
	}
	return nil
}

// drop leaves a tombstone; content is let go of by collections that name the space.
func (a *applier) drop(h partHeader) (Outcome, error) {
	hdr, o, err := a.admit(h)
	if err != nil || o != Done {
		return o, err
	}
	if err := a.clear(h.space, prefixData, prefixRequest, prefixJournal, prefixLate); err != nil {
		return 0, err
	}
	hdr.state, hdr.move = Dropped, move{}
	hdr.sequence++
	hdr.advance(h.wall)
	a.touch(h.space, hdr)
	return Done, nil
}

// clear deletes everything of a space behind prefixes.
func (a *applier) clear(id cluster.SpaceID, prefixes ...byte) error {
	for _, prefix := range prefixes {
		lo := appendSpaceKey(nil, prefix, id)
		if err := a.batch.DeleteRange(lo, prefixEnd(lo)); err != nil {
			return err
		}
	}
	return nil
}

// level raises the group's record; neither number ever falls.
func (a *applier) level(r *wire.Reader) (Outcome, error) {
	level, recovery := r.Uvarint(), r.Uvarint()
	if err := r.Close(); err != nil {
		return 0, err
	}
	if a.group == nil {
		g, err := readGroup(a.db)
		if err != nil {
			return 0, err
		}
		a.group = &g
	}
	a.group.Level = max(a.group.Level, level)
	a.group.RecoveryEpoch = max(a.group.RecoveryEpoch, recovery)
	return Done, nil
}

// commit writes headers and position and makes the batch visible.
func (a *applier) commit() error {
	for _, id := range a.touched {
		a.key = appendSpaceKey(a.key[:0], prefixHeader, id)
		a.val = appendHeader(a.val[:0], a.spaces[id])
		if err := a.batch.Set(a.key, a.val); err != nil {
			return err
		}
	}
	if a.group != nil {
		if err := a.batch.Set([]byte{prefixGroup}, appendGroup(a.val[:0], *a.group)); err != nil {
			return err
		}
	}
	if a.membership >= 0 {
		if err := a.batch.Set(membershipKey[:], appendMembership(a.val[:0], &a.at)); err != nil {
			return err
		}
	}
	if err := a.batch.Set(positionKey[:], appendPosition(a.val[:0], &a.at)); err != nil {
		return err
	}
	if err := a.m.show(a.batch); err != nil {
		return err
	}
	if len(a.m.headers)+len(a.spaces) > headersKept {
		clear(a.m.headers)
	}
	maps.Copy(a.m.headers, a.spaces)
	if a.batch.Len() <= batchKept {
		a.batch.Reset()
		return nil
	}
	if err := a.batch.Close(); err != nil {
		return err
	}
	a.m.batch = a.db.NewBatch()
	return nil
}
