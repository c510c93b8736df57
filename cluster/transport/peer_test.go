package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
)

// diary writes down a node's events.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
	d.mu.Unlock()
}

func (d *diary) has(line string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lines {
		if l == line {
			return true
		}
	}
	return false
}

func (d *diary) events() Events {
	return Events{
		PeerUp:       func(n cluster.NodeID, inc uint64) { d.add("%s up %d", n, inc) },
		PeerDown:     func(n cluster.NodeID, _ error, refused bool) { d.add("%s down %t", n, refused) },
		PeerReplaced: func(n cluster.NodeID, old, inc uint64) { d.add("%s replaced %d %d", n, old, inc) },
	}
}

func TestPeerRestarts(t *testing.T) {
	n := newNetwork(t)
	var d diary
	cfg := n.config("n1")
	cfg.Events = d.events()
	n1 := n.start(cfg)
	first := n.config("n2")
	first.Incarnation = 100
	n2 := n.start(first)
	n1.SetPeers([]cluster.NodeID{"n1", "n2"})
	eventually(t, "peer up", func() bool { return d.has("n2 up 100") })
	eventually(t, "answered ping", func() bool { s, _ := n1.PeerState("n2"); return s.RoundTrip > 0 && s.Up && s.Version == 1 })
	addr := n2.Addr().String()
	closeNow(t, n2)
	eventually(t, "loss", func() bool { return d.has("n2 down false") })
	eventually(t, "refused dial", func() bool { return d.has("n2 down true") })
	if s, _ := n1.PeerState("n2"); s.Up || s.RefusedAt.IsZero() || s.Err == nil {
		t.Errorf("state of a dead peer: %+v", s)
	}
	second := n.config("n2")
	second.Incarnation, second.Listen = 200, addr
	n.start(second)
	eventually(t, "restarted peer", func() bool { return d.has("n2 replaced 100 200") && d.has("n2 up 200") })
	if got, err := ask(within(t), n1, echo("n2", Bulk, "again")); err != nil || got != "again" {
		t.Errorf("after the restart: %q, %v", got, err)
	}
}

