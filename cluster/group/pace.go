package group

import (
	"errors"
	"io"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flotilla-mail/flotilla/internal/lsm"
)

// pace is how fast states are copied, in seeds and snapshots: one for what comes to a node and what leaves it, over all
// groups (CLUSTER 5.4). While nothing is committed a copy takes what disk and network give. While something is, pieces take
// turns and the disk is left alone after each, so that copies have it for a share of the time and a commit's sync finds it
// free, or soon will. A nil *pace holds nobody back.
type pace struct {
	rate  int64 // bytes a second at most; 0 is no limit
	share int   // hundredths of the disk's time, while commits are made
	// here reports when the node's log was last written to; zero if it was not.
	here    func() time.Time
	closing <-chan struct{}

	told atomic.Int64 // until when others' word that they commit counts, Unix nanoseconds

	turn chan struct{} // holds a token while a piece is waited for or under way
	next time.Time     // when the next piece may begin; for whoever has the turn
}

func newPace(cfg *Config, closing <-chan struct{}) *pace {
	return &pace{rate: cfg.CopyRate, share: cfg.CopyShare, here: cfg.Log.LastAppend, closing: closing, turn: make(chan struct{}, 1)}
}

const (
	// pieceBytes is what is written to a file between two looks at the disk: what a commit may find before it there.
	pieceBytes = 1 << 20
	// commitsKept is how long after a commit others are expected.
	commitsKept = time.Second
	// pauseLate is what pieces that began late, since timers and processors are, may make up for.
	pauseLate = 50 * time.Millisecond
	// shortPause is too short to wait for; it is waited for with the next ones.
	shortPause = time.Millisecond
)

// commits reports whether something is being committed: here, or on the nodes that hold what is being seeded. These say so
// when they are asked to hold their logs.
func (p *pace) commits() bool {
	now := time.Now()
	if at := p.here(); !at.IsZero() && now.Sub(at) < commitsKept {
		return true
	}
	return now.UnixNano() < p.told.Load()
}

// commitThere notes that another node commits; it is asked again within holdEvery.
func (p *pace) commitThere() { p.told.Store(time.Now().Add(commitsKept + holdEvery).UnixNano()) }

// piece moves n bytes to or from the disk by work. While commits are made, others' pieces and the rest after each are
// waited for, and settle is part of the work: it waits until the disk has what work gave it.
func (p *pace) piece(n int, work, settle func() error) error {
	if p == nil || p.rate == 0 && !p.commits() {
		return work()
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-p.closing:
		return errClosing
	}
	if !p.wait() {
		return errClosing
	}
	began := time.Now()
	err := work()
	if err == nil && settle != nil {
		err = settle()
	}
	p.rest(began, n)
	return err
}

// wait waits until the next piece may begin; false when the host closes.
func (p *pace) wait() bool {
	wait := time.Until(p.next)
	if wait < shortPause {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.closing:
		return false
	}
}

// rest says when the piece after one of n bytes, which has just ended, may begin.
func (p *pace) rest(began time.Time, n int) {
	cost := time.Since(began)
	if p.commits() {
		cost = cost * 100 / time.Duration(p.share)
	}
	if p.rate > 0 {
		cost = max(cost, time.Duration(float64(n)/float64(p.rate)*float64(time.Second)))
	}
	if late := began.Add(-pauseLate); p.next.Before(late) {
		p.next = late
	}
	p.next = p.next.Add(cost)
}

// pacedReader reads a file of a state.
type pacedReader struct {
	lsm.File
	pace *pace
}

// Read implements io.Reader.
func (r pacedReader) Read(b []byte) (n int, err error) {
	err = r.pace.piece(len(b), func() (err error) {
		n, err = r.File.Read(b)
		return err
	}, nil)
	return n, err
}

// pacedWriter writes a file piece by piece. Beside commits the pieces go to the disk itself: the system's cache would take
// several times the processor's time for them, which whoever commits and reads has need of too, and push out what they use.
// Otherwise each is on its way to the disk when the next one is handed over. So the file never has more that waits to be
// written than two pieces: a sync of another file, which may have to wait for this one's, does not find more.
type pacedWriter struct {
	f      lsm.File
	pace   *pace
	buf    []byte
	at     int64
	direct bool // pieces pass the system's cache by
}

func newPacedWriter(f lsm.File, p *pace) *pacedWriter {
	return &pacedWriter{f: f, pace: p, direct: p != nil && p.commits() && lsm.Direct(f, true)}
}

// Write implements io.Writer.
func (w *pacedWriter) Write(b []byte) (int, error) {
	if w.buf == nil {
		w.buf = make([]byte, 0, pieceBytes) // of that size: pages of its own, as a direct write wants them
	}
	done := 0
	for done < len(b) {
		n := min(len(b)-done, pieceBytes-len(w.buf))
		w.buf = append(w.buf, b[done:done+n]...)
		done += n
		if len(w.buf) < pieceBytes {
			break
		}
		if err := w.flush(); err != nil {
			return done, err
		}
	}
	return done, nil
}

func (w *pacedWriter) flush() error {
	if w.direct && len(w.buf) < pieceBytes {
		w.viaCache() // a file's last piece need not be whole blocks
	}
	if !w.direct {
		return w.flushCached()
	}
	err := w.pace.piece(len(w.buf), w.write, nil)
	if w.at == 0 && errors.Is(err, syscall.EINVAL) { // the file system has said it could
		w.viaCache()
		return w.flushCached()
	}
	w.buf = w.buf[:0]
	return err
}

// viaCache leaves the pieces to come to the system's cache.
func (w *pacedWriter) viaCache() { w.direct = !lsm.Direct(w.f, false) }

func (w *pacedWriter) write() error {
	n, err := w.f.Write(w.buf)
	w.at += int64(n)
	return err
}

func (w *pacedWriter) flushCached() error {
	n := len(w.buf)
	err := w.write()
	w.buf = w.buf[:0]
	if err != nil {
		return err
	}
	full := false
	begin := func() (err error) {
		full, err = w.f.SyncTo(w.at)
		return err
	}
	return w.pace.piece(n, begin, func() error {
		if full {
			return nil
		}
		return begin() // waits for what the first call began
	})
}

// Close makes the file durable first.
func (w *pacedWriter) Close() error {
	var err error
	if len(w.buf) > 0 {
		err = w.flush()
	}
	if err == nil {
		err = w.pace.piece(0, w.f.Sync, nil)
	}
	return errors.Join(err, w.f.Close())
}

var _ io.WriteCloser = (*pacedWriter)(nil)
