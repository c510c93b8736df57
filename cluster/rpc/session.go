package rpc

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/hashicorp/yamux"

	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// maxIdle is how many streams a session keeps for calls to come.
const maxIdle = 64

// shrinkAbove is the size of an answer after which a kept stream gives its buffer back.
const shrinkAbove = 64 << 10

// session is a client's yamux session and the streams it has at hand.
type session struct {
	conn *transport.CallConn
	mux  *yamux.Session
	busy *streams

	mu   sync.Mutex
	idle []*yamux.Stream // guarded by mu
}

func newSession(conn *transport.CallConn) (*session, error) {
	busy := newStreams()
	mux, err := yamux.Client(newJoiner(conn, busy), yamuxConfig())
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("yamux: %w", err)
	}
	return &session{conn: conn, mux: mux, busy: busy}, nil
}

// take gives a stream that nobody else uses, for give or drop to take back.
func (s *session) take() (*yamux.Stream, error) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		st := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		s.busy.add(st)
		return st, nil
	}
	s.mu.Unlock()
	return s.open()
}

// open gives a new stream, for drop to take back.
func (s *session) open() (*yamux.Stream, error) {
	st, err := s.mux.OpenStream()
	if err == nil {
		s.busy.add(st)
	}
	return st, err
}

// drop closes a stream: a reset, as the peer sees it, when it is in the middle of something.
func (s *session) drop(st *yamux.Stream) {
	s.busy.remove(st)
	st.Close()
}

// over reports whether the session takes no more calls.
func (s *session) over() bool { return s.busy.ended() || s.mux.IsClosed() }

// give takes a stream back after a finished exchange.
func (s *session) give(st *yamux.Stream, answered int) {
	s.busy.remove(st)
	if answered > shrinkAbove {
		st.Shrink()
	}
	s.mu.Lock()
	if len(s.idle) < maxIdle && !s.over() {
		s.idle = append(s.idle, st)
		st = nil
	}
	s.mu.Unlock()
	if st != nil {
		st.Close()
	}
}

// cause is why the session ended, if that is known, else err.
func (s *session) cause(err error) error {
	if c := s.conn.Cause(); c != nil {
		return c
	}
	return err
}

func (s *session) close() {
	s.busy.interrupt()
	s.mux.Close()
}

// joiner is a connection that writes yamux's header of a data frame together with the data: one TLS record and
// one system call instead of two. yamux writes from one goroutine, the data always right after its header.
//
// It is also the first to see that the connection is lost, and ends what waits at the session's streams.
type joiner struct {
	*transport.CallConn
	buf  []byte // a header that waits for its data, else empty
	busy *streams
}

const (
	yamuxHeader   = 12
	yamuxDataType = 0
)

func newJoiner(c *transport.CallConn, busy *streams) *joiner { return &joiner{CallConn: c, busy: busy} }

func (j *joiner) Read(b []byte) (int, error) {
	n, err := j.CallConn.Read(b)
	if err != nil {
		j.busy.interrupt()
	}
	return n, err
}

func (j *joiner) Write(b []byte) (int, error) {
	n, err := j.join(b)
	if err != nil {
		j.busy.interrupt()
	}
	return n, err
}

func (j *joiner) join(b []byte) (int, error) {
	if len(j.buf) == 0 {
		if isDataHeader(b) {
			j.buf = append(j.buf, b...)
			return len(b), nil
		}
		return j.CallConn.Write(b)
	}
	const record = 16 << 10
	n := min(len(b), record-yamuxHeader)
	j.buf = append(j.buf, b[:n]...)
	_, err := j.CallConn.Write(j.buf)
	j.buf = j.buf[:0]
	if err != nil {
		return 0, err
	}
	if n < len(b) {
		_, err = j.CallConn.Write(b[n:])
	}
	return len(b), err
}

func isDataHeader(b []byte) bool {
	return len(b) == yamuxHeader && b[1] == yamuxDataType && binary.BigEndian.Uint32(b[8:]) > 0
}

// dial is one attempt to open a session that any number of callers wait for.
type dial struct {
	done chan struct{}
	s    *session // set before done is closed
	err  error    // set before done is closed
}

func (d *dial) wait(ctx context.Context) (*session, error) {
	select {
	case <-d.done:
		return d.s, d.err
	case <-ctx.Done():
		return nil, notRun(ctx.Err())
	}
}

// live reports whether the attempt still runs or gave a session that stands.
func (d *dial) live() bool {
	select {
	case <-d.done:
		return d.err == nil && !d.s.over()
	default:
		return true
	}
}
