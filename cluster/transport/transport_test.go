package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/flotilla-mail/flotilla/cluster"
)

func TestAnswersByClass(t *testing.T) {
	n1, _ := newNetwork(t).pair()
	ctx := within(t)
	for _, class := range []Class{Control, Bulk} {
		for _, kind := range []Kind{kindEcho, kindFast} {
			m := echo("n2", class, "one ")
			m.Kind, m.Payload = kind, append(m.Payload, []byte("two"))
			got, err := ask(ctx, n1, m)
			if err != nil || got != "one two" {
				t.Fatalf("%s: %q, %v", class, got, err)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	n1, _ := newNetwork(t).pair(func(tr *Transport) {
		tr.Handle(kindHold, func(in Inbound) {
			in.Refuse(&cluster.Error{Kind: cluster.KindNotLeader, Group: 9, Term: 4, Leader: "n3"})
		})
	})
	ctx := within(t)
	cases := []struct {
		name string
		m    Message
		want error
	}{
		{"own node", echo("n1", Control, ""), cluster.ErrBadRequest},
		{"no such class", echo("n2", classStream, ""), cluster.ErrBadRequest},
		{"reserved kind", Message{To: "n2", Class: Control, Kind: kindPing}, cluster.ErrBadRequest},
		{"too large", echo("n2", Control, strings.Repeat("x", 256<<10+1)), cluster.ErrTooLarge},
		{"no handler", Message{To: "n2", Class: Control, Kind: 99}, cluster.ErrNoMethod},
		{"unknown node", echo("n9", Control, ""), cluster.ErrUnavailable},
		{"refused", Message{To: "n2", Class: Bulk, Kind: kindHold}, cluster.ErrNotLeader},
	}
	for _, c := range cases {
		if _, err := ask(ctx, n1, c.m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	_, err := ask(ctx, n1, cases[len(cases)-1].m)
	var e *cluster.Error
	if !errors.As(err, &e) || e.Group != 9 || e.Term != 4 || e.Leader != "n3" {
		t.Errorf("fields of the refusal are lost: %+v", e)
	}
}

func TestOrderWithinGroup(t *testing.T) {
	const groups, frames = 8, 200
	var mu sync.Mutex
	seen := map[cluster.GroupID][]uint32{}
	n1, _ := newNetwork(t).pair(func(tr *Transport) {
		tr.Handle(kindOrder, func(in Inbound) {
			mu.Lock()
			seen[in.Group] = append(seen[in.Group], binary.LittleEndian.Uint32(in.Payload))
			mu.Unlock()
			in.Respond()
		})
	})
	ctx := within(t)
	var calls []*Call
	for i := range uint32(frames) {
		for g := range cluster.GroupID(groups) {
			call, err := n1.Send(ctx, Message{
				To: "n2", Class: Bulk, Group: g, Kind: kindOrder,
				Payload: [][]byte{binary.LittleEndian.AppendUint32(nil, i), make([]byte, int(i)*37)},
			})
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, call)
		}
	}
	for _, c := range calls {
		if _, _, err := c.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for g, order := range seen {
		for i, v := range order {
			if v != uint32(i) {
				t.Fatalf("group %d: frame %d came at place %d", g, v, i)
			}
		}
		if len(order) != frames {
			t.Fatalf("group %d: %d frames of %d", g, len(order), frames)
		}
	}
}

func TestManyCallers(t *testing.T) {
	n1, n2 := newNetwork(t).pair()
	ctx := within(t)
	var g errgroup.Group
	for i := range 100 {
		from, to := n1, n2
		if i%2 == 1 {
			from, to = n2, n1
		}
		g.Go(func() error {
			for j := range 50 {
				text := fmt.Sprintf("caller %d request %d", i, j)
				m := echo(to.Node(), Class(1+j%2), text)
				m.Group = cluster.GroupID(i)
				got, err := ask(ctx, from, m)
				if err != nil || got != text {
					return fmt.Errorf("%q: got %q, %w", text, got, err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestWhatMayWaitLeavesTogether: requests of which each may wait are answered, and share writes.
func TestWhatMayWaitLeavesTogether(t *testing.T) {
	n1, n2 := newNetwork(t).pair()
	ctx := within(t)
	if _, err := ask(ctx, n1, echo(n2.Node(), Control, "first")); err != nil {
		t.Fatal(err)
	}
	const requests = 500
	before := n1.Stats()
	var calls []*Call
	for i := range requests {
		m := echo(n2.Node(), Control, fmt.Sprint(i))
		m.Later = true
		call, err := n1.Send(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, call)
	}
	for i, call := range calls {
		if got, _, err := call.Wait(ctx); err != nil || string(got) != fmt.Sprint(i) {
			t.Fatalf("%d: got %q, %v", i, got, err)
		}
	}
	after := n1.Stats()
	if frames, flushes := after.FramesOut-before.FramesOut, after.Flushes-before.Flushes; frames < requests || flushes > requests/10 {
		t.Errorf("%d frames left in %d writes", frames, flushes)
	}
}

// TestGroupsDoNotBlockEachOther holds one group's handler and expects another's, and heartbeats, to go on.
func TestGroupsDoNotBlockEachOther(t *testing.T) {
	release := make(chan struct{})
	n1, _ := newNetwork(t).pair(func(tr *Transport) {
		tr.Handle(kindHold, func(in Inbound) { <-release; in.Respond() })
	})
	ctx := within(t)
	held, err := n1.Send(ctx, Message{To: "n2", Class: Control, Group: 1, Kind: kindHold})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(ctx, n1, echo("n2", Control, "beside")); err != nil {
		t.Error(err)
	}
	m := echo("n2", Control, "behind")
	m.Group, m.Kind = 1, kindFast
	if _, err := ask(ctx, n1, m); err != nil {
		t.Error(err)
	}
	close(release)
	if _, _, err := held.Wait(ctx); err != nil {
		t.Error(err)
	}
}

func TestCancelledCall(t *testing.T) {
	n1, _ := newNetwork(t).pair(func(tr *Transport) {
		tr.Handle(kindHold, func(in Inbound) { <-in.Gone() })
	})
	ctx, cancel := context.WithCancel(within(t))
	call, err := n1.Send(ctx, Message{To: "n2", Class: Control, Kind: kindHold})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "request sent", func() bool { return call.state.Load() == callSent })
	cancel()
	if _, _, err := call.Wait(ctx); !errors.Is(err, cluster.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled after sending: %v", err)
	}
}
