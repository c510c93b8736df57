package rpc

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

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
