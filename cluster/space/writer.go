package space

import (
	"bytes"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// maxIntents is the most intents one effect writes; their numbers are made of its sequence and their place in it.
const (
	maxIntents  = 1 << 16
	intentShift = 16
)

// writer is the Writer of one round: the functions of a space's waiting updates run on it one after another.
type writer struct {
	reader
	wall    time.Time
	intents int
	inline  int // bytes of content put by the function that runs
	limit   int // of the overlay's size while a function runs
	err     error

	contents map[Hash][]byte // put in this round, uncompressed
	held     map[Hash]refChange
	journal  []refUndo
	bytes    int // of contents and answers

	scheduled bool // the round may have changed when the space is due next
}

type refChange uint8

const (
	refNone refChange = iota
	refPut            // PutContent
	refHold           // Ref
	refEnd            // Unref
)

type refUndo struct {
	hash  Hash
	was   refChange
	bytes int
}

// point is what a refused function is taken back to.
type point struct {
	mark, journal, intents int
	scheduled              bool
}

func (w *writer) begin() point {
	w.err, w.inline = nil, 0
	w.ended = false
	return point{w.over.mark(), len(w.journal), w.intents, w.scheduled}
}

func (w *writer) takeBack(p point) {
	w.over.rewind(p.mark)
	for i := len(w.journal) - 1; i >= p.journal; i-- {
		u := w.journal[i]
		w.held[u.hash] = u.was
		w.bytes -= u.bytes
		if u.bytes > 0 {
			delete(w.contents, u.hash)
		}
	}
	w.journal = w.journal[:p.journal]
	w.intents, w.scheduled = p.intents, p.scheduled
}

// size is about what the effect takes before compression.
func (w *writer) size() int { return w.over.size + w.bytes + len(w.journal)*hashLen }

// empty reports whether the round has changed nothing.
func (w *writer) empty() bool { return w.over.empty() && len(w.journal) == 0 }

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// full reports whether the function that ran wrote more than there was room for.
func (w *writer) full() bool { return w.err != nil && cluster.KindOf(w.err) == cluster.KindTooLarge }

// admit reports whether one more write may be made; the first refusal is the update's.
func (w *writer) admit(key []byte, size int) bool {
	if w.err != nil {
		return false
	}
	if err := checkKey(key); err != nil {
		w.fail(err)
		return false
	}
	return w.room(len(key) + size)
}

func (w *writer) room(size int) bool {
	if w.size()+size > w.limit {
		w.fail(cluster.Errorf(cluster.KindTooLarge, "effect exceeds %d bytes", MaxEffect))
		return false
	}
	return w.err == nil
}

// Set implements Writer.
func (w *writer) Set(key, value []byte) {
	if w.admit(key, len(value)) {
		w.over.set(key, value)
	}
}

// Delete implements Writer.
func (w *writer) Delete(key []byte) {
	if w.admit(key, 0) {
		w.over.delete(key)
	}
}

// DeleteRange implements Writer.
func (w *writer) DeleteRange(lo, hi []byte) {
	if hi == nil || bytes.Compare(hi, []byte{ReservedPrefix}) > 0 {
		hi = []byte{ReservedPrefix}
	}
	if len(lo) == 0 {
		lo = []byte{0}
	}
	if bytes.Compare(lo, hi) < 0 && w.admit(lo, len(hi)) {
		w.over.deleteRange(lo, hi)
	}
}

// Now implements Writer.
func (w *writer) Now() time.Time { return w.wall }

// Level implements Writer.
func (w *writer) Level() uint64 { return max(w.m.level.Load(), 1) }

// PutContent implements Writer.
func (w *writer) PutContent(b []byte) Hash {
	h := HashOf(b)
	if w.inline += len(b); w.inline > MaxInline {
		w.fail(cluster.Errorf(cluster.KindTooLarge, "content of %d bytes in one update", w.inline))
	}
	if w.held[h] == refPut || !w.room(len(b)) {
		return h
	}
	added := 0
	if _, ok := w.contents[h]; !ok {
		if w.contents == nil {
			w.contents = make(map[Hash][]byte)
		}
		w.contents[h] = append([]byte{}, b...)
		added = len(b)
	}
	w.hold(h, refPut, added)
	return h
}

// Ref implements Writer.
func (w *writer) Ref(h Hash) {
	if was := w.held[h]; w.err == nil && was != refPut && was != refHold && w.room(hashLen) {
		w.hold(h, refHold, 0)
	}
}

// Unref implements Writer.
func (w *writer) Unref(h Hash) {
	if w.err == nil && w.held[h] != refEnd && w.room(hashLen) {
		w.hold(h, refEnd, 0)
	}
}

func (w *writer) hold(h Hash, to refChange, added int) {
	if w.held == nil {
		w.held = make(map[Hash]refChange)
	}
	w.journal = append(w.journal, refUndo{h, w.held[h], added})
	w.held[h] = to
	w.bytes += added
}

// Content implements Reader; content put in the same effect is seen.
func (w *writer) Content(h Hash) ([]byte, error) {
	if b, ok := w.contents[h]; ok {
		return append([]byte{}, b...), nil
	}
	return w.reader.Content(h)
}

// Intend implements Writer.
func (w *writer) Intend(in Intent) {
	if w.intents == maxIntents {
		w.fail(cluster.Errorf(cluster.KindTooLarge, "more than %d intents in one effect", maxIntents))
	}
	if in.Target == "" || len(in.Target) > MaxTarget {
		w.fail(cluster.Errorf(cluster.KindInternal, "intent for a target of %d bytes", len(in.Target)))
	}
	record := appendIntent(nil, in)
	if !w.room(len(record)) {
		return
	}
	number := intentNumber(w.seq, w.intents)
	w.intents++
	w.over.set(outboxKey(in.Target, number), record)
}

// Schedule implements Writer.
func (w *writer) Schedule(d Due) {
	if w.room(len(d.Key)) {
		w.over.set(dueKey(d), nil)
		w.scheduled = true
	}
}

// Unschedule implements Writer.
func (w *writer) Unschedule(d Due) {
	if w.room(len(d.Key)) {
		w.over.delete(dueKey(d))
	}
}
