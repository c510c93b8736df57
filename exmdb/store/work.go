package store

import (
	"time"

	"github.com/flotilla-mail/flotilla/cluster/space"
)

// bounds are what one step of a long op may take (CLUSTER 1.6): other updates of the mailbox wait for it, and others of the
// node for its processor. Keys and bytes bound what its effect is to the log, to apply and to compaction, and make a message
// with a thousand attachments as much work as it is. Config.StepTime bounds it where a machine is slow, or rows come from
// disk; a step that runs again may then end elsewhere, and says so in its answer.
type bounds struct {
	keys, bytes int
	// least is how many messages a step takes whatever the time.
	least int
}

var (
	// toDestroy is for what deletes.
	toDestroy = bounds{keys: 2000, bytes: 96 << 10, least: 20}
	// toCarry is for what copies or moves: of ordinary mail a whole step of stepMessages. toMark is for what marks, which is
	// the least work of all, and is to take few entries (2,000 flags at most two).
	toCarry = bounds{keys: 40_000, bytes: 4 << 20, least: 50}
	toMark  = bounds{keys: 40_000, bytes: 4 << 20, least: 1000}
)

const (
	// stepItems bounds the messages that one step of an op deletes, or copies with their folder: each takes some reads and up
	// to a dozen writes. On the way through log, compression and three copies that is 5 ms of two processors; evaluating it is
	// the least of it.
	stepItems = 100
	// stepTime is the default of Config.StepTime.
	stepTime = 3 * time.Millisecond
	// stepScanned bounds the rows that a step passes over in search of what it is for.
	stepScanned = 20_000
)

// work is the writer of an op that counts down what may still go through it.
type work struct {
	space.Writer
	bounds
	until time.Time // zero: no bound
}

// measure has the rest of the op counted; what is counted already has its bounds.
func (t *tx) measure(most bounds) *work {
	if w, already := t.w.(*work); already {
		return w
	}
	w := &work{Writer: t.w, bounds: most}
	if t.config.StepTime > 0 {
		w.until = time.Now().Add(t.config.StepTime)
	}
	t.w, t.r = w, w
	return w
}

// full reports whether the step has done its share. It is asked before each message.
func (w *work) full() bool {
	if w.keys <= 0 || w.bytes <= 0 {
		return true
	}
	if w.least--; w.least >= 0 || w.until.IsZero() {
		return false
	}
	return time.Now().After(w.until)
}

// Get implements space.Reader.
func (w *work) Get(key []byte) ([]byte, error) {
	w.keys--
	return w.Writer.Get(key)
}

// Set implements space.Writer.
func (w *work) Set(key, value []byte) {
	w.keys--
	w.bytes -= len(key) + len(value)
	w.Writer.Set(key, value)
}

// Delete implements space.Writer.
func (w *work) Delete(key []byte) {
	w.keys--
	w.bytes -= len(key)
	w.Writer.Delete(key)
}
