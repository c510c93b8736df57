package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
)

var (
	methodEcho    = Method{1, "echo"}
	methodFail    = Method{2, "fail"}
	methodHang    = Method{3, "hang"}
	methodLeft    = Method{4, "time left"}
	methodWho     = Method{5, "who"}
	methodBig     = Method{6, "big"}
	methodWait    = Method{7, "wait"}
	methodMirror  = Method{20, "mirror"}
	methodCount   = Method{21, "count"}
	methodQuit    = Method{22, "quit"}
	methodUnknown = Method{99, "unknown"}
)

// table is the method table the suite runs against; ended counts handlers whose context ended.
func table(ended *atomic.Int32) func(*Server) {
	return func(s *Server) {
		s.Handle(methodEcho, func(_ context.Context, _ Peer, req []byte) ([]byte, error) { return req, nil })
		s.Handle(methodFail, func(_ context.Context, _ Peer, req []byte) ([]byte, error) {
			return nil, failures[req[0]].err
		})
		s.Handle(methodHang, func(ctx context.Context, _ Peer, _ []byte) ([]byte, error) {
			<-ctx.Done()
			ended.Add(1)
			return nil, ctx.Err()
		})
		s.Handle(methodLeft, func(ctx context.Context, _ Peer, _ []byte) ([]byte, error) {
			at, ok := ctx.Deadline()
			return fmt.Appendf(nil, "%t %t", ok, time.Until(at) < 5*time.Second), nil
		})
		s.Handle(methodWho, func(_ context.Context, p Peer, _ []byte) ([]byte, error) {
			return fmt.Appendf(nil, "%s %t", p.Node, p.Incarnation != 0), nil
		})
		s.Handle(methodBig, func(context.Context, Peer, []byte) ([]byte, error) {
			return make([]byte, MaxMessage+1), nil
		})
		s.HandleStream(methodMirror, func(_ context.Context, _ Peer, st *Stream) error {
			for {
				msg, err := st.Recv()
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
				if err := st.Send(msg); err != nil {
					return err
				}
			}
		})
		s.HandleStream(methodCount, func(ctx context.Context, _ Peer, st *Stream) error {
			defer ended.Add(1)
			for i := 0; ; i++ {
				if err := st.Send(make([]byte, 100_000)); err != nil {
					return err
				}
			}
		})
		s.HandleStream(methodQuit, func(_ context.Context, _ Peer, st *Stream) error {
			if _, err := st.Recv(); err != nil {
				return err
			}
			return cluster.Errorf(1234, "enough")
		})
	}
}

var failures = []struct {
	name string
	err  error
	want cluster.Error
}{
	{"not leader", fmt.Errorf("route: %w", &cluster.Error{Kind: cluster.KindNotLeader, Group: 3, Term: 8, Leader: "n3"}),
		cluster.Error{Kind: cluster.KindNotLeader, Group: 3, Term: 8, Leader: "n3"}},
	{"kind above the cluster", cluster.Errorf(1007, "rights"), cluster.Error{Kind: 1007}},
	{"plain", errors.New("disk on fire"), cluster.Error{Kind: cluster.KindInternal}},
	{"interrupted", fmt.Errorf("propose: %w", context.DeadlineExceeded), cluster.Error{Kind: cluster.KindUnknownOutcome}},
}

// TestConformance runs one suite against the own node and against another over real sockets.
func TestConformance(t *testing.T) {
	var ended atomic.Int32
	f := newFleet(t)
	n1 := f.start("n1", ServerConfig{}, table(&ended))
	f.start("n2", ServerConfig{}, table(&ended))
	for _, to := range []cluster.NodeID{"n1", "n2"} {
		s := suite{n1.client, to, &ended}
		t.Run(string(to), func(t *testing.T) {
			t.Run("call", s.call)
			t.Run("errors", s.errors)
			t.Run("cancel", s.cancel)
			t.Run("deadline", s.deadline)
			t.Run("limits", s.limits)
			t.Run("concurrent", s.concurrent)
			t.Run("stream", s.stream)
			t.Run("stream error", s.streamError)
			t.Run("stream cancel", s.streamCancel)
			t.Run("stream close", s.streamClose)
		})
	}
}

type suite struct {
	client *Client
	to     cluster.NodeID
	ended  *atomic.Int32
}

func (s suite) call(t *testing.T) {
	for _, n := range []int{0, 1, 1000, joinLimit, joinLimit + 1, 1 << 20, MaxMessage} {
		req := bytes.Repeat([]byte{byte(n), 7}, n/2+1)[:n]
		resp, err := s.client.Call(within(t), s.to, methodEcho, req)
		if err != nil || !bytes.Equal(resp, req) {
			t.Fatalf("%d bytes: got %d, %v", n, len(resp), err)
		}
	}
	if resp, err := s.client.Call(within(t), s.to, methodWho, nil); err != nil || string(resp) != "n1 true" {
		t.Errorf("caller seen as %q, %v", resp, err)
	}
}

