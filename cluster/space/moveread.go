package space

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/lsm"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

// Piece is what a space's source gives its target in one part.
type Piece struct {
	// Body is for ApplyCopy or ApplyReplay.
	Body []byte
	// Needs is the content that the target must hold before.
	Needs []Hash
	// Through is the sequence that the target has with a run of effects, Behind what happened since.
	Through, Behind uint64
}

// moving runs fn on a state of the space in which its journal is kept.
func (r *Replica) moving(id cluster.SpaceID, m MoveID, fn func(from lsm.Reader, hdr *header) error) error {
	db, release, err := r.machine.engine()
	if err != nil {
		return err
	}
	defer release()
	snap := db.Snapshot()
	hdr, err := readHeader(snap, id)
	switch {
	case err != nil:
	case hdr == nil || hdr.move.id != m || hdr.move.phase != phaseCopied && hdr.move.phase != phaseFrozen:
		err = errStep(id, VoidSpace)
	default:
		err = fn(snap, hdr)
	}
	return errors.Join(err, snap.Close())
}

// MoveStart is the space's header when its move began, for Arrive.
func (r *Replica) MoveStart(id cluster.SpaceID, m MoveID) (start []byte, err error) {
	err = r.moving(id, m, func(from lsm.Reader, _ *header) error {
		lo := appendSpaceKey(nil, prefixJournal, id)
		it := from.NewIter(lo, prefixEnd(lo))
		if it.First() && len(it.Value()) > 1 && it.Value()[0] == journalStart {
			start = bytes.Clone(it.Value()[1:])
		}
		if err := it.Close(); err != nil {
			return err
		}
		if start == nil {
			return damaged("journal", lo, errSize)
		}
		return nil
	})
	return start, err
}

// The areas of a space that are copied, in the order of cursors. The numbers reach disk, in cursors.
const (
	areaData    byte = 1
	areaAnswers byte = 2
	areaHeld    byte = 3
	areaEnd     byte = 4
)

var areaPrefix = map[byte]byte{areaData: prefixData, areaAnswers: prefixRequest, areaHeld: prefixHeld}

