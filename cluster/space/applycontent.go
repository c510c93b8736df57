package space

import (
	"encoding/binary"
	"math"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/internal/wire"
)

func (a *applier) hasContent(h Hash) (bool, error) {
	if present, ok := a.content[h]; ok {
		return present, nil
	}
	b, err := a.db.Get(hashKey(prefixContent, h))
	return b != nil, err
}

// hasAll is VoidContent when one of the contents is absent.
func (a *applier) hasAll(hashes []Hash) (Outcome, error) {
	for i := range hashes {
		ok, err := a.hasContent(hashes[i])
		if err != nil {
			return 0, err
		}
		if !ok {
			return VoidContent, nil
		}
	}
	return Done, nil
}

func (a *applier) setContent(h Hash, present bool) {
	if a.content == nil {
		a.content = make(map[Hash]bool)
	}
	a.content[h] = present
}

func (a *applier) setRef(h Hash, id cluster.SpaceID, held bool) {
	if a.refs == nil {
		a.refs = make(map[ref]bool)
	}
	a.refs[ref{h, id}] = held
}

// putContent writes content that the group lacks. Its size is in the stored form, behind the coding byte.
func (a *applier) putContent(c inline) error {
	ok, err := a.hasContent(c.hash)
	if err != nil || ok {
		return err
	}
	r := wire.NewReader(c.stored)
	r.Byte()
	size := r.Uvarint()
	if r.Err() != nil {
		return r.Err()
	}
	if err := a.batch.Set(hashKey(prefixContent, c.hash), wire.AppendUvarint(nil, size)); err != nil {
		return err
	}
	a.setContent(c.hash, true)
	return a.batch.Set(hashKey(prefixBody, c.hash), c.stored)
}

func (a *applier) ref(h Hash, id cluster.SpaceID) error {
	a.setRef(h, id, true)
	if err := a.batch.Set(refKey(h, id), nil); err != nil {
		return err
	}
	return a.batch.Set(heldKey(id, h), nil)
}

// unref leaves a candidate behind, so that collection need not look at all content.
func (a *applier) unref(h Hash, id cluster.SpaceID) error {
	a.setRef(h, id, false)
	if err := a.batch.Delete(refKey(h, id)); err != nil {
		return err
	}
	if err := a.batch.Delete(heldKey(id, h)); err != nil {
		return err
	}
	return a.batch.Set(hashKey(prefixCandidate, h), nil)
}

// upload stores a chunk ahead of the effect that refers to it; without bytes it only renews the mark that keeps
// what is there already.
func (a *applier) upload(h partHeader, r *wire.Reader) (Outcome, error) {
	var c inline
	copy(c.hash[:], r.Take(hashLen))
	c.stored = r.Bytes()
	if err := r.Close(); err != nil {
		return 0, err
	}
	var hdr *header
	if h.space != (cluster.SpaceID{}) {
		var err error
		if hdr, err = a.header(h.space); err != nil {
			return 0, err
		}
	}
	if hdr != nil && (hdr.state == Frozen || hdr.state.gone()) { // it would not move with the space any more
		return VoidSpace, nil
	}
	if len(c.stored) == 0 {
		ok, err := a.hasContent(c.hash)
		if err != nil {
			return 0, err
		}
		if !ok {
			return VoidContent, nil
		}
	} else if err := a.putContent(c); err != nil {
		return 0, err
	}
	a.setUpload(c.hash, h.wall)
	mark := binary.BigEndian.AppendUint64(nil, uint64(h.wall))
	if h.space != (cluster.SpaceID{}) {
		mark = append(mark, h.space[:]...)
	}
	if hdr != nil && hdr.move.phase == phaseCopied {
		if err := a.batch.Set(lateUploadKey(h.space, c.hash), nil); err != nil {
			return 0, err
		}
	}
	return Done, a.batch.Set(hashKey(prefixUpload, c.hash), mark)
}

// markTime is when the upload was that a mark is of.
func markTime(mark []byte) (wall int64, ok bool) {
	if len(mark) != 8 && len(mark) != 8+spaceLen {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(mark)), true
}

func appendContentPart(dst []byte, h partHeader, c inline) []byte {
	dst = append(appendPartHeader(dst, h), c.hash[:]...)
	return wire.AppendBytes(dst, c.stored)
}

// collect drops what nothing holds now; whatever was referred to since the list was made stays (CLUSTER 3.2).
func (a *applier) collect(h partHeader, r *wire.Reader) (Outcome, error) {
	c := readCollection(r)
	if err := r.Close(); err != nil {
		return 0, err
	}
	if h.space != (cluster.SpaceID{}) {
		hdr, err := a.header(h.space)
		if err != nil {
			return 0, err
		}
		if hdr == nil || !hdr.state.gone() {
			return VoidSpace, nil
		}
	}
	for i := range c.hashes {
		if err := a.collectOne(h, c.hashes[i]); err != nil {
			return 0, err
		}
	}
	for i := range c.stages {
		if err := a.dropStage(h, c.stages[i]); err != nil {
			return 0, err
		}
	}
	return Done, nil
}

func (a *applier) collectOne(h partHeader, hash Hash) error {
	if h.space != (cluster.SpaceID{}) {
		if err := a.unref(hash, h.space); err != nil {
			return err
		}
	}
	fresh, err := a.uploadedAfter(hash, h.wall-uploadKept)
	if err != nil || fresh {
		return err
	}
	a.setUpload(hash, math.MinInt64)
	for _, prefix := range [...]byte{prefixUpload, prefixCandidate} {
		if err := a.batch.Delete(hashKey(prefix, hash)); err != nil {
			return err
		}
	}
	held, err := a.held(hash)
	if err != nil || held {
		return err
	}
	a.setContent(hash, false)
	if err := a.batch.Delete(hashKey(prefixContent, hash)); err != nil {
		return err
	}
	return a.batch.Delete(hashKey(prefixBody, hash))
}

