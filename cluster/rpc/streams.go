package rpc

import (
	"sync"

	"github.com/hashicorp/yamux"
)

// streams are those of a session that somebody may wait at. A reader or writer of yamux 0.1.2 does not wait any more
// once its session shuts down: it asks again and again until the session has come to close its stream, and many of them
// together keep the session from doing so. They are therefore sent away before, by a deadline that is past.
type streams struct {
	mu   sync.Mutex
	open map[*yamux.Stream]struct{} // guarded by mu
	over bool                       // guarded by mu: no more reads and writes
}

func newStreams() *streams { return &streams{open: make(map[*yamux.Stream]struct{})} }

// add is called before a stream is waited at, remove when nobody does any more.
func (s *streams) add(st *yamux.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[st] = struct{}{}
	if s.over {
		_ = st.SetDeadline(past())
	}
}

func (s *streams) remove(st *yamux.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, st)
}

// interrupt ends all reads and writes, those to come too. Whoever shuts the session down calls it first.
func (s *streams) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.over = true
	for st := range s.open {
		_ = st.SetDeadline(past())
	}
}

func (s *streams) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}
