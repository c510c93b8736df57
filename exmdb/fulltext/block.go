package fulltext

import (
	"bytes"
	"encoding/binary"

	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// Terms of a run stand in blocks, because the engine's work is by the pair: a block's key ends in its first entry, its
// value is all entries, each as what it does not share with the one in front. An entry is field, term, endOfTerm and first
// UID, and behind that the other UIDs as steps.

// blockBytes is about the size of a block.
const blockBytes = 8 << 10

// blockWriter writes the entries of a run, in order, into batches.
type blockWriter struct {
	batch *lsm.Batch
	key   []byte // of the block at hand; the first termStart bytes are those of all
	last  []byte // entry in front
	block []byte
	entry []byte // scratch
}

func newBlockWriter(batch *lsm.Batch, run []byte) *blockWriter {
	return &blockWriter{batch: batch, key: run}
}

// put writes the messages of a term, which it sorts.
func (w *blockWriter) put(term []byte, uids []uint32) error {
	for part := range sortedParts(uids) {
		w.entry = binary.BigEndian.AppendUint32(append(append(w.entry[:0], term...), endOfTerm), part[0])
		if len(w.block) == 0 {
			w.key, w.last = append(w.key[:termStart], w.entry...), w.last[:0]
		}
		shared := 0
		for shared < min(len(w.last), len(w.entry)) && w.last[shared] == w.entry[shared] {
			shared++
		}
		w.block = binary.AppendUvarint(w.block, uint64(shared))
		w.block = binary.AppendUvarint(w.block, uint64(len(w.entry)-shared))
		w.block = append(w.block, w.entry[shared:]...)
		w.last = append(w.last[:0], w.entry...)
		steps := appendPostings(w.entry[:0], part)
		w.block = binary.AppendUvarint(w.block, uint64(len(steps)))
		w.block = append(w.block, steps...)
		w.entry = steps
		if len(w.block) >= blockBytes {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush ends the block at hand.
func (w *blockWriter) flush() error {
	if len(w.block) == 0 {
		return nil
	}
	err := w.batch.Set(w.key, w.block)
	w.block = w.block[:0]
	return err
}

// cursor walks the entries of a run.
type cursor struct {
	it    *lsm.Iter
	lo    []byte // key in front of all blocks
	rest  []byte // of the block
	entry []byte
	steps []byte
	there bool
	err   error
}

func newCursor(from lsm.Reader, run []byte) *cursor {
	return &cursor{it: from.NewIter(run, after(run)), lo: run}
}

// seek moves to the first entry at or after one.
func (c *cursor) seek(entry []byte) bool {
	// The block that may have it is the last that begins at or in front of it.
	key := append(append(c.lo[:termStart:termStart], entry...), 0)
	on := c.it.SeekLT(key) || c.it.First()
	for ok := c.load(on); ok; ok = c.next() {
		if bytes.Compare(c.entry, entry) >= 0 {
			break
		}
	}
	return c.there
}

// load begins the block that the iterator stands on.
func (c *cursor) load(on bool) bool {
	if c.there = false; !on {
		c.err = orElse(c.err, c.it.Err())
		return false
	}
	c.rest, c.entry = c.it.Value(), c.entry[:0]
	return c.next()
}

// next moves to the next entry.
func (c *cursor) next() bool {
	if len(c.rest) == 0 {
		if c.err == nil && c.it.Next() {
			return c.load(true)
		}
		return c.load(false)
	}
	shared, suffix, ok := c.number(), c.number(), true
	if shared > uint64(len(c.entry)) || suffix > uint64(len(c.rest)) {
		ok = false
	} else {
		c.entry = append(c.entry[:shared], c.rest[:suffix]...)
		c.rest = c.rest[suffix:]
	}
	steps := c.number()
	if !ok || steps > uint64(len(c.rest)) || len(c.entry) < 1+1+1+uidLen {
		c.err, c.rest, c.there = orElse(c.err, malformed("block")), nil, false
		return false
	}
	c.steps, c.rest, c.there = c.rest[:steps], c.rest[steps:], true
	return true
}

// number takes a varint; what is malformed is a number that nothing has.
func (c *cursor) number() uint64 {
	n, size := binary.Uvarint(c.rest)
	if size <= 0 {
		return 1<<64 - 1
	}
	c.rest = c.rest[size:]
	return n
}

// term is field and term of the entry.
func (c *cursor) term() []byte { return c.entry[:len(c.entry)-uidLen-1] }

// each calls fn with the messages of the entry.
func (c *cursor) each(fn func(uid uint32)) { c.err = orElse(c.err, eachPosting(c.entry, c.steps, fn)) }

func (c *cursor) close() error { return orElse(c.err, c.it.Close()) }
