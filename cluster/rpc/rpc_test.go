package rpc

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/flotilla-mail/flotilla/cluster"
)

func TestPeerUnreachable(t *testing.T) {
	var ended atomic.Int32
	f := newFleet(t)
	n1 := f.start("n1", ServerConfig{}, table(&ended))
	f.addrs["n2"] = "127.0.0.1:1" // nobody listens there
	if _, err := n1.client.Call(within(t), "n2", methodEcho, nil); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("nobody listens: %v", err)
	}
	if _, err := n1.client.OpenStream(within(t), "n2", methodMirror); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("stream where nobody listens: %v", err)
	}
}

// TestPeerDies loses the peer while a handler runs: the outcome is unknown; what follows is certainly not run,
// and when the peer is back calls go on by themselves.
func TestPeerDies(t *testing.T) {
	var ended atomic.Int32
	f := newFleet(t)
	n1 := f.start("n1", ServerConfig{}, table(&ended))
	n2 := f.start("n2", ServerConfig{}, table(&ended))
	st, err := n1.client.OpenStream(within(t), "n2", methodMirror)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	var g errgroup.Group
	g.Go(func() error {
		_, err := n1.client.Call(within(t), "n2", methodHang, nil)
		return err
	})
	eventually(t, "running handler", func() bool { return n2.server.running("n1") == 2 })
	n2.stop(t)
	if err := g.Wait(); !errors.Is(err, cluster.ErrUnknownOutcome) {
		t.Errorf("call under way: %v", err)
	}
	if _, err := st.Recv(); !errors.Is(err, cluster.ErrUnknownOutcome) && !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("stream under way: %v", err)
	}
	if _, err := n1.client.Call(within(t), "n2", methodEcho, nil); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("call of a dead node: %v", err)
	}
	f.start("n2", ServerConfig{}, table(&ended))
	if resp, err := n1.client.Call(within(t), "n2", methodEcho, []byte("back")); err != nil || string(resp) != "back" {
		t.Errorf("call after the restart: %q, %v", resp, err)
	}
}

// running counts what a peer runs, by what is left of its limit.
func (s *Server) running(node cluster.NodeID) int {
	l := s.limitsOf(node)
	for n := range 10 {
		if l.calls.TryAcquire(s.cfg.MaxCalls - int64(n)) {
			l.calls.Release(s.cfg.MaxCalls - int64(n))
			return n
		}
	}
	return -1
}

// TestBlackhole cuts the wire under a call: it ends by the peer's silence although its context has no deadline
// near, and a call with one ends by that.
func TestBlackhole(t *testing.T) {
	var ended atomic.Int32
	f := newFleet(t)
	n1 := f.start("n1", ServerConfig{}, table(&ended))
	f.start("n2", ServerConfig{}, table(&ended))
	if _, err := n1.client.Call(within(t), "n2", methodEcho, nil); err != nil {
		t.Fatal(err)
	}
	n1.faults.Cut("n2", 3)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := n1.client.Call(ctx, "n2", methodEcho, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("call with a deadline: %v", err)
	}
	began := time.Now()
	_, err := n1.client.Call(within(t), "n2", methodEcho, nil)
	if !errors.Is(err, cluster.ErrUnknownOutcome) || time.Since(began) > 4*time.Second {
		t.Errorf("call under the cut: %v after %v", err, time.Since(began))
	}
	if _, err := n1.client.Call(within(t), "n2", methodEcho, nil); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("call of a silent node: %v", err)
	}
	n1.faults.Clear("n2")
	if _, err := n1.client.Call(within(t), "n2", methodEcho, nil); err != nil {
		t.Errorf("call after the cut: %v", err)
	}
}

func TestLatencyReachesCalls(t *testing.T) {
	var ended atomic.Int32
	f := newFleet(t)
	n1 := f.start("n1", ServerConfig{}, table(&ended))
	f.start("n2", ServerConfig{}, table(&ended))
	if _, err := n1.client.Call(within(t), "n2", methodEcho, nil); err != nil {
		t.Fatal(err)
	}
	n1.faults.Latency("n2", 40*time.Millisecond)
	began := time.Now()
	if _, err := n1.client.Call(within(t), "n2", methodEcho, nil); err != nil || time.Since(began) < 40*time.Millisecond {
		t.Errorf("delayed call: %v after %v", err, time.Since(began))
	}
}

