package lsm

import (
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// These are how the engine marks what compactions write.
	compactionFiles WriteCategory = "pebble-compaction"
	rewrittenFiles  WriteCategory = "pebble-blob-file-rewrite"
	// paceSlice is about how long a compaction works before it rests for as long.
	paceSlice = time.Millisecond
	// longestPause bounds a rest: a machine that stood still is no reason to.
	longestPause = 20 * time.Millisecond
	// paceFlushes is how many memtables may be flushed while compactions run before they rest no more: they have to keep up.
	paceFlushes = 4
)

// pace has compactions rest, since nobody waits for them: replicas apply the same and compact at the same time, and a
// commit waits for two of them. The engine works on a compaction as fast as it can, for tens of milliseconds and more.
type pace struct {
	closing chan struct{} // closed with the database, which waits for nobody's rest
	running atomic.Int32  // compactions
	flushed atomic.Int32  // memtables since there was none
}

func newPace() *pace { return &pace{closing: make(chan struct{})} }

func (p *pace) began() {
	if p.running.Add(1) == 1 {
		p.flushed.Store(0)
	}
}

func (p *pace) ended()      { p.running.Add(-1) }
func (p *pace) afterFlush() { p.flushed.Add(1) }

// rest rests after that much work, if there is time to.
func (p *pace) rest(worked time.Duration) {
	if p.flushed.Load() >= paceFlushes {
		return
	}
	over := time.NewTimer(min(worked, longestPause))
	defer over.Stop()
	select {
	case <-over.C:
	case <-p.closing:
	}
}

// pacedFS is a file system in which a pace governs what compactions write.
type pacedFS struct {
	vfs.FS
	pace *pace
}

// Create implements vfs.FS.
func (fs *pacedFS) Create(name string, category WriteCategory) (File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil || category != compactionFiles && category != rewrittenFiles {
		return f, err
	}
	return &pacedFile{File: f, pace: fs.pace, since: time.Now()}, nil
}

// Unwrap implements vfs.FS.
func (fs *pacedFS) Unwrap() vfs.FS { return fs.FS }

// pacedFile is a file of a compaction. Its owner writes block after block.
type pacedFile struct {
	File
	pace  *pace
	since time.Time // when the last rest ended
}

// Write implements vfs.File.
func (f *pacedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if worked := time.Since(f.since); worked >= paceSlice {
		f.pace.rest(worked)
		f.since = time.Now()
	}
	return n, err
}
