package store

import "github.com/flotilla-mail/flotilla/cluster/space"

const (
	// stepKeys and stepWritten bound what one step of an op reads and writes that deletes without end (CLUSTER 1.6): other
	// updates of the mailbox wait for a step. They are counted, not timed, so that a step is the same wherever it runs again,
	// and a message with a thousand attachments is as much work as it is. At some 2 µs a key a step is below 10 ms, before
	// log and disk.
	stepKeys    = 4000
	stepWritten = 256 << 10
	// carryKeys and carryWritten are the same for what copies, moves or marks: of ordinary mail a whole step of stepMessages.
	carryKeys    = 40_000
	carryWritten = 4 << 20
	// stepScanned bounds the rows that a step passes over in search of what it is for.
	stepScanned = 20_000
)

// work is the writer of an op that counts down what may still go through it.
type work struct {
	space.Writer
	keys, bytes int
}

// measure has the rest of the op counted; what is counted already has its bounds.
func (t *tx) measure(keys, bytes int) *work {
	if w, already := t.w.(*work); already {
		return w
	}
	w := &work{t.w, keys, bytes}
	t.w, t.r = w, w
	return w
}

// full reports whether the step has done its share.
func (w *work) full() bool { return w.keys <= 0 || w.bytes <= 0 }

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
