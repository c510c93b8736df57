package rpc

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/yamux"
	"golang.org/x/sync/semaphore"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/cluster/transport"
)

// Handler answers one call. ctx ends at the caller's deadline, or when the caller or its connection is gone. req
// must not be changed, nor kept after the return; resp must not be changed after it. A panic is the process's
// end: calls are not a place to recover from broken invariants.
type Handler func(ctx context.Context, from Peer, req []byte) (resp []byte, err error)

// StreamHandler serves one stream. Its return ends the stream, with its error as the caller's last Recv.
type StreamHandler func(ctx context.Context, from Peer, s *Stream) error

// ServerConfig bounds what one peer may use of a server at once.
type ServerConfig struct {
	// MaxCalls is how many calls and streams run; more are refused with KindOverloaded.
	MaxCalls int64
	// MaxWaits is how many calls of methods that wait run beside them. Each client of a node may wait for something, for
	// half an hour (10,000 connections a node, DESIGN 6), and must not keep others from asking. A waiting call takes
	// 19 KB at the two ends together, two thirds of it here.
	MaxWaits int64
	// MaxBytes is how much their requests hold; more is refused with KindOverloaded.
	MaxBytes int64
}

// Defaults fills what was left zero.
func (c *ServerConfig) Defaults() {
	if c.MaxCalls == 0 {
		c.MaxCalls = 4096
	}
	if c.MaxWaits == 0 {
		c.MaxWaits = 20_000
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 128 << 20
	}
}

// Server is a node's method table.
type Server struct {
	cfg     ServerConfig
	methods map[uint16]row
	heads   heads

	mu    sync.Mutex
	peers map[cluster.NodeID]*limits // guarded by mu
}

type row struct {
	method Method
	call   Handler       // or
	stream StreamHandler // this
	waits  bool
}

// limits are what a peer has left.
type limits struct {
	calls, waits, bytes *semaphore.Weighted
}

// NewServer makes a Server without methods.
func NewServer(cfg ServerConfig) *Server {
	cfg.Defaults()
	return &Server{cfg: cfg, methods: map[uint16]row{}, peers: map[cluster.NodeID]*limits{}}
}

// Handle adds a method answered by fn. The table is complete before Serve is first called.
func (s *Server) Handle(m Method, fn Handler) { s.add(row{method: m, call: fn}) }

// HandleWait adds a method whose calls wait for something to happen and do nothing meanwhile.
func (s *Server) HandleWait(m Method, fn Handler) { s.add(row{method: m, call: fn, waits: true}) }

// HandleStream adds a method that is a conversation.
func (s *Server) HandleStream(m Method, fn StreamHandler) { s.add(row{method: m, stream: fn}) }

func (s *Server) add(r row) {
	if old, ok := s.methods[r.method.ID]; ok {
		panic(fmt.Sprintf("rpc: methods %s and %s have one number", old.method, r.method))
	}
	s.methods[r.method.ID] = r
}

func (s *Server) limitsOf(node cluster.NodeID) *limits {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.peers[node]
	if l == nil {
		l = &limits{calls: semaphore.NewWeighted(s.cfg.MaxCalls), waits: semaphore.NewWeighted(s.cfg.MaxWaits),
			bytes: semaphore.NewWeighted(s.cfg.MaxBytes)}
		s.peers[node] = l
	}
	return l
}

// Serve serves a call connection until it ends or ctx does, and waits for its handlers. It is what
// transport.HandleCalls is given.
func (s *Server) Serve(ctx context.Context, conn *transport.CallConn) {
	busy := newStreams()
	mux, err := yamux.Server(newJoiner(conn, busy), yamuxConfig())
	if err != nil { // only a bad configuration
		conn.Close()
		return
	}
	from := Peer{Node: conn.Peer, Incarnation: conn.Incarnation}
	var wg sync.WaitGroup
	for {
		st, err := mux.AcceptStreamWithContext(ctx)
		if err != nil {
			break
		}
		busy.add(st)
		wg.Go(func() {
			defer busy.remove(st)
			s.serveStream(ctx, from, st)
		})
	}
	busy.interrupt()
	mux.Close()
	wg.Wait()
}