// NextPiece gives the piece of the space for which the target, as status says, is ready: of about limit bytes, and as
// the space is now. Pieces of different times make no state that ever was; the journal, done again over them, does.
func (r *Replica) NextPiece(id cluster.SpaceID, m MoveID, status MoveStatus, limit int) (*Piece, error) {
	c := &copied{id: m, step: status.Step, bytes: status.Copied}
	var ops []byte
	err := r.moving(id, m, func(from lsm.Reader, _ *header) error {
		area, key := areaData, []byte(nil)
		if len(status.Cursor) > 0 {
			area, key = status.Cursor[0], status.Cursor[1:]
		}
		size := 0
		for ; area < areaEnd && size < limit; area++ {
			next, n, err := c.collect(from, id, span{area, key, limit - size}, &ops)
			size += n
			if err != nil {
				return err
			}
			if key = next; key != nil {
				break
			}
		}
		c.bytes += uint64(size)
		c.last = area == areaEnd
		c.cursor = append([]byte{area}, key...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if c.batch, err = r.machine.coders.seal(nil, ops, compressBatch); err != nil {
		return nil, err
	}
	return &Piece{Body: appendCopied(nil, c), Needs: c.refs}, nil
}

// span is what of an area goes into a piece: from a key on, about so many bytes.
type span struct {
	area  byte
	key   []byte
	limit int
}

// collect adds a span of the space to the piece, and the sets of its data to ops. It returns where the next begins, nil
// when the area is done.
func (c *copied) collect(from lsm.Reader, id cluster.SpaceID, s span, ops *[]byte) (next []byte, size int, err error) {
	prefix := areaPrefix[s.area]
	if prefix == 0 {
		return nil, 0, cluster.Errorf(cluster.KindBadRequest, "cursor of a move: area %d", s.area)
	}
	lo := appendSpaceKey(nil, prefix, id)
	it := from.NewIter(append(slices.Clip(lo), s.key...), prefixEnd(lo))
	for ok := it.First(); ok; ok = it.Next() {
		key, value := it.Key()[dataStart:], it.Value()
		if size >= s.limit {
			next = bytes.Clone(key)
			break
		}
		size += len(key) + len(value) + opFrame
		switch s.area {
		case areaData:
			*ops = wire.AppendBytes(wire.AppendBytes(append(*ops, opSet), key), value)
		case areaAnswers:
			if len(key) != 8+len(requestID{}) {
				return nil, 0, errors.Join(damaged("answer", key, errSize), it.Close())
			}
			c.kept = append(c.kept, kept{binary.BigEndian.Uint64(key), answer{requestID(key[8:]), bytes.Clone(value)}})
		case areaHeld:
			if len(key) != hashLen {
				return nil, 0, errors.Join(damaged("held content", key, errSize), it.Close())
			}
			c.refs = append(c.refs, Hash(key))
		}
	}
	return next, size, it.Close()
}

// runEffects bounds the effects of one run, beside their bytes.
const runEffects = 1024

// NextEffects gives what has happened to the space since sequence after, about limit bytes of it. With whole, an attempt
// for which the space is frozen here, the run says that nothing comes after it, if nothing does.
//
// An effect may name content that is gone: then a later one has let go of it, and it is left out.
func (r *Replica) NextEffects(id cluster.SpaceID, m MoveID, after, whole uint64, limit int) (*Piece, error) {
	p := &Piece{Through: after}
	run := &replayed{id: m}
	err := r.moving(id, m, func(from lsm.Reader, hdr *header) error {
		if err := run.collect(from, id, p, limit); err != nil {
			return err
		}
		p.Behind = hdr.sequence - min(p.Through, hdr.sequence)
		if whole > 0 && hdr.move.phase == phaseFrozen && hdr.move.attempt == whole && p.Behind == 0 {
			run.whole = whole
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.Body = appendReplayed(nil, run)
	return p, nil
}

// collect adds effects to the run, which go on where p goes through to.
func (run *replayed) collect(from lsm.Reader, id cluster.SpaceID, p *Piece, limit int) error {
	it := from.NewIter(journalKey(id, p.Through+1), prefixEnd(appendSpaceKey(nil, prefixJournal, id)))
	size := 0
	var err error
	for ok := it.First(); ok && err == nil && size < limit && len(run.effects) < runEffects; ok = it.Next() {
		value := bytes.Clone(it.Value())
		if !bytes.Equal(it.Key(), journalKey(id, p.Through+1)) || len(value) == 0 || value[0] != journalEffect {
			err = damaged("journal", it.Key(), errSize)
			break
		}
		r := wire.NewReader(value[1:])
		h := readHappened(r)
		if err = r.Close(); err != nil {
			err = damaged("journal", it.Key(), err)
			break
		}
		if len(run.effects) > 0 && size+len(value) > limit {
			break
		}
		if h.needs, err = present(from, h.needs); err != nil {
			break
		}
		p.Needs = append(p.Needs, h.needs...)
		run.effects = append(run.effects, h)
		p.Through++
		size += len(value)
	}
	return errors.Join(err, it.Close())
}

// present are those of the hashes whose content is here.
func present(from lsm.Reader, hashes []Hash) (list []Hash, err error) {
	for _, h := range hashes {
		b, err := from.Get(hashKey(prefixContent, h))
		if err != nil {
			return nil, err
		}
		if b != nil {
			list = append(list, h)
		}
	}
	return list, nil
}

// MoveUploads is the content that was uploaded for the space and may not have been referred to yet. With late it is only
// what came since the move began, which is quickly found; else all uploads of the group are looked through.
func (r *Replica) MoveUploads(id cluster.SpaceID, m MoveID, late bool) (list []Hash, err error) {
	lo, mine := []byte{prefixUpload}, func(mark []byte) bool { return bytes.HasSuffix(mark[min(8, len(mark)):], id[:]) }
	if late {
		lo, mine = appendSpaceKey(nil, prefixLate, id), func([]byte) bool { return true }
	}
	err = r.moving(id, m, func(from lsm.Reader, _ *header) error {
		it := from.NewIter(lo, prefixEnd(lo))
		for ok := it.First(); ok; ok = it.Next() {
			if mine(it.Value()) && len(it.Key()) == len(lo)+hashLen {
				list = append(list, Hash(it.Key()[len(lo):]))
			}
		}
		return it.Close()
	})
	return list, err
}

// origin says that a space left a group when its sequence was this.
type origin struct {
	sequence uint64
	group    cluster.GroupID
}

// origins are the groups that the space has left, in order.
func (r *reader) origins() (list []origin, err error) {
	it := r.iter([]byte{reservedOrigin}, []byte{reservedOrigin + 1})
	for it.Next() {
		if len(it.Key()) != 9 || len(it.Value()) != 4 {
			return nil, errors.Join(damaged("origin", it.Key(), errSize), it.Close())
		}
		list = append(list, origin{binary.BigEndian.Uint64(it.Key()[1:]), cluster.GroupID(binary.BigEndian.Uint32(it.Value()))})
	}
	return list, it.Close()
}

// originOf is the group in which an intent was written, zero if it is still the space's.
func originOf(list []origin, number uint64) cluster.GroupID {
	for _, o := range list {
		if o.sequence >= IntentSequence(number) {
			return o.group
		}
	}
	return 0
}