func (s suite) errors(t *testing.T) {
	for i, f := range failures {
		_, err := s.client.Call(within(t), s.to, methodFail, []byte{byte(i)})
		var e *cluster.Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", f.name, err)
			continue
		}
		got := *e
		got.Text = ""
		if got != f.want || e.Text == "" {
			t.Errorf("%s: %+v, want %+v", f.name, *e, f.want)
		}
	}
	for _, m := range []Method{methodUnknown, methodMirror} {
		if _, err := s.client.Call(within(t), s.to, m, []byte("x")); !errors.Is(err, cluster.ErrNoMethod) {
			t.Errorf("%s: %v", m, err)
		}
	}
}

func (s suite) cancel(t *testing.T) {
	before := s.ended.Load()
	ctx, cancel := context.WithCancel(within(t))
	timer := time.AfterFunc(30*time.Millisecond, cancel)
	defer timer.Stop()
	_, err := s.client.Call(ctx, s.to, methodHang, nil)
	if !errors.Is(err, cluster.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled call: %v", err)
	}
	eventually(t, "end of the handler's context", func() bool { return s.ended.Load() == before+1 })
	if _, err := s.client.Call(ctx, s.to, methodEcho, nil); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("call with an ended context: %v", err)
	}
}

func (s suite) deadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := s.client.Call(ctx, s.to, methodHang, nil)
	if !errors.Is(err, cluster.ErrUnknownOutcome) { // either end may notice first
		t.Errorf("call beyond its deadline: %v", err)
	}
	<-ctx.Done()
	if _, err := s.client.Call(ctx, s.to, methodEcho, nil); !errors.Is(err, cluster.ErrDeadline) {
		t.Errorf("call after its deadline: %v", err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	if got, err := s.client.Call(ctx, s.to, methodLeft, nil); err != nil || string(got) != "true true" {
		t.Errorf("handler sees deadline: %s, %v", got, err)
	}
}

func (s suite) limits(t *testing.T) {
	if _, err := s.client.Call(within(t), s.to, methodEcho, make([]byte, MaxMessage+1)); !errors.Is(err, cluster.ErrTooLarge) {
		t.Errorf("request too large: %v", err)
	}
	if _, err := s.client.Call(within(t), s.to, methodBig, nil); !errors.Is(err, cluster.ErrTooLarge) {
		t.Errorf("answer too large: %v", err)
	}
}

func (s suite) concurrent(t *testing.T) {
	var g errgroup.Group
	for i := range 100 {
		g.Go(func() error {
			for j := range 20 {
				req := bytes.Repeat(fmt.Appendf(nil, "%d/%d ", i, j), 1+i*j)
				resp, err := s.client.Call(within(t), s.to, methodEcho, req)
				if err != nil || !bytes.Equal(req, resp) {
					return fmt.Errorf("caller %d, call %d: %d bytes, %w", i, j, len(resp), err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func (s suite) open(t *testing.T, ctx context.Context, m Method) *Stream {
	t.Helper()
	st, err := s.client.OpenStream(ctx, s.to, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func (s suite) stream(t *testing.T) {
	st := s.open(t, within(t), methodMirror)
	const messages = 64
	var g errgroup.Group
	g.Go(func() error {
		for i := range messages {
			if err := st.Send(bytes.Repeat([]byte{byte(i)}, i*3000)); err != nil {
				return err
			}
		}
		return st.CloseSend()
	})
	for i := range messages {
		msg, err := st.Recv()
		if err != nil || !bytes.Equal(msg, bytes.Repeat([]byte{byte(i)}, i*3000)) {
			t.Fatalf("message %d: %d bytes, %v", i, len(msg), err)
		}
	}
	if _, err := st.Recv(); err != io.EOF {
		t.Errorf("end: %v", err)
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func (s suite) streamError(t *testing.T) {
	st := s.open(t, within(t), methodQuit)
	if err := st.Send([]byte("go")); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Recv(); cluster.KindOf(err) != 1234 {
		t.Errorf("handler's error: %v", err)
	}
	eventually(t, "refusal of further messages", func() bool { return st.Send(make([]byte, 1<<20)) != nil })
	st = s.open(t, within(t), methodEcho)
	if _, err := st.Recv(); !errors.Is(err, cluster.ErrNoMethod) {
		t.Errorf("stream of a call's method: %v", err)
	}
}

func (s suite) streamCancel(t *testing.T) {
	before := s.ended.Load()
	ctx, cancel := context.WithCancel(within(t))
	st := s.open(t, ctx, methodCount)
	for range 30 { // more than any window: it flows
		if _, err := st.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	eventually(t, "end of the caller's stream", func() bool { _, err := st.Recv(); return errors.Is(err, context.Canceled) })
	st.Close()
	eventually(t, "end of the handler", func() bool { return s.ended.Load() == before+1 })
}

func (s suite) streamClose(t *testing.T) {
	before := s.ended.Load()
	st := s.open(t, within(t), methodCount)
	if _, err := st.Recv(); err != nil {
		t.Fatal(err)
	}
	st.Close()
	eventually(t, "end of the handler", func() bool { return s.ended.Load() == before+1 })
}