// TestOverload asks for more than a peer may have at once: the surplus is refused, unread bytes do not stay.
func TestOverload(t *testing.T) {
	release := make(chan struct{})
	f := newFleet(t)
	n1 := f.start("n1", ServerConfig{}, func(*Server) {})
	n2 := f.start("n2", ServerConfig{MaxCalls: 4, MaxBytes: 1 << 20}, func(s *Server) {
		s.Handle(methodHang, func(_ context.Context, _ Peer, req []byte) ([]byte, error) { <-release; return req, nil })
		s.HandleStream(methodMirror, func(context.Context, Peer, *Stream) error { return nil })
	})
	if _, err := n1.client.Call(within(t), "n2", methodHang, make([]byte, 2<<20)); !errors.Is(err, cluster.ErrOverloaded) {
		t.Errorf("more bytes than allowed: %v", err)
	}
	var g errgroup.Group
	for i := range 4 {
		g.Go(func() error {
			_, err := n1.client.Call(within(t), "n2", methodHang, bytes.Repeat([]byte{byte(i)}, 1000))
			return err
		})
	}
	eventually(t, "four running calls", func() bool { return n2.server.running("n1") == 4 })
	if _, err := n1.client.Call(within(t), "n2", methodHang, nil); !errors.Is(err, cluster.ErrOverloaded) {
		t.Errorf("fifth call: %v", err)
	}
	st, err := n1.client.OpenStream(within(t), "n2", methodMirror)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(); !errors.Is(err, cluster.ErrOverloaded) {
		t.Errorf("stream beside four calls: %v", err)
	}
	st.Close()
	close(release)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// TestWaitingCallsLeaveRoomForOthers fills both budgets of a peer: calls that wait keep no others out, nor others them,
// and each budget has its end.
func TestWaitingCallsLeaveRoomForOthers(t *testing.T) {
	const calls, waits = 4, 40
	release := make(chan struct{})
	hang := func(context.Context, Peer, []byte) ([]byte, error) { <-release; return nil, nil }
	f := newFleet(t)
	n1 := f.start("n1", ServerConfig{}, func(*Server) {})
	n2 := f.start("n2", ServerConfig{MaxCalls: calls, MaxWaits: waits}, func(s *Server) {
		s.HandleWait(methodWait, hang)
		s.Handle(methodHang, hang)
		s.Handle(methodEcho, func(_ context.Context, _ Peer, req []byte) ([]byte, error) { return req, nil })
	})
	var g errgroup.Group
	begin := func(n int, m Method) {
		for range n {
			g.Go(func() error {
				_, err := n1.client.Call(within(t), "n2", m, nil)
				return err
			})
		}
	}
	full := func(s *semaphore.Weighted) bool {
		if s.TryAcquire(1) {
			s.Release(1)
			return false
		}
		return true
	}
	lim := n2.server.limitsOf("n1")
	begin(waits, methodWait)
	eventually(t, "all that may wait", func() bool { return full(lim.waits) })
	if _, err := n1.client.Call(within(t), "n2", methodWait, nil); !errors.Is(err, cluster.ErrOverloaded) {
		t.Errorf("one more that waits: %v", err)
	}
	if resp, err := n1.client.Call(within(t), "n2", methodEcho, []byte("x")); err != nil || string(resp) != "x" {
		t.Errorf("a call beside %d that wait: %q, %v", waits, resp, err)
	}
	begin(calls, methodHang)
	eventually(t, "all that may run", func() bool { return full(lim.calls) })
	if _, err := n1.client.Call(within(t), "n2", methodEcho, nil); !errors.Is(err, cluster.ErrOverloaded) {
		t.Errorf("a call beside %d: %v", calls, err)
	}
	close(release)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	eventually(t, "budgets given back", func() bool { return !full(lim.waits) && !full(lim.calls) })
}

// TestMemoryOfAWaitingCall measures what a call that waits takes, at both ends together, and holds it to what
// ServerConfig.MaxWaits was chosen by.
func TestMemoryOfAWaitingCall(t *testing.T) {
	const waits, most = 1000, 80 << 10
	var waiting atomic.Int32
	f := newFleet(t)
	n1 := f.start("n1", ServerConfig{}, func(*Server) {})
	f.start("n2", ServerConfig{}, func(s *Server) {
		s.HandleWait(methodWait, func(ctx context.Context, _ Peer, _ []byte) ([]byte, error) {
			waiting.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		})
	})
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	var g errgroup.Group
	begin := func() {
		g.Go(func() error {
			_, err := n1.client.Call(ctx, "n2", methodWait, make([]byte, 200))
			return err
		})
	}
	begin()
	eventually(t, "the first to wait", func() bool { return waiting.Load() == 1 })
	before := memory()
	for range waits {
		begin()
	}
	eventually(t, "all to wait", func() bool { return waiting.Load() == waits+1 })
	each := (memory() - before) / waits
	t.Logf("%d bytes for a waiting call", each)
	if each > most {
		t.Errorf("%d bytes for a waiting call, want at most %d", each, most)
	}
	cancel()
	if err := g.Wait(); !errors.Is(err, cluster.ErrUnknownOutcome) {
		t.Error(err)
	}
}

// TestManyWaitingCallsEndWithTheirConnection loses a peer that many calls wait at, as a node does whose clients idle: all
// of them end soon, at both ends, and the node has something else to do meanwhile.
func TestManyWaitingCallsEndWithTheirConnection(t *testing.T) {
	const waits = 500
	for name, lose := range map[string]func(n1, n2 *node){
		"the peer stops":  func(_, n2 *node) { n2.stop(t) },
		"the caller does": func(n1, _ *node) { n1.client.Close() },
		"the wire is cut": func(n1, _ *node) { n1.faults.Cut("n2", 3) },
	} {
		t.Run(name, func(t *testing.T) {
			var waiting atomic.Int32
			f := newFleet(t)
			n1 := f.start("n1", ServerConfig{}, func(*Server) {})
			n2 := f.start("n2", ServerConfig{}, func(s *Server) {
				s.HandleWait(methodWait, func(ctx context.Context, _ Peer, _ []byte) ([]byte, error) {
					waiting.Add(1)
					defer waiting.Add(-1)
					<-ctx.Done()
					return nil, ctx.Err()
				})
			})
			var g errgroup.Group
			for range waits {
				g.Go(func() error {
					_, err := n1.client.Call(within(t), "n2", methodWait, nil)
					if !errors.Is(err, cluster.ErrUnknownOutcome) {
						return err
					}
					return nil
				})
			}
			eventually(t, "all to wait", func() bool { return waiting.Load() == waits })
			before := processorTime(t)
			lose(n1, n2)
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
			eventually(t, "all handlers to end", func() bool { return waiting.Load() == 0 })
			took := processorTime(t) - before
			t.Logf("%v of processor time for the end of %d calls", took, waits)
			if took > time.Second {
				t.Errorf("the end of %d calls took %v of processor time", waits, took)
			}
		})
	}
}

// processorTime is what the process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

func TestMethodNumbersAreUnique(t *testing.T) {
	s := NewServer(ServerConfig{})
	s.Handle(methodEcho, nil)
	defer func() {
		if recover() == nil {
			t.Error("one number for two methods")
		}
	}()
	s.HandleStream(Method{methodEcho.ID, "other"}, nil)
}

func TestClosedClient(t *testing.T) {
	var ended atomic.Int32
	f := newFleet(t)
	n1 := f.start("n1", ServerConfig{}, table(&ended))
	n1.client.Close()
	for _, to := range []cluster.NodeID{"n1", "n2"} {
		if _, err := n1.client.OpenStream(within(t), to, methodMirror); !errors.Is(err, cluster.ErrUnavailable) {
			t.Errorf("stream to %s after Close: %v", to, err)
		}
	}
}
