package node

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/flotilla-mail/flotilla/cluster"
	"github.com/flotilla-mail/flotilla/placement"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // most tests have closed it
	return l
}

func reachable(l net.Listener) bool {
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return false
	}
	_ = c.Close() // nothing was said
	return true
}

func TestServicesDrainSideBySide(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	begun := make(chan string, 2)
	both := make(chan struct{})
	waits := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			begun <- name
			select {
			case <-both:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	s := &services{running: []service{{"imap", listen(t), waits("imap"), nil}, {"smtp", listen(t), waits("smtp"), nil},
		{"admin", listen(t), nil, nil}}}
	done := make(chan error, 1)
	go func() { done <- s.drain(ctx) }()
	for range 2 { // the second begins only if it does not wait for the first
		select {
		case <-begun:
		case <-ctx.Done():
			t.Fatal("one service waits for another")
		}
	}
	close(both)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestServicesDrainNamesWhatFailed(t *testing.T) {
	bad := errors.New("clients hang on")
	s := &services{running: []service{{"imap", listen(t), func(context.Context) error { return nil }, nil},
		{"smtp", listen(t), func(context.Context) error { return bad }, nil}}}
	err := s.drain(context.Background())
	if !errors.Is(err, bad) || err.Error() != "drain smtp: clients hang on" {
		t.Fatalf("%v", err)
	}
}

func TestStopListeningLeavesTheAdministrator(t *testing.T) {
	imap, admin := listen(t), listen(t)
	s := &services{running: []service{{"imap", imap, func(context.Context) error { return nil }, nil}, {"admin", admin, nil, nil}}}
	s.stopListening()
	if reachable(imap) || !reachable(admin) {
		t.Fatalf("imap %v, admin %v", reachable(imap), reachable(admin))
	}
}

// threeNodes is a map with the system group and one mailbox group on a, b, c, and what the nodes say of themselves.
func threeNodes() (*placement.Map, []Status) {
	m := &placement.Map{}
	all := []Status{{Node: "a", Ready: true}, {Node: "b", Ready: true}, {Node: "c", Ready: true}}
	for id := range cluster.GroupID(2) {
		g := placement.Group{ID: id}
		for i := range all {
			server := cluster.NewServerID(all[i].Node, uint64(id)+1)
			g.Replicas = append(g.Replicas, placement.Replica{Server: server, Suffrage: placement.Voter, State: placement.Created})
			all[i].Groups = append(all[i].Groups, GroupStatus{Group: id, Server: server, State: "follower", CaughtUp: true})
		}
		m.Groups = append(m.Groups, g)
	}
	return m, all
}

func TestMayDrain(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *placement.Map, all []Status)
		safe   bool
	}{
		"all well":            {func(*placement.Map, []Status) {}, true},
		"one other not ready": {func(_ *placement.Map, all []Status) { all[1].Ready = false }, true},
		"no other ready":      {func(_ *placement.Map, all []Status) { all[1].Ready, all[2].Ready = false, false }, false},
		"one other silent":    {func(_ *placement.Map, all []Status) { all[2] = Status{Node: "c", Err: "no answer"} }, false},
		"a replica behind":    {func(_ *placement.Map, all []Status) { all[1].Groups[1].CaughtUp = false }, false},
		"a replica stopped":   {func(_ *placement.Map, all []Status) { all[1].Groups[1].State = "stopped" }, false},
		"a replica not there": {func(_ *placement.Map, all []Status) { all[1].Groups = all[1].Groups[:1] }, false},
		"a group that is not here": {func(m *placement.Map, all []Status) {
			m.Groups[1].Replicas = m.Groups[1].Replicas[1:]
			all[2].Groups = all[2].Groups[:1]
		}, true},
		"alone": {func(m *placement.Map, _ []Status) {
			for i := range m.Groups {
				m.Groups[i].Replicas = m.Groups[i].Replicas[:1]
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m, all := threeNodes()
			c.change(m, all)
			if name == "alone" {
				all = all[:1]
			}
			err := mayDrain("a", m, all)
			if safe := err == nil; safe != c.safe || !safe && cluster.KindOf(err) != cluster.KindUnsafe {
				t.Fatalf("%v", err)
			}
		})
	}
}