// job is a call handed from a stream's reader to its runner.
type job struct {
	request
	payload []byte
	refusal error               // instead of running it
	from    *semaphore.Weighted // what it takes one of
}

// serveStream reads requests from one yamux stream. The calls run on a goroutine beside it, so that the end of
// the stream, which is a caller's cancellation, is seen while a handler runs.
func (s *Server) serveStream(ctx context.Context, from Peer, st *yamux.Stream) {
	ctx, cancel := context.WithCancel(ctx)
	jobs := make(chan job)
	var runner sync.WaitGroup
	defer func() {
		cancel()
		close(jobs)
		runner.Wait()
		st.Close()
	}()
	lim := s.limitsOf(from.Node)
	scratch := make([]byte, requestHead)
	for running := false; ; running = true {
		q, err := readRequest(st, scratch)
		if err != nil {
			return
		}
		if q.form == formStream {
			s.converse(ctx, from, st, q)
			return
		}
		if !running {
			runner.Go(func() { s.run(ctx, from, st, jobs) })
		}
		j, err := lim.admit(st, q, s.methods[q.method].waits)
		if err != nil {
			return
		}
		select {
		case jobs <- j:
		case <-ctx.Done():
			lim.release(j)
			return
		}
	}
}

// admit reads the request's payload if the peer may have another call, else skips it.
func (l *limits) admit(st io.Reader, q request, waits bool) (job, error) {
	j := job{request: q, from: l.calls}
	if waits {
		j.from = l.waits
	}
	if !j.from.TryAcquire(1) {
		j.refusal = cluster.Errorf(cluster.KindOverloaded, "too many calls of one node")
	} else if !l.bytes.TryAcquire(int64(q.size)) {
		j.from.Release(1)
		j.refusal = cluster.Errorf(cluster.KindOverloaded, "too many bytes in calls of one node")
	}
	if j.refusal != nil {
		_, err := io.CopyN(io.Discard, st, int64(q.size))
		return j, err
	}
	j.payload = make([]byte, q.size)
	if _, err := io.ReadFull(st, j.payload); err != nil {
		l.release(j)
		return j, err
	}
	return j, nil
}

func (l *limits) release(j job) {
	if j.refusal == nil {
		j.from.Release(1)
		l.bytes.Release(int64(j.size))
	}
}

// run answers the calls of one stream, one after the other.
func (s *Server) run(ctx context.Context, from Peer, st *yamux.Stream, jobs <-chan job) {
	lim := s.limitsOf(from.Node)
	for j := range jobs {
		resp, err := s.runOne(ctx, from, j)
		lim.release(j)
		kind := messageDone
		if err != nil {
			kind, resp = messageError, transport.AppendError(nil, err)
		}
		buf := s.heads.get()
		err = writeJoined(st, appendMessageHead(*buf, kind, len(resp)), resp)
		s.heads.put(buf)
		if err != nil {
			_ = st.SetReadDeadline(past()) // the reader ends the stream
		}
	}
}

func (s *Server) runOne(ctx context.Context, from Peer, j job) ([]byte, error) {
	if j.refusal != nil {
		return nil, j.refusal
	}
	if j.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, j.timeout)
		defer cancel()
	}
	return s.call(ctx, from, j.method, j.payload)
}

// call runs a method's handler, as the socket and the own node both do.
func (s *Server) call(ctx context.Context, from Peer, id uint16, req []byte) ([]byte, error) {
	r, ok := s.methods[id]
	if !ok || r.call == nil {
		return nil, cluster.Errorf(cluster.KindNoMethod, "no call has number %d here", id)
	}
	resp, err := r.call(ctx, from, req)
	if err == nil && len(resp) > MaxMessage {
		return nil, cluster.Errorf(cluster.KindTooLarge, "answer %s of %d bytes, at most %d", r.method.Name, len(resp), MaxMessage)
	}
	return resp, err
}