func (a *applier) setUpload(h Hash, wall int64) {
	if a.uploads == nil {
		a.uploads = make(map[Hash]int64)
	}
	a.uploads[h] = wall
}

func (a *applier) uploadedAfter(hash Hash, wall int64) (bool, error) {
	if at, ok := a.uploads[hash]; ok {
		return at > wall, nil
	}
	b, err := a.db.Get(hashKey(prefixUpload, hash))
	if err != nil || b == nil {
		return false, err
	}
	at, ok := markTime(b)
	if !ok {
		return false, damaged("upload mark", hash[:], errSize)
	}
	return at > wall, nil
}

// held reports whether any space refers to the content.
func (a *applier) held(hash Hash) (bool, error) {
	for r, held := range a.refs {
		if held && r.hash == hash {
			return true, nil
		}
	}
	lo := hashKey(prefixRef, hash)
	it := a.db.NewIter(lo, prefixEnd(lo))
	found := false
	for ok := it.First(); ok && !found; ok = it.Next() {
		r := ref{hash: hash}
		copy(r.space[:], it.Key()[len(lo):])
		_, changed := a.refs[r]
		found = !changed // the batch removed it, else the loop above had found it
	}
	return found, it.Close()
}

// stage keeps a piece for the commit that will join it.
func (a *applier) stage(h partHeader, r *wire.Reader) (Outcome, error) {
	p := readPiece(r)
	if err := r.Close(); err != nil {
		return 0, err
	}
	value := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(p.bytes)), uint64(h.wall))
	value = append(value, p.bytes...)
	if a.pieces == nil {
		a.pieces = make(map[pieceName][]byte)
	}
	a.pieces[pieceName{p.stage, p.number}] = value
	return Done, a.batch.Set(pieceKey(p.stage, p.number), value)
}

func (a *applier) piece(stage stageID, number uint32) ([]byte, error) {
	value, ok := a.pieces[pieceName{stage, number}]
	if !ok {
		if a.gone[stage] {
			return nil, nil
		}
		var err error
		if value, err = a.db.Get(pieceKey(stage, number)); err != nil || value == nil {
			return nil, err
		}
	}
	if len(value) < 8 {
		return nil, damaged("piece", pieceKey(stage, number), errSize)
	}
	return value[8:], nil
}

// commitStage joins the pieces of an effect and applies it as if it had come in one part. The pieces are gone
// either way: a leader whose effect came out void makes others.
func (a *applier) commitStage(h partHeader, r *wire.Reader) (Outcome, error) {
	c := readCommit(r)
	if err := r.Close(); err != nil {
		return 0, err
	}
	whole, err := a.join(c)
	if err != nil {
		return 0, err
	}
	if err := a.removeStage(c.stage); err != nil {
		return 0, err
	}
	if whole == nil {
		return VoidContent, nil
	}
	er := wire.NewReader(whole)
	switch c.joined {
	case joinedCopy, joinedReplay:
		h.kind = partCopy + partKind(c.joined-joinedCopy)
		return a.arriving(h, er)
	}
	e := readEffect(er)
	if err := er.Close(); err != nil {
		return 0, err
	}
	h.kind = partUpdate
	if c.joined == joinedCreate {
		h.kind = partCreate
	}
	return a.update(h, e)
}

// join returns nil when a piece is missing or the whole is not what was cut.
func (a *applier) join(c commit) ([]byte, error) {
	var whole []byte
	for n := range c.pieces {
		p, err := a.piece(c.stage, n)
		if err != nil {
			return nil, err
		}
		if p == nil || len(whole)+len(p) > maxDecoded {
			return nil, nil
		}
		whole = append(whole, p...)
	}
	if HashOf(whole) != c.sum {
		return nil, nil
	}
	return whole, nil
}

func (a *applier) removeStage(stage stageID) error {
	for name := range a.pieces {
		if name.stage == stage {
			delete(a.pieces, name)
		}
	}
	if a.gone == nil {
		a.gone = make(map[stageID]bool)
	}
	a.gone[stage] = true
	lo := append([]byte{prefixPiece}, stage[:]...)
	return a.batch.DeleteRange(lo, prefixEnd(lo))
}

// dropStage removes pieces whose commit never came.
func (a *applier) dropStage(h partHeader, stage stageID) error {
	first, err := a.firstPiece(stage)
	if err != nil || len(first) < 8 || int64(binary.BigEndian.Uint64(first)) > h.wall-stageKept {
		return err
	}
	return a.removeStage(stage)
}

// firstPiece returns the record of the stage's lowest piece, nil when it has none.
func (a *applier) firstPiece(stage stageID) (first []byte, err error) {
	lowest := int64(math.MaxInt64)
	for name, value := range a.pieces {
		if name.stage == stage && int64(name.number) < lowest {
			first, lowest = value, int64(name.number)
		}
	}
	if a.gone[stage] {
		return first, nil
	}
	lo := append([]byte{prefixPiece}, stage[:]...)
	it := a.db.NewIter(lo, prefixEnd(lo))
	if it.First() && int64(binary.BigEndian.Uint32(it.Key()[len(lo):])) < lowest {
		first = append([]byte(nil), it.Value()...)
	}
	return first, it.Close()
}