// TestNewProcessReplacesOld shows a new incarnation while connections to the old one still stand, as after a
// machine that lost power and came back before TCP noticed.
func TestNewProcessReplacesOld(t *testing.T) {
	n := newNetwork(t)
	var d diary
	cfg := n.config("n1")
	cfg.Events, cfg.Silence = d.events(), time.Minute
	n1 := n.start(cfg, func(tr *Transport) {})
	old := n.config("n2")
	old.Incarnation = 100
	n.start(old, func(tr *Transport) { tr.Handle(kindHold, func(in Inbound) { <-in.Gone() }) })
	call, err := n1.Send(within(t), Message{To: "n2", Class: Bulk, Kind: kindHold})
	if err != nil {
		t.Fatal(err)
	}
	fresh := n.config("n2")
	fresh.Incarnation = 200
	n2 := n.start(fresh)
	if _, err := ask(within(t), n2, echo("n1", Control, "I am new")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := call.Wait(within(t)); !errors.Is(err, cluster.ErrUnknownOutcome) || !errors.Is(err, errReplaced) {
		t.Errorf("call of the old process: %v", err)
	}
	eventually(t, "event", func() bool { return d.has("n2 replaced 100 200") })
}

// TestNewcomersSpareEachOther: connections of a new process come in on several goroutines at once; only those of the
// process before it are closed.
func TestNewcomersSpareEachOther(t *testing.T) {
	n := newNetwork(t)
	tr := n.start(n.config("n1"))
	for range 200 {
		p := newPeer(tr, "n2")
		join := func(incarnation uint64) *wire {
			c, _ := net.Pipe()
			w := &wire{Conn: c, t: tr, class: Bulk}
			if err := p.adopt(w, incarnation); err != nil {
				t.Error(err)
			}
			return w
		}
		old := join(100)
		var fresh [4]*wire
		var wg sync.WaitGroup
		for i := range fresh {
			wg.Go(func() { fresh[i] = join(200) })
		}
		wg.Wait()
		if cause := old.explain(nil); !errors.Is(cause, errReplaced) {
			t.Fatalf("connection of the old process: %v", cause)
		}
		for _, w := range fresh {
			if cause := w.explain(nil); cause != nil {
				t.Fatalf("connection of the new process: %v", cause)
			}
		}
		if err := p.adopt(&wire{Conn: old.Conn, t: tr}, 100); !errors.Is(err, errReplaced) {
			t.Fatalf("the old process came back: %v", err)
		}
	}
}

// TestSecondProcessGoes: a process that another replaced is refused while that one is heard, and for a while after; then it is
// told that it may start anew, which makes it the node again.
func TestSecondProcessGoes(t *testing.T) {
	n := newNetwork(t)
	var d diary
	cfg := n.config("n1")
	cfg.Events, cfg.Vacant = d.events(), 300*time.Millisecond
	n1 := n.start(cfg)
	runs := func(incarnation uint64) *Transport {
		c := n.config("n2")
		c.Incarnation = incarnation
		tr := n.start(c)
		tr.SetPeers([]cluster.NodeID{"n1"})
		return tr
	}
	saw := func(tr *Transport, want error) func() bool {
		return func() bool { s, _ := tr.PeerState("n1"); return errors.Is(s.Err, want) }
	}
	first := runs(100)
	eventually(t, "the first process", func() bool { s, _ := first.PeerState("n1"); return s.Up })
	second := runs(200)
	eventually(t, "the second process", func() bool { return d.has("n2 replaced 100 200") })
	eventually(t, "refusal of the first", saw(first, ErrReplaced))
	// Since the second one is heard all the time, the first one is never told otherwise.
	held := time.Now()
	eventually(t, "thrice the time", func() bool {
		if saw(first, ErrVacant)() {
			t.Fatal("a second process that is heard counts as gone")
		}
		return time.Since(held) > 3*cfg.Vacant
	})
	closeNow(t, second)
	eventually(t, "the name is vacant", saw(first, ErrVacant))
	if s, _ := n1.PeerState("n2"); s.Incarnation != 200 {
		t.Fatalf("the first process was taken back as it is: %+v", s)
	}
	closeNow(t, first)
	runs(300)
	eventually(t, "the first one started anew", func() bool { return d.has("n2 replaced 200 300") && d.has("n2 up 300") })
}

// TestVacantForOneAlone: while two that were replaced want to come back, neither may.
func TestVacantForOneAlone(t *testing.T) {
	n := newNetwork(t)
	cfg := n.config("n1")
	cfg.Vacant = time.Nanosecond
	p := newPeer(n.start(cfg), "n2")
	comes := func(incarnation uint64) error {
		c, _ := net.Pipe()
		return p.adopt(&wire{Conn: c, t: p.t, class: Bulk}, incarnation)
	}
	for _, x := range []struct {
		incarnation uint64
		want        error
	}{
		{100, nil}, {200, nil}, {300, nil},
		{100, errReplaced}, {100, errVacant}, {200, errReplaced}, {100, errReplaced}, {100, errVacant}, {300, nil},
	} {
		err := comes(x.incarnation)
		if !errors.Is(err, x.want) || errors.Is(err, errVacant) != (x.want == errVacant) {
			t.Fatalf("%d: %v, want %v", x.incarnation, err, x.want)
		}
	}
}

func TestBlackholeIsSilence(t *testing.T) {
	for _, way := range []Direction{Both, Incoming, Outgoing} {
		t.Run(fmt.Sprint(way), func(t *testing.T) {
			n := newNetwork(t)
			var d diary
			cfg := n.config("n1")
			cfg.Events, cfg.Faults, cfg.DialTimeout = d.events(), NewFaults(), time.Second
			n1 := n.start(cfg)
			n2 := n.start(n.config("n2"), func(tr *Transport) { tr.Handle(kindHold, func(in Inbound) { <-in.Gone() }) })
			n1.SetPeers([]cluster.NodeID{"n2"})
			n2.SetPeers([]cluster.NodeID{"n1"})
			call, err := n1.Send(within(t), Message{To: "n2", Class: Bulk, Kind: kindHold})
			if err != nil {
				t.Fatal(err)
			}
			cfg.Faults.Cut("n2", way)
			began := time.Now()
			if _, _, err := call.Wait(within(t)); !errors.Is(err, cluster.ErrUnknownOutcome) {
				t.Errorf("call into the hole: %v", err)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("noticed after %v", took)
			}
			eventually(t, "loss", func() bool { return d.has("n2 down false") })
			if d.has("n2 down true") {
				t.Error("a cut is no proof of death")
			}
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			if _, err := ask(ctx, n1, echo("n2", Control, "")); err == nil {
				t.Error("an answer through the cut")
			}
			cfg.Faults.Clear("")
			eventually(t, "healing", func() bool {
				_, err := ask(within(t), n1, echo("n2", Bulk, ""))
				return err == nil
			})
		})
	}
}

// TestShortCutIsHealed cuts for less than the silence limit: nothing is lost and no connection with it.
func TestShortCutIsHealed(t *testing.T) {
	n := newNetwork(t)
	cfg := n.config("n1")
	cfg.Silence, cfg.Faults = time.Minute, NewFaults()
	n1 := n.start(cfg)
	other := n.config("n2")
	other.Silence = time.Minute
	n.start(other)
	if _, err := ask(within(t), n1, echo("n2", Control, "")); err != nil {
		t.Fatal(err)
	}
	dials := n1.Stats().Dials
	cfg.Faults.Cut("n2", Both)
	call, err := n1.Send(within(t), echo("n2", Control, "late"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "request on its way", func() bool { return call.state.Load() == callSent })
	cfg.Faults.Clear("n2")
	if resp, _, err := call.Wait(within(t)); err != nil || string(resp) != "late" {
		t.Errorf("after the cut: %q, %v", resp, err)
	}
	if n1.Stats().Dials != dials {
		t.Error("dialled again")
	}
}

func TestLatency(t *testing.T) {
	const delay, requests, size = 60 * time.Millisecond, 50, 200_000
	n := newNetwork(t)
	cfg := n.config("n1")
	cfg.Faults, cfg.Silence = NewFaults(), time.Minute
	n1 := n.start(cfg)
	n.start(n.config("n2"))
	if _, err := ask(within(t), n1, echo("n2", Bulk, "")); err != nil {
		t.Fatal(err)
	}
	cfg.Faults.Latency("n2", delay)
	began := time.Now()
	var calls []*Call
	for i := range requests {
		m := echo("n2", Bulk, "")
		m.Payload = [][]byte{make([]byte, size)}
		m.Payload[0][0] = byte(i)
		call, err := n1.Send(within(t), m)
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, call)
	}
	for i, c := range calls {
		resp, sentAt, err := c.Wait(within(t))
		if err != nil || len(resp) != size || resp[0] != byte(i) {
			t.Fatalf("request %d: %d bytes, %v", i, len(resp), err)
		}
		if i == 0 && time.Since(sentAt) < delay {
			t.Errorf("answered %v after it was sent", time.Since(sentAt))
		}
	}
	if took := time.Since(began); took > requests*delay/2 {
		t.Errorf("%d requests in flight took %v: each waited for the one before", requests, took)
	}
}

func TestByteWindow(t *testing.T) {
	n := newNetwork(t)
	cfg := n.config("n1")
	cfg.Window, cfg.MaxFrame, cfg.MaxControlFrame = 1<<20, 1<<20, 1<<20
	n1 := n.start(cfg)
	release := make(chan struct{})
	n.start(n.config("n2"), func(tr *Transport) {
		tr.Handle(kindHold, func(in Inbound) { <-release; in.Respond() })
	})
	big := Message{To: "n2", Class: Bulk, Kind: kindHold, Payload: [][]byte{make([]byte, 700_000)}, NoWait: true}
	first, err := n1.Send(within(t), big)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n1.Send(within(t), big); !errors.Is(err, cluster.ErrOverloaded) {
		t.Errorf("beyond the window: %v", err)
	}
	big.NoWait = false
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if _, err := n1.Send(ctx, big); !errors.Is(err, cluster.ErrOverloaded) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting beyond the deadline: %v", err)
	}
	if _, err := ask(within(t), n1, echo("n2", Control, "heartbeat")); err != nil {
		t.Errorf("control beside a full bulk window: %v", err)
	}
	close(release)
	if _, _, err := first.Wait(within(t)); err != nil {
		t.Error(err)
	}
	if _, err := n1.Send(within(t), big); err != nil {
		t.Errorf("after the answer: %v", err)
	}
}

