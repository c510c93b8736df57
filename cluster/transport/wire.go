package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// gatherLimit is how much ciphertext is gathered before it is given to the kernel: TLS hands over records of
// 16 KiB, and one system call for several of them costs less than one each.
const gatherLimit = 64 << 10

// wire is a connection below TLS. It notes when bytes arrive, gathers what TLS writes until flush when told to,
// and remembers why it was killed, so that whoever fails on it can name the cause.
type wire struct {
	net.Conn
	t     *Transport
	class Class
	peer  atomic.Pointer[peer] // set once identified
	cause atomic.Pointer[error]
	heard atomic.Int64 // stamp of the last bytes

	mu     sync.Mutex
	gather bool   // guarded by mu
	buf    []byte // guarded by mu
	err    error  // first failed write; guarded by mu
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		if p := w.peer.Load(); p != nil {
			now := w.t.stamp()
			w.heard.Store(now)
			p.heard.Store(now)
		}
	}
	if err == io.EOF {
		err = errCutShort
	}
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	if !w.gather {
		return w.Conn.Write(b)
	}
	w.buf = append(w.buf, b...)
	if len(w.buf) >= gatherLimit {
		w.flushLocked()
	}
	return len(b), w.err
}

func (w *wire) startGathering() {
	w.mu.Lock()
	w.gather = true
	w.mu.Unlock()
}

func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flushLocked()
	return w.err
}

func (w *wire) flushLocked() {
	if w.err != nil || len(w.buf) == 0 {
		return
	}
	w.t.stats.writes.Add(1)
	w.t.stats.bytesOut.Add(uint64(len(w.buf)))
	_, w.err = w.Conn.Write(w.buf)
	w.buf = w.buf[:0]
}

// kill closes the connection at once, without a farewell, and records why.
func (w *wire) kill(cause error) {
	w.cause.CompareAndSwap(nil, &cause)
	w.Conn.Close()
}

// explain replaces an error of the connection by the reason it was killed for, if it was.
func (w *wire) explain(err error) error {
	if cause := w.cause.Load(); cause != nil {
		return *cause
	}
	return err
}

// identify ties the connection to its peer, whose silence it now breaks.
func (w *wire) identify(p *peer) {
	w.peer.Store(p)
	now := w.t.stamp()
	w.heard.Store(now)
	p.heard.Store(now)
	if f, ok := w.Conn.(*faultConn); ok {
		f.identify(p.id)
	}
}

// errSilent is the cause of connections closed because the peer said nothing.
type errSilent struct{ seconds float64 }

func (e errSilent) Error() string { return fmt.Sprintf("peer was silent for %.1f s", e.seconds) }

// errCutShort stands for the network's io.EOF: crypto/tls would pass that on as an orderly end, which only the
// peer's close_notify is.
var errCutShort = fmt.Errorf("peer closed the connection: %w", io.ErrUnexpectedEOF)

var (
	errReplaced = errors.New("peer's process was replaced by another")
	errVacant   = fmt.Errorf("%w, which is silent", errReplaced)
)

var errSuperseded = errors.New("peer opened a newer connection")