// TestFramesLeaveTogether queues many groups' frames while the writer is held up and counts what they cost.
func TestFramesLeaveTogether(t *testing.T) {
	const frames = 500
	n := newNetwork(t)
	cfg := n.config("n1")
	cfg.Ping = time.Second
	n1 := n.start(cfg)
	n.start(n.config("n2"))
	l, err := n1.peer("n2").link(within(t), Control)
	if err != nil {
		t.Fatal(err)
	}
	before := n1.Stats()
	l.wire.mu.Lock() // the writer gets no further than its first flush
	var calls []*Call
	for g := range cluster.GroupID(frames) {
		m := echo("n2", Control, "heartbeat")
		m.Group = g
		call, err := n1.Send(within(t), m)
		if err != nil {
			t.Error(err)
			break
		}
		calls = append(calls, call)
	}
	l.wire.mu.Unlock()
	for _, c := range calls {
		if _, _, err := c.Wait(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	after := n1.Stats()
	if w := after.Writes - before.Writes; w > frames/20 {
		t.Errorf("%d frames took %d writes", frames, w)
	}
}

func TestStream(t *testing.T) {
	const size = 3 << 20
	n := newNetwork(t)
	results := make(chan error, 4)
	n1, _ := n.pair(func(tr *Transport) {
		tr.HandleStreams(func(_ context.Context, s *Stream) {
			got, err := io.Copy(io.Discard, s)
			results <- err
			if err == nil {
				fmt.Fprintf(s, "%s %d %s %d", s.Peer, s.Group, s.Header, got)
				results <- s.CloseWrite()
			}
		})
	})
	s, err := n1.OpenStream(within(t), "n2", 5, []byte("snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(s)
	if want := fmt.Sprintf("n1 5 snapshot %d", size); err != nil || string(answer) != want {
		t.Errorf("answer %q, %v", answer, err)
	}
	s.Close()
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	s, err = n1.OpenStream(within(t), "n2", 5, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := <-results; err == nil {
		t.Error("a stream cut short looks whole")
	}
	if _, err := n1.OpenStream(within(t), "n2", 5, make([]byte, maxHeader+1)); !errors.Is(err, cluster.ErrTooLarge) {
		t.Errorf("header too large: %v", err)
	}
}

func TestStreamFeelsTheCut(t *testing.T) {
	n := newNetwork(t)
	cfg := n.config("n1")
	cfg.Faults = NewFaults()
	n1 := n.start(cfg)
	n.start(n.config("n2"), func(tr *Transport) {
		tr.HandleStreams(func(_ context.Context, s *Stream) { _, _ = io.Copy(io.Discard, s) })
	})
	s, err := n1.OpenStream(within(t), "n2", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cfg.Faults.Cut("", Both)
	var silent errSilent
	if _, err := s.Read(make([]byte, 1)); !errors.As(err, &silent) {
		t.Errorf("read through the cut: %v", err)
	}
}

func TestCloseEndsWhatRuns(t *testing.T) {
	n := newNetwork(t)
	n1, n2 := n.pair(func(tr *Transport) { tr.Handle(kindHold, func(in Inbound) { <-in.Gone() }) })
	call, err := n1.Send(within(t), Message{To: "n2", Class: Bulk, Kind: kindHold})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "request sent", func() bool { return call.state.Load() == callSent })
	closeNow(t, n1)
	if _, _, err := call.Wait(within(t)); !errors.Is(err, cluster.ErrUnknownOutcome) {
		t.Errorf("call under way: %v", err)
	}
	if _, err := n1.Send(within(t), echo("n2", Control, "")); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("send after Close: %v", err)
	}
	closeNow(t, n2)
	if c, err := net.Dial("tcp", n2.Addr().String()); err == nil {
		c.Close()
		t.Error("port is open after Close")
	}
}
